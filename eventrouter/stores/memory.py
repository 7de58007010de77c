"""A store in this process's memory: as quick as it gets, and gone when the process is."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from eventrouter.records import (
    Accepted,
    Counts,
    DeadLetter,
    DeadLettered,
    Delivery,
    Dropped,
    Ledger,
    Outcome,
    RetryAt,
    Subscription,
)


@dataclass(slots=True)
class _Entry:
    """A delivery that has not ended."""

    accepted: Accepted
    due: datetime  # the lease's end while it is leased
    attempts: int = 0
    token: int = 0  # 0 while nobody has it


@dataclass(slots=True)
class _Backlog:
    """The deliveries of one subscription.

    The heap orders them by due time. An entry whose due time changes is pushed again and its old place in the heap
    goes stale; stale places are recognised by their due time, and swept when they outnumber the others.
    """

    entries: dict[int, _Entry] = field(default_factory=dict)
    heap: list[tuple[datetime, int]] = field(default_factory=list)
    in_flight: int = 0
    accepted: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    retries: int = 0

    def schedule(self, id: int, entry: _Entry, due: datetime, token: int = 0) -> None:
        self.in_flight += bool(token) - bool(entry.token)
        entry.due, entry.token = due, token
        heapq.heappush(self.heap, (due, id))
        if len(self.heap) > 2 * len(self.entries) + 64:
            self.heap = [(entry.due, id) for id, entry in self.entries.items()]
            heapq.heapify(self.heap)

    def end(self, id: int) -> None:
        self.in_flight -= bool(self.entries.pop(id).token)

    def first(self) -> tuple[datetime, int] | None:
        """Give the place of the entry that is due first, dropping stale places before it."""
        while self.heap:
            due, id = self.heap[0]
            entry = self.entries.get(id)
            if entry is not None and entry.due == due:
                return due, id
            heapq.heappop(self.heap)
        return None

    def counts(self) -> Counts:
        return Counts(
            accepted=self.accepted,
            delivered=self.delivered,
            dead_lettered=self.dead_lettered,
            dropped=self.dropped,
            waiting=len(self.entries) - self.in_flight,
            in_flight=self.in_flight,
            retries=self.retries,
        )


class MemoryStore:
    """The `Store` contract in memory, for one process.

    No method waits for anything, so each is atomic within its event loop. An event is kept as long as one of its
    deliveries has not ended; dead letters are kept until the store goes.
    """

    def __init__(self) -> None:
        self._backlogs: dict[Subscription, _Backlog] = {}
        self._dead_letters: list[DeadLetter] = []
        self._events = 0
        self._ids = count(1)
        self._tokens = count(1)

    async def append(self, accepted: Sequence[Accepted]) -> None:
        """Keep events with all their deliveries."""
        for item in accepted:
            self._events += 1
            for subscription in item.subscriptions:
                backlog = self._backlogs.setdefault(subscription, _Backlog())
                backlog.accepted += 1
                id = next(self._ids)
                entry = backlog.entries[id] = _Entry(item, item.at)
                backlog.schedule(id, entry, item.at)

    async def lease(
        self, subscription: Subscription, limit: int, *, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        """Take up to *limit* due deliveries."""
        backlog = self._backlogs.get(subscription)
        leased: list[Delivery] = []
        while backlog is not None and len(leased) < limit:
            place = backlog.first()
            if place is None or place[0] > now:
                break
            heapq.heappop(backlog.heap)
            id, entry = place[1], backlog.entries[place[1]]
            entry.attempts += 1
            backlog.schedule(id, entry, until, next(self._tokens))
            accepted = entry.accepted
            leased.append(
                Delivery(id, subscription, accepted.event, entry.attempts, accepted.at, accepted.hops, entry.token)
            )
        return leased

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write what followed from attempts; give back what came too late."""
        return [outcome for outcome in outcomes if not self._settle(outcome)]

    def _settle(self, outcome: Outcome) -> bool:
        delivery = outcome.delivery
        held = self._held(delivery)
        if held is None:
            return False
        backlog, entry = held
        if isinstance(outcome, RetryAt):
            backlog.retries += 1
            backlog.schedule(delivery.id, entry, outcome.at)
            return True
        if isinstance(outcome, DeadLettered):
            backlog.dead_lettered += 1
            self._dead_letters.append(outcome.dead_letter)
        elif isinstance(outcome, Dropped):
            backlog.dropped += 1
        else:
            backlog.delivered += 1
        backlog.end(delivery.id)
        return True

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand leased deliveries back."""
        for delivery in deliveries:
            held = self._held(delivery)
            if held is not None:
                backlog, entry = held
                entry.attempts -= 1
                backlog.schedule(delivery.id, entry, entry.accepted.at)

    def _held(self, delivery: Delivery) -> tuple[_Backlog, _Entry] | None:
        """Find the entry that *delivery* is the present lease of."""
        backlog = self._backlogs[delivery.subscription]
        entry = backlog.entries.get(delivery.id)
        return (backlog, entry) if entry is not None and entry.token == delivery.token else None

    async def next_due(self, subscription: Subscription) -> datetime | None:
        """Say when the next delivery can be leased."""
        backlog = self._backlogs.get(subscription)
        place = backlog.first() if backlog is not None else None
        return place[0] if place is not None else None

    async def pending(self) -> Mapping[Subscription, int]:
        """Count the deliveries that have not ended."""
        return {key: len(backlog.entries) for key, backlog in self._backlogs.items() if backlog.entries}

    async def dead_letters(self, *, queue: str | None = None) -> Sequence[DeadLetter]:
        """List dead letters, oldest first."""
        return [letter for letter in self._dead_letters if queue is None or letter.queue == queue]

    async def ledger(self) -> Ledger:
        """Account for every delivery ever accepted."""
        return Ledger(self._events, {key: backlog.counts() for key, backlog in self._backlogs.items()})
