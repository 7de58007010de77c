"""Event loops in virtual time, for asyncio and trio.

Time stands still while anything can run, and jumps to the next deadline when nothing can. So hours of retries pass in
milliseconds, in the same order on every run. Threads and other processes are invisible to it: what waits for them is
overtaken by time, which is why a handler that is a plain `def` needs real time.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections.abc import Awaitable, Callable, MutableSequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from selectors import DefaultSelector, SelectorKey
from typing import Any, ClassVar, Final, Literal, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import current_token

from eventrouter._loops import loop_time

Backend: TypeAlias = Literal["asyncio", "trio"]
T = TypeVar("T")

#: When virtual time begins, unless something else is said.
EPOCH: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class _JumpingSelector(DefaultSelector):
    """A selector that never blocks for a timeout: it moves the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(None)
        self.now += timeout
        return []


class _Timer(asyncio.TimerHandle):
    """A timer that comes before those of the same time that were set after it, which asyncio does not promise."""

    __slots__ = ("_number",)
    _numbers: ClassVar = count()

    def __init__(self, when: float, callback: Callable[..., object], args: Any, loop: Any, context: Any) -> None:
        super().__init__(when, callback, args, loop, context)
        self._number = next(self._numbers)

    def __lt__(self, other: Any) -> bool:
        return (self.when(), self._number) < (other.when(), other._number)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock jumps to the next deadline when nothing can run."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # What is due is what is less than this ahead; a nanosecond is lost in rounding after half a year.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Give the virtual time, in seconds since the loop was made."""
        return self._jumping.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call something at a time of the loop, after all that was set for the same time before."""
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001
        return timer


class LoopClock:
    """Wall time that passes as the event loop's time does.

    Args:
        at: What it is at the first look; aware.
    """

    def __init__(self, at: datetime = EPOCH) -> None:
        self._begin = at
        self._start: float | None = None
        self._passed: Callable[[], float] = anyio.current_time
        self._present, self._at = at, -1.0  # what it was at which time of the loop, as that mostly stands still

    def jump(self, by: timedelta) -> None:
        """Set the clock, forward or back, as somebody might set the machine's."""
        self.now()
        self._begin += by
        self._at = -1.0

    def now(self) -> datetime:
        """Give the present as an aware datetime."""
        if self._start is None:
            self._passed = loop_time()
            self._start = self._passed()
        at = self._passed()
        if at != self._at:
            self._present, self._at = self._begin + timedelta(seconds=at - self._start), at
        return self._present


def virtual_time_backend(name: Backend) -> tuple[Backend, dict[str, Any]]:
    """Give a backend in virtual time, for anyio's fixture `anyio_backend`.

    ::

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return virtual_time_backend(request.param)

    Each has a clock of its own. One for all tests would be years ahead after some of them, and rounded to more than the
    microseconds that deliveries are due by.
    """
    return name, _options(name)


def _options(backend: Backend) -> dict[str, Any]:
    if backend == "asyncio":
        return {"loop_factory": VirtualTimeLoop}
    import trio.testing  # noqa: PLC0415 - it may not be installed

    return {"clock": trio.testing.MockClock(autojump_threshold=0), "instruments": [_in_order()]}


class _AsTheyCame(Random):
    """Chance that changes nothing."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Leave it in its order."""


def _in_order() -> Any:
    """Have trio run tasks of one instant in the order in which they began, and not in a random one.

    As hypothesis does, by names of trio that are not public: nothing else can tell it to.
    """
    import trio._core._run  # noqa: PLC0415 - as above
    from trio.abc import Instrument  # noqa: PLC0415

    scheduler: Any = trio._core._run  # noqa: SLF001

    class InOrder(Instrument):
        def before_run(self) -> None:
            self._before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r  # noqa: SLF001
            scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = True, _AsTheyCame()  # noqa: SLF001

        def after_run(self) -> None:
            scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r = self._before  # noqa: SLF001

    return InOrder()


def run(function: Callable[..., Awaitable[T]], *args: object, backend: Backend = "asyncio") -> T:
    """Run an async function in virtual time, as `anyio.run` does in real time.

    Args:
        function: What to run.
        args: What it is called with.
        backend: `asyncio` or `trio`.
    """
    return anyio.run(function, *args, backend=backend, backend_options=_options(backend))


def is_virtual() -> bool:
    """Say whether the event loop that runs is in virtual time."""
    token = current_token().native_token
    if hasattr(token, "call_soon"):
        return isinstance(token, VirtualTimeLoop)
    trio = sys.modules["trio"]
    return isinstance(trio.lowlevel.current_clock(), sys.modules["trio.testing"].MockClock)
