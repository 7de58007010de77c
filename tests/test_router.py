"""Putting events, and managing buses and rules."""

from collections import deque

import anyio.lowlevel
import pytest

from eventrouter import (
    BusClosedError,
    ConflictError,
    EventEntry,
    EventRouter,
    FunctionTarget,
    InvalidEventError,
    InvalidRuleError,
    LogTarget,
    MemoryStore,
    NotFoundError,
    PatternError,
    PutResult,
    Subscription,
)
from eventrouter.otel import OpenTelemetry
from tests.support import EVERYTHING, Scripted, make_event, make_router, order, seconds
from tests.virtual_time import LoopClock

LARGE = {"detail": {"total": [{"numeric": [">", 100]}]}}


async def put(router, *entries):
    """Put entries, wait for all deliveries, give the results."""
    results = await router.put_events(list(entries))
    await router.settle_down()
    return results


async def test_an_event_goes_to_every_target_of_every_rule_it_matches():
    a, b, c, never = (Scripted(id=name) for name in ("a", "b", "c", "never"))
    router = make_router(a, b)
    router.put_rule("large", LARGE)
    router.put_targets("large", [c])
    router.put_rule("other", {"source": ["elsewhere"]})
    router.put_targets("other", [never])
    async with router:
        [result] = await put(router, order(total=250))
    received = [target.seen[0].event for target in (a, b, c)]
    assert {event.id for event in received} == {result.event_id}
    assert received[0].detail == {"total": 250}
    assert never.seen == []


async def test_results_come_one_per_entry_in_order_and_bad_entries_disturb_no_other():
    target = Scripted(id="t")
    router = make_router(target)
    async with router:
        results = await put(
            router,
            order(n=1),
            EventEntry("", "T", {}),
            EventEntry("shop", "T", []),
            EventEntry("aws.ec2", "T", {}),
            EventEntry("shop", "T", {}, event_bus_name="nowhere"),
            "not an entry",
            order(n=2),
        )
    assert [result.error_code for result in results] == [
        None,
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForSourceException",
        "ResourceNotFoundException",
        "InvalidArgument",
        None,
    ]
    assert results[4].error_message == "Event bus nowhere does not exist."
    assert {delivery.event.id for delivery in target.seen} == {results[0].event_id, results[6].event_id}
    assert router.closing_report.events == 2


@pytest.mark.parametrize("count", [0, 101])
async def test_a_call_takes_1_to_100_entries(count):
    async with make_router() as router:
        with pytest.raises(InvalidEventError, match=f"1 to 100 entries, got {count}") as caught:
            await router.put_events([order()] * count)
        assert caught.value.error_code == "ValidationException"
        assert len(await router.put_events([order()] * 100)) == 100


@pytest.mark.parametrize("tracing", [None, OpenTelemetry()])
@pytest.mark.parametrize(
    ("items", "got", "hint"),
    [
        (order(), "EventEntry", "put it in a list"),
        (make_event(), "Event", "put it in a list"),
        ({"source": "shop"}, "dict", "put it in a list"),
        ((order() for _ in range(2)), "generator", "make a list of it"),
        (None, "NoneType", "make a list of it"),
        ("shop", "str", "make a list of it"),
    ],
)
async def test_what_is_no_list_is_refused_with_what_to_do(items, got, hint, tracing):
    async with make_router(tracing=tracing) as router:
        for put, what in ((router.put_events, "entries"), (router.forward_events, "events")):
            with pytest.raises(InvalidEventError) as caught:
                await put(items)
            assert str(caught.value) == f"A call takes a list of {what}, got {got}; {hint}."
            assert caught.value.error_code == "ValidationException"


async def test_any_sequence_is_a_list():
    async with make_router() as router:
        assert len(await router.put_events((order(),))) == len(await router.put_events(deque([order()]))) == 1


async def test_what_is_forwarded_and_no_event_is_refused_by_itself():
    async with make_router() as router:
        results = await router.forward_events([order(), make_event()])
    assert [result.error_code for result in results] == ["InvalidArgument", None]
    assert results[0].error_message == "What is forwarded must be an Event, got EventEntry; Event.from_json makes one."


async def test_a_request_over_the_size_limit_fails_whole():
    async with make_router() as router:
        with pytest.raises(InvalidEventError, match="Total size of the entries in the request is over the limit"):
            await router.put_events([order(n=1), order(text="x" * 256 * 1024)])
        assert (await router.ledger()).events == 0
        assert (await router.put_events([order(text="x" * 255 * 1024)]))[0].event_id


async def test_changing_a_detail_after_putting_it_changes_nothing():
    target = Scripted(id="t")
    async with make_router(target) as router:
        detail = {"items": [1]}
        await router.put_events([EventEntry("shop", "T", detail)])
        detail["items"].append(2)
        await router.settle_down()
    assert target.seen[0].event.detail == {"items": [1]}


async def test_a_rule_put_before_an_event_sees_it_and_one_put_afterwards_does_not():
    before, after = Scripted(id="before"), Scripted(id="after")
    async with make_router(before) as router:
        await router.put_events([order()])
        router.put_targets("r", [after])
        await router.settle_down()
        assert (len(before.seen), len(after.seen)) == (1, 0)
        await put(router, order())
        assert (len(before.seen), len(after.seen)) == (2, 1)


async def test_a_disabled_rule_matches_nothing_until_it_is_enabled():
    target = Scripted(id="t")
    async with make_router(target) as router:
        router.disable_rule("r")
        assert router.list_rules()[0].state == "DISABLED"
        await put(router, order())
        assert target.seen == []
        router.enable_rule("r")
        await put(router, order())
        assert len(target.seen) == 1


async def test_replacing_a_rule_keeps_its_targets():
    target = Scripted(id="t")
    router = make_router(target)
    router.put_rule("r", LARGE, description="now only large ones")
    async with router:
        await put(router, order(total=1), order(total=101))
    assert [delivery.event.detail["total"] for delivery in target.seen] == [101]
    [rule] = router.list_rules()
    assert (rule.description, rule.targets) == ("now only large ones", (target,))


async def test_a_replaced_target_takes_over_what_waits_for_the_old_one():
    old, new = Scripted(id="t", script=[OSError()]), Scripted(id="t")
    async with make_router(old) as router:
        await router.put_events([order()])
        while not old.seen:
            await anyio.lowlevel.checkpoint()
        router.put_targets("r", [new])
        await router.settle_down()
    assert (len(old.seen), len(new.seen)) == (1, 1)
    assert router.list_targets("r") == [new]


async def test_a_removed_target_still_gets_what_was_accepted_before():
    target = Scripted(id="t", script=[OSError()])
    async with make_router(target) as router:
        await router.put_events([order(n=1)])
        router.remove_targets("r", ["t"])
        await put(router, order(n=2))
    assert [delivery.event.detail["n"] for delivery in target.seen] == [1, 1]
    assert router.list_targets("r") == []


async def test_buses_are_separate():
    on_default, on_orders = Scripted(id="t"), Scripted(id="t")
    router = make_router(on_default)
    router.add_event_bus("orders")
    router.put_rule("r", EVERYTHING, event_bus_name="orders")
    router.put_targets("r", [on_orders], event_bus_name="orders")
    async with router:
        await put(router, EventEntry("s", "T", {}, event_bus_name="orders"))
    assert (len(on_default.seen), len(on_orders.seen)) == (0, 1)
    assert on_orders.seen[0].subscription == Subscription("orders", "r", "t")
    assert router.list_event_buses() == ["default", "orders"]
    assert [rule.event_bus_name for rule in router.list_rules(event_bus_name="orders")] == ["orders"]


async def test_forwarded_events_stay_as_they_are():
    target = Scripted(id="t")
    router = make_router(target)
    event = make_event()
    async with router:
        assert await router.forward_events([event]) == [PutResult(event.id, success_code="PUBLISHED")]
        assert (await router.forward_events([event], "nowhere"))[0].error_code == "ResourceNotFoundException"
        await router.settle_down()
    assert [delivery.event for delivery in target.seen] == [event]


def test_the_default_bus_and_a_bus_with_rules_stay():
    router = EventRouter()
    router.add_event_bus("orders")
    router.put_rule("r", EVERYTHING, event_bus_name="orders")
    with pytest.raises(ConflictError, match="Cannot delete event bus default"):
        router.remove_event_bus("default")
    with pytest.raises(ConflictError, match="has rules"):
        router.remove_event_bus("orders")
    router.remove_rule("r", event_bus_name="orders")
    router.remove_event_bus("orders")
    assert router.list_event_buses() == ["default"]


def test_a_rule_with_targets_stays():
    router = make_router(Scripted(id="t"))
    with pytest.raises(ConflictError, match="can't be deleted since it has targets"):
        router.remove_rule("r")
    router.remove_targets("r", ["t"])
    router.remove_rule("r")
    assert router.list_rules() == []


def test_a_disabled_rule_can_be_replaced_and_removed():
    router = EventRouter()
    router.put_rule("r", EVERYTHING, state="DISABLED")
    router.put_rule("r", LARGE, state="DISABLED")
    router.remove_rule("r")
    assert router.list_rules() == []


@pytest.mark.parametrize(
    "act",
    [
        lambda r: r.put_rule("r", EVERYTHING, event_bus_name="nowhere"),
        lambda r: r.remove_rule("none"),
        lambda r: r.enable_rule("none"),
        lambda r: r.disable_rule("none"),
        lambda r: r.put_targets("none", [Scripted(id="t")]),
        lambda r: r.remove_targets("r", ["t", "none"]),
        lambda r: r.list_targets("none"),
        lambda r: r.list_rules(event_bus_name="nowhere"),
        lambda r: r.remove_event_bus("nowhere"),
    ],
    ids=range(9),
)
def test_what_does_not_exist_is_said_to_be_not_found_and_nothing_changes(act):
    router = make_router(Scripted(id="t"))
    with pytest.raises(NotFoundError, match=r"none|nowhere"):
        act(router)
    assert [target.id for target in router.list_targets("r")] == ["t"]


@pytest.mark.parametrize("name", ["", "a b", "ü", "x" * 65, None])
def test_names_are_eventbridges(name):
    router = EventRouter()
    with pytest.raises(InvalidRuleError, match="use 1 to 64 letters"):
        router.put_rule(name, EVERYTHING)
    with pytest.raises(InvalidRuleError, match="use 1 to 64 letters"):
        LogTarget(id=name)
    router.add_event_bus("x" * 256)
    with pytest.raises(ConflictError, match="already exists"):
        router.add_event_bus("x" * 256)
    with pytest.raises(InvalidRuleError, match="use 1 to 256 letters"):
        router.add_event_bus("x" * 257)


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": seconds(0)}, {"timeout": 5}, {"maximum_concurrency": -1}, {"maximum_concurrency": True}],
    ids=str,
)
def test_target_options_that_make_no_sense_are_refused_by_name(wrong):
    [name] = wrong
    with pytest.raises(InvalidRuleError, match=name):
        LogTarget(id="t", **wrong)


def test_an_invalid_pattern_or_state_changes_nothing():
    router = make_router()
    with pytest.raises(PatternError, match="must be an object or an array"):
        router.put_rule("r", {"source": "shop"})
    with pytest.raises(InvalidRuleError, match="ENABLED or DISABLED"):
        router.put_rule("r", LARGE, state="ON")
    with pytest.raises(InvalidRuleError, match="have the same id"):
        router.put_targets("r", [Scripted(id="t"), Scripted(id="t")])
    assert [(rule.state, rule.targets) for rule in router.list_rules()] == [("ENABLED", ())]


async def test_the_decorator_makes_a_rule_with_the_function_as_target():
    router = EventRouter(clock=LoopClock())
    seen = []

    @router.rule(LARGE, maximum_concurrency=2, description="Large ones.")
    async def flag_large_order(event):
        seen.append(event.detail["total"])

    @router.rule(EVERYTHING, name="all", state="DISABLED")
    async def watch(event): ...

    async with router:
        await put(router, order(total=1), order(total=101))
    assert seen == [101]
    [large, everything] = router.list_rules()
    assert (large.name, large.description, everything.name) == ("flag_large_order", "Large ones.", "all")
    assert large.targets == (FunctionTarget(id="flag_large_order", function=flag_large_order, maximum_concurrency=2),)


def test_the_decorator_never_replaces_a_rule():
    router = EventRouter()

    @router.rule(LARGE)
    async def handle(event): ...

    with pytest.raises(ConflictError, match="pass name="):
        router.rule(EVERYTHING)(handle)
    router.rule(EVERYTHING, name="second")(handle)
    with pytest.raises(InvalidRuleError):
        router.rule(EVERYTHING)(lambda event: event)
    with pytest.raises(PatternError):
        router.rule({}, name="third")(handle)
    assert [rule.name for rule in router.list_rules()] == ["handle", "second"]


async def test_events_are_refused_outside_the_running_router():
    router = make_router()
    with pytest.raises(BusClosedError):
        await router.put_events([order()])
    async with router:
        with pytest.raises(RuntimeError, match="already been entered"):
            async with router:
                pass
        await router.put_events([order()])
    with pytest.raises(BusClosedError):
        await router.forward_events([make_event()])


def test_stores_are_named_or_handed_over():
    EventRouter("memory://")
    EventRouter(MemoryStore())
    with pytest.raises(InvalidRuleError, match="memory://"):
        EventRouter("postgres://")
