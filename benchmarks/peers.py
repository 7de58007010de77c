"""Other matchers that PyPI has. Each asks every rule in turn, so they are measured with few events.

One that is not installed, or does not load, is reported as missing.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import scaling
from benchmarks.families import FAMILIES
from benchmarks.measure import Contender, Figure, interleave
from benchmarks.plot import Curves
from benchmarks.report import MISSING, Section

ROUNDS = 3
RULES = 1_000
SIZES = (1, 10, 100, RULES)

Match = Callable[[bytes], list[int]]


def _moto(patterns: Sequence[dict[str, Any]]) -> Match:
    models = importlib.import_module("moto.events.models")
    texts = [json.dumps(pattern) for pattern in patterns]
    rules = [models.EventPattern(text, models.EventPatternParser(text).parse()) for text in texts]

    def match(event: bytes) -> list[int]:
        parsed = json.loads(event)
        return [i for i, rule in enumerate(rules) if rule.matches_event(parsed)]

    return match


def _localstack(patterns: Sequence[dict[str, Any]]) -> Match:
    # The engine of LocalStack, without the emulator around it: it wants `localstack-core`, `rolo` and `jsonpatch`.
    module = importlib.import_module("localstack.services.events.event_rule_engine")
    compiler, evaluate = module.EventPatternCompiler(), module.EventRuleEngine().evaluate_pattern_on_event
    rules = [compiler.compile_event_pattern(pattern) for pattern in patterns]

    def match(event: bytes) -> list[int]:
        parsed = json.loads(event)
        return [i for i, rule in enumerate(rules) if evaluate(rule, parsed)]

    return match


def _event_ruler(patterns: Sequence[dict[str, Any]]) -> Match:
    # A Go matcher in a wheel, older than most of the pattern language. All it offers is to test one pattern against
    # one event, both as text.
    test = importlib.import_module("event_ruler").test_event_pattern
    rules = [json.dumps(pattern) for pattern in patterns]

    def match(event: bytes) -> list[int]:
        text = event.decode()
        return [i for i, rule in enumerate(rules) if test(text, rule)]

    return match


@dataclass(frozen=True)
class Peer:
    """Another matcher.

    Attributes:
        make: Makes a matcher of patterns, which gives the numbers of those that match.
        family: Whose rules it is measured with.
        budget: How many times its rate ours is to be.
    """

    make: Callable[[Sequence[dict[str, Any]]], Match]
    family: str = "mixed"
    budget: float | None = None

    def load(self, patterns: Sequence[dict[str, Any]]) -> Match | None:
        """Give a matcher of these patterns, or nothing if the peer is not there."""
        try:
            return self.make(patterns)
        except (ImportError, OSError):
            return None


PEERS = {
    "moto": Peer(_moto, budget=3_000),
    "LocalStack": Peer(_localstack, budget=3_000),
    "event-ruler wheel": Peer(_event_ruler, family="exact"),  # it refuses numeric tests, and most others
}


def measure(curves: Curves, rounds: int = ROUNDS) -> Section:
    """Measure those that are there."""
    section = Section(
        "Peers",
        f"Raw JSON, microseconds an event, medians of {rounds} rounds. Each peer asks one rule after the other, so it "
        "gets only a few of the events; its answers are compared with the right ones.",
        ["peer", "rules of", "1 rule us", f"{RULES:,} rules us", "spread", "ours us", "peer / ours", "right"],
    )
    for name, peer in PEERS.items():
        if peer.load([FAMILIES[peer.family].rule(0)]) is None:
            section.rows.append([name, peer.family, "not installed", *[MISSING] * 5])
            continue
        figures, right = _figures(peer, rounds)
        curves.peers[f"{name} ({peer.family})"] = {size: 1 / pair["peer"].median for size, pair in figures.items()}
        most, ours = figures[RULES]["peer"], figures[RULES]["ours"]
        what = f"times the rate of {name} with {RULES:,} rules"
        section.rows.append(
            [
                name,
                peer.family,
                f"{figures[1]['peer'].median * 1e6:,.1f}",
                f"{most.median * 1e6:,.0f}",
                f"{most.spread:.0%}",
                f"{ours.median * 1e6:.2f}",
                section.judge(what, most.ratio(ours), peer.budget, is_floor=True),
                right,
            ]
        )
    return section


def _figures(peer: Peer, rounds: int) -> tuple[dict[int, dict[str, Figure]], str]:
    """Measure a peer at each size, and say how many answers were right."""
    family = FAMILIES[peer.family]
    figures = {}
    right: list[bool] = []
    for size in SIZES:
        ours = scaling.stage(family, size, scaling.parse(family, size))
        ours.check()
        match = peer.load([family.rule(i) for i in range(size)])
        few = ours.events[: max(10, 1_000 // size)]
        right += [match(event) == family.found(draw, size) for draw, event in zip(ours.draws, few, strict=False)]
        # Ours takes all events: so few of them take too little time to measure.
        pair = {"peer": Contender(match, few), "ours": Contender(ours.matcher.match_json, ours.events)}
        figures[size] = interleave(pair, rounds)
    return figures, f"{sum(right):,} of {len(right):,}"
