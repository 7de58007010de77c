"""OpenTelemetry: spans of what is put and attempted, the trace carried with the event, and EventBridge's metrics.

::

    telemetry = OpenTelemetry()
    router = EventRouter(observers=[telemetry], tracing=telemetry)

Needs the `otel` extra, which brings OpenTelemetry's API; where spans and metrics go is the business of the SDK that the
application sets up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final, get_args

from eventrouter.errors import DeliveryError, InvalidEventError, MissingExtraError
from eventrouter.event import Event, EventEntry
from eventrouter.observability._metrics import LATENCY, STEPS, MetricName, Readings, start_latency
from eventrouter.records import Delivery, Observation, Step

try:
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    raise MissingExtraError("eventrouter.otel", "otel") from None

_SCOPE: Final = "eventrouter"
_TRACEPARENT: Final = "traceparent"
_propagator: Final = TraceContextTextMapPropagator()

#: The span of the `put_events` that is going on, and how many entries it has.
_publishing: ContextVar[tuple[trace.Span, int] | None] = ContextVar("eventrouter_publishing", default=None)


class OpenTelemetry:
    """Spans and metrics of a router; pass it as its `tracing`, and as one of its `observers`.

    As `tracing` it makes, with the attributes of OpenTelemetry's conventions for messaging,

    - a PRODUCER span `put_events BUS` around each call of `put_events` or `forward_events`;
    - a CONSUMER span `process BUS` around each attempt, current while the target runs, in its threads too. Its parent
      is the span that put the event, which travels with it as `trace_header`: `EventEntry.trace_header` if the entry
      has one, else W3C's `traceparent` of the PRODUCER span. Vendors' `tracestate` does not travel. An event without a
      header that can be read begins a trace.

    A span that fails has status ERROR and an `error.type`: an error code of this package, else the exception's type, or
    `cancelled` when the attempt was cut off, by its time limit or by the end of the router. A PRODUCER span fails if
    one of its entries is refused; this and `messaging.message.id` need the observer. No attribute has anything of an
    event's detail.

    As an observer it counts what `Metrics` counts, with attributes `EventBusName` and `RuleName` (`MatchedEvents` with
    the first alone), and records `IngestionToInvocationStartLatency` in milliseconds. OpenTelemetry's names have no
    capitals, so `MatchedEvents` is `eventrouter.matched_events`, and so on; each one's description has EventBridge's.

    Args:
        tracer_provider: Whose spans; by default the global one.
        meter_provider: Whose metrics; by default the global one.
        record_exceptions: Whether spans have the exceptions themselves, with message and traceback, which may quote
            the event.
    """

    steps: Final[frozenset[Step]] = STEPS | {"EVENT_INGEST_SUCCESS"}

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        record_exceptions: bool = False,
    ) -> None:
        self._record_exceptions = record_exceptions
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._readings = Readings()
        self._counters = {
            name: meter.create_counter(_instrument(name), description=f"EventBridge's {name}")
            for name in get_args(MetricName)
        }
        self._latency = meter.create_histogram(_instrument(LATENCY), "ms", f"EventBridge's {LATENCY}")

    # -- tracing -------------------------------------------------------------------------------------------------

    @contextmanager
    def publish(self, entries: Sequence[EventEntry | Event], event_bus_name: str | None = None) -> Iterator[str | None]:
        """Be around a call that puts events."""
        attributes: dict[str, str | int] = {
            "messaging.operation.name": "put_events",
            "messaging.operation.type": "send",
        }
        names = {str(entry.event_bus_name) for entry in entries if isinstance(entry, EventEntry)}
        if event_bus_name is None and len(names) == 1:
            [event_bus_name] = names
        if len(entries) != 1:
            attributes["messaging.batch.message_count"] = len(entries)
        with self._span(event_bus_name, trace.SpanKind.PRODUCER, attributes) as span:
            token = _publishing.set((span, len(entries)))
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            try:
                yield carrier.get(_TRACEPARENT)
            finally:
                _publishing.reset(token)

    def attempt(self, delivery: Delivery) -> AbstractContextManager[object]:
        """Be around an attempt."""
        bus, rule, target = delivery.subscription
        attributes: dict[str, str | int] = {
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.subscription.name": f"{rule}/{target}",
            "messaging.message.id": delivery.event.id,
            "eventrouter.attempt": delivery.attempt,
            "eventrouter.event.source": delivery.event.source,
            "eventrouter.event.detail_type": delivery.event.detail_type,
        }
        # The publisher's trace or none: not one that was going on when the router was entered.
        carrier = {_TRACEPARENT: delivery.trace_header} if delivery.trace_header is not None else {}
        return self._span(bus, trace.SpanKind.CONSUMER, attributes, _propagator.extract(carrier, Context()))

    @contextmanager
    def _span(
        self,
        event_bus_name: str | None,
        kind: trace.SpanKind,
        attributes: Mapping[str, str | int],
        parent: Context | None = None,
    ) -> Iterator[trace.Span]:
        where = {"messaging.destination.name": event_bus_name} if event_bus_name is not None else {}
        with self._tracer.start_as_current_span(
            " ".join((str(attributes["messaging.operation.name"]), *where.values())),
            context=parent,
            kind=kind,
            attributes={"messaging.system": _SCOPE, **where, **attributes},
            record_exception=self._record_exceptions,
            set_status_on_exception=False,  # it would describe the status with the exception's message
        ) as span:
            try:
                yield span
            except BaseException as error:
                _fail(span, _error_type(error))
                raise

    # -- observing -----------------------------------------------------------------------------------------------

    def observe(self, observation: Observation) -> None:
        """Count the step."""
        self._note_on_span(observation)
        for name, (bus, rule), number in self._readings.of(observation):
            if name != "MatchedEvents" or rule is None:  # of each rule, `TriggeredRules` is the same
                self._counters[name].add(number, _attributes(bus, rule))
        seconds = start_latency(observation)
        if seconds is not None:
            self._latency.record(seconds * 1_000, _attributes(observation.event_bus_name, observation.rule_name))

    def _note_on_span(self, observation: Observation) -> None:
        publishing = _publishing.get()
        if publishing is None:
            return
        span, entries = publishing
        if observation.step == "EVENT_INGEST_FAILURE":
            _fail(span, str(observation.error_code))
            span.add_event(
                observation.step,
                {"error.type": str(observation.error_code), "messaging.destination.name": observation.event_bus_name},
            )
        elif observation.step == "EVENT_INGEST_SUCCESS" and entries == 1 and observation.event_id is not None:
            span.set_attribute("messaging.message.id", observation.event_id)


def _instrument(name: str) -> str:
    return f"{_SCOPE}.{re.sub('(?<=[a-z])(?=[A-Z])', '_', name).lower()}"


def _attributes(bus: str | None, rule: str | None) -> dict[str, str]:
    both = {"EventBusName": bus, "RuleName": rule}
    return {name: value for name, value in both.items() if value is not None}


def _fail(span: trace.Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(trace.StatusCode.ERROR)


def _error_type(error: BaseException) -> str:
    if isinstance(error, DeliveryError | InvalidEventError):
        return error.error_code
    if not isinstance(error, Exception):
        return "cancelled"
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
