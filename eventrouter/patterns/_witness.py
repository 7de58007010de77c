"""Events that show what the algebra of patterns says, as small as they can be and readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from eventrouter.patterns._operators import Leaf

#: Fields with their values, one or several.
Element: TypeAlias = "Mapping[str, Leaf | list[Leaf]]"

_ENVELOPE: Final[dict[str, Any]] = {
    "version": "0",
    "id": "00000000-0000-0000-0000-000000000000",
    "detail-type": "Example",
    "source": "example",
    "account": "000000000000",
    "time": "1970-01-01T00:00:00Z",
    "region": "local",
}


def event_of(groups: Mapping[str, Sequence[Element]], *, on_a_bus: bool) -> dict[str, Any]:
    """Write an event.

    Args:
        groups: For each group of fields, named by the path that they share, the elements of the array that has them;
            if there is one element, there is no array.
        on_a_bus: Whether it has the envelope.
    """
    event: dict[str, Any] = {**_ENVELOPE, "resources": [], "detail": {}} if on_a_bus else {}
    for group, elements in groups.items():
        if len(elements) == 1:
            put(event, elements[0])
        else:
            put(event, {group: [_within(group, element) for element in elements]})
    if on_a_bus and not isinstance(event["resources"], list):
        event["resources"] = [event["resources"]]
    return event


def _within(group: str, element: Element) -> Any:
    """Write an element: an object, or an array where the group itself is a field, for a scalar is no element (5.6)."""
    inner: dict[str, Any] = {}
    put(inner, {path[len(group) + 1 :]: value for path, value in element.items() if path != group})
    if group not in element:
        return inner
    own = element[group]
    return [*(own if isinstance(own, list) else [own]), *([inner] if inner else [])]


def put(event: dict[str, Any], fields: Mapping[str, Any]) -> None:
    """Put fields into an event as nested objects; where one lies inside another, with dots in its name (3.5)."""
    for path, value in fields.items():
        names = path.split(".")
        is_field = (length for length in range(1, len(names)) if ".".join(names[:length]) in fields)
        depth = next(is_field, len(names)) - 1
        holder = event
        for name in names[:depth]:
            holder = holder.setdefault(name, {})
        holder[".".join(names[depth:])] = value
