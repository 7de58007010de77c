"""Other in-process event buses that PyPI has, each doing the nearest thing: one handler gets every event.

None of them keeps an event until its handler has ended, retries it, or accounts for it; where one validates or records
events, that is its own choice and stays switched on. One that is not installed is reported as missing.
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

#: Publishes so many events and waits until the handler has had all of them; gives how many it had.
Publish = Callable[[int, dict[str, Any]], Awaitable[int]]


async def bubus(events: int, detail: dict[str, Any]) -> int:
    """Dispatch events of a pydantic class, and await each."""
    module = importlib.import_module("bubus")
    handled = 0

    class OrderPlaced(module.BaseEvent):
        order: dict[str, Any]

    async def handle(event: Any) -> None:
        nonlocal handled
        handled += 1

    bus = module.EventBus(name="bench")
    bus.on(OrderPlaced, handle)
    for _ in range(events):
        await bus.dispatch(OrderPlaced(order=detail))
    await bus.stop(clear=True)
    return handled


async def faststream(events: int, detail: dict[str, Any]) -> int:
    """Publish to a subject of the broker that FastStream has for tests."""
    module = importlib.import_module("faststream.nats")
    broker = module.NatsBroker()
    handled = 0

    @broker.subscriber("orders")
    async def handle(message: dict[str, Any]) -> None:
        nonlocal handled
        handled += 1

    async with module.TestNatsBroker(broker) as test:
        for _ in range(events):
            await test.publish(detail, "orders")
    return handled


async def taskiq(events: int, detail: dict[str, Any]) -> int:
    """Kick a task of the in-memory broker."""
    broker = importlib.import_module("taskiq").InMemoryBroker(await_inplace=True)
    handled = 0

    @broker.task(task_name="handle")
    async def handle(message: dict[str, Any]) -> None:
        nonlocal handled
        handled += 1

    await broker.startup()
    for _ in range(events):
        await handle.kiq(detail)
    await broker.shutdown()
    return handled


async def pyee(events: int, detail: dict[str, Any]) -> int:
    """Emit to an async handler, which pyee makes a task of."""
    emitter = importlib.import_module("pyee.asyncio").AsyncIOEventEmitter()
    handled = 0

    @emitter.on("order")
    async def handle(message: dict[str, Any]) -> None:
        nonlocal handled
        handled += 1

    for number in range(events):
        emitter.emit("order", detail)
        if number % 100 == 99:
            await asyncio.sleep(0)
    await emitter.wait_for_complete()
    return handled


async def aiopubsub(events: int, detail: dict[str, Any]) -> int:
    """Publish to a hub, whose subscriber has an async listener."""
    module = importlib.import_module("aiopubsub")
    handled = 0

    async def handle(key: Any, message: dict[str, Any]) -> None:
        nonlocal handled
        handled += 1

    hub = module.Hub()
    subscriber = module.Subscriber(hub, "bench")
    subscriber.add_async_listener(module.Key("*", "orders"), handle)
    publisher = module.Publisher(hub, prefix=module.Key("shop"))
    for number in range(events):
        publisher.publish(module.Key("orders"), detail)
        if number % 100 == 99:
            await asyncio.sleep(0)
    for _ in range(10_000):
        if handled == events:
            break
        await asyncio.sleep(0)
    await subscriber.remove_all_listeners()
    return handled


#: And how many events each is measured with: the slow ones take few.
PEERS: dict[str, tuple[Publish, int]] = {
    "bubus": (bubus, 200),
    "FastStream TestBroker": (faststream, 500),
    "taskiq InMemoryBroker": (taskiq, 1_000),
    "pyee": (pyee, 5_000),
    "aiopubsub": (aiopubsub, 5_000),
}
