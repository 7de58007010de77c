"""An observer that keeps the events that routers accept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from eventrouter.event import Event
from eventrouter.patterns import Pattern
from eventrouter.records import Observation, Step
from eventrouter.router import EventRouter


class RecordedEvents:
    """Keeps every event that was accepted, with those that follow from others, in order."""

    steps: ClassVar[frozenset[Step]] = frozenset(("EVENT_INGEST_SUCCESS",))

    def __init__(self) -> None:
        self._events: list[Event] = []

    def observe(self, observation: Observation) -> None:
        """Keep an event."""
        assert observation.event is not None  # noqa: S101 - an event that was accepted is one
        self._events.append(observation.event)

    @contextmanager
    def of(self, router: EventRouter) -> Iterator[RecordedEvents]:
        """Record a router while the block runs."""
        observers = router._dispatcher.observers  # noqa: SLF001 - the kit is a part of the package
        observers.add(self)
        try:
            yield self
        finally:
            observers.remove(self)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def __getitem__(self, index: int) -> Event:
        return self._events[index]

    def matching(self, pattern: Pattern | dict[str, object] | str) -> list[Event]:
        """Give those that match an event pattern. Raises `PatternError` when it is none."""
        parsed = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
        return [event for event in self._events if parsed.matches(event.to_dict())]

    def clear(self) -> None:
        """Forget them."""
        self._events.clear()
