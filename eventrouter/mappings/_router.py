"""Event source mappings and pipes of a router: declared, found, run and removed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, TypedDict, Unpack

import msgspec

from eventrouter._ids import new_ids
from eventrouter.abc import Target
from eventrouter.admission import PutResult
from eventrouter.delivery._receivers import RecordReceiver
from eventrouter.errors import ConflictError, DeliveryError, FunctionError, InvalidRuleError, NotFoundError
from eventrouter.event import Event
from eventrouter.functions import Function
from eventrouter.functions._configuration import split_name
from eventrouter.functions._invocation import Request, encode_payload
from eventrouter.functions._router import Functions
from eventrouter.mappings._configuration import EventSourceMappingConfiguration, StartingPosition
from eventrouter.mappings._consume import Consume, to_function
from eventrouter.mappings._failures import failure_record
from eventrouter.mappings._mapping import EventSourceMapping, Poller, SourceKind
from eventrouter.mappings._pipe import Enrichment, Send, Transform, through_pipe
from eventrouter.mappings._queue_poller import QueuePoller
from eventrouter.mappings._state import Counts
from eventrouter.mappings._stream_poller import Discarded, StreamPoller
from eventrouter.mappings._streams import ArchiveStream, IteratorStream, Stream
from eventrouter.patterns import Pattern
from eventrouter.queues import Queue
from eventrouter.records import Accepted, Subscription

#: What records come from: a queue, or the name of one or of an archive; or an async iterable, or what gives one.
Source: TypeAlias = Queue | str | AsyncIterable[Any] | Callable[[], AsyncIterable[Any]]
#: Stands where a subscription has its bus; no bus can be called so.
MAPPINGS = "$mappings"


class MappingOptions(TypedDict, total=False):
    """What `EventRouter.event_source_mapping` and `EventRouter.pipe` take; see `EventSourceMappingConfiguration`."""

    batch_size: int
    batch_window: timedelta
    filters: Sequence[Pattern | Mapping[str, Any] | str]
    maximum_concurrency: int | None
    minimum_concurrency: int
    idle_timeout: timedelta
    bisect_on_error: bool
    maximum_retry_attempts: int | None
    maximum_record_age: timedelta | None
    on_failure: Target | None
    starting_position: StartingPosition


class EventSourceMappings(Functions):
    """What a router can do about event source mappings and pipes (AWS Lambda and EventBridge Pipes user guides)."""

    _is_open: bool

    def __init__(self) -> None:
        super().__init__()
        self._mappings: dict[str, EventSourceMapping] = {}
        self._is_reading = False

    @abstractmethod
    async def _keep(self, admitted: Sequence[Accepted | PutResult]) -> list[PutResult]:
        """Hand events to the store."""

    @abstractmethod
    def _has_archive(self, name: str) -> bool:
        """Say whether there is an archive of that name."""

    # -- declaring -----------------------------------------------------------------------------------------------

    def event_source_mapping(
        self,
        source: Source,
        function: str | Function,
        *,
        name: str | None = None,
        report_batch_item_failures: bool = False,
        enabled: bool = True,
        **options: Unpack[MappingOptions],
    ) -> EventSourceMapping:
        """Have a function invoked with what comes from a source (Lambda, `CreateEventSourceMapping`).

        ::

            router.event_source_mapping("renditions", "render", batch_size=10, maximum_concurrency=4)

        The function is invoked with `{"Records": [...]}` and waited for. Workers come and go with the backlog of a
        queue, from `minimum_concurrency` to `maximum_concurrency`; a batch is deleted when the function has returned.
        If it fails, its messages come again when their visibility timeout is over, until the queue moves them to its
        dead-letter queue. A function that is throttled, stopped or not there costs a message nothing: it waits.

        A stream, which is an archive or an iterator, is read by one worker and in order. A batch that fails is tried
        again until it succeeds or is discarded, and holds up what comes after it. How far an archive was read is kept
        in the store; an iterator says itself where it begins, when the router is entered or the mapping is enabled. A
        generator ends when it is no longer read: give the function that makes it, if reading is to begin again.

        Args:
            source: A queue, or the name of one or of an archive; or an async iterable of data with a form as JSON, or a
                function that gives one.
            function: A function of this router, by its name, with a version or alias after a colon if you like.
            name: Of the mapping; by default made of both names.
            report_batch_item_failures: Whether the function returns `{"batchItemFailures": [{"itemIdentifier": id}]}`
                for the records that have failed: message ids of a queue, sequence numbers of a stream, of which
                everything from the first that failed comes again.
            enabled: Whether it reads from the beginning; see `EventSourceMapping.enable`.
            options: See `EventSourceMappingConfiguration`. Filters may be patterns, data or JSON text.

        Raises:
            ConflictError: There is a mapping of that name.
            NotFoundError: There is no such queue, archive or function.
            InvalidRuleError, PatternError: An option is not usable, or the visibility timeout of the queue is shorter
                than the timeout of the function. Nothing was declared.
            BusClosedError: The router runs in another event loop.
        """
        self._refuse_elsewhere()
        function_name = self._check_function(function)
        base, _ = split_name(function_name)
        queue = self._find_source_queue(source)
        self._check_visibility(queue, function_name)
        consume = to_function(self, function_name, reports_failures=report_batch_item_failures)
        return self._add_mapping(
            source,
            queue,
            consume,
            options,
            name=name or f"{_label(source)}-{base}",
            receiver=function_name,
            enabled=enabled,
            reports=report_batch_item_failures,
        )

    def pipe(
        self,
        name: str,
        source: Source,
        target: str | Function | Target,
        *,
        enrichment: Enrichment | None = None,
        transform: Transform | None = None,
        enabled: bool = True,
        **options: Unpack[MappingOptions],
    ) -> EventSourceMapping:
        """Connect a source with a target, through filters, an enrichment and a transformation (EventBridge Pipes).

        ::

            router.pipe("orders", "incoming", QueueTarget(id="priced", queue=priced), enrichment="look-up-prices")

        Args:
            name: Of the pipe.
            source: As that of an event source mapping.
            target: A function, which is invoked with the list of what comes out, and may report `batchItemFailures`; or
                a target, which receives each one by itself. What a target is sent is in the store before the source is
                told; from there on its own retry policy and dead-letter queue count. A bus receives an event from
                `Pipe NAME`, `Event from aws:sqs` or from the kind of the source.
            enrichment: A function, or an async callable, that is given the list of records that the filters let through
                and returns the list that goes on. From an empty one, `None` or `""` nothing goes on.
            transform: Makes of each item what the target receives: a template with paths into the item, `<$.body.id>`,
                and the names `<aws.pipes.pipe-name>`, `<aws.pipes.event.json>` and
                `<aws.pipes.event.ingestion-time>`; or a callable.
            enabled: Whether it reads from the beginning.
            options: See `EventSourceMappingConfiguration`.

        Returns:
            The mapping that reads the source. When the enrichment, the transformation or the function fails, that is a
            failed batch of it.

        Raises:
            ConflictError, NotFoundError, InvalidRuleError, PatternError, BusClosedError: As `event_source_mapping`.
        """
        self._refuse_elsewhere()
        queue = self._find_source_queue(source)
        if isinstance(enrichment, str | Function):
            self._check_visibility(queue, self._check_function(enrichment))
        send: Send | None = None
        if isinstance(target, Target):
            self._check_target(target)
            label = target.id
            send = partial(self._send, Subscription(MAPPINGS, name, target.id), name)
        else:
            label = self._check_function(target)
            self._check_visibility(queue, label)
        consume = through_pipe(self, name, enrichment, transform, send=send, function_name=label)
        mapping = self._add_mapping(
            source,
            queue,
            consume,
            options,
            name=name,
            receiver=target if isinstance(target, Target) else label,
            enrichment=enrichment,
            enabled=enabled,
            reports=True,
        )
        if isinstance(target, Target):
            self._target_was_put(Subscription(MAPPINGS, name, target.id), RecordReceiver.of(target))
        return mapping

    def _add_mapping(
        self,
        source: Source,
        queue: Queue | None,
        consume: Consume,
        options: MappingOptions,
        *,
        name: str,
        receiver: str | Target,
        enrichment: Enrichment | None = None,
        enabled: bool,
        reports: bool,
    ) -> EventSourceMapping:
        given: dict[str, Any] = dict(options)
        patterns = given.pop("filters", None) or ()
        filters = [item if isinstance(item, Pattern) else Pattern.parse(item) for item in patterns]
        unknown = given.keys() - MappingOptions.__annotations__.keys()
        if unknown:
            raise InvalidRuleError(f"An event source mapping has no option {', '.join(sorted(unknown))}")
        configuration = EventSourceMappingConfiguration(
            name=name, filters=tuple(filters), report_batch_item_failures=reports, **given
        )
        if name in self._mappings:
            raise ConflictError(f"Event source mapping {name} already exists; pass name= to tell them apart.")
        make: Callable[[Counts], Poller]
        kind: SourceKind
        if queue is not None:
            configuration.check_for_queue(is_fifo=queue.attributes.is_fifo)
            make = partial(self._queue_poller, queue, configuration, consume)
            source_name, kind = queue.name, "queue"
        else:
            configuration.check_for_stream()
            stream = self._stream(source, configuration)
            if configuration.on_failure is not None:
                self._check_target(configuration.on_failure)
                self._target_was_put(_failures_of(name), RecordReceiver.of(configuration.on_failure))
            make = partial(self._stream_poller, stream, configuration, consume, receiver)
            source_name, kind = stream.name, "archive" if isinstance(source, str) else "iterator"
        mapping = EventSourceMapping(
            source_name,
            receiver,
            configuration,
            make,
            self._start_mapping,
            source_kind=kind,
            enrichment=enrichment.name if isinstance(enrichment, Function) else enrichment,
            may_run=self._may_read,
            is_enabled=enabled,
        )
        self._mappings[name] = mapping
        self._start_mapping(mapping)
        return mapping

    def get_event_source_mapping(self, name: str) -> EventSourceMapping:
        """Give the mapping or pipe of that name. Raises `NotFoundError` when there is none."""
        mapping = self._mappings.get(name)
        if mapping is None:
            raise NotFoundError(f"Event source mapping {name} does not exist.")
        return mapping

    def list_event_source_mappings(self) -> list[str]:
        """Name the mappings and pipes in the order they were declared."""
        return list(self._mappings)

    async def remove_event_source_mapping(self, name: str) -> None:
        """Remove a mapping or pipe, after its batches have been finished. How far an archive was read is forgotten.

        Raises:
            NotFoundError: There is none of that name.
            BusClosedError: The router runs in another event loop.
        """
        self._refuse_elsewhere()
        mapping = self.get_event_source_mapping(name)
        del self._mappings[name]
        mapping.disable()
        await mapping.wait_for_end()
        await self._store.forget_schedules([f"mapping/{name}"])
        for subscription in [key for key in self._dispatcher.targets if key[:2] == (MAPPINGS, name)]:
            if "/" not in subscription.target_id:
                self._target_was_removed(subscription)

    # -- sources -------------------------------------------------------------------------------------------------

    def _check_function(self, function: str | Function) -> str:
        """Give the name of a function, with its qualifier. Raises `NotFoundError` when there is none."""
        name = function if isinstance(function, str) else function.name
        base, qualifier = split_name(name)
        self.get_function(base).resolve(qualifier, "")
        return name

    def _check_visibility(self, queue: Queue | None, function_name: str) -> None:
        """Refuse a queue whose messages would come again while a function is working on them."""
        if queue is None:
            return
        base, qualifier = split_name(function_name)
        timeout = self.get_function(base).resolve(qualifier, "").configuration.timeout
        hidden = queue.attributes.visibility_timeout
        if hidden < timeout:
            raise InvalidRuleError(
                f"Queue visibility timeout: {hidden.total_seconds():g} seconds is less than Function timeout: "
                f"{timeout.total_seconds():g} seconds",
                hint="a message would come again while it is being worked on; make it six times as long",
            )

    def _arn_of(self, receiver: str | Target) -> str:
        """Name who was given a batch, as records do."""
        if isinstance(receiver, Target):
            return receiver.arn or receiver.id
        base, qualifier = split_name(receiver)
        return self.get_function(base).qualified_arn(qualifier)

    def _find_source_queue(self, source: Source) -> Queue | None:
        if isinstance(source, Queue):
            if not source.is_in(self._store):
                raise InvalidRuleError(f"Queue {source.name} is of a router with another store")
            return source
        return self._find_queue(source) if isinstance(source, str) else None

    def _stream(self, source: Source, configuration: EventSourceMappingConfiguration) -> Stream:
        if isinstance(source, str):
            if not self._has_archive(source):
                raise NotFoundError(f"There is no queue and no archive {source}.")
            return ArchiveStream(
                lambda: self._store,
                self.delivery_now,
                source,
                configuration.name,
                configuration.starting_position,
                arn=f"arn:aws:events:{self.region}:{self.account}:archive/{source}",
                region=self.region,
            )
        if not isinstance(source, AsyncIterable) and not callable(source):
            raise InvalidRuleError(
                f"{source!r} is no source", hint="use a queue, the name of one or of an archive, or an async iterable"
            )
        arn = f"arn:eventrouter:iterator:{self.region}:{self.account}:{configuration.name}"
        return IteratorStream(source, self.delivery_now, configuration.name, arn=arn, region=self.region)

    def _queue_poller(
        self, queue: Queue, configuration: EventSourceMappingConfiguration, consume: Consume, counts: Counts
    ) -> Poller:
        return QueuePoller(queue, configuration, consume, counts, self.region)

    def _stream_poller(
        self,
        stream: Stream,
        configuration: EventSourceMappingConfiguration,
        consume: Consume,
        receiver: str | Target,
        counts: Counts,
    ) -> Poller:
        return StreamPoller(
            stream,
            configuration,
            consume,
            counts,
            discard=partial(self._discard, configuration, self._arn_of(receiver)),
            now=self.delivery_now,
        )

    # -- what is sent --------------------------------------------------------------------------------------------

    async def _invoke_batch(self, function_name: str, payload: object) -> Any:
        """Invoke a function and give what it returns.

        Raises:
            FunctionError: It has failed.
            NotFoundError, TooManyRequestsError, ZeroConcurrencyError, InvokeError: As `invoke`.
        """
        base, qualifier = split_name(function_name)
        function = self.get_function(base)
        request_id = new_ids(1)[0]
        version = function.resolve(qualifier, request_id)
        encoded = encode_payload(payload, "RequestResponse")
        request = Request(request_id, encoded, function.qualified_arn(qualifier))
        outcome, _ = await self._execute(function, version, request)
        if isinstance(outcome, FunctionError):
            raise outcome
        return msgspec.json.decode(outcome.payload)

    async def _send(self, subscription: Subscription, pipe: str, items: Sequence[Any], source: str) -> None:
        """Send items to the target of a pipe: they are in the store when this returns.

        Raises:
            DeliveryError: The target's backlog is full.
        """
        await self._accept(subscription, [(f"Pipe {pipe}", f"Event from {source}", item) for item in items])

    async def _discard(self, configuration: EventSourceMappingConfiguration, about: str, discarded: Discarded) -> None:
        """Send a record of a batch that was given up, to the mapping's failure destination if it has one."""
        if configuration.on_failure is None:
            return
        record = failure_record(discarded, about, new_ids(1)[0], self.delivery_now())
        what = "Lambda Function Invocation Result - Failure"
        await self._accept(_failures_of(configuration.name), [("lambda", what, record)])

    async def _accept(self, subscription: Subscription, sent: Sequence[tuple[str, str, Any]]) -> None:
        now = self.delivery_now()
        accepted = [
            Accepted(
                Event(
                    id=id,
                    detail_type=detail_type,
                    source=source,
                    account=self.account,
                    time=now.replace(microsecond=0),
                    region=self.region,
                    detail_json=msgspec.Raw(msgspec.json.encode(item)),
                ),
                now,
                (subscription,),
                event_bus_name=MAPPINGS,
            )
            for id, (source, detail_type, item) in zip(new_ids(len(sent)), sent, strict=True)
        ]
        for result in await self._keep(accepted):
            if result.error_code is not None:
                raise DeliveryError(f"{result.error_code}: {result.error_message}")

    # -- life ----------------------------------------------------------------------------------------------------

    def _start_mapping(self, mapping: EventSourceMapping) -> None:
        if mapping.is_enabled and self._may_read():
            self._dispatcher.start(mapping.run)

    def _may_read(self) -> bool:
        """Say whether sources are read: from when the router is entered until it begins to stop."""
        return self._is_open and self._is_reading

    def _start_mappings(self) -> None:
        """Read all that are enabled; called as the router is entered."""
        self._is_reading = True
        for mapping in self._mappings.values():
            self._start_mapping(mapping)

    async def _stop_mappings(self) -> None:
        """Read no more, and wait until all batches are finished."""
        self._is_reading = False  # first: none may begin that nobody stops
        mappings = list(self._mappings.values())
        for mapping in mappings:
            mapping.stop()
        for mapping in mappings:
            await mapping.wait_for_end()

    def _is_mapping(self, subscription: Subscription) -> bool:
        """Say whether it is the target of a pipe, or the failure destination of a mapping."""
        return subscription.event_bus_name == MAPPINGS and subscription.rule_name in self._mappings


def _failures_of(name: str) -> Subscription:
    return Subscription(MAPPINGS, name, "on_failure")


def _label(source: Source) -> str:
    if isinstance(source, str):
        return source
    return source.name if isinstance(source, Queue) else getattr(source, "__name__", type(source).__name__)
