"""What goes into a request besides the event: path wildcards, headers, query and body parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from eventrouter.errors import InvalidRuleError, TransformError
from eventrouter.event import Event
from eventrouter.targets._dynamic_path import parameter
from eventrouter.targets._http.secrets import check_secret

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, `token`
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Headers that say where a request goes and where it ends. Whoever could set them could send another request.
_OURS: Final = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "trailer", "expect"}


class PathTemplate:
    """A URL's path whose `*` are filled from the event.

    Args:
        path: The path, percent-encoded.
        values: One for each `*`, in order.

    Raises:
        InvalidRuleError: There are more of the one than of the other.
    """

    def __init__(self, path: str, values: Sequence[str]) -> None:
        if isinstance(values, str):
            raise InvalidRuleError("path_parameter_values is a string", hint=f"write [{values!r}]")
        wildcards = path.count("*")
        if wildcards != len(values):
            raise InvalidRuleError(
                f"The URL's path has {wildcards} wildcards, and path_parameter_values has {len(values)} values",
                hint="give one value for each '*'",
            )
        self._parts = path.split("*")
        self._parameters = [parameter(f"path_parameter_values[{n}]", value) for n, value in enumerate(values)]

    def fill(self, event: Event) -> str:
        """Give the path for an event. A value stays within its segment, whatever it is.

        Raises:
            TransformError: The event lacks a value, or the value would make another path of it, as `..` does.
        """
        path = self._parts[0]
        for number, (of, part) in enumerate(zip(self._parameters, self._parts[1:], strict=True)):
            value = of(event)
            if not value:
                raise TransformError(f"The event has nothing for path_parameter_values[{number}].")
            path += _quoted(value) + part
        # Dots are not encoded: a server takes %2E for a dot. So a segment of nothing but dots cannot be sent.
        if self._parameters and any(segment.lower().replace("%2e", ".") in (".", "..") for segment in path.split("/")):
            raise TransformError("A path parameter's value makes a '.' or '..' of a segment of the path.")
        return path


def _quoted(text: str) -> str:
    # JSON strings can hold half a surrogate pair, which UTF-8 has no bytes for.
    return quote(text, safe="", errors="replace")


def query(*layers: Iterable[tuple[str, str]], base: str) -> str:
    """Put a query string together; of the same name in several layers, the later layer wins."""
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer)
    kept = [
        pair for pair in base.split("&") if pair and pair.partition("=")[0] not in {_quoted(name) for name in merged}
    ]
    return "&".join(kept + [f"{_quoted(name)}={_quoted(value)}" for name, value in merged.items()])


def check_names(place: str, parameters: object, *, headers: bool = False) -> None:
    """Refuse parameters that are no mapping by name, and headers that are not the user's to set.

    Raises:
        InvalidRuleError: One is not usable.
    """
    if not isinstance(parameters, Mapping):
        raise InvalidRuleError(f"{place} is of type {type(parameters).__name__}", hint="use a dict of names and values")
    for name in parameters:
        if not isinstance(name, str) or not name or (headers and not _HEADER_NAME.fullmatch(name)):
            raise InvalidRuleError(f"{place} has the name {name!r}", hint="use a header's name" if headers else "")
        if headers and name.lower() in _OURS:
            raise InvalidRuleError(f"{place} sets {name}, which is made from the URL and the body", hint="leave it out")


def check_secret_parameters(place: str, parameters: Mapping[str, object], *, headers: bool = False) -> None:
    """Refuse parameters of a connection that are not usable, without showing their values.

    Raises:
        InvalidRuleError: One is not usable.
    """
    check_names(place, parameters, headers=headers)
    for name, value in parameters.items():
        check_secret(f"{place}[{name!r}]", value)


def encode_headers(headers: Mapping[str, str]) -> dict[str, bytes]:
    """Encode headers for sending; names are in lower case, so that each is there once.

    Raises:
        TransformError: A value has a control character, which could begin another header. It is not told.
    """
    encoded = {}
    for name, value in headers.items():
        if _CONTROL.search(value):
            raise TransformError(f"The value of header {name} has a line break or another control character.")
        encoded[name] = value.strip(" \t").encode(errors="replace")
    return encoded


def add_to_body(body: bytes, parameters: Mapping[str, str]) -> bytes:
    """Add a connection's parameters to a JSON object, whose other values stay as they were written.

    Raises:
        TransformError: The body is not a JSON object.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        raise TransformError("The connection has body parameters, and the body is not a JSON object.") from None
    return msgspec.json.encode({**fields, **parameters})
