"""Which occurrences of a schedule happen, when some of them may be long over. Pure functions of instants."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias

from eventrouter.schedules._expression import ScheduleExpression

#: What becomes of occurrences that were missed: the latest of them happens late, none does, or each does.
Missed: TypeAlias = Literal["once", "skip", "all"]

#: How late an occurrence may be and still be on time: a run belongs to its minute (EventBridge Scheduler user guide).
GRACE: Final = timedelta(minutes=1)
#: How many missed occurrences happen late at most, the latest ones: a year of minutes has half a million.
MAXIMUM_MISSED: Final = 1_000

_MINUTE: Final = timedelta(minutes=1)
_MOMENT: Final = timedelta(microseconds=1)


class Judgement(NamedTuple):
    """What becomes of the occurrences up to now.

    Attributes:
        fires: Those that happen, in their order.
        passed: The last of those that were missed; None if none was. No later than the last of `fires`, if both are.
        skipped: How many do not happen, counted up to `MAXIMUM_MISSED`.
    """

    fires: tuple[datetime, ...]
    passed: datetime | None = None
    skipped: int = 0


def judge(expression: ScheduleExpression, first: datetime, now: datetime, missed: Missed) -> Judgement:
    """Decide about the occurrences from *first*, which is one, up to *now*.

    Those of the last minute are on time, and happen. What becomes of earlier ones says *missed*; the latest of them
    need not happen late when one that is on time does. It takes time that grows with the number that happen, and with
    the logarithm of how long ago *first* was.
    """
    on_time = now - GRACE
    if first >= on_time:
        return Judgement((first, *expression.between(first, now)))
    passed = latest(expression, first, on_time - _MOMENT) or first
    punctual = tuple(expression.between(passed, now))
    if missed == "all":
        late = _last(expression, first, passed)
    else:
        late = (passed,) if missed == "once" and not punctual else ()
    known = 1 + sum(1 for _ in islice(expression.between(first, passed), MAXIMUM_MISSED))
    return Judgement(late + punctual, passed, max(0, known - len(late)))


def latest(expression: ScheduleExpression, after: datetime, until: datetime) -> datetime | None:
    """Give the last occurrence after *after*, up to and including *until*; None if there is none.

    Looks back by doubling, and then halves: a year of minutes takes some forty steps.
    """
    distance = _MINUTE
    behind, ahead = until, until  # nothing is between `ahead` and the end; something is after `behind`, once found
    while True:
        behind = max(after, until - distance) if until - after > distance else after
        if _is_any(expression, behind, until):
            break
        if behind <= after:
            return None
        ahead, distance = behind, 2 * distance
    while ahead - behind > _MINUTE:
        middle = behind + (ahead - behind) / 2
        if _is_any(expression, middle, until):
            behind = middle
        else:
            ahead = middle
    return deque(expression.between(behind, until), 1).pop()


def _last(expression: ScheduleExpression, first: datetime, last: datetime) -> tuple[datetime, ...]:
    """Give the occurrences from *first* to *last*, but only the latest if they are too many."""
    distance = MAXIMUM_MISSED * _MINUTE
    while last - first > distance:
        behind = last - distance
        if sum(1 for _ in islice(expression.between(behind, last), MAXIMUM_MISSED)) == MAXIMUM_MISSED:
            return tuple(deque(expression.between(behind, last), MAXIMUM_MISSED))
        distance *= 2
    return tuple(deque((first, *expression.between(first, last)), MAXIMUM_MISSED))


def _is_any(expression: ScheduleExpression, after: datetime, until: datetime) -> bool:
    found = expression.next_after(after)
    return found is not None and found <= until
