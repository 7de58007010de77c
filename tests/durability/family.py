"""The parent: starts, kills and restarts the service, and judges the account that it leaves."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tests.durability.child import RETRIES, Plan, has_child

#: How many seconds a process may take: only what hangs takes so long.
PATIENCE: Final = 300
#: By how many seconds the clock of the next process is ahead of a dead one's, whose leases are over then.
STEP: Final = 61.0
_ROOT: Final = Path(__file__).parents[2]
NEVER_CAME_BACK: Final = "never came back"


class Nursery:
    """Starts one process after the other; several of these run several at once."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            bufsize=0,
        )
        self._answers = b""
        self.pid = 0

    def start(self, plan: Plan) -> None:
        """Begin to do a plan."""
        assert self._program.stdin is not None
        self._program.stdin.write(msgspec.json.encode(plan) + b"\n")
        self.pid = int(self._answer(PATIENCE))

    def kill(self) -> None:
        """Kill the process, if it has not ended."""
        with suppress(ProcessLookupError):  # as it may just have ended by itself
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end, and give its exit status: 0, or negative for the signal that killed it."""
        status = int(self._answer(PATIENCE))
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def run(self, plan: Plan) -> int:
        """Do a plan to its end."""
        self.start(plan)
        return self.wait()

    def ends_within(self, seconds: float) -> bool:
        """Say whether the process ended by itself before so many seconds were over."""
        return b"\n" in self._answers or bool(select.select([self._program.stdout], [], [], seconds)[0])

    def close(self) -> None:
        """End the program."""
        if self.pid:
            self.kill()
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.stdout.close()
        self._program.wait(PATIENCE)

    def _answer(self, patience: float) -> bytes:
        assert self._program.stdout is not None
        while b"\n" not in self._answers:
            if not select.select([self._program.stdout], [], [], patience)[0]:
                self.kill()
                raise TimeoutError(f"The process {self.pid} does not end")
            text = os.read(self._program.stdout.fileno(), 4096)
            if not text:
                raise RuntimeError("The program that starts processes has ended")
            self._answers += text
        line, _, self._answers = self._answers.partition(b"\n")
        return line


def read_account(path: Path | str) -> list[dict]:
    """Read what processes have written down, in the order in which they did; nothing if none has come so far."""
    if not Path(path).exists():
        return []
    return [msgspec.json.decode(line) for line in Path(path).read_bytes().splitlines()]


WORK, AUDIT, CHILD = "default/orders/work", "default/books/audit", "default/children/child"
RECEIPT, COMPLAINT, GRAVEYARD = (
    f"{WORK}/on_success/receipt",
    f"{WORK}/on_failure/complaint",
    f"{AUDIT}/dead_letter_queue",
)


def violations(lines: list[dict], *, in_order: bool = True) -> list[str]:
    """Say what an account shows that must not be; the last line of the last process says what the store holds.

    Args:
        lines: The account.
        in_order: Whether groups must have come in order, and attempts in theirs, as they do unless clocks differ: a
            process whose clock is ahead takes over what another one has leased, and perhaps has not begun. That attempt
            may then come late, once, and has a lower number than the one that took its place.
    """
    left = [line for line in lines if line["kind"] == "left"][-1]
    return [
        *_of_the_file(left),
        *_of_events(lines, left),
        *_of_attempts(lines, in_order=in_order),
        *_of_ends(lines, in_order=in_order),
        *_of_letters(left),
        *(_of_order(lines) if in_order else ()),
    ]


def _of_the_file(left):
    if left["integrity"] != ["ok"]:
        yield f"the file is damaged: {left['integrity'][:3]}"
    if not left["is_balanced"]:
        yield f"the ledger does not balance: {left['counts']}"
    for name, counts in left["counts"].items():
        if counts["unfinished"] or counts["accepted"] != counts["delivered"] + counts["dead"]:
            yield f"{name} has not ended: {counts}"
    if any(left["rows"].values()):
        yield f"rows are left over: {left['rows']}"


def _of_events(lines, left):
    """Nothing is lost, nothing is accepted twice, and what follows from a delivery follows once."""
    met, causes = defaultdict(set), defaultdict(Counter)
    numbers = {}
    for line in lines:
        if line["kind"] == "handled":
            if line["id"] not in met[line["subscription"]]:
                causes[line["subscription"]][line["cause"]] += 1
            met[line["subscription"]].add(line["id"])
            numbers[line["id"]] = line["number"]
        elif line["kind"] == "accepted":
            numbers[line["id"]] = line["number"]
    dead = defaultdict(set)
    for letter in left["letters"]:
        dead[letter["subscription"]].add(letter["id"])
        met[letter["subscription"]].add(letter["id"])
    dead[AUDIT] = met[GRAVEYARD]
    met[AUDIT] |= met[GRAVEYARD]
    accepted = {line["id"] for line in lines if line["kind"] == "accepted"}
    for name in (WORK, AUDIT):
        if lost := accepted - met[name]:
            yield f"{len(lost)} acknowledged events never came to {name}: {sorted(lost)[:3]}"
    counts = defaultdict(lambda: {"accepted": 0, "delivered": 0, "dead": 0}, left["counts"])
    for name in (WORK, AUDIT, CHILD, RECEIPT, COMPLAINT, GRAVEYARD):
        if counts[name]["accepted"] != len(met[name]):
            yield f"{name} was sent {counts[name]['accepted']} events, and has met {len(met[name])}"
        if name != GRAVEYARD and counts[name]["dead"] != len(dead[name]):
            yield f"{name} has buried {counts[name]['dead']}, of which {len(dead[name])} are found"
    parents = sum(has_child(numbers.get(id, 1)) for id in met[WORK] - dead[WORK])
    for name, expected in (
        (RECEIPT, counts[WORK]["delivered"]),
        (COMPLAINT, counts[WORK]["dead"]),
        (GRAVEYARD, counts[AUDIT]["dead"]),
        (CHILD, parents),
    ):
        if counts[name]["accepted"] != expected:
            yield f"{name} was sent {counts[name]['accepted']} events, and {expected} follow from what ended"
    for name in (RECEIPT, COMPLAINT, CHILD):
        if twice := [cause for cause, times in causes[name].items() if times > 1]:
            yield f"{name} was sent something twice that follows from {twice[:3]}"


def _of_attempts(lines, *, in_order):
    """Each attempt has a higher number than those before it, also after a restart, and there are not too many."""
    last, numbers, late = {}, defaultdict(set), set()
    for line in lines:
        if line["kind"] == "handled":
            key, attempt = (line["subscription"], line["id"]), line["attempt"]
            if attempt in numbers[key]:
                yield f"attempt {attempt} of {key} came twice"
            elif attempt < last.get(key, 0):
                if in_order or key in late:
                    yield f"attempt {attempt} of {key} came after attempt {last[key]}"
                late.add(key)
            if attempt > RETRIES + 1 and key[0] != GRAVEYARD:
                yield f"{key} came to attempt {attempt}"
            numbers[key].add(attempt)
            last[key] = max(attempt, last.get(key, 0))


def _of_ends(lines, *, in_order):
    """A delivery ends once, and never comes again after somebody was told of its end.

    Where clocks differ, whoever had it before may still begin with its attempt, which is an earlier one.
    """
    ended = {}
    for line in lines:
        key = line.get("subscription"), line.get("id")
        if key in ended:
            is_late = line["kind"] == "handled" and line["attempt"] < ended[key]
            if in_order or not is_late:
                yield f"{key} was {line['kind']} after it had ended"
        elif line["kind"] == "ended":
            ended[key] = line["attempt"]


def _of_letters(left):
    """What is buried has failed as often as it may, or never came back from attempts."""
    for letter in left["letters"]:
        if NEVER_CAME_BACK not in letter["message"]:
            if letter["retries"] != RETRIES:
                yield f"{letter} is buried too soon"
            if "no luck with" not in letter["message"]:
                yield f"{letter} has a reason that nobody gave"


def _of_order(lines):
    highest = {}
    for line in lines:
        if line["kind"] == "handled" and line["subscription"] == AUDIT:
            if line["number"] < highest.get(line["group"], -1):
                yield f"{line['number']} of group {line['group']} came after {highest[line['group']]}"
            highest[line["group"]] = max(line["number"], highest.get(line["group"], -1))


def buried_unseen(lines: list[dict]) -> int:
    """Count the dead letters that never failed: their processes ended too often."""
    left = [line for line in lines if line["kind"] == "left"][-1]
    return sum(NEVER_CAME_BACK in letter["message"] for letter in left["letters"])
