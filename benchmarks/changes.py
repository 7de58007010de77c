"""What it costs to change rules, and to keep them: time to add and remove, memory for each."""

import gc
import time
import tracemalloc
from collections.abc import Callable

from benchmarks import citylots, scaling
from benchmarks.families import FAMILIES
from benchmarks.measure import Contender, Figure, interleave
from benchmarks.operators import STEP, orjson_loads
from benchmarks.report import MISSING, Section
from eventrouter import Matcher, Pattern

RULES = 100_000
NEXT = 200  # rules that are added one by one, each before a match
PARSED = 10_000  # patterns whose memory is looked at; they are alike
ROUNDS = 2  # each changes 300,000 rules

ADD_BUDGET = 30e-6
MEMORY_BUDGET = 1536


def measure(rules: int = RULES, rounds: int = ROUNDS) -> Section:
    """Measure changes of the family `mixed`."""
    family = FAMILIES["mixed"]
    patterns = scaling.parse(family, rules + NEXT)
    extra = patterns[rules:]
    del patterns[rules:]
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        _round(patterns, extra, taken)
    section = Section(
        "Changes",
        f"Rules of the family `mixed`, patterns parsed beforehand, {rules:,} rules, medians of {rounds} rounds, with "
        "the garbage collector at work. The last column takes the machine out: it counts in calls of `orjson.loads` "
        "for a lot.",
        ["change", "us a rule", "spread", "of 30 us", "in orjson.loads"],
    )
    load = _seconds_of_a_load()
    for name, values in taken.items():
        figure = Figure(tuple(values))
        limit = 1.0 if name in {"build", "add"} else None
        section.rows.append(
            [
                name,
                f"{figure.median * 1e6:.2f}",
                f"{figure.spread:.0%}",
                section.judge(f"{name}, parts of 30 us a rule", figure.median / ADD_BUDGET, limit),
                MISSING if load is None else f"{figure.median / load:.2f}",
            ]
        )
    return section


def _seconds_of_a_load() -> float | None:
    loads = orjson_loads()
    if loads is None:
        return None
    return interleave({"orjson": Contender(loads, citylots.every(STEP))}, 5)["orjson"].median


def _round(patterns: list[Pattern], extra: list[Pattern], taken: dict[str, list[float]]) -> None:
    family = FAMILIES["mixed"]

    def timed(name: str, rules: int, change: Callable[[], object]) -> None:
        # The collector stays on here: what a change allocates stays alive, and passes over it are part of its price.
        gc.collect()
        start = time.perf_counter()
        change()
        taken.setdefault(name, []).append((time.perf_counter() - start) / rules)

    built: list[Matcher[int]] = []
    timed("build", len(patterns), lambda: built.append(Matcher.build(enumerate(patterns))))
    built.clear()

    matcher: Matcher[int] = Matcher()
    timed("add", len(patterns), lambda: [matcher.add(i, pattern) for i, pattern in enumerate(patterns)])
    draws = family.draws(len(patterns))
    events = [family.event(draw) for draw in draws]
    scaling.Stage(family, len(patterns), matcher, draws, events).check()

    event = events[0]

    def add_and_match() -> None:
        for i, pattern in enumerate(extra, len(patterns)):
            matcher.add(i, pattern)
            matcher.match_json(event)

    timed("add one more, then match", len(extra), add_and_match)
    timed("remove", len(matcher), lambda: [matcher.remove(i) for i in range(len(matcher))])
    assert len(matcher) == 0
    assert not any(map(matcher.match_json, events))


def measure_memory(rules: int = RULES) -> Section:
    """Count what a rule allocates, and what is given back."""
    family = FAMILIES["mixed"]
    patterns = scaling.parse(family, rules)
    gc.collect()
    tracemalloc.start()
    try:
        matcher: Matcher[int] = Matcher.build(enumerate(patterns))
        matcher.match_json(family.event(family.draws(rules)[0]))  # what is made at the first match is part of it
        gc.collect()
        own = tracemalloc.get_traced_memory()[0]
        for i in range(rules):
            matcher.remove(i)
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
        del matcher, patterns
        gc.collect()
        tracemalloc.clear_traces()
        before = tracemalloc.get_traced_memory()[0]
        alone = Matcher.build((i, Pattern.parse(family.rule(i))) for i in range(rules))
        gc.collect()
        held = (tracemalloc.get_traced_memory()[0] - before) / len(alone)
        before = tracemalloc.get_traced_memory()[0]
        kept = [Pattern.parse(family.rule(i)) for i in range(PARSED)]
        gc.collect()
        parsed = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()
    section = Section(
        "Memory",
        f"Family `mixed`, {rules:,} rules, counted by `tracemalloc`. A matcher holds what it needs of its patterns; "
        "one that whoever parsed it keeps as well holds some of that, and its tree.",
        ["memory", "bytes a rule", "of 1.5 KB"],
    )
    for name, size in (("matcher, beyond patterns kept", own / rules), ("matcher that alone has its patterns", held)):
        verdict = section.judge(f"memory of a {name}, parts of 1.5 KB a rule", size / MEMORY_BUDGET, 1.0)
        section.rows.append([name, f"{size:,.0f}", verdict])
    section.rows.append(["a pattern that somebody keeps", f"{parsed:,.0f}", MISSING])
    section.rows.append(["still held when all rules are removed", f"{left / rules:,.0f}", f"{left / own:.1%} of it"])
    return section
