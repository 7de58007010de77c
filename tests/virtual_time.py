"""Virtual time for both backends.

Time stands still while anything can run, and jumps to the next deadline when nothing can. So hours of retries pass in
milliseconds, in the same order on every run. Threads are invisible to it: a test that uses them runs in real time.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from selectors import DefaultSelector

import anyio
import trio.testing

EPOCH = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class _JumpingSelector(DefaultSelector):
    """A selector that never blocks for a timeout: it moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        self.now += timeout
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock jumps to the next deadline when nothing can run."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # What is due is what is less than this ahead; a nanosecond is lost in rounding after half a year.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now


class LoopClock:
    """Wall time that passes as the event loop's time does, from `EPOCH` on."""

    def __init__(self) -> None:
        self._start: float | None = None

    def now(self) -> datetime:
        present = anyio.current_time()
        if self._start is None:
            self._start = present
        return EPOCH + timedelta(seconds=present - self._start)


def virtual_time_backends():
    """Give the backends for the `anyio_backend` fixture, in virtual time."""
    return [
        ("asyncio", {"loop_factory": VirtualTimeLoop}),
        ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}),
    ]


def real_time_backends():
    """Give the backends for the `anyio_backend` fixture, in real time."""
    return [("asyncio", {}), ("trio", {})]
