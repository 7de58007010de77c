"""Figures to publish, by pyperf: `python -m benchmarks published -o figures.json`.

pyperf spawns many processes for each workload, calibrates, and warns of an unsteady machine. Its options apply;
`python -m pyperf table` and `compare_to` read what it writes.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pyperf

from benchmarks import operators
from benchmarks.measure import Contender


def main(arguments: Sequence[str] | None = None) -> None:
    """Let pyperf measure each workload: the floor, raw JSON, parsed events and `orjson.loads`, for one event."""
    runner = pyperf.Runner(program_args=("-m", "benchmarks.published"))
    runner.parse_args(arguments)
    for workload, events in operators.sets():
        for name, contender in operators.contenders(workload, events).items():
            runner.bench_time_func(f"{workload.name}, {name}", _loops(contender), inner_loops=len(events))


def _loops(contender: Contender) -> Callable[[int], float]:
    def measured(loops: int) -> float:
        call: Callable[[Any], Any] = contender.call
        start = time.perf_counter()
        for _ in range(loops):
            deque(map(call, contender.events), maxlen=0)
        return time.perf_counter() - start

    return measured


if __name__ == "__main__":
    main()
