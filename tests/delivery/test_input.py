"""Inputs on their way through the dispatcher."""

import json
from datetime import timedelta

import pytest

from eventrouter import DeliveryError, EventRouter, Input, InputPath, InputTransformer, InvalidRuleError, RetryPolicy
from tests.support import EVERYTHING, Recorder, Scripted, make_router, order, seconds
from tests.virtual_time import LoopClock

RESERVED = InputTransformer(
    "[<aws.events.rule-arn>,<aws.events.rule-name>,<aws.events.event.ingestion-time>,<time>]", {"time": "$.time"}
)  # fmt: skip


async def deliver(*targets, entry=None, **options):
    router = make_router(*targets, **options)
    async with router:
        await router.put_events([entry or order(n=1)])
        await router.settle_down()
    return router


async def test_a_target_is_invoked_with_its_input_and_the_event():
    target, plain = Scripted(id="t", input=InputPath("$.detail")), Scripted(id="u")
    router = await deliver(target, plain)
    [delivery], [other] = target.seen, plain.seen
    assert (delivery.input, delivery.payload) == (b'{"n":1}', b'{"n":1}')
    assert delivery.event == other.event
    assert (other.input, other.payload) == (None, other.event.to_json())
    assert router.closing_report.total.delivered == 2


def test_what_is_no_input_is_refused_when_the_target_is_made():
    with pytest.raises(InvalidRuleError, match=r"The input '\$\.detail' is none"):
        Scripted(id="t", input="$.detail")


async def test_a_rule_takes_the_input_of_its_function():
    router, seen = EventRouter(clock=LoopClock()), []

    @router.rule(EVERYTHING, input=InputTransformer('"order <n>"', {"n": "$.detail.n"}))
    async def templated(text: str) -> None:
        seen.append(text)

    @router.rule(EVERYTHING, input=lambda event: [event.source])
    async def computed(value: list[str]) -> None:
        seen.append(value)

    async with router:
        await router.put_events([order(n=1)])
    assert sorted(seen, key=str) == [["shop.orders"], "order 1"]


async def test_the_rule_and_the_time_of_acceptance_can_be_told():
    """The time of acceptance is the bus's, whatever time the publisher gives, and the same at every attempt."""
    router = EventRouter(clock=LoopClock(), account="123456789012", region="eu-west-1")
    router.add_event_bus("orders")
    target = Scripted(id="t", input=RESERVED, script=[OSError()])
    router.put_rule("big", EVERYTHING, event_bus_name="orders")
    router.put_targets("big", [target], event_bus_name="orders")
    accepted = LoopClock().now()
    entry = order(n=1)
    async with router:
        entry = type(entry)(entry.source, entry.detail_type, entry.detail, accepted - timedelta(days=1), (), "orders")
        await router.put_events([entry])
    first, second = (json.loads(delivery.payload) for delivery in target.seen)
    arn = "arn:aws:events:eu-west-1:123456789012:rule/orders/big"
    assert first == second
    assert first == [arn, "big", f"{accepted:%Y-%m-%dT%H:%M:%SZ}", f"{accepted - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"]


@pytest.mark.parametrize(
    ("shaped", "message"),
    [
        (InputPath("$.detail.no"), "TransformError: InputPath $.detail.no finds nothing in the event."),
        (InputTransformer('{"a": "<a>"}', {"a": "$.detail"}), 'The text is {"a": "{"n":1}"}'),
        (lambda event: event.detail["no"], "KeyError: 'no'"),
    ],
    ids=["path", "template", "function"],
)
async def test_an_input_that_cannot_be_made_is_a_dead_letter_at_once(shaped, message):
    target = Scripted(id="t", input=shaped)
    router = await deliver(target)
    [letter] = await router.dead_letters()
    assert target.seen == []
    assert (letter.error_code, letter.retry_attempts, letter.exhausted_retry_condition) == ("TRANSFORM_ERROR", 0, None)
    assert message in letter.error_message
    assert letter.event.detail == {"n": 1}


async def test_a_function_that_asks_for_another_attempt_gets_it():
    errors = [DeliveryError("not yet")]

    def shape(event):
        if errors:
            raise errors.pop()
        return 1

    recorder = Recorder()
    target = Scripted(id="t", input=shape, retry_policy=RetryPolicy(base_delay=seconds(1)))
    await deliver(target, observers=[recorder])
    assert recorder.names == ["RetryAt", "Delivered"]
    assert [delivery.payload for delivery in target.seen] == [b"1"]


async def test_what_an_input_function_does_to_the_event_nobody_sees():
    target = Scripted(id="t", input=lambda event: event.detail.pop("n"), script=[OSError()])
    await deliver(target)
    assert [(delivery.payload, delivery.event.detail) for delivery in target.seen] == [(b"1", {"n": 1})] * 2


async def test_the_input_of_a_replaced_target_is_that_of_the_new_one():
    """An input is made when a delivery is attempted, not when the event is accepted."""
    router = make_router(paused := Scripted(id="t", maximum_concurrency=0, input=Input(1)))
    async with router:
        await router.put_events([order()])
        router.put_targets("r", [target := Scripted(id="t", input=Input(2))])
        await router.settle_down()
    assert paused.seen == []
    assert [delivery.payload for delivery in target.seen] == [b"2"]
