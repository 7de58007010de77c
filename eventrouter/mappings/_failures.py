"""What is told of a batch that was given up. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eventrouter.mappings._stream_poller import Discarded


def failure_record(discarded: Discarded, arn: str, request_id: str, now: datetime) -> dict[str, Any]:
    """Make the record of a batch (AWS Lambda developer guide, "Destinations for discarded batches").

    In place of a pointer into the stream, which may have gone on, it has the records themselves as its `payload`.

    Args:
        discarded: The batch.
        arn: Who was given it.
        request_id: Of the record.
        now: When.
    """
    first, last = discarded.records[0], discarded.records[-1]
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _written(now),
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.attempts,
        },
        "batchInfo": {
            "eventSourceARN": first.data["eventSourceARN"],
            "batchSize": len(discarded.records),
            "startSequenceNumber": first.id,
            "endSequenceNumber": last.id,
            "approximateArrivalOfFirstRecord": _written(first.arrived),
            "approximateArrivalOfLastRecord": _written(last.arrived),
        },
        "payload": {"Records": [item.data for item in discarded.records]},
    }
    if discarded.error is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
        record["responsePayload"] = discarded.error.response or {"errorMessage": discarded.error.reason}
    return record


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"
