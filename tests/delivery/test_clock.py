"""The wall clock is set while deliveries wait."""

from datetime import timedelta

import anyio
import pytest

from eventrouter import EventEntry, MemoryStore
from tests.support import Scripted, make_router, order, seconds
from tests.virtual_time import LoopClock


class SettableClock(LoopClock):
    """A wall clock that somebody sets."""

    step = timedelta(0)

    def now(self):
        return super().now() + self.step


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=1), -timedelta(hours=1), -timedelta(days=1)])
async def test_deliveries_and_retries_go_on_whichever_way_the_clock_is_set(step, caplog):
    """Each comes at most once more, and none is late by more than its own wait."""
    clock = SettableClock()
    target = Scripted(id="t", script=[OSError(), lambda: anyio.sleep(30)])
    router = make_router(target, clock=clock)
    async with router:
        await router.put_events([order(n=0), order(n=1)])
        await anyio.sleep(0.01)
        clock.step = step
        await router.put_events([order(n=2)])
        await anyio.sleep(0.01)
        assert target.seen[-1].event.detail["n"] == 2
        await anyio.sleep(40)
        await router.settle_down()
        assert router._dispatcher.clock.now() - clock.now() == max(-step, timedelta(0))
    total = router.closing_report.total
    assert total.delivered + total.dead_lettered == 3
    assert all(sum(delivery.event.detail["n"] == n for delivery in target.seen) <= 3 for n in range(3))
    assert [record.message for record in caplog.records if "was set by" in record.message] == [
        f"The wall clock was set by {step.total_seconds():+.0f} s"
    ]


async def test_events_have_the_time_of_the_wall_clock():
    clock = SettableClock()
    target = Scripted(id="t")
    router = make_router(target, clock=clock)
    async with router:
        await router.put_events([order()])
        clock.step = -timedelta(days=1)
        await router.put_events([order()])
    first, second = target.seen
    assert first.event.time - second.event.time == timedelta(days=1)
    assert second.accepted_at >= first.accepted_at


async def test_a_router_that_is_opened_again_has_the_wall_clocks_time():
    clock = SettableClock()
    router = make_router(Scripted(id="t"), clock=clock)
    async with router:
        await router.put_events([order()])
        clock.step = -timedelta(days=1)
        assert router._dispatcher.clock.now() - clock.now() == timedelta(days=1)
        assert router._dispatcher.clock.now() - clock.now() == timedelta(days=1)
        clock.step = seconds(1)  # and a little more: that is slewing, and no step
    async with router:
        assert router._dispatcher.clock.now() == clock.now()


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=1)])
async def test_a_restart_after_the_clock_was_ahead_holds_up_nothing(step, caplog):
    """What was accepted, retried, handed back and leased by a clock that was ahead goes on when it is set right."""
    store, clock = MemoryStore(), SettableClock()
    clock.step = step
    target = Scripted(id="t", maximum_concurrency=3, timeout=None)
    target.script.extend([lambda: anyio.sleep(10**6)] * 2 + [OSError("down")])
    router = make_router(target, store=store, clock=clock, drain_timeout=seconds(0))
    async with router:
        await router.put_events([EventEntry("s", "T", {"n": n}, deduplication_id=str(n)) for n in range(5)])
        router.pause_target("r", "t")
        await anyio.sleep(0.05)
        await router.put_events([EventEntry("s", "T", {"n": 5}, event_group_id="g") for _ in range(3)])
        target.script.clear()
    [subscription] = await store.pending()
    now = clock.now()
    await store.lease(subscription, 1, now=now, until=now + seconds(60))  # by a process that died
    clock.step = timedelta(0)
    before = len(target.seen)
    second = make_router(target, store=store, clock=clock)
    async with second:
        begin = anyio.current_time()
        await second.settle_down()
        assert anyio.current_time() - begin <= 61
        [result] = await second.put_events([EventEntry("s", "T", {"n": 0}, deduplication_id="0")])
        assert result.success_code == "DEDUPLICATED"
        await anyio.sleep(300)
        [result] = await second.put_events([EventEntry("s", "T", {"n": 0}, deduplication_id="0")])
        assert result.success_code == "PUBLISHED"
    assert second.closing_report.total.delivered == 9
    assert len(target.seen) - before == 9  # each once
    assert f"was set by -{step.total_seconds():.0f} s since events were accepted" in caplog.text


async def test_routers_whose_clocks_differ_a_little_leave_the_store_alone():
    store, clock, other = MemoryStore(), SettableClock(), SettableClock()
    other.step = seconds(50)
    async with make_router(Scripted(id="t", maximum_concurrency=0), store=store, clock=other) as router:
        await router.put_events([order()])
    target = Scripted(id="t")
    async with make_router(target, store=store, clock=clock) as router:
        await anyio.sleep(49)
        assert target.seen == []
        await anyio.sleep(2)
        assert len(target.seen) == 1
