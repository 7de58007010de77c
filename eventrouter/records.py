"""What a store keeps and what delivery decides: plain values, shared by both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from eventrouter.event import Event
from eventrouter.retry import ExhaustedRetryCondition


class Subscription(NamedTuple):
    """One target of one rule: the unit that has a backlog, a concurrency limit and a dead-letter queue."""

    event_bus_name: str
    rule_name: str
    target_id: str

    def __str__(self) -> str:
        return f"{self.event_bus_name}/{self.rule_name}/{self.target_id}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event as `put_events` hands it to the store, together with everybody who is to receive it.

    Attributes:
        event: The event.
        at: When the bus accepted it; the age of its deliveries counts from here.
        subscriptions: Who is to receive it, each once.
        hops: How many buses handed it on before this one.
    """

    event: Event
    at: datetime
    subscriptions: tuple[Subscription, ...]
    hops: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one subscription, leased for one attempt.

    Attributes:
        id: Names the delivery in its store, through all its attempts.
        subscription: Who is to receive it.
        event: The event.
        attempt: Which attempt this is, from 1.
        accepted_at: When the bus accepted the event.
        hops: How many buses handed the event on before this one.
        token: Names this lease. A store ignores whoever comes back with an older one.
        input: What the target is to receive instead of the event, as JSON text; None for the event itself.
    """

    id: int
    subscription: Subscription
    event: Event
    attempt: int
    accepted_at: datetime
    hops: int
    token: int
    input: bytes | None = None

    @property
    def payload(self) -> bytes:
        """What the target is to receive, as JSON text: its input, or the event."""
        return self.event.to_json() if self.input is None else self.input


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be delivered, and why (EventBridge user guide, "Using dead-letter queues").

    Attributes:
        queue: The dead-letter queue it is in.
        event: The event, as the bus accepted it.
        subscription: Who should have received it.
        rule_arn: ARN of the rule.
        target_arn: ARN of the target.
        error_code: Short and stable, such as `TIMEOUT`; `TARGET_ERROR` for an exception of the target's own.
        error_message: Type and text of the last error.
        exhausted_retry_condition: The limit that ended the retries; None when the error was permanent.
        retry_attempts: Attempts after the first.
        at: When it was given up.
    """

    queue: str
    event: Event
    subscription: Subscription
    rule_arn: str
    target_arn: str
    error_code: str
    error_message: str
    exhausted_retry_condition: ExhaustedRetryCondition | None
    retry_attempts: int
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Give it in EventBridge's form: the event as `body`, the reasons as string `attributes`."""
        attributes = {
            "RULE_ARN": self.rule_arn,
            "TARGET_ARN": self.target_arn,
            "ERROR_CODE": self.error_code,
            "ERROR_MESSAGE": self.error_message,
            "RETRY_ATTEMPTS": str(self.retry_attempts),
        }
        if self.exhausted_retry_condition is not None:
            attributes["EXHAUSTED_RETRY_CONDITION"] = self.exhausted_retry_condition
        return {"body": self.event.to_dict(), "attributes": attributes}


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target took it. The delivery is over."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed; the next one is due at `at`."""

    delivery: Delivery
    at: datetime
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The delivery is over, and a dead letter says why."""

    delivery: Delivery
    dead_letter: DeadLetter


@dataclass(frozen=True, slots=True)
class Dropped:
    """The delivery is over without a trace but this, as its target has no dead-letter queue."""

    delivery: Delivery
    error_code: str
    error_message: str


#: What follows from one attempt.
Outcome: TypeAlias = Delivered | RetryAt | DeadLettered | Dropped


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries were accepted, and where each of them is now.

    Attributes:
        accepted: All of them.
        delivered: Taken by the target.
        dead_lettered: Given up, with a dead letter.
        dropped: Given up without one.
        waiting: Due now or later, in nobody's hands.
        in_flight: Being attempted.
        retries: Attempts that failed and were followed by another; not part of the sum.
    """

    accepted: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    waiting: int = 0
    in_flight: int = 0
    retries: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether every accepted delivery is in exactly one place."""
        ended = self.delivered + self.dead_lettered + self.dropped
        return self.accepted == ended + self.waiting + self.in_flight

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of a store: every delivery that it accepted, by subscription.

    Attributes:
        events: Events accepted, those that no rule wanted included.
        subscriptions: Counts of each subscription that ever had a delivery.
    """

    events: int = 0
    subscriptions: Mapping[Subscription, Counts] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """The sum over all subscriptions."""
        return sum(self.subscriptions.values(), Counts())

    @property
    def is_balanced(self) -> bool:
        """Whether every accepted delivery of every subscription is in exactly one place."""
        return all(counts.is_balanced for counts in self.subscriptions.values())

    def __str__(self) -> str:
        total = self.total
        return (
            f"{self.events} events, {total.accepted} deliveries: {total.delivered} delivered, "
            f"{total.dead_lettered} dead-lettered, {total.dropped} dropped, "
            f"{total.waiting + total.in_flight} unfinished; {total.retries} retries"
        )
