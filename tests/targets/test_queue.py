"""A queue as a target, a destination, and a dead-letter queue: a message for each delivery that ended, and one."""

import json

import anyio
import pytest

from eventrouter import (
    Event,
    EventEntry,
    EventRouter,
    Input,
    InvalidRuleError,
    MemoryStore,
    QueueCounts,
    QueueEntry,
    QueueTarget,
    RetryPolicy,
    Subscription,
)
from tests.queues.support import make_queue, take
from tests.support import Scripted, make_event, make_router, order, seconds
from tests.virtual_time import LoopClock

NO_RETRY = RetryPolicy(maximum_retry_attempts=0)


def router_with(name="jobs", /, **options):
    """Give a router whose rule sends everything to a queue."""
    attributes = options.pop("attributes", {})
    router = make_router()
    queue = router.create_queue(name, **attributes)
    router.put_targets("r", [QueueTarget(id="q", queue=queue, **options)])
    return router, queue


async def put(router, *entries):
    async with router:
        return await router.put_events(entries or [order(total=1)])


async def test_the_message_is_the_event_and_counts_as_sent():
    router, queue = router_with()
    [result] = await put(router)
    [message] = await queue.receive(10)
    event = Event.from_json(message.body)
    assert (event.id, event.detail, message.causes) == (result.event_id, {"total": 1}, (result.event_id,))
    assert (message.message_group_id, message.deduplication_id, message.attributes) == (None, None, {})
    ledger = router.closing_report
    assert (ledger.events, ledger.total.delivered) == (1, 1)
    assert ledger.queues == {"jobs": QueueCounts(sent=1, waiting=1)}


async def test_the_message_may_be_an_input_and_is_delayed_as_the_queue_says():
    router, queue = router_with(input=Input('{"a": 1}'), attributes={"delay": seconds(5)})
    await put(router, EventEntry("s", "T", {}, trace_header="00-trace"))
    assert await take(queue) == []
    [message] = await queue.receive(wait_time=seconds(5))
    assert message.json() == {"a": 1}
    assert message.trace_header == "00-trace"


async def test_whoever_waits_has_the_message_at_once():
    router, queue = router_with()
    got = []

    async def receive():
        start = anyio.current_time()
        await queue.receive(wait_time=seconds(20))
        got.append(anyio.current_time() - start)

    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.sleep(2.5)
        await router.put_events([order(total=1)])
    assert got == [pytest.approx(2.5)]


class Fragile(MemoryStore):
    """Fails to write outcomes of rules at first, as a disk that is full."""

    failures = 4

    async def settle(self, outcomes):
        if self.failures and outcomes[0].delivery.subscription.queue_name is None:
            self.failures -= 1
            raise OSError("no space")
        return await super().settle(outcomes)


async def test_there_is_one_message_however_often_the_outcome_is_written():
    router = make_router(store=Fragile())
    queue = router.create_queue("jobs")
    router.put_targets("r", [QueueTarget(id="q", queue=queue)])
    async with router:
        await router.put_events([order(total=1)])
        assert await take(queue) == []
    assert router._store.failures == 0
    assert (await queue.depth()).visible == 1


async def test_a_router_that_is_stopped_in_between_has_sent_nothing_and_then_all():
    class Stuck(MemoryStore):
        async def settle(self, outcomes):
            if not stuck:
                return await super().settle(outcomes)
            raise OSError("gone")

    stuck = [True]
    router = make_router(store=Stuck(), drain_timeout=seconds(1))
    queue = router.create_queue("jobs")
    router.put_targets("r", [QueueTarget(id="q", queue=queue)])
    await put(router)
    assert (await queue.depth()).visible == 0
    assert router.closing_report.total.delivered == 0
    stuck.clear()
    async with router:
        await router.settle_down()
        await anyio.sleep(61)  # the lease of the attempt that was not settled
        await router.settle_down()
    assert (await queue.depth()).visible == 1


GROUPS = [
    (None, "order-7", "order-7"),
    ("all", "order-7", "all"),
    ("$.detail.customer", None, "c1"),
    ("$.detail.missing", "order-7", "order-7"),
]


@pytest.mark.parametrize(("given", "of_event", "group"), GROUPS)
async def test_a_message_group_is_named_by_the_target_or_the_event(given, of_event, group):
    router, queue = router_with("jobs.fifo", message_group_id=given)
    await put(router, EventEntry("s", "T", {"customer": "c1"}, event_group_id=of_event))
    [message] = await queue.receive()
    assert message.message_group_id == group
    assert message.deduplication_id.startswith(Event.from_json(message.body).id)


async def test_events_without_a_group_hold_up_nobody():
    router, queue = router_with("jobs.fifo")
    await put(router, order(n=1), order(n=2))
    assert len(await queue.receive(10)) == 2


async def test_an_event_that_comes_again_is_no_second_message_of_a_fifo_queue():
    router, queue = router_with("jobs.fifo")
    router.put_targets("r", [QueueTarget(id="other", queue=queue, input=Input('"x"'))])
    async with router:
        for _ in range(2):
            await router.forward_events([make_event()])
            await router.settle_down()
    depth = await queue.depth()
    assert depth.visible == 2  # one from each target
    assert router.closing_report.total.delivered == 4


async def test_events_of_a_group_keep_their_order_from_end_to_end():
    router, queue = router_with("jobs.fifo", ordering="FIFO")
    await put(router, *[EventEntry("s", "T", {"n": n}, event_group_id="g") for n in range(30)])
    seen = []
    while messages := await queue.receive(10):
        for message in messages:
            seen.append(message.json()["detail"]["n"])
            await queue.delete(message)
    assert seen == list(range(30))


async def test_a_message_that_is_too_large_is_a_dead_letter():
    router, queue = router_with(attributes={"maximum_message_size": 1024})
    await put(router, order(text="x" * 1024))
    [letter] = await router.dead_letters()
    assert (letter.error_code, letter.retry_attempts) == ("INVALID_PARAMETER", 0)
    assert letter.target_arn == queue.arn == "arn:aws:sqs:local:000000000000:jobs"
    assert "must be shorter than 1024 bytes" in letter.error_message


async def test_a_queue_that_is_gone_is_a_dead_letter():
    router, _ = router_with()
    router.remove_queue("jobs")
    await put(router)
    [letter] = await router.dead_letters()
    assert letter.error_code == "NO_RESOURCE"
    assert Subscription.of_queue("jobs") not in router.closing_report.parked


async def test_as_a_destination_it_sends_the_record():
    router = make_router()
    done, failed = router.create_queue("done"), router.create_queue("failed")
    script = Scripted(
        id="t",
        script=[None, OSError("down")],
        retry_policy=NO_RETRY,
        dead_letter_queue=None,
        on_success=QueueTarget(id="d", queue=done),
        on_failure=QueueTarget(id="f", queue=failed),
    )
    router.put_targets("r", [script])
    await put(router, order(n=1), order(n=2))
    [success], [failure] = await done.receive(10), await failed.receive(10)
    assert success.json()["requestContext"]["condition"] == "Success"
    assert success.json()["requestPayload"]["detail"] == {"n": 1}
    assert failure.json()["responsePayload"]["errorMessage"] == "down"
    assert len(success.causes) == 2


@pytest.mark.parametrize("name", ["dead", "dead.fifo"])
async def test_as_a_dead_letter_queue_it_sends_the_event_with_its_reasons(name):
    router = make_router()
    dead = router.create_queue(name)
    target = Scripted(
        id="t",
        script=[OSError("down"), OSError("down")],
        retry_policy=NO_RETRY,
        dead_letter_queue=QueueTarget(id="d", queue=dead),
    )
    router.put_targets("r", [target])
    async with router:
        for _ in range(2):  # the same event, given up twice within five minutes: none of it is lost
            await router.forward_events([make_event()])
            await router.settle_down()
            await anyio.sleep(1)
    messages = []
    while received := await dead.receive(10):
        messages += received
        await dead.delete_batch(received)
    assert [Event.from_json(message.body).id for message in messages] == [make_event().id] * 2
    assert messages[0].attributes == {
        "RULE_ARN": "arn:aws:events:local:000000000000:rule/r",
        "TARGET_ARN": "arn:aws:events:local:000000000000:rule/r/target/t",
        "ERROR_CODE": "TARGET_ERROR",
        "ERROR_MESSAGE": "OSError: down",
        "RETRY_ATTEMPTS": "0",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    assert await router.dead_letters() == []


async def test_a_record_of_its_success_names_the_message():
    router, queue = router_with()
    seen = Scripted(id="d")
    router.put_targets("r", [QueueTarget(id="q", queue=queue, on_success=seen)])
    await put(router)
    [message] = await queue.receive()
    record = json.loads(bytes(seen.seen[0].event.detail_json))
    assert record["responsePayload"] == {"MessageId": message.message_id}


async def test_a_queue_of_another_store_is_refused_wherever_it_stands():
    elsewhere = make_queue("jobs")
    target = QueueTarget(id="q", queue=elsewhere)
    router = make_router()
    for refused in (target, Scripted(id="t", on_failure=target), Scripted(id="t", dead_letter_queue=target)):
        with pytest.raises(InvalidRuleError, match="Queue jobs of target q is of a router with another store"):
            router.put_targets("r", [Scripted(id="good"), refused])
    assert router.list_targets("r") == []


async def test_a_router_with_the_same_store_may_send_there():
    store, clock = MemoryStore(), LoopClock()
    queue = make_queue("jobs", EventRouter(store, clock=clock))
    router = make_router(store=store, clock=clock)
    router.create_queue("jobs")
    router.put_targets("r", [QueueTarget(id="q", queue=queue)])
    await put(router)
    assert len(await queue.receive()) == 1


def test_what_is_no_queue_is_refused():
    with pytest.raises(InvalidRuleError, match=r"queue of target q is 'jobs' \(use router.queue"):
        QueueTarget(id="q", queue="jobs")
    with pytest.raises(InvalidRuleError, match="message_group_id has a path that is not understood"):
        QueueTarget(id="q", queue=make_queue(), message_group_id="$.a b")


async def test_a_rule_that_nobody_receives_from_keeps_no_more_than_the_queue_does():
    router, queue = router_with(attributes={"message_retention_period": seconds(60)})
    async with router:
        await queue.send_batch([QueueEntry("x")])
        for _ in range(5):
            await anyio.sleep(60)
            await router.put_events([order(total=1)])
            await router.settle_down()
        assert (await router.ledger()).queues["jobs"].waiting <= 2
