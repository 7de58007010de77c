"""Plant each fault in a copy of the tree, and see that its tests fail; before that, that they pass without any.

The tree is copied once, at the start: whoever edits it meanwhile changes nothing here. Exit code 1 says that a fault
was not found, or that a test fails without one.
"""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutation.faults import FAULTS
from tests.mutation.planting import Fault

ROOT: Final = Path(__file__).parents[2]
_PARTS: Final = ("eventrouter", "tests", "examples", "docs", "pyproject.toml")
_PASSED, _FAILED = 0, 1  # exit codes of pytest; all others mean that it could not run the tests
_LONGEST: Final = 60  # seconds of one test before it counts as hanging; none takes five
_PATIENCE: Final = 900


class Run(NamedTuple):
    """What became of some tests."""

    code: int
    seconds: float
    failure: str
    output: str

    @property
    def hung(self) -> bool:
        """Whether time ended it, and no assertion."""
        return "+ Timeout +" in self.output

    def verdict(self, fault: Fault) -> str:
        """Say what the tests made of a fault; "caught" is the one that counts."""
        if self.hung and not fault.hangs:
            return "HUNG"
        return {_PASSED: "MISSED", _FAILED: "caught"}.get(self.code, f"code {self.code}")


def copy_tree(root: Path, to: Path) -> Path:
    """Copy what tests need."""
    for part in _PARTS:
        source = root / part
        if source.is_dir():
            shutil.copytree(source, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, to / part)
    return to


def run_tests(tree: Path, tests: tuple[str, ...]) -> Run:
    """Run tests in a copy of the tree."""
    begin = time.monotonic()
    # What hypothesis draws is fixed, so that whether a fault is found does not depend on luck.
    profile = ("-p", "no:cacheprovider", "--hypothesis-seed=0", f"--timeout={_LONGEST}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *profile, *(f"tests/{test}" for test in tests)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    output = done.stdout + done.stderr
    lines = [line for line in output.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/", "+++"))]
    failure = lines[0].removeprefix("FAILED tests/").partition(" - ")[0].strip("+ ") if lines else ""
    return Run(done.returncode, time.monotonic() - begin, failure, output)


def plant_and_run(root: Path, fault: Fault) -> Run:
    """Plant a fault, and run its tests."""
    with tempfile.TemporaryDirectory() as directory:
        tree = copy_tree(root, Path(directory))
        fault.plant(tree)
        return run_tests(tree, fault.tests)


def is_clean(root: Path, faults: list[Fault]) -> bool:
    """Say whether the tests of all faults pass when there is none, and test the copy and not what is installed."""
    tests = tuple(sorted({test for fault in faults for test in fault.tests}))
    with tempfile.TemporaryDirectory() as directory:
        tree = copy_tree(root, Path(directory))
        (tree / "tests" / "test_place.py").write_text(
            f"import eventrouter\n\n\ndef test_it_is_the_copy():\n    assert eventrouter.__file__.startswith({str(tree)!r})\n"
        )
        run = run_tests(tree, ("test_place.py", *tests))
    print(
        f"{'pass' if run.code == _PASSED else 'FAIL':8} {run.seconds:5.0f} s  all tests below, without a fault",
        flush=True,
    )
    if run.code != _PASSED:
        print(run.output)
    return run.code == _PASSED


def main(arguments: list[str] | None = None) -> int:
    """Do it, and print a table."""
    parser = argparse.ArgumentParser("python -m tests.mutation", description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only faults with this in their names or areas")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many copies at once")
    options = parser.parse_args(arguments)
    chosen = [
        (area, fault)
        for area, faults in FAULTS.items()
        for fault in faults
        if options.word in fault.name or options.word == area
    ]
    if not chosen:
        parser.error(f"no fault has {options.word!r} in its name")
    with tempfile.TemporaryDirectory() as directory:
        return plant_each(copy_tree(ROOT, Path(directory)), chosen, options.jobs)


def plant_each(root: Path, chosen: list[tuple[str, Fault]], jobs: int) -> int:
    """Plant the faults in copies of a tree that nobody edits, print a line about each, and give the exit code."""
    for _, fault in chosen:
        fault.place(root)
    if not is_clean(root, [fault for _, fault in chosen]):
        return 1  # or each fault would seem to be caught
    caught = 0
    with ThreadPoolExecutor(jobs) as pool:
        runs = pool.map(partial(plant_and_run, root), [fault for _, fault in chosen])
        for (area, fault), run in zip(chosen, runs, strict=True):
            verdict = run.verdict(fault)
            caught += verdict == "caught"
            print(f"{verdict:8} {run.seconds:5.0f} s  {area:9} {fault.name}  [{run.failure}]", flush=True)
            if verdict not in ("caught", "MISSED"):
                print(run.output)
    print(f"{caught} of {len(chosen)} planted faults caught")
    return int(caught < len(chosen))


if __name__ == "__main__":
    raise SystemExit(main())
