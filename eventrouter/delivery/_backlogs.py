"""How much there is to do for each subscription, as far as this process knows, and who waits for it to be less."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context, copy_context
from typing import Final, TypeAlias

import anyio
from anyio.abc import TaskGroup

from eventrouter.abc import Clock, Store, Target, WhenFull
from eventrouter.delivery._lines import Lines
from eventrouter.delivery._pump import Pump
from eventrouter.delivery._standstill import Wait, Waits, in_thread_of_target
from eventrouter.delivery._workers import current_delivery
from eventrouter.errors import ConflictError, StoreError
from eventrouter.records import Accepted, Postponed, RetryAt, Subscription

logger = logging.getLogger("eventrouter.delivery")

#: How many seconds the store may take to say what it has, and how long a call that was given up may go on in it.
_STORE_PATIENCE: Final = 5.0
#: How many seconds pass between two such questions at least, and as a multiple of what the first one took.
_LEAST_REST: Final = 0.05
_REST: Final = 9
#: How many seconds a store that failed is left alone.
_PAUSE: Final = 1.0

#: Room that somebody has who is about to write deliveries.
Reserved: TypeAlias = Sequence[tuple[Pump, int]]


class Backlogs(ABC):
    """Counts deliveries from when they are about to be written to their end.

    What this process writes, and hears that it was written, is counted. Whenever that may be wrong, since an answer of
    the store was lost, or somebody else had a part in it, the store is asked what it has (`doubt`).
    """

    clock: Clock

    def __init__(self, store: Store) -> None:
        self.store = store
        self._targets: dict[Subscription, Target] = {}
        self._queues: dict[Subscription, Callable[[], None]] = {}  # each with whom to wake
        self._parked: dict[Subscription, int] = {}  # what waits for subscriptions that are not declared
        self._pumps: dict[Subscription, Pump] = {}
        self._tasks: TaskGroup | None = None
        self._context: Context = copy_context()
        self._lines = Lines(self._lets_in)
        self._waits = Waits(self._may_make_room)
        self._forget()

    def _forget(self) -> None:
        for pump in self._pumps.values():
            pump.is_left = True
        self._pumps.clear()
        self._parked.clear()
        self._unfinished = 0  # of all subscriptions
        self._ended = anyio.Event()
        self._settling: dict[tuple[int, bool], anyio.Event] = {}  # by the arguments of `settle_down`
        self._doubts = self._cleared = 0  # how many there were, and how many of those the store has answered
        self._doubted = anyio.Event()
        self._is_taking_stock = False

    @abstractmethod
    def _make_pump(self, subscription: Subscription) -> Pump | None:
        """Make the pump of a subscription; None if it is not declared, or nothing runs."""

    # -- counting ------------------------------------------------------------------------------------------------

    def has_room(self, subscription: Subscription) -> bool:
        """Say whether another delivery fits into the backlog of a subscription."""
        pump = self._pumps.get(subscription)
        return pump is None or pump.unfinished + pump.expected < pump.workers.target.maximum_backlog

    def is_waited_for(self, subscription: Subscription) -> bool:
        """Say whether others wait for room, who go before whoever comes now."""
        return self._lines.has(subscription)

    def when_full(self, subscription: Subscription) -> WhenFull:
        """Say what is to be done about a subscription whose backlog is full."""
        pump = self._pumps.get(subscription)
        return pump.workers.target.when_full if pump is not None else "wait"

    def reserve_room(self, counts: Mapping[Subscription, int]) -> Reserved | None:
        """Take room for deliveries that are about to be written; `accept` or `give_back` has to follow.

        None, and nothing is taken, if one of the subscriptions is full, or others wait for it who were there before.
        """
        reserved: list[tuple[Pump, int]] = []
        for subscription, count in counts.items():  # hot
            pump = self._pumps.get(subscription) or self._make_pump(subscription)
            if pump is None:
                continue
            is_full = pump.unfinished + pump.expected >= pump.workers.target.maximum_backlog
            pump.expected += count
            reserved.append((pump, count))
            if is_full or self._lines.has(subscription):
                self.give_back(reserved)
                return None
        return reserved

    def reserve(self, counts: Mapping[Subscription, int]) -> Reserved:
        """Take room whether there is any or not; `accept` or `give_back` has to follow."""
        reserved: list[tuple[Pump, int]] = []
        for subscription, count in counts.items():
            pump = self._pumps.get(subscription) or self._make_pump(subscription)
            if pump is not None:
                pump.expected += count
                reserved.append((pump, count))
        return reserved

    def accept(self, reserved: Reserved, counts: Mapping[Subscription, int]) -> None:
        """Say that the store has all of the deliveries for which room was reserved."""
        for pump, count in reserved:  # hot
            pump.expected -= count
            if pump.is_left:  # the dispatcher was stopped meanwhile, and runs again
                self.notify({pump.subscription: count})
            else:
                pump.unfinished += count
                self._unfinished += count
                pump.wake()
        if len(reserved) < len(counts):
            known = {pump.subscription for pump, _ in reserved}
            self.notify({key: count for key, count in counts.items() if key not in known})

    def give_back(self, reserved: Reserved) -> None:
        """Give back room that was reserved."""
        for pump, count in reserved:
            pump.expected -= count
            pump.wake()
            self._lines.call(pump.subscription)

    def notify(self, counts: Mapping[Subscription, int]) -> None:
        """Say that the store has so many new deliveries of each subscription."""
        for subscription, count in counts.items():
            if count == 0:
                continue
            pump = self._pumps.get(subscription) or self._make_pump(subscription)
            if pump is not None:
                pump.unfinished += count
                self._unfinished += count
                pump.wake()
            elif subscription in self._queues:
                self._queues[subscription]()
            elif subscription not in self._targets:
                self._park(subscription, self._parked.get(subscription, 0) + count)
            # else it was written as the router closes, which begins with it when it is entered again

    def _park(self, subscription: Subscription, count: int) -> None:
        if self._parked.get(subscription) != count:
            logger.warning("%d deliveries wait for %s, which is not declared", count, subscription)
        self._parked[subscription] = count

    def _count_ended(self, pump: Pump, count: int) -> None:
        count = min(count, pump.unfinished)  # others may have written some of them
        pump.unfinished -= count
        pump.ended += count
        self._unfinished -= count
        self._tell(pump.subscription)

    # -- waiting for it ------------------------------------------------------------------------------------------

    async def wait_for_room(self, subscription: Subscription) -> bool:
        """Wait until another delivery fits into the backlog of a subscription, behind others who wait for that.

        Returns:
            True when there is room, which is the caller's if it reserves it before it waits for anything else; False
            when the dispatcher has been stopped.

        Raises:
            ConflictError: The caller holds up an attempt, and all that might make room wait likewise.
        """
        if not self._lets_in(subscription) or self._lines.has(subscription):
            attempt = self._attempt_of_caller()
            if attempt is None:
                await self._lines.wait(subscription)
            else:
                with self._waits.entered(Wait(attempt, subscription)):
                    await self._refuse_to_stand_still(subscription)
                    await self._lines.wait(subscription)
        return self._tasks is not None

    def _attempt_of_caller(self) -> int | None:
        """Name the attempt of this dispatcher that cannot go on before the caller does."""
        delivery = current_delivery()
        pump = self._pumps.get(delivery.subscription) if delivery is not None else None
        if delivery is None or pump is None:
            return None
        return pump.workers.attempt_of_caller(delivery, in_thread=in_thread_of_target.get())

    async def _refuse_to_stand_still(self, subscription: Subscription) -> None:
        """Raise `ConflictError` when the wait that begins is one too many: with it, no wait for room would end."""
        hopeless = self._waits.hopeless()
        if subscription not in hopeless:
            return
        workers = {key: self._pumps[key].workers for key in hopeless}
        try:
            for key, ours in workers.items():
                in_flight = (await self.store.depth(key, now=self.clock.now())).in_flight
                if in_flight > len(ours.held) + len(ours.outcomes):
                    return  # other processes on the same store may make room
        except StoreError:
            return
        if subscription in self._waits.hopeless():
            raise ConflictError(
                f"The backlog of {subscription} is full, and every attempt that could make room waits for room itself, "
                "this one included; return the events from the handler instead, or raise maximum_backlog."
            )

    def _may_make_room(self, subscription: Subscription, stuck: Collection[int]) -> bool:
        """Say whether there may be room without one of those attempts having ended, as far as this process knows."""
        pump = self._pumps.get(subscription)
        if pump is None or self._lets_in(subscription) or pump.expected:  # what is being written may yet not be
            return True
        attempts = pump.workers.attempts
        ended = (outcome for outcome in pump.workers.outcomes if not isinstance(outcome, RetryAt | Postponed))
        if not attempts.issubset(stuck) or any(ended):
            return True
        return len(attempts) < min(pump.workers.limit, pump.unfinished)  # another begins, now or when it is due

    def _lets_in(self, subscription: Subscription) -> bool:
        return self._tasks is None or self.has_room(subscription)

    def is_busy(self, subscription: Subscription) -> bool:
        """Say whether a subscription has deliveries that have not ended, as far as this process knows."""
        return subscription in self._pumps

    async def settle_down(self, unfinished: int = 0, *, paused: bool = True) -> None:
        """Wait until at most that many deliveries have not ended, or the dispatcher has been stopped.

        Args:
            unfinished: How many.
            paused: Whether those count whose subscription may attempt nothing.
        """
        if self._tasks is not None and not self._is_settled(unfinished, paused=paused):
            # One event for all who wait for the same: they are woken once, when it is so.
            await self._settling.setdefault((unfinished, paused), anyio.Event()).wait()

    def _is_settled(self, unfinished: int, *, paused: bool) -> bool:
        if self._doubts > self._cleared:
            return False
        # Of nothing, no count is needed: a pump ends once the store has nothing for it.
        if not unfinished and not all(pump.is_paused for pump in self._pumps.values()):
            return False
        waiting = self._unfinished
        if not paused:
            waiting -= sum(pump.unfinished for pump in self._pumps.values() if pump.is_paused)
        return waiting <= unfinished

    async def wait_until(self, is_over: Callable[[], bool]) -> None:
        """Wait until *is_over* says so, which is asked whenever deliveries have ended, or the dispatcher is stopped."""
        while self._tasks is not None and not is_over():
            if self._ended.is_set():
                self._ended = anyio.Event()
            await self._ended.wait()

    def _tell(self, subscription: Subscription) -> None:
        """Let those go on who wait for what has changed about a subscription."""
        self._ended.set()
        self._lines.call(subscription)
        self._tell_settled()

    def _tell_settled(self) -> None:
        for unfinished, paused in tuple(self._settling):  # one or two, however many wait
            if self._tasks is None or self._is_settled(unfinished, paused=paused):
                self._settling.pop((unfinished, paused)).set()

    def _tell_all(self) -> None:
        self._ended.set()
        self._lines.call_all()
        self._tell_settled()

    # -- when in doubt -------------------------------------------------------------------------------------------

    def doubt(self) -> None:
        """Ask the store what it has, since that may be something else than was counted.

        Until it has answered, nobody is told that everything has ended.
        """
        self._doubts += 1
        self._doubted.set()
        if self._tasks is not None and not self._is_taking_stock:
            self._is_taking_stock = True
            self._context.run(self._tasks.start_soon, self._take_stock)

    async def _take_stock(self) -> None:
        """Look at once, and again later: what was cut off may be written a little after."""
        before = None
        while True:
            doubts, begin = self._doubts, anyio.current_time()
            self._doubted = anyio.Event()
            try:
                with anyio.fail_after(_STORE_PATIENCE):
                    await self._look()
            except Exception:
                logger.exception("The store does not say what it has; it is asked again in a second")
                await anyio.sleep(_PAUSE)
                continue
            self._cleared = doubts
            self._tell_all()
            if before == doubts == self._doubts:
                break
            before = doubts
            # The answer may be a count of a million, so no more than a tenth of the time is spent on it.
            await anyio.sleep(max(_LEAST_REST, _REST * (anyio.current_time() - begin)))
            with anyio.move_on_after(_STORE_PATIENCE):
                await self._doubted.wait()
        self._is_taking_stock = False

    async def _look(self) -> None:
        known = [(pump, pump.unfinished, pump.ended) for pump in self._pumps.values()]
        pending = await self.store.pending()
        for pump, unfinished, ended in known:
            if self._pumps.get(pump.subscription) is pump:
                self._correct(pump, pending.get(pump.subscription, 0), unfinished, ended)
        # A pump that was made meanwhile knows what it was made for; if there is more, it is found the next time.
        self.notify({key: count for key, count in pending.items() if key in self._targets and key not in self._pumps})
        for subscription, count in pending.items():
            if subscription in self._queues:
                self._queues[subscription]()
            elif subscription not in self._targets and subscription not in self._pumps:
                self._park(subscription, count)

    def _correct(self, pump: Pump, count: int, unfinished: int, ended: int) -> None:
        """Let a pump have as many deliveries as the store said, give or take what happened while it was asked.

        Args:
            pump: The pump.
            count: What the store said.
            unfinished: What was known when it was asked.
            ended: The same of deliveries that had ended.
        """
        gone = pump.ended - ended
        come = pump.unfinished + gone - unfinished
        right = min(max(pump.unfinished, count - gone - pump.expected), count + come)
        self._unfinished += right - pump.unfinished
        pump.unfinished = right
        pump.wake()


def count_deliveries(accepted: Sequence[Accepted]) -> dict[Subscription, int]:
    """Count the deliveries of each subscription."""
    counts: dict[Subscription, int] = {}
    if len(accepted) == 1:
        return dict.fromkeys(accepted[0].subscriptions, 1)
    receivers = [item.subscriptions for item in accepted]
    if receivers and receivers.count(receivers[0]) == len(receivers):  # nearly always all have the same
        return dict.fromkeys(receivers[0], len(receivers))
    for subscriptions in receivers:
        for subscription in subscriptions:
            counts[subscription] = counts.get(subscription, 0) + 1
    return counts
