"""Wildcards of IAM policies: `*` stands for any text, `?` for one character."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final


class _Wild(Enum):
    STAR = "*"
    ANY = "?"


_WILD: Final = {wild.value: wild for wild in _Wild}


class VariableError(ValueError):
    """A policy variable, `${...}`, which has no value here."""


def plain(text: str) -> str:
    """Read a text in which `*` and `?` are themselves. Raises `VariableError` as `Globs` does."""
    return "".join(token.value if isinstance(token, _Wild) else token for token in _tokens(text))


class Globs:
    """Several texts with wildcards, held against a value at once.

    All places up to which the value may have been read, in all of the texts, are the bits of one number, moved on with
    each character. So the time is the value's length times a small part of the texts' length, whatever is in them:
    there is nothing to go back to.

    Raises:
        VariableError: A text has a policy variable other than `${*}`, `${?}` and `${$}`, which stand for the character.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._starts = self._ends = self._loops = self._any = 0
        exact: dict[str, int] = {}
        place = 1  # the bit of "all before this token has been read"
        for text in texts:
            self._starts |= place
            for token in _tokens(text):
                if token is _Wild.STAR:
                    self._loops |= place
                    continue
                if token is _Wild.ANY:
                    self._any |= place
                else:
                    exact[token] = exact.get(token, 0) | place
                place <<= 1
            self._ends |= place
            place <<= 1
        self._moves = {character: places | self._any for character, places in exact.items()}

    def match(self, value: str) -> bool:
        """Say whether all of *value* fits one of the texts."""
        places, moves, loops, other = self._starts, self._moves, self._loops, self._any
        done = self._ends & loops
        for character in value:
            places = (places & moves.get(character, other)) << 1 | places & loops
            if not places:
                return False
            if places & done:  # a star at the end takes the rest
                return True
        return bool(places & self._ends)


def _tokens(text: str) -> Iterator[str | _Wild]:
    position = 0
    while position < len(text):
        if text.startswith("${", position):
            variable = text[position : position + 4]
            if variable not in ("${*}", "${?}", "${$}"):
                raise VariableError(f"{text[position:].partition('}')[0]}}} is a policy variable")
            yield variable[2]
            position += 4
        else:
            yield _WILD.get(text[position], text[position])
            position += 1
