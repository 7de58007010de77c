"""How a queue is declared: SQS's attributes, and their limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypedDict

from eventrouter.errors import QueueError

_NAME: Final = re.compile(r"(?=.{1,80}$)[A-Za-z0-9_-]+(?:\.fifo)?")
_FIFO: Final = ".fifo"

_SECOND: Final = timedelta(seconds=1)
_NOTHING: Final = timedelta(0)
MAXIMUM_VISIBILITY_TIMEOUT: Final = timedelta(hours=12)
MAXIMUM_DELAY: Final = timedelta(minutes=15)
MAXIMUM_WAIT_TIME: Final = timedelta(seconds=20)
MAXIMUM_MESSAGE_SIZE: Final = 1024 * 1024  # bytes, of a message and of a batch
_RETENTION: Final = timedelta(minutes=1), timedelta(days=14)
_MESSAGE_SIZE: Final = 1024, MAXIMUM_MESSAGE_SIZE
_RECEIVE_COUNT: Final = 1, 1_000


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """Where messages go that are received again and again and never deleted (SQS, `RedrivePolicy`).

    Attributes:
        dead_letter_queue: Name of the queue that they are moved to; a FIFO queue's is a FIFO queue.
        maximum_receive_count: How often a message is received before that, 1 to 1,000. It is moved when it would be
            received once more.

    Raises:
        QueueError: `InvalidAttributeValue`: one of them is not usable.
    """

    dead_letter_queue: str
    maximum_receive_count: int = 10

    def __post_init__(self) -> None:
        check_queue_name(self.dead_letter_queue)
        check_number("maximum_receive_count", self.maximum_receive_count, *_RECEIVE_COUNT)


class QueueOptions(TypedDict, total=False):
    """What is said of a queue when it is declared or changed; see `QueueAttributes`."""

    visibility_timeout: timedelta
    delay: timedelta
    wait_time: timedelta
    message_retention_period: timedelta
    maximum_message_size: int
    content_based_deduplication: bool
    redrive_policy: RedrivePolicy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttributes:
    """How a queue treats its messages (SQS, `CreateQueue`), with SQS's defaults and limits.

    Attributes:
        name: 1 to 80 letters, digits and `- _`; that of a FIFO queue ends with `.fifo`, which makes it one.
        visibility_timeout: For how long a message that was received is nobody else's; up to 12 hours. A receiver may
            ask for another one.
        delay: How long a message stays hidden after it was sent; up to 15 minutes. A sender may ask for another one,
            but in a FIFO queue.
        wait_time: How long a receiver waits for a message when there is none; up to 20 seconds. It may ask for another
            one.
        message_retention_period: How long a message is kept that nobody deletes; 1 minute to 14 days.
        maximum_message_size: Bytes of a message, its attributes included; 1 KiB to 1 MiB.
        content_based_deduplication: Whether messages that are sent to a FIFO queue without a deduplication id have a
            hash of their body as one.
        redrive_policy: Where messages go that nobody deletes, however often they are received; None to keep them.

    Raises:
        QueueError: `InvalidParameterValue` for the name, `InvalidAttributeValue` for all else.
    """

    name: str
    visibility_timeout: timedelta = timedelta(seconds=30)
    delay: timedelta = timedelta(0)
    wait_time: timedelta = timedelta(0)
    message_retention_period: timedelta = timedelta(days=4)
    maximum_message_size: int = MAXIMUM_MESSAGE_SIZE
    content_based_deduplication: bool = False
    redrive_policy: RedrivePolicy | None = None

    def __post_init__(self) -> None:
        check_queue_name(self.name)
        code = "InvalidAttributeValue"
        check_duration("visibility_timeout", self.visibility_timeout, _NOTHING, MAXIMUM_VISIBILITY_TIMEOUT, code)
        check_duration("delay", self.delay, _NOTHING, MAXIMUM_DELAY, code)
        check_duration("wait_time", self.wait_time, _NOTHING, MAXIMUM_WAIT_TIME, code)
        check_duration("message_retention_period", self.message_retention_period, *_RETENTION, code)
        check_number("maximum_message_size", self.maximum_message_size, *_MESSAGE_SIZE)
        if not isinstance(self.content_based_deduplication, bool):
            raise QueueError(
                f"content_based_deduplication is {self.content_based_deduplication!r}; use True or False", code
            )
        if self.content_based_deduplication and not self.is_fifo:
            raise QueueError(f"content_based_deduplication is for FIFO queues, and {self.name} is none", code)
        if not isinstance(self.redrive_policy, RedrivePolicy | None):
            raise QueueError(f"redrive_policy is {self.redrive_policy!r}; use a RedrivePolicy", code)
        if self.redrive_policy is not None and self.redrive_policy.dead_letter_queue == self.name:
            raise QueueError(f"Queue {self.name} is its own dead-letter queue", code)

    @property
    def is_fifo(self) -> bool:
        """Whether messages of a group come in order, and each once within 5 minutes of being sent."""
        return self.name.endswith(_FIFO)


def check_queue_name(name: object) -> None:
    """Refuse a name that SQS would refuse.

    Raises:
        QueueError: `InvalidParameterValue`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise QueueError(
            f"{name!r} is no queue name; use 1 to 80 letters, digits, and the characters - _, "
            f"with {_FIFO} at the end for a FIFO queue"
        )


def check_duration(
    name: str, value: object, least: timedelta, most: timedelta, code: str = "InvalidParameterValue"
) -> None:
    """Refuse what is no duration, or out of range, with `QueueError`."""
    if not isinstance(value, timedelta) or not least <= value <= most:
        raise QueueError(
            f"{name} is {value!r}; use a timedelta of {least // _SECOND:,} to {most // _SECOND:,} seconds", code
        )


def check_number(name: str, value: object, least: int, most: int, code: str = "InvalidAttributeValue") -> None:
    """Refuse what is no whole number, or out of range, with `QueueError`."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise QueueError(f"{name} is {value!r}; use a whole number from {least:,} to {most:,}", code)
