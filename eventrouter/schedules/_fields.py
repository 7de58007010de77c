"""The fields of `cron(...)`: text to values (EventBridge user guide, "Cron expressions reference")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from eventrouter.errors import ScheduleExpressionError

_MONTHS: Final = {
    name: number
    for number, name in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)  # noqa: SIM905
}
_WEEKDAYS: Final = {name: number for number, name in enumerate("SUN MON TUE WED THU FRI SAT".split(), 1)}  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Field:
    """What one of the six fields may hold.

    Attributes:
        name: As AWS calls it.
        first: The least value.
        last: The greatest.
        most: The greatest step; 0 where there are none.
        names: What stands for numbers.
    """

    name: str
    first: int
    last: int
    most: int
    names: dict[str, int]


FIELDS: Final = (
    Field("minutes", 0, 59, 59, {}),
    Field("hours", 0, 23, 23, {}),
    Field("day-of-month", 1, 31, 31, {}),
    Field("month", 1, 12, 12, _MONTHS),
    Field("day-of-week", 1, 7, 0, _WEEKDAYS),
    Field("year", 1970, 2199, 229, {}),
)
_YEAR: Final = FIELDS[5]

_NUMBER: Final = re.compile(r"[0-9]+")
_ITEM: Final = re.compile(r"(?P<from>\*|[^-/]+)(?:-(?P<to>[^-/]*))?(?P<step>/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Days:
    """Which days a day field stands for.

    Attributes:
        form: `values`, `last` (L), `weekday` (nW), `last-weekday` (LW), `last-of` (nL) or `nth` (n#m).
        values: Days of the month, or days of the week from 1, Sunday; with `last-of` and `nth` the one weekday.
        nth: Which of them in the month, with `nth`; the day, with `weekday`.
        of_week: Whether values are days of the week.
    """

    form: str
    values: frozenset[int] = frozenset()
    nth: int = 0
    of_week: bool = False


class FieldReader:
    """Reads one field of an expression.

    Args:
        expression: The whole expression, for errors.
        field: Which field.
        text: Its text.
        position: Where the text begins in the expression.
    """

    def __init__(self, expression: str, field: Field, text: str, position: int) -> None:
        self._expression = expression
        self._field = field
        self._text = text
        self._position = position

    def values(self) -> frozenset[int]:
        """Read values, ranges, steps and lists of them.

        Raises:
            ScheduleExpressionError: The text is none of those.
        """
        items = self._text.split(",")
        found: set[int] = set()
        position = self._position
        for item in items:
            if not item:
                self._refuse("value", "There is an empty item in the list", "write values between the commas", position)
            if item[0] == "*" and len(items) > 1:
                self._refuse("star-in-list", "* stands in a list", "write * alone, or leave it out", position)
            found |= self._item(item, position)
            position += len(item) + 1
        return frozenset(found)

    def days_of_month(self) -> Days:
        """Read the field of days of the month, if it is not `?`. Raises as `values`."""
        text = self._text.upper()
        if text == "L":
            return Days("last")
        if text == "LW":
            return Days("last-weekday")
        if text.endswith("W") and _NUMBER.fullmatch(text[:-1]):
            return Days("weekday", nth=self._value(text[:-1], self._position))
        if "L" in text or "W" in text:
            self._refuse(
                "value", f"{self._text} is no day of the month", "L, LW and a day with W, such as 15W, stand alone"
            )
        return Days("values", self.values())

    def days_of_week(self) -> Days:
        """Read the field of days of the week, if it is not `?`. Raises as `values`."""
        text = self._text.upper()
        if "/" in text:
            self._refuse("step-in-dow", "Days of the week have no steps", "list them, as in MON,WED,FRI")
        if text == "L":
            return Days("values", frozenset({7}), of_week=True)
        if "#" in text:
            day, _, nth = text.partition("#")
            if nth not in {"1", "2", "3", "4", "5"}:
                self._refuse("value", f"{self._text} is no day of the week", "write a day, # and 1 to 5, as in 3#2")
            return Days("nth", frozenset({self._value(day, self._position)}), nth=int(nth), of_week=True)
        if text.endswith("L") and len(text) > 1 and "," not in text and "-" not in text:
            return Days("last-of", frozenset({self._value(text[:-1], self._position)}), of_week=True)
        return Days("values", self.values(), of_week=True)

    def _item(self, item: str, position: int) -> set[int]:
        field = self._field
        match = _ITEM.fullmatch(item)
        if match is None:
            self._refuse("range", f"{item} has a - in the wrong place", "write a range as first-last", position)
        first, last, step = match["from"], match["to"], match["step"]
        if first == "*":
            if last is not None:
                self._refuse("range", f"{item} is no range", "write * alone, or a range as first-last", position)
            begin, length = field.first, field.last - field.first
        else:
            begin = self._value(first, position)
            if last is not None:
                if not last:
                    self._refuse("range", f"{item} has no end", "write a range as first-last", position)
                length = self._length(begin, self._value(last, position + len(first) + 1), item, position)
            else:
                length = field.last - begin if step is not None else 0
        distance = 1 if step is None else self._step(step[1:], position + len(item) - len(step) + 1)
        size = field.last - field.first + 1
        return {(begin - field.first + steps) % size + field.first for steps in range(0, length + 1, distance)}

    def _length(self, begin: int, end: int, item: str, position: int) -> int:
        """Say how many values after *begin* a range goes on; it may go round the end of the field."""
        if end < begin and self._field is _YEAR:
            self._refuse("reversed-year", f"{item} ends before it begins", f"write {end}-{begin}", position)
        return (end - begin) % (self._field.last - self._field.first + 1)

    def _step(self, text: str, position: int) -> int:
        field = self._field
        step = int(text) if _NUMBER.fullmatch(text) else 0
        if not 1 <= step <= field.most:
            self._refuse("step", f"{text or 'Nothing'} is no step", f"use 1 to {field.most}", position)
        return step

    def _value(self, text: str, position: int) -> int:
        field = self._field
        number = field.names.get(text.upper())
        if number is None and _NUMBER.fullmatch(text) and len(text) <= len(str(field.last)):
            number = int(text)
        if number is None or not field.first <= number <= field.last:
            named = f" or {', '.join(field.names)}" if field.names else ""
            self._refuse("value", f"{text} is no value", f"use {field.first} to {field.last}{named}", position)
        return number

    def _refuse(self, code: str, problem: str, hint: str, position: int | None = None) -> NoReturn:
        name = self._field.name
        at = self._position if position is None else position
        raise ScheduleExpressionError(
            self._expression,
            code,
            f"{problem} of {name}" if code in {"value", "step"} else f"{problem} ({name})",
            hint,
            field=name,
            position=at,
        )
