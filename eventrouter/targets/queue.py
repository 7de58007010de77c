"""A queue of the router as a target."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from eventrouter.abc import Target
from eventrouter.errors import InvalidRuleError, PermanentDeliveryError, QueueError, ResourceNotFoundError
from eventrouter.queues import Queue, Sending
from eventrouter.queues._messages import make_accepted
from eventrouter.records import Delivery
from eventrouter.targets._dynamic_path import Parameter, parameter


class MessageRefusedError(PermanentDeliveryError):
    """The queue does not take such a message: it is too large."""

    error_code = "INVALID_PARAMETER"


@dataclass(frozen=True, kw_only=True)
class QueueTarget(Target):
    """Send the event to a queue, as its JSON, or the target's input.

    The message is there if and only if the delivery has ended: both are one transaction of the store, so none is lost
    and none is sent twice, whenever the process is killed.

    As a destination it sends the record; as a dead-letter queue the event, with its reasons as message attributes
    (EventBridge user guide, "Using dead-letter queues").

    In a FIFO queue, the message of an event that this target has sent before is a duplicate for five minutes, also if
    the event came again by `forward_events`. A dead letter is never one, as each is a failure of its own.

    Attributes:
        queue: A queue of the router that has this target.
        arn: What dead letters name as `TARGET_ARN`; the queue's when empty.
        message_group_id: The message group: text, or a path into the event such as `$.detail.customer`. When it is
            None, or the event has nothing there, it is the event's own group; in a FIFO queue, an event without one is
            a group by itself, which has no order. See `ordering` for the order in which events leave here.

    Raises:
        InvalidRuleError: The queue is none, or the group a path that is not understood.
    """

    queue: Queue
    message_group_id: str | None = None
    _group: Parameter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.queue, Queue):
            raise InvalidRuleError(
                f"queue of target {self.id} is {self.queue!r}", hint="use router.queue(name), or router.create_queue"
            )
        if not self.arn:
            object.__setattr__(self, "arn", self.queue.arn)
        object.__setattr__(self, "_group", parameter("message_group_id", self.message_group_id or ""))

    async def invoke(self, delivery: Delivery) -> Sending:
        """Give the message, which the router writes with the end of the delivery."""
        queue = self.queue
        if not queue.is_declared:
            raise ResourceNotFoundError(f"The specified queue does not exist: {queue.name}.")
        await queue.sweep()
        group = self._group(delivery.event) or delivery.group
        is_fifo = queue.attributes.is_fifo
        try:
            return Sending(
                make_accepted(
                    delivery.payload.decode(),
                    queue.attributes,
                    queue.now(),
                    delivery,
                    delay=queue.attributes.delay,
                    group=group or (delivery.event.id if is_fifo else None),
                    deduplication_id=_deduplication_id(delivery) if is_fifo else None,
                    attributes=delivery.attributes,
                )
            )
        except QueueError as error:
            raise MessageRefusedError(error.reason) from error


def _deduplication_id(delivery: Delivery) -> str:
    """Name what is one message: the event, from this target. A dead letter is one that has been given up now.

    Two targets may send the same event in different forms, or give it up for different reasons: all of it is to come.
    """
    parts = [str(delivery.subscription)]
    if delivery.attributes:
        parts.append(delivery.accepted_at.isoformat())
    return f"{delivery.event.id}/{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}"
