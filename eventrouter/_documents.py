"""JSON, TOML and YAML files as data, read so that nothing in them is lost."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from eventrouter.errors import InvalidRuleError, MissingExtraError
from eventrouter.patterns import json_path


def read_json(path: Path) -> str:
    """Read a JSON file as text, in UTF-8 or what else JSON may be in. Raises `OSError` and `ValueError`."""
    content = path.read_bytes()
    return content.decode(json.detect_encoding(content))


def read_document(path: Path) -> tuple[Any, str]:
    """Read a file, and give its text if that is JSON."""
    try:
        match path.suffix.lower():
            case ".json":
                text = read_json(path)
                return json.loads(text, object_pairs_hook=_Object.of), text
            case ".toml":
                return tomllib.loads(path.read_text(encoding="utf-8")), ""
            case ".yaml" | ".yml":
                return _read_yaml(path), ""
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are ValueErrors
        raise InvalidRuleError(f"{path} cannot be read: {error}") from error
    raise InvalidRuleError(f"{path} is no rules file", hint="name it .json, .toml, .yaml or .yml")


def _read_yaml(path: Path) -> Any:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("A YAML rules file", "yaml") from None

    class Loader(yaml.SafeLoader):
        """Refuses names that come twice in one mapping, as YAML does; PyYAML would keep the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            twice = next((name for _, name in _repeated(names)), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f'"{twice}" is written twice', node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_bytes(), Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(error) from error


class _Object(dict[str, Any]):
    """A JSON object in which names come twice."""

    names: Sequence[str] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make one, or a plain one if no name comes twice."""
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        made = cls(plain)
        made.names = _repeated([name for name, _ in pairs])
        return made


_T = TypeVar("_T")


def _repeated(items: Iterable[_T]) -> list[_T]:
    return [item for item, count in Counter(items).items() if count > 1]


def refuse_repeated_names(document: Any) -> None:
    """Refuse names that come twice in one object: all but the last would be lost. In patterns they mean something."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while todo:
        steps, value = todo.pop()
        if isinstance(value, _Object):
            place = json_path((*steps, value.names[0]))
            raise InvalidRuleError(f'"{value.names[0]}" is written twice', place, "write it once")
        if isinstance(value, dict):
            todo += [((*steps, name), item) for name, item in value.items() if name != "EventPattern"]
        elif isinstance(value, list):
            todo += [((*steps, index), item) for index, item in enumerate(value)]
