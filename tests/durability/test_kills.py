"""A process that is killed loses nothing that it acknowledged, and does nothing again that it has settled."""

import pytest

from tests.durability.child import RETRIES, Plan
from tests.durability.family import NEVER_CAME_BACK, STEP, WORK, read_account, violations
from tests.durability.rounds import clock_jump, killed_at, place, random_kills

#: What runs in other processes is not measured.
pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize(("synchronous", "kills"), [("FULL", 12), ("NORMAL", 8)])
def test_kills_at_random_moments(nursery, tmp_path, synchronous, kills):
    story = random_kills([nursery], tmp_path, kills, synchronous, seed=1)

    assert story.violations == []
    assert story.kinds["accepted"] > 0
    assert story.kills == kills


@pytest.mark.parametrize("processes", [2, 4])
def test_kills_of_processes_that_share_a_file(four, tmp_path, processes):
    story = random_kills(four[:processes], tmp_path, 10, "FULL", seed=2)

    assert story.violations == []
    assert story.kinds["accepted"] > 0


@pytest.mark.parametrize("how", ["before", "torn", "after"])
def test_kills_at_operations_on_the_disk(nursery, tmp_path, how):
    """A sample; `python -m tests.durability --operations 1` takes every one."""
    points = [(number, how) for number in (3, 20, 40, 41, 77, 123, 202)]

    story = killed_at(nursery, tmp_path, points, "FULL")

    assert story.violations == []
    assert story.kills >= len(points) - 2 * (how == "torn")  # a sync is not torn


@pytest.mark.parametrize("seconds", [3600, -3600])
@pytest.mark.parametrize("later", [0, 3600 + STEP])
def test_a_clock_that_jumps_brings_a_delivery_once_more_at_most(four, tmp_path, seconds, later):
    story, most = clock_jump(four[:2], tmp_path, seconds, later)

    assert story.violations == []
    assert story.kinds["accepted"] == 120
    assert most <= 2


def test_an_event_that_kills_its_process_is_buried_alone(nursery, tmp_path):
    """After as many attempts as it may have its service comes up; what was leased along with it is delivered.

    What was being attempted at the very moment each time would be buried as well: it cannot be told from the culprit.
    Here those before it do not wait.
    """
    shared = place(tmp_path)
    assert nursery.run(Plan(**shared, events=40, is_held=True)) == 0
    statuses = [-9]
    while statuses[-1] != 0 and len(statuses) < 20:
        statuses.append(nursery.run(Plan(**shared, drains=True, deadly=9, offset=len(statuses) * STEP)))

    lines = read_account(shared["account"])
    attempts = [
        line["attempt"]
        for line in lines
        if line["kind"] == "handled" and line["subscription"] == WORK and line["number"] == 9
    ]
    [left] = [line for line in lines if line["kind"] == "left"]
    [letter] = [letter for letter in left["letters"] if NEVER_CAME_BACK in letter["message"]]
    assert violations(lines) == []
    assert attempts == list(range(1, RETRIES + 2))
    assert statuses[1:] == [-9] * (RETRIES + 1) + [0]
    assert letter["id"] == next(line["id"] for line in lines if line["kind"] == "accepted" and line["number"] == 9)
