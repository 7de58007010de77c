"""Assertions about routing that say why they fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from eventrouter.event import Event, EventEntry
from eventrouter.patterns import Pattern
from eventrouter.router import EventRouter

#: Of an event that is made of an entry.
_ID: Final = "00000000-0000-4000-8000-000000000000"
_NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def assert_routed(
    router: EventRouter,
    event: Event | EventEntry | Mapping[str, Any],
    *,
    to: Sequence[str] | str,
    event_bus_name: str = "default",
) -> None:
    """Assert that an event matches exactly these rules of a bus, and no others.

    Args:
        router: The router, which need not run.
        event: An event, an entry, or data with EventBridge's keys.
        to: Names of rules.
        event_bus_name: The bus.

    Raises:
        AssertionError: It matches others; for each rule that differs it is told why it does or does not match, and the
            smallest change that would make it.
        NotFoundError: There is no such bus.
    """
    wanted = {to} if isinstance(to, str) else set(to)
    told = {explained.rule.name: explained for explained in router.explain(_data(event), event_bus_name=event_bus_name)}
    unknown = wanted - told.keys()
    matched = {name for name, explained in told.items() if explained.matched}
    if matched == wanted:
        return
    lines = [f"The event goes to {_listed(matched)}, and not to {_listed(wanted)}:"]
    lines += [f"there is no rule {name} with a pattern on bus {event_bus_name}" for name in sorted(unknown)]
    lines += [str(told[name]) for name in told if name in (matched ^ wanted)]
    raise AssertionError("\n".join(lines))


def assert_not_routed(
    router: EventRouter,
    event: Event | EventEntry | Mapping[str, Any],
    *,
    to: Sequence[str] | str | None = None,
    event_bus_name: str = "default",
) -> None:
    """Assert that an event matches none of these rules; without *to*, none at all.

    Raises as `assert_routed`; also when there is no rule of a name in *to*, as that would hold whatever the event is.
    """
    unwanted = None if to is None else {to} if isinstance(to, str) else set(to)
    explained = router.explain(_data(event), event_bus_name=event_bus_name)
    unknown = (unwanted or set()) - {rule.rule.name for rule in explained}
    if unknown:
        raise AssertionError(f"there is no rule {_listed(unknown)} with a pattern on bus {event_bus_name}")
    wrong = [rule for rule in explained if rule.matched and (unwanted is None or rule.rule.name in unwanted)]
    if wrong:
        names = _listed({rule.rule.name for rule in wrong})
        raise AssertionError("\n".join([f"The event goes to {names}:", *map(str, wrong)]))


def assert_matches(pattern: Pattern | Mapping[str, Any] | str, event: Event | EventEntry | Mapping[str, Any]) -> None:
    """Assert that an event matches a pattern.

    Raises:
        AssertionError: It does not: what failed, where, and the smallest change that would make it match.
        PatternError: It is no pattern.
    """
    parsed = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
    explanation = parsed.explain(_data(event))
    if not explanation.matched:
        raise AssertionError(str(explanation))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no rule"


def _data(event: Event | EventEntry | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(event, Event):
        return event.to_dict()
    if not isinstance(event, EventEntry):
        return event
    made = Event.from_entry(event, id=_ID, now=_NOW, account="000000000000", region="local")
    return made.to_dict()
