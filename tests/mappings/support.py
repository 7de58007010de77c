"""A queue with a dead-letter queue, a function, and what it has been given."""

from datetime import timedelta

import anyio

from eventrouter import EventRouter
from eventrouter.queues import RedrivePolicy
from tests.support import seconds
from tests.virtual_time import LoopClock


class Worker:
    """A function that keeps what it was given, and does as its script says.

    Attributes:
        batches: The bodies of each batch.
        begun: When it was given each.
        events: All of what it was given.
    """

    def __init__(self, *, takes=0.0, poison=(), answer=None):
        self.batches, self.begun, self.events = [], [], []
        self.takes, self.poison, self.answer = takes, set(poison), answer
        self.running = self.most = 0

    async def __call__(self, event, context):
        records = event["Records"] if isinstance(event, dict) else event
        bodies = [record.get("body", record.get("data")) if isinstance(record, dict) else record for record in records]
        self.batches.append(bodies)
        self.events.append(event)
        self.begun.append(anyio.current_time())
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(self.takes)
        finally:
            self.running -= 1
        if self.poison & {body if isinstance(body, str | int) else None for body in bodies}:
            raise ValueError("poison")
        return self.answer(bodies) if self.answer is not None else None

    @property
    def done(self):
        """The bodies of batches that succeeded, in the order in which they did."""
        return [body for batch in self.batches if not self.poison & set(batch) for body in batch]


def make(worker, *, queue="jobs", timeout=20.0, receives=3, store="memory://", **attributes):
    """Give a router on virtual time with a queue, its dead-letter queue `dead`, and a function `work`."""
    router = EventRouter(store, clock=LoopClock())
    suffix = ".fifo" if queue.endswith(".fifo") else ""
    router.create_queue(f"dead{suffix}")
    router.create_queue(
        queue,
        redrive_policy=RedrivePolicy(f"dead{suffix}", receives),
        **{"visibility_timeout": timedelta(seconds=30), **attributes},
    )
    router.function("work", timeout=seconds(timeout))(worker)
    return router


async def send(router, *bodies, queue="jobs", **options):
    for body in bodies:
        await router.queue(queue).send(body, **options)
