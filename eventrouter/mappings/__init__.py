"""Event source mappings, which read a queue or a stream and invoke a function with what they read; and pipes."""

from eventrouter.mappings._configuration import EventSourceMappingConfiguration, StartingPosition
from eventrouter.mappings._mapping import EventSourceMapping, MappingState
from eventrouter.mappings._state import MappingStatistics, Scaling

__all__ = [
    "EventSourceMapping",
    "EventSourceMappingConfiguration",
    "MappingState",
    "MappingStatistics",
    "Scaling",
    "StartingPosition",
]
