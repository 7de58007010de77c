"""The contracts between the parts: what a clock, a target, a store and an observer promise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypedDict

from eventrouter.errors import InvalidRuleError
from eventrouter.names import check_name
from eventrouter.records import Accepted, DeadLetter, Delivery, Ledger, Outcome, Subscription
from eventrouter.retry import RetryPolicy


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
        dead_letter_queue: Where a delivery ends that was given up; None drops it, with an error in the log.
        timeout: Limit of one attempt; None for none.
        maximum_concurrency: How many attempts may run at once; 0 pauses the target: its deliveries wait.
    """

    id: str
    arn: str = ""
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_queue: DeadLetterQueue | None = field(default_factory=DeadLetterQueue)
    timeout: timedelta | None = timedelta(seconds=60)
    maximum_concurrency: int = 10

    def __post_init__(self) -> None:
        check_name("target id", self.id)
        if self.timeout is not None and not (isinstance(self.timeout, timedelta) and self.timeout > timedelta(0)):
            raise InvalidRuleError(f"timeout of target {self.id} is {self.timeout!r}", hint="use a positive timedelta")
        limit = self.maximum_concurrency
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
            raise InvalidRuleError(
                f"maximum_concurrency of target {self.id} is {limit!r}", hint="use a whole number from 0"
            )

    @abstractmethod
    async def invoke(self, delivery: Delivery) -> object:
        """Make one attempt.

        Returning means delivered. An exception means that this attempt failed: the retry policy decides what
        follows, unless it is a `PermanentDeliveryError`. Cancellation means neither; it must not be swallowed.
        At least once: an event may come again, so what must not happen twice needs the event's id as its key.
        """


class TargetOptions(TypedDict, total=False):
    """What a decorator takes for the target it makes; see `Target`."""

    retry_policy: RetryPolicy
    dead_letter_queue: DeadLetterQueue | None
    timeout: timedelta | None
    maximum_concurrency: int


class Store(Protocol):
    """Where accepted events live until each of their deliveries has ended.

    Every call is one transaction: all of it happened, or nothing. `now` is always the caller's.
    """

    async def append(self, accepted: Sequence[Accepted]) -> None:
        """Keep events with all their deliveries, which are due at once. Order is kept within a subscription."""
        ...

    async def lease(
        self, subscription: Subscription, limit: int, *, now: datetime, until: datetime
    ) -> Sequence[Delivery]:
        """Take up to *limit* due deliveries, oldest due first; after *until* they are due again.

        Each comes with a fresh token and counts as an attempt.
        """
        ...

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write what followed from attempts: the end of a delivery with its dead letter, or its next due time.

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

    async def dead_letters(self, *, queue: str | None = None) -> Sequence[DeadLetter]:
        """List the dead letters of one queue, or all, oldest first."""
        ...

    async def ledger(self) -> Ledger:
        """Account for every delivery ever accepted, from the data itself."""
        ...


class Observer(Protocol):
    """Told of every outcome, after the store has written it."""

    def settled(self, outcome: Outcome) -> None:
        """Take note. Called in the event loop, so it must not block; what it raises is logged and goes no further."""
        ...
