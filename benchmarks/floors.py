"""The least that reading an event can cost: decode it, and build nothing but the fields that rules look at.

This is the projection one would write by hand for these rules: a `msgspec.Struct` for each object, a list of them for
each array, `Any` for what is tested. Nothing is matched.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

#: How arrays of objects are nested in our events. The corners of a polygon stand in one list more when there are many.
ARRAYS: dict[str, Callable[[type], Any]] = {
    "coordinates": lambda point: list[list[point | list[point]]],  # type: ignore[valid-type]
    "items": lambda item: list[item],  # type: ignore[valid-type]
    "containers": lambda container: list[container],  # type: ignore[valid-type]
}


def decode_floor(patterns: Iterable[dict[str, Any]]) -> Callable[[bytes], Any]:
    """Give a function that decodes the fields which any of the patterns looks at."""
    tree: dict[str, Any] = {}
    for pattern in patterns:
        _merge(tree, pattern)
    return msgspec.json.Decoder(_struct("Event", tree)).decode


def _merge(tree: dict[str, Any], pattern: dict[str, Any]) -> None:
    for key, inner in pattern.items():
        branch = tree.setdefault(key, {})
        if isinstance(inner, dict):
            _merge(branch, inner)


def _struct(name: str, tree: dict[str, Any]) -> type[msgspec.Struct]:
    fields = [(f"f{number}", _type(key, inner), None) for number, (key, inner) in enumerate(tree.items())]
    keys = {f"f{number}": key for number, key in enumerate(tree)}
    return msgspec.defstruct(name, fields, rename=keys)


def _type(key: str, tree: dict[str, Any]) -> Any:
    if not tree:
        return Any
    struct = _struct(key, tree)
    return ARRAYS[key](struct) if key in ARRAYS else struct
