"""Buses as targets of rules."""

import anyio
import pytest

from eventrouter import BusTarget, EventRouter, InputPath, InvalidRuleError, NotFoundError
from tests.support import EVERYTHING, Scripted, order, seconds
from tests.virtual_time import LoopClock


def make_buses(*names, **options) -> EventRouter:
    router = EventRouter(clock=LoopClock(), **options)
    for name in names:
        router.add_event_bus(name)
        router.put_rule("all", EVERYTHING, event_bus_name=name)
    router.put_rule("all", EVERYTHING)
    return router


def connect(router, source, destination):
    router.put_targets(
        "all", [BusTarget(id=f"to-{destination}", router=router, event_bus_name=destination)], event_bus_name=source
    )


async def test_an_event_goes_on_with_its_id():
    router, target = make_buses("audit"), Scripted(id="t")
    connect(router, "default", "audit")
    router.put_targets("all", [target], event_bus_name="audit")
    async with router:
        [result] = await router.put_events([order(n=1)])
    [delivery] = target.seen
    assert (delivery.event.id, delivery.hops) == (result.event_id, 1)
    assert router.closing_report.events == 2


async def test_buses_that_feed_each_other_stop_at_the_hop_limit():
    router = make_buses("b", maximum_hops=4)
    connect(router, "default", "b")
    connect(router, "b", "default")
    async with router:
        await router.put_events([order()])
    [letter] = await router.dead_letters()
    assert (letter.error_code, letter.retry_attempts) == ("HOP_LIMIT_EXCEEDED", 0)
    assert "came through 5 buses, the limit is 4" in letter.error_message
    assert router.closing_report.events == 5


def test_a_bus_that_does_not_exist_is_refused_when_the_target_is_made():
    with pytest.raises(NotFoundError, match="nowhere"):
        BusTarget(id="t", router=make_buses(), event_bus_name="nowhere")


def test_an_event_on_its_way_to_a_bus_cannot_be_reshaped():
    with pytest.raises(InvalidRuleError, match="Target t is a bus, and cannot have an input"):
        BusTarget(id="t", router=make_buses(), event_bus_name="default", input=InputPath("$.detail"))


async def test_a_bus_that_has_been_removed_is_a_dead_letter_at_once():
    router = make_buses("b")
    connect(router, "default", "b")
    router.remove_rule("all", event_bus_name="b")
    router.remove_event_bus("b")
    async with router:
        await router.put_events([order()])
    [letter] = await router.dead_letters()
    assert letter.error_code == "NO_RESOURCE"


async def test_a_bus_whose_targets_are_full_is_tried_again():
    stuck = Scripted(id="t", script=[lambda: anyio.sleep(2)] * 9, maximum_backlog=1, maximum_concurrency=1)
    router = make_buses("b")
    router.put_timeout = seconds(0)
    connect(router, "default", "b")
    router.put_targets("all", [stuck], event_bus_name="b")
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    assert len(stuck.seen) == 2
    assert router.closing_report.total.retries >= 1
    assert router.closing_report.total.dead_lettered == 0
