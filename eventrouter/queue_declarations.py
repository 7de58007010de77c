"""Queues in a rules file, in the keys of CloudFormation's `AWS::SQS::Queue`, and what sends to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pydantic
from pydantic.alias_generators import to_camel, to_pascal

from eventrouter.abc import DeadLetterQueue, Target
from eventrouter.errors import EventRouterError, InvalidRuleError
from eventrouter.queues import Queue, QueueAttributes, RedrivePolicy
from eventrouter.router import EventRouter
from eventrouter.targets.queue import QueueTarget

_ARN: Final = re.compile(r"arn:aws[a-z-]*:sqs:[^:]*:[^:]*:([^:]+)")


class RedrivePolicyDeclaration(pydantic.BaseModel):
    """A redrive policy as AWS writes it."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)

    dead_letter_target_arn: str
    max_receive_count: int = 10


class QueueDeclaration(pydantic.BaseModel):
    """A queue as AWS writes it. What only AWS needs, such as keys and tags, is read and not used."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, alias_generator=to_pascal)

    queue_name: str
    fifo_queue: bool | None = None
    visibility_timeout: int = 30
    delay_seconds: int = 0
    receive_message_wait_time_seconds: int = 0
    message_retention_period: int = 345_600
    maximum_message_size: int = 1_048_576
    content_based_deduplication: bool = False
    redrive_policy: RedrivePolicyDeclaration | None = None
    redrive_allow_policy: Any = None
    deduplication_scope: Any = None
    fifo_throughput_limit: Any = None
    kms_master_key_id: Any = None
    kms_data_key_reuse_period_seconds: Any = None
    sqs_managed_sse_enabled: Any = None
    tags: Any = None

    def attributes(self) -> QueueAttributes:
        """Give what the queue is declared with.

        Raises:
            InvalidRuleError: The dead-letter queue's ARN is none of a queue, or the name does not go with the kind.
            QueueError: The name or an attribute is not usable.
        """
        made = QueueAttributes(
            name=self.queue_name,
            visibility_timeout=timedelta(seconds=self.visibility_timeout),
            delay=timedelta(seconds=self.delay_seconds),
            wait_time=timedelta(seconds=self.receive_message_wait_time_seconds),
            message_retention_period=timedelta(seconds=self.message_retention_period),
            maximum_message_size=self.maximum_message_size,
            content_based_deduplication=self.content_based_deduplication,
            redrive_policy=self._redrive_policy(),
        )
        if self.fifo_queue is not None and self.fifo_queue != made.is_fifo:
            raise InvalidRuleError(
                f"FifoQueue of queue {self.queue_name} is {str(self.fifo_queue).lower()}",
                "$.FifoQueue",
                "the name of a FIFO queue ends with .fifo, and no other does",
            )
        return made

    def _redrive_policy(self) -> RedrivePolicy | None:
        policy = self.redrive_policy
        if policy is None:
            return None
        name = queue_name(policy.dead_letter_target_arn)
        if name is None:
            raise InvalidRuleError(
                f"{policy.dead_letter_target_arn} is no ARN of a queue",
                "$.RedrivePolicy.deadLetterTargetArn",
                "write arn:aws:sqs:local:000000000000:NAME",
            )
        return RedrivePolicy(name, policy.max_receive_count)


def queue_name(arn: str) -> str | None:
    """Give the name of the queue that an ARN is of, None if it is of something else."""
    match = _ARN.fullmatch(arn)
    return match[1] if match else None


def checked_queues(declared: Sequence[QueueDeclaration]) -> tuple[QueueAttributes, ...]:
    """Check the queues of a file, each by itself and all of them together.

    Raises:
        InvalidRuleError: One is not usable, or there are two of one name; says where.
    """
    checked: list[QueueAttributes] = []
    for index, queue in enumerate(declared):
        place = f"$.Queues[{index}]"
        try:
            attributes = queue.attributes()
        except InvalidRuleError as error:
            raise InvalidRuleError(error.reason, place + error.path[1:], error.hint) from error
        except EventRouterError as error:
            raise InvalidRuleError(str(error), place) from error
        if attributes.name in {other.name for other in checked}:
            raise InvalidRuleError(
                f"There are two queues {attributes.name}", f"{place}.QueueName", "give one another name"
            )
        checked.append(attributes)
    return tuple(checked)


def declare_queues(router: EventRouter, queues: Sequence[QueueAttributes]) -> None:
    """Put the queues of a file on a router, dead-letter queues before those that have them.

    Raises:
        InvalidRuleError: The router has one that is declared otherwise, or not the dead-letter queue; says where.
    """
    waiting = dict(enumerate(queues))
    while waiting:
        known = {*router.list_queues()}
        ready = [
            index
            for index, queue in waiting.items()
            if queue.redrive_policy is None or queue.redrive_policy.dead_letter_queue in known
        ]
        # With none that is ready, the first one's refusal says what is missing.
        for index in ready or list(waiting)[:1]:
            queue = waiting.pop(index)
            options = {name: getattr(queue, name) for name in QueueAttributes.__slots__ if name != "name"}
            try:
                router.create_queue(queue.name, **options)
            except EventRouterError as error:
                raise InvalidRuleError(str(error), f"$.Queues[{index}]") from error


def find_queue(router: EventRouter, arn: str) -> Queue | None:
    """Give the router's queue that an ARN names, None if it names none."""
    name = queue_name(arn)
    return router.queue(name) if name is not None and name in router.list_queues() else None


def with_dead_letter_queue(router: EventRouter, target: Target) -> Target:
    """Give the target with a queue as its dead-letter queue, if that is called by the ARN of one of the router's."""
    letters = target.dead_letter_queue
    if not isinstance(letters, DeadLetterQueue) or letters.name is None:
        return target
    queue = find_queue(router, letters.name)
    if queue is None:
        return target
    return replace(target, dead_letter_queue=QueueTarget(id="dead-letter-queue", queue=queue))
