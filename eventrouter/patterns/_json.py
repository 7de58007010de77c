"""JSON text (RFC 8259): events whole, patterns value by value with their places."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

MAXIMUM_DIGITS: Final = 10_000  # of an integer that is read exactly; reading takes time that grows with their square
_TOO_LONG: Final = 10**MAXIMUM_DIGITS
_INT_DIGITS: Final = sys.int_info.str_digits_check_threshold  # what int() reads, whatever the interpreter's limit


def read_event_text(text: str | bytes) -> Any:
    """Read the text of an event: numbers as they are, the last of a repeated name. Raises `ValueError`."""
    return json.loads(decoded(text), parse_constant=_refuse_constant, parse_int=read_integer)


def decoded(text: str | bytes) -> str:
    """Decode UTF-8, strictly. json.loads alone would take bytes for UTF-16 or UTF-32 where they look like it."""
    return text if isinstance(text, str) else bytes(text).decode()


def read_integer(text: str) -> int | float:
    """Read an integer: exactly, or from 10,001 digits on as an infinity, which is how Python reads 1e400."""
    digits = len(text) - text.startswith("-")
    if digits > MAXIMUM_DIGITS:
        return -math.inf if text.startswith("-") else math.inf
    return int(text) if digits <= _INT_DIGITS else int(Decimal(text))


def as_read(value: int) -> int | float:
    """Give an integer as it would be read from text."""
    if abs(value) < _TOO_LONG:
        return value
    return math.inf if value > 0 else -math.inf


def write_integer(value: int) -> str:
    """Write an integer, also one that str() refuses; one that is past all that are read as the first of these."""
    return str(Decimal(int(value) if abs(value) < _TOO_LONG else _TOO_LONG * (1 if value > 0 else -1)))


def read_number(text: str) -> int | float:
    """Read a number: whole ones as integers, others as doubles."""
    return float(text) if set(text) & _FRACTIONAL else read_integer(text)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


class JsonSyntaxError(ValueError):
    """The text is not JSON, at an offset of it."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem, offset)
        self.problem, self.offset = problem, offset


class Number(NamedTuple):
    """A number as it is written, which is what EventBridge's messages quote."""

    text: str


#: What a value begins with: `{` or `[`, or all of it.
Begin: TypeAlias = "str | Scalar"


class Scalar(NamedTuple):
    """A value that is neither an object nor an array."""

    value: str | Number | bool | None


_read_string: Final = json.JSONDecoder().raw_decode
# Possessive, so that nothing is looked at twice.
_BLANK: Final = re.compile(r"[ \t\n\r]*+")
_NUMBER: Final = re.compile(r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+")
_FRACTIONAL: Final = frozenset(".eEIN")  # of a number that is no integer; Python's infinities and NaN too
_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


class Reader:
    """Reads JSON text from left to right, without looking ahead.

    So an error of the pattern is found before an error of the syntax that stands behind it, as in EventBridge.

    Attributes:
        offset: Where the value that was begun last begins.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.offset = 0

    def begin(self) -> Begin:
        """Begin a value: give `{` or `[`, or the whole scalar."""
        first = self._peek()
        self.offset = self._position
        if first in ("{", "["):
            self._position += 1
            return first
        if first == '"':
            return Scalar(self._string())
        number = _NUMBER.match(self._text, self._position)
        if number:
            self._position = number.end()
            return Scalar(Number(number[0]))
        for name, constant in _CONSTANTS.items():
            if self._text.startswith(name, self._position):
                self._position += len(name)
                return Scalar(constant)
        raise JsonSyntaxError(f"a value was expected, not {first!r}" if first else "the text ends early", self.offset)

    def names(self) -> Iterator[str]:
        """Give the names of an object that was begun; the caller reads each value before the next name."""
        if self._peek() == "}":
            self._position += 1
            return
        while True:
            if self._peek() != '"':
                raise self._unexpected("a name in quotes")
            self.offset = self._position
            name = self._string()
            self._take(":")
            yield name
            if self._comma_or("}"):
                return

    def items(self) -> Iterator[int]:
        """Give the indexes of an array that was begun; the caller reads each value before the next index."""
        if self._peek() == "]":
            self._position += 1
            return
        index = 0
        while True:
            yield index
            index += 1
            if self._comma_or("]"):
                return

    def end(self) -> None:
        """See that nothing follows."""
        if self._peek():
            raise self._unexpected("the end of the text")

    def _peek(self) -> str:
        match = _BLANK.match(self._text, self._position)
        self._position = match.end() if match else self._position
        return self._text[self._position : self._position + 1]

    def _string(self) -> str:
        try:
            value, self._position = _read_string(self._text, self._position)
        except json.JSONDecodeError as error:
            raise JsonSyntaxError(error.msg.lower(), error.pos) from None
        return str(value)

    def _take(self, expected: str) -> None:
        if self._peek() != expected:
            raise self._unexpected(repr(expected))
        self._position += 1

    def _comma_or(self, closing: str) -> bool:
        found = self._peek()
        if found not in (",", closing) or not found:
            raise self._unexpected(f"',' or {closing!r}")
        self._position += 1
        return found == closing

    def _unexpected(self, expected: str) -> JsonSyntaxError:
        found = self._text[self._position : self._position + 1]
        return JsonSyntaxError(
            f"{expected} was expected, not {found!r}" if found else "the text ends early", self._position
        )


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Give the line and column, both from 1, of a character of the text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
