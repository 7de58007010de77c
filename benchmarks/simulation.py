"""How long a simulated day takes: twenty deliveries with 186 attempts each, and a schedule of every minute."""

import time

from benchmarks.measure import Figure
from benchmarks.report import Section
from eventrouter import Event, EventEntry, EventRouter, RetryPolicy
from eventrouter.testing import Simulation, failing, run, simulate

TARGETS = 20
ATTEMPTS = 186
ROUNDS = 5
#: Seconds of processor time, of the issue.
LIMIT = 1.0


def make_router() -> EventRouter:
    """Give a router with twenty targets and a schedule."""
    router = EventRouter()

    async def ignore(event: Event) -> None:
        """Take an event."""

    for number in range(TARGETS):
        router.rule({"source": ["shop"]}, name=f"r{number}", retry_policy=RetryPolicy.eventbridge())(ignore)
    router.schedule("rate(1 minute)", name="tick")(ignore)
    return router


async def simulate_a_day() -> Simulation:
    """Have all targets fail for a day."""
    async with simulate(make_router(), replace={"r*": failing(503)}) as sim:
        await sim.router.put_events([EventEntry("shop", "Order Placed", {"id": 7})])
        await sim.advance(hours=24)
    return sim


def measure() -> Section:
    """Measure it on both backends."""
    section = Section(
        "A simulated day",
        f"{TARGETS} deliveries that fail for 24 hours, with up to {ATTEMPTS} attempts each, and a schedule of every "
        f"minute; processor time, medians of {ROUNDS} rounds.",
        ["backend", "attempts", "steps", "s", "of the limit"],
    )
    for backend in ("asyncio", "trio"):
        times: list[float] = []
        for _ in range(ROUNDS):
            begin = time.process_time()
            sim = run(simulate_a_day, backend=backend)
            times.append(time.process_time() - begin)
        taken = Figure(tuple(times)).median
        attempts = len(sim.trace.of("INVOCATION_ATTEMPT_START"))
        share = section.judge(f"a simulated day, {backend}, parts of 1 s", taken / LIMIT, 1.0)
        section.rows.append([backend, f"{attempts:,}", f"{len(sim.trace):,}", f"{taken:.2f}", share])
    return section
