"""Functions that are not async, in threads, and event loops in several threads, in real time."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import anyio
import pytest

from eventrouter import IdempotencyInProgressError, MemoryIdempotencyStore, idempotent
from tests.idempotency.stores import FailingStore
from tests.support import NOON, seconds


class StoppedClock:
    """Time that stands still, so that no lease ends however slow the machine is."""

    def now(self):
        return NOON


class Watched:
    """A blocking store that says when something is called."""

    def __init__(self, store):
        self.inner = store.blocking
        self.blocking = self
        self.waits = threading.Semaphore(0)
        self.renewals = threading.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def compare_and_set(self, scope, key, expected, value, *, expires):
        kept = self.inner.compare_and_set(scope, key, expected, value, expires=expires)
        if expected == value:
            self.renewals.release()
        return kept

    def changed(self, *args, timeout):
        self.waits.release()
        self.inner.changed(*args, timeout=timeout)


def test_many_threads_that_call_at_once_have_one_effect_for_each_key():
    effects = []
    begin = threading.Barrier(8)

    @idempotent
    def work(key):
        effects.append(key)
        return key * 2

    def call():
        begin.wait()
        return [work(key) for key in range(20)]

    with ThreadPoolExecutor(8) as pool:
        results = [future.result() for future in [pool.submit(call) for _ in range(8)]]
    assert results == [[key * 2 for key in range(20)]] * 8
    assert sorted(effects) == list(range(20))


def test_who_waits_in_a_thread_is_woken_with_the_result_and_the_lease_is_renewed_meanwhile():
    store = Watched(MemoryIdempotencyStore())
    effects = []

    @idempotent(store=store, clock=StoppedClock(), lease=seconds(0.02))
    def work(key):
        for _ in range(5):  # longer than the lease
            store.renewals.acquire(timeout=30)
        store.waits.acquire(timeout=30)
        effects.append(key)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert {future.result() for future in [pool.submit(work, 1) for _ in range(2)]} == {"done"}
    assert effects == [1]


def test_who_raises_in_a_thread_is_told_at_once():
    begun, end = threading.Event(), threading.Event()

    @idempotent(on_conflict="raise", clock=StoppedClock())
    def work(key):
        begun.set()
        end.wait(30)
        return "done"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(work, 1)
        begun.wait(30)
        with pytest.raises(IdempotencyInProgressError) as caught:
            work(1)
        end.set()
        assert first.result() == "done"
    assert caught.value.retry_after == timedelta(seconds=30)


def test_a_lease_that_a_thread_could_not_renew_is_taken_over(caplog):
    inner = MemoryIdempotencyStore()
    failing = FailingStore("compare_and_set", store=inner)
    lost, begun, end = threading.Event(), threading.Event(), threading.Event()
    options = {"name": "work", "lease": seconds(0.05)}

    @idempotent(store=failing, **options)
    def slow(key):
        begun.set()
        end.wait(30)
        return "slow"

    @idempotent(store=inner, **options)
    def quick(key):
        return "quick"

    def notice(record):
        if "lost its lease" in record.getMessage():
            lost.set()
        return True

    caplog.handler.addFilter(notice)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow, 1)
        begun.wait(30)
        assert quick(1) == "quick"
        failing.names.clear()
        lost.wait(30)
        end.set()
        assert first.result() == "slow"
    assert quick(1) == slow(1) == "quick"
    for text in ("could not be renewed", "has lost its lease to another call", "that call's record stays"):
        assert text in caplog.text


def test_two_event_loops_share_a_store():
    effects = []
    begin = threading.Barrier(2)

    @idempotent(clock=StoppedClock())
    async def work(key):
        await anyio.sleep(0.01)
        effects.append(key)
        return key * 2

    async def call_all():
        begin.wait()
        results = {}

        async def call(key):
            results[key] = await work(key)

        async with anyio.create_task_group() as tasks:
            for key in range(5):
                tasks.start_soon(call, key)
                tasks.start_soon(call, key)
        return results

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(anyio.run, call_all, backend=backend) for backend in ("asyncio", "trio")]
        assert [run.result() for run in runs] == [{key: key * 2 for key in range(5)}] * 2
    assert sorted(effects) == list(range(5))


def test_the_context_of_a_function_is_its_callers():
    variable = contextvars.ContextVar("variable", default="unset")

    @idempotent
    def work(key):
        return variable.get()

    variable.set("mine")
    assert work(1) == "mine"
