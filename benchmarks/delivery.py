"""From `put_events` to a handler, against bare memory object streams, which are the least that a hand-over can cost."""

import gc
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import anyio

from benchmarks import latency
from benchmarks.delivery_peers import PEERS, Peer
from benchmarks.measure import Figure, steady
from benchmarks.naive import MiscountError
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

#: Which versions count.
LIBRARIES = ("anyio", "trio", "msgspec", *(peer.package for peer in PEERS.values()))
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
        _check(f"{count} memory object streams", counter.handled, EVENTS * count)
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
        _check(f"{targets} targets", counter.handled, EVENTS * targets)
        return taken / EVENTS

    return measure_router


def published(name: str, peer: Peer) -> Measure:
    """Make a measurement of another event bus."""

    async def measure_peer() -> float:
        events = min(EVENTS, peer.events)
        done = await peer.publish(events, DETAIL)
        _check(name, done.handled, events)
        return done.seconds / events

    return measure_peer


def _check(what: str, handled: int, expected: int) -> None:
    if handled != expected:
        raise MiscountError(f"{what}: {handled:,} events were handled instead of {expected:,}")


TRANSFORMER = InputTransformer(
    input_paths_map={"id": "$.detail.order_id", "total": "$.detail.total"},
    input_template='{"order": <id>, "amount": <total>}',
)


def measures() -> Mapping[str, tuple[str, Measure]]:
    """Give what of ours is measured, and floors: its name, its backend, and how."""
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
    trio = {
        "memory object stream, trio": streams(1),
        "five memory object streams, trio": streams(5),
        "one target, trio": routed(),
        "five targets, trio": routed(5),
    }
    return {name: ("asyncio", one) for name, one in asyncio.items()} | {
        name: ("trio", one) for name, one in trio.items()
    }


def peer_measures() -> Mapping[str, tuple[str, Measure]]:
    """Give the other event buses that are installed, in the same form."""
    return {name: ("asyncio", published(name, peer)) for name, peer in PEERS.items() if peer.is_there}


#: What a figure is held against, and the budget of the ratio; the others are held against "one target".
_FLOORS: Mapping[str, tuple[str, float | None]] = {
    "memory object stream": ("", None),
    "memory object stream, trio": ("", None),
    "five memory object streams": ("memory object stream", None),
    "five memory object streams, trio": ("memory object stream, trio", None),
    "one target": ("memory object stream", ONE_TARGET),
    "five targets": ("five memory object streams", FIVE_TARGETS),
    "100 rules, one matches": ("one target", HUNDRED_RULES),
    "one target, trio": ("memory object stream, trio", None),
    "five targets, trio": ("five memory object streams, trio", None),
}


def measure(rounds: int = ROUNDS) -> Iterator[Section]:
    """Measure rates, other event buses, and latencies."""
    figures = take(rounds)
    yield rates(figures, rounds)
    yield peers(figures, rounds)
    yield latency.measure()


def take(rounds: int) -> dict[str, Figure]:
    """Measure all in turn; a round before the first warms up."""
    listed = {**measures(), **peer_measures()}
    names = list(listed)
    taken: dict[str, list[float]] = {name: [] for name in names}
    with steady():
        for number in range(rounds + 1):
            # Each round begins with another one, as nobody is always to follow the same neighbour.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                backend, one = listed[name]
                taken[name].append(anyio.run(one, backend=backend))
                gc.collect()  # what one left behind is not to slow the next
    return {name: Figure(tuple(values[1:])) for name, values in taken.items()}


def rates(figures: Mapping[str, Figure], rounds: int) -> Section:
    """Tell how many events get through in a second, against streams, and what options cost."""
    section = Section(
        "Rates",
        f"In memory, {EVENTS:,} events of {len(ENTRY.detail)} fields with a list of 10 objects, from put_events until "
        f"the handler has had all of them; medians of {rounds} rounds. A call has {BATCH} entries, with which budgets "
        "are held, unless a row says one. The floor feeds the same async handler from a bare memory object stream, "
        "which neither encodes, checks, matches nor keeps an event; five such streams have a handler each.",
        ["what", "events/s", "spread", "against", "rate / its rate"],
    )
    for name, figure in figures.items():
        if name in PEERS:
            continue
        floor, limit = _FLOORS.get(name, ("one target", None))
        ratio = MISSING
        if floor:
            ratio = section.judge(f"{name} / {floor}", figures[floor].ratio(figure), limit, is_floor=True)
        section.rows.append([name, f"{1 / figure.median:,.0f}", f"{figure.spread:.0%}", floor or MISSING, ratio])
    return section


def peers(figures: Mapping[str, Figure], rounds: int) -> Section:
    """Tell how many events other buses get through, and how many times that we do."""
    section = Section(
        "Other event buses",
        f"The same detail and one async handler, on asyncio, in the same {rounds} rounds. None of them keeps an event, "
        "retries it or accounts for it. They take one event a call; ours is told with a hundred and with one.",
        ["bus", "events/s", "spread", "ours / its rate", "ours, one entry a call / its rate"],
    )
    batched, single = figures["one target"], figures["one target, one entry a call"]
    for name in PEERS:
        if (figure := figures.get(name)) is None:
            section.rows.append([name, "not installed", *[MISSING] * 3])
            continue
        ours = (f"{figure.ratio(one):,.2f}" for one in (batched, single))
        section.rows.append([name, f"{1 / figure.median:,.0f}", f"{figure.spread:.0%}", *ours])
    return section
