"""The `Matcher`: many patterns, one event."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

from eventrouter.errors import NotFoundError
from eventrouter.patterns import Pattern, read_event

K = TypeVar("K", bound=Hashable)


class Matcher(Generic[K]):
    """Find the key of every pattern that an event satisfies.

    A key may stand for several patterns: it is found when any of them matches. The table of patterns is never changed
    but replaced, by one assignment: a `match` that is running, in this thread or another, finishes on the table it
    began with and never sees half a change.
    """

    def __init__(self) -> None:
        self._patterns: dict[K, tuple[Pattern, ...]] = {}

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._patterns)

    def __contains__(self, key: K) -> bool:
        return key in self._patterns

    def add(self, key: K, pattern: Pattern) -> None:
        """Let *key* stand for *pattern* too."""
        self._patterns = {**self._patterns, key: (*self._patterns.get(key, ()), pattern)}

    def remove(self, key: K) -> None:
        """Forget *key* and all its patterns.

        Raises:
            NotFoundError: There is no such key.
        """
        if key not in self._patterns:
            raise NotFoundError(f"There is no pattern under the key {key!r}.")
        self._patterns = {other: patterns for other, patterns in self._patterns.items() if other != key}

    def match(self, event: Mapping[str, Any]) -> list[K]:
        """Give the keys of all patterns that *event* satisfies, each once, in the order they were first added."""
        return [key for key, patterns in self._patterns.items() if any(pattern.matches(event) for pattern in patterns)]

    def match_json(self, event: str | bytes) -> list[K]:
        """Do what `match` does, for the JSON text of an event.

        Raises:
            InvalidEventError: The text is not a JSON object.
        """
        return self.match(read_event(event))
