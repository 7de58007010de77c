"""Measure several things in turn, so that what disturbs one disturbs all, and compare them round by round."""

import gc
import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contender:
    """A function of one event, and the events of a round."""

    call: Callable[[Any], Any]
    events: Sequence[Any]

    def seconds(self) -> float:
        """Call the function for each event, and give the seconds for one event.

        The loop runs in C and drops every result; it costs all contenders the same dozen nanoseconds.
        """
        start = time.perf_counter()
        deque(map(self.call, self.events), maxlen=0)
        return (time.perf_counter() - start) / len(self.events)


#: How many events are parsed together before they are matched; their data fits into the caches.
CHUNK = 64


@dataclass(frozen=True)
class JustParsed(Contender):
    """A function of parsed events, each parsed a moment before it is called, as in a service that does both.

    Parsing is not timed. If all events were parsed at the beginning of a round, each would have left the caches before
    its turn, and their reading would be measured: that alone takes two to three times as long as matching does.

    Attributes:
        events: Parsed events.
        texts: The same as JSON.
        parse: Makes data of one.
    """

    texts: Sequence[Any] = ()
    parse: Callable[[Any], Any] = json.loads

    def seconds(self) -> float:
        """Call the function for each event, and give the seconds for one event."""
        taken = 0.0
        for start in range(0, len(self.texts), CHUNK):
            data = [self.parse(text) for text in self.texts[start : start + CHUNK]]
            begin = time.perf_counter()
            deque(map(self.call, data), maxlen=0)
            taken += time.perf_counter() - begin
        return taken / len(self.texts)


@dataclass(frozen=True)
class Figure:
    """What was measured of one contender: seconds for one event, a value for each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Give the middle one."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Give the distance between the quartiles, as a part of the median."""
        if len(self.rounds) < 4:
            return (max(self.rounds) - min(self.rounds)) / self.median
        first, _, third = statistics.quantiles(self.rounds, n=4)
        return (third - first) / self.median

    def ratio(self, other: "Figure") -> float:
        """Give the median of the ratios of each round to the other's in the same round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))


def interleave(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Figure]:
    """Measure all contenders once a round; a round before the first warms up."""
    names = list(contenders)
    taken: dict[str, list[float]] = {name: [] for name in names}
    with steady():
        for number in range(rounds + 1):
            # Each round begins with another one: nobody always runs on the caches that the same neighbour left.
            for name in names[number % len(names) :] + names[: number % len(names)]:
                taken[name].append(contenders[name].seconds())
    return {name: Figure(tuple(values[1:])) for name, values in taken.items()}


@contextmanager
def steady() -> Iterator[None]:
    """Keep the garbage collector away: its passes over all that is alive fall on whoever is running."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
