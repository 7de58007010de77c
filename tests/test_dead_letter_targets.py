"""A target as the dead-letter queue of another: never lost."""

from itertools import pairwise

import anyio

from eventrouter import BusTarget, EventEntry, EventRouter, HopLimitError, PermanentDeliveryError, ThrottledError
from eventrouter.records import Counts
from tests.aftermath import NO_RETRY, below, fails, run
from tests.support import EVERYTHING, Scripted, make_router, order, seconds
from tests.virtual_time import LoopClock


async def test_a_dead_letter_queue_receives_the_event_with_its_reasons():
    queue = Scripted(id="q")
    target = fails(OSError("down"), arn="arn:t", dead_letter_queue=queue)
    router = await run(target)
    [letter] = queue.seen
    assert letter.subscription == below("dead_letter_queue")
    assert letter.event == target.seen[0].event
    assert (letter.payload, letter.causes) == (letter.event.to_json(), ())
    assert letter.attributes == {
        "RULE_ARN": "arn:aws:events:local:000000000000:rule/r",
        "TARGET_ARN": "arn:t",
        "ERROR_CODE": "TARGET_ERROR",
        "ERROR_MESSAGE": "OSError: down",
        "RETRY_ATTEMPTS": "0",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    assert await router.dead_letters() == []
    assert router.closing_report.total == Counts(accepted=2, delivered=1, dead_lettered=1)


async def test_a_dead_letter_queue_that_fails_for_a_day_receives_it_then():
    up_at = 24 * 3600

    async def be_down():
        if anyio.current_time() - start < up_at:
            kinds = (
                OSError("down"),
                PermanentDeliveryError("no"),
                HopLimitError(),
                ThrottledError(retry_after=-seconds(1)),
            )
            raise kinds[len(queue.seen) % 4]

    queue = Scripted(id="q", script=[be_down] * 2_000, retry_policy=NO_RETRY, dead_letter_queue=None)
    router = make_router(fails(OSError("lost?"), dead_letter_queue=queue))
    async with router:
        start = anyio.current_time()
        await router.put_events([order(total=1)])
        await anyio.sleep(up_at / 2)
        half = await router.ledger()
        await router.settle_down()
    assert half.subscriptions[below("dead_letter_queue")].waiting == 1
    assert 24 * 3600 < queue.times[-1] - start < 24 * 3600 + 301
    assert min(later - earlier for earlier, later in pairwise(queue.times)) >= 0.1  # no storm
    assert queue.seen[-1].attributes["ERROR_MESSAGE"] == "OSError: lost?"
    assert router.closing_report.subscriptions[below("dead_letter_queue")].delivered == 1
    assert router.closing_report.total.dropped == 0


async def test_each_failure_of_a_dead_letter_queue_is_a_warning(caplog):
    queue = Scripted(id="q", script=[PermanentDeliveryError("no")])
    await run(fails(OSError(), dead_letter_queue=queue))
    assert len(queue.seen) == 2
    assert (
        "The dead-letter queue default/r/t/dead_letter_queue failed and is tried again: PermanentDeliveryError: no"
        in caplog.text
    )


async def test_a_dead_letter_queue_whose_answer_cannot_be_used_is_tried_again(caplog):
    async def answer():
        return EventEntry("", "T", {})

    queue = Scripted(id="q", script=[answer])
    await run(fails(OSError(), dead_letter_queue=queue))
    assert len(queue.seen) == 2
    assert (
        "The dead-letter queue default/r/t/dead_letter_queue failed and is tried again: InvalidResultError: "
        in caplog.text
    )


async def test_a_bus_may_be_a_dead_letter_queue():
    router = EventRouter(clock=LoopClock())
    router.add_event_bus("dead")
    listener = Scripted(id="l")
    router.put_rule("all", EVERYTHING, event_bus_name="dead")
    router.put_targets("all", [listener], event_bus_name="dead")
    router.put_rule("r", EVERYTHING)
    target = fails(OSError(), dead_letter_queue=BusTarget(id="b", router=router, event_bus_name="dead"))
    router.put_targets("r", [target])
    await run(router=router)
    assert listener.seen[0].event == target.seen[0].event
    assert listener.seen[0].hops == 1


async def test_a_dead_letter_and_a_record_may_both_follow():
    queue, destination = Scripted(id="q"), Scripted(id="d")
    await run(fails(OSError(), dead_letter_queue=queue, on_failure=destination))
    assert (len(queue.seen), len(destination.seen)) == (1, 1)
