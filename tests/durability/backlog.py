"""A backlog of any length, put and delivered in bounded memory.

Run as programs, since a process's memory is its own: `python -m tests.durability.backlog FILE 1000000` has one process put
the events and another deliver them, and prints what each took.
"""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel

from eventrouter import Event, EventEntry, EventRouter, FunctionTarget
from eventrouter.records import Delivery, Outcome
from eventrouter.stores.sqlite import SqliteStore

#: What may be resident, in bytes, whatever the backlog.
LIMIT = 200_000_000
_PUBLISHERS = 20


class CountingStore(SqliteStore):
    """Counts the deliveries that a process has in its hands.

    Attributes:
        held: Now.
        most: At most.
    """

    held = 0
    most = 0

    async def lease(self, *arguments: Any, **options: Any) -> Sequence[Delivery]:
        leased = await super().lease(*arguments, **options)
        self.held += len(leased)
        self.most = max(self.most, self.held)
        return leased

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        stale = await super().settle(outcomes)
        self.held -= len(outcomes)
        return stale

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        await super().release(deliveries)
        self.held -= len(deliveries)


def _router(store: SqliteStore, function: Callable[[Event], Any], concurrency: int) -> EventRouter:
    router = EventRouter(store, drain_timeout=timedelta(seconds=0.01))
    router.put_rule("r", {"source": ["shop.orders"]})
    router.put_targets(
        "r",
        [FunctionTarget(id="t", function=function, maximum_concurrency=concurrency, maximum_backlog=2**62)],
    )
    return router


async def fill(store: SqliteStore, number: int) -> None:
    """Put so many events for a target that is not there yet."""

    async def nothing(event: Event) -> None: ...

    router = _router(store, nothing, 0)
    starts = iter(range(0, number, 100))

    async def publish() -> None:
        for start in starts:
            entries = [
                EventEntry("shop.orders", "order", {"number": start + n}) for n in range(min(100, number - start))
            ]
            results = await router.put_events(entries)
            assert all(result.event_id for result in results)

    async with router, anyio.create_task_group() as tasks:
        for _ in range(_PUBLISHERS):
            tasks.start_soon(publish)


async def drain(store: SqliteStore) -> int:
    """Deliver all of them, and say how many came."""
    seen = 0

    async def count(event: Event) -> None:
        nonlocal seen
        seen += 1
        if not seen % 50:
            await anyio.lowlevel.checkpoint()  # a target that waits, now and then

    router = _router(store, count, 10)
    async with router:
        await router.settle_down()
    return seen


def main(path: str, number: int, what: str = "") -> int:
    """Fill and drain, each in a process, or do one of them in this one."""
    if not what:
        codes = [
            subprocess.run(
                [sys.executable, "-m", "tests.durability.backlog", path, str(number), part], check=False
            ).returncode
            for part in ("fill", "drain")
        ]
        return max(codes)
    store, started = CountingStore(path), time.monotonic()
    if what == "fill":
        anyio.run(fill, store, number)
        seen = number
    else:
        seen = anyio.run(drain, store)
    took = time.monotonic() - started
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{what} {seen:,} events: {took:.0f} s, {seen / took:,.0f}/s, {resident / 1e6:.0f} MB resident at most, "
        f"{store.most} deliveries held at most"
    )
    return 0 if seen == number and resident < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
