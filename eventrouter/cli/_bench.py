"""`eventrouter bench`: how fast rules match events, what each rule costs, and which never fire."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from eventrouter.cli._lines import read_event
from eventrouter.cli._report import make_console, printable
from eventrouter.declarations import load_rules
from eventrouter.errors import InvalidEventError, InvalidRuleError
from eventrouter.matching import Matcher
from eventrouter.patterns import Pattern

_ROUNDS: Final = 5
_SAMPLE: Final = 500  # events that each rule is timed with by itself
_ALONE: Final = 0.005  # seconds that each rule is timed by itself, at least
_SHOWN: Final = 20


@dataclass(frozen=True)
class _RuleCost:
    """What one rule costs.

    Attributes:
        name: The rule.
        matched: How many events it matches.
        seconds: Of an event, by itself, beyond what reading any event takes.
    """

    name: str
    matched: int
    seconds: float


def bench_rules(rules: Path, events: str, *, event_bus_name: str, seconds: float, everything: bool) -> bool:
    """Measure the enabled rules of a bus on events, print the figures, and say whether every rule fired.

    Raises:
        EventRouterError: The rules are not usable, or there is nothing to measure.
        OSError: A file cannot be read.
    """
    patterns = {
        rule.name: pattern
        for rule, pattern in load_rules(rules).rules
        if rule.event_bus_name == event_bus_name and rule.state == "ENABLED" and pattern is not None
    }
    if not patterns:
        raise InvalidRuleError(f"No rule on bus {event_bus_name} is enabled", hint="name the bus, --event-bus-name")
    lines, malformed = _read(events)
    if not lines:
        raise InvalidEventError(f"{events} holds no event", "MalformedEvent")
    matcher = Matcher.build(patterns.items())
    matched = Counter(name for line in lines for name in matcher.match_json(line))  # warms up, too
    taken = _seconds_an_event(matcher.match_json, lines, seconds)
    costs = _costs(patterns, matched, lines[:_SAMPLE])
    console = make_console()
    console.print(f"{len(lines):,} events" + (f", and {malformed:,} lines that are none" if malformed else ""))
    strategy = matcher.statistics().strategy
    console.print(f"{len(patterns):,} rules, {strategy}: {1 / taken:,.0f} events/s, {taken * 1e6:.2f} µs an event")
    _print_costs(console, costs, everything=everything)
    return all(matched[name] for name in patterns)


def _read(events: str) -> tuple[list[bytes], int]:
    stream: Iterable[bytes] = sys.stdin.buffer if events == "-" else Path(events).read_bytes().splitlines()
    lines, malformed = [], 0
    for line in stream:
        if not line.strip():
            continue
        try:
            lines.append(read_event(line, "log", "Log Line")[0].to_json())
        except InvalidEventError:
            malformed += 1
    return lines, malformed


def _seconds_an_event(match: Callable[[bytes], Any], lines: Sequence[bytes], at_least: float = 0.0) -> float:
    """Give the median of rounds, of which there are some, and as many as it takes to last."""
    rounds: list[float] = []
    while len(rounds) < _ROUNDS or sum(rounds) < at_least:
        start = time.perf_counter()
        for line in lines:
            match(line)
        rounds.append(time.perf_counter() - start)
    return statistics.median(rounds) / len(lines)


def _costs(patterns: dict[str, Pattern], matched: Counter[str], lines: Sequence[bytes]) -> Iterator[_RuleCost]:
    nothing = _seconds_an_event(Matcher[str]().match_json, lines, _ALONE)
    for name, pattern in patterns.items():
        alone = Matcher.build([(name, pattern)])
        _seconds_an_event(alone.match_json, lines)  # warms up
        yield _RuleCost(name, matched[name], max(_seconds_an_event(alone.match_json, lines, _ALONE) - nothing, 0.0))


def _print_costs(console: Console, costs: Iterable[_RuleCost], *, everything: bool) -> None:
    ordered = sorted(costs, key=lambda cost: -cost.seconds)
    total = sum(cost.seconds for cost in ordered) or 1.0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("rule", overflow="fold")
    for column in ("matched", "µs alone", "share"):
        table.add_column(column, justify="right")
    shown = ordered if everything else ordered[:_SHOWN]
    for cost in shown:
        share = f"{cost.seconds / total:.1%}"
        table.add_row(escape(printable(cost.name)), f"{cost.matched:,}", f"{cost.seconds * 1e6:.2f}", share)
    console.print(table)
    if len(shown) < len(ordered):
        console.print(f"and {len(ordered) - len(shown):,} rules that cost less; --all shows them")
    idle = [cost.name for cost in ordered if not cost.matched]
    if idle:
        names = ", ".join(sorted(idle) if everything else sorted(idle)[:_SHOWN])
        more = f" and {len(idle) - _SHOWN:,} more" if len(idle) > _SHOWN and not everything else ""
        console.print(printable(f"never fired: {names}{more}"))
