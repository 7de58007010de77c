"""How costly wildcards are to event-ruler, and so whether EventBridge accepts them. Ours are matched in linear time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from eventrouter.patterns._operators import wildcard_tokens

#: What event-ruler's README suggests. EventBridge accepts rules that score 7 and refuses one that scores 11.
LIMIT: Final = 10
#: Sets of prefixes that are looked at; past them the score is a lower bound.
_PATIENCE: Final = 5_000

#: A prefix of a wildcard: which wildcard, how many of its tokens.
_Prefix: TypeAlias = tuple[int, int]


def complexity(filters: Iterable[Iterable[str]], limit: int = LIMIT) -> int:
    """Give the greatest number of prefixes of wildcards that one string can match, at most *limit*.

    This is what event-ruler's `MachineComplexityEvaluator` measures: `*a*a` scores 4, as `aa` is matched by `*`, `*a`,
    `*a*` and `*a*a`. All sets of prefixes that some string matches are visited, each once.

    Args:
        filters: The wildcards of each filter of a field: one, or those of an anything-but, which share what is equal.
        limit: Where to stop.
    """
    distinct = dict.fromkeys(tuple(some) for some in filters)
    tokens = [wildcard_tokens(text) for some in distinct for text in some]
    owners = [number for number, some in enumerate(distinct) for _ in some]
    names = {(n, k): _name(owners[n], tokens[n], k) for n in range(len(tokens)) for k in range(1, len(tokens[n]) + 1)}
    start = _closed({(number, 0) for number in range(len(tokens))}, tokens)
    seen = {start}
    todo = [start]
    highest = 0
    while todo and highest < limit and len(seen) < _PATIENCE:
        current = todo.pop()
        # Any character that no prefix waits for does what "" does.
        for character in {tokens[n][k] or "" for n, k in current if k < len(tokens[n])} | {""}:
            following = _closed(_after(current, character, tokens), tokens)
            highest = max(highest, len({names[prefix] for prefix in following}))
            if following not in seen:
                seen.add(following)
                todo.append(following)
    return min(highest, limit)


def _name(owner: int, tokens: list[str | None], length: int) -> tuple[object, ...]:
    """Tell prefixes apart as event-ruler does: those of one filter by their text, or by being whole."""
    is_whole = length == len(tokens) and tokens[-1] is not None
    return (owner,) if is_whole else (owner, *tokens[:length])


def _after(prefixes: frozenset[_Prefix], character: str, tokens: list[list[str | None]]) -> set[_Prefix]:
    stay = {(n, length) for n, length in prefixes if length and tokens[n][length - 1] is None}
    return stay | {(n, k + 1) for n, k in prefixes if k < len(tokens[n]) and tokens[n][k] == character}


def _closed(prefixes: set[_Prefix], tokens: list[list[str | None]]) -> frozenset[_Prefix]:
    """Add the prefixes with a star more, which matches nothing. There are no two stars in a row."""
    return frozenset(prefixes | {(n, k + 1) for n, k in prefixes if k < len(tokens[n]) and tokens[n][k] is None})
