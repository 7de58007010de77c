"""What observers are told, in EventBridge's words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, get_args

from eventrouter.abc import Observer
from eventrouter.errors import ThrottledError
from eventrouter.event import Event, EventEntry
from eventrouter.records import (
    Accepted,
    DeadLettered,
    Delivered,
    Delivery,
    Dropped,
    Observation,
    Outcome,
    Postponed,
    RetryAt,
    Step,
    Subscription,
)

logger = logging.getLogger("eventrouter.delivery")

#: How many deliveries are remembered that were throttled, or whose dead letter was refused. There are as many as a
#: target has attempts at once; more only if other processes take over what this one remembers.
_REMEMBERED: Final = 10_000

_STEPS: Final[tuple[Step, ...]] = get_args(Step)


class Observers:
    """All observers of a router. False when there are none, so that steps nobody watches cost nothing."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._set(tuple(observers))
        self._throttled: dict[Subscription, datetime] = {}  # and until when
        # By the ids of deliveries, the oldest first:
        self._begun: dict[int, None] = {}  # the next attempt is again the first
        self._unwritten: dict[int, None] = {}  # the store refused the dead letter

    def add(self, observer: Observer) -> None:
        """Tell one more."""
        self._set((*self._observers, observer))

    def remove(self, observer: Observer) -> None:
        """Tell it no more."""
        self._set(tuple(other for other in self._observers if other is not observer))

    def _set(self, observers: tuple[Observer, ...]) -> None:
        self._observers = observers
        # Most steps of most events are of no interest to an observer of failures: nothing is made of those.
        self._receivers: dict[Step, tuple[Observer, ...]] = {
            step: tuple(observer for observer in observers if step in getattr(observer, "steps", _STEPS))
            for step in _STEPS
        }

    def __bool__(self) -> bool:
        return bool(self._observers)

    def ingested(self, item: Accepted) -> None:
        """Tell of an event that was accepted, and of whom it goes to."""
        steps: list[Step] = ["EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "RULE_MATCH_START"]
        if not (item.subscriptions or item.skipped):
            steps.append("NO_STANDARD_RULES_MATCHED")
        for step in steps:
            if self._receivers[step]:
                self._tell(_of_event(item, step))
        if not self._receivers["RULE_MATCH"]:
            return
        for rule_name in dict.fromkeys(receiver.rule_name for receiver in (*item.subscriptions, *item.skipped)):
            self._tell(
                _of_event(
                    item,
                    "RULE_MATCH",
                    tuple(receiver for receiver in item.subscriptions if receiver.rule_name == rule_name),
                    tuple(receiver for receiver in item.skipped if receiver.rule_name == rule_name),
                )
            )

    def refused(
        self, event_bus_name: str, error_code: str, error_message: str | None, at: datetime, of: EventEntry | Event
    ) -> None:
        """Tell of an entry, or of a forwarded event, that was not accepted."""
        event = of if isinstance(of, Event) else None
        self._tell(
            Observation(
                step="EVENT_INGEST_FAILURE",
                at=at,
                event_bus_name=event_bus_name,
                event_id=event.id if event is not None else None,
                event=event,
                entry=of if isinstance(of, EventEntry) else None,
                error_code=error_code,
                error_message=error_message,
            )
        )

    def started(self, delivery: Delivery, at: datetime) -> None:
        """Tell of an attempt that begins."""
        if delivery.id in self._begun:
            del self._begun[delivery.id]
        elif delivery.attempt == 1:
            self._tell_of(delivery, "INVOCATION_START", at)
        self._tell_of(delivery, "INVOCATION_ATTEMPT_START", at)

    def settled(self, outcomes: Sequence[Outcome], at: datetime) -> None:
        """Tell of outcomes that the store has, and of the events that followed."""
        for outcome in outcomes:
            for step in self._steps(outcome, at):
                self._tell_of(outcome.delivery, step, at, outcome)
            if isinstance(outcome, RetryAt | Postponed):
                continue
            for item in outcome.follow_ups:
                if item.event.id != outcome.delivery.event.id:  # a dead letter's event has been ingested before
                    self.ingested(item)

    def unsettled(self, outcome: Outcome, error: Exception, at: datetime) -> None:
        """Tell, once, of a dead letter that the store refused; it is offered again until the store takes it."""
        if isinstance(outcome, DeadLettered) and outcome.delivery.id not in self._unwritten:
            _remember(self._unwritten, outcome.delivery.id)
            self._tell_of(outcome.delivery, "INVOCATION_DLQ", at, error=("DLQ_FAILED", type(error).__name__))

    def _steps(self, outcome: Outcome, at: datetime) -> Iterator[Step]:
        """Give the steps that an outcome means, in their order."""
        if isinstance(outcome, Postponed):
            yield from self._throttling(outcome)
            return
        self._note_end_of_throttling(outcome.delivery.subscription, at)
        match outcome:
            case Delivered():
                yield "INVOCATION_ATTEMPT_SUCCESS"
                yield "INVOCATION_SUCCESS"
            case RetryAt():
                yield "INVOCATION_ATTEMPT_RETRYABLE_FAILURE"
            case DeadLettered(dead_letter=letter):
                self._unwritten.pop(outcome.delivery.id, None)
                yield _last_attempt(letter.exhausted_retry_condition, letter.error_code)
                yield "INVOCATION_FAILURE"
                yield "INVOCATION_DLQ"
            case _:
                yield _last_attempt(outcome.exhausted_retry_condition, outcome.error_code)
                yield "INVOCATION_FAILURE"

    def _throttling(self, outcome: Postponed) -> Iterator[Step]:
        delivery = outcome.delivery
        if outcome.error_code != "RETRY_BUDGET":  # with which nothing was attempted
            yield "INVOCATION_ATTEMPT_THROTTLE"
            if delivery.attempt == 1:
                _remember(self._begun, delivery.id)
        # Several attempts may run into one pause, and pauses may follow one another: that is one throttling.
        if delivery.subscription not in self._throttled:
            yield "INVOCATION_THROTTLE_START"
        until = self._throttled.get(delivery.subscription, outcome.at)
        self._throttled[delivery.subscription] = max(until, outcome.at)

    def _note_end_of_throttling(self, subscription: Subscription, at: datetime) -> None:
        # No attempt begins in a pause, so whatever ends before its end began before it, and proves nothing.
        if subscription in self._throttled and self._throttled[subscription] <= at:
            del self._throttled[subscription]

    def _tell_of(
        self,
        delivery: Delivery,
        step: Step,
        at: datetime,
        outcome: Outcome | None = None,
        error: tuple[str | None, str | None] = (None, None),
    ) -> None:
        if not self._receivers[step]:
            return
        if isinstance(outcome, RetryAt | Postponed | Dropped):
            error = outcome.error_code, outcome.error_message
        elif isinstance(outcome, DeadLettered):
            error = outcome.dead_letter.error_code, outcome.dead_letter.error_message
        self._tell(
            Observation(
                step=step,
                at=at,
                event_bus_name=delivery.subscription.event_bus_name,
                event_id=delivery.event.id,
                event=delivery.event,
                subscriptions=(delivery.subscription,),
                delivery=delivery,
                outcome=outcome,
                error_code=error[0],
                error_message=error[1],
            )
        )

    def _tell(self, observation: Observation) -> None:
        for observer in self._receivers[observation.step]:
            try:
                observer.observe(observation)
            except Exception:
                logger.exception("The observer %r failed", observer)


def _remember(ids: dict[int, None], id: int) -> None:
    ids[id] = None
    if len(ids) > _REMEMBERED:
        del ids[next(iter(ids))]


def _last_attempt(exhausted_retry_condition: str | None, error_code: str) -> Step:
    """Name the end of the attempt after which a delivery was given up."""
    if exhausted_retry_condition is None:
        return "INVOCATION_ATTEMPT_PERMANENT_FAILURE"
    if error_code == ThrottledError.error_code:
        return "INVOCATION_ATTEMPT_THROTTLE"
    return "INVOCATION_ATTEMPT_RETRYABLE_FAILURE"


def _of_event(
    item: Accepted, step: Step, subscriptions: Sequence[Subscription] = (), skipped: Sequence[Subscription] = ()
) -> Observation:
    return Observation(
        step=step,
        at=item.at,
        event_bus_name=item.event_bus_name,
        event_id=item.event.id,
        event=item.event,
        subscriptions=subscriptions,
        skipped=skipped,
    )
