"""`simulate`: virtual time over everything, scripts for targets, and a trace that is the same on both backends."""

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel

from eventrouter import (
    DeadLetterQueue,
    Event,
    EventEntry,
    EventRouter,
    FunctionTarget,
    MemoryStore,
    RetryPolicy,
    Schedule,
    ScheduleExpression,
)
from eventrouter.testing import (
    LoopClock,
    SimulationError,
    failing,
    hanging,
    in_turn,
    outage,
    returning,
    run,
    simulate,
    slow,
)
from eventrouter.testing.virtual_time import is_virtual
from tests.support import seconds

BACKENDS = ["asyncio", "trio"]
START = datetime(2026, 3, 29, tzinfo=UTC)


class Charged(BaseModel):
    source: ClassVar[str] = "billing"
    total: int


def shop():
    """Give a router with two targets, one of which puts events, a schedule, and a queue with a poller."""
    router = EventRouter()

    @router.rule({"source": ["shop"]}, name="charge", retry_policy=RetryPolicy(maximum_retry_attempts=5))
    async def charge(event: Event) -> Charged:
        return Charged(total=event.detail["total"])

    @router.rule({"source": ["shop", "billing"]}, name="crm", retry_policy=RetryPolicy(maximum_retry_attempts=3))
    async def crm(event: Event) -> None: ...

    @router.schedule("rate(1 hour)")
    async def tidy(event: Event) -> None: ...

    return router


def order(total=5):
    return EventEntry("shop", "Order Placed", {"total": total})


async def test_hours_of_retries_pass_and_everything_is_accounted_for():
    router = shop()
    async with simulate(router, at="2026-03-29T00:00Z", seed=1, replace={"crm": failing(503)}) as sim:
        assert sim.now == START
        [result] = await sim.router.put_events([order()])
        assert result.error_code is None
        await sim.advance(hours=24)
        assert sim.now - START == timedelta(hours=24, milliseconds=1)
        assert len(sim.seen("crm")) == 8  # four attempts each of the order and of what was charged
        ledger = await sim.ledger()
    assert ledger.is_balanced
    assert repr(sim) == f"<Simulation from {START.isoformat()}, {len(sim.trace)} steps>"
    assert len(sim.trace.of("INVOCATION_DLQ")) == 2
    assert len(sim.trace.of("INVOCATION_SUCCESS")) == 1 + 25  # charged, and tidied at the first and each full hour


def test_the_trace_of_one_seed_is_the_same_on_both_backends_and_each_time():
    async def scenario(seed):
        scripts = {
            "crm": slow((0.1, 30), then=failing(503, times=2)),
            "charge": in_turn(failing(ConnectionError("gone")), hanging(), returning(None)),
        }
        async with simulate(shop(), at=START, seed=seed, replace=scripts) as sim:
            for number in range(5):
                await sim.router.put_events([order(number), EventEntry("", "Refused", {})])
                await sim.advance(minutes=7)
            await sim.advance(to=START + timedelta(hours=3))
            return str(sim.trace)

    traces = {run(scenario, 7, backend=backend) for backend in [*BACKENDS, *BACKENDS]}
    assert len(traces) == 1
    [trace] = traces
    assert run(scenario, 8) != trace
    assert "0001  EVENT_INGEST_SUCCESS  Order Placed from shop" in trace
    assert re.search(r"INVOCATION_ATTEMPT_RETRYABLE_FAILURE  default/charge/charge attempt 1  .*; next at 00:0", trace)
    assert "tidy@2026-03-29T01:00:00  INVOCATION_SUCCESS" in trace
    assert "refused Refused  EVENT_INGEST_FAILURE" in trace


def test_handlers_that_publish_at_the_same_instant_do_so_in_the_same_order_each_time():
    async def trace():
        router = EventRouter()

        def add(name):
            @router.rule({"source": ["shop"]}, name=name)
            async def publish(event: Event) -> None:
                await anyio.sleep(1)
                await router.put_events([EventEntry("child", name, {})])

        for name in ("billing", "shipping", "mail"):
            add(name)

        @router.rule({"source": ["child"]}, name="sink")
        async def sink(event: Event) -> None: ...

        async with simulate(router, seed=1, replace={"sink": failing(times=2)}) as sim:
            await router.put_events([order()])
            await sim.advance(hours=1)
        return str(sim.trace)

    assert len({run(trace, backend=backend) for backend in BACKENDS for _ in range(8)}) == 1


async def test_a_trace_is_compared_with_a_golden_file(tmp_path, monkeypatch):
    path = tmp_path / "trace.txt"
    monkeypatch.delenv("EVENTROUTER_UPDATE_GOLDEN", raising=False)
    async with simulate(shop(), replace={"*": returning()}) as sim:
        with pytest.raises(AssertionError, match="run the test once with EVENTROUTER_UPDATE_GOLDEN=1"):
            sim.trace.assert_matches(path)
        await sim.router.put_events([order()])
        await sim.run_until_idle()
        monkeypatch.setenv("EVENTROUTER_UPDATE_GOLDEN", "1")
        sim.trace.assert_matches(path)
        monkeypatch.delenv("EVENTROUTER_UPDATE_GOLDEN")
        sim.trace.assert_matches(path)
        assert len(path.read_text().splitlines()) == len(sim.trace)
        await sim.router.put_events([order()])
        with pytest.raises(AssertionError, match=r"(?s)differs from .*\+2026-03-01T12:00:00.000Z  0003  EVENT_INGEST"):
            sim.trace.assert_matches(path)


# -- scripts -----------------------------------------------------------------------------------------------------


async def attempts(script, *, entries=1, retries=5, hours=1):
    """Give when each attempt began, in seconds, and how many dead letters there are."""
    router = EventRouter()
    policy = RetryPolicy(maximum_retry_attempts=retries, maximum_event_age=timedelta(hours=24))

    @router.rule({"source": ["shop"]}, name="t", retry_policy=policy, timeout=seconds(20))
    async def handle(event: Event) -> None: ...

    async with simulate(router, at=START, seed=3, replace={"t": script}) as sim:
        for _ in range(entries):
            await sim.router.put_events([order()])
        await sim.advance(hours=hours)
        dead = len(await sim.router.dead_letters())
    steps = sim.trace.of("INVOCATION_ATTEMPT_START")
    return [(step.at - START).total_seconds() for step in steps], dead


@pytest.mark.parametrize(
    ("script", "count", "dead"),
    [
        (returning("value"), 1, 0),
        (failing(), 6, 1),
        (failing(429), 6, 1),
        (failing(404), 1, 1),
        (failing(ValueError, times=2), 3, 0),
        (failing(ValueError("no"), times=1, then=failing(400)), 2, 1),
        (in_turn(failing(), failing(), returning()), 3, 0),
        (hanging(), 6, 1),
        (slow(5), 1, 0),
        (slow(25), 6, 1),
        (slow((1, 2), then=failing(times=1)), 2, 0),
        (slow(lambda random: random.expovariate(1)), 1, 0),
    ],
    ids=range(12),
)
async def test_scripts_do_as_they_say(script, count, dead):
    assert [len((found := await attempts(script))[0]), found[1]] == [count, dead]


async def test_an_outage_lasts_for_its_interval():
    times, dead = await attempts(outage(seconds(0), 60.0, then=slow(1)), retries=20)
    assert dead == 0
    assert all(at < 60 for at in times[:-1])
    assert times[-1] >= 60
    times, dead = await attempts(outage(600, seconds(60)))
    assert (len(times), dead) == (1, 0)


async def test_draws_follow_from_the_seed_the_event_and_the_attempt():
    drawn = []

    def draw(random):
        drawn.append(random.random())
        return 0.0

    for _ in range(2):
        await attempts(slow(draw, then=failing(times=1)), entries=2)
    assert len(set(drawn)) == 4
    assert drawn[:4] == drawn[4:]


# -- what is replaced --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t", "r", "r/t", "audit/r/t", "audit/*"])
async def test_targets_are_found_by_several_names_and_keep_their_options(name):
    router = EventRouter()
    router.add_event_bus("audit")
    called = []

    async def call(event: Event) -> None:
        called.append(event)

    router.put_rule("r", {"source": ["shop"]}, event_bus_name="audit")
    options = {"dead_letter_queue": DeadLetterQueue(name="lost"), "retry_policy": RetryPolicy(maximum_retry_attempts=0)}
    target = FunctionTarget(id="t", function=call, **options)
    router.put_targets("r", [target], event_bus_name="audit")
    schedule = Schedule(
        name="nightly",
        schedule_expression=ScheduleExpression.parse("cron(0 1 * * ? *)"),
        target=FunctionTarget(id="s", function=call),
    )
    router.put_schedule(schedule)
    async with simulate(router, replace={name: failing(), "default/nightly": returning()}) as sim:
        await sim.router.put_events([EventEntry("shop", "Order", {}, event_bus_name="audit")])
        await sim.advance(hours=24)
        assert len(sim.seen(name)) == len(sim.seen("r/t")) == len(sim.seen("nightly")) == 1
        assert len(await sim.router.dead_letters(queue="lost")) == 1
    assert called == []
    assert router.list_targets("r", event_bus_name="audit") == [target]
    assert router.get_schedule("nightly") is schedule
    with pytest.raises(SimulationError, match=r"No target was replaced as 'x'; there is .*audit/r/t"):
        sim.seen("x")


async def test_targets_of_pipes_and_failure_destinations_of_mappings_are_replaced_as_well():
    router, called = EventRouter(), []

    async def call(event: Event) -> None:
        called.append(event)

    async def lines():
        yield {"n": 1}

    @router.function("work")
    async def work(event, context):
        raise ValueError("never")

    jobs = router.create_queue("jobs")
    router.pipe("ship", source=jobs, target=FunctionTarget(id="carrier", function=call))
    router.pipe("idle", source=router.create_queue("idle"), target=FunctionTarget(id="other", function=call))
    failures = FunctionTarget(id="failures", function=call)
    router.event_source_mapping(
        lines(), "work", name="lines", maximum_retry_attempts=0, on_failure=failures, maximum_record_age=seconds(60)
    )
    before = dict(router._dispatcher.targets)
    async with simulate(router, replace={"ship": failing(times=1), "lines/*": returning()}) as sim:
        await jobs.send("a")
        await sim.advance(hours=1)
        assert [delivery.attempt for delivery in sim.seen("carrier")] == [1, 2]
        [delivery] = sim.seen("lines/on_failure")
        assert sim.seen("failures") == [delivery]
        assert json.loads(delivery.input)["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert called == []
    assert router._dispatcher.targets == before


async def test_a_name_that_fits_nothing_is_refused_and_nothing_stays_replaced():
    router = shop()
    before = router.list_targets("charge")
    with pytest.raises(SimulationError, match="No target is called 'cmr'"):
        async with simulate(router, replace={"charge": failing(), "cmr": failing()}):
            pass  # pragma: no cover - never entered
    assert router.list_targets("charge") == before


async def test_the_router_has_its_clock_and_seed_again():
    clock = LoopClock(datetime(2020, 1, 1, tzinfo=UTC))
    router = EventRouter(clock=clock, seed=5)
    async with simulate(router, at="2026-03-29", seed=9):
        assert router._clock.now() == START
        assert router._dispatcher._seed == 9
    assert router._clock is clock
    assert router._dispatcher._seed == router._scheduler._seed == 5
    assert not router._dispatcher.observers


async def test_a_simulation_leaves_the_schedules_as_they_were_and_can_be_repeated():
    router = EventRouter()
    router.put_rule("idle", schedule_expression="rate(7 minutes)")

    @router.schedule("rate(10 minutes)")
    async def often(event: Event) -> None: ...

    @router.schedule("at(2026-03-29T00:15:00)", action_after_completion="DELETE")
    async def once(event: Event) -> None: ...

    before, traces = router.list_schedules(), []
    plans = dict(router._scheduler._plans)
    for _ in range(2):
        async with simulate(router, at=START, store=MemoryStore()) as sim:
            await sim.advance(hours=1)
            assert [schedule.name for schedule in router.list_schedules()] == ["often"]
            traces.append(str(sim.trace))
    assert traces[0] == traces[1]
    assert "once@" in traces[0]
    assert router.list_schedules() == before
    assert router._scheduler._plans == plans
    assert {plan.created for plan in plans.values()} == {None}
    assert before[1].subscription in router._dispatcher.targets


async def test_queues_and_pollers_go_with_virtual_time():
    router, seen = EventRouter(), []
    jobs = router.create_queue("jobs", visibility_timeout=timedelta(minutes=10))

    @router.function("work", timeout=timedelta(minutes=5))
    async def work(event, context):
        seen.append(sim.now - START)
        await anyio.sleep(60)
        if len(seen) == 1:
            raise ValueError("once")

    router.event_source_mapping("jobs", "work")
    async with simulate(router, at=START) as sim:
        await jobs.send("a")
        await sim.advance(days=1)
        assert [length // timedelta(minutes=1) for length in seen] == [0, 10]
        assert (await jobs.depth()).visible == 0


# -- where it runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_simulation_needs_virtual_time(backend):
    async def real():
        assert not is_virtual()
        with pytest.raises(SimulationError, match="needs an event loop in virtual time"):
            async with simulate(shop()):
                pass  # pragma: no cover - never entered

    anyio.run(real, backend=backend)


async def test_a_store_in_threads_is_refused_unless_one_in_memory_takes_its_place(tmp_path):
    router = EventRouter(f"sqlite:///{tmp_path}/store.db")
    with pytest.raises(SimulationError, match=r"store=MemoryStore\(\)"):
        async with simulate(router):
            pass  # pragma: no cover - never entered
    async with simulate(router, store=MemoryStore()) as sim:
        await sim.advance(hours=1)
    assert list(tmp_path.iterdir()) == []


async def test_handlers_in_threads_are_warned_of_unless_they_are_replaced(caplog):
    router = EventRouter()

    @router.rule({"source": ["shop"]}, name="blocking")
    def blocking(event: Event) -> None: ...

    async with simulate(router, replace={"blocking": returning()}):
        assert caplog.messages == []
    async with simulate(router):
        [message] = caplog.messages
    assert message.startswith("Target default/blocking/blocking is a plain `def`")


async def test_time_does_not_go_back():
    async with simulate(shop()) as sim:
        with pytest.raises(SimulationError, match="Time does not go back"):
            await sim.advance(to=sim.now - seconds(1))
        with pytest.raises(SimulationError, match="is of no time zone"):
            await sim.advance(to=datetime(2027, 1, 1))


async def test_an_instant_that_is_none_is_refused():
    with pytest.raises(SimulationError, match="'soon' is no instant"):
        async with simulate(shop(), at="soon"):
            pass  # pragma: no cover - never entered


def test_a_loop_in_virtual_time_waits_for_threads():
    async def wait():
        await anyio.to_thread.run_sync(time.sleep, 0.01)
        return anyio.current_time()

    assert run(wait) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_gives_what_the_function_returns(backend):
    async def add(first, second):
        await anyio.sleep(3_600)
        return first + second

    assert run(add, 1, 2, backend=backend) == 3
