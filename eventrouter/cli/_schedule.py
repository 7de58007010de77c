"""`eventrouter schedule`: when schedule expressions are due, what they mean, and how they compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import typer

from eventrouter.cli._report import printable
from eventrouter.declarations import load_expressions
from eventrouter.errors import InvalidRuleError
from eventrouter.schedules import ScheduleExpression
from eventrouter.schedules._convert import convert
from eventrouter.schedules._explain import YEAR, clock_remarks, explain

_SHOWN: Final = 10  # differences, and collisions
_DAY: Final = timedelta(days=1)
_SUFFIXES: Final = (".json", ".toml", ".yaml", ".yml")


def read_instant(text: str | None) -> datetime:
    """Read an instant in ISO 8601, in UTC unless it says otherwise; now if there is none.

    Raises:
        InvalidRuleError: It is none.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRuleError(f"{text!r} is no instant", hint="write 2027-03-01 or 2027-03-01T12:00") from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)


def show_next(expression: ScheduleExpression, count: int, after: datetime) -> bool:
    """Print the next occurrences, with what changes of the clock do to them, and say whether there are any."""
    if expression.kind == "rate" and expression.start is None:
        expression = ScheduleExpression.parse(str(expression), expression.timezone, after)
        _print(f"Counted from {after:%Y-%m-%d %H:%M} UTC, as if it had been put then.")
    found: list[datetime] = []
    last = after - timedelta(microseconds=1) if expression.kind == "rate" else after
    while len(found) < count and (slot := expression.next_after(last)) is not None:
        found.append(slot)
        last = slot
    lines = [(slot, f"{_local(slot, expression)}  {slot:%Y-%m-%d %H:%M} UTC") for slot in found]
    if found:
        lines += [(slot, f"  {told}") for slot, told in clock_remarks(expression, after, found[-1])]
    for _, line in sorted(lines):
        _print(line)
    if len(found) < count:
        _print("No occurrence is left." if not found else f"These {len(found)} are all.")
    return bool(found)


def _local(instant: datetime, expression: ScheduleExpression) -> str:
    local = instant.astimezone(expression.zone)
    return f"{local:%a %Y-%m-%d %H:%M} {local:%Z}"


def show_explanation(expression: ScheduleExpression) -> None:
    """Print what an expression means."""
    _print(f"{explain(expression)}.")
    if expression.kind not in {"rate", "at"} and expression.timezone != "UTC":
        _print("A time that clocks skip is skipped; one that comes twice counts the first time.")


def show_difference(first: ScheduleExpression, second: ScheduleExpression, after: datetime) -> bool:
    """Print at which instants of a year only one of two expressions is due, and say whether there are none."""
    a, b = (set(expression.between(after, after + YEAR)) for expression in (first, second))
    _print(f"{len(a & b)} occurrences of both in the year from {after:%Y-%m-%d %H:%M} UTC")
    for sign, expression, alone in (("-", first, sorted(a - b)), ("+", second, sorted(b - a))):
        if alone:
            _print(f"{sign} {len(alone)} only of {expression}")
        for slot in alone[:_SHOWN]:
            _print(f"{sign}   {slot:%a %Y-%m-%d %H:%M} UTC")
        if len(alone) > _SHOWN:
            _print(f"{sign}   and {len(alone) - _SHOWN} more")
    return a == b


def show_conversion(expression: ScheduleExpression) -> bool:
    """Print an expression in the other language, with what gets lost, and say whether there is one."""
    expressions, losses = convert(expression)
    for written in expressions:
        _print(written)
    for loss in losses:
        _print(f"{'lost' if expressions else 'not possible'}: {loss}")
    return bool(expressions)


def show_collisions(places: Sequence[str], timezone: str, after: datetime, least: int) -> bool:
    """Print the instants of a day at which many schedules are due at once, and say whether there are none.

    Args:
        places: Expressions, or rules files.
        timezone: Of the expressions.
        after: Where the day begins.
        least: How many are many.
    """
    expressions = [expression for place in places for expression in _expressions(place, timezone)]
    counts: Counter[datetime] = Counter()
    for expression in expressions:
        counts.update(expression.between(after, after + _DAY))
    crowded = [(slot, number) for slot, number in counts.most_common() if number >= least]
    for slot, number in sorted(crowded[:_SHOWN]):
        _print(f"{number} schedules at {slot:%Y-%m-%d %H:%M} UTC")
    if len(crowded) > _SHOWN:
        _print(f"and {len(crowded) - _SHOWN} more instants")
    if not crowded:
        _print(f"No {least} of the {len(expressions)} schedules are due at once.")
    return not crowded


def _expressions(place: str, timezone: str) -> list[ScheduleExpression]:
    if not place.lower().endswith(_SUFFIXES):
        return [ScheduleExpression.parse(place, timezone)]
    return load_expressions(Path(place))


def _print(text: str) -> None:
    typer.echo(printable(text))
