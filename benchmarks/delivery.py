"""From `put_events` to a handler, against a bare memory object stream, which is the least that a hand-over can cost."""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import anyio

from benchmarks.measure import Figure
from benchmarks.report import Section
from eventrouter import Event, EventEntry, EventRouter, FunctionTarget

EVENTS = 5_000
ROUNDS = 5
DETAIL = {"order_id": "o-1", "total": 250, "lines": [{"sku": f"sku-{n}", "quantity": n} for n in range(10)]}
PATTERN = {"source": ["shop.orders"], "detail": {"total": [{"numeric": [">", 100]}]}}


async def stream() -> float:
    """Feed one handler from a bare memory object stream, and give the seconds for an event."""
    handled = 0

    async def handle(receive) -> None:
        nonlocal handled
        async for _ in receive:
            handled += 1

    send, receive = anyio.create_memory_object_stream[dict](1_000)
    start = time.perf_counter()
    async with anyio.create_task_group() as tasks, send:
        tasks.start_soon(handle, receive)
        for _ in range(EVENTS):
            await send.send(DETAIL)
        await send.aclose()
    assert handled == EVENTS
    return (time.perf_counter() - start) / EVENTS


def routed(targets: int) -> Callable[[], Awaitable[float]]:
    """Make a measurement of one rule with so many targets."""

    async def measure_router() -> float:
        handled = 0

        async def handle(event: Event) -> None:
            nonlocal handled
            handled += 1

        router = EventRouter()
        router.put_rule("large", PATTERN)
        router.put_targets("large", [FunctionTarget(id=f"t{n}", function=handle) for n in range(targets)])
        async with router:
            start = time.perf_counter()
            for _ in range(EVENTS // 100):
                await router.put_events([EventEntry("shop.orders", "Order Placed", DETAIL)] * 100)
            await router.settle_down()
            taken = time.perf_counter() - start
        assert handled == EVENTS * targets
        return taken / EVENTS

    return measure_router


def import_time() -> float:
    """Give the seconds that importing the package adds to starting Python."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import eventrouter"], check=True)
    imported = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (imported - start) - (time.perf_counter() - imported)


def measure(rounds: int = ROUNDS) -> Section:
    """Measure in turn, after a round that warms up."""
    measures = {
        "memory object stream": stream,
        "put to handler, 1 target": routed(1),
        "put to handler, 5 targets": routed(5),
    }
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds + 1):
        for name, one in measures.items():
            taken[name].append(anyio.run(one))
    figures = {name: Figure(tuple(values[1:])) for name, values in taken.items()}
    floor = figures["memory object stream"]
    section = Section(
        "Delivery",
        f"One rule, asyncio, {EVENTS:,} events, medians of {rounds} rounds.",
        ["what", "events/s", "spread", "rate / stream's rate"],
    )
    for name, figure in figures.items():
        ratio = f"{floor.ratio(figure):.2f}" if figure is not floor else "1"
        section.rows.append([name, f"{1 / figure.median:,.0f}", f"{figure.spread:.0%}", ratio])
    imports = Figure(tuple(import_time() for _ in range(rounds)))
    section.notes.append(f"import eventrouter: {imports.median:.3f} s, spread {imports.spread:.0%}")
    return section
