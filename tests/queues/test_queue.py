"""A standard queue: what is sent, received, hidden, moved and deleted."""

import math
import re
import threading

import anyio
import anyio.lowlevel
import pytest

from eventrouter import (
    BusClosedError,
    EventRouter,
    MemoryStore,
    Message,
    NotFoundError,
    QueueCounts,
    QueueDepth,
    QueueEntry,
    QueueResult,
    RedrivePolicy,
)
from tests.queues.support import NOW, bodies, make_queue, refused, take
from tests.support import Scripted, make_router, order, seconds
from tests.virtual_time import EPOCH, LoopClock


async def counts(queue) -> QueueCounts:
    """Give the queue's account, which is balanced."""
    ledger = await queue._host.ledger()
    assert ledger.is_balanced
    return ledger.queues[queue.name]


@pytest.mark.parametrize("body", ["x", "grüße\n\x00\U0001f600", b"\x00\xff", b"text", '{"a": 1}'], ids=ascii)
async def test_text_and_bytes_arrive_as_they_were_sent(body):
    queue = make_queue()
    sent = await queue.send(body, attributes={"kind": "test"})
    [message] = await queue.receive()
    assert message == Message(
        sent.message_id, body, message.receipt_handle, 1, EPOCH, {"kind": "test"}, None, None, None, (), None
    )
    assert type(message.body) is type(body)
    assert message.receipt_handle not in repr(message)


async def test_anything_else_arrives_as_json():
    queue = make_queue()
    await queue.send(bytearray(b"but bytes"))
    assert await take(queue) == [b"but bytes"]
    await queue.send({"id": 7, "items": ["ä"]})
    [message] = await queue.receive()
    assert message.body == '{"id":7,"items":["ä"]}'
    assert message.json() == {"id": 7, "items": ["ä"]}


LARGE = {f"a{n}": "v" for n in range(11)}


REFUSED = [
    (QueueEntry(""), "MissingParameter", "MessageBody"),
    (QueueEntry(b""), "MissingParameter", "MessageBody"),
    (QueueEntry(None), "MissingParameter", "MessageBody"),
    (QueueEntry("\ud800"), "InvalidMessageContents", "lone surrogate"),
    (QueueEntry({"x": math.nan}), "InvalidMessageContents", "no form as JSON"),
    (QueueEntry({"x": object()}), "InvalidMessageContents", "no form as JSON"),
    (QueueEntry("é" * 512 + "x"), "InvalidParameterValue", "must be shorter than 1024 bytes; it has 1025"),
    (QueueEntry("x" * 1023, attributes={"a": "b"}), "InvalidParameterValue", "it has 1025"),
    (QueueEntry("x", attributes=LARGE), "InvalidParameterValue", r"\[11\] exceeds the allowed maximum \[10\]"),
    (QueueEntry("x", attributes={"a..b": "c"}), "InvalidParameterValue", "is no name of a message attribute"),
    (QueueEntry("x", attributes={".a": "c"}), "InvalidParameterValue", "is no name of a message attribute"),
    (QueueEntry("x", attributes={"a.": "c"}), "InvalidParameterValue", "is no name of a message attribute"),
    (QueueEntry("x", attributes={"AWS.a": "c"}), "InvalidParameterValue", "none of AWS."),
    (QueueEntry("x", attributes={7: "c"}), "InvalidParameterValue", "7 is no name"),
    (QueueEntry("x", attributes={"a": ""}), "InvalidParameterValue", "at least one character"),
    (QueueEntry("x", attributes={"a": 7}), "InvalidParameterValue", "use text"),
    (QueueEntry("x", attributes={"a": "\udfff"}), "InvalidMessageContents", "lone surrogate"),
    (QueueEntry("x", attributes=["a"]), "InvalidParameterValue", "use a mapping"),
    (QueueEntry("x", delay=seconds(901)), "InvalidParameterValue", "0 to 900 seconds"),
    (QueueEntry("x", delay=5), "InvalidParameterValue", "delay is 5; use a timedelta"),
    (QueueEntry("x", deduplication_id="d"), "InvalidParameterValue", "not valid for this queue type"),
    (QueueEntry("x", message_group_id="a b"), "InvalidParameterValue", "MessageGroupId can only include"),
    ("x", "InvalidParameterValue", "A batch is a list of QueueEntry, and has a str"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "code", "reason"), REFUSED, ids=range(len(REFUSED)))
async def test_what_sqs_refuses_is_refused_and_stops_no_other(entry, code, reason):
    queue = make_queue(maximum_message_size=1024)
    bad, good = await queue.send_batch([entry, QueueEntry("y" * 1022, attributes={"a": "b"})])
    assert (bad.message_id, bad.error_code) == (None, code)
    assert re.search(reason, bad.error_message)
    assert good.error_code is None
    if isinstance(entry, QueueEntry):
        with refused(code, reason):
            await queue.send(
                entry.body,
                delay=entry.delay,
                message_group_id=entry.message_group_id,
                deduplication_id=entry.deduplication_id,
                attributes=entry.attributes,
            )
    assert await take(queue) == ["y" * 1022]


async def test_a_batch_is_1_to_10_messages_of_1_mib_together():
    queue = make_queue()
    for batch in (queue.send_batch, queue.delete_batch):
        with refused("EmptyBatchRequest"):
            await batch([])
        with refused("TooManyEntriesInBatchRequest", "You have sent 11"):
            await batch([QueueEntry("x")] * 11)
    with refused("TooManyEntriesInBatchRequest"):
        await queue.change_visibility_batch(["x"] * 11, NOW)
    with refused("BatchRequestTooLong"):
        await queue.send_batch([QueueEntry(b"x" * 524_288), QueueEntry("\n" * 524_288), QueueEntry("x")])
    assert await queue.depth() == QueueDepth()
    await queue.send_batch([QueueEntry(b"x" * 524_288), QueueEntry("\n" * 524_288)])
    assert len(await queue.receive(10)) == 2


async def test_a_message_that_was_received_is_hidden_until_its_timeout():
    queue = make_queue(visibility_timeout=seconds(5))
    await queue.send("a")
    [first] = await queue.receive()
    assert await take(queue) == []
    await anyio.sleep(4.9)
    assert await take(queue) == []
    await anyio.sleep(0.1)
    [second] = await queue.receive(visibility_timeout=seconds(60))
    assert (second.message_id, second.receive_count) == (first.message_id, 2)
    await anyio.sleep(59)
    assert await take(queue) == []
    await queue.delete(second)
    await anyio.sleep(60)
    assert await take(queue) == []
    assert await counts(queue) == QueueCounts(sent=1, deleted=1)


async def test_an_old_receipt_changes_nothing_and_says_so():
    queue = make_queue(visibility_timeout=seconds(5))
    await queue.send("a")
    [old] = await queue.receive()
    await anyio.sleep(5)
    [new] = await queue.receive()
    with refused("InvalidParameterValue", "The receipt handle has expired"):
        await queue.delete(old)
    with refused("MessageNotInflight"):
        await queue.change_visibility(old, seconds(60))
    assert await queue.depth() == QueueDepth(not_visible=1, oldest_age=seconds(5))
    await queue.delete(new.receipt_handle)
    with refused("InvalidParameterValue"):
        await queue.delete(new)
    assert await counts(queue) == QueueCounts(sent=1, deleted=1)


async def test_a_message_can_be_deleted_after_its_timeout_if_nobody_has_it():
    queue = make_queue(visibility_timeout=seconds(5))
    await queue.send("a")
    [message] = await queue.receive()
    await anyio.sleep(9)
    await queue.delete(message)
    assert await take(queue) == []


async def test_a_receipt_is_text_and_of_one_queue():
    router = EventRouter(clock=LoopClock())
    queue, other = make_queue("jobs", router), make_queue("other", router)
    await queue.send("a")
    [message] = await queue.receive()
    huge = "WyJqb2JzIiwxLDEsOTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ=="  # a number that fits no store
    for handle in ("", "x", "ä", "e30=", message.receipt_handle[:-4], huge, 7, None):
        with refused("ReceiptHandleIsInvalid", "is no receipt handle of queue jobs"):
            await queue.delete(handle)
        with refused("ReceiptHandleIsInvalid"):
            await queue.change_visibility(handle, NOW)
    with refused("ReceiptHandleIsInvalid"):
        await other.delete(message)
    await queue.delete(message.receipt_handle)


async def test_a_receipt_of_an_earlier_process_fits_nothing_in_memory():
    before, after = make_queue(), make_queue()
    for queue in (before, after):
        await queue.send("a")
    [old], [new] = await before.receive(), await after.receive()
    with refused("InvalidParameterValue"):
        await after.delete(old)
    with refused("InvalidParameterValue"):
        await make_queue().delete(old)  # of which the store knows nothing
    await after.delete(new)


async def test_batches_answer_for_each_receipt():
    queue = make_queue()
    await queue.send_batch([QueueEntry(str(n)) for n in range(3)])
    first, second, third = await queue.receive(10)
    ok, late = (
        QueueResult(),
        QueueResult(error_code="InvalidParameterValue", error_message="The receipt handle has expired."),
    )
    results = await queue.delete_batch([first, "x", second.receipt_handle, first])
    assert [results[0], *results[2:]] == [ok, ok, late]
    assert results[1].error_code == "ReceiptHandleIsInvalid"
    results = await queue.change_visibility_batch([third, first], NOW)
    assert [result.error_code for result in results] == [None, "MessageNotInflight"]
    assert await take(queue) == ["2"]


async def test_visibility_is_changed_from_now_on():
    queue = make_queue(visibility_timeout=seconds(10))
    await queue.send_batch([QueueEntry("longer"), QueueEntry("shown")])
    longer, shown = await queue.receive(10)
    await anyio.sleep(9)
    await queue.change_visibility(longer, seconds(20))
    await queue.change_visibility(shown, NOW)
    assert await take(queue) == ["shown"]
    await anyio.sleep(19)
    assert await take(queue) == ["shown"]
    await queue.delete(longer)
    for timeout in (seconds(43_201), seconds(-1), 5):
        with refused("InvalidParameterValue", "visibility_timeout"):
            await queue.change_visibility(longer, timeout)


async def test_a_delay_hides_a_message_at_first():
    queue = make_queue(delay=seconds(10))
    await queue.send("of the queue")
    await queue.send("none", delay=NOW)
    await queue.send("longer", delay=seconds(900))
    assert await queue.depth() == QueueDepth(visible=1, delayed=2, oldest_age=NOW)
    assert await take(queue) == ["none"]
    await anyio.sleep(10)
    assert await take(queue) == ["of the queue"]
    await anyio.sleep(889)
    assert "longer" not in await take(queue)
    await anyio.sleep(1)
    assert await take(queue) == ["longer"]


async def test_the_depth_tells_where_messages_are_and_how_old():
    queue = make_queue()
    await queue.send("a")
    await anyio.sleep(7)
    await queue.send_batch([QueueEntry("b"), QueueEntry("c", seconds(60))])
    await queue.receive()
    assert await queue.depth() == QueueDepth(visible=1, not_visible=1, delayed=1, oldest_age=seconds(7))
    assert await counts(queue) == QueueCounts(sent=3, waiting=2, in_flight=1)


async def test_purging_discards_everything():
    queue = make_queue()
    await queue.send_batch([QueueEntry("a"), QueueEntry("b"), QueueEntry("c", seconds(5))])
    [held] = await queue.receive()
    assert await queue.purge() == 3
    assert await queue.depth() == QueueDepth()
    with refused("InvalidParameterValue"):
        await queue.delete(held)
    await queue.send("d")
    assert await take(queue) == ["d"]
    assert await counts(queue) == QueueCounts(sent=4, discarded=3, in_flight=1)


# -- waiting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"maximum": 0}, "maximum is 0; use a whole number from 1 to 10"),
        ({"maximum": 11}, "maximum"),
        ({"visibility_timeout": seconds(43_201)}, "visibility_timeout"),
        ({"wait_time": seconds(20.5)}, "wait_time"),
        ({"wait_time": 20}, "wait_time is 20; use a timedelta of 0 to 20 seconds"),
    ],
)
async def test_what_a_receiver_asks_for_has_limits(options, reason):
    with refused("InvalidParameterValue", reason):
        await make_queue().receive(**options)


async def test_nobody_waits_for_longer_than_they_asked_for():
    queue = make_queue(wait_time=seconds(3))
    start = anyio.current_time()
    assert await queue.receive() == []
    assert anyio.current_time() - start == pytest.approx(3)
    assert await queue.receive(wait_time=NOW) == []
    assert anyio.current_time() - start == pytest.approx(3)


async def arrives_after(delay, queue, change):
    """Say after how many seconds a receiver that waits has a message, if *change* happens after *delay*."""
    start, got = anyio.current_time(), []

    async def receive():
        got.extend(await queue.receive(10, wait_time=seconds(20)))
        got.append(anyio.current_time() - start)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.sleep(delay)
        await change()
    return got[-1] if len(got) > 1 else None


async def test_a_receiver_that_waits_has_a_message_as_soon_as_there_is_one():
    queue = make_queue()
    assert await arrives_after(2.25, queue, lambda: queue.send("a")) == pytest.approx(2.25)


async def test_a_receiver_hears_of_delays_timeouts_and_changes_of_visibility():
    queue = make_queue(visibility_timeout=seconds(7.5))
    assert await arrives_after(1, queue, lambda: queue.send("a", delay=seconds(2.25))) == pytest.approx(3.25)
    assert await arrives_after(0, queue, anyio.lowlevel.checkpoint) == pytest.approx(7.5)
    await queue.purge()
    await queue.send("b")
    [message] = await queue.receive()
    assert await arrives_after(3.5, queue, lambda: queue.change_visibility(message, NOW)) == pytest.approx(3.5)


async def test_a_receiver_looks_each_second_for_what_another_process_has_sent():
    store = MemoryStore()
    clock = LoopClock()
    queue = make_queue(router=EventRouter(store, clock=clock))
    elsewhere = make_queue(router=EventRouter(store, clock=clock))
    assert await arrives_after(2.25, queue, lambda: elsewhere.send("a")) == pytest.approx(3)


async def test_one_of_those_who_wait_gets_it_and_the_others_wait_on():
    queue, got = make_queue(), []

    async def receive():
        got.append(await take(queue, wait_time=seconds(10)))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(receive)
        await anyio.sleep(1)
        await queue.send("a")
        await anyio.sleep(1)
        assert got == [["a"]]
        await queue.send("b")
    assert sorted(got) == [[], ["a"], ["b"]]


async def test_a_receiver_that_is_cancelled_takes_nothing_with_it():
    class Slow(MemoryStore):
        async def lease(self, *args, **options):
            leased = await super().lease(*args, **options)
            await anyio.sleep(1)  # as a store does that writes
            return leased

    queue = make_queue(router=EventRouter(Slow(), clock=LoopClock()))
    await queue.send("a")
    with anyio.move_on_after(0.5):
        await queue.receive()
        raise AssertionError
    [message] = await queue.receive()
    assert message.receive_count == 1
    with anyio.move_on_after(5) as scope:
        await queue.receive(wait_time=seconds(20))
    assert scope.cancelled_caught
    assert queue._waiting == set()


async def test_whoever_uses_a_queue_in_a_loop_lets_others_run():
    queue, turns = make_queue(), 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(others)
        for _ in range(20):
            await queue.send("x")
            await queue.receive()
        tasks.cancel_scope.cancel()
    assert turns >= 20


# -- what is not deleted -----------------------------------------------------------------------------------------


async def test_a_message_that_was_received_too_often_is_moved(caplog):
    router = EventRouter(clock=LoopClock())
    dead = make_queue("dead", router)
    queue = make_queue("jobs", router, visibility_timeout=seconds(5), redrive_policy=RedrivePolicy("dead", 2))
    sent = await queue.send(b"poison", attributes={"a": "b"}, message_group_id="tenant")
    await anyio.sleep(1)
    await queue.send("good")
    for expected in ([b"poison", "good"], [b"poison"]):
        messages = await queue.receive(10)
        assert bodies(messages) == expected
        for message in messages[1:]:
            await queue.delete(message)
        await anyio.sleep(5)
    assert await dead.depth() == QueueDepth()
    await queue.send("next")
    assert await take(queue) == ["next"]  # in its place
    [moved] = await dead.receive()
    assert (moved.message_id, moved.body, moved.receive_count, moved.sent_at) == (sent.message_id, b"poison", 1, EPOCH)
    assert (moved.attributes, moved.message_group_id, moved.dead_letter_source) == ({"a": "b"}, "tenant", "jobs")
    assert f"Message {sent.message_id} of queue jobs was received 2 times, and was moved to queue dead" in caplog.text
    assert await counts(queue) == QueueCounts(sent=3, deleted=1, moved=1, in_flight=1)
    assert await counts(dead) == QueueCounts(sent=1, in_flight=1)
    assert await router.dead_letters() == []


async def test_whoever_waits_at_the_dead_letter_queue_hears_of_a_message_that_is_moved():
    router = EventRouter(clock=LoopClock())
    dead = make_queue("dead", router)
    queue = make_queue("jobs", router, redrive_policy=RedrivePolicy("dead", 1))
    await queue.send("a")
    await queue.receive(visibility_timeout=NOW)
    assert await arrives_after(2.5, dead, queue.receive) == pytest.approx(2.5)


async def test_a_message_that_is_shown_at_once_is_received_once_by_a_call():
    router = EventRouter(clock=LoopClock())
    make_queue("dead", router)
    queue = make_queue("jobs", router, redrive_policy=RedrivePolicy("dead", 1))
    await queue.send("old")
    assert await take(queue, visibility_timeout=NOW) == ["old"]
    await queue.send("new")
    assert await take(queue, visibility_timeout=NOW) == ["new"]
    assert (await counts(queue)).moved == 1


async def test_what_was_kept_for_long_enough_is_gone():
    queue = make_queue(message_retention_period=seconds(60), visibility_timeout=seconds(50))
    await queue.send("old")
    [held] = await queue.receive()
    await anyio.sleep(30)
    await queue.send("new")
    await anyio.sleep(30)
    assert await take(queue) == ["new"]
    assert await counts(queue) == QueueCounts(sent=2, discarded=1, in_flight=1)
    with refused("InvalidParameterValue"):
        await queue.delete(held)


async def test_what_nobody_receives_is_swept_out_all_the_same():
    queue = make_queue(message_retention_period=seconds(90))
    for _ in range(10):
        await queue.send("x")
        await anyio.sleep(30)
    assert (await counts(queue)).waiting <= 5
    assert (await queue.depth()).visible == 2
    await anyio.sleep(60)
    assert await queue.depth() == QueueDepth()


async def test_messages_are_moved_back_to_where_they_came_from():
    router = EventRouter(clock=LoopClock())
    dead = make_queue("dead", router)
    queues = [make_queue(name, router, redrive_policy=RedrivePolicy("dead", 1)) for name in ("a", "b", "gone")]
    for queue in queues:
        await queue.send_batch([QueueEntry(f"{queue.name}{n}") for n in range(2)])
        await queue.receive(10, visibility_timeout=NOW)
        assert await queue.receive(10) == []
    await dead.send("sent here")
    router.remove_queue("gone")
    [held] = await dead.receive()
    assert await dead.redrive() == 3
    assert await dead.depth() == QueueDepth(visible=3, not_visible=1, oldest_age=NOW)
    assert held.body == "a0"
    [a], b = await queues[0].receive(10), await queues[1].receive(10)
    assert (a.body, a.receive_count, a.dead_letter_source) == ("a1", 1, None)
    assert bodies(b) == ["b0", "b1"]
    assert await dead.redrive(queues[0]) == 3
    assert sorted(await take(queues[0])) == ["gone0", "gone1", "sent here"]
    assert (await counts(dead)).moved == 6
    assert await dead.redrive() == 0


async def test_messages_are_moved_to_another_queue_of_the_same_kind_and_router():
    router = EventRouter()
    dead = make_queue("dead", router)
    for other in (dead, make_queue("x.fifo", router), make_queue("y")):
        with refused("InvalidParameterValue", "name another standard queue of the same router"):
            await dead.redrive(other)


# -- the router --------------------------------------------------------------------------------------------------


async def test_leaving_the_router_does_not_wait_for_queues_and_the_ledger_tells_of_them_apart():
    router = make_router(Scripted(id="t0"))
    queue = make_queue(router=router)
    async with router:
        await router.put_events([order(total=1)])
        await queue.send("a")
        await queue.send("b")
        await queue.receive()
        await router.settle_down()
        start = anyio.current_time()
    assert anyio.current_time() - start < 1
    ledger = router.closing_report
    assert ledger.events == 1
    assert (ledger.total.accepted, ledger.total.waiting, ledger.total.in_flight) == (1, 0, 0)
    assert ledger.queues == {"jobs": QueueCounts(sent=2, waiting=1, in_flight=1)}
    assert ledger.parked == frozenset()
    assert all(key.queue_name is None for key in (*ledger.subscriptions, *ledger.oldest))
    assert str(ledger) == (
        "1 events, 1 deliveries: 1 delivered, 0 dead-lettered, 0 dropped, 0 unfinished; 0 retries; "
        "2 messages sent to queues: 0 deleted, 0 moved, 0 discarded, 2 there"
    )
    async with router:
        statistics = await router.statistics()
    assert {str(key) for key in statistics.subscriptions} == {"default/r/t0"}
    assert statistics.ledger.queues == ledger.queues


async def test_what_is_in_a_queue_that_is_not_declared_is_parked_and_found_again(caplog):
    store = MemoryStore()
    await make_queue(router=EventRouter(store, clock=LoopClock())).send("a")
    router = EventRouter(store, clock=LoopClock())
    async with router:
        assert "1 deliveries wait for queue jobs, which is not declared" in caplog.text
        ledger = await router.ledger()
        assert {str(key) for key in ledger.parked} == {"queue jobs"}
        assert str(ledger).endswith("1 there, 1 of them in queues that are not declared")
        queue = make_queue(router=router)
        assert (await router.ledger()).parked == frozenset()
        assert await take(queue) == ["a"]
        router.remove_queue("jobs")
        assert {key.queue_name for key in (await router.ledger()).parked} == {"jobs"}
    assert make_queue(router=router) is not queue
    assert (await router.ledger()).parked == frozenset()


async def test_a_queue_that_was_removed_says_so():
    router = EventRouter(clock=LoopClock())
    queue = make_queue(router=router)
    await queue.send("a")
    [message] = await queue.receive()
    router.remove_queue("jobs")
    assert not queue.is_declared
    for call in (queue.send("a"), queue.receive(), queue.delete(message), queue.purge(), queue.depth()):
        with pytest.raises(NotFoundError, match="The specified queue does not exist: jobs"):
            await call


async def test_who_waits_at_a_queue_that_is_removed_hears_of_it():
    router = EventRouter(clock=LoopClock())
    queue, told = make_queue(router=router), []

    async def receive():
        with pytest.raises(NotFoundError):
            await queue.receive(wait_time=seconds(20))
        told.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        start = anyio.current_time()
        tasks.start_soon(receive)
        await anyio.sleep(0.5)
        router.remove_queue("jobs")
    assert told == [pytest.approx(start + 0.5)]


async def test_a_message_that_a_handler_sends_has_the_event_as_its_cause():
    async def handler(event):
        await queue.send("a")

    router = make_router(handler)
    queue = make_queue(router=router)
    async with router:
        entry = order(total=1)
        [result] = await router.put_events([entry])
        [message] = await queue.receive(wait_time=seconds(1))
    assert message.causes == (result.event_id,)


async def test_another_threads_event_loop_is_refused():
    router = make_router()
    queue = make_queue(router=router)
    raised = []

    def elsewhere():
        try:
            anyio.run(queue.send, "a")
        except BusClosedError as error:
            raised.append(error)

    async with router:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert len(raised) == 1


async def test_a_store_that_fails_while_messages_end_gives_the_others_back():
    class Fragile(MemoryStore):
        async def settle(self, outcomes):
            if failing.pop():
                raise OSError("no space")
            return await super().settle(outcomes)

    failing = [False, True]
    router = EventRouter(Fragile(), clock=LoopClock())
    dead = make_queue("dead", router)
    queue = make_queue("jobs", router, redrive_policy=RedrivePolicy("dead", 1))
    await queue.send("poison")
    await queue.receive(visibility_timeout=NOW)
    await queue.send("good")
    with pytest.raises(OSError, match="no space"):
        await queue.receive(10)
    [message] = await queue.receive(10)
    assert (message.body, message.receive_count) == ("good", 1)
    await queue.delete(message)
    await anyio.sleep(30)
    failing.append(False)
    assert await take(queue) == []
    assert await take(dead) == ["poison"]
