"""Attempts, retries, dead letters: each delivery comes to exactly one end."""

import contextvars
import logging
from dataclasses import replace

import anyio
import pytest

from eventrouter import (
    DeadLetterQueue,
    DeliveryError,
    EventEntry,
    MemoryStore,
    PermanentDeliveryError,
    RetryPolicy,
)
from tests.support import EVERYTHING, Recorder, Scripted, make_router, order, seconds

TWICE = RetryPolicy(maximum_retry_attempts=2)


async def deliver(router, *entries: EventEntry) -> list:
    async with router:
        await router.put_events(list(entries) or [order()])
        await router.settle_down()
    assert router.closing_report.is_balanced
    return await router.dead_letters()


async def test_a_failed_attempt_is_repeated_until_it_succeeds():
    target = Scripted(id="t", script=[OSError("down"), DeliveryError("busy")])
    recorder = Recorder()
    assert await deliver(make_router(target, observers=[recorder])) == []
    assert [delivery.attempt for delivery in target.seen] == [1, 2, 3]
    assert len({delivery.id for delivery in target.seen}) == 1
    assert recorder.names == ["RetryAt", "RetryAt", "Delivered"]
    assert (recorder.outcomes[0].error_code, recorder.outcomes[0].error_message) == ("TARGET_ERROR", "OSError: down")


async def test_retries_come_when_the_policy_says_and_the_same_seed_says_the_same():
    recorder, target = Recorder(), Scripted(id="t", script=[OSError()] * 5)
    await deliver(make_router(target, observers=[recorder]))
    waits = [later - earlier for earlier, later in zip(target.times, target.times[1:], strict=False)]
    assert all(0.1 * 2**n <= wait <= 2**n + 0.001 for n, wait in enumerate(waits))
    assert len(waits) == 5


async def test_the_attempts_of_the_policy_then_one_dead_letter():
    target = Scripted(id="t", script=[OSError(f"failure {n}") for n in range(9)], retry_policy=TWICE, arn="arn:x")
    [letter] = await deliver(make_router(target), order(total=1))
    assert len(target.seen) == 3
    assert letter.event == target.seen[0].event
    assert letter.to_dict() == {
        "body": letter.event.to_dict(),
        "attributes": {
            "RULE_ARN": "arn:aws:events:local:000000000000:rule/r",
            "TARGET_ARN": "arn:x",
            "ERROR_CODE": "TARGET_ERROR",
            "ERROR_MESSAGE": "OSError: failure 2",
            "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
            "RETRY_ATTEMPTS": "2",
        },
    }


async def test_an_event_that_grows_too_old_is_a_dead_letter():
    policy = RetryPolicy(maximum_retry_attempts=100, maximum_event_age=seconds(60), maximum_delay=seconds(10))
    target = Scripted(id="t", script=[OSError()] * 99, retry_policy=policy)
    [letter] = await deliver(make_router(target))
    assert letter.exhausted_retry_condition == "MaximumEventAgeInSeconds"
    assert target.times[-1] - target.times[0] <= 60


async def test_a_permanent_error_is_a_dead_letter_at_once():
    target = Scripted(id="t", script=[PermanentDeliveryError("gone")])
    [letter] = await deliver(make_router(target))
    assert (letter.error_code, letter.exhausted_retry_condition, letter.retry_attempts) == ("PERMANENT_ERROR", None, 0)
    assert "EXHAUSTED_RETRY_CONDITION" not in letter.to_dict()["attributes"]


async def test_a_target_that_does_not_answer_times_out_and_is_tried_again():
    async def hang():
        await anyio.sleep(3600)

    target = Scripted(id="t", script=[hang], timeout=seconds(5))
    recorder = Recorder()
    assert await deliver(make_router(target, observers=[recorder])) == []
    assert recorder.names == ["RetryAt", "Delivered"]
    assert recorder.outcomes[0].error_code == "TIMEOUT"
    assert recorder.outcomes[0].error_message == "TargetTimeoutError: No answer within 5 s."


async def test_a_timeout_of_the_handlers_own_is_the_handlers_error():
    target = Scripted(id="t", script=[TimeoutError("mine")], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    [letter] = await deliver(make_router(target))
    assert (letter.error_code, letter.error_message) == ("TARGET_ERROR", "TimeoutError: mine")


async def test_without_a_timeout_an_attempt_may_take_a_day():
    async def work():
        await anyio.sleep(86_000)

    target = Scripted(id="t", script=[work], timeout=None)
    assert await deliver(make_router(target)) == []
    assert len(target.seen) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_cancels_itself_has_failed():
    """Only asyncio lets it: it awaited a task that somebody cancelled. The router is not being cancelled."""
    target = Scripted(id="t", script=[anyio.get_cancelled_exc_class()()])
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert len(target.seen) == 2
    assert router.closing_report.total.delivered == 1


async def test_a_group_of_one_error_is_that_error():
    """A handler's own task group must not turn a permanent error into one that is retried."""

    async def give_up():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(raise_permanent)

    async def raise_permanent():
        raise PermanentDeliveryError("gone")

    [letter] = await deliver(make_router(Scripted(id="t", script=[give_up])))
    assert (letter.error_code, letter.error_message) == ("PERMANENT_ERROR", "PermanentDeliveryError: gone")


async def test_a_group_of_errors_names_them_all():
    group = ExceptionGroup("several", [OSError("a"), ExceptionGroup("more", [ValueError("b"), KeyError("c")])])
    target = Scripted(id="t", script=[group], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    [letter] = await deliver(make_router(target))
    assert letter.error_message == "OSError: a; ValueError: b; KeyError: 'c'"


async def test_an_error_that_cannot_be_shown_is_still_an_outcome():
    class UnprintableError(Exception):
        def __str__(self):
            raise ZeroDivisionError

    target = Scripted(id="t", script=[UnprintableError()], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    [letter] = await deliver(make_router(target))
    assert letter.error_message == "UnprintableError: <its text cannot be shown: ZeroDivisionError>"


@pytest.mark.parametrize(
    ("error", "message"),
    [(OSError(), "OSError"), (OSError("x" * 5_000), "OSError: " + "x" * 991)],
    ids=["empty", "long"],
)
async def test_error_messages_are_short(error, message):
    target = Scripted(id="t", script=[error], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    [letter] = await deliver(make_router(target))
    assert letter.error_message == message


async def test_a_target_without_a_dead_letter_queue_drops_and_says_so(caplog):
    target = Scripted(id="t", script=[PermanentDeliveryError("gone")], dead_letter_queue=None)
    recorder = Recorder()
    router = make_router(target, observers=[recorder])
    assert await deliver(router) == []
    assert recorder.names == ["Dropped"]
    assert router.closing_report.total.dropped == 1
    assert [record.levelno for record in caplog.records if "dropped" in record.message] == [logging.ERROR]


async def test_each_target_has_its_own_dead_letter_queue_unless_named():
    def gone(**changes):
        return Scripted(script=[PermanentDeliveryError()], **changes)

    shared = DeadLetterQueue("shared")
    router = make_router(gone(id="a"), gone(id="b", dead_letter_queue=shared), gone(id="c", dead_letter_queue=shared))
    router.add_event_bus("bus")
    router.put_rule("q", EVERYTHING, event_bus_name="bus")
    router.put_targets("q", [gone(id="d")], event_bus_name="bus")
    await deliver(router, order(), replace_bus(order()))
    queues = {letter.subscription.target_id: letter.queue for letter in await router.dead_letters()}
    assert queues == {"a": "default/r/a", "b": "shared", "c": "shared", "d": "bus/q/d"}
    shared_letters = await router.dead_letters(queue="shared")
    assert {letter.subscription.target_id for letter in shared_letters} == {"b", "c"}
    [letter] = await router.dead_letters(queue="bus/q/d")
    assert letter.rule_arn == "arn:aws:events:local:000000000000:rule/bus/q"
    assert letter.target_arn == "arn:aws:events:local:000000000000:rule/bus/q/target/d"


def replace_bus(entry):
    return EventEntry(entry.source, entry.detail_type, entry.detail, event_bus_name="bus")


async def test_a_slow_or_broken_target_does_not_delay_the_others():
    async def hang():
        await anyio.sleep(50)

    slow, broken, quick = (
        Scripted(id="slow", script=[hang] * 99, maximum_concurrency=1),
        Scripted(id="broken", script=[OSError()] * 999),
        Scripted(id="quick"),
    )
    router = make_router(slow, broken, quick)
    async with router:
        start = anyio.current_time()
        await router.put_events([order(n=n) for n in range(10)])
        await router.settle_down(20)
        assert len(quick.seen) == 10
        assert quick.times == [start] * 10


async def test_attempts_of_one_target_run_at_once_up_to_its_limit():
    running = peak = 0

    async def work(event):
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.sleep(1)
        running -= 1

    router = make_router(work)
    router.put_targets("r", [replace(router.list_targets("r")[0], maximum_concurrency=3)])
    start = None
    async with router:
        start = anyio.current_time()
        await router.put_events([order(n=n) for n in range(10)])
        await router.settle_down()
        assert anyio.current_time() - start == pytest.approx(4)
    assert peak == 3


async def test_a_delivery_that_waits_for_its_retry_holds_no_slot():
    target = Scripted(id="t", script=[OSError()], maximum_concurrency=1)
    async with make_router(target) as router:
        await router.put_events([order(n=1), order(n=2)])
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == [1, 2, 1]


async def test_a_paused_target_loses_nothing():
    target = Scripted(id="t", maximum_concurrency=0)
    async with make_router(target) as router:
        await router.put_events([order()])
        await anyio.sleep(1_000)
        assert (await router.ledger()).total.waiting == 1
        router.put_targets("r", [replace(target, maximum_concurrency=1)])
        await router.settle_down()
    assert len(target.seen) == 1


async def test_what_one_target_does_to_a_detail_no_other_attempt_sees():
    seen = []

    async def spoil(event):
        seen.append(dict(event.detail))
        event.detail["total"] = 0
        if len(seen) < 3:
            raise OSError

    await deliver(make_router(spoil, spoil), order(total=250))
    assert seen == [{"total": 250}] * 4


async def test_a_handler_may_put_events():
    router = make_router()

    @router.rule({"source": ["shop.orders"]})
    async def bill(event):
        await router.put_events([EventEntry("shop.billing", "Bill", {"for": event.id})])

    @router.rule({"source": ["shop.billing"]})
    async def send(event):
        sent.append(event.detail["for"])

    sent = []
    async with router:
        [result] = await router.put_events([order()])
        await router.settle_down()
    assert sent == [result.event_id]


async def test_a_handler_does_not_see_the_context_of_the_publisher():
    request = contextvars.ContextVar("request", default=None)
    seen = []

    async def handle(event):
        seen.append(request.get())

    async with make_router(handle) as router:
        request.set("of somebody")
        await router.put_events([order()])
        await router.settle_down()
    assert seen == [None]


async def test_an_observer_that_fails_disturbs_nothing(caplog):
    class Broken:
        def observe(self, observation):
            raise ZeroDivisionError

    recorder = Recorder()
    await deliver(make_router(Scripted(id="t"), observers=[Broken(), recorder]))
    assert recorder.names == ["Delivered"]
    assert "The observer" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_an_outcome_that_comes_after_its_lease_is_ignored(caplog):
    """Another process took the delivery over: its outcome counts, not ours."""

    class Expiring(MemoryStore):
        async def lease(self, subscription, limit, *, now, until, **options):
            return await super().lease(subscription, limit, now=now, until=now + seconds(1), **options)

    async def slow():
        await anyio.sleep(1.5)

    target = Scripted(id="t", script=[slow])
    router = make_router(target, store=Expiring())
    async with router:
        await router.put_events([order()])
        await anyio.sleep(2)
    assert [delivery.attempt for delivery in target.seen] == [1, 2]
    assert router.closing_report.total.delivered == 1
    assert "after its lease had ended" in caplog.text


class Catastrophe(BaseException):
    """Not an Exception, and not one that the event loop itself knows, as it does SystemExit."""


@pytest.mark.parametrize("kind", [Catastrophe, GeneratorExit])
async def test_an_attempt_that_ends_in_no_ordinary_exception_is_never_acknowledged(kind):
    target = Scripted(id="t", script=[kind()])
    router = make_router(target)
    with pytest.raises(BaseException) as caught:
        async with router:
            await router.put_events([order()])
            await anyio.sleep(1)
    assert not isinstance(caught.value, Exception)
    total = router.closing_report.total
    assert (total.delivered, total.waiting, total.in_flight) == (0, 1, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), Catastrophe()], ids=repr)
async def test_a_group_of_errors_that_ends_the_program_is_never_acknowledged(error):
    """As a task group of the target's raises it, in which one task failed in the ordinary way and another did not."""

    async def end():
        await anyio.sleep(1)
        raise BaseExceptionGroup("of the target's tasks", [OSError(), error])

    target = Scripted(id="t", script=[end])
    router = make_router(target)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with router:
            await router.put_events([order(n=n) for n in range(3)])
            await router.settle_down()
    assert caught.group_contains(type(error))
    assert router.closing_report.total.in_flight == 0
    assert router.closing_report.total.waiting >= 1
    async with make_router(target, store=router._store) as again:
        await again.settle_down()
    assert {delivery.event.detail["n"] for delivery in target.seen} == {0, 1, 2}
    assert [delivery.attempt for delivery in target.seen] == [1] * len(target.seen)
