"""Several processes that share a file fire each occurrence once."""

import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from itertools import pairwise

import anyio

from eventrouter._scheduler import Plan
from eventrouter.records import Occurrence
from eventrouter.stores.sqlite import SqliteStore
from tests.schedules.fast_process import END, EXPRESSIONS, START


async def begin_at_start(file):
    """Let the schedules have begun, so that all the three days count, however long processes take to start."""
    store = SqliteStore(file)
    await store.open()
    plans = [
        Plan(f"schedule/default/{name}", expression, "all", None, None, None)
        for name, expression in EXPRESSIONS.items()
    ]
    await store.fire([Occurrence(plan.key, START) for plan in plans if not plan.is_unanchored])
    await store.close()


def test_two_processes_fire_each_occurrence_of_three_days_once(tmp_path):
    anyio.run(begin_at_start, tmp_path / "s.db")
    logs = [tmp_path / "a", tmp_path / "b"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.schedules.fast_process", str(tmp_path / "s.db"), str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for log in logs
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    begin = time.time() + 0.05
    for process in processes:
        process.stdin.write(f"{begin}\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    lines = [log.read_text().splitlines() for log in logs]
    # Events, since one may well be delivered twice: by such a clock, leases end within a millisecond.
    fired = Counter(tuple(occurrence) for *occurrence, _ in {tuple(line.split()) for line in lines[0] + lines[1]})
    expected = {
        (name, slot.isoformat())
        for name, expression in EXPRESSIONS.items()
        if name != "begun"
        for slot in expression.between(START, END)
    }
    assert set(fired.values()) == {1}
    assert {key for key in fired if key[0] != "begun"} == expected
    # A rate without a start: one of them has said when it began.
    begun = sorted(datetime.fromisoformat(at) for name, at in fired if name == "begun")
    assert {(after - before).total_seconds() for before, after in pairwise(begun)} == {2_400}
    assert (END - begun[-1]).total_seconds() < 2_400
    assert all(lines)
