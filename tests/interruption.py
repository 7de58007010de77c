"""Cancelling after so many turns of the event loop: with 0, 1, 2, ... turns, at every point where anything can be."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import sniffio
import trio


@contextmanager
def cancelled_after(turns: int, scope: anyio.CancelScope) -> Iterator[None]:
    """Cancel *scope* after the event loop has looked for what to run next so many times."""
    if sniffio.current_async_library() == "trio":
        instrument = _Counter(turns, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(instrument)
        return
    selector = asyncio.get_running_loop()._selector
    select, left = selector.select, turns

    def counting(timeout=None):
        nonlocal left
        left -= 1
        if left == -1:
            scope.cancel()
            timeout = 0  # what was cancelled can run
        return select(timeout)

    selector.select = counting
    try:
        yield
    finally:
        selector.select = select


class _Counter(trio.abc.Instrument):
    def __init__(self, turns, scope):
        self.left, self.scope = turns, scope

    def after_io_wait(self, timeout):
        self.left -= 1
        if self.left == -1:
            self.scope.cancel()
