"""What targets and stores do at the worst moment."""

import functools
import logging
from datetime import timedelta

import anyio
import anyio.lowlevel
import msgspec
import pytest

from eventrouter import DeliveryError, Event, FunctionTarget, MemoryStore, RetryPolicy, ThrottledError
from tests.support import Scripted, make_router, order, seconds

ONCE = RetryPolicy(maximum_retry_attempts=0)


async def fails_to_clean_up() -> None:
    try:
        await anyio.sleep(100)
    finally:
        raise ValueError("clean-up failed")


async def in_a_task_group() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fails_to_clean_up)
        await anyio.sleep(100)


@pytest.mark.parametrize("step", [fails_to_clean_up, in_a_task_group])
async def test_a_clean_up_that_fails_at_shutdown_is_no_attempt(step):
    router = make_router(Scripted(id="t", script=[step], retry_policy=ONCE), drain_timeout=seconds(1))
    async with router:
        await router.put_events([order()])
        await anyio.sleep(0.1)
    assert router.closing_report.total.waiting == 1


@pytest.mark.parametrize("step", [fails_to_clean_up, in_a_task_group])
async def test_a_clean_up_that_fails_at_the_time_limit_is_one_failed_attempt(step):
    target = Scripted(id="t", script=[step], timeout=seconds(1))
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert len(target.seen) == 2
    assert router.closing_report.total.delivered == 1


async def test_a_decorator_that_raises_stop_iteration_has_not_delivered():
    async def handle(event: Event) -> None: ...

    @functools.wraps(handle)
    def first(event):
        next(iter([]))

    router = make_router(FunctionTarget(id="t", function=first, retry_policy=ONCE))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert router.closing_report.total.dead_lettered == 1


@pytest.mark.parametrize("error", [ThrottledError, DeliveryError])
async def test_a_wait_past_the_end_of_the_calendar_does_not_end_the_router(error):
    router = make_router(Scripted(id="t", script=[error("later", retry_after=timedelta.max)]))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert router.closing_report.total.dead_lettered == 1


def test_a_wait_is_a_timedelta():
    with pytest.raises(TypeError, match="timedelta"):
        DeliveryError("later", retry_after=30)


async def test_a_throttled_target_that_asks_for_no_pause_has_one():
    target = Scripted(id="t", script=[ThrottledError("busy", retry_after=timedelta(0)) for _ in range(3)])
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert target.relative_times == pytest.approx([0, 1, 3, 7])


async def test_of_two_pauses_that_a_target_asks_for_the_longer_counts():
    async def long():
        await anyio.sleep(0.1)
        raise ThrottledError("closed", retry_after=seconds(100))

    async def short():
        await anyio.sleep(1)
        raise ThrottledError("busy", retry_after=seconds(2))

    target = Scripted(id="t", script=[long, short], maximum_concurrency=2)
    router = make_router(target)
    async with router:
        await router.put_events([order(n=n) for n in range(3)])
        await router.settle_down()
    assert min(target.relative_times[2:]) >= 100


@pytest.mark.parametrize("waits", [0, 0.5])
async def test_a_target_that_is_paused_by_its_handler_does_not_hold_up_the_close(waits):
    async def breaks():
        await anyio.sleep(0.5)
        router.pause_target("r", "t")
        await anyio.sleep(waits)
        raise OSError

    router = make_router(Scripted(id="t", script=[breaks]), drain_timeout=seconds(1000))
    async with router:
        await router.put_events([order()])
        await anyio.sleep(0.1)
        began = anyio.current_time()
    assert anyio.current_time() - began < 10


async def test_a_publisher_hears_of_room_that_a_new_target_brings():
    router = make_router(Scripted(id="t", maximum_concurrency=0, maximum_backlog=1), put_timeout=seconds(100))
    async with router:
        await router.put_events([order()])
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(router.put_events, [order()])
            await anyio.sleep(1)
            router.put_targets("r", [Scripted(id="t", maximum_concurrency=0)])
        assert anyio.current_time() - began == pytest.approx(1)


async def test_what_was_put_by_a_publisher_that_was_cancelled_then_is_delivered():
    class Slow(MemoryStore):
        async def append(self, accepted):
            duplicates = await super().append(accepted)
            await anyio.lowlevel.checkpoint()
            return duplicates

    router = make_router(Scripted(id="t"), store=Slow())
    async with router:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await router.put_events([order()])
        await router.settle_down()
        assert (await router.ledger()).total.delivered == 1


async def test_a_router_that_is_closed_twice_at_once_and_started_again_can_be_closed():
    router = make_router(Scripted(id="t"))
    await router.start()

    async def again():
        await router.aclose()
        await router.start()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        tasks.start_soon(router.aclose)
    await router.aclose()
    await router.start()
    await router.aclose()


async def test_a_router_whose_report_failed_can_be_started_again(caplog):
    class Broken(MemoryStore):
        is_broken = True

        async def ledger(self):
            if self.is_broken:
                raise OSError("disk")
            return await super().ledger()

    caplog.set_level(logging.CRITICAL)
    store = Broken()
    router = make_router(Scripted(id="t"), store=store)
    await router.start()
    with pytest.raises(OSError):
        await router.aclose()
    store.is_broken = False
    await router.start()
    await router.aclose()


async def test_a_handler_that_hands_its_own_event_on_does_not_do_so_for_ever():
    results = []

    async def hand_on(event):
        results.extend(await router.forward_events([event]))

    router = make_router(hand_on, maximum_hops=3)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert [result.error_code for result in results] == [None, None, None, "RecursiveInvocationException"]
    assert "handed on 4 times; the limit is 3" in results[-1].error_message
    assert router.closing_report.total.delivered == 4


async def test_a_chain_of_forwarded_events_has_an_end():
    results = []

    async def follow(event):
        follower = msgspec.structs.replace(event, id=f"{event.id}+")
        results.extend(await router.forward_events([follower]))

    router = make_router(follow, maximum_depth=2)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert [result.error_code for result in results] == [None, None, "RecursiveInvocationException"]
    assert "number 3 in a chain" in results[-1].error_message


async def test_a_throttled_target_rests_a_moment_at_least():
    target = Scripted(id="t", script=[ThrottledError("busy", retry_after=timedelta(microseconds=1)) for _ in range(3)])
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert target.relative_times == pytest.approx([0, 0.1, 0.2, 0.3])
