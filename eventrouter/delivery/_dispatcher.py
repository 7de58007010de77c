"""What runs: the pumps of all subscriptions, and what they share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import anyio
import msgspec

from eventrouter._loops import loop_time
from eventrouter.abc import Clock, Observer, Store, Target, Tracing
from eventrouter.delivery._backlogs import Backlogs, count_deliveries
from eventrouter.delivery._clock import SteadyClock
from eventrouter.delivery._conclude import conclude, plain, undecided
from eventrouter.delivery._observe import Observers
from eventrouter.delivery._pump import Pump
from eventrouter.delivery._receivers import holder
from eventrouter.errors import DeliveryError
from eventrouter.records import (
    Accepted,
    DeadLettered,
    Delivered,
    Delivery,
    Dropped,
    Outcome,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.retry import RetryAccount, RetryBudget, jitter

logger = logging.getLogger("eventrouter.delivery")

#: How long writing outcomes may go on while the router is being cancelled.
SETTLE_GRACE: Final = 5.0
#: How far the clocks of routers that share a store may be apart.
_CLOCK_SLACK: Final = timedelta(minutes=1)
#: How many seconds a store is left alone that does not tell what others write.
_WATCH_PAUSE: Final = 1.0
#: How long a throttled target rests: doubled each time it says so again, up to the second (AWS Lambda).
_FIRST_REST: Final = timedelta(seconds=1)
_LONGEST_REST: Final = timedelta(minutes=5)


class Dispatcher(Backlogs):
    """Take deliveries from the store to their targets, each to exactly one end.

    Args:
        store: Holds the deliveries.
        clock: Wall time.
        seed: Of the jitter between retries.
        retry_budget: Of each bus.
        observers: Told of every step.
        tracing: Put around each attempt.
        follow_up: Adds to an outcome what else follows from it, given the target and what it returned or raised.
            What it raises itself is a failed attempt, or if the outcome is one, leaves that as it is.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        seed: int,
        retry_budget: RetryBudget,
        observers: Sequence[Observer],
        tracing: Tracing | None,
        follow_up: Callable[[Outcome, Target, object], Outcome],
    ) -> None:
        super().__init__(store)
        self._steady = SteadyClock(clock)
        self.clock: Clock = self._steady
        self.observers = Observers(observers)
        self.tracing = tracing
        self._seed = seed
        self._retry_budget = retry_budget
        self._follow_up = follow_up
        self._accounts: dict[str, RetryAccount] = {}  # by bus
        self._replaced: list[Target] = []  # or removed; to be closed when no attempt needs them any more
        self._paused: set[Subscription] = set()
        self.failure: BaseException | None = None  # that ended it, if one did
        self.loop_time: Callable[[], float] = anyio.current_time

    # -- targets -------------------------------------------------------------------------------------------------

    def put_target(self, subscription: Subscription, target: Target) -> None:
        """Deliver to *target* from the next attempt on."""
        self.remove_target(subscription)
        self._targets[subscription] = target
        pump = self._pumps.get(subscription)
        if pump is not None:
            pump.put_target(target, is_paused=subscription in self._paused)
        self.notify({subscription: self._parked.pop(subscription, 0)})
        self._tell(subscription)  # there may be more room, or less to wait for

    def remove_target(self, subscription: Subscription) -> None:
        """Expect no new deliveries; those already accepted still go to the target, while the router runs."""
        target = self._targets.pop(subscription, None)
        if self._tasks is not None and target is not None and type(holder(target)).aclose is not Target.aclose:
            self._replaced.append(holder(target))
            self._context.run(self._tasks.start_soon, self._close_replaced)

    def put_queue(self, subscription: Subscription, wake: Callable[[], None]) -> None:
        """Leave what waits for a subscription to others, and call *wake* when there is more: it is no work of ours."""
        self._queues[subscription] = wake
        self._parked.pop(subscription, None)

    def remove_queue(self, subscription: Subscription) -> None:
        """Park what comes for it from now on."""
        del self._queues[subscription]

    def pause(self, subscription: Subscription) -> None:
        """Begin no attempt until `resume`; what runs goes on."""
        self._paused.add(subscription)
        self._tell_pump(subscription)

    def resume(self, subscription: Subscription) -> None:
        """Undo `pause`."""
        self._paused.discard(subscription)
        self._tell_pump(subscription)

    def _tell_pump(self, subscription: Subscription) -> None:
        pump = self._pumps.get(subscription)
        if pump is not None:
            pump.put_target(pump.workers.target, is_paused=subscription in self._paused)
            self._tell(subscription)  # whoever waits for all but what is paused counts again

    @property
    def parked(self) -> frozenset[Subscription]:
        """The subscriptions that have deliveries and are not declared."""
        return frozenset(self._parked)

    @property
    def targets(self) -> Mapping[Subscription, Target]:
        """The declared targets."""
        return self._targets

    def is_paused(self, subscription: Subscription) -> bool:
        """Say whether no attempt begins until somebody says so."""
        target = self._targets.get(subscription)
        return subscription in self._paused or (target is not None and target.maximum_concurrency == 0)

    def throttled_until(self, subscription: Subscription) -> datetime | None:
        """Say when attempts go on, if the target asked for a pause."""
        pump = self._pumps.get(subscription)
        return pump.throttled_until if pump is not None else None

    # -- life ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs, beginning with what the store still holds.

        Afterwards attempts in flight are cancelled and their deliveries handed back to the store. The block must
        handle its own exceptions, or they come out in a group.
        """
        self._steady.restart()
        self.loop_time = loop_time()
        self._forget()
        self.failure = None
        has_failed = False
        await self._follow_clock()  # before there are tasks, as what it raises would come out of those in a group
        pending = await self.store.pending()
        try:
            async with anyio.create_task_group() as tasks:
                self._context = copy_context()
                self._tasks = tasks
                try:
                    self.notify(pending)
                    tasks.start_soon(self._watch)
                    yield
                finally:
                    has_failed = tasks.cancel_scope.cancel_called  # by itself, as one of the tasks has
                    self._tasks = None
                    self._tell_all()
                    tasks.cancel_scope.cancel()
        except BaseException as error:
            if has_failed and not isinstance(error, anyio.get_cancelled_exc_class()):
                self.failure = error
                logger.critical(
                    "Deliveries have ended by a failure; they go on when the router is entered again", exc_info=error
                )
            raise
        finally:
            # Here and not in the tasks, since it takes all of them to have ended: what a worker leaves behind when it
            # is cancelled is one of its pump's. The outcomes are written even so: their targets have acted.
            with anyio.move_on_after(SETTLE_GRACE, shield=True):
                for pump in self._pumps.values():
                    try:
                        await pump.close()
                    except Exception:
                        logger.exception("Deliveries for %s come again when their leases end", pump.subscription)
            with anyio.move_on_after(SETTLE_GRACE, shield=True):
                await self._close_targets()

    async def _close_replaced(self) -> None:
        """Close targets that are not declared any more, as soon as no attempt calls them.

        Asked for when targets change and when subscriptions run out of deliveries, so that what is not closed yet is in
        use, or was just now.
        """
        if not self._replaced:
            return
        declared = {id(holder(target)) for target in self._targets.values()}
        called = {id(holder(target)) for pump in self._pumps.values() for target in pump.workers.targets}
        replaced = {id(target): target for target in self._replaced if id(target) not in declared}
        self._replaced = [target for key, target in replaced.items() if key in called]
        for key, target in replaced.items():
            if key not in called:
                with anyio.move_on_after(SETTLE_GRACE, shield=True):
                    await _close(target)

    def start(self, function: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run *function* in the router's context while the block of `running` does; called within it."""
        assert self._tasks is not None  # noqa: S101 - the caller is within the block
        self._context.run(self._tasks.start_soon, function)

    async def _follow_clock(self) -> None:
        step = await self.store.follow_clock(now=self.clock.now(), slack=_CLOCK_SLACK)
        if step:
            logger.warning("The wall clock was set by %+.0f s since events were accepted", -step.total_seconds())

    async def _watch(self) -> None:
        """Look again whenever another process has written to the store."""
        seen = 0
        while True:
            try:
                seen = await self.store.changed(seen)
            except Exception:
                logger.exception("The store does not tell what other processes write; it is asked again in a second")
                await anyio.sleep(_WATCH_PAUSE)
                continue
            self.doubt()

    async def _close_targets(self) -> None:
        """Let each target give back what it holds, after all attempts have ended."""
        targets = {id(target): target for target in map(holder, (*self._targets.values(), *self._replaced))}
        self._replaced.clear()
        for target in targets.values():
            await _close(target)

    def _make_pump(self, subscription: Subscription) -> Pump | None:
        target = self._targets.get(subscription)
        if target is None or self._tasks is None:
            return None
        pump = Pump(self, self._tasks, subscription, target, is_paused=subscription in self._paused)
        self._pumps[subscription] = pump
        # In the router's own context: a handler must not see the context variables of whoever happened to publish first
        # after a pause, who may be serving some request.
        self._context.run(self._tasks.start_soon, self._run, pump)
        return pump

    async def _run(self, pump: Pump) -> None:
        await pump.run()
        # Not in a `finally`: a pump that was cancelled is closed later, with what it holds.
        del self._pumps[pump.subscription]
        self._count_ended(pump, pump.unfinished)  # none, unless another process has ended some
        await self._close_replaced()

    def is_attempting(self, delivery: Delivery) -> bool:
        """Say whether this is an attempt of this dispatcher that has not ended."""
        pump = self._pumps.get(delivery.subscription)
        return pump is not None and any(held.event is delivery.event for held in pump.workers.held)

    # -- what pumps ask and tell ---------------------------------------------------------------------------------

    def leased(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Count first attempts that are about to be made: they allow the bus retries."""
        first = [delivery.attempt for delivery in deliveries].count(1)  # hot
        if first:
            self._account(deliveries[0], now).earn(first, now)

    def withhold(self, delivery: Delivery, target: Target) -> Outcome | None:
        """Decide whether a retry that is about to begin is made: None lets it, or this follows instead."""
        if delivery.is_lapsed and delivery.attempt == _PERHAPS_FIRST:
            return None
        policy, now = target.retry_policy, self.clock.now()
        if delivery.attempt > policy.maximum_retry_attempts + 1:  # the one before ended with its process
            return self._give_up(delivery, target, _NEVER_CAME_BACK)
        if now - delivery.accepted_at > policy.maximum_event_age:
            return self._give_up(delivery, target, _TOO_OLD)
        account = self._account(delivery, now)
        if account.spend(now):
            return None
        due = account.next_turn(now)
        if due - delivery.accepted_at > policy.maximum_event_age:
            due = delivery.accepted_at + policy.maximum_event_age
            if due <= now:
                return self._give_up(delivery, target, _TOO_OLD)
        return Postponed(delivery, due, "RETRY_BUDGET", "The bus has no retries left for now.")

    def _account(self, delivery: Delivery, now: datetime) -> RetryAccount:
        bus = delivery.subscription.event_bus_name
        account = self._accounts.get(bus)
        if account is None:
            account = self._accounts[bus] = RetryAccount(self._retry_budget, now)
        return account

    def _give_up(self, delivery: Delivery, target: Target, error: Exception) -> Outcome:
        """End a delivery without the attempt that it was leased for."""
        return self.fail(msgspec.structs.replace(delivery, attempt=delivery.attempt - 1), target, error, 0)

    def succeed(self, delivery: Delivery, target: Target, result: object) -> Outcome:
        """Decide what follows from an attempt that succeeded."""
        try:
            return self._follow_up(Delivered(delivery), target, result)
        except Exception as error:  # noqa: BLE001 - the result is foreign: writing it as JSON may raise anything
            return self.fail(delivery, target, error, 0)

    def fail(self, delivery: Delivery, target: Target, error: Exception, pauses: int) -> Outcome:
        """Decide what follows from an attempt that failed, after so many in a row that were throttled.

        Never raises: an outcome that nobody could decide would cost the delivery, and with its task all the others.
        """
        now = self.clock.now()
        draw = jitter(self._seed, delivery.event.id, str(delivery.subscription), delivery.attempt)
        pause = min(_FIRST_REST * (1 << min(pauses, 16)), _LONGEST_REST)
        outcome: Outcome
        try:
            outcome = conclude(delivery, target, error, now=now, draw=draw, pause=pause)
        except Exception as broken:  # a policy's, or an exception's own code
            logger.exception("%s failed, and what follows could not be decided: its limits do", _name(delivery))
            about, policy = undecided(error, broken), plain(target.retry_policy)
            outcome = conclude(delivery, target, about, now=now, draw=draw, pause=pause, policy=policy)
        try:
            return self._follow_up(outcome, target, error)
        except Exception:
            logger.exception("%s is over, and the records of it could not be made", _name(delivery))
            # The store keeps a dead letter whose way to a target could not be made either.
            return replace(outcome, is_kept=True) if isinstance(outcome, DeadLettered) else outcome

    def started(self, delivery: Delivery) -> None:
        """Hear of an attempt that begins."""
        self.observers.started(delivery, self.clock.now())

    def settled(self, pump: Pump, outcomes: Sequence[Outcome], stale: Sequence[Outcome]) -> None:
        """Count outcomes that the store has, let the deliveries that follow from them begin, and tell of them."""
        if stale:
            outcomes = self._without_stale(outcomes, stale)
        ended = 0
        for outcome in outcomes:  # hot
            if isinstance(outcome, Delivered):
                ended += 1
                if not outcome.follow_ups:
                    continue
            else:
                _log(outcome)
                if isinstance(outcome, RetryAt | Postponed):
                    continue
                ended += 1
            self._follow(outcome.follow_ups)
        if ended:
            self._count_ended(pump, ended)
        elif pump.is_paused:
            self._tell(pump.subscription)  # what a pause let go on has failed: nobody need wait for it any more
        if self.observers:
            self.observers.settled(outcomes, self.clock.now())

    def _without_stale(self, outcomes: Sequence[Outcome], stale: Sequence[Outcome]) -> Sequence[Outcome]:
        late = {id(outcome) for outcome in stale}
        for outcome in stale:
            logger.warning(
                "%s came back after its lease had ended, or its outcome had been written before; it is ignored",
                _name(outcome.delivery),
            )
        self.doubt()  # if it had been written, nobody has heard what follows from it
        return [outcome for outcome in outcomes if id(outcome) not in late]

    def _follow(self, follow_ups: Sequence[Accepted]) -> None:
        """Let the deliveries begin that follow from an outcome."""
        self.notify(count_deliveries(follow_ups))
        if any(item.deduplication is not None for item in follow_ups):
            self.doubt()  # the store does not say which of them it had already

    def unsettled(self, outcome: Outcome, error: Exception) -> None:
        """Hear of an outcome that the store refused by itself; it stays, and is tried again."""
        if self.observers:
            self.observers.unsettled(outcome, error, self.clock.now())


async def _close(target: Target) -> None:
    try:
        await target.aclose()
    except Exception:
        logger.exception("Target %s could not be closed", target.id)


#: The attempt that may be the first to begin, if the lease before it ran out: deliveries are leased ahead of their
#: turn, and one that was never attempted must not be given up because its process ended.
_PERHAPS_FIRST: Final = 2
_NEVER_CAME_BACK: Final = DeliveryError("The last attempt never came back: it ended with its process.")
_TOO_OLD: Final = DeliveryError("It was past the maximum event age before its next attempt began.")


def _name(delivery: Delivery) -> str:
    return f"event {delivery.event.id} for {delivery.subscription}, attempt {delivery.attempt},"


def _log(outcome: RetryAt | Postponed | DeadLettered | Dropped) -> None:
    name = _name(outcome.delivery)
    if isinstance(outcome, RetryAt):
        logger.info("%s failed, next one at %s: %s", name, outcome.at.isoformat(), outcome.error_message)
    elif isinstance(outcome, Postponed):
        logger.info("%s is put off until %s: %s", name, outcome.at.isoformat(), outcome.error_message)
    elif isinstance(outcome, DeadLettered):
        logger.warning("%s dead-lettered: %s", name, outcome.dead_letter.error_message)
    else:
        logger.error("%s dropped, as its target has no dead-letter queue: %s", name, outcome.error_message)
