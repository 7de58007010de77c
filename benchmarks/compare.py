"""Compare two commits: `python -m benchmarks compare A B`, where a dot stands for the checkout as it is.

Both are measured by the benchmarks of this checkout. Pairs of processes, one of each commit, measure the same workloads
in turn. A process has its own hash seed and its own layout of memory, which shift all of its rounds alike; so it is
pairs of processes that are counted, by a sign test, and not rounds.
"""

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from benchmarks import citylots
from benchmarks.cache import CHECKOUT, DIRECTORY
from benchmarks.operators import STEP
from benchmarks.report import Section

PAIRS = 12
ROUNDS = 5  # of each process
SURE = 0.01  # how often the sign test may see a difference that is none; there are some sixty workloads
AS_IT_IS = "."
SMALLEST = 0.02  # differences below this are noise, however sure


class Worker:
    """A process that measures one commit's code, a round whenever it is asked."""

    def __init__(self, directory: Path, seed: int) -> None:
        environment = os.environ | {
            "PYTHONHASHSEED": str(seed),
            "EVENTROUTER_BENCHMARKS": str(DIRECTORY),
            "PYTHONPATH": str(directory),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait()

    def round(self) -> dict[str, float]:
        """Give the seconds for one event, of each workload."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A process that measures has ended; what it said is above.")
        return json.loads(line)


@contextlib.contextmanager
def code_of(commit: str) -> Iterator[Path]:
    """Give a directory with a commit's package and this checkout's benchmarks."""
    if commit == AS_IT_IS:
        yield CHECKOUT
        return
    if not _is_commit(commit):
        raise SystemExit(f"There is no commit {commit!r}.")
    with tempfile.TemporaryDirectory(prefix="eventrouter-") as temporary:
        worktree = Path(temporary) / "code"
        _git("worktree", "add", "--quiet", "--detach", str(worktree), commit)
        try:
            shutil.rmtree(worktree / "benchmarks", ignore_errors=True)
            shutil.copytree(CHECKOUT / "benchmarks", worktree / "benchmarks")
            yield worktree
        finally:
            _git("worktree", "remove", "--force", str(worktree))


def _is_commit(name: str) -> bool:
    verify = ["git", "-C", str(CHECKOUT), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
    return subprocess.run(verify, capture_output=True, check=False).returncode == 0  # noqa: S603


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(CHECKOUT), *arguments], check=True)  # noqa: S603, S607


def compare(one: str, other: str, pairs: int = PAIRS) -> Section:
    """Measure both, and say of each workload whether the other is faster."""
    citylots.every(STEP)  # so that no process has to generate it while others wait
    ratios: dict[str, list[float]] = {}
    seconds: dict[str, tuple[list[float], list[float]]] = {}
    with code_of(one) as first, code_of(other) as second:
        for seed in range(1, pairs + 1):
            with Worker(first, seed) as mine, Worker(second, seed) as theirs:
                for name, rounds in _paired_rounds(mine, theirs).items():
                    ratios.setdefault(name, []).append(statistics.median(b / a for a, b in rounds))
                    kept = seconds.setdefault(name, ([], []))
                    kept[0].extend(a for a, _ in rounds)
                    kept[1].extend(b for _, b in rounds)
            print(f"\r{seed} of {pairs} pairs of processes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    one, other = ("checkout" if commit == AS_IT_IS else commit for commit in (one, other))
    section = Section(
        f"{one} and {other}",
        f"Microseconds an event; {pairs} pairs of processes, {ROUNDS} rounds each. The ratio is {other}'s time to "
        f"{one}'s. A verdict other than noise takes p <= {SURE:g} in a sign test over the pairs, and a difference of "
        f"{SMALLEST:.0%}.",
        ["workload", f"{one} us", f"{other} us", "ratio", "lowest", "highest", "p", "verdict"],
    )
    for name, values in ratios.items():
        ratio, chance = statistics.median(values), sign_test(values)
        mine, theirs = (statistics.median(kept) * 1e6 for kept in seconds[name])
        spread = [f"{min(values):.3f}", f"{max(values):.3f}", f"{chance:.3f}"]
        section.rows.append([name, f"{mine:.2f}", f"{theirs:.2f}", f"{ratio:.3f}", *spread, verdict(ratio, chance)])
    return section


def _paired_rounds(mine: Worker, theirs: Worker) -> dict[str, list[tuple[float, float]]]:
    """Let two processes measure in turn; who begins alternates."""
    paired: dict[str, list[tuple[float, float]]] = {}
    for number in range(ROUNDS + 1):
        if number % 2:
            second, first = theirs.round(), mine.round()
        else:
            first, second = mine.round(), theirs.round()
        if number:  # the first round warms up
            for name, seconds in first.items():
                paired.setdefault(name, []).append((seconds, second[name]))
    return paired


def sign_test(ratios: list[float]) -> float:
    """Say how likely it is that so many ratios, or more, fall on one side of 1 by chance."""
    above = sum(ratio > 1 for ratio in ratios)
    most = max(above, len(ratios) - above)
    tail = sum(math.comb(len(ratios), count) for count in range(most, len(ratios) + 1)) / 2 ** len(ratios)
    return min(1.0, 2 * tail)


def verdict(ratio: float, chance: float) -> str:
    """Put it into a word."""
    if chance > SURE or abs(ratio - 1) < SMALLEST:
        return "noise"
    return "slower" if ratio > 1 else "faster"
