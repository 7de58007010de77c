"""A service that puts and delivers events on a store in a file, until it is done or dies.

Run as a program, `python -m tests.durability.child`, it reads plans from its input, a line of JSON each, forks for each
a process that does it, and writes that one's number and at its end its exit status. Forking spares hundreds of starts
of Python; the process that does a plan is a whole one, with threads, files and an event loop of its own.

What the service was told, and what its targets saw, it writes into an account of its own: a file of JSON lines, to which
every process of a story appends. A line is one write, so it is there or not, whenever its process ends.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import sqlite3
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

import anyio
import msgspec
import trio  # noqa: F401 - so that no child has to load it

from eventrouter import Delivery, EventEntry, EventRouter, RetryBudget, RetryPolicy, Target
from eventrouter.abc import Store
from eventrouter.errors import StoreError
from eventrouter.records import Observation
from eventrouter.stores.sqlite import SqliteStore
from tests.durability.disk import Disk

#: The exit status of a process that could not open its store.
UNUSABLE: Final = 3
#: Retries after the first attempt, of the targets here.
RETRIES: Final = 5
_POLICY: Final = RetryPolicy(
    maximum_retry_attempts=RETRIES,
    maximum_event_age=timedelta(days=365),
    base_delay=timedelta(milliseconds=2),
    maximum_delay=timedelta(milliseconds=5),
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a process does.

    Attributes:
        path: The store's file.
        account: The file to which it appends what it was told.
        synchronous: Of the store.
        backend: The event loop.
        offset: How many seconds its clock is ahead. After a kill, the next process has to be past the dead one's leases.
        jump: By how many seconds its clock is set when half of its events are put.
        events: How many it puts.
        first: The number of the first of them; an event's number decides what its targets do with it.
        publishers: How many tasks put them.
        drains: Whether it stays until no delivery is left, and then says what the store holds.
        is_held: Whether the target `work` takes nothing for now.
        deadly: The number of an event with which that target kills the process; None for none.
        max_size: Of the store.
        kill_at: See `Disk`; as those that follow.
        how: As there.
        full: As there.
        sync_fails_from: As there.
        record: The file for what was written, and what was acknowledged in between; None for none.
    """

    path: str
    account: str
    synchronous: str = "FULL"
    backend: str = "asyncio"
    offset: float = 0
    jump: float = 0
    events: int = 0
    first: int = 0
    publishers: int = 3
    drains: bool = False
    is_held: bool = False
    deadly: int | None = None
    max_size: int | None = None
    kill_at: int = 0
    how: str = "before"
    full: tuple[int, int] = (0, 0)
    sync_fails_from: int = 0
    record: str | None = None


class Account:
    """Appends lines to the account; an observer of the router's, too."""

    steps = ("INVOCATION_SUCCESS", "INVOCATION_FAILURE")

    def __init__(self, plan: Plan, disk: Disk) -> None:
        self._file = os.open(plan.account, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._records = disk.records

    def write(self, kind: str, **fields: object) -> None:
        line = {"kind": kind, "pid": os.getpid(), **fields}
        if self._records is not None:
            self._records.append(("account", line))
        os.write(self._file, msgspec.json.encode(line) + b"\n")

    def observe(self, observation: Observation) -> None:
        assert observation.delivery is not None
        self.write(
            "ended",
            subscription=str(observation.delivery.subscription),
            id=observation.event_id,
            attempt=observation.delivery.attempt,
            well=observation.step == "INVOCATION_SUCCESS",
        )


class ShiftedClock:
    """The machine's clock, put ahead."""

    def __init__(self, seconds: float) -> None:
        self.ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True, kw_only=True)
class Noting(Target):
    """A target that writes down what it is called with, and then does what the event's number says."""

    account: Account
    retry_policy: RetryPolicy = _POLICY
    deadly: int | None = None

    async def invoke(self, delivery: Delivery) -> object:
        detail = delivery.event.detail
        number = detail.get("number", 0)
        self.account.write(
            "handled",
            subscription=str(delivery.subscription),
            id=delivery.event.id,
            attempt=delivery.attempt,
            cause=delivery.causes[-1] if delivery.causes else None,
            group=delivery.group,
            number=number,
        )
        if number == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.id in ("work", "audit"):
            if number % 3 == 0:
                await anyio.sleep(0.001)
            if is_unlucky(number) and (is_poison(number) or delivery.attempt < 3):
                raise OSError(f"no luck with {number}")
            if self.id == "work" and has_child(number):
                return EventEntry("shop.children", "child", {"number": number})
        return None


def is_poison(number: int) -> bool:
    """Say whether both targets fail with it for ever."""
    return number % 11 == 5


def is_unlucky(number: int) -> bool:
    """Say whether both targets fail with it at first."""
    return is_poison(number) or number % 7 == 3


def has_child(number: int) -> bool:
    """Say whether handling it puts another event."""
    return number % 5 == 0


def make_router(plan: Plan, account: Account, clock: ShiftedClock, store: Store) -> EventRouter:
    """Declare a router with what a store has to keep together.

    Two targets for each event: one with retries, child events, records of its success and failure, and a dead-letter
    queue in the store; the other in order, with a target as its dead-letter queue.
    """
    router = EventRouter(
        store,
        clock=clock,
        observers=[account],
        retry_budget=RetryBudget(share=100, minimum_per_second=100_000),
        put_timeout=timedelta(seconds=60),
        drain_timeout=timedelta(seconds=60),
    )

    def noting(id: str, **options: Any) -> Noting:
        return Noting(id=id, account=account, maximum_backlog=200, **options)

    options = {"deadly": plan.deadly} | ({"maximum_concurrency": 0} if plan.is_held else {})
    work = noting("work", on_success=noting("receipt"), on_failure=noting("complaint"), **options)
    audit = noting("audit", ordering="FIFO", dead_letter_queue=noting("graveyard"))
    for rule, source, target in (
        ("orders", "shop.orders", work),
        ("books", "shop.orders", audit),
        ("children", "shop.children", noting("child")),
    ):
        router.put_rule(rule, {"source": [source]})
        router.put_targets(rule, [target])
    return router


async def live(plan: Plan, disk: Disk, account: Account, store: SqliteStore) -> None:
    """Put events, deliver what there is, and say what is left."""
    clock = ShiftedClock(plan.offset)
    router = make_router(plan, account, clock, store)
    numbers = iter(range(plan.first, plan.first + plan.events))
    async with router:
        account.write("begun")
        async with anyio.create_task_group() as tasks:
            for publisher in range(plan.publishers if plan.events else 0):
                tasks.start_soon(_publish, router, account, plan, clock, numbers, f"{os.getpid()}-{publisher}")
        if plan.drains:
            await router.settle_down()
    if plan.drains:
        await store.open()
        await _say_what_is_left(router, store, account, plan)
        await store.close()
    account.write("over", operations=disk.operations)


async def _publish(router, account, plan, clock, numbers, group) -> None:
    rng = random.Random(f"{plan.first} {group}")  # noqa: S311 - no secret
    while True:
        taken = list(islice(numbers, rng.randint(1, 3)))
        if not taken:
            return
        if plan.jump and plan.first + plan.events // 2 in taken:
            clock.ahead += timedelta(seconds=plan.jump)
        entries = [EventEntry("shop.orders", "order", {"number": n}, event_group_id=group) for n in taken]
        for number, result in zip(taken, await router.put_events(entries), strict=True):
            if result.event_id is not None:
                account.write("accepted", id=result.event_id, number=number)
            else:
                account.write("refused", number=number, code=result.error_code, message=result.error_message)


async def _say_what_is_left(router: EventRouter, store: SqliteStore, account: Account, plan: Plan) -> None:
    ledger = await store.ledger()
    letters = await store.dead_letters()
    with sqlite3.connect(plan.path) as connection:
        integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        rows = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - constants
            for table in ("event", "delivery")
        }
    connection.close()
    account.write(
        "left",
        is_balanced=ledger.is_balanced,
        events=ledger.events,
        counts={
            str(key): {
                "accepted": counts.accepted,
                "delivered": counts.delivered,
                "dead": counts.dead_lettered,
                "unfinished": counts.waiting + counts.in_flight,
            }
            for key, counts in ledger.subscriptions.items()
        },
        letters=[
            {
                "subscription": str(letter.subscription),
                "id": letter.event.id,
                "retries": letter.retry_attempts,
                "message": letter.error_message,
            }
            for letter in letters
        ],
        integrity=integrity,
        rows=rows,
        resident=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def do(plan: Plan) -> None:
    """Do a plan in this process."""
    disk = Disk(
        kill_at=plan.kill_at,
        how=plan.how,
        full=plan.full,
        sync_fails_from=plan.sync_fails_from,
        records=None if plan.record is None else [],
    ).install()
    account = Account(plan, disk)
    store = SqliteStore(plan.path, synchronous=plan.synchronous, max_size=plan.max_size)
    anyio.run(live, plan, disk, account, store, backend=plan.backend)
    if plan.record is not None:
        with open(plan.record, "wb") as file:
            file.write(msgspec.msgpack.encode(disk.records))


def serve(lines: Sequence[bytes]) -> None:
    """Do plans, each in a process of its own."""
    for line in lines:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                do(msgspec.json.decode(line, type=Plan))
                status = 0
            except StoreError:
                status = UNUSABLE
            except BaseException:  # noqa: BLE001 - it ends here
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)  # without a word to what the fork has copied
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve(sys.stdin.buffer)
