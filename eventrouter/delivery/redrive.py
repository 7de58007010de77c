"""Dead letters on their way back: to the target that failed, at a rate, after a canary if one is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

import anyio

from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.records import DeadLetter, Observation, Subscription

#: SQS's `StartMessageMoveTask` has the first five.
RedriveState: TypeAlias = Literal["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED", "CANARY_FAILED"]

#: Letters that one call of the store makes deliveries of, at most: what is in no transaction cannot be undone by one.
_LARGEST_BATCH: Final = 100
#: A tenth of a second's worth at a time, so that the rate is one within each second, too.
_BATCHES: Final = 10


@dataclass(eq=False)
class Redrive:
    """A redrive that goes on, or has ended.

    Attributes:
        rate: Letters a second, at most.
        canary: How many go first.
        queue: The dead-letter queue; None for all.
        started_at: When it began.
        state: `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` (by `cancel`, or with whoever awaited it), `FAILED`
            (the store did, or the router has closed) or `CANARY_FAILED`.
        total: Letters that were meant when it began; later ones are not touched.
        redriven: Letters that are deliveries again.
        undeclared: Letters, by subscription, that stayed since their target is not declared any more.
        gone: Letters that somebody else had purged or redriven meanwhile.
        reason: Why it failed, in words; empty otherwise.
    """

    rate: float
    canary: int
    queue: str | None
    started_at: datetime
    state: RedriveState = "RUNNING"
    total: int = 0
    redriven: int = 0
    undeclared: Counter[Subscription] = field(default_factory=Counter)
    gone: int = 0
    reason: str = ""
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope, repr=False)
    _check: Callable[[], object] = field(default=object, repr=False)

    @property
    def left(self) -> int:
        """How many letters are still to be redriven, or were when it ended."""
        return self.total - self.redriven - self.gone - self.undeclared.total()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state not in {"RUNNING", "CANCELLING"}

    def cancel(self) -> None:
        """End it before the next letters: what is redriven stays so. It is `CANCELLING` until it is `CANCELLED`.

        Raises:
            BusClosedError: The router runs in another event loop.
        """
        self._check()
        if self.state == "RUNNING":
            self.state = "CANCELLING"
            self._scope.cancel()


_Key: TypeAlias = tuple[Subscription, str, datetime]  # the event's id, and when its age began


class _Canary:
    """An observer that waits for deliveries to end, and knows those that failed."""

    def __init__(self) -> None:
        # The instant tells a delivery from another one of the same event, which a replay may have made.
        self._expected: Counter[_Key] = Counter()
        self._ended: Counter[_Key] = Counter()
        self._failures: dict[_Key, str] = {}
        self._instants: set[datetime] = set()

    @property
    def waiting(self) -> Counter[_Key]:
        """The deliveries whose end is not known."""
        return self._expected - self._ended

    @property
    def failure(self) -> str:
        """What to say about the first that failed; empty if none has."""
        return next((text for key, text in self._failures.items() if key in self._expected), "")

    def begin(self, now: datetime) -> None:
        """Take note of whatever is redriven at this instant; it may have ended before `expect` says what it was."""
        self._instants.add(now)

    def expect(self, letters: Sequence[DeadLetter], now: datetime) -> None:
        """Wait for the deliveries of letters that were redriven at this instant."""
        self._expected.update((letter.subscription, letter.event.id, now) for letter in letters)

    def observe(self, observation: Observation) -> None:
        """Take note of an end."""
        delivery = observation.delivery
        if delivery is None or observation.step not in {"INVOCATION_SUCCESS", "INVOCATION_FAILURE"}:
            return
        if delivery.accepted_at in self._instants:
            key = (delivery.subscription, delivery.event.id, delivery.accepted_at)
            self._ended[key] += 1
            if observation.step == "INVOCATION_FAILURE":
                self.fail(key, observation.error_message)

    def fail(self, key: _Key, message: str | None) -> None:
        """Take note of a failure."""
        subscription, event_id, _ = key
        self._failures.setdefault(key, f"Event {event_id} failed again for {subscription}: {message}")


class Redriver:
    """Carries out a redrive.

    Args:
        redrive: What to do, and where to tell of it.
        dispatcher: Who delivers.
        refuse_when_closed: Raises `BusClosedError` unless the router is running.
        is_declared: Says whether a subscription is.
    """

    def __init__(
        self,
        redrive: Redrive,
        dispatcher: Dispatcher,
        refuse_when_closed: Callable[[], None],
        is_declared: Callable[[Subscription], bool],
    ) -> None:
        self._redrive = redrive
        self._dispatcher = dispatcher
        self._refuse_when_closed = refuse_when_closed
        self._is_declared = is_declared
        self._next_at = 0.0  # in the event loop's time

    async def run(self, letters: Sequence[tuple[int, Subscription]]) -> None:
        """Redrive letters, given by id and subscription, the first first.

        Raises:
            BusClosedError: The router has closed meanwhile.
        """
        redrive = self._redrive
        redrive.total = len(letters)
        self._next_at = anyio.current_time()
        declared = self._sort_out(letters)
        if redrive.canary:
            await self._run_canary(declared[: redrive.canary])
            if redrive.reason:
                redrive.state = "CANARY_FAILED"
                return
        await self._move(declared[redrive.canary :], None)

    def _sort_out(self, letters: Sequence[tuple[int, Subscription]]) -> Sequence[tuple[int, Subscription]]:
        """Give those letters whose target is declared, and report the others."""
        declared: list[tuple[int, Subscription]] = []
        for id, subscription in letters:
            if self._is_declared(subscription):
                declared.append((id, subscription))
            else:
                self._redrive.undeclared[subscription] += 1
        return declared

    async def _move(self, letters: Sequence[tuple[int, Subscription]], canary: _Canary | None) -> None:
        redrive = self._redrive
        size = max(1, min(_LARGEST_BATCH, int(redrive.rate / _BATCHES)))
        for begin in range(0, len(letters), size):
            batch = letters[begin : begin + size]
            # A cancellation gets through here and nowhere below: between two batches, whole ones on either side.
            await anyio.sleep_until(self._next_at)
            for subscription in {subscription for _, subscription in batch}:
                await self._dispatcher.wait_for_room(subscription)
            self._refuse_when_closed()
            self._next_at = max(self._next_at, anyio.current_time()) + len(batch) / redrive.rate
            await self._move_batch(batch, canary)

    async def _move_batch(self, batch: Sequence[tuple[int, Subscription]], canary: _Canary | None) -> None:
        declared = self._sort_out(batch)  # again, since a target may have been removed meanwhile
        now = self._dispatcher.clock.now()
        if canary is not None:
            canary.begin(now)
        # Shielded: a store that has done it must be followed by the dispatcher's hearing of it, or the deliveries would
        # wait for the next start.
        reserved = self._dispatcher.reserve(Counter(subscription for _, subscription in declared))
        try:
            with anyio.CancelScope(shield=True):
                moved = await self._dispatcher.store.redrive([id for id, _ in declared], now=now)
        except BaseException:
            self._dispatcher.give_back(reserved)
            self._dispatcher.doubt()  # its answer may have been lost
            raise
        if canary is not None:
            canary.expect(moved, now)
        self._redrive.redriven += len(moved)
        self._redrive.gone += len(declared) - len(moved)
        self._dispatcher.give_back(reserved)
        self._dispatcher.notify(Counter(letter.subscription for letter in moved))

    async def _run_canary(self, letters: Sequence[tuple[int, Subscription]]) -> None:
        """Redrive letters, and wait until each of them has ended."""
        canary, dispatcher = _Canary(), self._dispatcher
        dispatcher.observers.add(canary)
        try:
            await self._move(letters, canary)
            # An end is heard of here, unless another process on the same store saw it; then the subscription runs out
            # of deliveries without it, sooner or later.
            await dispatcher.wait_until(lambda: not any(dispatcher.is_busy(key[0]) for key in canary.waiting))
        finally:
            dispatcher.observers.remove(canary)
        if canary.waiting:
            self._refuse_when_closed()
            await self._look_for(canary, max(id for id, _ in letters))
        self._redrive.reason = canary.failure

    async def _look_for(self, canary: _Canary, after: int) -> None:
        """Find out about deliveries that ended elsewhere: those that failed are dead letters again."""
        waiting = {key[:2]: key for key in canary.waiting}
        while page := await self._dispatcher.store.dead_letters(queue=None, after=after, limit=1_000):
            for letter in page:
                key = waiting.get((letter.subscription, letter.event.id))
                if key is not None:
                    canary.fail(key, letter.error_message)
            after = page[-1].id
