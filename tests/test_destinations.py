"""Where records of deliveries go, and that they are written with what they tell of, or not at all."""

import json
import logging

import anyio
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import (
    BusTarget,
    DeadLetterQueue,
    Event,
    EventEntry,
    EventRouter,
    FunctionTarget,
    InvalidRuleError,
    JsonLinesTarget,
    LogTarget,
    MemoryStore,
    RetryPolicy,
    Subscription,
)
from eventrouter.delivery._receivers import RecordReceiver
from eventrouter.records import Counts, Delivery
from tests.aftermath import LAMBDA, ORDERS, below, fails, record, run
from tests.support import EVERYTHING, NOON, Scripted, make_event, make_router, order, seconds
from tests.virtual_time import LoopClock, real_time_backends, virtual_time_backends

# -- where records go ----------------------------------------------------------------------------------------------


async def test_a_bus_receives_the_record_as_an_event():
    router = EventRouter(clock=LoopClock(), account="111111111111", region="eu-west-1")
    router.add_event_bus("results")
    listener = Scripted(id="l")
    router.put_rule("failures", {"detail-type": [{"suffix": "Failure"}]}, event_bus_name="results")
    router.put_targets("failures", [listener], event_bus_name="results")
    router.put_rule("r", EVERYTHING)
    bus = BusTarget(id="bus", router=router, event_bus_name="results")
    elsewhere = Scripted(id="d")
    target = fails(OSError(), arn=LAMBDA, on_failure=[bus, elsewhere])
    router.put_targets("r", [target])
    await run(router=router, entry=EventEntry("shop.orders", "T", {}, trace_header="00-1"))
    [event] = [delivery.event for delivery in listener.seen]
    assert (event.source, event.detail_type) == ("lambda", "Lambda Function Invocation Result - Failure")
    assert (event.account, event.region) == ("111111111111", "eu-west-1")
    assert event.resources == ("arn:aws:events:eu-west-1:111111111111:event-bus/results", f"{LAMBDA}:$LATEST")
    assert event.detail == record(elsewhere.seen[0])
    assert listener.seen[0].trace_header == elsewhere.seen[0].trace_header == "00-1"
    assert listener.seen[0].causes == elsewhere.seen[0].causes == (target.seen[0].event.id,)
    assert elsewhere.seen[0].event.resources[0] == "arn:aws:events:eu-west-1:111111111111:event-bus/default"


async def test_several_destinations_each_receive_the_record():
    destinations = [Scripted(id=name) for name in "abc"]
    router = await run(Scripted(id="t", on_success=destinations))
    a, b, c = (record(destination.seen[0]) for destination in destinations)
    assert a == b == c
    assert a["requestContext"]["functionArn"] == "arn:aws:events:local:000000000000:rule/r/target/t"
    ledger = router.closing_report
    assert ledger.events == 4
    assert ledger.subscriptions == {
        subscription: Counts(accepted=1, delivered=1)
        for subscription in (Subscription("default", "r", "t"), *(below(f"on_success/{name}") for name in "abc"))
    }


async def test_the_same_target_may_stand_in_both_lists():
    destination = Scripted(id="d")
    target = fails(None, OSError(), on_success=destination, on_failure=destination)
    router = await run(target)
    await run(router=router)
    types = [delivery.event.detail_type.rpartition(" ")[2] for delivery in destination.seen]
    assert types == ["Success", "Failure"]


async def test_functions_take_a_record_as_an_event_or_as_a_model():
    class Context(pydantic.BaseModel):
        condition: str

    class Record(pydantic.BaseModel):
        request_context: Context = pydantic.Field(alias="requestContext")

    told = []

    async def as_event(event: Event):
        told.append(event.detail["requestContext"]["condition"])

    def as_model(outcome):
        told.append(outcome.request_context.condition)

    as_model.__annotations__["outcome"] = Record
    destinations = [FunctionTarget(id="e", function=as_event), FunctionTarget(id="m", function=as_model)]
    target = Scripted(id="t", on_success=destinations[:1])
    await run(target)
    aside = RecordReceiver.of(destinations[1])
    event = msgspec.structs.replace(
        make_event(), detail_json=msgspec.Raw(b'{"requestContext":{"condition":"Success"}}')
    )
    await aside.invoke(Delivery(1, below("on_success/m"), event, 1, NOON, 0, 1))
    assert told == ["Success", "Success"]


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_logs_and_files_hold_the_record(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    path = tmp_path / "records.jsonl"
    await run(Scripted(id="t", on_success=[JsonLinesTarget(id="f", path=path), LogTarget(id="l", logger="records")]))
    [line] = path.read_text().splitlines()
    assert json.loads(line)["requestContext"]["condition"] == "Success"
    assert [entry.message for entry in caplog.records if entry.name == "records"] == [line]


async def test_an_input_that_a_destination_was_given_is_left_alone():
    target = Scripted(id="d")
    delivery = Delivery(1, below("on_success/d"), make_event(), 1, NOON, 0, 1, input=b"7")
    await RecordReceiver.of(target).invoke(delivery)
    assert target.seen[0].payload == b"7"


async def test_a_destination_that_fails_has_retries_and_a_dead_letter_queue_of_its_own():
    destination = fails(*[OSError("down")] * 3, id="d", retry_policy=RetryPolicy(maximum_retry_attempts=2))
    router = await run(Scripted(id="t", on_success=destination))
    [letter] = await router.dead_letters(queue="default/r/t/on_success/d")
    assert len(destination.seen) == 3
    assert letter.event.detail["requestContext"]["condition"] == "Success"
    assert letter.subscription == below("on_success/d")


async def test_a_destination_may_have_a_target_as_its_dead_letter_queue():
    queue = Scripted(id="q")
    await run(Scripted(id="t", on_success=fails(OSError("down"), id="d", dead_letter_queue=queue)))
    [letter] = queue.seen
    assert letter.subscription == below("on_success/d/dead_letter_queue")
    assert (letter.event.source, letter.attributes["ERROR_MESSAGE"]) == ("lambda", "OSError: down")


async def test_records_are_never_refused_for_want_of_room():
    async def slow():
        await anyio.sleep(10)

    for choice in ("wait", "reject", "shed"):
        destination = Scripted(id="d", script=[slow] * 20, maximum_backlog=1, maximum_concurrency=1, when_full=choice)
        router = make_router(Scripted(id="t", on_success=destination))
        async with router:
            results = await router.put_events([order(n=n) for n in range(20)])
            await router.settle_down()
        assert [result.error_code for result in results] == [None] * 20
        assert router.closing_report.subscriptions[below("on_success/d")] == Counts(accepted=20, delivered=20)


async def test_a_destination_keeps_the_order_of_a_group_if_it_asks_for_it():
    seen = []

    async def slow_first(event):
        n = event.detail["requestPayload"]["detail"]["n"]
        await anyio.sleep(10 - n)
        seen.append(n)

    destination = FunctionTarget(id="d", function=slow_first, ordering="FIFO")
    router = make_router(Scripted(id="t", on_success=destination, ordering="FIFO"))
    async with router:
        entries = [EventEntry("shop", "T", {"n": n}, event_group_id="g") for n in range(5)]
        await router.put_events(entries)
        await router.settle_down()
    assert seen == [0, 1, 2, 3, 4]


async def test_records_of_records_end_at_the_hop_limit():
    router = EventRouter(clock=LoopClock(), maximum_hops=3)
    router.put_rule("r", EVERYTHING)
    seen = []

    async def handle(event):
        assert len(seen) < 10, "they do not end"
        seen.append(event.source)

    bus = BusTarget(id="bus", router=router, event_bus_name="default")
    router.put_targets("r", [FunctionTarget(id="t", function=handle, on_success=bus)])
    await run(router=router)
    assert seen == ["shop.orders", "lambda", "lambda", "lambda"]
    [letter] = await router.dead_letters()
    assert letter.error_code == "HOP_LIMIT_EXCEEDED"
    assert len(letter.causes) == 4


# -- declaring them ------------------------------------------------------------------------------------------------


def d(**options) -> Scripted:
    return Scripted(**{"id": "d", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_success": [d(on_success=d())]}, "Target d in on_success of t has destinations itself (send records to a bus, whose rules may go on from there)"),
        ({"on_failure": d(on_failure=d())}, "Target d in on_failure of t has destinations itself (send records to a bus, whose rules may go on from there)"),
        ({"dead_letter_queue": d(on_failure=d())}, "Target d in dead_letter_queue of t has destinations itself (send records to a bus, whose rules may go on from there)"),
        ({"dead_letter_queue": d(dead_letter_queue=d())}, "dead_letter_queue of target t has one itself (leave it out: a dead-letter queue is tried until it takes the event)"),
        ({"dead_letter_queue": "q"}, "dead_letter_queue of target t is 'q' (use a DeadLetterQueue, a Target or None)"),
        ({"on_success": [d(), d()]}, "Two targets in on_success of t have the same id (give each its own)"),
        ({"on_success": print}, f"on_success of target t is {print!r} (use a list of targets)"),
        ({"on_failure": [print]}, f"on_failure of target t is [{print!r}] (use a list of targets)"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(InvalidRuleError) as raised:
        Scripted(id="t", **options)
    assert str(raised.value) == message


def test_one_destination_may_stand_without_a_list():
    assert Scripted(id="t", on_success=d()).on_success == (d(),)
    assert Scripted(id="t", on_failure=[d()]).on_failure == (d(),)


async def test_a_decorated_function_may_have_destinations():
    destination = Scripted(id="d")
    router = EventRouter(clock=LoopClock())

    @router.rule(ORDERS, on_success=destination)
    async def handle(event):
        return event.detail["total"]

    await run(router=router)
    assert record(destination.seen[0])["responsePayload"] == 250


async def test_a_target_that_is_replaced_takes_its_destinations_with_it():
    old, new = Scripted(id="old"), Scripted(id="new")
    router = make_router(Scripted(id="t", on_success=old))
    router.put_targets("r", [Scripted(id="t", on_success=new)])
    await run(router=router)
    assert (len(old.seen), len(new.seen)) == (0, 1)
    assert router._dispatcher._targets.keys() == {Subscription("default", "r", "t"), below("on_success/new")}
    router.remove_targets("r", ["t"])
    assert router._dispatcher._targets == {}


async def test_what_follows_after_a_target_was_removed_still_arrives():
    destination, queue = Scripted(id="d"), Scripted(id="q")

    async def wait():
        await anyio.sleep(10)
        raise OSError

    router = make_router(fails(wait, on_failure=destination, dead_letter_queue=queue))
    async with router:
        await router.put_events([order()])
        await anyio.sleep(5)
        router.remove_targets("r", ["t"])
        await router.settle_down()
    assert (len(destination.seen), len(queue.seen)) == (1, 1)
    assert router.closing_report.parked == frozenset()


async def test_targets_that_are_removed_while_they_work_leave_nothing_behind():
    """Their destinations go with the next change of targets that finds their deliveries ended."""

    async def wait():
        await anyio.sleep(10)

    destination = Scripted(id="d")
    router = make_router(Scripted(id="first"))
    async with router:
        for n in range(20):
            router.put_targets("r", [Scripted(id=f"t{n}", script=[wait], on_success=destination)])
            await router.put_events([order()])
            router.remove_targets("r", [f"t{n}"])
        router.put_targets("r", [Scripted(id="t0", on_failure=destination)])  # one comes back
        await router.settle_down()
        router.put_targets("r", [Scripted(id="last")])
        assert len(destination.seen) == 19
        assert len(router._dispatcher.targets) == 4
        assert len(router._subscribers._related) == 1


async def test_records_that_wait_are_sent_by_the_next_router_on_the_store():
    store = MemoryStore()
    down = Scripted(id="d", maximum_concurrency=0)
    first = make_router(Scripted(id="t", on_success=down), store=store, drain_timeout=seconds(1))
    async with first:
        await first.put_events([order(total=7)])
        await anyio.sleep(1)
    assert first.closing_report.total == Counts(accepted=2, delivered=1, waiting=1)
    up = Scripted(id="d")
    async with make_router(Scripted(id="t", on_success=up), store=store) as second:
        await second.settle_down()
    assert record(up.seen[0])["requestPayload"]["detail"] == {"total": 7}


# -- all or nothing ------------------------------------------------------------------------------------------------


class Sluggish(MemoryStore):
    """A store that takes an hour to settle, as often as it is told."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    async def settle(self, outcomes):
        self.times -= 1
        if self.times >= 0:
            await anyio.sleep(3600)
        return await super().settle(outcomes)


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_record_is_written_with_the_outcome_when_the_router_closes_in_between(succeeds, caplog):
    store, destination = Sluggish(1), Scripted(id="d")
    target = fails(None if succeeds else OSError(), on_success=destination, on_failure=destination)
    router = make_router(target, store=store, drain_timeout=seconds(1))
    async with router:
        await router.put_events([order()])
    report = router.closing_report
    assert report.is_balanced
    assert (report.total.accepted, report.total.waiting, report.parked) == (2, 1, frozenset())
    assert "not declared" not in caplog.text
    async with router:
        await router.settle_down()
    assert (len(target.seen), len(destination.seen)) == (1, 1)
    assert router.closing_report.is_balanced


async def test_a_record_is_not_written_when_the_outcome_is_not():
    store, destination, child = Sluggish(2), Scripted(id="d"), Scripted(id="c")

    async def handle():
        return EventEntry("child", "T", {})

    target = Scripted(id="t", script=[handle] * 2, on_success=destination)
    router = make_router(target, store=store, drain_timeout=seconds(1), pattern=ORDERS)
    router.put_rule("child", {"source": ["child"]})
    router.put_targets("child", [child])
    async with router:
        await router.put_events([order()])
    assert router.closing_report.total == Counts(accepted=1, in_flight=1)
    async with router:
        await anyio.sleep(120)  # the lease ends
        await router.settle_down()
    assert (len(target.seen), len(destination.seen), len(child.seen)) == (2, 1, 1)
    assert router.closing_report.is_balanced


# -- the account ---------------------------------------------------------------------------------------------------

QUEUES = {"store": DeadLetterQueue(), "none": None, "target": Scripted(id="q")}


@pytest.mark.parametrize("backend", virtual_time_backends(), ids=lambda backend: backend[0])
@given(
    failures=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    queue=st.sampled_from(sorted(QUEUES)),
    destinations=st.integers(0, 3),
    down=st.integers(0, 6),
)
@settings(max_examples=25)
def test_each_delivery_is_followed_by_exactly_what_its_end_calls_for(backend, failures, queue, destinations, down):
    """Whatever fails, and how often: a model that only counts says what the ledger has to say."""

    async def deliver():
        left = list(failures)

        async def work(event):
            n = event.detail["n"]
            left[n] -= 1
            if left[n] >= 0:
                raise OSError

        sent = [Scripted(id=f"d{n}", script=[OSError()] * (down if n == 0 else 0)) for n in range(destinations)]
        options = {"retry_policy": RetryPolicy(maximum_retry_attempts=2), "dead_letter_queue": QUEUES[queue]}
        target = FunctionTarget(id="t", function=work, on_success=sent, on_failure=sent, **options)
        router = make_router(target, pattern=ORDERS)
        async with router:
            await router.put_events([order(n=n) for n in range(len(failures))])
            await router.settle_down()
        return router.closing_report

    name, options = backend
    ledger = anyio.run(deliver, backend=name, backend_options=options)
    given_up = sum(n > 2 for n in failures)
    succeeded = len(failures) - given_up
    counts = {key.target_id: value for key, value in ledger.subscriptions.items()}
    assert ledger.is_balanced
    assert ledger.events == len(failures) * (1 + destinations) + (given_up if queue == "target" else 0)
    assert (counts["t"].delivered, counts["t"].dead_lettered + counts["t"].dropped) == (succeeded, given_up)
    assert counts["t"].dropped == (given_up if queue == "none" else 0)
    for n in range(destinations):
        ends = [counts.get(f"t/{list_}/d{n}", Counts()) for list_ in ("on_success", "on_failure")]
        assert [end.accepted for end in ends] == [succeeded, given_up]
        assert sum(ends, Counts()).waiting == 0
    expected = Counts(accepted=given_up, delivered=given_up) if queue == "target" and given_up else Counts()
    assert counts.get("t/dead_letter_queue", Counts()) == expected
