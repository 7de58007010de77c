"""Leases are renewed while the function runs, and taken over when nobody renews them."""

import anyio
import pytest

from eventrouter import MemoryIdempotencyStore, idempotent
from tests.idempotency.stores import FailingStore, MortalStore, SharedClock
from tests.support import seconds


def make_handler(store, duration, calls, result=None):
    @idempotent(name="h", store=store, clock=SharedClock(), lease=seconds(30))
    async def handle():
        calls.append(anyio.current_time())
        await anyio.sleep(duration)
        return result

    return handle


@pytest.fixture
def results():
    return {}


async def call(handle, results, name, after=0.0):
    await anyio.sleep(after)
    start = anyio.current_time()
    results[name] = await handle(), anyio.current_time() - start


async def test_a_call_that_outlives_its_lease_keeps_it(results):
    store = MemoryIdempotencyStore()
    calls = []
    handle = make_handler(store, 1_000, calls, "done")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, handle, results, "a")
        tasks.start_soon(call, handle, results, "b", 500)
    assert results == {"a": ("done", pytest.approx(1_000)), "b": ("done", pytest.approx(500))}
    assert len(calls) == 1


async def test_the_lease_of_a_process_that_died_is_taken_over(results):
    inner = MemoryIdempotencyStore()
    mortal = MortalStore(inner)
    calls = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(make_handler(mortal, 1_000, calls))
        await anyio.sleep(10)  # one renewal, at 7.5
        mortal.die()
        await call(make_handler(inner, 7, calls, "done"), results, "b")
        tasks.cancel_scope.cancel()
    assert results == {"b": ("done", pytest.approx(27.5 + 7))}
    assert len(calls) == 2


async def test_who_lost_its_lease_gives_its_own_result_and_leaves_the_others_record(results, caplog):
    inner = MemoryIdempotencyStore()
    failing = FailingStore(store=inner)
    calls = []
    slow, quick = make_handler(failing, 100, calls, "slow"), make_handler(inner, 50, calls, "quick")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, slow, results, "slow")
        await anyio.sleep(5)
        failing.names.add("compare_and_set")
        tasks.start_soon(call, quick, results, "quick")
        await anyio.sleep(31)  # taken over at 30
        assert "could not be renewed" in caplog.text
        failing.names.clear()
    assert results == {"slow": ("slow", pytest.approx(100)), "quick": ("quick", pytest.approx(75))}
    assert "has lost its lease to another call, and goes on" in caplog.text
    assert "returned after another call had taken over its key" in caplog.text
    assert await slow() == "quick"
    assert len(calls) == 2


async def test_who_lost_its_lease_and_fails_leaves_the_others_record():
    inner = MemoryIdempotencyStore()
    failing = FailingStore("compare_and_set", store=inner)

    @idempotent(name="h", store=failing, clock=SharedClock(), lease=seconds(30))
    async def fail():
        await anyio.sleep(40)
        raise ValueError

    async def expect_failure():
        with pytest.raises(ValueError):
            await fail()

    calls = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect_failure)
        await anyio.sleep(1)
        assert await make_handler(inner, 50, calls, "done")() == "done"
    assert await make_handler(inner, 0, calls)() == "done"


async def test_a_renewal_that_fails_is_made_up_for_by_the_next(results, caplog):
    failing = FailingStore()
    calls = []
    handle = make_handler(failing, 100, calls, "done")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, handle, results, "a")
        tasks.start_soon(call, handle, results, "b", 1)
        await anyio.sleep(7)
        failing.names.add("compare_and_set")
        await anyio.sleep(10)  # the renewals at 7.5 and 15 fail; the one at 22.5 is in time
        failing.names.clear()
    assert len(calls) == 1
    assert caplog.text.count("could not be renewed") == 2


@pytest.mark.parametrize("when", [12, 95])
async def test_a_record_that_was_swept_but_not_taken_over_is_written_again(when, results):
    """At 12, by the next renewal; at 95, with the result."""
    store = MemoryIdempotencyStore()
    calls = []
    handle = make_handler(store, 100, calls, "done")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, handle, results, "a")
        await anyio.sleep(when)
        store._records._records.clear()
        await anyio.sleep(9 if when < 90 else 10)
        assert await handle() == "done"
    assert len(calls) == 1
