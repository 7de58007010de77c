"""Command line: the long runs. Prints figures, and ends with 1 if anything was lost, damaged, or settled twice."""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.durability.power import Damage
from tests.durability.rounds import Story, killed_at, nurseries, power_cuts, random_kills, without_room


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.durability", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="random kills of one process")
    parser.add_argument("--processes", type=int, default=1, help="how many share the file that those kills are of")
    parser.add_argument("--operations", type=int, default=0, help="kill at every n-th operation: before, torn, after")
    parser.add_argument("--full", type=int, default=0, help="have no room from every n-th operation on")
    parser.add_argument("--cuts", type=int, default=0, help="power cuts")
    parser.add_argument("--synchronous", choices=["FULL", "NORMAL"], default="FULL")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    is_well = True
    with tempfile.TemporaryDirectory() as name, nurseries(options.processes) as every:
        directory = Path(name)
        if options.kills:
            is_well &= _report(random_kills, every, directory, options.kills, options.synchronous, options.seed)
        if options.operations:
            points = (
                (number, how)
                for number in range(1 + options.seed % options.operations, sys.maxsize, options.operations)
                for how in ("before", "torn", "after")
            )
            is_well &= _report(killed_at, every[0], directory, points, options.synchronous)
        if options.full:
            points = range(1 + options.seed % options.full, 700, options.full)
            is_well &= _report(without_room, every[0], directory, points, 5)
        if options.cuts:
            damage = Damage()
            started = time.monotonic()
            for part in range(-(-options.cuts // 100)):
                damage.add(power_cuts(every[0], directory, 100, options.synchronous, options.seed + part))
            print(f"{options.synchronous}, {damage}, {time.monotonic() - started:.0f} s")
            is_well &= not damage.bad_cuts
    return 0 if is_well else 1


def _report(run, *arguments) -> bool:
    started = time.monotonic()
    story: Story = run(*arguments)
    print(f"{run.__name__}: {story}, {time.monotonic() - started:.0f} s", flush=True)
    for violation in story.violations[:20]:
        print("  ", violation)
    return not story.violations


if __name__ == "__main__":
    sys.exit(main())
