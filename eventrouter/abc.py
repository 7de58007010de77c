"""The contracts between the parts: what a clock, a target, a store and an observer promise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypedDict

from eventrouter.errors import InvalidRuleError
from eventrouter.event import Event, EventEntry
from eventrouter.names import check_name
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
from eventrouter.retry import RetryPolicy
from eventrouter.transform import InputSource, target_input

#: Whether the events of one group come in order.
Ordering: TypeAlias = Literal["UNORDERED", "FIFO"]
#: What `put_events` does about a target whose backlog is full.
WhenFull: TypeAlias = Literal["wait", "reject", "shed"]


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


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """Where the dead letters of a target go.

    Attributes:
        name: The queue's name, which several targets may share; by default each target has its own, called
            `bus/rule/target`.
    """

    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """Where a rule sends: something that can be invoked with a delivery, and how failures of it are treated.

    Subclass it as a frozen dataclass and write `invoke`.

    Attributes:
        id: Unique among the targets of its rule.
        arn: What dead letters name as `TARGET_ARN`; made from the id when empty.
        retry_policy: When a failed attempt is repeated.
        dead_letter_queue: Where a delivery ends that was given up: a queue of the store, or another target, which is
            sent the event until it takes it. None drops it, with an error in the log.
        timeout: Limit of one attempt; None for none.
        maximum_concurrency: How many attempts may run at once; 0 for none: its deliveries wait until it is put again
            with another number.
        ordering: `FIFO` delivers the events of one event group in the order of their acceptance, one at a time; one
            that waits for a retry holds up its own group only. Events without a group have no order. A dead letter
            that is redriven comes after those of its group that wait by then.
        maximum_backlog: How many deliveries may be unfinished, those being written included, before `when_full`
            applies. A call of `put_events` that finds room is accepted with all of its entries, so it may become up to
            99 more.
        when_full: What meets the next event: `wait` lets `put_events` wait for room, and answer
            `ThrottlingException` when there is none in time; `reject` answers so at once; `shed` accepts the event and
            skips this target, which the ledger counts.
        on_success: Destinations: targets that are sent a record of each delivery that succeeded, each of them a copy
            (AWS Lambda, "Destinations"). One target may stand without a list. They have no destinations themselves.
        on_failure: The same for each that was given up.
        input: What the target receives in place of the event: `Input`, `InputPath`, `InputTransformer`, or a function
            that makes it from the event; None for the event itself. Each attempt makes it anew, before `invoke`.

    Raises:
        InvalidRuleError: An option is not usable as written.
    """

    id: str
    arn: str = ""
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_queue: DeadLetterQueue | Target | None = field(default_factory=DeadLetterQueue)
    timeout: timedelta | None = timedelta(seconds=60)
    maximum_concurrency: int = 10
    ordering: Ordering = "UNORDERED"
    maximum_backlog: int = 100_000
    when_full: WhenFull = "wait"
    on_success: Sequence[Target] | Target = ()
    on_failure: Sequence[Target] | Target = ()
    input: InputSource | None = None

    def __post_init__(self) -> None:
        check_name("target id", self.id)
        if self.timeout is not None and not (isinstance(self.timeout, timedelta) and self.timeout > timedelta(0)):
            raise InvalidRuleError(f"timeout of target {self.id} is {self.timeout!r}", hint="use a positive timedelta")
        self._check_count("maximum_concurrency", least=0)
        self._check_count("maximum_backlog", least=1)
        self._check_choice("ordering", ("UNORDERED", "FIFO"))
        self._check_choice("when_full", ("wait", "reject", "shed"))
        if self.input is not None:
            object.__setattr__(self, "input", target_input(self.input))
        self._check_dead_letter_queue()
        for name in ("on_success", "on_failure"):
            object.__setattr__(self, name, self._checked_destinations(name))

    def _check_count(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InvalidRuleError(f"{name} of target {self.id} is {value!r}", hint=f"use a whole number from {least}")

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise InvalidRuleError(f"{name} of target {self.id} is {value!r}", hint=f"use {' or '.join(choices)}")

    def _check_dead_letter_queue(self) -> None:
        queue = self.dead_letter_queue
        if isinstance(queue, Target):
            self._check_has_no_destinations("dead_letter_queue", queue)
            if isinstance(queue.dead_letter_queue, Target):
                raise InvalidRuleError(
                    f"dead_letter_queue of target {self.id} has one itself",
                    hint="leave it out: a dead-letter queue is tried until it takes the event",
                )
        elif not isinstance(queue, DeadLetterQueue | None):
            raise InvalidRuleError(
                f"dead_letter_queue of target {self.id} is {queue!r}", hint="use a DeadLetterQueue, a Target or None"
            )

    def _checked_destinations(self, name: str) -> tuple[Target, ...]:
        given = getattr(self, name)
        destinations = (given,) if isinstance(given, Target) else given
        if not isinstance(destinations, Sequence) or not all(isinstance(item, Target) for item in destinations):
            raise InvalidRuleError(f"{name} of target {self.id} is {given!r}", hint="use a list of targets")
        for destination in destinations:
            self._check_has_no_destinations(name, destination)
        if len({destination.id for destination in destinations}) < len(destinations):
            raise InvalidRuleError(f"Two targets in {name} of {self.id} have the same id", hint="give each its own")
        return tuple(destinations)

    def _check_has_no_destinations(self, name: str, target: Target) -> None:
        if target.on_success or target.on_failure:
            raise InvalidRuleError(
                f"Target {target.id} in {name} of {self.id} has destinations itself",
                hint="send records to a bus, whose rules may go on from there",
            )

    @abstractmethod
    async def invoke(self, delivery: Delivery) -> object:
        """Make one attempt. What to hand on is `delivery.payload`.

        Returning means delivered. An exception means that this attempt failed: the retry policy decides what
        follows, unless it is a `PermanentDeliveryError`. Cancellation means neither; it must not be swallowed.
        What is returned goes into the record for `on_success`; an `EventEntry`, a model that names its source, or a
        list of nothing but those, is put as events whose cause is this one.
        At least once: an event may come again, so what must not happen twice needs the event's id as its key.

        It runs in a context of its own: context variables that it sets are not seen by the next attempt.
        """

    async def aclose(self) -> None:  # noqa: B027 - most targets hold nothing
        """Give back what was opened for the event loop that is running, such as connections.

        The router calls it when it is left, after all attempts have ended; what it raises is logged. It may be called
        again, and `invoke` after it: what is needed is opened anew.
        """


class TargetOptions(TypedDict, total=False):
    """What a decorator takes for the target it makes; see `Target`."""

    retry_policy: RetryPolicy
    dead_letter_queue: DeadLetterQueue | Target | None
    timeout: timedelta | None
    maximum_concurrency: int
    ordering: Ordering
    maximum_backlog: int
    when_full: WhenFull
    on_success: Sequence[Target] | Target
    on_failure: Sequence[Target] | Target
    input: InputSource | None


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
        leases are visibility timeouts, which run out every day.

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


class StoredValue(NamedTuple):
    """What an `IdempotencyStore` has under a key.

    Attributes:
        value: Opaque to the store.
        expires: The instant from which on it counts as absent.
    """

    value: bytes
    expires: datetime


class BlockingIdempotencyStore(Protocol):
    """The methods of `IdempotencyStore` for functions that are not async; any thread may call them at any time."""

    def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """See `IdempotencyStore.put_if_absent`."""
        ...

    def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """See `IdempotencyStore.compare_and_set`."""
        ...

    def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """See `IdempotencyStore.delete_if`."""
        ...

    def changed(self, scope: str, key: str, seen: StoredValue, *, timeout: float) -> None:
        """See `IdempotencyStore.changed`; at the latest it returns after *timeout* seconds."""
        ...


class IdempotencyStore(Protocol):
    """Values under keys that expire, written conditionally: what `idempotent` needs to let one caller through.

    Each of the first three methods is atomic, and one statement of SQL on a table with the primary key
    `(scope, key)`. There are no tokens: a value names its writer, so comparing values tells whether a writer still has
    the key, and one that came late changes nothing. Times are the caller's. A call that is cancelled has happened, or
    never will, by the time that it raises.
    """

    @property
    def blocking(self) -> BlockingIdempotencyStore | None:
        """The same records for functions that are not async; None if the store cannot serve them."""
        ...

    async def put_if_absent(
        self, scope: str, key: str, value: bytes, *, now: datetime, expires: datetime
    ) -> StoredValue | None:
        """Write *value*, unless the key has another that has not expired at *now*.

        Returns:
            What the key has instead; None if it has *value*, from this call or an equal one before.
        """
        ...

    async def compare_and_set(self, scope: str, key: str, expected: bytes, value: bytes, *, expires: datetime) -> bool:
        """Replace *expected* by *value*, with a new expiry; say whether *expected* was there.

        What has expired can be replaced as long as it is there, but a store may sweep it at any time.
        """
        ...

    async def delete_if(self, scope: str, key: str, expected: bytes) -> bool:
        """Delete *expected*; say whether it was there."""
        ...

    async def changed(self, scope: str, key: str, seen: StoredValue) -> None:
        """Wait until the key may have something else than *seen*, value or expiry.

        It may return early, but not in a busy loop; a store that is not told of changes sleeps for a moment. That
        *seen* expires is no change: the caller knows when, and stops waiting.
        """
        ...
