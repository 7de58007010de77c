"""What arrays add to the algebra of patterns: several values of a field, and fields absent from some elements only.

An array can have fields in its elements that share the first name of their paths, their *group*. A field that a rule
wants absent must be absent altogether, unless the rule has been given a value in an element of such an array before, in
the order of the names (11.5): then another element may have it. That value's field is an *anchor*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from eventrouter.patterns._kinds import ABSENT
from eventrouter.patterns._operators import Leaf
from eventrouter.patterns._space import Box, OutOfWorkError, Space
from eventrouter.patterns._witness import Element
from eventrouter.patterns._work import Work

_POISONS: Final = 4  # values of a field that are tried in another element


def settled(space: Space, first: Box, second: Box) -> tuple[Box, Box] | None:
    """Give what is left of two boxes for an event that is in both; None if there is no such event.

    A field has a value wherever its rule allows one, as that makes for the most anchors, and is without only where the
    other rule leaves no choice.
    """
    boxes = dict(first), dict(second)
    return boxes if _settle(space, boxes) else None


def joined(space: Space, boxes: Sequence[Box]) -> dict[str, list[Element]] | None:
    """Give the groups of fields of an event in two boxes that are settled; None if a field has no value to show."""
    for box in boxes:
        if not all(kinds == ABSENT or space.known(path, kinds) & ~ABSENT for path, kinds in box.items()):
            return None
    return {group: _elements(space, *(space.within(group, box) for box in boxes)) for group in space.groups(boxes)}


def _settle(space: Space, boxes: tuple[dict[str, int], dict[str, int]]) -> bool:
    """Make fields absent, or of one value, that have to be; say whether that leaves something for each."""
    changes = True
    while changes:
        changes = False
        for one, other in (boxes, boxes[::-1]):
            for path in one.keys() & other.keys():
                if space.events.has_one_value(path):
                    kinds = one[path] & other[path]
                elif one[path] == ABSENT and not _is_anchored(space, one, path):
                    kinds = other[path] & ABSENT
                else:
                    continue
                if kinds != other[path]:
                    other[path] = kinds
                    changes = True
                if not kinds:
                    return False
    return True


def _is_anchored(space: Space, box: Box, path: str) -> bool:
    return any(kinds != ABSENT and _is_before(space, anchor, path) for anchor, kinds in box.items())


def _is_before(space: Space, path: str, other: str) -> bool:
    return space.group(path) == space.group(other) and space.comes_before(path, other)


def _elements(space: Space, one: Box, other: Box) -> list[Element]:
    """Give what the fields of a group are: together, or if one is to have what the other lacks, in two elements."""
    if any((one[path] == ABSENT) != (other[path] == ABSENT) for path in one.keys() & other.keys()):
        return [_present(space, one), _present(space, other)]
    together: dict[str, Leaf | list[Leaf]] = {**_present(space, one), **_present(space, other)}
    for path in one.keys() & other.keys() & together.keys():
        shared = space.known(path, one[path] & other[path]) & ~ABSENT
        if shared:
            together[path] = space.value(path, shared)
        else:
            together[path] = [space.value(path, box[path]) for box in (one, other)]
    return [together]


def _present(space: Space, box: Box) -> dict[str, Leaf]:
    return {path: space.value(path, kinds) for path, kinds in box.items() if space.known(path, kinds) & ~ABSENT}


def unproven(space: Space, box: Box, others: Sequence[Box], work: Work) -> Iterator[Box]:
    """Give the parts of a box of which it is not proven that the others have them, whatever the arrays.

    Raises:
        OutOfWorkError: It takes too long.
    """
    # What asks only for values goes on matching whatever else the event has: so it is enough to look at the event that
    # has nothing but the values that the box was given, which is one without arrays.
    single = {path: kinds for path, kinds in space.universe.items() if space.events.has_one_value(path)}
    box = {**single, **box}
    positive = [other for other in others if _is_positive(other) and other.keys() <= box.keys()]
    todo: list[Box] = list(space.without(box, positive, work))
    while todo:
        piece = todo.pop()
        if not work.take(1 + len(others)):
            raise OutOfWorkError
        touching = [other for other in others if space.touches(piece, other)]
        if any(_is_part(space, piece, other) for other in touching):
            continue
        cut = next((cut for other in touching for cut in _cuts(space, piece, other)), None)
        if cut is None:
            yield piece
        else:
            path, kinds = cut
            whole = piece.get(path, space.universe[path])
            todo += ({**piece, path: whole & kinds}, {**piece, path: whole & ~kinds})


def _is_part(space: Space, box: Box, other: Box) -> bool:
    """Say whether every event of a box, with the values that it was given, is one of another; in doubt, no."""
    if not space.lies_within(box, other):
        return False
    if _is_positive(other):
        return True
    return all(_is_absent_too(space, box, other, path) if path in box else _is_free(space, box, path) for path in other)


def _is_positive(box: Box) -> bool:
    return not any(kinds & ABSENT for kinds in box.values())


def _is_absent_too(space: Space, box: Box, other: Box, path: str) -> bool:
    if not box[path] & ABSENT:
        return True
    return all(anchor in other for anchor, kinds in box.items() if kinds != ABSENT and _is_before(space, anchor, path))


def _is_free(space: Space, box: Box, path: str) -> bool:
    """Say whether a field may be given any value that goes with those before it, or none, without harm to the rest."""
    return not any(kinds != ABSENT and _is_before(space, path, later) for later, kinds in box.items())


def _cuts(space: Space, box: Box, other: Box) -> Iterator[tuple[str, int]]:
    """Give fields of another box by which a box can be cut in two, neither of them empty."""
    for path, kinds in other.items():
        whole = box.get(path, space.universe[path])
        if whole & ~kinds and (path in box or _is_free(space, box, path)):
            yield path, kinds


def poisoned(space: Space, box: Box, others: Sequence[Box]) -> Iterator[dict[str, list[Element]]]:
    """Give events of a box that have, in further elements of arrays, fields that the others may want absent."""
    wanted = {path for other in others for path, kinds in other.items() if kinds & ABSENT}
    poisons = {path: list(_poisons(space, path, others)) for path in sorted(wanted) if space.events.may_repeat(path)}
    everywhere = {path: values[0] for path, values in poisons.items() if values}
    single = [{path: value} for path, values in poisons.items() for value in values]
    for base in (_present(space, box), space.point(box)):
        for further in (everywhere, *single):
            groups: dict[str, list[Element]] = {}
            for path, value in base.items():
                groups.setdefault(space.group(path), [{}])[0][path] = value  # type: ignore[index]
            for path, value in further.items():
                groups.setdefault(space.group(path), [{}]).append({path: value})
            yield groups


def _poisons(space: Space, path: str, others: Sequence[Box]) -> Iterator[Leaf]:
    """Give values of a field, those that no box accepts first."""
    kinds = space.known(path, space.universe[path]) & ~ABSENT
    for other in others:
        kinds &= ~other.get(path, 0)
    rest = space.known(path, space.universe[path]) & ~ABSENT & ~kinds
    for _ in range(_POISONS):
        if not kinds:
            kinds, rest = rest, 0
        if kinds:
            yield space.value(path, kinds)
            kinds &= kinds - 1
