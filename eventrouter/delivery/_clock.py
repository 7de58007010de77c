"""Wall time that does not step back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import anyio

from eventrouter._loops import loop_time
from eventrouter.abc import Clock

logger = logging.getLogger("eventrouter.delivery")

#: How far a clock may be from where it should be before it is said to have been set. Slewing is much finer.
_STEP: Final = timedelta(seconds=2)


class SteadyClock:
    """The time by which deliveries are due, retried, leased and grow old: a wall clock, measured by the event loop's.

    When the wall clock is set back, by an hour or a day, what is due stays due: time goes on from where it was, and
    meets the wall clock when the router is opened again. When it is set forward it is followed, since that is also what
    waking up from sleep looks like; the worst that brings is that leases end, and a delivery comes once more.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._passed: Callable[[], float] = anyio.current_time
        self._offset: float | None = None  # of the wall clock's timestamp from the event loop's time
        self._last_step = timedelta(0)

    def restart(self) -> None:
        """Begin anew with the wall clock, in another event loop perhaps."""
        self._passed = loop_time()
        self._offset = None
        self._last_step = timedelta(0)

    def now(self) -> datetime:
        """Give the present as an aware datetime in UTC. Called in the event loop."""
        wall, passed = self._wall.now(), self._passed()  # hot
        if self._offset is None:
            self._offset = wall.timestamp() - passed
            return wall
        steady = datetime.fromtimestamp(self._offset + passed, wall.tzinfo)
        step = wall - steady
        if -_STEP <= step <= _STEP:
            return steady
        if abs(step - self._last_step) > _STEP:
            logger.warning("The wall clock was set by %+.0f s", (step - self._last_step).total_seconds())
            self._last_step = step
        if step > timedelta(0):
            self._offset += step.total_seconds()
            self._last_step = timedelta(0)
            return wall
        return steady
