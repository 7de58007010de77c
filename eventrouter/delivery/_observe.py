"""What observers are told, in EventBridge's words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from eventrouter.abc import Observer
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
)

logger = logging.getLogger("eventrouter.delivery")


class Observers:
    """All observers of a router. False when there are none, so that steps nobody watches cost nothing."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def ingested(self, item: Accepted) -> None:
        """Tell of an event that was accepted, and of whom it goes to."""
        id, event_bus_name = item.event.id, item.event_bus_name
        receivers = (*item.subscriptions, *item.skipped)
        steps: list[Step] = ["EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "RULE_MATCH_START"]
        if not receivers:
            steps.append("NO_STANDARD_RULES_MATCHED")
        for step in steps:
            self._tell(Observation(step=step, at=item.at, event_bus_name=event_bus_name, event_id=id))
        for rule_name in dict.fromkeys(subscription.rule_name for subscription in receivers):
            matched = tuple(subscription for subscription in receivers if subscription.rule_name == rule_name)
            self._tell(
                Observation(
                    step="RULE_MATCH", at=item.at, event_bus_name=event_bus_name, event_id=id, subscriptions=matched
                )
            )

    def refused(self, event_bus_name: str, error_code: str | None, error_message: str | None, at: datetime) -> None:
        """Tell of an entry that was not accepted."""
        self._tell(
            Observation(
                step="EVENT_INGEST_FAILURE",
                at=at,
                event_bus_name=event_bus_name,
                error_code=error_code,
                error_message=error_message,
            )
        )

    def started(self, delivery: Delivery, at: datetime) -> None:
        """Tell of an attempt that begins."""
        if delivery.attempt == 1:
            self._tell(_of(delivery, "INVOCATION_START", at))
        self._tell(_of(delivery, "INVOCATION_ATTEMPT_START", at))

    def settled(self, outcomes: Sequence[Outcome], at: datetime) -> None:
        """Tell of outcomes that the store has, and of the events that followed."""
        for outcome in outcomes:
            for step in _steps(outcome):
                self._tell(_of(outcome.delivery, step, at, outcome))
            if isinstance(outcome, RetryAt | Postponed):
                continue
            for item in outcome.follow_ups:
                if item.event.id != outcome.delivery.event.id:  # a dead letter's event has been ingested before
                    self.ingested(item)

    def _tell(self, observation: Observation) -> None:
        for observer in self._observers:
            try:
                observer.observe(observation)
            except Exception:
                logger.exception("The observer %r failed", observer)


def _steps(outcome: Outcome) -> Sequence[Step]:
    match outcome:
        case Delivered():
            return "INVOCATION_ATTEMPT_SUCCESS", "INVOCATION_SUCCESS"
        case RetryAt():
            return ("INVOCATION_ATTEMPT_RETRYABLE_FAILURE",)
        case Postponed(error_code="RETRY_BUDGET"):
            return ("INVOCATION_THROTTLE_START",)  # nothing was attempted
        case Postponed():
            return "INVOCATION_ATTEMPT_THROTTLE", "INVOCATION_THROTTLE_START"
    attempt: Step = "INVOCATION_ATTEMPT_PERMANENT_FAILURE"
    if isinstance(outcome, DeadLettered):
        if outcome.dead_letter.exhausted_retry_condition is not None:
            attempt = "INVOCATION_ATTEMPT_RETRYABLE_FAILURE"
        return attempt, "INVOCATION_FAILURE", "INVOCATION_DLQ"
    return attempt, "INVOCATION_FAILURE"


def _of(delivery: Delivery, step: Step, at: datetime, outcome: Outcome | None = None) -> Observation:
    code = message = None
    if isinstance(outcome, RetryAt | Postponed | Dropped):
        code, message = outcome.error_code, outcome.error_message
    elif isinstance(outcome, DeadLettered):
        code, message = outcome.dead_letter.error_code, outcome.dead_letter.error_message
    return Observation(
        step=step,
        at=at,
        event_bus_name=delivery.subscription.event_bus_name,
        event_id=delivery.event.id,
        subscriptions=(delivery.subscription,),
        delivery=delivery,
        outcome=outcome,
        error_code=code,
        error_message=message,
    )
