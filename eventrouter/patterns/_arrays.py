"""The search for values that go together, one for each field of a sub-rule, where events have arrays (5.3, 11.5)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from eventrouter.errors import InvalidEventError
from eventrouter.patterns._recursion import Task, run

_Trail: TypeAlias = tuple[tuple[int, int], ...]  # outermost first: which array, which element
_Arrays: TypeAlias = "dict[int, dict[int, _Node]]"

_FREE_STEPS: Final = 10_000
_STEPS_A_NODE: Final = 10


def are_consistent(fitting: Sequence[Iterable[_Trail]], present: Sequence[Iterable[_Trail] | None]) -> bool:
    """Say whether a value can be found for each field such that no two are in different elements of one array.

    A field that may be absent can do without, if none of its values goes with what the fields before it were given.

    Args:
        fitting: For each field, where values stand that its filters accept.
        present: For each field, where values stand at all, if it may be absent; None if it may not.

    Raises:
        InvalidEventError: The arrays combine in too many ways.
    """
    roots = [_Node() for _ in fitting]
    nodes = sum(root.grow(trails, some or ()) for root, trails, some in zip(roots, fitting, present, strict=True))
    search = _Search([some is not None for some in present], _FREE_STEPS + _STEPS_A_NODE * nodes)
    return run(search.all([_Choice(index, root.fits, root.occurs, root.arrays) for index, root in enumerate(roots)]))


class _Node:
    """What one field has in an element of an array, or outside of all.

    Attributes:
        fits: A value that is accepted stands right here.
        occurs: A value stands right here.
        leads: A value that is accepted stands here, or in an array further inside.
        arrays: What it has in the elements of the arrays in here.
    """

    __slots__ = ("arrays", "fits", "leads", "occurs")

    def __init__(self) -> None:
        self.fits = self.occurs = self.leads = False
        self.arrays: _Arrays = {}

    def grow(self, fitting: Iterable[_Trail], occurring: Iterable[_Trail]) -> int:
        """Put values below this node, and count the nodes on their way."""
        steps = 0
        for trails, fits in ((fitting, True), (occurring, False)):
            for trail in trails:
                node = self
                node.leads |= fits
                for array, element in trail:
                    node = node.arrays.setdefault(array, {}).setdefault(element, _Node())
                    node.leads |= fits
                node.fits |= fits
                node.occurs = True
                steps += len(trail)
        return steps


class _Choice(NamedTuple):
    """What a field can still be given, where some elements have been chosen.

    Attributes:
        field: Its number.
        fits: A value that is accepted stands in the elements that were chosen, or outside of all arrays.
        occurs: A value stands there.
        arrays: What it has in the elements of arrays of which no element was chosen.
    """

    field: int
    fits: bool
    occurs: bool
    arrays: _Arrays

    def within(self, array: int, element: int) -> _Choice:
        """Choose an element of an array."""
        if array not in self.arrays:
            return self
        others = {other: elements for other, elements in self.arrays.items() if other != array}
        node = self.arrays[array].get(element)
        if node is None:
            return self._replace(arrays=others)
        return _Choice(self.field, self.fits or node.fits, self.occurs or node.occurs, {**others, **node.arrays})


class _Search:
    """A search that goes down the arrays, choosing an element of each.

    Fields that have no array in common are a matter of their own, in each element again. So an event in which every
    field has its values in arrays inside one another, as all events without dots in names have, is searched in about as
    many steps as it has elements: what is to be done in an array depends on the fields that are left, and on nothing
    that was chosen elsewhere, and is done once.

    Where the values of a field are in several arrays that lie side by side, all their combinations may count, and to
    find one that does is as hard as to satisfy a Boolean formula: the arrays are its variables, the fields its clauses.
    There the search gives up at a number of steps that grows as the event does.
    """

    def __init__(self, may_be_absent: Sequence[bool], limit: int) -> None:
        self._may_be_absent, self._limit, self.steps = may_be_absent, limit, 0
        self._known: dict[tuple[object, ...], bool] = {}

    def all(self, choices: Iterable[_Choice]) -> Task[bool]:
        """Say whether all fields can be satisfied."""
        groups: dict[int, list[_Choice]] = {}
        for choice in choices:
            if choice.arrays:
                _join(groups, choice)
            elif not choice.fits and (choice.occurs or not self._may_be_absent[choice.field]):
                return False
        for group in {id(group): group for group in groups.values()}.values():
            key = tuple((choice.field, choice.fits, choice.occurs, *choice.arrays) for choice in group)
            if key not in self._known:
                self._known[key] = yield self._group(group)
            if not self._known[key]:
                return False
        return True

    def _group(self, choices: Sequence[_Choice]) -> Task[bool]:
        """Try each field as the first that chooses an element, those before it doing without."""
        for position, choice in enumerate(choices):
            for array, elements in choice.arrays.items():
                for element, node in elements.items():
                    if node.leads and (yield self.all(self._chosen(choices[position:], array, element, node))):
                        return True
            if not choice.fits:
                return False
        return True

    def _chosen(self, choices: Sequence[_Choice], array: int, element: int, node: _Node) -> Iterator[_Choice]:
        self.steps += 1
        if self.steps > self._limit:
            raise InvalidEventError(f"The event's arrays combine in more than {self._limit:,} ways", "MalformedEvent")
        first, *later = choices
        yield _Choice(first.field, node.fits, node.occurs, node.arrays)  # the choice is made for a value in there
        for choice in later:
            yield choice.within(array, element)


def _join(groups: dict[int, list[_Choice]], choice: _Choice) -> None:
    """Put a field, which comes after those that are there, into the group of those that it shares an array with."""
    together = {id(group): group for group in (groups[array] for array in choice.arrays if array in groups)}
    if len(together) == 1:
        [group] = together.values()
    else:
        group = sorted(itertools.chain(*together.values()), key=lambda other: other.field)
        groups.update((array, group) for other in group for array in other.arrays)
    group.append(choice)
    groups.update((array, group) for array in choice.arrays)
