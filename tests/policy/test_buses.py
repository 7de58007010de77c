"""Policies on buses: whose events a router takes."""

import pytest

from eventrouter import BusTarget, EventEntry, InvalidRuleError, NotFoundError, Policy, PutResult
from eventrouter.policy import allow, deny
from tests.support import EVERYTHING, Scripted, make_event, make_router, order

SOURCE, DETAIL_TYPE, ACCESS = (
    "NotAuthorizedForSourceException",
    "NotAuthorizedForDetailTypeException",
    "AccessDeniedException",
)


def codes(results):
    return [result.error_code for result in results]


async def test_a_bus_without_a_policy_is_open():
    target = Scripted(id="t")
    async with make_router(target) as router:
        assert (
            codes(await router.put_events([order()]) + await router.put_events([order()], principal="x")) == [None] * 2
        )
    assert len(target.seen) == 2


async def test_each_entry_is_decided_by_itself():
    target = Scripted(id="t")
    router = make_router(target)
    router.add_event_bus("open")
    router.put_policy(Policy.of(allow("shop", sources=["shop.*"], detail_types=["Order Placed"])))
    entries = [
        order(n=1),
        EventEntry("stock", "Order Placed", {}),
        EventEntry("shop.orders", "Order Paid", {}),
        EventEntry("stock", "Moved", {}, event_bus_name="open"),
        EventEntry("stock", "Moved", {}, event_bus_name="nowhere"),
        order(n=2),
    ]
    async with router:
        results = await router.put_events(entries, principal="shop")
        assert codes(results) == [None, SOURCE, DETAIL_TYPE, None, "ResourceNotFoundException", None]
        assert results[1].error_message == "shop may not events:PutEvents on default: no statement allows this source."
        assert codes(await router.put_events([order()], principal="other")) == [ACCESS]
        assert codes(await router.put_events([order()])) == [ACCESS]
    assert sorted(delivery.event.detail["n"] for delivery in target.seen) == [1, 2]
    assert router.closing_report.events == 3


async def test_the_process_itself_is_allowed_as_everybody_is():
    router = make_router(Scripted(id="t"))
    router.put_policy(Policy.of(allow("*", sources=["shop.*"]), deny("guest")))
    async with router:
        assert codes(await router.put_events([order()])) == [None]
        assert codes(await router.put_events([order()], principal="guest")) == [ACCESS]


async def test_no_policy_opens_the_sources_that_are_reserved():
    router = make_router(Scripted(id="t"))
    router.put_policy(Policy.of(allow("*")))
    async with router:
        assert codes(await router.put_events([EventEntry("aws.ec2", "T", {})], principal="x")) == [SOURCE]


async def test_forwarded_events_are_decided_too():
    router = make_router(Scripted(id="t"))
    router.put_policy(Policy.of(allow("aws", sources=["aws.*"]), allow("shop", sources=["shop.*"])))
    event = make_event()
    async with router:
        assert await router.forward_events([event], principal="shop") == [PutResult(event.id, success_code="PUBLISHED")]
        assert codes(await router.forward_events([event, event], principal="aws")) == [SOURCE] * 2
        assert codes(await router.forward_events([event])) == [ACCESS]


def audited(policy, **options):
    """Give a router whose rule `r` hands everything to the bus `audit`, and that bus's target."""
    target = Scripted(id="t")
    router = make_router()
    router.add_event_bus("audit")
    router.put_rule("all", EVERYTHING, event_bus_name="audit")
    router.put_targets("all", [target], event_bus_name="audit")
    router.put_targets("r", [BusTarget(id="b", router=router, event_bus_name="audit", **options)])
    router.put_policy(policy, event_bus_name="audit")
    return router, target


@pytest.mark.parametrize(
    ("allowed", "options"),
    [
        ("arn:aws:events:local:000000000000:rule/r", {}),
        ("000000000000", {}),
        ("the auditor", {"principal": "the auditor"}),
    ],
)
async def test_a_rule_hands_on_as_itself_or_as_it_is_told(allowed, options):
    router, target = audited(Policy.of(allow(allowed)), **options)
    async with router:
        await router.put_events([order()])
    assert len(target.seen) == 1


async def test_a_rule_of_another_bus_is_called_by_its_bus():
    router, target = audited(Policy.of(allow("arn:aws:events:local:000000000000:rule/orders/r2")))
    router.add_event_bus("orders")
    router.put_rule("r2", EVERYTHING, event_bus_name="orders")
    router.put_targets("r2", [BusTarget(id="b", router=router, event_bus_name="audit")], event_bus_name="orders")
    async with router:
        await router.put_events([EventEntry("s", "T", {}, event_bus_name="orders")])
    assert len(target.seen) == 1


async def test_what_may_not_be_handed_on_is_a_dead_letter_at_once():
    router, target = audited(Policy.of(allow("somebody")))
    async with router:
        [result] = await router.put_events([order()])
    [letter] = await router.dead_letters()
    assert (result.error_code, letter.error_code, letter.retry_attempts) == (None, "NO_PERMISSIONS", 0)
    assert "AccessDeniedException: arn:aws:events:local:000000000000:rule/r may not" in letter.error_message
    assert target.seen == []


async def test_policies_come_and_go():
    router = make_router(Scripted(id="t"))
    policy = Policy.of(allow("shop"))
    assert router.get_policy() is None
    router.put_policy(policy)
    assert router.get_policy() is policy
    async with router:
        assert codes(await router.put_events([order()])) == [ACCESS]
        router.put_policy(policy.to_data() | {"Id": "2"})
        assert router.get_policy().to_data()["Id"] == "2"
        router.put_policy(policy.document)
        assert router.get_policy() == policy
        router.remove_policy()
        assert codes(await router.put_events([order()])) == [None]
    with pytest.raises(NotFoundError, match="Event bus default has no policy"):
        router.remove_policy()


def test_a_new_bus_of_an_old_name_is_open():
    router = make_router()
    router.add_event_bus("orders")
    router.put_policy(Policy.of(allow("shop")), event_bus_name="orders")
    router.remove_event_bus("orders")
    with pytest.raises(NotFoundError):
        router.get_policy(event_bus_name="orders")
    router.add_event_bus("orders")
    assert router.get_policy(event_bus_name="orders") is None


def test_what_is_not_usable_changes_nothing():
    router = make_router()
    policy = Policy.of(allow("shop"))
    router.put_policy(policy)
    with pytest.raises(InvalidRuleError, match="has no Statement"):
        router.put_policy({"Version": "2012-10-17"})
    for unrelated in (allow("a", resource="audit"), allow("a", action="lambda:*")):
        with pytest.raises(InvalidRuleError, match="about events:PutEvents on default"):
            router.put_policy(Policy.of(unrelated))
    with pytest.raises(NotFoundError, match="nowhere"):
        router.put_policy(policy, event_bus_name="nowhere")
    assert router.get_policy() is policy
