"""`eventrouter simulate`."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from eventrouter.cli import app
from tests.support import NOON

ROUTER = """
from datetime import timedelta
from eventrouter import BusTarget, Event, EventRouter, FunctionTarget, RetryPolicy

router = EventRouter("sqlite:///never.db")
router.add_event_bus("audit")
router.create_queue("jobs", visibility_timeout=timedelta(minutes=2))

@router.rule({"source": ["shop"]}, retry_policy=RetryPolicy(maximum_retry_attempts=20, maximum_event_age=timedelta(days=1)))
def crm(event: Event):
    raise SystemExit

@router.rule({"source": ["shop"]}, event_bus_name="audit")
async def mail(event: Event):
    raise SystemExit

@router.schedule("rate(1 minute)")
def tick(event: Event):
    raise SystemExit

@router.function("work")
def work(event, context):
    raise SystemExit

router.event_source_mapping("jobs", "work")
router.put_rule("to-audit", {"source": ["shop"]})
router.put_targets("to-audit", [BusTarget(id="audit", router=router, event_bus_name="audit")])
"""


@pytest.fixture
def simulate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(ROUTER)
    lines = [
        {"source": source, "detail-type": "Order", "detail": {}, "time": (NOON + timedelta(seconds=15 * n)).isoformat()}
        for n, source in enumerate(["shop"] * 20 + ["nobody"])
    ]
    (tmp_path / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in reversed(lines)))

    def run(*arguments, place="app.py:router"):
        result = CliRunner().invoke(app, ["simulate", place, "--traffic", "events.jsonl", *arguments])
        assert not (tmp_path / "never.db").exists()
        return result

    return run


CALLED = """

def call(event: Event):
    raise SystemExit

def others():
    return {
        "dead_letter_queue": FunctionTarget(id="dead", function=call),
        "on_success": FunctionTarget(id="done", function=call),
        "on_failure": [BusTarget(id="audit", router=router, event_bus_name="audit")],
    }

paid = FunctionTarget(id="paid", function=call, retry_policy=RetryPolicy(maximum_retry_attempts=0), **others())
router.put_targets("crm", [paid])
target = FunctionTarget(id="often", function=call, **others())
router.put_schedule(Schedule(name="often", schedule_expression=ScheduleExpression.parse("rate(1 minute)"), target=target))
"""


def test_no_dead_letter_queue_and_no_destination_is_called(simulate, tmp_path):
    """What is down is dead-lettered for certain: not to whoever would wake for it."""
    imported = ROUTER.replace("RetryPolicy\n", "RetryPolicy, Schedule, ScheduleExpression\n", 1)
    (tmp_path / "calling.py").write_text(imported + CALLED)
    result = simulate("--down", "paid=2m", place="calling.py:router")
    assert result.exit_code == 1, result.output
    assert rows(result)["default/crm/paid"][:5] == ["20", "20", "12", "8", "0"]
    assert not [name for name in rows(result) if name.endswith(("/done", "/dead_letter_queue"))]
    assert rows(result)["default/crm/paid/on_failure/audit"][2] == "8"


def test_who_has_nothing_to_catch_up_on_recovers_at_once(simulate):
    result = simulate("--down", "crm=1s@20s")
    assert rows(result)["default/crm/crm"][-2:] == ["0.0", "s"]


def rows(result):
    return {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if "/" in line.split()[0]}


def test_without_outages_everything_is_delivered_once(simulate):
    result = simulate()
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("21 events of events.jsonl, 1 without a rule\n")
    assert rows(result)["default/crm/crm"] == ["20", "20", "20", "0", "0", "1", "-"]
    assert rows(result)["audit/mail/mail"] == ["20", "20", "20", "0", "0", "1", "-"]


def test_an_outage_costs_attempts_and_a_backlog(simulate):
    result = simulate("--down", "crm=2m@1m", "--slow", "mail=20s")
    assert result.exit_code == 0, result.output
    deliveries, attempts, delivered, dead, left, most, *recovered = rows(result)["default/crm/crm"]
    assert (deliveries, delivered, dead, left) == ("20", "20", "0", "0")
    assert int(attempts) > 30
    assert int(most) > 5
    assert recovered[1] in {"s", "m"}
    assert rows(result)["audit/mail/mail"][5] == "2"


def test_targets_of_schedules_can_be_down_too(simulate):
    result = simulate("--down", "tick=150s", "--for", "10m")
    deliveries, attempts, *_ = rows(result)["schedule/default/tick/tick"]
    assert int(deliveries) < int(attempts)


def test_what_would_be_dead_lettered_is_told_with_its_reason(simulate):
    result = simulate("--down", "*=3d", "--every", "1s", "--for", "30h")
    assert result.exit_code == 1
    assert rows(result)["default/crm/crm"][3] == "20"
    assert "20 dead letters of default/crm/crm: ScriptedError: HTTP 503" in result.stdout
    assert rows(result)["default/crm/crm"][-1] == "-"


def test_what_is_left_when_time_is_over_is_told(simulate):
    result = simulate("--down", "default/crm/crm=1d", "--for", "10s", "--every", "0.1s")
    assert rows(result)["default/crm/crm"][4] == "20"


def test_a_long_recovery_is_told_in_larger_units(simulate):
    result = simulate("--slow", "crm=50s", "--down", "crm=1s@3s", "--every", "0s")
    assert rows(result)["default/crm/crm"][-1] == "m"
    result = simulate("--down", "crm=1s", "--every", "2s")
    assert rows(result)["default/crm/crm"][-1] == "s"


def test_a_file_without_events_is_no_matter(simulate, tmp_path):
    (tmp_path / "events.jsonl").write_text("")
    assert simulate().stdout == "0 events of events.jsonl, 0 without a rule\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--down", "crm"], "--down crm: there is no target (write --down crm=40m)"),
        (["--down", "crm=soon"], "'soon' is no length of time (write 90s, 40m, 1.5h or 2d)"),
        (["--slow", "nobody=1s"], "No target is called 'nobody' (there is crm, mail, tick)"),
        (["--down", "crm=99999999999d"], "99999999999d is longer than time can be (write 90s, 40m, 1.5h or 2d)"),
        (["--for", "5"], "'5' is no length of time"),
    ],
)
def test_what_is_not_usable_is_refused(simulate, arguments, message):
    result = simulate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_one_seed_gives_one_result_and_another_seed_another(simulate):
    first, again, other = (simulate("--down", "crm=20m", "--seed", seed).stdout for seed in "778")
    assert first == again != other
