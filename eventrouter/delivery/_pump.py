"""The deliveries of one subscription on their way from the store to the workers, and what followed back into it.

A delivery that waits for its retry is in the store: it holds no task, no slot and no lock. A pump with nothing left to
do ends, and its workers with it, so a thousand idle rules cost nothing.

A delivery, as the store knows it::

    put_events --append--> due at t --lease--> leased until u --settle--> delivered | dead-lettered | dropped
                              ^                     |
                              +--- RetryAt, Postponed, release, the lease's end ---

A subscription, as long as it has any::

                  lease                 call                 target waits
    store -------------> Workers.ready ------> _attempt_many -------------> _attempt_rest
      ^                                             |                             |
      |      settle                                 v                             |
      +------------- Pump <---- wake ---- Workers.outcomes <----------------------+

The pump is one task: it settles, leases, and sleeps until a worker wakes it or something is due. A worker is a task
that goes from one ready delivery to the next; while its target waits, another worker is called for the next delivery.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup

from eventrouter.abc import Clock, Store, Target
from eventrouter.delivery._workers import Judge, Workers
from eventrouter.records import Delivery, Outcome, Postponed, Subscription

logger = logging.getLogger("eventrouter.delivery")

#: How long a lease lasts: so long after a process died do others take over what it had.
LEASE: Final = timedelta(seconds=60)
#: How often leases are extended; twice may fail.
RENEWAL: Final = timedelta(seconds=20)
#: How long a store that failed is left alone.
_PAUSE: Final = timedelta(seconds=1)
#: How many seconds the store may take, also while the router is being cancelled.
_STORE_PATIENCE: Final = 5.0
#: The longest rest of the pump, in seconds, since the wall clock may be set meanwhile.
_LONGEST_SLEEP: Final = 3_600.0
#: How long the pump leaves deliveries alone that are due, while other processes have all attempts that may be made.
_OTHERS_TURN: Final = timedelta(seconds=0.1)
#: Up to which attempt it may be chance that a delivery was leased when a process ended.
_MAY_BE_CHANCE: Final = 2
#: How many deliveries are leased at once at most.
_LARGEST_BATCH: Final = 256


class Host(Judge, Protocol):
    """What pumps share: the dispatcher."""

    store: Store
    clock: Clock

    def leased(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Hear of deliveries that are about to be attempted."""
        ...

    def settled(self, pump: Pump, outcomes: Sequence[Outcome], stale: Sequence[Outcome]) -> None:
        """Hear of outcomes that the store has."""
        ...

    def unsettled(self, outcome: Outcome, error: Exception) -> None:
        """Hear of an outcome that the store refused by itself; it stays, and is tried again."""
        ...


class Pump:
    """The present activity of a subscription: settle what has ended, lease what is due, sleep until there is more.

    Attributes:
        subscription: Whose.
        workers: Call the target.
        expected: Deliveries that are being written just now. Before they are, the pump does not end.
        unfinished: Deliveries that have not ended, as far as this process knows.
        ended: Deliveries that have, in this process.
        is_left: Whether it will not run again, though it has not come to its end.
    """

    def __init__(
        self, host: Host, tasks: TaskGroup, subscription: Subscription, target: Target, *, is_paused: bool
    ) -> None:
        self.subscription = subscription
        self.expected = 0
        self.unfinished = 0
        self.ended = 0
        self.is_left = False
        self._woken = anyio.Event()
        self.workers = Workers(
            target, 0 if is_paused else target.maximum_concurrency, tasks=tasks, judge=host, wake=self.wake
        )
        self._host = host
        self._never_waits = getattr(host.store, "never_waits", False)
        self._batch = 1
        self._renew_at: datetime | None = None
        self._rests_until: datetime | None = None  # as the target asked for
        # The delivery that perhaps ended more than one process, and may end this one. Nothing else of its subscription
        # begins meanwhile: what is attempted beside it each time would use up its attempts as well.
        self._suspect = 0
        self._settle_again_at: datetime | None = None  # after the store has failed

    @property
    def is_paused(self) -> bool:
        """Whether nothing is attempted, and nothing will be before somebody changes that."""
        return not self.workers.limit and not self.workers.running

    @property
    def throttled_until(self) -> datetime | None:
        """When attempts go on, as the target asked for."""
        return self._rests_until

    def put_target(self, target: Target, *, is_paused: bool) -> None:
        """Go on with *target*, or with another limit of the same one."""
        self.workers.target = target
        self.workers.limit = 0 if is_paused else target.maximum_concurrency
        self.wake()

    def wake(self) -> None:
        """Look at everything again."""
        self._woken.set()

    async def run(self) -> None:
        """Go on until the subscription has nothing left."""
        workers = self.workers
        if not self._woken.is_set():
            await self._woken.wait()  # what it was made for is being written
        while True:
            if self._woken.is_set():
                self._woken = anyio.Event()  # made before looking, so that what comes meanwhile is not slept through
            now, loop_now = self._host.clock.now(), self._host.loop_time()
            workers.end_what_takes_too_long(loop_now)
            try:
                if self._never_waits:
                    wake_at = await self._turn(now)
                else:
                    # Shielded, since what was leased has to arrive here in order to be handed back.
                    with anyio.fail_after(_STORE_PATIENCE, shield=True):
                        wake_at = await self._turn(now)
            except Exception:
                logger.exception("The store failed; deliveries for %s go on in a second", self.subscription)
                wake_at = now + _PAUSE
            is_busy = workers.running or workers.outcomes or self.expected or self._woken.is_set()
            if wake_at is None and workers.limit and not is_busy:
                break  # nothing waits and, since leases count as due, nobody has anything
            rest = math.inf if wake_at is None else min((wake_at - now).total_seconds(), _LONGEST_SLEEP)
            await self._sleep(loop_now + rest)
        workers.end()

    async def _turn(self, now: datetime) -> datetime | None:
        """Do all that is to be done at this moment, and say when there will be more."""
        workers = self.workers
        if workers.outcomes and (self._settle_again_at is None or now >= self._settle_again_at):
            await self._settle(now)
        if self._renew_at is not None and now >= self._renew_at:
            await self._renew(now)
        if self._rests_until is not None and now >= self._rests_until:
            self._rests_until, workers.is_resting = None, False
        free = 0 if workers.is_resting else workers.limit - workers.running
        if workers.ready and free <= 0 and not workers.running:
            await self._release()  # others may have them meanwhile
        if self._suspect and all(delivery.id != self._suspect for delivery in workers.held):
            self._suspect = 0
        if free > 0 and not workers.ready and not self._suspect:
            await self._lease(free, now)
        if free > 0 and workers.ready:
            workers.call()
        if not (workers.running or workers.ready or workers.outcomes):
            self._renew_at = None
        due = [self._rests_until, self._renew_at, self._settle_again_at]
        if free > 0 and not workers.ready and not self._suspect:
            due.append(await self._next_due(now))
        return min((instant for instant in due if instant is not None), default=None)

    async def _next_due(self, now: datetime) -> datetime | None:
        due = await self._host.store.next_due(self.subscription)
        if due is not None and due <= now:  # others attempt as many as the target takes; nobody says when one has ended
            return now + _OTHERS_TURN
        return due

    async def _sleep(self, due: float) -> None:
        """Wait for a wake-up, or until something is due, in the event loop's time."""
        if self.workers.is_called:
            await anyio.lowlevel.checkpoint()  # most targets never wait, and then the outcome is there already
            if self._woken.is_set():
                return
        with anyio.CancelScope(deadline=min(due, self.workers.deadline)):
            await self._woken.wait()

    async def _lease(self, free: int, now: datetime) -> None:
        workers = self.workers
        # As long as no target waits, what is leased is attempted at once, and a larger batch is cheaper. A target that
        # waits gets just what it can take, since others may have the rest.
        self._batch = free if workers.waiting else min(max(free, 2 * self._batch), _LARGEST_BATCH)
        leased = await self._host.store.lease(
            self.subscription,
            self._batch,
            now=now,
            until=now + LEASE,
            maximum_concurrency=workers.target.maximum_concurrency,
        )
        if not leased:
            return
        if self._renew_at is None:
            self._renew_at = now + RENEWAL
        self._host.leased(leased, now)
        workers.ready += leased
        first = leased[0]
        if first.is_lapsed and first.attempt > _MAY_BE_CHANCE:
            self._suspect = first.id  # it came alone

    async def _release(self) -> None:
        ready = self.workers.ready
        batch = list(ready)
        ready.clear()
        await self._host.store.release(batch)

    async def _renew(self, now: datetime) -> None:
        held = self.workers.held + [outcome.delivery for outcome in self.workers.outcomes]
        self._renew_at = now + RENEWAL
        for delivery in await self._host.store.extend(held, until=now + LEASE):
            logger.warning("Event %s for %s: its lease was lost", delivery.event.id, self.subscription)

    async def _settle(self, now: datetime) -> None:
        """Write what followed from attempts. What the store refuses stays, and is tried again."""
        if self.workers.is_resting:
            rest = [
                outcome.at
                for outcome in self.workers.outcomes
                if isinstance(outcome, Postponed) and outcome.error_code != "RETRY_BUDGET"
            ]
            if rest:
                self._rests_until = max(rest) if self._rests_until is None else max(self._rests_until, *rest)
        self._settle_again_at = None
        batch = self.workers.outcomes[:]
        refused: list[Outcome] = []
        try:
            await self._write(batch)
        except Exception:
            # Perhaps just one of them cannot be written, such as a dead letter whose queue fails: the others must not
            # wait for it.
            logger.exception("The store refused outcomes for %s; they are written one by one", self.subscription)
            for outcome in batch:
                try:
                    await self._write([outcome])
                except Exception as error:  # noqa: BLE001 - it stays, and so does its lease
                    logger.warning("Event %s stays: %r", outcome.delivery.event.id, error)
                    refused.append(outcome)
                    self._settle_again_at = now + _PAUSE
        self.workers.outcomes[: len(batch)] = refused

    async def _write(self, outcomes: Sequence[Outcome]) -> None:
        try:
            stale = await self._host.store.settle(outcomes)
        except Exception as error:
            if len(outcomes) == 1:
                self._host.unsettled(outcomes[0], error)
            raise
        self._host.settled(self, outcomes, stale)

    async def close(self) -> None:
        """Write what has ended and hand back the rest, after all tasks have ended."""
        held = self.workers.held
        if self.workers.outcomes:
            await self._settle(self._host.clock.now())
        await self._host.store.release(held)
