"""What an attempt may do without touching the next one, or the router."""

import asyncio
import functools
import time
from contextvars import ContextVar
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from eventrouter import FunctionTarget
from tests.support import Scripted, make_router, order, seconds
from tests.virtual_time import real_time_backends

variable = ContextVar("variable", default="untouched")


@pytest.mark.parametrize("waits", [False, True])
async def test_context_variables_do_not_leak_into_the_next_attempt(waits):
    seen = []

    async def work():
        seen.append(variable.get())
        variable.set("touched")
        if waits:
            await anyio.sleep(1)
            seen.append(variable.get())

    target = Scripted(id="t", script=[work, work], maximum_concurrency=1)
    router = make_router(target)
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    assert seen == (["untouched", "touched"] * 2 if waits else ["untouched"] * 2)


async def test_an_attempt_sees_the_context_of_the_router_and_not_of_a_publisher():
    seen = []

    async def note():
        seen.append(variable.get())

    target = Scripted(id="t", script=[note])
    router = make_router(target)
    variable.set("router's")
    async with router:
        variable.set("publisher's")
        await router.put_events([order()])
        await router.settle_down()
    assert seen == ["router's"]


async def test_cancel_scopes_task_groups_and_timeouts_work_in_a_handler():
    log = []

    async def child(n):
        await anyio.sleep(n)
        log.append(n)

    async def handle(event):
        with anyio.move_on_after(1) as scope:
            await anyio.sleep(10)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child, 1)
            tasks.start_soon(child, 2)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(3):
                await anyio.sleep_forever()
        log.append("done")

    router = make_router(FunctionTarget(id="t", function=handle))
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    assert log == [1, 1, 2, 2, "done", "done"]
    assert router.closing_report.total.delivered == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_tools_work_in_a_handler():
    async def handle(event):
        async with asyncio.timeout(5):
            await asyncio.gather(asyncio.sleep(0.001), asyncio.create_task(asyncio.sleep(0.002)))
        task = asyncio.current_task()
        await asyncio.wait_for(asyncio.sleep(0), 1)
        assert asyncio.current_task() is task

    router = make_router(FunctionTarget(id="t", function=handle))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert router.closing_report.total.delivered == 1


async def test_what_is_thrown_into_a_waiting_target_can_be_handled_there():
    async def handle(event):
        try:
            await anyio.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
                cleaned.append(event.id)

    cleaned = []
    target = FunctionTarget(id="t", function=handle, timeout=seconds(5))
    router = make_router(target, drain_timeout=seconds(7))
    async with router:
        await router.put_events([order()])
    assert len(cleaned) == 2  # once after the time limit, once at the shutdown
    assert router.closing_report.total.waiting == 1


@pytest.mark.parametrize("anyio_backend", real_time_backends())
@pytest.mark.parametrize("waits", [False, True])
async def test_a_target_that_blocks_the_loop_is_named(waits, caplog):
    async def handle(event):
        if waits:
            await anyio.sleep(0.001)
        time.sleep(0.3)  # noqa: ASYNC251 - that is the fault

    router = make_router(FunctionTarget(id="t", function=handle))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    [record] = [record for record in caplog.records if "kept the event loop" in record.message]
    assert record.message.startswith("Target default/r/t kept the event loop for 0.3 s")


@pytest.mark.parametrize("garbage", [object(), 17, float("nan"), b"\xff", [object()], {"a": {1}}, print, ...])
async def test_what_a_target_returns_does_no_harm(garbage):
    async def work():
        return garbage

    router = make_router(Scripted(id="t", script=[work]))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert router.closing_report.total.delivered == 1


async def test_a_target_whose_invoke_is_no_coroutine_has_failed():
    class Wrong(Scripted):
        def invoke(self, delivery):
            return "done"

    router = make_router(Wrong(id="t"), drain_timeout=seconds(10**6))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert "coroutine" in letter.error_message or "send" in letter.error_message


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_target_that_is_cancelled_by_its_own_doing_has_failed_also_when_it_has_waited():
    async def work():
        await anyio.sleep(1)
        raise asyncio.CancelledError

    target = Scripted(id="t", script=[work])
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert [delivery.attempt for delivery in target.seen] == [1, 2]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_is_the_routers_is_none_of_the_targets():
    async def work():
        scope.cancel()
        raise asyncio.CancelledError

    target = Scripted(id="t", script=[work])
    router = make_router(target)
    with anyio.CancelScope() as scope:
        async with router:
            await router.put_events([order()])
            await router.settle_down()
    assert router.closing_report.total.waiting == 1
    assert router.closing_report.total.retries == 0


async def test_a_target_that_returns_although_its_time_was_up_has_delivered():
    async def work():
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)

    async def swallow():
        try:
            await anyio.sleep(100)
        except anyio.get_cancelled_exc_class():
            return

    target = Scripted(id="t", script=[work, None, swallow, None], timeout=seconds(5), maximum_concurrency=1)
    router = make_router(target)
    async with router:
        await router.put_events([order() for _ in range(4)])
        await router.settle_down()
    assert len(target.seen) == 4
    assert router.closing_report.total.delivered == 4


async def test_a_decorated_async_function_may_give_anything_that_can_be_awaited():
    class Later:
        def __await__(self):
            yield from anyio.sleep(1).__await__()
            calls.append("done")

    async def handle(event): ...

    @functools.wraps(handle)
    def wrapped(event):
        return Later()

    calls = []
    router = make_router(FunctionTarget(id="t", function=wrapped))
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert calls == ["done"]


async def test_an_attempt_is_judged_by_the_target_that_made_it():
    """A target that is replaced meanwhile has its own timeout from the next attempt on."""
    slow = Scripted(id="t", script=[lambda: anyio.sleep(50)], timeout=seconds(60))
    router = make_router(slow)
    async with router:
        await router.put_events([order()])
        await anyio.sleep(1)
        router.put_targets("r", [Scripted(id="t", timeout=seconds(2), seen=slow.seen)])
        await router.settle_down()
    assert len(slow.seen) == 1
    assert router.closing_report.total.delivered == 1


async def turns_between_attempts(milliseconds: float) -> list[int]:
    """Attempt eight deliveries, each of which keeps the event loop so long; say how often another task ran between."""
    attempts: list[int] = []
    turns = 0

    async def work(event):
        time.sleep(milliseconds / 1_000)  # noqa: ASYNC251 - that is the fault
        attempts.append(turns)

    router = make_router(work, clock=None)
    async with router:
        await router.put_events([order(n=n) for n in range(8)])
        while len(attempts) < 8:
            turns += 1
            await anyio.lowlevel.checkpoint()
    return [after - before for before, after in pairwise(attempts)]


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_a_handler_that_keeps_the_event_loop_lets_others_run_after_each_attempt():
    """Publishers, timers and other subscriptions wait for one such attempt, and not for all that are ready."""
    between = await turns_between_attempts(11)
    # Trio shuffles: two attempts may be next to one another, with a turn of all others before and after them.
    assert sum(between) >= 6
    assert all(first + second for first, second in pairwise(between))


async def test_the_order_of_things_does_not_depend_on_real_time_where_time_is_simulated():
    assert await turns_between_attempts(11) == [0] * 7
