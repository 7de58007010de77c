"""`ScheduleExpression`: when something is to happen, as EventBridge writes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, Self, TypeAlias, cast

from eventrouter.errors import ScheduleExpressionError
from eventrouter.schedules._cron import Cron
from eventrouter.schedules._occurrences import NextWall, first_instant, next_beat, next_occurrence
from eventrouter.schedules._unix import Unix

#: What an expression is.
ScheduleKind: TypeAlias = Literal["cron", "rate", "at", "unix"]
#: Whose reading of `rate(1 minutes)`: EventBridge's rules refuse it, its Scheduler takes it.
ScheduleProfile: TypeAlias = Literal["rules", "scheduler"]

MAXIMUM_LENGTH: Final = 256  # characters (botocore's service model)
_MAXIMUM_ZONE: Final = 50  # characters (botocore's service model)
_FIELDS_OF_UNIX: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_WRAPPED: Final = re.compile(r"(cron|rate|at|unix)\((.*)\)", re.DOTALL)
_RATE: Final = re.compile(r"([0-9]+)[ \t]+(minute|hour|day)(s?)")
_AT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_UNIT: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class ScheduleExpression:
    """When something is to happen (EventBridge user guide, "Schedule types"). Make it with `parse`.

    A value: equal if it is written alike in its canonical form, which `str()` gives, and has the same zone and period.

    Attributes:
        expression: The expression in its canonical form.
        kind: `cron`, `rate`, `at` or `unix`.
        timezone: The IANA name of the zone whose clocks count, for all but `rate`.
        start: The first instant that counts, for all but `at`; in UTC, None for no limit.
        end: The last one.
    """

    expression: str
    kind: ScheduleKind
    timezone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    _zone: tzinfo = field(default=UTC, repr=False, compare=False)
    _next_wall: NextWall | None = field(default=None, repr=False, compare=False)
    _period: timedelta | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(
        cls,
        expression: str,
        timezone: str = "UTC",
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        profile: ScheduleProfile = "rules",
    ) -> Self:
        """Read an expression.

        - `cron(minutes hours day-of-month month day-of-week year)`, as EventBridge reads it;
        - `rate(5 minutes)`, `rate(1 day)`: elapsed time, counted from *start*, or without one from
          1970-01-01T00:00Z, so that it is the same in every process;
        - `at(2027-01-31T18:00:00)`: once, in that minute, whatever *start* and *end* are;
        - `unix("0 18 * * 1-5")`: five fields, as Unix's cron reads them.

        A wall time that is skipped when clocks go forward is skipped here; one that comes twice counts the first time.

        Args:
            expression: At most 256 characters.
            timezone: An IANA name, such as `Europe/London`.
            start: Nothing happens before; an aware datetime.
            end: Nothing happens after; an aware datetime.
            profile: Whether `rate(1 minutes)` is refused, as EventBridge's rules do, or taken, as its Scheduler does.

        Raises:
            ScheduleExpressionError: It is not such an expression, or the zone or period is not usable: which class of
                fault it is, where, and what to write instead.
        """
        if not isinstance(expression, str):
            raise ScheduleExpressionError(expression, "wrapper", "It is no text", "write 'rate(5 minutes)'")
        zone = _find_zone(expression, timezone)
        start, end = _instant(expression, "start", start), _instant(expression, "end", end)
        if start is not None and end is not None and end < start:
            raise ScheduleExpressionError(expression, "period", f"Its end, {end}, is before its start, {start}")
        kind, body, position = _unwrap(expression)
        next_wall: NextWall | None = None
        period: timedelta | None = None
        if kind == "cron":
            cron, body = Cron.parse(expression, body, position)
            next_wall = cron.next_from
        elif kind == "unix":
            unix, body = Unix.parse(expression, body, position)
            next_wall = unix.next_from
        elif kind == "rate":
            period, body = _read_rate(expression, body, profile)
        else:
            instant = _read_at(expression, body, zone)
            return cls(f"at({body})", "at", timezone, start, end, zone, _Once(instant).next_from)
        return cls(f"{kind}({body})", kind, timezone, start, end, zone, next_wall, period)

    def __str__(self) -> str:
        return self.expression

    @property
    def zone(self) -> tzinfo:
        """The zone whose clocks count."""
        return self._zone

    def next_after(self, instant: datetime) -> datetime | None:
        """Give the first instant after *instant* that is meant, in UTC; None if there is none.

        Args:
            instant: An aware datetime.

        Raises:
            ValueError: It is naive.
        """
        if instant.tzinfo is None:
            raise ValueError("The instant must be aware; add a zone, such as datetime.UTC.")
        instant = instant.astimezone(UTC)
        if self.kind != "at" and self.start is not None and instant < self.start:
            instant = self.start - _A_MOMENT  # the start itself counts
        if self._period is not None:
            found = next_beat(self._period, self.start or _EPOCH, instant)
        else:
            assert self._next_wall is not None  # noqa: S101 - `parse` has seen to it
            found = next_occurrence(self._next_wall, UTC if self.kind == "at" else self._zone, instant)
        if found is None or (self.end is not None and found > self.end and self.kind != "at"):
            return None
        return found

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Give the instants that are meant after *after*, up to and including *until*, in their order.

        Raises:
            ValueError: One of them is naive.
        """
        found = self.next_after(after)
        while found is not None and found <= until:
            yield found
            found = self.next_after(found)


_A_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Once:
    """The minute that `at(...)` means, by clocks of UTC."""

    instant: datetime

    def next_from(self, wall: datetime) -> datetime | None:
        meant = self.instant.replace(tzinfo=None)
        return meant if wall <= meant else None


def _unwrap(expression: str) -> tuple[ScheduleKind, str, int]:
    """Give the kind of an expression, what is in its parentheses, and where that begins."""
    if len(expression) > MAXIMUM_LENGTH:
        raise ScheduleExpressionError(
            expression, "length", f"It has {len(expression)} characters", f"use 1 to {MAXIMUM_LENGTH}"
        )
    match = _WRAPPED.fullmatch(expression)
    if match is None:
        raise ScheduleExpressionError(
            expression,
            "wrapper",
            "It is none of cron(...), rate(...), at(...) and unix(...)",
            f'write unix("{expression}")'
            if len(expression.split()) == _FIELDS_OF_UNIX
            else "write it in lower case, without blanks around, as in rate(5 minutes)",
        )
    kind = cast("ScheduleKind", match[1])
    body = match[2]
    if body != body.strip():
        at = match.start(2) if body != body.lstrip() else match.end(2) - 1
        raise ScheduleExpressionError(
            expression,
            "whitespace",
            "There are blanks inside the parentheses, at their edge",
            "leave them out",
            position=at,
        )
    return kind, body, match.start(2)


def _read_rate(expression: str, body: str, profile: ScheduleProfile) -> tuple[timedelta, str]:
    match = _RATE.fullmatch(body)
    if match is None:
        code = "rate-value" if re.fullmatch(r"\S+\s+(minute|hour|day)s?", body) else "rate-syntax"
        raise ScheduleExpressionError(
            expression, code, f"{body or 'Nothing'} is no rate", "write a whole number and minutes, hours or days"
        )
    number, unit = int(match[1]), match[2]
    if number == 0:
        raise ScheduleExpressionError(expression, "rate-value", "0 is no rate", "use a whole number from 1")
    plural = "" if number == 1 else "s"
    if match[3] != plural and not (profile == "scheduler" and number == 1):
        raise ScheduleExpressionError(
            expression, "rate-plural", f"{number} does not go with {unit}{match[3]}", f"write {unit}{plural}"
        )
    try:
        period = number * _UNIT[unit]
    except OverflowError:
        period = timedelta.max
    return period, f"{number} {unit}{plural}"


def _read_at(expression: str, body: str, zone: tzinfo) -> datetime:
    """Give the instant of `at(...)`, in UTC and to the minute."""
    if not _AT.fullmatch(body):
        raise ScheduleExpressionError(
            expression, "at-syntax", f"{body or 'Nothing'} is no time", "write at(yyyy-mm-ddThh:mm:ss), without a zone"
        )
    try:
        wall = datetime.fromisoformat(body).replace(second=0)
    except ValueError as error:
        raise ScheduleExpressionError(expression, "at-date", f"There is no such time: {error}") from error
    try:
        instant = first_instant(wall, zone)
    except OverflowError as error:
        raise ScheduleExpressionError(expression, "at-date", "There is no such time in UTC") from error
    if instant is None:
        raise ScheduleExpressionError(
            expression, "at-date", f"Clocks in {zone} skip {wall:%H:%M} on that day", "use a time before or after"
        )
    return instant


def _find_zone(expression: str, timezone: object) -> tzinfo:
    if timezone == "UTC":
        return UTC
    import zoneinfo  # noqa: PLC0415 - who has no zone need not load it

    if isinstance(timezone, str) and 1 <= len(timezone) <= _MAXIMUM_ZONE:
        try:
            return zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            near = difflib.get_close_matches(timezone, zoneinfo.available_timezones(), 1)
            hint = f"did you mean {near[0]}?" if near else "use an IANA name, such as Europe/London"
    else:
        hint = "use an IANA name, such as Europe/London"
    raise ScheduleExpressionError(expression, "timezone", f"There is no time zone {timezone!r}", hint)


def _instant(expression: str, name: str, instant: object) -> datetime | None:
    if instant is None:
        return None
    if not isinstance(instant, datetime) or instant.tzinfo is None:
        raise ScheduleExpressionError(
            expression, "period", f"Its {name} is {instant!r}", "use an aware datetime, such as one in datetime.UTC"
        )
    return instant.astimezone(UTC)
