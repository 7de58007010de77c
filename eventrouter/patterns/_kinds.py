"""The values that a field can have, sorted by what some lists of alternatives say of them.

Two values are of one kind if every list accepts both or neither. There are few kinds, and one value stands for each: so
sets of values are sets of kinds, bits of an integer, and to intersect, subtract and compare them is exact.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Final

from eventrouter.patterns._evaluate import Field
from eventrouter.patterns._json import as_read
from eventrouter.patterns._operators import AnythingBut, ContentFilter, Leaf, Literal, Numeric
from eventrouter.patterns._strings import Strings
from eventrouter.patterns._work import Work

#: The kind of a field that is not there.
ABSENT: Final = 1


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of values of one field. Bit 0 is `ABSENT`.

    Attributes:
        accepted: For each list of alternatives, the kinds that it accepts.
        values: For each kind that is known to exist, a value: the simplest that was found.
        known: The kinds that are known to exist.
        strings: The kinds of strings.
        every: All kinds, also those of which it is not known whether there is such a value.
        is_complete: Whether there was enough work left to find all of them.
    """

    accepted: tuple[int, ...]
    values: dict[int, Leaf]
    known: int
    strings: int
    every: int
    is_complete: bool
    _lists: _Lists
    _bits: dict[tuple[bool, int], int]

    def kind(self, value: Leaf) -> int:
        """Give the kind of a value; 0 if it was not found, for which there has to be too little work, or an address."""
        return self._bits.get((isinstance(value, str), self._lists.accepting(value)), 0)

    def value(self, kinds: int) -> Leaf:
        """Give the simplest value of one of some kinds, at least one of which is known to exist and is no absence."""
        kinds &= self.known & ~ABSENT
        return self.values[kinds & -kinds]


def kinds_of(fields: Sequence[Field], work: Work) -> Kinds:
    """Sort the values of a field.

    Args:
        fields: The field, with each of the lists of alternatives.
        work: What may be spent on strings.
    """
    strings, lists = Strings(fields, work), _Lists(fields)
    found: dict[tuple[bool, int], Leaf] = {}  # by whether it is a string, and the lists that accept it
    is_complete = True
    for value in chain(strings.values(), _others(fields)):
        if not work.take(lists.cost):
            is_complete = False
            break
        found.setdefault((isinstance(value, str), lists.accepting(value)), value)
    possible = dict.fromkeys(kind for verdicts in strings.possible if (kind := (True, verdicts)) not in found)
    bits = {kind: 2 << index for index, kind in enumerate((*found, *possible))}
    accepted = [field.may_be_absent * ABSENT for field in fields]
    for (_, verdicts), bit in bits.items():
        for index in _set_bits(verdicts):
            accepted[index] |= bit
    return Kinds(
        accepted=tuple(accepted),
        values={bits[kind]: value for kind, value in found.items()},
        known=ABSENT | sum(bits[kind] for kind in found),
        strings=sum(bit for (is_string, _), bit in bits.items() if is_string),
        every=ABSENT | sum(bits.values()),
        is_complete=is_complete and strings.are_complete,
        _lists=lists,
        _bits=bits,
    )


class _Lists:
    """Some lists of alternatives, asked together.

    Attributes:
        cost: How many of them are asked one by one.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        # Lists that have nothing but plain values, of which there may be many, are found by the value.
        self._by_value: dict[Leaf, int] = {}
        self._others: list[tuple[int, Field]] = []
        for index, field in enumerate(fields):
            if field.others or field.addresses:
                self._others.append((index, field))
            else:
                for value in field.values:
                    self._by_value[value] = self._by_value.get(value, 0) | 1 << index
        self.cost = 1 + len(self._others)

    def accepting(self, value: Leaf) -> int:
        """Give the lists that accept a value, as bits."""
        plain = 0 if isinstance(value, bool | None) else self._by_value.get(value, 0)  # True == 1
        return plain | sum(1 << index for index, field in self._others if field.accepts(value))


def _set_bits(number: int) -> Iterator[int]:
    while number:
        yield (number & -number).bit_length() - 1
        number &= number - 1


def _others(fields: Iterable[Field]) -> Iterator[Leaf]:
    points = sorted({point for field in fields for test in field.filters for point in _points(test)})
    bounds = [-math.inf, *points, math.inf]
    gaps = [number for low, high in pairwise(bounds) for number in _between(low, high)]
    yield from sorted(dict.fromkeys((0, *gaps, *points)), key=_complexity)
    yield from (None, True, False, math.inf, -math.inf)


def _complexity(number: float) -> tuple[bool, int]:
    """Say how long a number is to read: infinities and what is past all doubles come last."""
    is_past = not -sys.float_info.max <= number <= sys.float_info.max
    return is_past, 0 if is_past else len(str(number))


def _points(test: ContentFilter) -> Iterator[int | float]:
    """Give the numbers at which what a filter says may change."""
    if isinstance(test, Numeric):
        yield from (bound for _, bound in test.bounds)
    elif isinstance(test, Literal) and test.kind == "number":
        yield test.value  # type: ignore[misc]  # which is a number by its kind
    elif isinstance(test, AnythingBut):
        yield from (value for value in test.values if not isinstance(value, str))  # type: ignore[misc]


def _between(low: float, high: float) -> Iterator[int | float]:
    """Give the simplest number between two, if there is any: an integer of any size, or a double."""
    if low < 0 < high:
        yield 0
    elif low < 0:
        yield from (-number for number in _between(-high, -low))
    elif low < high and math.floor(low) + 1 < high:
        yield as_read(math.floor(low) + 1)
    elif low < high and low < _WHOLE:
        middle = low + (high - low) / 2
        simple = (round(middle, digits) for digits in range(1, 17))
        doubles = (*simple, middle, math.nextafter(low, math.inf))
        yield from [number for number in doubles if low < number < high][:1]


_WHOLE: Final = 2**53  # from here on, all doubles are whole
