"""Idempotency records in the file of a `SqliteStore`, for any number of threads, event loops and processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import anyio

from eventrouter.abc import StoredValue
from eventrouter.errors import StoreError
from eventrouter.stores._sqlite_batch import SWEPT, Batch
from eventrouter.stores._sqlite_schema import from_micros, to_micros
from eventrouter.stores._sqlite_worker import Reader
from eventrouter.stores._sqlite_writer import Writer, answer

#: How often a record is looked at that somebody waits for, in seconds: at first, and at most.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.1


class SqliteIdempotencyStore:
    """The `IdempotencyStore` contract in the file of a `SqliteStore`, which has one: `store.idempotency`.

    It can be used while the store is open, as it is inside of `async with router`. Every process that has the file open
    shares the records. Who waits for a change notices it within 0.1 s. Records that have expired are removed in
    passing, so that there are never many more than live ones.
    """

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._blocking = _Blocking(writer, reader)
        self._reader = reader

    @property
    def blocking(self) -> _Blocking:
        """The same records for functions that are not async."""
        return self._blocking

    async def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """Write *value* unless the key has another that is live.

        Raises:
            StoreError: The file could not be written, or has its `max_size`.
        """
        put = _put(self._writer, (scope, key), value, now=now, expires=expires)
        return answer(await self._writer.call(put))

    async def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """Replace *expected* by *value*. Raises `StoreError` if the file could not be written."""
        return await self._writer.call(lambda batch: _compare_and_set(batch, (scope, key), expected, value, expires))

    async def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """Delete *expected*. Raises `StoreError` if the file could not be written."""
        return await self._writer.call(lambda batch: _delete(batch, (scope, key), expected))

    async def changed(self, scope: str, key: str, seen: StoredValue) -> None:
        """Wait until the key may have something else than *seen*."""
        pause = _FIRST_LOOK
        while await self._reader.call(lambda connection: _read(connection, (scope, key))) == seen:
            await anyio.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)


class _Blocking:
    """`BlockingIdempotencyStore`: the same from threads."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        put = _put(self._writer, (scope, key), value, now=now, expires=expires)
        return answer(self._writer.call_blocking(put))

    def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        return self._writer.call_blocking(lambda batch: _compare_and_set(batch, (scope, key), expected, value, expires))

    def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        return self._writer.call_blocking(lambda batch: _delete(batch, (scope, key), expected))

    def changed(self, scope: str, key: str, seen: StoredValue, *, timeout: float) -> None:
        pause, end = _FIRST_LOOK, time.monotonic() + timeout
        while self._reader.call_blocking(lambda connection: _read(connection, (scope, key))) == seen:
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_LOOK)


_Key = tuple[str, str]
_READ: Final = "SELECT value, expires FROM idempotency WHERE scope = ? AND key = ?"


def _put(
    writer: Writer, key: _Key, value: bytes, *, now: datetime, expires: datetime
) -> Callable[[Batch], StoredValue | StoreError | None]:
    def write(batch: Batch) -> None:
        batch.connection.execute(
            "DELETE FROM idempotency WHERE (scope, key) IN "
            "(SELECT scope, key FROM idempotency WHERE expires <= ? ORDER BY expires LIMIT ?)",
            (to_micros(now), SWEPT),
        )
        batch.connection.execute("REPLACE INTO idempotency VALUES (?, ?, ?, ?)", (*key, to_micros(expires), value))

    write_unless_full = writer.unless_full(now, write)

    def put(batch: Batch) -> StoredValue | StoreError | None:
        found = _read(batch.connection, key)
        if found is not None and found.expires > now:
            return None if found.value == value else found
        return write_unless_full(batch)

    return put


def _compare_and_set(batch: Batch, key: _Key, expected: bytes, value: bytes, expires: datetime) -> bool:
    changed = batch.connection.execute(
        "UPDATE idempotency SET value = ?, expires = ? WHERE scope = ? AND key = ? AND value = ?",
        (value, to_micros(expires), *key, expected),
    )
    return bool(changed.rowcount)


def _delete(batch: Batch, key: _Key, expected: bytes) -> bool:
    changed = batch.connection.execute(
        "DELETE FROM idempotency WHERE scope = ? AND key = ? AND value = ?", (*key, expected)
    )
    return bool(changed.rowcount)


def _read(connection: sqlite3.Connection, key: _Key) -> StoredValue | None:
    row = connection.execute(_READ, key).fetchone()
    return None if row is None else StoredValue(row[0], from_micros(row[1]))
