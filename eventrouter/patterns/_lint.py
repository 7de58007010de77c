"""What is legal in a pattern, and yet not what its author can want, or not what EventBridge takes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from typing import Literal as OneOf

from eventrouter.errors import PatternComplexityError, PatternError
from eventrouter.patterns._evaluate import in_javas_order
from eventrouter.patterns._operators import (
    AnythingBut,
    ContentFilter,
    Exists,
    Literal,
    Numeric,
    Wildcard,
    is_number,
)
from eventrouter.patterns._pattern import MAXIMUM_COMBINATIONS, Pattern, pattern_text
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields, SubRule, dumps
from eventrouter.patterns._wildcard_complexity import LIMIT, complexity

MAXIMUM_LENGTH: Final = 2_048  # characters (EventBridge quotas; may be raised to 4,096)
_DOCUMENTED_RANGE: Final = 5.0e9  # of numbers in `numeric` (EventBridge user guide)

Severity: TypeAlias = OneOf["error", "warning", "note"]
Steps: TypeAlias = tuple[Step, ...]

#: The names of an event's envelope. All but `detail` and `resources` are strings; `resources` is an array of strings.
_ENVELOPE: Final = (
    "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail", "replay-name",
)  # fmt: skip
_TOO_COMPLEX: Final = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard"
    " character"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at in a pattern.

    Attributes:
        code: What kind of thing, such as `never-matches`; the codes are listed in `CODES`.
        severity: `error`: it is refused here or by EventBridge, or never matches. `warning`: it hardly means what it
            says. `note`: it is worth knowing.
        message: What it is.
        path: JSONPath of the place inside the pattern.
        hint: What to write instead, or empty.
    """

    code: str
    severity: Severity
    message: str
    path: str = "$"
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.severity}: {self.message} at {self.path}{hint} [{self.code}]"


#: Every code, with what it is about.
CODES: Final[Mapping[str, str]] = {
    "invalid": "The pattern is refused, here and by EventBridge.",
    "too-complex": "The pattern is past a limit that protects the process.",
    "aws-length": "EventBridge refuses patterns of more than 2,048 characters.",
    "aws-wildcard-complexity": "EventBridge refuses wildcards that could make its matching slow.",
    "aws-or-combinations": "EventBridge refuses patterns whose $or branches multiply to more than 1,000.",
    "aws-numeric-range": "The EventBridge user guide limits numbers to five billion either side of zero.",
    "aws-wildcard-rules": "EventBridge allows 30 rules with wildcards on a bus.",
    "never-matches": "No event can match.",
    "needs-array": "A field has to be a value and an object at once, as only elements of an array can be.",
    "or-override": "A field stands beside a $or and inside it, and the later one replaces the earlier.",
    "duplicate-key": "A field is written twice, and the later one replaces the earlier.",
    "two-anything-but": "Alternatives are ORed, so that two anything-but let nearly everything through.",
    "anything-but-other-types": "An anything-but of strings lets all values through that are no strings.",
    "exists-false-in-array": "Inside arrays, an absent field is judged by the order of the names of fields.",
}


def lint(pattern: Pattern | str | bytes | Mapping[str, Any], *, on_a_bus: bool = False) -> list[Finding]:
    """Look for what is legal in a pattern but hardly wanted, and for what EventBridge would refuse.

    Never raises: a pattern that is refused is a finding too. Duplicate keys show only in text, as data has none.

    Args:
        pattern: The pattern; as text or data it is read with the default limits.
        on_a_bus: Its events come from a bus: so they have EventBridge's envelope, and no other fields beside it.

    Returns:
        The findings, the gravest first; empty when there is nothing to say.
    """
    try:
        text = str(pattern) if isinstance(pattern, Pattern) else pattern_text(pattern)
        parsed = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
    except PatternError as error:
        code = "too-complex" if isinstance(error, PatternComplexityError) else "invalid"
        return [Finding(code, "error", error.reason, error.path, error.hint)]
    compact = text if isinstance(pattern, str | bytes) else str(parsed)
    findings = [*_limits(parsed, len(compact)), *_document(parsed.document), *_rules(parsed, on_a_bus=on_a_bus)]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.severity])


def _limits(pattern: Pattern, length: int) -> Iterator[Finding]:
    if length > MAXIMUM_LENGTH:
        message = f"EventBridge would refuse it: {length} characters are more than {MAXIMUM_LENGTH}"
        yield Finding("aws-length", "error", message)
    if len(pattern.sub_rules) > MAXIMUM_COMBINATIONS:
        message = f"EventBridge would refuse it: $or has {len(pattern.sub_rules)} combinations, more than 1000"
        yield Finding("aws-or-combinations", "error", message, hint="split the rule")


#: A field as it is written: where, its path, its alternatives, and how many `$or` are around it.
_Written: TypeAlias = tuple[Steps, str, Alternatives, int]


def _written(fields: Fields, steps: Steps = (), path: str | None = None, depth: int = 0) -> Iterator[_Written]:
    for name, node in fields.members:
        if isinstance(node, AnyOf):
            for index, branch in enumerate(node.branches):
                yield from _written(branch, (*steps, name, index), path, depth + 1)
            continue
        full = name if path is None else f"{path}.{name}"
        if isinstance(node, Fields):
            yield from _written(node, (*steps, name), full, depth)
        else:
            yield (*steps, name), full, node, depth


def _document(document: Fields) -> Iterator[Finding]:
    written = list(_written(document))
    for steps, _, node, _ in written:
        yield from _alternatives(node.filters, steps)
    places: dict[str, list[tuple[Steps, Alternatives]]] = {}
    for steps, path, node, _ in written:
        for earlier, other in places.get(path, []):
            finding = _repeated(path, (earlier, other), (steps, node))
            if finding is not None:
                yield finding
        places.setdefault(path, []).append((steps, node))


def _repeated(path: str, earlier: tuple[Steps, Alternatives], later: tuple[Steps, Alternatives]) -> Finding | None:
    """Tell of a path that comes twice in one sub-rule. Different branches of one `$or` do not meet."""
    common = 0
    while earlier[0][common : common + 1] == later[0][common : common + 1] and common < len(earlier[0]):
        common += 1
    if common and earlier[0][common - 1] == "$or":
        return None
    inside = "$or" in earlier[0][common:] or "$or" in later[0][common:]
    where = json_path(later[0])
    if not inside:
        return Finding("duplicate-key", "warning", f"{path} is written twice; this one replaces the earlier", where)
    message = f"this {path} replaces that of {json_path(earlier[0])}, they are not both required"
    if _exclude_each_other(earlier[1].filters, later[1].filters):
        message += "; together they would never match"
    return Finding("or-override", "warning", message, where, "write the field once in every branch")


def _exclude_each_other(first: Sequence[ContentFilter], second: Sequence[ContentFilter]) -> bool:
    """Say whether no single value can satisfy both; only literals are looked at."""
    if not all(isinstance(test, Literal) for test in (*first, *second)):
        return False
    return not any(test.accepts(other.value) for test in first for other in second if isinstance(other, Literal))


def _alternatives(filters: Sequence[ContentFilter], steps: Steps) -> Iterator[Finding]:
    wildcards = [_wildcards(test) for test in filters]
    if complexity([texts for texts in wildcards if texts]) >= LIMIT:
        yield Finding(
            "aws-wildcard-complexity",
            "error",
            f"EventBridge would refuse it: {_TOO_COMPLEX}",
            json_path(steps),
            "here it is matched in linear time",
        )
    exclusions = [test for test in filters if isinstance(test, AnythingBut)]
    if len(exclusions) > 1:
        yield Finding(
            "two-anything-but",
            "warning",
            "alternatives are ORed, so that only what all of these exclude is excluded",
            json_path(steps),
            "list all values in one anything-but",
        )
    for index, test in enumerate(filters):
        place = json_path((*steps, index))
        if isinstance(test, AnythingBut) and not any(is_number(_value(excluded)) for excluded in test.excluded):
            message = "numbers, true, false and null pass this anything-but of strings"
            yield Finding("anything-but-other-types", "note", message, place)
        if isinstance(test, Numeric) and any(abs(bound) > _DOCUMENTED_RANGE for _, bound in test.bounds):
            message = "the EventBridge user guide allows numbers from -5.0e9 to 5.0e9 only"
            yield Finding("aws-numeric-range", "note", message, place)


def _value(test: ContentFilter) -> Any:
    return test.value if isinstance(test, Literal) else None


def _wildcards(test: ContentFilter) -> list[str]:
    excluded = test.excluded if isinstance(test, AnythingBut) else (test,)
    return sorted(inner.text for inner in excluded if isinstance(inner, Wildcard))


def has_wildcards(pattern: Pattern) -> bool:
    """Say whether a pattern has wildcards, of which EventBridge allows 30 rules on a bus."""
    return any(_wildcards(test) for rule in pattern.sub_rules for filters in rule.values() for test in filters)


def _rules(pattern: Pattern, *, on_a_bus: bool) -> Iterator[Finding]:
    impossible = [list(_impossible(rule, on_a_bus=on_a_bus)) for rule in pattern.sub_rules]
    is_hopeless = all(impossible)
    places = {path: json_path(steps) for steps, path, _, _ in _written(pattern.document)}
    for reasons in impossible:
        for path, message, hint in reasons:
            severity: Severity = "error" if is_hopeless else "warning"
            which = "no event can match" if is_hopeless else "no event can match this branch of $or"
            yield Finding("never-matches", severity, f"{which}: {message}", places[path], hint)
    for rule in pattern.sub_rules:
        yield from _array_findings(rule, places)


def _impossible(rule: SubRule, *, on_a_bus: bool) -> Iterator[tuple[str, str, str]]:
    """Give path, reason and hint of each field that no event can satisfy."""
    for path, filters in rule.items():
        if Exists(expected=False) in filters:
            continue
        if all(_is_empty(test) for test in filters):
            yield path, f"no number satisfies {dumps(filters[0].to_data())}", ""
        elif on_a_bus:
            reason = _outside_the_envelope(path, filters)
            if reason is not None:
                yield path, *reason


def _is_empty(test: ContentFilter) -> bool:
    """Say whether nothing lies between two bounds, which only neighbouring numbers leave."""
    if not isinstance(test, Numeric) or len(test.bounds) == 1:
        return False
    (lower, low), (upper, high) = test.bounds
    is_open = lower == ">" and upper == "<"
    return is_open and math.nextafter(low, math.inf) >= high and math.floor(low) + 1 >= high


def _outside_the_envelope(path: str, filters: Sequence[ContentFilter]) -> tuple[str, str] | None:
    name, _, rest = path.partition(".")
    if name not in _ENVELOPE:
        nearest = difflib.get_close_matches(name, _ENVELOPE, 1, 0.7)
        return f"events have no field {name}", f'did you mean "{nearest[0]}"?' if nearest else "is it in detail?"
    if name == "detail":
        return None if rest else ("detail is an object", "name one of its fields")
    if rest:
        return f"{name} is no object", ""
    if any(_may_be_a_string(test) for test in filters):
        return None
    [first, *_] = filters
    hint = f'write "{first.value}"' if is_number(_value(first)) and isinstance(first, Literal) else ""
    return f"{name} is a string", hint


def _may_be_a_string(test: ContentFilter) -> bool:
    return not isinstance(test, Numeric) and not (isinstance(test, Literal) and test.kind != "string")


def _array_findings(rule: SubRule, places: Mapping[str, str]) -> Iterator[Finding]:
    absent = {path for path, filters in rule.items() if Exists(expected=False) in filters}
    for path in rule.keys() - absent:
        for other in rule.keys() - absent:
            if other.startswith(f"{path}."):
                message = f"{path} has to be a value, and {other} a value inside it: only an array can have both"
                yield Finding("needs-array", "warning", message, places[other])
    for path in sorted(absent):
        parent = path.rpartition(".")[0]
        others = [other for other in rule if other != path and _meets(parent, other)]
        if others:
            yield Finding("exists-false-in-array", "warning", _about_absence(path, others), places[path])


def _meets(parent: str, other: str) -> bool:
    """Say whether a field may stand in the same element of an array; the envelope's detail is never an array."""
    first = parent.split(".")
    second = other.split(".")
    common = 0
    while common < min(len(first), len(second) - 1) and first[common] == second[common]:
        common += 1
    return common > (first[0] == "detail") and bool(parent)


def _about_absence(path: str, others: Sequence[str]) -> str:
    first = min(others, key=in_javas_order)
    if in_javas_order(first) < in_javas_order(path):
        return f"in an array, {path} has to be absent from the element that {first} is in"
    return f"in an array, {path} has to be absent from every element, as its name comes before {first}"
