"""What it costs to say when a schedule is due next, against croniter and cronsim, and to begin with many schedules."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks.measure import Contender, Figure, interleave
from benchmarks.report import MISSING, Section
from eventrouter import Event, EventRouter, FunctionTarget, Schedule, ScheduleExpression

ROUNDS = 7
INSTANTS = 400  # a round
SCHEDULES = 100_000

#: Ordinary expressions: AWS's form, and the same in Unix's, which the others read.
EXPRESSIONS = {
    "every 5 minutes": ("cron(0/5 * * * ? *)", "*/5 * * * *"),
    "daily": ("cron(30 2 * * ? *)", "30 2 * * *"),
    "weekdays": ("cron(0 18 ? * MON-FRI *)", "0 18 * * 1-5"),
    "office hours": ("cron(0/15 8-17 ? * MON-FRI *)", "*/15 8-17 * * 1-5"),
    "monthly": ("cron(0 6 1 * ? *)", "0 6 1 * *"),
    "yearly": ("cron(0 0 1 1 ? *)", "0 0 1 1 *"),
}
IMPOSSIBLE = ("cron(0 0 31 2 ? *)", "cron(0 0 ? 2 2#5 1970-1999)", "cron(0 0 30 FEB ? 2199)", "cron(* * 31 4,6 ? *)")
LIMIT_OF_IMPOSSIBLE = 5e-3
LIMIT_OF_START = 2.0


def measure() -> Section:
    """Measure `next_after` in UTC, each call from an instant of its own."""
    section = Section(
        "Next occurrences",
        f"`next_after` in UTC, medians of {ROUNDS} rounds of {INSTANTS} instants. The others read Unix's form: "
        "they are iterators, one for each instant, made beforehand, and asked for their next occurrence in each round.",
        ["expression", "us", "spread", "croniter us", "cronsim us", "of the faster"],
    )
    begin = datetime(2026, 1, 1, 0, 7, 30, tzinfo=UTC)
    instants = [begin + number * timedelta(hours=37, minutes=11) for number in range(INSTANTS)]
    for name, (ours, theirs) in EXPRESSIONS.items():
        expression = ScheduleExpression.parse(ours)
        for _, made, ask in _peers(theirs, instants):
            assert [ask(one) for one in made] == [expression.next_after(instant) for instant in instants], name
        peers = {key: Contender(ask, made) for key, made, ask in _peers(theirs, instants)}
        taken = interleave({"ours": Contender(expression.next_after, instants), **peers}, ROUNDS)
        faster = min((taken[key].median for key in peers), default=None)
        section.rows.append(
            [
                name,
                f"{taken['ours'].median * 1e6:.2f}",
                f"{taken['ours'].spread:.0%}",
                *(f"{taken[key].median * 1e6:.2f}" if key in taken else MISSING for key in ("croniter", "cronsim")),
                MISSING
                if faster is None
                else section.judge(f"{name}, parts of the faster peer", taken["ours"].median / faster, 1.0),
            ]
        )
    return section


def _peers(text: str, instants: Sequence[datetime]) -> Iterator[tuple[str, list[Any], Callable[[Any], Any]]]:
    """Give those that are installed: a name, an iterator for each instant, and what asks one of them."""
    try:
        from croniter import croniter  # noqa: PLC0415 - it may be missing

        yield "croniter", [croniter(text, instant) for instant in instants], lambda one: one.get_next(datetime)
    except ImportError:
        pass
    try:
        from cronsim import CronSim  # noqa: PLC0415 - it may be missing

        yield "cronsim", [CronSim(text, instant) for instant in instants], next
    except ImportError:
        pass


def measure_limits() -> Section:
    """Measure what must be bounded: expressions that are never due, and beginning with many schedules."""
    section = Section(
        "Limits of schedules",
        f"Some expressions, and {SCHEDULES:,} schedules in three zones, from entering the router until all are "
        "planned.",
        ["what", "ms", "of the limit"],
    )
    longest = max(_seconds(ScheduleExpression.parse(text)) for text in IMPOSSIBLE)
    share = section.judge("impossible dates, parts of 5 ms", longest / LIMIT_OF_IMPOSSIBLE, 1.0)
    section.rows.append(["an impossible date", f"{longest * 1e3:.2f}", share])
    with TemporaryDirectory() as directory:
        for where, store in (("in memory", "memory://"), ("in a file", f"sqlite:///{directory}/schedules.db")):
            for name, seconds in zip(("first start", "start again"), anyio.run(_starts, store), strict=True):
                what = f"{name} {where}"
                share = section.judge(f"{what}, parts of 2 s", seconds / LIMIT_OF_START, 1.0)
                section.rows.append([f"{SCHEDULES:,} schedules, {what}", f"{seconds * 1e3:.0f}", share])
    return section


def _seconds(expression: ScheduleExpression) -> float:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    times = [time.perf_counter()]
    for _ in range(20):
        assert expression.next_after(begin) is None
        times.append(time.perf_counter())
    return Figure(tuple(after - before for before, after in pairwise(times))).median


async def _starts(store: str) -> list[float]:
    async def nothing(event: Event) -> None: ...

    target = FunctionTarget(id="t", function=nothing)
    zones = ("Europe/London", "America/New_York", "Australia/Lord_Howe")
    router = EventRouter(store)
    for number in range(SCHEDULES):
        expression = ScheduleExpression.parse(f"cron({number % 60} {number // 60 % 24} * * ? *)", zones[number % 3])
        router.put_schedule(Schedule(name=f"s{number}", schedule_expression=expression, target=target))
    taken: list[float] = []
    # A schedule that is made right after it was due waits for other processes: that is not what costs time here.
    await anyio.sleep(max(0.0, 6.0 - time.time() % 60))
    for _ in range(2):
        begin = time.perf_counter()
        async with router:
            while not router._scheduler.is_settled:  # noqa: SLF001, ASYNC110 - nobody else has to know
                await anyio.sleep(0.001)
            taken.append(time.perf_counter() - begin)
    return taken
