"""A transaction of `SqliteStore`, and how it takes events: plain statements, which wait for nothing but the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec

from eventrouter.event import Event
from eventrouter.records import Accepted, DeadLetter, Deduplication, Occurrence, Subscription
from eventrouter.stores._sqlite_schema import HISTORY, NEVER, to_micros

#: Records that have expired and are removed for each that is written: more than one, or they would outgrow it.
SWEPT: Final = 2
#: As many of each kind when the file has no room, and nothing is written that could remove any in passing.
LARGEST_SWEEP: Final = 500
#: How many rows one statement is about: each number makes a statement of its own, which is kept prepared.
_SIZES: Final = (64, 16, 4, 1)
#: Where a subscription's counts are.
ACCEPTED, DELIVERED, DEAD_LETTERED, DROPPED, SKIPPED, RETRIES = range(6)

decode_event: Final = msgspec.json.Decoder(Event).decode
decode_letter: Final = msgspec.json.Decoder(DeadLetter).decode


class _Info(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is known of an event besides it, when there is something."""

    causes: tuple[str, ...] = ()
    trace_header: str | None = None
    attributes: dict[str, str] = {}


decode_info: Final = msgspec.json.Decoder(_Info).decode
NOTHING: Final = _Info()


def encoded(accepted: Sequence[Accepted]) -> list[bytes]:
    """Write events as they are kept; done by who hands them over, who also gets the error if one cannot be written."""
    return [msgspec.json.encode(item.event) for item in accepted]


class Batch:
    """One transaction, as it is being written: all that takes events, or forgets them.

    What many operations write alike is gathered, and written at once: `flush`.

    Args:
        connection: In a transaction that has the right to write, or can get it; an attribute, too.
        numbers: The ids of subscriptions, as far as they are known. Those that are met are added to it, so it is
            worthless when the transaction is rolled back.
    """

    def __init__(self, connection: sqlite3.Connection, numbers: dict[Subscription, int]) -> None:
        self.connection = connection
        self._execute = connection.execute
        self._numbers = numbers
        # An update and not a query, since it also waits for the right to write, and what is read then stays true.
        row = self._execute("UPDATE state SET events = events RETURNING next_id, latest").fetchall()[0]
        self._next_id: int
        self._latest: int | None
        self._next_id, self._latest = row
        self._seen = row
        self._accepted = 0
        self._counts: dict[int, list[int]] = {}
        self._events: list[tuple[object, ...]] = []
        self._deliveries: list[tuple[int | None, ...]] = []
        self._ended: list[int] = []  # events of which a delivery has ended, or which an archive keeps no more
        self._ends: list[tuple[object, ...]] = []  # how deliveries have ended: all but the event's part, then its seq
        self._skipped: list[tuple[object, ...]] = []  # those that never were

    def flush(self) -> None:
        """Write what was gathered, before it is read or the transaction ends."""
        if self._events:
            self._insert("event(seq, deliveries, archives, id, bus, at, hops, grp, info, body)", self._events)
            self._events.clear()
        if self._deliveries:
            self._insert("delivery(id, seq, subscription, at, ready, due)", self._deliveries)
            self._deliveries.clear()

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]], then: str = "") -> list[Any]:
        """Insert rows, many with one statement, in which their values stand between *into* and *then*.

        Returns what the statements return: the first column of each row.

        Python lets other threads run at each step of a statement, and an event loop that computes keeps the interpreter
        for up to 5 ms each time: a hundred rows should not be a hundred steps.
        """
        at, returned = 0, []
        values = f"({', '.join('?' * len(rows[0]))})"
        for size in _SIZES:
            while len(rows) - at >= size:
                statement = f"INSERT INTO {into} VALUES {', '.join([values] * size)}{then}"
                returned += self._execute(statement, list(chain.from_iterable(rows[at : at + size]))).fetchall()
                at += size
        return [row[0] for row in returned]

    def _for_ids(self, statement: str, ids: Sequence[int], *before: object) -> list[Any]:
        """Run a statement for many ids at once: they stand at its `{}`, after all other parameters.

        Returns the rows that it returns, in no order. One step for all is several times as fast as one for each.
        """
        at, returned = 0, []
        for size in _SIZES:
            while len(ids) - at >= size:
                marks = ", ".join("?" * size)
                returned += self._execute(statement.format(marks), [*before, *ids[at : at + size]]).fetchall()
                at += size
        return returned

    def finish(self) -> None:
        """Write all that is left, so that the transaction can be committed."""
        self.flush()
        self._remember_ends()
        self._remove_ended()
        if self._counts:
            self.connection.executemany(
                "UPDATE subscription SET accepted = accepted + ?, delivered = delivered + ?, "
                "dead_lettered = dead_lettered + ?, dropped = dropped + ?, skipped = skipped + ?, "
                "retries = retries + ? WHERE id = ?",
                [(*counts, number) for number, counts in self._counts.items()],
            )
        if (self._next_id, self._latest) != self._seen or self._accepted:
            self._execute(
                "UPDATE state SET next_id = ?, latest = ?, events = events + ?",
                (self._next_id, self._latest, self._accepted),
            )

    def _remember_ends(self) -> None:
        """Write the history, and remove the oldest of it."""
        if not (self._ends or self._skipped):
            return
        if self._ends:
            self._insert(
                "history(subscription, attempt, began, end, error, event_id, bus, at, info) "
                "SELECT column1, column2, column3, column4, column5, id, bus, at, info FROM (",
                self._ends,
                ") CROSS JOIN event ON seq = column6",  # CROSS: events are looked up, however many there are
            )
        if self._skipped:
            self._insert("history(subscription, attempt, end, event_id, bus, at)", self._skipped)
        self._execute("DELETE FROM history WHERE id <= (SELECT max(id) FROM history) - ?", (HISTORY,))
        self._ends.clear()
        self._skipped.clear()

    def _remove_ended(self) -> None:
        """Remove events that nobody has a use for any more."""
        if self._ended:
            self._for_ids(
                "DELETE FROM event WHERE seq IN ({}) AND archives = 0 AND NOT EXISTS "
                "(SELECT 1 FROM delivery WHERE id BETWEEN event.seq AND event.seq + event.deliveries - 1)",
                self._ended,
            )
            self._ended.clear()

    # -- accepting -----------------------------------------------------------------------------------------------

    def append(self, accepted: Sequence[Accepted], bodies: Sequence[bytes]) -> list[str | None]:
        """See `Store.append`; the events are given in JSON, too."""
        duplicates: list[str | None] = []
        for item, body in zip(accepted, bodies, strict=True):
            earlier = None
            if item.deduplication is not None:
                earlier = self._publish(item, item.deduplication)
            duplicates.append(earlier)
            if earlier is None:
                self._accepted += 1
                self._write(item, body)
                for subscription in item.subscriptions:
                    self._count(self.number_of(subscription), ACCEPTED)
                for subscription in item.skipped:
                    number = self.number_of(subscription)
                    self._count(number, ACCEPTED)
                    self._count(number, SKIPPED)
                    self._skipped.append((number, 0, "skipped", item.event.id, item.event_bus_name, to_micros(item.at)))
        if accepted:
            self._latest = to_micros(accepted[-1].at)
        return duplicates

    def _publish(self, item: Accepted, deduplication: Deduplication) -> str | None:
        now = to_micros(item.at)
        place = deduplication.scope, deduplication.key
        self._execute(
            "DELETE FROM published WHERE (scope, key) IN "
            "(SELECT scope, key FROM published WHERE until <= ? ORDER BY until LIMIT ?)",
            (now, SWEPT),
        )
        is_new = self._execute(
            "INSERT INTO published(scope, key, until, event_id) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET until = excluded.until, event_id = excluded.event_id WHERE until <= ? RETURNING 1",
            (*place, to_micros(deduplication.until), item.event.id, now),
        ).fetchall()
        if is_new:
            return None
        [[earlier]] = self._execute("SELECT event_id FROM published WHERE scope = ? AND key = ?", place).fetchall()
        return str(earlier)

    def _write(self, item: Accepted, body: bytes) -> None:
        count = len(item.subscriptions)
        if not (count or item.archives):
            return
        seq, at = self._next_id, to_micros(item.at)
        self._next_id += count or 1
        info = None
        if item.causes or item.trace_header is not None or item.attributes:
            info = msgspec.json.encode(_Info(item.causes, item.trace_header, dict(item.attributes)))
        self._events.append(
            (
                seq,
                count,
                len(item.archives),
                item.event.id,
                item.event_bus_name,
                at,
                item.hops,
                item.group,
                info,
                body,
            )
        )
        due = at if item.due is None else max(at, to_micros(item.due))
        for id, subscription in enumerate(item.subscriptions, seq):
            number = self.number_of(subscription)
            row: tuple[int | None, ...] = (id, seq, number, at, None if due == at else due, due)
            if item.group is not None and subscription in item.ordered:
                self._line_up(row, number, item.group)
            else:
                self._deliveries.append(row)
        if item.archives:
            self._keep(item, seq, at, len(body))

    def _line_up(self, row: tuple[int | None, ...], number: int, group: str) -> None:
        """Write a delivery of an ordered group, which is not due as long as others are before it."""
        self.flush()
        self._execute(
            "INSERT INTO delivery(id, seq, subscription, at, ready, due, grp) SELECT ?, ?, ?, ?, ?, CASE WHEN EXISTS "
            f"(SELECT 1 FROM delivery WHERE subscription = ? AND grp = ?) THEN {NEVER} ELSE ? END, ?",
            (*row[:-1], number, group, row[-1], group),
        )

    def _let_next_come(self, number: int, group: str) -> None:
        self._execute(
            f"UPDATE delivery SET due = coalesce(ready, at) WHERE due = {NEVER} AND id = "
            "(SELECT min(id) FROM delivery WHERE subscription = ? AND grp = ?)",
            (number, group),
        )

    def number_of(self, subscription: Subscription) -> int:
        """Give the id of a subscription, which may be new."""
        number = self._numbers.get(subscription)
        if number is None:
            found = self.find(subscription)
            number = found if found is not None else self._add(subscription)
        return number

    def _add(self, subscription: Subscription) -> int:
        number = self._execute("INSERT INTO subscription(bus, rule, target) VALUES (?, ?, ?)", subscription).lastrowid
        assert number is not None  # noqa: S101 - it was inserted
        self._numbers[subscription] = number
        return number

    def find(self, subscription: Subscription) -> int | None:
        """Give the id of a subscription; None if it never had a delivery."""
        number = self._numbers.get(subscription)
        if number is None:
            row = self._execute(
                "SELECT id FROM subscription WHERE bus = ? AND rule = ? AND target = ?", subscription
            ).fetchone()
            if row is not None:
                number = self._numbers[subscription] = row[0]
        return number

    def _count(self, number: int, what: int, by: int = 1) -> None:
        counts = self._counts.get(number)
        if counts is None:
            counts = self._counts[number] = [0] * 6
        counts[what] += by

    # -- archives ------------------------------------------------------------------------------------------------

    def _keep(self, item: Accepted, seq: int, at: int, size: int) -> None:
        self.connection.executemany(
            "INSERT INTO archived(archive, seq, time, until, size) VALUES (?, ?, ?, ?, ?)",
            [
                (name, seq, to_micros(item.event.time), None if until is None else to_micros(until), size)
                for name, until in item.archives
            ],
        )
        self._take_from_archives(
            "SELECT archive, seq FROM archived WHERE until <= ? ORDER BY until LIMIT ?",
            (at, SWEPT * len(item.archives)),
        )

    def purge_archive(self, archive: str, *, limit: int) -> int:
        """See `Store.purge_archive`."""
        self.flush()
        return self._take_from_archives(
            "SELECT archive, seq FROM archived WHERE archive = ? ORDER BY seq LIMIT ?", (archive, limit)
        )

    def sweep(self, now: datetime) -> None:
        """Remove some of what has expired, the longest ago first; what ended in this transaction goes with it."""
        limits = (to_micros(now), LARGEST_SWEEP)
        self._take_from_archives("SELECT archive, seq FROM archived WHERE until <= ? ORDER BY until LIMIT ?", limits)
        for table, column in (("published", "until"), ("idempotency", "expires")):
            self._execute(
                f"DELETE FROM {table} WHERE (scope, key) IN "
                f"(SELECT scope, key FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT ?)",
                limits,
            )
        self._remember_ends()  # before their events go
        self._remove_ended()

    def _take_from_archives(self, query: str, parameters: tuple[object, ...]) -> int:
        rows = self._execute(query, parameters).fetchall()
        if rows:
            self.flush()
            self.connection.executemany("DELETE FROM archived WHERE archive = ? AND seq = ?", rows)
            seqs = [seq for _, seq in rows]
            self.connection.executemany(
                "UPDATE event SET archives = archives - 1 WHERE seq = ?", [(seq,) for seq in seqs]
            )
            self._ended += seqs
        return len(rows)

    # -- schedules -----------------------------------------------------------------------------------------------

    def fire(self, occurrences: Sequence[Occurrence], bodies: Sequence[Sequence[bytes]]) -> list[bool]:
        """See `Store.fire`; the events are given in JSON, too."""
        slots = [(occurrence.schedule, to_micros(occurrence.slot)) for occurrence in occurrences]
        if len(dict(slots)) == len(slots):
            later = set(self._set_slots(slots))
            kept = [occurrence.schedule in later for occurrence in occurrences]
        else:  # several of one schedule, of which each counts for the next
            kept = [bool(self._set_slots([slot])) for slot in slots]
        for occurrence, texts, is_kept in zip(occurrences, bodies, kept, strict=True):
            if is_kept:
                self.append(occurrence.accepted, texts)
        return kept

    def _set_slots(self, slots: Sequence[tuple[str, int]]) -> list[str]:
        """Remember slots, but those that are no later than what is there, and say of which schedules."""
        return self._insert(
            "schedule(name, slot)",
            slots,
            " ON CONFLICT DO UPDATE SET slot = excluded.slot WHERE slot < excluded.slot RETURNING name",
        )

    def forget_schedules(self, names: Sequence[str]) -> None:
        """See `Store.forget_schedules`."""
        self.connection.executemany("DELETE FROM schedule WHERE name = ?", [(name,) for name in names])


def read_letter(id: int, body: bytes) -> DeadLetter:
    """Read a dead letter as it was written, and give it its id."""
    letter = decode_letter(body)
    object.__setattr__(letter, "id", id)  # it is nobody's yet; `replace` would take five times as long
    return letter
