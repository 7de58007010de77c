"""Schedules in a rules file, in the keys of EventBridge Scheduler's `CreateSchedule`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import pydantic

from eventrouter.abc import Target
from eventrouter.errors import InvalidRuleError, ScheduleExpressionError
from eventrouter.event import EventEntry
from eventrouter.names import check_name
from eventrouter.router import EventRouter
from eventrouter.schedules import Missed, ScheduleExpression
from eventrouter.scheduling import DEFAULT_GROUP, ActionAfterCompletion, Schedule
from eventrouter.target_declarations import (
    DeadLetterConfig,
    Declaration,
    RetryPolicyDeclaration,
    SqsParameters,
    TargetDeclaration,
    TargetMaker,
)
from eventrouter.targets.function import FunctionTarget
from eventrouter.transform import Input

#: What Scheduler puts in the place of its context attributes (user guide, "Adding context attributes").
_ATTRIBUTES: Final = {
    "<aws.scheduler.scheduled-time>": ("scheduledTime", "$.time"),
    "<aws.scheduler.schedule-arn>": ("scheduleArn", "$.resources[0]"),
    "<aws.scheduler.execution-id>": ("executionId", "$.id"),
}
_ATTRIBUTE: Final = re.compile(r"<aws\.scheduler\.[^>]*>")


class FlexibleTimeWindowDeclaration(Declaration):
    """Within how long a schedule may fire."""

    mode: Literal["OFF", "FLEXIBLE"]
    maximum_window_in_minutes: Annotated[int, pydantic.Field(ge=1, le=1_440)] | None = None


class EventBridgeParameters(Declaration):
    """As what event a schedule's `Input` is put on a bus."""

    detail_type: str
    source: str


class ScheduleTargetDeclaration(Declaration):
    """The target of a schedule as AWS writes it. What only tells AWS how to reach a service is read and not used."""

    arn: Annotated[str, pydantic.Field(min_length=1)]
    input: str | None = None
    retry_policy: RetryPolicyDeclaration = RetryPolicyDeclaration()
    dead_letter_config: DeadLetterConfig | None = None
    sqs_parameters: SqsParameters | None = None
    event_bridge_parameters: EventBridgeParameters | None = None
    role_arn: Any = None
    ecs_parameters: Any = None
    kinesis_parameters: Any = None
    sage_maker_pipeline_parameters: Any = None


class ScheduleDeclaration(Declaration):
    """A schedule as AWS writes it, and `Missed`, which AWS has not: what becomes of occurrences that were missed."""

    name: str
    group_name: str = DEFAULT_GROUP
    schedule_expression: str
    schedule_expression_timezone: str = "UTC"
    start_date: datetime | str | None = None
    end_date: datetime | str | None = None
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    description: str = ""
    flexible_time_window: FlexibleTimeWindowDeclaration | None = None
    missed: Missed = "once"
    action_after_completion: ActionAfterCompletion = "NONE"
    target: ScheduleTargetDeclaration
    arn: Any = None
    client_token: Any = None
    kms_key_arn: Any = None
    creation_date: Any = None
    last_modification_date: Any = None

    @cached_property
    def parsed_expression(self) -> ScheduleExpression:
        """When it fires.

        Raises:
            InvalidRuleError: The expression, its time zone or period is wrong; says where.
        """
        start, end = _instant("$.StartDate", self.start_date), _instant("$.EndDate", self.end_date)
        try:
            return ScheduleExpression.parse(
                self.schedule_expression, self.schedule_expression_timezone, start, end, profile="scheduler"
            )
        except ScheduleExpressionError as error:
            place = {"timezone": "$.ScheduleExpressionTimezone", "period": "$.EndDate"}.get(
                error.code, "$.ScheduleExpression"
            )
            raise InvalidRuleError(error.problem, place, error.hint) from error

    @cached_property
    def declared_target(self) -> TargetDeclaration:
        """The target as that of a rule, which is called like the schedule.

        Raises:
            InvalidRuleError: Its input is wrong, or cannot be here; says where.
        """
        target = self.target
        declared: dict[str, Any] = {"Id": self.name, "Arn": target.arn, "RetryPolicy": target.retry_policy}
        declared |= {"DeadLetterConfig": target.dead_letter_config, "SqsParameters": target.sqs_parameters}
        if target.input is not None and _ATTRIBUTE.search(target.input):
            declared["InputTransformer"] = _with_attributes(target.input)
        else:
            declared["Input"] = target.input
        made = TargetDeclaration.model_validate(declared)
        try:
            _ = made.shaped_input
        except InvalidRuleError as error:
            raise InvalidRuleError(error.reason, "$.Target.Input", error.hint) from error
        return made

    @cached_property
    def window(self) -> timedelta | None:
        """Within how long after its occurrence it fires. Raises `InvalidRuleError` when that is not said."""
        window = self.flexible_time_window
        if window is None or window.mode == "OFF":
            return None
        if window.maximum_window_in_minutes is None:
            raise InvalidRuleError(
                "A FLEXIBLE window needs its length", "$.FlexibleTimeWindow", "add MaximumWindowInMinutes"
            )
        return timedelta(minutes=window.maximum_window_in_minutes)

    def check(self) -> None:
        """Raise `InvalidRuleError`, with its place, when the schedule could not be made."""
        for place, name in (("$.Name", self.name), ("$.GroupName", self.group_name)):
            try:
                check_name("schedule name", name)
            except InvalidRuleError as error:
                raise InvalidRuleError(error.reason, place, error.hint) from error
        _ = self.parsed_expression, self.window, self.declared_target
        if self.target.event_bridge_parameters is not None and self.declared_target.event_bus_name is None:
            raise InvalidRuleError(
                "EventBridgeParameters are for a target that is a bus",
                "$.Target.EventBridgeParameters",
                "leave them out, or write arn:aws:events:local:000000000000:event-bus/NAME as Arn",
            )

    def make(self, router: EventRouter, make_target: TargetMaker) -> Schedule:
        """Make the schedule. Raises what *make_target* raises."""
        return Schedule(
            name=self.name,
            schedule_expression=self.parsed_expression,
            target=self._target(router, make_target),
            group=self.group_name,
            state=self.state,
            description=self.description,
            flexible_time_window=self.window,
            missed=self.missed,
            action_after_completion=self.action_after_completion,
        )

    def _target(self, router: EventRouter, make_target: TargetMaker) -> Target:
        parameters, declared = self.target.event_bridge_parameters, self.declared_target
        bus = declared.event_bus_name
        if parameters is None or bus is None:
            return make_target(router, declared)

        async def put(detail: Any) -> EventEntry:
            return EventEntry(parameters.source, parameters.detail_type, detail, event_bus_name=bus)

        options = declared.options()
        options["input"] = declared.shaped_input or Input("{}")
        return FunctionTarget(id=declared.id, arn=declared.arn, function=put, **options)


def _instant(place: str, given: datetime | str | None) -> datetime | None:
    """Read an instant, in UTC unless it says otherwise."""
    try:
        read = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise InvalidRuleError(f"{given!r} is no instant", place, "write 2027-03-01T12:00:00Z") from None
    return read if read is None or read.tzinfo is not None else read.replace(tzinfo=UTC)


def _with_attributes(written: str) -> dict[str, Any]:
    """Make an input transformer of an input with context attributes.

    Raises:
        InvalidRuleError: There is one that no event has.
    """
    paths: dict[str, str] = {}

    def variable(match: re.Match[str]) -> str:
        if match[0] not in _ATTRIBUTES:
            known = ", ".join(_ATTRIBUTES)
            raise InvalidRuleError(f"There is no {match[0]} here", "$.Target.Input", f"there are {known}")
        name, path = _ATTRIBUTES[match[0]]
        paths[name] = path
        return f"<{name}>"

    return {"InputTemplate": _ATTRIBUTE.sub(variable, written), "InputPathsMap": paths}


def check_schedules(declared: Sequence[ScheduleDeclaration]) -> None:
    """Check the schedules of a file, each by itself and all of them together.

    Raises:
        InvalidRuleError: One is not usable, or there are two of one name in a group; says where.
    """
    seen: set[tuple[str, str]] = set()
    for index, schedule in enumerate(declared):
        place = f"$.Schedules[{index}]"
        try:
            schedule.check()
        except InvalidRuleError as error:
            raise InvalidRuleError(error.reason, place + error.path[1:], error.hint) from error
        if (schedule.group_name, schedule.name) in seen:
            raise InvalidRuleError(
                f"There are two schedules {schedule.name} in group {schedule.group_name}",
                f"{place}.Name",
                "give one another name",
            )
        seen.add((schedule.group_name, schedule.name))
