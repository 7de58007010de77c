"""From JSON to a frozen tree, refusing what EventBridge refuses, in its words."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, TypeAlias

from eventrouter.errors import PatternError
from eventrouter.patterns._operators import (
    AnythingBut,
    ContentFilter,
    Exactly,
    Exists,
    Numeric,
    Prefix,
    Suffix,
    is_number,
)


@dataclass(frozen=True, slots=True)
class Node:
    """What a pattern asks of one field: one of several alternatives, or the fields below it."""

    alternatives: tuple[ContentFilter, ...] = ()
    fields: Fields = ()

    @property
    def accepts_absence(self) -> bool:
        """Whether the field may be missing."""
        return Exists(expected=False) in self.alternatives


#: The fields of an object, by name.
Fields: TypeAlias = "tuple[tuple[str, Node], ...]"


def parse_fields(document: Mapping[str, Any], path: str) -> Fields:
    """Read an object of a pattern.

    Raises:
        PatternError: It breaks a rule of the language.
    """
    if not document:
        raise PatternError(
            "Empty objects are not allowed", path, 'to match every event write {"source": [{"prefix": ""}]}'
        )
    return tuple(sorted(((name, _parse_node(name, value, _join(path, name))) for name, value in document.items())))


def _parse_node(name: str, value: Any, path: str) -> Node:
    if isinstance(value, Mapping):
        return Node(fields=parse_fields(value, path))
    if not isinstance(value, list | tuple):
        hint = f"write [{json.dumps(value)}]" if value is None or isinstance(value, str | int | float) else ""
        raise PatternError(f'"{name}" must be an object or an array', path, hint)
    if not value:
        raise PatternError("Empty arrays are not allowed", path)
    return Node(tuple(_parse_alternative(item, f"{path}[{index}]") for index, item in enumerate(value)))


def _parse_alternative(value: Any, path: str) -> ContentFilter:
    if value is None or isinstance(value, str | bool) or is_number(value):
        return Exactly(value)
    if not isinstance(value, Mapping):
        raise PatternError("Match value must be String, number, true, false, or null", path)
    if not value:
        raise PatternError("Match expression name not found", path)
    name, operand = next(iter(value.items()))
    parse = _PARSERS.get(name)
    if parse is None:
        [nearest] = difflib.get_close_matches(str(name), _PARSERS, 1, 0) or [""]
        raise PatternError(f"Unrecognized match type {name}", path, f'did you mean "{nearest}"?')
    content_filter = parse(operand, _join(path, name))
    if len(value) > 1:
        raise PatternError("Only one key allowed in match expression", path)
    return content_filter


def _parse_prefix(operand: Any, path: str) -> ContentFilter:
    return Prefix(_text("prefix", operand, path))


def _parse_suffix(operand: Any, path: str) -> ContentFilter:
    return Suffix(_text("suffix", operand, path))


def _text(name: str, operand: Any, path: str) -> str:
    if not isinstance(operand, str):
        raise PatternError(f"{name} match pattern must be a string", path)
    return operand


def _parse_exists(operand: Any, path: str) -> ContentFilter:
    if not isinstance(operand, bool):
        raise PatternError("exists match pattern must be either true or false.", path)
    return Exists(operand)


def _parse_anything_but(operand: Any, path: str) -> ContentFilter:
    values = operand if isinstance(operand, list | tuple) else [operand]
    if all(isinstance(value, str) for value in values) or all(is_number(value) for value in values):
        if values:
            return AnythingBut(tuple(values))
    elif not isinstance(operand, list | tuple):
        raise PatternError("Value of anything-but must be an array or single string/number value.", path)
    raise PatternError(
        "Inside anything but list, either all values are number or string, mixed type is not supported", path
    )


_LOWER, _UPPER = (">", ">="), ("<", "<=")


def _parse_numeric(operand: Any, path: str) -> ContentFilter:
    if not isinstance(operand, list | tuple):
        raise PatternError("Value of numeric must be an array.", path, 'write {"numeric": [">", 0]}')
    names, bounds = tuple(operand[::2]), tuple(operand[1::2])
    if not names or names[0] not in ("=", *_LOWER, *_UPPER):
        raise PatternError(f"Unrecognized numeric range operator: {names[0] if names else ''}", path)
    for name, bound in zip_longest(names, bounds):
        if not is_number(bound):
            raise PatternError(f"Value of {'equals' if name == '=' else name} must be numeric", path)
    if len(names) > 1 and not (len(names) == 2 and names[0] in _LOWER and names[1] in _UPPER):  # noqa: PLR2004 - a range
        raise PatternError("Too many elements in numeric expression", path, 'write {"numeric": [">", 0, "<=", 5]}')
    if len(bounds) > 1 and not bounds[0] < bounds[1]:
        raise PatternError("Bottom must be less than top", path)
    return Numeric(tuple(zip(names, bounds, strict=True)))


_PARSERS: Final[dict[str, Callable[[Any, str], ContentFilter]]] = {
    "prefix": _parse_prefix,
    "suffix": _parse_suffix,
    "exists": _parse_exists,
    "anything-but": _parse_anything_but,
    "numeric": _parse_numeric,
}

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _join(path: str, name: str) -> str:
    """Extend a JSONPath by a step, quoted where it has to be."""
    if _PLAIN.fullmatch(name):
        return f"{path}.{name}"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{path}['{escaped}']"
