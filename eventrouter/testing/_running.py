"""A simulation that is run from start to end, from code that is not async."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from eventrouter.abc import Store
from eventrouter.router import EventRouter
from eventrouter.testing._scripts import Script
from eventrouter.testing._simulator import Simulation, simulate
from eventrouter.testing.virtual_time import Backend, run


class Simulated(Protocol):
    """Runs a scenario; see `run_simulation`."""

    def __call__(
        self,
        router: EventRouter,
        scenario: Callable[[Simulation], Awaitable[object]],
        *,
        at: datetime | str = ...,
        seed: int = 0,
        replace: Mapping[str, Script] | None = None,
        store: Store | None = None,
        backend: Backend = "asyncio",
    ) -> Simulation:
        """Run it."""
        ...


def run_simulation(
    router: EventRouter,
    scenario: Callable[[Simulation], Awaitable[object]],
    *,
    at: datetime | str = "2026-03-01T12:00:00Z",
    seed: int = 0,
    replace: Mapping[str, Script] | None = None,
    store: Store | None = None,
    backend: Backend = "asyncio",
) -> Simulation:
    """Simulate a router, in an event loop of its own in virtual time.

    Args:
        router: The router.
        scenario: What happens; it is given the simulation.
        at: As `simulate` has it, like the following.
        seed: As `simulate`.
        replace: As `simulate`.
        store: As `simulate`.
        backend: `asyncio` or `trio`.

    Returns:
        The simulation, which is over: its trace, and what stand-ins have seen.
    """

    async def simulated() -> Simulation:
        async with simulate(router, at=at, seed=seed, replace=replace, store=store) as sim:
            await scenario(sim)
            return sim

    return run(simulated, backend=backend)
