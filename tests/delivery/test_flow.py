"""How fast a target is sent deliveries: pauses, throttling, the retry budget, `Retry-After`."""

import itertools
import json

import anyio
import pytest

from eventrouter import (
    DeadLetterQueue,
    DeliveryError,
    InputPath,
    NotFoundError,
    Postponed,
    RetryAt,
    RetryBudget,
    RetryPolicy,
    ThrottledError,
)
from tests.support import EVERYTHING, Recorder, Scripted, make_router, order, seconds


async def test_a_paused_target_is_left_alone_and_loses_nothing():
    target = Scripted(id="t")
    router = make_router(target)
    async with router:
        router.pause_target("r", "t")
        await router.put_events([order(n=n) for n in range(3)])
        await anyio.sleep(3600)
        assert target.seen == []
        assert (await router.ledger()).total.waiting == 3
        router.resume_target("r", "t")
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == [0, 1, 2]


async def test_a_limit_of_nothing_is_a_pause():
    target = Scripted(id="t", maximum_concurrency=0)
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await anyio.sleep(3600)
        assert target.seen == []
        router.put_targets("r", [Scripted(id="t", seen=target.seen)])
        await router.settle_down()
    assert len(target.seen) == 1


async def test_a_pause_lets_attempts_finish_that_run():
    begun = anyio.Event()

    async def work():
        begun.set()
        await anyio.sleep(10)

    target = Scripted(id="t", script=[work], maximum_concurrency=1)
    router = make_router(target)
    async with router:
        await router.put_events([order(), order()])
        await begun.wait()
        router.pause_target("r", "t")
        await anyio.sleep(100)
        total = (await router.ledger()).total
        assert (total.delivered, total.waiting) == (1, 1)
        router.resume_target("r", "t")
        await router.settle_down()
    assert len(target.seen) == 2


async def test_a_pause_outlives_a_new_target_and_a_closing_router_does_not_wait_for_it():
    target = Scripted(id="t")
    router = make_router(target, drain_timeout=seconds(1000))
    async with router:
        router.pause_target("r", "t")
        router.put_targets("r", [target])
        await router.put_events([order()])
        begin = anyio.current_time()
    assert anyio.current_time() - begin < 1
    assert router.closing_report.total.waiting == 1


def test_what_is_paused_has_to_exist():
    router = make_router(Scripted(id="t"))
    for names in [("r", "other"), ("other", "t")]:
        with pytest.raises(NotFoundError):
            router.pause_target(*names)
        with pytest.raises(NotFoundError):
            router.resume_target(*names)


async def test_a_throttled_target_rests_as_a_whole_and_no_attempt_is_counted():
    target = Scripted(id="t", script=[ThrottledError("closed", retry_after=seconds(30))], maximum_concurrency=1)
    recorder = Recorder()
    router = make_router(target, observers=[recorder])
    async with router:
        await router.put_events([order(n=n) for n in range(3)])
        await router.settle_down()
    assert [(at, delivery.attempt) for at, delivery in zip(target.relative_times, target.seen, strict=True)] == [
        (0, 1),
        (30, 1),
        (30, 1),
        (30, 1),
    ]
    assert isinstance(recorder.outcomes[0], Postponed)
    assert recorder.outcomes[0].error_code == "THROTTLING"
    assert router.closing_report.total.retries == 0


async def test_a_target_that_stays_throttled_is_asked_less_and_less_often():
    """The pauses of AWS Lambda: 1 s, doubling up to 5 minutes."""
    target = Scripted(
        id="t",
        script=[ThrottledError()] * 12,
        maximum_concurrency=1,
        retry_policy=RetryPolicy(maximum_retry_attempts=0, maximum_event_age=seconds(86_400)),
    )
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    times = target.relative_times
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        300,
        300,
        300,
    ]
    assert router.closing_report.total.delivered == 1


async def test_a_throttled_delivery_ages():
    target = Scripted(id="t", script=[ThrottledError()] * 99, retry_policy=RetryPolicy(maximum_event_age=seconds(60)))
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, letter.exhausted_retry_condition) == ("THROTTLING", "MaximumEventAgeInSeconds")
    assert target.relative_times[-1] < 60


async def test_success_ends_the_growth_of_pauses():
    target = Scripted(
        id="t",
        script=[ThrottledError(), ThrottledError(), None, ThrottledError(), None],
        maximum_concurrency=1,
    )
    router = make_router(target)
    async with router:
        await router.put_events([order(), order()])
        await router.settle_down()
    assert [round(at) for at in target.relative_times] == [0, 1, 3, 3, 4]


@pytest.mark.parametrize(("asked", "waited"), [(50, 50), (0, None), (0.001, None)])
async def test_the_longer_of_retry_after_and_the_policy_counts(asked, waited):
    target = Scripted(id="t", script=[DeliveryError("busy", retry_after=seconds(asked))])
    recorder = Recorder()
    router = make_router(target, observers=[recorder])
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert isinstance(recorder.outcomes[0], RetryAt)
    first, second = target.relative_times
    assert second - first == pytest.approx(waited) if waited else 0.1 <= second - first <= 1


@pytest.mark.parametrize("error", [DeliveryError, ThrottledError])
async def test_a_negative_retry_after_ends_it(error):
    target = Scripted(id="t", script=[error("gone", retry_after=seconds(-1))])
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.exhausted_retry_condition, letter.retry_attempts) == (None, 0)


async def test_retries_past_the_budget_wait_and_first_attempts_go_on():
    budget = RetryBudget(share=0, minimum_per_second=1, burst=seconds(2))
    failing = Scripted(id="t", script=[OSError()] * 10, maximum_concurrency=100)
    router = make_router(failing, retry_budget=budget)
    async with router:
        await router.put_events([order(n=n) for n in range(10)])
        await anyio.sleep(1.5)  # each has been retried at once, as far as the budget goes
        retried = [delivery for delivery in failing.seen if delivery.attempt == 2]
        assert 2 <= len(retried) <= 4
        await router.put_events([order(n=10)])
        await anyio.sleep(0.01)
        assert failing.seen[-1].event.detail["n"] == 10
        await router.settle_down()
    assert router.closing_report.total.delivered == 11
    assert max(delivery.attempt for delivery in failing.seen) == 2  # waiting for the budget is no attempt
    assert failing.relative_times[-1] >= 7


async def test_a_delivery_whose_attempts_never_came_back_is_buried():
    """A handler that ends its process must not be called for ever (here the leases are lost, as if it had)."""
    record = Scripted(id="d")
    policy = RetryPolicy(maximum_retry_attempts=2)
    target = Scripted(id="t", retry_policy=policy, input=InputPath("$.detail.n"), on_failure=record)
    router = make_router(target)
    router.pause_target("r", "t")
    async with router:
        await router.put_events([order(n=7)])
    [subscription] = await router._store.pending()
    for _ in range(3):
        now = router._clock.now()
        assert await router._store.lease(subscription, 1, now=now + seconds(10**6), until=now)
    router.resume_target("r", "t")
    async with router:
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert target.seen == []
    assert "never came back" in letter.error_message
    assert letter.retry_attempts == 2  # as many as were allowed; no other one was made
    assert letter.exhausted_retry_condition == "MaximumRetryAttempts"
    assert json.loads(record.seen[0].payload)["requestPayload"] == 7  # what they would have received


async def test_many_quick_deliveries_are_one_workers():
    """A burst is attempted in order, however many there are, and every one of them is settled."""
    target = Scripted(id="t")
    router = make_router(target)
    async with router:
        for start in range(0, 1000, 100):
            await router.put_events([order(n=n) for n in range(start, start + 100)])
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == list(range(1000))
    assert router.closing_report.total.delivered == 1000


async def test_concurrency_reaches_its_limit_and_not_more():
    running, most = 0, 0

    async def work():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1

    target = Scripted(id="t", script=[work] * 40, maximum_concurrency=7)
    router = make_router(target)
    async with router:
        begin = anyio.current_time()
        await router.put_events([order() for _ in range(40)])
        await router.settle_down()
        assert anyio.current_time() - begin == pytest.approx(6)
    assert most == 7


async def test_one_bad_target_of_twenty_does_not_slow_the_others():
    async def hang():
        await anyio.sleep(10**6)

    async def slow():
        await anyio.sleep(2)

    good = [Scripted(id=f"good{n}", script=[slow] * 20, maximum_concurrency=2) for n in range(17)]
    bad = [
        Scripted(id="hanging", script=[hang] * 99, maximum_concurrency=2, timeout=None),
        Scripted(id="failing", script=[OSError()] * 999, dead_letter_queue=DeadLetterQueue("q")),
        Scripted(id="slower", script=[lambda: anyio.sleep(50)] * 20, maximum_concurrency=1),
    ]
    router = make_router(*good, *bad, pattern=EVERYTHING, drain_timeout=seconds(0))
    async with router:
        begin = anyio.current_time()
        await router.put_events([order(n=n) for n in range(20)])
        await anyio.sleep(20.5)
        ledger = await router.ledger()
        assert anyio.current_time() - begin < 21
    for target in good:
        counts = next(counts for key, counts in ledger.subscriptions.items() if key.target_id == target.id)
        assert counts.delivered == 20
    assert ledger.is_balanced


async def test_no_retry_begins_past_the_age_limit_however_long_the_pause():
    """EventBridge gives up by age; a first attempt is made however old the event is, as pausing loses nothing."""
    target = Scripted(id="t", script=[OSError("down")], retry_policy=RetryPolicy(maximum_event_age=seconds(60)))
    router = make_router(target)
    async with router:
        await router.put_events([order(n=0)])
        await anyio.sleep(0.05)
        router.pause_target("r", "t")
        await router.put_events([order(n=1)])
        await anyio.sleep(600)
        router.resume_target("r", "t")
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert [(delivery.event.detail["n"], delivery.attempt) for delivery in target.seen] == [(0, 1), (1, 1)]
    assert (letter.event.detail, letter.retry_attempts) == ({"n": 0}, 0)
    assert letter.exhausted_retry_condition == "MaximumEventAgeInSeconds"
    assert "past the maximum event age" in letter.error_message


async def test_a_retry_that_the_budget_never_allows_is_given_up_when_its_age_is_over():
    budget = RetryBudget(share=0, minimum_per_second=1 / 3600, burst=seconds(1))
    policy = RetryPolicy(maximum_event_age=seconds(60))
    target = Scripted(id="t", script=[OSError("down")] * 99, retry_policy=policy)
    router = make_router(target, retry_budget=budget)
    async with router:
        begin = anyio.current_time()
        await router.put_events([order(n=n) for n in range(3)])
        await router.settle_down()
        assert 30 < anyio.current_time() - begin < 60.1
        letters = await router.dead_letters()
    assert len(target.seen) == 4  # one retry is always there at first; its failure looks ahead
    assert {letter.exhausted_retry_condition for letter in letters} == {"MaximumEventAgeInSeconds"}


async def test_what_first_attempts_allow_is_not_lost_without_a_minimum():
    budget = RetryBudget(share=1, minimum_per_second=0, burst=seconds(10))
    target = Scripted(id="t", script=[OSError("down")] * 100, maximum_concurrency=100)
    router = make_router(target, retry_budget=budget)
    async with router:
        await router.put_events([order() for _ in range(100)])
        await router.settle_down()
        assert target.relative_times[-1] < 2
    assert len(target.seen) == 200
