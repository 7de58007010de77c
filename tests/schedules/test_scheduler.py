"""Schedules that fire: when, for whom, once, and what becomes of what was missed."""

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from eventrouter import (
    ConflictError,
    Event,
    EventRouter,
    FunctionTarget,
    Input,
    InvalidRuleError,
    MemoryStore,
    NotFoundError,
    RetryPolicy,
    Schedule,
    ScheduleExpression,
    ScheduleExpressionError,
)
from eventrouter.records import Occurrence
from tests.support import NOON, Scripted, Steps, seconds
from tests.virtual_time import LoopClock

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class SetClock(LoopClock):
    """Virtual time, and somebody who sets the clock."""

    def __init__(self, offset=timedelta(0)):
        super().__init__()
        self.offset = offset

    def now(self):
        return super().now() + self.offset


class Log:
    """Keeps for what instants a function was called, and when."""

    def __init__(self, clock=None):
        self.times, self.at, self.clock = [], [], clock

    async def __call__(self, event: Event):
        self.times.append(event.time)
        self.at.append(anyio.current_time())

    @property
    def clock_times(self):
        return [f"{time:%d %H:%M}" for time in self.times]


def minutes(*numbers):
    return [NOON + number * MINUTE for number in numbers]


def scheduled(expression, log, *, router=None, **options):
    """Give a router with one schedule, called `s`."""
    router = router or EventRouter(clock=LoopClock())
    router.schedule(expression, name="s", **options)(log)
    return router


async def test_a_schedule_calls_its_function_when_it_is_due():
    log, events = Log(), []
    router = scheduled("cron(0/15 * * * ? *)", log)

    @router.schedule("cron(30 12 * * ? *)", timezone="Europe/London")
    async def at_half_past(event: Event):
        events.append(event)

    async with router:
        await anyio.sleep(3601)
    assert log.times == minutes(15, 30, 45, 60)
    assert log.at == [log.at[0] + 900 * n for n in range(4)]
    [event] = events
    assert (event.source, event.detail_type, event.detail) == ("aws.events", "Scheduled Event", {})
    assert event.resources == ("arn:aws:scheduler:local:000000000000:schedule/default/at_half_past",)
    assert event.time == NOON + 30 * MINUTE


async def test_a_rate_counts_from_its_creation_and_goes_on_after_a_pause():
    log, clock, store = Log(), SetClock(seconds(20)), MemoryStore()
    router = scheduled("rate(5 minutes)", log, router=EventRouter(store, clock=clock))
    async with router:
        await anyio.sleep(601)
    first = NOON + seconds(20)
    assert log.times == [first, first + 5 * MINUTE, first + 10 * MINUTE]
    await anyio.sleep(400)
    async with scheduled("rate(5 minutes)", log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(601)
    # Late for the latest that was missed, and then in step.
    assert log.times[3:] == [first + n * MINUTE for n in (15, 20, 25)]


async def test_a_rate_with_a_start_counts_from_there():
    log = Log()
    async with scheduled("rate(7 minutes)", log, start=NOON + 3 * MINUTE, end=NOON + 17 * MINUTE):
        await anyio.sleep(3601)
    assert log.times == minutes(3, 10, 17)


async def test_a_time_that_clocks_skip_is_skipped_and_one_that_comes_twice_counts_once():
    log = Log()
    clock = SetClock(datetime(2026, 3, 28, 12, tzinfo=UTC) - NOON)
    async with scheduled("cron(30 1 * * ? *)", log, timezone="Europe/London", router=EventRouter(clock=clock)):
        await anyio.sleep(3 * 86_400)
    assert log.clock_times == ["30 00:30", "31 00:30"]


async def test_a_rule_may_have_both_a_pattern_and_a_schedule():
    router, events = EventRouter(clock=LoopClock()), []
    router.put_rule("both", {"source": ["shop"]}, schedule_expression="cron(5 12 * * ? *)")
    router.put_rule("alone", schedule_expression=ScheduleExpression.parse("rate(1 hour)", start=NOON + MINUTE))
    router.put_rule("idle", schedule_expression="rate(1 minute)")

    async def receive(event: Event):
        events.append((event.source, event.resources))

    router.put_targets("both", [FunctionTarget(id="a", function=receive), FunctionTarget(id="b", function=receive)])
    router.put_targets("alone", [FunctionTarget(id="c", function=receive)])
    async with router:
        await router.forward_events(
            [Event.from_json(b'{"id":"1","detail-type":"x","source":"shop","time":"2026-01-01T00:00:00Z","detail":{}}')]
        )
        await router.settle_down()
        assert [source for source, _ in events] == ["shop", "shop"]
        events.clear()
        await anyio.sleep(601)
    arn = "arn:aws:events:local:000000000000:rule/"
    assert events == [("aws.events", (arn + "alone",)), *[("aws.events", (arn + "both",))] * 2]
    [explained] = router.explain({"source": "shop"})
    assert explained.rule.name == "both"


async def test_rules_stop_firing_when_they_are_disabled_changed_or_removed():
    log, router = Log(), EventRouter(clock=LoopClock())
    router.put_rule("r", schedule_expression="cron(* * * * ? *)")
    router.put_targets("r", [FunctionTarget(id="t", function=log)])
    async with router:
        await anyio.sleep(130)
        router.disable_rule("r")
        await anyio.sleep(181)
        router.enable_rule("r")
        await anyio.sleep(60)
        assert log.times == minutes(1, 2, 6)  # at 12:05:10 it was enabled; nothing is made up for
        router.put_rule("r", {"source": ["x"]})
        await anyio.sleep(120)
        router.put_rule("r", schedule_expression="cron(0/10 * * * ? *)")
        await anyio.sleep(301)
        assert log.times == minutes(1, 2, 6, 10)
        router.remove_targets("r", ["t"])
        router.remove_rule("r")
        await anyio.sleep(601)
    assert log.times == minutes(1, 2, 6, 10)
    with pytest.raises(InvalidRuleError, match="EventPattern or ScheduleExpression must be specified"):
        router.put_rule("r")
    with pytest.raises(ScheduleExpressionError):
        router.put_rule("r", schedule_expression="cron(0 1 * * * *)")
    assert router.list_rules() == []


async def test_schedules_may_be_changed_at_any_time():
    log, router = Log(), EventRouter(clock=LoopClock())
    async with router:
        scheduled("cron(0/10 * * * ? *)", log, router=router)
        await anyio.sleep(660)
        schedule = router.get_schedule("s")
        router.put_schedule(
            Schedule(
                name="s", schedule_expression=ScheduleExpression.parse("cron(0/3 * * * ? *)"), target=schedule.target
            )
        )
        await anyio.sleep(301)
        assert log.times == minutes(10, 12, 15)
        router.disable_schedule("s")
        await anyio.sleep(601)
        router.enable_schedule("s")
        await anyio.sleep(181)
        assert log.times == minutes(10, 12, 15, 27)
        other = Log()
        router.put_schedule(
            Schedule(
                name="s",
                schedule_expression=router.get_schedule("s").schedule_expression,
                target=FunctionTarget(id="other", function=other),
            )
        )
        await anyio.sleep(181)
        assert (log.times[4:], other.times) == ([], minutes(30))
        router.remove_schedule("s")
        await anyio.sleep(601)
        assert other.times == minutes(30)
    assert router.list_schedules() == []
    with pytest.raises(NotFoundError, match="Schedule s does not exist in group default"):
        router.remove_schedule("s")


async def test_a_schedule_that_is_removed_and_put_again_begins_anew():
    log, router, store = Log(), None, MemoryStore()
    router = scheduled("cron(0/10 * * * ? *)", log, router=EventRouter(store, clock=LoopClock()))
    async with router:
        await anyio.sleep(60)
        router.remove_schedule("s")
        await anyio.sleep(1200)
        scheduled("cron(0/10 * * * ? *)", log, router=router)
        await anyio.sleep(601)
        assert log.times == minutes(30)
        router.remove_schedule("s")
        await anyio.sleep(1)
    assert await store.last_fired() == {}


async def test_a_new_expression_makes_up_for_nothing():
    log, clock, store = Log(), LoopClock(), MemoryStore()
    async with scheduled("cron(30 12 * * ? *)", log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(3601)
    async with scheduled("cron(45 12 * * ? *)", log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(60)
    assert log.times == minutes(30)
    async with scheduled("cron(45 12 * * ? *)", log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(60)
    assert list(await store.last_fired()) == ["schedule/default/s cron(45 12 * * ? *) UTC"]


@pytest.mark.parametrize(
    ("missed", "fired"),
    [("once", [30, 40]), ("skip", [40]), ("all", [20, 30, 40])],
)
async def test_what_was_missed_while_no_process_ran(missed, fired, caplog):
    log, clock, store = Log(), LoopClock(), MemoryStore()
    async with scheduled("cron(0/10 * * * ? *)", log, missed=missed, router=EventRouter(store, clock=clock)):
        await anyio.sleep(660)
    await anyio.sleep(1500)  # it is 12:36
    async with scheduled("cron(0/10 * * * ? *)", log, missed=missed, router=EventRouter(store, clock=clock)):
        await anyio.sleep(301)
    async with scheduled("cron(0/10 * * * ? *)", log, missed=missed, router=EventRouter(store, clock=clock)):
        await anyio.sleep(60)
    assert log.times == minutes(10, *fired)
    assert "missed occurrences from 2026-03-01T12:20:00+00:00 to 2026-03-01T12:30:00+00:00" in caplog.text


async def test_what_is_due_as_a_router_begins_is_not_missed():
    log, clock, store = Log(), LoopClock(), MemoryStore()
    async with scheduled("cron(0/10 * * * ? *)", log, missed="skip", router=EventRouter(store, clock=clock)):
        await anyio.sleep(590)
    await anyio.sleep(50)
    async with scheduled("cron(0/10 * * * ? *)", log, missed="skip", router=EventRouter(store, clock=clock)):
        await anyio.sleep(1)
    assert log.times == minutes(10)


@pytest.mark.parametrize(("missed", "made_up_for"), [("once", [180]), ("skip", []), ("all", [60, 120, 180])])
async def test_a_clock_that_is_set_forward(missed, made_up_for):
    log, clock = Log(), SetClock()
    async with scheduled("cron(0 * * * ? *)", log, missed=missed, router=EventRouter(clock=clock)):
        await anyio.sleep(60)
        clock.offset += 3 * HOUR + 10 * MINUTE
        await anyio.sleep(20)
        assert log.times == minutes(*made_up_for)
        await anyio.sleep(3601)
    assert log.times == minutes(*made_up_for, 240)


@pytest.mark.parametrize("back", [HOUR, DAY])
async def test_nothing_fires_twice_when_the_clock_is_set_back(back):
    log, clock, store = Log(), SetClock(), MemoryStore()
    router = scheduled("cron(0/20 * * * ? *)", log, missed="all", router=EventRouter(store, clock=clock))
    async with router:
        await anyio.sleep(50 * 60)
        clock.offset -= back
        await anyio.sleep(back.total_seconds() / 2)
    async with router:
        await anyio.sleep(back.total_seconds() / 2 + 15 * 60)
    assert log.times == minutes(20, 40, 60)


async def test_what_fired_far_ahead_is_told_of(caplog):
    log, clock, store = Log(), SetClock(3 * DAY), MemoryStore()
    async with scheduled("cron(0/20 * * * ? *)", log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(1300)
    async with scheduled("cron(0/20 * * * ? *)", log, router=EventRouter(store, clock=LoopClock())):
        await anyio.sleep(1300)
    assert len(log.times) == 1
    assert (
        "Schedule schedule/default/s has fired for 2026-03-04T12:20:00+00:00, and does not before then" in caplog.text
    )


async def test_a_flexible_window_delays_within_it_and_alike_in_every_process():
    runs = []
    for seed in (1, 1, 2):
        log = Log()
        router = EventRouter(clock=LoopClock(), seed=seed)
        scheduled("cron(0 * * * ? *)", log, flexible_time_window=10 * MINUTE, router=router)
        begin = anyio.current_time()
        async with router:
            await anyio.sleep(24 * 3600)
        delays = [at - begin - (time - NOON).total_seconds() for at, time in zip(log.at, log.times, strict=True)]
        assert all(0 <= delay < 600 for delay in delays)
        assert len(set(delays)) > 10
        assert log.times == [NOON + n * HOUR for n in range(1, len(log.times) + 1)]
        runs.append([round(delay) for delay in delays])
    assert runs[0] == runs[1] != runs[2]


async def test_a_window_ends_before_the_next_occurrence():
    log = Log()
    async with scheduled("cron(* * * * ? *)", log, flexible_time_window=HOUR, missed="all"):
        await anyio.sleep(3601)
    assert log.times == minutes(*range(1, len(log.times) + 1))
    assert len(log.times) in {59, 60}


@pytest.mark.parametrize(("action", "left"), [("NONE", ["s"]), ("DELETE", [])])
async def test_a_schedule_that_has_ended_stays_or_goes(action, left):
    log = Log()
    router = scheduled("at(2026-03-01T12:10:00)", log, action_after_completion=action)
    async with router:
        await anyio.sleep(3601)
    assert log.times == minutes(10)
    assert [schedule.name for schedule in router.list_schedules()] == left
    assert router.closing_report.total.delivered == 1


async def test_schedules_have_their_own_target_with_retries_and_dead_letters():
    target = Scripted(
        id="t",
        script=[ValueError("no")] * 3,
        retry_policy=RetryPolicy(maximum_retry_attempts=1),
        input=Input('{"stop": 1}'),
    )
    router = EventRouter(clock=LoopClock())
    router.add_schedule_group("night")
    expression = ScheduleExpression.parse("at(2026-03-01T12:10:00)")
    router.put_schedule(Schedule(name="s", group="night", schedule_expression=expression, target=target))
    async with router:
        await anyio.sleep(3601)
        [letter] = await router.dead_letters()
        assert letter.queue == "schedule/night/s/t"
        assert letter.rule_arn == "arn:aws:scheduler:local:000000000000:schedule/night/s"
        target.script.clear()
        await router.redrive()
        await router.settle_down()
    assert [delivery.payload for delivery in target.seen] == [b'{"stop": 1}'] * 3
    assert router.closing_report.total.delivered == 1


async def test_a_full_target_that_sheds_is_left_out():
    async def never():
        await anyio.sleep_forever()

    target = Scripted(id="t", script=[never], maximum_backlog=1, when_full="shed", timeout=None)
    router = EventRouter(clock=LoopClock(), drain_timeout=seconds(1))
    router.put_schedule(
        Schedule(name="s", schedule_expression=ScheduleExpression.parse("cron(* * * * ? *)"), target=target)
    )
    async with router:
        await anyio.sleep(190)
        assert (await router.ledger()).total.skipped == 2


async def test_observers_are_told_of_events_of_schedules():
    steps, log = Steps(), Log()
    async with scheduled("at(2026-03-01T12:10:00)", log, router=EventRouter(clock=LoopClock(), observers=[steps])):
        await anyio.sleep(3601)
    assert steps.names[:4] == ["EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "RULE_MATCH_START", "RULE_MATCH"]
    assert {told.event_bus_name for told in steps.told} == {"schedule/default"}


def test_groups():
    router = EventRouter()
    router.add_schedule_group("night")
    scheduled("rate(1 day)", Log(), group="night", router=router)
    scheduled("rate(1 day)", Log(), router=router)
    assert router.list_schedule_groups() == ["default", "night"]
    assert [schedule.group for schedule in router.list_schedules()] == ["night", "default"]
    assert [schedule.name for schedule in router.list_schedules(group="night")] == ["s"]
    assert router._is_declared(router.get_schedule("s", group="night").subscription)
    with pytest.raises(ConflictError, match="already exists"):
        router.add_schedule_group("night")
    with pytest.raises(ConflictError, match="Schedule s already exists in night"):
        scheduled("rate(1 day)", Log(), group="night", router=router)
    with pytest.raises(ConflictError, match="default"):
        router.remove_schedule_group("default")
    router.remove_schedule_group("night")
    assert [schedule.group for schedule in router.list_schedules()] == ["default"]
    with pytest.raises(NotFoundError, match="group night does not exist"):
        router.remove_schedule_group("night")
    with pytest.raises(NotFoundError, match="group night does not exist"):
        scheduled("rate(1 day)", Log(), group="night", router=router)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a b"}, "is no schedule name"),
        ({"group": ""}, "is no schedule group name"),
        (
            {"schedule_expression": "rate(1 day)"},
            r"schedule_expression of schedule s is .* \(use ScheduleExpression.parse",
        ),
        ({"target": print}, r"target of schedule s is .* \(use a Target"),
        ({"flexible_time_window": 15}, "flexible_time_window of schedule s is 15"),
        ({"flexible_time_window": seconds(30)}, "1 to 1,440 minutes"),
        ({"flexible_time_window": 2 * DAY}, "1 to 1,440 minutes"),
        ({"state": "ON"}, "use ENABLED or DISABLED"),
        ({"missed": "twice"}, r"missed of schedule s is 'twice' \(use once or skip or all\)"),
        ({"action_after_completion": "REMOVE"}, "use NONE or DELETE"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_schedule_is_said(options, message):
    usable = {"name": "s", "schedule_expression": ScheduleExpression.parse("rate(1 day)"), "target": Scripted(id="t")}
    with pytest.raises(InvalidRuleError, match=message):
        Schedule(**(usable | options))


def test_the_zone_of_an_expression_is_given_once():
    expression = ScheduleExpression.parse("rate(1 day)")
    with pytest.raises(InvalidRuleError, match="timezone, start and end are those of the ScheduleExpression"):
        EventRouter().schedule(expression, timezone="Europe/London")
    assert scheduled(expression, Log()).get_schedule("s").schedule_expression is expression


async def test_a_router_that_is_left_at_once_fires_nothing():
    log = Log()
    router = scheduled("rate(1 minute)", log)
    async with router:
        pass
    await anyio.sleep(120)
    assert log.times == []
    async with router:
        await anyio.sleep(1)
    assert log.times == minutes(1, 2)  # which are on time; the one at its creation is over


class Failing(MemoryStore):
    """A store that fails a call of `fire` now and then, before or after it has happened."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    async def fire(self, occurrences):
        self.calls += 1
        if self.calls % 3 == 1:
            raise OSError("before")
        results = await super().fire(occurrences)
        if self.calls % 3 == 2:
            raise OSError("after")
        return results


async def test_a_store_that_fails_costs_no_occurrence(caplog):
    log = Log()
    caplog.set_level(logging.CRITICAL)
    async with scheduled("cron(* * * * ? *)", log, router=EventRouter(Failing(), clock=LoopClock())):
        await anyio.sleep(630)
    assert log.times == minutes(*range(1, 11))


@pytest.mark.parametrize("expression", ["cron(0/10 * * * ? *)", "rate(7 minutes)", "at(2026-03-01T12:30:00)"])
async def test_two_routers_on_one_store_fire_each_occurrence_once(expression):
    store, logs = MemoryStore(), [Log(), Log()]
    routers = [scheduled(expression, log, router=EventRouter(store, clock=LoopClock())) for log in logs]
    async with routers[0]:
        async with routers[1]:
            await anyio.sleep(3601)
        await anyio.sleep(3601)
        async with scheduled(expression, logs[1], router=EventRouter(store, clock=routers[0]._clock)):
            await anyio.sleep(3601)
    times = Counter(logs[0].times + logs[1].times)
    period = {"c": 10, "r": 7}.get(expression[0])
    begin = 0 if expression[0] == "r" else period
    assert times == Counter(minutes(*range(begin, 181, period)) if period else minutes(30))


async def test_a_rate_whose_claim_was_left_behind_begins_after_a_while():
    log, store = Log(), MemoryStore()
    await store.fire([_claimed("schedule/default/s rate(5 minutes) UTC")])
    async with scheduled("rate(5 minutes)", log, router=EventRouter(store, clock=LoopClock())):
        await anyio.sleep(4)
        assert log.times == []
        await anyio.sleep(601)
    assert log.times == minutes(0, 5, 10)


def _claimed(key):
    return Occurrence(f"{key} (begun)", datetime(9999, 1, 1, tzinfo=UTC))


async def test_a_year_of_a_thousand_schedules_in_three_zones(monkeypatch):
    """Each occurrence of a simulated year comes once, and in its minute."""
    monkeypatch.setattr("eventrouter._scheduler._LONGEST_REST", 86_400.0)
    zones = ["Europe/London", "America/New_York", "Australia/Lord_Howe"]
    router, log = EventRouter(clock=LoopClock()), Counter()
    expressions = {}
    for number in range(1_000):
        text = f"cron({number % 60} {number % 24} {1 + number % 28} 1/3 ? *)"
        expressions[f"s{number}"] = ScheduleExpression.parse(text, zones[number % 3])

    def counting(name):
        async def count(event: Event):
            assert event.time == router._clock.now()
            log[name, event.time] += 1

        return count

    for name, expression in expressions.items():
        router.schedule(expression, name=name)(counting(name))
    async with router:
        await anyio.sleep(365 * 86_400 + 1)
    expected = Counter(
        (name, slot) for name, expression in expressions.items() for slot in expression.between(NOON, NOON + 365 * DAY)
    )
    assert log == expected
    assert len(log) > 3_900


async def test_many_schedules_begin_and_fire_in_slices(monkeypatch):
    for name in ("_SLICE", "_KEPT"):
        monkeypatch.setattr(f"eventrouter._scheduler.{name}", 2)
    store, clock, logs = MemoryStore(), LoopClock(), [Log() for _ in range(7)]
    for begin in (0, 10):
        router = EventRouter(store, clock=clock)
        for number, log in enumerate(logs):
            router.schedule(f"cron({number % 3 + 3}/10 * * * ? *)", name=f"s{number}")(log)
        async with router:
            await anyio.sleep(600)
            assert router._scheduler.is_settled
        assert [log.times[-1] for log in logs] == minutes(*(begin + number % 3 + 3 for number in range(7)))


async def test_a_schedule_that_is_replaced_while_it_fires_fires_once():
    log, router = Log(), EventRouter(clock=LoopClock())

    class Replacing(MemoryStore):
        async def fire(self, occurrences):
            if any(occurrence.accepted for occurrence in occurrences):
                router.put_schedule(router.get_schedule("s"))
            return await super().fire(occurrences)

    router = scheduled("cron(* * * * ? *)", log, router=EventRouter(Replacing(), clock=LoopClock()))
    async with router:
        await anyio.sleep(190)
    assert log.times == minutes(1, 2, 3)
