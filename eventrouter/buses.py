"""Event buses with their rules and targets: all of a router that is declared, and nothing that runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, Unpack

from eventrouter._loops import OfOneLoop
from eventrouter.abc import Target, TargetOptions
from eventrouter.errors import ConflictError, InvalidEventError, InvalidRuleError, NotFoundError
from eventrouter.event import Event
from eventrouter.filters import event_pattern
from eventrouter.names import check_name
from eventrouter.patterns import Pattern
from eventrouter.policy import Policy
from eventrouter.records import Subscription
from eventrouter.rules import Rule, RuleExplanation, RuleSet, RuleState
from eventrouter.schedules import ScheduleExpression
from eventrouter.targets.function import FunctionTarget

DEFAULT_BUS: Final = "default"

F = TypeVar("F", bound=Callable[..., object])


class MakesTarget(ABC):
    """A function that is invoked by a target of its own, as one declared with `EventRouter.function` is."""

    @abstractmethod
    def target(self, *, id: str | None = None, **options: Unpack[TargetOptions]) -> Target:
        """Give a target that invokes it."""


class EventBuses(OfOneLoop, ABC):
    """Buses, their rules, and the targets of those.

    Everything is checked when it is declared. A change is complete when its method returns, and changes nothing when it
    raises; events are routed by the rules of the moment they are accepted in. While the router runs, whatever changes
    something raises `BusClosedError` in another event loop, or in a thread; looking at it is everybody's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buses = {DEFAULT_BUS: RuleSet(DEFAULT_BUS)}
        self._policies: dict[str, Policy] = {}

    @abstractmethod
    def _check_target(self, target: Target) -> None:
        """Raise `InvalidRuleError` when a router cannot have this target."""

    @abstractmethod
    def _target_was_put(self, subscription: Subscription, target: Target) -> None:
        """Hear of a new or replaced target."""

    @abstractmethod
    def _rule_was_changed(self, event_bus_name: str, name: str) -> None:
        """Hear of a rule that was put, enabled, disabled or removed."""

    @abstractmethod
    def _target_was_removed(self, subscription: Subscription) -> None:
        """Hear of a target that is gone."""

    def add_event_bus(self, name: str) -> None:
        """Add a bus.

        Raises:
            InvalidRuleError: The name is not 1 to 256 of letters, digits and `. - _`.
            ConflictError: There is one of that name.
        """
        self._refuse_elsewhere()
        check_name("event bus name", name, maximum=256)
        if name in self._buses:
            raise ConflictError(f"Event bus {name} already exists.")
        self._buses[name] = RuleSet(name)

    def remove_event_bus(self, name: str) -> None:
        """Remove a bus that has no rules, with its policy.

        Raises:
            NotFoundError: There is no such bus.
            ConflictError: It is the default bus, or has rules or archives.
        """
        self._refuse_elsewhere()
        if name == DEFAULT_BUS:
            raise ConflictError("Cannot delete event bus default.")
        if list(self._rules(name)):
            raise ConflictError(f"Event bus {name} can't be deleted since it has rules.")
        if self._rules(name).archives():
            raise ConflictError(f"Event bus {name} can't be deleted since it has archives.")
        del self._buses[name]
        self._policies.pop(name, None)

    def list_event_buses(self) -> list[str]:
        """Name the buses, the default one first."""
        return list(self._buses)

    def put_policy(
        self, policy: Policy | Mapping[str, Any] | str | bytes, *, event_bus_name: str = DEFAULT_BUS
    ) -> None:
        """Say who may put which events on a bus, in place of what was said before (EventBridge, PutPermission).

        A bus without a policy takes events from everybody. One with a policy takes only what a statement allows, from
        the process's own code too: who puts events without saying as whom is allowed by a statement for `*` alone.
        Counts for every call of `put_events` or `forward_events` that starts afterwards, and for events that rules hand
        on to the bus from then on.

        Args:
            policy: A policy, or AWS's document as data or JSON text.
            event_bus_name: The bus.

        Raises:
            InvalidRuleError: It is not a policy, or none of its statements is about putting events on this bus; nothing
                has changed.
            NotFoundError: There is no such bus.
        """
        self._refuse_elsewhere()
        self._rules(event_bus_name)
        parsed = policy if isinstance(policy, Policy) else Policy.parse(policy)
        if not parsed.covers("events:PutEvents", event_bus_name):
            raise InvalidRuleError(
                f"No statement of the policy is about events:PutEvents on {event_bus_name}",
                hint="name the bus, or *, as Resource",
            )
        self._policies[event_bus_name] = parsed

    def remove_policy(self, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Open a bus to everybody again.

        Raises:
            NotFoundError: There is no such bus, or it has no policy.
        """
        self._refuse_elsewhere()
        if self.get_policy(event_bus_name=event_bus_name) is None:
            raise NotFoundError(f"Event bus {event_bus_name} has no policy.")
        del self._policies[event_bus_name]

    def get_policy(self, *, event_bus_name: str = DEFAULT_BUS) -> Policy | None:
        """Give the policy of a bus, None when it has none. Raises `NotFoundError` when there is no such bus."""
        self._rules(event_bus_name)
        return self._policies.get(event_bus_name)

    def put_rule(
        self,
        name: str,
        event_pattern: Pattern | Mapping[str, Any] | str | bytes | None = None,
        *,
        schedule_expression: ScheduleExpression | str | None = None,
        state: RuleState = "ENABLED",
        description: str = "",
        event_bus_name: str = DEFAULT_BUS,
    ) -> None:
        """Add a rule, or replace the one of that name; its targets stay (EventBridge, PutRule).

        A `put_events` that starts afterwards is routed by the new rule. A rule with a schedule sends its targets an
        event of its own, `Scheduled Event` from `aws.events`, whenever that is due; see `EventRouter.schedule` for what
        becomes of occurrences that are missed, of which the latest happens late.

        Args:
            name: 1 to 64 of letters, digits and `. - _`.
            event_pattern: Which events its targets receive; None for none.
            schedule_expression: When they receive an event of the rule's own; as text, in UTC. None for never.
            state: `ENABLED` or `DISABLED`.
            description: For people.
            event_bus_name: The bus.

        Raises:
            PatternError: The pattern breaks a rule of the pattern language; nothing has changed.
            ScheduleExpressionError: The schedule expression is wrong; nothing has changed.
            InvalidRuleError: The name or state is not usable, or there is neither pattern nor schedule; nothing has
                changed.
            NotFoundError: There is no such bus.
        """
        self._refuse_elsewhere()
        rules = self._rules(event_bus_name)
        pattern = event_pattern if isinstance(event_pattern, Pattern | None) else Pattern.parse(event_pattern)
        expression = (
            schedule_expression
            if isinstance(schedule_expression, ScheduleExpression | None)
            else ScheduleExpression.parse(schedule_expression)
        )
        rules.put(Rule(name, pattern, (), state, description, event_bus_name, expression))
        self._rule_was_changed(event_bus_name, name)

    def remove_rule(self, name: str, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Remove a rule whose targets have been removed.

        Raises:
            NotFoundError: There is no such bus or rule.
            ConflictError: It still has targets.
        """
        self._refuse_elsewhere()
        self._rules(event_bus_name).remove(name)
        self._rule_was_changed(event_bus_name, name)

    def enable_rule(self, name: str, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Let a rule match and fire again, from now on. Raises `NotFoundError` when there is no such bus or rule."""
        self._refuse_elsewhere()
        self._rules(event_bus_name).set_state(name, "ENABLED")
        self._rule_was_changed(event_bus_name, name)

    def disable_rule(self, name: str, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Let a rule match nothing and not fire; deliveries go on. Raises `NotFoundError` likewise."""
        self._refuse_elsewhere()
        self._rules(event_bus_name).set_state(name, "DISABLED")
        self._rule_was_changed(event_bus_name, name)

    def list_rules(self, *, event_bus_name: str = DEFAULT_BUS) -> list[Rule]:
        """List the rules of a bus in the order they were added. Raises `NotFoundError` when there is no such bus."""
        return list(self._rules(event_bus_name))

    def put_targets(
        self, rule_name: str, targets: Sequence[Target | MakesTarget], *, event_bus_name: str = DEFAULT_BUS
    ) -> None:
        """Give a rule targets, as many as you like; one whose id it already has is replaced (PutTargets).

        Deliveries that wait for a replaced target go to the new one. A function that is declared with
        `EventRouter.function` stands for its `target()`.

        Raises:
            NotFoundError: There is no such bus or rule.
            InvalidRuleError: Two of the targets have one id, one is a queue of a router with another store, or a
                `DeadLetterQueue` is called as a queue is; none was added.
            BusClosedError: The router runs in another event loop, or thread; none was added.
        """
        self._refuse_elsewhere()
        made = [target.target() if isinstance(target, MakesTarget) else target for target in targets]
        if len({target.id for target in made}) < len(made):
            raise InvalidRuleError(f"Two targets for rule {rule_name} have the same id", hint="give each its own")
        for target in made:
            self._check_target(target)
        self._rules(event_bus_name).put_targets(rule_name, made)
        for target in made:
            self._target_was_put(Subscription(event_bus_name, rule_name, target.id), target)

    def remove_targets(self, rule_name: str, ids: Sequence[str], *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Take targets away from a rule; deliveries accepted before still go to them.

        Raises:
            NotFoundError: There is no such bus, rule or target; none was removed.
            BusClosedError: The router runs in another event loop, or thread; none was removed.
        """
        self._refuse_elsewhere()
        self._rules(event_bus_name).remove_targets(rule_name, ids)
        for id in ids:
            self._target_was_removed(Subscription(event_bus_name, rule_name, id))

    def list_targets(self, rule_name: str, *, event_bus_name: str = DEFAULT_BUS) -> list[Target]:
        """List the targets of a rule. Raises `NotFoundError` when there is no such bus or rule."""
        return list(self._rules(event_bus_name)[rule_name].targets)

    def rule(
        self,
        event_pattern: Pattern | Mapping[str, Any] | str | bytes,
        *,
        name: str | None = None,
        event_bus_name: str = DEFAULT_BUS,
        state: RuleState = "ENABLED",
        description: str = "",
        **options: Unpack[TargetOptions],
    ) -> Callable[[F], F]:
        """Make the decorated function the target of a new rule.

        Sugar for `put_rule` and `put_targets` with one `FunctionTarget`, whose id is the rule's name. A function that
        is declared with `EventRouter.function` is invoked instead, by its `target`. What is decorated is returned
        unchanged.

        Args:
            event_pattern: Which events.
            name: Name of the rule; by default the function's.
            event_bus_name: The bus.
            state: `ENABLED` or `DISABLED`.
            description: For people; by default the first line of the function's docstring.
            options: `retry_policy`, `dead_letter_queue`, `on_failure` and the other options of a `Target`.

        Raises:
            ConflictError: There is a rule of that name.
            PatternError, InvalidRuleError, NotFoundError: As `put_rule` and `FunctionTarget`; nothing was added.
        """

        def decorate(function: F) -> F:
            rule_name = name if name is not None else function.__name__
            if rule_name in self._rules(event_bus_name):
                raise ConflictError(
                    f"Rule {rule_name} already exists on {event_bus_name}; pass name= to tell them apart."
                )
            target: Target
            if isinstance(function, MakesTarget):
                target = function.target(id=rule_name, **options)
            else:
                target = FunctionTarget(id=rule_name, function=function, **options)
            self.put_rule(rule_name, event_pattern, state=state, description=description, event_bus_name=event_bus_name)
            self.put_targets(rule_name, [target], event_bus_name=event_bus_name)
            return function

        return decorate

    def on(self, model: type[Any], /, **fields: Any) -> Callable[[F], F]:
        """Make the decorated function the target of a new rule for events whose detail is a pydantic model.

        ::

            @router.on(OrderPlaced, total=gt(100))
            async def flag_large_order(order: OrderPlaced) -> None: ...

        Sugar for `rule(event_pattern(model, **fields))`, which see for what *fields* may be. Write that out to give the
        rule a name, a retry policy or any other option.

        Raises:
            PatternError: The model has no such field, or a test is not one; nothing was added.
            ConflictError: There is a rule of the function's name.
        """
        return self.rule(event_pattern(model, **fields))

    def explain(self, event: Event | Mapping[str, Any], *, event_bus_name: str = DEFAULT_BUS) -> list[RuleExplanation]:
        """Tell of every rule of a bus why it does or does not match an event: those that match first, then the nearest.

        Those without a pattern are left out.

        Args:
            event: An event, or one as data with EventBridge's keys.
            event_bus_name: The bus.

        Raises:
            NotFoundError: There is no such bus.
            InvalidEventError: The event is not a mapping, or has a NaN.
        """
        return self._rules(event_bus_name).explain(event.to_dict() if isinstance(event, Event) else event)

    def _authorize(self, event: Event, event_bus_name: str, principal: str | None) -> None:
        """Raise `InvalidEventError` when the bus has a policy by which *principal* may not put *event* on it."""
        policy = self._policies.get(event_bus_name)
        if policy is None:
            return
        denial = policy.authorize(
            action="events:PutEvents",
            resource=event_bus_name,
            principal=principal,
            source=event.source,
            detail_type=event.detail_type,
        )
        if denial is not None:
            raise InvalidEventError(denial.error_message, denial.error_code)

    def _is_declared(self, subscription: Subscription) -> bool:
        """Say whether there is such a target now."""
        bus, rule, target_id = subscription
        rules = self._buses.get(bus)
        return rules is not None and rule in rules and any(target.id == target_id for target in rules[rule].targets)

    def _rules(self, event_bus_name: str) -> RuleSet:
        try:
            return self._buses[event_bus_name]
        except (KeyError, TypeError):
            raise NotFoundError(f"Event bus {event_bus_name} does not exist.") from None
