"""The file of `SqliteStore`: its tables, how older ones become this one, and how it is opened.

Instants are microseconds since 1970 in UTC. All tables are plain SQL: `sqlite3 FILE` shows them.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, TypeAlias

from eventrouter.errors import StoreError

Synchronous: TypeAlias = Literal["FULL", "NORMAL"]

#: "evrt", which tells a file of ours from another application's (`PRAGMA application_id`).
APPLICATION_ID: Final = 0x65767274
#: `due` of a delivery that others of its group are before.
NEVER: Final = 2**62
#: How many pages the write-ahead log has when it is copied into the file; 4 KiB each.
_CHECKPOINT: Final = 1_000
#: How large the log may stay, in bytes, when a long read has kept it from being started anew.
LARGEST_LOG: Final = 64 * 1024 * 1024
_OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING

#: What makes version n + 1 of version n. A released one is never edited: the next change is appended.
MIGRATIONS: Final = (
    """
    CREATE TABLE state(              -- one row, read and written once a transaction
      one INTEGER PRIMARY KEY CHECK (one = 1),
      next_id INTEGER NOT NULL,      -- of events and deliveries; never given twice, whatever is removed
      events INTEGER NOT NULL,       -- accepted ever
      latest INTEGER                 -- when the last one was accepted
    );
    INSERT INTO state VALUES (1, 1, 0, NULL);

    CREATE TABLE subscription(       -- never removed: its counts are part of the account
      id INTEGER PRIMARY KEY,
      bus TEXT NOT NULL, rule TEXT NOT NULL, target TEXT NOT NULL,
      accepted INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
      dead_lettered INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
      skipped INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
      UNIQUE (bus, rule, target)
    );

    CREATE TABLE event(              -- as long as a delivery has not ended, or an archive keeps it
      seq INTEGER PRIMARY KEY,       -- its deliveries have the ids from seq to seq + deliveries - 1
      deliveries INTEGER NOT NULL,
      archives INTEGER NOT NULL,     -- how many keep it
      id TEXT NOT NULL, bus TEXT NOT NULL,
      at INTEGER NOT NULL,           -- when it was accepted
      hops INTEGER NOT NULL,
      grp TEXT,
      info BLOB,                     -- JSON: causes, trace header, attributes; NULL for none
      body BLOB NOT NULL             -- the event, as JSON
    );

    CREATE TABLE delivery(
      id INTEGER PRIMARY KEY,
      seq INTEGER NOT NULL,          -- the event
      subscription INTEGER NOT NULL,
      at INTEGER NOT NULL,           -- when it was accepted
      ready INTEGER,                 -- when it is due first, if later
      due INTEGER NOT NULL,          -- when it can be leased; while it is, when that ends
      attempt INTEGER NOT NULL DEFAULT 0,
      token INTEGER NOT NULL DEFAULT 0,  -- of its lease, 0 for none: 31 bits name the process, 32 the lease
      grp TEXT,                      -- its group, if the subscription receives it in order
      error TEXT,                    -- why the last attempt failed
      began INTEGER                  -- when the last attempt did
    );
    CREATE INDEX delivery_due ON delivery(subscription, due);
    CREATE INDEX delivery_leased ON delivery(subscription, due, token) WHERE token <> 0;
    CREATE INDEX delivery_group ON delivery(subscription, grp, id) WHERE grp IS NOT NULL;

    CREATE TABLE dead(
      id INTEGER PRIMARY KEY AUTOINCREMENT,  -- rising, never given twice
      queue TEXT NOT NULL, subscription INTEGER NOT NULL,
      event_id TEXT NOT NULL,
      body BLOB NOT NULL             -- the dead letter, as JSON
    );
    CREATE INDEX dead_queue ON dead(queue, id);

    CREATE TABLE published(          -- deduplication
      scope TEXT, key TEXT, until INTEGER NOT NULL, event_id TEXT NOT NULL, PRIMARY KEY (scope, key)
    ) WITHOUT ROWID;
    CREATE INDEX published_until ON published(until);

    CREATE TABLE idempotency(
      scope TEXT, key TEXT, expires INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (scope, key)
    ) WITHOUT ROWID;
    CREATE INDEX idempotency_expires ON idempotency(expires);

    CREATE TABLE schedule(name TEXT PRIMARY KEY, slot INTEGER NOT NULL) WITHOUT ROWID;

    CREATE TABLE archived(
      archive TEXT, seq INTEGER, time INTEGER NOT NULL, until INTEGER, size INTEGER NOT NULL, PRIMARY KEY (archive, seq)
    ) WITHOUT ROWID;
    CREATE INDEX archived_until ON archived(until) WHERE until IS NOT NULL;

    CREATE TABLE history(            -- how the last deliveries ended, for people; the oldest are removed
      id INTEGER PRIMARY KEY,
      event_id TEXT NOT NULL, bus TEXT NOT NULL,
      at INTEGER NOT NULL,           -- when the event was accepted
      subscription INTEGER NOT NULL,
      attempt INTEGER NOT NULL,      -- how many there were
      began INTEGER,                 -- when the last one did
      end TEXT NOT NULL,             -- delivered, dead-lettered, dropped or skipped
      error TEXT,                    -- why the last attempt failed that did
      info BLOB                      -- as that of the event
    );
    """,
)
#: How many ends of deliveries are kept; there is no index but the order, since to look through all takes some 50 ms.
HISTORY: Final = 100_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(instant: datetime) -> int:
    """Give an instant as it is written, exactly."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """Give an instant that was written."""
    return _EPOCH + timedelta(microseconds=micros)


def connect(path: Path, synchronous: Synchronous, busy_timeout: float) -> sqlite3.Connection:
    """Open the file for writing, make it if there is none, and bring it to the present version.

    Raises:
        StoreError: It cannot be used, and why.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old", hint="use 3.35 or later")
    if not path.parent.is_dir():
        raise StoreError(f"There is no directory {path.parent} for the store", hint="make it")
    with explaining(path):
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, cached_statements=256)
        try:
            _prepare(connection, path, synchronous)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_to_read(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """Open the file, which is there, for reading."""
    with explaining(path):
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, cached_statements=64)
        connection.execute("PRAGMA query_only = ON")
        return connection


def _prepare(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    def ask(pragma: str) -> int:
        return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    connection.execute("BEGIN")  # so that all of it is of one moment, as another process may be making it
    is_ours, version, has_tables = ask("application_id") == APPLICATION_ID, ask("user_version"), ask("schema_version")
    connection.execute("COMMIT")
    if has_tables and not is_ours:
        raise StoreError(f"{path} is a database of another application", hint="give the store a file of its own")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} has version {version} of the store's tables, and this release knows {len(MIGRATIONS)}",
            hint="use the release that wrote it, or a later one",
        )
    if not is_ours:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before there is a table
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
    connection.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
    connection.execute("BEGIN IMMEDIATE")  # also shows now, and not at the first event, that it cannot be written
    version = ask("user_version")  # another process may have been quicker
    for script in MIGRATIONS[version:]:
        for statement in _statements(script):
            connection.execute(statement)
    if version < len(MIGRATIONS):
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Take a script apart, since `executescript` would commit."""
    lines = [line.partition("--")[0] for line in script.splitlines()]
    return [statement for part in "\n".join(lines).split(";") if (statement := part.strip())]


class explaining:  # noqa: N801 - reads as what it does, like `contextlib.suppress`
    """Turn what SQLite raises while the block runs into a `StoreError` that says what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise explained(error, self._path) from error


def explained(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what an error of SQLite's means for the store."""
    explanation = _EXPLANATIONS.get(primary_code(error))
    if explanation is None:
        return StoreError(f"{path}: {error}")
    reason, hint = explanation
    return StoreError(f"{path} {reason}: {error}", hint=hint)


def primary_code(error: sqlite3.Error) -> int:
    """Give SQLite's primary result code, 0 when it is Python's own module that complains."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_EXPLANATIONS: Final = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "something keeps a transaction open; end it"),
    sqlite3.SQLITE_READONLY: ("cannot be written", "make the file and its directory writable for this process"),
    sqlite3.SQLITE_PERM: ("cannot be written", "make the file and its directory writable for this process"),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "it has to be a file, and the process needs the right to read and write it and its directory",
    ),
    sqlite3.SQLITE_FULL: ("cannot grow, as the disk is full", "make room; what was accepted is safe"),
    sqlite3.SQLITE_IOERR: ("could not be read or written", "look at the disk and the system's log"),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "stop all processes, keep a copy, and restore a backup, or save what can be read with `sqlite3 FILE .recover`",
    ),
    sqlite3.SQLITE_NOTADB: ("is not a database", "give the store a file of its own"),
}
