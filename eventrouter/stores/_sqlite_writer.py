"""The one connection of a process that writes, and the group commit of all who write through it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio.lowlevel import current_token

from eventrouter.errors import StoreError
from eventrouter.records import Subscription
from eventrouter.stores._sqlite_batch import Batch
from eventrouter.stores._sqlite_deliveries import DeliveryBatch
from eventrouter.stores._sqlite_schema import Synchronous, connect, explained, primary_code
from eventrouter.stores._sqlite_worker import Job, Worker, call_soon_from_thread

#: How often the file is looked at for what other processes have written, in seconds: at first, and at most after
#: nothing was found for a while.
FIRST_LOOK, LAST_LOOK = 0.01, 0.1
#: After how many batches free pages are given back, if they are more than so many and a quarter of the file.
_TIDIED: Final = 64
_FREE_PAGES: Final = 1_024
#: How many free pages are given back at once.
_GIVEN_BACK: Final = 512

T = TypeVar("T")


class Writer(Worker[DeliveryBatch]):
    """Commits all that has gathered while the commit before ran, as one transaction.

    Args:
        path: The file.
        synchronous: Of SQLite.
        busy_timeout: How many seconds another process may keep the file locked.
        max_size: How many bytes the file may have before it takes no more events; None for any number.
    """

    def __init__(self, path: Path, synchronous: Synchronous, busy_timeout: float, max_size: int | None) -> None:
        super().__init__(f"eventrouter writes {path.name}")
        self._path = path
        self._synchronous: Synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._max_size = max_size
        self._connection: sqlite3.Connection | None = None
        self._numbers: dict[Subscription, int] = {}
        self._file = path
        self._identity: tuple[int, int] | None = None  # of the file that was opened
        self._page_size = 0
        self._batches = 0
        self._version = 0  # of the file, as other connections change it
        self._look = FIRST_LOOK
        self._next_look = 0.0
        self._generation = 0  # how often others were seen to have changed it
        self._watchers: list[tuple[Any, anyio.Event]] = []

    def connect(self) -> None:
        """Make the connection, and the file."""
        self._numbers.clear()
        self._file = self._path.absolute()  # also when the process goes to another directory
        self._connection = connect(self._path, self._synchronous, self._busy_timeout)
        self._identity = _identity(self._file)
        self._page_size = self._ask("page_size")
        self._version = self._ask("data_version")

    def disconnect(self) -> None:
        """Close the connection, which also empties the log if no other process has the file open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, pragma: str) -> int:
        assert self._connection is not None  # noqa: S101 - the thread made it
        return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    # -- writing -------------------------------------------------------------------------------------------------

    def perform(self, jobs: Sequence[Job[DeliveryBatch]]) -> None:
        """Write a batch in one transaction; if something fails in it, each alone, so that only the culprit fails."""
        if not jobs:
            return
        error = self._check_file() or self._try(jobs)
        if error is not None and len(jobs) > 1 and not _is_of_all(error):
            for job in jobs:
                self._finish(job, self._try([job]))
        else:
            for job in jobs:
                self._finish(job, error)
        self._batches += 1
        if self._batches % _TIDIED == 0:
            self._tidy()

    def _check_file(self) -> StoreError | None:
        """Say if the file is not there any more: SQLite would go on with one that nobody will ever find again."""
        if _identity(self._file) == self._identity:
            return None
        return StoreError(
            f"{self._path} was removed or replaced while it was in use",
            hint="put it back, or restart all processes that use it; what they wrote since is not in the new one",
        )

    def _try(self, jobs: Sequence[Job[DeliveryBatch]]) -> Exception | None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - or nothing is performed
        try:
            connection.execute("BEGIN IMMEDIATE")
            batch = DeliveryBatch(connection, self._numbers)
            for job in jobs:
                job.result = job.do(batch)
            batch.finish()
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
            self._numbers.clear()  # some of them may never have been
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return error
        return None

    def _finish(self, job: Job[DeliveryBatch], error: Exception | None) -> None:
        if error is None:
            return
        job.result = None
        job.error = error
        if isinstance(error, sqlite3.Error):
            job.error = explained(error, self._path)
            job.error.__cause__ = error

    def unless_full(self, now: datetime, do: Callable[[Batch], T]) -> Callable[[Batch], T | StoreError]:
        """Give an operation that does *do*, unless the file is as large as it may become.

        A file that is full of what has expired makes room first, some at a time, or it would be full for ever. The
        error is what the operation returns, and not raised: what it has removed stays so, and what other operations
        write in the same transaction need not be written again.
        """
        if self._max_size is None:
            return do

        def unless_full(batch: Batch) -> T | StoreError:
            refusal = self._refusal()
            if refusal is not None:
                batch.sweep(now)
                refusal = self._refusal()
            return refusal or do(batch)

        return unless_full

    def _refusal(self) -> StoreError | None:
        size = (self._ask("page_count") - self._ask("freelist_count")) * self._page_size
        if self._max_size is None or size < self._max_size:
            return None
        return StoreError(
            f"{self._path} has {size:,} bytes, and may have {self._max_size:,}",
            hint="purge dead letters and archives, let targets catch up, or allow it more",
            error_code="ThrottlingException",
        )

    def _tidy(self) -> None:
        """Give free pages back to the file system, some at a time."""
        try:
            free = self._ask("freelist_count")
            if free > max(_FREE_PAGES, self._ask("page_count") // 4):
                # A script, as Python takes one step of a statement that gives no rows, and each step frees one page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_GIVEN_BACK})")  # type: ignore[union-attr]
        except sqlite3.Error:
            return  # another process writes just now; there is a next time, and what was committed stays so

    # -- what other processes write ------------------------------------------------------------------------------

    async def changed(self, seen: int) -> int:
        """See `Store.changed`."""
        while True:
            event = anyio.Event()
            watcher = current_token().native_token, event
            with self._lock:
                if self._generation != seen:
                    return self._generation
                self._watchers.append(watcher)
            self.nudge()
            try:
                await event.wait()
            finally:
                with self._lock:
                    if watcher in self._watchers:
                        self._watchers.remove(watcher)

    def rest(self) -> float | None:
        """Look whether another process has written, if anybody wants to know."""
        with self._lock:
            if not self._watchers:
                return None
        now = time.monotonic()
        if now < self._next_look:
            return self._next_look - now
        try:
            version = self._ask("data_version")
        except sqlite3.Error:
            version = self._version  # who reads or writes is told what is wrong
        self._look = FIRST_LOOK if version != self._version else min(2 * self._look, LAST_LOOK)
        self._next_look = now + self._look
        if version == self._version:
            return self._look
        self._version = version
        with self._lock:
            self._generation += 1
            watchers, self._watchers = self._watchers, []
        for loop, event in watchers:
            call_soon_from_thread(loop, event.set)
        return self._look


def answer(given: T | StoreError) -> T:
    """Give what an operation of `Writer.unless_full` has returned, or raise it."""
    if isinstance(given, StoreError):
        raise given
    return given


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _is_of_all(error: Exception) -> bool:
    """Say whether an error would be the same for each operation alone, after as long a wait."""
    if isinstance(error, sqlite3.Error):
        return primary_code(error) == sqlite3.SQLITE_BUSY
    return isinstance(error, StoreError)
