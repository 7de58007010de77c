"""Cancelled at every moment, a router loses nothing and counts nothing that was not attempted to its end.

The whole router is cancelled after n turns of the event loop, for n = 0, 1, 2, ... until its story is over before that: so
every point at which any part of a delivery can be interrupted is.
"""

import anyio
import anyio.lowlevel
import pytest

from eventrouter import DeadLetterQueue, MemoryStore, RetryPolicy
from tests.interruption import cancelled_after
from tests.support import Scripted, make_router, order, seconds


class Patient(MemoryStore):
    """A store whose every call waits before and after it has happened, as one on a disk does."""


def _patient(name):
    async def call(self, *arguments, **options):
        await anyio.lowlevel.checkpoint()
        result = await getattr(MemoryStore, name)(self, *arguments, **options)
        await anyio.lowlevel.checkpoint()
        return result

    return call


for _name in ("lease", "extend", "settle", "release", "next_due", "pending"):
    setattr(Patient, _name, _patient(_name))


async def was_cancelled(turns, router, story) -> bool:
    """Run a story, cancel it after so many turns of the event loop, and say whether that came before its end."""
    with anyio.CancelScope() as scope, cancelled_after(turns, scope):
        async with router:
            await story(router)
    return scope.cancelled_caught


async def put_three(router):
    await router.put_events([order(n=n) for n in range(3)])
    await router.settle_down()


async def work():
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()


SCRIPTS = {
    "quick": [],
    "waits": [work, work, work],
    "fails": [OSError(), work, OSError(), work, work],
    "given up": [OSError(), OSError(), OSError(), OSError(), OSError(), OSError()],
}


@pytest.mark.parametrize("store_class", [MemoryStore, Patient])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_nothing_is_lost_whenever_the_router_is_cancelled(name, store_class):
    policy = RetryPolicy(maximum_retry_attempts=1, maximum_event_age=seconds(10**6))
    for turns in range(2_000):
        store = store_class()
        target = Scripted(
            id="t",
            script=list(SCRIPTS[name]),
            retry_policy=policy,
            dead_letter_queue=DeadLetterQueue("q"),
            maximum_concurrency=2,
        )
        is_over = not await was_cancelled(turns, make_router(target, store=store), put_three)
        ledger = await store.ledger()
        assert ledger.is_balanced
        assert ledger.total.in_flight == 0, f"a lease was left behind after {turns} turns"
        failed = sum(isinstance(step, OSError) for step in SCRIPTS[name])
        again = make_router(target, store=store, drain_timeout=seconds(10**6))
        async with again:
            await again.settle_down()
        total = again.closing_report.total
        assert total.accepted in (0, 3)
        assert total.delivered + total.dead_lettered == total.accepted
        attempts = [delivery.attempt for delivery in target.seen]
        assert max(attempts, default=1) <= 2, "more attempts than the policy allows"
        if failed == 0 and total.accepted:
            assert set(attempts) == {1}, "an attempt that was cancelled has been counted"
        if is_over:
            break
    else:
        pytest.fail("the story never ended")
    assert turns >= 3


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_a_publisher_that_is_cancelled_has_put_all_or_nothing(turns):
    target = Scripted(id="t")
    router = make_router(target)
    async with router:
        async with anyio.create_task_group() as tasks:

            async def publish():
                for n in range(10):
                    await router.put_events([order(n=n) for _ in range(50)])

            tasks.start_soon(publish)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        await router.settle_down()
    assert router.closing_report.is_balanced
    assert len(target.seen) % 50 == 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("anyio_backend", [("trio", {})], ids=["trio"])
async def test_an_exception_that_ends_the_program_acknowledges_nothing(kind, waits):
    """On trio only: asyncio's loop itself stops at a KeyboardInterrupt or SystemExit of a task."""

    async def end():
        if waits:
            await anyio.sleep(0.001)
        raise kind

    target = Scripted(id="t", script=[end])
    router = make_router(target)
    with pytest.raises(BaseException) as caught:
        async with router:
            await router.put_events([order(n=n) for n in range(3)])
            await router.settle_down()
    assert caught.group_contains(kind) or isinstance(caught.value, kind)
    ledger = await router._store.ledger()
    assert ledger.total.in_flight == 0
    async with make_router(target, store=router._store) as again:
        await again.settle_down()
    assert {delivery.event.detail["n"] for delivery in target.seen} == {0, 1, 2}
    assert [delivery.attempt for delivery in target.seen] == [1] * len(target.seen)
