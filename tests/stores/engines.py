"""Every store there is. A new engine joins here, and runs all tests of what stores promise."""

import shutil
import tempfile
from pathlib import Path

from eventrouter import MemoryStore
from eventrouter.stores._sqlite_worker import Job, Reader
from eventrouter.stores._sqlite_writer import Writer
from eventrouter.stores.sqlite import SqliteStore

#: By name: makes an empty store, of a directory that is its own. A test opens and closes it.
STORES = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda directory: SqliteStore(directory / "store.db"),
}


class _Inline:
    """In place of the thread: each operation is a batch of its own, done at once."""

    async def call(self, do):
        return self.call_blocking(do)

    def call_blocking(self, do):
        job = Job(do, None)
        self.submit([job])
        self._do(self._jobs.get_nowait(), None)
        return self._outcome(job)

    def nudge(self):
        pass

    def start(self):
        self._closed = None
        self.connect()

    def stop(self):
        super().stop()
        self.disconnect()


class _InlineWriter(_Inline, Writer):
    pass


class _InlineReader(_Inline, Reader):
    pass


class InlineSqliteStore(SqliteStore):
    """A SQLite store that does everything in the task that asks for it, so that it can be used in virtual time."""

    _writer_type = _InlineWriter
    _reader_type = _InlineReader

    async def open(self):
        self._start()

    async def close(self):
        self._end()


#: The same without threads: for virtual time, and for tests without an event loop.
INLINE_STORES = STORES | {"sqlite": lambda directory: InlineSqliteStore(directory / "store.db")}


class Scratch:
    """A directory in memory, if the machine has such: for tests that make hundreds of files."""

    def __init__(self):
        memory = Path("/dev/shm")  # noqa: S108 - the directory in it is nobody else's
        self.path = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.count = 0

    def new(self):
        self.count += 1
        path = self.path / str(self.count)
        path.mkdir()
        return path

    def remove(self):
        shutil.rmtree(self.path)


def at_once(coroutine):
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")
