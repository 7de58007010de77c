"""What becomes of occurrences that were missed: against plain enumeration."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import ScheduleExpression
from eventrouter.schedules._missed import MAXIMUM_MISSED, judge, latest
from tests.support import NOON

MINUTE = timedelta(minutes=1)
EXPRESSIONS = [
    ScheduleExpression.parse(text, zone)
    for text, zone in [
        ("cron(* * * * ? *)", "UTC"),
        ("cron(0/7 8-17 ? * MON-FRI *)", "Europe/London"),
        ("cron(30 2 * * ? *)", "America/New_York"),
        ("cron(* * 1 * ? *)", "UTC"),
        ("cron(0 0 1 1 ? *)", "UTC"),
        ("cron(0 0 29 2 ? *)", "UTC"),
        ("rate(17 minutes)", "UTC"),
        ("at(2026-03-05T10:00:00)", "UTC"),
    ]
]
instants = st.integers(0, 30 * 1440 * 60).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(st.sampled_from(EXPRESSIONS), instants, instants)
def test_the_latest_is_the_last_of_all(expression, after, until):
    assert latest(expression, after, until) == max(expression.between(after, until), default=None)


def plainly(occurrences, now, missed):
    on_time = [slot for slot in occurrences if slot >= now - MINUTE]
    late = [slot for slot in occurrences if slot < now - MINUTE]
    if missed == "skip":
        return on_time
    if missed == "once":
        return on_time or late[-1:]
    return late[-MAXIMUM_MISSED:] + on_time


@given(st.sampled_from(EXPRESSIONS), instants, instants, st.sampled_from(["once", "skip", "all"]))
def test_what_happens_is_what_the_policy_says(expression, after, until, missed):
    occurrences = list(expression.between(after, until))
    if not occurrences:
        return
    judged = judge(expression, occurrences[0], until, missed)
    assert list(judged.fires) == plainly(occurrences, until, missed)
    late = [slot for slot in occurrences if slot < until - MINUTE]
    assert judged.passed == (late[-1] if late else None)
    happened_late = sum(slot in judged.fires for slot in late)
    assert judged.skipped == max(0, min(len(late), MAXIMUM_MISSED + 1) - happened_late)


class Counted:
    """An expression that counts how often it is asked."""

    def __init__(self, expression):
        self.expression, self.asked = expression, count()

    def next_after(self, instant):
        next(self.asked)
        return self.expression.next_after(instant)

    def between(self, after, until):
        for found in self.expression.between(after, until):
            next(self.asked)
            yield found


@pytest.mark.parametrize(("missed", "steps"), [("once", 1_200), ("skip", 1_200), ("all", 6_000)])
def test_a_year_of_minutes_is_not_gone_through(missed, steps):
    expression = Counted(EXPRESSIONS[0])
    judged = judge(expression, NOON, NOON + timedelta(days=365), missed)
    assert next(expression.asked) < steps
    assert len(judged.fires) == {"once": 2, "skip": 2, "all": MAXIMUM_MISSED + 2}[missed]


def test_long_ago_and_dense_costs_little():
    expression = Counted(ScheduleExpression.parse("cron(* * * 1 ? 2026)"))
    now = datetime(2199, 1, 1, tzinfo=UTC)
    assert judge(expression, datetime(2026, 1, 1, tzinfo=UTC), now, "once").fires == (
        datetime(2026, 1, 31, 23, 59, tzinfo=UTC),
    )
    assert next(expression.asked) < 1_200


def test_all_of_a_sparse_expression_happen_late():
    expression = ScheduleExpression.parse("cron(0 * * * ? *)")
    judged = judge(expression, NOON, NOON + timedelta(days=5, minutes=30), "all")
    assert judged.fires == tuple(NOON + timedelta(hours=hour) for hour in range(121))
