"""Several routers on one store, as several processes on one file will be."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import EventEntry, MemoryStore, RetryPolicy
from tests.stores.engines import INLINE_STORES
from tests.support import Scripted, make_router, order, seconds
from tests.virtual_time import LoopClock, virtual_time_backends


@pytest.fixture(params=INLINE_STORES)
async def store(request, scratch):
    store = INLINE_STORES[request.param](scratch.new())
    await store.open()  # once more than the routers do, since tests look into it
    yield store
    await store.close()


def two(store, clock, **options):
    """Give two routers with the same rule on one store, and what their targets have seen."""
    targets = [Scripted(id="t", **options) for _ in range(2)]
    return [make_router(target, store=store, clock=clock) for target in targets], targets


async def test_what_one_router_accepted_another_takes_over_when_it_closes(store):
    clock = LoopClock()
    (first, second), (one, other) = two(store, clock, maximum_concurrency=1)
    one.script.extend([lambda: anyio.sleep(1)] * 5)
    first.drain_timeout = seconds(0)
    async with first:
        await first.put_events([order(n=n) for n in range(5)])
        await anyio.sleep(1.5)
    async with second:
        await second.settle_down()
    numbers = [delivery.event.detail["n"] for delivery in one.seen + other.seen]
    assert sorted(set(numbers)) == list(range(5))
    assert second.closing_report.total.delivered == 5
    assert all(delivery.attempt == 1 for delivery in other.seen)  # what was handed back was not counted


async def test_deliveries_of_a_router_that_vanished_come_back_when_its_leases_end(store):
    clock = LoopClock()
    (_, second), (_, other) = two(store, clock)
    vanished = make_router(Scripted(id="t"), store=store, clock=clock)
    vanished.pause_target("r", "t")
    async with vanished:
        await vanished.put_events([order()])
    [subscription] = await store.pending()
    now = clock.now()
    await store.lease(subscription, 1, now=now, until=now + seconds(60))
    async with second:
        await anyio.sleep(59)
        assert other.seen == []
        await anyio.sleep(2)
        assert [delivery.attempt for delivery in other.seen] == [2]
    assert second.closing_report.total.delivered == 1


async def test_an_attempt_keeps_its_lease_however_long_it_takes(store):
    clock = LoopClock()
    (first, second), (one, other) = two(store, clock, script=[lambda: anyio.sleep(200)] * 2, timeout=None)
    async with first, second:
        await first.put_events([order()])
        await anyio.sleep(1)
        second._dispatcher.doubt()  # as it learns of what others write
        await anyio.sleep(190)
        assert (len(one.seen), other.seen) == (1, [])
        await first.settle_down()
    assert (len(one.seen), other.seen) == (1, [])
    assert first.closing_report.total.delivered == 1


class Occupied(MemoryStore):
    """A store that has nothing to give for two seconds, as others attempt as many as the target takes."""

    asked = 0

    async def lease(self, subscription, limit, *, now, **options):
        self.asked += 1
        is_occupied = anyio.current_time() < self.free_at
        return [] if is_occupied else await super().lease(subscription, limit, now=now, **options)


async def test_a_router_whose_turn_it_is_not_looks_again_soon():
    """Nobody tells when the attempts of others have ended."""
    store, target = Occupied(), Scripted(id="t", maximum_concurrency=1)
    async with make_router(target, store=store) as router:
        begun = anyio.current_time()
        store.free_at = begun + 2
        await router.put_events([order()])
        await router.settle_down()
    assert 2 <= target.times[0] - begun <= 2.2
    assert 19 <= store.asked <= 24


async def test_a_router_whose_deliveries_another_one_ended_settles_down(store):
    clock = LoopClock()
    (first, second), (one, other) = two(store, clock)
    async with first:
        first.pause_target("r", "t")
        await first.put_events([order(n=n) for n in range(3)])
        async with second:
            await second.settle_down()
        assert len(other.seen) == 3
        first.resume_target("r", "t")
        with anyio.fail_after(10):
            await first.settle_down()
    assert one.seen == []


@settings(max_examples=25)
@given(data=st.data())
def test_routers_that_share_a_store_deliver_everything_once_unless_it_fails(data):
    steps = st.sampled_from([None, OSError(), lambda: anyio.sleep(3), lambda: anyio.sleep(0.5)])
    scripts = [data.draw(st.lists(steps, max_size=12)) for _ in range(2)]
    count = data.draw(st.integers(1, 12))
    group = data.draw(st.sampled_from([None, "g"]))
    backend, options = data.draw(st.sampled_from(virtual_time_backends()))

    async def run():
        store, clock = MemoryStore(), LoopClock()
        policy = RetryPolicy(maximum_retry_attempts=100, maximum_event_age=seconds(10**6))
        routers, targets = two(store, clock, retry_policy=policy, ordering="FIFO")
        for target, script in zip(targets, scripts, strict=True):
            target.script.extend(script)
        async with routers[0], routers[1]:
            for n in range(count):
                entry = EventEntry("shop.orders", "Order Placed", {"n": n}, event_group_id=group)
                await routers[n % 2].put_events([entry])
                await anyio.sleep(0.3)
            while await store.pending():  # noqa: ASYNC110 - either router may end the last one
                await anyio.sleep(1)
        return await store.ledger(), targets

    ledger, targets = anyio.run(run, backend=backend, backend_options=options)
    assert ledger.total.delivered == count
    failures = sum(isinstance(step, OSError) for script in scripts for step in script)
    attempts = sum(len(target.seen) for target in targets)
    assert count <= attempts <= count + failures
    if group is not None:
        seen = sorted((at, d.event.detail["n"]) for t in targets for at, d in zip(t.times, t.seen, strict=True))
        numbers = [n for _, n in seen]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_pump_leaves_to_others_what_it_cannot_take(limit, store):
    """A target that waits gets as many as it can attempt; the rest is not leased away from other routers."""
    clock = LoopClock()
    (first, second), (one, other) = two(store, clock, maximum_concurrency=limit)
    for target in (one, other):
        target.script.extend([lambda: anyio.sleep(1)] * 40)
    async with first, second:
        await first.put_events([order(n=n) for n in range(8 * limit)])
        await second.put_events([order(n=99)])
        await anyio.sleep(10)
        await first.settle_down()
    assert abs(len(one.seen) - len(other.seen)) <= 2 * limit + 2
