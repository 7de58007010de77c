"""Events and entries: EventBridge's envelope, its limits, and its JSON both ways.

An *entry* is what a caller hands in, an *event* is what a bus has accepted. The detail of an event is kept as
JSON text on one line and decoded when somebody asks for it: an accepted event
costs one encoding however many targets receive it, and no target can see what another one did to its copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Final, Self, TypeAlias

import msgspec

from eventrouter.errors import InvalidEventError

MAXIMUM_DETAIL_TYPE_LENGTH: Final = 128  # characters (botocore's service model)
MAXIMUM_ID_LENGTH: Final = 128  # characters of a group's or deduplication's id (botocore's service model)
MAXIMUM_RESOURCE_LENGTH: Final = 2_048  # characters (botocore's service model)
MAXIMUM_DEPTH: Final = 1_000  # levels of nesting (botocore's service model)

#: What an entry takes as its detail: a mapping, a pydantic model, a dataclass, or the JSON text of an object.
Detail: TypeAlias = "Mapping[str, Any] | str | bytes | object"

# What is checked when an event is read from JSON; entries have checks, and texts, of their own.
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Name = Annotated[str, msgspec.Meta(min_length=1)]


class EventEntry(msgspec.Struct, frozen=True):
    """What a caller hands to `EventRouter.put_events`. Checked there, so that one bad entry is one bad result.

    Attributes:
        source: Who speaks, such as `shop.orders`. Names beginning with `aws.` are AWS's own.
        detail_type: What happened, free text of at most 128 characters.
        detail: A JSON object: a mapping, a pydantic model, a dataclass, or JSON text. It is encoded once, when the
            entry is accepted; changing the mapping afterwards changes nothing. `Decimal` becomes a JSON number; in a
            model, only one that has no more digits than a double, for others would not come back the same.
        time: When it happened, an aware datetime; the time of acceptance if None. Kept to the second, in UTC.
        resources: ARNs or other names of what it is about, each at most 2,048 characters.
        event_bus_name: The bus that takes it.
        event_group_id: The group whose events targets with `ordering="FIFO"` receive in order; at most 128 characters.
        deduplication_id: An entry with the same one, on the same bus and in the same group, is accepted once within
            5 minutes; at most 128 characters.
        trace_header: Trace context that goes with the event to its targets, as W3C's `traceparent`.
    """

    source: str
    detail_type: str
    detail: Detail
    time: datetime | None = None
    resources: Sequence[str] = ()
    event_bus_name: str = "default"
    event_group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    dict=True,
    rename={"detail_type": "detail-type", "replay_name": "replay-name", "detail_json": "detail"},
):
    """An event that a bus has accepted (EventBridge user guide, "Events").

    Immutable but for what `detail` returns, which belongs to whoever holds this object: every target, and every
    attempt, is given an object of its own.

    Attributes:
        version: `"0"`, EventBridge's version of this envelope.
        id: UUID4 given by the bus, the same for every rule and target that receives the event.
        detail_type: What happened; `detail-type` in JSON.
        source: Who spoke.
        account: Twelve digits.
        time: Aware, UTC, to the second.
        region: Where.
        replay_name: The replay that sent it again; left out of the JSON otherwise.
        resources: What it is about.
        detail_json: The detail as JSON text, UTF-8, on one line.
    """

    # The order is that of real EventBridge, and so of the JSON.
    version: str = "0"
    id: _Name
    detail_type: _Name
    source: _Name
    account: str = "000000000000"
    time: _Instant
    region: str = "local"
    replay_name: str | msgspec.UnsetType = msgspec.UNSET
    resources: tuple[str, ...] = ()
    detail_json: msgspec.Raw

    @classmethod
    def from_entry(cls, entry: EventEntry, *, id: str, now: datetime, account: str, region: str) -> Self:
        """Make the event that accepting *entry* at the instant *now*, in UTC and to the second, results in.

        Raises:
            InvalidEventError: The entry breaks a rule of the envelope; its `error_code` is EventBridge's.
        """
        if not isinstance(entry, EventEntry):
            raise InvalidEventError(f"An entry must be an EventEntry, got {type(entry).__name__}.")
        source, detail_type = entry.source, entry.detail_type
        # Nearly always all of it is well, which one look shows; calls of _require_text cost a quarter of the whole.
        if not (
            type(source) is type(detail_type) is str
            and source.isascii()
            and detail_type.isascii()
            and source
            and 0 < len(detail_type) <= MAXIMUM_DETAIL_TYPE_LENGTH
        ):
            _require_text("Source", source)
            _require_text("DetailType", detail_type, MAXIMUM_DETAIL_TYPE_LENGTH)
        if entry.detail is None:
            raise _invalid("Detail", "Detail is a required argument.")
        if source.startswith("aws."):
            raise InvalidEventError(
                "Not authorized for the source: names that begin with 'aws.' are reserved.",
                "NotAuthorizedForSourceException",
            )
        if entry.event_group_id is not None:
            _require_text("EventGroupId", entry.event_group_id, MAXIMUM_ID_LENGTH)
        if entry.deduplication_id is not None:
            _require_text("DeduplicationId", entry.deduplication_id, MAXIMUM_ID_LENGTH)
        if entry.trace_header is not None:
            _require_text("TraceHeader", entry.trace_header, MAXIMUM_ID_LENGTH)
        return cls(
            id=id,
            detail_type=detail_type,
            source=source,
            account=account,
            time=now if entry.time is None else _to_the_second(_aware(entry.time)),
            region=region,
            resources=_resources(entry.resources) if entry.resources != () else (),
            detail_json=msgspec.Raw(encode_detail(entry.detail)),
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read an event as EventBridge delivers it. Keys that are not the envelope's are not kept.

        Raises:
            InvalidEventError: Not JSON, not the envelope, or past a limit.
        """
        try:
            event = msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise InvalidEventError(f"Not an event: {_reason(error)}.", "MalformedEvent") from error
        return msgspec.structs.replace(
            event,
            time=_to_the_second(event.time),
            detail_json=msgspec.Raw(encode_detail(bytes(event.detail_json))),
        )

    def to_json(self) -> bytes:
        """Give the event as EventBridge delivers it: UTF-8, one line, the same bytes for the same event."""
        return msgspec.json.encode(self)

    def to_dict(self) -> dict[str, Any]:
        """Give the event as data, with the keys of the JSON; what event patterns are matched against."""
        data: dict[str, Any] = {
            "version": self.version,
            "id": self.id,
            "detail-type": self.detail_type,
            "source": self.source,
            "account": self.account,
            "time": self.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region,
        }
        if self.replay_name is not msgspec.UNSET:
            data["replay-name"] = self.replay_name
        data["resources"] = list(self.resources)
        data["detail"] = self.detail
        return data

    @cached_property
    def detail(self) -> dict[str, Any]:
        """The detail as data, decoded at the first use."""
        decoded: dict[str, Any] = msgspec.json.decode(self.detail_json)
        return decoded

    def copy(self) -> Self:
        """Give an equal event whose `detail` is not shared with this one."""
        return msgspec.structs.replace(self)


def entry_size(event: Event, *, has_time: bool) -> int:
    """Count the bytes of an entry as EventBridge does (user guide, "Calculating event entry size").

    Args:
        event: What the entry became.
        has_time: Whether the publisher gave a time, which counts 14 bytes.
    """
    size = len(event.detail_json) + 14 * has_time
    for text in (event.source, event.detail_type, *event.resources):
        size += len(text) if text.isascii() else len(text.encode())
    return size


def encode_detail(detail: Detail) -> bytes:
    """Encode a detail as JSON text on one line.

    JSON text stays as it was written, number for number, without the white space between tokens.

    Raises:
        InvalidEventError: `MalformedDetail`: not a JSON object, or past a limit of the envelope.
    """
    try:
        if isinstance(detail, (str, bytes)):  # a union would be made anew for each event
            encoded = detail.encode() if isinstance(detail, str) else detail
            detail = msgspec.json.decode(encoded)
            encoded = _BETWEEN_TOKENS.sub(rb"\1", encoded)
        else:
            encoded = _encoder.encode(detail)
        if encoded[0] != _OPENING_BRACE:
            raise _malformed("It must be a JSON object")
        if _is_suspicious(encoded):
            _check_values(msgspec.to_builtins(detail, enc_hook=_encode_other, str_keys=True), "$.detail")
    except InvalidEventError:
        raise
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise _malformed(_reason(error)) from error
    return encoded


def encode_json(value: object) -> bytes:
    """Encode data as JSON text on one line, as a detail is encoded; a string is a JSON string here.

    Raises:
        ValueError: It has no JSON form, or is past a limit that events have.
    """
    try:
        encoded = _encoder.encode(value)
        _check_encoded(value, encoded, "$")
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(_reason(error)) from error
    return encoded


def _check_encoded(value: object, encoded: bytes, path: str) -> None:
    """Refuse what the envelope cannot carry. Raises `ValueError` and `RecursionError`."""
    if _is_suspicious(encoded):
        _check_values(msgspec.to_builtins(value, enc_hook=_encode_other, str_keys=True), path)


_OPENING_BRACE: Final = ord("{")
#: A string, which stays, or white space outside of one, which goes.
_BETWEEN_TOKENS: Final = re.compile(rb'("(?:[^"\\]|\\.)*")|[ \t\n\r]+')
#: Cheap signs of what JSON cannot hold (msgspec writes NaN and infinities as null) or EventBridge does not take
#: (integers past 64 bits). Only a detail that shows one is walked value by value.
_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")


def _is_suspicious(encoded: bytes) -> bool:
    # Searches for fixed strings, and from the end: a regular expression takes ten times as long, `in` twice.
    return (
        encoded.rfind(b"null") >= 0
        or encoded.translate(_DIGITS_AS_ZERO).rfind(b"0000000000000000000") >= 0
        or (len(encoded) > MAXIMUM_DEPTH and encoded.count(b"[") + encoded.count(b"{") > MAXIMUM_DEPTH)
    )


def _check_values(root: Any, place: str) -> None:
    """Refuse numbers and nesting that the envelope cannot carry. A loop, since depth is what is in question."""
    level, depth = [(place, root)], 0
    while level:
        depth += 1
        below: list[tuple[str, Any]] = []
        for path, value in level:
            if isinstance(value, dict | list | tuple):
                if depth > MAXIMUM_DEPTH:
                    raise ValueError(f"It is nested more than {MAXIMUM_DEPTH:,} levels deep")
                below += _children(path, value)
            elif isinstance(value, float) and value - value != 0:
                raise ValueError(f"{value} at {path} is not a JSON number")
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"{value} at {path} does not fit 64 bits; write it as a string")
        level = below


def _children(path: str, value: dict[str, Any] | Sequence[Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return ((f"{path}.{key}", item) for key, item in value.items())
    return ((f"{path}[{index}]", item) for index, item in enumerate(value))


def _encode_other(value: Any) -> Any:
    """Encode what msgspec does not know: pydantic models, as they encode themselves, and other mappings."""
    if hasattr(value, "model_dump"):
        return _with_numbers(value.model_dump(mode="json", by_alias=True), value.model_dump(by_alias=True))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"A {type(value).__name__} has no JSON form")


def _with_numbers(dumped: Any, value: Any) -> Any:
    """Make numbers of the decimals that pydantic has dumped as strings, where a number keeps all their digits.

    Args:
        dumped: What pydantic makes of a model in JSON.
        value: The same in Python. What a serializer of the model's own has made of it differs, and stays.
    """
    if isinstance(value, Decimal):
        return value if dumped == str(value) and _is_exact(value) else dumped
    if isinstance(dumped, dict) and isinstance(value, dict) and len(dumped) == len(value):
        return {
            key: _with_numbers(item, other) for (key, item), other in zip(dumped.items(), value.values(), strict=True)
        }
    if isinstance(dumped, list) and isinstance(value, list | tuple) and len(dumped) == len(value):
        return [_with_numbers(item, other) for item, other in zip(dumped, value, strict=True)]
    return dumped


def _is_exact(number: Decimal) -> bool:
    """Say whether a decimal is the same when it is read as a JSON number, which most readers make a double."""
    return number.is_finite() and Decimal(repr(float(number))) == number


#: Decimal as number, since the patterns that look at money are numeric.
_encoder: Final = msgspec.json.Encoder(enc_hook=_encode_other, decimal_format="number")


def _require_text(name: str, value: object, maximum: int | None = None) -> None:
    if isinstance(value, str) and value and value.isascii() and (maximum is None or len(value) <= maximum):
        return  # nearly always
    if value is None or value == "":
        raise _invalid(name, f"{name} is a required argument.")
    if not isinstance(value, str):
        raise _invalid(name, f"{name} must be a string, got {type(value).__name__}.")
    if maximum is not None and len(value) > maximum:
        raise _invalid(name, f"{name} must be at most {maximum} characters, got {len(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _invalid(name, f"{name} must be Unicode text, and holds a lone surrogate.") from None


def _aware(time: datetime) -> datetime:
    if not isinstance(time, datetime):
        raise _invalid("Time", f"Time must be a datetime, got {type(time).__name__}.")
    if time.tzinfo is None:
        raise _invalid("Time", "Time must be aware; add a zone, such as datetime.UTC.")
    return time


def _resources(resources: object) -> tuple[str, ...]:
    if isinstance(resources, str) or not isinstance(resources, Sequence):
        raise _invalid("Resources", f"Resources must be a list of strings, got {type(resources).__name__}.")
    for index, resource in enumerate(resources):
        _require_text(f"Resources[{index}]", resource, MAXIMUM_RESOURCE_LENGTH)
    return tuple(resources)


def _to_the_second(time: datetime) -> datetime:
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return time.replace(microsecond=0) if time.microsecond else time


def _invalid(parameter: str, reason: str) -> InvalidEventError:
    return InvalidEventError(f"Parameter {parameter} is not valid. Reason: {reason}")


def _malformed(reason: str) -> InvalidEventError:
    return InvalidEventError(f"Detail is malformed. Reason: {reason}.", "MalformedDetail")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"invalid UTF-8 at byte {error.start}"
    if isinstance(error, UnicodeEncodeError):
        return "a string holds a lone surrogate"
    if isinstance(error, RecursionError):
        return f"nested more than {MAXIMUM_DEPTH:,} levels deep"
    return str(error)
