"""The value nearest to a given one that a field's tests accept."""

from __future__ import annotations

import difflib
import enum
import ipaddress
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from eventrouter.patterns._operators import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Leaf,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
    is_number,
)


class Unusual(enum.Enum):
    """A change that is no value."""

    REMOVED = "the field may not be there"
    NONE = "no value fits"


_LONG: Final = 200  # characters; the likeness of longer strings costs more than it tells


def nearest_change(tests: Sequence[ContentFilter], value: Leaf = "") -> Leaf | Unusual:
    """Give a value that one of *tests* accepts and that is like *value*."""
    accepted = [candidate for test in tests for candidate in _candidates(test, value) if test.accepts(candidate)]
    if not accepted:
        return Unusual.REMOVED if Exists(expected=False) in tests else Unusual.NONE
    return max(accepted, key=lambda candidate: _likeness(candidate, value))


def _likeness(candidate: Leaf, value: Leaf) -> tuple[bool, float]:
    if isinstance(candidate, str) and isinstance(value, str):
        return True, difflib.SequenceMatcher(None, candidate[:_LONG], value[:_LONG]).ratio()
    if is_number(candidate) and is_number(value):
        return True, -_distance(candidate, value)
    return type(candidate) is type(value), 0.0


def _distance(first: Any, second: Any) -> float:
    try:
        return float(abs(first - second))
    except OverflowError:
        return math.inf


def _candidates(test: ContentFilter, value: Leaf) -> Iterable[Leaf]:  # noqa: PLR0911 - one for each filter
    text = value if isinstance(value, str) else ""
    match test:
        case Literal():
            return (test.value,)
        case Exactly() | EqualsIgnoreCase():
            return (test.text,)
        case Prefix():
            return (test.text, test.text + text)
        case Suffix():
            return (test.text, text + test.text)
        case Wildcard():
            return ("".join(test.parts),)
        case Numeric():
            # One will do, and the first that is accepted reads best.
            return [number for number in _numbers(test) if test.accepts(number)][:1]
        case Cidr():
            kind = ipaddress.IPv4Address if test.first.family == 4 else ipaddress.IPv6Address  # noqa: PLR2004
            return (kind(test.first.value).exploded,)
        case AnythingBut():
            return ("other", f"{text}-other", f"other-{text}", 0, None)
        case _:
            return ("any",) if test == Exists(expected=True) else ()


def _numbers(test: Numeric) -> Iterator[int | float]:
    for name, bound in test.bounds:
        if "=" in name:
            yield bound
        direction = 1 if ">" in name else -1
        yield _plain(bound + direction)
    if len(test.bounds) > 1:
        yield _plain((test.bounds[0][1] + test.bounds[1][1]) / 2)
    for name, bound in test.bounds:
        yield math.nextafter(bound, math.inf if ">" in name else -math.inf)


def _plain(number: float) -> int | float:
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**53 else number
