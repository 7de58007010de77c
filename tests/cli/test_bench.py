"""`eventrouter bench`: what a person learns about their rules."""

import json
import re

import pytest
from typer.testing import CliRunner

from eventrouter.cli import app

RULES = [
    {"Name": "hit", "EventPattern": {"source": ["shop"]}},
    {"Name": "never", "EventPattern": {"source": ["nobody"], "detail": {"n": [{"numeric": [">", 5]}]}}},
    {"Name": "off", "EventPattern": {"source": ["shop"]}, "State": "DISABLED"},
    {"Name": "elsewhere", "EventPattern": {"source": ["shop"]}, "EventBusName": "other"},
]
EVENTS = [{"source": "shop", "detail-type": "Order", "detail": {"n": n}} for n in range(5)]


@pytest.fixture
def bench(tmp_path):
    def run(*arguments, rules=RULES, events=None, stdin=None):
        (tmp_path / "rules.json").write_text(json.dumps(rules))
        lines = EVENTS if events is None else events
        (tmp_path / "events.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
        place = "-" if stdin is not None else str(tmp_path / "events.jsonl")
        command = ["bench", "--rules", str(tmp_path / "rules.json"), "--events", place, "--seconds", "0", *arguments]
        result = CliRunner().invoke(app, command, input=stdin)
        return result.exit_code, result.stdout, result.stderr

    return run


def test_rules_are_measured_together_and_alone_and_those_that_never_fire_are_named(bench):
    code, output, _ = bench()
    lines = output.splitlines()
    assert code == 1
    assert lines[0] == "5 events"
    assert re.fullmatch(r"2 rules, straight: [\d,]+ events/s, \d+\.\d\d µs an event", lines[1])
    assert {tuple(line.split()[:2]) for line in lines if line.rstrip().endswith("%")} == {("hit", "5"), ("never", "0")}
    assert lines[-1] == "never fired: never"


def test_when_all_fire_the_exit_code_is_0_and_events_may_come_from_a_pipe(bench):
    stdin = '{"any": 1}\n\nnonsense\n' + json.dumps(EVENTS[0])
    rules = [{"Name": "logs", "EventPattern": {"source": ["log", "shop"]}}]
    code, output, _ = bench(rules=rules, stdin=stdin)
    assert code == 0
    assert output.startswith("2 events, and 1 lines that are none\n1 rules, ")
    assert "never fired" not in output


def test_only_the_dearest_rules_are_shown_unless_all_are_asked_for(bench):
    rules = [{"Name": f"r{n:02}", "EventPattern": {"source": [f"s{n}"]}} for n in range(23)]
    _, few, _ = bench(rules=rules)
    assert "and 3 rules that cost less; --all shows them" in few
    assert few.rstrip().endswith("r19 and 3 more")
    _, every, _ = bench("--all", rules=rules)
    assert every.count("%") == 23
    assert every.rstrip().endswith("r22")


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("--event-bus-name", "none"), {}, "No rule on bus none is enabled"),
        ((), {"events": []}, "holds no event"),
        ((), {"rules": [{"Name": "x"}]}, "EventPattern"),
    ],
)
def test_what_cannot_be_measured_is_said_with_exit_code_2(bench, arguments, options, error):
    code, _, errors = bench(*arguments, **options)
    assert code == 2
    assert error in errors
