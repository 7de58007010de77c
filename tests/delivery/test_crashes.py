"""What was under way when a process ended: it is tried again, and one event that ends processes takes no others along."""

from itertools import pairwise

import anyio
import pytest

from eventrouter import RetryPolicy
from eventrouter.errors import ThrottledError
from eventrouter.stores.memory import MemoryStore
from tests.support import Scripted, Steps, make_router, order, seconds

LONG = seconds(3600)
#: How long until what a dead process had is leased by others.
LEASE = 61
DEADLY = 5


class Mortal(MemoryStore):
    """A store that hears no more of its router once that is dead."""

    is_dead = False

    async def lease(self, *arguments, **options):
        return [] if self.is_dead else await super().lease(*arguments, **options)

    async def settle(self, outcomes):
        return [] if self.is_dead else await super().settle(outcomes)

    async def release(self, deliveries):
        if not self.is_dead:
            await super().release(deliveries)


class Refusing(MemoryStore):
    """A store that does not write the first outcome, neither among others nor alone."""

    refuses = 2

    async def settle(self, outcomes):
        if self.refuses:
            self.refuses -= 1
            raise OSError("the disk is full")
        return await super().settle(outcomes)


async def abandoned(target, *, events=1, leases=1, **options):
    """Give a router of whose deliveries so many leases have run out, each of all of them."""
    router = make_router(target, **options)
    router.pause_target("r", target.id)
    async with router:
        await router.put_events([order(n=n) for n in range(events)])
    store = router._store
    [subscription] = await store.pending()
    for _ in range(leases):
        now = router._clock.now()
        while await store.lease(subscription, events, now=now, until=now + seconds(1)):
            pass
        await anyio.sleep(1)
    router.resume_target("r", target.id)
    return router


async def delivered(router):
    async with router:
        await router.settle_down()
    return router.closing_report.total


@pytest.mark.parametrize("age", [LONG, seconds(0.5)], ids=["young", "old"])
async def test_what_was_leased_ahead_is_attempted_whatever_the_policy_says(age):
    """Nothing tells whether its attempt had begun, and what never was attempted must not be given up."""
    policy = RetryPolicy(maximum_retry_attempts=0, maximum_event_age=age)
    target = Scripted(id="t", retry_policy=policy)
    total = await delivered(await abandoned(target, events=3))
    assert total.delivered == 3
    assert [delivery.attempt for delivery in target.seen] == [2, 2, 2]


async def test_what_was_under_way_once_is_attempted_at_once():
    target = Scripted(id="t", script=[OSError()])
    total = await delivered(await abandoned(target, events=3))
    assert total.delivered == 3
    assert target.relative_times[:3] == [0, 0, 0]


async def test_what_was_under_way_twice_is_attempted_as_after_a_failure():
    """Each at a time of its own, without using up an attempt for the wait, and the target is not throttled."""
    steps = Steps()
    policy = RetryPolicy(maximum_retry_attempts=3, base_delay=seconds(100), maximum_event_age=LONG)
    target = Scripted(id="t", retry_policy=policy)
    router = await abandoned(target, events=3, leases=2, observers=[steps])
    began = anyio.current_time()
    total = await delivered(router)
    waited = [at - began for at in target.times]
    assert total.delivered == 3
    assert [delivery.attempt for delivery in target.seen] == [3, 3, 3]
    assert all(20 <= wait <= 200 for wait in waited)
    assert all(later - sooner > 1 for sooner, later in pairwise(waited))
    assert not [name for name in steps.names if "THROTTLE" in name]


async def test_it_is_attempted_at_once_if_it_would_be_too_old_later():
    policy = RetryPolicy(base_delay=seconds(100), maximum_event_age=seconds(10))
    target = Scripted(id="t", retry_policy=policy)
    router = await abandoned(target, leases=2)
    began = anyio.current_time()
    assert (await delivered(router)).delivered == 1
    assert target.times == [began]


async def test_a_throttled_target_does_not_rest_for_what_is_kept_apart():
    """Both are written together, as the store has refused the first for a second."""
    policy = RetryPolicy(base_delay=seconds(1000), maximum_delay=seconds(1000), maximum_event_age=LONG)
    throttled = [ThrottledError(retry_after=seconds(5))]
    target = Scripted(id="t", retry_policy=policy, script=throttled)
    router = await abandoned(target, leases=2, store=Refusing())
    async with router:
        await anyio.sleep(0.5)
        await router.put_events([order(n=10)])
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == [10, 10, 0]
    assert target.relative_times[1] == pytest.approx(5, abs=1)


async def test_an_event_that_ends_its_process_is_buried_alone():
    """Twenty others are being attempted each time, half of them for another target; it alone uses up its attempts."""
    store, lives, handled = Mortal(), 0, []

    class Handling(Scripted):
        async def invoke(self, delivery):
            if delivery.event.detail["n"] == DEADLY:
                store.is_dead = True
                life.cancel()
            await anyio.sleep(0.1)
            handled.append(delivery.event.detail["n"])

    policy = RetryPolicy(maximum_retry_attempts=3, maximum_event_age=LONG)
    while not lives or store.is_dead:
        store.is_dead = False
        lives += 1
        router = make_router(*(Handling(id=id, retry_policy=policy) for id in ("a", "b")), store=store)
        with anyio.CancelScope() as life:
            async with router:
                if lives == 1:
                    await router.put_events([order(n=n) for n in range(11)])
                await router.settle_down()
        await anyio.sleep(LEASE)
    letters = [letter.event.detail["n"] for letter in await store.dead_letters()]
    assert letters == [DEADLY, DEADLY]
    assert sorted(handled) == sorted([n for n in range(11) if n != DEADLY] * 2)
