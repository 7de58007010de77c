"""One case put to the oracle and to the package, in every form in which the package takes it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests import oracle

if TYPE_CHECKING:
    from collections.abc import Callable

MATCH, NO_MATCH, INVALID_EVENT, REFUSED, ACCEPTED = "match", "no match", "invalid event", "refused", "accepted"
REFUSED_WITH = "refused: "


@dataclass(frozen=True)
class Subject:
    """What is compared with the oracle.

    Attributes:
        parse: Takes a pattern as str, bytes or dict; the result has `matches_json(str | bytes)` and `matches(dict)`.
        refused: What `parse` raises, with AWS's text in `reason`.
        invalid: What matching an event that is none raises.
    """

    parse: Callable[[Any], Any]
    refused: type[Exception]
    invalid: type[Exception]


def package() -> Subject:
    # Imported here: whoever only wants the oracle or the generators does not need a working package.
    from eventrouter import Pattern  # noqa: PLC0415
    from eventrouter.errors import InvalidEventError, PatternError  # noqa: PLC0415

    return Subject(Pattern.parse, PatternError, InvalidEventError)


class InAMatcher:
    """A pattern as a matcher that holds nothing else answers for it."""

    def __init__(self, pattern, matcher):
        self._matcher = matcher
        self._matcher.add(None, pattern)

    def matches_json(self, event):
        return self._matcher.match_json(event) == [None]

    def matches(self, event):
        return self._matcher.match(event) == [None]


def engine() -> Subject:
    """Do what `package` does, with the matching engine in place of the plain evaluation."""
    from eventrouter import Matcher, Pattern  # noqa: PLC0415 - as above
    from eventrouter.errors import InvalidEventError, PatternError  # noqa: PLC0415

    return Subject(lambda source: InAMatcher(Pattern.parse(source), Matcher()), PatternError, InvalidEventError)


@dataclass(frozen=True)
class Difference:
    """The oracle and the package disagree. *forms* says how the pattern and the event were handed over."""

    forms: tuple[str, str]
    pattern: str
    event: str
    expected: str
    actual: str

    @property
    def kind(self):
        """What shrinking has to keep: a crash is the same crash whatever the right answer was."""
        actual = self.actual.partition(":")[0]
        return actual if actual == "crash" else (self.expected.partition(":")[0], actual)


@dataclass
class Tally:
    answers: Counter = field(default_factory=Counter)
    difference: Difference | None = None


#: Form of the pattern -> forms of the events tried on it.
FORMS = {"text": ("text", "data"), "bytes": ("bytes",), "data": ("data",)}


def compare(subject, pattern, events, tally, *, all_forms):
    """Add *pattern* on *events* to *tally*, up to a difference. Text goes always, *all_forms* costs two more parses."""
    for pattern_form in FORMS if all_forms else ("text",):
        answers = tally.answers if pattern_form == "text" else Counter()
        tally.difference = compare_as(subject, (pattern_form, FORMS[pattern_form]), pattern, events, answers)
        if tally.difference:
            return


def compare_as(subject, forms, pattern, events, answers):
    """The first difference, if any; what the oracle answers to the first form of an event is counted in *answers*."""
    pattern_form, event_forms = forms
    handed = in_form(pattern_form, pattern, unique=True)
    if handed is None:
        return None
    expected, rules = ask_oracle(oracle.compile_pattern, handed if pattern_form == "data" else pattern)
    actual, parsed = ask(subject, lambda: subject.parse(handed))
    if rules is None or parsed is None:
        answers[REFUSED] += len(events)
        expected, actual = expected or ACCEPTED, actual or ACCEPTED
        agreed = agree(expected, actual)
        return None if agreed else Difference((pattern_form, event_forms[0]), pattern, events[0], expected, actual)
    for event in events:
        for event_form in event_forms:
            expected, actual = answer(subject, rules, parsed, event_form, event)
            answers[expected] += event_form == event_forms[0]
            if not agree(expected, actual):
                return Difference((pattern_form, event_form), pattern, event, expected, actual)
    return None


def answer(subject, rules, parsed, form, event):
    """The oracle's and the package's answer to one event, the same where the event does not exist in that form."""
    handed = in_form(form, event)
    if handed is None:
        return INVALID_EVENT, INVALID_EVENT
    expected, leaves = ask_oracle(oracle.flatten, handed if form == "data" else event)
    if leaves is not None:
        expected = MATCH if oracle.decide(rules, leaves) else NO_MATCH
    actual, verdict = ask(subject, lambda: (parsed.matches if form == "data" else parsed.matches_json)(handed))
    if actual is None:
        actual = {True: MATCH, False: NO_MATCH}.get(verdict, f"crash: answered {verdict!r}")
    return expected, actual


def in_form(form, text, *, unique=False):
    if form == "data":
        return as_data(text, unique=unique)
    return text.encode() if form == "bytes" else text


def agree(expected, actual):
    # Where the oracle has no message, the language fixes none: malformed JSON, and the limits.
    return expected == actual or (expected == REFUSED and actual.startswith(REFUSED))


def ask_oracle(function, argument):
    """(None, result), or (what went wrong, None)."""
    try:
        return None, function(argument)
    except oracle.Refused as refused:
        return (REFUSED if refused.message is None else REFUSED_WITH + refused.message), None
    except oracle.BadEvent:
        return INVALID_EVENT, None


def ask(subject, function):
    """As `ask_oracle`, for the package, of which any other exception is a crash."""
    try:
        return None, function()
    except subject.refused as refused:
        return REFUSED_WITH + refused.reason, None
    except subject.invalid:
        return INVALID_EVENT, None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"crash: {type(error).__name__}: {error}", None


class RepeatedNameError(ValueError):
    """A name occurs twice in one object, which data cannot express."""


def _unique(pairs):
    if len(dict(pairs)) < len(pairs):
        raise RepeatedNameError
    return dict(pairs)


def as_data(text, *, unique=False):
    """The object that *text* is, None if it is none. *unique*: a pattern, whose repeated names and 1e400 get lost."""
    try:
        data = json.loads(text, object_pairs_hook=_unique if unique else None, parse_constant=_no_constant)
    except ValueError:
        return None
    if not isinstance(data, dict) or (unique and not _finite(data)):
        return None
    return data


def _no_constant(text):
    raise ValueError(text)


def _finite(node):
    if isinstance(node, dict):
        return all(map(_finite, node.values()))
    if isinstance(node, list):
        return all(map(_finite, node))
    return not isinstance(node, float) or math.isfinite(node)
