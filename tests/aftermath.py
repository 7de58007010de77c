"""What tests of what follows from a delivery share."""

import json

from eventrouter import RetryPolicy, Subscription
from tests.support import Scripted, make_router, order

ORDERS = {"source": ["shop.orders"]}
NO_RETRY = RetryPolicy(maximum_retry_attempts=0)
LAMBDA = "arn:aws:lambda:us-east-2:123456789012:function:my-function"


def record(delivery):
    """Read what a destination received."""
    return json.loads(delivery.payload)


def below(name) -> Subscription:
    return Subscription("default", "r", f"t/{name}")


async def run(*targets, entry=None, router=None, pattern=ORDERS, **options):
    """Put one event through a router, and give the router."""
    router = router or make_router(*targets, pattern=pattern, **options)
    async with router:
        await router.put_events([entry or order(total=250)])
        await router.settle_down()
    assert router.closing_report.is_balanced
    assert (router.closing_report.total.waiting, router.closing_report.parked) == (0, frozenset())
    return router


def fails(*errors, **options) -> Scripted:
    """Give a target that fails so, each time it is tried."""
    return Scripted(**{"id": "t", "retry_policy": NO_RETRY, **options}, script=list(errors))
