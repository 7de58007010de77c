"""What generated code calls to gather the values of arrays. A list that comes out holds scalars of JSON only."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

from eventrouter.matching._checks import ABSENT

#: Types of leaves that need no second look. A float may be NaN, which only data can hold.
PLAIN: Final = frozenset((str, int, bool, type(None), type(ABSENT)))


def spread(value: Any, kind: type) -> list[Any]:
    """Give the objects, of a type, in nested arrays or by themselves. Raises `TypeError` where they are too deep."""
    if type(value) is not list:
        if type(value) is kind:
            return [value]
        return plain([value]) and []
    kinds = set(map(type, value))
    if kinds == {kind}:
        return value
    if kinds == {list}:
        return spread(list(chain.from_iterable(value)), kind)
    return list(chain.from_iterable(spread(item, kind) for item in value))


def scalars(value: Any) -> list[Any]:
    """Give a scalar, or those in nested arrays; an object, as of data, has no value of its own."""
    if type(value) is not list:
        return [] if type(value) is dict else plain([value])
    if set(map(type, value)) & {list, dict}:
        return list(chain.from_iterable(map(scalars, value)))
    return plain(value)


def plain(values: list[Any]) -> list[Any]:
    """Give the values that are not absent. Raises `TypeError` where one is an array or object, or is not of JSON."""
    for value in values:
        if type(value) not in PLAIN and (type(value) is not float or value != value):  # noqa: PLR0124 - NaN is not itself
            raise TypeError(value)
    return [value for value in values if value is not ABSENT]


def numbers(values: list[Any]) -> list[Any]:
    """Give the values. Raises `TypeError` where one is not a number of JSON."""
    if not set(map(type, values)) <= {float, int} or any(value != value for value in values):  # noqa: PLR0124 - NaN
        raise TypeError(values)
    return values
