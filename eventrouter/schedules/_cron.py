"""`cron(...)`: which minutes of a calendar it means. Time zones are no matter here."""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from eventrouter.errors import ScheduleExpressionError
from eventrouter.schedules._fields import FIELDS, Days, FieldReader

_FIELD: Final = re.compile(r"[^ \t]+")
_CHARACTERS: Final = re.compile(r"[0-9A-Za-z*?,/#\- \t-]*")
_SATURDAY: Final = 5


@dataclass(frozen=True)
class Cron:
    """The minutes that an expression means, in some calendar.

    Attributes:
        minutes: Of the hour.
        hours: Of the day.
        days: Of the month.
        months: Of the year, from 1.
        years: From 1970 to 2199.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: Days
    months: frozenset[int]
    years: frozenset[int]

    @classmethod
    def parse(cls, expression: str, body: str, position: int) -> tuple[Cron, str]:
        """Read the fields of an expression, and give them in their canonical form too.

        Args:
            expression: The whole of it, for errors.
            body: What is between the parentheses.
            position: Where that begins.

        Raises:
            ScheduleExpressionError: Says which field is wrong, and where.
        """
        wrong = _CHARACTERS.match(body)
        end = wrong.end() if wrong is not None else 0
        if end < len(body):
            raise ScheduleExpressionError(
                expression,
                "charset",
                f"{body[end]!r} has no meaning",
                "use digits, names and * ? , - / L W #",
                position=position + end,
            )
        found = [(match[0], position + match.start()) for match in _FIELD.finditer(body)]
        if len(found) != len(FIELDS):
            raise ScheduleExpressionError(
                expression,
                "fields",
                f"It has {len(found)} fields",
                "write six: minutes hours day-of-month month day-of-week year",
            )
        minutes, hours, of_month, month, of_week, year = (
            FieldReader(expression, field, text, at) for field, (text, at) in zip(FIELDS, found, strict=True)
        )
        texts = [text for text, _ in found]
        of_month_is_open, of_week_is_open = texts[2] == "?", texts[4] == "?"
        for index, (text, at) in enumerate(found):
            if "?" in text and not (text == "?" and index in {2, 4}):
                raise ScheduleExpressionError(
                    expression,
                    "value",
                    f"? stands in {FIELDS[index].name}",
                    "? stands alone, in day-of-month or in day-of-week",
                    field=FIELDS[index].name,
                    position=at,
                )
        by_month = None if of_month_is_open else of_month.days_of_month()
        by_week = None if of_week_is_open else of_week.days_of_week()
        days = by_month or by_week
        if days is None or (by_month is not None and by_week is not None):
            both = "both ?" if days is None else "both set"
            fix = "put * in one" if days is None else "put ? in one"
            raise ScheduleExpressionError(
                expression,
                "dom-dow",
                f"day-of-month and day-of-week are {both}",
                fix,
                field="day-of-week",
                position=found[4][1],
            )
        cron = cls(minutes.values(), hours.values(), days, month.values(), year.values())
        return cron, " ".join(_canonical(text) for text in texts)

    def next_from(self, wall: datetime) -> datetime | None:
        """Give the first minute that is meant, *wall* or later; None if there is none.

        Args:
            wall: A naive datetime, to the minute.
        """
        year, month, day, hour, minute = wall.year, wall.month, wall.day, wall.hour, wall.minute
        if year in self.years and month in self.months:
            mask = self._mask(year, month)
            if mask >> day & 1:
                if hour in self.hours and minute <= self._last_minute:
                    return datetime(year, month, day, hour, self._minute_from[minute])
                if hour < self._last_hour:
                    return datetime(year, month, day, self._hour_from[hour + 1], self._first_minute)
            mask >>= day + 1
            if mask:
                return datetime(year, month, day + (mask & -mask).bit_length(), self._first_hour, self._first_minute)
        return self._in_later_month(year, month)

    def _in_later_month(self, year: int, month: int) -> datetime | None:
        for later in self._ordered_years[bisect_left(self._ordered_years, year) :]:
            for other in self._ordered_months:
                if later == year and other <= month:
                    continue
                mask = self._mask(later, other)
                if mask:
                    day = (mask & -mask).bit_length() - 1
                    return datetime(later, other, day, self._first_hour, self._first_minute)
        return None

    def _mask(self, year: int, month: int) -> int:
        """Give the days of a month that are meant, as bits: day n is bit n."""
        first, length = calendar.monthrange(year, month)
        key = first, length
        mask = self._masks.get(key)
        if mask is None:
            mask = self._masks[key] = _mask(self.days, first, length)
        return mask

    @cached_property
    def _masks(self) -> dict[tuple[int, int], int]:
        return {}  # at most 28: seven first weekdays, four lengths

    @cached_property
    def _ordered_years(self) -> list[int]:
        return sorted(self.years)

    @cached_property
    def _ordered_months(self) -> list[int]:
        return sorted(self.months)

    @cached_property
    def _first_minute(self) -> int:
        return min(self.minutes)

    @cached_property
    def _last_minute(self) -> int:
        return max(self.minutes)

    @cached_property
    def _first_hour(self) -> int:
        return min(self.hours)

    @cached_property
    def _last_hour(self) -> int:
        return max(self.hours)

    @cached_property
    def _minute_from(self) -> list[int]:
        return _first_from(self.minutes)

    @cached_property
    def _hour_from(self) -> list[int]:
        return _first_from(self.hours)


def _first_from(values: Iterable[int]) -> list[int]:
    """Give for each number up to the greatest value the first value that is not less."""
    ordered = sorted(values)
    return [ordered[bisect_left(ordered, number)] for number in range(ordered[-1] + 1)]


def _mask(days: Days, first: int, length: int) -> int:
    """Give the days of a month as bits, from the weekday of its first, Monday being 0, and its length."""
    match days.form:
        case "last":
            chosen = [length]
        case "last-weekday":
            chosen = [_nearest_weekday(length, first, length)]
        case "weekday":
            chosen = [_nearest_weekday(days.nth, first, length)] if days.nth <= length else []
        case "last-of":
            chosen = _weekdays(days, first, length)[-1:]
        case "nth":
            chosen = _weekdays(days, first, length)[days.nth - 1 : days.nth]
        case _:
            chosen = _weekdays(days, first, length) if days.of_week else [day for day in days.values if day <= length]
    return sum(1 << day for day in chosen)


def _weekdays(days: Days, first: int, length: int) -> list[int]:
    """List the days of a month that are one of the weekdays; 1 is Sunday."""
    return [day for day in range(1, length + 1) if (first + day) % 7 + 1 in days.values]


def _nearest_weekday(day: int, first: int, length: int) -> int:
    """Give the day from Monday to Friday that is nearest, within the month."""
    weekday = (first + day - 1) % 7
    if weekday < _SATURDAY:
        return day
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    return day + 1 if day < length else day - 2


def _canonical(field: str) -> str:
    """Write names in capitals, and numbers without leading zeros."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", field.upper())
