"""Cancelled or crashed at any point, a call leaves nothing behind that is wrong."""

import asyncio

import anyio
import pytest
from anyio.lowlevel import checkpoint

from eventrouter import IdempotencyInProgressError, MemoryIdempotencyStore, idempotent
from eventrouter.testing.cancellation import at_every_point
from tests.idempotency.stores import AwaitingStore, MortalStore, SharedClock
from tests.support import seconds


def make_handler(store, done):
    @idempotent(name="h", store=store, clock=SharedClock(), lease=seconds(30))
    async def handle(n):
        await checkpoint()
        await checkpoint()
        done.append(n)
        return len(done)

    return handle


async def test_a_call_cancelled_anywhere_has_run_and_is_stored_or_has_left_nothing():
    outcomes = set()

    async def attempt(cancel_at):
        store = MemoryIdempotencyStore()
        done = []
        handle = make_handler(AwaitingStore(store), done)
        result = await cancel_at(handle(7))
        assert len(store) == len(done)
        assert result == (None if cancel_at.was_cancelled else 1)
        outcomes.add((len(done), cancel_at.was_cancelled))
        with anyio.fail_after(1):
            assert await make_handler(store, done)(7) == 1
        assert done == [7]

    assert await at_every_point(attempt) >= 6
    assert {(0, True), (1, False)} <= outcomes


async def test_a_call_that_crashes_anywhere_holds_the_key_no_longer_than_its_lease():
    waits = set()

    async def attempt(cancel_at):
        store = MemoryIdempotencyStore()
        mortal = MortalStore(AwaitingStore(store))
        done = []
        cancel_at.before = mortal.die
        try:
            await cancel_at(make_handler(mortal, done)(7))
        except OSError:
            assert not mortal.is_alive
        start = anyio.current_time()
        assert await make_handler(store, done)(7) in (1, 2)
        waits.add(round(anyio.current_time() - start))

    assert await at_every_point(attempt) >= 6
    assert waits == {0, 30}


async def test_who_is_cancelled_while_waiting_does_no_harm_to_who_runs():
    async def attempt(cancel_at):
        store = MemoryIdempotencyStore()
        done = []

        @idempotent(store=AwaitingStore(store), clock=SharedClock())
        async def handle(n):
            await anyio.sleep(1)
            done.append(n)
            return len(done)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(handle, 7)
            await anyio.sleep(0.5)
            await cancel_at(handle(7))
        assert await handle(7) == 1
        assert done == [7]
        assert store._records._watchers == {}

    assert await at_every_point(attempt) >= 3


async def test_a_store_that_hangs_does_not_hold_up_the_cancellation():
    class Hanging(AwaitingStore):
        async def delete_if(self, *args):
            await anyio.sleep_forever()

    handle = idempotent(name="h", store=Hanging(), clock=SharedClock())(lambda_that_sleeps := anyio.sleep_forever)
    assert handle.__wrapped__ is lambda_that_sleeps
    start = anyio.current_time()
    with anyio.move_on_after(1):
        await handle()
    assert anyio.current_time() - start == pytest.approx(6)


async def test_what_returns_in_spite_of_its_cancellation_is_done():
    calls = []

    @idempotent(clock=SharedClock())
    async def handle(n):
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)
            calls.append(n)
        return "charged"

    with anyio.move_on_after(1) as scope:
        await handle(1)
    assert scope.cancel_called
    assert await handle(1) == "charged"
    assert calls == [1]


async def test_the_cancellation_of_asyncio_itself_leaves_nothing_either(anyio_backend_name):
    if anyio_backend_name == "trio":
        return
    store = MemoryIdempotencyStore()

    @idempotent(store=AwaitingStore(store), clock=SharedClock(), on_conflict="raise")
    async def handle(n):
        await anyio.sleep(10)
        return n

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle(1), 1)
    assert len(store) == 0
    first = asyncio.create_task(handle(1))
    await asyncio.sleep(1)
    with pytest.raises(IdempotencyInProgressError):
        await handle(1)
    assert await first == 1
