"""Schedules in rules files, in EventBridge Scheduler's keys."""

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from typer.testing import CliRunner

from eventrouter import (
    BusTarget,
    Event,
    EventRouter,
    FunctionTarget,
    InvalidRuleError,
    LogTarget,
    QueueTarget,
    ScheduleExpression,
)
from eventrouter.cli import app
from eventrouter.declarations import load_expressions, load_rules
from tests.support import NOON
from tests.virtual_time import LoopClock

FUNCTION = "arn:aws:lambda:local:000000000000:function:report"
FULL = {
    "Name": "report",
    "GroupName": "nightly",
    "ScheduleExpression": "cron(0 22 * * ? *)",
    "ScheduleExpressionTimezone": "Europe/London",
    "StartDate": "2026-03-01T00:00:00+01:00",
    "EndDate": "2027-03-01T00:00:00",
    "State": "DISABLED",
    "Description": "What the day brought",
    "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
    "Missed": "all",
    "ActionAfterCompletion": "DELETE",
    "KmsKeyArn": "arn:aws:kms:::key",
    "Target": {
        "Arn": FUNCTION,
        "RoleArn": "arn:aws:iam:::role/x",
        "Input": '{"kind": "daily"}',
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 7},
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:local:000000000000:lost"},
    },
}
LEAST = {"Name": "s", "ScheduleExpression": "rate(10 minutes)", "Target": {"Arn": FUNCTION}}


@pytest.fixture
def load(tmp_path):
    def load(document):
        path = tmp_path / "rules.json"
        path.write_text(json.dumps(document))
        return load_rules(path)

    return load


def calling(function):
    """Give a maker of targets that call *function*, but for buses."""

    def make(router, declared):
        if declared.event_bus_name is not None:
            return BusTarget(id=declared.id, router=router, event_bus_name=declared.event_bus_name)
        return FunctionTarget(id=declared.id, arn=declared.arn, function=function, **declared.options())

    return make


async def ignore(event: dict) -> None: ...


def test_all_of_a_schedule_is_read(load):
    router = EventRouter()
    router.create_queue("lost")
    load({"Schedules": [FULL]}).install(router, calling(ignore))
    [schedule] = router.list_schedules(group="nightly")
    assert schedule.schedule_expression == ScheduleExpression.parse(
        "cron(0 22 * * ? *)",
        "Europe/London",
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2027, 3, 1, tzinfo=UTC),
    )
    assert (schedule.name, schedule.state, schedule.description) == ("report", "DISABLED", "What the day brought")
    assert (schedule.missed, schedule.action_after_completion) == ("all", "DELETE")
    assert schedule.flexible_time_window == timedelta(minutes=15)
    target = schedule.target
    assert (target.id, target.arn) == ("report", FUNCTION)
    assert target.retry_policy.maximum_retry_attempts == 7
    assert target.retry_policy.maximum_event_age == timedelta(hours=1)
    assert isinstance(target.dead_letter_queue, QueueTarget)


def test_the_least_of_a_schedule_has_defaults(load):
    router = EventRouter()
    windows = [{}, {"FlexibleTimeWindow": {"Mode": "OFF"}}]
    schedules = [LEAST | window | {"Name": f"s{n}"} for n, window in enumerate(windows)]
    load({"Rules": [], "Schedules": schedules}).install(router, lambda router, declared: LogTarget(id=declared.id))
    for schedule in router.list_schedules(group="default"):
        assert (schedule.state, schedule.missed, schedule.flexible_time_window) == ("ENABLED", "once", None)


def test_toml_has_instants_of_its_own(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[Schedules]]\nName = "s"\nScheduleExpression = "rate(1 hour)"\nStartDate = 2026-03-01T12:00:00Z\n'
        'EndDate = 2026-03-02T12:00:00\nTarget = {Arn = "arn:x"}\n'
    )
    [expression] = load_expressions(path)
    assert (expression.start, expression.end) == (NOON, NOON + timedelta(days=1))


async def test_schedules_of_a_file_fire_and_may_tell_of_their_instant(load):
    seen, router = [], EventRouter(clock=LoopClock())
    text = '{"at": "<aws.scheduler.scheduled-time>", "for": "<aws.scheduler.schedule-arn>"}'

    async def report(given: dict) -> None:
        seen.append(given)

    load({"Schedules": [LEAST | {"Target": {"Arn": FUNCTION, "Input": text}}]}).install(router, calling(report))
    async with router:
        await anyio.sleep(601)
    assert seen == [
        {"at": f"2026-03-01T12:{minute}:00Z", "for": "arn:aws:scheduler:local:000000000000:schedule/default/s"}
        for minute in ("00", "10")
    ]


@pytest.mark.parametrize(("given", "detail"), [({"Input": '{"n": 1}'}, {"n": 1}), ({}, {})])
async def test_a_schedule_may_put_an_event_on_a_bus(load, given, detail):
    seen, router = [], EventRouter(clock=LoopClock())
    target = {
        "Arn": "arn:aws:events:local:000000000000:event-bus/orders",
        "EventBridgeParameters": {"DetailType": "Report Due", "Source": "shop.reports"},
        **given,
    }
    load({"Schedules": [LEAST | {"Target": target}]}).install(router, calling(ignore))

    @router.rule({"source": ["shop.reports"]}, event_bus_name="orders")
    async def take(event: Event) -> None:
        seen.append((event.detail_type, event.detail))

    async with router:
        await anyio.sleep(1)
        await router.settle_down()
    assert seen == [("Report Due", detail)]


async def test_a_bus_without_parameters_is_handed_the_event_of_the_schedule(load):
    seen, router = [], EventRouter(clock=LoopClock())
    target = {"Arn": "arn:aws:events:local:000000000000:event-bus/orders"}
    load({"Schedules": [LEAST | {"Target": target}]}).install(router, calling(ignore))

    @router.rule({"source": ["aws.events"]}, event_bus_name="orders")
    async def take(event: Event) -> None:
        seen.append(event.detail_type)

    async with router:
        await anyio.sleep(1)
        await router.settle_down()
    assert seen == ["Scheduled Event"]


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        ({"ScheduleExpression": "cron(0 0 1 * 1 *)"}, "$.Schedules[0].ScheduleExpression", "day-of-week"),
        ({"ScheduleExpressionTimezone": "Mars/Base"}, "$.Schedules[0].ScheduleExpressionTimezone", "Mars/Base"),
        ({"StartDate": "soon"}, "$.Schedules[0].StartDate", "'soon' is no instant"),
        ({"EndDate": "tomorrow"}, "$.Schedules[0].EndDate", "'tomorrow' is no instant"),
        ({"StartDate": "2027-01-01", "EndDate": "2026-01-01"}, "$.Schedules[0].EndDate", "is before its start"),
        ({"Name": "a b"}, "$.Schedules[0].Name", "'a b'"),
        ({"GroupName": "a/b"}, "$.Schedules[0].GroupName", "'a/b'"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "$.Schedules[0].FlexibleTimeWindow", "add MaximumWindowIn"),
        ({"FlexibleTimeWindow": {"Mode": "ON"}}, "$.Schedules[0].FlexibleTimeWindow.Mode", "'OFF' or 'FLEXIBLE'"),
        ({"FlexibleTimeWindow": {"Mod": "OFF"}}, "$.Schedules[0].FlexibleTimeWindow.Mod", 'did you mean "Mode"?'),
        ({"Missed": "never"}, "$.Schedules[0].Missed", "'once', 'skip' or 'all'"),
        ({"Timezone": "UTC"}, "$.Schedules[0].Timezone", "the keys here are Name, GroupName"),
        ({"Target": {"Arn": ""}}, "$.Schedules[0].Target.Arn", "at least 1 character"),
        ({"Target": {"Arn": "a", "Inputs": "{}"}}, "$.Schedules[0].Target.Inputs", 'did you mean "Input"?'),
        ({"Target": {"Arn": "a", "Input": "{"}}, "$.Schedules[0].Target.Input", "JSON"),
        (
            {"Target": {"Arn": "a", "Input": '"<aws.scheduler.attempt-number>"'}},
            "$.Schedules[0].Target.Input",
            "There is no <aws.scheduler.attempt-number> here",
        ),
        (
            {"Target": {"Arn": "a", "EventBridgeParameters": {"DetailType": "t", "Source": "s"}}},
            "$.Schedules[0].Target.EventBridgeParameters",
            "are for a target that is a bus",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(load, changes, place, reason):
    with pytest.raises(InvalidRuleError) as caught:
        load({"Schedules": [LEAST | changes]})
    assert reason in str(caught.value)
    assert caught.value.path == place


def test_two_schedules_of_one_name_are_refused(load):
    load({"Schedules": [LEAST, LEAST | {"GroupName": "other"}]})
    with pytest.raises(InvalidRuleError, match=r"two schedules s in group default at \$.Schedules\[1\].Name"):
        load({"Schedules": [LEAST, LEAST]})


def test_a_target_that_cannot_be_made_is_named_and_nothing_is_put(load):
    def refuse(router, declared):
        raise InvalidRuleError("There is no such function", "$.Arn")

    router = EventRouter()
    with pytest.raises(InvalidRuleError, match=r"no such function at \$.Schedules\[1\].Target.Arn"):
        load({"Schedules": [LEAST, LEAST | {"Name": "t"}]}).install(
            router, lambda router, declared: refuse(router, declared) if declared.id == "t" else LogTarget(id="s")
        )
    assert router.list_schedules() == []


def test_collisions_count_the_schedules_of_a_file(tmp_path):
    rules = [{"Name": "r", "ScheduleExpression": "cron(0 0 * * ? *)"}]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"Rules": rules, "Schedules": [LEAST | {"ScheduleExpression": "cron(0 0/12 * * ? *)"}]}))
    result = CliRunner().invoke(app, ["schedule", "collisions", str(path), "--from", "2026-03-01T12:30"])
    assert result.stdout == "2 schedules at 2026-03-02 00:00 UTC\n"
