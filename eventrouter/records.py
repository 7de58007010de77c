"""What a store keeps and what delivery decides: plain values, shared by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from eventrouter._ledger import Counts, Ledger, QueueCounts
from eventrouter._subscription import Subscription
from eventrouter.event import Event, EventEntry
from eventrouter.retry import ExhaustedRetryCondition

__all__ = [
    "Accepted",
    "ArchiveStatistics",
    "Archived",
    "Archiving",
    "Counts",
    "DeadLetter",
    "DeadLettered",
    "Deduplication",
    "Delivered",
    "Delivery",
    "Depth",
    "Dropped",
    "Executed",
    "Ledger",
    "Observation",
    "Occurrence",
    "Outcome",
    "Postponed",
    "QueueCounts",
    "RetryAt",
    "Step",
    "Subscription",
]


class Deduplication(NamedTuple):
    """Under what an event is published once (EventBridge, `DeduplicationId`).

    Attributes:
        scope: The bus, and the event group if there is one.
        key: The publisher's id, or a hash of the content.
        until: When the same key may be published again.
    """

    scope: str
    key: str
    until: datetime


class Archiving(NamedTuple):
    """That an archive keeps an event.

    Attributes:
        archive: The archive's name.
        until: When the store may forget it; None for never.
    """

    archive: str
    until: datetime | None = None


# Structs, here and below, since there is one of each for every event or attempt: a frozen dataclass takes ten times as
# long to make. They are in no cycle, so the garbage collector need not walk through a backlog of them.
class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event as `put_events` hands it to the store, together with everybody who is to receive it.

    Attributes:
        event: The event.
        at: When the bus accepted it; the age of its deliveries counts from here.
        subscriptions: Who is to receive it, each once.
        hops: How many buses handed it on before this one.
        causes: The ids of the events whose handling put this one, the first cause first.
        trace_header: Trace context of the publisher, as W3C's `traceparent` (or AWS's own).
        group: The event group, if it has one.
        ordered: Those of `subscriptions` that receive the events of a group in order, one at a time.
        skipped: Who would have received it, but was left out since its backlog was full.
        deduplication: Under what it is published once; None for always.
        event_bus_name: The bus that accepted it.
        attributes: What goes with the event besides it, as a dead letter's `ERROR_CODE`.
        archives: The archives that keep it.
        due: Before this instant nobody is to receive it; None, or an instant that is over at `at`, for at once. Its
            age counts from `at` even so.
    """

    event: Event
    at: datetime
    subscriptions: tuple[Subscription, ...]
    hops: int = 0
    causes: tuple[str, ...] = ()
    trace_header: str | None = None
    group: str | None = None
    ordered: tuple[Subscription, ...] = ()
    skipped: tuple[Subscription, ...] = ()
    deduplication: Deduplication | None = None
    event_bus_name: str = "default"
    attributes: Mapping[str, str] = {}
    archives: tuple[Archiving, ...] = ()
    due: datetime | None = None


class Occurrence(msgspec.Struct, frozen=True, gc=False):
    """That a schedule fires, for `Store.fire`.

    Attributes:
        schedule: The schedule's name.
        slot: The instant that it fires for: what it was planned for, not when it happens.
        accepted: The events; none to remember the slot only, as when it is skipped.
    """

    schedule: str
    slot: datetime
    accepted: tuple[Accepted, ...] = ()


class Archived(msgspec.Struct, frozen=True, gc=False):
    """An event in an archive.

    Attributes:
        position: Its place in the archive: the events of one archive rise in the order of their acceptance.
        event: The event, as the bus accepted it.
        at: When the bus accepted it.
        group: The event group, if it has one.
    """

    position: int
    event: Event
    at: datetime
    group: str | None = None


class ArchiveStatistics(NamedTuple):
    """What an archive holds (EventBridge, DescribeArchive).

    Attributes:
        event_count: How many events.
        size_bytes: Of their JSON text, altogether.
    """

    event_count: int = 0
    size_bytes: int = 0


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One event on its way to one subscription, leased for one attempt.

    Attributes:
        id: Names the delivery in its store, through all its attempts.
        subscription: Who is to receive it.
        event: The event, an object of this attempt's own.
        attempt: Which attempt this is, from 1.
        accepted_at: When the bus accepted the event.
        hops: How many buses handed the event on before this one.
        token: Names this lease. A store ignores whoever comes back with an older one.
        causes: The ids of the events whose handling put this one, the first cause first.
        trace_header: Trace context of the publisher, as W3C's `traceparent` (or AWS's own).
        group: The event group, if it has one.
        attributes: What goes with the event besides it, as a dead letter's `ERROR_CODE`.
        input: What the target is to receive instead of the event, as JSON text; None for the event itself.
        is_lapsed: Whether the lease before this one ran out: its process ended, perhaps before the attempt began.
    """

    id: int
    subscription: Subscription
    event: Event
    attempt: int
    accepted_at: datetime
    hops: int
    token: int
    causes: tuple[str, ...] = ()
    trace_header: str | None = None
    group: str | None = None
    attributes: Mapping[str, str] = {}
    input: bytes | None = None
    is_lapsed: bool = False

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
        id: Names it in its store; 0 before it is in one.
        hops: How many buses handed the event on.
        causes: The ids of the events whose handling put this one, the first cause first.
        trace_header: Trace context of the publisher, as W3C's `traceparent` (or AWS's own).
        group: The event group, if it has one.
        is_ordered: Whether the subscription receives the events of a group in order.
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
    id: int = 0
    hops: int = 0
    causes: tuple[str, ...] = ()
    trace_header: str | None = None
    group: str | None = None
    is_ordered: bool = False

    def again(self, now: datetime) -> Accepted:
        """Give its event for its subscription only, as if it were accepted *now*."""
        receivers = (self.subscription,)
        return Accepted(
            self.event,
            now,
            receivers,
            self.hops,
            self.causes,
            self.trace_header,
            self.group,
            receivers if self.is_ordered else (),
            event_bus_name=self.subscription.event_bus_name,
        )

    @property
    def attributes(self) -> dict[str, str]:
        """The reasons as EventBridge writes them into message attributes; of a function, as Lambda does.

        Lambda's are `RequestID`, `ErrorCode`, an HTTP status, and `ErrorMessage`, its first KB (AWS Lambda developer
        guide, "Dead-letter queues").
        """
        if self.subscription.function_name is not None:
            return {"RequestID": self.event.id, "ErrorCode": self._status, "ErrorMessage": self._function_message}
        attributes = {
            "RULE_ARN": self.rule_arn,
            "TARGET_ARN": self.target_arn,
            "ERROR_CODE": self.error_code,
            "ERROR_MESSAGE": self.error_message,
            "RETRY_ATTEMPTS": str(self.retry_attempts),
        }
        if self.exhausted_retry_condition is not None:
            attributes["EXHAUSTED_RETRY_CONDITION"] = self.exhausted_retry_condition
        return attributes

    @property
    def _status(self) -> str:
        return "429" if self.error_code == "THROTTLING" else "200"

    @property
    def _function_message(self) -> str:
        """What the function's own error says, without the names of the exceptions in front."""
        kind, _, text = self.error_message.partition(": ")
        if kind.endswith("FunctionError"):
            text = text.partition(": ")[2]
        return text.encode()[:1_024].decode(errors="ignore")

    def to_dict(self) -> dict[str, Any]:
        """Give it in EventBridge's form: the event as `body`, the reasons as string `attributes`."""
        return {"body": self.event.to_dict(), "attributes": self.attributes}


class Depth(NamedTuple):
    """How many deliveries of a subscription have not ended, by what they wait for.

    Attributes:
        visible: Those that are due, or will be when those before them in their group have ended.
        delayed: Those that are due later.
        in_flight: Those with a lease that has not ended.
        oldest: When the oldest of all was accepted; None if there are none.
    """

    visible: int = 0
    delayed: int = 0
    in_flight: int = 0
    oldest: datetime | None = None


class Executed(msgspec.Struct, frozen=True, gc=False):
    """What an invocation of a function has given.

    Attributes:
        payload: The result as JSON text.
        executed_version: The version that was run.
    """

    payload: bytes
    executed_version: str


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The target took it. The delivery is over.

    Attributes:
        delivery: What was attempted.
        follow_ups: Events that follow from it: what the handler returned, and destination records.
    """

    delivery: Delivery
    follow_ups: tuple[Accepted, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed; the next one is due at `at`."""

    delivery: Delivery
    at: datetime
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Nothing was attempted, or the target asked for a pause; due again at `at`, and the attempt does not count."""

    delivery: Delivery
    at: datetime
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The delivery is over, and a dead letter says why.

    Attributes:
        delivery: What was attempted.
        dead_letter: Why it was given up. When its queue is a target, `follow_ups` brings it there, and the store
            keeps no copy.
        follow_ups: Events that follow from it: the dead letter on its way to a target, and destination records.
        is_kept: Whether the store keeps the dead letter.
    """

    delivery: Delivery
    dead_letter: DeadLetter
    follow_ups: tuple[Accepted, ...] = ()
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Dropped:
    """The delivery is over without a trace but this, as its target has no dead-letter queue."""

    delivery: Delivery
    error_code: str
    error_message: str
    follow_ups: tuple[Accepted, ...] = ()
    exhausted_retry_condition: ExhaustedRetryCondition | None = None


#: What follows from one attempt.
Outcome: TypeAlias = Delivered | RetryAt | Postponed | DeadLettered | Dropped


#: What happens to an event, in the words of EventBridge's own log (user guide, "Logging for event buses").
Step: TypeAlias = Literal[
    "EVENT_INGEST_SUCCESS",
    "EVENT_INGEST_FAILURE",
    "EVENT_RECEIPT",
    "RULE_MATCH_START",
    "RULE_MATCH",
    "NO_STANDARD_RULES_MATCHED",
    "INVOCATION_START",
    "INVOCATION_ATTEMPT_START",
    "INVOCATION_ATTEMPT_SUCCESS",
    "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
    "INVOCATION_ATTEMPT_PERMANENT_FAILURE",
    "INVOCATION_ATTEMPT_THROTTLE",
    "INVOCATION_THROTTLE_START",
    "INVOCATION_SUCCESS",
    "INVOCATION_FAILURE",
    "INVOCATION_DLQ",
]


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an event.

    Attributes:
        step: Which.
        at: When, by the router's clock.
        event_bus_name: On which bus.
        event_id: Of which event; None for an entry that was refused before it had one.
        event: The event; None in the same case.
        entry: The entry that was refused (`EVENT_INGEST_FAILURE`).
        subscriptions: Whom it concerns: those of the rule that are to receive the event (`RULE_MATCH`), or the one that
            is invoked.
        skipped: Those of the rule that are left out, since their backlog is full (`RULE_MATCH`).
        delivery: What is attempted, in the steps of an invocation.
        outcome: What followed from the attempt, once the store has it.
        error_code: Why, in the steps that fail.
        error_message: The same in words. It may quote the event, as the exception of a handler does.
    """

    step: Step
    at: datetime
    event_bus_name: str
    event_id: str | None = None
    event: Event | None = None
    entry: EventEntry | None = None
    subscriptions: Sequence[Subscription] = ()
    skipped: Sequence[Subscription] = ()
    delivery: Delivery | None = None
    outcome: Outcome | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def rule_name(self) -> str | None:
        """The rule it concerns; None in the steps before one has matched."""
        concerned = self.subscriptions or self.skipped
        return concerned[0].rule_name if concerned else None
