"""FIFO queues: order within groups, and each message once in five minutes (SQS developer guide, "FIFO queues")."""

import anyio
import pytest

from eventrouter import EventRouter, QueueDepth, QueueEntry, QueueResult, RedrivePolicy
from tests.queues.support import NOW, make_queue, refused, take
from tests.support import seconds
from tests.virtual_time import LoopClock


def entry(body, group="g", id=None) -> QueueEntry:
    return QueueEntry(body, message_group_id=group, deduplication_id=id if id is not None else body)


async def send(queue, *entries):
    return await queue.send_batch(entries)


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ({"deduplication_id": "d"}, "MissingParameter", "MessageGroupId"),
        ({"message_group_id": "g"}, "InvalidParameterValue", "ContentBasedDeduplication enabled or MessageDeduplication"),
        ({"message_group_id": "g", "deduplication_id": "d", "delay": seconds(1)}, "InvalidParameterValue", "DelaySeconds"),
        ({"message_group_id": "", "deduplication_id": "d"}, "InvalidParameterValue", "MessageGroupId can only include"),
        ({"message_group_id": "x" * 129, "deduplication_id": "d"}, "InvalidParameterValue", "1 to 128 in length"),
        ({"message_group_id": "g", "deduplication_id": "ü"}, "InvalidParameterValue", "MessageDeduplicationId can only"),
    ],
)  # fmt: skip
async def test_what_a_fifo_queue_needs(options, code, reason):
    with refused(code, reason):
        await make_queue("q.fifo").send("x", **options)


async def test_a_group_in_flight_holds_up_itself_only():
    queue = make_queue("q.fifo", visibility_timeout=seconds(5))
    await send(queue, entry("a1", "a"), entry("a2", "a"), entry("b1", "b"), entry("a3", "a"))
    a, b = await queue.receive(10)
    assert (a.body, a.message_group_id, a.deduplication_id, b.body) == ("a1", "a", "a1", "b1")
    assert await take(queue) == []
    assert await queue.depth() == QueueDepth(visible=2, not_visible=2, oldest_age=NOW)
    await queue.delete(a)
    assert await take(queue) == ["a2"]
    await anyio.sleep(5)
    assert sorted(await take(queue)) == ["a2", "b1"]


async def test_a_group_goes_on_where_its_first_message_was_not_deleted():
    queue = make_queue("q.fifo")
    await send(queue, entry("1"), entry("2"))
    for _ in range(3):
        [message] = await queue.receive()
        assert message.body == "1"
        await queue.change_visibility(message, NOW)
    [message] = await queue.receive()
    await queue.delete(message)
    assert await take(queue) == ["2"]


async def test_whoever_waits_hears_that_a_group_goes_on():
    queue, got = make_queue("q.fifo"), []
    await send(queue, entry("1"), entry("2"))
    [message] = await queue.receive()

    async def receive():
        start = anyio.current_time()
        got.extend(await take(queue, wait_time=seconds(20)))
        got.append(anyio.current_time() - start)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.sleep(2.25)
        await queue.delete(message)
    assert got == ["2", pytest.approx(2.25)]


async def test_the_delay_is_the_queues():
    queue = make_queue("q.fifo", delay=seconds(10))
    await send(queue, entry("1"))
    await anyio.sleep(4)
    await send(queue, entry("2"))
    await anyio.sleep(6)
    [message] = await queue.receive(10)
    assert message.body == "1"
    await queue.delete(message)
    assert await take(queue) == []
    await anyio.sleep(4)
    assert await take(queue) == ["2"]


async def test_a_message_is_taken_once_in_five_minutes_deleted_or_not():
    queue = make_queue("q.fifo")
    [first, again] = await send(queue, entry("x", id="d"), entry("y", "h", id="d"))
    assert (again.message_id, again.is_duplicate, first.is_duplicate) == (first.message_id, True, False)
    [message] = await queue.receive()
    await queue.delete(message)
    await anyio.sleep(299)
    [duplicate] = await send(queue, entry("z", id="d"))
    assert duplicate.is_duplicate
    assert await take(queue) == []
    await anyio.sleep(1)
    [new] = await send(queue, entry("z", id="d"))
    assert not new.is_duplicate
    assert await take(queue) == ["z"]


async def test_duplicates_are_those_of_one_queue():
    router = EventRouter(clock=LoopClock())
    one, two = make_queue("one.fifo", router), make_queue("two.fifo", router)
    assert not (await send(one, entry("x")))[0].is_duplicate
    assert not (await send(two, entry("x")))[0].is_duplicate


async def test_content_may_tell_duplicates_and_an_id_counts_more():
    queue = make_queue("q.fifo", content_based_deduplication=True)
    results = [
        await queue.send("x", message_group_id="g"),
        await queue.send("x", message_group_id="h", attributes={"a": "b"}),
        await queue.send(b"x", message_group_id="g", deduplication_id="d"),
        await queue.send(b"y", message_group_id="g"),
    ]
    assert [result.is_duplicate for result in results] == [False, True, False, False]
    [message] = await queue.receive()
    hash_of_the_body = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert await queue.send("z", message_group_id="g", deduplication_id=hash_of_the_body) == QueueResult(
        message.message_id, is_duplicate=True
    )


async def test_what_is_moved_keeps_its_group_and_lets_the_next_come():
    router = EventRouter(clock=LoopClock())
    dead = make_queue("dead.fifo", router)
    queue = make_queue("q.fifo", router, visibility_timeout=seconds(1), redrive_policy=RedrivePolicy("dead.fifo", 1))
    await send(queue, entry("1"), entry("2"), entry("3"))
    for expected in (["1"], ["2"], ["3"], []):
        assert await take(queue) == expected
        await anyio.sleep(1)
    [first] = await dead.receive(10)
    assert (first.body, first.message_group_id, first.deduplication_id) == ("1", "g", "1")
    assert first.sent_at == queue.now() - seconds(3)  # when it was moved: that of a FIFO queue begins anew
    await dead.change_visibility(first, NOW)
    assert await dead.redrive() == 3
    assert await take(queue) == ["1"]


async def test_what_was_kept_for_long_enough_lets_the_next_come():
    queue = make_queue("q.fifo", message_retention_period=seconds(60))
    await send(queue, entry("1"))
    await anyio.sleep(30)
    await send(queue, entry("2"))
    await anyio.sleep(30)
    assert await take(queue) == ["2"]


async def test_purging_ends_groups():
    queue = make_queue("q.fifo")
    await send(queue, entry("1"), entry("2"))
    await queue.receive()
    assert await queue.purge() == 2
    await send(queue, entry("3"))
    assert await take(queue) == ["3"]
