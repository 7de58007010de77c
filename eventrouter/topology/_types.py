"""Which events are put: those that are declared, and those that handlers are annotated to return."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias, get_args

from eventrouter.errors import InvalidRuleError
from eventrouter.filters import detail_types, event_pattern
from eventrouter.patterns import Pattern
from eventrouter.topology._model import EventType

#: What names a kind of event: itself, a pydantic model with a source, or an event pattern as data or JSON text.
Published: TypeAlias = EventType | type[Any] | Pattern | Mapping[str, Any] | str


def event_type(published: Published) -> EventType:
    """Make an `EventType` of what names one.

    Raises:
        InvalidRuleError: It is a class, and no pydantic model that names its source.
        PatternError: It is no event pattern.
    """
    if isinstance(published, EventType):
        return published
    if isinstance(published, type):
        if not is_model(published):
            raise InvalidRuleError(
                f"{published.__name__} is no kind of event",
                hint="use a pydantic model with a class variable `source`, or an event pattern",
            )
        return _of_model(published)
    pattern = published if isinstance(published, Pattern) else Pattern.parse(published)
    return EventType(str(pattern), pattern)


def returned_types(function: object) -> Iterator[EventType]:
    """Give the kinds of events that a function's annotation says it returns, such as `-> OrderCharged | None`."""
    while isinstance(function, partial):
        function = function.func
    try:
        # It is evaluated as the parameters are: it is the function's own source.
        annotation = inspect.get_annotations(inspect.unwrap(function), eval_str=True).get("return")  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - imported for the type checker only, or not there at all: nothing is known
        return
    yield from map(_of_model, dict.fromkeys(_models(annotation)))


def _models(annotation: object) -> Iterator[type[Any]]:
    if isinstance(annotation, type) and is_model(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def is_model(kind: type[Any]) -> bool:
    """Say whether it is a pydantic model that names its source, as what handlers return is put as events."""
    return isinstance(getattr(kind, "source", None), str) and isinstance(getattr(kind, "model_fields", None), Mapping)


def _of_model(model: type[Any]) -> EventType:
    # It is put under the last of the names that it is understood by.
    pattern = event_pattern(model) | {"detail-type": [detail_types(model)[-1]]}
    return EventType(model.__name__, Pattern.parse(pattern))
