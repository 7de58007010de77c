"""What else follows from a delivery that has ended: records for destinations, dead letters for targets, child events.

All of it is decided here, without a clock and without waiting, and written by the store in the transaction that ends
the delivery. Where it goes has a subscription of its own, below that of the target: `/` is in no target's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

import msgspec

from eventrouter.abc import Target
from eventrouter.delivery._conclude import target_arn, unwrapped
from eventrouter.delivery._input import with_input
from eventrouter.delivery._receivers import LastResort, RecordReceiver
from eventrouter.delivery.describe import described
from eventrouter.errors import FunctionError, InvalidEventError, InvalidResultError, ZeroConcurrencyError
from eventrouter.event import MAXIMUM_DEPTH, Event, EventEntry, encode_detail
from eventrouter.filters import detail_types
from eventrouter.records import Accepted, DeadLettered, Delivery, Dropped, Executed, Subscription
from eventrouter.retry import ExhaustedRetryCondition
from eventrouter.targets.bus import BusTarget

Condition: TypeAlias = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]

#: What Lambda calls the limits. It knows no error that is permanent: one leaves no retries to be made.
_CONDITIONS: Final[Mapping[ExhaustedRetryCondition | None, Condition]] = {
    "MaximumRetryAttempts": "RetriesExhausted",
    "MaximumEventAgeInSeconds": "EventAgeExceeded",
    None: "RetriesExhausted",
}
_FUNCTION: Final = re.compile(r"arn:[^:]*:lambda:[^:]*:[^:]*:function:[^:]+(?::([^:]+))?")
_LATEST: Final = "$LATEST"
_AROUND_RESULT: Final = len(b'{"responsePayload":'), len(b"}")


class Deliveries(Protocol):
    """The part of the dispatcher that is told of targets."""

    def put_target(self, subscription: Subscription, target: Target) -> None:
        """Deliver to *target* from the next attempt on."""
        ...

    def remove_target(self, subscription: Subscription) -> None:
        """Expect no new deliveries."""
        ...

    def is_busy(self, subscription: Subscription) -> bool:
        """Say whether a subscription has deliveries that have not ended."""
        ...


class Subscribers:
    """Targets, each with its destinations and the target that is its dead-letter queue.

    Args:
        deliveries: Told of all of them.
    """

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._related: dict[Subscription, Mapping[Subscription, Target]] = {}
        self._leaving: set[Subscription] = set()  # removed, and what belongs to them may still be needed

    def put(self, subscription: Subscription, target: Target) -> None:
        """Add a target or replace the one of that subscription, with all that belongs to it."""
        related = dict(_related(subscription, target))
        self._leaving.discard(subscription)
        self._deliveries.put_target(subscription, target)
        for gone in self._related.pop(subscription, {}).keys() - related.keys():
            self._deliveries.remove_target(gone)
        if related:
            self._related[subscription] = related
        for other, receiver in related.items():
            self._deliveries.put_target(other, receiver)
        self._let_go()

    def remove(self, subscription: Subscription) -> None:
        """Remove a target. What belongs to it stays while deliveries go on, from which more may follow."""
        self._deliveries.remove_target(subscription)
        if subscription in self._related:
            self._leaving.add(subscription)
        self._let_go()

    def _let_go(self) -> None:
        """Remove what belonged to removed targets whose deliveries have ended.

        At each change of targets, as nothing that grows comes but by one.
        """
        for subscription in list(self._leaving):
            related = self._related[subscription]
            if not any(map(self._deliveries.is_busy, (subscription, *related))):
                self._leaving.remove(subscription)
                del self._related[subscription]
                for other in related:
                    self._deliveries.remove_target(other)


def _related(subscription: Subscription, target: Target) -> Iterator[tuple[Subscription, Target]]:
    """Give the subscriptions that deliveries of a target may be followed by, each with whom it stands for."""
    for name in ("on_success", "on_failure"):
        for destination in getattr(target, name):
            below = _below(subscription, f"{name}/{destination.id}")
            yield below, RecordReceiver.of(destination)
            yield from _related(below, destination)
    if isinstance(target.dead_letter_queue, Target):
        yield _below(subscription, "dead_letter_queue"), LastResort.of(target.dead_letter_queue)


def _below(subscription: Subscription, name: str) -> Subscription:
    return subscription._replace(target_id=f"{subscription.target_id}/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The present in which something follows from a delivery.

    Attributes:
        now: When the delivery ended.
        account: The `account` of events made here.
        region: The `region` of events made here.
        new_id: Gives their ids.
    """

    now: datetime
    account: str
    region: str
    new_id: Callable[[], str]

    def of_success(
        self, delivery: Delivery, target: Target, result: object, children: tuple[Accepted, ...]
    ) -> tuple[Accepted, ...]:
        """Give what follows from a delivery that succeeded: its child events, and records.

        Args:
            delivery: The delivery.
            target: Of the delivery.
            result: What it returned.
            children: The events that this is, if it is any.

        Raises:
            InvalidResultError: There is to be a record, and the result has no JSON form.
        """
        if not target.on_success:
            return children
        if children:  # the record shows what was put, with the ids
            events = [child.event for child in children]
            payload = msgspec.json.encode(events if isinstance(result, list | tuple) else events[0])
        elif isinstance(result, Executed):
            return self._records(
                "on_success", delivery, target, "Success", result.payload, executed_version=result.executed_version
            )
        else:
            payload = encode_result(result)
        return children + self._records("on_success", delivery, target, "Success", payload)

    def of_failure(self, outcome: DeadLettered | Dropped, target: Target, error: Exception) -> tuple[Accepted, ...]:
        """Give what follows from a delivery that was given up: its way to a dead-letter queue, and records."""
        delivery = outcome.delivery
        letters: tuple[Accepted, ...] = ()
        if isinstance(outcome, Dropped):
            condition = outcome.exhausted_retry_condition
        else:
            letter = outcome.dead_letter
            condition = letter.exhausted_retry_condition
            queue = target.dead_letter_queue
            if isinstance(queue, Target):
                sent = self._sent(delivery, "dead_letter_queue", queue, letter.event, letter.causes)
                letters = (msgspec.structs.replace(sent, attributes=letter.attributes),)
        if not target.on_failure:
            return letters
        delivery = _received(delivery, target)
        if isinstance(error, ZeroConcurrencyError):
            return letters + self._records("on_failure", delivery, target, "ZeroReservedConcurrency", None)
        response, version = self._error_response(error, delivery.event.id)
        return letters + self._records(
            "on_failure", delivery, target, _CONDITIONS[condition], response, executed_version=version
        )

    @staticmethod
    def _error_response(error: Exception, request_id: str) -> tuple[bytes, str | None]:
        """Give what a record has as its response to a failure, and the version that failed if there is one."""
        if isinstance(error, FunctionError):
            return msgspec.json.encode(error.payload), error.executed_version
        return msgspec.json.encode(described(unwrapped(error), request_id)), None

    def _records(
        self,
        name: Literal["on_success", "on_failure"],
        delivery: Delivery,
        target: Target,
        condition: Condition,
        response: bytes | None,
        *,
        executed_version: str | None = None,
    ) -> tuple[Accepted, ...]:
        """Make the record of a delivery, and send a copy to each destination."""
        arn, version = _function_arn(target_arn(target, delivery.subscription, delivery.event))
        record = self._record(delivery, arn, executed_version or version, condition, response)
        causes = (*delivery.causes, delivery.event.id)
        made: list[Accepted] = []
        for destination in getattr(target, name):
            bus = destination.event_bus_name if isinstance(destination, BusTarget) else None
            event = Event(
                id=self.new_id(),
                detail_type=f"Lambda Function Invocation Result - {'Success' if name == 'on_success' else 'Failure'}",
                source="lambda",
                account=self.account,
                time=self.now.replace(microsecond=0),
                region=self.region,
                resources=(self._bus_arn(bus or delivery.subscription.event_bus_name), arn),
                detail_json=msgspec.Raw(record),
            )
            made.append(self._sent(delivery, f"{name}/{destination.id}", destination, event, causes))
        return tuple(made)

    def _record(
        self, delivery: Delivery, arn: str, version: str, condition: Condition, response: bytes | None
    ) -> bytes:
        record: dict[str, Any] = {
            "version": "1.0",
            "timestamp": self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": delivery.event.id,
                "functionArn": arn,
                "condition": condition,
                # A stopped function was not invoked by the attempt that found it so.
                "approximateInvokeCount": delivery.attempt - (response is None),
            },
            "requestPayload": msgspec.Raw(delivery.payload),
        }
        if response is not None:
            record["responseContext"] = {"statusCode": 200, "executedVersion": version} | (
                {} if condition == "Success" else {"functionError": "Unhandled"}
            )
            record["responsePayload"] = msgspec.Raw(response)
        text = msgspec.json.encode(record)
        if _is_too_deep(text):
            # The record is the detail of an event, and has its limits: what is nested too deeply goes as text.
            record["requestPayload"] = delivery.payload.decode()
            if response is not None:
                record["responsePayload"] = response.decode()
            text = msgspec.json.encode(record)
        return text

    def _sent(self, delivery: Delivery, name: str, receiver: Target, event: Event, causes: tuple[str, ...]) -> Accepted:
        # The hops go with it, so that buses which feed each other with records of records come to an end.
        subscription = _below(delivery.subscription, name)
        return Accepted(
            event,
            self.now,
            (subscription,),
            delivery.hops,
            causes,
            delivery.trace_header,
            delivery.group,
            (subscription,) if receiver.ordering == "FIFO" else (),
            event_bus_name=subscription.event_bus_name,
        )

    def _bus_arn(self, name: str) -> str:
        return f"arn:aws:events:{self.region}:{self.account}:event-bus/{name}"


def _received(delivery: Delivery, target: Target) -> Delivery:
    """Give a delivery as its target received it, also one that came back without its input, or not at all."""
    if delivery.input is not None or target.input is None:
        return delivery
    try:
        return with_input(delivery, target.input)
    except Exception:  # noqa: BLE001 - the input cannot be made of this event, for which it may have been given up
        return delivery


def encode_result(result: object) -> bytes:
    """Write what a target returned as JSON text.

    Raises:
        InvalidResultError: It has no JSON form, or is past a limit of an event's detail.
    """
    try:
        encoded = encode_detail({"responsePayload": result})
    except InvalidEventError as error:
        raise InvalidResultError(f"What the target returned cannot be written as JSON: {error}") from error
    before, after = _AROUND_RESULT
    return encoded[before:-after]


def returned_entries(result: object) -> Sequence[EventEntry]:
    """Give the entries that a target returned: one, or a list of nothing else. Any other result has none.

    An entry is an `EventEntry`, or a pydantic model that names its source as `filters.event_pattern` reads it.

    Raises:
        InvalidResultError: It is a list of entries and other things.
    """
    items = result if isinstance(result, list | tuple) else (result,)
    kinds = set(map(type, items))  # few, however long the list is
    others = [kind for kind in kinds if not _is_event(kind)]
    if len(others) == len(kinds):
        return ()
    if others:
        raise InvalidResultError(
            f"The target returned a list of events that also holds a {others[0].__name__}; all or none are events."
        )
    return [item if isinstance(item, EventEntry) else _entry(item) for item in items]


def _is_event(kind: type[Any]) -> bool:
    if issubclass(kind, EventEntry):
        return True
    return isinstance(getattr(kind, "source", None), str) and isinstance(getattr(kind, "model_fields", None), Mapping)


def _entry(model: Any) -> EventEntry:
    return EventEntry(type(model).source, detail_types(type(model))[-1], model)


def _function_arn(arn: str) -> tuple[str, str]:
    """Give the ARN with the version, as records name a function, and the version."""
    match = _FUNCTION.fullmatch(arn)
    if match is None:
        return arn, _LATEST
    return (arn, match[1]) if match[1] else (f"{arn}:{_LATEST}", _LATEST)


def _is_too_deep(text: bytes) -> bool:
    if text.count(b"{") + text.count(b"[") <= MAXIMUM_DEPTH:
        return False  # nearly always
    try:
        encode_detail(text)
    except InvalidEventError:
        return True
    return False
