"""Command line: compare, report, and on a difference print a small reproduction and exit with 1."""

# ruff: noqa: T201 - a script, which prints

from __future__ import annotations

import argparse
import random
import sys
import time
from contextlib import nullcontext
from functools import partial
from multiprocessing import Pool

from tests import generators
from tests.fuzz.comparison import INVALID_EVENT, MATCH, REFUSED, Tally, compare, engine, package
from tests.fuzz.shrinking import shrink

CHUNK = 5_000  # pairs; a chunk has its own seed, so that what it finds does not depend on the number of jobs
ALL_FORMS_SHARE = 0.25  # of the patterns go through bytes and data as well
SECONDS_BETWEEN_REPORTS = 5.0


def run_chunk(make_subject, pairs, seed):
    """Compare *pairs* pairs, or as many as it takes to find a difference, which comes back shrunk."""
    subject, rng, tally, done = make_subject(), random.Random(seed), Tally(), 0  # noqa: S311 - reproducible, no secret
    while done < pairs and not tally.difference:
        pattern, events = generators.case(rng)
        events = events[: pairs - done]
        done += len(events)
        compare(subject, pattern, events, tally, all_forms=rng.random() < ALL_FORMS_SHARE)
    if tally.difference:
        tally.difference = shrink(subject, tally.difference)
    return tally


def run(make_subject, pairs, seed, jobs):
    """All chunks; the tally stops at the first difference."""
    sizes = [min(CHUNK, pairs - start) for start in range(0, pairs, CHUNK)]
    work = [(size, f"{seed}:{number}") for number, size in enumerate(sizes)]
    total, started, reported = Tally(), time.monotonic(), time.monotonic()
    with Pool(jobs) if jobs > 1 else nullcontext() as pool:
        chunk = partial(_unpacked, make_subject)
        for tally in pool.imap_unordered(chunk, work) if pool else map(chunk, work):
            total.answers.update(tally.answers)
            if tally.difference:
                total.difference = tally.difference
                break
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                reported = time.monotonic()
                print(summary(total.answers, reported - started), flush=True)
    print(summary(total.answers, time.monotonic() - started), flush=True)
    return total


def _unpacked(make_subject, work):
    return run_chunk(make_subject, *work)


def summary(answers, seconds):
    pairs = answers.total()
    shares = ", ".join(
        f"{answers[answer] / max(pairs, 1):.1%} {label}"
        for answer, label in ((MATCH, "match"), (REFUSED, "refused"), (INVALID_EVENT, "invalid events"))
    )
    return f"{pairs:,} pairs in {seconds:.0f} s, {pairs / max(seconds, 1e-9):,.0f}/s: {shares}"


def describe(difference):
    return "\n".join(
        (
            f"DIFFERENCE: pattern as {difference.forms[0]}, event as {difference.forms[1]}",
            f"  pattern  {difference.pattern}",
            f"  event    {difference.event}",
            f"  oracle   {difference.expected}",
            f"  package  {difference.actual}",
            f"  Python   pattern = {difference.pattern!r}",
            f"           event = {difference.event!r}",
        )
    )


def main(arguments=None, make_subject=package):
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000, help="pattern x event pairs to compare (%(default)s)")
    parser.add_argument("--seed", default=None, help="any text; by default a new one, printed, each time")
    parser.add_argument("--jobs", type=int, default=1, help="processes (%(default)s)")
    parser.add_argument("--engine", action="store_true", help="ask a Matcher instead of the pattern; that is slower")
    options = parser.parse_args(arguments)
    seed = options.seed or f"{time.time_ns() % 10**9}"
    print(f"--seed {seed}", flush=True)
    total = run(engine if options.engine else make_subject, options.pairs, seed, options.jobs)
    if total.difference:
        print(describe(total.difference))
        return 1
    print("No difference.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
