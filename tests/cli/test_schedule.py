"""`eventrouter schedule`, as a person uses it."""

import json

import pytest

from tests.cli.test_patterns import run


def schedule(*arguments):
    code, output, errors = run("schedule", *arguments)
    return code, output.splitlines(), errors


def test_next_shows_local_and_universal_time_and_what_clocks_do():
    assert schedule("next", "cron(30 1 * * ? *)", "--tz", "Europe/London", "-n", 3, "--from", "2027-03-26T12:00") == (
        0,
        [
            "Sat 2027-03-27 01:30 GMT  2027-03-27 01:30 UTC",
            "  skipped on 2027-03-28: 01:30 does not exist",
            "Mon 2027-03-29 01:30 BST  2027-03-29 00:30 UTC",
            "Tue 2027-03-30 01:30 BST  2027-03-30 00:30 UTC",
        ],
        "",
    )
    _, lines, _ = schedule(
        "next", "cron(0/15 1 * * ? *)", "--tz", "Europe/London", "-n", 5, "--from", "2027-10-30T20:00"
    )
    assert lines[0] == "  once on 2027-10-31: 01:00 to 01:45 come twice, the first time counts"
    assert lines[1:] == [
        *(f"Sun 2027-10-31 01:{n:02} BST  2027-10-31 00:{n:02} UTC" for n in (0, 15, 30, 45)),
        "Mon 2027-11-01 01:00 GMT  2027-11-01 01:00 UTC",
    ]
    _, lines, _ = schedule(
        "next", "cron(0/30 2 * * ? *)", "--tz", "America/New_York", "-n", 1, "--from", "2027-03-14T05:00"
    )
    assert lines[0] == "  skipped on 2027-03-14: 02:00 to 02:30 do not exist"
    _, lines, _ = schedule("next", 'unix("30 1 * * *")', "--tz", "Europe/London", "-n", 1, "--from", "2027-10-30T20:00")
    assert lines[0] == "  once on 2027-10-31: 01:30 comes twice, the first time counts"


def test_next_of_rates_and_of_what_ends():
    assert schedule("next", "rate(1 days)", "-n", 2, "--from", "2027-01-01")[1] == [
        "Counted from 2027-01-01 00:00 UTC, as if it had been put then.",
        "Fri 2027-01-01 00:00 UTC  2027-01-01 00:00 UTC",
        "Sat 2027-01-02 00:00 UTC  2027-01-02 00:00 UTC",
    ]
    assert schedule("next", "cron(0 0 31 2 ? *)") == (1, ["No occurrence is left."], "")
    assert schedule("next", "at(2199-01-01T10:00:00)")[1][1:] == ["These 1 are all."]
    assert schedule("next", "cron(0 1 * * * *)")[0] == 2
    assert schedule("next", "rate(1 day)", "--from", "today") == (
        2,
        [],
        "eventrouter: 'today' is no instant (write 2027-03-01 or 2027-03-01T12:00)\n",
    )


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("cron(0 18 ? * MON-FRI *)", "At 18:00, every Monday to Friday (UTC)."),
        (
            "cron(0/15 20-2 ? 3,6 6L *)",
            "Every 15 minutes of hour 20 to 2, on the last Friday of the month, in March and June (UTC).",
        ),
        (
            "cron(15,45 9 15W * ? 2027-2030)",
            "At 09:15 and 09:45, on the day from Monday to Friday that is nearest to day 15 of the month, in the years 2027 to 2030 (UTC).",
        ),
        ("cron(* * ? * 6#3 *)", "Every minute, on the third Friday of the month (UTC)."),
        (
            "cron(7 * LW * ? *)",
            "At minute 7 of every hour, on the last day of the month that is from Monday to Friday (UTC).",
        ),
        ("cron(5 0/6 L * ? *)", "At minute 5 of hour every 6 from 0 on, on the last day of the month (UTC)."),
        (
            "cron(0/7 */3 1/5 * ? *)",
            "Every 7 minutes of an hour of hour every 3, on day every 5 from 1 on of the month (UTC).",
        ),
        ("cron(0 0 ? * L *)", "At 00:00, every Saturday (UTC)."),
        ("cron(0 0 ? * * *)", "At 00:00, every day (UTC)."),
        ("rate(1 hour)", "Every hour, counted from when it is put; clocks that change make no difference."),
        ("at(2027-01-01T10:00:00)", "Once, at 10:00 on 2027-01-01 (UTC)."),
        ('unix("0 18 1 * 1-5")', "At 18:00, on day 1 of the month and every Monday to Friday (UTC)."),
        ('unix("*/5 * * * *")', "Every 5 minutes, every day (UTC)."),
    ],
)
def test_expressions_are_explained(expression, text):
    assert schedule("explain", expression) == (0, [text], "")


def test_an_explanation_names_what_clocks_do():
    _, lines, _ = schedule("explain", "cron(0 2 * * ? *)", "--tz", "Europe/Paris")
    assert lines == [
        "At 02:00, every day (Europe/Paris).",
        "A time that clocks skip is skipped; one that comes twice counts the first time.",
    ]


def test_two_expressions_are_compared_over_a_year():
    code, lines, _ = schedule("diff", "cron(0 18 ? * MON-FRI *)", "cron(0 18 ? * MON-THU *)", "--from", "2027-01-01")
    assert (code, lines[:3], lines[-1]) == (
        1,
        [
            "208 occurrences of both in the year from 2027-01-01 00:00 UTC",
            "- 53 only of cron(0 18 ? * MON-FRI *)",
            "-   Fri 2027-01-01 18:00 UTC",
        ],
        "-   and 43 more",
    )
    code, lines, _ = schedule(
        "diff", "cron(0 2 1 7 ? *)", "cron(0 3 1 7 ? *)", "--tz", "Europe/London", "--tz2", "Europe/Paris"
    )
    assert (code, len(lines)) == (0, 1)
    assert schedule("diff", "rate(1 day)", "cron(0 0 * * ? *)", "--from", "2027-01-01T00:00")[0] == 0


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        (
            "cron(0/15 20-2 ? * MON-FRI 2027)",
            ['unix("0-59/15 20,21,22,23,0,1,2 * * 1,2,3,4,5")', "lost: the years 2027: Unix's cron has none"],
        ),
        ("cron(0 18 ? * 7-2 *)", ['unix("0 18 * * 0,1,6")']),
        ("cron(*/5 0 1 JAN-MAR ? *)", ['unix("*/5 0 1 JAN-MAR *")']),
        (
            "rate(1 hour)",
            [
                'unix("0 * * * *")',
                "lost: it is counted from midnight or the full hour, and by wall time, which changes with the clocks",
            ],
        ),
        ("rate(7 minutes)", ["not possible: Unix's cron cannot count 7 minutes: 7 does not divide 60"]),
        ("cron(0 0 L * ? *)", ["not possible: Unix's cron has nothing like L"]),
        ("at(2027-01-01T10:00:00)", ["not possible: Unix's cron has nothing that happens once"]),
        (
            'unix("0 18 1 * 1-5")',
            [
                "cron(0 18 1 * ? *)",
                "cron(0 18 ? * MON,TUE,WED,THU,FRI *)",
                "lost: one of two days is enough for Unix's cron: it takes two schedules, and a day that is both has two events",
            ],
        ),
        ('unix("*/5 0-6/2 * * */2")', ["cron(*/5 0-6/2 ? * SUN,TUE,THU,SAT *)"]),
        ('unix("0 0 * * 7")', ["cron(0 0 ? * SUN *)"]),
        ('unix("0 0 1 * *")', ["cron(0 0 1 * ? *)"]),
        ('unix("0 0 L * *")', ["not possible: L and # are not Unix's, and have other meanings in AWS's language"]),
    ],
)
def test_expressions_are_converted(expression, lines):
    code, output, _ = schedule("convert", expression)
    assert output[: len(lines)] == lines
    assert code == ("not possible" in lines[0])


def test_the_zone_gets_lost():
    assert schedule("convert", "cron(0 0 * * ? *)", "--tz", "Europe/London")[1][1:] == [
        "lost: a crontab has no time zone: Europe/London has to be the machine's, or CRON_TZ"
    ]


def test_collisions(tmp_path):
    file = tmp_path / "rules.json"
    rules = [{"Name": f"r{n}", "ScheduleExpression": "cron(0 0 * * ? *)"} for n in range(16)]
    file.write_text(json.dumps({"Rules": [*rules, {"Name": "p", "EventPattern": {"source": ["x"]}}]}))
    assert schedule("collisions", file, "cron(0 0/12 * * ? *)", "--from", "2027-01-01T12:00") == (
        1,
        ["17 schedules at 2027-01-02 00:00 UTC"],
        "",
    )
    assert schedule("collisions", "cron(0 0 * * ? *)", "cron(1 0 * * ? *)") == (
        0,
        ["No 2 of the 2 schedules are due at once."],
        "",
    )
    assert schedule("collisions", *["cron(0 * * * ? *)"] * 2, "--from", "2027-01-01")[1][-1] == "and 14 more instants"


def test_a_rule_with_a_wrong_schedule_is_told_of(tmp_path):
    file = tmp_path / "rules.json"
    for rule, error in [
        ({"ScheduleExpression": "cron(0 1 * * * *)"}, "$.Rules[0].ScheduleExpression (put ? in one)"),
        (
            {"ScheduleExpression": "rate(1 day)", "ScheduleExpressionTimezone": "Mars"},
            "$.Rules[0].ScheduleExpressionTimezone",
        ),
        ({}, "A rule has an EventPattern, a ScheduleExpression, or both at $.Rules[0] (write one)"),
    ]:
        file.write_text(json.dumps([{"Name": "r", **rule}]))
        code, _, errors = schedule("collisions", file)
        assert (code, error in errors) == (2, True), errors
