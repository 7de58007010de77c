"""What `SqliteStore` reads, on a connection that writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime

from eventrouter.records import (
    Archived,
    ArchiveStatistics,
    Counts,
    DeadLetter,
    Depth,
    Ledger,
    Subscription,
)
from eventrouter.stores._sqlite_batch import decode_event, read_letter
from eventrouter.stores._sqlite_schema import NEVER, from_micros, to_micros


def next_due(connection: sqlite3.Connection, subscription: Subscription) -> datetime | None:
    """See `Store.next_due`."""
    [[due]] = connection.execute(
        f"SELECT min(due) FROM delivery WHERE subscription = {_NUMBER} AND due < {NEVER}",
        subscription,
    ).fetchall()
    return None if due is None else from_micros(due)


def pending(connection: sqlite3.Connection) -> dict[Subscription, int]:
    """See `Store.pending`. From the counts, so it costs as much with a backlog of a million as without."""
    rows = connection.execute(
        "SELECT bus, rule, target, accepted - delivered - dead_lettered - dropped - skipped AS unfinished "
        "FROM subscription WHERE unfinished > 0 ORDER BY id"
    )
    return {Subscription(*key): count for *key, count in rows}


def depth(connection: sqlite3.Connection, subscription: Subscription, now: datetime) -> Depth:
    """See `Store.depth`."""
    present = to_micros(now)
    [[count, leased, delayed, oldest]] = connection.execute(
        "SELECT count(*), total(token <> 0 AND due > ?), total(token = 0 AND CASE due "
        f"WHEN {NEVER} THEN coalesce(ready, at) ELSE due END > ?), min(at) FROM delivery "
        f"WHERE subscription = {_NUMBER}",
        (present, present, *subscription),
    ).fetchall()
    visible = count - int(leased) - int(delayed)
    return Depth(visible, int(delayed), int(leased), None if oldest is None else from_micros(oldest))


def dead_letters(
    connection: sqlite3.Connection, *, queue: str | None, after: int, limit: int | None
) -> list[DeadLetter]:
    """See `Store.dead_letters`."""
    where, parameters = ("", ()) if queue is None else ("queue = ? AND ", (queue,))
    rows = connection.execute(
        f"SELECT id, body FROM dead WHERE {where}id > ? ORDER BY id LIMIT ?",
        (*parameters, after, -1 if limit is None else limit),
    )
    return [read_letter(*row) for row in rows]


def archived(
    connection: sqlite3.Connection,
    archive: str,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    after: int,
    limit: int,
) -> list[Archived]:
    """See `Store.archived`."""
    rows = connection.execute(
        "SELECT a.seq, e.body, e.at, e.grp FROM archived a JOIN event e USING (seq) WHERE a.archive = ? AND a.seq > ? "
        "AND a.time >= ? AND a.time < ? AND (a.until IS NULL OR a.until > ?) ORDER BY a.seq LIMIT ?",
        (archive, after, to_micros(start), to_micros(end), to_micros(now), limit),
    )
    return [Archived(seq, decode_event(body), from_micros(at), group) for seq, body, at, group in rows]


def archives(connection: sqlite3.Connection) -> dict[str, ArchiveStatistics]:
    """See `Store.archives`."""
    rows = connection.execute("SELECT archive, count(*), sum(size) FROM archived GROUP BY archive")
    return {name: ArchiveStatistics(count, size) for name, count, size in rows}


def last_fired(connection: sqlite3.Connection, names: Sequence[str] | None) -> Mapping[str, datetime]:
    """See `Store.last_fired`."""
    query = "SELECT name, slot FROM schedule"
    if names is None:
        return {name: from_micros(slot) for name, slot in connection.execute(query)}
    # "!" is what comes after a space in the order of names.
    query += " WHERE name = ?1 UNION ALL " + query + " WHERE name >= ?1 || ' ' AND name < ?1 || '!'"
    return {key: from_micros(slot) for name in names for key, slot in connection.execute(query, (name,))}


def ledger(connection: sqlite3.Connection) -> Ledger:
    """See `Store.ledger`. What waits and what is leased is counted, so that the account can be wrong."""
    [[events]] = connection.execute("SELECT events FROM state").fetchall()
    found = {
        number: (count, leased, oldest)
        for number, count, leased, oldest in connection.execute(
            "SELECT subscription, count(*), sum(token <> 0), min(at) FROM delivery GROUP BY subscription"
        )
    }
    subscriptions: dict[Subscription, Counts] = {}
    oldest: dict[Subscription, datetime] = {}
    for number, bus, rule, target, *ended, retries in connection.execute(
        "SELECT id, bus, rule, target, accepted, delivered, dead_lettered, dropped, skipped, retries "
        "FROM subscription ORDER BY id"
    ):
        key = Subscription(bus, rule, target)
        count, leased, since = found.get(number, (0, 0, None))
        accepted, delivered, dead_lettered, dropped, skipped = ended
        subscriptions[key] = Counts(
            accepted, delivered, dead_lettered, dropped, skipped, count - leased, leased, retries
        )
        if since is not None:
            oldest[key] = from_micros(since)
    return Ledger(events, subscriptions, oldest=oldest)


_NUMBER = "(SELECT id FROM subscription WHERE bus = ? AND rule = ? AND target = ?)"
