"""`unix("...")`: the five fields of Unix's cron, read by croniter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from eventrouter.errors import ScheduleExpressionError

_QUOTED: Final = re.compile(r'"([^"]*)"')
_FIELDS: Final = re.compile(r"[0-9A-Za-z*,/#-]+([ \t]+[0-9A-Za-z*,/#-]+){4}")
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
        from croniter import croniter  # noqa: PLC0415 - it takes as long to import as all the rest

        unix = cls(" ".join(match[1].split()))
        try:
            croniter(unix.fields)
        except ValueError as error:
            raise ScheduleExpressionError(expression, "unix", f"{error}", position=position + 1) from error
        return unix, f'"{unix.fields}"'

    def next_from(self, wall: datetime) -> datetime | None:
        """Give the first minute that is meant, *wall* or later, as a naive datetime; None if there is none."""
        from croniter import CroniterBadDateError, croniter  # noqa: PLC0415 - as above

        try:
            found: datetime = croniter(self.fields, wall - _MINUTE).get_next(datetime)
        except CroniterBadDateError:
            return None
        return found
