"""Faults on purpose: each is there, and what is sound bears it."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from eventrouter import (
    Event,
    EventEntry,
    EventRouter,
    MemoryStore,
    RetryPolicy,
    idempotent,
)
from eventrouter.errors import StoreError
from eventrouter.records import Accepted, Subscription
from eventrouter.testing import simulate
from eventrouter.testing.faults import (
    CrashPoint,
    FaultyStore,
    assert_idempotent,
    crash_at_every_step,
    disturbed,
    faulty,
)
from tests.support import NOON, make_event, seconds

POLICY = RetryPolicy(maximum_retry_attempts=50, maximum_event_age=timedelta(hours=24))


def router_that_keeps(seen, **options):
    router = EventRouter(**options)

    @router.rule({"source": ["shop"]}, name="keep", retry_policy=POLICY)
    async def keep(event: Event) -> None:
        seen.append(event.detail["n"])

    return router


def accepted_event():
    return Accepted(make_event(), NOON, (Subscription("default", "r", "t"),))


def order(number):
    return EventEntry("shop", "Order", {"n": number})


# -- crashes -----------------------------------------------------------------------------------------------------


async def test_no_accepted_event_is_lost_wherever_its_process_ends():
    promised, seen = [], []

    async def scenario(store):
        promised.clear()
        seen.clear()
        async with simulate(router_that_keeps(seen), store=store) as sim:
            for number in range(3):
                [result] = await sim.router.put_events([order(number)])
                if result.error_code is None:
                    promised.append(number)
            await sim.advance(minutes=1)

    async def recover(store, point):
        async with simulate(router_that_keeps(seen), store=store, at=NOON + timedelta(hours=1)) as sim:
            await sim.run_until_idle()
            ledger = await sim.ledger()
        assert ledger.is_balanced
        assert set(promised) <= set(seen)

    assert await crash_at_every_step(scenario, recover) >= 10


async def test_what_recovery_raises_says_where_it_crashed():
    async def scenario(store):
        async with simulate(router_that_keeps([]), store=store) as sim:
            await sim.router.put_events([order(1)])

    async def recover(store, point):
        assert point.change != "append"

    with pytest.raises(AssertionError) as caught:
        await crash_at_every_step(scenario, recover)
    assert caught.value.__notes__ == ["crashed before change 1 (append)"]


async def test_a_scenario_that_fails_by_itself_is_not_taken_for_a_crash():
    async def scenario(store):
        raise StoreError("broken")

    with pytest.raises(StoreError, match="broken"):
        await crash_at_every_step(scenario, scenario)


async def test_a_scenario_may_give_up_at_the_crash_by_itself():
    async def scenario(store):
        await store.append([accepted_event()])

    async def recover(store, point):
        assert await store.pending() == ({} if point.when == "before" else {accepted_event().subscriptions[0]: 1})

    assert await crash_at_every_step(scenario, recover) == 2


async def test_a_store_that_has_crashed_refuses_everything():
    store = FaultyStore(MemoryStore(), CrashPoint(0, "after"))
    await store.open()
    assert await store.pending() == {}
    with pytest.raises(StoreError, match="crashed, on purpose"):
        await store.append([accepted_event()])
    for call in (store.pending(), store.append([accepted_event()])):
        with pytest.raises(StoreError, match="crashed, on purpose"):
            await call
    assert len(await store.inner.pending()) == 1
    await store.close()
    assert str(store.crash) == "after change 0 (append)"


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"errors": 0.3}, {"lost_answers": 0.3}])
async def test_a_store_that_fails_now_and_then_costs_no_accepted_event(options, caplog):
    seen, promised = [], []
    store = faulty(MemoryStore(), seed=5, **options)
    async with simulate(router_that_keeps(seen), store=store) as sim:
        for number in range(50):
            [result] = await sim.router.put_events([order(number)])
            if result.error_code is None:
                promised.append(number)
            else:
                assert result.error_code == "InternalFailure"
        await sim.advance(hours=2)
        assert 20 < len(promised) < 50
        assert set(promised) <= set(seen)
        assert store.changes["settle"] > 0
    assert (await store.inner.ledger()).is_balanced


async def test_disturbed_targets_are_called_twice_late_and_in_vain():
    seen = []
    router = router_that_keeps(seen)
    router.put_rule("idle", {"source": ["nobody"]})
    before = router.list_targets("keep")
    with disturbed(router, duplicates=0.3, reorder=seconds(30), errors=0.2, lost_answers=0.2, seed=3):
        async with simulate(router) as sim:
            await sim.router.put_events([order(number) for number in range(60)])
            await sim.advance(hours=24)
            assert (await sim.ledger()).is_balanced
            failed = {step.told.partition(";")[0] for step in sim.trace.of("INVOCATION_ATTEMPT_RETRYABLE_FAILURE")}
    assert set(seen) == set(range(60))
    assert len(seen) > 70
    assert seen != sorted(seen)
    assert failed == {
        "DisturbedError: It failed before it began, on purpose.",
        "DisturbedError: Its answer was lost, on purpose.",
    }
    assert router.list_targets("keep") == before


async def test_a_clock_that_is_set_fires_no_schedule_twice():
    router, seen = EventRouter(), []

    @router.schedule("cron(0 * * * ? *)")
    async def hourly(event: Event) -> None:
        seen.append(event.time)

    async with simulate(router, at="2026-03-01T12:30Z") as sim:
        await sim.advance(hours=2)
        sim.jump_clock(timedelta(hours=-1, minutes=-10))
        await sim.advance(hours=2)
        sim.jump_clock(timedelta(minutes=50))
        await sim.advance(hours=1)
    assert len(seen) == len(set(seen)) > 3


async def test_a_schedule_is_due_as_soon_as_the_clock_is_set_forward():
    router, seen = EventRouter(), []

    @router.schedule("at(2026-03-01T18:00:00)")
    async def once(event: Event) -> None:
        seen.append(event.time)

    async with simulate(router, at="2026-03-01T12:00Z") as sim:
        await sim.advance(minutes=1)
        sim.jump_clock(timedelta(hours=6))
        await sim.advance(seconds=0)
        assert seen == [datetime(2026, 3, 1, 18, tzinfo=UTC)]


# -- idempotency -------------------------------------------------------------------------------------------------


def charging(**options):
    """Make a handler that charges, and says what was charged."""

    def make():
        charges = []

        @idempotent(key="$.id", ttl=timedelta(hours=1), **options)
        async def charge(event: Event) -> None:
            await anyio.sleep(1)
            charges.append(event.detail["total"])

        return charge, lambda: list(charges)

    return make


@pytest.mark.parametrize("on_conflict", ["wait", "raise"])
async def test_a_handler_with_a_key_is_idempotent(on_conflict):
    await assert_idempotent(charging(on_conflict=on_conflict), make_event())


@pytest.mark.parametrize("event", [make_event({"total": 5}), {"total": 5}], ids=["event", "data"])
async def test_each_call_has_an_event_of_its_own_which_it_may_alter(event):
    def make():
        totals = {}

        async def handle(event):
            detail = event.detail if isinstance(event, Event) else event
            totals["only"] = detail.pop("total")

        return handle, lambda: dict(totals)

    await assert_idempotent(make, event)
    assert event.detail == {"total": 5} if isinstance(event, Event) else event == {"total": 5}


async def test_a_handler_in_place_of_what_makes_it_is_told_of():
    async def handle(event): ...

    with pytest.raises(TypeError) as caught:
        await assert_idempotent(handle, make_event())
    assert "without arguments" in caught.value.__notes__[0]


async def test_a_handler_without_one_is_not():
    def make():
        charges = []

        async def charge(event: Event) -> None:
            charges.append(event.detail["total"])

        return charge, lambda: list(charges)

    with pytest.raises(AssertionError, match=r"called twice, it has left \[250, 250\], and called once \[250\]"):
        await assert_idempotent(make, make_event())


async def test_one_that_only_looks_before_it_acts_is_not_at_once():
    def make():
        charges = []

        async def charge(event: Event) -> None:
            if event.id not in dict(charges):
                await anyio.sleep(1)
                charges.append((event.id, event.detail["total"]))

        return charge, lambda: [total for _, total in charges]

    with pytest.raises(AssertionError, match="called twice at once, it has left"):
        await assert_idempotent(make, make_event())


async def test_one_that_remembers_before_it_acts_is_not_when_it_is_cancelled():
    def make():
        begun, charges = set(), []

        async def charge(event: Event) -> None:
            if event.id not in begun:
                begun.add(event.id)
                await anyio.sleep(1)
                charges.append(event.detail["total"])

        return charge, lambda: list(charges)

    with pytest.raises(AssertionError, match=r"cancelled where it waits for the 1. time, and called again, it has"):
        await assert_idempotent(make, make_event())
