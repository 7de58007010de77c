"""How the rate falls as rules grow from one to 100,000, and what an output of many rules costs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.families import FAMILIES, SIZES, Draw, Family
from benchmarks.floors import decode_floor
from benchmarks.measure import Contender, interleave
from benchmarks.naive import MiscountError
from benchmarks.plot import Curves
from benchmarks.report import MISSING, Section
from eventrouter import Matcher, Pattern

ROUNDS = 9
#: The short set takes these, and the largest only of `KEPT`: to parse 100,000 patterns of each family takes minutes.
SHORT_SIZES = (1, 100, 1_000, 10_000)
#: The families that stand for an operator each; the others are there for what they are hard on.
OPERATORS = (
    "exact",
    "mixed",
    "prefix",
    "suffix",
    "wildcard",
    "ignore-case",
    "ranges",
    "cidr",
    "anything-but",
    "arrays",
)
BASE = 100
RATE_BUDGET = 0.35
LIST_BUDGET = 3.0
#: The family whose patterns are kept: several measurements take 100,000 of them, and parsing is the slowest part.
KEPT = "mixed"
NEARLY_ALL = ("anything-but-lists", "anything-but-alone")  # the families of which all rules match but a few


@dataclass(frozen=True)
class Stage:
    """A matcher of so many rules of a family, and events for it."""

    family: Family
    size: int
    matcher: Matcher[int]
    draws: list[Draw]
    events: list[bytes]

    def check(self) -> None:
        """Match every event and compare with what arithmetic says.

        Raises:
            MiscountError: An event matched other rules.
        """
        for draw, event in zip(self.draws, self.events, strict=True):
            expected = self.family.found(draw, self.size)
            for way, found in (
                ("raw", self.matcher.match_json(event)),
                ("parsed", self.matcher.match(json.loads(event))),
            ):
                if sorted(found) != expected:
                    raise MiscountError(
                        f"{self.family.name}, {self.size} rules ({way}): event {draw.number} matched rules "
                        f"{sorted(found)[:5]}, not {expected[:5]} ({len(found)}, not {len(expected)})"
                    )


_kept: list[Pattern] = []


def parse(family: Family, count: int) -> list[Pattern]:
    """Parse the first so many rules of a family."""
    if family.name != KEPT:
        return [Pattern.parse(family.rule(i)) for i in range(count)]
    _kept.extend(Pattern.parse(family.rule(i)) for i in range(len(_kept), count))
    return _kept[:count]


def stage(family: Family, size: int, patterns: Sequence[Pattern]) -> Stage:
    """Make a matcher of the first so many patterns, and its events."""
    draws = family.draws(size)
    return Stage(family, size, Matcher.build(enumerate(patterns[:size])), draws, [family.event(draw) for draw in draws])


def measure(names: Sequence[str], curves: Curves, *, is_short: bool, rounds: int = ROUNDS) -> Section:
    """Measure families at all their sizes, the sizes of a family in turn."""
    sizes = sorted({size for name in names for size in _sizes(FAMILIES[name], is_short=is_short)})
    section = Section(
        "Scaling",
        "Raw JSON events a second by number of rules, in thousands; 2,000 events (200 where each matches many rules), "
        f"{rounds} rounds, medians. Half of the events match. The last column is the rate with the most rules, "
        f"as a part of the rate with {BASE}.",
        ["family", *(f"{size:,}" for size in sizes), "spread", f"most / {BASE}"],
    )
    for name in names:
        family = FAMILIES[name]
        mine = _sizes(family, is_short=is_short)
        patterns = parse(family, mine[-1])
        stages = [stage(family, size, patterns) for size in mine]
        for one in stages:
            one.check()
        figures = interleave({str(one.size): Contender(one.matcher.match_json, one.events) for one in stages}, rounds)
        for one in stages:
            one.check()
        rates = curves.families[name] = {one.size: 1 / figures[str(one.size)].median for one in stages}
        ratio = figures[str(BASE)].ratio(figures[str(mine[-1])])
        limit = RATE_BUDGET if name == "mixed" else None
        verdict = section.judge(f"{name}, rate at {mine[-1]:,} rules / rate at {BASE}", ratio, limit, is_floor=True)
        cells = [f"{rates[size] / 1e3:,.4g}" if size in rates else MISSING for size in sizes]
        section.rows.append([name, *cells, f"{max(figure.spread for figure in figures.values()):.0%}", verdict])
    return section


def _sizes(family: Family, *, is_short: bool) -> tuple[int, ...]:
    if not is_short:
        return family.sizes
    return tuple(size for size in family.sizes if size in SHORT_SIZES or (family.name == KEPT and size == SIZES[-1]))


def measure_large_outputs(rounds: int = ROUNDS) -> Section:
    """Hold rules that nearly all match against the copy of a list that is as long as what they give."""
    size = 1_000
    section = Section(
        "Anything-but with few exceptions hit",
        f"{size:,} rules; microseconds an event, {rounds} rounds, medians. A copy is `list()` of a list of as many "
        "keys as match; raw JSON is held against decoding what the rules look at, then copying.",
        ["family", "keys out", "parsed us", "copy us", "parsed / copy", "raw us", "decode and copy us", "raw / those"],
    )
    for name in ("anything-but", *NEARLY_ALL):
        family = FAMILIES[name]
        mine = stage(family, size, parse(family, size))
        mine.check()
        parsed = [json.loads(event) for event in mine.events]
        outputs = [mine.matcher.match(event) for event in parsed]
        figures = interleave(_with_copies(mine, parsed, outputs), rounds)
        mine.check()
        ratio = figures["parsed"].ratio(figures["copy"])
        verdict = section.judge(
            f"{name}, {size:,} rules, parsed / copy", ratio, LIST_BUDGET if name in NEARLY_ALL else None
        )
        section.rows.append(
            [
                name,
                f"{sum(map(len, outputs)) / len(outputs):,.0f}",
                f"{figures['parsed'].median * 1e6:.2f}",
                f"{figures['copy'].median * 1e6:.2f}",
                verdict,
                f"{figures['raw'].median * 1e6:.2f}",
                f"{figures['decode and copy'].median * 1e6:.2f}",
                f"{figures['raw'].ratio(figures['decode and copy']):.2f}",
            ]
        )
    return section


def _with_copies(mine: Stage, parsed: list[Any], outputs: list[list[int]]) -> dict[str, Contender]:
    decode = decode_floor([mine.family.rule(0)])

    def decode_and_copy(pair: tuple[bytes, list[int]]) -> list[int]:
        decode(pair[0])
        return list(pair[1])

    return {
        "parsed": Contender(mine.matcher.match, parsed),
        "copy": Contender(list, outputs),
        "raw": Contender(mine.matcher.match_json, mine.events),
        "decode and copy": Contender(decode_and_copy, list(zip(mine.events, outputs, strict=True))),
    }
