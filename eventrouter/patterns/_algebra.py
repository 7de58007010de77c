"""What patterns are to one another: whether an event can match both, or one and not the other, or any at all.

A "no event can" is proven, and a "some event can" is shown by an event. What is neither is unknown: it takes too long,
or has to do with arrays, or with the many ways to write an IP address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from eventrouter.patterns._answers import Answer, Unknown
from eventrouter.patterns._consistency import joined, poisoned, settled, unproven
from eventrouter.patterns._evaluate import Evaluator
from eventrouter.patterns._space import Box, Events, OutOfWorkError, Space
from eventrouter.patterns._tree import SubRule
from eventrouter.patterns._witness import event_of
from eventrouter.patterns._work import Work

_Rules: TypeAlias = Sequence[SubRule]
#: What searches may take, in looks: at a filter of a string, and at a pair of sub-rules. Half a second at most.
_STRING_LOOKS: Final = 200_000
_BOX_LOOKS: Final = 200_000
_ATTEMPTS: Final = 100  # events with arrays that are tried

_TOO_LONG: Final = "it takes too long to find out"
_ADDRESSES: Final = "it depends on whether an IP address can be written in some way"
_ARRAYS: Final = "it depends on fields that are absent from some elements of an array"


def is_empty(rules: _Rules, events: Events) -> Answer | Unknown:
    """Say whether no event matches."""
    space = Space([rules], events, Work(_STRING_LOOKS))
    [boxes] = space.boxes
    if boxes:  # of one pattern, each has a point that is known: only of several it may not be known how they meet
        return Answer(False, _flat(space, boxes[0]))
    return _proven(space, are_known=True)


def overlaps(first: _Rules, second: _Rules, events: Events) -> Answer | Unknown:
    """Say whether there is an event that matches both."""
    space, work = Space([first, second], events, Work(_STRING_LOOKS)), Work(_BOX_LOOKS)
    pairs = [(one, other) for one in space.boxes[0] for other in space.boxes[1] if work.take(1)]
    are_known = True
    for one, other in pairs:
        shared = space.both(one, other)
        if shared is not None:
            if space.is_known(shared):
                return Answer(True, _flat(space, shared))
            are_known = False
    for one, other in pairs if events.arrays else ():
        boxes = settled(space, one, other)
        if boxes is not None:
            groups = joined(space, boxes)
            if groups is not None:
                return Answer(True, event_of(groups, on_a_bus=events.on_a_bus))
            are_known = False
    if not work.take(0):
        return Unknown(_TOO_LONG)
    answer = _proven(space, are_known=are_known)
    return Answer(False) if isinstance(answer, Answer) else answer


def implies(first: _Rules, second: _Rules, events: Events) -> Answer | Unknown:
    """Say whether every event that matches the first matches the second."""
    space, work = Space([first, second], events, Work(_STRING_LOOKS)), Work(_BOX_LOOKS)
    return _implies(space, space.boxes, (first, second), work)


def equivalent(first: _Rules, second: _Rules, events: Events) -> Answer | Unknown:
    """Say whether the same events match."""
    space, work = Space([first, second], events, Work(_STRING_LOOKS)), Work(_BOX_LOOKS)
    there = _implies(space, space.boxes, (first, second), work)
    if isinstance(there, Answer) and not there:
        return there
    back = _implies(space, space.boxes[::-1], (second, first), work)
    return there if isinstance(back, Answer) and back else back


def _implies(space: Space, boxes: Sequence[Sequence[Box]], rules: Sequence[_Rules], work: Work) -> Answer | Unknown:
    are_known = True
    try:
        for box in boxes[0]:
            for piece in space.without(box, boxes[1], work):
                if space.is_known(piece):
                    return Answer(False, _flat(space, piece))
                are_known = False
        answer = _proven(space, are_known=are_known)
        if isinstance(answer, Unknown) or not space.events.arrays:
            return answer
        pieces = [piece for box in boxes[0] for piece in unproven(space, box, boxes[1], work)]
    except OutOfWorkError:
        return Unknown(_TOO_LONG)
    if not pieces:
        return answer
    first, second = map(Evaluator, rules)
    for event in islice(_with_arrays(space, pieces, boxes[1]), _ATTEMPTS):
        if first.matches(event) and not second.matches(event):
            return Answer(False, event)
    return Unknown(_ARRAYS)


def _with_arrays(space: Space, pieces: Iterable[Box], others: Sequence[Box]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        for groups in poisoned(space, piece, others):
            yield event_of(groups, on_a_bus=space.events.on_a_bus)


def _proven(space: Space, *, are_known: bool) -> Answer | Unknown:
    """Give the answer that holds where no event was found, if all was looked at."""
    if not space.is_complete:
        return Unknown(_TOO_LONG)
    return Answer(True) if are_known else Unknown(_ADDRESSES)


def _flat(space: Space, box: Box) -> Mapping[str, Any]:
    point = space.point(box)
    groups = {group: [space.within(group, point)] for group in space.groups([point])}
    return event_of(groups, on_a_bus=space.events.on_a_bus)
