"""What was leased when a process ended is tried again, whatever the retry policy says: perhaps it never was."""

import anyio
import pytest

from eventrouter import RetryPolicy
from tests.support import Scripted, make_router, order, seconds


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
