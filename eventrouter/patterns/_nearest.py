"""The value nearest to a given one that a field's tests accept."""

from __future__ import annotations

import enum
import ipaddress
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from eventrouter.patterns._addresses import parse_address
from eventrouter.patterns._alignment import MAXIMUM_CELLS, aligned
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
    wildcard_tokens,
)
from eventrouter.patterns._work import Work

#: How far a value is from another: of another type or not, how much differs, how much of it is gone.
Distance: TypeAlias = tuple[bool, float, float]

_LONG: Final = 200  # characters at either end; to compare more of a string costs more than it tells
_EXACT: Final = 2**53  # up to here every integer is a double


class Unusual(enum.Enum):
    """A change that is no value."""

    REMOVED = "the field may not be there"
    NONE = "no value fits"


def nearest_change(tests: Sequence[ContentFilter], value: Leaf, work: Work) -> Leaf | Unusual:
    """Give a value that one of *tests* accepts and that is like *value*."""
    nearest = _nearest(tests, value, work)
    if nearest is None:
        return Unusual.REMOVED if Exists(expected=False) in tests else Unusual.NONE
    return nearest[1]


def unlikeness(tests: Sequence[ContentFilter], value: Leaf) -> float:
    """Estimate how far a value is from what *tests* accept: from 0, near, to 1."""
    nearest = _nearest(tests, value, _NOTHING)
    if nearest is None:
        return 1.0
    (is_other_type, difference, _), _ = nearest
    return (is_other_type + difference / (1 + difference)) / 2


_NOTHING: Final = Work(0)


def _nearest(tests: Sequence[ContentFilter], value: Leaf, work: Work) -> tuple[Distance, Leaf] | None:
    accepted = [candidate for test in tests for candidate in _candidates(test, value, work) if test.accepts(candidate)]
    told = [(_distance(candidate, value), candidate) for candidate in accepted]
    return min(told, key=lambda item: item[0]) if told else None


def _distance(candidate: Leaf, value: Leaf) -> Distance:
    if is_number(candidate) and is_number(value):
        return False, _difference(candidate, value), 0
    if isinstance(candidate, str) and isinstance(value, str):
        return False, *_edit(candidate, value)
    return type(candidate) is not type(value), *_edit(_text(candidate), _text(value))


def _difference(first: Any, second: Any) -> float:
    try:
        return min(float(abs(first - second)), 1e300)
    except OverflowError:
        return 1e300


def _text(value: Leaf) -> str:
    """Write a value about as it is in JSON; a number without what Python refuses to write."""
    if isinstance(value, str):
        return value
    return str(value).lower() if not isinstance(value, int) or abs(value) < _EXACT else "large"


def _edit(candidate: str, value: str) -> tuple[int, int]:
    """Count what is to be put and what goes, in characters, when all between a common beginning and end is replaced."""
    begin = _common(candidate[:_LONG], value[:_LONG])
    shorter = min(len(candidate), len(value)) - begin
    end = _common(candidate[: -min(_LONG, shorter) - 1 : -1], value[: -min(_LONG, shorter) - 1 : -1])
    put, gone = len(candidate) - begin - end, len(value) - begin - end
    return max(put, gone), gone


def _common(first: str, second: str) -> int:
    return next(
        (n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )


def _candidates(test: ContentFilter, value: Leaf, work: Work) -> Iterable[Leaf]:  # noqa: PLR0911 - one for each kind
    match test:
        case Literal():
            return (test.value,)
        case Exactly():
            return (test.text,)
        case EqualsIgnoreCase() | Prefix() | Suffix() | Wildcard():
            return (_text_like(test, value if isinstance(value, str) else "", work),)
        case Numeric():
            return _numbers(test, value)
        case Cidr():
            return (_address(test, value),)
        case AnythingBut():
            return _others(test, value)
        case _:
            return ("any",) if test == Exists(expected=True) else ()


def _text_like(test: EqualsIgnoreCase | Prefix | Suffix | Wildcard, value: str, work: Work) -> str:
    """Give the text of a test's form that is nearest to a value, or if that is too much work, any."""
    ignores_case = isinstance(test, EqualsIgnoreCase) or (isinstance(test, Prefix | Suffix) and test.ignores_case)
    text = "".join(map(_own_case, test.text)) if ignores_case else test.text
    tokens: list[str | None] = [*text]
    match test:
        case EqualsIgnoreCase():
            plain = text
        case Prefix():
            plain = text + value
            tokens.append(None)
        case Suffix():
            plain = value + text
            tokens.insert(0, None)
        case _:
            plain = "".join(test.parts)
            tokens = wildcard_tokens(test.text)
    cells = len(tokens) * len(value)
    if cells > MAXIMUM_CELLS or not work.take(cells):
        return plain
    return aligned(tokens, value, ignores_case=ignores_case)


def _own_case(character: str) -> str:
    """Give the character, or its lower case if it does not even match itself (6.6)."""
    return character if character in (character.lower(), character.upper()) else character.lower()


def _numbers(test: Numeric, value: Leaf) -> list[int | float]:
    """Give the round numbers within the bounds, or if there are none any; of a text that shows a number, that one."""
    number = _number_in(value)
    within: list[list[int | float]] = [
        [] if number is None else [number],
        [number for name, bound in test.bounds for number in _round_numbers(name, bound)],
        [sum(bound for _, bound in test.bounds) / 2 if len(test.bounds) > 1 else math.inf],
        [math.nextafter(bound, math.inf if ">" in name else -math.inf) for name, bound in test.bounds],
    ]
    for numbers in within:
        fitting = [number for number in numbers if math.isfinite(number) and test.accepts(number)]
        if fitting:
            return fitting if is_number(value) or number is not None else fitting[:1]
    return []


_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?")


def _number_in(value: Leaf) -> int | float | None:
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return float(match[0]) if match[1] else int(match[0])


def _round_numbers(name: str, bound: float) -> Iterator[int | float]:
    """Give a bound that is included, or else the next integer."""
    if "=" in name:
        yield bound
    elif isinstance(bound, int):
        yield bound + (1 if ">" in name else -1)
    elif abs(bound) < _EXACT:
        yield math.floor(bound) + 1 if ">" in name else math.ceil(bound) - 1


def _address(test: Cidr, value: Leaf) -> str:
    """Give the address with the network's part replaced, or the network's own."""
    address = parse_address(value) if isinstance(value, str) else None
    hosts = test.first.value ^ test.last.value
    number = test.first.value | (address.value & hosts if address and address.family == test.first.family else 0)
    kind = ipaddress.IPv4Address if test.first.family == 4 else ipaddress.IPv6Address  # noqa: PLR2004 - its own number
    return str(kind(number))


def _others(test: AnythingBut, value: Leaf) -> list[Leaf]:
    """Give the value with something more, or if that is excluded too, something else."""
    more: list[Leaf] = []
    if isinstance(value, str) and value:
        more = [f"{value}-other", f"other-{value}"]
    elif isinstance(value, int | float):
        more = [value + 1, value - 1]
    return [candidate for candidate in more if test.accepts(candidate)][:1] or ["other", 0, None]
