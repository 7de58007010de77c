"""One call of a target, taken step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final

from eventrouter.abc import Target, Tracing
from eventrouter.records import Delivery

#: The seconds that one step of a target may keep the event loop before a warning says so.
BLOCKING: Final = 0.25


class Remainder:
    """An awaitable that takes a target's coroutine to its end, from the point where it first waits.

    The first step was the caller's, and most attempts end with it: those need no time limit, and no look at whether a
    cancellation was swallowed, since nothing could have reached them. All steps run in the context of the attempt, in
    the task that awaits this: context variables that the target sets are gone afterwards, as if it had had a task of
    its own, which costs ten times as much.

    Args:
        coroutine: What the target runs.
        context: Of the attempt.
        awaited: What the first step yielded to the event loop.

    Attributes:
        longest_step: The seconds of the longest step, in real time.
    """

    __slots__ = ("_awaited", "_context", "_coroutine", "longest_step")

    def __init__(self, coroutine: Coroutine[Any, Any, object], context: Context, awaited: object) -> None:
        self._coroutine = coroutine
        self._context = context
        self._awaited = awaited
        self.longest_step = 0.0

    def __await__(self) -> Generator[Any, Any, object]:
        coroutine, run, clock, awaited = self._coroutine, self._context.run, time.perf_counter, self._awaited
        while True:
            step: Callable[[Any], Any]
            value: Any
            try:
                step, value = coroutine.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001 - thrown on into the target, whatever it is
                step, value = coroutine.throw, error
            begin = clock()
            try:
                awaited = run(step, value)
            except StopIteration as end:
                return end.value
            finally:
                self.longest_step = max(self.longest_step, clock() - begin)


async def traced(tracing: Tracing, target: Target, delivery: Delivery) -> object:
    """Invoke a target, with its trace around it."""
    with tracing.attempt(delivery):
        return await target.invoke(delivery)
