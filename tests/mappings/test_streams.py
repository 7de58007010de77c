"""Archives and iterators as event sources: in order, and nothing is passed over silently."""

import json
from itertools import pairwise

import anyio
import pytest

from eventrouter import (
    BusTarget,
    EventEntry,
    EventRouter,
    InvalidRuleError,
    JsonLinesTarget,
    MemoryStore,
    NotFoundError,
    QueueTarget,
    RetryPolicy,
)
from eventrouter.errors import StoreError
from eventrouter.testing import simulate
from tests.mappings.support import Worker
from tests.support import NOON, Scripted, seconds
from tests.virtual_time import LoopClock


def make(worker, *, store="memory://"):
    router = EventRouter(store, clock=LoopClock())
    router.put_archive("all", {"source": [{"exists": True}]})
    router.function("work", timeout=seconds(20))(worker)
    return router


async def put(router, *numbers):
    for number in numbers:
        [result] = await router.put_events([EventEntry("shop", "Order", {"n": number})])
        assert result.error_code is None


def flat(batches):
    return [item for batch in batches for item in batch]


def numbers(worker):
    return [[item["detail"]["n"] for item in batch] for batch in worker.batches]


async def items(*given, end=None):
    for item in given:
        yield item
    if end is not None:
        await end.wait()


# -- archives ----------------------------------------------------------------------------------------------------


async def test_an_archive_is_read_in_order_and_goes_on_with_what_comes():
    worker = Worker()
    router = make(worker)
    async with router:
        await put(router, *range(5))
        mapping = router.event_source_mapping("all", "work", batch_size=2)
        await anyio.sleep(3)
        await put(router, 5)
        await anyio.sleep(3)
    assert [number for batch in numbers(worker) for number in batch] == list(range(6))
    assert all(len(batch) <= 2 for batch in worker.batches)
    record = worker.events[0]["Records"][0]
    assert record["data"]["source"] == "shop"
    del record["data"]
    assert record == {
        "sequenceNumber": record["sequenceNumber"],
        "approximateArrivalTimestamp": NOON.timestamp(),
        "eventSource": "eventrouter:archive",
        "eventSourceARN": "arn:aws:events:local:000000000000:archive/all",
        "awsRegion": "local",
    }
    assert mapping.statistics().workers == 0


async def test_reading_goes_on_where_it_was_in_another_process():
    store, first, second = MemoryStore(), Worker(), Worker()
    router = make(first, store=store)
    router.event_source_mapping("all", "work")
    async with router:
        await put(router, 1, 2)
        await anyio.sleep(3)
    again = make(second, store=store)
    again.event_source_mapping("all", "work")
    async with again:
        await put(again, 3)
        await anyio.sleep(3)
        await again.remove_event_source_mapping("all-work")
        again.event_source_mapping("all", "work")
        await anyio.sleep(3)
    assert flat(numbers(first)) == [1, 2]
    assert flat(numbers(second)) == [3, 1, 2, 3]


@pytest.mark.parametrize(
    ("position", "read"), [("TRIM_HORIZON", [0, 1, 2]), ("LATEST", [2]), (NOON + seconds(5), [1, 2])]
)
async def test_reading_begins_at_the_starting_position(position, read):
    worker = Worker()
    router = make(worker)
    async with router:
        await put(router, 0)
        await anyio.sleep(10)
        await put(router, 1)
        await anyio.sleep(1)
        router.event_source_mapping("all", "work", starting_position=position)
        await anyio.sleep(3)
        await put(router, 2)
        await anyio.sleep(3)
    assert flat(numbers(worker)) == read


async def test_a_long_archive_is_read_page_by_page():
    worker = Worker()
    router = make(worker)
    async with router:
        await put(router, *range(205))
        router.event_source_mapping("all", "work", batch_size=1_000)
        await anyio.sleep(5)
    assert flat(numbers(worker)) == list(range(205))


async def test_filters_pass_over_what_does_not_match():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping("all", "work", filters=[{"data": {"detail": {"n": [{"numeric": [">", 1]}]}}}])
    async with router:
        await put(router, *range(4), 0)
        await anyio.sleep(3)
    assert flat(numbers(worker)) == [2, 3]
    assert mapping.statistics().filtered == 3


# -- failures ----------------------------------------------------------------------------------------------------


class Flaky(Worker):
    """Fails so often for each batch, or for what is in *bad* always."""

    def __init__(self, *, fails=0, bad=(), **options):
        super().__init__(**options)
        self.fails, self.bad = fails, set(bad)

    async def __call__(self, event, context):
        answer = await super().__call__(event, context)
        if self.bad & {item["detail"]["n"] for item in self.batches[-1]}:
            raise ValueError("bad")
        if self.fails:
            self.fails -= 1
            raise ValueError("not yet")
        return answer


async def test_a_batch_that_fails_holds_up_what_comes_after_it():
    worker = Flaky(fails=3)
    router = make(worker)
    async with router:
        await put(router, *range(4))
        router.event_source_mapping("all", "work", batch_size=2)
        await anyio.sleep(10)
    assert numbers(worker) == [[0, 1]] * 4 + [[2, 3]]
    waits = [after - before for before, after in pairwise(worker.begun)]
    assert waits[:3] == pytest.approx([0.1, 0.2, 0.4])


async def test_what_was_reported_comes_again_from_the_first_on():
    worker = Worker()

    def answer(batch):
        ids = {
            item["detail"]["n"]: record["sequenceNumber"]
            for item, record in zip(batch, worker.events[-1]["Records"], strict=True)
        }
        bad = [2, 3] if len(worker.batches) == 1 else []
        return {"batchItemFailures": [{"itemIdentifier": ids[number]} for number in bad]}

    worker.answer = answer
    router = make(worker)
    async with router:
        await put(router, *range(5))
        mapping = router.event_source_mapping("all", "work", report_batch_item_failures=True)
        await anyio.sleep(5)
    assert numbers(worker) == [[0, 1, 2, 3, 4], [2, 3, 4]]
    assert (mapping.statistics().succeeded, mapping.statistics().failed) == (5, 3)


@pytest.mark.parametrize("reports", [False, True])
async def test_a_batch_is_discarded_after_its_retries_and_its_record_kept(reports):
    letters = Scripted(id="letters")
    if reports:
        worker = Worker()
        worker.answer = lambda batch: {
            "batchItemFailures": [
                {"itemIdentifier": record["sequenceNumber"]}
                for item, record in zip(batch, worker.events[-1]["Records"], strict=True)
                if item["detail"]["n"] == 1
            ]
        }
    else:
        worker = Flaky(bad=[1])
    router = make(worker)
    async with router:
        await put(router, *range(3))
        mapping = router.event_source_mapping(
            "all",
            "work",
            batch_size=1,
            maximum_retry_attempts=2,
            on_failure=letters,
            report_batch_item_failures=reports,
        )
        await anyio.sleep(20)
        ledger = await router.ledger()
    assert numbers(worker) == [[0], [1], [1], [1], [2]]
    assert mapping.statistics().discarded == 1
    assert ledger.is_balanced
    [record] = [json.loads(delivery.payload) for delivery in letters.seen]
    [failed] = record.pop("payload")["Records"]
    assert failed["data"]["detail"] == {"n": 1}
    assert record["requestContext"].pop("requestId")
    assert record["requestContext"] == {
        "functionArn": "arn:aws:lambda:local:000000000000:function:work",
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["batchInfo"]["startSequenceNumber"] == record["batchInfo"]["endSequenceNumber"]
    assert record["batchInfo"]["batchSize"] == 1
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert ("errorType" in record["responsePayload"]) is not reports


async def test_a_bad_record_is_found_by_halves_and_the_others_succeed():
    worker = Flaky(bad=[5])
    router = make(worker)
    async with router:
        await put(router, *range(8))
        router.event_source_mapping("all", "work", batch_size=8, bisect_on_error=True, maximum_retry_attempts=1)
        await anyio.sleep(20)
    good = [number for batch in numbers(worker) if 5 not in batch for number in batch]
    assert good == [0, 1, 2, 3, 4, 6, 7]
    assert numbers(worker).count([5]) == 2


async def test_records_that_are_too_old_are_discarded():
    letters = Scripted(id="letters")
    worker = Flaky(fails=2)
    router = make(worker)
    async with router:
        await put(router, 0, 1)
        await anyio.sleep(100)
        await put(router, 2)
        router.event_source_mapping("all", "work", maximum_record_age=seconds(60), on_failure=letters)
        await anyio.sleep(20)
    assert numbers(worker) == [[2]] * 3
    [record] = [json.loads(delivery.payload) for delivery in letters.seen]
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["batchInfo"]["batchSize"] == 2
    assert "responsePayload" not in record


async def test_all_records_of_a_batch_may_be_too_old():
    worker = Worker()
    router = make(worker)
    async with router:
        await put(router, 0)
        await anyio.sleep(100)
        mapping = router.event_source_mapping("all", "work", maximum_record_age=seconds(60))
        await anyio.sleep(5)
    assert worker.batches == []
    assert mapping.statistics().discarded == 1


async def test_a_stream_waits_for_a_function_that_is_stopped():
    worker = Worker()
    router = make(worker)
    router.get_function("work").put_concurrency(0)
    mapping = router.event_source_mapping("all", "work")
    async with router:
        await put(router, 0)
        await anyio.sleep(100)
        assert mapping.statistics().throttles > 3
        router.get_function("work").put_concurrency(1)
        await anyio.sleep(40)
    assert numbers(worker) == [[0]]


async def test_a_store_that_fails_has_the_stream_read_again(caplog):
    class Failing(MemoryStore):
        failures = 2

        async def fire(self, occurrences):
            if occurrences[0].schedule.startswith("mapping") and occurrences[0].slot.microsecond and self.failures:
                self.failures -= 1
                raise StoreError("full")
            return await super().fire(occurrences)

    worker = Worker()
    router = make(worker, store=Failing())
    router.event_source_mapping("all", "work")
    async with router:
        await put(router, 0)
        await anyio.sleep(10)
    assert numbers(worker) == [[0]] * 3
    assert "Source all failed; it is read again in a second" in caplog.text


async def test_a_failure_destination_that_is_full_does_not_lose_the_batch(caplog):
    worker = Flaky(bad=[0])
    router = make(worker)
    router.put_timeout = seconds(0.1)
    letters = Scripted(id="letters", maximum_backlog=1, maximum_concurrency=0, when_full="reject")
    mapping = router.event_source_mapping(
        "all", "work", batch_size=1, maximum_retry_attempts=0, on_failure=letters, filters=None
    )
    worker.bad = {0, 1}
    async with router:
        await put(router, 0, 1)
        await anyio.sleep(5)
        assert numbers(worker)[:2] == [[0], [1]]
        assert len(numbers(worker)) > 2
        mapping.disable()
        await anyio.sleep(1)
        router.drain_timeout = seconds(0)
    assert "ThrottlingException" in caplog.text


# -- iterators ---------------------------------------------------------------------------------------------------


async def test_an_iterator_is_read_to_its_end():
    worker = Worker()
    router = make(worker)
    mapping = router.event_source_mapping(items({"n": 1}, [2], "three"), "work", name="m", batch_size=2)
    async with router:
        await anyio.sleep(1)
        assert mapping.statistics().workers == 0
    assert flat(worker.batches) == [{"n": 1}, [2], "three"]
    record = worker.events[0]["Records"][0]
    assert (record["sequenceNumber"], record["eventSource"]) == ("1", "eventrouter:iterator")
    assert record["eventSourceARN"] == "arn:eventrouter:iterator:local:000000000000:m"
    assert (mapping.source, mapping.target) == ("m", "work")


async def test_a_function_gives_an_iterator_each_time_and_what_is_not_done_comes_again():
    worker, calls = Worker(poison=[2]), []

    def source():
        calls.append(1)
        return items(*((1, 2, 3) if len(calls) == 1 else (4,)), end=anyio.Event())

    router = make(worker)
    mapping = router.event_source_mapping(source, "work", batch_size=1)
    assert mapping.name == "source-work"
    async with router:
        await anyio.sleep(3)
        mapping.disable()
        await anyio.sleep(60)
        worker.poison = set()
        mapping.enable()
        await anyio.sleep(3)
    assert worker.batches[0] == [1]
    assert worker.batches[-3:] == [[2], [3], [4]]
    assert worker.done == [1] + [2] * (len(worker.batches) - 3) + [3, 4]


async def test_a_generator_is_closed_when_its_mapping_is_disabled():
    """Not whenever it is collected: it may hold a connection."""
    log = []

    async def items():
        try:
            for number in range(100):
                yield number
        finally:
            log.append("closed")

    worker = Worker(takes=1)
    router = make(worker)
    mapping = router.event_source_mapping(items, "work", batch_size=1)
    async with router:
        await anyio.sleep(2.5)
        mapping.disable()
        await anyio.wait_all_tasks_blocked()
        assert log == ["closed"]
        await anyio.sleep(5)
    assert worker.batches == [[0], [1], [2]]


async def test_a_simulation_reads_its_own_store_at_its_own_time_and_leaves_the_real_one_alone():
    """A mark in the real store would have the real mapping pass over events that it never saw."""
    real, ages = MemoryStore(), []
    router = EventRouter(real)
    router.put_archive("all", {"source": [{"exists": True}]})

    async def items():
        yield 1

    @router.function("work", timeout=seconds(20))
    async def work(event, context):
        for record in event["Records"]:
            ages.append(router.delivery_now().timestamp() - record["approximateArrivalTimestamp"])

    for source in "all", items:
        router.event_source_mapping(source, "work", maximum_record_age=seconds(10), maximum_retry_attempts=0)
    async with simulate(router, at="2030-01-01T00:00Z", store=MemoryStore()) as sim:
        await router.put_events([EventEntry("shop", "Order", {})])
        await sim.advance(minutes=1)
    assert len(ages) == 2
    assert all(0 <= age < 2 for age in ages)
    assert await real.last_fired(["mapping/all-work"]) == {}


async def test_a_window_gathers_a_batch_of_a_stream():
    worker = Worker()
    router = make(worker)

    async def slowly():
        for number in range(5):
            yield number
            await anyio.sleep(1)

    router.event_source_mapping(slowly, "work", batch_window=seconds(2.5))
    async with router:
        await anyio.sleep(20)
    assert worker.batches == [[0, 1, 2], [3, 4]]


async def test_a_batch_of_many_bytes_is_handed_over_at_once():
    worker = Worker()
    router = make(worker)
    large = "x" * 1_700_000
    router.event_source_mapping(items(large, large, large, "end"), "work", name="m", batch_window=seconds(10))
    async with router:
        await anyio.sleep(20)
    assert [len(batch) for batch in worker.batches] == [3, 1]


async def test_a_stream_whose_batch_is_too_large_is_divided():
    worker = Worker()
    router = make(worker)
    large = '"' * 2_400_000
    router.event_source_mapping(items(large, large), "work", name="m", batch_window=seconds(1))
    async with router:
        await anyio.sleep(20)
    assert [len(batch) for batch in worker.batches] == [1, 1]


async def test_an_iterator_that_fails_is_read_again(caplog):
    worker, calls = Worker(), []

    async def source():
        calls.append(1)
        yield len(calls)
        if len(calls) == 1:
            raise ConnectionError("gone")

    router = make(worker)
    router.event_source_mapping(source, "work")
    async with router:
        await anyio.sleep(5)
    assert flat(worker.batches) in ([1, 2], [1, 1, 2])
    assert "it is read again in a second" in caplog.text


@pytest.mark.parametrize("takes", [0, 15])
async def test_leaving_the_router_stops_a_batch_that_is_being_retried(takes):
    worker = Worker(poison=["a"], takes=takes)
    router = make(worker)
    router.event_source_mapping(items("a"), "work", name="m")
    async with router:
        await anyio.sleep(100)
    assert len(worker.batches) > 3
    assert worker.running == 0


async def test_what_a_filter_cannot_be_held_against_is_passed_over():
    worker = Worker()
    router = make(worker)
    router.event_source_mapping(items({"n": float("nan")}, {"n": 1}), "work", name="m", filters=[{"data": {"n": [1]}}])
    async with router:
        await anyio.sleep(1)
    assert worker.batches == [[{"n": 1}]]


@pytest.mark.parametrize(
    ("source", "error", "reason"),
    [(5, InvalidRuleError, "5 is no source"), ("nothing", NotFoundError, "no queue and no archive nothing")],
)
def test_what_is_no_source_is_refused(source, error, reason):
    with pytest.raises(error, match=reason):
        make(Worker()).event_source_mapping(source, "work", name="m")


def test_a_stream_has_one_worker():
    router = make(Worker())
    with pytest.raises(InvalidRuleError, match="the order of a stream is kept by one worker"):
        router.event_source_mapping("all", "work", maximum_concurrency=2)
    router.event_source_mapping("all", "work", maximum_concurrency=1)


# -- pipes -------------------------------------------------------------------------------------------------------


def pipe_router():
    router = EventRouter(clock=LoopClock())
    for name in ("incoming", "outgoing"):
        router.create_queue(name, visibility_timeout=seconds(30))
    return router


async def received(router, name="outgoing"):
    return [message.json() for message in await router.queue(name).receive(10)]


async def test_a_pipe_filters_enriches_transforms_and_sends():
    router = pipe_router()

    @router.function("prices", timeout=seconds(20))
    async def prices(event, context):
        found = [json.loads(record["body"]) for record in event]
        return [{**order, "price": order["n"] * 10} for order in found if order["n"] != 3]

    mapping = router.pipe(
        "orders",
        "incoming",
        QueueTarget(id="out", queue=router.queue("outgoing")),
        filters=[{"body": {"n": [{"numeric": [">", 1]}]}}],
        enrichment="prices",
        transform='{"pipe": "<aws.pipes.pipe-name>", "price": <$.price>, "all": <aws.pipes.event.json>}',
    )
    async with router:
        for number in range(4):
            await router.queue("incoming").send({"n": number})
        await anyio.sleep(5)
        assert await received(router) == [{"pipe": "orders", "price": 20, "all": {"n": 2, "price": 20}}]
        assert (await router.queue("incoming").depth()).not_visible == 0
        assert (await router.ledger()).is_balanced
    assert (mapping.name, mapping.target) == ("orders", "out")
    assert mapping.statistics().filtered == 2


async def test_a_pipe_to_a_bus_puts_events():
    router, seen = pipe_router(), []

    @router.rule({"source": ["Pipe orders"]}, name="see")
    async def see(event):
        seen.append((event.detail_type, event.detail))

    def order(record):
        return {"n": record["body"]["n"], "at": record["attributes"]["SentTimestamp"]}

    router.pipe("orders", "incoming", BusTarget(id="bus", router=router, event_bus_name="default"), transform=order)
    async with router:
        await router.queue("incoming").send({"n": 1})
        await anyio.sleep(5)
    assert seen == [("Event from aws:sqs", {"n": 1, "at": "1772366400000"})]


async def test_a_pipe_to_a_function_hands_over_the_list_and_hears_of_failures():
    worker = Worker()
    router = pipe_router()
    function = router.function("work", timeout=seconds(20))(worker)

    async def look_up(records):
        return [record["messageId"] for record in records]

    worker.answer = lambda ids: {"batchItemFailures": [{"itemIdentifier": ids[0]}] if len(worker.batches) == 1 else []}
    router.pipe("p", router.queue("incoming"), function, enrichment=look_up)
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(1)
        assert len(worker.batches) == 1
        await anyio.sleep(31)
        assert worker.batches[0] == worker.batches[1]


@pytest.mark.parametrize("answer", ["done", [{"id": 1}], 7, True])
async def test_a_function_at_the_end_of_a_pipe_that_reports_no_failures_returns_what_it_likes(answer):
    worker, router = Worker(answer=lambda items: answer), pipe_router()
    router.function("work", timeout=seconds(20))(worker)
    mapping = router.pipe("p", "incoming", "work")
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(100)
    assert (mapping.statistics().succeeded, mapping.statistics().batches) == (1, 1)


async def test_what_has_no_form_as_json_is_a_failed_batch_and_is_given_up_in_the_end():
    """It would hold up a stream for ever, and hurry through the receives of a queue."""
    router, kept = pipe_router(), Scripted(id="kept")

    async def items():
        for number in range(2):
            yield number

    mapping = router.pipe(
        "p",
        items,
        QueueTarget(id="out", queue=router.queue("outgoing")),
        transform=lambda record: {"n": record["data"]} if record["data"] else {"n": object()},
        batch_size=1,
        maximum_retry_attempts=1,
        on_failure=kept,
    )
    async with router:
        await anyio.sleep(60)
        assert await received(router) == [{"n": 1}]
    assert mapping.statistics().discarded == 1
    [delivery] = kept.seen
    assert "The transformation failed" in str(delivery.event.detail["responsePayload"])


@pytest.mark.parametrize(
    ("answer", "sent"), [(None, []), ("", []), ({}, []), ([], []), ([{}], [{}]), ({"a": 1}, [{"a": 1}])]
)
async def test_of_an_empty_enrichment_nothing_goes_on(answer, sent):
    router = pipe_router()

    async def enrich(records):
        return answer

    router.pipe("p", "incoming", QueueTarget(id="out", queue=router.queue("outgoing")), enrichment=enrich)
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(1)
        assert await received(router) == sent
        assert (await router.queue("incoming").depth()).not_visible == 0


@pytest.mark.parametrize("part", ["enrichment", "transform"])
async def test_a_part_of_a_pipe_that_fails_is_a_failed_batch(part, caplog):
    router, calls = pipe_router(), []

    async def enrich(records):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no price")
        return records

    def shape(item):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("no price")
        return item

    router.pipe(
        "p",
        "incoming",
        QueueTarget(id="out", queue=router.queue("outgoing")),
        **{part: enrich if part == "enrichment" else shape},
    )
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(1)
        assert await received(router) == []
        await anyio.sleep(31)
        assert len(await received(router)) == 1
    assert "failed: ValueError: no price" in caplog.text


async def test_a_target_whose_backlog_is_full_lets_the_batch_wait():
    router = pipe_router()
    router.put_timeout = seconds(0.1)
    full = Scripted(id="t", maximum_backlog=1, maximum_concurrency=0, when_full="reject")
    mapping = router.pipe("p", "incoming", full, batch_size=1, maximum_concurrency=1)
    async with router:
        await router.queue("incoming").send("a")
        await router.queue("incoming").send("b")
        await anyio.sleep(10)
        assert mapping.statistics().throttles > 0
        assert mapping.statistics().succeeded == 1
        router.drain_timeout = seconds(0)
        await router.remove_event_source_mapping("p")
    ledger = await router.ledger()
    assert ledger.is_balanced


async def test_templates_may_give_text_and_the_time():
    router = pipe_router()
    lines = []

    class Keep(JsonLinesTarget):
        async def invoke(self, delivery):
            lines.append(json.loads(delivery.payload))

    router.pipe(
        "p", "incoming", Keep(id="k", path="x"), transform='"Order <$.body.n> of <aws.pipes.event.ingestion-time>"'
    )
    async with router:
        await router.queue("incoming").send({"n": 7})
        await anyio.sleep(1)
    [line] = lines
    assert line.startswith("Order 7 of 2026-03-01T12:00:00")


async def test_a_template_may_give_lines():
    worker, router = Worker(), pipe_router()
    router.function("work", timeout=seconds(20))(worker)
    router.pipe("p", "incoming", "work", transform='"Order <$.body.n>"\n"ends"')
    async with router:
        await router.queue("incoming").send({"n": 7})
        await anyio.sleep(1)
    assert worker.batches == [["Order 7\nends"]]


async def test_what_belongs_to_a_pipe_goes_with_it():
    router = pipe_router()
    router.pipe("p", "incoming", Scripted(id="t", on_success=Scripted(id="s")))
    await router.remove_event_source_mapping("p")
    router.pipe("p", "incoming", Scripted(id="t"))
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(1)
        assert list((await router.ledger()).parked) == []


def test_a_pipes_functions_are_done_before_messages_come_again():
    router = pipe_router()
    router.function("slow", timeout=seconds(31))(Worker())
    for options in ({"target": "slow"}, {"target": Scripted(id="t"), "enrichment": "slow"}):
        with pytest.raises(InvalidRuleError, match="30 seconds is less than Function timeout: 31 seconds"):
            router.pipe("p", "incoming", options.pop("target"), **options)
    router.pipe("p", items(1), "slow", enrichment="slow")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"transform": 5}, "use a template or a callable"),
        ({"transform": '{"a": <aws.pipes.nothing>}'}, "There is no <aws.pipes.nothing>"),
        ({"transform": '{"a": <$.b[>}'}, "transform of pipe p"),
        ({"enrichment": "nothing"}, "Function not found: nothing"),
        ({"target": "nothing"}, "Function not found: nothing"),
    ],
)
def test_parts_of_a_pipe_that_are_not_usable_are_refused(options, reason):
    router = pipe_router()
    target = options.pop("target", QueueTarget(id="out", queue=router.queue("outgoing")))
    with pytest.raises((InvalidRuleError, NotFoundError)) as caught:
        router.pipe("p", "incoming", target, **options)
    assert reason in str(caught.value)
    assert router.list_event_source_mappings() == []


async def test_the_dead_letters_of_a_pipes_target_can_be_redriven():
    router = pipe_router()
    target = Scripted(id="t", script=[ValueError("no")] * 3, retry_policy=RetryPolicy(maximum_retry_attempts=0))
    router.pipe("p", "incoming", target)
    async with router:
        await router.queue("incoming").send("a")
        await anyio.sleep(10)
        [letter] = await router.dead_letters()
        target.script.clear()
        await router.redrive()
        await router.settle_down()
        assert letter.subscription.rule_name == "p"
        assert await router.dead_letters() == []
