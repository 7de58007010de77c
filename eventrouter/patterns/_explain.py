"""Why a pattern does or does not match an event, and what would make it match.

An explanation takes each way for the event to match by itself: a *branch*, one choice from every `$or`. Where an event
has arrays of objects, a branch is judged in the elements that come nearest to satisfying it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eventrouter.patterns._draft import Change, Steps
from eventrouter.patterns._elements import Elements, goes_with
from eventrouter.patterns._evaluate import Evaluator, Field
from eventrouter.patterns._nearest import Unusual
from eventrouter.patterns._operators import ContentFilter, Leaf
from eventrouter.patterns._places import json_path
from eventrouter.patterns._repair import Outcome, View
from eventrouter.patterns._shown import shown
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields

_SHOWN: Final = 3  # values, and branches, that the text of an explanation shows
_SHOWN_TESTS: Final = 10  # of one field
_ELSEWHERE: Final = "in other elements; fields are tried in the order of their names, so they count"
_IS_OBJECT: Final = "an object is there, and has no value of its own"
_DOTTED: Final = "a name with dots means the same as nesting, and leaves what is in the way"


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
        fields: Its fields, in the order of their names.
        elements: JSONPath, in the event, of the elements of arrays that came nearest.
        changes: What would make it match. In this order: what moves other values in an array comes last.
    """

    matched: bool
    choices: tuple[str, ...]
    fields: tuple[FieldExplanation, ...]
    elements: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def failed(self) -> tuple[FieldExplanation, ...]:
        """The fields that did not pass."""
        return tuple(field for field in self.fields if not field.passed)


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
    view = View(event, evaluator)
    branches = [
        _explained(view, rule, chosen, matched=matched)
        for rule, chosen, matched in zip(evaluator.rules, choices, verdicts, strict=True)
    ]
    branches.sort(key=lambda branch: (not branch.matched, len(branch.failed)))
    return Explanation(any(verdicts), tuple(branches))


def _choices(fields: Fields, steps: Steps, chosen: tuple[tuple[Steps, ...], ...]) -> tuple[tuple[Steps, ...], ...]:
    """Name the branches of each sub-rule, in the order in which `expand` gives the sub-rules."""
    for any_of, here in _ors(fields, steps):
        chosen = tuple(
            rest
            for index, branch in enumerate(any_of.branches)
            for rest in _choices(branch, (*here, index), tuple((*some, (*here, index)) for some in chosen))
        )
    return chosen


def _ors(fields: Fields, steps: Steps) -> Iterator[tuple[AnyOf, Steps]]:
    """Give each `$or` that is not inside another, in the order of the text. A loop, as objects may be nested deeply."""
    todo: list[tuple[Fields | Alternatives | AnyOf, Steps]] = [(fields, steps)]
    while todo:
        node, here = todo.pop()
        if isinstance(node, AnyOf):
            yield node, here
        elif isinstance(node, Fields):
            todo += [(member, (*here, name)) for name, member in reversed(node.members)]


def _explained(view: View, rule: Sequence[Field], choices: tuple[str, ...], *, matched: bool) -> BranchExplanation:
    if matched:
        told = tuple(_told(outcome, {}) for outcome in view.passing(rule))
        return BranchExplanation(matched, choices, told, (), ())
    repair = view.repair(rule)
    fields = tuple(_told(outcome, repair.elements) for outcome in repair.outcomes)
    elements = [json_path(view.place(array, element)) for array, element in repair.elements.items()]
    return BranchExplanation(matched, choices, fields, tuple(sorted(elements)), tuple(repair.changes))


def _told(outcome: Outcome, elements: Elements) -> FieldExplanation:
    found = tuple(Found(leaf.steps, leaf.value) for leaf in outcome.found)
    note = "" if outcome.passed else _note(outcome, elements)
    return FieldExplanation(outcome.of.path, outcome.passed, outcome.of.filters, found, tuple(outcome.changes), note)


def _note(outcome: Outcome, elements: Elements) -> str:
    if outcome.value is Unusual.NONE:
        return "no value fits"
    if outcome.value is Unusual.REMOVED:
        return "" if all(goes_with(leaf.trail, elements) for leaf in outcome.found) else _ELSEWHERE
    [change] = outcome.changes
    if not outcome.found and change.kind == "set":
        return _IS_OBJECT
    return _DOTTED if change.kind == "add" and "." in str(change.steps[-1]) else ""
