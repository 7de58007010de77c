"""Events that are in a pattern, or outside of it in one way or another: made so, and not sought for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import pydantic
from hypothesis import strategies as st

from eventrouter.errors import NoSuchEventError
from eventrouter.patterns._evaluate import Field, in_order
from eventrouter.patterns._kinds import ABSENT
from eventrouter.patterns._operators import ContentFilter, Leaf
from eventrouter.patterns._pattern import Pattern
from eventrouter.patterns._space import MAY_LACK, TEXTS, Box, Events, OutOfWorkError, Space
from eventrouter.patterns._tree import SubRule
from eventrouter.patterns._work import Work
from eventrouter.testing._details import Wanted, details
from eventrouter.testing._shapes import Draw, Shape
from eventrouter.testing._values import Values, accepted, leaves

_LOOKS: Final = 200_000  # at filters of strings, and at pairs of sub-rules
_PIECES: Final = 64  # of what is to be drawn from


@dataclass(frozen=True)
class _Choice:
    """A field of a sub-rule: what it may be, and whether it may be absent."""

    path: str
    filters: tuple[ContentFilter, ...]
    values: Values
    may_be_absent: bool

    @property
    def is_possible(self) -> bool:
        return self.may_be_absent or not self.values.is_empty


def _choice(field: Field, *, on_a_bus: bool) -> _Choice:
    name = field.path.partition(".")[0]
    values, may_be_absent = accepted(field.filters), field.may_be_absent
    if on_a_bus and name != "detail":
        is_known = field.path in (*TEXTS, *MAY_LACK, "resources")
        values = accepted(field.filters, only_texts=True) if is_known else st.nothing()
        may_be_absent = may_be_absent and field.path not in TEXTS
    elif on_a_bus and field.path == "detail":
        values = st.nothing()
    return _Choice(field.path, field.filters, values, may_be_absent)


def matching_events(
    pattern: Pattern, *, on_a_bus: bool, arrays: bool, model: type[pydantic.BaseModel] | None
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events that match."""
    rules = [[_choice(field, on_a_bus=on_a_bus) for field in in_order(rule)] for rule in pattern.sub_rules]
    possible = [rule for rule in rules if all(choice.is_possible for choice in rule)]
    if not possible:
        raise NoSuchEventError("no event can match the pattern", proven=True)
    if model is not None:
        return st.one_of([_typed(rule, on_a_bus=on_a_bus, model=model) for rule in possible])

    @st.composite
    def events(draw: Draw) -> dict[str, Any]:
        fields, absent = _drawn(draw, draw(st.sampled_from(possible)))
        return Shape(fields, absent, on_a_bus=on_a_bus, arrays=arrays).event(draw)

    return events()


def no_detail(model: type[pydantic.BaseModel] | None) -> NoSuchEventError:
    """Tell that no detail of a model can match."""
    name = "any model" if model is None else model.__name__
    return NoSuchEventError(f"no detail of {name} was found that can match the pattern", proven=False)


def _drawn(draw: Draw, rule: Sequence[_Choice]) -> tuple[dict[str, Leaf], dict[str, set[str]]]:
    """Draw the fields of a sub-rule in the order in which they are tried, and where other elements may have more."""
    fields: dict[str, Leaf] = {}
    absent: dict[str, set[str]] = {}
    for choice in rule:
        if choice.values.is_empty or (choice.may_be_absent and draw(st.booleans())):
            # What was given before stands in the element that is asked about (11.5); others may have the field.
            absent[choice.path] = {prefix for path in fields for prefix in _prefixes(path)}
        else:
            fields[choice.path] = draw(choice.values)
    return fields, absent


def _prefixes(path: str) -> Iterator[str]:
    names = path.split(".")
    yield from (".".join(names[:length]) for length in range(1, len(names)))


def _typed(
    rule: Sequence[_Choice], *, on_a_bus: bool, model: type[pydantic.BaseModel]
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events whose detail is one of a model."""
    begin = "detail."
    wanted = {
        choice.path.removeprefix(begin): Wanted(choice.filters, choice.values, may_be_absent=choice.may_be_absent)
        for choice in rule
        if choice.path.startswith(begin)
    }
    others = [choice for choice in rule if not choice.path.startswith(begin)]
    typed = details(model, wanted)

    @st.composite
    def events(draw: Draw) -> dict[str, Any]:
        detail = draw(typed)
        fields, absent = _drawn(draw, others)
        shape = Shape({**fields, "detail": detail}, absent, on_a_bus=on_a_bus)
        return shape.event(draw)

    return st.nothing() if typed.is_empty else events()


class Pieces:
    """Some boxes of points to draw events from, of fields that have one value at most."""

    def __init__(self, rules: Sequence[Iterable[SubRule]], *, on_a_bus: bool) -> None:
        self.space = Space(rules, Events(on_a_bus, arrays=False), Work(_LOOKS))
        self._work = Work(_LOOKS)
        self._on_a_bus = on_a_bus
        hints: dict[str, list[ContentFilter]] = {}
        for rule in (rule for some in rules for rule in some):
            for path, filters in rule.items():
                hints.setdefault(path, []).extend(filters)
        self._hints = {path: accepted(dict.fromkeys(filters)) | leaves for path, filters in hints.items()}

    def of(self, box: Box, others: Sequence[Box]) -> list[Box]:
        """Give what is known to lie in a box and in none of the others, or as much of it as is found."""
        found: list[Box] = []
        # Not a list at once: what was found before the work was used up is good.
        with suppress(OutOfWorkError):
            found.extend(islice(filter(self.space.is_known, self.space.without(box, others, self._work)), _PIECES))
        return found

    def drawn(self, draw: Draw, piece: Box) -> dict[str, Leaf]:
        """Draw a point of a piece."""
        fields: dict[str, Leaf] = {}
        for path, kinds in piece.items():
            known = self.space.known(path, kinds)
            kind = draw(st.sampled_from(list(_bits(known))))
            if kind != ABSENT:
                value = draw(self._hints[path])
                fields[path] = value if self.space.kind(path, value) & known else self.space.value(path, kind)
        return fields

    def event(self, draw: Draw, fields: Mapping[str, Leaf]) -> dict[str, Any]:
        """Draw an event that has these fields of the patterns and no others."""
        shape = Shape(fields, {}, untouched=self._hints, on_a_bus=self._on_a_bus, arrays=False)
        return shape.event(draw)


def _bits(kinds: int) -> Iterator[int]:
    while kinds:
        yield kinds & -kinds
        kinds &= kinds - 1
