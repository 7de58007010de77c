"""AWS services as targets, by clients that the caller made: this package imports no AWS library.

A client is what `boto3.client(...)` returns, or anything with the same method. Its calls run in worker threads.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import anyio
import anyio.to_thread

from eventrouter.abc import Target
from eventrouter.errors import (
    DeliveryError,
    InvalidRuleError,
    PermanentDeliveryError,
    ResourceNotFoundError,
    TransformError,
)
from eventrouter.records import Delivery
from eventrouter.targets._dynamic_path import Parameter, parameter

_THROTTLING: Final = {
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
#: Answers with a status of 4xx that another attempt may not get.
_PASSING: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalFailure",
    "RequestExpired",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResourceConflictException",  # the function is being updated
}
_NO_PERMISSIONS: Final = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "AuthorizationError",
    "InvalidClientTokenId",
    "KMSAccessDeniedException",
    "NotAuthorizedForDetailTypeException",
    "NotAuthorizedForSourceException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NO_RESOURCE: Final = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "NotFound",
    "NotFoundException",
    "QueueDoesNotExist",
    "ResourceNotFoundException",
}


class AwsError(DeliveryError):
    """The service failed, or is throttling. Retried.

    Attributes:
        aws_code: The service's own code for it.
    """

    def __init__(self, message: str, aws_code: str, error_code: str = "ERROR_FROM_TARGET") -> None:
        super().__init__(message, aws_code, error_code)  # all of it: errors get pickled
        self.aws_code, self.error_code = aws_code, error_code

    def __str__(self) -> str:
        return str(self.args[0])


class AwsRefusedError(PermanentDeliveryError):
    """The service refuses the request, and would refuse it again.

    Attributes:
        aws_code: The service's own code for it.
    """

    def __init__(self, message: str, aws_code: str, error_code: str = "INVALID_PARAMETER") -> None:
        super().__init__(message, aws_code, error_code)
        self.aws_code, self.error_code = aws_code, error_code

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, kw_only=True)
class _ClientTarget(Target):
    """One call of a client for each delivery.

    A thread cannot be stopped: after a timeout the delivery goes on to its retry while the thread may still be in its
    call. Such threads count against `maximum_concurrency` until they return, so let the client give up first.

    Attributes:
        client: The client.
    """

    client: Any = field(repr=False)
    _threads: threading.Semaphore = field(init=False, repr=False, compare=False)

    #: The method of the client that is called; a class attribute, not a field.
    _method = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(getattr(self.client, self._method, None)):
            raise InvalidRuleError(
                f"client of target {self.id} is of type {type(self.client).__name__}, without a method {self._method}",
                hint="pass boto3.client(...) for the service",
            )
        object.__setattr__(self, "_threads", threading.Semaphore(self.maximum_concurrency))

    @abstractmethod
    def _request(self, delivery: Delivery) -> dict[str, Any]:
        """Give what the client's method is called with."""

    def _check(self, answer: Mapping[str, Any]) -> None:
        """Raise what an answer means that is no exception of the client."""

    async def invoke(self, delivery: Delivery) -> None:
        """Call the client, in a worker thread."""
        call = partial(self._call, self._request(delivery))
        # anyio's own limiter, 40 threads for the whole process, would let one slow target starve the others.
        self._check(await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)))

    def _call(self, request: dict[str, Any]) -> Any:
        # Taken and given back by the thread itself: only so is an abandoned thread counted until it really ends.
        if not self._threads.acquire(blocking=False):
            raise DeliveryError(
                f"All {self.maximum_concurrency} threads of target {self.id} are busy with attempts that timed out."
            )
        try:
            return getattr(self.client, self._method)(**request)
        except Exception as error:
            classified = _classified(error)
            if classified is error:
                raise
            raise classified from error
        finally:
            self._threads.release()


@dataclass(frozen=True, kw_only=True)
class _MessageTarget(_ClientTarget):
    """One message for each delivery, to what may be a FIFO queue or topic.

    Attributes:
        message_group_id: The message group: text, or a path into the event such as `$.detail.customer`. FIFO needs
            one; when it is None, the event's own group is it. For FIFO, the event's id is the deduplication id, so a
            repeated delivery within five minutes is no second message.
    """

    message_group_id: str | None = None
    _group: Parameter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        group = parameter("message_group_id", self.message_group_id or "")
        object.__setattr__(self, "_group", group)

    def _groups(self, delivery: Delivery, destination: str) -> dict[str, str]:
        group = self._group(delivery.event) or (delivery.group if self.message_group_id is None else None)
        if not destination.endswith(".fifo"):
            return {"MessageGroupId": group} if group and self.message_group_id else {}
        if not group:
            raise TransformError(f"Target {self.id} is FIFO, and the event has no message group.")
        return {"MessageGroupId": group, "MessageDeduplicationId": delivery.event.id}


@dataclass(frozen=True, kw_only=True)
class SqsTarget(_MessageTarget):
    """Send the event to an SQS queue.

    Attributes:
        client: `boto3.client("sqs")`.
        queue_url: The queue.
        message_group_id: See `ordering` for the order in which events leave here; with `FIFO` it is the order of the
            message group as well.
    """

    queue_url: str
    _method = "send_message"

    def _request(self, delivery: Delivery) -> dict[str, Any]:
        groups = self._groups(delivery, self.queue_url)
        return {"QueueUrl": self.queue_url, "MessageBody": delivery.payload.decode(), **groups}


@dataclass(frozen=True, kw_only=True)
class SnsTarget(_MessageTarget):
    """Publish the event to an SNS topic.

    Attributes:
        client: `boto3.client("sns")`.
        topic_arn: The topic.
    """

    topic_arn: str
    _method = "publish"

    def _request(self, delivery: Delivery) -> dict[str, Any]:
        groups = self._groups(delivery, self.topic_arn)
        return {"TopicArn": self.topic_arn, "Message": delivery.payload.decode(), **groups}


@dataclass(frozen=True, kw_only=True)
class LambdaTarget(_ClientTarget):
    """Invoke a Lambda function with the event.

    Attributes:
        client: `boto3.client("lambda")`.
        function_name: Name or ARN of the function.
        qualifier: A version or alias; None for the latest version.
        invocation_type: `Event` hands the event over, as EventBridge does, and how the function ends is Lambda's
            business; `RequestResponse` waits for its end, and an error of the function is a failed attempt.
    """

    function_name: str
    qualifier: str | None = None
    invocation_type: Literal["Event", "RequestResponse"] = "Event"
    _method = "invoke"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("invocation_type", ("Event", "RequestResponse"))

    def _request(self, delivery: Delivery) -> dict[str, Any]:
        request = {
            "FunctionName": self.function_name,
            "InvocationType": self.invocation_type,
            "Payload": delivery.payload,
        }
        return request if self.qualifier is None else {**request, "Qualifier": self.qualifier}

    def _check(self, answer: Mapping[str, Any]) -> None:
        error = answer.get("FunctionError")
        if error:
            raise AwsError(f"The function {self.function_name} failed: {error}.", str(error))


@dataclass(frozen=True, kw_only=True)
class EventBridgeTarget(_ClientTarget):
    """Put the event on an event bus of AWS, which gives it a new id.

    The event itself is put, whatever input the target has.

    Attributes:
        client: `boto3.client("events")`.
        event_bus_name: Name or ARN of the bus.
    """

    event_bus_name: str = "default"
    _method = "put_events"

    def _request(self, delivery: Delivery) -> dict[str, Any]:
        event = delivery.event
        entry = {
            "Time": event.time,
            "Source": event.source,
            "Resources": list(event.resources),
            "DetailType": event.detail_type,
            "Detail": bytes(event.detail_json).decode(),
            "EventBusName": self.event_bus_name,
        }
        return {"Entries": [entry]}

    def _check(self, answer: Mapping[str, Any]) -> None:
        for entry in answer.get("Entries", ()):
            code = entry.get("ErrorCode")
            if code:
                raise _meaning(code, f"{code}: {entry.get('ErrorMessage', '')}", status=400)


def _classified(error: Exception) -> Exception:
    """Give what an exception of a client means for delivery; the same if there is nothing to know."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        return _meaning(str(response["Error"].get("Code", "")), str(error), status)
    if type(error).__name__ == "ParamValidationError":  # botocore's, before anything is sent
        return AwsRefusedError(str(error), "ParamValidationError")
    return error


def _meaning(code: str, message: str, status: int) -> DeliveryError:
    name = code.rpartition("#")[2]  # some services put their name space in front
    if name in _THROTTLING or status == 429:  # noqa: PLR2004
        return AwsError(message, code, "THROTTLING")
    if name in _PASSING or status >= 500:  # noqa: PLR2004
        return AwsError(message, code)
    if name in _NO_RESOURCE or status == 404:  # noqa: PLR2004
        return ResourceNotFoundError(message)
    if name in _NO_PERMISSIONS or status in (401, 403):
        return AwsRefusedError(message, code, "NO_PERMISSIONS")
    return AwsRefusedError(message, code)
