"""One process of a comparison: a round of all workloads for each line of standard input, as JSON on standard output."""

import json
import sys
from collections.abc import Iterator

from benchmarks import operators, scaling
from benchmarks.families import FAMILIES
from benchmarks.measure import Contender, steady
from benchmarks.naive import NaiveCounts, check

FAMILY_RULES = 1_000


def contenders() -> Iterator[tuple[str, Contender]]:
    """Give all workloads, checked, and families at one size."""
    naive: dict[int, NaiveCounts] = {}
    for workload, events in operators.sets():
        expected = naive.setdefault(id(events), NaiveCounts(events[:200])).of(workload.rules)
        measured = operators.contenders(workload, events)
        for way in ("raw", "parsed"):
            check(f"{workload.name} ({way})", measured[way].call, measured[way].events[:200], expected)
            yield f"{workload.name}, {way}", measured[way]
    for family in FAMILIES.values():
        stage = scaling.stage(family, FAMILY_RULES, scaling.parse(family, FAMILY_RULES))
        stage.check()
        yield f"{family.name}, {FAMILY_RULES:,} rules", Contender(stage.matcher.match_json, stage.events)


def main() -> None:
    """Serve rounds until there are no more lines."""
    measured = dict(contenders())
    with steady():
        for _ in sys.stdin:
            print(json.dumps({name: contender.seconds() for name, contender in measured.items()}), flush=True)


if __name__ == "__main__":
    main()
