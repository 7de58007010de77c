"""`router.statistics()`."""

from dataclasses import FrozenInstanceError

import anyio
import pytest

from eventrouter import (
    Delivered,
    EventEntry,
    MemoryStore,
    Metrics,
    PermanentDeliveryError,
    Subscription,
    ThrottledError,
)
from eventrouter.matching import Matcher
from eventrouter.patterns import Pattern
from eventrouter.records import Accepted
from tests.support import EVERYTHING, NOON, Scripted, make_event, make_router, order, seconds


def key(target_id, rule_name="r"):
    return Subscription("default", rule_name, target_id)


async def test_each_subscription_tells_its_backlog_and_age():
    async def hang():
        await anyio.sleep(50)

    slow = Scripted(id="slow", script=[hang], maximum_concurrency=1)
    bad = Scripted(id="bad", script=[PermanentDeliveryError()] * 2)
    router = make_router(slow, bad, drain_timeout=seconds(0))
    router.put_rule("other", {"source": ["others"]})
    router.put_targets("other", [Scripted(id="paused", maximum_concurrency=0), Scripted(id="idle")])
    async with router:
        await router.put_events([order()])
        await anyio.sleep(10)
        await router.put_events([order(), EventEntry("others", "x", {})])
        await anyio.sleep(3)
        statistics = await router.statistics()
    assert statistics.ledger.events == 3
    assert statistics.ledger.total.accepted == 3 * 2 + 2
    told = statistics.subscriptions
    assert (told[key("slow")].counts.in_flight, told[key("slow")].counts.waiting) == (1, 2)
    assert told[key("slow")].oldest_age == seconds(13)
    assert (told[key("bad")].counts.dead_lettered, told[key("bad")].oldest_age) == (2, None)
    waits = told[key("paused", "other")]
    assert (waits.is_paused, waits.counts.waiting, waits.oldest_age) == (True, 1, seconds(3))
    assert [key for key, subscription in told.items() if subscription.is_paused] == [key("paused", "other")]
    assert all(subscription.is_declared for subscription in told.values())
    assert statistics.metrics is None


async def test_a_target_without_deliveries_is_there_too():
    statistics = await make_router(Scripted(id="t")).statistics()
    subscription = statistics.subscriptions[key("t")]
    assert (subscription.counts.accepted, subscription.oldest_age, subscription.throttled_until) == (0, None, None)
    with pytest.raises(FrozenInstanceError):
        statistics.metrics = None


async def test_a_throttled_target_says_until_when():
    router = make_router(Scripted(id="t", script=[ThrottledError(retry_after=seconds(20))]))
    async with router:
        await router.put_events([order()])
        await anyio.sleep(5)
        first = await router.statistics()
        await router.settle_down()
        second = await router.statistics()
    told = first.subscriptions[key("t")]
    assert told.throttled_until - first.at == seconds(15)
    assert told.oldest_age == seconds(5)
    assert second.subscriptions[key("t")].throttled_until is None


async def test_a_pause_that_is_over_is_not_told(monkeypatch):
    """The pump has not looked since."""
    router = make_router(Scripted(id="t"))
    monkeypatch.setattr(router._dispatcher, "throttled_until", lambda _: NOON - seconds(1))
    assert (await router.statistics()).subscriptions[key("t")].throttled_until is None


async def test_a_delivery_that_its_holder_settled_after_its_lease_is_not_the_oldest():
    """Its place among those that are due again is still there."""
    store = MemoryStore()
    for instant in (NOON + seconds(5), NOON):  # the clock went back
        await store.append([Accepted(make_event(), instant, (key("t"),))])
    leased = await store.lease(key("t"), 2, now=NOON + seconds(6), until=NOON + seconds(7))
    oldest = next(delivery for delivery in leased if delivery.accepted_at == NOON)
    assert (await store.ledger()).oldest == {key("t"): NOON}
    [taken_over] = await store.lease(key("t"), 1, now=NOON + seconds(8), until=NOON + seconds(9))
    assert taken_over.id != oldest.id
    assert await store.settle([Delivered(oldest)]) == []
    assert (await store.ledger()).oldest == {key("t"): NOON + seconds(5)}


async def test_what_waits_for_nobody_is_not_declared():
    router = make_router(Scripted(id="t", maximum_concurrency=0), drain_timeout=seconds(0))
    async with router:
        await router.put_events([order()])
    router.remove_targets("r", ["t"])
    statistics = await router.statistics()
    assert not statistics.subscriptions[key("t")].is_declared
    assert statistics.subscriptions[key("t")].counts.waiting == 1


async def test_a_subscription_that_is_paused_says_so():
    router = make_router(Scripted(id="t"))
    router._dispatcher.pause(key("t"))
    assert (await router.statistics()).subscriptions[key("t")].is_paused


async def test_the_age_counts_retries_and_those_behind_in_their_group():
    target = Scripted(id="t", script=[OSError()] * 3, ordering="FIFO")
    async with make_router(target) as router:
        grouped = [EventEntry("s", "d", {"n": n}, event_group_id="g") for n in range(2)]
        await router.put_events(grouped[:1])
        await anyio.sleep(0.01)
        await router.put_events(grouped[1:])
        waiting = await router.statistics()
        assert waiting.subscriptions[key("t")].oldest_age == pytest.approx(seconds(0.01), abs=seconds(0.001))
        await router.settle_down()


async def test_each_bus_tells_its_rules_and_matcher():
    router = make_router(Scripted(id="a"), Scripted(id="b"), pattern={"source": ["x"], "detail": {"n": [1, 2]}})
    router.put_rule("off", EVERYTHING, state="DISABLED")
    router.add_event_bus("quiet")
    buses = (await router.statistics()).buses
    assert {name: (bus.rules, bus.enabled_rules, bus.targets) for name, bus in buses.items()} == {
        "default": (2, 1, 2),
        "quiet": (0, 0, 0),
    }
    alone: Matcher[str] = Matcher()
    alone.add("r", Pattern.parse({"source": ["x"], "detail": {"n": [1, 2]}}))
    assert buses["default"].matcher == alone.statistics()


async def test_metrics_are_part_of_it_when_they_are_counted():
    async with make_router(Scripted(id="t"), observers=[Metrics()]) as router:
        await router.put_events([order()])
        await router.settle_down()
        statistics = await router.statistics()
    assert statistics.metrics.count("Invocations", event_bus_name="default", rule_name="r") == 1
