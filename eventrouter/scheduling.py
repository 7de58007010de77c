"""Schedules of a router: declared, grouped, changed and removed, on rules and by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, TypeAlias, TypeVar, Unpack

import msgspec

from eventrouter._ids import new_ids
from eventrouter._plan import Plan
from eventrouter._scheduler import Scheduler
from eventrouter.abc import Target, TargetOptions
from eventrouter.buses import EventBuses
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.errors import ConflictError, InvalidRuleError, NotFoundError
from eventrouter.event import Event
from eventrouter.names import SCHEDULE_GROUP, check_name, rule_arn
from eventrouter.records import Accepted, Subscription
from eventrouter.rules import RuleState
from eventrouter.schedules import Missed, ScheduleExpression
from eventrouter.targets.function import FunctionTarget

#: What becomes of a schedule that has no occurrence left.
ActionAfterCompletion: TypeAlias = Literal["NONE", "DELETE"]

DEFAULT_GROUP: Final = "default"

_SHORTEST_WINDOW: Final = timedelta(minutes=1)  # EventBridge Scheduler, `MaximumWindowInMinutes`
_LONGEST_WINDOW: Final = timedelta(minutes=1_440)

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule with a target of its own (EventBridge Scheduler, CreateSchedule).

    Its target receives an event `Scheduled Event` from `aws.events` with an empty detail, whose `time` is the instant
    that was meant, or what the target's `input` makes of it.

    Attributes:
        name: Unique in its group; 1 to 64 of letters, digits and `. - _`.
        schedule_expression: When; with its time zone, start and end.
        target: Who receives the event, with its retry policy and its dead-letter queue.
        group: The group.
        state: A `DISABLED` schedule does not fire, and makes up for nothing when it is enabled.
        description: For people.
        flexible_time_window: Within how long after the instant that is meant the event comes, 1 to 1,440 minutes:
            somewhere, at random, and before the next one; None for right then.
        missed: What becomes of occurrences that could not be fired for within a minute, since no process ran or the
            clock was set: `once` fires late for the latest of them, unless a new one is due too; `skip` for none;
            `all` for each, of the latest 1,000.
        action_after_completion: `DELETE` removes the schedule when no occurrence is left.

    Raises:
        InvalidRuleError: One of them is not usable as written.
    """

    name: str
    schedule_expression: ScheduleExpression
    target: Target
    group: str = DEFAULT_GROUP
    state: RuleState = "ENABLED"
    description: str = ""
    flexible_time_window: timedelta | None = None
    missed: Missed = "once"
    action_after_completion: ActionAfterCompletion = "NONE"

    def __post_init__(self) -> None:
        check_name("schedule name", self.name)
        check_name("schedule group name", self.group)
        if not isinstance(self.schedule_expression, ScheduleExpression):
            self._refuse("schedule_expression", "use ScheduleExpression.parse(...)")
        if not isinstance(self.target, Target):
            self._refuse("target", "use a Target")
        window = self.flexible_time_window
        if window is not None and not (isinstance(window, timedelta) and _SHORTEST_WINDOW <= window <= _LONGEST_WINDOW):
            self._refuse("flexible_time_window", "use a timedelta of 1 to 1,440 minutes, or None")
        self._check_choice("state", ("ENABLED", "DISABLED"))
        self._check_choice("missed", ("once", "skip", "all"))
        self._check_choice("action_after_completion", ("NONE", "DELETE"))

    def _check_choice(self, name: str, choices: Sequence[str]) -> None:
        if getattr(self, name) not in choices:
            self._refuse(name, f"use {' or '.join(choices)}")

    def _refuse(self, name: str, hint: str) -> None:
        raise InvalidRuleError(f"{name} of schedule {self.name} is {getattr(self, name)!r}", hint=hint)

    @property
    def subscription(self) -> Subscription:
        """Under which its deliveries are found: in the ledger, in statistics, and in dead letters."""
        return Subscription(f"{SCHEDULE_GROUP}{self.group}", self.name, self.target.id)


class Schedules(EventBuses):
    """What a router can do about schedules (EventBridge Scheduler user guide).

    They fire while the router runs, each occurrence once, however many processes share the store: an occurrence is
    remembered there in the transaction that accepts its event. All may be changed at any time. A schedule whose
    expression, time zone or start is changed begins anew; any other change goes on from where it was. While the router
    runs, changes raise `BusClosedError` in another event loop, or in a thread.
    """

    account: str
    region: str
    _dispatcher: Dispatcher
    _scheduler: Scheduler

    def __init__(self) -> None:
        super().__init__()
        self._schedules: dict[tuple[str, str], Schedule] = {}  # by group and name
        self._schedule_groups = {DEFAULT_GROUP: None}

    # -- declaring -----------------------------------------------------------------------------------------------

    def schedule(
        self,
        schedule_expression: ScheduleExpression | str,
        *,
        timezone: str = "UTC",
        start: datetime | None = None,
        end: datetime | None = None,
        flexible_time_window: timedelta | None = None,
        missed: Missed = "once",
        action_after_completion: ActionAfterCompletion = "NONE",
        name: str | None = None,
        group: str = DEFAULT_GROUP,
        state: RuleState = "ENABLED",
        description: str = "",
        **options: Unpack[TargetOptions],
    ) -> Callable[[F], F]:
        """Call the decorated function on a schedule.

        ::

            @router.schedule("cron(0 18 ? * MON-FRI *)", timezone="Europe/London")
            async def stop_instances(event: Event) -> None: ...

        Sugar for `put_schedule` with one `FunctionTarget`, whose id is the schedule's name. The function itself is
        returned unchanged.

        Args:
            schedule_expression: `cron(...)`, `rate(...)`, `at(...)` or `unix("...")`; see `ScheduleExpression.parse`,
                which also takes *timezone*, *start* and *end*. Without a *start*, `rate` counts from when it was put.
            timezone: An IANA name.
            start: Nothing happens before.
            end: Nothing happens after.
            flexible_time_window: See `Schedule`, as for the following.
            missed: What becomes of missed occurrences: `once`, `skip` or `all`.
            action_after_completion: `NONE` or `DELETE`.
            name: Name of the schedule; by default the function's.
            group: Its group.
            state: `ENABLED` or `DISABLED`.
            description: For people.
            options: `retry_policy`, `dead_letter_queue`, `input` and the other options of a `Target`.

        Raises:
            ScheduleExpressionError: The expression is not understood: what is wrong, where, and what to write instead.
            ConflictError: There is a schedule of that name in the group.
            InvalidRuleError, NotFoundError: As `Schedule`, `FunctionTarget` and `put_schedule`; nothing was added.
        """
        if isinstance(schedule_expression, ScheduleExpression):
            if timezone != "UTC" or start is not None or end is not None:
                raise InvalidRuleError(
                    "timezone, start and end are those of the ScheduleExpression", hint="give them to its parse"
                )
            expression = schedule_expression
        else:
            expression = ScheduleExpression.parse(schedule_expression, timezone, start, end)

        def decorate(function: F) -> F:
            schedule_name = name if name is not None else function.__name__
            if (group, schedule_name) in self._schedules:
                raise ConflictError(
                    f"Schedule {schedule_name} already exists in {group}; pass name= to tell them apart."
                )
            schedule = Schedule(
                name=schedule_name,
                schedule_expression=expression,
                target=FunctionTarget(id=schedule_name, function=function, **options),
                group=group,
                state=state,
                description=description,
                flexible_time_window=flexible_time_window,
                missed=missed,
                action_after_completion=action_after_completion,
            )
            self.put_schedule(schedule)
            return function

        return decorate

    def put_schedule(self, schedule: Schedule) -> None:
        """Add a schedule, or replace the one of that name (EventBridge Scheduler, CreateSchedule, UpdateSchedule).

        Raises:
            NotFoundError: There is no such group; nothing has changed.
        """
        self._refuse_elsewhere()
        if schedule.group not in self._schedule_groups:
            raise NotFoundError(f"Schedule group {schedule.group} does not exist.")
        old = self._schedules.get((schedule.group, schedule.name))
        if old is not None and old.target.id != schedule.target.id:
            self._target_was_removed(old.subscription)
        self._schedules[schedule.group, schedule.name] = schedule
        self._target_was_put(schedule.subscription, schedule.target)
        self._plan(schedule)

    def remove_schedule(self, name: str, *, group: str = DEFAULT_GROUP) -> None:
        """Remove a schedule and forget what it fired for; what it has sent is delivered while the router runs.

        In other processes that share the store it goes on until it is removed there, too.

        Raises:
            NotFoundError: There is no such schedule.
        """
        self._refuse_elsewhere()
        self._drop(self.get_schedule(name, group=group), forget=True)

    def get_schedule(self, name: str, *, group: str = DEFAULT_GROUP) -> Schedule:
        """Give a schedule. Raises `NotFoundError` when there is none of that name in the group."""
        try:
            return self._schedules[group, name]
        except KeyError:
            raise NotFoundError(f"Schedule {name} does not exist in group {group}.") from None

    def list_schedules(self, *, group: str | None = None) -> list[Schedule]:
        """List the schedules of a group, or all, in the order they were added; those of rules are in `list_rules`."""
        return [schedule for schedule in self._schedules.values() if group in (None, schedule.group)]

    def enable_schedule(self, name: str, *, group: str = DEFAULT_GROUP) -> None:
        """Let a schedule fire again, from now on. Raises `NotFoundError` when there is no such schedule."""
        self.put_schedule(replace(self.get_schedule(name, group=group), state="ENABLED"))

    def disable_schedule(self, name: str, *, group: str = DEFAULT_GROUP) -> None:
        """Let a schedule not fire. Raises `NotFoundError` when there is no such schedule."""
        self.put_schedule(replace(self.get_schedule(name, group=group), state="DISABLED"))

    def add_schedule_group(self, name: str) -> None:
        """Add a group.

        Raises:
            InvalidRuleError: The name is not 1 to 64 of letters, digits and `. - _`.
            ConflictError: There is one of that name.
        """
        self._refuse_elsewhere()
        check_name("schedule group name", name)
        if name in self._schedule_groups:
            raise ConflictError(f"Schedule group {name} already exists.")
        self._schedule_groups[name] = None

    def remove_schedule_group(self, name: str) -> None:
        """Remove a group with all its schedules (EventBridge Scheduler, DeleteScheduleGroup).

        Raises:
            NotFoundError: There is no such group.
            ConflictError: It is the default group.
        """
        self._refuse_elsewhere()
        if name == DEFAULT_GROUP:
            raise ConflictError("The default schedule group cannot be deleted.")
        if name not in self._schedule_groups:
            raise NotFoundError(f"Schedule group {name} does not exist.")
        for schedule in self.list_schedules(group=name):
            self._drop(schedule, forget=True)
        del self._schedule_groups[name]

    def list_schedule_groups(self) -> list[str]:
        """Name the groups, the default one first."""
        return list(self._schedule_groups)

    # -- planning ------------------------------------------------------------------------------------------------

    def _plan_all(self) -> None:
        """Plan everything anew, with a scheduler that knows of nothing."""
        for schedule in self.list_schedules():
            self._plan(schedule)
        for bus in self.list_event_buses():
            for rule in self.list_rules(event_bus_name=bus):
                self._rule_was_changed(bus, rule.name)

    def _plan(self, schedule: Schedule) -> None:
        bus, name, _ = schedule.subscription
        if schedule.state == "DISABLED":
            self._scheduler.disable(f"{bus}/{name}")
            return
        self._scheduler.put(
            Plan(
                name=f"{bus}/{name}",
                expression=schedule.schedule_expression,
                missed=schedule.missed,
                window=schedule.flexible_time_window,
                make=partial(self._occurrence, bus, name, (schedule.target,)),
                completed=partial(self._completed, schedule),
            )
        )

    def _completed(self, schedule: Schedule) -> None:
        if schedule.action_after_completion == "DELETE":
            # What it fired for stays in the store: another process may be about to fire for the same.
            self._drop(schedule, forget=False)

    def _drop(self, schedule: Schedule, *, forget: bool) -> None:
        del self._schedules[schedule.group, schedule.name]
        bus, name, _ = schedule.subscription
        self._scheduler.remove(f"{bus}/{name}", forget=forget)
        self._target_was_removed(schedule.subscription)

    def _rule_was_changed(self, event_bus_name: str, name: str) -> None:
        rules = self._rules(event_bus_name)
        plan_name = f"rule/{event_bus_name}/{name}"
        rule = rules[name] if name in rules else None  # noqa: SIM401 - a RuleSet has no `get`
        if rule is None or rule.schedule_expression is None:
            self._scheduler.remove(plan_name, forget=True)
        elif rule.state == "DISABLED":
            self._scheduler.disable(plan_name)
        else:
            self._scheduler.put(
                Plan(
                    name=plan_name,
                    expression=rule.schedule_expression,
                    missed="once",
                    window=None,
                    make=partial(self._occurrence_of_rule, event_bus_name, name),
                    completed=_nothing,
                )
            )

    def _occurrence_of_rule(self, event_bus_name: str, name: str, slot: datetime, at: datetime) -> tuple[Accepted, ...]:
        return self._occurrence(event_bus_name, name, self._rules(event_bus_name)[name].targets, slot, at)

    def _occurrence(
        self, bus: str, name: str, targets: Sequence[Target], slot: datetime, at: datetime
    ) -> tuple[Accepted, ...]:
        """Make the event of an occurrence. No backlog limit holds it up, but a target that sheds is left out."""
        receivers = [Subscription(bus, name, target.id) for target in targets]
        shed = {
            receiver
            for receiver, target in zip(receivers, targets, strict=True)
            if target.when_full == "shed" and not self._dispatcher.has_room(receiver)
        }
        if not receivers:
            return ()
        event = Event(
            id=new_ids(1)[0],
            detail_type="Scheduled Event",
            source="aws.events",
            account=self.account,
            time=slot.replace(microsecond=0),
            region=self.region,
            resources=(rule_arn(bus, name, region=self.region, account=self.account),),
            detail_json=_EMPTY,
        )
        kept = tuple(receiver for receiver in receivers if receiver not in shed)
        skipped = tuple(receiver for receiver in receivers if receiver in shed)
        return (Accepted(event, at, kept, skipped=skipped, event_bus_name=bus),)

    def _is_declared(self, subscription: Subscription) -> bool:
        bus, name, target_id = subscription
        if bus.startswith(SCHEDULE_GROUP):
            schedule = self._schedules.get((bus.removeprefix(SCHEDULE_GROUP), name))
            return schedule is not None and schedule.target.id == target_id
        return super()._is_declared(subscription)


_EMPTY: Final = msgspec.Raw(b"{}")


def _nothing() -> None:
    """Do nothing: a rule stays when its schedule has ended."""
