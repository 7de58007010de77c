"""The tree of rules: which can match is looked up field by field, what is left is checked.

A rule here is one way for an event to match: some fields, each with its alternatives, and the key it stands for. A node
takes each rule by its most selective field, its *access*; the rest of the rule waits in the bucket of that field's
test. A small bucket checks its rules one by one, a large one becomes a node again. Rules with equal tests share the
bucket, so a test is made once for all of them. The cost of an event follows the buckets it comes to, not the rules
there are.

Readers may be at work during a change, and need nothing of the change itself but all of what it does not concern. So
what they iterate over is replaced rather than changed, unless something is only appended; and where it is moved, it is
in its new place first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from eventrouter.matching._bags import Bag, with_item, without_item
from eventrouter.matching._checks import ABSENT, Check, Fields, Filters, Many, make_check
from eventrouter.matching._complement import Complement
from eventrouter.matching._values import ValueIndex, make_find
from eventrouter.patterns import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
)

K = TypeVar("K")

_CROWD: Final = 8  # rules that a bucket checks one by one
_LITERALS: Final = 8  # alternatives that get a bucket each; more share one
_FEW: Final = 16  # fields that are all looked at

#: Tests that share a bucket: one test, or several alternatives.
_Group: TypeAlias = ContentFilter | frozenset[ContentFilter]

_PRESENT: Final = Exists(expected=True)
_MISSING: Final = Exists(expected=False)


#: What is left of a rule: its check and the constants of that, its key, and the same as data.
_Waiting: TypeAlias = tuple[Check, tuple[Any, ...], K, Fields]


class Bucket(Generic[K]):
    """What the tests of one field lead to.

    Attributes:
        done: Keys of which nothing is left to check.
        rest: What is left of the others: a few checks, each with its key, or a node.
    """

    __slots__ = ("done", "rest")

    def __init__(self) -> None:
        self.done: Bag[K] = ()
        self.rest: tuple[_Waiting[K], ...] | Node[K] = ()

    def __bool__(self) -> bool:
        return bool(self.done) or bool(self.rest)

    def __len__(self) -> int:
        return len(self.done) + (_CROWD * 100 if isinstance(self.rest, Node) else len(self.rest))

    def add(self, fields: Fields, key: K) -> None:
        """Add a rule's remaining fields."""
        if not fields:
            self.done = with_item(self.done, key)
        elif isinstance(self.rest, Node):
            self.rest.add(fields, key)
        elif len(self.rest) < _CROWD:
            self.rest = (*self.rest, (*make_check(fields), key, fields))
        else:
            node: Node[K] = Node()
            for _, _, other, waiting in self.rest:
                node.add(waiting, other)
            node.add(fields, key)
            self.rest = node

    def purge(self, fields: Fields, key: K) -> None:
        """Take away all rules of a key that may have come here with these remaining fields."""
        self.done = without_item(self.done, key)
        if isinstance(self.rest, Node):
            self.rest.purge(fields, key)
            if not self.rest:
                self.rest = ()
        elif self.rest:
            self.rest = tuple(waiting for waiting in self.rest if waiting[2] != key)

    def run(self, values: Any, keys: list[K]) -> None:
        """Add the keys of the rules whose remaining fields fit."""
        rest = self.rest
        if isinstance(rest, Node):
            rest.match(values, keys)
            return
        for check, constants, key, _ in rest:
            if check(values, constants):
                keys.append(key)

    def run_many(self, many: Many, keys: list[K]) -> None:
        """Do what `run` does, where fields may have several values."""
        rest = self.rest
        if isinstance(rest, Node):
            rest.match_many(many, keys)
            return
        for check, constants, key, _ in rest:
            if check.several(many, constants):
                keys.append(key)


class FieldIndex(Generic[K]):
    """The buckets of one field.

    Attributes:
        values: Those that a value is looked up in.
        find: Looks a value up in them.
        present: Those of any value.
        absent: Those of no value.
        complement: Those of all values but some, and keys that need no bucket.
        kinds: Which of these three there are.
        version: Rises when code that was made for the look-ups has to be made anew.
    """

    __slots__ = ("absent", "buckets", "complement", "find", "kinds", "present", "values", "version")

    def __init__(self) -> None:
        self.buckets: dict[_Group, Bucket[K]] = {}
        self.values: ValueIndex[Bucket[K]] = ValueIndex()
        self.find: Callable[[Any, type, list[Bucket[K]]], None] = make_find(self.values)
        self.present: dict[Bucket[K], None] = {}
        self.absent: dict[Bucket[K], None] = {}
        self.complement: Complement[K, Bucket[K]] | None = None  # as most fields have none, and it takes room
        self.kinds = 0
        self.version = 0

    def __bool__(self) -> bool:
        return bool(self.buckets) or bool(self.complement)

    def crowd(self, filters: Filters) -> int:
        """Count the rules that share a bucket with a rule of these tests, in the fullest."""
        if len(filters) == 1:
            return len(self.buckets.get(filters[0], ()))
        return max(len(self.buckets.get(group, ())) for group in _groups(filters))

    def add(self, filters: Filters, rest: Fields, key: K) -> None:
        """Add a rule by its tests of this field."""
        for group in _groups(filters):
            if type(group) is AnythingBut and not rest:
                self._complement().add_key(group, key)
                self._renew(is_new=False)
                continue
            bucket = self.buckets.get(group)
            if bucket is None:
                bucket = self.buckets[group] = Bucket()
                self._enter(group, bucket)
            bucket.add(rest, key)

    def purge(self, filters: Filters, rest: Fields, key: K) -> None:
        """Take away all rules of a key that may have been added with these tests."""
        for group in _groups(filters):
            if type(group) is AnythingBut and not rest:
                self._complement().purge_key(group, key)
                self._renew(is_new=False)
                continue
            bucket = self.buckets.get(group)
            if bucket is not None:
                bucket.purge(rest, key)
                if not bucket:
                    del self.buckets[group]
                    self._leave(group, bucket)

    def look_up(self, value: Any, keys: list[K], buckets: list[Bucket[K]]) -> None:
        """Add what one value, or `ABSENT`, leads to."""
        kind = type(value)
        self.find(value, kind, buckets)
        if self.kinds:
            if value is ABSENT:
                buckets += self.absent
                return
            buckets += self.present
            if self.complement:
                self.complement.look_up((value,), keys, buckets)

    def look_up_many(self, values: Sequence[Any], keys: list[K], buckets: list[Bucket[K]]) -> None:
        """Add what several values lead to."""
        for value in values:
            self.find(value, type(value), buckets)
        buckets += self.present
        if self.complement:
            self.complement.look_up(values, keys, buckets)

    def _renew(self, *, is_new: bool) -> None:
        if is_new:
            self.find = make_find(self.values)
        kinds = bool(self.present) + 2 * bool(self.absent) + 4 * bool(self.complement)
        if is_new or kinds != self.kinds:
            self.kinds = kinds
            self.version += 1

    def _complement(self) -> Complement[K, Bucket[K]]:
        if self.complement is None:
            self.complement = Complement()
        return self.complement

    def _enter(self, group: _Group, bucket: Bucket[K]) -> None:
        is_new = False
        for test in _tests(group):
            if test == _PRESENT:
                self.present[bucket] = None
            elif test == _MISSING:
                self.absent[bucket] = None
            elif type(test) is AnythingBut:
                self._complement().add_bucket(test, bucket)
            else:
                is_new |= self.values.add(test, bucket)
        self._renew(is_new=is_new)

    def _leave(self, group: _Group, bucket: Bucket[K]) -> None:
        is_new = False
        for test in _tests(group):
            if test == _PRESENT:
                del self.present[bucket]
            elif test == _MISSING:
                del self.absent[bucket]
            elif type(test) is AnythingBut:
                self._complement().discard_bucket(test, bucket)
            else:
                is_new |= self.values.discard(test, bucket)
        self._renew(is_new=is_new)


def _groups(filters: Filters) -> Iterable[_Group]:
    """Give what gets a bucket of its own: each of a few literals, else all tests together."""
    if len(filters) == 1 or (len(filters) <= _LITERALS and all(map(_is_literal, filters))):
        return filters
    return (frozenset(filters),)


def _tests(group: _Group) -> Iterable[ContentFilter]:
    return group if isinstance(group, frozenset) else (group,)


def _is_literal(test: ContentFilter) -> bool:
    return type(test) in (Literal, Exactly)


class Node(Generic[K]):
    """Rules by their access.

    Attributes:
        fields: The index of each field that is the access of some rule, by slot.
        optional: Those of them that may be absent.
    """

    __slots__ = ("fields", "optional")

    def __init__(self) -> None:
        self.fields: dict[int, FieldIndex[K]] = {}
        self.optional: dict[int, FieldIndex[K]] = {}

    def __bool__(self) -> bool:
        return bool(self.fields)

    def add(self, fields: Fields, key: K) -> bool:
        """Add a rule, and say whether code that was made for the look-ups has to be made anew."""
        chosen = min(range(len(fields)), key=lambda number: self._cost(*fields[number])) if len(fields) > 1 else 0
        slot, filters = fields[chosen]
        index = self.fields.get(slot)
        is_new = index is None
        if index is None:
            index = FieldIndex()
        before = index.version
        index.add(filters, fields[:chosen] + fields[chosen + 1 :], key)
        if is_new:
            self.fields[slot] = index
        if index.absent:
            self.optional[slot] = index
        return is_new or before != index.version

    def purge(self, fields: Fields, key: K) -> bool:
        """Take away all rules of a key that may have been added with these fields.

        Which of the fields is the access depends on what was there when the rule was added, so each is tried. Gives
        what `add` gives.
        """
        is_changed = False
        for chosen, (slot, filters) in enumerate(fields):
            index = self.fields.get(slot)
            if index is None:
                continue
            before = index.version
            index.purge(filters, fields[:chosen] + fields[chosen + 1 :], key)
            if not index:
                del self.fields[slot]
            if not index.absent:
                self.optional.pop(slot, None)
            is_changed |= before != index.version or not index
        return is_changed

    def _cost(self, slot: int, filters: Filters) -> tuple[int, int, int]:
        """Rank a field as the access of a rule; the least is the most selective.

        Of literals, the field with the most distinct values so far; unless its bucket is crowded and another's is much
        less. So rules that share one field's values spread over another's.
        """
        rank = _rank(filters[0]) if len(filters) == 1 else max(map(_rank, filters))
        index = self.fields.get(slot)
        if index is None:
            return rank, 0, 0
        crowd = index.crowd(filters)
        return rank, max(0, crowd.bit_length() - 3) // 2, -len(index.buckets)

    def match(self, values: Any, keys: list[K]) -> None:
        """Add the keys of the rules that fit; no field has several values."""
        buckets: list[Bucket[K]] = []
        for slot, index in self._visited(values):
            index.look_up(values[slot], keys, buckets)
        for bucket in buckets:
            keys += bucket.done
            if bucket.rest:
                bucket.run(values, keys)

    def match_many(self, many: Many, keys: list[K]) -> None:
        """Do what `match` does, where fields may have several values."""
        buckets: list[Bucket[K]] = []
        for slot, index in self._visited(many.values):
            values = many.values[slot]
            if values is ABSENT or slot in many.uncertain:
                buckets += index.absent
            if values is not ABSENT:
                index.look_up_many(values, keys, buckets)
        for bucket in dict.fromkeys(buckets):
            keys += bucket.done
            if bucket.rest:
                bucket.run_many(many, keys)

    def _visited(self, values: Any) -> Iterable[tuple[int, FieldIndex[K]]]:
        """Give the fields to look at: all, or where they are many those that the event has and those that need not be.

        A tuple, as a change may be under way.
        """
        if len(self.fields) <= _FEW or not isinstance(values, dict):
            return tuple(self.fields.items())
        present = [(slot, index) for slot in values if (index := self.fields.get(slot)) is not None]
        return present + [item for item in tuple(self.optional.items()) if item[0] not in values]


#: How few values pass a test, as far as that can be told from the test alone: the fewer, the lower.
_RANKS: Final[dict[type[ContentFilter], Callable[[Any], int]]] = {
    Literal: lambda _: 0,
    Exactly: lambda _: 0,
    EqualsIgnoreCase: lambda _: 0,
    Cidr: lambda _: 1,
    Prefix: lambda test: 1 if len(test.text) > _SHORT else 3,
    Suffix: lambda test: 1 if len(test.text) > _SHORT else 3,
    Wildcard: lambda test: 2 if len(max(test.parts, key=len)) > _SHORT else 4,
    Numeric: lambda test: 0 if test.bounds[0][0] == "=" else 5 if len(test.bounds) > 1 else 6,
    Exists: lambda test: 7 if test.expected else 9,
    AnythingBut: lambda _: 8,
}
_SHORT: Final = 2  # characters that many values have in common


def _rank(test: ContentFilter) -> int:
    return _RANKS[type(test)](test)
