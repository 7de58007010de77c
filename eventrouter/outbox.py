"""Events in the caller's own database transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from eventrouter.abc import Clock, Store
from eventrouter.admission import Admission, PutResult, results_of
from eventrouter.errors import ConflictError
from eventrouter.event import EventEntry
from eventrouter.records import Accepted


@runtime_checkable
class _WithOutbox(Protocol):
    """A store whose file the application writes, too: `SqliteStore`."""

    def put_in(self, connection: sqlite3.Connection, accepted: Sequence[Accepted]) -> Sequence[str | None]: ...


class Outbox:
    """What `EventRouter` has for events that are to be there if, and only if, something else is."""

    _admission: Admission
    _clock: Clock
    _store: Store

    def put_in(
        self,
        connection: sqlite3.Connection,
        entries: Sequence[EventEntry],
        *,
        principal: str | None = None,
        by_content: bool = False,
    ) -> list[PutResult]:
        """Accept entries in a transaction of the caller's, on the file of the router's `SqliteStore`.

        They are there once the caller commits, together with all else that the transaction writes; if it is rolled
        back, they never were. Whichever process has the router running delivers them, within 0.1 s. This router need
        not run, and any thread may call this. No backlog limit holds, nor does `max_size`, and observers are not told
        of the acceptance.

        Args:
            connection: To the same file, in a transaction, or one is begun. It is left open. `BEGIN IMMEDIATE` spares
                it from being refused when another process has written since it began to read.
            entries: As of `put_events`.
            principal: As of `put_events`.
            by_content: As of `put_events`.

        Returns:
            As `put_events`; `PUBLISHED` means: if the transaction is committed.

        Raises:
            InvalidEventError: As `put_events`.
            ConflictError: The router has no `SqliteStore`, or the connection is to another file, or has no transaction
                and begins none by itself.
            StoreError: The file cannot be written, or is no store yet: it is made when the router is first entered.
        """
        if not isinstance(self._store, _WithOutbox):
            raise ConflictError("Only a router on a SQLite file can put events in a transaction of its application.")
        now = self._clock.now()
        admitted = self._admission.of_entries(entries, now, received=now, principal=principal, by_content=by_content)
        accepted = [item for item in admitted if isinstance(item, Accepted)]
        return results_of(admitted, self._store.put_in(connection, accepted))
