"""Values of a target's fields that may be paths into the event (EventBridge user guide, "dynamic path parameters")."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter.errors import InvalidRuleError
from eventrouter.event import Event

#: Gives a parameter's text for an event; None when the event does not have what it asks for.
Parameter: TypeAlias = Callable[[Event], str | None]

_STEP: Final = re.compile(r"""\.(?P<name>[\w/-]+)|\[(?P<index>\d+)\]|\[(?P<quote>['"])(?P<key>.+?)(?P=quote)\]""")


def parameter(name: str, value: object) -> Parameter:
    """Compile a value: text, or a path into the event, which begins with `$.` or `$[`.

    Raises:
        InvalidRuleError: Neither.
    """
    if not isinstance(value, str):
        raise InvalidRuleError(f"{name} is {value!r}", hint="use text, or a path into the event such as '$.detail.id'")
    if not value.startswith(("$.", "$[")):
        return lambda _event: value
    steps: list[str | int] = []
    position = 1
    while position < len(value):
        step = _STEP.match(value, position)
        if step is None:
            raise InvalidRuleError(
                f"{name} has a path that is not understood from {value[position:]!r} on: {value}",
                hint="use names and indices, as in $.detail.items[0].id or $['detail-type']",
            )
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["key"])
        position = step.end()
    return lambda event: _text(_find(event.to_dict(), steps))


def _find(value: Any, steps: Sequence[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
        elif not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return value


def _text(value: Any) -> str | None:
    """Give a string as it is, anything else as JSON; null is as good as missing."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
