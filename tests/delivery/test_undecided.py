"""Foreign code that has a part in what follows from a failure, and fails itself: a delivery always has an outcome."""

from dataclasses import dataclass

import anyio
import pytest

from eventrouter import DeliveryError, RetryPolicy
from tests.support import Recorder, Scripted, make_router, order, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPolicy(RetryPolicy):
    """A policy that has code of its own."""

    def next_attempt(self, **attempt):
        raise LookupError("no such setting")


class BrokenError(DeliveryError):
    """An exception that has."""

    @property
    def retry_after(self):
        raise LookupError("no such header")

    @retry_after.setter
    def retry_after(self, value): ...


async def hang():
    await anyio.sleep(3600)


async def run(target, **options):
    recorder = Recorder()
    router = make_router(target, observers=[recorder], **options)
    async with router:
        await router.put_events([order(n=1)])
        await router.settle_down()
        await router.put_events([order(n=2)])
        await router.settle_down()
        assert (await router.ledger()).is_balanced
    assert router.closing_report.total.waiting == 0
    return router, recorder


@pytest.mark.parametrize(
    ("error", "policy", "message"),
    [
        (OSError("down"), BrokenPolicy(maximum_retry_attempts=2), "OSError: down (what follows from it could not be decided: LookupError: no such setting)"),
        (hang, BrokenPolicy(maximum_retry_attempts=2), "TargetTimeoutError: No answer within 5 s. (what follows from it could not be decided: LookupError: no such setting)"),
        (BrokenError("down"), RetryPolicy(maximum_retry_attempts=2), "BrokenError: down (what follows from it could not be decided: LookupError: no such header)"),
    ],
)  # fmt: skip
async def test_a_failure_about_which_nothing_can_be_decided_keeps_the_limits_of_its_policy(
    error, policy, message, caplog
):
    target = Scripted(id="t", script=[error] * 3, retry_policy=policy, timeout=seconds(5))
    router, recorder = await run(target)
    assert recorder.names == ["RetryAt", "RetryAt", "DeadLettered", "Delivered"]
    [letter] = await router.dead_letters()
    assert letter.error_message == f"DeliveryError: {message}"
    assert letter.exhausted_retry_condition == "MaximumRetryAttempts"
    assert "what follows could not be decided" in caplog.text


async def test_a_dead_letter_queue_with_a_broken_policy_is_tried_until_it_takes_the_event():
    queue = Scripted(id="q", script=[OSError()] * 20, retry_policy=BrokenPolicy())
    once = RetryPolicy(maximum_retry_attempts=0)
    await run(Scripted(id="t", script=[OSError()], retry_policy=once, dead_letter_queue=queue))
    assert len(queue.seen) == 21


@pytest.mark.parametrize("with_queue", [False, True])
async def test_records_that_cannot_be_made_cost_nothing_but_themselves(with_queue, caplog, monkeypatch):
    """Not even a dead letter on its way to a target: the store keeps it."""

    def broken(*arguments):
        raise LookupError("no more ids")

    monkeypatch.setattr("eventrouter.router.new_ids", broken)
    destination, queue = Scripted(id="d"), Scripted(id="q")
    options = {"dead_letter_queue": queue} if with_queue else {}
    once = RetryPolicy(maximum_retry_attempts=0)
    target = Scripted(id="t", script=[OSError("down")], retry_policy=once, on_failure=destination, **options)
    router, _ = await run(target)
    [letter] = await router.dead_letters()
    assert (letter.error_message, letter.event.detail) == ("OSError: down", {"n": 1})
    assert (router.closing_report.total.dead_lettered, len(destination.seen), len(queue.seen)) == (1, 0, 0)
    assert "the records of it could not be made" in caplog.text


async def test_a_drop_whose_record_cannot_be_made_is_a_drop(monkeypatch):
    def broken(*arguments):
        raise LookupError("no more ids")

    monkeypatch.setattr("eventrouter.router.new_ids", broken)
    once = RetryPolicy(maximum_retry_attempts=0)
    target = Scripted(
        id="t", script=[OSError()], retry_policy=once, dead_letter_queue=None, on_failure=Scripted(id="d")
    )
    router, _ = await run(target)
    assert router.closing_report.total.dropped == 1
