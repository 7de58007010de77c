"""The thread that works on a connection: what comes back from it, to whom, and when somebody does not wait."""

import sqlite3
import threading
from contextlib import closing

import anyio
import anyio.to_thread
import pytest

from eventrouter import StoreError
from eventrouter.stores._sqlite_worker import Job, Reader, Worker
from eventrouter.stores._sqlite_writer import Writer
from tests.virtual_time import real_time_backends


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """There are threads."""
    return request.param


class Counter(Worker[list]):
    """A worker on a list in place of a connection."""

    def __init__(self):
        super().__init__("a worker of tests")
        self.made = []
        self.fails = False
        self.before_answer = lambda: None
        self.after_answer = lambda: None

    def connect(self):
        pass

    def disconnect(self):
        self.made = None

    def perform(self, jobs):
        if self.fails:
            raise OSError("nothing works")
        for job in jobs:
            job.result = job.do(self.made)

    def _answer(self, loop, jobs):
        self.before_answer()
        super()._answer(loop, jobs)
        self.after_answer()


@pytest.fixture
def worker():
    worker = Counter()
    worker.start()
    yield worker
    worker.stop()


def add(made):
    made.append(len(made))
    return len(made)


async def test_tasks_and_threads_without_an_event_loop_have_their_answers(worker):
    assert await worker.call(add) == 1
    answers = []
    thread = threading.Thread(target=lambda: answers.append(worker.call_blocking(add)))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert answers == [2]
    assert await worker.call(add) == 3


async def test_what_fails_a_batch_is_raised_where_somebody_waits_and_the_thread_goes_on(worker):
    worker.fails = True
    with pytest.raises(OSError, match="nothing works"):
        await worker.call(add)
    with pytest.raises(OSError, match="nothing works"):
        await anyio.to_thread.run_sync(worker.call_blocking, add)
    worker.fails = False
    assert await worker.call(add) == 1


@pytest.mark.parametrize("when", ["before_answer", "after_answer"])
async def test_a_task_that_is_cancelled_as_its_answer_comes_has_had_it_done(worker, when):
    with anyio.CancelScope() as scope:
        setattr(worker, when, scope.cancel)
        await worker.call(add)
    setattr(worker, when, lambda: None)
    assert worker.made == [0]
    assert await worker.call(add) == 2


def test_what_a_reader_is_asked_to_do_may_fail_and_may_end_its_transaction(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t(n); INSERT INTO t VALUES (7)")
    reader = Reader(path, 1)
    reader.start()

    def end(connection):
        connection.execute("ROLLBACK")
        return "ended"

    with pytest.raises(ZeroDivisionError):
        reader.call_blocking(lambda connection: 1 / 0)
    with pytest.raises(StoreError, match="no such table"):
        reader.call_blocking(lambda connection: connection.execute("SELECT * FROM none"))
    assert reader.call_blocking(end) == "ended"
    assert reader.call_blocking(lambda connection: connection.execute("SELECT n FROM t").fetchall()) == [(7,)]
    reader.stop()


def test_a_reader_without_a_file_says_so_to_everybody_and_ends(tmp_path):
    reader = Reader(tmp_path / "none" / "a.db", 1)
    reader.start()
    for _ in range(2):
        with pytest.raises((StoreError, sqlite3.Error)):
            reader.call_blocking(lambda connection: None)
    reader.stop()


def test_nobody_hears_of_what_is_not_yet_committed(tmp_path):
    writer = Writer(tmp_path / "store.db", "NORMAL", 5, None)
    job, done = Job(lambda batch: 7, None), threading.Event()
    job.done = done
    is_known = {}

    def trace(statement):
        is_known[statement] = done.is_set()  # called as the statement begins

    writer.start()
    try:
        writer.call_blocking(lambda batch: writer._connection.set_trace_callback(trace))
        writer.submit([job])
        assert done.wait(10)
    finally:
        writer.stop()
    assert (job.result, job.error) == (7, None)
    assert is_known["COMMIT"] is False
