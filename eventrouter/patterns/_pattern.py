"""Event patterns: parsed once, then asked about events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from eventrouter.errors import InvalidEventError, PatternComplexityError, PatternError
from eventrouter.patterns._operators import Leaf
from eventrouter.patterns._parse import Fields, Node, parse_fields

MAXIMUM_DEPTH: Final = 1_000  # levels of nesting, of patterns and of events


class Pattern:
    """An event pattern (EventBridge user guide, "Event patterns").

    Immutable; equal patterns are equal and hash alike. `str()` gives its JSON.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, source: str | bytes | Mapping[str, Any]) -> Self:
        """Read a pattern from JSON text or from data.

        Raises:
            PatternError: It breaks a rule of the pattern language; says where, and what to write instead.
        """
        try:
            return cls(parse_fields(_document(source), "$"))
        except RecursionError as error:
            raise PatternComplexityError(f"Patterns may be nested {MAXIMUM_DEPTH:,} levels deep") from error

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether the event, as data, satisfies the pattern."""
        return _matches(self._fields, event)

    def matches_json(self, event: str | bytes) -> bool:
        """Say whether the event, as JSON text, satisfies the pattern.

        Raises:
            InvalidEventError: The text is not a JSON object.
        """
        return self.matches(read_event(event))

    def __eq__(self, other: object) -> bool:
        # By their JSON: in Python 1 == True, in a pattern they are two values.
        return str(self) == str(other) if isinstance(other, Pattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return json.dumps(_to_data(self._fields), ensure_ascii=False, separators=(",", ":"))

    def __repr__(self) -> str:
        return f"Pattern.parse({str(self)!r})"


def _document(source: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        document = read_json(source) if isinstance(source, str | bytes) else source
    except ValueError as error:
        raise PatternError(f"Malformed JSON: {error}") from error
    if not isinstance(document, Mapping):
        raise PatternError("Filter is not an object", hint='write {"field": [value, ...]}')
    return document


def read_event(text: str | bytes) -> dict[str, Any]:
    """Read the JSON text of an event.

    Raises:
        InvalidEventError: The text is not a JSON object, or nested too deeply.
    """
    try:
        event = read_json(text)
    except RecursionError as error:
        raise InvalidEventError(f"Events may be nested {MAXIMUM_DEPTH:,} levels deep", "MalformedEvent") from error
    except ValueError as error:
        raise InvalidEventError(f"Not JSON: {error}", "MalformedEvent") from error
    if not isinstance(event, dict):
        raise InvalidEventError("Event must be a JSON object", "MalformedEvent")
    return event


def read_json(text: str | bytes) -> Any:
    """Read JSON text, strictly: NaN and infinities are no numbers (RFC 8259). Raises `ValueError`."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _matches(fields: Fields, event: object) -> bool:
    """Say whether one object, or one object of an array, satisfies all of *fields*.

    Trying the elements of an array one by one, whole, is what keeps two fields of a pattern from being satisfied by
    different elements.
    """
    if isinstance(event, list | tuple) and event:
        return any(_matches(fields, element) for element in event)
    inside: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
    return all(_field_matches(node, inside.get(name, ())) for name, node in fields)


def _field_matches(node: Node, value: object) -> bool:
    """Say whether a field's value, an empty array standing for none, satisfies its alternatives or its fields."""
    if node.fields:
        return _matches(node.fields, value)
    leaves = list(_leaves(value))
    if not leaves:
        return node.accepts_absence
    return any(content_filter.accepts(leaf) for content_filter in node.alternatives for leaf in leaves)


def _leaves(value: object) -> Iterator[Leaf]:
    """Give the values of a field: arrays are crushed, objects are none."""
    if isinstance(value, list | tuple):
        for element in value:
            yield from _leaves(element)
    elif not isinstance(value, Mapping):
        yield value  # type: ignore[misc]  # what JSON has besides arrays and objects


def _to_data(fields: Fields) -> dict[str, Any]:
    return {
        name: _to_data(node.fields) if node.fields else [alternative.to_data() for alternative in node.alternatives]
        for name, node in fields
    }
