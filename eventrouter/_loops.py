"""The event loop that runs, and its time, found without asking which kind it is; and what belongs to one.

anyio finds them too, but takes ten times as long, since it finds out first which kind runs: every call of `put_events`
would pay for that several times.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import anyio
from anyio.lowlevel import current_token

from eventrouter.errors import BusClosedError


def loop_finder() -> Callable[[], object]:
    """Give what finds the event loop that its caller is in, if that is of the kind that runs here.

    In one of the other kind, and outside of any, it raises `RuntimeError`.
    """
    finder: Callable[[], object] = (  # it runs, so it has been imported
        sys.modules["asyncio"].get_running_loop if _is_asyncio() else sys.modules["trio"].lowlevel.current_trio_token
    )
    return finder


def loop_time() -> Callable[[], float]:
    """Give what tells the time of the event loop that runs here, in seconds."""
    time: Callable[[], float] = (
        current_token().native_token.time  # type: ignore[attr-defined]
        if _is_asyncio()
        else sys.modules["trio"].lowlevel.current_clock().current_time  # where trio.current_time finds it each time
    )
    return time


def _is_asyncio() -> bool:
    return hasattr(current_token().native_token, "call_soon")


class OfOneLoop:
    """What belongs to one event loop while it is in use, and says so when it is used from another.

    It has state that only the tasks of one loop take turns with. While it is not in use, anybody may change it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_entered = False
        self._find_loop: Callable[[], object] = object  # gives the event loop that the caller is in
        self._loop: object = None  # that it runs in
        self._thread = 0

    def _enter_loop(self) -> None:
        """Belong to the event loop of the caller, until `_is_entered` is False again."""
        self._is_entered = True
        self._find_loop = loop_finder()
        self._loop = self._find_loop()
        self._thread = threading.get_ident()

    def _refuse_elsewhere(self) -> None:
        """Raise `BusClosedError` when it is in use in another event loop than the caller's, or in one and that in none.

        The first thing that any method does which changes something, or asks the store.
        """
        if not self._is_entered:
            return
        try:
            is_here = self._find_loop() is self._loop
        except RuntimeError:  # in a loop of the other kind; or outside of any task: in a callback of the loop perhaps
            is_here = threading.get_ident() == self._thread and not _is_in_a_task()
        if not is_here:
            raise BusClosedError(
                "The router runs in another event loop, and belongs to that. Enter it in this one instead; or if it is "
                "one of another thread, call it there, with anyio.from_thread.run(...)."
            )


def _is_in_a_task() -> bool:
    try:
        anyio.get_current_task()
    except RuntimeError:
        return False
    return True
