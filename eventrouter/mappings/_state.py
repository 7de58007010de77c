"""What a mapping says of itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

#: How many changes of the number of workers are remembered.
_REMEMBERED: Final = 1_000


class Scaling(NamedTuple):
    """That the number of workers has changed.

    Attributes:
        at: When.
        workers: How many there are from then on.
    """

    at: datetime
    workers: int


@dataclass(frozen=True, slots=True)
class MappingStatistics:
    """What an event source mapping has done since its router was made.

    Attributes:
        workers: How many there are now.
        busy: How many of these have a batch.
        batches: How often a batch, or a part of one, was handed over.
        succeeded: Records that were done.
        failed: Records of attempts that failed, each time they did.
        filtered: Records that no filter let through.
        throttles: How often a batch had to wait, since the function could not be invoked.
        discarded: Records of a stream that were given up.
        scaling: The latest 1,000 changes of the number of workers.
    """

    workers: int
    busy: int
    batches: int
    succeeded: int
    failed: int
    filtered: int
    throttles: int
    discarded: int
    scaling: tuple[Scaling, ...]


@dataclass(slots=True)
class Counts:
    """The same as it is being counted. See `MappingStatistics`."""

    workers: int = 0
    busy: int = 0
    batches: int = 0
    succeeded: int = 0
    failed: int = 0
    filtered: int = 0
    throttles: int = 0
    discarded: int = 0
    scaling: deque[Scaling] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def scale(self, by: int, now: datetime) -> None:
        """Count workers that came or went."""
        self.workers += by
        if self.scaling and self.scaling[-1].at == now:
            self.scaling[-1] = Scaling(now, self.workers)
        else:
            self.scaling.append(Scaling(now, self.workers))

    def statistics(self) -> MappingStatistics:
        """Give them as they are now."""
        return MappingStatistics(
            self.workers,
            self.busy,
            self.batches,
            self.succeeded,
            self.failed,
            self.filtered,
            self.throttles,
            self.discarded,
            tuple(self.scaling),
        )
