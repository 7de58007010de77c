"""What a rule finds in an event, and the smallest change of the event that makes the rule match."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.patterns._draft import Change, Draft, Steps
from eventrouter.patterns._elements import Elements, Holder, goes_with, lies_in, nearest_elements
from eventrouter.patterns._evaluate import Evaluator, Field, Trail, read_leaf
from eventrouter.patterns._nearest import Unusual, nearest_change, unlikeness
from eventrouter.patterns._operators import Leaf
from eventrouter.patterns._work import Work

#: Values whose likeness to what is wanted is looked at, times tests; cells of tables for texts (`_alignment`).
_LOOKS: Final = 50_000
_CELLS: Final = 1_000_000
#: That a field fails weighs more than how far all fields together are from passing; a pattern has at most 256.
_UNLIKENESS: Final = 1 / 1024
_MISSING: Final = 1 + _UNLIKENESS
_CONTAINERS: Final = (Mapping, list, tuple)


class Placed(NamedTuple):
    """A leaf of an event, with its place."""

    value: Leaf
    trail: Trail
    steps: Steps


#: Leaves of one field, each with what it costs to make it pass: 0 if it does.
_Costed: TypeAlias = list[tuple[Placed, float]]


@dataclass
class Outcome:
    """What became of one field.

    Attributes:
        of: The field.
        found: What it found: the values that pass, or if there are none those that do not.
        passed: Whether it passes.
        value: What it should be instead.
        changes: What has to be changed.
    """

    of: Field
    found: Sequence[Placed]
    passed: bool = True
    value: Leaf | Unusual = None
    changes: list[Change] = field(default_factory=list)


@dataclass
class Repair:
    """What became of a rule.

    Attributes:
        outcomes: Of each field.
        elements: The elements of arrays that it came nearest in.
        changes: What has to be changed, in an order in which it can be.
    """

    outcomes: list[Outcome]
    elements: Elements
    changes: list[Change]


class View:
    """An event, with the places of its leaves."""

    def __init__(self, event: Mapping[str, Any], evaluator: Evaluator) -> None:
        self.event = event
        self._leaves: dict[str, list[Placed]] = {}
        self._arrays: list[tuple[Steps, Sequence[Any]]] = []
        self._holders: list[Holder] = []  # of the arrays
        self._costed: dict[tuple[str, int], _Costed] = {}
        self._looks, self._cells = Work(_LOOKS), Work(_CELLS)
        self._flatten(evaluator)
        self._numbers = {steps: number for number, (steps, _) in enumerate(self._arrays)}

    def _flatten(self, evaluator: Evaluator) -> None:
        todo: list[tuple[str | None, Any, Trail, Steps]] = [(None, self.event, (), ())]
        while todo:
            path, value, trail, steps = todo.pop()
            if isinstance(value, Mapping):
                for name, item in reversed(list(value.items())):
                    full = name if path is None else f"{path}.{name}"
                    if full in evaluator.paths or full in evaluator.prefixes:
                        todo.append((full, item, trail, (*steps, name)))
            elif isinstance(value, list | tuple):
                array = len(self._arrays)
                self._arrays.append((steps, value))
                self._holders.append(trail[-1] if trail else None)
                for index in range(len(value) - 1, -1, -1):
                    item = value[index]
                    inside = (*trail, (array, index)) if _is_element(item) else trail
                    todo.append((path, item, inside, (*steps, index)))
            elif path in evaluator.paths:
                self._leaves.setdefault(str(path), []).append(Placed(read_leaf(value, str(path)), trail, steps))

    def place(self, array: int, element: int) -> Steps:
        """Name an element of an array by its place."""
        return (*self._arrays[array][0], element)

    def passing(self, rule: Sequence[Field]) -> list[Outcome]:
        """Tell what passes, wherever it stands, of a rule that matches."""
        return [Outcome(item, [leaf for leaf, cost in self._leaves_of(item) if not cost]) for item in rule]

    def repair(self, rule: Sequence[Field]) -> Repair:
        """Tell what passes and what does not where a rule comes nearest, and change that."""
        leaves = [self._leaves_of(item) for item in rule]
        first = self._attempt(rule, leaves, 0)
        if not any(item.of.may_be_absent and not item.passed for item in first.outcomes):
            return first
        # Where absence is judged before an element is settled on (11.5), an element without the value gains nothing.
        return min(first, self._attempt(rule, leaves, _MISSING), key=lambda repair: len(repair.changes))

    def _attempt(self, rule: Sequence[Field], leaves: Sequence[_Costed], absent: float) -> Repair:
        missing = [absent if item.may_be_absent else _MISSING for item in rule]
        found = (((leaf.trail, cost) for leaf, cost in some) for some in leaves)
        nearest = nearest_elements(found, missing, self._holders, self._element_without)
        return _Attempt(self, rule, nearest).made(leaves)

    def _leaves_of(self, item: Field) -> _Costed:
        """Give the leaves of a field with what each costs. Branches of `$or` share fields, so each is judged once."""
        key = (item.path, id(item.filters))
        if key not in self._costed:
            leaves = self._leaves.get(item.path, [])
            self._costed[key] = [(leaf, self._cost(item, leaf.value)) for leaf in leaves]
        return self._costed[key]

    def _cost(self, item: Field, value: Leaf) -> float:
        if any(test.accepts(value) for test in item.filters):
            return 0
        return 1 + _UNLIKENESS * (unlikeness(item.filters, value) if self._looks.take(len(item.filters)) else 1)

    def nearest_value(self, item: Field, found: Placed | None) -> Leaf | Unusual:
        """Give what a field should be, where it is something else, or nothing."""
        return nearest_change(item.filters, "" if found is None else found.value, self._cells)

    def _element_without(self, array: int, elements: Container[int]) -> int | None:
        items = enumerate(self._arrays[array][1])
        return next((index for index, item in items if isinstance(item, Mapping) and index not in elements), None)

    def removals(self, draft: Draft, found: Sequence[Placed], path: str) -> Iterator[Steps]:
        """Give what to remove so that all of *found* is gone: arrays that hold nothing else are removed whole."""
        arrays: dict[Steps, list[Placed]] = {}
        for leaf in found:
            depth = len(leaf.steps)
            while isinstance(leaf.steps[depth - 1], int):
                depth -= 1
            arrays.setdefault(leaf.steps[:depth], []).append(leaf)
        inside: dict[Steps, int] = {}
        for leaf in self._leaves[path]:
            for depth in range(len(leaf.steps)):
                inside[leaf.steps[: depth + 1]] = inside.get(leaf.steps[: depth + 1], 0) + 1
        for steps, leaves in arrays.items():
            if inside[steps] == len(leaves) and not _has_objects(draft.at(steps)):
                yield steps
            else:
                yield from (leaf.steps for leaf in leaves)

    def holder(self, draft: Draft, path: str, elements: Elements) -> tuple[Steps, str]:
        """Find the object that a missing field belongs in, as deep as the event goes along its path.

        Where that leads into an array that nothing is settled on in, the first object there is settled on, or if there
        is none, a new element.

        Returns:
            Its place, and the rest of the path.
        """
        steps: Steps = ()
        rest = path
        while True:
            current = draft.at(steps)
            inside = [(head, inner) for head, inner in _heads(rest) if isinstance(current.get(head), _CONTAINERS)]
            ends = [(self._end(current[head], (*steps, head), elements), inner) for head, inner in inside]
            if not ends:
                return steps, rest
            steps, rest = min(ends, key=lambda end: draft.is_new_element(end[0]))
            elements |= dict(self.trail(steps))
            if draft.is_new_element(steps):
                return steps, rest

    def _end(self, value: Any, steps: Steps, elements: Elements) -> Steps:
        """Go into arrays, to an object, or past the end of an array that has none."""
        while not isinstance(value, Mapping):
            array = self._numbers[steps]
            index = elements[array] if array in elements else _first_object(value)
            steps = (*steps, index)
            if index == len(value):
                break
            value = value[index]
        return steps

    def trail(self, steps: Steps) -> Trail:
        """Give the elements of arrays that a place is in."""
        return tuple((self._numbers[steps[:n]], step) for n, step in enumerate(steps) if isinstance(step, int))


class _Attempt:
    """One rule, field after field in the order in which they are tried (11.5), in the elements it comes nearest in."""

    def __init__(self, view: View, rule: Sequence[Field], nearest: Elements) -> None:
        self._view, self._rule, self._nearest = view, rule, nearest
        self._settled: Elements = {}  # on which elements, by the fields so far
        self._draft = Draft(view.event)

    def made(self, leaves: Sequence[_Costed]) -> Repair:
        """Try all fields, given the leaves of each."""
        outcomes = [self._try(number, some) for number, some in enumerate(leaves)]
        for number, outcome in enumerate(outcomes):
            if outcome.value is Unusual.REMOVED:
                for steps in self._view.removals(self._draft, outcome.found, outcome.of.path):
                    self._draft.remove(number, steps)
        changes = self._draft.finish()
        for number, change in changes:
            outcomes[number].changes.append(change)
        return Repair(outcomes, self._settled, [change for _, change in changes])

    def _try(self, number: int, leaves: _Costed) -> Outcome:
        item = self._rule[number]
        inside = [(leaf, cost) for leaf, cost in leaves if lies_in(leaf.trail, self._nearest)]
        passing = [leaf for leaf, cost in inside if not cost]
        if passing:
            # The more is settled, the less there is in which something else has to be absent.
            self._settle(max((leaf.trail for leaf in passing), key=len))
            return Outcome(item, passing)
        present = [leaf for leaf, _ in leaves if goes_with(leaf.trail, self._settled)] if item.may_be_absent else []
        if item.may_be_absent and not present:
            return Outcome(item, ())
        nearest = min(inside, key=lambda item: item[1])[0] if inside else None
        value = self._view.nearest_value(item, nearest)
        if value is Unusual.REMOVED:
            return Outcome(item, present, passed=False, value=value)
        if not isinstance(value, Unusual):
            self._put(number, value, nearest)
        return Outcome(item, [leaf for leaf, _ in inside], passed=False, value=value)

    def _put(self, number: int, value: Leaf, nearest: Placed | None) -> None:
        if nearest is not None:
            self._settle(nearest.trail)
            self._draft.set(number, nearest.steps, value)
            return
        path = self._rule[number].path
        steps, rest = self._view.holder(self._draft, path, self._nearest)
        self._settle(self._view.trail(steps))
        keep = any(other.path.startswith(f"{path}.") for other in self._rule)
        self._draft.add(number, steps, rest, value, keep=keep)

    def _settle(self, trail: Trail) -> None:
        self._settled |= dict(trail)


def _has_objects(value: Any) -> bool:
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, Mapping):
            return True
        todo += [item for item in value if _is_element(item)] if _is_element(value) else []
    return False


def _first_object(array: Sequence[Any]) -> int:
    """Give the index of the first object, or else of an array that may have one inside, or else past the end."""
    first = next((index for index, item in enumerate(array) if isinstance(item, Mapping)), None)
    if first is None:
        first = next((index for index, item in enumerate(array) if item and _is_element(item)), len(array))
    return first


def _is_element(value: Any) -> bool:
    return isinstance(value, _CONTAINERS)


def _heads(path: str) -> Iterator[tuple[str, str]]:
    """Split a path at each of its dots."""
    end = path.find(".")
    while end >= 0:
        yield path[:end], path[end + 1 :]
        end = path.find(".", end + 1)
