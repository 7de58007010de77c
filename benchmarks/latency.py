"""How long an event is on its way from `put_events` to the handler, and how long a program waits for the import."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio

from benchmarks.measure import Figure, steady
from benchmarks.naive import MiscountError
from benchmarks.report import Section
from eventrouter import Event, EventEntry, EventRouter

TITLE = "Latency"


@dataclass(frozen=True)
class Pace:
    """Events that come at times set beforehand, whether or not the ones before them have been handled.

    Attributes:
        ticks: How often some come.
        every: Seconds from one tick to the next.
        calls: How many calls of `put_events` follow one another at a tick.
        entries: Entries a call.
    """

    ticks: int
    every: float
    calls: int = 1
    entries: int = 1

    @property
    def events(self) -> int:
        """Give how many events come in all."""
        return self.ticks * self.calls * self.entries


IDLE = Pace(250, 0.002)
PACED = Pace(250, 0.002, calls=10)
PACED_BATCHES = Pace(250, 0.002, entries=10)

#: Sends so many items, the first of which has this number, to whom it was opened for.
Send = Callable[[int, int], Awaitable[Any]]
#: Opens a way to a function of an item's number, sends what the pace says, and waits until all is handled.
Way = Callable[["Drive", Callable[[int], None]], Awaitable[None]]
Drive = Callable[[Send], Awaitable[None]]


async def routed(drive: Drive, arrived: Callable[[int], None]) -> None:
    """Go through a router: one rule that matches, with one handler."""
    router = EventRouter()

    @router.rule({"source": ["shop.orders"], "detail": {"total": [{"numeric": [">", 100]}]}})
    async def handle(event: Event) -> None:
        arrived(event.detail["number"])

    async def send(first: int, count: int) -> None:
        await router.put_events(
            [
                EventEntry("shop.orders", "Order Placed", {"order_id": "o-1", "total": 250, "number": number})
                for number in range(first, first + count)
            ]
        )

    async with router:
        await drive(send)
        await router.settle_down()


async def streamed(drive: Drive, arrived: Callable[[int], None]) -> None:
    """Go through a memory object stream."""
    sending, receiving = anyio.create_memory_object_stream[int](1_000)

    async def receive_all() -> None:
        async with receiving:
            async for number in receiving:
                arrived(number)

    async def send(first: int, count: int) -> None:
        for number in range(first, first + count):
            await sending.send(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive_all)
        await drive(send)
        await sending.aclose()


async def latencies(way: Way, pace: Pace) -> list[float]:
    """Give the seconds from each call to the handler's start, for every event, the shortest first.

    A handler that is late does not hold up the events that follow, and each of them is measured.

    Raises:
        MiscountError: An event was handled twice, or not at all.
    """
    begun = [0.0] * pace.events
    taken: dict[int, float] = {}

    def arrived(number: int) -> None:
        taken[number] = time.perf_counter() - begun[number]

    async def drive(send: Send) -> None:
        number = 0
        start = time.perf_counter()
        for tick in range(pace.ticks):
            await anyio.sleep(max(0.0, start + tick * pace.every - time.perf_counter()))
            for _ in range(pace.calls):
                begun[number : number + pace.entries] = [time.perf_counter()] * pace.entries
                await send(number, pace.entries)
                number += pace.entries

    await way(drive, arrived)
    if len(taken) != pace.events:
        raise MiscountError(f"{TITLE}: {len(taken)} of {pace.events} events were handled")
    return sorted(taken.values())


WAYS: dict[str, tuple[Way, Pace, str]] = {
    "memory object stream, idle": (streamed, IDLE, "asyncio"),
    "router, idle": (routed, IDLE, "asyncio"),
    "router, idle, trio": (routed, IDLE, "trio"),
    "router, 5,000 events/s": (routed, PACED, "asyncio"),
    "router, 5,000 events/s, ten entries a call": (routed, PACED_BATCHES, "asyncio"),
    "router, 5,000 events/s, trio": (routed, PACED, "trio"),
}


def measure(rounds: int = 2) -> Section:
    """Measure each way in turn, and take the percentiles of all rounds together."""
    section = Section(
        TITLE,
        "From the call of put_events to the start of the handler, microseconds. On an idle router each event comes "
        f"alone, {IDLE.every * 1e3:g} ms after the one before; 5,000 events/s are ten calls, or one call with ten "
        "entries, at each of those times.",
        ["what", "events", "p50 us", "p99 us"],
    )
    taken: dict[str, list[float]] = {name: [] for name in WAYS}
    with steady():
        for _ in range(rounds):
            for name, (way, pace, backend) in WAYS.items():
                taken[name] += anyio.run(latencies, way, pace, backend=backend)
    for name, found in taken.items():
        found.sort()
        p50, p99 = (found[len(found) * percent // 100] * 1e6 for percent in (50, 99))
        section.rows.append([name, f"{len(found):,}", f"{p50:,.0f}", f"{p99:,.0f}"])
    imports = import_times(3)
    section.notes.append(f"import eventrouter: {imports.median:.3f} s, spread {imports.spread:.0%}")
    return section


def import_times(rounds: int) -> Figure:
    """Give the seconds that importing the package, once it is compiled, adds to starting Python."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache

        def seconds(code: str) -> float:
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)  # noqa: S603 - our own code
            return time.perf_counter() - start

        seconds("import eventrouter")  # compiles
        return Figure(tuple(seconds("import eventrouter") - seconds("pass") for _ in range(rounds)))
