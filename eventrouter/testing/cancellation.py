"""Cancel something at every point where it can be cancelled, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import anyio


@dataclass
class _Counted:
    """An awaitable that calls a function when the one inside is suspended for the *at*-th time, from 0."""

    awaitable: Awaitable[Any]
    at: int
    call: Callable[[], object]
    suspensions: int = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self.awaitable.__await__()
        step: Callable[[Any], Any] = inner.send
        argument: Any = None
        while True:
            try:
                trap = step(argument)
            except StopIteration as stop:
                return stop.value
            if self.suspensions == self.at:
                self.call()
            self.suspensions += 1
            try:
                step, argument = inner.send, (yield trap)
            except BaseException as error:  # noqa: BLE001 - whatever comes goes in
                step, argument = inner.throw, error


@dataclass
class CancelAt:
    """Runs one awaitable, and cancels it while it is suspended for the *n*-th time, from 0.

    Attributes:
        n: Which suspension.
        before: Called right before the cancellation, for instance to cut a connection: then it stands for a crash.
        was_reached: Whether there was such a suspension.
        was_cancelled: Whether the cancellation came out; not if it fell into a shield, and nothing followed.
    """

    n: int
    before: Callable[[], object] = lambda: None
    was_reached: bool = False
    was_cancelled: bool = False

    async def __call__(self, awaitable: Awaitable[Any]) -> Any:
        """Await something, and give its result; None if it was cancelled."""
        with anyio.CancelScope() as scope:

            def cancel() -> None:
                self.before()
                scope.cancel()

            counted = _Counted(awaitable, self.n, cancel)
            try:
                return await counted
            finally:
                self.was_reached = counted.suspensions > self.n
        self.was_cancelled = True
        return None


async def at_every_point(attempt: Callable[[CancelAt], Awaitable[None]]) -> int:
    """Call *attempt* again and again, each time with something that cancels one suspension later.

    *attempt* makes a fresh world, awaits `cancel_at(awaitable)` once, and checks what is left. The last one is not
    cancelled at all.

    Returns:
        How many points there were.
    """
    n = 0
    while True:
        cancel_at = CancelAt(n)
        await attempt(cancel_at)
        if not cancel_at.was_reached:
            return n
        n += 1
