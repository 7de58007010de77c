"""From bytes to events: lines as they come, whole, and what each of them is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import anyio.to_thread
import msgspec

from eventrouter._ids import new_ids
from eventrouter.errors import InvalidEventError
from eventrouter.event import Event

MAXIMUM_LINE: Final = 1024 * 1024  # bytes; what has no end within them is no event
_CHUNK: Final = 64 * 1024


async def read_lines(file: int) -> AsyncIterator[list[tuple[int, bytes]]]:
    """Give the lines of a file descriptor with their numbers, from 1, in batches of what is there at once.

    A pipe that is still being written gives each line as soon as it is whole. A line past `MAXIMUM_LINE` is cut.
    """
    number, rest = 0, b""
    while chunk := await anyio.to_thread.run_sync(os.read, file, _CHUNK, abandon_on_cancel=True):
        *lines, rest = (rest + chunk).split(b"\n")
        # One byte more than allowed is kept, so that the line is seen to be too long however long it gets.
        rest = rest[: MAXIMUM_LINE + 1]
        if lines:
            yield list(enumerate(lines, number + 1))
            number += len(lines)
    if rest:
        yield [(number + 1, rest)]


class _Keys(msgspec.Struct, rename={"detail_type": "detail-type"}):
    """What tells an event from any other object."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    time: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    detail: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    detail_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def read_event(line: bytes, source: str, detail_type: str) -> tuple[Event, bool]:
    """Make an event of a line.

    An object with a `detail` or `detail-type` is an event; an `id` and `time` are given to it if it has none. Any
    other object is the detail of an event with that *source* and *detail_type*.

    Returns:
        The event, and whether it was wrapped around a plain object.

    Raises:
        InvalidEventError: The line is neither.
    """
    if len(line) > MAXIMUM_LINE:
        raise InvalidEventError(f"The line is longer than {MAXIMUM_LINE:,} bytes", "MalformedEvent")
    line = line.strip()
    try:
        keys = msgspec.json.decode(line, type=_Keys)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        reason = f"nested too deeply: {error}" if isinstance(error, RecursionError) else str(error)
        raise InvalidEventError(f"Not a JSON object: {reason}", "MalformedEvent") from error
    envelope: dict[str, str] = {}
    if keys.id is msgspec.UNSET:
        envelope["id"] = new_ids(1)[0]
    if keys.time is msgspec.UNSET:
        envelope["time"] = datetime.now(UTC).isoformat()
    if keys.detail is not msgspec.UNSET or keys.detail_type is not msgspec.UNSET:
        # As text, so that every number of the detail stays as it is written.
        added = msgspec.json.encode(envelope)[1:-1]
        return Event.from_json(b"{" + added + (b"," if added else b"") + line[1:]), False
    wrapping = {"id": new_ids(1)[0], "time": datetime.now(UTC).isoformat()}
    wrapping |= {"source": source, "detail-type": detail_type}
    return Event.from_json(msgspec.json.encode(wrapping)[:-1] + b',"detail":' + line + b"}"), True
