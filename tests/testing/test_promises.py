"""The promises of the project itself, in the simulator, with all faults at once: a state machine for each back end."""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import Event, EventEntry, EventRouter, MemoryStore, RetryPolicy
from eventrouter.errors import StoreError
from eventrouter.testing import run, simulate
from eventrouter.testing.faults import CrashPoint, disturbed, faulty
from tests.support import NOON

POLICY = RetryPolicy(maximum_retry_attempts=10_000, maximum_event_age=timedelta(days=30))
GROUPS = ("a", "b", None)

#: What may happen, in any order: events are put, time passes, the clock is set.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(GROUPS)),
        st.tuples(st.just("wait"), st.integers(1, 7_200)),
        st.tuples(st.just("jump"), st.integers(-3_600, 3_600)),
    ),
    min_size=3,
    max_size=14,
)


class World:
    """What has been promised, and what has come of it, over all lives of the process."""

    def __init__(self):
        self.number = 0
        self.promised = {}  # number -> group
        self.handled = []
        self.done = {group: [] for group in GROUPS}
        self.fired = defaultdict(set)  # instant -> ids of events

    def router(self):
        router = EventRouter()

        @router.rule({"source": ["shop"]}, name="any", retry_policy=POLICY)
        async def take(event: Event) -> None:
            await anyio.sleep(event.detail["n"] % 3)
            self.handled.append(event.detail["n"])

        @router.rule({"source": ["shop"]}, name="ordered", retry_policy=POLICY, ordering="FIFO")
        async def take_in_order(event: Event) -> None:
            await anyio.sleep(event.detail["n"] % 3)
            self.done[event.detail["group"]].append(event.detail["n"])

        @router.schedule("cron(0/30 * * * ? *)", retry_policy=POLICY)
        async def half_hourly(event: Event) -> None:
            self.fired[event.time].add(event.id)

        return router

    async def put(self, router, group):
        self.number += 1
        entry = EventEntry("shop", "Order", {"n": self.number, "group": group}, event_group_id=group)
        [result] = await router.put_events([entry])
        if result.error_code is None:
            self.promised[self.number] = group


async def live(world, store, steps, *, at, seed, share, crash=None):
    """Have a process live through some steps, until it is killed."""
    with anyio.CancelScope() as scope:
        failing = faulty(store, errors=share / 4, lost_answers=share / 4, seed=seed, crash=crash)
        failing.on_crash = scope.cancel
        router = world.router()
        faults = {"duplicates": share, "errors": share, "lost_answers": share, "reorder": timedelta(seconds=2)}
        with disturbed(router, **faults, seed=seed):
            async with simulate(router, at=at, seed=seed, store=failing) as sim:
                for step, argument in steps:
                    if step == "put":
                        await world.put(sim.router, argument)
                    elif step == "wait":
                        await sim.advance(seconds=argument)
                    else:
                        sim.jump_clock(timedelta(seconds=argument))


async def lives(steps, seed, share, crashes):
    """Have processes live one after the other on one store, and then one in peace; see that all promises are kept."""
    world, store = World(), MemoryStore()
    at = NOON
    for number in crashes:
        with suppress(StoreError):  # as the router is entered, by a fault or the crash
            await live(world, store, steps, at=at, seed=seed, share=share, crash=CrashPoint(number, "after"))
        at += timedelta(days=2)
    router = world.router()
    async with simulate(router, at=at, seed=seed, store=store) as sim:
        await sim.advance(hours=3)
        await sim.run_until_idle()
        ledger = await sim.ledger()
    assert ledger.is_balanced, "the account is wrong"
    assert world.promised.keys() <= set(world.handled), "an accepted event is lost"
    for group in ("a", "b"):
        firsts = list(dict.fromkeys(world.done[group]))
        assert firsts == sorted(firsts), "the order of a group is broken"
        assert {number for number, its in world.promised.items() if its == group} <= set(firsts), (
            "one of a group is lost"
        )
    assert all(len(ids) == 1 for ids in world.fired.values()), "a schedule has fired twice for one instant"
    assert not ledger.total.dead_lettered


@given(
    steps=STEPS,
    seed=st.integers(0, 1_000),
    share=st.sampled_from([0.0, 0.1, 0.4]),
    crashes=st.lists(st.integers(0, 60), max_size=3),
    backend=st.sampled_from(["asyncio", "trio"]),
)
@settings(max_examples=25)
def test_promises_are_kept_whatever_goes_wrong(steps, seed, share, crashes, backend):
    run(lives, steps, seed, share, crashes, backend=backend)


async def test_each_occurrence_is_one_event_however_clocks_are_set_and_processes_end():
    world, store, at = World(), MemoryStore(), NOON
    steps = [("wait", 5_000), ("jump", -3_000), ("wait", 5_000), ("jump", 2_000), ("wait", 3_000)]
    for number in (9, 25, 60):
        await live(world, store, steps, at=at, seed=1, share=0.0, crash=CrashPoint(number, "before"))
        at += timedelta(minutes=40)
    async with simulate(world.router(), at=at, store=store) as sim:
        await sim.advance(hours=3)
    assert len(world.fired) >= 8
    assert all(len(ids) == 1 for ids in world.fired.values())
