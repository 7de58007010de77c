"""OpenTelemetry: what the SDK's own exporters receive."""

import importlib
import sys
from contextlib import nullcontext

import anyio
import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from eventrouter import (
    BusTarget,
    EventEntry,
    InvalidEventError,
    MissingExtraError,
    Observation,
    PermanentDeliveryError,
    RetryPolicy,
    Subscription,
    ThrottledError,
)
from eventrouter.otel import OpenTelemetry
from tests.support import EVERYTHING, NOON, Scripted, make_router, order, seconds
from tests.virtual_time import real_time_backends

CARD = "4111-1111"
ONCE = RetryPolicy(maximum_retry_attempts=0)


class Telemetry:
    """An OpenTelemetry SDK that keeps everything in memory."""

    def __init__(self, **options) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("tests")
        ours = OpenTelemetry(
            tracer_provider=self.tracers, meter_provider=MeterProvider(metric_readers=[self.reader]), **options
        )
        self.options = {"observers": [ours], "tracing": ours}

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def metrics(self):
        """Give name -> attributes -> value."""
        [resource] = self.reader.get_metrics_data().resource_metrics
        [scope] = resource.scope_metrics
        return {
            metric.description.removeprefix("EventBridge's "): {
                tuple(sorted(point.attributes.items())): getattr(point, "value", point)
                for point in metric.data.data_points
            }
            for metric in scope.metrics
        }


@pytest.fixture
def telemetry():
    return Telemetry()


async def put(router, *entries):
    async with router:
        results = await router.put_events(list(entries) or [order()])
        await router.settle_down()
    return results


def is_child(span, parent) -> bool:
    return (span.parent.span_id, span.context.trace_id) == (parent.context.span_id, parent.context.trace_id)


async def test_one_trace_from_the_publisher_to_what_the_handler_does(telemetry):
    async def work():
        with telemetry.tracer.start_as_current_span("before waiting"):
            await anyio.sleep(1)
        with telemetry.tracer.start_as_current_span("after waiting"):
            pass

    router = make_router(Scripted(id="t", script=[work]), **telemetry.options)
    async with router:
        with telemetry.tracer.start_as_current_span("request"):
            [result] = await router.put_events([order()])
            assert trace.get_current_span().name == "request"
        await router.settle_down()
    [request], [producer], [consumer] = map(telemetry.named, ("request", "put_events default", "process default"))
    assert is_child(producer, request)
    assert is_child(consumer, producer)
    assert consumer.parent.is_remote
    assert is_child(telemetry.named("before waiting")[0], consumer)
    assert is_child(telemetry.named("after waiting")[0], consumer)
    assert (producer.kind, consumer.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert (producer.status.status_code, consumer.status.status_code) == (StatusCode.UNSET, StatusCode.UNSET)
    assert producer.attributes == {
        "messaging.system": "eventrouter",
        "messaging.operation.name": "put_events",
        "messaging.operation.type": "send",
        "messaging.destination.name": "default",
        "messaging.message.id": result.event_id,
    }
    assert consumer.attributes == {
        "messaging.system": "eventrouter",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "default",
        "messaging.destination.subscription.name": "r/t",
        "messaging.message.id": result.event_id,
        "eventrouter.attempt": 1,
        "eventrouter.event.source": "shop.orders",
        "eventrouter.event.detail_type": "Order Placed",
    }


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_the_span_is_current_in_the_thread_of_a_sync_handler(anyio_backend, telemetry):
    def handle(event):
        with telemetry.tracer.start_as_current_span("in a thread"):
            pass

    await put(make_router(handle, **telemetry.options))
    assert is_child(telemetry.named("in a thread")[0], telemetry.named("process default")[0])


async def test_each_attempt_is_a_span_under_the_same_parent(telemetry):
    await put(make_router(Scripted(id="t", script=[OSError(), ThrottledError()]), **telemetry.options))
    [producer] = telemetry.named("put_events default")
    attempts = telemetry.named("process default")
    assert all(is_child(attempt, producer) for attempt in attempts)
    assert [(span.attributes["eventrouter.attempt"], span.attributes.get("error.type")) for span in attempts] == [
        (1, "OSError"),
        (2, "THROTTLING"),
        (2, None),
    ]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]


class HomeMadeError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "name"),
    [(HomeMadeError(), f"{__name__}.HomeMadeError"), (PermanentDeliveryError(), "PERMANENT_ERROR")],
    ids=["foreign", "ours"],
)
async def test_an_error_is_named_by_its_code_or_its_type(error, name, telemetry):
    await put(make_router(Scripted(id="t", script=[error], retry_policy=ONCE), **telemetry.options))
    assert telemetry.named("process default")[0].attributes["error.type"] == name


async def test_an_attempt_that_is_cut_off_is_cancelled(telemetry):
    target = Scripted(id="t", script=[anyio.sleep_forever], timeout=seconds(1), retry_policy=ONCE)
    await put(make_router(target, **telemetry.options))
    [attempt] = telemetry.named("process default")
    assert (attempt.attributes["error.type"], attempt.status.status_code) == ("cancelled", StatusCode.ERROR)


async def test_an_entry_with_a_header_stays_in_that_trace(telemetry):
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await put(make_router(Scripted(id="t"), **telemetry.options), EventEntry("shop", "x", {}, trace_header=header))
    [attempt] = telemetry.named("process default")
    assert f"{attempt.context.trace_id:032x}-{attempt.parent.span_id:016x}" == header[3:52]


@pytest.mark.parametrize("header", ["Root=1-5759e988-bd862e3fe1be46a994272793", "nonsense", "00-0-0-01"])
async def test_a_header_that_cannot_be_read_begins_a_trace(header, telemetry):
    entry = EventEntry("shop", "x", {}, trace_header=header)
    with telemetry.tracer.start_as_current_span("request"):
        await put(make_router(Scripted(id="t"), **telemetry.options), entry)
    assert telemetry.named("process default")[0].parent is None


async def test_a_trace_that_went_on_when_the_router_was_entered_is_not_that_of_its_events(telemetry):
    target = Scripted(id="t")
    router = make_router(target, observers=telemetry.options["observers"], tracing=OnlyAttempts(telemetry))
    with telemetry.tracer.start_as_current_span("start"):
        await put(router)
    assert telemetry.named("process default")[0].parent is None


class OnlyAttempts:
    """Events of somebody who traces nothing."""

    def __init__(self, telemetry) -> None:
        self.attempt = telemetry.options["tracing"].attempt

    def publish(self, entries, event_bus_name=None):
        return nullcontext(None)


async def test_events_put_by_a_handler_continue_its_trace(telemetry):
    router = make_router(**telemetry.options, pattern={"source": ["shop.orders"]})

    async def bill():
        await router.put_events([EventEntry("shop.bills", "Bill", {})])

    router.put_targets("r", [Scripted(id="t", script=[bill])])
    router.put_rule("bills", {"source": ["shop.bills"]})
    router.put_targets("bills", [Scripted(id="send")])
    await put(router)
    first, second = sorted(telemetry.named("put_events default"), key=lambda span: span.parent is not None)
    by_rule = {
        span.attributes["messaging.destination.subscription.name"]: span for span in telemetry.named("process default")
    }
    assert is_child(by_rule["r/t"], first)
    assert is_child(second, by_rule["r/t"])
    assert is_child(by_rule["bills/send"], second)


async def test_events_handed_on_to_another_bus_continue_the_trace(telemetry):
    router = make_router(**telemetry.options)
    router.add_event_bus("audit")
    router.put_rule("all", EVERYTHING, event_bus_name="audit")
    router.put_targets("all", [Scripted(id="t")], event_bus_name="audit")
    router.put_targets("r", [BusTarget(id="on", router=router, event_bus_name="audit")])
    await put(router)
    names = ["put_events default", "process default", "put_events audit", "process audit"]
    [[first], [second], [third], [fourth]] = map(telemetry.named, names)
    assert is_child(second, first)
    assert is_child(third, second)
    assert is_child(fourth, third)


async def test_a_batch_says_how_many_and_which_bus_if_it_is_one(telemetry):
    router = make_router(Scripted(id="t"), **telemetry.options)
    router.add_event_bus("other")
    await put(router, order(), order(), EventEntry("s", "d", {}, event_bus_name="other"))
    [span] = telemetry.named("put_events")
    assert span.attributes["messaging.batch.message_count"] == 3
    assert "messaging.destination.name" not in span.attributes
    assert "messaging.message.id" not in span.attributes


async def test_a_refused_entry_fails_the_span_of_its_call(telemetry):
    await put(make_router(Scripted(id="t"), **telemetry.options), order(), EventEntry("", "x", {}))
    [span] = telemetry.named("put_events default")
    assert (span.attributes["error.type"], span.status.status_code) == ("InvalidArgument", StatusCode.ERROR)
    [event] = span.events
    assert (event.name, dict(event.attributes)) == (
        "EVENT_INGEST_FAILURE",
        {"error.type": "InvalidArgument", "messaging.destination.name": "default"},
    )


async def test_a_call_that_raises_fails_its_span(telemetry):
    async with make_router(**telemetry.options) as router:
        with pytest.raises(InvalidEventError):
            await router.put_events([])
    [span] = telemetry.named("put_events")
    assert span.attributes["error.type"] == "ValidationException"
    assert span.attributes["messaging.batch.message_count"] == 0


@pytest.mark.parametrize("records", [False, True])
async def test_nothing_of_the_detail_is_in_spans_unless_exceptions_are_asked_for(records):
    telemetry = Telemetry(record_exceptions=records)

    async def quote():
        raise ValueError(CARD)

    target = Scripted(id="t", script=[quote], retry_policy=ONCE)
    await put(make_router(target, **telemetry.options), order(card=CARD))
    assert (CARD in "".join(span.to_json() for span in telemetry.spans)) is records


async def test_metrics_have_eventbridges_names_and_dimensions(telemetry):
    script = [OSError(), PermanentDeliveryError()]
    router = make_router(Scripted(id="t", script=script), Scripted(id="u"), **telemetry.options)
    await put(router, order(), EventEntry("", "x", {}))
    counted = telemetry.metrics()
    bus, rule = (("EventBusName", "default"),), (("EventBusName", "default"), ("RuleName", "r"))
    latency = counted.pop("IngestionToInvocationStartLatency")[rule]
    assert (latency.count, latency.sum) == (2, 0)
    assert counted == {
        "MatchedEvents": {bus: 1},
        "TriggeredRules": {rule: 1},
        "Invocations": {rule: 2},
        "FailedInvocations": {rule: 1},
        "InvocationAttempts": {rule: 3},
        "RetryInvocationAttempts": {rule: 1},
        "InvocationsSentToDlq": {rule: 1},
        "PutEventsFailedEntriesCount": {(): 1},
    }


def test_instruments_are_named_as_opentelemetry_names_them(telemetry):
    key = Subscription("default", "r", "t")
    told = Observation(step="RULE_MATCH", at=NOON, event_bus_name="default", event_id="1", subscriptions=[key])
    telemetry.options["tracing"].observe(told)
    telemetry.options["tracing"].observe(msgspec.structs.replace(told, step="EVENT_INGEST_FAILURE"))
    telemetry.options["tracing"].observe(msgspec.structs.replace(told, step="INVOCATION_DLQ"))
    [resource] = telemetry.reader.get_metrics_data().resource_metrics
    assert {metric.name for metric in resource.scope_metrics[0].metrics} == {
        "eventrouter.matched_events",
        "eventrouter.triggered_rules",
        "eventrouter.put_events_failed_entries_count",
        "eventrouter.invocations_failed_to_be_sent_to_dlq",
    }


async def test_latency_is_in_milliseconds(telemetry):
    async def work():
        await anyio.sleep(2)

    target = Scripted(id="t", script=[work], maximum_concurrency=1)
    await put(make_router(target, **telemetry.options), order(), order())
    [latency] = telemetry.metrics()["IngestionToInvocationStartLatency"].values()
    assert latency.max == pytest.approx(2_000)


async def test_as_an_observer_alone_it_leaves_the_callers_span_as_it_is(telemetry):
    router = make_router(Scripted(id="t"), observers=telemetry.options["observers"])
    async with router:
        with telemetry.tracer.start_as_current_span("request"):
            await router.put_events([order(), EventEntry("", "x", {})])
        await router.settle_down()
    [request] = telemetry.spans
    assert (dict(request.attributes), request.status.status_code) == ({}, StatusCode.UNSET)


async def test_a_span_that_has_ended_is_left_alone(telemetry, caplog):
    """What another router refuses in the same task, later, is not its affair."""
    await put(make_router(Scripted(id="t"), **telemetry.options))
    await put(make_router(Scripted(id="t"), observers=telemetry.options["observers"]), EventEntry("", "x", {}))
    assert "ended span" not in caplog.text
    [span] = telemetry.named("put_events default")
    assert span.status.status_code == StatusCode.UNSET


async def test_without_an_sdk_nothing_is_traced_and_everything_delivered():
    ours = OpenTelemetry()
    target = Scripted(id="t")
    await put(make_router(target, tracing=ours, observers=[ours]))
    assert [delivery.trace_header for delivery in target.seen] == [None]


def test_without_opentelemetry_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "eventrouter.otel")
    with pytest.raises(MissingExtraError, match=r"pip install 'eventrouter\[otel\]'"):
        importlib.import_module("eventrouter.otel")
