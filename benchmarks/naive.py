"""What should match, found without the engine: each pattern alone, asked about each event."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from eventrouter import Pattern


class MiscountError(Exception):
    """A matcher found something else than was there to find, so its speed is of no interest."""


class NaiveCounts:
    """Count how many of some events each pattern matches. A pattern is counted once, however often it is asked for."""

    def __init__(self, events: Sequence[bytes]) -> None:
        self._events = [json.loads(event) for event in events]
        self._counts: dict[str, int] = {}

    def of(self, rules: Mapping[str, dict[str, Any]]) -> Counter[str]:
        """Give the count of each rule that matches anything."""
        return +Counter({name: self._count(pattern) for name, pattern in rules.items()})

    def _count(self, pattern: dict[str, Any]) -> int:
        text = json.dumps(pattern)
        if text not in self._counts:
            parsed = Pattern.parse(pattern)
            self._counts[text] = sum(map(parsed.matches, self._events))
        return self._counts[text]


def check(what: str, match: Callable[[Any], Iterable[str]], events: Iterable[Any], expected: Counter[str]) -> None:
    """Match all events, and count.

    Raises:
        MiscountError: A rule was found more or less often than expected.
    """
    found = Counter(chain.from_iterable(map(match, events)))
    if found != expected:
        wrong = {name: (found[name], expected[name]) for name in found | expected if found[name] != expected[name]}
        told = ", ".join(f"{name} {mine} times instead of {right}" for name, (mine, right) in list(wrong.items())[:5])
        raise MiscountError(f"{what}: found {told}")
