"""The contract of stores of idempotency records."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol


class StoredValue(NamedTuple):
    """What an `IdempotencyStore` has under a key.

    Attributes:
        value: Opaque to the store.
        expires: The instant from which on it counts as absent.
    """

    value: bytes
    expires: datetime


class BlockingIdempotencyStore(Protocol):
    """The methods of `IdempotencyStore` for functions that are not async; any thread may call them at any time."""

    def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """See `IdempotencyStore.put_if_absent`."""
        ...

    def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """See `IdempotencyStore.compare_and_set`."""
        ...

    def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """See `IdempotencyStore.delete_if`."""
        ...

    def changed(self, scope: str, key: str, seen: StoredValue, *, timeout: float) -> None:
        """See `IdempotencyStore.changed`; at the latest it returns after *timeout* seconds."""
        ...


class IdempotencyStore(Protocol):
    """Values under keys that expire, written conditionally: what `idempotent` needs to let one caller through.

    Each of the first three methods is atomic, and one statement of SQL on a table with the primary key
    `(scope, key)`. There are no tokens: a value names its writer, so comparing values tells whether a writer still has
    the key, and one that came late changes nothing. Times are the caller's. A call that is cancelled has happened, or
    never will, by the time that it raises.
    """

    @property
    def blocking(self) -> BlockingIdempotencyStore | None:
        """The same records for functions that are not async; None if the store cannot serve them."""
        ...

    async def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """Write *value*, unless the key has another that has not expired at *now*.

        Returns:
            What the key has instead; None if it has *value*, from this call or an equal one before.
        """
        ...

    async def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """Replace *expected* by *value*, with a new expiry; say whether *expected* was there.

        What has expired can be replaced as long as it is there, but a store may sweep it at any time.
        """
        ...

    async def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """Delete *expected*; say whether it was there."""
        ...

    async def changed(self, scope: str, key: str, seen: StoredValue) -> None:
        """Wait until the key may have something else than *seen*, value or expiry.

        It may return early, but not in a busy loop; a store that is not told of changes sleeps for a moment. That
        *seen* expires is no change: the caller knows when, and stops waiting.
        """
        ...
