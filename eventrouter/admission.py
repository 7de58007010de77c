"""What becomes of what is put: an accepted event with its receivers, or a refusal. Nothing here waits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from eventrouter._ids import new_ids
from eventrouter.delivery._workers import current_delivery
from eventrouter.errors import DepthLimitError, InvalidEventError, InvalidResultError, NotFoundError
from eventrouter.event import Event, EventEntry, entry_size
from eventrouter.records import Accepted, Archiving, Deduplication, Delivery
from eventrouter.rules import Archive, Route

MAXIMUM_ENTRIES: Final = 100  # a call, as in EventBridge's newer API; the classic one takes 10
MAXIMUM_REQUEST_SIZE: Final = 256 * 1024  # bytes of all entries of a call (EventBridge user guide)
#: How long a deduplication id counts (EventBridge, `DeduplicationId`).
DEDUPLICATION_WINDOW: Final = timedelta(minutes=5)

_NO_ATTRIBUTES: Final[Mapping[str, str]] = {}

SuccessCode: TypeAlias = Literal["PUBLISHED", "DEDUPLICATED"]


class PutResult(msgspec.Struct, frozen=True, gc=False):
    """What became of one entry: an event id, or an error.

    Attributes:
        event_id: The id of the accepted event, or None. A duplicate has the id of the event that was published.
        error_code: EventBridge's code for the refusal, such as `MalformedDetail`, or None.
        error_message: The reason in words, or None.
        success_code: `PUBLISHED`, or `DEDUPLICATED` when the same was published before; None when it was refused.
    """

    event_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    success_code: SuccessCode | None = None


def results_of(admitted: Sequence[Accepted | PutResult], duplicates: Sequence[str | None]) -> list[PutResult]:
    """Say what became of entries, given what the store said of those that were accepted."""
    earlier_ids = iter(duplicates)
    results: list[PutResult] = []
    for item in admitted:
        if isinstance(item, PutResult):
            results.append(item)
            continue
        earlier = next(earlier_ids)
        if earlier is not None:
            results.append(PutResult(earlier, None, None, "DEDUPLICATED"))
        else:
            results.append(PutResult(item.event.id, None, None, "PUBLISHED"))
    return results


@dataclass(frozen=True)
class Admission:
    """Decides about what is put on the buses of a router.

    Attributes:
        account: Of the events.
        region: Of the events.
        maximum_depth: How long a chain of causes may be.
        maximum_hops: How often one event may be handed on.
        route: Gives who receives an event, from the event, its bus and its principal. Raises `InvalidEventError` when
            the principal may not put it, and `NotFoundError` when there is no such bus.
    """

    account: str
    region: str
    maximum_depth: int
    maximum_hops: int
    route: Callable[[Event, str, str | None], Route]

    def of_entries(
        self,
        entries: Sequence[EventEntry],
        now: datetime,
        *,
        received: datetime,
        principal: str | None,
        by_content: bool,
    ) -> list[Accepted | PutResult]:
        """Decide about the entries of one call, in their order.

        Args:
            entries: What is put.
            now: When, by the time of deliveries.
            received: When, by the wall clock: the time of events that have none of their own.
            principal: Who puts them.
            by_content: Whether they are deduplicated by their content.

        Raises:
            InvalidEventError: `ValidationException`: there are too few or too many of them, or they are too large.
        """
        if not 1 <= len(entries) <= MAXIMUM_ENTRIES:
            raise InvalidEventError(
                f"A call takes 1 to {MAXIMUM_ENTRIES} entries, got {len(entries)}.", "ValidationException"
            )
        received = received.replace(microsecond=0)
        causes, inherited = _cause(current_delivery())
        is_too_deep = len(causes) > self.maximum_depth
        size = 0
        admitted: list[Accepted | PutResult] = []
        for entry, id in zip(entries, new_ids(len(entries)), strict=True):  # hot
            try:
                event = Event.from_entry(entry, id=id, now=received, account=self.account, region=self.region)
                subscriptions, ordered, archives = self.route(event, entry.event_bus_name, principal)
            except InvalidEventError as error:
                admitted.append(PutResult(None, error.error_code, error.reason))
                continue
            except NotFoundError as error:
                admitted.append(PutResult(None, "ResourceNotFoundException", str(error)))
                continue
            size += entry_size(event, has_time=entry.time is not None)
            if is_too_deep:
                admitted.append(self._too_far(len(causes), 0))
                continue
            deduplication = None
            if by_content or entry.deduplication_id is not None:
                deduplication = _deduplication(event, entry, now)
            # By position: with names, making one takes half as long again.
            admitted.append(
                Accepted(
                    event,
                    now,
                    subscriptions,
                    0,
                    causes,
                    entry.trace_header or inherited,
                    entry.event_group_id,
                    ordered,
                    (),
                    deduplication,
                    entry.event_bus_name,
                    _NO_ATTRIBUTES,
                    kept_by(archives, now) if archives else (),
                )
            )
        if size > MAXIMUM_REQUEST_SIZE:
            raise InvalidEventError(
                f"Total size of the entries in the request is over the limit. ({size} of {MAXIMUM_REQUEST_SIZE} bytes)",
                "ValidationException",
            )
        return admitted

    def _too_far(self, depth: int, hops: int) -> PutResult:
        """Refuse an event that would go on for ever."""
        if depth > self.maximum_depth:
            reason = (
                f"The event would be number {depth} in a chain, each put by the handler of the one before; "
                f"the limit is {self.maximum_depth}."
            )
        else:
            reason = f"The event has been handed on {hops} times; the limit is {self.maximum_hops}."
        return PutResult(None, "RecursiveInvocationException", reason)

    def of_events(
        self,
        events: Sequence[Event],
        event_bus_name: str,
        now: datetime,
        *,
        principal: str | None,
        hops: int,
        trace_header: str | None,
    ) -> list[Accepted | PutResult]:
        """Decide about events that somebody has accepted already, in their order.

        What is known of an event that a handler of ours hands on stays with it.
        """
        parent = current_delivery()
        admitted: list[Accepted | PutResult] = []
        for event in events:
            if not isinstance(event, Event):
                reason = f"What is forwarded must be an Event, got {type(event).__name__}; Event.from_json makes one."
                admitted.append(PutResult(None, "InvalidArgument", reason))
                continue
            try:
                route = self.route(event, event_bus_name, principal)
            except InvalidEventError as error:
                admitted.append(PutResult(None, error.error_code, error.reason))
                continue
            except NotFoundError as error:
                admitted.append(PutResult(None, "ResourceNotFoundException", str(error)))
                continue
            causes: tuple[str, ...] = ()
            group, header, handed_on = None, trace_header, hops
            if parent is not None:
                is_same = parent.event.id == event.id
                causes = parent.causes if is_same else (*parent.causes, parent.event.id)
                group = parent.group if is_same else None
                header = header or parent.trace_header
                # A handler that hands its own event on does what a bus target does, and need not count for itself.
                handed_on = max(hops, parent.hops + 1) if is_same else hops
                if len(causes) > self.maximum_depth or handed_on > self.maximum_hops:
                    admitted.append(self._too_far(len(causes), handed_on))
                    continue
            admitted.append(
                Accepted(
                    event,
                    now,
                    route.subscriptions,
                    handed_on,
                    causes,
                    header,
                    group,
                    route.ordered,
                    event_bus_name=event_bus_name,
                    archives=kept_by(route.archives, now),
                )
            )
        return admitted

    def of_returned(self, entries: Sequence[EventEntry], now: datetime) -> tuple[Accepted, ...]:
        """Decide about entries that a handler has returned: all of them are accepted, or it has failed.

        Their cause is the delivery being handled. They keep the limits of one call of `put_events`.

        Raises:
            DepthLimitError: The chain of causes would be too long.
            InvalidResultError: One of them cannot be put, or all of them together.
        """
        if not entries:
            return ()
        try:
            admitted = self.of_entries(entries, now, received=now, principal=None, by_content=False)
        except InvalidEventError as error:
            raise InvalidResultError(
                f"The target returned too much at once: {error.reason} Put it with put_events, in several calls."
            ) from error
        children: list[Accepted] = []
        for item in admitted:
            if isinstance(item, Accepted):
                children.append(item)
            elif item.error_code == "RecursiveInvocationException":
                raise DepthLimitError(item.error_message)
            else:
                raise InvalidResultError(f"The event cannot be put: {item.error_code}: {item.error_message}")
        return tuple(children)


def kept_by(archives: Sequence[Archive], now: datetime) -> tuple[Archiving, ...]:
    """Say which archives keep what is accepted *now*, and for how long."""
    return tuple(
        Archiving(archive.name, None if archive.retention is None else now + archive.retention) for archive in archives
    )


def _cause(parent: Delivery | None) -> tuple[tuple[str, ...], str | None]:
    """Give what events inherit from the delivery in whose handler they are put: their causes, and a trace header."""
    return ((), None) if parent is None else ((*parent.causes, parent.event.id), parent.trace_header)


def _deduplication(event: Event, entry: EventEntry, now: datetime) -> Deduplication:
    scope = f"{entry.event_bus_name}/{entry.event_group_id or ''}"
    return Deduplication(scope, entry.deduplication_id or _content_hash(event), now + DEDUPLICATION_WINDOW)


def check_is_list(items: object, what: str) -> None:
    """Refuse what a call cannot go through in order, and more than once.

    Raises:
        InvalidEventError: `ValidationException`: it is one item without a list, a generator or a mapping.
    """
    if isinstance(items, list | tuple) or (isinstance(items, Sequence) and not isinstance(items, str | bytes)):
        return
    hint = "put it in a list" if isinstance(items, EventEntry | Event | Mapping) else "make a list of it"
    raise InvalidEventError(
        f"A call takes a list of {what}, got {type(items).__name__}; {hint}.", "ValidationException"
    )


def _content_hash(event: Event) -> str:
    parts = (event.source, event.detail_type, *event.resources)
    content = msgspec.json.encode(parts) + bytes(event.detail_json)
    return hashlib.sha256(content).hexdigest()
