"""Where a pattern is being read, and how what stands there is refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from eventrouter.patterns._json import MAXIMUM_DIGITS, Begin, Number, Reader, Scalar, read_number
from eventrouter.patterns._operators import ContentFilter, Leaf
from eventrouter.patterns._places import Step
from eventrouter.patterns._tree import dumps

#: Reads an operand whose value was begun.
Operator: TypeAlias = "Callable[[Cursor, Begin], ContentFilter]"

ONE_KEY: Final = "Only one key allowed in match expression"

_QUOTED: Final = 200  # characters of a pattern that a message quotes
_SHOWN: Final = 60  # characters of a pattern that a hint shows

#: What people write for an operator, and the operator.
_SYNONYMS: Final = {
    "startswith": "prefix",
    "beginswith": "prefix",
    "endswith": "suffix",
    "contains": "wildcard",
    "like": "wildcard",
    "regex": "wildcard",
    "matches": "wildcard",
    "not": "anything-but",
    "equals": "exactly",
    "range": "numeric",
    "between": "numeric",
}
_EXAMPLES: Final = {"wildcard": ', such as {"wildcard": "*text*"}'}


class RefusedError(Exception):
    """A pattern is refused: EventBridge's reason, the steps to the culprit, where it stands, and what to write."""

    def __init__(self, reason: str, steps: Iterable[Step], offset: int, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.steps, self.offset, self.hint = reason, tuple(steps), offset, hint


class TooComplexError(RefusedError):
    """A pattern is past a limit that protects the process."""


class Cursor:
    """A place in the text of a pattern.

    Attributes:
        reader: The text.
        steps: The names and indexes that lead here.
    """

    def __init__(self, text: str) -> None:
        self.reader = Reader(text)
        self.steps: list[Step] = []

    def refused(self, reason: str, hint: str, offset: int | None = None) -> RefusedError:
        """Give the error that refuses what is here, or the value at *offset* that these steps lead to."""
        return RefusedError(reason, self.steps, self.reader.offset if offset is None else offset, hint)

    def too_complex(self, reason: str, hint: str) -> TooComplexError:
        """Give the error that says that what is here is past a limit."""
        return TooComplexError(reason, self.steps, self.reader.offset, hint)

    def expression(
        self,
        operators: Mapping[str, Operator],
        missing: str,
        unknown: str,
        more: Callable[[str, str], str],
    ) -> ContentFilter:
        """Read an object with one key, the name of an operator, and its operand."""
        content_filter: ContentFilter | None = None
        operator = ""
        start = self.reader.offset
        for name in self.reader.names():
            if content_filter is not None:
                hint = "write each in an object of its own; alternatives are ORed"
                raise self.refused(more(operator, ONE_KEY), hint, start)
            if name not in operators:
                raise self.refused(unknown.format(shortened(name)), _instead(name, operators))
            operator = name
            self.steps.append(name)
            content_filter = operators[name](self, self.reader.begin())
            self.steps.pop()
        if content_filter is None:
            raise self.refused(missing, f"there are {', '.join(operators)}", start)
        return content_filter

    def string(self, begun: Begin, reason: str) -> str:
        """Read a string, or refuse what is there for *reason*."""
        value = begun.value if isinstance(begun, Scalar) else None
        if isinstance(value, str):
            return value
        if begun == "[":
            hint = "write one alternative for each string"
        else:
            hint = f'write "{shown(begun)}"' if isinstance(value, Number) else "write a string, in quotes"
        raise self.refused(reason, hint)

    def number(self, number: Number) -> int | float:
        """Read a number, or refuse an integer that is too long to be compared exactly."""
        value = read_number(number.text)
        if len(number.text) > MAXIMUM_DIGITS and number.text.lstrip("-").isdigit():
            raise self.too_complex(f"An integer has more than {MAXIMUM_DIGITS:,} digits", "write it as a string")
        return value

    def plain(self, scalar: Scalar) -> Leaf:
        """Read a string, number, true, false or null."""
        return self.number(scalar.value) if isinstance(scalar.value, Number) else scalar.value


def _instead(name: str, operators: Mapping[str, Operator]) -> str:
    """Suggest an operator in place of one that there is not."""
    if name == "$or":
        return 'the values of a list are ORed as they are; write "$or" beside the names of fields'
    plain = name[:_SHOWN].lower()
    meant = _SYNONYMS.get(plain.replace("-", "").replace("_", ""))
    if meant not in operators:
        meant = next(iter(difflib.get_close_matches(plain, operators, 1, 0.5)), None)
    return f'did you mean "{meant}"{_EXAMPLES.get(meant, "")}?' if meant else f"there are {', '.join(operators)}"


def shortened(text: str, length: int = _QUOTED) -> str:
    """Quote no more of a text than a message has room for."""
    return text if len(text) <= length else f"{text[:length]}..."


def shown(begun: Begin) -> str:
    """Show a value as JSON, or what it begins with."""
    if not isinstance(begun, Scalar):
        return begun
    if isinstance(begun.value, Number):
        return shortened(begun.value.text, _SHOWN)
    return dumps(shortened(begun.value, _SHOWN) if isinstance(begun.value, str) else begun.value)
