"""Why a pattern does or does not match an event, and what would make it match.

An explanation takes each way for the event to match by itself: a *branch*, one choice from every `$or`. Where an event
has arrays of objects, a branch is judged in the elements that come nearest to satisfying it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.patterns._evaluate import Evaluator, Field, Trail
from eventrouter.patterns._nearest import Unusual, Work, nearest_change
from eventrouter.patterns._operators import ContentFilter, Leaf
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._shown import shown
from eventrouter.patterns._tree import AnyOf, Fields

_SHOWN: Final = 3  # values, and branches, that the text of an explanation shows
_SHOWN_TESTS: Final = 10  # of one field
_CELLS: Final = 1_000_000  # of tables for texts (`_alignment`)
_CANDIDATES: Final = 100  # elements of arrays that are looked at for the nearest

Steps: TypeAlias = tuple[Step, ...]


class Found(NamedTuple):
    """A value of an event.

    Attributes:
        steps: The names and indexes that lead to it.
        value: A string, a number, true, false or null.
    """

    steps: Steps
    value: Leaf

    @property
    def place(self) -> str:
        """Where it stands, as JSONPath."""
        return json_path(self.steps)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an event.

    Attributes:
        steps: The names and indexes that lead to what changes.
        value: What to put there; not looked at for a removal.
        kind: `add` (there is nothing yet), `set` or `remove`.
    """

    steps: Steps
    value: Leaf
    kind: str

    def __str__(self) -> str:
        if self.kind == "remove":
            return f"remove {json_path(self.steps)}"
        return f"{self.kind} {json_path(self.steps)} = {shown(self.value)}"


@dataclass(frozen=True, slots=True)
class FieldExplanation:
    """What became of one field of a branch.

    Attributes:
        path: The names that lead to it, joined by dots.
        passed: Whether a value that was found passes a test, or none was found and none was wanted.
        tests: What the field may be: any of these.
        found: The values that were found; none when the field is missing.
        changes: The smallest change of the event that makes the field pass; empty when it does.
        note: What else there is to know, or empty.
    """

    path: str
    passed: bool
    tests: tuple[ContentFilter, ...]
    found: tuple[Found, ...]
    changes: tuple[Change, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        wanted = _or([shown(test.to_data()) for test in self.tests])
        are_many = len(self.found) > 1
        if self.passed:
            return f"+ {self.path}: {_values(self.found)} {'fit' if are_many else 'fits'} {wanted}"
        note = f" ({self.note})" if self.note else ""
        verb = "do not fit" if are_many else "does not fit"
        what = f"{_values(self.found)} {verb}" if self.found else "missing, wanted"
        change = "; " + ", ".join(str(change) for change in self.changes[:_SHOWN]) if self.changes else ""
        more = f" and {len(self.changes) - _SHOWN} more" if len(self.changes) > _SHOWN else ""
        return f"- {self.path}: {what} {wanted}{note}{change}{more}"


@dataclass(frozen=True, slots=True)
class BranchExplanation:
    """What became of one way to match.

    Attributes:
        matched: Whether the event matches in this way.
        choices: JSONPath, in the pattern, of the branch taken from each `$or`.
        fields: Its fields, in the order of their names. All may pass one by one in a branch that is not matched only
            where the note of one says why.
        elements: JSONPath, in the event, of the elements of arrays that came nearest.
    """

    matched: bool
    choices: tuple[str, ...]
    fields: tuple[FieldExplanation, ...]
    elements: tuple[str, ...]

    @property
    def failed(self) -> tuple[FieldExplanation, ...]:
        """The fields that did not pass."""
        return tuple(field for field in self.fields if not field.passed)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What would make all fields pass."""
        return tuple(change for field in self.failed for change in field.changes)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a pattern does or does not match an event; `str()` gives it as text.

    Attributes:
        matched: Whether it matches.
        branches: Each way to match, the nearest first: one, or as many as the branches of all `$or` multiply to.
    """

    matched: bool
    branches: tuple[BranchExplanation, ...]

    @property
    def distance(self) -> int:
        """How many fields fail in the nearest branch."""
        return len(self.branches[0].failed)

    def __str__(self) -> str:
        shown = self.branches[:1] if self.matched else self.branches[:_SHOWN]
        lines = ["match" if self.matched else "no match"]
        for branch in shown:
            where = [f"by {' and '.join(branch.choices)}"] if branch.choices else []
            where += [f"nearest in {', '.join(branch.elements[:_SHOWN])}"] if branch.elements else []
            if where:
                lines.append(f"  {', '.join(where)}:")
            lines += [f"  {field}" for field in sorted(branch.fields, key=lambda field: field.passed)]
        rest = len(self.branches) - len(shown)
        if rest and not self.matched:
            lines.append(f"  ({rest} more {'branch' if rest == 1 else 'branches'} of $or, none nearer)")
        return "\n".join(lines)


def _or(tests: Sequence[str]) -> str:
    more = f" or {len(tests) - _SHOWN_TESTS} more" if len(tests) > _SHOWN_TESTS else ""
    return " or ".join(tests[:_SHOWN_TESTS]) + more


def _values(found: Sequence[Found]) -> str:
    if not found:
        return "missing"
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(shown(item.value) for item in found[:_SHOWN]) + more


def explain(evaluator: Evaluator, document: Fields, event: Mapping[str, Any]) -> Explanation:
    """Explain each branch, and sort them."""
    choices = [tuple(map(json_path, places)) for places in _choices(document, (), ((),))]
    verdicts = evaluator.verdicts(event)
    view = _View(event, evaluator)
    branches = [
        view.explain(rule, chosen, matched=matched)
        for rule, chosen, matched in zip(evaluator.rules, choices, verdicts, strict=True)
    ]
    branches.sort(key=lambda branch: (not branch.matched, len(branch.failed)))
    return Explanation(any(verdicts), tuple(branches))


def _choices(fields: Fields, steps: Steps, chosen: tuple[tuple[Steps, ...], ...]) -> tuple[tuple[Steps, ...], ...]:
    """Name the branches of each sub-rule, in the order in which `expand` gives the sub-rules."""
    for name, node in fields.members:
        here = (*steps, name)
        if isinstance(node, AnyOf):
            chosen = tuple(
                rest
                for index, branch in enumerate(node.branches)
                for rest in _choices(branch, (*here, index), tuple((*some, (*here, index)) for some in chosen))
            )
        elif isinstance(node, Fields):
            chosen = _choices(node, here, chosen)
    return chosen


class _Leaf(NamedTuple):
    value: Leaf
    trail: Trail
    steps: Steps


#: The elements that are settled on: of each array, which.
_Context: TypeAlias = dict[int, int]


def _goes_with(trail: Trail, context: _Context) -> bool:
    return all(context.get(array, element) == element for array, element in trail)


class _View:
    """An event, with the places of its leaves."""

    def __init__(self, event: Mapping[str, Any], evaluator: Evaluator) -> None:
        self._event = event
        self._work = Work(_CELLS)
        self._leaves: dict[str, list[_Leaf]] = {}
        self._arrays: dict[int, Steps] = {}
        self._flatten(evaluator)

    def _flatten(self, evaluator: Evaluator) -> None:
        todo: list[tuple[str | None, Any, Trail, Steps]] = [(None, self._event, (), ())]
        while todo:
            path, value, trail, steps = todo.pop()
            if isinstance(value, Mapping):
                for name, item in reversed(list(value.items())):
                    full = name if path is None else f"{path}.{name}"
                    if full in evaluator.paths or full in evaluator.prefixes:
                        todo.append((full, item, trail, (*steps, name)))
            elif isinstance(value, list | tuple):
                array = len(self._arrays) + 1
                self._arrays[array] = steps
                for index in range(len(value) - 1, -1, -1):
                    item = value[index]
                    is_element = isinstance(item, Mapping | list | tuple)
                    todo.append((path, item, (*trail, (array, index)) if is_element else trail, (*steps, index)))
            elif path in evaluator.paths:
                self._leaves.setdefault(str(path), []).append(_Leaf(value, trail, steps))

    def explain(self, rule: Sequence[Field], choices: tuple[str, ...], *, matched: bool) -> BranchExplanation:
        if matched:
            return BranchExplanation(matched, choices, tuple(map(self._passing, rule)), ())
        context = self._nearest_context(rule)
        elements = {(*self._arrays[array], index) for array, index in context.items()}
        fields = [self._field(field, context, elements) for field in rule]
        if all(field.passed for field in fields):
            # Absence is judged before later fields have settled on an element (11.5): what is absent here was present
            # in another element then.
            fields = [
                self._present_elsewhere(field, told) if field.may_be_absent else told
                for field, told in zip(rule, fields, strict=True)
            ]
        return BranchExplanation(matched, choices, tuple(fields), tuple(sorted(map(json_path, elements))))

    def _passing(self, field: Field) -> FieldExplanation:
        found = [Found(leaf.steps, leaf.value) for leaf in self._leaves.get(field.path, ()) if _passes(leaf, field)]
        return FieldExplanation(field.path, True, field.filters, tuple(found))

    def _field(self, field: Field, context: _Context, elements: set[Steps]) -> FieldExplanation:
        found = [leaf for leaf in self._leaves.get(field.path, ()) if _goes_with(leaf.trail, context)]
        told = tuple(Found(leaf.steps, leaf.value) for leaf in found)
        if any(_passes(leaf, field) for leaf in found) or (field.may_be_absent and not found):
            return FieldExplanation(field.path, True, field.filters, told)
        value = nearest_change(field.filters, found[0].value if found else "", self._work)
        changes: tuple[Change, ...] = ()
        if value is Unusual.REMOVED:
            changes = tuple(Change(leaf.steps, None, "remove") for leaf in found)
        elif not isinstance(value, Unusual):
            where = found[0].steps if found else _where_to_add(self._event, field.path, elements)
            changes = (Change(where, value, "set" if found else "add"),)
        note = "no value fits" if value is Unusual.NONE else ""
        return FieldExplanation(field.path, False, field.filters, told, changes, note)

    def _present_elsewhere(self, field: Field, told: FieldExplanation) -> FieldExplanation:
        leaves = self._leaves.get(field.path, [])
        if told.found or not leaves:
            return told
        return FieldExplanation(
            field.path,
            False,
            field.filters,
            tuple(Found(leaf.steps, leaf.value) for leaf in leaves),
            tuple(Change(leaf.steps, None, "remove") for leaf in leaves),
            "in other elements; fields are tried in the order of their names, so they count",
        )

    def _nearest_context(self, rule: Sequence[Field]) -> _Context:
        """Settle on elements, one array after the other, such that as many fields as possible pass."""
        leaves = [self._leaves.get(field.path, []) for field in rule]
        passing = [
            [leaf.trail for leaf in some if _passes(leaf, field)] for field, some in zip(rule, leaves, strict=True)
        ]
        trails = Counter({leaf.trail: 0 for some in leaves for leaf in some if leaf.trail})
        for some in passing:
            trails.update({trail for trail in some if trail})
        candidates = [trail for trail, _ in trails.most_common()]
        context: _Context = {}
        while True:
            # Once no trail leads further, all that go with the context lie inside it, and so go together.
            candidates = [t for t in candidates if _goes_with(t, context) and any(a not in context for a, _ in t)]
            if not candidates:
                return context
            context = max(
                ({**context, **dict(trail)} for trail in candidates[:_CANDIDATES]),
                key=lambda tried: sum(any(_goes_with(trail, tried) for trail in some) for some in passing),
            )


def _passes(leaf: _Leaf, field: Field) -> bool:
    return any(test.accepts(leaf.value) for test in field.filters)


def _where_to_add(event: Mapping[str, Any], path: str, elements: Iterable[Steps]) -> Steps:
    """Find where a missing field belongs: as deep as the event goes along its path.

    Where a value of another kind is in the way, the rest of the path becomes one name with dots, which means the same
    (3.2).
    """
    names = path.split(".")
    steps: Steps = ()
    current: Any = event
    while isinstance(current, Mapping) and names and isinstance(current.get(names[0]), Mapping | list | tuple):
        inner_steps, inner = _inside(current[names[0]], (*steps, names[0]), elements)
        if not isinstance(inner, Mapping) or len(names) == 1:
            return (*steps, ".".join(names)) if len(names) > 1 else (*steps, names[0])
        steps, current = inner_steps, inner
        names.pop(0)
    if names[0] in current and len(names) > 1:
        return (*steps, ".".join(names))
    return (*steps, *names)


def _inside(value: Any, steps: Steps, elements: Iterable[Steps]) -> tuple[Steps, Any]:
    """Go into arrays: to the element settled on, or the first that is an object."""
    while isinstance(value, list | tuple):
        chosen = [index for index in range(len(value)) if (*steps, index) in elements]
        chosen += [index for index, item in enumerate(value) if isinstance(item, Mapping | list | tuple)]
        if not chosen:
            break
        steps, value = (*steps, chosen[0]), value[chosen[0]]
    return steps, value
