"""What follows from an attempt that failed: a pure decision."""

from __future__ import annotations

from datetime import datetime

from eventrouter.abc import Target
from eventrouter.errors import DeliveryError, PermanentDeliveryError
from eventrouter.event import Event
from eventrouter.records import (
    DeadLetter,
    DeadLettered,
    Delivery,
    Dropped,
    RetryAt,
    Subscription,
)
from eventrouter.retry import ExhaustedRetryCondition

MAXIMUM_ERROR_MESSAGE = 1_000  # characters; a dead letter explains, it does not archive tracebacks


def conclude(
    delivery: Delivery, target: Target, error: Exception, *, now: datetime, draw: float
) -> RetryAt | DeadLettered | Dropped:
    """Decide what follows from an attempt that ended with *error*.

    Args:
        delivery: What was attempted.
        target: Who took the attempt; its policies decide.
        error: What the attempt raised.
        now: When it ended.
        draw: The jitter of a retry, in [0, 1).
    """
    error = _unwrapped(error)
    code = error.error_code if isinstance(error, DeliveryError) else "TARGET_ERROR"
    message = _message(error)
    condition: ExhaustedRetryCondition | None = None
    if not isinstance(error, PermanentDeliveryError):
        next_attempt = target.retry_policy.next_attempt(
            attempts=delivery.attempt, accepted_at=delivery.accepted_at, now=now, draw=draw
        )
        if isinstance(next_attempt, datetime):
            return RetryAt(delivery, next_attempt, code, message)
        condition = next_attempt
    if target.dead_letter_queue is None:
        return Dropped(delivery, code, message)
    subscription, event = delivery.subscription, delivery.event
    return DeadLettered(
        delivery,
        DeadLetter(
            queue=target.dead_letter_queue.name or str(subscription),
            event=event,
            subscription=subscription,
            rule_arn=_rule_arn(subscription, event),
            target_arn=target.arn or f"{_rule_arn(subscription, event)}/target/{target.id}",
            error_code=code,
            error_message=message,
            exhausted_retry_condition=condition,
            retry_attempts=delivery.attempt - 1,
            at=now,
        ),
    )


def _rule_arn(subscription: Subscription, event: Event) -> str:
    """Name the rule as AWS does, which leaves the default bus out."""
    bus, rule, _ = subscription
    path = rule if bus == "default" else f"{bus}/{rule}"
    return f"arn:aws:events:{event.region}:{event.account}:rule/{path}"


def _unwrapped(error: Exception) -> Exception:
    """Take the one error out of a group of one, as a handler's own task group makes of whatever it raises."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _message(error: Exception) -> str:
    if isinstance(error, ExceptionGroup):
        return "; ".join(map(_message, error.exceptions))[:MAXIMUM_ERROR_MESSAGE]
    # str() of a foreign exception is foreign code too: it may raise, and must not cost the delivery.
    try:
        text = str(error)
    except Exception as unprintable:  # noqa: BLE001
        text = f"<its text cannot be shown: {type(unprintable).__name__}>"
    kind = type(error).__name__
    return (f"{kind}: {text}" if text else kind)[:MAXIMUM_ERROR_MESSAGE]
