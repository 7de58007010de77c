"""What there is to say of the fields of a rule together: what no event can match, and what arrays do to it."""

from __future__ import annotations

import difflib
import heapq
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from eventrouter.patterns._evaluate import in_javas_order
from eventrouter.patterns._findings import Finding, Severity
from eventrouter.patterns._operators import ContentFilter, Exists, Literal, Numeric, is_number
from eventrouter.patterns._pattern import Pattern
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._shown import shown
from eventrouter.patterns._tree import SubRule

#: The names of an event's envelope. All but `detail` and `resources` are strings; `resources` is an array of strings.
_ENVELOPE: Final = (
    "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name",
)  # fmt: skip
_ABSENT: Final = Exists(expected=False)


class Places:
    """Where the alternatives of the fields of sub-rules stand in the pattern."""

    def __init__(self, steps: Mapping[int, tuple[Step, ...]]) -> None:
        self._steps = steps  # by the identity of the alternatives: one path may come in several branches

    def of(self, filters: Sequence[ContentFilter]) -> str:
        """Give the place as JSONPath."""
        return json_path(self._steps[id(filters)])


class _Reason(NamedTuple):
    """Why no event can satisfy a field."""

    filters: tuple[ContentFilter, ...]
    message: str
    hint: str = ""


def rules_findings(pattern: Pattern, places: Places, *, on_a_bus: bool | None) -> Iterator[Finding]:
    """Tell of the sub-rules of a pattern."""
    names = {path.partition(".")[0] for rule in pattern.sub_rules for path in rule}
    hopeless = [list(_impossible(rule, on_a_bus=on_a_bus)) for rule in pattern.sub_rules]
    yield from _hopeless(hopeless, places, "event")
    if on_a_bus is None and any(_is_of_the_envelope(name) for name in names):
        elsewhere = [list(_outside_the_envelope(rule)) for rule in pattern.sub_rules]
        yield from _hopeless(elsewhere, places, "event of a bus", "note")
    for rule in pattern.sub_rules:
        yield from _array_findings(rule, places)


def _hopeless(
    branches: Sequence[Sequence[_Reason]], places: Places, what: str, severity: Severity | None = None
) -> Iterator[Finding]:
    all_are = all(branches)
    message = f"no {what} can match" if all_are else f"no {what} can match this branch of $or"
    for reason in dict.fromkeys(reason for reasons in branches for reason in reasons):
        yield Finding(
            "never-matches",
            severity or ("error" if all_are else "warning"),
            f"{message}: {reason.message}",
            places.of(reason.filters),
            reason.hint,
        )


def _impossible(rule: SubRule, *, on_a_bus: bool | None) -> Iterator[_Reason]:
    for filters in rule.values():
        if all(_is_empty(test) for test in filters):
            yield _Reason(filters, f"no number satisfies {shown(filters[0].to_data())}")
    if on_a_bus:
        yield from _outside_the_envelope(rule)


def _is_empty(test: ContentFilter) -> bool:
    """Say whether nothing is past the greatest double (7.7), or between two bounds, as neighbouring numbers leave."""
    if not isinstance(test, Numeric):
        return False
    if len(test.bounds) == 1:
        return test.bounds[0] in ((">", sys.float_info.max), ("<", -sys.float_info.max))
    (lower, low), (upper, high) = test.bounds
    is_open = lower == ">" and upper == "<"
    return is_open and math.nextafter(low, math.inf) >= high and math.floor(low) + 1 >= high


def _is_of_the_envelope(name: str) -> bool:
    return name in _ENVELOPE or bool(_like(name))


def _like(name: str) -> list[str]:
    return difflib.get_close_matches(name, _ENVELOPE, 1, 0.7)


def _outside_the_envelope(rule: SubRule) -> Iterator[_Reason]:
    for path, filters in rule.items():
        reason = None if _ABSENT in filters else _against_the_envelope(path, filters)
        if reason is not None:
            yield _Reason(filters, *reason)


def _against_the_envelope(path: str, filters: Sequence[ContentFilter]) -> tuple[str, str] | None:
    name, _, rest = path.partition(".")
    if name not in _ENVELOPE:
        nearest = _like(name)
        return f"events have no field {name}", f'did you mean "{nearest[0]}"?' if nearest else "is it in detail?"
    if name == "detail":
        return None if rest else ("detail is an object", "name one of its fields")
    if rest:
        return f"{name} is no object", ""
    if any(_may_be_a_string(test) for test in filters):
        return None
    [first, *_] = filters
    hint = f'write "{shown(first.value)}"' if isinstance(first, Literal) and is_number(first.value) else ""
    return f"{name} is a string", hint


def _may_be_a_string(test: ContentFilter) -> bool:
    return not isinstance(test, Numeric) and not (isinstance(test, Literal) and test.kind != "string")


def _array_findings(rule: SubRule, places: Places) -> Iterator[Finding]:
    absent = [path for path, filters in rule.items() if _ABSENT in filters]
    present = rule.keys() - absent
    for path, filters in rule.items():
        outer = next((prefix for prefix in _prefixes(path) if prefix in present), None) if path in present else None
        if outer is not None:
            message = (
                f"{outer} has to be a value, and {path} a value inside it:"
                " an event can have both only in an array, or by a name with a dot"
            )
            yield Finding("needs-array", "warning", message, places.of(filters))
    yield from _absence_findings(rule, sorted(absent), places)


def _prefixes(path: str) -> Iterator[str]:
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


def _absence_findings(rule: SubRule, absent: Sequence[str], places: Places) -> Iterator[Finding]:
    """Tell of fields that may be absent where there are others that could be in the same element of an array."""
    beside: dict[str, list[str]] = {}
    for path in rule if absent else ():
        beside.setdefault(_element(path), []).append(path)
    first = {element: heapq.nsmallest(2, paths, in_javas_order) for element, paths in beside.items() if element}
    for path in absent:
        others = [other for other in first.get(_element(path), []) if other != path]
        if others:
            message = _about_absence(path, others[0])
            yield Finding("exists-false-in-array", "warning", message, places.of(rule[path]))


def _element(path: str) -> str:
    """Give what may be an array with the field in its elements: the envelope's detail is never one."""
    names = path.split(".", 2)
    depth = 2 if names[0] == "detail" else 1
    return ".".join(names[:depth]) if len(names) > depth else ""


def _about_absence(path: str, first: str) -> str:
    if in_javas_order(first) < in_javas_order(path):
        return f"in an array, {path} has to be absent from the element that {first} is in"
    return f"in an array, {path} has to be absent from every element, as its name comes before {first}"
