"""Event patterns: parsed once, then asked about events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Self

from eventrouter.errors import InvalidEventError, PatternComplexityError, PatternError
from eventrouter.patterns import _algebra as algebra
from eventrouter.patterns._answers import Answer, Unknown
from eventrouter.patterns._canonical import canonical_json
from eventrouter.patterns._cursor import RefusedError, TooComplexError
from eventrouter.patterns._evaluate import Evaluator
from eventrouter.patterns._explain import Explanation, explain
from eventrouter.patterns._json import JsonSyntaxError, decoded, line_and_column, read_event_text
from eventrouter.patterns._parse import UNCOUNTED, Parser
from eventrouter.patterns._places import json_path
from eventrouter.patterns._space import Events
from eventrouter.patterns._tree import Fields, SubRule, dumps, expand, to_json

MAXIMUM_COMBINATIONS: Final = 1_000  # of `$or` branches (EventBridge user guide)


@dataclass(frozen=True, eq=False, repr=False)
class Pattern:
    """An event pattern (EventBridge user guide, "Event patterns").

    Immutable, and safe to use from several threads. Patterns are equal, and hash alike, when their sub-rules ask for
    the same, in whatever order and however nested. `str()` gives compact JSON, the same for all patterns that are
    equal.

    Attributes:
        document: The pattern as it was written.
        sub_rules: The pattern with every `$or` multiplied out: it matches what any of these matches. Each maps the path
            of a field, names joined by dots, to its alternatives.
    """

    document: Fields
    sub_rules: tuple[SubRule, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sub_rules", expand(self.document))

    # Both at the first use: a pattern that a matcher holds needs neither, and they take most of its room.

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.sub_rules)

    @cached_property
    def _key(self) -> frozenset[object]:
        rules = self.sub_rules
        return frozenset(frozenset((path, frozenset(filters)) for path, filters in rule.items()) for rule in rules)

    @classmethod
    def parse(
        cls, source: str | bytes | Mapping[str, Any], *, maximum_combinations: int = MAXIMUM_COMBINATIONS
    ) -> Self:
        """Read a pattern from JSON text or from data.

        In text a name may come again: the later array replaces the earlier, objects are merged.

        Args:
            source: The pattern.
            maximum_combinations: Limit of the product of the lengths of all `$or` arrays.

        Raises:
            PatternError: It breaks a rule of the pattern language; says where, and what to write instead.
            PatternComplexityError: It is past a limit.
        """
        text = pattern_text(source)
        is_text = isinstance(source, str | bytes)
        parser = Parser(text)
        try:
            document = parser.parse()
        except RefusedError as error:
            kind = PatternComplexityError if isinstance(error, TooComplexError) else PatternError
            place = line_and_column(text, error.offset) if is_text else (None, None)
            raise kind(error.reason, json_path(error.steps), error.hint, *place) from None
        except JsonSyntaxError as error:
            place = line_and_column(text, error.offset) if is_text else (None, None)
            raise PatternError(f"Malformed JSON: {error.problem}", "$", "", *place) from None
        if parser.combinations > maximum_combinations:
            number = f"{parser.combinations}" if parser.combinations < UNCOUNTED else f"{UNCOUNTED} or more"
            raise PatternComplexityError(
                f"$or has {number} combinations, more than {maximum_combinations}",
                hint="split the rule, or raise maximum_combinations",
            )
        return cls(document)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether the event, as data, satisfies the pattern.

        Values count as they would be read from text: an infinity, which is what Python makes of 1e400, and an integer
        of more than 10,000 digits are numbers past all doubles, and a `Decimal` is an integer or a double.

        Raises:
            InvalidEventError: It is not a mapping, or its arrays are nested too deeply or combine in too many ways. Or
                a field that the pattern looks at is NaN, or of a type that JSON has not; others are not looked at.
        """
        if not isinstance(event, Mapping):
            raise InvalidEventError("Event must be a JSON object", "MalformedEvent")
        return self._evaluator.matches(event)

    def matches_json(self, event: str | bytes) -> bool:
        """Say whether the event, as JSON text, satisfies the pattern.

        Raises:
            InvalidEventError: The text is not a JSON object, or as `matches`.
            TypeError: It is not text.
        """
        return self._evaluator.matches(read_event(event))

    def explain(self, event: Mapping[str, Any] | str | bytes) -> Explanation:
        """Tell why the event, as data or as JSON text, does or does not match, and the smallest change that helps.

        Raises:
            InvalidEventError: As `matches` and `matches_json`.
        """
        data = read_event(event) if isinstance(event, str | bytes) else event
        if not isinstance(data, Mapping):
            raise InvalidEventError("Event must be a JSON object", "MalformedEvent")
        return explain(self._evaluator, self.document, data)

    # What patterns are to one another is decided for all events that the keywords let in. The answer is false for an
    # answer no, true for yes, and raises `UndecidedError` if asked so while it is unknown.

    def is_empty(self, *, on_a_bus: bool = False) -> Answer | Unknown:
        """Say whether no event at all can match.

        Pure, and bounded: past a fraction of a second of work the answer is `Unknown`.

        Args:
            on_a_bus: Ask about events of a bus only. These have EventBridge's envelope, and no other fields beside it:
                `version`, `id`, `detail-type`, `source`, `account`, `time` and `region`, each one string, of any form;
                `replay-name`, one string or absent; `resources`, an array of strings; and `detail`, an object.

        Returns:
            Yes, proven; or no, with an event that matches as the witness; or `Unknown`, with the reason.
        """
        return algebra.is_empty(self.sub_rules, Events(on_a_bus))

    def overlaps(self, other: Pattern, *, on_a_bus: bool = False, arrays: bool = True) -> Answer | Unknown:
        """Say whether there is an event that matches both patterns. As `is_empty` else.

        An array may have one value for each pattern: so for events with arrays, `{"a": [1]}` and `{"a": [2]}` overlap.

        Args:
            other: The other pattern.
            on_a_bus: As `is_empty`.
            arrays: Ask also about events with arrays of several elements. Without, a field has one value at most.

        Returns:
            Yes, with an event that matches both; or no, proven; or `Unknown`.
        """
        return algebra.overlaps(self.sub_rules, other.sub_rules, Events(on_a_bus, arrays))

    def implies(self, other: Pattern, *, on_a_bus: bool = False, arrays: bool = True) -> Answer | Unknown:
        """Say whether every event that matches this pattern matches the other one. Arguments as `overlaps`.

        Returns:
            Yes, proven; or no, with an event that matches this one only; or `Unknown`.
        """
        if self == other:
            return Answer(True)
        return algebra.implies(self.sub_rules, other.sub_rules, Events(on_a_bus, arrays))

    def equivalent(self, other: Pattern, *, on_a_bus: bool = False, arrays: bool = True) -> Answer | Unknown:
        """Say whether the same events match both patterns, however they are written. Arguments as `overlaps`.

        Patterns that are equal are equivalent; `==` looks only at what they say, and this at what it means.

        Returns:
            Yes, proven; or no, with an event that matches one of them only; or `Unknown`.
        """
        if self == other:
            return Answer(True)
        return algebra.equivalent(self.sub_rules, other.sub_rules, Events(on_a_bus, arrays))

    def __eq__(self, other: object) -> bool:
        return self._key == other._key if isinstance(other, Pattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return canonical_json(self.sub_rules)

    def __repr__(self) -> str:
        return f"Pattern.parse({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _parsed, (type(self), to_json(self.document))


def _parsed(cls: type[Pattern], text: str) -> Pattern:
    return cls(Parser(text).parse())


def read_event(text: str | bytes) -> dict[str, Any]:
    """Read the JSON text of an event.

    Raises:
        InvalidEventError: The text is not a JSON object, or is nested too deeply.
        TypeError: It is not text.
    """
    if not isinstance(text, str | bytes | bytearray | memoryview):
        raise TypeError(f"The event is a {type(text).__name__}, not JSON text; `matches` takes data")
    try:
        event = read_event_text(text)
    except RecursionError:
        raise InvalidEventError("The event is nested too deeply", "MalformedEvent") from None
    except ValueError as error:
        raise InvalidEventError(f"Not JSON: {error}", "MalformedEvent") from error
    if not isinstance(event, dict):
        raise InvalidEventError("Event must be a JSON object", "MalformedEvent")
    return event


def pattern_text(source: str | bytes | Mapping[str, Any]) -> str:
    """Give the JSON text of a pattern: one way of reading serves text and data."""
    try:
        return decoded(source) if isinstance(source, str | bytes) else dumps(source)
    except PatternError:
        raise
    except UnicodeDecodeError as error:
        raise PatternError(f"Malformed JSON: invalid UTF-8 at byte {error.start}") from error
    except (TypeError, ValueError) as error:
        raise PatternError(f"Not a JSON value: {error}") from error
