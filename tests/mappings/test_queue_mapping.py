"""A queue as event source: batches, failures, filters, and workers that come and go with the backlog."""

import hashlib
import logging
from datetime import timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import (
    ConflictError,
    EventRouter,
    InvalidRuleError,
    MemoryStore,
    NotFoundError,
    PatternError,
)
from eventrouter.errors import StoreError
from eventrouter.mappings import Scaling
from eventrouter.mappings._answers import BatchFailedError, failed_ids
from eventrouter.mappings._scale import workers_wanted
from tests.mappings.support import Worker, make, send
from tests.support import NOON, seconds
from tests.virtual_time import LoopClock


async def test_messages_are_handed_over_with_sqs_keys_and_deleted():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work")
    async with router:
        await router.queue("jobs").send("hello", attributes={"kind": "greeting"})
        await anyio.sleep(1)
        assert (await router.queue("jobs").depth()).not_visible == 0
    [[record]] = [event["Records"] for event in worker.events]
    message_id, handle = record.pop("messageId"), record.pop("receiptHandle")
    assert message_id
    assert handle
    assert record == {
        "body": "hello",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1772366400000",
            "ApproximateFirstReceiveTimestamp": "1772366400000",
            "SenderId": "eventrouter",
        },
        "messageAttributes": {
            "kind": {"stringValue": "greeting", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        },
        "md5OfBody": hashlib.md5(b"hello", usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:000000000000:jobs",
        "awsRegion": "local",
    }
    statistics = mapping.statistics()
    assert (statistics.batches, statistics.succeeded, statistics.failed) == (1, 1, 0)
    assert (mapping.name, mapping.source, mapping.target) == ("jobs-work", "jobs", "work")
    assert repr(mapping) == "<EventSourceMapping jobs-work: jobs to work, Enabled>"


async def test_bytes_arrive_in_base64_and_a_group_is_told():
    worker = Worker()
    router = make(worker, queue="jobs.fifo", content_based_deduplication=True)
    router.event_source_mapping(router.queue("jobs.fifo"), router.get_function("work"))
    async with router:
        await send(router, b"\xff\x00", queue="jobs.fifo", message_group_id="g")
        await anyio.sleep(1)
    [[record]] = [event["Records"] for event in worker.events]
    assert record["body"] == "/wA="
    assert record["attributes"]["MessageGroupId"] == "g"
    assert "MessageDeduplicationId" in record["attributes"]


# -- failures ----------------------------------------------------------------------------------------------------


async def test_a_batch_that_fails_comes_again_when_its_visibility_timeout_is_over(caplog):
    worker = Worker()
    worker.poison = {"a"}
    router = make(worker)
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a", "b")
        await anyio.sleep(29)
        assert worker.batches == [["a", "b"]]
        worker.poison = set()
        await anyio.sleep(2)
        assert worker.batches == [["a", "b"], ["a", "b"]]
    assert "come again: ValueError: poison" in caplog.text


@pytest.mark.parametrize("bisects", [False, True])
async def test_a_poison_message_goes_to_the_dead_letter_queue_and_alone_if_bisected(bisects):
    worker = Worker(poison=["3"])
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", bisect_on_error=bisects, enabled=False)
    async with router:
        await send(router, *map(str, range(10)))
        mapping.enable()
        await anyio.sleep(100)
        dead = await router.queue("dead").depth()
        assert (await router.queue("jobs").depth()).visible == 0
    if bisects:
        assert sorted(worker.done) == [*"012", *"456789"]
        assert dead.visible == 1
        assert len(worker.batches[0]) == 10
        assert [len(batch) for batch in worker.batches[1:]] == [5, 2, 3, 1, 2, 1, 1, 5, 1, 1]
    else:
        assert worker.done == []
        assert dead.visible == 10
        assert [len(batch) for batch in worker.batches] == [10, 10, 10]


async def test_only_the_records_that_are_reported_come_again():
    worker = Worker()
    router = make(worker)
    ids = {}

    def answer(bodies):
        records = worker.events[-1]["Records"]
        ids.update({record["body"]: record["messageId"] for record in records})
        bad = [record["messageId"] for record in records if record["body"] == "1"]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in bad]}

    worker.answer = answer
    mapping = router.event_source_mapping("jobs", "work", report_batch_item_failures=True, enabled=False)
    async with router:
        await send(router, "0", "1", "2")
        mapping.enable()
        await anyio.sleep(31)
        assert worker.batches == [["0", "1", "2"], ["1"]]
        assert (await router.queue("jobs").depth()).not_visible == 1
    assert mapping.statistics().succeeded == 2
    assert mapping.statistics().failed == 2


async def test_what_a_function_returns_does_not_matter_unless_it_reports():
    worker = Worker(answer=lambda bodies: {"batchItemFailures": [{"itemIdentifier": "?"}]})
    router = make(worker)
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(40)
    assert worker.batches == [["a"]]


@pytest.mark.parametrize("answer", [None, {}, "", [], {"batchItemFailures": []}, {"batchItemFailures": None}, {"x": 1}])
def test_an_empty_answer_says_that_all_is_well(answer):
    assert failed_ids(answer, ["a", "b"]) == frozenset()


@pytest.mark.parametrize(
    "answer",
    [
        "done",
        [1],
        {"batchItemFailures": "a"},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": "c"}]},
        {"batchItemFailures": [{"id": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "c"}]},
    ],
)
def test_an_answer_that_cannot_be_read_fails_the_whole_batch(answer):
    with pytest.raises(BatchFailedError):
        failed_ids(answer, ["a", "b"])


def test_the_ids_that_are_reported_are_those_that_failed():
    assert failed_ids({"batchItemFailures": [{"itemIdentifier": "b"}]}, ["a", "b"]) == {"b"}


async def test_a_batch_that_is_too_large_is_divided():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", enabled=False)
    body = '"' * 1_000_000  # each becomes two bytes in JSON
    async with router:
        await send(router, *[body] * 4)
        mapping.enable()
        await anyio.sleep(1)
        assert [len(batch) for batch in worker.batches] == [2, 2]
        assert (await router.queue("jobs").depth()).not_visible == 0


async def test_a_batch_is_handed_over_when_it_has_many_bytes():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", batch_size=20, batch_window=seconds(60), enabled=False)
    async with router:
        await send(router, *["x" * 1_000_000] * 10)
        mapping.enable()
        await anyio.sleep(1)
        # Ten at once are received, and divided since no function takes as much.
        assert [len(batch) for batch in worker.batches] == [5, 5]


# -- batches -----------------------------------------------------------------------------------------------------


async def test_a_window_gathers_a_batch():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping("jobs", "work", batch_size=100, batch_window=seconds(10), maximum_concurrency=1)
    async with router:
        begin = anyio.current_time()
        for number in range(25):
            await send(router, str(number))
            await anyio.sleep(0.5)
        await anyio.sleep(30)
    assert [len(batch) for batch in worker.batches] == [20, 5]
    assert [at - begin for at in worker.begun] == pytest.approx([10, 20], abs=0.6)


async def test_a_batch_that_is_full_does_not_wait_for_its_window():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping(
        "jobs", "work", batch_size=15, batch_window=seconds(300), maximum_concurrency=1, enabled=False
    )
    async with router:
        await send(router, *map(str, range(30)))
        mapping.enable()
        await anyio.sleep(1)
        assert [len(batch) for batch in worker.batches] == [15, 15]


async def test_messages_that_were_gathered_for_long_are_hidden_for_longer():
    worker = Worker(takes=15)
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", batch_window=seconds(25))
    async with router:
        await send(router, "a")
        await anyio.sleep(60)
        assert worker.batches == [["a"]]
    assert mapping.statistics().succeeded == 1


async def test_a_message_that_was_lost_while_it_was_gathered_is_not_worked_on():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping("jobs", "work", batch_window=seconds(40), maximum_concurrency=1)
    async with router:
        await send(router, "a")
        await anyio.sleep(31)  # its timeout is over while the window is not
        assert await router.queue("jobs").receive() == []
        await router.queue("jobs").purge()
        await anyio.sleep(60)
        assert worker.batches == []
        await send(router, "b")
        await anyio.sleep(1)
    assert worker.batches == [["b"]]


# -- filters -----------------------------------------------------------------------------------------------------


async def test_what_no_filter_lets_through_is_deleted():
    worker = Worker()
    router = make(worker)
    filters = [{"body": {"n": [{"numeric": [">", 5]}]}}, '{"messageAttributes": {"urgent": {"stringValue": ["yes"]}}}']
    mapping = router.event_source_mapping("jobs", "work", filters=filters, enabled=False)
    async with router:
        for body in ({"n": 3}, {"n": 7}, "text", "{broken", [1], '{"n":' + "[" * 5_000 + "]" * 5_000 + "}"):
            await send(router, body)
        await send(router, "now", attributes={"urgent": "yes"})
        mapping.enable()
        await anyio.sleep(1)
        depth = await router.queue("jobs").depth()
        assert (depth.visible, depth.not_visible) == (0, 0)
    assert sorted(body for batch in worker.batches for body in batch) == ["now", '{"n":7}']
    assert mapping.statistics().filtered == 5


async def test_plain_text_is_held_against_patterns_of_text():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping("jobs", "work", filters=[{"body": [{"prefix": "go"}]}])
    async with router:
        await send(router, "stop", "go on", {"go": 1})
        await anyio.sleep(1)
    assert [body for batch in worker.batches for body in batch] == ["go on"]


async def test_what_is_enabled_again_while_it_finishes_does_not_begin_when_the_router_stops():
    """Nobody would stop it: it would go on reading until the drain timeout."""
    worker = Worker(takes=5)
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", batch_size=1, maximum_concurrency=1)
    async with router:
        await send(router, *"abcd")
        await anyio.sleep(1)
        mapping.disable()
        mapping.enable()
        await anyio.sleep(1)
        left = anyio.current_time()
    assert anyio.current_time() - left == pytest.approx(3)
    assert worker.batches == [["a"]]
    async with router:  # and it reads on when the router is entered again
        await anyio.sleep(20)
    assert worker.batches == [["a"], ["b"], ["c"], ["d"]]


# -- concurrency -------------------------------------------------------------------------------------------------


@given(
    visible=st.integers(0, 10_000),
    busy=st.integers(0, 50),
    batch_size=st.integers(1, 100),
    minimum=st.integers(0, 5),
    spread=st.integers(0, 50),
)
def test_there_is_a_worker_for_each_batch_within_the_limits(visible, busy, batch_size, minimum, spread):
    maximum = max(1, minimum + spread)
    wanted = workers_wanted(visible=visible, busy=busy, batch_size=batch_size, minimum=minimum, maximum=maximum)
    assert minimum <= wanted <= maximum
    if minimum < wanted < maximum:
        assert (wanted - busy - 1) * batch_size < visible <= (wanted - busy) * batch_size


async def test_workers_come_with_the_backlog_and_go_with_it():
    worker = Worker(takes=10)
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", batch_size=2, maximum_concurrency=4)
    async with router:
        begin = NOON + timedelta(0)
        await anyio.sleep(60)
        assert mapping.statistics().scaling == ()
        await send(router, *map(str, range(3)))
        await anyio.sleep(60)
        await send(router, *map(str, range(20)))
        await anyio.sleep(100)
    trace = [((scaling.at - begin).total_seconds(), scaling.workers) for scaling in mapping.statistics().scaling]
    assert worker.most == 4
    assert [workers for _, workers in trace][-1] == 0
    first, second = [item for item in trace if item[0] < 100], [item for item in trace if item[0] >= 100]
    assert max(workers for _, workers in first) == 2
    assert first[-1] == (75.0, 0)  # ten seconds of work, and five of waiting
    assert max(workers for _, workers in second) == 4
    assert all(isinstance(scaling, Scaling) for scaling in mapping.statistics().scaling)
    assert sorted(worker.done) == sorted([*map(str, range(3)), *map(str, range(20))])


async def test_the_least_number_of_workers_waits_for_messages():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", minimum_concurrency=2, maximum_concurrency=3)
    async with router:
        await anyio.sleep(100)
        assert mapping.statistics().workers == 2
        assert mapping.statistics().busy == 0
        await send(router, "a")
        await anyio.sleep(0.01)
        assert worker.batches == [["a"]]
        await anyio.sleep(100)
        assert mapping.statistics().workers == 2
    assert mapping.statistics().workers == 0
    assert len(mapping.statistics().scaling) == 2


async def test_what_another_process_sends_is_found():
    worker, store = Worker(), MemoryStore()
    router, other = make(worker, store=store), EventRouter(store, clock=LoopClock())
    other.create_queue("dead")
    other.create_queue("jobs", **{name: getattr(router.queue("jobs").attributes, name) for name in ("redrive_policy",)})
    router.event_source_mapping("jobs", "work")
    async with router:
        await anyio.sleep(10)
        await send(other, "a")  # of which a store in memory tells nobody else
        await anyio.sleep(60)
        assert worker.batches == [["a"]]


async def test_groups_of_a_fifo_queue_keep_their_order_and_different_ones_run_at_once():
    worker = Worker(takes=5)
    router = make(worker, queue="jobs.fifo", content_based_deduplication=True)
    router.event_source_mapping("jobs.fifo", "work", batch_size=1, maximum_concurrency=3)
    async with router:
        for number in range(4):
            for group in "abc":
                await send(router, f"{group}{number}", queue="jobs.fifo", message_group_id=group)
        await anyio.sleep(60)
    done = [body for batch in worker.batches for body in batch]
    for group in "abc":
        assert [body for body in done if body[0] == group] == [f"{group}{number}" for number in range(4)]
    assert worker.most == 3


# -- when a function cannot be invoked ---------------------------------------------------------------------------


async def test_a_function_that_is_throttled_costs_a_message_nothing(caplog):
    caplog.set_level(logging.DEBUG, "eventrouter.mappings")
    worker = Worker()
    router = make(worker)
    router.get_function("work").put_concurrency(0)
    mapping = router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(300)  # ten visibility timeouts
        assert mapping.statistics().throttles > 10
        assert (await router.queue("dead").depth()).visible == 0
        router.get_function("work").put_concurrency(1)
        await anyio.sleep(11)
        assert worker.events[0]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert worker.batches == [["a"]]
    assert "a batch waits" in caplog.text


async def test_nothing_is_received_again_while_it_waits_however_short_the_visibility_timeout_is():
    """Each receive is one towards the dead-letter queue, though nobody has tried the message."""
    worker = Worker()
    router = make(worker, timeout=3, receives=2, visibility_timeout=seconds(3))
    router.get_function("work").put_concurrency(0)
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(300)
        router.get_function("work").put_concurrency(1)
        await anyio.sleep(3)
        assert (await router.queue("dead").depth()).visible == 0
    assert [event["Records"][0]["attributes"]["ApproximateReceiveCount"] for event in worker.events] == ["1"]


async def test_parts_of_a_batch_that_is_divided_stay_hidden_while_others_are_tried():
    worker = Worker(takes=19, poison="a")
    router = make(worker, receives=1)
    mapping = router.event_source_mapping("jobs", "work", batch_size=8, bisect_on_error=True, enabled=False)
    async with router:
        await send(router, *"abcdefgh")
        mapping.enable()
        await anyio.sleep(300)
        assert [message.body for message in await router.queue("dead").receive(10)] == ["a"]
    assert sorted(worker.done) == list("bcdefgh")


async def test_messages_of_a_function_that_is_removed_are_given_back_when_the_router_is_left():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping("jobs", "work")
    async with router:
        router.remove_function("work")
        await send(router, "a")
        await anyio.sleep(1)
        assert (await router.queue("jobs").depth()).not_visible == 1
    depth = await router.queue("jobs").depth()
    assert (depth.visible, depth.not_visible) == (1, 0)
    router.function("work", timeout=seconds(20))(worker)
    async with router:
        await anyio.sleep(1)
    assert worker.batches == [["a"]]


# -- life --------------------------------------------------------------------------------------------------------


async def test_leaving_the_router_finishes_batches_that_may_put_events():
    seen, router = [], EventRouter(clock=LoopClock())
    router.create_queue("jobs")
    router.rule({"source": ["work"]}, name="seen")(lambda event: None)

    @router.function("work", timeout=seconds(20))
    async def work(event, context):
        await anyio.sleep(10)
        seen.append(len(event["Records"]))

    mapping = router.event_source_mapping("jobs", "work", maximum_concurrency=1, batch_size=1)
    async with router:
        await send(router, "a", "b")
        await anyio.sleep(1)
    assert seen == [1]
    assert (await router.queue("jobs").depth()).visible == 1
    assert mapping.state == "Enabled"


async def test_what_is_cancelled_is_shown_again_at_once():
    worker = Worker(takes=15)
    router = make(worker)
    router.drain_timeout = seconds(5)
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(1)
        assert (await router.queue("jobs").depth()).not_visible == 1
    assert (await router.queue("jobs").depth()).visible == 1
    assert worker.running == 0


async def test_messages_that_are_being_gathered_are_shown_again_when_it_is_cancelled():
    router = make(Worker())
    router.event_source_mapping("jobs", "work", batch_window=seconds(200))
    with anyio.move_on_after(10):
        async with router:
            await send(router, "a")
            await anyio.sleep(60)
    assert (await router.queue("jobs").depth()).visible == 1


async def test_a_batch_whose_window_goes_on_is_handed_over_when_the_router_is_left():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping("jobs", "work", batch_window=seconds(200))
    async with router:
        await send(router, "a")
        await anyio.sleep(1)
        assert worker.batches == []
    assert worker.batches == [["a"]]


async def test_a_mapping_is_disabled_and_enabled():
    worker = Worker(takes=10)
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", enabled=False)
    assert mapping.state == "Disabled"
    mapping.enable()
    async with router:
        await send(router, "a")
        await anyio.sleep(1)
        assert mapping.state == "Enabled"
        mapping.enable()
        mapping.disable()
        assert mapping.state == "Disabling"
        await send(router, "b")
        mapping.enable()  # before it has come to its end
        await anyio.sleep(60)
        mapping.disable()
        await anyio.sleep(60)
        assert mapping.state == "Disabled"
        await send(router, "c")
        await anyio.sleep(60)
    assert worker.batches == [["a"], ["b"]]


async def test_a_mapping_that_is_disabled_again_before_it_has_begun_does_not_begin():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", enabled=False)
    async with router:
        await send(router, "a")
        mapping.enable()
        mapping.disable()
        await anyio.sleep(10)
    assert worker.batches == []


async def test_a_mapping_is_found_listed_and_removed():
    worker = Worker(takes=3)
    router = make(worker)
    mapping = router.event_source_mapping("jobs", "work", name="m")
    assert router.list_event_source_mappings() == ["m"]
    assert router.get_event_source_mapping("m") is mapping
    async with router:
        await send(router, "a")
        await anyio.sleep(1)
        await router.remove_event_source_mapping("m")
        assert worker.done == ["a"]
        await send(router, "b")
        await anyio.sleep(10)
    assert router.list_event_source_mappings() == []
    with pytest.raises(NotFoundError, match="mapping m does not exist"):
        router.get_event_source_mapping("m")


async def test_a_store_that_fails_is_asked_again(caplog):
    class Failing(MemoryStore):
        calls = 0

        async def depth(self, subscription, *, now):
            Failing.calls += 1
            if Failing.calls == 1:
                raise StoreError("full")
            return await super().depth(subscription, now=now)

        async def lease(self, *args, **options):
            Failing.calls += 1
            if Failing.calls == 4:
                raise StoreError("full")
            return await super().lease(*args, **options)

    worker = Worker()
    router = make(worker, store=Failing())
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(20)
    assert worker.batches == [["a"]]
    assert "is looked at again in a second" in caplog.text


async def test_a_worker_whose_store_fails_goes_on(caplog):
    class Failing(MemoryStore):
        has_failed = False

        async def lease(self, *args, **options):
            if not Failing.has_failed:
                Failing.has_failed = True
                raise StoreError("full")
            return await super().lease(*args, **options)

    worker = Worker()
    router = make(worker, store=Failing())
    router.event_source_mapping("jobs", "work")
    async with router:
        await send(router, "a")
        await anyio.sleep(20)
    assert worker.batches == [["a"]]
    assert "a worker goes on in a second" in caplog.text


# -- declarations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch_size": 0}, "batch_size of event source mapping m is 0"),
        ({"batch_size": True}, "use a whole number from 1 to 10,000"),
        ({"batch_window": seconds(301)}, "use a timedelta of 0 to 300 seconds"),
        ({"batch_window": 5}, "batch_window of event source mapping m is 5"),
        ({"maximum_concurrency": 0}, "use a whole number from 1 to 1,000"),
        ({"minimum_concurrency": 3, "maximum_concurrency": 2}, "use a whole number from 0 to 2"),
        ({"idle_timeout": seconds(0)}, "use a timedelta of 1e-06 seconds"),
        ({"filters": [{"body": ["a"]}] * 11}, "use up to 10 patterns"),
        ({"maximum_retry_attempts": 3}, "the queue's redrive policy and retention period say it"),
        ({"maximum_record_age": seconds(60)}, "leave it out"),
        ({"maximum_record_age": seconds(0)}, "use a timedelta of 1 seconds"),
        ({"on_failure": "queue"}, "use a Target"),
        ({"starting_position": "NOW"}, "use TRIM_HORIZON, LATEST, or an aware datetime"),
        ({"name": "a b"}, "event source mapping name"),
        ({"parallelization_factor": 2}, "has no option parallelization_factor"),
    ],
)
def test_options_that_are_not_usable_are_refused(options, reason):
    router = make(Worker())
    with pytest.raises(InvalidRuleError) as caught:
        router.event_source_mapping("jobs", "work", **{"name": "m", **options})
    assert reason in str(caught.value)
    assert router.list_event_source_mappings() == []


def test_what_does_not_go_together_is_refused():
    router = make(Worker(), queue="jobs.fifo", visibility_timeout=seconds(10))
    with pytest.raises(InvalidRuleError, match="10 seconds is less than Function timeout: 20 seconds"):
        router.event_source_mapping("jobs.fifo", "work")
    router.set_queue_attributes("jobs.fifo", visibility_timeout=seconds(120))
    with pytest.raises(InvalidRuleError, match="use at most 10 for a FIFO queue"):
        router.event_source_mapping("jobs.fifo", "work", name="m", batch_size=11)
    with pytest.raises(NotFoundError, match="no queue and no archive nothing"):
        router.event_source_mapping("nothing", "work")
    with pytest.raises(NotFoundError, match="Function not found: nothing"):
        router.event_source_mapping("jobs.fifo", "nothing")
    with pytest.raises(PatternError):
        router.event_source_mapping("jobs.fifo", "work", filters=["{"])
    with pytest.raises(InvalidRuleError, match="of a router with another store"):
        router.event_source_mapping(make(Worker()).queue("jobs"), "work")
    router.event_source_mapping("jobs.fifo", "work", name="m")
    with pytest.raises(ConflictError, match="m already exists"):
        router.event_source_mapping("jobs.fifo", "work", name="m")
