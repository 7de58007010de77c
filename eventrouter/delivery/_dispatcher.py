"""Lease, invoke, settle: the one place where targets are called.

Each subscription that has deliveries has a *pump*, a task that leases what is due and starts an attempt for each, up
to the target's concurrency limit, then sleeps until a slot is free, something arrives or the next retry is due. A
delivery waiting for its retry is a row in the store: it holds no task, no slot and no lock. A pump with nothing left
to do ends, so a thousand idle rules cost nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from eventrouter.abc import Clock, Observer, Store, Target
from eventrouter.delivery._conclude import conclude
from eventrouter.errors import DeliveryError, TargetTimeoutError
from eventrouter.records import DeadLettered, Delivered, Delivery, Dropped, Outcome, RetryAt, Subscription
from eventrouter.retry import jitter

logger = logging.getLogger("eventrouter.delivery")

#: How much longer than an attempt may take its lease lasts, so that a lease that runs out means a process that died.
LEASE_MARGIN = timedelta(seconds=30)
#: The lease of an attempt without a time limit.
LONGEST_LEASE = timedelta(days=1)
#: How long writing an outcome may go on while the router is being cancelled.
SETTLE_GRACE = 5.0

_in_attempt: ContextVar[bool] = ContextVar("eventrouter_in_attempt", default=False)


def in_attempt() -> bool:
    """Say whether the caller runs inside a target's attempt: a handler, or what it called."""
    return _in_attempt.get()


@dataclass(eq=False, slots=True)
class _Pump:
    """The present activity of a subscription."""

    target: Target
    in_flight: int = 0
    wake: anyio.Event = field(default_factory=anyio.Event)


class Dispatcher:
    """Take deliveries from the store to their targets, each to exactly one end."""

    def __init__(self, store: Store, clock: Clock, *, seed: int, observers: Sequence[Observer]) -> None:
        self._store = store
        self._clock = clock
        self._seed = seed
        self._observers = tuple(observers)
        self._tasks: TaskGroup | None = None
        self._targets: dict[Subscription, Target] = {}
        self._pumps: dict[Subscription, _Pump] = {}
        self._context = copy_context()
        self._unfinished = 0
        self._ended = anyio.Event()

    def put_target(self, subscription: Subscription, target: Target) -> None:
        """Deliver to *target* from the next attempt on."""
        self._targets[subscription] = target
        pump = self._pumps.get(subscription)
        if pump is not None:
            pump.target = target
            pump.wake.set()  # its concurrency limit may have risen

    def remove_target(self, subscription: Subscription) -> None:
        """Expect no new deliveries; those already accepted still go to the target."""
        del self._targets[subscription]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs, beginning with what the store still holds.

        Afterwards attempts in flight are cancelled and their deliveries handed back to the store. The block must
        handle its own exceptions, or they come out in a group.
        """
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._context = copy_context()
            self._unfinished = 0
            self._ended = anyio.Event()
            try:
                for subscription, count in (await self._store.pending()).items():
                    self.notify(subscription, count)
                yield
            finally:
                self._tasks = None
                self._ended.set()
                tasks.cancel_scope.cancel()

    def notify(self, subscription: Subscription, count: int = 1) -> None:
        """Say that the store has *count* new deliveries of *subscription*."""
        pump = self._pumps.get(subscription)
        if pump is None:
            target = self._targets.get(subscription)
            if target is None or self._tasks is None:
                logger.warning("%d deliveries wait for %s, which is not declared", count, subscription)
                return
            pump = self._pumps[subscription] = _Pump(target)
            # In the router's own context: a handler must not see the context variables of whoever happened to publish
            # first after a pause, who may be serving some request.
            self._context.run(self._tasks.start_soon, self._run_pump, self._tasks, subscription, pump)
        self._unfinished += count
        pump.wake.set()

    async def settle_down(self, unfinished: int = 0) -> None:
        """Wait until at most that many deliveries have not ended, or the dispatcher has been stopped."""
        while self._unfinished > unfinished and self._tasks is not None:
            if self._ended.is_set():
                self._ended = anyio.Event()
            await self._ended.wait()

    async def _run_pump(self, tasks: TaskGroup, subscription: Subscription, pump: _Pump) -> None:
        """Start attempts as they fall due, until the subscription has nothing left."""
        try:
            while True:
                pump.wake = anyio.Event()  # made before looking, so that what comes meanwhile is not slept through
                free = pump.target.maximum_concurrency - pump.in_flight
                due: datetime | None = None
                if free > 0:
                    for delivery in await self._lease(subscription, pump.target, free):
                        pump.in_flight += 1
                        tasks.start_soon(self._deliver, pump, delivery)
                    due = await self._store.next_due(subscription)
                    if due is None and not pump.wake.is_set():
                        return  # nothing waits and, since leases count as due, nothing is in flight
                await self._sleep(pump, due)
        finally:
            del self._pumps[subscription]

    async def _lease(self, subscription: Subscription, target: Target, limit: int) -> Sequence[Delivery]:
        now = self._clock.now()
        lease = target.timeout + LEASE_MARGIN if target.timeout is not None else LONGEST_LEASE
        return await self._store.lease(subscription, limit, now=now, until=now + lease)

    async def _sleep(self, pump: _Pump, due: datetime | None) -> None:
        """Wait for a wake-up, or until *due*."""
        seconds = None if due is None else (due - self._clock.now()).total_seconds()
        with anyio.move_on_after(seconds):
            await pump.wake.wait()

    async def _deliver(self, pump: _Pump, delivery: Delivery) -> None:
        """Make one attempt, and write what follows from it.

        The outcome is written even while the router is being cancelled: the target has acted, and the delivery must
        not come again if that can be helped. An attempt without an outcome was cancelled, or ended in an exception
        that takes the router down with it: the delivery is handed back, and the attempt does not count.
        """
        outcome: Outcome | None = None
        try:
            target = pump.target
            error = await self._attempt(target, delivery)
            outcome = Delivered(delivery) if error is None else self._conclude(delivery, target, error)
        finally:
            with anyio.move_on_after(SETTLE_GRACE, shield=True):
                if outcome is None:
                    await self._store.release([delivery])
                else:
                    await self._settle(outcome)
        pump.in_flight -= 1
        pump.wake.set()

    def _conclude(self, delivery: Delivery, target: Target, error: Exception) -> Outcome:
        draw = jitter(self._seed, delivery.event.id, str(delivery.subscription), delivery.attempt)
        return conclude(delivery, target, error, now=self._clock.now(), draw=draw)

    async def _attempt(self, target: Target, delivery: Delivery) -> Exception | None:
        """Invoke the target once, under its time limit; give back what went wrong."""
        _in_attempt.set(True)
        seconds = target.timeout.total_seconds() if target.timeout is not None else None
        try:
            with anyio.move_on_after(seconds) as limit:
                await target.invoke(replace(delivery, event=delivery.event.copy()))
            # A target that swallows the cancellation of a shutdown returns without having finished. Its delivery
            # is handed back like any cancelled one: it may come twice, but it is not lost.
            await anyio.lowlevel.checkpoint_if_cancelled()
        except Exception as error:  # noqa: BLE001 - a target's code may raise anything; all of it is an outcome
            # Exception, not BaseException: cancellation is not a failed attempt. The delivery stays with the store.
            return error
        except anyio.get_cancelled_exc_class():
            if anyio.current_effective_deadline() == -math.inf:
                raise  # the router is being cancelled
            return DeliveryError("The target cancelled itself.")  # asyncio only: it awaited something cancelled
        return TargetTimeoutError(f"No answer within {seconds:g} s.") if limit.cancelled_caught else None

    async def _settle(self, outcome: Outcome) -> None:
        """Write an outcome to the store, and tell who is interested."""
        stale = await self._store.settle([outcome])
        if stale:
            logger.warning("%s came back after its lease had ended; its outcome is ignored", _name(outcome.delivery))
            return
        if not isinstance(outcome, RetryAt):
            self._unfinished -= 1
            self._ended.set()
        _log(outcome)
        for observer in self._observers:
            try:
                observer.settled(outcome)
            except Exception:
                logger.exception("The observer %r failed", observer)


def _name(delivery: Delivery) -> str:
    return f"event {delivery.event.id} for {delivery.subscription}, attempt {delivery.attempt},"


def _log(outcome: Outcome) -> None:
    name = _name(outcome.delivery)
    if isinstance(outcome, RetryAt):
        logger.info("%s failed, next one at %s: %s", name, outcome.at.isoformat(), outcome.error_message)
    elif isinstance(outcome, DeadLettered):
        logger.warning("%s dead-lettered: %s", name, outcome.dead_letter.error_message)
    elif isinstance(outcome, Dropped):
        logger.error("%s dropped, as its target has no dead-letter queue: %s", name, outcome.error_message)
