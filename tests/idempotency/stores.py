"""Stores around stores, and a clock, for tests."""

from contextlib import contextmanager
from datetime import timedelta

import anyio.lowlevel

from eventrouter import MemoryIdempotencyStore
from tests.stores.engines import InlineSqliteStore, Scratch, at_once
from tests.virtual_time import EPOCH


class SharedClock:
    """The event loop's time as wall time. All clocks of one loop agree, whenever they were first read."""

    def now(self):
        return EPOCH + timedelta(seconds=anyio.current_time())


class AwaitingStore:
    """A store that can be cancelled before and after it acts, as one behind a network can."""

    blocking = None

    def __init__(self, store=None):
        self.inner = MemoryIdempotencyStore() if store is None else store

    async def _around(self, awaitable):
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            awaitable.close()
            raise
        result = await awaitable
        await anyio.lowlevel.checkpoint()
        return result

    async def put_if_absent(self, *args, **kwargs):
        return await self._around(self.inner.put_if_absent(*args, **kwargs))

    async def compare_and_set(self, *args, **kwargs):
        return await self._around(self.inner.compare_and_set(*args, **kwargs))

    async def delete_if(self, *args):
        return await self._around(self.inner.delete_if(*args))

    async def changed(self, *args):
        return await self._around(self.inner.changed(*args))


class FailingStore:
    """A store, async and blocking, whose named methods raise."""

    def __init__(self, *names, store=None, shared=None):
        self.names = set(names) if shared is None else shared
        self.inner = MemoryIdempotencyStore() if store is None else store

    @property
    def blocking(self):
        return FailingStore(store=self.inner.blocking, shared=self.names)

    def __getattr__(self, name):
        if name in self.names:
            raise OSError(f"{name} failed")
        return getattr(self.inner, name)


class AsyncFace:
    """The blocking side of a store, as if it were async."""

    def __init__(self, store):
        self.inner = store.blocking

    async def put_if_absent(self, *args, **kwargs):
        return self.inner.put_if_absent(*args, **kwargs)

    async def compare_and_set(self, *args, **kwargs):
        return self.inner.compare_and_set(*args, **kwargs)

    async def delete_if(self, *args):
        return self.inner.delete_if(*args)

    async def changed(self, *args):
        return self.inner.changed(*args, timeout=0.001)


class MortalStore:
    """The store as a process sees it until the process dies: from then on nothing it does arrives."""

    blocking = None

    def __init__(self, inner):
        self.inner = inner
        self.is_alive = True

    def die(self):
        self.is_alive = False

    def __getattr__(self, name):
        if not self.is_alive:
            raise OSError("dead")
        return getattr(self.inner, name)


#: Every idempotency store there is. A new engine joins here, and in `opened`.
IDEMPOTENCY_STORES = ("memory", "sqlite")


@contextmanager
def opened(name):
    """Open an idempotency store, without threads, so that virtual time may be used."""
    if name == "memory":
        yield MemoryIdempotencyStore()
        return
    scratch = Scratch()
    store = InlineSqliteStore(scratch.new() / "store.db")
    at_once(store.open())
    yield store.idempotency
    at_once(store.close())
    scratch.remove()
