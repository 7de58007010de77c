"""Where values stand in a JSON text that is known to be one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_decode: Final = json.JSONDecoder().raw_decode


class Member(NamedTuple):
    """A value in an object or array, with its name or index, and where it begins and ends in the text."""

    step: str | int
    begin: int
    end: int


def beginning(text: str) -> int:
    """Give where the text's value begins."""
    return _blank(text, 0)


def members(text: str, begin: int) -> Iterator[Member]:
    """Give what the object or array that begins there has in it; of any other value nothing."""
    if text[begin] not in "{[":
        return
    is_object = text[begin] == "{"
    position = _blank(text, begin + 1)
    index = 0
    while text[position] not in "}]":
        step: str | int = index
        if is_object:
            step, position = _decode(text, position)
            position = _blank(text, _blank(text, position) + 1)
        _, end = _decode(text, position)
        yield Member(step, position, end)
        position = _blank(text, end)
        if text[position] == ",":
            position = _blank(text, position + 1)
        index += 1


def find(text: str, steps: Sequence[str | int]) -> int:
    """Give where the value begins that *steps* lead to, or the last on the way that there is.

    A name may come again in an object: then the last that leads to the whole of *steps* counts, or if none does, the
    last.
    """
    _, begin = _furthest(text, beginning(text), steps)
    return begin


def _furthest(text: str, begin: int, steps: Sequence[str | int]) -> tuple[int, int]:
    """Give how many steps could be taken, and where they lead."""
    if not steps:
        return 0, begin
    ways = [_furthest(text, member.begin, steps[1:]) for member in members(text, begin) if member.step == steps[0]]
    if not ways:
        return 0, begin
    taken, found = max(ways)  # of ways of the same length the last, which begins later
    return taken + 1, found


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """Give the line and the column, in characters, both from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def _blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position
