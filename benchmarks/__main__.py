"""Measure the router: `python -m benchmarks`.

Every figure is taken several times, alternating with what it is held against, since machines are noisy; printed are
the medians, their spread, and the ratio. Each run checks that it handled what it was given.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import anyio

from eventrouter import Event, EventEntry, EventRouter, FunctionTarget

EVENTS = 5_000
ROUNDS = 7
DETAIL = {"order_id": "o-1", "total": 250, "lines": [{"sku": f"sku-{n}", "quantity": n} for n in range(10)]}
PATTERN = {"source": ["shop.orders"], "detail": {"total": [{"numeric": [">", 100]}]}}


async def stream() -> float:
    """Feed one handler from a bare memory object stream: the floor."""
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
    return EVENTS / (time.perf_counter() - start)


def routed(targets: int) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
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
        return EVENTS / taken

    return measure


def import_time() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import eventrouter"], check=True)
    imported = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return (imported - start) - (time.perf_counter() - imported)


def show(name: str, figures: list[float], unit: str, floor: list[float] | None = None) -> None:
    median = statistics.median(figures)
    spread = (max(figures) - min(figures)) / median
    ratio = ""
    if floor is not None:
        ratio = f"{statistics.median(a / b for a, b in zip(figures, floor, strict=True)):6.2f} x the stream"
    print(f"{name:32} {median:12,.3f} {unit:9} spread {spread:4.0%}  {ratio}".rstrip())


def main() -> None:
    """Print the table."""
    print(f"Python {sys.version.split()[0]}, asyncio, {EVENTS} events, medians of {ROUNDS} rounds")
    measures = {
        "memory object stream": stream,
        "put to handler, 1 target": routed(1),
        "put to handler, 5 targets": routed(5),
    }
    figures: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(ROUNDS + 1):
        for name, measure in measures.items():
            figures[name].append(anyio.run(measure))
    for name, values in figures.items():
        floor = figures["memory object stream"][1:] if measures[name] is not stream else None
        show(name, values[1:], "events/s", floor)  # the first round warms up
    show("import eventrouter", [import_time() for _ in range(ROUNDS)], "s")


if __name__ == "__main__":
    main()
