"""Messages: what may be one, how a store keeps it, and what a receiver is given. Pure."""

from __future__ import annotations

import binascii
import builtins
import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter._ids import new_ids
from eventrouter.errors import QueueError
from eventrouter.event import Event, encode_json
from eventrouter.queues._attributes import MAXIMUM_DELAY, QueueAttributes, check_duration
from eventrouter.records import Accepted, Deduplication, Delivery, Subscription

#: What `send` takes: text or bytes as they are, anything else as its JSON.
Body: TypeAlias = "str | bytes | object"

#: How long a FIFO queue remembers what was sent to it, deleted or not (SQS developer guide, "Exactly-once processing").
DEDUPLICATION_INTERVAL: Final = timedelta(minutes=5)
MAXIMUM_ATTRIBUTES: Final = 10
#: What no message attribute's name has in front (SQS developer guide, "Message attribute components").
_RESERVED: Final = ("aws.", "amazon.")
_ATTRIBUTE_NAME: Final = re.compile(r"(?!.*\.\.)(?![.])[A-Za-z0-9_.-]{1,256}(?<![.])")
_ID: Final = re.compile(r"[!-~]{1,128}")  # of a group, or for deduplication: letters, digits and punctuation
_LARGEST_INTEGER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A message to be sent. Checked by `send_batch`, so that one bad entry is one bad result.

    Attributes:
        body: Text or bytes, which arrive as they are; anything else is sent as its JSON text.
        delay: How long it stays hidden; None for the queue's own delay. A FIFO queue takes none.
        message_group_id: The group in which a FIFO queue keeps the order; needed there. 1 to 128 letters, digits and
            punctuation.
        deduplication_id: A FIFO queue takes a message with the same one once in 5 minutes, also if that was deleted
            meanwhile. Needed there unless the queue has `content_based_deduplication`; the same characters.
        attributes: Up to 10 texts that go with it, by name.
    """

    body: Body
    delay: timedelta | None = None
    message_group_id: str | None = None
    deduplication_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueResult:
    """What became of one entry of a batch: a success, or an error.

    Attributes:
        message_id: The id of the message that was sent; that of the earlier one if this is a duplicate. None in answers
            to a receipt handle.
        is_duplicate: Whether a message with the same deduplication id was sent before, so that this one was not.
        error_code: SQS's code for the refusal, or None.
        error_message: The reason in words, or None.
    """

    message_id: str | None = None
    is_duplicate: bool = False
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was received.

    Attributes:
        message_id: Given when it was sent; it keeps it when it is moved to another queue.
        body: What was sent: text, or bytes if it was bytes.
        receipt_handle: Names this receipt of it, as text that may be kept: for `delete` and `change_visibility`.
        receive_count: How often it was received from this queue, this time included.
        sent_at: When it was sent. It keeps that too when it is moved, but to a FIFO queue.
        attributes: What was sent with it.
        message_group_id: Its group, if it has one.
        deduplication_id: Of a message of a FIFO queue.
        dead_letter_source: The queue that it was moved from, if it is in a dead-letter queue.
        causes: The ids of the events whose handling has sent it, the first cause first.
        trace_header: Trace context of whoever has sent it, as W3C's `traceparent` (or AWS's own).
    """

    message_id: str
    body: str | bytes
    receipt_handle: str = field(repr=False)
    receive_count: int
    sent_at: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)
    message_group_id: str | None = None
    deduplication_id: str | None = None
    dead_letter_source: str | None = None
    causes: tuple[str, ...] = ()
    trace_header: str | None = None

    def json(self) -> Any:
        """Decode the body, which is JSON.

        Raises:
            ValueError: It is not.
        """
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that begins when the delivery of whoever returns this ends: both in one transaction of the store.

    Attributes:
        accepted: The message.
    """

    accepted: Accepted

    @property
    def response(self) -> dict[str, str]:
        """What a record of the delivery has as its response, in SQS's words."""
        return {"MessageId": self.accepted.event.id}


class _Kept(msgspec.Struct, omit_defaults=True):
    """What the detail of the event is that carries a message through a store."""

    text: str | None = None
    bytes: builtins.bytes | None = None  # base64 in JSON
    deduplication_id: str | None = None
    source: str | None = None

    @property
    def body(self) -> str | builtins.bytes:
        return self.text if self.text is not None else self.bytes or b""


def accept(entry: QueueEntry, queue: QueueAttributes, now: datetime, parent: Delivery | None) -> Accepted:
    """Make of an entry what a store keeps.

    Args:
        entry: The message.
        queue: Where it is sent.
        now: When.
        parent: The delivery in whose handling it is sent.

    Raises:
        QueueError: The queue does not take it; with SQS's code.
    """
    if not isinstance(entry, QueueEntry):
        raise QueueError(f"A batch is a list of QueueEntry, and has a {type(entry).__name__}.")
    body = _body(entry.body)
    attributes = _attributes(entry.attributes)
    deduplication_id = _check_ids(entry, queue, body)
    delay = queue.delay if entry.delay is None else entry.delay
    check_duration("delay", delay, timedelta(0), MAXIMUM_DELAY)
    return make_accepted(
        body,
        queue,
        now,
        parent,
        delay=delay,
        group=entry.message_group_id,
        deduplication_id=deduplication_id,
        attributes=attributes,
    )


def make_accepted(
    body: str | bytes,
    queue: QueueAttributes,
    now: datetime,
    parent: Delivery | None,
    *,
    delay: timedelta,
    group: str | None,
    deduplication_id: str | None,
    attributes: Mapping[str, str],
) -> Accepted:
    """Make of a checked body and ids what a store keeps.

    Raises:
        QueueError: `InvalidParameterValue`: it is larger than the queue allows.
    """
    size = _size(body, attributes)
    if size > queue.maximum_message_size:
        raise QueueError(
            f"One or more parameters are invalid. Reason: Message must be shorter than {queue.maximum_message_size} "
            f"bytes; it has {size}."
        )
    is_text = isinstance(body, str)
    kept = _Kept(body if is_text else None, None if is_text else body, deduplication_id)  # type: ignore[arg-type]
    event = Event(
        id=new_ids(1)[0],
        detail_type="Message",
        source="eventrouter.queue",
        time=now.replace(microsecond=0),
        resources=(queue.name,),
        detail_json=msgspec.Raw(msgspec.json.encode(kept)),
    )
    subscription = Subscription.of_queue(queue.name)
    deduplication = None
    if deduplication_id is not None:
        deduplication = Deduplication(str(subscription), deduplication_id, now + DEDUPLICATION_INTERVAL)
    return Accepted(
        event,
        now,
        (subscription,),
        hops=0 if parent is None else parent.hops,
        causes=() if parent is None else (*parent.causes, parent.event.id),
        trace_header=None if parent is None else parent.trace_header,
        group=group,
        ordered=(subscription,) if queue.is_fifo else (),
        deduplication=deduplication,
        event_bus_name=subscription.event_bus_name,
        attributes=attributes,
        due=now + delay if delay else None,
    )


def moved(delivery: Delivery, to: QueueAttributes, now: datetime, *, source: str | None) -> Accepted:
    """Give a message on its way from one queue to another: the same one, and no duplicate of any.

    Its age goes on, but in a FIFO queue, where it begins anew (SQS developer guide, "Dead-letter queues").

    Args:
        delivery: The message.
        to: The other queue.
        now: When.
        source: The queue that it comes from if the other is a dead-letter queue.
    """
    kept = msgspec.structs.replace(_kept(delivery), source=source)
    subscription = Subscription.of_queue(to.name)
    return Accepted(
        msgspec.structs.replace(
            delivery.event, resources=(to.name,), detail_json=msgspec.Raw(msgspec.json.encode(kept))
        ),
        now if to.is_fifo else delivery.accepted_at,
        (subscription,),
        hops=delivery.hops,
        causes=delivery.causes,
        trace_header=delivery.trace_header,
        group=delivery.group,
        ordered=(subscription,) if to.is_fifo else (),
        event_bus_name=subscription.event_bus_name,
        attributes=delivery.attributes,
        due=now,
    )


def received(delivery: Delivery) -> Message:
    """Give what a receiver is given."""
    kept = _kept(delivery)
    return Message(
        message_id=delivery.event.id,
        body=kept.body,
        receipt_handle=_handle(delivery),
        receive_count=delivery.attempt,
        sent_at=delivery.accepted_at,
        attributes=dict(delivery.attributes),
        message_group_id=delivery.group,
        deduplication_id=kept.deduplication_id,
        dead_letter_source=kept.source,
        causes=delivery.causes,
        trace_header=delivery.trace_header,
    )


def size_of(accepted: Accepted) -> int:
    """Count the bytes of a message as SQS does: those of its body and of its attributes."""
    kept = msgspec.json.decode(accepted.event.detail_json, type=_Kept)
    return _size(kept.body, accepted.attributes)


def _size(body: str | bytes, attributes: Mapping[str, str]) -> int:
    texts = [text for pair in attributes.items() for text in pair]
    return len(body if isinstance(body, bytes) else body.encode()) + sum(len(text.encode()) for text in texts)


def source_of(delivery: Delivery) -> str | None:
    """Name the queue that a message of a dead-letter queue was moved from."""
    return _kept(delivery).source


def _kept(delivery: Delivery) -> _Kept:
    return msgspec.json.decode(delivery.event.detail_json, type=_Kept)


def _body(body: Body) -> str | bytes:
    if body is None or body in ("", b""):
        raise QueueError("The request must contain the parameter MessageBody.", "MissingParameter")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if isinstance(body, str):
        _check_text(body)
        return body
    try:
        return encode_json(body).decode()
    except ValueError as error:
        raise QueueError(f"The body has no form as JSON: {error}", "InvalidMessageContents") from error


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueueError("The message holds a lone surrogate, which UTF-8 cannot.", "InvalidMessageContents") from None


def _attributes(attributes: object) -> Mapping[str, str]:
    if not isinstance(attributes, Mapping):
        raise QueueError(f"attributes is {attributes!r}; use a mapping of texts")
    if len(attributes) > MAXIMUM_ATTRIBUTES:
        raise QueueError(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAXIMUM_ATTRIBUTES}]."
        )
    for name, value in attributes.items():
        is_name = isinstance(name, str) and _ATTRIBUTE_NAME.fullmatch(name)
        if not is_name or name.lower().startswith(_RESERVED):
            raise QueueError(
                f"{name!r} is no name of a message attribute; use 1 to 256 letters, digits and _ - ., no . at either "
                "end or next to another, and none of AWS. and Amazon. in front"
            )
        if not isinstance(value, str) or not value:
            raise QueueError(f"Message attribute {name} is {value!r}; use text, at least one character of it")
        _check_text(value)
    return dict(attributes)


def _check_ids(entry: QueueEntry, queue: QueueAttributes, body: str | bytes) -> str | None:
    """Check group and deduplication id, and give the latter, or the body's hash where that stands for it."""
    for name, id in (("MessageGroupId", entry.message_group_id), ("MessageDeduplicationId", entry.deduplication_id)):
        if id is not None and not (isinstance(id, str) and _ID.fullmatch(id)):
            raise QueueError(
                f"Value {id!r} for parameter {name} is invalid. Reason: {name} can only include alphanumeric and "
                "punctuation characters. 1 to 128 in length."
            )
    if not queue.is_fifo:
        if entry.deduplication_id is not None:
            raise QueueError(
                f"Value {entry.deduplication_id} for parameter MessageDeduplicationId is invalid. Reason: The request "
                "include parameter that is not valid for this queue type."
            )
        return None
    if entry.delay is not None:
        raise QueueError(
            f"Value {entry.delay!r} for parameter DelaySeconds is invalid. Reason: The request include parameter that "
            "is not valid for this queue type."
        )
    if entry.message_group_id is None:
        raise QueueError("The request must contain the parameter MessageGroupId.", "MissingParameter")
    if entry.deduplication_id is not None:
        return entry.deduplication_id
    if not queue.content_based_deduplication:
        raise QueueError(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )
    return hashlib.sha256(body if isinstance(body, bytes) else body.encode()).hexdigest()


def _handle(delivery: Delivery) -> str:
    names = (delivery.subscription.queue_name, delivery.id, delivery.attempt, delivery.token)
    return urlsafe_b64encode(msgspec.json.encode(names)).decode()


def of_handle(handle: Message | str, queue: QueueAttributes) -> Delivery:
    """Give the names of the lease that a receipt handle stands for, in a delivery that has nothing else.

    Raises:
        QueueError: `ReceiptHandleIsInvalid`: it is none of this queue.
    """
    text = handle.receipt_handle if isinstance(handle, Message) else handle
    try:
        name, *numbers = msgspec.json.decode(urlsafe_b64decode(text), type=tuple[str, int, int, int])
    except (ValueError, TypeError, binascii.Error):  # also what msgspec raises
        name, numbers = "", []
    if name != queue.name or not all(0 < number <= _LARGEST_INTEGER for number in numbers):
        raise QueueError(f"{text!r} is no receipt handle of queue {queue.name}.", "ReceiptHandleIsInvalid")
    id, attempt, token = numbers
    return Delivery(id, Subscription.of_queue(queue.name), _NOTHING, attempt, _NOTHING.time, 0, token)


#: The event of a delivery that only names a lease.
_NOTHING: Final = Event(
    id="-",
    detail_type="Receipt handle",
    source="eventrouter.queue",
    time=datetime.fromisoformat("1970-01-01T00:00:00Z"),
    detail_json=msgspec.Raw(b"{}"),
)
