"""Events at the edges of patterns: one test broken, just inside or outside of a bound, in one and not another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from typing import Literal as OneOf

from hypothesis import strategies as st

from eventrouter.errors import NoSuchEventError
from eventrouter.patterns._addresses import Address
from eventrouter.patterns._answers import Unknown
from eventrouter.patterns._kinds import ABSENT
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
from eventrouter.patterns._pattern import Pattern
from eventrouter.patterns._space import Box
from eventrouter.patterns._strings import spellings
from eventrouter.patterns._tree import dumps
from eventrouter.testing._drawing import Pieces
from eventrouter.testing._shapes import Draw


@dataclass(frozen=True)
class NearMiss:
    """An event that does not match for one reason.

    Attributes:
        event: The event, as data.
        path: The field whose test is broken, names joined by dots.
        tests: The alternatives of the field, as JSON, none of which accepts what the event has.
        found: What the event has there; None also if it has nothing.
        is_missing: Whether it has nothing there.
    """

    event: dict[str, Any]
    path: str
    tests: str
    found: Leaf
    is_missing: bool


def near_misses(pattern: Pattern, *, on_a_bus: bool) -> st.SearchStrategy[NearMiss]:
    """Draw events that satisfy all tests of a sub-rule but one, and no other sub-rule."""
    pieces = Pieces([pattern.sub_rules], on_a_bus=on_a_bus)
    [boxes] = pieces.space.boxes
    misses = [
        (path, rule, piece)
        for box, rule in zip(boxes, pieces.space.rules[0], strict=True)
        for path, kinds in box.items()
        if (broken := pieces.space.universe[path] & ~kinds)
        for piece in pieces.of({**box, path: broken}, boxes)
    ]
    if not misses:
        raise NoSuchEventError("no event misses the pattern by one test", proven=not boxes)
    # Chosen by the field first, so that each has its share however many ways there are to miss it.
    paths = list(dict.fromkeys(path for path, _, _ in misses))

    @st.composite
    def drawn(draw: Draw) -> NearMiss:
        chosen = draw(st.sampled_from(paths))
        path, rule, piece = draw(st.sampled_from([miss for miss in misses if miss[0] == chosen]))
        fields = pieces.drawn(draw, piece)
        tests = "[" + ",".join(dumps(test.to_data()) for test in rule[path]) + "]"
        return NearMiss(pieces.event(draw, fields), path, tests, fields.get(path), path not in fields)

    return drawn()


@dataclass(frozen=True)
class Boundary:
    """An event at the edge of a test.

    Attributes:
        event: The event, as data.
        path: The field that is at the edge, names joined by dots.
        test: The test, as JSON.
        value: What the event has there; None also if it has nothing.
        inside: Whether the test accepts that.
        matches: Whether the event matches the pattern: it may for another reason, and it may not.
    """

    event: dict[str, Any]
    path: str
    test: str
    value: Leaf
    inside: bool
    matches: bool


_NOTHING: Final = object()


def boundaries(pattern: Pattern, *, on_a_bus: bool) -> st.SearchStrategy[Boundary]:
    """Draw events that satisfy a sub-rule but for one field, which is just inside or outside of one of its tests."""
    pieces = Pieces([pattern.sub_rules], on_a_bus=on_a_bus)
    space = pieces.space
    edges = [
        (box, path, test, value)
        for box, rule in zip(space.boxes[0], space.rules[0], strict=True)
        for path, filters in rule.items()
        for test in dict.fromkeys(filters)
        for value in dict.fromkeys(_edges(test), None)
        if (ABSENT if value is _NOTHING else space.kind(path, value)) & space.universe[path]
    ]
    if not edges:
        raise NoSuchEventError("no event can match the pattern", proven=True)

    @st.composite
    def drawn(draw: Draw) -> Boundary:
        box, path, test, value = draw(st.sampled_from(edges))
        rest = {other: kinds for other, kinds in box.items() if other != path}
        fields = pieces.drawn(draw, rest)
        if value is not _NOTHING:
            fields[path] = value
        event = pieces.event(draw, fields)
        inside = test == Exists(expected=False) if value is _NOTHING else test.accepts(value)
        told = None if value is _NOTHING else value
        return Boundary(event, path, dumps(test.to_data()), told, inside, pattern.matches(event))

    return drawn()


def _edges(test: ContentFilter) -> Iterator[Any]:  # noqa: C901 - one for each kind
    match test:
        case Literal() | Exactly():
            value = test.value if isinstance(test, Literal) else test.text
            yield value
            yield from _beside(value)
        case Prefix():
            yield test.text
            yield from (f"{test.text}x", test.text[:-1], f"x{test.text}", *_swapped(test.text))
        case Suffix():
            yield test.text
            yield from (f"x{test.text}", test.text[1:], f"{test.text}x", *_swapped(test.text))
        case EqualsIgnoreCase():
            yield from (test.text.lower(), test.text.upper(), *_beside(test.text))
        case Wildcard():
            plain = "".join(test.parts)
            yield from (plain, "x".join(test.parts), *(f"{text}" for text in (f"x{plain}", f"{plain}x", plain[:-1])))
        case Numeric():
            for _, bound in test.bounds:
                yield bound
                yield from _beside(bound)
        case Cidr():
            around = (test.first.value - 1, test.first.value, test.last.value, test.last.value + 1)
            most = 1 << (32 if test.first.family == 4 else 128)  # noqa: PLR2004 - by the family
            yield from (spellings(Address(test.first.family, value))[0] for value in around if 0 <= value < most)
        case AnythingBut():
            for excluded in sorted(test.excluded, key=lambda one: dumps(one.to_data())):
                yield from _edges(excluded)
        case _:
            yield from (_NOTHING, None, "", False, 0)


def _beside(value: Leaf) -> Iterator[Leaf]:
    """Give what is next to a value: the nearest numbers, or texts with one character more, less, or in another case."""
    if isinstance(value, str):
        yield from (f"{value}x", f"x{value}", value[:-1], *_swapped(value))
    elif is_number(value) and isinstance(value, int | float) and abs(value) < _GREATEST:
        yield from (value - 1, value + 1)
        yield from (math.nextafter(value, way) for way in (-math.inf, math.inf))
    else:
        yield from (None, False, True, str(value).lower())


def _swapped(text: str) -> Iterator[str]:
    if text.swapcase() != text:
        yield text.swapcase()


_GREATEST: Final = 1e308  # beside which there are doubles on both sides


@dataclass(frozen=True)
class Distinguishing:
    """An event that matches one of two patterns.

    Attributes:
        event: The event, as data.
        matched_by: Which one: the `first` or the `second`.
    """

    event: dict[str, Any]
    matched_by: OneOf["first", "second"]


def differences(first: Pattern, second: Pattern, *, on_a_bus: bool) -> st.SearchStrategy[Distinguishing]:
    """Draw events that match one of two patterns."""
    pieces = Pieces([first.sub_rules, second.sub_rules], on_a_bus=on_a_bus)
    one, other = pieces.space.boxes
    found: list[tuple[OneOf["first", "second"], list[Box]]] = [
        ("first", [piece for box in one for piece in pieces.of(box, other)]),
        ("second", [piece for box in other for piece in pieces.of(box, one)]),
    ]
    sides = [(name, some) for name, some in found if some]
    if not sides:
        return _only_with_arrays(first, second, on_a_bus=on_a_bus)

    @st.composite
    def drawn(draw: Draw) -> Distinguishing:
        name, some = draw(st.sampled_from(sides))
        return Distinguishing(pieces.event(draw, pieces.drawn(draw, draw(st.sampled_from(some)))), name)

    return drawn()


def _only_with_arrays(first: Pattern, second: Pattern, *, on_a_bus: bool) -> st.SearchStrategy[Distinguishing]:
    answer = first.equivalent(second, on_a_bus=on_a_bus)
    if isinstance(answer, Unknown):
        raise NoSuchEventError(answer.reason, proven=False)
    if answer.witness is None:
        raise NoSuchEventError("the patterns are equivalent", proven=True)
    event = dict(answer.witness)
    return st.just(Distinguishing(event, "first" if first.matches(event) else "second"))
