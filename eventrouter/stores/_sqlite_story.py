"""The story of one event, as far as a SQLite store has it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from eventrouter.event import Event
from eventrouter.records import DeadLetter, Subscription
from eventrouter.stores._sqlite_batch import decode_event, decode_info, read_letter
from eventrouter.stores._sqlite_schema import NEVER, from_micros

#: `behind`: others of its event group are before it.
State: TypeAlias = Literal[
    "waiting", "behind", "retrying", "leased", "lease over", "delivered", "dead-lettered", "dropped", "skipped"
]


@dataclass(frozen=True, slots=True)
class ToldDelivery:
    """One delivery of the event, unfinished or ended.

    Attributes:
        subscription: Who is, or was, to receive it.
        state: Where it is, or how it ended.
        accepted_at: When the event was accepted, or redriven, or replayed.
        attempts: How many were made, a running one included.
        began_at: When the last one did; None if there was none.
        until: When it is due, or its lease ends; None once it has ended.
        error: Why the last attempt failed that did; empty otherwise.
    """

    subscription: Subscription
    state: State
    accepted_at: datetime
    attempts: int
    began_at: datetime | None
    until: datetime | None
    error: str


@dataclass(slots=True)
class Story:
    """What a store has of an event.

    Attributes:
        event_id: Its id.
        event: The event itself; None once nothing keeps it.
        group: Its event group.
        trace_header: Trace context of its publisher.
        causes: The ids of the events whose handling put it, the first cause first.
        children: The ids of events that were put as this one was handled, with their source and detail-type as far as
            those are known.
        deliveries: In the order of their acceptance.
        dead_letters: Those that are in a queue.
        archives: The archives that keep it.
    """

    event_id: str
    event: Event | None = None
    group: str | None = None
    trace_header: str | None = None
    causes: tuple[str, ...] = ()
    children: dict[str, str] = field(default_factory=dict)
    deliveries: list[ToldDelivery] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether the store has anything of it."""
        return bool(self.event is not None or self.deliveries or self.dead_letters or self.children)

    def note_info(self, info: bytes | None) -> None:
        """Take over what an event's row says besides the event."""
        if info is not None:
            known = decode_info(info)
            self.causes = known.causes or self.causes
            self.trace_header = known.trace_header or self.trace_header

    def note_child(self, event_id: str, info: bytes, event: Event | None) -> None:
        """Take note of an event that names this one, if this one is its direct cause."""
        if decode_info(info).causes[-1:] == (self.event_id,):
            self._add_child(event_id, event)

    def _add_child(self, event_id: str, event: Event | None) -> None:
        told = "" if event is None else f"{event.source}, {event.detail_type}"
        self.children[event_id] = told or self.children.get(event_id, "")

    def note_letter(self, letter: DeadLetter) -> None:
        """Take note of a dead letter of this event, or of one that it caused."""
        if letter.event.id == self.event_id:
            self.dead_letters.append(letter)
            self.event = self.event or letter.event
            self.causes = letter.causes or self.causes
            self.group = letter.group or self.group
            self.trace_header = letter.trace_header or self.trace_header
        elif letter.causes[-1:] == (self.event_id,):
            self._add_child(letter.event.id, letter.event)


def tell_story(connection: sqlite3.Connection, event_id: str, now: datetime) -> Story:
    """Find everything about an event. Looks through all that has not ended, as there is no index of ids.

    Args:
        connection: To the file.
        event_id: The event's id; nothing is found if there never was one, or all of it has been forgotten.
        now: The present, which tells a lease that holds from one that is over.
    """
    story = Story(event_id)
    subscriptions = {
        number: Subscription(*key)
        for number, *key in connection.execute("SELECT id, bus, rule, target FROM subscription")
    }
    wanted = (event_id, event_id.encode())
    _read_events(connection, story, wanted, subscriptions, now)
    for id, number, at, attempt, began, end, error, info in connection.execute(
        "SELECT event_id, subscription, at, attempt, began, end, error, info FROM history "
        "WHERE event_id = ? OR instr(info, ?) ORDER BY id",
        wanted,
    ):
        if id != event_id:
            story.note_child(id, info, None)
            continue
        story.note_info(info)
        told = ToldDelivery(subscriptions[number], end, from_micros(at), attempt, _instant(began), None, error or "")
        story.deliveries.append(told)
    for row in connection.execute("SELECT id, body FROM dead WHERE event_id = ? OR instr(body, ?) ORDER BY id", wanted):
        story.note_letter(read_letter(*row))
    story.deliveries.sort(key=lambda told: told.accepted_at)
    return story


def _read_events(
    connection: sqlite3.Connection,
    story: Story,
    wanted: tuple[str, bytes],
    subscriptions: dict[int, Subscription],
    now: datetime,
) -> None:
    for seq, count, id, group, info, body in connection.execute(
        "SELECT seq, deliveries, id, grp, info, body FROM event WHERE id = ? OR instr(info, ?) ORDER BY seq", wanted
    ):
        if id != story.event_id:
            story.note_child(id, info, decode_event(body))
            continue
        story.event, story.group = story.event or decode_event(body), group
        story.note_info(info)
        story.archives += [name for (name,) in connection.execute("SELECT archive FROM archived WHERE seq = ?", (seq,))]
        story.deliveries += [
            _unfinished(subscriptions, row, now)
            for row in connection.execute(
                "SELECT subscription, at, ready, due, attempt, token, began, error FROM delivery "
                "WHERE id BETWEEN ? AND ? ORDER BY id",
                (seq, seq + count - 1),
            )
        ]


def _unfinished(subscriptions: dict[int, Subscription], row: tuple[Any, ...], now: datetime) -> ToldDelivery:
    number, at, ready, due, attempt, token, began, error = row
    state: State = "waiting"
    until = from_micros(due if due < NEVER else at if ready is None else ready)
    if token:
        state = "leased" if until > now else "lease over"
    elif due >= NEVER:
        state = "behind"
    elif attempt:
        state = "retrying"
    return ToldDelivery(subscriptions[number], state, from_micros(at), attempt, _instant(began), until, error or "")


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
