"""What there is to say of the alternatives of one field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from eventrouter.patterns._findings import Finding
from eventrouter.patterns._operators import (
    AnythingBut,
    ContentFilter,
    Exactly,
    Exists,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
)
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._wildcard_complexity import LIMIT, complexity

_DOCUMENTED_RANGE: Final = 5.0e9  # of numbers in `numeric` (EventBridge user guide)
_COMPARED: Final = 10_000  # pairs of tests; longer lists are not compared
_TOO_COMPLEX: Final = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard"
    " character"
)


def alternatives_findings(filters: Sequence[ContentFilter], steps: tuple[Step, ...]) -> Iterator[Finding]:
    """Tell of one list of alternatives, and of each of them."""
    texts = [wildcards(test) for test in filters]
    if complexity([some for some in texts if some]) >= LIMIT:
        message = f"EventBridge would refuse it: {_TOO_COMPLEX}"
        hint = "here it is matched in linear time"
        yield Finding("aws-wildcard-complexity", "error", message, json_path(steps), hint)
    yield from _together(filters, json_path(steps))
    for index, test in enumerate(filters):
        place = json_path((*steps, index))
        if isinstance(test, AnythingBut) and not any(isinstance(excluded, Literal) for excluded in test.excluded):
            message = "numbers, true, false and null pass this anything-but of strings"
            yield Finding("anything-but-other-types", "note", message, place)
        if isinstance(test, Numeric):
            yield from _numeric(test, place)


def wildcards(test: ContentFilter) -> list[str]:
    """Give the wildcards of a test."""
    excluded = test.excluded if isinstance(test, AnythingBut) else (test,)
    return sorted(inner.text for inner in excluded if isinstance(inner, Wildcard))


def _numeric(test: Numeric, place: str) -> Iterator[Finding]:
    if any(abs(bound) > _DOCUMENTED_RANGE for _, bound in test.bounds):
        message = "the EventBridge user guide allows numbers from -5.0e9 to 5.0e9 only"
        yield Finding("aws-numeric-range", "note", message, place)


def _together(filters: Sequence[ContentFilter], place: str) -> Iterator[Finding]:
    exclude = [test for test in filters if isinstance(test, AnythingBut)]
    passes = _passes_everything(filters)
    if len(exclude) > 1:
        what = "every value passes" if passes else "only what all of these exclude is excluded"
        message = f"alternatives are ORed, so that {what}"
        yield Finding("two-anything-but", "warning", message, place, "list all values in one anything-but")
    elif passes and Exists(expected=False) in filters:
        message = "it passes with any value and without one"
        yield Finding("passes-everything", "warning", message, place, "leave the field out")
    elif passes:
        hint = 'write {"exists": true} alone if that is meant'
        yield Finding("passes-everything", "warning", "alternatives are ORed, and any value passes these", place, hint)


def _passes_everything(filters: Sequence[ContentFilter]) -> bool:
    """Say whether several alternatives, and no single one that says so by itself, let every value through."""
    tests = list(dict.fromkeys(filters))
    if len(tests) > 1 and Exists(expected=True) in tests:
        return True
    # If everything passes, then all that any one test excludes passes another: so it is enough to look at one.
    exclusions = [test for test in tests if isinstance(test, AnythingBut)]
    least = min(exclusions, key=lambda test: len(test.excluded), default=None)
    if least is None:
        return False
    values = {test for test in tests if isinstance(test, Literal)}
    others = [test for test in tests if test is not least and not (isinstance(test, Literal) and test.address is None)]
    if len(least.excluded) * len(others) > _COMPARED:
        return False
    return all(
        _value(excluded) in values or any(_lets_through(other, excluded) for other in others)
        for excluded in least.excluded
    )


def _value(excluded: ContentFilter) -> ContentFilter:
    return Literal.of(excluded.text) if isinstance(excluded, Exactly) else excluded


def _lets_through(other: ContentFilter, excluded: ContentFilter) -> bool:
    """Say whether a test accepts all that is excluded; in doubt, no."""
    if isinstance(excluded, Exactly | Literal):
        return other.accepts(excluded.text if isinstance(excluded, Exactly) else excluded.value)
    if isinstance(other, AnythingBut):
        return all(_are_apart(excluded, inner) for inner in other.excluded)
    if type(other) is type(excluded) and isinstance(other, Prefix | Suffix) and isinstance(excluded, Prefix | Suffix):
        return other.accepts(excluded.text) and not other.ignores_case
    return other == excluded


def _are_apart(first: ContentFilter, second: ContentFilter) -> bool:
    """Say whether no string passes both; in doubt, no."""
    if isinstance(second, Literal):
        return True
    if isinstance(second, Exactly):
        return not first.accepts(second.text)
    if type(first) is type(second) and isinstance(first, Prefix | Suffix) and isinstance(second, Prefix | Suffix):
        return not first.accepts(second.text) and not second.accepts(first.text)
    return False
