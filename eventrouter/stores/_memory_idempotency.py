"""Idempotency records in this process's memory, for any number of threads and event loops."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeAlias

import anyio

from eventrouter.abc import StoredValue
from eventrouter.errors import InvalidRuleError, ThrottledError

#: How long an async waiter may be unaware of what another thread has changed, in seconds: anyio has no way to wake an
#: event loop from another thread without waiting for it.
_POLL: Final = 0.1
#: Records looked at, at each new one. Two, so that sweeping is faster than growing.
_SWEPT: Final = 2

_Key: TypeAlias = tuple[str, str]


class MemoryIdempotencyStore:
    """The `IdempotencyStore` contract in memory, for one process.

    Threads and event loops may share it. Who waits in the event loop that makes the change, or in a thread, is woken at
    once; who waits in another event loop notices within 0.1 s. Records that have expired are swept in passing, so that
    there are never many more than live ones.

    Args:
        maximum_records: The greatest number of records, since each new key takes about half a kilobyte. When so many
            are there, `put_if_absent` raises `ThrottledError`: to forget one that has not expired would let its call
            run twice.
    """

    def __init__(self, *, maximum_records: int = 1_000_000) -> None:
        if isinstance(maximum_records, bool) or not isinstance(maximum_records, int) or maximum_records < 1:
            raise InvalidRuleError(f"maximum_records is {maximum_records!r}", hint="use a whole number from 1")
        self._records = _Records(maximum_records)

    def __len__(self) -> int:
        return len(self._records)

    @property
    def blocking(self) -> _Records:
        """The same records for functions that are not async."""
        return self._records

    async def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """Write *value* unless the key has another that is live.

        Raises:
            ThrottledError: There are `maximum_records` others.
        """
        return self._records.put_if_absent(scope, key, value, now=now, expires=expires)

    async def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """Replace *expected* by *value*."""
        return self._records.compare_and_set(scope, key, expected, value, expires=expires)

    async def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """Delete *expected*."""
        return self._records.delete_if(scope, key, expected)

    async def changed(self, scope: str, key: str, seen: StoredValue) -> None:
        """Wait until the key may have something else than *seen*."""
        event = anyio.Event()
        with self._records.watched((scope, key), seen, event, threading.get_ident()), anyio.move_on_after(_POLL):
            await event.wait()


class _Records:
    """`BlockingIdempotencyStore`, and what it shares with the async side. Every look at the records is locked."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._records: OrderedDict[_Key, StoredValue] = OrderedDict()  # the first is the next to be looked at
        self._watchers: dict[_Key, dict[anyio.Event | threading.Event, int | None]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        place = scope, key
        with self._lock:
            found = self._records.get(place)
            if found is not None and found.expires > now:
                return None if found.value == value else found
            if found is None:
                self._sweep(now)
                if len(self._records) >= self._maximum:
                    raise ThrottledError(
                        f"The store has {self._maximum:,} idempotency records. Let them expire sooner (ttl), "
                        "or give the store a greater maximum_records."
                    )
            self._write(place, StoredValue(value, expires))
            return None

    def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        with self._lock:
            if not self._has(scope, key, expected):
                return False
            self._write((scope, key), StoredValue(value, expires))
            return True

    def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        with self._lock:
            if not self._has(scope, key, expected):
                return False
            del self._records[scope, key]
            self._tell((scope, key))
            return True

    def changed(self, scope: str, key: str, seen: StoredValue, *, timeout: float) -> None:
        event = threading.Event()
        with self.watched((scope, key), seen, event, None):
            event.wait(timeout)

    @contextmanager
    def watched(
        self, place: _Key, seen: StoredValue, event: anyio.Event | threading.Event, thread: int | None
    ) -> Iterator[None]:
        """Set *event* when the place has something else than *seen*, now or while the block runs.

        Args:
            place: Where to look.
            seen: What is there.
            event: Whom to tell.
            thread: The only thread that may tell, None for any.
        """
        with self._lock:
            self._watchers.setdefault(place, {})[event] = thread
            if self._records.get(place) != seen:
                event.set()
        try:
            yield
        finally:
            with self._lock:
                del self._watchers[place][event]
                if not self._watchers[place]:
                    del self._watchers[place]

    def _has(self, scope: str, key: str, expected: bytes) -> bool:
        found = self._records.get((scope, key))
        return found is not None and found.value == expected

    def _write(self, place: _Key, stored: StoredValue) -> None:
        self._records[place] = stored
        self._tell(place)

    def _tell(self, place: _Key) -> None:
        for event, thread in self._watchers.get(place, {}).items():
            if thread in (None, threading.get_ident()):
                event.set()

    def _sweep(self, now: datetime) -> None:
        """Look at the records that nobody has looked at for longest."""
        for _ in range(min(_SWEPT, len(self._records))):
            place = next(iter(self._records))
            if self._records[place].expires <= now:
                del self._records[place]
            else:
                self._records.move_to_end(place)
