"""A thread that works on a SQLite connection for tasks of any event loop, and for other threads."""

from __future__ import annotations

import logging
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, Never, TypeVar

import anyio

from eventrouter._loops import loop_finder
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

    __slots__ = ("do", "done", "error", "is_over", "loop", "result")

    def __init__(self, do: Callable[[Context], Any], loop: Any) -> None:
        self.do = do
        self.loop = loop  # in which somebody waits; None for a thread
        self.done: Any = None  # what it waits for
        self.is_over = False
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
        self._jobs: SimpleQueue[Sequence[Job[Context]]] = SimpleQueue()
        self._gathered: dict[Any, list[Job[Context]]] = {}  # by event loop: what is handed over at its next turn
        self._waiting: dict[Any, int] = {}  # by event loop: how many wait for an answer
        self._room: dict[Any, anyio.Event] = {}  # by event loop: who waits since those are too many
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._lock = threading.Lock()
        self._find_loop: Callable[[], object] = _nowhere
        self._closed: BaseException | None = StoreError("The store is not open", hint="enter the router, or open it")

    # -- for tasks and threads -----------------------------------------------------------------------------------

    async def call(self, do: Callable[[Context], T]) -> T:
        """Have something done, and wait until it is. Cancelled, it still waits, so that it has happened or never will.

        Raises:
            StoreError: The file could not do it, or the store is not open.
        """
        try:
            loop: Any = self._find_loop()
        except RuntimeError:  # of another kind than who called before, or the first
            self._find_loop = loop_finder()
            loop = self._find_loop()
        while self._waiting.get(loop, 0) >= MAXIMUM_WAITING:
            await self._room.setdefault(loop, anyio.Event()).wait()
        if self._closed is not None:
            raise self._closed
        job = Job(do, loop)
        self._gather(loop, job)
        try:
            if hasattr(loop, "create_future"):
                job.done = loop.create_future()  # half the cost of an event, and every publisher pays it
                await job.done
            else:
                job.done = anyio.Event()
                await job.done.wait()
        except BaseException:
            job.done = done = anyio.Event()
            if not job.is_over:
                with anyio.CancelScope(shield=True):
                    await done.wait()
            raise
        outcome: T = self._outcome(job)
        return outcome

    def _gather(self, loop: Any, job: Job[Context]) -> None:
        """Hand a job over together with those of all tasks that run before the event loop looks around.

        A thread that begins with the first of them would fight with the others for the interpreter, and commit twice.
        """
        self._waiting[loop] = self._waiting.get(loop, 0) + 1
        gathered = self._gathered.get(loop)
        if gathered is not None:
            gathered.append(job)
            return
        self._gathered[loop] = [job]
        soon = loop.call_soon if hasattr(loop, "call_soon") else loop.run_sync_soon
        soon(self._hand_over, loop)

    def _hand_over(self, loop: Any) -> None:
        jobs = self._gathered.pop(loop)
        try:
            self.submit(jobs)
        except StoreError as error:
            for job in jobs:
                job.error = error
            self._answer(loop, jobs)

    def _answer(self, loop: Any, jobs: Sequence[Job[Context]]) -> None:
        """Wake who waits for jobs, in their event loop."""
        left = self._waiting[loop] - len(jobs)
        if left:
            self._waiting[loop] = left
        else:
            del self._waiting[loop]
        if self._room and left < MAXIMUM_WAITING and loop in self._room:
            self._room.pop(loop).set()
        for job in jobs:
            job.is_over = True
            if isinstance(job.done, anyio.Event):
                job.done.set()
            elif not job.done.done():  # as it is when the task has just been cancelled
                job.done.set_result(None)

    def call_blocking(self, do: Callable[[Context], T]) -> T:
        """Do the same from a thread without an event loop."""
        job, done = Job(do, None), threading.Event()
        job.done = done
        self.submit([job])
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

    def submit(self, jobs: Sequence[Job[Context]]) -> None:
        """Hand something to the thread."""
        with self._lock:  # so that nothing comes after the thread has looked for the last time
            if self._closed is not None:
                raise self._closed
            self._jobs.put(jobs)

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
        self._jobs.put(())

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
                jobs = list(self._jobs.get(timeout=self.rest() if failure is None else None))
            except Empty:
                continue
            while len(jobs) < _LARGEST_BATCH and not self._jobs.empty():
                jobs += self._jobs.get_nowait()
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
        """Wake who waits for jobs."""
        by_loop: dict[Any, list[Job[Context]]] = {}
        for job in jobs:
            by_loop.setdefault(job.loop, []).append(job)
        for job in by_loop.pop(None, ()):
            job.done.set()
        for loop, its in by_loop.items():
            call_soon_from_thread(loop, self._answer, loop, its)


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


def _nowhere() -> Never:
    raise RuntimeError("It is not known yet which kind of event loop there is")


def call_soon_from_thread(loop: Any, function: Callable[..., None], *args: object) -> None:
    """Call a function in an event loop, from another thread, without waiting for it.

    `anyio.from_thread.run_sync` would wait until the loop has time for it; asyncio's loops and trio's tokens have what
    is needed themselves.
    """
    call = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
    try:
        call(function, *args)
    except RuntimeError:
        logger.debug("An event loop ended while it waited for the store")
