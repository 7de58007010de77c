"""The general way from an event to the values of fields: arrays of objects, names with dots, any number of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from eventrouter.matching._checks import ABSENT, Many, Values
from eventrouter.patterns import Leaf, Leaves

_KINDS: Final = (str, int, float)  # what a subclass, such as an enumeration, is taken for


def values_of(leaves: Leaves, slots: Mapping[str, int]) -> Values | None:
    """Give the value of each field, or None if some have several or stand in arrays that matter."""
    values = Values()
    for path, found in leaves.items():
        if len(found) > 1 or found[0][1]:
            return None
        values[slots.get(path, -1)] = _exact(found[0][0])
    return values


def many_of_leaves(leaves: Leaves, slots: Mapping[str, int]) -> Many:
    """Give the values of each field, and which may count as absent beside some elements of an array."""
    values = Values({slots.get(path, -1): _distinct(value for value, _ in found) for path, found in leaves.items()})
    uncertain = (slots.get(path, -1) for path, found in leaves.items() if any(trail for _, trail in found))
    return Many(values, frozenset(uncertain))


def many_of_lists(lists: Iterable[list[Leaf] | None], values: Iterable[Any]) -> Many:
    """Give the values of each field, where some have lists of them: nothing depends on what stands with what."""
    many = Values()
    for slot, (several, value) in enumerate(zip(lists, values, strict=True)):
        found = _distinct(several) if several is not None else [value] if value is not ABSENT else []
        if found:
            many[slot] = found
    return Many(many)


def _distinct(values: Iterable[Leaf]) -> list[Leaf]:
    # True equals 1 in Python, and not in JSON.
    return list({(value.__class__ is bool, value): value for value in map(_exact, values)}.values())


def _exact(value: Leaf) -> Leaf:
    """Give the value with a type of JSON's own: the index tells values by that."""
    kind = type(value)
    if kind in _KINDS or value is None or kind is bool:
        return value
    base = next(base for base in _KINDS if isinstance(value, base))
    return base.__add__(value, base())  # type: ignore[operator]  # exact, even of a subclass
