"""Events drawn from random patterns by `eventrouter.testing.strategies`, put to the oracle.

`python -m tests.fuzz.strategies --events 100000` tells how many of them match, how many draws Hypothesis gave up, and
exits with 1 at the first that does not match. Health checks are on.
"""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import StopTest
from hypothesis.internal.conjecture.data import Status

from eventrouter.errors import NoSuchEventError
from eventrouter.patterns._tree import dumps
from eventrouter.testing import strategies
from tests import oracle

CHUNK = 1_000  # patterns of one run of Hypothesis, which slows down as it remembers what it has drawn
EACH = 8  # events of each pattern


def run_chunk(patterns, number, tally):
    @seed(number)
    @settings(max_examples=patterns, deadline=None, database=None)
    @given(st.booleans(), st.data())
    def draw(on_a_bus, data):
        tally["patterns begun"] += 1
        pattern = data.draw(strategies.patterns(on_a_bus=on_a_bus))
        try:
            matching = strategies.matching(pattern, on_a_bus=on_a_bus)
        except NoSuchEventError:
            tally["patterns that nothing matches"] += 1
            return
        rules = oracle.compile_pattern(str(pattern))
        for _ in range(EACH):
            tally["draws"] += 1
            event = dumps(drawn(data, matching, tally))
            tally["events"] += 1
            assert oracle.decide(rules, oracle.flatten(event)), f"{pattern}\n{event}"

    draw()


def drawn(data, strategy, tally):
    """Draw, and count it if that is given up: as it became too large, or because something was sought for in vain."""
    try:
        return data.draw(strategy)
    except StopTest:
        tally["too large" if data.conjecture_data.status is Status.OVERRUN else "sought for in vain"] += 1
        raise


def run(events, first_seed):
    tally, number = Counter(), first_seed
    while tally["events"] < events:
        run_chunk(min(CHUNK, events), number, tally)
        number += 1
    return tally


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.strategies", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="events to draw (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first thousand patterns (%(default)s)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        tally = run(options.events, options.seed)
    except AssertionError as wrong:
        print(f"DOES NOT MATCH:\n{wrong}")
        return 1
    for what, count in tally.items():
        print(f"{what}: {count:,}")
    valid = 1 - tally["sought for in vain"] / (tally["draws"] - tally["too large"])
    print(f"valid: {valid:.3%} of the draws that were not cut off, in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
