"""Dead letters as data: which of them are meant, and which belong together. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypedDict

from eventrouter.delivery.fingerprint import error_fingerprint, masked_error
from eventrouter.errors import InvalidRuleError
from eventrouter.patterns import Pattern
from eventrouter.records import DeadLetter, Subscription

_TEXTS: Final = ("queue", "event_bus_name", "rule_name", "target_id", "error_code", "fingerprint")


class DeadLetterCriteria(TypedDict, total=False):
    """What a method takes to say which dead letters are meant; see `DeadLetterFilter`."""

    ids: Collection[int] | None
    queue: str | None
    event_bus_name: str | None
    rule_name: str | None
    target_id: str | None
    error_code: str | None
    fingerprint: str | None
    event_pattern: Pattern | Mapping[str, Any] | str | bytes | None
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class DeadLetterFilter:
    """Which dead letters are meant: those that meet all criteria. None is no criterion.

    Attributes:
        ids: Those with one of these ids.
        queue: Those in this dead-letter queue; that of a target without a named queue is `bus/rule/target`.
        event_bus_name: Those of this bus.
        rule_name: Those of rules of this name.
        target_id: Those of targets with this id.
        error_code: Those with this `ERROR_CODE`, such as `TIMEOUT`.
        fingerprint: Those with this error, as `error_fingerprint` gives it.
        event_pattern: Those whose event matches the pattern.
        since: Those given up at this instant or later.
        until: Those given up before this instant.

    Raises:
        PatternError: The pattern breaks a rule of the pattern language.
        InvalidRuleError: An instant is not an aware datetime, or what should be text is not.
    """

    ids: Collection[int] | None = None
    queue: str | None = None
    event_bus_name: str | None = None
    rule_name: str | None = None
    target_id: str | None = None
    error_code: str | None = None
    fingerprint: str | None = None
    event_pattern: Pattern | Mapping[str, Any] | str | bytes | None = None
    since: datetime | None = None
    until: datetime | None = None
    _pattern: Pattern | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        source = self.event_pattern
        pattern = source if source is None or isinstance(source, Pattern) else Pattern.parse(source)
        object.__setattr__(self, "_pattern", pattern)
        if self.ids is not None:
            if isinstance(self.ids, str | bytes) or not isinstance(self.ids, Collection):
                raise InvalidRuleError(f"ids is {self.ids!r}", hint="use a list of dead letters' ids")
            object.__setattr__(self, "ids", frozenset(self.ids))
        for name in ("since", "until"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, datetime) and value.tzinfo is not None):
                raise InvalidRuleError(f"{name} is {value!r}", hint="use an aware datetime, such as with datetime.UTC")
        for name in _TEXTS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InvalidRuleError(f"{name} is {value!r}", hint="use a string")

    @property
    def id_range(self) -> tuple[int, float]:
        """The least and the greatest id that may be meant."""
        if self.ids is None:
            return 0, math.inf
        return (min(self.ids), max(self.ids)) if self.ids else (0, 0)

    def accepts(self, letter: DeadLetter) -> bool:
        """Say whether the letter meets all criteria.

        Raises:
            InvalidEventError: The arrays of its event combine in too many ways for the pattern.
        """
        bus, rule, target = letter.subscription
        # The cheap ones first: a fingerprint and a pattern take microseconds.
        return (
            _is(self.queue, letter.queue)
            and _is(self.event_bus_name, bus)
            and _is(self.rule_name, rule)
            and _is(self.target_id, target)
            and _is(self.error_code, letter.error_code)
            and (self.ids is None or letter.id in self.ids)
            and (self.since is None or self.since <= letter.at)
            and (self.until is None or letter.at < self.until)
            and (self.fingerprint is None or self.fingerprint == error_fingerprint(letter))
            and (self._pattern is None or self._pattern.matches_json(letter.event.to_json()))
        )


def _is(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted == value


@dataclass(frozen=True, kw_only=True)
class DeadLetterGroup:
    """Dead letters of one target with the same error.

    Attributes:
        subscription: The bus, the rule and the target.
        fingerprint: Names the error; see `error_fingerprint`.
        error_code: What all of them have as `ERROR_CODE`.
        error_message: What their messages have in common, with `*` for what differs.
        count: How many there are.
        first_at: When the first of them was given up.
        last_at: When the last was.
        example: The last of them.
    """

    subscription: Subscription
    fingerprint: str
    error_code: str
    error_message: str
    count: int
    first_at: datetime
    last_at: datetime
    example: DeadLetter


class DeadLetterGroups:
    """Groups in the making; needs room for one letter of each, however many come."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Subscription, str], tuple[int, datetime, DeadLetter]] = {}

    def add(self, letters: Iterable[DeadLetter]) -> None:
        """Count letters, in any order."""
        for letter in letters:
            key = (letter.subscription, error_fingerprint(letter))
            count, first_at, last = self._groups.get(key, (0, letter.at, letter))
            later = letter if letter.at >= last.at else last
            self._groups[key] = (count + 1, min(first_at, letter.at), later)

    def listed(self) -> list[DeadLetterGroup]:
        """Give the groups, the largest first; of equal ones that which came first."""
        groups = [
            DeadLetterGroup(
                subscription=subscription,
                fingerprint=fingerprint,
                error_code=last.error_code,
                error_message=masked_error(last.error_message),
                count=count,
                first_at=first_at,
                last_at=last.at,
                example=last,
            )
            for (subscription, fingerprint), (count, first_at, last) in self._groups.items()
        ]
        return sorted(groups, key=lambda group: -group.count)
