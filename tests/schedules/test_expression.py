"""What is refused, with which words, and what an expression is as a value."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import EventRouterError, ScheduleExpression, ScheduleExpressionError
from tests.schedules.test_occurrences import cron_expressions

CASES = Path(__file__).parents[1] / "conformance" / "schedules-invalid.jsonl"

#: The class of fault of a recorded case, as ours is called, where there is just one.
CODES = {
    "inner-edge-space": "whitespace",
    "length": "length",
    "field-count": "fields",
    "dom-dow-both-set": "dom-dow",
    "dom-dow-both-?": "dom-dow",
    "minute-range": "value",
    "year-range": "value",
    "star-in-list": "star-in-list",
    "step-in-dow": "step-in-dow",
    "step-zero": "step",
    "step-too-big": "step",
    "rate-plural(rules profile)": "rate-plural",
    "at-syntax": "at-syntax",
    "at-date": "at-date",
}


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in CASES.read_text().splitlines()], ids=lambda case: repr(case["expr"])
)
def test_recorded_cases_are_refused(case):
    with pytest.raises(ScheduleExpressionError) as caught:
        ScheduleExpression.parse(case["expr"])
    error = caught.value
    assert error.code == CODES.get(case["why"], error.code)
    assert str(error).startswith(f"Invalid Schedule Expression {case['expr']}. ")  # AWS's words, then ours
    assert error.position is None or 0 <= error.position < max(len(case["expr"]), 1)


@pytest.mark.parametrize(
    ("expression", "code", "field", "marked", "text"),
    [
        ("cron(0 18 * * MON-FRI *)", "dom-dow", "day-of-week", "MON-FRI", "both set .*put [?] in one"),
        ("cron(0 18 ? * ? *)", "dom-dow", "day-of-week", "? *)", "both [?] .*put [*] in one"),
        ("cron(0 18 1-MON * ? *)", "value", "day-of-month", "MON", "MON is no value of day-of-month .*use 1 to 31"),
        ("cron(0 18 ? FOO MON *)", "value", "month", "FOO", "use 1 to 12 or JAN, FEB"),
        ("cron(0 5,30 1 * ? *)", "value", "hours", "30", "30 is no value of hours"),
        ("cron(0/75 18 1 * ? *)", "step", "minutes", "75", "75 is no step of minutes .*use 1 to 59"),
        ("cron(0/ 18 1 * ? *)", "step", "minutes", " 18", "Nothing is no step"),
        ("cron(0 18 1 * ? 2030-2027)", "reversed-year", "year", "2030", "write 2027-2030"),
        ("cron(0 18 1,*/2 * ? *)", "star-in-list", "day-of-month", "*/2", "stands in a list"),
        ("cron(0 18 1-2-3 * ? *)", "range", "day-of-month", "1-2-3", "wrong place"),
        ("cron(0 18 1- * ? *)", "range", "day-of-month", "1-", "no end"),
        ("cron(0 18 1,,2 * ? *)", "value", "day-of-month", ",2", "empty item"),
        ("Cron(0 18 1 * ? *)", "wrapper", None, None, "lower case"),
        ("", "wrapper", None, None, "none of"),
        ("0 18 * * 1-5", "wrapper", None, None, r'write unix\("0 18 [*] [*] 1-5"\)'),
        ("cron(0 18 *-3 * ? *)", "range", "day-of-month", "*-3", "no range"),
        ("cron(0 18 ? * MON,FRI/2 *)", "step-in-dow", "day-of-week", "MON", "list them"),
        ("cron(0 18 ? * 3#6 *)", "value", "day-of-week", "3#6", "1 to 5"),
        ("cron(0 18 $ * ? *)", "charset", None, "$", "'[$]' has no meaning"),
        ("cron(0 18 L-3 * ? *)", "value", "day-of-month", "L-3", "stand alone"),
        ("cron(0 ? 1 * ? *)", "value", "hours", "? 1", "[?] stands in hours"),
        ("cron(0 18 1 * ?)", "fields", None, None, "It has 5 fields .*write six"),
        ("cron(0 18 1 * ? * )", "whitespace", None, " )", "blanks"),
        ("rate(5 minute)", "rate-plural", None, None, "5 does not go with minute .*write minutes"),
        ("rate(0 hours)", "rate-value", None, None, "0 is no rate"),
        ("rate(soon)", "rate-syntax", None, None, "soon is no rate"),
        ("at(2030-02-30T00:00:00)", "at-date", None, None, "no such time"),
        ('unix("* * * *")', "unix", None, '"* *', "five fields"),
        ('unix("61 * * * *")', "unix", None, "61", "61"),
        ('unix("5 R * * *")', "unix", None, "R *", "R stands for a random value .*write a number"),
        ('unix("h/5 0 * * *")', "unix", None, "h/5", "h stands for a random value"),
        (None, "wrapper", None, None, "no text"),
    ],
)
def test_an_error_says_what_where_and_what_to_write(expression, code, field, marked, text):
    with pytest.raises(ScheduleExpressionError, match=text) as caught:
        ScheduleExpression.parse(expression)
    error = caught.value
    assert (error.code, error.field) == (code, field)
    if marked is None:
        assert error.position is None
    else:
        assert expression[error.position :].startswith(marked)
        assert f"at position {error.position}" in str(error)
    assert isinstance(error, EventRouterError)
    assert isinstance(error, ValueError)


def test_a_time_that_clocks_skip_is_refused_as_it_would_never_come():
    with pytest.raises(ScheduleExpressionError, match="Clocks in Europe/London skip 01:30") as caught:
        ScheduleExpression.parse("at(2027-03-28T01:30:00)", "Europe/London")
    assert caught.value.code == "at-date"
    with pytest.raises(ScheduleExpressionError, match="no such time in UTC"):
        ScheduleExpression.parse("at(0001-01-01T00:30:00)", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Europe/Londn", "did you mean Europe/London"),
        ("zzzzz", "use an IANA name"),
        ("../etc/passwd", "no time zone"),
        ("Europe", "no time zone"),
        ("", "no time zone"),
        (None, "no time zone None"),
        ("x" * 51, "no time zone"),
    ],
)
def test_a_zone_that_is_none_is_refused(zone, text):
    with pytest.raises(ScheduleExpressionError, match=text) as caught:
        ScheduleExpression.parse("rate(1 day)", zone)
    assert caught.value.code == "timezone"


def test_a_period_that_is_none_is_refused():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for start, end in ((noon.replace(tzinfo=None), None), (None, "tomorrow"), (noon, noon.replace(hour=11))):
        with pytest.raises(ScheduleExpressionError) as caught:
            ScheduleExpression.parse("rate(1 day)", start=start, end=end)
        assert caught.value.code == "period"
    ScheduleExpression.parse("rate(1 day)", start=noon, end=noon)


def test_the_scheduler_takes_both_spellings_of_one():
    for spelling in ("rate(1 days)", "rate(1 day)"):
        assert str(ScheduleExpression.parse(spelling, profile="scheduler")) == "rate(1 day)"
    with pytest.raises(ScheduleExpressionError):
        ScheduleExpression.parse("rate(2 day)", profile="scheduler")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("cron(05\t00  ?  jan-Dec\tmOn#2 2026)", "cron(5 0 ? JAN-DEC MON#2 2026)"),
        ("cron(0/05 010 lw * ? *)", None),
        ("cron(0/05 10 lw * ? *)", "cron(0/5 10 LW * ? *)"),
        ("rate(05  minutes)", "rate(5 minutes)"),
        ("at(2030-01-01T10:00:59)", "at(2030-01-01T10:00:59)"),
        ('unix("0  18 * * 1-5")', 'unix("0 18 * * 1-5")'),
    ],
)
def test_the_canonical_form(written, canonical):
    if canonical is None:
        with pytest.raises(ScheduleExpressionError):
            ScheduleExpression.parse(written)
    else:
        assert str(ScheduleExpression.parse(written)) == canonical


@settings(max_examples=100)
@given(cron_expressions(), st.sampled_from(["UTC", "Asia/Tokyo"]))
def test_expressions_are_values(expression, zone):
    parsed = ScheduleExpression.parse(expression, zone)
    again = ScheduleExpression.parse(str(parsed), zone)
    assert parsed == again
    assert hash(parsed) == hash(again)
    assert str(again) == str(parsed)
    assert parsed != ScheduleExpression.parse(expression, "Europe/Paris")


def test_expressions_can_be_pickled_and_are_the_same_afterwards():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    for text in ("cron(0 18 ? * MON-FRI *)", "rate(5 minutes)", "at(2030-01-01T10:00:00)", 'unix("0 18 * * 1-5")'):
        parsed = ScheduleExpression.parse(text, "Europe/London", noon)
        loaded = pickle.loads(pickle.dumps(parsed))
        assert loaded == parsed
        assert loaded.next_after(noon) == parsed.next_after(noon)


def test_digits_of_other_scripts_and_blanks_that_are_none_are_refused():
    for text in ("rate(\u0665 minutes)", "cron(\uff15 12 * * ? *)", "cron(5\u00a012 * * ? *)", "rate(+5 minutes)"):
        with pytest.raises(ScheduleExpressionError):
            ScheduleExpression.parse(text)
