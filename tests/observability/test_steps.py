"""The sixteen steps of EventBridge's log: each told at its moment, in the documented order."""

from collections.abc import Sequence
from typing import get_args

import anyio
import pytest

from eventrouter import (
    DeadLettered,
    Delivered,
    Delivery,
    Dropped,
    EventEntry,
    MemoryStore,
    PermanentDeliveryError,
    Postponed,
    RetryAt,
    RetryBudget,
    RetryPolicy,
    Subscription,
    ThrottledError,
)
from eventrouter.delivery import _observe
from eventrouter.records import Step
from tests.support import EVERYTHING, NOON, Scripted, Steps, make_event, make_router, order, seconds

INGESTED = ["EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "RULE_MATCH_START", "RULE_MATCH"]
BEGUN = [*INGESTED, "INVOCATION_START", "INVOCATION_ATTEMPT_START"]
GIVEN_UP = ["INVOCATION_FAILURE", "INVOCATION_DLQ"]
ONCE = RetryPolicy(maximum_retry_attempts=0)


async def steps_of(*targets, entries: Sequence[EventEntry] = (), **options) -> Steps:
    """Deliver an order and give all that was told."""
    steps = Steps()
    async with make_router(*targets, observers=[steps], **options) as router:
        await router.put_events(list(entries) or [order()])
        await router.settle_down()
    return steps


async def test_a_delivery_that_succeeds():
    steps = await steps_of(Scripted(id="t"))
    assert steps.names == [*BEGUN, "INVOCATION_ATTEMPT_SUCCESS", "INVOCATION_SUCCESS"]
    told = {observation.event_id for observation in steps.told}
    assert len(told) == 1
    assert {observation.event.id for observation in steps.told} == told
    assert [observation.rule_name for observation in steps.told] == [None, None, None, "r", "r", "r", "r", "r"]
    assert [type(observation.outcome) for observation in steps.told[4:]] == [type(None)] * 2 + [Delivered] * 2
    assert all(observation.delivery.attempt == 1 for observation in steps.told[4:])
    assert all(observation.event_bus_name == "default" for observation in steps.told)


async def test_an_event_that_no_rule_wants():
    steps = await steps_of(Scripted(id="t"), pattern={"source": ["others"]})
    assert steps.names == [*INGESTED[:3], "NO_STANDARD_RULES_MATCHED"]


async def test_each_rule_that_matches_is_told_once_with_its_targets():
    steps = Steps()
    router = make_router(Scripted(id="a"), Scripted(id="b"), observers=[steps])
    router.put_rule("q", EVERYTHING)
    router.put_targets("q", [Scripted(id="c")])
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    matches = [observation for observation in steps.told if observation.step == "RULE_MATCH"]
    assert {
        (observation.rule_name, *(receiver.target_id for receiver in observation.subscriptions))
        for observation in matches
    } == {("r", "a", "b"), ("q", "c")}


async def test_a_target_that_is_left_out_is_told_apart():
    full = Scripted(id="t", maximum_concurrency=0, maximum_backlog=1, when_full="shed")
    steps = Steps()
    async with make_router(full, observers=[steps], drain_timeout=seconds(0)) as router:
        await router.put_events([order()])
        await router.put_events([order()])
    assert steps.names == INGESTED * 2
    first, second = steps.told[3], steps.told[7]
    assert ([str(key) for key in first.subscriptions], first.skipped) == (["default/r/t"], ())
    assert (second.subscriptions, [str(key) for key in second.skipped]) == ((), ["default/r/t"])
    assert second.rule_name == "r"


async def test_a_retry_then_success():
    steps = await steps_of(Scripted(id="t", script=[OSError("down")]))
    assert steps.names[len(INGESTED) :] == [
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_SUCCESS",
        "INVOCATION_SUCCESS",
    ]
    failure = steps.told[6]
    assert (failure.error_code, failure.error_message) == ("TARGET_ERROR", "OSError: down")
    assert isinstance(failure.outcome, RetryAt)


@pytest.mark.parametrize(
    ("error", "changes", "last", "end"),
    [
        (PermanentDeliveryError("no"), {}, "INVOCATION_ATTEMPT_PERMANENT_FAILURE", GIVEN_UP),
        (OSError(), {"retry_policy": ONCE}, "INVOCATION_ATTEMPT_RETRYABLE_FAILURE", GIVEN_UP),
        (ThrottledError(retry_after=seconds(9_999)), {}, "INVOCATION_ATTEMPT_THROTTLE", GIVEN_UP),
        (
            PermanentDeliveryError("no"),
            {"dead_letter_queue": None},
            "INVOCATION_ATTEMPT_PERMANENT_FAILURE",
            ["INVOCATION_FAILURE"],
        ),
        (
            OSError(),
            {"dead_letter_queue": None, "retry_policy": ONCE},
            "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
            ["INVOCATION_FAILURE"],
        ),
    ],
    ids=["permanent", "exhausted", "throttled for too long", "permanent, no queue", "exhausted, no queue"],
)
async def test_a_delivery_that_is_given_up(error, changes, last, end):
    """A dead letter is told of only where there is a queue for it."""
    steps = await steps_of(Scripted(id="t", script=[error], **changes))
    assert steps.names == [*BEGUN, last, *end]
    assert all(isinstance(observation.outcome, DeadLettered | Dropped) for observation in steps.told[6:])


async def test_a_throttling_begins_once_however_many_attempts_and_pauses_it_has():
    """Three attempts run into it at once, and the next two find the target throttled still."""
    errors = [ThrottledError("busy") for _ in range(5)]

    async def wait_and_fail():
        await anyio.sleep(0.1)
        raise errors.pop()

    async def take_longer():
        await anyio.sleep(0.2)

    target = Scripted(id="t", script=[*[wait_and_fail] * 5, take_longer], maximum_concurrency=3)
    steps = await steps_of(target, entries=[order(n=n) for n in range(3)])
    assert steps.names.count("INVOCATION_THROTTLE_START") == 1
    assert steps.names.count("INVOCATION_ATTEMPT_THROTTLE") == 5
    assert steps.names.count("INVOCATION_START") == 3
    assert steps.names.count("INVOCATION_ATTEMPT_START") == 8
    assert steps.names.count("INVOCATION_SUCCESS") == 3
    first = steps.names.index("INVOCATION_ATTEMPT_THROTTLE")
    assert steps.names[first + 1] == "INVOCATION_THROTTLE_START"
    assert isinstance(steps.told[first].outcome, Postponed)


async def test_a_throttling_ends_with_an_attempt_after_the_pause_that_is_not_throttled():
    steps = await steps_of(Scripted(id="t", script=[ThrottledError(), OSError(), ThrottledError()]))
    assert [name.removeprefix("INVOCATION_") for name in steps.names[len(BEGUN) :]] == [
        "ATTEMPT_THROTTLE",
        "THROTTLE_START",
        "ATTEMPT_START",
        "ATTEMPT_RETRYABLE_FAILURE",
        "ATTEMPT_START",
        "ATTEMPT_THROTTLE",
        "THROTTLE_START",
        "ATTEMPT_START",
        "ATTEMPT_SUCCESS",
        "SUCCESS",
    ]


async def test_an_attempt_from_before_the_pause_does_not_end_a_throttling():
    async def succeed_in_the_pause():
        await anyio.sleep(1)

    async def fail_after_the_pause():
        raise ThrottledError

    target = Scripted(id="t", script=[succeed_in_the_pause, ThrottledError(retry_after=seconds(5))])
    target.script.append(fail_after_the_pause)
    steps = await steps_of(target, entries=[order(n=1), order(n=2)])
    assert steps.names.count("INVOCATION_ATTEMPT_THROTTLE") == 2
    assert steps.names.count("INVOCATION_THROTTLE_START") == 1


async def test_a_throttling_that_goes_on_lasts_until_its_last_pause_has_ended():
    async def succeed_in_the_second_pause():
        await anyio.sleep(10)

    pauses = [ThrottledError(retry_after=seconds(1)), *[ThrottledError(retry_after=seconds(20))] * 2]
    target = Scripted(id="t", script=[succeed_in_the_second_pause, *pauses])
    steps = await steps_of(target, entries=[order(n=1), order(n=2)])
    assert steps.names.count("INVOCATION_ATTEMPT_THROTTLE") == 3
    assert steps.names.count("INVOCATION_THROTTLE_START") == 1


async def test_a_retry_that_waits_for_the_budget_is_throttled_without_an_attempt():
    target = Scripted(id="t", script=[OSError(), OSError()], maximum_concurrency=1)
    budget = RetryBudget(share=0, minimum_per_second=0.1)
    steps = await steps_of(target, entries=[order(n=n) for n in range(2)], retry_budget=budget)
    assert steps.names.count("INVOCATION_ATTEMPT_THROTTLE") == 0
    assert steps.names.count("INVOCATION_THROTTLE_START") == 1
    told = [observation for observation in steps.told if observation.step == "INVOCATION_THROTTLE_START"]
    assert {observation.error_code for observation in told} == {"RETRY_BUDGET"}


class Refusing(MemoryStore):
    """A store that takes no dead letters for a while."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def settle(self, outcomes):
        if self.times > 0 and any(isinstance(outcome, DeadLettered) for outcome in outcomes):
            self.times -= 1
            raise OSError("the disk is full")
        return await super().settle(outcomes)


async def test_a_dead_letter_that_the_store_refuses_is_told_once_and_again_when_it_is_taken():
    steps = await steps_of(Scripted(id="t", script=[PermanentDeliveryError("no")]), store=Refusing(4))
    assert steps.names == [*BEGUN, "INVOCATION_DLQ", "INVOCATION_ATTEMPT_PERMANENT_FAILURE", *GIVEN_UP]
    refused, taken = steps.told[6], steps.told[9]
    assert (refused.outcome, refused.error_code, refused.error_message) == (None, "DLQ_FAILED", "OSError")
    assert (type(taken.outcome), taken.error_code) == (DeadLettered, "PERMANENT_ERROR")


async def test_without_observers_a_refused_dead_letter_is_just_offered_again():
    async with make_router(Scripted(id="t", script=[PermanentDeliveryError()]), store=Refusing(1)) as router:
        await router.put_events([order()])
        await router.settle_down()
    assert router.closing_report.total.dead_lettered == 1


async def test_an_outcome_that_is_no_dead_letter_and_is_refused_is_not_told():
    class Failing(MemoryStore):
        failures = 1

        async def settle(self, outcomes):
            if self.failures:
                self.failures -= 1
                raise OSError
            return await super().settle(outcomes)

    steps = await steps_of(Scripted(id="t"), store=Failing())
    assert steps.names == [*BEGUN, "INVOCATION_ATTEMPT_SUCCESS", "INVOCATION_SUCCESS"]


async def test_refused_entries_are_told_with_their_reason():
    nowhere = EventEntry("shop.orders", "Order Placed", {}, event_bus_name="nowhere")
    nameless = EventEntry("shop.orders", "Order Placed", {}, event_bus_name=["odd"])
    steps = await steps_of(entries=[EventEntry("", "Order Placed", {}), nowhere, nameless, "no entry", order()])
    failures = [observation for observation in steps.told if observation.step == "EVENT_INGEST_FAILURE"]
    assert [(told.event_bus_name, told.error_code, told.event_id) for told in failures] == [
        ("default", "InvalidArgument", None),
        ("nowhere", "ResourceNotFoundException", None),
        ("['odd']", "ResourceNotFoundException", None),
        ("default", "InvalidArgument", None),
    ]
    assert [told.entry.source if told.entry else None for told in failures] == ["", "shop.orders", "shop.orders", None]
    assert all(told.error_message for told in failures)


async def test_a_forwarded_event_that_is_refused_is_told():
    full = Scripted(id="t", maximum_concurrency=0, maximum_backlog=1, when_full="reject")
    steps, event = Steps(), make_event()
    async with make_router(full, observers=[steps], drain_timeout=seconds(0)) as router:
        await router.forward_events([event])
        await router.forward_events([event])
        await router.forward_events([event], "nowhere")
    told = steps.told[len(INGESTED) :]
    assert [(each.step, each.event_bus_name, each.error_code, each.event_id) for each in told] == [
        ("EVENT_INGEST_FAILURE", "default", "ThrottlingException", event.id),
        ("EVENT_INGEST_FAILURE", "nowhere", "ResourceNotFoundException", event.id),
    ]


async def test_a_duplicate_is_not_told():
    entry = EventEntry("shop.orders", "Order Placed", {}, deduplication_id="once")
    steps = await steps_of(entries=[entry, entry])
    assert steps.names == [*INGESTED[:3], "NO_STANDARD_RULES_MATCHED"]


async def test_an_attempt_that_is_cut_off_has_no_end_and_begins_again():
    target = Scripted(id="t", script=[anyio.sleep_forever])
    steps = Steps()
    router = make_router(target, observers=[steps], drain_timeout=seconds(1))
    async with router:
        await router.put_events([order()])
    assert steps.names == BEGUN
    async with router:
        await router.settle_down()
    assert steps.names[len(BEGUN) :] == [
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_SUCCESS",
        "INVOCATION_SUCCESS",
    ]


def test_what_is_remembered_of_throttled_deliveries_is_bounded(monkeypatch):
    """Here two are remembered: the first of three is forgotten, and so is told to begin once more."""
    monkeypatch.setattr(_observe, "_REMEMBERED", 2)
    steps = Steps()
    observers = _observe.Observers([steps])
    deliveries = [delivery(id) for id in (1, 2, 3)]
    for one in deliveries:
        observers.settled([Postponed(one, NOON, "THROTTLING", "")], NOON)
    steps.told.clear()
    for one in deliveries:
        observers.started(one, NOON)
    assert [observation.delivery.id for observation in steps.told if observation.step == "INVOCATION_START"] == [1]


def delivery(id):
    return Delivery(id, Subscription("default", "r", "t"), make_event(), 1, NOON, 0, 1)


async def test_all_sixteen_in_one_run():
    scripts = [[], [OSError()], [PermanentDeliveryError()], [ThrottledError()]]
    targets = [Scripted(id=f"t{index}", script=script) for index, script in enumerate(scripts)]
    entries = [order(), EventEntry("", "refused", {}), EventEntry("others", "unwanted", {})]
    steps = await steps_of(*targets, entries=entries, pattern={"source": ["shop.orders"]})
    assert len(get_args(Step)) == 16
    assert set(steps.names) == set(get_args(Step))


async def test_an_observer_is_told_of_the_steps_that_it_asks_for():
    class Failures(Steps):
        steps = ("INVOCATION_FAILURE", "RULE_MATCH_START")

    class Deaf(Steps):
        steps = ()

    failures, deaf, everything = Failures(), Deaf(), Steps()
    observers = [failures, deaf, everything]
    for chosen in (observers, observers[:2]):
        async with make_router(Scripted(id="t", script=[PermanentDeliveryError()]), observers=chosen) as router:
            await router.put_events([order()])
            await router.settle_down()
    assert failures.names == ["RULE_MATCH_START", "INVOCATION_FAILURE"] * 2
    assert deaf.names == []
    assert len(everything.names) == 9
