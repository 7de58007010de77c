"""How costly wildcards are to event-ruler, and so whether EventBridge accepts them. Ours are matched in linear time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from eventrouter.patterns._operators import wildcard_tokens

#: What event-ruler's README suggests. EventBridge accepts rules that score 7 and refuses one that scores 11.
LIMIT: Final = 10
#: Prefixes that are looked at; past them the score is a lower bound.
_PATIENCE: Final = 1_000_000


def complexity(filters: Iterable[Iterable[str]], limit: int = LIMIT) -> int:
    """Give the greatest number of prefixes of wildcards that one string can match, at most *limit*.

    This is what event-ruler's `MachineComplexityEvaluator` measures: `*a*a` scores 4, as `aa` is matched by `*`, `*a`,
    `*a*` and `*a*a`. All sets of prefixes that some string matches are visited, each once.

    Args:
        filters: The wildcards of each filter of a field: one, or those of an anything-but, which share what is equal.
        limit: Where to stop.
    """
    prefixes = _Prefixes()
    start = prefixes.closed({prefixes.add(some) for some in dict.fromkeys(tuple(some) for some in filters)})
    seen = {start}
    todo = [start]
    highest = looked_at = 0
    while todo and highest < limit and looked_at < _PATIENCE:
        current = todo.pop()
        for character in prefixes.awaited(current):
            following = prefixes.closed(prefixes.after(current, character))
            looked_at += len(current) + len(following)
            highest = max(highest, prefixes.score(following))
            if highest >= limit or looked_at >= _PATIENCE:
                break
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return min(highest, limit)


class _Prefixes:
    """The prefixes of all wildcards, as numbers: a tree for each filter, so that equal beginnings are one prefix."""

    def __init__(self) -> None:
        self._longer: list[dict[str | None, int]] = []  # by the next token
        self._ends_in_star: list[bool] = []
        self._names: list[set[int]] = []  # what event-ruler counts: a whole wildcard is one thing for each filter

    def add(self, texts: Iterable[str]) -> int:
        """Add the wildcards of one filter, and give their common prefix, the empty one."""
        root = self._new(ends_in_star=False)
        for text in texts:
            number = root
            tokens = wildcard_tokens(text)
            for length, token in enumerate(tokens, 1):
                if token not in self._longer[number]:
                    self._longer[number][token] = self._new(ends_in_star=token is None)
                number = self._longer[number][token]
                is_whole = length == len(tokens) and token is not None
                self._names[number].add(root if is_whole else number)
        return root

    def _new(self, *, ends_in_star: bool) -> int:
        self._longer.append({})
        self._ends_in_star.append(ends_in_star)
        self._names.append(set())
        return len(self._longer) - 1

    def awaited(self, numbers: frozenset[int]) -> set[str]:
        """Give the characters that make a difference; any other does what "" does."""
        return {token for number in numbers for token in self._longer[number] if token is not None} | {""}

    def after(self, numbers: frozenset[int], character: str) -> set[int]:
        """Give what matches when one character more is read."""
        stay = {number for number in numbers if self._ends_in_star[number]}
        return stay | {self._longer[number][character] for number in numbers if character in self._longer[number]}

    def closed(self, numbers: set[int]) -> frozenset[int]:
        """Add the prefixes with a star more, which matches nothing. There are no two stars in a row."""
        return frozenset(numbers | {self._longer[number][None] for number in numbers if None in self._longer[number]})

    def score(self, numbers: frozenset[int]) -> int:
        """Count the prefixes as event-ruler does."""
        return len({name for number in numbers for name in self._names[number]})
