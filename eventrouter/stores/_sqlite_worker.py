"""A thread that works on a SQLite connection for tasks of any event loop, and for other threads."""

from __future__ import annotations

import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio.lowlevel import current_token

from eventrouter.errors import StoreError
from eventrouter.stores._sqlite_schema import connect_to_read, explained

logger = logging.getLogger("eventrouter.stores")

#: How many operations may wait for the thread; more wait until there are fewer.
MAXIMUM_WAITING: Final = 10_000
#: How many operations the thread takes at once.
_LARGEST_BATCH: Final = 1_000

T = TypeVar("T")
Context = TypeVar("Context")


class Job(Generic[Context]):
    """Something for the thread to do, and what came of it."""

    __slots__ = ("do", "done", "error", "loop", "result")

    def __init__(self, do: Callable[[Context], Any], loop: Any, done: anyio.Event | threading.Event) -> None:
        self.do = do
        self.loop = loop  # whose event `done` is; None for a thread's
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None


class Worker(ABC, Generic[Context]):
    """The thread, and the way to it and back.

    Whatever waits when the thread has time is taken as one batch, and who waits for it is woken once: in each event
    loop by one call into it. `Context` is what operations work on.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Job[Context] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._lock = threading.Lock()
        self._closed: BaseException | None = StoreError("The store is not open", hint="enter the router, or open it")
        self._room: dict[Any, anyio.Event] = {}  # by event loop: who waits since there are too many

    # -- for tasks and threads -----------------------------------------------------------------------------------

    async def call(self, do: Callable[[Context], T]) -> T:
        """Have something done, and wait until it is. Cancelled, it still waits, so that it has happened or never will.

        Raises:
            StoreError: The file could not do it, or the store is not open.
        """
        loop = current_token().native_token
        while self._jobs.qsize() >= MAXIMUM_WAITING:
            await self._room.setdefault(loop, anyio.Event()).wait()
        done = anyio.Event()
        job = Job(do, loop, done)
        self.submit(job)
        try:
            await done.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await done.wait()
            raise
        outcome: T = self._outcome(job)
        return outcome

    def call_blocking(self, do: Callable[[Context], T]) -> T:
        """Do the same from a thread without an event loop."""
        done = threading.Event()
        job = Job(do, None, done)
        self.submit(job)
        done.wait()
        outcome: T = self._outcome(job)
        return outcome

    def _outcome(self, job: Job[Context]) -> Any:
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # or the two would keep each other
        return job.result

    def submit(self, job: Job[Context]) -> None:
        """Hand something to the thread."""
        with self._lock:  # so that nothing comes after the thread has looked for the last time
            if self._closed is not None:
                raise self._closed
            self._jobs.put(job)

    def start(self) -> None:
        """Begin. The connection is made by the thread; if it cannot be, that is what all calls raise."""
        self._closed, self._is_stopping = None, False
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more, finish what there is, and wait for the thread's end: some milliseconds, if nothing is wrong."""
        with self._lock:
            self._closed = StoreError("The store is closed", hint="enter the router again, or open it")
            self._is_stopping = True
        self.nudge()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def nudge(self) -> None:
        """Have the thread look around."""
        self._jobs.put(None)

    # -- in the thread -------------------------------------------------------------------------------------------

    @abstractmethod
    def connect(self) -> None:
        """Make the connection."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close the connection, if it was made."""

    @abstractmethod
    def perform(self, jobs: Sequence[Job[Context]]) -> None:
        """Do a batch, which may be empty; leave in each job what came of it. What it raises came of all of them."""

    def rest(self) -> float | None:
        """Say for how many seconds to wait for the next job at most; None for any time. Called between batches."""
        return None

    def _work(self) -> None:
        failure: BaseException | None = None
        try:
            self.connect()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
            failure = error
        while not (self._is_stopping and self._jobs.empty()):
            try:
                batch = [self._jobs.get(timeout=self.rest() if failure is None else None)]
            except Empty:
                continue
            batch += [self._jobs.get_nowait() for _ in range(min(self._jobs.qsize(), _LARGEST_BATCH - 1))]
            jobs = [job for job in batch if job is not None]
            self._do(jobs, failure)
            self.tell(jobs)
        self.disconnect()

    def _do(self, jobs: Sequence[Job[Context]], failure: BaseException | None) -> None:
        if failure is None:
            try:
                self.perform(jobs)
            except Exception as error:  # noqa: BLE001 - the thread must not end while others wait for it
                failure = error
        if failure is not None:
            for job in jobs:
                job.result, job.error = None, failure

    def tell(self, jobs: Sequence[Job[Context]]) -> None:
        """Wake who waits for jobs, or for room."""
        events: dict[Any, list[anyio.Event]] = {loop: [self._room.pop(loop)] for loop in tuple(self._room)}
        for job in jobs:
            if isinstance(job.done, threading.Event):
                job.done.set()
            elif job.loop in events:
                events[job.loop].append(job.done)
            else:
                events[job.loop] = [job.done]
        for loop, done in events.items():
            wake(loop, done)


class Reader(Worker[sqlite3.Connection]):
    """Reads on a connection of its own, each time what is true at one moment.

    Args:
        path: The file, which is there.
        busy_timeout: How many seconds another process may keep it locked.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        super().__init__(f"eventrouter reads {path.name}")
        self._path = path
        self._busy_timeout = busy_timeout
        self._connection: sqlite3.Connection | None = None

    def connect(self) -> None:
        """Make the connection."""
        self._connection = connect_to_read(self._path, self._busy_timeout)

    def disconnect(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def perform(self, jobs: Sequence[Job[sqlite3.Connection]]) -> None:
        """Read for each, one after the other."""
        assert self._connection is not None  # noqa: S101 - or nothing is performed
        for job in jobs:
            try:
                self._connection.execute("BEGIN")
                job.result = job.do(self._connection)
            except sqlite3.Error as error:
                job.error = explained(error, self._path)
                job.error.__cause__ = error
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
                job.error = error
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def wake(loop: Any, events: Sequence[anyio.Event]) -> None:
    """Set events in their event loop, from another thread, without waiting for it.

    `anyio.from_thread.run_sync` would wait until the loop has time for it; asyncio's loops and trio's tokens have what
    is needed themselves.
    """
    call = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    try:
        call(_set_all, events)
    except RuntimeError:
        logger.debug("An event loop ended while it waited for the store")


def _set_all(events: Sequence[anyio.Event]) -> None:
    for event in events:
        event.set()
