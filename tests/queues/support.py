"""Small parts that tests of queues use."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from eventrouter import EventRouter, QueueError
from tests.virtual_time import LoopClock

NOW = timedelta(0)


def make_queue(name="jobs", router=None, **attributes):
    """Give a queue of a router on virtual time."""
    router = EventRouter(clock=LoopClock()) if router is None else router
    return router.create_queue(name, **attributes)


def bodies(messages) -> list:
    return [message.body for message in messages]


async def take(queue, maximum=10, **options) -> list:
    """Receive, and give the bodies alone."""
    return bodies(await queue.receive(maximum, **options))


@contextmanager
def refused(code, match=None):
    """Expect a refusal with SQS's code."""
    with pytest.raises(QueueError, match=match) as caught:
        yield caught
    assert caught.value.error_code == code
