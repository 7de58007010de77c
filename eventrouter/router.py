"""`EventRouter`: buses, rules and delivery put together, and their life."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

import anyio

from eventrouter.abc import Clock, Observer, Store, SystemClock, Target
from eventrouter.buses import DEFAULT_BUS, EventBuses
from eventrouter.delivery._dispatcher import Dispatcher, in_attempt
from eventrouter.errors import BusClosedError, InvalidEventError, InvalidRuleError, NotFoundError
from eventrouter.event import Event, EventEntry, entry_size
from eventrouter.records import Accepted, DeadLetter, Ledger, Subscription
from eventrouter.stores.memory import MemoryStore

logger = logging.getLogger("eventrouter")

MAXIMUM_ENTRIES: Final = 100  # a call, as in EventBridge's newer API; the classic one takes 10
MAXIMUM_REQUEST_SIZE: Final = 256 * 1024  # bytes of all entries of a call (EventBridge user guide)

#: How long the closing report may take to collect while everything is being cancelled.
_REPORT_GRACE: Final = 5.0


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of one entry: an event id, or an error.

    Attributes:
        event_id: The id of the accepted event, or None.
        error_code: EventBridge's code for the refusal, such as `MalformedDetail`, or None.
        error_message: The reason in words, or None.
    """

    event_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class EventRouter(EventBuses, anyio.AsyncContextManagerMixin):
    """Event buses, their rules, and the delivery of their events.

    Declare buses, rules and targets at any time; put events while inside ``async with router``. Leaving the block
    goes through four phases: new events are refused; deliveries go on until all have ended or `drain_timeout` is
    over; what is still running is cancelled and handed back to the store; `closing_report` accounts for everything.
    When the block is cancelled the second phase is left out. A router may be entered again, and then continues with
    what its store holds.

    Args:
        store: `"memory://"`, or a `Store`.
        account: The `account` of events, twelve digits.
        region: The `region` of events.
        drain_timeout: How long leaving the block waits for deliveries.
        maximum_hops: How many buses one event may be handed to after the first.
        clock: Where wall time comes from.
        seed: Of the jitter between retries; the same seed gives the same waits for the same events.
        observers: Told of every delivery's outcomes.

    Attributes:
        closing_report: The ledger at the last exit; None before.
    """

    def __init__(
        self,
        store: str | Store = "memory://",
        *,
        account: str = "000000000000",
        region: str = "local",
        drain_timeout: timedelta = timedelta(seconds=30),
        maximum_hops: int = 5,
        clock: Clock | None = None,
        seed: int = 0,
        observers: Sequence[Observer] = (),
    ) -> None:
        super().__init__()
        self.account = account
        self.region = region
        self.drain_timeout = drain_timeout
        self.maximum_hops = maximum_hops
        self.closing_report: Ledger | None = None
        self._clock = clock if clock is not None else SystemClock()
        self._store = _open_store(store)
        self._dispatcher = Dispatcher(self._store, self._clock, seed=seed, observers=observers)
        self._is_entered = False
        self._is_open = False

    # -- life ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._is_entered = True
        error: Exception | None = None
        try:
            async with self._dispatcher.running():
                self._is_open = True
                try:
                    yield self
                except Exception as raised:  # noqa: BLE001 - raised again below, outside of the task group,
                    error = raised  # which would wrap it in an exception group
                finally:
                    self._is_open = False  # 1. refuse
                with anyio.move_on_after(self.drain_timeout.total_seconds()):
                    await self._dispatcher.settle_down()  # 2. drain
            # 3. cancel: leaving the dispatcher hands back what is still in flight
        finally:
            self._is_entered = False
            with anyio.move_on_after(_REPORT_GRACE, shield=True):
                self.closing_report = await self._store.ledger()  # 4. report
                logger.info("Closed: %s", self.closing_report)
        if error is not None:
            raise error

    # -- putting events ------------------------------------------------------------------------------------------

    async def put_events(self, entries: Sequence[EventEntry]) -> list[PutResult]:
        """Accept *entries* and return one result per entry, in the same order (EventBridge, PutEvents).

        Returns once the store has every accepted event together with all its deliveries; delivery goes on in the
        background, and how it ends never shows here. A refused entry does not stop the others: its result carries
        an `error_code` in place of an `event_id`. Refusals are `InvalidArgument`, `MalformedDetail`,
        `NotAuthorizedForSourceException` and `ResourceNotFoundException` (no such bus).

        Raises:
            InvalidEventError: `ValidationException`: not 1 to 100 entries, or more than 256 KiB in all. None of them
                was accepted.
            BusClosedError: The router is not running. Inside a handler, events are taken until deliveries are
                cancelled.
        """
        self._refuse_when_closed()
        if not 1 <= len(entries) <= MAXIMUM_ENTRIES:
            raise InvalidEventError(
                f"A call takes 1 to {MAXIMUM_ENTRIES} entries, got {len(entries)}.", "ValidationException"
            )
        now = self._clock.now()
        size = 0
        results: list[PutResult] = []
        accepted: list[Accepted] = []
        for entry in entries:
            try:
                event = Event.from_entry(entry, id=str(uuid.uuid4()), now=now, account=self.account, region=self.region)
                accepted.append(Accepted(event, now, self._route(event, entry.event_bus_name)))
            except InvalidEventError as error:
                results.append(PutResult(None, error.error_code, error.reason))
            except NotFoundError as error:
                results.append(PutResult(None, "ResourceNotFoundException", str(error)))
            else:
                size += entry_size(event, has_time=entry.time is not None)
                results.append(PutResult(event.id))
        if size > MAXIMUM_REQUEST_SIZE:
            raise InvalidEventError(
                f"Total size of the entries in the request is over the limit. ({size} of {MAXIMUM_REQUEST_SIZE} bytes)",
                "ValidationException",
            )
        await self._accept(accepted)
        return results

    async def forward_events(
        self, events: Sequence[Event], event_bus_name: str = DEFAULT_BUS, *, hops: int = 0
    ) -> list[PutResult]:
        """Put events on a bus as they are, with their ids, times, accounts and sources, `aws.` ones included.

        This is how events arrive that somebody else has accepted already: AWS, another bus, a file.

        Args:
            events: The events.
            event_bus_name: The bus that takes all of them.
            hops: How many buses handed them on before.

        Returns:
            One result per event, in the same order; `ResourceNotFoundException` when there is no such bus.

        Raises:
            BusClosedError: The router is not running.
        """
        self._refuse_when_closed()
        now = self._clock.now()
        try:
            accepted = [Accepted(event, now, self._route(event, event_bus_name), hops) for event in events]
        except NotFoundError as error:
            return [PutResult(None, "ResourceNotFoundException", str(error)) for _ in events]
        await self._accept(accepted)
        return [PutResult(event.id) for event in events]

    def _route(self, event: Event, event_bus_name: str) -> tuple[Subscription, ...]:
        return self._rules(event_bus_name).route(event)

    async def _accept(self, accepted: Sequence[Accepted]) -> None:
        await self._store.append(accepted)
        for item in accepted:
            for subscription in item.subscriptions:
                self._dispatcher.notify(subscription)

    def _refuse_when_closed(self) -> None:
        # While the router drains, only its own deliveries may still cause events: refusing a handler's child events
        # would turn a clean shutdown into failed deliveries.
        if not self._is_open and not (self._is_entered and in_attempt()):
            raise BusClosedError("The router is not running; put events inside 'async with router'.")

    def _target_was_put(self, subscription: Subscription, target: Target) -> None:
        self._dispatcher.put_target(subscription, target)

    def _target_was_removed(self, subscription: Subscription) -> None:
        self._dispatcher.remove_target(subscription)

    # -- looking at it -------------------------------------------------------------------------------------------

    async def dead_letters(self, *, queue: str | None = None) -> list[DeadLetter]:
        """List the dead letters of one dead-letter queue, or all, oldest first.

        Args:
            queue: A queue's name; that of a target without a named queue is `bus/rule/target`.
        """
        return list(await self._store.dead_letters(queue=queue))

    async def ledger(self) -> Ledger:
        """Account for every delivery the store ever accepted."""
        return await self._store.ledger()

    async def settle_down(self, unfinished: int = 0) -> None:
        """Wait until at most *unfinished* deliveries have not ended, retries included.

        For tests, for scripts that put events and leave, and for feeding a router no faster than it delivers.
        """
        await self._dispatcher.settle_down(unfinished)


def _open_store(store: str | Store) -> Store:
    if not isinstance(store, str):
        return store
    if store == "memory://":
        return MemoryStore()
    raise InvalidRuleError(f"{store!r} is no store", hint="use 'memory://', or hand over a Store")
