"""Other in-process event buses that PyPI has, each doing the nearest thing: one async handler gets every event.

None of them keeps an event until its handler has ended, retries it, or accounts for it; where one validates or records
events, that is its own choice and stays switched on. Each is used in the way of its documentation that is the fastest:
none waits for one event to be handled before it publishes the next, where it offers that. Making a bus and closing it
are not timed. One that is not installed is reported as missing.
"""

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

#: How many events a bus without an end of its own to wait at is given before its handlers have a turn.
TOGETHER = 100


@dataclass
class Published:
    """What became of some events: how many were handled, and the seconds from the first until all had been."""

    handled: int = 0
    seconds: float = 0.0


#: Publishes so many events with this detail, and waits until the handler has had all of them.
Publish = Callable[[int, dict[str, Any]], Awaitable[Published]]


async def bubus(events: int, detail: dict[str, Any]) -> Published:
    """Dispatch events of a pydantic class, fifty and then wait for them: a bus takes no more than 100 at a time."""
    module = importlib.import_module("bubus")
    done = Published()

    class OrderPlaced(module.BaseEvent):
        order: dict[str, Any]

    async def handle(event: Any) -> None:
        done.handled += 1

    bus = module.EventBus(name="bench")
    bus.on(OrderPlaced, handle)
    start = time.perf_counter()
    for first in range(0, events, 50):
        for event in [bus.dispatch(OrderPlaced(order=detail)) for _ in range(min(50, events - first))]:
            await event
    done.seconds = time.perf_counter() - start
    await bus.stop(clear=True)
    return done


async def faststream(events: int, detail: dict[str, Any]) -> Published:
    """Publish to a subject of the broker that FastStream has for tests."""
    module = importlib.import_module("faststream.nats")
    broker = module.NatsBroker()
    done = Published()

    @broker.subscriber("orders")
    async def handle(message: dict[str, Any]) -> None:
        done.handled += 1

    async with module.TestNatsBroker(broker) as test:
        start = time.perf_counter()
        for _ in range(events):
            await test.publish(detail, "orders")
        done.seconds = time.perf_counter() - start
    return done


async def taskiq(events: int, detail: dict[str, Any]) -> Published:
    """Kick a task of the in-memory broker, and wait for all at the end."""
    broker = importlib.import_module("taskiq").InMemoryBroker()
    done = Published()

    @broker.task(task_name="handle")
    async def handle(message: dict[str, Any]) -> None:
        done.handled += 1

    await broker.startup()
    start = time.perf_counter()
    for _ in range(events):
        await handle.kiq(detail)
    await broker.wait_all()
    done.seconds = time.perf_counter() - start
    await broker.shutdown()
    return done


async def pyee(events: int, detail: dict[str, Any]) -> Published:
    """Emit to an async handler, which pyee makes a task of."""
    emitter = importlib.import_module("pyee.asyncio").AsyncIOEventEmitter()
    done = Published()

    @emitter.on("order")
    async def handle(message: dict[str, Any]) -> None:
        done.handled += 1

    start = time.perf_counter()
    for number in range(1, events + 1):
        emitter.emit("order", detail)
        if number % TOGETHER == 0:
            await asyncio.sleep(0)
    await emitter.wait_for_complete()
    done.seconds = time.perf_counter() - start
    return done


async def aiopubsub(events: int, detail: dict[str, Any]) -> Published:
    """Publish to a hub, whose subscriber has an async listener."""
    module = importlib.import_module("aiopubsub")
    done = Published()

    async def handle(key: Any, message: dict[str, Any]) -> None:
        done.handled += 1

    hub = module.Hub()
    subscriber = module.Subscriber(hub, "bench")
    subscriber.add_async_listener(module.Key("*", "orders"), handle)
    publisher = module.Publisher(hub, prefix=module.Key("shop"))
    start = time.perf_counter()
    for number in range(1, events + 1):
        publisher.publish(module.Key("orders"), detail)
        if number % TOGETHER == 0:
            await asyncio.sleep(0)
    turns = 0
    while done.handled < events and turns < 10_000:  # it has nothing to wait for; one that loses events ends as well
        await asyncio.sleep(0)
        turns += 1
    done.seconds = time.perf_counter() - start
    await subscriber.remove_all_listeners()
    return done


@dataclass(frozen=True)
class Peer:
    """Another event bus.

    Attributes:
        publish: How it is used.
        package: The package that has to be there, as it is called on PyPI.
        module: What is imported from it.
        events: How many events a round has: the slow ones take few.
    """

    publish: Publish
    package: str
    module: str
    events: int

    @property
    def is_there(self) -> bool:
        """Say whether it can be imported."""
        try:
            importlib.import_module(self.module)
        except ImportError:
            return False
        return True


PEERS = {
    "bubus": Peer(bubus, "bubus", "bubus", 200),
    "FastStream TestNatsBroker": Peer(faststream, "faststream", "faststream.nats", 500),
    "taskiq InMemoryBroker": Peer(taskiq, "taskiq", "taskiq", 1_000),
    "pyee AsyncIOEventEmitter": Peer(pyee, "pyee", "pyee.asyncio", 5_000),
    "aiopubsub Hub": Peer(aiopubsub, "aiopubsub", "aiopubsub", 5_000),
}
