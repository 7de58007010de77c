"""A store's file as somebody else looks at it: opened for reading only, whether or not a service has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import quote

import msgspec

from eventrouter.errors import StoreError
from eventrouter.stores._sqlite_schema import APPLICATION_ID, MIGRATIONS, explaining, from_micros, primary_code

#: How many seconds a reader waits when it is locked out, which only recovery after a crash does.
_BUSY_TIMEOUT: Final = 5.0

T = TypeVar("T")


class StoreFile:
    """The file of a `SqliteStore`, open for reading only: nobody is kept from writing by it.

    Each `read` sees one moment. While it lasts, SQLite cannot start its log anew, so it should not last long.

    Args:
        path: The file.

    Attributes:
        path: The file.

    Raises:
        StoreError: There is no such file, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise StoreError(f"There is no file {path}")
        with explaining(path):
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._connected("mode=ro")
        except sqlite3.OperationalError as error:
            # In a directory that cannot be written, SQLite cannot make what its readers and writers share. Without a
            # log there is nobody to share it with.
            if primary_code(error) != sqlite3.SQLITE_CANTOPEN or self.path.with_name(self.path.name + "-wal").exists():
                raise
            return self._connected("mode=ro&immutable=1")

    def _connected(self, options: str) -> sqlite3.Connection:
        url = f"file:{quote(str(self.path.absolute()))}?{options}"
        connection = sqlite3.connect(url, timeout=_BUSY_TIMEOUT, isolation_level=None, uri=True)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def read(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """Read what is true at one moment.

        Raises:
            StoreError: The file is damaged, or cannot be read.
        """
        try:
            with explaining(self.path):
                self._connection.execute("BEGIN")
                try:
                    return do(self._connection)
                finally:
                    self._connection.rollback()
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise StoreError(f"{self.path} is damaged: a row of it holds {error}") from error

    def ask(self, pragma: str) -> int:
        """Give the number that a pragma has."""
        return self.read(lambda connection: int(connection.execute(f"PRAGMA {pragma}").fetchone()[0]))

    def check_version(self) -> int:
        """Say which version the tables have, which is this release's.

        Raises:
            StoreError: It is another one, or these are not our tables.
        """
        if self.ask("application_id") != APPLICATION_ID:
            raise StoreError(f"{self.path} is no store of eventrouter", hint="name the file that the service uses")
        version = self.ask("user_version")
        if version != len(MIGRATIONS):
            hint = "use the release that the service uses"
            if version < len(MIGRATIONS):
                hint += ", or start it with this one, which brings the tables to its version"
            raise StoreError(
                f"{self.path} has version {version} of the store's tables, and this release knows {len(MIGRATIONS)}",
                hint=hint,
            )
        return version


def open_file(path: Path) -> StoreFile:
    """Open a store's file, of this release's version, for reading only. Raises `StoreError`."""
    file = StoreFile(path)
    try:
        file.check_version()
    except BaseException:
        file.__exit__()
        raise
    return file


class ArchiveSummary(NamedTuple):
    """What the file has of an archive.

    Attributes:
        name: The archive's name.
        event_bus_name: The bus whose events it keeps.
        event_count: How many.
        size_bytes: Of their JSON text, altogether.
        first: The earliest `time` of its events,
        last: and the latest.
        until: When the first of them may be removed; None for never.
    """

    name: str
    event_bus_name: str
    event_count: int
    size_bytes: int
    first: datetime
    last: datetime
    until: datetime | None


def archive_summaries(connection: sqlite3.Connection) -> list[ArchiveSummary]:
    """Say what each archive holds that has any event."""
    rows = connection.execute(
        "SELECT a.archive, e.bus, a.events, a.size, a.first, a.last, a.until FROM (SELECT archive, count(*) AS events, "
        "sum(size) AS size, min(time) AS first, max(time) AS last, min(until) AS until, min(seq) AS seq FROM archived "
        "GROUP BY archive) a JOIN event e USING (seq) ORDER BY a.archive"
    )
    return [
        ArchiveSummary(
            name, bus, count, size, from_micros(first), from_micros(last), None if end is None else from_micros(end)
        )
        for name, bus, count, size, first, last, end in rows
    ]


def queue_sizes(connection: sqlite3.Connection) -> dict[str, int]:
    """Count the dead letters of each queue that has any."""
    return dict(connection.execute("SELECT queue, count(*) FROM dead GROUP BY queue ORDER BY queue").fetchall())


def sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Give the sizes in bytes of the file, and of the log beside it."""
    for name in (path, path.with_name(path.name + "-wal")):
        yield name.name, name.stat().st_size if name.exists() else 0
