"""For tests of code that is driven by events. Nothing of it is imported by the rest of the package.

`strategies`, which needs hypothesis, is a module of its own.
"""

from eventrouter.testing._assertions import assert_matches, assert_not_routed, assert_routed
from eventrouter.testing._recording import RecordedEvents
from eventrouter.testing._running import run_simulation
from eventrouter.testing._scripts import Moment, Script, failing, hanging, in_turn, outage, returning, slow
from eventrouter.testing._simulator import Simulation, SimulationError, simulate
from eventrouter.testing._trace import Trace, TraceStep
from eventrouter.testing.virtual_time import LoopClock, run, virtual_time_backend

__all__ = [
    "LoopClock",
    "Moment",
    "RecordedEvents",
    "Script",
    "Simulation",
    "SimulationError",
    "Trace",
    "TraceStep",
    "assert_matches",
    "assert_not_routed",
    "assert_routed",
    "failing",
    "hanging",
    "in_turn",
    "outage",
    "returning",
    "run",
    "run_simulation",
    "simulate",
    "slow",
    "virtual_time_backend",
]
