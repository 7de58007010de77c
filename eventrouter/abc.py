"""The contracts between the parts: what a clock, a target, a store and an observer promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol

from eventrouter._idempotency_store import BlockingIdempotencyStore, IdempotencyStore, StoredValue
from eventrouter._target import DeadLetterQueue, Ordering, Target, TargetOptions, WhenFull
from eventrouter.event import Event, EventEntry
from eventrouter.records import (
    Accepted,
    Archived,
    ArchiveStatistics,
    DeadLetter,
    Delivery,
    Depth,
    Ledger,
    Observation,
    Occurrence,
    Outcome,
    Subscription,
)

__all__ = [
    "BlockingIdempotencyStore",
    "Clock",
    "DeadLetterQueue",
    "IdempotencyStore",
    "Observer",
    "Ordering",
    "Store",
    "StoredValue",
    "SystemClock",
    "Target",
    "TargetOptions",
    "Tracing",
    "WhenFull",
]


class Clock(Protocol):
    """Where wall time comes from. Waiting is anyio's; a test gives both the same virtual time."""

    def now(self) -> datetime:
        """Give the present as an aware datetime in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the present as an aware datetime in UTC."""
        return datetime.now(UTC)


class Store(Protocol):
    """Where accepted events live until each of their deliveries has ended.

    Every call is one transaction: all of it happened, or nothing. `now` is always the caller's. A call that is
    cancelled, or raises, has happened or has not; which of them should be sure within a few seconds.
    """

    async def open(self) -> None:
        """Make ready for use: a router that is entered does this, and `close` when it is left.

        May be called again, by another router of this process, and is then undone by as many calls of `close`.

        Raises:
            StoreError: It cannot be used.
        """
        ...

    async def close(self) -> None:
        """Give back what `open` took. What is under way is finished first."""
        ...

    async def changed(self, seen: int) -> int:
        """Wait until another process may have changed which deliveries there are, since *seen*.

        It may return without a reason, but not in a busy loop. A store that no other process shares waits for ever.

        Args:
            seen: What the last call returned; 0 at first.
        """
        ...

    async def follow_clock(self, *, now: datetime, slack: timedelta) -> timedelta:
        """Undo that a clock was ahead, which a router asks for when it begins.

        If the event that was accepted last was accepted more than *slack* after *now*, the clock was set back by that
        difference. Then whatever is later than *now* comes earlier by as much, though not before *now*: due times, the
        ends of leases, and the ends of deduplications. Instants of acceptance may, too.

        Returns:
            By how much; zero nearly always.
        """
        ...

    async def append(self, accepted: Sequence[Accepted]) -> Sequence[str | None]:
        """Keep events with all their deliveries, which are due at once unless their `due` says later.

        Order is kept within a subscription: among deliveries that are due at one instant, and within an ordered group
        always, where one that is not due yet holds up those behind it.

        Archives keep what they are to keep in the same transaction. What has been there for longer than it was to be
        kept is removed sooner or later.

        Returns:
            For each event None, or the id of the event that was published before under the same deduplication; then
            this one is not kept.
        """
        ...

    async def lease(
        self,
        subscription: Subscription,
        limit: int,
        *,
        now: datetime,
        until: datetime,
        maximum_concurrency: int | None = None,
    ) -> Sequence[Delivery]:
        """Take up to *limit* due deliveries, oldest due first; after *until* they are due again.

        Each comes with a fresh token and counts as an attempt. Of an ordered group only the first that has not ended
        is ever due.

        One whose last lease has run out comes alone: perhaps it ended the process that had it, and should take no
        others along when it does so again, whose attempts would be used up as well. Messages of queues do not: their
        leases are visibility timeouts, which run out every day. `Delivery.is_lapsed` says so of both.

        Cancelled, it leaves nothing leased, and no attempt counted.

        Args:
            subscription: Whose.
            limit: At most so many.
            now: The present.
            until: When the leases end.
            maximum_concurrency: How many attempts all processes together may make at once, given that each of them
                makes no more by itself. While other processes have leases that have not ended, so many are left out
                that this one's and theirs are at most this number. None for no limit.
        """
        ...

    async def extend(self, deliveries: Sequence[Delivery], *, until: datetime) -> Sequence[Delivery]:
        """Keep leases until later.

        Returns:
            The deliveries whose lease had been lost.
        """
        ...

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write what followed from attempts: the end of a delivery with what follows from it, or its next due time.

        Dead letters and follow-ups of an outcome are written with it, or not at all. Of its delivery, `subscription`,
        `id`, `attempt` and `token` are what names the lease; the rest may be missing, as after a way through text. So
        it is for `extend` and `release`, and a lease that this store never gave is one that was lost.

        Returns:
            The outcomes that changed nothing, since their lease had been lost.
        """
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand leased deliveries back, due at once; the attempt does not count. A lost lease changes nothing."""
        ...

    async def next_due(self, subscription: Subscription) -> datetime | None:
        """Say when the subscription's next delivery can be leased: its due time or its lease's end, None if none."""
        ...

    async def pending(self) -> Mapping[Subscription, int]:
        """Count, for each subscription that has any, the deliveries that have not ended."""
        ...

    async def depth(self, subscription: Subscription, *, now: datetime) -> Depth:
        """Count the deliveries of a subscription that have not ended, as they are at *now*."""
        ...

    async def discard(self, subscription: Subscription, *, accepted_before: datetime | None = None) -> int:
        """End deliveries of a subscription as dropped, those that somebody has leased included.

        Args:
            subscription: Whose.
            accepted_before: Only those that were accepted before this instant; None for all.

        Returns:
            How many.
        """
        ...

    async def dead_letters(
        self, *, queue: str | None = None, after: int = 0, limit: int | None = None
    ) -> Sequence[DeadLetter]:
        """List the dead letters of one queue, or all, oldest first.

        Args:
            queue: The queue.
            after: Only those with a greater id, for reading page by page.
            limit: At most so many.
        """
        ...

    async def replace_dead_letter(self, letter: DeadLetter) -> bool:
        """Put *letter* in the place of the one with its id. False when there is none (any more)."""
        ...

    async def redrive(self, ids: Sequence[int], *, now: datetime) -> Sequence[DeadLetter]:
        """Make deliveries of dead letters again, to the subscription that failed and no other, due at *now*.

        They are new deliveries of the same event, with its trace header and group, no attempt made, and an age that
        counts from *now*. Ordered ones come after those of their group that wait, in the order of *ids*.

        Returns:
            The dead letters that were there, and are not any more.
        """
        ...

    async def purge(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good, and count those that were there. The ledger keeps them as dead-lettered."""
        ...

    async def archived(
        self, archive: str, *, start: datetime, end: datetime, now: datetime, after: int = 0, limit: int
    ) -> Sequence[Archived]:
        """Read an archive, in the order of acceptance.

        Args:
            archive: Its name.
            start: Only events whose `time` is this or later,
            end: and before this.
            now: What is not to be kept any more is not given.
            after: Only those with a greater position, for reading page by page.
            limit: At most so many.
        """
        ...

    async def archives(self) -> Mapping[str, ArchiveStatistics]:
        """Say what each archive holds that has any event."""
        ...

    async def purge_archive(self, archive: str, *, limit: int) -> int:
        """Remove up to *limit* events from an archive, the oldest first, and count them."""
        ...

    async def fire(self, occurrences: Sequence[Occurrence]) -> Sequence[bool]:
        """Keep the events of schedules that fire, and remember for which slots.

        Nothing is kept of a schedule that has fired for the same slot or a later one: so each slot is fired for once,
        whichever process is first.

        Returns:
            For each occurrence whether it was kept.
        """
        ...

    async def last_fired(self, names: Sequence[str] | None = None) -> Mapping[str, datetime]:
        """Say, for schedules that `fire` remembers, for which slot it was last.

        Args:
            names: Of those that are called one of these, or one of these and more after a space; None for all. The cost
                grows with how many are found, not with how many there are. They have no spaces themselves.
        """
        ...

    async def forget_schedules(self, names: Sequence[str]) -> None:
        """Forget for which slots schedules have fired."""
        ...

    async def ledger(self) -> Ledger:
        """Account for every delivery ever accepted, from the data itself."""
        ...


class Observer(Protocol):
    """Told of every step in the life of an event, in EventBridge's words (user guide, "Logging for event buses").

    Of an event: `EVENT_INGEST_SUCCESS`, `EVENT_RECEIPT`, `RULE_MATCH_START`, then one `RULE_MATCH` for each rule that
    matched and has targets, or `NO_STANDARD_RULES_MATCHED`. They are told one right after the other, once the store has
    the event; what is deduplicated is told nothing of. Of an entry that was refused: `EVENT_INGEST_FAILURE` alone.

    Of each delivery: `INVOCATION_START` before its first attempt. Of each attempt, `INVOCATION_ATTEMPT_START` before
    it, and when the store has its outcome one of

    - `INVOCATION_ATTEMPT_SUCCESS`, then `INVOCATION_SUCCESS`;
    - `INVOCATION_ATTEMPT_RETRYABLE_FAILURE`: another attempt follows;
    - `INVOCATION_ATTEMPT_THROTTLE`: the target asked for a pause; the attempt does not count. The first one of a
      throttling is followed by `INVOCATION_THROTTLE_START`, which also tells when a retry waits since the bus has no
      retries left. A throttling lasts until an attempt made after the pause is not throttled;
    - `INVOCATION_ATTEMPT_PERMANENT_FAILURE`, or after the last attempt one of the two before, then
      `INVOCATION_FAILURE`, and `INVOCATION_DLQ` if a dead letter went to a queue.

    `INVOCATION_DLQ` without an outcome says that the store refused a dead letter. It is told once, and the dead letter
    is offered until the store takes it.

    An observer that has an attribute `steps`, a collection of their names, is told of no others, which saves the cost
    of telling; it is read when the router is made.

    The steps of a delivery come in this order. They follow those of its event, unless the store is one that others
    lease from, or that waits after it has written. An attempt that is cut off as the router stops, or whose lease is
    lost, has no end; it begins again when the delivery is attempted again.
    """

    def observe(self, observation: Observation) -> None:
        """Take note. Called in the event loop, so it must not block; what it raises is logged and goes no further."""
        ...


class Tracing(Protocol):
    """Carries the trace of whoever puts events to the targets that receive them; `eventrouter.otel` has one.

    Both methods give a context manager that is entered and left in one context: what it sets in context variables is
    what the code inside sees, in the threads of sync functions too, and nobody else. It lets exceptions pass,
    cancellation included; one that it raises itself fails what it is around.
    """

    def publish(
        self, entries: Sequence[EventEntry | Event], event_bus_name: str | None = None
    ) -> AbstractContextManager[str | None]:
        """Be around a call of `put_events` or `forward_events`.

        Args:
            entries: What is put, as the caller gave it: nothing of it has been checked.
            event_bus_name: The bus of forwarded events; None for entries, which name their own.

        Returns:
            Gives the trace header for those that have none of their own, at most 128 characters, or None.
        """
        ...

    def attempt(self, delivery: Delivery) -> AbstractContextManager[object]:
        """Be around one attempt to deliver, whose `trace_header` is the publisher's."""
        ...
