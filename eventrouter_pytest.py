"""What pytest gets from eventrouter: two fixtures. It costs a test run nothing that does not use them.

It is a module of its own, outside of the package, and imports nothing but pytest: pytest loads it before any test,
whether that is about events or not, and before the coverage of anything is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eventrouter.testing._recording import RecordedEvents
    from eventrouter.testing._running import Simulated

pytest.register_assert_rewrite("eventrouter.testing._assertions")


@pytest.fixture
def eventrouter_sim() -> Simulated:
    """Give what runs a scenario in virtual time, from a test that is a plain function.

    ::

        def test_an_outage(eventrouter_sim):
            async def scenario(sim):
                await sim.router.put_events([EventEntry("shop", "Order Placed", {"id": 7})])
                await sim.advance(hours=1)

            sim = eventrouter_sim(router, scenario, replace={"crm": failing(times=2)})
            assert len(sim.seen("crm")) == 3
    """
    from eventrouter.testing._running import run_simulation  # noqa: PLC0415 - see above

    return run_simulation


@pytest.fixture
def recorded_events() -> RecordedEvents:
    """Give an observer that keeps the events that routers accept: `EventRouter(observers=[recorded_events])`.

    For a router that is there already: `with recorded_events.of(router):`.
    """
    from eventrouter.testing._recording import RecordedEvents  # noqa: PLC0415 - see above

    return RecordedEvents()
