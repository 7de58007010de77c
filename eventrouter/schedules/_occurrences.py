"""When an expression is due: instants in UTC from wall time in a zone. Pure functions.

The rule at changes of the clock is that of the EventBridge Scheduler user guide ("Daylight saving time"): a wall time
that does not exist on a day is skipped, one that comes twice counts the first time. A wildcard is no exception: an
expression for every quarter of an hour is silent while an hour is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, TypeAlias

#: Gives the first wall time that is meant, the given one or later, as naive datetimes to the minute.
NextWall: TypeAlias = Callable[[datetime], datetime | None]

_MINUTE: Final = timedelta(minutes=1)
#: Expressions mean years from 1970 to 2199; no zone is two days from UTC.
_FIRST: Final = datetime(1969, 12, 30, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 2, tzinfo=UTC)


def next_occurrence(next_wall: NextWall, zone: tzinfo, instant: datetime) -> datetime | None:
    """Give the first instant after *instant* at which the zone's clocks show a wall time that is meant.

    Args:
        next_wall: What is meant.
        zone: Whose clocks.
        instant: An aware datetime in UTC.

    Returns:
        An instant in UTC, at which the clocks begin a minute; None if there is none.
    """
    if instant < _FIRST:
        instant = _FIRST
    elif instant > _LAST:
        return None
    if zone is UTC:
        wall = next_wall(_next_minute(instant))
        return wall.replace(tzinfo=UTC) if wall is not None else None
    wall = next_wall(_next_minute(instant.astimezone(zone)))
    while wall is not None:
        found = first_instant(wall, zone)
        # Not None: clocks do not skip it. Not before: it is not the second time that they show it.
        if found is not None and found > instant:
            return found
        wall = next_wall(wall + _MINUTE)
    return None


def _next_minute(local: datetime) -> datetime:
    return local.replace(second=0, microsecond=0, tzinfo=None, fold=0) + _MINUTE


def first_instant(wall: datetime, zone: tzinfo) -> datetime | None:
    """Give the instant at which the zone's clocks show *wall* for the first time; None if they skip it."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return instant if instant.astimezone(zone).replace(tzinfo=None) == wall else None


def next_beat(period: timedelta, anchor: datetime, instant: datetime) -> datetime | None:
    """Give the first instant after *instant* that is a whole number of periods after *anchor*, which is the first."""
    if instant < anchor:
        return anchor
    try:
        return anchor + ((instant - anchor) // period + 1) * period
    except OverflowError:
        return None
