"""Rules that take anything but: found as all of them, less the few that a value is excluded from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from eventrouter.matching._values import ValueIndex, make_find
from eventrouter.patterns import AnythingBut

K = TypeVar("K")
B = TypeVar("B")

_VACANT_SHARE: Final = 16  # of the keys, one in so many may be vacant before all are written anew
_VACANT_AT_LEAST: Final = 16
_FEW: Final = 4  # gaps that are closed one by one


class _Group:
    """All that one `AnythingBut` leads to.

    Attributes:
        uses: How many keys and buckets that is.
    """

    __slots__ = ("uses",)

    def __init__(self) -> None:
        self.uses = 0


class _Keys(Generic[K]):
    """The keys of all groups in one list, where each stands, and the places that have become vacant."""

    __slots__ = ("keys", "positions", "vacant")

    def __init__(self) -> None:
        self.keys: list[K] = []
        self.positions: dict[_Group, dict[K, int]] = {}
        self.vacant: list[int] = []

    def add(self, group: _Group, key: K) -> bool:
        positions = self.positions.setdefault(group, {})
        if key in positions:
            return False
        position = len(self.keys)
        self.keys.append(key)  # first, so that no reader is told of a place that is not there
        positions[key] = position
        return True

    def without_vacancies(self) -> _Keys[K]:
        copy: _Keys[K] = _Keys()
        for group, positions in self.positions.items():
            for key in positions:
                copy.add(group, key)
        return copy


class Complement(Generic[K, B]):
    """Tests of one field that are `AnythingBut`.

    What they lead to stands in lists that are copied whole, or in slices around what is excluded. So the cost follows
    the exclusions that are hit, and the size of the output at the speed of a copy.
    """

    __slots__ = ("_exclusions", "_find", "_groups", "_keys", "_open")

    def __init__(self) -> None:
        self._exclusions: ValueIndex[_Group] = ValueIndex()
        self._find: Callable[[Any, type, list[_Group]], None] = make_find(self._exclusions)
        self._groups: dict[AnythingBut, _Group] = {}
        self._keys: _Keys[K] = _Keys()
        self._open: dict[tuple[_Group, B], None] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add_key(self, test: AnythingBut, key: K) -> None:
        """Let the test lead to a key."""
        group = self._group(test)
        group.uses += self._keys.add(group, key)

    def purge_key(self, test: AnythingBut, key: K) -> None:
        """Let the test no longer lead to a key, if it does."""
        group = self._groups.get(test)
        position = self._keys.positions.get(group, {}).pop(key, None) if group is not None else None
        if group is None or position is None:
            return
        self._keys.vacant.append(position)
        if len(self._keys.vacant) > _VACANT_AT_LEAST + len(self._keys.keys) // _VACANT_SHARE:
            self._keys = self._keys.without_vacancies()
        self._release(test, group)

    def add_bucket(self, test: AnythingBut, bucket: B) -> None:
        """Let the test lead to a bucket."""
        group = self._group(test)
        group.uses += 1
        self._open[group, bucket] = None

    def discard_bucket(self, test: AnythingBut, bucket: B) -> None:
        """Let the test no longer lead to a bucket."""
        group = self._groups[test]
        del self._open[group, bucket]
        self._release(test, group)

    def look_up(self, values: Sequence[Any], keys: list[K], buckets: list[B]) -> None:
        """Add all keys and buckets whose tests one of the values passes: all but what excludes every one of them."""
        hit: list[_Group] = []
        for number, value in enumerate(values):
            found: list[_Group] = []
            self._find(value, type(value), found)
            hit = found if not number else [*{*hit} & {*found}]
            if not hit:
                break
        own = self._keys
        if not hit and not own.vacant:
            keys += own.keys
        else:
            excluded = own.vacant.copy()
            for group in dict.fromkeys(hit):
                excluded += own.positions.get(group, {}).values()
            _add_without(own.keys, sorted(excluded), keys)
        if self._open:
            buckets += [bucket for group, bucket in tuple(self._open) if group not in hit]

    def _group(self, test: AnythingBut) -> _Group:
        group = self._groups.get(test)
        if group is None:
            group = self._groups[test] = _Group()
            self._rebind([self._exclusions.add(excluded, group) for excluded in test.excluded])
        return group

    def _release(self, test: AnythingBut, group: _Group) -> None:
        group.uses -= 1
        if not group.uses:
            del self._groups[test]
            self._keys.positions.pop(group, None)
            self._rebind([self._exclusions.discard(excluded, group) for excluded in test.excluded])

    def _rebind(self, changes: list[bool]) -> None:
        if any(changes):
            self._find = make_find(self._exclusions)


def _add_without(some: list[K], excluded: list[int], keys: list[K]) -> None:
    """Add a list without some places, which are in order."""
    if len(excluded) <= _FEW:
        # To close a gap in a list costs less than to copy it twice.
        first = len(keys)
        keys += some
        for position in reversed(excluded):
            del keys[first + position]
        return
    start = 0
    for position in excluded:
        keys += some[start:position]
        start = position + 1
    keys += some[start:]
