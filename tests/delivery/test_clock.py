"""The wall clock is set while deliveries wait."""

from datetime import timedelta

import anyio
import pytest

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
