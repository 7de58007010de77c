"""When expressions are due: recorded cases, an oracle that looks at every minute, and croniter where it reads alike."""

import json
import zoneinfo
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import ScheduleExpression
from tests.schedules.oracle import MONTHS, WEEKDAYS, occurrences

CASES = Path(__file__).parents[1] / "conformance"


def instant(text):
    return datetime.fromisoformat(text)


def following(expression, after, count):
    found = []
    while len(found) < count and (after := expression.next_after(after)) is not None:
        found.append(after)
    return found


@pytest.mark.parametrize("name", ["cron", "dst"])
def test_recorded_cases(name):
    wrong = []
    for line in (CASES / f"schedules-{name}.jsonl").read_text().splitlines():
        case = json.loads(line)
        start = instant(case["start"]) if "start" in case else None
        expression = ScheduleExpression.parse(case["expr"], case["tz"], start)
        expected = [instant(text) for text in case["next"]]
        # Fewer than ten in the first file, and none at all, mean that there are no more.
        count = 10 if name == "cron" else max(len(expected), 1)
        if following(expression, instant(case["from"]), count) != expected:
            wrong.append(case)
    assert wrong == []


# -- the oracle ------------------------------------------------------------------------------------------------------

#: Zones with changes of half an hour, of two, at midnight, on days that are skipped, backwards in summer, and often.
ZONES = [
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Tehran",
    "Antarctica/Troll",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/St_Johns",
    "America/Havana",
]


def changes(timezone):
    """Give the instants, to the minute, from which on the offset of a zone is another, from 2005 to 2030."""
    zone = zoneinfo.ZoneInfo(timezone)

    def offset(at):
        return at.astimezone(zone).utcoffset()

    found = []
    days = [datetime(2005, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(25 * 365)]
    for before, after in pairwise(days):
        low, high = before, after
        if offset(low) == offset(high):
            continue
        while high - low > timedelta(minutes=1):
            middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
            low, high = (middle, high) if offset(middle) == offset(before) else (low, middle)
        found.append(high)
    return found


CHANGES = {zone: changes(zone) or [datetime(2024, 2, 29, tzinfo=UTC)] for zone in ZONES}


def items(low, high, most, names=()):
    value = st.integers(low, high).map(str) | (st.sampled_from(names) if names else st.nothing())
    ranges = st.tuples(value, value).map("-".join)
    if low == 1970:
        ranges = st.tuples(st.integers(low, 2015), st.integers(2015, high)).map(lambda ends: f"{ends[0]}-{ends[1]}")
    if not most:
        return value | ranges
    step = st.integers(1, most).map(str)
    return value | ranges | st.tuples(st.integers(low, high).map(str) | ranges, step).map("/".join)


def fields(low, high, most, names=(), *, one_of=()):
    listed = st.lists(items(low, high, most, names), min_size=1, max_size=3).map(",".join)
    stepped = st.integers(1, most).map(lambda step: f"*/{step}") if most else st.nothing()
    return st.one_of(st.just("*"), listed, stepped, *one_of)


MINUTES, HOURS = fields(0, 59, 59), fields(0, 23, 23)
OF_MONTH = fields(1, 31, 31, one_of=[st.sampled_from(["L", "LW"]), st.integers(1, 31).map(lambda day: f"{day}W")])
WEEKDAY = st.integers(1, 7).map(str) | st.sampled_from(WEEKDAYS)
OF_WEEK = fields(
    1,
    7,
    0,
    WEEKDAYS,
    one_of=[
        st.just("L"),
        WEEKDAY.map(lambda day: f"{day}L"),
        st.tuples(WEEKDAY, st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
    ],
)
DAYS = OF_MONTH.map(lambda day: (day, "?")) | OF_WEEK.map(lambda day: ("?", day))


@st.composite
def cron_expressions(draw, *, often=False):
    """Give an expression; *often*, one that is due on most days."""
    of_month, of_week = ("*", "?") if often else draw(DAYS)
    month, year = ("*", "*") if often else (draw(fields(1, 12, 12, MONTHS)), draw(fields(1970, 2199, 229)))
    return f"cron({draw(MINUTES)} {draw(HOURS)} {of_month} {month} {of_week} {year})"


@settings(max_examples=150, deadline=None)
@given(expression=cron_expressions() | cron_expressions(often=True), data=st.data())
def test_every_minute_around_a_change_of_the_clock_is_decided_as_the_oracle_does(expression, data):
    zone = data.draw(st.sampled_from(ZONES))
    change = data.draw(st.sampled_from(CHANGES[zone]))
    after = change + timedelta(minutes=data.draw(st.integers(-300, 120)), seconds=data.draw(st.sampled_from([0, 30])))
    until = after + timedelta(hours=8)
    parsed = ScheduleExpression.parse(expression, zone)
    assert list(parsed.between(after, until)) == occurrences(expression, zone, after, until)


@settings(max_examples=60, deadline=None)
@given(days=DAYS, month=fields(1, 12, 12, MONTHS), start=st.datetimes(datetime(1970, 1, 1), datetime(2190, 1, 1)))
def test_days_of_a_year_are_those_of_the_oracle(days, month, start):
    after = start.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    text = f"cron(0 12 {days[0]} {month} {days[1]} *)"
    parsed = ScheduleExpression.parse(text)
    until = after + timedelta(days=70)
    expected = occurrences(text, "UTC", after, until, timedelta(hours=1))
    assert list(parsed.between(after, until)) == expected


@settings(max_examples=60, deadline=None)
@given(
    expression=cron_expressions(),
    zone=st.sampled_from(sorted(zoneinfo.available_timezones())),
    after=st.datetimes(datetime(1965, 1, 1), datetime(2205, 1, 1)),
)
def test_the_next_is_later_and_a_whole_minute_whatever_the_zone(expression, zone, after):
    parsed = ScheduleExpression.parse(expression, zone)
    after = after.replace(tzinfo=UTC)
    found = following(parsed, after, 4)
    assert [after, *found] == sorted({after, *found})
    # By the zone's clocks: some were seconds off once, so that their minutes began within one of UTC.
    walls = [one.astimezone(zoneinfo.ZoneInfo(zone)) for one in found]
    assert all(wall.second == 0 and wall.fold == 0 for wall in walls)
    for earlier, later in pairwise(found):
        assert parsed.next_after(later - timedelta(microseconds=1)) == later
        assert parsed.next_after(earlier + (later - earlier) / 2) == later


@settings(max_examples=60, deadline=None)
@given(
    minute=fields(0, 59, 59).filter(lambda text: "/" not in text and "-" not in text),
    hour=st.integers(0, 23),
    day=st.integers(1, 28),
    after=st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1)),
)
def test_croniter_agrees_where_the_languages_do(minute, hour, day, after):
    ours = ScheduleExpression.parse(f"cron({minute} {hour} {day} * ? *)")
    theirs = croniter(f"{minute} {hour} {day} * *", after)
    expected = [theirs.get_next(datetime).replace(tzinfo=UTC) for _ in range(4)]
    assert following(ours, after.replace(tzinfo=UTC), 4) == expected


# -- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # A time that is skipped, and one that comes twice, as the Scheduler's guide has them.
        ("cron(30 2 * * ? *)", "America/Los_Angeles", "2024-03-09T12:00Z", ["2024-03-11T09:30Z", "2024-03-12T09:30Z"]),
        ("cron(30 1 * * ? *)", "America/Los_Angeles", "2024-11-03T00:00Z", ["2024-11-03T08:30Z", "2024-11-04T09:30Z"]),
        ("cron(30 1 * * ? *)", "America/Los_Angeles", "2024-11-03T08:45Z", ["2024-11-04T09:30Z"]),  # during the second
        ("cron(0 12 ? * 6#5 2024)", "UTC", "2024-01-01T00:00Z", ["2024-03-29T12:00Z", "2024-05-31T12:00Z"]),
        ("cron(0 12 31W 2,4,5 ? 2025)", "UTC", "2025-01-01T00:00Z", ["2025-05-30T12:00Z"]),  # not in February or April
        ("cron(0 0 31 FEB ? *)", "Europe/London", "2025-01-01T00:00Z", []),
        ("cron(0 0 1 1 ? 1970)", "Europe/London", "1600-01-01T00:00Z", ["1969-12-31T23:00Z"]),  # an hour ahead then
        ("cron(59 23 31 12 ? 2199)", "UTC", "2199-12-31T23:58Z", ["2199-12-31T23:59Z"]),
        ("cron(* * * * ? *)", "UTC", "9999-12-31T23:59Z", []),
        ("at(2030-01-01T10:00:59)", "UTC", "2029-01-01T00:00Z", ["2030-01-01T10:00Z"]),  # in that minute
        ("at(2030-01-01T10:00:00)", "UTC", "2030-01-01T10:00Z", []),
        ("at(2030-01-01T10:00:00)", "Asia/Kolkata", "2029-01-01T00:00Z", ["2030-01-01T04:30Z"]),
        ("rate(90 minutes)", "UTC", "1970-01-01T00:00Z", ["1970-01-01T01:30Z", "1970-01-01T03:00Z"]),
        ("rate(999999999999 days)", "UTC", "2020-01-01T00:00Z", []),
        ('unix("30 2 * * *")', "America/Los_Angeles", "2024-03-09T12:00Z", ["2024-03-11T09:30Z"]),
        ('unix("30 1 * * *")', "America/Los_Angeles", "2024-11-03T08:30Z", ["2024-11-04T09:30Z"]),
        ('unix("0 0 13 * 5")', "UTC", "2026-02-01T00:00Z", ["2026-02-06T00:00Z", "2026-02-13T00:00Z"]),  # either day
        ('unix("0 0 31 2 *")', "UTC", "2026-02-01T00:00Z", []),
        ('unix("5-5 2-2 * 3-3/2 Mon-mon")', "UTC", "2026-03-20T00:00Z", ["2026-03-23T02:05Z", "2026-03-30T02:05Z"]),
        ('unix("15-5/30 15-15,18 * * *")', "UTC", "2026-03-20T16:00Z", ["2026-03-20T18:15Z"]),
    ],
)
def test_what_is_due_next(expression, zone, after, expected):
    parsed = ScheduleExpression.parse(expression, zone)
    found = following(parsed, instant(after), max(len(expected), 1))
    assert found == [instant(text) for text in expected]
    assert all(one.tzinfo is UTC for one in found)


def test_the_start_and_the_end_count():
    start, end = instant("2026-01-01T10:00Z"), instant("2026-01-01T13:00+01:00")
    hourly = ScheduleExpression.parse("cron(0 * * * ? *)", start=start, end=end)
    assert list(hourly.between(instant("2020-01-01T00:00Z"), instant("2030-01-01T00:00Z"))) == [
        instant(f"2026-01-01T{hour}:00Z") for hour in (10, 11, 12)
    ]
    rate = ScheduleExpression.parse("rate(1 hour)", start=start + timedelta(seconds=7), end=end)
    assert following(rate, start, 9) == [instant("2026-01-01T10:00:07Z"), instant("2026-01-01T11:00:07Z")]
    once = ScheduleExpression.parse("at(2040-01-01T00:00:00)", start=start, end=end)  # has no period (user guide)
    assert once.next_after(start) == instant("2040-01-01T00:00Z")
    late = ScheduleExpression.parse("cron(0 * * * ? *)", start=start + timedelta(seconds=1))
    assert late.next_after(start - timedelta(days=1)) == instant("2026-01-01T11:00Z")


def test_between_is_lazy_leaves_out_its_beginning_and_has_its_end():
    every = ScheduleExpression.parse("rate(1 minute)")
    noon = instant("2026-01-01T12:00Z")
    assert list(every.between(noon, noon + timedelta(minutes=2))) == [noon + timedelta(minutes=n) for n in (1, 2)]
    assert len(list(islice(every.between(noon, datetime.max.replace(tzinfo=UTC)), 3))) == 3
    assert list(every.between(noon, noon)) == []


def test_instants_of_any_zone_are_taken_and_naive_ones_refused():
    daily = ScheduleExpression.parse("cron(0 12 * * ? *)")
    local = datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo"))
    assert daily.next_after(local) == instant("2026-07-01T12:00Z")
    with pytest.raises(ValueError, match="aware"):
        daily.next_after(datetime(2026, 7, 1))
