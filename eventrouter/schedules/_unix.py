"""`unix("...")`: the five fields of Unix's cron, read by croniter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from eventrouter.errors import ScheduleExpressionError

_QUOTED: Final = re.compile(r'"([^"]*)"')
_FIELDS: Final = re.compile(r"[0-9A-Za-z*,/#-]+([ \t]+[0-9A-Za-z*,/#-]+){4}")
#: What croniter reads as some minute or other, another one in each process: `H` and `R`, alone or with a step.
_SOME: Final = re.compile(r"(?<![A-Za-z])[HhRr](?![A-Za-z])")
#: A range of one value, which croniter reads as one that goes all the way round.
_ONE: Final = re.compile(r"(?<![0-9A-Za-z])(?P<one>[0-9A-Za-z]+)-(?P=one)(?:/[0-9]+)?(?![0-9A-Za-z])", re.IGNORECASE)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Unix:
    """The minutes that an expression means, in some calendar.

    Attributes:
        fields: Minute, hour, day of the month, month, day of the week. If both days are set, one of them is enough.
    """

    fields: str

    @classmethod
    def parse(cls, expression: str, body: str, position: int) -> tuple[Unix, str]:
        """Read the fields of an expression, and give them in their canonical form too.

        Raises:
            ScheduleExpressionError: They are not what Unix's cron understands.
        """
        match = _QUOTED.fullmatch(body)
        if match is None or not _FIELDS.fullmatch(match[1]):
            raise ScheduleExpressionError(
                expression,
                "unix",
                "It has not five fields in double quotes",
                'write unix("0 18 * * 1-5")',
                position=position,
            )
        some = _SOME.search(match[1])
        if some is not None:
            raise ScheduleExpressionError(
                expression,
                "unix",
                f"{some[0]} stands for a random value",
                "write a number; flexible_time_window spreads schedules",
                position=position + 1 + some.start(),
            )
        from croniter import croniter  # noqa: PLC0415 - it takes as long to import as all the rest

        written = " ".join(match[1].split())
        unix = cls(_ONE.sub(r"\g<one>", written))
        try:
            croniter(unix.fields)
        except ValueError as error:
            raise ScheduleExpressionError(expression, "unix", f"{error}", position=position + 1) from error
        return unix, f'"{written}"'

    def next_from(self, wall: datetime) -> datetime | None:
        """Give the first minute that is meant, *wall* or later, as a naive datetime; None if there is none."""
        from croniter import CroniterBadDateError, croniter  # noqa: PLC0415 - as above

        try:
            found: datetime = croniter(self.fields, wall - _MINUTE).get_next(datetime)
        except CroniterBadDateError:
            return None
        return found
