"""Events that a target returns: put with the outcome, with a cause, up to a depth."""

from typing import ClassVar

import anyio
import pydantic
import pytest

from eventrouter import Event, EventEntry, EventRouter, InvalidResultError
from tests.aftermath import NO_RETRY, ORDERS, fails, record, run
from tests.support import EVERYTHING, Scripted, make_router, order
from tests.virtual_time import LoopClock


def returning(*results, **options):
    """Give a target that returns these, an attempt each."""

    def make(result):
        async def handle():
            return result

        return handle

    return Scripted(**{"id": "t", **options}, script=[make(result) for result in results])


async def put_child(result, *, entry=None, **options):
    """Let a target return *result*, and give the router and what a rule for all other events received."""
    listener, target = Scripted(id="l"), returning(result, **options)
    router = make_router(target, pattern=ORDERS)
    router.put_rule("children", {"source": [{"anything-but": ["shop.orders", "lambda"]}]})
    router.put_targets("children", [listener])
    await run(router=router, entry=entry)
    return router, target, listener.seen


class OrderShipped(pydantic.BaseModel):
    source: ClassVar[str] = "shop.shipping"
    parcels: int | None


class Renamed(OrderShipped):
    detail_type: ClassVar[str] = "Gone"


CHILD = EventEntry("child", "T", {"n": None})


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (CHILD, [("child", "T", {"n": None})]),
        ([CHILD, CHILD], [("child", "T", {"n": None})] * 2),
        ((CHILD, OrderShipped(parcels=2)), [("child", "T", {"n": None}), ("shop.shipping", "Order Shipped", {"parcels": 2})]),
        (Renamed(parcels=None), [("shop.shipping", "Gone", {"parcels": None})]),
        (None, []),
        ([], []),
        ({"source": "child"}, []),
        ("child", []),
    ],
)  # fmt: skip
async def test_events_that_a_target_returns_are_put_and_have_a_cause(result, expected):
    destination = Scripted(id="d")
    router, target, children = await put_child(result, on_success=destination)
    assert [(child.event.source, child.event.detail_type, child.event.detail) for child in children] == expected
    assert {child.causes for child in children} <= {(target.seen[0].event.id,)}
    assert router.closing_report.total.dead_lettered == 0
    told = record(destination.seen[0])["responsePayload"]
    events = [child.event.to_dict() for child in children]
    if not events:
        assert told == result
    else:
        assert told == (events if isinstance(result, list | tuple) else events[0])


async def test_a_returned_event_is_matched_by_the_pattern_of_its_model():
    router = EventRouter(clock=LoopClock())
    seen = []

    @router.rule(ORDERS)
    async def ship(event: Event):
        return OrderShipped(parcels=event.detail["total"])

    async def hear(order):
        seen.append(order.parcels)

    hear.__annotations__["order"] = OrderShipped
    router.on(OrderShipped, parcels=250)(hear)
    await run(router=router)
    assert seen == [250]


async def test_a_model_without_a_source_is_a_result_like_any_other():
    class Receipt(pydantic.BaseModel):
        source: str

    destination = Scripted(id="d")
    router, _, children = await put_child(Receipt(source="x"), on_success=destination)
    assert children == []
    assert record(destination.seen[0])["responsePayload"] == {"source": "x"}
    assert router.closing_report.events == 2


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (EventEntry("", "T", {}), "The event cannot be put: InvalidArgument: Parameter Source is not valid. Reason: Source is a required argument."),
        (EventEntry("child", "T", []), "The event cannot be put: MalformedDetail: Detail is malformed. Reason: It must be a JSON object."),
        ([CHILD, EventEntry("aws.ec2", "T", {})], "The event cannot be put: NotAuthorizedForSourceException: Not authorized for the source: names that begin with 'aws.' are reserved."),
        (EventEntry("child", "T", {}, event_bus_name="x"), "The event cannot be put: ResourceNotFoundException: Event bus x does not exist."),
        ([CHILD, None], "The target returned a list of events that also holds a NoneType; all or none are events."),
        ([CHILD] * 101, "The target returned too much at once: A call takes 1 to 100 entries, got 101. Put it with put_events, in several calls."),
        ([EventEntry("child", "T", {"n": "x" * 200_000})] * 2, "The target returned too much at once: Total size of the entries in the request is over the limit. (400028 of 262144 bytes) Put it with put_events, in several calls."),
    ],
)  # fmt: skip
async def test_events_that_cannot_be_put_are_a_failure_and_none_is_put(result, message):
    failed, succeeded = Scripted(id="f"), Scripted(id="s")
    router, target, children = await put_child(result, on_failure=failed, on_success=succeeded)
    [letter] = await router.dead_letters()
    assert (letter.error_code, letter.error_message) == ("INVALID_RESULT", f"{InvalidResultError.__name__}: {message}")
    assert (len(target.seen), children, succeeded.seen) == (1, [], [])
    assert record(failed.seen[0])["responsePayload"]["errorType"] == "InvalidResultError"


async def test_a_chain_of_returned_events_ends_at_the_depth_limit():
    router = EventRouter(clock=LoopClock(), maximum_depth=3)

    async def again():
        return order()

    target = Scripted(id="t", script=[again] * 100)
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [target])
    await run(router=router)
    causes = [delivery.causes for delivery in target.seen]
    ids = tuple(delivery.event.id for delivery in target.seen)
    assert causes == [ids[:n] for n in range(4)]
    [letter] = await router.dead_letters()
    assert (letter.error_code, letter.causes) == ("DEPTH_LIMIT_EXCEEDED", ids[:3])
    assert letter.error_message == (
        "DepthLimitError: The event would be number 4 in a chain, each put by the handler of the one before; "
        "the limit is 3."
    )


async def test_a_chain_goes_on_through_records_and_dead_letters():
    async def child():
        return CHILD

    destination = Scripted(id="d", script=[child])
    queue = Scripted(id="q", script=[child])
    listener = Scripted(id="l")
    target = fails(OSError(), on_failure=destination, dead_letter_queue=queue)
    router = make_router(target, pattern=ORDERS)
    router.put_rule("children", {"source": ["child"]})
    router.put_targets("children", [listener])
    await run(router=router)
    first, sent = target.seen[0].event.id, destination.seen[0].event.id
    assert {delivery.causes for delivery in listener.seen} == {(first,), (first, sent)}


async def test_returned_events_keep_groups_traces_and_deduplication():
    entry = EventEntry("child", "T", {}, event_group_id="g", deduplication_id="x")
    _, target, children = await put_child([entry, entry], entry=EventEntry("shop.orders", "T", {}, trace_header="00-1"))
    [child] = children
    assert (child.group, child.trace_header, child.causes) == ("g", "00-1", (target.seen[0].event.id,))


async def test_returned_events_are_taken_while_the_router_closes():
    async def late():
        await anyio.sleep(5)
        return CHILD

    listener = Scripted(id="l")
    router = make_router(Scripted(id="t", script=[late]), pattern=ORDERS)
    router.put_rule("children", {"source": ["child"]})
    router.put_targets("children", [listener])
    async with router:
        await router.put_events([order()])
    assert len(listener.seen) == 1


async def test_observers_hear_of_events_that_follow_but_not_twice_of_one():
    told = []

    class Hearing:
        def observe(self, observation):
            if observation.step == "EVENT_INGEST_SUCCESS":
                told.append(observation.event_id)

    queue, listener = Scripted(id="q"), Scripted(id="l")
    target = Scripted(id="t", script=[OSError()], retry_policy=NO_RETRY, dead_letter_queue=queue)
    router = make_router(target, returning(CHILD, id="u"), pattern=ORDERS, observers=[Hearing()])
    router.put_rule("children", {"source": ["child"]})
    router.put_targets("children", [listener])
    await run(router=router)
    assert told == [target.seen[0].event.id, listener.seen[0].event.id]
