"""Schedule expressions of AWS as Unix's, and the other way, with what gets lost named. Pure functions."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from eventrouter.schedules._expression import ScheduleExpression

_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST: Final = (59, 23, 31, 12)
_FIRST: Final = (0, 0, 1, 1)


class Conversion(NamedTuple):
    """An expression in the other language.

    Attributes:
        expressions: What to write; several if one does not do, none if it cannot be said at all.
        losses: What they do not say, or why there are none.
    """

    expressions: tuple[str, ...]
    losses: tuple[str, ...] = ()


def convert(expression: ScheduleExpression) -> Conversion:
    """Say an expression of AWS in Unix's language, or one of Unix's in AWS's."""
    body = str(expression).partition("(")[2][:-1]
    if expression.kind == "unix":
        return _to_aws(body.strip('"').split())
    losses = []
    if expression.timezone != "UTC" and expression.kind != "rate":
        losses.append(f"a crontab has no time zone: {expression.timezone} has to be the machine's, or CRON_TZ")
    if expression.kind == "at":
        return Conversion((), ("Unix's cron has nothing that happens once",))
    converted = _rate_to_unix(body) if expression.kind == "rate" else _cron_to_unix(body.split())
    return converted._replace(losses=(*converted.losses, *(losses if converted.expressions else ())))


def _rate_to_unix(body: str) -> Conversion:
    number, unit = int(body.split(maxsplit=1)[0]), body.split()[1].rstrip("s")
    size = {"minute": 60, "hour": 24, "day": 1}[unit]
    if size % number:
        return Conversion((), (f"Unix's cron cannot count {body}: {number} does not divide {size}",))
    every = "*" if number == 1 else f"*/{number}"
    fields = {"minute": f"{every} * * * *", "hour": f"0 {every} * * *", "day": "0 0 * * *"}[unit]
    loss = "it is counted from midnight or the full hour, and by wall time, which changes with the clocks"
    return Conversion((f'unix("{fields}")',), (loss,))


def _cron_to_unix(fields: list[str]) -> Conversion:
    special = [field for field in (fields[2], fields[4]) if re.search("[LW#]", re.sub("[A-Z]{3}", "", field))]
    if special:
        return Conversion((), (f"Unix's cron has nothing like {special[0]}",))
    losses = [] if fields[5] == "*" else [f"the years {fields[5]}: Unix's cron has none"]
    minutes, hours, of_month, month = (
        ",".join(part for item in field.split(",") for part in _unwrapped(item, index))
        for index, field in enumerate(fields[:4])
    )
    of_week = "*" if fields[4] in {"?", "*"} else ",".join(str(day) for day in _week(fields[4], offset=1))
    return Conversion((f'unix("{minutes} {hours} {of_month} {month} {of_week}")',), tuple(losses))


def _unwrapped(item: str, index: int) -> list[str]:
    """Write an item of AWS's as Unix's cron reads it: a step has a range, and a range does not go round."""
    if item in {"*", "?"}:
        return ["*"]
    body, _, step = item.partition("/")
    begin, _, end = body.partition("-")
    if step and begin != "*" and not end:
        return [f"{begin}-{_LAST[index]}/{step}"]
    if end and begin.isdecimal() and end.isdecimal() and int(begin) > int(end):
        last, first = _LAST[index], _FIRST[index]
        size = last - first + 1
        values = range(int(begin), int(end) + size + 1, int(step or 1))
        return [str((value - first) % size + first) for value in values]
    return [item]


def _week(field: str, *, offset: int) -> list[int]:
    """List the days of a field, 0 being Sunday.

    Args:
        field: Without specials.
        offset: The number that Sunday has in it.
    """
    days: list[int] = []
    for item in field.split(","):
        body, _, step = item.partition("/")
        begin, _, end = body.partition("-")
        first = 0 if begin == "*" else _day(begin, offset)
        last = 6 if begin == "*" or (step and not end) else _day(end or begin, offset)
        days += [day % 7 for day in range(first, last + (7 if last < first else 0) + 1, int(step or 1))]
    return sorted(set(days))


def _day(text: str, offset: int) -> int:
    return _DAYS.index(text.upper()) if text.upper() in _DAYS else int(text) - offset


def _to_aws(fields: list[str]) -> Conversion:
    minutes, hours, of_month, month, of_week = fields
    losses = ["Unix's cron has rules of its own for the days on which clocks change, such as to make up for 02:30"]
    if re.search("[L#]", re.sub("[A-Z]{3}", "", f"{of_month} {of_week}".upper())):
        return Conversion((), ("L and # are not Unix's, and have other meanings in AWS's language",))
    days = ",".join(_DAYS[day] for day in _week(of_week, offset=0)) if of_week != "*" else "*"
    by_month, by_week = f"cron({minutes} {hours} {of_month} {month} ? *)", f"cron({minutes} {hours} ? {month} {days} *)"
    if of_week == "*":
        return Conversion((by_month,), tuple(losses))
    if of_month == "*":
        return Conversion((by_week,), tuple(losses))
    both = "one of two days is enough for Unix's cron: it takes two schedules, and a day that is both has two events"
    return Conversion((by_month, by_week), (both, *losses))
