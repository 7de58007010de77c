"""What was leased when a process ended is tried again, whatever the retry policy says: perhaps it never was."""

import anyio
import pytest

from eventrouter import RetryPolicy
from eventrouter.stores.memory import MemoryStore
from tests.support import Scripted, make_router, order, seconds

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


async def abandoned(target):
    """Give a router with three deliveries whose leases have run out."""
    router = make_router(target)
    router.pause_target("r", target.id)
    async with router:
        await router.put_events([order(n=n) for n in range(3)])
    [subscription] = await router._store.pending()
    now = router._clock.now()
    assert len(await router._store.lease(subscription, 3, now=now, until=now + seconds(1))) == 3
    await anyio.sleep(1)
    router.resume_target("r", target.id)
    return router


async def delivered(router):
    async with router:
        await router.settle_down()
    return router.closing_report.total


@pytest.mark.parametrize("age", [seconds(3600), seconds(0.5)], ids=["young", "old"])
async def test_what_was_leased_ahead_is_attempted_whatever_the_policy_says(age):
    """Nothing tells whether its attempt had begun, and what never was attempted must not be given up."""
    policy = RetryPolicy(maximum_retry_attempts=0, maximum_event_age=age)
    target = Scripted(id="t", retry_policy=policy)
    total = await delivered(await abandoned(target))
    assert total.delivered == 3
    assert [delivery.attempt for delivery in target.seen] == [2, 2, 2]


async def test_what_was_under_way_once_is_attempted_at_once():
    target = Scripted(id="t", script=[OSError()])
    total = await delivered(await abandoned(target))
    assert total.delivered == 3
    assert target.relative_times[:3] == [0, 0, 0]


@pytest.mark.parametrize("takes", [0, 0.1, 10])
async def test_an_event_that_ends_its_process_is_buried_alone(takes):
    """Ten others are being attempted at that moment, and wait when it comes again."""
    store, lives, handled = Mortal(), 0, []

    class Handling(Scripted):
        async def invoke(self, delivery):
            number = delivery.event.detail["n"]
            await anyio.sleep(takes if number == DEADLY else takes + 0.1)
            if number == DEADLY:
                store.is_dead = True
                life.cancel()
                await anyio.sleep_forever()
            handled.append(number)

    policy = RetryPolicy(maximum_retry_attempts=3, maximum_event_age=seconds(3600))
    while not lives or store.is_dead:
        store.is_dead = False
        lives += 1
        router = make_router(Handling(id="t", retry_policy=policy), store=store)
        with anyio.CancelScope() as life:
            async with router:
                if lives == 1:
                    await router.put_events([order(n=n) for n in range(11)])
                await router.settle_down()
        await anyio.sleep(LEASE)
    assert [letter.event.detail["n"] for letter in await store.dead_letters()] == [DEADLY]
    assert sorted(handled) == [n for n in range(11) if n != DEADLY]


async def test_others_go_on_when_what_was_under_way_twice_has_ended():
    target = Scripted(id="t", script=[lambda: anyio.sleep(5)])
    router = await abandoned(target)
    [subscription] = await router._store.pending()
    for _ in range(3):  # once more, each alone
        now = router._clock.now()
        assert len(await router._store.lease(subscription, 3, now=now, until=now + seconds(1))) == 1
    await anyio.sleep(1)
    async with router:
        await router.put_events([order(n=10)])
        await router.settle_down()
    assert target.relative_times == [0, 5, 5, 5]
