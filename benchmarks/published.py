"""Figures to publish, by pyperf: `python -m benchmarks published -o figures.json`.

pyperf spawns many processes for each workload, calibrates, and warns of an unsteady machine: some minutes a workload.
Its options apply, and `--workload EXACT` measures that one only; it may be given several times. `python -m pyperf
table` and `compare_to` read what is written.
"""

from collections.abc import Callable, Sequence

import pyperf

from benchmarks import operators
from benchmarks.measure import Contender


def main(arguments: Sequence[str] | None = None) -> None:
    """Let pyperf measure workloads: the floor, raw JSON, parsed events and `orjson.loads`, for one event."""
    runner = pyperf.Runner(
        program_args=("-m", "benchmarks.published"),
        add_cmdline_args=lambda command, options: command.extend(f"--workload={name}" for name in options.workload),
    )
    sets = {workload.name: (workload, events) for workload, events in operators.sets()}
    runner.argparser.add_argument("--workload", action="append", default=[], choices=list(sets), help="all if none")
    # A process measures one contender only, but makes those of each workload that it is told of.
    for name in runner.parse_args(arguments).workload or sets:
        for kind, contender in operators.contenders(*sets[name]).items():
            runner.bench_time_func(f"{name}, {kind}", _loops(contender), inner_loops=len(contender.events))


def _loops(contender: Contender) -> Callable[[int], float]:
    """Give what takes the seconds of so many rounds, in the contender's own way: parsed events are just parsed."""
    return lambda loops: sum(contender.seconds() for _ in range(loops)) * len(contender.events)


if __name__ == "__main__":
    main()
