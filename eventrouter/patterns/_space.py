"""Rules of some patterns as boxes: for each field that a rule names, which kinds of values it takes.

An event whose fields have one value at most is a point, and a rule a box of points: then patterns are sets of points,
and to compare them is set algebra. What arrays add to that is a matter of `_consistency`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from eventrouter.patterns._evaluate import Field, in_javas_order, in_order
from eventrouter.patterns._kinds import ABSENT, Kinds, kinds_of
from eventrouter.patterns._operators import ContentFilter, Leaf
from eventrouter.patterns._tree import SubRule
from eventrouter.patterns._work import Work

_T = TypeVar("_T")

#: For each field that a rule names, the kinds of values it takes; no other field matters.
Box: TypeAlias = Mapping[str, int]

#: Fields of the envelope that an event of a bus has always, and that are one string each.
TEXTS: Final = ("version", "id", "detail-type", "source", "account", "time", "region")
MAY_LACK: Final = ("replay-name",)


@dataclass(frozen=True, slots=True)
class Events:
    """Which events are asked about.

    Attributes:
        on_a_bus: Only those with EventBridge's envelope, and no other fields beside it.
        arrays: Also those with arrays of several elements. In others, a field has one value at most.
    """

    on_a_bus: bool = False
    arrays: bool = True

    def group(self, path: str) -> str:
        """Give what may be an array with the field in its elements, or being the field."""
        names = path.split(".", 2)
        return ".".join(names[: 2 if self.on_a_bus and names[0] == "detail" else 1])

    def has_one_value(self, path: str) -> bool:
        """Say whether a field has one value at most, whatever the event."""
        return not self.arrays or (self.on_a_bus and path in (*TEXTS, *MAY_LACK))

    def may_repeat(self, path: str) -> bool:
        """Say whether a field may be in several elements of an array."""
        return self.arrays and (not self.on_a_bus or path.startswith("detail."))

    def universe(self, path: str, kinds: Kinds) -> int:
        """Give all that an event can have in a field."""
        if not self.on_a_bus:
            return kinds.every
        if path in TEXTS:
            return kinds.strings
        if path in (*MAY_LACK, "resources"):
            return kinds.strings | ABSENT
        return kinds.every if path.startswith("detail.") else ABSENT


class Space:
    """All fields of some patterns, with the kinds of their values.

    Attributes:
        events: Which events are asked about.
        boxes: For each pattern, its sub-rules, without those that no event can match.
        rules: For each of the boxes, the sub-rule.
        universe: For each field, all that an event can have in it.
        is_complete: Whether there was enough work left to find all kinds of values.
    """

    def __init__(self, patterns: Sequence[Iterable[SubRule]], events: Events, work: Work) -> None:
        self.events = events
        distinct = [{frozenset(rule.items()): rule for rule in pattern}.values() for pattern in patterns]
        rules = [[in_order(rule) for rule in some] for some in distinct]
        lists: dict[str, dict[tuple[ContentFilter, ...], Field]] = {}
        for fields in (fields for pattern in rules for fields in pattern):
            for field in fields:
                lists.setdefault(field.path, {}).setdefault(field.filters, field)
        self._kinds = {path: kinds_of(tuple(some.values()), work) for path, some in lists.items()}
        self.is_complete = all(kinds.is_complete for kinds in self._kinds.values())
        self.universe = {path: events.universe(path, kinds) for path, kinds in self._kinds.items()}
        accepted = {path: dict(zip(some, self._kinds[path].accepted, strict=True)) for path, some in lists.items()}
        self.boxes: list[list[Box]] = [[] for _ in patterns]
        self.rules: list[list[Mapping[str, tuple[ContentFilter, ...]]]] = [[] for _ in patterns]
        for index, fields in ((index, fields) for index, some in enumerate(rules) for fields in some):
            box = {field.path: accepted[field.path][field.filters] & self.universe[field.path] for field in fields}
            if all(box.values()):
                self.boxes[index].append(box)
                self.rules[index].append({field.path: field.filters for field in fields})
        self._groups = {path: events.group(path) for path in self._kinds}
        self._order = {path: index for index, path in enumerate(sorted(self._kinds, key=in_javas_order))}

    def groups(self, boxes: Iterable[Iterable[str]]) -> list[str]:
        """Give the groups of the fields of some boxes."""
        return sorted({self._groups[path] for box in boxes for path in box})

    def within(self, group: str, box: Mapping[str, _T]) -> dict[str, _T]:
        """Give a box without the fields that are not in a group."""
        return {path: kinds for path, kinds in box.items() if self._groups[path] == group}

    def group(self, path: str) -> str:
        """Give the group of a field: no array has fields of two groups in its elements."""
        return self._groups[path]

    def comes_before(self, path: str, other: str) -> bool:
        """Say whether a field is tried before another one (11.5)."""
        return self._order[path] < self._order[other]

    def known(self, path: str, kinds: int) -> int:
        """Give those of some kinds that are known to exist."""
        return kinds & self._kinds[path].known

    def value(self, path: str, kinds: int) -> Leaf:
        """Give a value of one of some kinds, of which one at least is known to exist."""
        return self._kinds[path].value(kinds)

    def kind(self, path: str, value: Leaf) -> int:
        """Give the kind of a value, 0 if it is none that was found."""
        return self._kinds[path].kind(value)

    def is_known(self, box: Box) -> bool:
        """Say whether the box is known to have a point."""
        return all(self.known(path, kinds) for path, kinds in box.items())

    def point(self, box: Box) -> dict[str, Leaf]:
        """Give the fields of a point of a box, with as few fields as can be."""
        return {path: self.value(path, kinds) for path, kinds in box.items() if not kinds & ABSENT}

    def both(self, first: Box, second: Box) -> dict[str, int] | None:
        """Give what two boxes share."""
        shared = {**first, **second}
        for path in first.keys() & second.keys():
            shared[path] = first[path] & second[path]
            if not shared[path]:
                return None
        return shared

    def lies_within(self, box: Box, outer: Box) -> bool:
        """Say whether a box lies within another one."""
        return all(not box.get(path, self.universe[path]) & ~kinds for path, kinds in outer.items())

    def touches(self, box: Box, other: Box) -> bool:
        """Say whether boxes share a point."""
        return all(box.get(path, kinds) & kinds for path, kinds in other.items())

    def without(self, box: Box, others: Sequence[Box], work: Work) -> Iterator[Box]:
        """Give boxes that together are what lies in a box and in none of some others.

        Raises:
            OutOfWorkError: It takes too long.
        """
        todo: list[tuple[Box, Sequence[Box]]] = [(box, others)]
        while todo:
            piece, left = todo.pop()
            if not work.take(1 + len(left)):
                raise OutOfWorkError
            left = [other for other in left if self.touches(piece, other)]
            if not left:
                yield piece
                continue
            if any(self.lies_within(piece, other) for other in left):
                continue
            # The one that differs in the fewest fields leaves the fewest pieces.
            cut = min(left, key=lambda other: sum(self._sticks_out(piece, path, other[path]) for path in other))
            rest = [other for other in left if other is not cut]
            within = dict(piece)
            for path, kinds in cut.items():
                whole = within.get(path, self.universe[path])
                if whole & ~kinds:
                    todo.append(({**within, path: whole & ~kinds}, rest))
                    within[path] = whole & kinds

    def _sticks_out(self, box: Box, path: str, kinds: int) -> bool:
        return bool(box.get(path, self.universe[path]) & ~kinds)


class OutOfWorkError(Exception):
    """A search took too long."""
