"""From `put_events` to a handler, against bare memory object streams, which are the least that a hand-over can cost."""

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from benchmarks.delivery_peers import PEERS, Publish
from benchmarks.measure import Figure, steady
from benchmarks.report import MISSING, Section
from eventrouter import (
    Event,
    EventEntry,
    EventRouter,
    FunctionTarget,
    InputTransformer,
    LogObserver,
    Metrics,
)

TITLE = "Delivery"
EVENTS = 5_000
BATCH = 100  # entries a call, as many as one call takes
ROUNDS = 5
DETAIL = {"order_id": "o-1", "total": 250, "lines": [{"sku": f"sku-{n}", "quantity": n} for n in range(10)]}
PATTERN = {"source": ["shop.orders"], "detail": {"total": [{"numeric": [">", 100]}]}}
ENTRY = EventEntry("shop.orders", "Order Placed", DETAIL)
#: The budgets of DESIGN: rates as parts of a stream's, of five streams', and of that with one rule.
ONE_TARGET, FIVE_TARGETS, HUNDRED_RULES = 1.0, 3.0, 0.8

#: Moves `EVENTS` events, and gives the seconds for one.
Measure = Callable[[], Awaitable[float]]


class Counter:
    """A handler that counts."""

    def __init__(self) -> None:
        self.handled = 0

    async def handle(self, event: Event) -> None:
        """Take an event."""
        self.handled += 1

    async def handle_input(self, order: dict[str, Any]) -> None:
        """Take what an input transformer makes of an event."""
        self.handled += 1


def streams(count: int) -> Measure:
    """Feed as many handlers, each from a bare memory object stream of its own, with every event."""

    async def measure_streams() -> float:
        counter = Counter()
        event: Any = DETAIL

        async def receive_all(receive: Any) -> None:
            async for item in receive:
                await counter.handle(item)

        pairs = [anyio.create_memory_object_stream[Any](1_000) for _ in range(count)]
        start = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _, receive in pairs:
                tasks.start_soon(receive_all, receive)
            for _ in range(EVENTS):
                for send, _ in pairs:
                    await send.send(event)
            for send, _ in pairs:
                await send.aclose()
        taken = (time.perf_counter() - start) / EVENTS
        for _, receive in pairs:
            receive.close()
        assert counter.handled == EVENTS * count
        return taken

    return measure_streams


def routed(targets: int = 1, *, rules: int = 1, batch: int = BATCH, **options: Any) -> Measure:
    """Make a measurement of rules of which one, the first, matches and has so many targets."""
    target_options = {name: options.pop(name) for name in ("input",) if name in options}

    async def measure_router() -> float:
        counter = Counter()
        function = counter.handle_input if target_options else counter.handle
        router = EventRouter(**{name: make() for name, make in options.items()})
        for number in range(rules):
            pattern = PATTERN if number == 0 else {"source": [f"shop.other{number}"], "detail": PATTERN["detail"]}
            router.put_rule(f"r{number}", pattern)
        made = [FunctionTarget(id=f"t{n}", function=function, **target_options) for n in range(targets)]
        router.put_targets("r0", made)
        entries = [ENTRY] * batch
        async with router:
            start = time.perf_counter()
            for _ in range(EVENTS // batch):
                await router.put_events(entries)
            await router.settle_down()
            taken = time.perf_counter() - start
        assert counter.handled == EVENTS * targets
        return taken / EVENTS

    return measure_router


TRANSFORMER = InputTransformer(
    input_paths_map={"id": "$.detail.order_id", "total": "$.detail.total"},
    input_template='{"order": <id>, "amount": <total>}',
)


def measures() -> Mapping[str, tuple[str, Measure]]:
    """Give what is measured: its name, its backend, and how."""
    asyncio = {
        "memory object stream": streams(1),
        "five memory object streams": streams(5),
        "one target": routed(),
        "five targets": routed(5),
        "100 rules, one matches": routed(rules=100),
        "one target, one entry a call": routed(batch=1),
        "one target with an input transformer": routed(input=TRANSFORMER),
        "one target, LogObserver at ERROR": routed(observers=lambda: [LogObserver("ERROR")]),
        "one target, Metrics": routed(observers=lambda: [Metrics()]),
    }
    return {name: ("asyncio", one) for name, one in asyncio.items()} | {
        "memory object stream, trio": ("trio", streams(1)),
        "one target, trio": ("trio", routed()),
    }


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


async def latencies(count: int, every: float, together: int) -> list[float]:
    """Put events at a steady pace, and give the seconds from each call of `put_events` to the handler.

    Args:
        count: How many calls.
        every: Seconds from one call to the next.
        together: Entries a call.
    """
    taken: list[float] = []
    router = EventRouter()

    @router.rule(PATTERN)
    async def handle(event: Event) -> None:
        taken.append(time.perf_counter() - begin)

    entries = [ENTRY] * together
    async with router:
        start = time.perf_counter()
        for number in range(count):
            await anyio.sleep(max(0.0, start + number * every - time.perf_counter()))
            begin = time.perf_counter()
            await router.put_events(entries)
            await router.settle_down()
    assert len(taken) == count * together
    return taken


def measure(rounds: int = ROUNDS) -> Section:
    """Measure in turn, after a round that warms up."""
    listed = measures()
    taken: dict[str, list[float]] = {name: [] for name in listed}
    with steady():
        for _ in range(rounds + 1):
            for name, (backend, one) in listed.items():
                taken[name].append(anyio.run(one, backend=backend))
    figures = {name: Figure(tuple(values[1:])) for name, values in taken.items()}
    section = Section(
        TITLE,
        f"In memory, {EVENTS:,} events of {len(ENTRY.detail)} fields with a list of 10 objects, {BATCH} entries a call "
        f"unless it says otherwise; medians of {rounds} rounds. The floor feeds the same handler from a bare memory "
        "object stream, which neither encodes, checks, matches nor keeps an event.",
        ["what", "events/s", "spread", "against", "rate / its rate"],
    )
    for name, figure in figures.items():
        floor, limit = _FLOORS.get(name, ("one target", None))
        ratio = MISSING
        if floor:
            ratio = section.judge(f"{name} / {floor}", figures[floor].ratio(figure), limit, is_floor=True)
        section.rows.append([name, f"{1 / figure.median:,.0f}", f"{figure.spread:.0%}", floor or MISSING, ratio])
    _add_peers(section, figures["one target"])
    for name, pace in (("an idle router", (300, 0.002, 1)), ("5,000 events a second", (600, 0.002, 10))):
        found = sorted(anyio.run(latencies, *pace))
        p50, p99 = statistics.median(found), found[len(found) * 99 // 100]
        section.notes.append(f"From put_events to the handler, {name}: p50 {p50 * 1e6:.0f} us, p99 {p99 * 1e6:.0f} us.")
    imports = import_times(rounds)
    section.notes.append(f"import eventrouter: {imports.median:.3f} s, spread {imports.spread:.0%}")
    return section


#: What a figure is held against, and the budget of the ratio; the others are held against "one target".
_FLOORS: Mapping[str, tuple[str, float | None]] = {
    "memory object stream": ("", None),
    "memory object stream, trio": ("", None),
    "five memory object streams": ("memory object stream", None),
    "one target": ("memory object stream", ONE_TARGET),
    "five targets": ("five memory object streams", FIVE_TARGETS),
    "100 rules, one matches": ("one target", HUNDRED_RULES),
    "one target, trio": ("memory object stream, trio", None),
}


def _add_peers(section: Section, ours: Figure) -> None:
    for name, (publish, events) in PEERS.items():
        rate, ratio = MISSING, MISSING
        seconds = _peer(publish, events)
        if seconds is not None:
            rate, ratio = f"{1 / seconds:,.0f}", f"{ours.median / seconds:,.3f}"
        section.rows.append([name, rate, MISSING, "one target", ratio])


def _peer(publish: Publish, events: int) -> float | None:
    """Give the seconds for an event, the best of three; None if the peer is not there."""
    if importlib.util.find_spec(publish.__name__) is None:
        return None
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        handled = anyio.run(publish, events, DETAIL)
        best = min(best, (time.perf_counter() - start) / events)
        assert handled == events
    return best
