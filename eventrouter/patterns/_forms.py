"""Filters of strings as automata: what a filter has yet to see depends on a few bits of what it has seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from eventrouter.patterns._operators import (
    AnythingBut,
    ContentFilter,
    EqualsIgnoreCase,
    Prefix,
    Suffix,
    Wildcard,
    wildcard_tokens,
)

#: What a form asks for next: one of these texts, or None for any run of characters.
_Token: TypeAlias = "frozenset[str] | None"  # noqa: S105 - of a form


class Form:
    """The strings that consist of some tokens, read from left to right.

    The state is a set of places in the tokens, as bits. Two strings that lead to one state are accepted with the same
    continuations, which is what makes it enough to look at one string for each state.

    Attributes:
        characters: All characters that are not like any other one.
        start: The state before the first character.
    """

    def __init__(self, tokens: Iterable[_Token]) -> None:
        self._moves: dict[str, list[tuple[int, int]]] = {}  # by character: from which place to which
        self._loops: list[int] = []  # places at which any run of characters may stand, the last first
        self._known: dict[tuple[int, str], int] = {}
        place = used = 0
        for token in tokens:
            if token is None:
                self._loops.insert(0, 1 << place)
                continue
            # Places on the way through a text of several characters are numbered before the one behind it, so that
            # all that lies before a loop has a lower number than the loop.
            after = used + sum(len(text) - 1 for text in token) + 1
            for text in sorted(token):
                here = place
                for character in text[:-1]:
                    used += 1
                    self._move(character, here, used)
                    here = used
                self._move(text[-1], here, after)
            place = used = after
        self.characters = frozenset(self._moves)
        self.start = self._shortened(1)

    def _move(self, character: str, start: int, end: int) -> None:
        self._moves.setdefault(character, []).append((1 << start, 1 << end))

    def step(self, state: int, character: str) -> int:
        """Give the state after one more character."""
        if character not in self.characters:
            character = ""
        known = self._known.get((state, character))
        if known is None:
            known = sum(loop for loop in self._loops if state & loop)
            for start, end in self._moves.get(character, ()):
                if state & start:
                    known |= end
            known = self._known[state, character] = self._shortened(known)
        return known

    def _shortened(self, state: int) -> int:
        # Whatever is accepted from before a loop is accepted from the loop, which can skip what leads to it.
        loop = next((loop for loop in self._loops if state & loop), 1)
        return state & -loop


def forms_of(filters: Iterable[ContentFilter]) -> Iterator[tuple[_Token, ...]]:
    """Give the tokens of all filters that accept or exclude strings of a form, and not just some by name."""
    for test in filters:
        if isinstance(test, AnythingBut):
            yield from forms_of(test.others)
        elif isinstance(test, Wildcard):
            yield tuple(token if token is None else frozenset((token,)) for token in wildcard_tokens(test.text))
        elif isinstance(test, EqualsIgnoreCase):
            yield _cases(test.text)
        elif isinstance(test, Prefix | Suffix):
            text = _cases(test.text) if test.ignores_case else tuple(frozenset((one,)) for one in test.text)
            yield (*text, None) if isinstance(test, Prefix) else (None, *text)


def _cases(text: str) -> tuple[_Token, ...]:
    return tuple(frozenset((character.lower(), character.upper())) for character in text)


class Names:
    """Some strings by name, as a tree: the state is the place in the tree, or -1 off it."""

    OFF: Final = -1

    def __init__(self, texts: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        for text in texts:
            place = 0
            for character in text:
                if character not in self._next[place]:
                    self._next[place][character] = len(self._next)
                    self._next.append({})
                place = self._next[place][character]

    def step(self, state: int, character: str) -> int:
        """Give the state after one more character."""
        return self.OFF if state < 0 else self._next[state].get(character, self.OFF)

    def following(self, state: int) -> Iterable[str]:
        """Give the characters that lead on in the tree."""
        return () if state < 0 else self._next[state]
