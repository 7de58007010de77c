"""Rules, and which subscriptions an event goes to. No clock, no waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from eventrouter.abc import Target
from eventrouter.errors import ConflictError, InvalidRuleError, NotFoundError
from eventrouter.event import Event
from eventrouter.matching import Matcher, MatcherStatistics
from eventrouter.names import check_name
from eventrouter.patterns import Explanation, Pattern
from eventrouter.records import Subscription
from eventrouter.schedules import ScheduleExpression

RuleState: TypeAlias = Literal["ENABLED", "DISABLED"]


@dataclass(frozen=True)
class Rule:
    """A pattern, a schedule or both, and the targets of what it matches or fires.

    Attributes:
        name: Unique on its bus; 1 to 64 of letters, digits and `. - _`.
        event_pattern: Which events; None for none.
        targets: Where they go, each with an id of its own.
        state: A `DISABLED` rule matches nothing.
        description: For people.
        event_bus_name: The bus whose events it sees.
        schedule_expression: When its targets receive an event of the schedule's own; None for never.
    """

    name: str
    event_pattern: Pattern | None
    targets: tuple[Target, ...] = ()
    state: RuleState = "ENABLED"
    description: str = ""
    event_bus_name: str = "default"
    schedule_expression: ScheduleExpression | None = None

    def __post_init__(self) -> None:
        check_name("rule name", self.name)
        if self.state not in ("ENABLED", "DISABLED"):
            raise InvalidRuleError(f"state of rule {self.name} is {self.state!r}", hint="use ENABLED or DISABLED")
        if self.event_pattern is None and self.schedule_expression is None:
            raise InvalidRuleError(
                "Parameter(s) EventPattern or ScheduleExpression must be specified.", hint="give one, or both"
            )


@dataclass(frozen=True)
class Archive:
    """Which events of a bus are kept, to be replayed (EventBridge, CreateArchive).

    Attributes:
        name: Unique in the router; 1 to 48 of letters, digits and `. - _`.
        event_pattern: Which events.
        retention: For how long; None for ever.
        description: For people.
        event_bus_name: The bus whose events it keeps.
    """

    name: str
    event_pattern: Pattern
    retention: timedelta | None = None
    description: str = ""
    event_bus_name: str = "default"

    def __post_init__(self) -> None:
        check_name("archive name", self.name, maximum=48)
        if self.retention is not None and not (isinstance(self.retention, timedelta) and self.retention > timedelta(0)):
            raise InvalidRuleError(
                f"retention of archive {self.name} is {self.retention!r}",
                hint="use a positive timedelta, or None for ever",
            )


@dataclass(frozen=True)
class RuleExplanation:
    """Why a rule does or does not match an event; `str()` gives it as text.

    Attributes:
        rule: The rule.
        explanation: Its pattern's explanation.
    """

    rule: Rule
    explanation: Explanation

    @property
    def matched(self) -> bool:
        """Whether the rule matches: its pattern does, and it is enabled."""
        return self.explanation.matched and self.rule.state == "ENABLED"

    def __str__(self) -> str:
        disabled = " (DISABLED)" if self.rule.state == "DISABLED" else ""
        return f"{self.rule.name}{disabled}: {self.explanation}"


class Route(NamedTuple):
    """Who receives an event.

    Attributes:
        subscriptions: All of them, each once.
        ordered: Those that receive the events of one group in order.
        archives: Who keeps it.
    """

    subscriptions: tuple[Subscription, ...] = ()
    ordered: tuple[Subscription, ...] = ()
    archives: tuple[Archive, ...] = ()


_NOWHERE: Final = Route()


class RuleSet:
    """The rules of one bus.

    Every change is one step: an event is routed by the table from before it or by the one after it.
    """

    def __init__(self, event_bus_name: str) -> None:
        self.event_bus_name = event_bus_name
        self._rules: dict[str, Rule] = {}
        self._archives: dict[str, Archive] = {}  # by the key of its pattern, which is no rule's name
        self._routes: dict[str, Route] = {}  # what each match means, made when the targets of a rule change
        self._matcher: Matcher[str] = Matcher()

    def __iter__(self) -> Iterator[Rule]:
        return iter(tuple(self._rules.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._rules

    def __getitem__(self, name: str) -> Rule:
        """Give the rule of that name.

        Raises:
            NotFoundError: There is none.
        """
        try:
            return self._rules[name]
        except KeyError:
            raise NotFoundError(f"Rule {name} does not exist on EventBus {self.event_bus_name}.") from None

    def put(self, rule: Rule) -> None:
        """Add a rule, or replace the one of that name but for its targets, which stay (EventBridge, PutRule)."""
        existing = self._rules.get(rule.name)
        if existing is not None:
            rule = replace(rule, targets=existing.targets)
        self._keep(rule)
        if rule.state == "ENABLED" and rule.event_pattern is not None:
            self._matcher.replace(rule.name, rule.event_pattern)
        elif rule.name in self._matcher:
            self._matcher.remove(rule.name)

    def set_state(self, name: str, state: RuleState) -> None:
        """Enable or disable a rule. Raises `NotFoundError` when there is no such rule."""
        self.put(replace(self[name], state=state))

    def remove(self, name: str) -> None:
        """Remove a rule that has no targets.

        Raises:
            NotFoundError: There is no such rule.
            ConflictError: It still has targets.
        """
        if self[name].targets:
            raise ConflictError("Rule can't be deleted since it has targets.")
        del self._rules[name], self._routes[name]
        if name in self._matcher:
            self._matcher.remove(name)

    def put_targets(self, name: str, targets: Sequence[Target]) -> None:
        """Give a rule targets; one whose id it already has is replaced."""
        rule = self[name]
        merged = {target.id: target for target in rule.targets} | {target.id: target for target in targets}
        self._keep(replace(rule, targets=tuple(merged.values())))

    def remove_targets(self, name: str, ids: Sequence[str]) -> None:
        """Take targets away from a rule.

        Raises:
            NotFoundError: There is no such rule, or it has no target of such an id; then none is removed.
        """
        rule = self[name]
        unknown = [id for id in ids if id not in {target.id for target in rule.targets}]
        if unknown:
            raise NotFoundError(f"Rule {name} has no target {', '.join(unknown)}.")
        self._keep(replace(rule, targets=tuple(target for target in rule.targets if target.id not in ids)))

    def _keep(self, rule: Rule) -> None:
        self._rules[rule.name] = rule
        self._routes[rule.name] = Route(
            tuple(Subscription(self.event_bus_name, rule.name, target.id) for target in rule.targets),
            tuple(
                Subscription(self.event_bus_name, rule.name, target.id)
                for target in rule.targets
                if target.ordering == "FIFO"
            ),
        )

    def put_archive(self, archive: Archive) -> None:
        """Keep events from now on, or from now on others than before."""
        key = _archive_key(archive.name)
        self._archives[key] = archive
        self._routes[key] = Route((), (), (archive,))
        self._matcher.replace(key, archive.event_pattern)

    def remove_archive(self, name: str) -> None:
        """Keep no more events. Raises `KeyError` when there is no such archive."""
        key = _archive_key(name)
        del self._archives[key], self._routes[key]
        self._matcher.remove(key)

    def archives(self) -> tuple[Archive, ...]:
        """List the archives of the bus."""
        return tuple(self._archives.values())

    def matcher_statistics(self) -> MatcherStatistics:
        """Say what the matcher holds: the patterns of the enabled rules, and of archives."""
        return self._matcher.statistics()

    def explain(self, event: Mapping[str, Any]) -> list[RuleExplanation]:
        """Explain every rule that has a pattern, those that match first and then the nearest."""
        told = [RuleExplanation(rule, rule.event_pattern.explain(event)) for rule in self if rule.event_pattern]
        return sorted(told, key=lambda item: (not item.matched, item.explanation.distance))

    def route(self, event: Event) -> Route:
        """Decide who receives *event*: the targets of every enabled rule whose pattern it matches.

        The archives that it matches keep it, unless it is replayed (EventBridge user guide, "Archives").
        """
        # As JSON, of which the matcher reads just what rules look at; the detail need not be decoded for it.
        names = self._matcher.match_json(event.to_json())
        if self._archives and event.replay_name is not msgspec.UNSET:
            names = [name for name in names if name in self._rules]
        if len(names) == 1:
            return self._routes[names[0]]
        if not names:
            return _NOWHERE
        routes = [self._routes[name] for name in names]
        return Route(
            tuple(subscription for route in routes for subscription in route.subscriptions),
            tuple(subscription for route in routes for subscription in route.ordered),
            tuple(archive for route in routes for archive in route.archives),
        )


def _archive_key(name: str) -> str:
    return f"archive:{name}"  # no rule's name: those have no colon
