"""EventBridge's metrics."""

import math
import statistics
from collections import Counter
from datetime import timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import (
    BusTarget,
    Delivery,
    EventEntry,
    InvalidRuleError,
    MemoryStore,
    Metrics,
    Observation,
    PermanentDeliveryError,
    RetryPolicy,
    Subscription,
    ThrottledError,
)
from eventrouter.observability import Dimensions, Latency, MetricsSnapshot
from eventrouter.observability._metrics import Times
from tests.observability.test_steps import Refusing
from tests.support import EVERYTHING, NOON, Scripted, make_event, make_router, order, seconds

R = Dimensions("default", "r")


async def counted(*targets, entries=(), **options) -> MetricsSnapshot:
    metrics = Metrics()
    async with make_router(*targets, observers=[metrics], **options) as router:
        await router.put_events(list(entries) or [order()])
        await router.settle_down()
    return metrics.snapshot()


async def test_a_success_after_a_retry_is_one_invocation_of_two_attempts():
    snapshot = await counted(Scripted(id="t", script=[OSError()]))
    assert snapshot.counts == {
        Dimensions("default"): {"MatchedEvents": 1},
        R: {
            "MatchedEvents": 1,
            "TriggeredRules": 1,
            "InvocationAttempts": 2,
            "RetryInvocationAttempts": 1,
            "Invocations": 1,
        },
    }


@pytest.mark.parametrize(("queue", "letters"), [({}, 1), ({"dead_letter_queue": None}, 0)], ids=["queue", "none"])
async def test_what_is_given_up_is_an_invocation_that_failed(queue, letters):
    snapshot = await counted(Scripted(id="t", script=[PermanentDeliveryError()], **queue))
    assert snapshot.count("Invocations") == snapshot.count("FailedInvocations") == 1
    assert snapshot.count("InvocationsSentToDlq") == letters


async def test_a_dead_letter_that_is_refused_and_then_taken_counts_as_both():
    snapshot = await counted(Scripted(id="t", script=[PermanentDeliveryError()]), store=Refusing(3))
    assert snapshot.count("InvocationsFailedToBeSentToDlq") == snapshot.count("InvocationsSentToDlq") == 1


async def test_throttlings_and_refusals_are_counted():
    snapshot = await counted(
        Scripted(id="t", script=[ThrottledError()]), entries=[order(), EventEntry("", "x", {}), "none"]
    )
    assert snapshot.count("ThrottledRules") == 1
    assert snapshot.counts[Dimensions()] == {"PutEventsFailedEntriesCount": 2}


async def test_a_target_that_is_left_out_or_goes_round_in_circles_is_a_dead_letter_invocation():
    full = Scripted(id="t", maximum_concurrency=0, maximum_backlog=1, when_full="shed")
    metrics = Metrics()
    router = make_router(full, observers=[metrics], drain_timeout=seconds(0), maximum_hops=1)
    router.add_event_bus("loop")
    router.put_rule("round", EVERYTHING, event_bus_name="loop")
    router.put_targets("round", [BusTarget(id="loop", router=router, event_bus_name="loop")], event_bus_name="loop")
    async with router:
        await router.put_events([order()])
        await router.put_events([order(), EventEntry("s", "d", {}, event_bus_name="loop")])
        await anyio.sleep(1)
    snapshot = metrics.snapshot()
    assert snapshot.counts[R]["DeadLetterInvocations"] == 1
    assert snapshot.count("DeadLetterInvocations", event_bus_name="loop") == 1
    assert snapshot.count("FailedInvocations") == 0
    assert snapshot.count("Invocations", event_bus_name="loop") == 1  # from the bus to itself, once


async def test_an_event_that_two_rules_match_is_one_event_of_its_bus():
    metrics = Metrics()
    router = make_router(Scripted(id="t"), observers=[metrics])
    router.put_rule("q", EVERYTHING)
    router.put_targets("q", [Scripted(id="a"), Scripted(id="b")])
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    snapshot = metrics.snapshot()
    assert snapshot.count("MatchedEvents") == snapshot.count("MatchedEvents", event_bus_name="default") == 2
    assert snapshot.count("MatchedEvents", rule_name="q") == 2
    assert snapshot.count("TriggeredRules") == 4
    assert snapshot.count("Invocations") == 6
    assert snapshot.count("Invocations", rule_name="q") == 4
    assert snapshot.count("Invocations", event_bus_name="other") == 0


async def test_latency_is_from_acceptance_to_the_first_attempt():
    async def work():
        await anyio.sleep(2)

    target = Scripted(id="t", script=[work, work], maximum_concurrency=1, retry_policy=RetryPolicy())
    snapshot = await counted(target, entries=[order(n=n) for n in range(3)])
    latency = snapshot.latency(rule_name="r")
    assert (latency.count, latency.total, latency.maximum, latency.mean) == (3, seconds(6), seconds(4), seconds(2))
    assert seconds(2) <= latency.p50 <= seconds(2) * 1.1
    assert latency.p99 == seconds(4)
    assert snapshot.latency(event_bus_name="other") == Latency()


def test_of_nothing_there_is_no_latency():
    assert (Latency().p50, Latency().p99, Latency().mean) == (None, None, None)


TIMES = st.lists(st.floats(1e-6, 1e7) | st.just(0.0), min_size=1, max_size=50)


@given(TIMES, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_never_too_low_and_at_most_9_percent_too_high(times, share):
    measured = Times()
    for one in times:
        measured.add(one)
    latency = measured.snapshot()
    true = sorted(times)[math.ceil(share * len(times)) - 1]
    found = latency.quantile(share).total_seconds()
    assert true - 1e-6 <= found <= true * 2 ** (1 / 8) + 2e-6
    assert sum(latency.buckets.values()) == latency.count == len(times)
    assert latency.mean.total_seconds() == pytest.approx(statistics.fmean(times), abs=1e-6)


@given(TIMES, TIMES)
def test_latencies_add_up(first, second):
    one, other, both = Times(), Times(), Times()
    for times, seen in ((one, first), (other, second), (both, first + second)):
        for seconds_ in seen:
            times.add(seconds_)
    total, together = one.snapshot() + other.snapshot(), both.snapshot()
    assert (total.count, total.maximum) == (together.count, together.maximum)
    assert Counter(total.buckets) == Counter(together.buckets)
    assert abs(total.total - together.total) <= timedelta(microseconds=2) + 1e-12 * together.total


def test_a_year_of_latencies_fits_into_a_few_hundred_buckets():
    times = Times()
    seconds_ = 1e-9
    while seconds_ < 366 * 86_400:
        times.add(seconds_)
        seconds_ *= 1.01
    assert len(times.buckets) < 400


def test_a_clock_that_went_back_makes_no_negative_latency():
    metrics = Metrics()
    key = Subscription("default", "r", "t")
    delivery = Delivery(1, key, make_event(), 1, NOON + seconds(9), 0, 1)
    metrics.observe(
        Observation(step="INVOCATION_START", at=NOON, event_bus_name="default", subscriptions=[key], delivery=delivery)
    )
    assert metrics.snapshot().latency().total == timedelta(0)


async def test_rules_past_the_limit_are_counted_together():
    metrics = Metrics(maximum_rules=3)
    router = make_router(observers=[metrics])
    for number in range(6):
        router.put_rule(f"r{number}", EVERYTHING)
        router.put_targets(f"r{number}", [Scripted(id="t")])
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    snapshot = metrics.snapshot()
    assert len(snapshot.counts) <= 3 + 2
    assert snapshot.count("Invocations") == 12
    assert snapshot.count("Invocations", rule_name="*") >= 6
    assert len(snapshot.latencies) <= 3 + 1
    assert snapshot.latency().count == 12


@pytest.mark.parametrize("number", [0, 1.5])
def test_a_limit_that_is_none_is_refused(number):
    with pytest.raises(InvalidRuleError, match="maximum_rules"):
        Metrics(maximum_rules=number)


async def test_a_snapshot_does_not_change():
    metrics = Metrics()
    async with make_router(Scripted(id="t"), observers=[metrics], store=MemoryStore()) as router:
        await router.put_events([order()])
        await router.settle_down()
        before = metrics.snapshot()
        await router.put_events([order()])
        await router.settle_down()
    assert before.count("Invocations") == before.latency().count == 1
    assert metrics.snapshot().count("Invocations") == 2
