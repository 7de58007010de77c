"""What tests of functions share."""

import json

from eventrouter import EventRouter, RetryPolicy
from tests.virtual_time import LoopClock

ARN = "arn:aws:lambda:local:000000000000:function:"
NO_RETRY = RetryPolicy(maximum_retry_attempts=0)


def make_router(**options) -> EventRouter:
    """Give a router on virtual time."""
    return EventRouter(**{"clock": LoopClock(), **options})


def declare(router, handler, name="f", **options):
    """Declare a function."""
    return router.function(name, **options)(handler)


async def queue_up(function, payload=None, **options) -> str:
    """Invoke asynchronously, and give the request id."""
    response = await function.invoke(payload, invocation_type="Event", **options)
    assert response.status_code == 202
    return response.request_id


def records(destination):
    """Read what a scripted destination received."""
    return [json.loads(delivery.payload) for delivery in destination.seen]
