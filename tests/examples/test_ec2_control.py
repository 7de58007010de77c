"""The EC2 example does what its README says."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from eventrouter import Event
from eventrouter.declarations import load_rules
from tests.virtual_time import real_time_backends

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover

FOLDER = Path(__file__).parents[2] / "examples" / "ec2_control"


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """The functions run in threads, which need real time."""
    return request.param


@pytest.fixture
def service(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("service", FOLDER / "service.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("automation", None)


async def test_the_service_starts_the_protected_instance_again(service):
    with service.mock_aws():
        states, router = await service.control()
    assert states == {"web": "running", "batch": "stopped"}
    ledger = router.closing_report
    counts = {subscription.rule_name: counts for subscription, counts in ledger.subscriptions.items()}
    assert ledger.is_balanced
    assert {name: counts.delivered for name, counts in counts.items()} == {"stop": 2, "protect": 1, "log": 8}
    assert ledger.total.accepted == ledger.total.delivered


def test_the_service_runs_as_a_script():
    run = subprocess.run([sys.executable, FOLDER / "service.py"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("in the end: web is running, batch is stopped\n")


def test_the_demonstration_shows_deliveries_a_retry_and_a_dead_letter():
    arguments = [FOLDER / "rules.json", FOLDER / "events.jsonl", "--functions", FOLDER / "functions.py"]
    command = [sys.executable, "-m", "eventrouter", "route", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER.parents[1])
    assert (run.returncode, run.stderr) == (1, "")
    for line in (
        "delivered   stop-on-request -> tell-operations",
        "RequestLimitExceeded: request limit exceeded, try again; next attempt in",
        "dead letter protect -> protect-instance",
        "12 events\n7 deliveries: 6 delivered, 1 dead-lettered, 0 unfinished; 3 retries\n",
    ):
        assert line in run.stdout


def test_the_events_are_events_and_the_rules_are_rules():
    lines = (FOLDER / "events.jsonl").read_bytes().splitlines()
    assert [Event.from_json(line).to_json() for line in lines] == lines
    assert [rule.name for rule, _ in load_rules(FOLDER / "rules.json").rules] == [
        "stop-on-request",
        "start-on-request",
        "protect",
    ]
