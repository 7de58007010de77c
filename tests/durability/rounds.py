"""Stories of many processes on one file, each of which ends with what the account shows that must not be."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

from tests.durability.child import UNUSABLE, Plan, is_unlucky
from tests.durability.family import STEP, Nursery, buried_unseen, read_account, violations
from tests.durability.power import Damage, cuts, damage_of, read_records

#: How long a process lives at random, in seconds; it takes a few hundredths to open its store.
_LIVES: Final = (0.01, 0.3)
#: How many kills share a clock when several processes have the file: those that live have leases that must hold.
_GENERATION: Final = 8
#: More events than any process puts before it is killed.
_MANY: Final = 1_000_000


@dataclass
class Story:
    """What came of a story.

    Attributes:
        violations: What must not be.
        kills: How many processes were killed.
        kinds: How many lines of each kind the account has.
        buried_unseen: Dead letters of deliveries whose processes ended too often.
        operations: The operations on the disk of the last process.
    """

    violations: list[str] = field(default_factory=list)
    kills: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    buried_unseen: int = 0
    operations: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.kinds['accepted']:,} events acknowledged, {self.kinds['refused']:,} refused, "
            f"{self.kinds['handled']:,} attempts, {self.kinds['ended']:,} ends told, {self.buried_unseen:,} buried since "
            f"their processes ended too often: {len(self.violations)} violations"
        )

    def add(self, other: Story) -> None:
        """Take in another one."""
        self.violations += other.violations
        self.kills += other.kills
        self.kinds.update(other.kinds)
        self.buried_unseen += other.buried_unseen


@contextmanager
def nurseries(number: int) -> Iterator[list[Nursery]]:
    """Give so many, and close them."""
    every: list[Nursery] = []
    try:
        for _ in range(number):  # one by one, so that those that were made are closed
            every.append(Nursery())
        yield every
    finally:
        for nursery in every:
            nursery.close()


def place(directory: Path, **options: Any) -> dict[str, Any]:
    """Give what all plans of a story share."""
    return {"path": str(directory / "s.db"), "account": str(directory / "account"), **options}


def end(nursery: Nursery, shared: dict[str, Any], offset: float, *, in_order: bool = True) -> Story:
    """Let a last process deliver what is left, and judge."""
    if nursery.run(Plan(**shared, drains=True, offset=offset)) != 0:
        return Story(["the last process failed"])
    lines = read_account(shared["account"])
    kinds = Counter(line["kind"] for line in lines)
    return Story(
        violations(lines, in_order=in_order),
        kinds=kinds,
        buried_unseen=buried_unseen(lines),
        operations=lines[-1]["operations"],
    )


def random_kills(every: Sequence[Nursery], directory: Path, kills: int, synchronous: str, seed: int) -> Story:
    """Kill one of the processes on a file at a random moment, and start another, so many times.

    Args:
        every: As many as there are processes.
        directory: Where the file is.
        kills: How many.
        synchronous: Of the store.
        seed: Of all that is random.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    shared = place(directory, synchronous=synchronous)
    offset, started, killed = 0.0, 0, 0
    while killed < kills:
        for nursery in every:
            if not nursery.pid:
                backend = rng.choice(["asyncio", "trio"])
                nursery.start(Plan(**shared, events=_MANY, first=started * _MANY, offset=offset, backend=backend))
                started += 1
        _wait_for_beginnings(Path(shared["account"]), started)  # however long a start takes on this machine
        time.sleep(rng.uniform(*_LIVES))
        killed += 1
        is_last = len(every) == 1 or killed % _GENERATION == 0 or killed >= kills
        for nursery in every if is_last else [rng.choice(every)]:
            nursery.kill()
            assert nursery.wait() == -SIGKILL
        if is_last:
            offset += STEP
    story = end(every[0], shared, offset)
    story.kills = killed
    return story


def _wait_for_beginnings(account: Path, count: int) -> None:
    """Wait until so many processes have opened the file; not for ever, as one may be killed before it says so."""
    patience = time.monotonic() + 10
    while time.monotonic() < patience:
        if account.exists() and account.read_bytes().count(b'"begun"') >= count:
            return
        time.sleep(0.005)


def clock_jump(every: Sequence[Nursery], directory: Path, seconds: float, offset: float) -> tuple[Story, int]:
    """Set the clock of one of the processes on a file, and let a last one begin with another.

    Returns:
        The story, and how often the delivery came most often that nothing was wrong with.
    """
    shared = place(directory)
    for number, nursery in enumerate(every):
        jump = 0.0 if number else seconds
        nursery.start(Plan(**shared, events=60, first=60 * number, jump=jump, backend=("asyncio", "trio")[number % 2]))
    failed = [status for nursery in every if (status := nursery.wait())]
    story = end(every[0], shared, offset, in_order=False)
    story.violations += [f"a process ended with {status}" for status in failed]
    times = Counter(
        (line["subscription"], line["id"])
        for line in read_account(shared["account"])
        if line["kind"] == "handled" and not is_unlucky(line["number"])
    )
    return story, max(times.values())


def killed_at(nursery: Nursery, directory: Path, points: Iterable[tuple[int, str]], synchronous: str) -> Story:
    """Kill a process at each of the operations on its disk, each time on a new file, until one is not reached.

    Args:
        nursery: Starts the processes.
        directory: Where the files are.
        points: The numbers of operations, and `before`, `torn` or `after`.
        synchronous: Of the store.
    """
    total = Story()
    for number, how in points:
        with _new(directory, f"{number}-{how}") as own:
            shared = place(own, synchronous=synchronous)
            backend = ("asyncio", "trio")[number % 2]
            plan = Plan(**shared, events=6, drains=True, kill_at=number, how=how, backend=backend)
            status = nursery.run(plan)
            if status == 0 and how != "torn":  # only a write is torn
                break
            story = end(nursery, shared, STEP)
            story.violations = [f"killed {how} operation {number}: {found}" for found in story.violations]
            story.kills = status == -SIGKILL
            total.add(story)
    return total


def without_room(nursery: Nursery, directory: Path, points: Iterable[int], operations: int) -> Story:
    """Have no room for some writes, beginning with each of the operations, each time on a new file."""
    total = Story()
    for number in points:
        with _new(directory, f"full-{number}") as own:
            shared = place(own)
            status = nursery.run(Plan(**shared, events=12, drains=True, full=(number, operations)))
            story = end(nursery, shared, 0)
            if status not in (0, UNUSABLE):
                story.violations.append(f"the process ended with {status}")
            story.violations = [f"no room from operation {number}: {found}" for found in story.violations]
            total.add(story)
    return total


def power_cuts(nursery: Nursery, directory: Path, number: int, synchronous: str, seed: int) -> Damage:
    """Cut the power so many times in the life of one process."""
    with _new(directory, f"power-{synchronous}-{seed}") as own:
        plan = Plan(
            **place(own, synchronous=synchronous), events=150, first=seed, drains=True, record=str(own / "record")
        )
        assert nursery.run(plan) == 0
        return damage_of(cuts(read_records(own / "record"), number, seed), own)


@contextmanager
def _new(directory: Path, name: str) -> Iterator[Path]:
    own = directory / name
    own.mkdir()
    yield own
    shutil.rmtree(own)  # unless it failed
