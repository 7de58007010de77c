"""Invocations: what is asked, what is answered, and how a store keeps one. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

from eventrouter.errors import InvokeError
from eventrouter.event import Event, encode_json
from eventrouter.queues import Sending
from eventrouter.records import Accepted, Delivery, Subscription
from eventrouter.templates import TransformContext
from eventrouter.transform import TargetInput

InvocationType: TypeAlias = Literal["RequestResponse", "Event", "DryRun"]
LogType: TypeAlias = Literal["None", "Tail"]

#: Bytes of a payload (AWS Lambda quotas).
MAXIMUM_PAYLOAD: Final = 6 * 1024 * 1024
MAXIMUM_ASYNC_PAYLOAD: Final = 1024 * 1024
MAXIMUM_LOG_RESULT: Final = 4 * 1024

#: Who speaks in the event that carries an invocation through a store.
_SOURCE: Final = "eventrouter.function"


@dataclass(frozen=True, slots=True)
class Request:
    """One invocation to be made.

    Attributes:
        request_id: The same for every attempt of it.
        payload: JSON text.
        invoked_arn: The ARN it was invoked by, with its qualifier if there was one.
        principal: Who invokes; None for the process itself.
        client_context: What the invoker says of itself, as data.
    """

    request_id: str
    payload: bytes
    invoked_arn: str
    principal: str | None = None
    client_context: Any = None


@dataclass(frozen=True, slots=True)
class InvokeResponse:
    """What an invocation is answered with (Lambda, `Invoke`).

    Attributes:
        status_code: 200 for `RequestResponse`, 202 for `Event`, 204 for `DryRun`.
        request_id: Of the invocation.
        payload: JSON text: the result, or a description of the error. None unless something was run.
        function_error: `Unhandled` when the function failed, else None.
        executed_version: The version that was run; None unless something was.
        log: The lines of the invocation's log, if they were asked for.
    """

    status_code: int
    request_id: str
    payload: bytes | None = None
    function_error: str | None = None
    executed_version: str | None = None
    log: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def value(self) -> Any:
        """The payload as data: the result, or `errorType`, `errorMessage` and as far as there are some `stackTrace`."""
        return None if self.payload is None else msgspec.json.decode(self.payload)

    @property
    def log_result(self) -> str | None:
        """The last 4 KB of the log in base64, as Lambda gives it; None if it was not asked for."""
        if self.log is None:
            return None
        return base64.b64encode("\n".join(self.log).encode()[-MAXIMUM_LOG_RESULT:]).decode()

    def to_dict(self) -> dict[str, Any]:
        """Give it with the keys that boto3 has, `Payload` as bytes."""
        members = {
            "StatusCode": self.status_code,
            "FunctionError": self.function_error,
            "LogResult": self.log_result,
            "Payload": self.payload if self.payload is not None else b"",
            "ExecutedVersion": self.executed_version,
        }
        return {name: value for name, value in members.items() if value is not None}


class Handover(Sending):
    """An asynchronous invocation that begins when the delivery ends that led to it."""

    @property
    def response(self) -> dict[str, Any]:
        """What a record of that delivery has as its response."""
        return {"StatusCode": 202}


class _Kept(msgspec.Struct):
    """What the detail is of the event that carries an invocation through a store."""

    payload: msgspec.Raw


class _KeptPayload(TargetInput):
    """Gives the payload back."""

    def apply(self, event: Event, context: TransformContext) -> bytes:  # noqa: ARG002 - of every input
        """Give the payload of the invocation that the event stands for."""
        if event.source != _SOURCE:
            return event.to_json()
        return bytes(msgspec.json.decode(event.detail_json, type=_Kept).payload)


KEPT_PAYLOAD: Final = _KeptPayload()


def check_invocation(invocation_type: str, log_type: str, client_context: object) -> None:
    """Raise `InvokeError` when an argument of an invocation is none that Lambda knows."""
    if invocation_type not in ("RequestResponse", "Event", "DryRun"):
        raise InvokeError(f"invocation_type is {invocation_type!r}; use RequestResponse, Event or DryRun")
    if log_type not in ("None", "Tail"):
        raise InvokeError(f"log_type is {log_type!r}; use None or Tail, as text")
    if invocation_type == "Event" and (log_type == "Tail" or client_context is not None):
        raise InvokeError("log_type and client_context are for invocations that are waited for, not for Event")


def encode_payload(payload: object, invocation_type: InvocationType) -> bytes:
    """Write what a function is to be invoked with: bytes are JSON text, anything else is data.

    Raises:
        InvokeError: `InvalidRequestContentException`: it has no form as JSON. `RequestTooLargeException`.
    """
    try:
        encoded = encode_json(msgspec.json.decode(payload) if isinstance(payload, bytes) else payload)
    except (ValueError, RecursionError) as error:
        raise InvokeError(
            f"Could not parse request body into json: {error}", "InvalidRequestContentException"
        ) from error
    limit = MAXIMUM_ASYNC_PAYLOAD if invocation_type == "Event" else MAXIMUM_PAYLOAD
    if len(encoded) > limit:
        raise InvokeError(
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation; it has {len(encoded)}",
            "RequestTooLargeException",
        )
    return encoded


def accept(request: Request, subscription: Subscription, now: datetime, parent: Delivery | None) -> Accepted:
    """Make of an asynchronous invocation what a store keeps.

    Args:
        request: The invocation.
        subscription: Whose.
        now: When.
        parent: The delivery in whose handling it is made.
    """
    event = Event(
        id=request.request_id,
        detail_type="Lambda Function Invocation",
        source=_SOURCE,
        time=now.replace(microsecond=0),
        resources=(request.invoked_arn,),
        detail_json=msgspec.Raw(msgspec.json.encode(_Kept(msgspec.Raw(request.payload)))),
    )
    causes = () if parent is None else (*parent.causes, parent.event.id)
    return _accepted(event, subscription, now, parent, causes)


def hand_over(delivery: Delivery, arn: str, subscription: Subscription, now: datetime) -> Accepted:
    """Make of a rule's delivery an asynchronous invocation: its payload is what the target receives.

    The id of the event becomes the id of the request, so an event can be followed through all that receive it.
    """
    if delivery.input is None and delivery.event.source != _SOURCE:
        return _accepted(delivery.event.copy(), subscription, now, delivery, delivery.causes)
    accepted = accept(Request(delivery.event.id, delivery.payload, arn), subscription, now, delivery)
    return msgspec.structs.replace(accepted, causes=delivery.causes)


def _accepted(
    event: Event, subscription: Subscription, now: datetime, parent: Delivery | None, causes: tuple[str, ...]
) -> Accepted:
    return Accepted(
        event,
        now,
        (subscription,),
        hops=0 if parent is None else parent.hops,
        causes=causes,
        trace_header=None if parent is None else parent.trace_header,
        group=None if parent is None else parent.group,
        event_bus_name=subscription.event_bus_name,
    )
