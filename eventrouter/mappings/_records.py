"""Records: what a poller has read from a source, in the form in which a function receives it. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from eventrouter.errors import InvalidEventError
from eventrouter.patterns import Pattern
from eventrouter.queues import Message

#: When the records of a batch have so many bytes, it is handed over. A function takes 6 MB, with what is around them.
LARGEST_BATCH: Final = 5_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Record:
    """One of the things that a source gives.

    Attributes:
        id: What a function names it by among `batchItemFailures`: a message id, or a sequence number.
        data: What the function receives: a mapping with JSON in it.
        body: The body of a message, decoded if it is a JSON object.
        size: Bytes, about.
        arrived: When the source was given it.
        receipt: By what a queue knows it.
    """

    id: str
    data: dict[str, Any]
    body: Any
    size: int
    arrived: datetime
    receipt: Message | None = None

    def matches(self, filters: Sequence[Pattern]) -> bool:
        """Say whether one of the filters lets it through; none lets all through.

        A body that is JSON is looked into; any other is a string (AWS Lambda developer guide, "Lambda event
        filtering").
        """
        if not filters:
            return True
        try:
            return any(pattern.matches(self.shown) for pattern in filters)
        except InvalidEventError:  # such as one with NaN, or arrays that combine in too many ways
            return False

    @property
    def shown(self) -> dict[str, Any]:
        """What filters and pipes see: the data, with a body that is JSON decoded."""
        return self.data if self.receipt is None else self.data | {"body": self.body}


def message_record(message: Message, *, arn: str, region: str) -> Record:
    """Make a record of a message, with SQS's keys (AWS Lambda developer guide, "Using Lambda with Amazon SQS")."""
    is_text = isinstance(message.body, str)
    text = message.body if isinstance(message.body, str) else base64.b64encode(message.body).decode()
    sent = str((message.sent_at - _EPOCH) // _MILLISECOND)
    attributes = {
        "ApproximateReceiveCount": str(message.receive_count),
        "SentTimestamp": sent,
        "ApproximateFirstReceiveTimestamp": sent,
        "SenderId": "eventrouter",
    }
    given = {
        "MessageGroupId": message.message_group_id,
        "MessageDeduplicationId": message.deduplication_id,
        "AWSTraceHeader": message.trace_header,
        "DeadLetterQueueSource": message.dead_letter_source,
    }
    attributes |= {name: value for name, value in given.items() if value is not None}
    data = {
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": text,
        "attributes": attributes,
        "messageAttributes": {
            name: {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
            for name, value in message.attributes.items()
        },
        "md5OfBody": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }
    return Record(
        message.message_id, data, _decoded(text) if is_text else text, len(text), message.sent_at, receipt=message
    )


def _decoded(text: str) -> Any:
    """Decode a body that is a JSON object; anything else is looked at as text."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def stream_record(number: int, item: Any, *, source: str, arn: str, region: str, arrived: datetime) -> Record:
    """Make a record of what comes in a stream: an archived event, or an item of an iterator.

    Args:
        number: Its place in the stream, rising.
        item: Data with a form as JSON.
        source: `eventrouter:archive` or `eventrouter:iterator`.
        arn: Names the stream.
        region: The router's.
        arrived: When the source was given it.
    """
    data = {
        "sequenceNumber": str(number),
        "data": item,
        "approximateArrivalTimestamp": (arrived - _EPOCH) / timedelta(seconds=1),
        "eventSource": source,
        "eventSourceARN": arn,
        "awsRegion": region,
    }
    return Record(str(number), data, item, len(msgspec.json.encode(item)), arrived)
