"""The tasks that call one target, a delivery at a time each.

A worker goes on to the next delivery without a word to anybody, so a handler that is quick is called again and again by
one worker, and a burst of a hundred events costs a few changes of task instead of hundreds. When a handler waits,
another worker is there for the next delivery.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from datetime import timedelta
from typing import Final, Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from eventrouter.abc import Target, Tracing
from eventrouter.delivery._attempt import BLOCKING, Remainder, traced
from eventrouter.delivery._input import with_input
from eventrouter.delivery._observe import Observers
from eventrouter.errors import DeliveryError, TargetTimeoutError
from eventrouter.records import Delivered, Delivery, Outcome, Postponed

logger = logging.getLogger("eventrouter.delivery")

#: How many attempts a worker makes before it lets others run, and after how many seconds it begins no other.
_TURN: Final = 256
_LONGEST_TURN: Final = 0.01

_current: ContextVar[Delivery | None] = ContextVar("eventrouter_delivery", default=None)


def current_delivery() -> Delivery | None:
    """Give the delivery that the caller is the handler of, or was called by; None outside of all handlers."""
    return _current.get()


class Judge(Protocol):
    """Decides what follows from attempts."""

    observers: Observers
    tracing: Tracing | None
    loop_time: Callable[[], float]

    def withhold(self, delivery: Delivery, target: Target) -> Outcome | None:
        """Decide whether a retry that is about to begin is made: None lets it, or this follows instead."""
        ...

    def started(self, delivery: Delivery) -> None:
        """Hear of an attempt that begins."""
        ...

    def succeed(self, delivery: Delivery, target: Target, result: object) -> Outcome:
        """Decide what follows from an attempt that succeeded."""
        ...

    def fail(self, delivery: Delivery, target: Target, error: Exception, pauses: int) -> Outcome:
        """Decide what follows from an attempt that failed, after so many in a row that were throttled."""
        ...


class _Worker:
    """One of the tasks."""

    __slots__ = ("deadline", "delivery", "scope", "target", "task")

    def __init__(self, target: Target) -> None:
        self.delivery: Delivery | None = None  # what it attempts
        self.target = target  # of that attempt; the next may have another
        self.deadline = math.inf  # of the attempt, in the event loop's time; set when the target begins to wait
        self.scope = anyio.CancelScope()
        self.task = anyio.get_current_task().id


class Workers:
    """All workers of one subscription.

    Args:
        target: Who is called.
        limit: How many attempts may run at once.
        tasks: Where workers run.
        judge: Decides what follows.
        wake: Called when an attempt has ended, or there is nothing ready for another one.

    Attributes:
        target: As given; may be replaced.
        limit: As given; may be changed.
        is_resting: Whether no attempt may begin, as the target has asked for.
        ready: What is to be attempted next.
        outcomes: What followed from the attempts, for somebody to take.
        running: How many workers are in an attempt.
        waiting: In how many of those the target waits for something.
        is_called: Whether a worker is on its way.
    """

    def __init__(self, target: Target, limit: int, *, tasks: TaskGroup, judge: Judge, wake: Callable[[], None]) -> None:
        self.target = target
        self.limit = limit
        self.is_resting = False
        self.ready: deque[Delivery] = deque()
        self.outcomes: list[Outcome] = []
        self.running = 0
        self.waiting = 0
        self._tasks = tasks
        self._judge = judge
        self._wake = wake
        self._all: set[_Worker] = set()
        self._idle: anyio.Event | None = None  # wakes the one worker that has nothing to do
        self.is_called = False
        self._is_over = False
        self._is_between_turns = False  # whether a worker goes on when all others have had their turn
        self._throttled = 0  # attempts in a row

    @property
    def held(self) -> list[Delivery]:
        """What has not been attempted to the end."""
        return [worker.delivery for worker in self._all if worker.delivery is not None] + list(self.ready)

    @property
    def targets(self) -> list[Target]:
        """Whom the next attempt calls, and those of the attempts under way."""
        return [self.target, *(worker.target for worker in self._all if worker.delivery is not None)]

    @property
    def deadline(self) -> float:
        """When the first time limit ends, in the event loop's time."""
        return min((worker.deadline for worker in self._all), default=math.inf)

    @property
    def attempts(self) -> set[int]:
        """Name the attempts under way."""
        return {id(worker) for worker in self._all if worker.delivery is not None}

    def attempt_of_caller(self, delivery: Delivery, *, in_thread: bool) -> int | None:
        """Name the attempt that made *delivery* known to the caller, if it cannot go on before the caller does.

        That is sure of the attempt's own task, of those of a task group in it, and of its thread. What else it has
        started may outlive it.
        """
        task = anyio.get_current_task()
        for worker in self._all:
            if worker.delivery is not None and worker.delivery.event is delivery.event:
                return id(worker) if in_thread or worker.task in {task.id, task.parent_id} else None
        return None

    def end_what_takes_too_long(self, now: float) -> None:
        """Cancel the attempts whose time limit has ended at *now*, in the event loop's time."""
        for worker in self._all:
            if worker.deadline <= now:
                worker.deadline = math.inf
                worker.scope.cancel()

    def call(self) -> None:
        """Have one more worker, if there is none on its way already."""
        if self.is_called:
            return
        self.is_called = True
        if self._idle is not None:
            self._idle.set()
        else:
            self._tasks.start_soon(self._work)

    def end(self) -> None:
        """Send the worker home that waits for more."""
        self._is_over = True
        if self._idle is not None:
            self._idle.set()

    async def _work(self) -> None:
        worker = _Worker(self.target)
        self._all.add(worker)
        self.is_called = False
        while True:
            with anyio.CancelScope() as worker.scope:
                while not worker.scope.cancel_called:
                    if self._may_attempt():
                        if await self._attempt_many(worker) and self.ready:
                            await self._let_others_run()
                    elif not await self._is_needed_again():
                        self._all.remove(worker)
                        return
            if worker.delivery is not None:  # the time limit ended it
                timeout = worker.target.timeout or timedelta(0)
                error = TargetTimeoutError(f"No answer within {timeout.total_seconds():g} s.")
                self._finish(worker, self._fail(worker.target, worker.delivery, error))

    def _may_attempt(self) -> bool:
        return bool(self.ready) and self.running < self.limit and not self.is_resting and not self._is_between_turns

    async def _let_others_run(self) -> None:
        """Give all other tasks a turn, but for workers of this subscription, who would only make it longer."""
        self._is_between_turns = True
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            self._is_between_turns = False

    async def _is_needed_again(self) -> bool:
        """Wait for work, as one worker does so that the next delivery need not wait for a new one; others may go."""
        if self._idle is not None or self._is_over:
            return False
        self._idle = anyio.Event()
        try:
            await self._idle.wait()
        finally:
            self._idle = None
        self.is_called = False
        return not self._is_over

    async def _attempt_many(self, worker: _Worker) -> bool:  # noqa: C901, PLR0912, PLR0915 - hot: every delivery passes here
        """Make attempts one after the other, until one of them waited or there are none.

        A target that never waits is called with nothing around it: neither a time limit nor a cancellation could reach
        it, and what guards against them costs several times as much as the call.

        Returns:
            Whether others should have their turn.
        """
        ready, judge, clock, set_current = self.ready, self._judge, time.perf_counter, _current.set
        tracing, is_observed, outcomes = judge.tracing, bool(judge.observers), self.outcomes
        self.running += 1
        try:
            begin = clock()
            end_of_turn, loop_begin = begin + _LONGEST_TURN, judge.loop_time()
            for _ in range(_TURN):
                if not ready or self.running > self.limit or self.is_resting:
                    break
                worker.delivery = delivery = ready.popleft()
                if ready and not self.is_called:
                    self.call()  # it comes if this target waits, and finds nothing to do if it does not
                target = worker.target = self.target
                if delivery.attempt > 1 and (instead := judge.withhold(delivery, target)) is not None:
                    outcomes.append(instead)
                    continue
                if is_observed:
                    judge.started(delivery)
                set_current(delivery)
                # A context of its own, so that the next attempt does not see the context variables that this one sets.
                context = copy_context()
                try:
                    if target.input is not None:
                        delivery = with_input(delivery, target.input)
                    try:
                        coroutine = target.invoke(delivery) if tracing is None else traced(tracing, target, delivery)
                    except StopIteration as error:  # of its own, and not the end of what it would have run
                        raise RuntimeError(_STOPPED) from error
                    awaited = context.run(coroutine.send, None)
                except StopIteration as end:
                    outcome = self._succeed(target, delivery, end.value)
                except Exception as error:  # noqa: BLE001 - a target's code may raise anything; all of it is an outcome
                    # Exception, not BaseException: cancellation is not a failed attempt. The delivery stays with the
                    # store, from which a later attempt gets it.
                    outcome = self._fail(target, delivery, error)
                except anyio.get_cancelled_exc_class():
                    if _is_being_cancelled():
                        raise
                    outcome = self._fail(target, delivery, DeliveryError(_CANCELLED_ITSELF))
                else:
                    await self._attempt_rest(worker, delivery, Remainder(coroutine, context, awaited))
                    return False
                outcomes.append(outcome)
                now = clock()
                if now - begin > BLOCKING:
                    _warn_of_blocking(delivery, now - begin)
                # The event loop's time has the last word, but takes too long to ask for after each attempt. Where it is
                # simulated it stands still meanwhile, so that the order of things never depends on real time there.
                if now > end_of_turn and judge.loop_time() > loop_begin + _LONGEST_TURN:
                    break
                begin = now
            worker.delivery = None
        finally:
            self.running -= 1
            self._wake()
        return True

    async def _attempt_rest(  # noqa: C901 - each way in which an attempt may end
        self, worker: _Worker, delivery: Delivery, remainder: Remainder
    ) -> None:
        """See an attempt to its end whose target waits."""
        target = worker.target
        worker.delivery = delivery  # with its input, which the record of one that runs out of time shows
        self.waiting += 1
        if target.timeout is not None:
            worker.deadline = self._judge.loop_time() + target.timeout.total_seconds()
        self._wake()  # to make more ready, and to watch the time limit
        try:
            result = await remainder
            if not worker.scope.cancel_called:
                # A target that swallows the cancellation of a shutdown returns without having finished. Its delivery
                # is handed back like any cancelled one: it may come twice, but it is not lost.
                await anyio.lowlevel.checkpoint_if_cancelled()
        except Exception as error:  # noqa: BLE001 - as above
            if not worker.scope.cancel_called:
                await anyio.lowlevel.checkpoint_if_cancelled()  # it failed to clean up after itself: not an attempt
            outcome = self._fail(target, delivery, error)
        except BaseExceptionGroup as group:
            if _is_of_cancellation(group):
                await anyio.lowlevel.checkpoint_if_cancelled()
            raise
        except anyio.get_cancelled_exc_class():
            if _is_being_cancelled():
                raise
            outcome = self._fail(target, delivery, DeliveryError(_CANCELLED_ITSELF))
        else:
            outcome = self._succeed(target, delivery, result)
        finally:
            self.waiting -= 1
            worker.deadline = math.inf
        if remainder.longest_step > BLOCKING:
            _warn_of_blocking(delivery, remainder.longest_step)
        self._finish(worker, outcome)

    def _finish(self, worker: _Worker, outcome: Outcome) -> None:
        worker.delivery = None
        self.outcomes.append(outcome)
        self._wake()

    def _succeed(self, target: Target, delivery: Delivery, result: object) -> Outcome:
        self._throttled = 0
        if result is None and not target.on_success:
            return Delivered(delivery)
        return self._judge.succeed(delivery, target, result)

    def _fail(self, target: Target, delivery: Delivery, error: Exception) -> Outcome:
        outcome = self._judge.fail(delivery, target, error, self._throttled)
        if isinstance(outcome, Postponed):
            self._throttled += 1
            self.is_resting = True
        else:
            self._throttled = 0
        return outcome


_STOPPED: Final = "The target raised StopIteration."
#: asyncio only: the target awaited something that somebody else cancelled.
_CANCELLED_ITSELF: Final = "The target cancelled itself."


def _is_being_cancelled() -> bool:
    """Say whether a cancellation is ours: the time limit's, or the router's."""
    return anyio.current_effective_deadline() == -math.inf


def _is_of_cancellation(group: BaseExceptionGroup) -> bool:
    """Say whether a task group of the target's was cancelled, and something failed as it cleaned up (trio only)."""
    cancelled, others = group.split(anyio.get_cancelled_exc_class())
    return cancelled is not None and isinstance(others, ExceptionGroup)


def _warn_of_blocking(delivery: Delivery, seconds: float) -> None:
    logger.warning(
        "Target %s kept the event loop for %.1f s, during which nothing else ran; do such work in a thread, as a sync "
        "function does",
        delivery.subscription,
        seconds,
    )
