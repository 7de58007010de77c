"""However calls interleave, fail, are cancelled or crash: one runs at a time, and one success is enough."""

import math
from dataclasses import dataclass

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import IdempotencyInProgressError, MemoryIdempotencyStore, idempotent
from tests.idempotency.stores import AwaitingStore, MortalStore, SharedClock
from tests.support import seconds
from tests.virtual_time import virtual_time_backends


@dataclass(frozen=True)
class Caller:
    """One process that calls once.

    Attributes:
        key: What it calls with.
        start: When.
        duration: How long its function would take.
        end: How that ends.
        after: When the call is cancelled, or the process dies, counted from its start.
    """

    key: str
    start: float
    duration: float
    end: str
    after: float


def callers(*ends):
    # Quarters, so that many things happen at the same instant.
    times = st.integers(0, 40).map(lambda n: n / 4)
    return st.lists(
        st.builds(Caller, st.sampled_from("xxy"), times, times, st.sampled_from(ends), times), min_size=1, max_size=8
    )


class World:
    """What happens, as seen from outside."""

    def __init__(self, on_conflict):
        self.store = MemoryIdempotencyStore()
        self.on_conflict = on_conflict
        self.active = {"x": 0, "y": 0}
        self.successes = {"x": [], "y": []}
        self.results = {"x": [], "y": []}

    async def run(self, callers):
        async with anyio.create_task_group() as tasks:
            for index, caller in enumerate(callers):
                tasks.start_soon(self._process, index, caller)

    async def _process(self, index, caller):
        store = MortalStore(AwaitingStore(self.store))

        @idempotent(
            name="f",
            store=store,
            clock=SharedClock(),
            lease=seconds(3),
            key=lambda key: key,
            on_conflict=self.on_conflict,
        )
        async def work(key):
            assert self.active[key] == 0
            self.active[key] += 1
            try:
                await anyio.sleep(caller.duration)
                if caller.end == "raises":
                    raise ValueError
            finally:
                self.active[key] -= 1
            self.successes[key].append(index)
            return index

        await anyio.sleep(caller.start)
        with anyio.move_on_after(caller.after if caller.end in ("is cancelled", "crashes") else math.inf) as scope:
            if caller.end == "crashes":
                scope.deadline = math.inf
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._crash, caller.after, store, scope)
                    await self._call(work, caller.key)
                    tasks.cancel_scope.cancel()
            else:
                await self._call(work, caller.key)

    async def _crash(self, after, store, scope):
        await anyio.sleep(after)
        store.die()
        scope.cancel()

    async def _call(self, work, key):
        try:
            result = await work(key)
        except (ValueError, OSError, IdempotencyInProgressError):
            return
        if result is not None:
            self.results[key].append(result)


def backend(name):
    return next(backend for backend in virtual_time_backends() if backend[0] == name)


def run(backend, callers, on_conflict="wait"):
    name, options = backend
    world = World(on_conflict)
    anyio.run(world.run, callers, backend=name, backend_options=options)
    return world


@pytest.mark.parametrize("backend_name", ["asyncio", "trio"])
@pytest.mark.parametrize("on_conflict", ["wait", "raise", "skip"])
def test_when_nothing_fails_each_key_has_its_effect_exactly_once(backend_name, on_conflict):
    @settings(max_examples=25, deadline=None)
    @given(callers("returns"))
    def check(callers):
        world = run(backend(backend_name), callers, on_conflict)
        for key in "xy":
            wanted = [caller for caller in callers if caller.key == key]
            assert len(world.successes[key]) == min(1, len(wanted))
            assert set(world.results[key]) == set(world.successes[key])
            if on_conflict == "wait":
                assert len(world.results[key]) == len(wanted)

    check()


@pytest.mark.parametrize("backend_name", ["asyncio", "trio"])
def test_failures_cancellations_and_crashes_leave_the_work_to_others(backend_name):
    @settings(max_examples=60, deadline=None)
    @given(callers("returns", "raises", "is cancelled", "crashes"))
    def check(callers):
        world = run(backend(backend_name), callers)
        for key in "xy":
            ends = {caller.end for caller in callers if caller.key == key}
            if "crashes" not in ends:
                assert len(world.successes[key]) <= 1
            if "returns" in ends:
                assert world.successes[key]
            # A process that crashed between its success and the note of it: the window, for which the work is repeated.
            crashed = [index for index in world.successes[key] if callers[index].end == "crashes"]
            assert len(world.successes[key]) - len(crashed) <= 1
            assert set(world.results[key]) <= set(world.successes[key])

    check()
