"""Who may open, use and close a router."""

import threading

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from eventrouter import BusClosedError, ConflictError
from tests.support import Scripted, make_router, order
from tests.virtual_time import real_time_backends


async def test_one_task_may_start_a_router_and_another_close_it():
    target = Scripted(id="t")
    router = make_router(target)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.start)
    await router.put_events([order(n=n) for n in range(3)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.aclose)
    assert len(target.seen) == 3
    assert router.closing_report.total.delivered == 3
    with pytest.raises(BusClosedError):
        await router.put_events([order()])


async def test_a_router_can_be_started_again_and_closing_it_twice_is_no_fault():
    target = Scripted(id="t")
    router = make_router(target)
    await router.aclose()
    for _ in range(2):
        await router.start()
        await router.put_events([order()])
        await router.aclose()
        await router.aclose()
    assert len(target.seen) == 2


async def test_whoever_starts_a_router_that_runs_is_told():
    router = make_router(Scripted(id="t"))
    await router.start()
    with pytest.raises(ConflictError, match="running"):
        await router.start()
    with pytest.raises(RuntimeError, match="already been entered"):
        async with router:
            pass
    await router.aclose()
    async with router:
        with pytest.raises(ConflictError, match="running"):
            await router.start()


async def test_a_store_that_cannot_be_opened_is_said_by_start():
    router = make_router(Scripted(id="t"))

    async def fail():
        raise OSError("no such disk")

    router._store.pending = fail
    with pytest.raises((OSError, ExceptionGroup)) as caught:
        await router.start()
    assert "no such disk" in repr(caught.value)
    await make_router().aclose()


async def test_a_start_that_is_cancelled_leaves_nothing_running():
    router = make_router(Scripted(id="t"))
    gate = anyio.Event()
    pending = router._store.pending

    async def slow():
        await gate.wait()
        return await pending()

    router._store.pending = slow
    with anyio.move_on_after(1):
        await router.start()
    gate.set()
    await anyio.sleep(1)
    assert router.closing_report is not None
    assert not router._is_entered


async def test_closing_goes_on_when_whoever_waits_for_it_is_cancelled():
    target = Scripted(id="t", script=[lambda: anyio.sleep(10)])
    router = make_router(target)
    await router.start()
    await router.put_events([order()])
    with anyio.move_on_after(1):
        await router.aclose()
    await anyio.sleep(20)
    assert router.closing_report.total.delivered == 1
    await router.aclose()


@pytest.mark.parametrize("anyio_backend", real_time_backends())
async def test_another_threads_event_loop_is_told_where_the_router_runs():
    router = make_router(Scripted(id="t"), clock=None)
    seen = []

    def elsewhere():
        with pytest.raises(BusClosedError, match="another thread"):
            anyio.run(router.put_events, [order()])
        seen.append(threading.get_ident())
        anyio.from_thread.run(router.put_events, [order()])

    async with router:
        await anyio.to_thread.run_sync(elsewhere)
        await router.settle_down()
    assert router.closing_report.total.delivered == 1
    assert seen != [threading.get_ident()]


async def test_what_goes_wrong_as_a_router_closes_is_said_by_aclose():
    router = make_router(Scripted(id="t"))
    await router.start()

    async def fail():
        raise OSError("no such disk")

    router._store.ledger = fail
    with pytest.raises(OSError, match="no such disk"):
        await router.aclose()
