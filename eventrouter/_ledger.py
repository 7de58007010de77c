"""The account of a store: where each delivery, and each message, is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from eventrouter._subscription import Subscription


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries were accepted, and where each of them is now.

    Attributes:
        accepted: All of them.
        delivered: Taken by the target.
        dead_lettered: Given up, with a dead letter; one that is redriven is waiting again.
        dropped: Given up without one, as the target has no dead-letter queue.
        skipped: Never attempted, since the backlog was full and the target sheds what is too much.
        waiting: Due now or later, in nobody's hands.
        in_flight: Being attempted.
        retries: Attempts that failed and were followed by another; not part of the sum.
    """

    accepted: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    skipped: int = 0
    waiting: int = 0
    in_flight: int = 0
    retries: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether every accepted delivery is in exactly one place."""
        ended = self.delivered + self.dead_lettered + self.dropped + self.skipped
        return self.accepted == ended + self.waiting + self.in_flight

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many messages came into a queue, and where each of them is now.

    Attributes:
        sent: All of them, whether sent, put there by a rule, or moved there; duplicates do not count.
        deleted: Those that were deleted, as whoever received them does.
        moved: Those that were moved to another queue: a dead-letter queue, or back from one.
        discarded: Those that were purged, or kept for as long as the queue keeps messages.
        waiting: In the queue, in nobody's hands.
        in_flight: Received, and neither deleted nor received again.
    """

    sent: int = 0
    deleted: int = 0
    moved: int = 0
    discarded: int = 0
    waiting: int = 0
    in_flight: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether every message is in exactly one place."""
        return self.sent == self.deleted + self.moved + self.discarded + self.waiting + self.in_flight

    def __add__(self, other: QueueCounts) -> QueueCounts:
        return QueueCounts(*(getattr(self, name) + getattr(other, name) for name in QueueCounts.__slots__))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of a store: every delivery that it accepted, by subscription, and every message, by queue.

    A router's tells of the two apart; to the store itself, a queue is one of `subscriptions`.

    Attributes:
        events: Events accepted, those that no rule wanted included.
        subscriptions: Counts of each subscription that ever had a delivery.
        parked: Those of them, and queues, that are not declared (any more): what waits for them waits until they are.
        oldest: When the oldest delivery of each was accepted that has not ended, of those that have any; empty if the
            store does not know.
        queues: Counts of each queue that ever had a message, by its name.
    """

    events: int = 0
    subscriptions: Mapping[Subscription, Counts] = field(default_factory=dict)
    parked: frozenset[Subscription] = frozenset()
    oldest: Mapping[Subscription, datetime] = field(default_factory=dict)
    queues: Mapping[str, QueueCounts] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """The sum over all subscriptions."""
        return sum(self.subscriptions.values(), Counts())

    @property
    def is_balanced(self) -> bool:
        """Whether every accepted delivery, and every message of a queue, is in exactly one place."""
        deliveries, messages = self.subscriptions.values(), self.queues.values()
        return all(counts.is_balanced for counts in deliveries) and all(counts.is_balanced for counts in messages)

    def __str__(self) -> str:
        total = self.total
        skipped = f"{total.skipped} skipped, " if total.skipped else ""
        parked = sum(self.subscriptions[key].waiting for key in self.parked if key in self.subscriptions)
        return (
            f"{self.events} events, {total.accepted} deliveries: {total.delivered} delivered, "
            f"{total.dead_lettered} dead-lettered, {total.dropped} dropped, {skipped}"
            f"{total.waiting + total.in_flight} unfinished"
            + (f", {parked} of them parked" if parked else "")
            + f"; {total.retries} retries"
            + self._told_of_queues()
        )

    def _told_of_queues(self) -> str:
        if not self.queues:
            return ""
        total = sum(self.queues.values(), QueueCounts())
        parked = sum(
            counts.waiting for name, counts in self.queues.items() if Subscription.of_queue(name) in self.parked
        )
        return (
            f"; {total.sent} messages sent to queues: {total.deleted} deleted, {total.moved} moved, "
            f"{total.discarded} discarded, {total.waiting + total.in_flight} there"
            + (f", {parked} of them in queues that are not declared" if parked else "")
        )
