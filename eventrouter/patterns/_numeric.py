"""The operand of `numeric`, and the numbers that filters compare with."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final, NamedTuple

from eventrouter.patterns._cursor import Cursor, RefusedError, shortened, shown
from eventrouter.patterns._json import Begin, Number, Scalar
from eventrouter.patterns._operators import ContentFilter, Numeric

TOO_MANY: Final = "Too many elements in numeric expression"
_LOWER: Final = (">", ">=")
_UPPER: Final = ("<", "<=")
_RANGE: Final = 'write the lower bound first, as in {"numeric": [">", 0, "<=", 5]}'


def bound(cursor: Cursor, number: Number, offset: int | None = None) -> int | float:
    """Give a number that `numeric` or `anything-but` compares with: one that a double can show (4.4, 7.4)."""
    if not _is_comparable(number.text):
        reason = f"Cannot compare number : {shortened(number.text)}"
        raise cursor.refused(reason, "use at most 17 digits, and no number past 1.7e308", offset)
    return cursor.number(number)


def _is_comparable(text: str) -> bool:
    """Say whether a number equals the shortest form in which its double is printed."""
    double = float(text)
    if not math.isfinite(double):
        return False
    if double == 0:
        # Zero however it is written; but not what is only too small for a double. Decimal reads no 1e-(10**19).
        return not text.lower().partition("e")[0].strip("-0.")
    return Decimal(text) == Decimal(repr(double))


class _Part(NamedTuple):
    """A member of the operand, and where it stands."""

    begun: Begin
    offset: int


def numeric(cursor: Cursor, begun: Begin) -> ContentFilter:
    """Read a comparison and a number, or a range of two."""
    if begun != "[":
        is_number = isinstance(begun, Scalar) and isinstance(begun.value, Number)
        operand = f'["=", {shown(begun)}]' if is_number else '[">", 0]'
        raise cursor.refused("Value of numeric must be an array.", f'write {{"numeric": {operand}}}')
    shape = _Shape(cursor)
    for index in cursor.reader.items():
        cursor.steps.append(index)
        shape.add(_Part(cursor.reader.begin(), cursor.reader.offset))
        cursor.steps.pop()
    return shape.finish()


class _Shape:
    """The shape of the operand, checked part by part."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor, self._start = cursor, cursor.reader.offset
        self._parts: list[_Part] = []
        self._numbers: list[Number] = []

    def add(self, part: _Part) -> None:
        """Take the next part, or refuse it if it cannot stand where it does."""
        index = len(self._parts)
        self._parts.append(part)
        value = part.begun.value if isinstance(part.begun, Scalar) else None
        if index > 1 and self._name(0) not in _LOWER:
            raise self._cursor.refused(TOO_MANY, _RANGE)
        if index > 3:  # noqa: PLR2004 - two comparisons and two numbers
            raise self._cursor.refused("Too many terms in numeric range expression", "a range has two bounds")
        if index % 2:
            if not isinstance(value, Number):
                raise self._missing(index - 1, part.offset)
            self._numbers.append(value)
        elif not isinstance(value, str):
            problem = "Bad value in numeric range" if index else "Invalid member in numeric match"
            wanted = "< or <=" if index else "one of = < <= > >="
            raise self._cursor.refused(f"{problem}: {shown(part.begun)}", f"write {wanted}, in quotes, before a number")
        elif index and value not in _UPPER:
            raise self._cursor.refused(f"Bad numeric range operator: {shortened(value)}", "use < or <=")
        elif value not in ("=", *_LOWER, *_UPPER):
            reason = f"Unrecognized numeric range operator: {shortened(value)}"
            raise self._cursor.refused(reason, "use = < <= > >=")

    def finish(self) -> ContentFilter:
        """Give the filter, if the parts are complete and can be compared."""
        if not self._parts:
            raise self._cursor.refused("Invalid member in numeric match: ]", 'write a comparison, such as [">", 0]')
        if len(self._parts) % 2:
            raise self._missing(len(self._parts) - 1, self._start)
        values = [self._bound(number, 2 * index + 1) for index, number in enumerate(self._numbers)]
        if len(values) > 1 and not values[0] < values[1]:
            raise self._cursor.refused("Bottom must be less than top", self._other_range(*values), self._start)
        return Numeric(tuple((self._name(2 * index), value) for index, value in enumerate(values)))

    def _bound(self, number: Number, index: int) -> int | float:
        self._cursor.steps.append(index)
        value = bound(self._cursor, number, self._parts[index].offset)
        self._cursor.steps.pop()
        return value

    def _other_range(self, low: float, high: float) -> str:
        if low == high:
            return f'write {{"numeric": ["=", {shown(Scalar(self._numbers[0]))}]}} for that number alone'
        return f"write {shown(Scalar(self._numbers[1]))} first"

    def _missing(self, index: int, offset: int) -> RefusedError:
        name = self._name(index)
        reason = f"Value of {'equals' if name == '=' else name} must be numeric"
        return self._cursor.refused(reason, f'write a number, without quotes, after "{name}"', offset)

    def _name(self, index: int) -> str:
        begun = self._parts[index].begun
        return str(begun.value) if isinstance(begun, Scalar) else ""
