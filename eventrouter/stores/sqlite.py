"""A store in one SQLite file: what was accepted survives crashes, power cuts and restarts, and processes share it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from secrets import randbits
from threading import Lock
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import anyio

from eventrouter.errors import ConflictError, InvalidRuleError, StoreError
from eventrouter.records import (
    Accepted,
    Archived,
    ArchiveStatistics,
    DeadLetter,
    Delivery,
    Depth,
    Ledger,
    Occurrence,
    Outcome,
    Subscription,
)
from eventrouter.stores import _sqlite_reads as reads
from eventrouter.stores._sqlite_batch import Batch, encoded
from eventrouter.stores._sqlite_deliveries import DeliveryBatch
from eventrouter.stores._sqlite_idempotency import SqliteIdempotencyStore
from eventrouter.stores._sqlite_schema import Synchronous, explaining
from eventrouter.stores._sqlite_worker import Reader
from eventrouter.stores._sqlite_writer import Writer, answer

logger = logging.getLogger("eventrouter.stores")

#: How many seconds another process may keep the file locked before an operation fails.
_BUSY_TIMEOUT: Final = 5.0
_OPTIONS: Final = ("synchronous", "max_size")


class SqliteStore:
    """The `Store` contract in a SQLite file.

    `put_events` returns when its events are on the disk. All calls that come while one commit runs are the next one, so
    a hundred publishers cost little more than one. Several processes may have the file open and share the work; each
    notices what another has written within 0.1 s. It must be on a disk of this machine, since SQLite's write-ahead log
    does not work across a network.

    One process has one store for a file; several routers may share it, in any event loops and threads. What one of them
    accepts is delivered by itself, or by whoever is entered after it.

    Args:
        path: The file; it is made when there is none, its directory is not.
        synchronous: `FULL` survives crashes and power cuts. `NORMAL` survives crashes of the process, and is faster
            where the disk is slow, but a power cut, or a crash of the system, may undo the last commits.
        max_size: How many bytes the file may have. Beyond, entries are refused with `ThrottlingException`, while
            deliveries go on, which may add a little. The log beside it has some 4 MB, and is not counted. None for as
            many as the disk has.

    Attributes:
        path: The file.
        idempotency: Idempotency records in the same file.

    Raises:
        InvalidRuleError: An option is not usable as written.
    """

    _writer_type = Writer
    _reader_type = Reader

    #: Its calls wait for threads, which virtual time overtakes.
    needs_real_time: Final = True

    def __init__(self, path: str | Path, *, synchronous: Synchronous = "FULL", max_size: int | None = None) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise InvalidRuleError(f"synchronous is {synchronous!r}", hint="use 'FULL' or 'NORMAL'")
        if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int) or max_size < 1):
            raise InvalidRuleError(f"max_size is {max_size!r}", hint="use a number of bytes, or None")
        if str(path) in ("", ":memory:"):
            raise InvalidRuleError(f"{str(path)!r} is no file", hint="name one, or use 'memory://'")
        self.path = Path(path)
        self._writer = self._writer_type(self.path, synchronous, _BUSY_TIMEOUT, max_size)
        self._reader = self._reader_type(self.path, _BUSY_TIMEOUT)
        self.idempotency = SqliteIdempotencyStore(self._writer, self._reader)
        self._opened = 0
        self._life = Lock()  # opening waits for closing to end, in whichever event loops and threads they happen
        self._owner = 0
        self._leases = count(1)

    @classmethod
    def from_url(cls, url: str) -> SqliteStore:
        """Make one of a URL: `sqlite:///orders.db` for a relative path, `sqlite:////var/lib/orders.db` for an absolute.

        Options follow a question mark: `sqlite:///orders.db?synchronous=NORMAL&max_size=1000000000`.

        Raises:
            InvalidRuleError: It is not of that form.
        """
        scheme, netloc, path, query, fragment = urlsplit(url)
        if scheme != "sqlite" or netloc or fragment or not path.startswith("/") or path == "/":
            raise InvalidRuleError(
                f"{url!r} names no file", hint="use sqlite:///relative.db, or sqlite:////absolute/path.db"
            )
        options: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in _OPTIONS or name in options:
                raise InvalidRuleError(
                    f"{name!r} is no option of {url!r}, or twice there", hint=f"use {' and '.join(_OPTIONS)}"
                )
            options[name] = value
        size = options.get("max_size")
        if size is not None and not size.isdecimal():
            raise InvalidRuleError(f"max_size of {url!r} is {size!r}", hint="use a number of bytes")
        return cls(
            unquote(path[1:]),
            synchronous=cast("Synchronous", options.get("synchronous", "FULL")),  # which is checked
            max_size=None if size is None else int(size),
        )

    # -- life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the file, make it, or bring it to the present version. Raises `StoreError` with what is wrong."""
        await anyio.to_thread.run_sync(self._start)

    def _start(self) -> None:
        with self._life:
            if not self._opened:
                # Fresh at every start: a lease of a process that is gone is nobody's, whatever numbers it had.
                self._owner = 1 + randbits(31) % (2**31 - 1)
                self._leases = count(1)
                try:
                    self._writer.start()
                    self._writer.call_blocking(_nothing)
                    self._reader.start()
                    self._reader.call_blocking(_nothing)  # now, as the process may go to another directory
                except BaseException:
                    self._stop()
                    raise
            self._opened += 1

    async def close(self) -> None:
        """Finish what is under way, and close the file."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._end)

    def _end(self) -> None:
        with self._life:
            self._opened = max(0, self._opened - 1)  # to close what is closed does nothing
            if not self._opened:
                self._stop()

    def _stop(self) -> None:
        self._reader.stop()
        self._writer.stop()

    async def changed(self, seen: int) -> int:
        """Wait until another process may have written: noticed within 0.1 s, or 0.01 s if there is much."""
        return await self._writer.changed(seen)

    # -- writing -------------------------------------------------------------------------------------------------

    async def follow_clock(self, *, now: datetime, slack: timedelta) -> timedelta:
        """Undo that a clock was ahead."""
        return await self._writer.call(lambda batch: batch.follow_clock(now=now, slack=slack))

    async def append(self, accepted: Sequence[Accepted]) -> Sequence[str | None]:
        """Keep events with all their deliveries.

        Raises:
            StoreError: They could not be kept.
        """
        bodies = encoded(accepted)

        def append(batch: Batch) -> Sequence[str | None]:
            return batch.append(accepted, bodies)

        if not accepted:
            return await self._writer.call(append)
        return answer(await self._writer.call(self._writer.unless_full(accepted[-1].at, append)))

    async def lease(
        self,
        subscription: Subscription,
        limit: int,
        *,
        now: datetime,
        until: datetime,
        maximum_concurrency: int | None = None,
    ) -> Sequence[Delivery]:
        """Take up to *limit* due deliveries."""
        token = self._owner << 32 | next(self._leases) & 0xFFFF_FFFF
        leased: list[Delivery] = []

        def lease(batch: DeliveryBatch) -> Sequence[Delivery]:
            leased[:] = batch.lease(
                subscription, limit, now=now, until=until, token=token, maximum_concurrency=maximum_concurrency
            )
            return leased

        try:
            return await self._writer.call(lease)
        except anyio.get_cancelled_exc_class():
            # Nobody gets them: they would wait for the lease's end, and an attempt that nobody made would count.
            with anyio.CancelScope(shield=True):
                try:
                    await self.release(leased)
                except StoreError:
                    logger.exception("Deliveries for %s come again when their leases end", subscription)
            raise

    async def extend(self, deliveries: Sequence[Delivery], *, until: datetime) -> Sequence[Delivery]:
        """Keep leases until later; give back those that were lost."""
        return await self._writer.call(lambda batch: batch.extend(deliveries, until=until))

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write what followed from attempts; give back what came too late."""
        return await self._writer.call(lambda batch: batch.settle(outcomes))

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand leased deliveries back."""
        if deliveries:
            await self._writer.call(lambda batch: batch.release(deliveries))

    async def discard(self, subscription: Subscription, *, accepted_before: datetime | None = None) -> int:
        """End deliveries as dropped."""
        return await self._writer.call(lambda batch: batch.discard(subscription, accepted_before=accepted_before))

    async def replace_dead_letter(self, letter: DeadLetter) -> bool:
        """Put a dead letter in the place of the one with its id."""
        return await self._writer.call(lambda batch: batch.replace_dead_letter(letter))

    async def redrive(self, ids: Sequence[int], *, now: datetime) -> Sequence[DeadLetter]:
        """Make deliveries of dead letters again."""
        return await self._writer.call(lambda batch: batch.redrive(ids, now=now))

    async def purge(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good."""
        return await self._writer.call(lambda batch: batch.purge(ids))

    async def purge_archive(self, archive: str, *, limit: int) -> int:
        """Remove the oldest events of an archive."""
        return await self._writer.call(lambda batch: batch.purge_archive(archive, limit=limit))

    async def fire(self, occurrences: Sequence[Occurrence]) -> Sequence[bool]:
        """Keep the events of schedules that fire, unless they have. Raises `StoreError` as `append`."""
        if not occurrences:
            return []
        bodies = [encoded(occurrence.accepted) for occurrence in occurrences]
        now = max(occurrence.slot for occurrence in occurrences)  # at the earliest
        fire = self._writer.unless_full(now, lambda batch: batch.fire(occurrences, bodies))
        return answer(await self._writer.call(fire))

    async def forget_schedules(self, names: Sequence[str]) -> None:
        """Forget for which slots schedules have fired."""
        await self._writer.call(lambda batch: batch.forget_schedules(names))

    def put_in(self, connection: sqlite3.Connection, accepted: Sequence[Accepted]) -> Sequence[str | None]:
        """Keep events in a transaction of the caller's on the same file: they are there once it is committed.

        Use `EventRouter.put_in`, which makes what this takes of entries. The transaction is left open; if this raises,
        roll it back. The connection leaves copying the log into the file to the store's own.

        Args:
            connection: To the same file, in any thread, with or without a transaction: with Python's default
                isolation level, one is begun.
            accepted: The events.

        Returns:
            As `append`.

        Raises:
            ConflictError: The connection is to another file, or commits every statement by itself.
            StoreError: The file could not be written.
        """
        with _plain(connection), explaining(self.path):
            files = [file for _, name, file in connection.execute("PRAGMA database_list") if name == "main"]
            if not (files[0] and self.path.exists() and Path(files[0]).samefile(self.path)):
                raise ConflictError(f"The connection is to {files[0] or 'memory'}, and the store is {self.path}.")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            if not connection.in_transaction:
                # From Python 3.12 on, `commit` of a connection with `autocommit` does nothing.
                if connection.isolation_level is None or getattr(connection, "autocommit", False) is True:
                    raise ConflictError("The connection has no transaction; begin one with BEGIN IMMEDIATE.")
                connection.execute("BEGIN IMMEDIATE")
            batch = Batch(connection, {})
            duplicates = batch.append(accepted, encoded(accepted))
            batch.finish()
        return duplicates

    # -- reading -------------------------------------------------------------------------------------------------

    async def next_due(self, subscription: Subscription) -> datetime | None:
        """Say when the next delivery can be leased."""
        return await self._reader.call(lambda connection: reads.next_due(connection, subscription))

    async def pending(self) -> Mapping[Subscription, int]:
        """Count the deliveries that have not ended."""
        return await self._reader.call(reads.pending)

    async def depth(self, subscription: Subscription, *, now: datetime) -> Depth:
        """Count the deliveries that have not ended, at a cost that grows with their number."""
        return await self._reader.call(lambda connection: reads.depth(connection, subscription, now))

    async def dead_letters(
        self, *, queue: str | None = None, after: int = 0, limit: int | None = None
    ) -> Sequence[DeadLetter]:
        """List dead letters, oldest first."""
        return await self._reader.call(
            lambda connection: reads.dead_letters(connection, queue=queue, after=after, limit=limit)
        )

    async def archived(
        self, archive: str, *, start: datetime, end: datetime, now: datetime, after: int = 0, limit: int
    ) -> Sequence[Archived]:
        """Read an archive, in the order of acceptance."""
        return await self._reader.call(
            lambda connection: reads.archived(
                connection, archive, start=start, end=end, now=now, after=after, limit=limit
            )
        )

    async def archives(self) -> Mapping[str, ArchiveStatistics]:
        """Say what each archive holds."""
        return await self._reader.call(reads.archives)

    async def last_fired(self, names: Sequence[str] | None = None) -> Mapping[str, datetime]:
        """Say for which slots schedules fired last."""
        return await self._reader.call(lambda connection: reads.last_fired(connection, names))

    async def ledger(self) -> Ledger:
        """Account for every delivery ever accepted, at a cost that grows with those that have not ended."""
        return await self._reader.call(reads.ledger)


@contextmanager
def _plain(connection: sqlite3.Connection) -> Generator[None]:
    """Have rows and texts as the store reads them, whatever the application has made of them."""
    factories = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = factories


def _nothing(context: object) -> None:
    """Do nothing, in a transaction."""
