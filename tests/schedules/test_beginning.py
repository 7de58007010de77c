"""Where schedules begin: new ones in several processes, and those that were disabled, changed or removed."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from eventrouter import EventRouter, MemoryStore, ScheduleExpression
from eventrouter.records import Occurrence
from tests.schedules.test_scheduler import Log, SetClock, minutes, scheduled
from tests.support import NOON, seconds
from tests.virtual_time import LoopClock

EVERY_TEN = "cron(0/10 * * * ? *)"


@pytest.mark.parametrize(("before", "after"), [(0.01, 0.005), (0.01, 3.0), (4.0, 0.0)])
@pytest.mark.parametrize("expression", ["cron(0 * * * ? *)", "at(2026-03-01T13:00:00)"])
@pytest.mark.parametrize("later_is_first", [False, True])
async def test_processes_that_begin_around_the_first_occurrence_fire_for_it(expression, before, after, later_is_first):
    """Whichever the store hears of first: the one whose clock is past the occurrence does not keep the other from it."""
    log, store = Log(), MemoryStore()
    offsets = [seconds(3600 - before), seconds(3600 + after)]
    routers = [
        scheduled(expression, log, router=EventRouter(store, clock=SetClock(offset)))
        for offset in (reversed(offsets) if later_is_first else offsets)
    ]
    async with routers[0], routers[1]:
        await anyio.sleep(100)
    assert log.times == minutes(60)


async def test_what_was_due_before_a_schedule_was_made_is_not_fired_for():
    log, store = Log(), MemoryStore()
    for _ in range(2):
        async with scheduled("cron(0 * * * ? *)", log, router=EventRouter(store, clock=SetClock(seconds(3601)))):
            await anyio.sleep(100)
    assert log.times == []


async def test_a_schedule_that_was_deployed_disabled_makes_up_for_nothing():
    log, clock, store = Log(), LoopClock(), MemoryStore()
    for state, length in (("ENABLED", 660), ("DISABLED", 1800), ("ENABLED", 60), ("ENABLED", 500)):
        async with scheduled(EVERY_TEN, log, state=state, router=EventRouter(store, clock=clock)):
            await anyio.sleep(length)
    assert log.times == minutes(10, 50)
    assert list(await store.last_fired()) == [f"schedule/default/s {EVERY_TEN} UTC"]


@pytest.mark.parametrize("expression", [EVERY_TEN, "rate(10 minutes)"])
async def test_a_schedule_that_was_enabled_makes_up_for_nothing_after_a_restart_either(expression):
    log, clock, store = Log(), LoopClock(), MemoryStore()
    router = scheduled(expression, log, router=EventRouter(store, clock=clock))
    async with router:
        await anyio.sleep(660)
        router.disable_schedule("s")
        await anyio.sleep(1800)
        router.enable_schedule("s")
        await anyio.sleep(10)
    await anyio.sleep(20)
    async with scheduled(expression, log, router=EventRouter(store, clock=clock)):
        await anyio.sleep(600)
    assert log.times[-2:] == minutes(10, 50)


async def test_a_disabled_schedule_that_is_removed_and_put_again_makes_up_for_nothing():
    log, router = Log(), EventRouter(clock=LoopClock())
    async with scheduled(EVERY_TEN, log, router=router):
        await anyio.sleep(660)
        router.disable_schedule("s")
        await anyio.sleep(60)
        router.remove_schedule("s")
        await anyio.sleep(1800)
        scheduled(EVERY_TEN, log, router=router)
        await anyio.sleep(60)
    assert log.times == minutes(10)


async def test_a_schedule_that_is_enabled_at_once_goes_on():
    log, router = Log(), EventRouter(clock=LoopClock())
    async with scheduled(EVERY_TEN, log, router=router):
        await anyio.sleep(660)
        router.disable_schedule("s")
        router.enable_schedule("s")
        await anyio.sleep(600)
    assert log.times == minutes(10, 20)


async def test_a_rate_that_is_changed_and_changed_back_begins_anew_without_delay():
    log, router = Log(), EventRouter(clock=LoopClock())
    async with scheduled("rate(5 minutes)", log, router=router):
        await anyio.sleep(60)
        before = router.get_schedule("s")
        router.put_schedule(replace(before, schedule_expression=ScheduleExpression.parse("rate(7 minutes)")))
        await anyio.sleep(60)
        router.put_schedule(before)
        await anyio.sleep(1)
    assert log.times == minutes(0, 1, 2)


async def test_the_last_occurrence_has_its_window_too():
    log = Log()
    async with scheduled("at(2026-03-01T12:10:00)", log, flexible_time_window=seconds(600)):
        begin = anyio.current_time()
        await anyio.sleep(1300)
    assert log.times == minutes(10)
    assert 600 < log.at[0] - begin < 1200


async def test_putting_one_of_many_schedules_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("eventrouter._scheduler._ROWS", 2)
    log, turns, router = Log(), 0, EventRouter(store := MemoryStore(), clock=LoopClock())
    async with router:
        await anyio.sleep(60)
        await store.fire([Occurrence(f"schedule/default/s rate({n} hours) UTC", NOON) for n in range(2, 102)])
        scheduled(EVERY_TEN, log, router=router)
        while not router._scheduler._forget and turns < 1_000:
            await anyio.lowlevel.checkpoint()
            turns += 1
        await anyio.sleep(601)
    assert 50 < turns < 1_000
    assert log.times == minutes(10)


class Asked(MemoryStore):
    """Counts the rows of schedules that are read."""

    def __init__(self):
        super().__init__()
        self.read = []

    async def last_fired(self, names=None):
        found = await super().last_fired(names)
        self.read.append(len(found))
        return found


async def test_putting_one_schedule_of_many_reads_nothing_of_the_others():
    log, store = Log(), Asked()
    router = EventRouter(store, clock=LoopClock())
    for number in range(600):
        router.schedule("cron(0 0 * * ? *)", name=f"s{number}")(log)
    async with router:
        await anyio.sleep(10)
    async with router:
        await anyio.sleep(10)
        assert store.read == [0, 600]
        router.schedule("cron(0 0 * * ? *)", name="s")(log)
        await anyio.sleep(10)
        router.disable_schedule("s7")
        await anyio.sleep(10)
        router.enable_schedule("s7")
        await anyio.sleep(10)
    assert store.read[2:] == [0, 2]  # s7, and that it was disabled
