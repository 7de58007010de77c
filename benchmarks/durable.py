"""What a SQLite store adds to the least that its promises cost: group commits, leases and settlements done by hand.

The floors are written for one thing: the same rows in the same tables, encoded beforehand, without events, rules,
backlogs, or anybody who might be cancelled.
"""

import gc
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

import anyio
from anyio.lowlevel import current_token

from benchmarks.delivery import DETAIL, PATTERN
from benchmarks.measure import Figure, steady
from benchmarks.naive import MiscountError
from benchmarks.report import MISSING, Section
from eventrouter import Event, EventEntry, EventRouter
from eventrouter.stores._sqlite_schema import connect
from eventrouter.stores._sqlite_worker import call_soon_from_thread

EVENTS = 5_000
PUBLISHERS = 100
LEASED = 100  # deliveries a lease of the floor; a router takes up to 256
ROUNDS = 5
#: The budgets of DESIGN and of the issue: rates as parts of the floors'.
PUBLISH, DELIVER = 0.7, 0.5
ENTRY = EventEntry("shop.orders", "Order Placed", DETAIL)
#: Latency: so many events, so far apart, in seconds.
PACED, PACE = 300, 0.01

Measure = Callable[[Path], Awaitable[float]]


def make_router(path: Path, handle: Callable[[Event], Awaitable[None]], *, is_paused: bool = False) -> EventRouter:
    """Give a router with one rule that matches everything that is put."""
    router = EventRouter(f"sqlite:///{path}")
    router.rule(PATTERN, name="r", maximum_concurrency=0 if is_paused else 10)(handle)
    return router


async def ignore(event: Event) -> None:
    """Take an event."""


async def publish_many(publish: Callable[[], Awaitable[object]]) -> None:
    """Publish by a hundred publishers at once, who each wait for an answer before their next one."""

    async def publish_some() -> None:
        for _ in range(EVENTS // PUBLISHERS):
            await publish()

    async with anyio.create_task_group() as tasks:
        for _ in range(PUBLISHERS):
            tasks.start_soon(publish_some)


def make_file(path: Path) -> tuple[sqlite3.Connection, list[tuple[object, ...]]]:
    """Make a store's file with a subscription, and give the row of an event."""
    connection = connect(path, "FULL", 5)
    connection.execute("INSERT INTO subscription(id, bus, rule, target) VALUES (1, 'default', 'r', 'handle')")
    event = Event.from_entry(ENTRY, id="0" * 36, now=_now(), account="0" * 12, region="local")
    return connection, [(1, 0, event.id, "default", 0, 0, None, None, event.to_json())]


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


_INSERT_EVENT = (
    "INSERT INTO event(seq, deliveries, archives, id, bus, at, hops, grp, info, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_DELIVERY = "INSERT INTO delivery(id, seq, subscription, at, ready, due) VALUES (?, ?, 1, 0, NULL, 0)"


def set_all(events: list[anyio.Event]) -> None:
    """Wake who waits for any of them."""
    for event in events:
        event.set()


async def commit_groups(path: Path) -> float:
    """Write the rows of events by a bare loop: whatever has gathered is the next commit."""
    waiting: list[tuple[tuple[object, ...], anyio.Event]] = []
    has_some, is_over = threading.Event(), threading.Event()
    loop = current_token().native_token
    row: list[tuple[object, ...]] = []
    is_ready = threading.Event()

    def drain() -> None:
        connection, made = make_file(path)
        row.extend(made)
        is_ready.set()
        numbers = count(1)
        while True:
            has_some.wait()
            has_some.clear()
            if is_over.is_set():
                break
            batch = waiting[:]
            del waiting[: len(batch)]
            connection.execute("BEGIN IMMEDIATE")
            ids = [next(numbers) for _ in batch]
            connection.executemany(_INSERT_EVENT, [(id, *row) for id, (row, _) in zip(ids, batch, strict=True)])
            connection.executemany(_INSERT_DELIVERY, [(id, id) for id in ids])
            connection.execute("COMMIT")
            call_soon_from_thread(loop, set_all, [event for _, event in batch])
        connection.close()

    async def publish() -> None:
        event = anyio.Event()
        waiting.append((row[0], event))
        has_some.set()
        await event.wait()

    thread = threading.Thread(target=drain)
    thread.start()
    await anyio.to_thread.run_sync(is_ready.wait)
    start = time.perf_counter()
    await publish_many(publish)
    taken = time.perf_counter() - start
    is_over.set()
    has_some.set()
    thread.join()
    _check(path, "event", EVENTS)
    return taken / EVENTS


async def publish(path: Path) -> float:
    """Publish to a router whose target is paused."""
    router = make_router(path, ignore, is_paused=True)
    router.drain_timeout *= 0
    async with router:
        start = time.perf_counter()
        await publish_many(partial(router.put_events, [ENTRY]))
        taken = time.perf_counter() - start
    _check(path, "event", EVENTS)
    return taken / EVENTS


async def lease_and_ack(path: Path) -> float:
    """Lease and remove rows by a bare loop, a hundred at a time."""
    connection, [row] = make_file(path)
    connection.execute("BEGIN")
    connection.executemany(_INSERT_EVENT, [(id, *row) for id in range(1, EVENTS + 1)])
    connection.executemany(_INSERT_DELIVERY, [(id, id) for id in range(1, EVENTS + 1)])
    connection.execute("COMMIT")
    start = time.perf_counter()
    for token in count(1):
        connection.execute("BEGIN IMMEDIATE")
        leased = connection.execute(
            "SELECT d.id, d.attempt, e.body FROM delivery d JOIN event e USING (seq) "
            "WHERE d.subscription = 1 AND d.due <= 1 ORDER BY d.due, d.id LIMIT ?",
            (LEASED,),
        ).fetchall()
        connection.executemany(
            "UPDATE delivery SET token = ?, due = 2, attempt = attempt + 1 WHERE id = ?",
            [(token, id) for id, _, _ in leased],
        )
        connection.execute("COMMIT")
        if not leased:
            break
        connection.execute("BEGIN IMMEDIATE")
        ids = [(id,) for id, _, _ in leased]
        connection.executemany("DELETE FROM delivery WHERE id = ?", ids)
        connection.executemany("DELETE FROM event WHERE seq = ?", ids)
        connection.execute("COMMIT")
    taken = time.perf_counter() - start
    connection.close()
    _check(path, "delivery", 0)
    return taken / EVENTS


async def deliver(path: Path) -> float:
    """Deliver what a store holds to a handler."""
    paused = make_router(path, ignore, is_paused=True)
    paused.drain_timeout *= 0
    async with paused:
        for _ in range(EVENTS // 100):
            await paused.put_events([ENTRY] * 100)
    seen: list[Event] = []

    async def handle(event: Event) -> None:
        seen.append(event)

    handle.__name__ = ignore.__name__
    router = make_router(path, handle)
    start = time.perf_counter()
    async with router:
        await router.settle_down()
        taken = time.perf_counter() - start
    if len(seen) != EVENTS:
        raise MiscountError(f"{len(seen):,} events were handled instead of {EVENTS:,}")
    _check(path, "delivery", 0)
    return taken / EVENTS


async def end_to_end(path: Path) -> float:
    """Publish by a hundred publishers, and deliver meanwhile, until all is settled."""
    router = make_router(path, ignore)
    async with router:
        start = time.perf_counter()
        await publish_many(partial(router.put_events, [ENTRY]))
        await router.settle_down()
        taken = time.perf_counter() - start
        delivered = (await router.ledger()).total.delivered
    if delivered != EVENTS:
        raise MiscountError(f"{delivered:,} events were delivered instead of {EVENTS:,}")
    return taken / EVENTS


def _check(path: Path, table: str, expected: int) -> None:
    connection = sqlite3.connect(path)
    [[found]] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - a table's name
    connection.close()
    if found != expected:
        raise MiscountError(f"The file has {found:,} rows in {table} instead of {expected:,}")


#: What is measured, what it is held against, and the budget of the ratio.
MEASURES: Mapping[str, tuple[Measure, str, float | None]] = {
    "group commits by hand": (commit_groups, "", None),
    "put_events": (publish, "group commits by hand", PUBLISH),
    "leases and acknowledgements by hand": (lease_and_ack, "", None),
    "lease, handler, settlement": (deliver, "leases and acknowledgements by hand", DELIVER),
    "put_events, handler, settlement": (end_to_end, "group commits by hand", None),
}


def measures() -> Mapping[str, tuple[str, Measure]]:
    """Give each with its backend."""
    names = {name: ("asyncio", one) for name, (one, _, _) in MEASURES.items()}
    return names | {f"{name}, trio": ("trio", one) for name, (one, _, _) in MEASURES.items()}


def take(rounds: int, directory: Path) -> dict[str, Figure]:
    """Measure all in turn; a round before the first warms up."""
    listed, files = measures(), count()
    names = list(listed)
    taken: dict[str, list[float]] = {name: [] for name in names}
    with steady():
        for number in range(rounds + 1):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                backend, one = listed[name]
                taken[name].append(anyio.run(one, directory / f"{next(files)}.db", backend=backend))
                gc.collect()
    return {name: Figure(tuple(values[1:])) for name, values in taken.items()}


def measure(rounds: int = ROUNDS) -> Iterator[Section]:
    """Measure rates and latencies, in files on the disk of the checkout's directory for temporary files."""
    with tempfile.TemporaryDirectory() as directory:
        yield rates(take(rounds, Path(directory)), rounds)
        yield latencies(Path(directory))


def rates(figures: Mapping[str, Figure], rounds: int) -> Section:
    """Tell how many events a second are kept, and delivered."""
    section = Section(
        "In a file",
        f"A SQLite store with `synchronous=FULL`: {EVENTS:,} events of 700 bytes for one target, medians of {rounds} "
        f"rounds. {PUBLISHERS} publishers put one entry a call, and wait for its answer. The floors write and remove "
        f"the same rows in the same tables, encoded beforehand; leases by hand take {LEASED} rows and two commits.",
        ["what", "events/s", "spread", "against", "rate / its rate"],
    )
    for name, figure in figures.items():
        plain, _, _ = name.partition(", trio")
        _, floor, limit = MEASURES[plain]
        ratio, against = MISSING, f"{floor}, trio" if floor and name != plain else floor
        if floor:
            ratio = section.judge(f"{name} / {against}", figures[against].ratio(figure), limit, is_floor=True)
        section.rows.append([name, f"{1 / figure.median:,.0f}", f"{figure.spread:.0%}", against or MISSING, ratio])
    return section


def latencies(directory: Path) -> Section:
    """Tell how long an event is on its way."""
    section = Section(
        "Latency in a file",
        f"One event every {PACE * 1000:g} ms: from the call of put_events until it returns, and until the handler "
        "begins, milliseconds. Most of it is the disk's: two commits, of which each waits for the disk.",
        ["what", "events", "p50 ms", "p99 ms"],
    )
    for backend in ("asyncio", "trio"):
        kept, arrived = anyio.run(_pace, directory / f"{backend}.db", backend=backend)
        for what, taken in (("kept", kept), ("handler begins", arrived)):
            p99 = statistics.quantiles(taken, n=100)[98]
            row = [f"{what}, {backend}", f"{len(taken):,}", f"{statistics.median(taken) * 1e3:.2f}", f"{p99 * 1e3:.2f}"]
            section.rows.append(row)
    return section


async def _pace(path: Path) -> tuple[list[float], list[float]]:
    begun: dict[int, float] = {}
    kept: list[float] = []
    arrived: list[float] = []

    async def handle(event: Event) -> None:
        arrived.append(time.perf_counter() - begun[event.detail["number"]])

    router = make_router(path, handle)
    async with router:
        for number in range(PACED):
            begun[number] = time.perf_counter()
            await router.put_events([EventEntry("shop.orders", "Order Placed", {"total": 250, "number": number})])
            kept.append(time.perf_counter() - begun[number])
            await anyio.sleep(PACE)
        await router.settle_down()
    return kept, arrived
