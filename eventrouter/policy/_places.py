"""Reading a policy document: values with their places, and refusals that name them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from eventrouter.errors import InvalidRuleError
from eventrouter.patterns import json_path

_SHOWN: Final = 60  # characters of a value in a message


class Place(NamedTuple):
    """A value of a document, and where it stands."""

    value: Any
    steps: tuple[str | int, ...] = ()

    def refusal(self, problem: str, hint: str) -> InvalidRuleError:
        """Make the error that says what is wrong here."""
        return InvalidRuleError(problem, json_path(self.steps), hint)

    def member(self, name: str | int) -> Place:
        """Give a value that this object or list has."""
        return Place(self.value[name], (*self.steps, name))

    def members(self, what: str) -> list[tuple[str, Place]]:
        """Give all values of this object with their names. *what* it is to be stands in the refusal otherwise."""
        if not isinstance(self.value, Mapping) or not self.value:
            raise self.refusal(f"{_shown(self.value)} is no {what}", "write an object")
        return [(name, self.member(name)) for name in self.value]

    def items(self, hint: str) -> list[Place]:
        """Give the values of this list, or this value alone if it is none, as IAM takes both."""
        if not isinstance(self.value, list):
            return [self]
        if not self.value:
            raise self.refusal("The list is empty", hint)
        return [self.member(index) for index in range(len(self.value))]

    def texts(self, hint: str) -> list[Place]:
        """Give the strings of this list, or this string alone."""
        items = self.items(hint)
        for item in items:
            item.text(hint)
        return items

    def text(self, hint: str) -> str:
        """Give this string."""
        if not isinstance(self.value, str) or not self.value:
            raise self.refusal(f"{_shown(self.value)} is no text", hint)
        return self.value


def nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    """Give the hint for a name that is not one of *names*."""
    lowered = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), lowered, 1)
    return f'did you mean "{lowered[close[0]]}"?' if close else otherwise


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
