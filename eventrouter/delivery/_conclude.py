"""What follows from an attempt that failed: a pure decision."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

from eventrouter import names
from eventrouter.abc import DeadLetterQueue, Target
from eventrouter.delivery._receivers import LastResort
from eventrouter.errors import DeliveryError, PermanentDeliveryError, ThrottledError
from eventrouter.event import Event
from eventrouter.records import (
    DeadLetter,
    DeadLettered,
    Delivery,
    Dropped,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.retry import LONGEST_WAIT, ExhaustedRetryCondition, RetryPolicy

#: The shortest rest of a throttled target, whatever it asks for: without one it would be asked without end.
SHORTEST_PAUSE = timedelta(seconds=0.1)
MAXIMUM_ERROR_MESSAGE = 1_000  # characters; a dead letter explains, it does not archive tracebacks


def conclude(
    delivery: Delivery,
    target: Target,
    error: Exception,
    *,
    now: datetime,
    draw: float,
    pause: timedelta,
    policy: RetryPolicy | None = None,
) -> RetryAt | Postponed | DeadLettered | Dropped:
    """Decide what follows from an attempt that ended with *error*.

    Args:
        delivery: What was attempted.
        target: Who took the attempt; its policies decide.
        error: What the attempt raised.
        now: When it ended.
        draw: The jitter of a retry, in [0, 1).
        pause: How long a target that is throttled rests when it does not say so itself.
        policy: Decides about retries; by default the target's own.
    """
    policy = policy or target.retry_policy
    error = unwrapped(error)
    code = error.error_code if isinstance(error, DeliveryError) else "TARGET_ERROR"
    message = _message(error)
    condition: ExhaustedRetryCondition | None = None
    retry_after = error.retry_after if isinstance(error, DeliveryError) else None
    is_final = isinstance(error, PermanentDeliveryError) or (retry_after is not None and retry_after < timedelta(0))
    if is_final and isinstance(target, LastResort):
        is_final, retry_after = False, None  # there is nobody else to give it to, so "never" is no answer
    if isinstance(error, ThrottledError) and not is_final:
        rest = max(retry_after, SHORTEST_PAUSE) if retry_after else pause  # nothing is no rest either
        due = now + min(rest, LONGEST_WAIT)
        if due - delivery.accepted_at <= policy.maximum_event_age:
            return Postponed(delivery, due, code, message)
        condition = "MaximumEventAgeInSeconds"
    elif not is_final:
        next_attempt = policy.next_attempt(
            attempts=delivery.attempt,
            accepted_at=delivery.accepted_at,
            now=now,
            draw=draw,
            at_least=retry_after or timedelta(0),
        )
        if isinstance(next_attempt, datetime):
            return RetryAt(delivery, next_attempt, code, message)
        condition = next_attempt
    if target.dead_letter_queue is None:
        return Dropped(delivery, code, message, exhausted_retry_condition=condition)
    queue = target.dead_letter_queue
    subscription, event = delivery.subscription, delivery.event.copy()  # what a target has done to its copy is its own
    return DeadLettered(
        delivery,
        DeadLetter(
            queue=(queue.name if isinstance(queue, DeadLetterQueue) else queue.id) or str(subscription),
            event=event,
            subscription=subscription,
            rule_arn=rule_arn(subscription, event),
            target_arn=target_arn(target, subscription, event),
            error_code=code,
            error_message=message,
            exhausted_retry_condition=condition,
            retry_attempts=delivery.attempt - 1,
            at=now,
            hops=delivery.hops,
            causes=delivery.causes,
            trace_header=delivery.trace_header,
            group=delivery.group,
            is_ordered=target.ordering == "FIFO",
        ),
        is_kept=isinstance(queue, DeadLetterQueue),
    )


def undecided(error: Exception, broken: Exception) -> DeliveryError:
    """Give the error that stands for one about which nothing could be decided, as something foreign raised *broken*."""
    return DeliveryError(f"{_message(error)} (what follows from it could not be decided: {_message(broken)})")


def plain(policy: RetryPolicy) -> RetryPolicy:
    """Give the limits of a policy without code of its own."""
    return RetryPolicy(**{limit.name: getattr(policy, limit.name) for limit in fields(RetryPolicy)})


def rule_arn(subscription: Subscription, event: Event) -> str:
    """Name the rule of a subscription, in the event's account and region."""
    return names.rule_arn(
        subscription.event_bus_name, subscription.rule_name, region=event.region, account=event.account
    )


def target_arn(target: Target, subscription: Subscription, event: Event) -> str:
    """Name the target: by its own ARN, or else by one below the rule's."""
    return target.arn or f"{rule_arn(subscription, event)}/target/{target.id}"


def unwrapped(error: Exception) -> Exception:
    """Take the one error out of a group of one, as a handler's own task group makes of whatever it raises."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def text_of(error: Exception) -> str:
    """Give what an exception says, at most `MAXIMUM_ERROR_MESSAGE` of it; of a group, what each in it says."""
    if isinstance(error, ExceptionGroup):
        return "; ".join(map(_message, error.exceptions))[:MAXIMUM_ERROR_MESSAGE]
    # str() of a foreign exception is foreign code too: it may raise, and must not cost the delivery.
    try:
        return writable(str(error))[:MAXIMUM_ERROR_MESSAGE]
    except Exception as unprintable:  # noqa: BLE001
        return f"<its text cannot be shown: {type(unprintable).__name__}>"


def writable(text: str) -> str:
    """Give text that UTF-8 can hold; names of files, for one, may have lone surrogates."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _message(error: Exception) -> str:
    text, kind = text_of(error), type(error).__name__
    if isinstance(error, ExceptionGroup):
        return text
    return (f"{kind}: {text}" if text else kind)[:MAXIMUM_ERROR_MESSAGE]
