"""`EventRouter`: buses, rules and delivery put together, and their life."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import anyio
import anyio.lowlevel
import msgspec

from eventrouter._ids import new_ids
from eventrouter._life import Life
from eventrouter._room import make_room
from eventrouter._scheduler import Scheduler
from eventrouter.abc import Clock, Observer, Store, SystemClock, Target, Tracing
from eventrouter.admission import Admission, PutResult, check_is_list, results_of
from eventrouter.archives import Archives
from eventrouter.buses import DEFAULT_BUS
from eventrouter.dead_letters import DeadLetters
from eventrouter.delivery._backlogs import count_deliveries
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.delivery._receivers import LastResort
from eventrouter.destinations import Aftermath, Subscribers, returned_entries
from eventrouter.errors import InvalidRuleError, NotFoundError, StoreError
from eventrouter.event import Event, EventEntry
from eventrouter.mappings._router import EventSourceMappings
from eventrouter.observability import Statistics
from eventrouter.observability._statistics import survey
from eventrouter.outbox import Outbox
from eventrouter.queues import Sending
from eventrouter.records import (
    Accepted,
    Delivered,
    Ledger,
    Outcome,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.retry import RetryBudget
from eventrouter.rules import Route
from eventrouter.scheduling import Schedules
from eventrouter.stores.memory import MemoryStore
from eventrouter.stores.sqlite import SqliteStore

logger = logging.getLogger("eventrouter")

#: How many entries are taken at most before others have their turn, when the store need not be waited for.
_TURN: Final = 64


class EventRouter(Life, EventSourceMappings, Schedules, DeadLetters, Archives, Outbox):
    """Event buses, their rules, and the delivery of their events.

    Declare buses, rules and targets at any time; put events while inside ``async with router``. Leaving the block
    goes through these phases: queues and streams are read no more, and batches are finished; new events are refused;
    deliveries go on until all have ended; `drain_timeout` is for both. What is still running is cancelled and handed
    back to the store, and `closing_report` accounts for everything. When the block is cancelled nothing is finished.
    A router may be entered again, and then continues with what its store holds.

    Args:
        store: `"memory://"`, a file like `"sqlite:///orders.db"` (`SqliteStore.from_url`), or a `Store`. It is opened
            when the router is entered, and closed when it is left.
        account: The `account` of events, twelve digits.
        region: The `region` of events.
        drain_timeout: How long leaving the block waits for deliveries.
        put_timeout: How long `put_events` waits for room in full backlogs, of all its targets together.
        maximum_hops: How many buses one event may be handed to after the first.
        maximum_depth: How long a chain may be of events that are put by the handler of the one before (AWS Lambda
            ends such loops after 16).
        retry_budget: How much of each bus's deliveries may be retries; by default `RetryBudget()`.
        function_concurrency: How many invocations of all functions may run at once (AWS Lambda's quota is 1,000).
        clock: Where wall time comes from.
        seed: Of the jitter between retries, and of the places in flexible time windows; the same seed gives the same
            waits for the same events.
        observers: Told of every step in the life of an event.
        tracing: Carries the trace of whoever puts an event to its targets, as `eventrouter.otel` does.

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
        put_timeout: timedelta = timedelta(seconds=5),
        maximum_hops: int = 5,
        maximum_depth: int = 16,
        retry_budget: RetryBudget | None = None,
        function_concurrency: int = 1_000,
        clock: Clock | None = None,
        seed: int = 0,
        observers: Sequence[Observer] = (),
        tracing: Tracing | None = None,
    ) -> None:
        super().__init__()
        self.account = account
        self.region = region
        self.drain_timeout = drain_timeout
        self.put_timeout = put_timeout
        self.maximum_hops = maximum_hops
        self.maximum_depth = maximum_depth
        self._clock = clock if clock is not None else SystemClock()
        self._store = _open_store(store)
        self._observers = tuple(observers)
        self._dispatcher = Dispatcher(
            self._store,
            self._clock,
            seed=seed,
            retry_budget=retry_budget if retry_budget is not None else RetryBudget(),
            observers=self._observers,
            tracing=tracing,
            follow_up=self._follow_up,
        )
        self._set_up_functions(function_concurrency)
        self._scheduler = Scheduler(self._store, self._clock, self._dispatcher, seed=seed)
        self._admission = Admission(account, region, maximum_depth, maximum_hops, self._route)
        self._subscribers = Subscribers(self._dispatcher)
        self._put_since_turn = 0

    # -- putting events ------------------------------------------------------------------------------------------

    async def put_events(
        self, entries: Sequence[EventEntry], *, principal: str | None = None, by_content: bool = False
    ) -> list[PutResult]:
        """Accept *entries* and return one result per entry, in the same order (EventBridge, PutEvents).

        Returns once the store has every accepted event together with all its deliveries; delivery goes on in the
        background, and how it ends never shows here. An accepted entry has an `event_id`, and as `success_code`
        `PUBLISHED`, or `DEDUPLICATED` when the same was published before. A refused one does not stop the others: its
        result carries one of these as `error_code`.

        - `InvalidArgument`: it is no `EventEntry`, or a field of it other than the detail is not usable
        - `MalformedDetail`: the detail has no form as a JSON object, or one that is past a limit
        - `NotAuthorizedForSourceException`: sources that begin with `aws.` are AWS's
        - `ResourceNotFoundException`: there is no such bus
        - `NotAuthorizedForSourceException`, `NotAuthorizedForDetailTypeException`, `AccessDeniedException`: the policy
          of the bus does not allow it (`Policy.authorize`)
        - `RecursiveInvocationException`: the chain of handlers that put events is longer than `maximum_depth`
        - `ThrottlingException`: the backlog of a target is full and rejects, or stayed so for `put_timeout`, or would
          stay so, since a handler puts the event and all attempts that could make room wait for room likewise; or the
          store has its `max_size`. Worth another try, in a handler by failing. Backlogs are looked at first, so that
          this meets what may be a duplicate, too
        - `InternalFailure`: the store could not keep it, as when the disk is full

        Args:
            entries: What to accept.
            principal: Who puts them, for the policies of the buses; None is the process itself.
            by_content: Whether entries without a `deduplication_id` of their own are deduplicated by their content:
                source, detail-type, resources, and the detail as it is written, in which the order of keys counts.

        Raises:
            InvalidEventError: `ValidationException`: not a list of 1 to 100 entries, or more than 256 KiB in those that
                are not refused. None was accepted.
            BusClosedError: The router is not running, has ended by a failure, or runs in another event loop. While it
                closes, handlers may put events until deliveries are cancelled.
        """
        check_is_list(entries, "entries")
        tracing = self._dispatcher.tracing
        if tracing is None:
            return await self._put(entries, principal, by_content)
        with tracing.publish(entries) as trace_header:
            return await self._put(_carrying(trace_header, entries), principal, by_content)

    async def _put(self, entries: Sequence[EventEntry], principal: str | None, by_content: bool) -> list[PutResult]:
        self._refuse_when_closed()
        self._put_since_turn += len(entries)
        if self._put_since_turn >= _TURN:  # before anything is accepted, as this may be cancelled
            self._put_since_turn = 0
            await anyio.lowlevel.checkpoint()
        now = self._dispatcher.clock.now()
        admitted = self._admission.of_entries(
            entries, now, received=self._clock.now(), principal=principal, by_content=by_content
        )
        results = await self._keep(admitted)
        if self._dispatcher.observers:
            self._tell_of_refusals(entries, results, now)
        return results

    def _tell_of_refusals(
        self, of: Sequence[EventEntry | Event], results: Sequence[PutResult], at: datetime, bus: str = DEFAULT_BUS
    ) -> None:
        for item, result in zip(of, results, strict=True):
            if result.error_code is not None:
                name = str(item.event_bus_name) if isinstance(item, EventEntry) else bus  # it may be no string
                self._dispatcher.observers.refused(name, result.error_code, result.error_message, at, item)

    async def forward_events(
        self,
        events: Sequence[Event],
        event_bus_name: str = DEFAULT_BUS,
        *,
        hops: int = 0,
        principal: str | None = None,
    ) -> list[PutResult]:
        """Put events on a bus as they are, with their ids, times, accounts and sources, `aws.` ones included.

        This is how events arrive that somebody else has accepted already: AWS, another bus, a file.

        Args:
            events: The events.
            event_bus_name: The bus that takes all of them.
            hops: How many buses handed them on before.
            principal: Who puts them, for the bus's policy; None is the process itself.

        Returns:
            One result per event, in the same order; refusals are `InvalidArgument` for what is no `Event`,
            `ResourceNotFoundException` when there is no such bus, `ThrottlingException` as in `put_events`,
            `RecursiveInvocationException` past `maximum_depth`, or past `maximum_hops` for an event that its own
            handler hands on, and by a bus with a policy the codes of `Policy.authorize`.

        Raises:
            InvalidEventError: `ValidationException`: it is no list.
            BusClosedError: As `put_events`.
        """
        check_is_list(events, "events")
        tracing = self._dispatcher.tracing
        if tracing is None:
            return await self._forward(events, event_bus_name, hops, principal, None)
        with tracing.publish(events, event_bus_name) as trace_header:
            return await self._forward(events, event_bus_name, hops, principal, trace_header)

    async def _forward(
        self, events: Sequence[Event], event_bus_name: str, hops: int, principal: str | None, trace_header: str | None
    ) -> list[PutResult]:
        self._refuse_when_closed()
        now = self._dispatcher.clock.now()
        admitted = self._admission.of_events(
            events, event_bus_name, now, principal=principal, hops=hops, trace_header=trace_header
        )
        results = await self._keep(admitted)
        if self._dispatcher.observers:
            self._tell_of_refusals(events, results, now, str(event_bus_name))
        return results

    def _route(self, event: Event, event_bus_name: str, principal: str | None) -> Route:
        rules = self._rules(event_bus_name)
        if self._policies:
            self._authorize(event, event_bus_name, principal)
        return rules.route(event)

    async def _keep(self, admitted: Sequence[Accepted | PutResult]) -> list[PutResult]:
        """Hand events to the store, and say what became of all of them."""
        accepted = [item for item in admitted if isinstance(item, Accepted)]
        counts = count_deliveries(accepted)
        reserved = self._dispatcher.reserve_room(counts)
        if reserved is None:
            admitted = await make_room(self._dispatcher, admitted, counts, patience=self.put_timeout)
            accepted = [item for item in admitted if isinstance(item, Accepted)]
            counts = count_deliveries(accepted)
            reserved = self._dispatcher.reserve(counts)  # behind whom they came, they were let in
        try:
            duplicates = await self._store.append(accepted)
        except BaseException as error:
            self._dispatcher.give_back(reserved)
            self._dispatcher.doubt()  # it may have happened even so, when it was cancelled or its answer was lost
            if not isinstance(error, StoreError):
                raise
            refused = PutResult(None, error.error_code, str(error))
            return [item if isinstance(item, PutResult) else refused for item in admitted]
        if any(duplicates):
            self._dispatcher.give_back(reserved)
            kept = [item for item, earlier in zip(accepted, duplicates, strict=True) if not earlier]
            self._dispatcher.notify(count_deliveries(kept))
        else:
            self._dispatcher.accept(reserved, counts)
        if self._dispatcher.observers:
            for item, earlier in zip(accepted, duplicates, strict=True):
                if earlier is None:
                    self._dispatcher.observers.ingested(item)
        return results_of(admitted, duplicates)

    # -- what follows from deliveries ----------------------------------------------------------------------------

    def _follow_up(self, outcome: Outcome, target: Target, result: object) -> Outcome:
        """Add to an outcome what else follows from it. No backlog limit holds it up: it is of work already accepted.

        Args:
            outcome: The outcome.
            target: Of the delivery.
            result: What the target returned, or what it raised.
        """
        if isinstance(outcome, RetryAt | Postponed):
            if isinstance(target, LastResort):
                queue = outcome.delivery.subscription
                self._dead_letter_queue_failed(queue)
                logger.warning("The dead-letter queue %s failed and is tried again: %s", queue, outcome.error_message)
            return outcome
        now = self._dispatcher.clock.now()
        aftermath = Aftermath(now=now, account=self.account, region=self.region, new_id=lambda: new_ids(1)[0])
        if isinstance(outcome, Delivered):
            sent: tuple[Accepted, ...] = ()
            if isinstance(result, Sending):
                sent, result = (result.accepted,), result.response
            children = self._admission.of_returned(returned_entries(result), now)
            return Delivered(outcome.delivery, sent + aftermath.of_success(outcome.delivery, target, result, children))
        assert isinstance(result, Exception)  # noqa: S101 - the dispatcher gives what was raised
        return replace(outcome, follow_ups=aftermath.of_failure(outcome, target, result))

    def _target_was_put(self, subscription: Subscription, target: Target) -> None:
        self._subscribers.put(subscription, target)

    def _target_was_removed(self, subscription: Subscription) -> None:
        self._subscribers.remove(subscription)

    def _is_declared(self, subscription: Subscription) -> bool:
        return self._is_qualifier(subscription) or self._is_mapping(subscription) or super()._is_declared(subscription)

    def _has_archive(self, name: str) -> bool:
        return name in self._archive_buses

    def _start_sources(self) -> None:
        self._start_mappings()

    async def _stop_sources(self) -> None:
        await self._stop_mappings()

    def _surroundings(self) -> AbstractAsyncContextManager[None]:
        return self._running_functions()

    # -- pausing -------------------------------------------------------------------------------------------------

    def pause_target(self, rule_name: str, target_id: str, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Begin no attempt for a target until `resume_target`; attempts that run go on, and deliveries wait.

        It holds as long as this router lives, also when the target is replaced, and for this router alone.

        Raises:
            NotFoundError: There is no such bus, rule or target.
            BusClosedError: The router runs in another event loop.
        """
        self._refuse_elsewhere()
        self._dispatcher.pause(self._subscription(rule_name, target_id, event_bus_name))

    def resume_target(self, rule_name: str, target_id: str, *, event_bus_name: str = DEFAULT_BUS) -> None:
        """Let a paused target go on where it stopped; no change if it is not paused. Raises as `pause_target`.

        A target whose `maximum_concurrency` is 0 is not paused by `pause_target`, but by that.
        """
        self._refuse_elsewhere()
        self._dispatcher.resume(self._subscription(rule_name, target_id, event_bus_name))

    def _subscription(self, rule_name: str, target_id: str, event_bus_name: str) -> Subscription:
        if target_id not in {target.id for target in self.list_targets(rule_name, event_bus_name=event_bus_name)}:
            raise NotFoundError(f"Rule {rule_name} has no target {target_id}.")
        return Subscription(event_bus_name, rule_name, target_id)

    # -- looking at it -------------------------------------------------------------------------------------------

    async def ledger(self) -> Ledger:
        """Account for every delivery, and every message of a queue, that the store ever accepted.

        Raises:
            BusClosedError: The router runs in another event loop.
        """
        self._refuse_elsewhere()
        return self._with_queues(await self._store.ledger())

    async def statistics(self) -> Statistics:
        """Say how the router is doing: its account, backlogs, pauses, rules, and metrics if it has a `Metrics`.

        Counted when asked for, at a cost that grows with the number of subscriptions, and of deliveries that wait for
        a retry or are being attempted. Events pay nothing for it.
        """
        ledger = await self.ledger()
        return survey(self._clock.now(), ledger, self._dispatcher, self._buses, self._observers)


def _open_store(store: str | Store) -> Store:
    if not isinstance(store, str):
        return store
    if store == "memory://":
        return MemoryStore()
    if store.startswith("sqlite:"):
        return SqliteStore.from_url(store)
    raise InvalidRuleError(
        f"{store!r} is no store", hint="use 'memory://' or 'sqlite:///orders.db', or hand over a Store"
    )


def _carrying(trace_header: str | None, entries: Sequence[EventEntry]) -> Sequence[EventEntry]:
    """Give entries the trace header, but those that have one."""
    if trace_header is None:
        return entries
    return [
        msgspec.structs.replace(entry, trace_header=trace_header)
        if isinstance(entry, EventEntry) and entry.trace_header is None
        else entry
        for entry in entries
    ]
