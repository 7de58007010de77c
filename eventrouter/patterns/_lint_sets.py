"""What there is to say of the rules of a bus together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from eventrouter.patterns._answers import Answer, Unknown
from eventrouter.patterns._findings import Finding
from eventrouter.patterns._operators import Leaf, Literal
from eventrouter.patterns._pattern import Pattern

_COMPARED: Final = 2_000  # pairs of rules with a target in common; of a longer list, only the first are compared
_SELECTIVE: Final = ("source", "detail-type")


@dataclass(frozen=True, slots=True)
class BusRule:
    """A rule as `lint` compares it with others of its bus.

    Attributes:
        name: Its name.
        pattern: What it matches.
        targets: What it sends to, by how a finding calls it; the values say whether two receive the same.
        place: Where its pattern stands, as JSONPath.
    """

    name: str
    pattern: Pattern
    targets: Mapping[str, Hashable]
    place: str


def rule_set_findings(rules: Sequence[BusRule]) -> Iterator[Finding]:
    """Tell of rules that match the same events as another, and of those whose events a target has twice."""
    left = _COMPARED
    for one, other in combinations(rules, 2):
        shared = [name for name, target in one.targets.items() if other.targets.get(name) == target]
        if one.pattern == other.pattern:
            yield _duplicate(one, other, shared)
        elif shared and left and not _are_apart(one.pattern, other.pattern):
            left -= 1
            yield from _shadowed(one, other, shared)


def _duplicate(one: BusRule, other: BusRule, shared: Sequence[str]) -> Finding:
    message = f"rule {other.name}: it matches the same events as rule {one.name}"
    if shared:
        return Finding(
            "duplicate-rule", "warning", f"{message}, and {_twice(shared)}", other.place, "remove one of them"
        )
    return Finding("duplicate-rule", "note", message, other.place, "one rule can have the targets of both")


def _shadowed(one: BusRule, other: BusRule, shared: Sequence[str]) -> Iterator[Finding]:
    there, back = (_implies(*pair) for pair in ((one, other), (other, one)))
    if there and back:
        yield _duplicate(one, other, shared)
    elif there or back:
        inner, outer = (one, other) if there else (other, one)
        message = f"rule {inner.name}: whatever it matches, rule {outer.name} matches too, and {_twice(shared)}"
        yield Finding("shadowed-rule", "warning", message, inner.place, "remove the target from one of them")


def _implies(one: BusRule, other: BusRule) -> bool:
    answer: Answer | Unknown = one.pattern.implies(other.pattern, on_a_bus=True)
    return isinstance(answer, Answer) and answer.holds


def _twice(shared: Sequence[str]) -> str:
    return f"{', '.join(shared)} receive{'s' * (len(shared) == 1)} them twice"


def _are_apart(one: Pattern, other: Pattern) -> bool:
    """Say whether patterns name different values of a field with one value: most rules do, and need no closer look."""
    pairs = [(_values(one, path), _values(other, path)) for path in _SELECTIVE]
    return any(some and others and some.isdisjoint(others) for some, others in pairs)


def _values(pattern: Pattern, path: str) -> frozenset[Leaf]:
    """Give the texts that a field may be in all sub-rules; empty if it may be others."""
    filters = [test for rule in pattern.sub_rules for test in rule.get(path, (None,))]
    if not all(isinstance(test, Literal) and test.address is None for test in filters):
        return frozenset()
    return frozenset(test.value for test in filters if isinstance(test, Literal))
