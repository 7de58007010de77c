"""The faults that `python -m tests.mutation` plants still fit the code."""

from pathlib import Path

import pytest

from tests.mutation.__main__ import Run
from tests.mutation.faults import FAULTS
from tests.mutation.planting import Fault

ROOT = Path(__file__).parents[1]
EVERY = [fault for faults in FAULTS.values() for fault in faults]


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.name)
def test_each_fault_can_be_planted_and_leaves_python(fault):
    path = fault.place(ROOT)

    text = path.read_text()
    assert text.replace(fault.text, fault.mistake) != text
    compile(text.replace(fault.text, fault.mistake), path, "exec")
    assert list(fault.missing_tests(ROOT)) == []


def test_each_area_has_some_and_no_name_is_taken_twice():
    assert all(len(faults) >= 5 for faults in FAULTS.values())
    assert len(EVERY) >= 20
    assert len({fault.name for fault in EVERY}) == len(EVERY)


def test_a_text_that_is_gone_or_twice_there_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")

    with pytest.raises(LookupError, match="twice: 2 places"):
        Fault("twice", "*.py", "x = 1", "x = 2", ()).place(tmp_path)
    with pytest.raises(LookupError, match="gone: 0 places"):
        Fault("gone", "*.py", "y = 1", "y = 2", ()).place(tmp_path)


def test_planting_changes_the_one_place(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")

    assert Fault("y", "*.py", "y = 1", "y = 2", ()).plant(tmp_path) == tmp_path / "a.py"
    assert (tmp_path / "a.py").read_text() == "x = 1\ny = 2\n"


@pytest.mark.parametrize(
    ("code", "output", "hangs", "verdict"),
    [
        (0, "1 passed", False, "MISSED"),
        (1, "FAILED tests/test_a.py::test_a - assert 1 == 2", False, "caught"),
        (2, "ERROR tests/test_a.py - SyntaxError", False, "code 2"),
        (1, "+++++ Timeout +++++", False, "HUNG"),
        (1, "+++++ Timeout +++++", True, "caught"),
    ],
)
def test_a_fault_is_caught_by_a_test_that_fails_and_by_one_that_hangs_only_if_it_is_to(code, output, hangs, verdict):
    assert Run(code, 1, "", output).verdict(Fault("a", "*.py", "x", "y", (), hangs=hangs)) == verdict
