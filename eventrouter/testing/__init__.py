"""For tests of code that is driven by events. Nothing of it is imported by the rest of the package.

`strategies`, which needs hypothesis, is a module of its own.
"""

from eventrouter.testing._scripts import Moment, Script, failing, hanging, in_turn, outage, returning, slow
from eventrouter.testing._simulator import Simulation, SimulationError, simulate
from eventrouter.testing._trace import Trace, TraceStep
from eventrouter.testing.virtual_time import LoopClock, run, virtual_time_backend

__all__ = [
    "LoopClock",
    "Moment",
    "Script",
    "Simulation",
    "SimulationError",
    "Trace",
    "TraceStep",
    "failing",
    "hanging",
    "in_turn",
    "outage",
    "returning",
    "run",
    "simulate",
    "slow",
    "virtual_time_backend",
]
