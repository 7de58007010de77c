"""Whose media there are, and what has become of their renditions: tables beside those of the router, in its file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from examples.media_pipeline.renderer import RENDITIONS, Rendition
from examples.media_pipeline.uploads import Kind, Upload

State = Literal["waiting", "done", "failed"]
#: Of a rendition: the id of what it is made of, its name, and then as `Made` has it.
_Row: TypeAlias = tuple[str, str, State, int, str, int, int, int]

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS media(
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        extension TEXT NOT NULL,
        content_type TEXT NOT NULL,
        size INTEGER NOT NULL,
        uploaded_at TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS media_of_owner ON media(owner, uploaded_at);
    CREATE TABLE IF NOT EXISTS rendition(
        media_id TEXT NOT NULL REFERENCES media(id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        place INTEGER NOT NULL,          -- the order in which they are shown
        state TEXT NOT NULL,             -- waiting, done, or failed: a letter in the dead-letter queue was filed
        attempts INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',  -- of the latest attempt
        width INTEGER NOT NULL DEFAULT 0,
        height INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY(media_id, name)
    ) WITHOUT ROWID;
"""
_BUSY_TIMEOUT: Final = 10.0


@dataclass(frozen=True)
class Made:
    """A rendition and what has become of it.

    Attributes:
        form: What it is to be.
        state: Whether it is there.
        attempts: How often it was tried since it was last asked for.
        error: Why the latest attempt failed; empty if it did not.
        width: Pixels; 0 before it is done.
        height: The same.
        size: Bytes; 0 before it is done.
    """

    form: Rendition
    state: State
    attempts: int = 0
    error: str = ""
    width: int = 0
    height: int = 0
    size: int = 0


@dataclass(frozen=True)
class Media:
    """Something that was uploaded.

    Attributes:
        id: Of 32 hexadecimal digits.
        owner: Who uploaded it.
        upload: The file.
        uploaded_at: When.
        renditions: What is made of it; none yet right after the upload.
    """

    id: str
    owner: str
    upload: Upload
    uploaded_at: datetime
    renditions: tuple[Made, ...] = field(default=())

    @property
    def key(self) -> str:
        """Of the original in the bucket."""
        return f"uploads/{self.owner}/{self.id}.{self.upload.extension}"

    def key_of(self, form: Rendition) -> str:
        """Give the key of a rendition in the bucket."""
        return f"renditions/{self.owner}/{self.id}/{form.name}.{form.extension}"

    def find(self, name: str) -> Made | None:
        """Give the rendition of that name."""
        return next((made for made in self.renditions if made.form.name == name), None)

    @property
    def is_pending(self) -> bool:
        """Whether something is still to be made."""
        return not self.renditions or any(made.state == "waiting" for made in self.renditions)

    @property
    def failures(self) -> tuple[Made, ...]:
        """What could not be made."""
        return tuple(made for made in self.renditions if made.state == "failed")


class Library:
    """The tables. Every method is one transaction, and blocks: call it in a worker thread.

    Args:
        path: The file of the router's store.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def create(self) -> None:
        """Make the tables if they are not there. The store has to be open, as it makes the file."""
        with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT)) as connection:
            connection.executescript(_SCHEMA)

    def add(self, media: Media, announce: Callable[[sqlite3.Connection], object]) -> None:
        """Keep something that was uploaded, and announce it in the same transaction: both happen, or none."""
        upload = media.upload
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO media VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    media.id,
                    media.owner,
                    upload.name,
                    upload.kind,
                    upload.extension,
                    upload.content_type,
                    upload.size,
                    media.uploaded_at.isoformat(),
                ),
            )
            announce(connection)

    def plan(self, media_id: str) -> list[str]:
        """Note what is to be made of an upload, and name what is not there yet; nothing if it was removed meanwhile."""
        with self._transaction() as connection:
            row = connection.execute("SELECT kind FROM media WHERE id = ?", (media_id,)).fetchone()
            if row is None:
                return []
            connection.executemany(
                "INSERT OR IGNORE INTO rendition(media_id, name, place, state) VALUES (?, ?, ?, 'waiting')",
                [(media_id, form.name, place) for place, form in enumerate(RENDITIONS[row[0]])],
            )
            found = connection.execute(
                "SELECT name FROM rendition WHERE media_id = ? AND state = 'waiting' ORDER BY place", (media_id,)
            )
            return [name for (name,) in found]

    def find(self, media_id: str) -> Media | None:
        """Give something by its id."""
        return next(iter(self._select("id = ?", media_id)), None)

    def list_of(self, owner: str) -> list[Media]:
        """Give what somebody has uploaded, the newest first."""
        return self._select("owner = ?", owner)

    def _select(self, condition: str, value: str) -> list[Media]:
        with closing(sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT)) as connection:
            connection.execute("BEGIN")  # both queries see the same moment
            rows = connection.execute(
                "SELECT id, owner, name, kind, extension, content_type, size, uploaded_at FROM media"
                f" WHERE {condition} ORDER BY uploaded_at DESC, id",
                (value,),
            ).fetchall()
            renditions = connection.execute(
                "SELECT media_id, rendition.name, state, attempts, error, width, height, rendition.size"
                f" FROM rendition JOIN media ON id = media_id WHERE {condition} ORDER BY place",
                (value,),
            ).fetchall()
        made: dict[str, list[_Row]] = {}
        for row in renditions:
            made.setdefault(row[0], []).append(row)
        return [_media(row, made.get(row[0], [])) for row in rows]

    def remove(self, media_id: str) -> None:
        """Forget something, and its renditions."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM media WHERE id = ?", (media_id,))

    # -- what becomes of a rendition -----------------------------------------------------------------------------

    def finish(self, media_id: str, name: str, width: int, height: int, size: int) -> bool:
        """Note that a rendition is there; False if what it was made of is gone."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE rendition SET state = 'done', error = '', width = ?, height = ?, size = ?"
                " WHERE media_id = ? AND name = ?",
                (width, height, size, media_id, name),
            )
            return changed.rowcount > 0

    def note_error(self, media_id: str, name: str, attempts: int, error: str) -> None:
        """Note that an attempt has failed."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE rendition SET attempts = ?, error = ? WHERE media_id = ? AND name = ? AND state != 'done'",
                (attempts, error, media_id, name),
            )

    def give_up(self, media_id: str, name: str) -> None:
        """File a dead letter: a rendition will not be made, unless somebody asks for it again."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE rendition SET state = 'failed',"
                " error = coalesce(nullif(error, ''), 'The service ended each time while this was being made.')"
                " WHERE media_id = ? AND name = ? AND state != 'done'",
                (media_id, name),
            )

    def ask_again(
        self, owner: str, media_id: str | None, announce: Callable[[sqlite3.Connection, list[tuple[str, str]]], object]
    ) -> int:
        """Note that what has failed is to be made again, and announce it in the same transaction.

        Args:
            owner: Whose; nobody else's are touched.
            media_id: Only what failed of one upload; None for all.
            announce: Is given the ids of the uploads with the names of the renditions.

        Returns:
            How many there are.
        """
        with self._transaction() as connection:
            again = connection.execute(
                "UPDATE rendition SET state = 'waiting', attempts = 0, error = '' WHERE state = 'failed'"
                " AND media_id IN (SELECT id FROM media WHERE owner = ? AND ? IN (id, '')) RETURNING media_id, name",
                (owner, media_id or ""),
            ).fetchall()
            if again:
                announce(connection, again)
        return len(again)


def _media(row: tuple[str, str, str, Kind, str, str, int, str], made: list[_Row]) -> Media:
    media_id, owner, name, kind, extension, content_type, size, uploaded_at = row
    forms = {form.name: form for form in RENDITIONS[kind]}
    return Media(
        media_id,
        owner,
        Upload(name, kind, extension, content_type, size),
        datetime.fromisoformat(uploaded_at),
        tuple(Made(forms[row[1]], *row[2:]) for row in made if row[1] in forms),
    )


def now() -> datetime:
    """Give the time of an upload."""
    return datetime.now(UTC)
