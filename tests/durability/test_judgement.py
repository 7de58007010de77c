"""The judgement over an account finds what is wrong with it."""

import copy

import pytest

from tests.durability.child import Plan
from tests.durability.family import AUDIT, CHILD, RECEIPT, WORK, read_account, violations
from tests.durability.rounds import place

pytestmark = pytest.mark.no_cover


@pytest.fixture(scope="module")
def honest(four, tmp_path_factory):
    shared = place(tmp_path_factory.mktemp("honest"))
    assert four[0].run(Plan(**shared, events=12, drains=True)) == 0
    return read_account(shared["account"])


def first(lines, kind, subscription=None):
    return next(line for line in lines if line["kind"] == kind and subscription in (None, line.get("subscription")))


def lose_an_event(lines):
    id = first(lines, "accepted")["id"]
    return [line for line in lines if line.get("id") != id or line["kind"] == "accepted"]


def settle_twice(lines):
    return [*lines, first(lines, "ended", WORK)]


def handle_after_the_end(lines):
    return [*lines, dict(first(lines, "handled", WORK), attempt=6)]


def forget_an_attempt(lines):
    line = next(line for line in lines if line["kind"] == "handled" and line["attempt"] == 2)
    line["attempt"] = 1
    return lines


def attempt_too_often(lines):
    next(line for line in lines if line["kind"] == "handled" and line["attempt"] == 6)["attempt"] = 7
    return lines


def bury_too_soon(lines):
    first(lines, "left")["letters"][0]["retries"] = 2
    return lines


def bury_without_a_reason(lines):
    first(lines, "left")["letters"][0]["message"] = "?"
    return lines


def lose_a_dead_letter(lines):
    first(lines, "left")["letters"].pop()
    return lines


def lose_a_child(lines):
    counts = first(lines, "left")["counts"][CHILD]
    counts["accepted"] -= 1
    counts["delivered"] -= 1
    line = first(lines, "handled", CHILD)
    return [other for other in lines if other.get("id") != line["id"]]


def send_a_receipt_twice(lines):
    line = first(lines, "handled", RECEIPT)
    first(lines, "left")["counts"][RECEIPT]["accepted"] += 1
    first(lines, "left")["counts"][RECEIPT]["delivered"] += 1
    return [*lines, dict(line, id="another")]


def leave_one(lines):
    first(lines, "left")["counts"][WORK]["unfinished"] = 1
    return lines


def leave_a_row(lines):
    first(lines, "left")["rows"]["event"] = 1
    return lines


def unbalance(lines):
    first(lines, "left")["is_balanced"] = False
    return lines


def damage(lines):
    first(lines, "left")["integrity"] = ["Page 4: never used"]
    return lines


def reorder(lines):
    line = next(line for line in lines if line["kind"] == "handled" and line["subscription"] == AUDIT)
    line["number"] += 100
    return lines


@pytest.mark.parametrize(
    "wrong",
    [
        lose_an_event,
        settle_twice,
        handle_after_the_end,
        forget_an_attempt,
        attempt_too_often,
        bury_too_soon,
        bury_without_a_reason,
        lose_a_dead_letter,
        lose_a_child,
        send_a_receipt_twice,
        leave_one,
        leave_a_row,
        unbalance,
        damage,
        reorder,
    ],
)
def test_it_finds(honest, wrong):
    assert violations(honest) == []
    assert violations(wrong(copy.deepcopy(honest))) != []


def come_late(lines, *attempts):
    """Let attempts of a delivery come when its third one has ended it."""
    key = next(
        (line["subscription"], line["id"])
        for line in lines
        if line["kind"] == "ended" and line["subscription"] == WORK and line["attempt"] == 3
    )
    ours = [line for line in lines if line["kind"] == "handled" and (line["subscription"], line["id"]) == key]
    late = [line for line in ours if line["attempt"] in attempts]
    return (
        [line for line in lines if line not in late]
        + late
        + [line for line in late if attempts.count(line["attempt"]) > 1]
    )


@pytest.mark.parametrize(
    ("attempts", "is_fine"), [((1,), True), ((2,), True), ((3,), False), ((1, 2), False), ((1, 1), False)]
)
def test_where_clocks_differ_one_earlier_attempt_may_come_late(honest, attempts, is_fine):
    late = come_late(copy.deepcopy(honest), *attempts)
    assert violations(late) != []
    assert (violations(late, in_order=False) == []) is is_fine
