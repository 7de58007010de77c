"""What the disk does: it loses power, has no room, fails."""

import pytest

from tests.durability.child import Plan
from tests.durability.family import STEP, read_account
from tests.durability.rounds import end, place, power_cuts, without_room

#: What runs in other processes is not measured.
pytestmark = pytest.mark.no_cover


def test_a_power_cut_takes_nothing_that_was_acknowledged(nursery, tmp_path):
    damage = power_cuts(nursery, tmp_path, 40, "FULL", seed=3)

    assert (damage.bad_cuts, damage.cuts) == (0, 40)


def test_a_power_cut_may_undo_what_was_not_synced(nursery, tmp_path):
    """So the test above can tell; and what is left is whole."""
    damage = power_cuts(nursery, tmp_path, 40, "NORMAL", seed=3)

    assert damage.lost > 0
    assert damage.again > 0
    assert damage.broken == 0


def test_a_full_disk_refuses_entries_and_goes_on_when_there_is_room(nursery, tmp_path):
    story = without_room(nursery, tmp_path, [1, 60, 61, 70, 85, 100, 133, 180], 5)

    assert story.violations == []
    assert story.kinds["refused"] > 0


@pytest.mark.parametrize("operation", [80, 120])
def test_what_could_not_be_synced_is_not_acknowledged(nursery, tmp_path, operation):
    """The process is of no use then; what it has acknowledged is safe, and the next one goes on."""
    shared = place(tmp_path)
    nursery.start(Plan(**shared, events=30, sync_fails_from=operation))
    while not nursery.ends_within(0.05):
        if sum(line["kind"] in ("accepted", "refused") for line in read_account(tmp_path / "account")) == 30:
            break
    nursery.kill()
    nursery.wait()

    story = end(nursery, shared, STEP)

    assert story.violations == []
    refusals = [line for line in read_account(shared["account"]) if line["kind"] == "refused"]
    assert {line["code"] for line in refusals} == {"InternalFailure"}
    assert "look at the disk" in refusals[0]["message"]
