"""Schedule expressions in plain English, and what changes of the clock do to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from eventrouter.schedules._expression import ScheduleExpression
from eventrouter.schedules._occurrences import first_instant

_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_NTH: Final = ("first", "second", "third", "fourth", "fifth")
_UNIX_DAYS: Final = (*_DAYS, "Sunday")


def explain(expression: ScheduleExpression) -> str:
    """Say in one sentence when an expression is due."""
    body = str(expression).partition("(")[2][:-1]
    if expression.kind == "rate":
        number, unit = body.split()
        told = f"Every {unit}" if number == "1" else f"Every {number} {unit}"
        anchor = "its start" if expression.start else "when it is put"
        return f"{told}, counted from {anchor}; clocks that change make no difference"
    if expression.kind == "at":
        return f"Once, at {body[11:16]} on {body[:10]}{_zone(expression)}"
    if expression.kind == "unix":
        minutes, hours, of_month, month, of_week = body.strip('"').split()
        days = [_of_month(of_month)] if of_month != "*" else []
        days += [f"every {_values(of_week, _UNIX_DAYS, 0)}"] if of_week != "*" else []
        when, year = " and ".join(days) or "every day", ""
    else:
        minutes, hours, of_month, month, of_week, years = body.split()
        when = _of_month(of_month) if of_week == "?" else _of_week(of_week)
        year = "" if years == "*" else f", in the years {_values(years)}"
    in_months = "" if month == "*" else f", in {_values(month, _MONTHS, 1)}"
    return f"{_times(minutes, hours)}, {when}{in_months}{year}{_zone(expression)}"


def _zone(expression: ScheduleExpression) -> str:
    return f" ({expression.timezone})"


def _times(minutes: str, hours: str) -> str:
    single = re.compile(r"[0-9]+(,[0-9]+)*")
    if single.fullmatch(minutes) and single.fullmatch(hours):
        times = [f"{int(hour):02}:{int(minute):02}" for hour in hours.split(",") for minute in minutes.split(",")]
        return f"At {_listed(times)}"
    step = re.fullmatch(r"(?:\*|0)/([0-9]+)", minutes)
    if minutes == "*":
        told = "Every minute"
    elif step:
        told = f"Every {step[1]} minutes" if 60 % int(step[1]) == 0 else f"Every {step[1]} minutes of an hour"
    else:
        told = f"At minute {_values(minutes)}"
    if hours == "*":
        return told if minutes == "*" or step else f"{told} of every hour"
    return f"{told} of hour {_values(hours)}"


def _of_month(text: str) -> str:
    if text == "*":
        return "every day"
    if text == "L":
        return "on the last day of the month"
    if text == "LW":
        return "on the last day of the month that is from Monday to Friday"
    if text.endswith("W"):
        return f"on the day from Monday to Friday that is nearest to day {text[:-1]} of the month"
    return f"on day {_values(text)} of the month"


def _of_week(text: str) -> str:
    if text == "*":
        return "every day"
    if text == "L":
        return "every Saturday"
    if "#" in text:
        day, _, nth = text.partition("#")
        return f"on the {_NTH[int(nth) - 1]} {_name(day, _DAYS, 1)} of the month"
    if text.endswith("L"):
        return f"on the last {_name(text[:-1], _DAYS, 1)} of the month"
    return f"every {_values(text, _DAYS, 1)}"


def _values(text: str, names: tuple[str, ...] = (), first: int = 0) -> str:
    told = []
    for item in text.split(","):
        body, _, step = item.partition("/")
        begin, _, end = body.partition("-")
        if begin == "*":
            part = "each"
        elif end:
            part = f"{_name(begin, names, first)} to {_name(end, names, first)}"
        else:
            part = _name(begin, names, first) + (" on" if step else "")
        told.append(f"every {step} from {part}" if step and begin != "*" else f"every {step}" if step else part)
    return _listed(told)


def _name(text: str, names: tuple[str, ...], first: int) -> str:
    if text.isdecimal():
        return names[int(text) - first] if names else text
    return next(name for name in names if name.upper().startswith(text.upper()))


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def clock_remarks(expression: ScheduleExpression, after: datetime, until: datetime) -> Iterator[tuple[datetime, str]]:
    """Say what changes of the clock do to occurrences after *after*, up to *until*: an instant, and a sentence each.

    One for each day on which a wall time that is meant does not exist, or comes twice.
    """
    if expression.kind in {"rate", "at"} or expression.timezone == "UTC":
        return
    zone = ZoneInfo(expression.timezone)
    # By clocks that never change the same expression gives every wall time that is meant.
    walls = replace(expression, timezone="UTC", start=None, end=None, _zone=UTC)
    begin, end = (instant.astimezone(zone).replace(tzinfo=UTC) for instant in (after, until))
    for (day, kind), group in groupby(walls.between(begin, end), key=lambda wall: (wall.date(), _kind(wall, zone))):
        if not kind:
            continue
        times = list(group)
        told = f"{times[0]:%H:%M}" if len(times) == 1 else f"{times[0]:%H:%M} to {times[-1]:%H:%M}"
        instant = times[0].replace(tzinfo=zone, fold=0).astimezone(UTC)
        verb = "" if len(times) > 1 else "es"
        if kind == "skipped":
            yield instant, f"skipped on {day}: {told} do{verb} not exist"
        else:
            yield instant, f"once on {day}: {told} com{'e' if len(times) > 1 else 'es'} twice, the first time counts"


def _kind(wall: datetime, zone: ZoneInfo) -> str:
    naive = wall.replace(tzinfo=None)
    if first_instant(naive, zone) is None:
        return "skipped"
    again = naive.replace(tzinfo=zone, fold=1)
    return "twice" if again.utcoffset() != again.replace(fold=0).utcoffset() else ""


#: How long a comparison of two schedules looks ahead.
YEAR: Final = timedelta(days=365)
