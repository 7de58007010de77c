"""Five rules of each operator, and all of them together, against the floor of decoding and against `orjson.loads`."""

import importlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks import aws_events, citylots, workloads
from benchmarks.floors import decode_floor
from benchmarks.measure import CHUNK, Contender, Figure, JustParsed, interleave
from benchmarks.naive import NaiveCounts, check
from benchmarks.report import MISSING, Section
from benchmarks.workloads import Workload

ROUNDS = 11
STEP = 40  # every so many-th lot
AWS_EVENTS = 4_000
PARSED_BUDGET = 0.27


def orjson_loads() -> Any:
    """Give `orjson.loads`, or nothing where it is not installed."""
    try:
        return importlib.import_module("orjson").loads
    except ImportError:
        return None


def sets() -> list[tuple[Workload, Sequence[bytes]]]:
    """Give each workload with its events."""
    lots = citylots.every(STEP)
    return [(workload, lots) for workload in workloads.over_lots()] + [
        (aws_events.RULES, aws_events.events(AWS_EVENTS))
    ]


def contenders(workload: Workload, events: Sequence[bytes]) -> dict[str, Contender]:
    """Give what is measured for a workload."""
    matcher = workload.matcher()
    parsed = [json.loads(event) for event in events]
    for event, data in zip(events, parsed, strict=True):
        # As a service does that has run for a moment: the matcher knows what events look like, and a method that is
        # fetched now is the function it has made for them.
        matcher.match_json(event)
        matcher.match(data)
    measured = {
        "floor": Contender(decode_floor(workload.rules.values()), events),
        "raw": Contender(matcher.match_json, events),
    }
    loads = orjson_loads()
    measured["parsed"] = JustParsed(matcher.match, parsed, events, loads or json.loads)
    if loads is not None:
        measured["orjson"] = Contender(loads, events)
    return measured


def measure(rounds: int = ROUNDS) -> Section:
    """Measure every workload; check what it matches before and after."""
    everything = sets()
    section = Section(
        "Operators",
        f"Every {STEP}th of {citylots.RECORDS:,} lots ({len(everything[0][1]):,} events of 870 bytes), and "
        f"{AWS_EVENTS:,} events of AWS services; {rounds} rounds. Microseconds an event, medians; the spread is the "
        "distance between the quartiles. The floor decodes the fields that the rules look at and matches nothing. "
        f"Parsed events are parsed {CHUNK} at a time, right before they are matched, and the parsing is not counted.",
        ["workload", "rules", "raw JSON us", "spread", "floor us", "raw / floor", "raw / orjson", "parsed us",
         "parsed / orjson"],
    )  # fmt: skip
    naive: dict[int, NaiveCounts] = {}
    for workload, events in everything:
        expected = naive.setdefault(id(events), NaiveCounts(events)).of(workload.rules)
        measured = contenders(workload, events)
        _check(workload, measured, expected)
        figures = interleave(measured, rounds)
        _check(workload, measured, expected)
        _report(section, workload, figures)
    return section


def _check(workload: Workload, measured: dict[str, Contender], expected: Counter[str]) -> None:
    for way in ("raw", "parsed"):
        check(f"{workload.name} ({way})", measured[way].call, measured[way].events, expected)


def _report(section: Section, workload: Workload, figures: dict[str, Figure]) -> None:
    raw, parsed, floor, orjson = (figures.get(name) for name in ("raw", "parsed", "floor", "orjson"))
    against_floor = section.judge(f"{workload.name}, raw JSON / decode floor", raw.ratio(floor), workload.floor_budget)
    raw_against_orjson = parsed_against_orjson = MISSING
    if orjson is not None:
        raw_against_orjson = f"{raw.ratio(orjson):.2f}"
        limit = PARSED_BUDGET if workload.has_parsed_budget else None
        what = f"{workload.name}, parsed event / orjson.loads"
        parsed_against_orjson = section.judge(what, parsed.ratio(orjson), limit)
    section.rows.append(
        [
            workload.name,
            str(len(workload.rules)),
            f"{raw.median * 1e6:.2f}",
            f"{raw.spread:.0%}",
            f"{floor.median * 1e6:.2f}",
            against_floor,
            raw_against_orjson,
            f"{parsed.median * 1e6:.2f}",
            parsed_against_orjson,
        ]
    )


def count_all() -> str:
    """Match all lots with every workload, and compare with the counts that event-ruler has for them."""
    lots = citylots.everything()
    listed = workloads.over_lots()
    for workload in listed:
        check(workload.name, workload.matcher().match_json, lots, +Counter(workload.matches))
    return f"All {len(lots):,} lots matched with {len(listed)} workloads: every count is event-ruler's."
