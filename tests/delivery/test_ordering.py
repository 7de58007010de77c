"""Events of a group in order, and events that are published once."""

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import BusTarget, EventEntry, InvalidEventError, RetryPolicy
from tests.support import EVERYTHING, Scripted, make_router, order, seconds
from tests.virtual_time import virtual_time_backends


def grouped(group, **detail) -> EventEntry:
    return EventEntry("shop.orders", "Order Placed", detail, event_group_id=group)


async def test_a_retry_holds_up_its_own_group_only():
    target = Scripted(id="t", ordering="FIFO", script=[OSError(), None, OSError()])
    router = make_router(target)
    async with router:
        await router.put_events([grouped("a", n=1), grouped("b", n=1), grouped("a", n=2), order(n=0)])
        await anyio.sleep(0.01)
        assert [(delivery.group, delivery.event.detail["n"]) for delivery in target.seen] == [
            ("a", 1),
            ("b", 1),
            (None, 0),
        ]
        await router.settle_down()
    of_a = [(delivery.event.detail["n"], delivery.attempt) for delivery in target.seen if delivery.group == "a"]
    assert of_a == [(1, 1), (1, 2), (2, 1)]


async def test_an_event_that_is_given_up_lets_the_next_of_its_group_come():
    target = Scripted(id="t", ordering="FIFO", script=[OSError()], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    router = make_router(target)
    async with router:
        await router.put_events([grouped("a", n=1), grouped("a", n=2)])
        await router.settle_down()
        assert len(await router.dead_letters()) == 1
    assert [delivery.event.detail["n"] for delivery in target.seen] == [1, 2]


async def test_without_fifo_a_group_has_no_order():
    target = Scripted(id="t", script=[lambda: anyio.sleep(5), None])
    router = make_router(target)
    async with router:
        await router.put_events([grouped("a", n=1), grouped("a", n=2)])
        await anyio.sleep(1)
        assert (await router.ledger()).total.delivered == 1
        await router.settle_down()


async def test_a_group_goes_with_an_event_to_another_bus():
    target = Scripted(id="t", ordering="FIFO", script=[OSError()])
    router = make_router()
    router.add_event_bus("other")
    router.put_targets("r", [BusTarget(id="bus", router=router, event_bus_name="other", ordering="FIFO")])
    router.put_rule("r", EVERYTHING, event_bus_name="other")
    router.put_targets("r", [target], event_bus_name="other")
    async with router:
        await router.put_events([grouped("a", n=1), grouped("a", n=2)])
        await router.settle_down()
    assert [(delivery.group, delivery.event.detail["n"]) for delivery in target.seen] == [("a", 1), ("a", 1), ("a", 2)]


@settings(max_examples=30)
@given(data=st.data())
def test_every_group_comes_in_order_whatever_fails(data):
    """Each event of a group begins only after the one before it has ended; groups do not wait for one another."""
    groups = data.draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=12))
    steps = st.sampled_from([OSError(), None, lambda: anyio.sleep(3), anyio.lowlevel.checkpoint])
    script = data.draw(st.lists(steps, max_size=25))
    [backend, options] = data.draw(st.sampled_from(virtual_time_backends()))

    async def run():
        target = Scripted(
            id="t", ordering="FIFO", script=list(script), retry_policy=RetryPolicy(maximum_event_age=seconds(10**6))
        )
        router = make_router(target)
        async with router:
            for n, group in enumerate(groups):
                await router.put_events([grouped(group, n=n)])
            await router.settle_down()
        return target.seen

    seen = anyio.run(run, backend=backend, backend_options=options)
    for group in set(groups):
        numbers = [delivery.event.detail["n"] for delivery in seen if delivery.group == group]
        assert numbers == sorted(numbers)
    assert {delivery.event.detail["n"] for delivery in seen} == set(range(len(groups)))


def once(id, n=0, **options) -> EventEntry:
    return EventEntry("shop.orders", "Order Placed", {"n": n}, deduplication_id=id, **options)


async def test_an_entry_is_published_once_in_five_minutes():
    target = Scripted(id="t")
    router = make_router(target)
    async with router:
        [first] = await router.put_events([once("x")])
        await anyio.sleep(299)
        [second] = await router.put_events([once("x", n=1)])
        assert (first.success_code, second.success_code) == ("PUBLISHED", "DEDUPLICATED")
        assert second.event_id == first.event_id
        await anyio.sleep(2)
        [third] = await router.put_events([once("x", n=2)])
        assert third.success_code == "PUBLISHED"
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == [0, 2]
    assert router.closing_report.events == 2


async def test_duplicates_in_one_call_are_found():
    router = make_router(Scripted(id="t"))
    async with router:
        results = await router.put_events([once("x"), order(), once("y"), once("x")])
    assert [result.success_code for result in results] == ["PUBLISHED", "PUBLISHED", "PUBLISHED", "DEDUPLICATED"]
    assert results[3].event_id == results[0].event_id
    assert router.closing_report.total.delivered == 3


async def test_groups_and_buses_have_deduplication_ids_of_their_own():
    router = make_router(Scripted(id="t"))
    router.add_event_bus("other")
    async with router:
        results = await router.put_events(
            [once("x"), once("x", event_group_id="a"), once("x", event_bus_name="other"), once("x")]
        )
    assert [result.success_code for result in results] == ["PUBLISHED", "PUBLISHED", "PUBLISHED", "DEDUPLICATED"]


async def test_entries_can_be_deduplicated_by_their_content():
    router = make_router(Scripted(id="t"))
    async with router:
        results = await router.put_events([order(n=1), order(n=1), order(n=2), once("x", 1)], by_content=True)
        again = await router.put_events([order(n=1)])
    assert [result.success_code for result in results] == ["PUBLISHED", "DEDUPLICATED", "PUBLISHED", "PUBLISHED"]
    assert again[0].success_code == "PUBLISHED"  # only asked for once


async def test_what_deduplication_remembers_is_forgotten():
    router = make_router(Scripted(id="t"))
    async with router:
        for n in range(100):
            await router.put_events([once(f"x{n}")])
            await anyio.sleep(60)
        assert len(router._store._published) <= 6
        assert len(router._store._forget) <= 6


@pytest.mark.parametrize("name", ["event_group_id", "deduplication_id", "trace_header"])
@pytest.mark.parametrize("value", ["", "x" * 129, 7, "\ud800"])
async def test_ids_are_checked(name, value):
    router = make_router(Scripted(id="t"))
    async with router:
        [result] = await router.put_events([EventEntry("s", "t", {}, **{name: value})])
    assert result.error_code == "InvalidArgument"
    assert InvalidEventError(result.error_message)
