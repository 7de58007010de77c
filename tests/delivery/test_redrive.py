"""Dead letters delivered again."""

import anyio
import pytest

from eventrouter import (
    BusClosedError,
    ConflictError,
    DeadLettered,
    DeadLetterQueue,
    Delivered,
    EventEntry,
    FunctionTarget,
    InvalidRuleError,
    PermanentDeliveryError,
    RetryPolicy,
)
from tests.interruption import cancelled_after
from tests.support import Scripted, make_router, order, seconds

GIVE_UP = RetryPolicy(maximum_retry_attempts=0)


def failing(times=99, id="t", **options) -> Scripted:
    return Scripted(id=id, script=[OSError("down")] * times, retry_policy=GIVE_UP, **options)


async def fail(router, count, first=0):
    """Have events end as dead letters."""
    for n in range(first, first + count):
        await router.put_events([order(n=n)])
    await router.settle_down()


def numbers(target) -> list[int]:
    return [delivery.event.detail["n"] for delivery in target.seen]


async def test_letters_go_to_the_failed_target_only_the_oldest_first():
    target, other = failing(3), Scripted(id="other")
    router = make_router(target, other)
    async with router:
        await fail(router, 3)
        [first, *_] = await router.dead_letters()
        redrive = await router.redrive()
        await router.settle_down()
        assert await router.dead_letters() == []
    assert numbers(target) == [0, 1, 2] * 2
    assert numbers(other) == [0, 1, 2]
    again = target.seen[3]
    assert (again.event.id, again.attempt) == (first.event.id, 1)
    assert (redrive.state, redrive.total, redrive.redriven, redrive.left) == ("COMPLETED", 3, 3, 0)
    assert router.closing_report.total.dead_lettered == 0
    assert router.closing_report.is_balanced


async def test_a_redriven_event_has_its_trace_header_and_group():
    target = failing(1)
    router = make_router(target)
    async with router:
        await router.put_events([EventEntry("shop", "T", {}, event_group_id="g", trace_header="00-1")])
        await router.settle_down()
        await router.redrive()
        await router.settle_down()
    first, again = target.seen
    assert (again.group, again.trace_header) == (first.group, first.trace_header) == ("g", "00-1")


async def test_redriven_events_of_a_group_come_in_order_after_those_that_wait():
    """And one at a time, though there is room for ten, and the first fails once more."""
    log = []

    async def work(event):
        n = event.detail["n"]
        log.append(("begin", n))
        await anyio.sleep(10 - n)
        if n < 3 and log.count(("begin", n)) < (3 if n == 0 else 2):
            raise OSError if log.count(("begin", n)) == 2 else PermanentDeliveryError("no")
        log.append(("end", n))

    router = make_router(FunctionTarget(id="t", function=work, ordering="FIFO"))
    async with router:
        await router.put_events([EventEntry("shop", "T", {"n": n}, event_group_id="g") for n in range(3)])
        await router.settle_down()
        assert len(await router.dead_letters()) == 3
        log.clear()
        log += [("begin", n) for n in range(3)]
        await router.put_events([EventEntry("shop", "T", {"n": n}, event_group_id="g") for n in (3, 4)])
        await router.redrive()
        await router.settle_down()
    assert log[3:] == [
        *[(step, n) for n in (3, 4) for step in ("begin", "end")],
        ("begin", 0),  # fails
        *[(step, n) for n in (0, 1, 2) for step in ("begin", "end")],
    ]
    assert router.closing_report.total.delivered == 5


async def test_the_age_of_a_redriven_event_begins_anew():
    policy = RetryPolicy(maximum_retry_attempts=0, maximum_event_age=seconds(60))
    target = Scripted(id="t", script=[OSError()], retry_policy=policy)
    router = make_router(target)
    async with router:
        await fail(router, 1)
        await anyio.sleep(86_400)
        await router.redrive()
        await router.settle_down()
    assert router.closing_report.total.delivered == 1


async def test_criteria_choose_the_letters():
    one, two = failing(2, "one"), failing(2, "two")
    router = make_router(one, two)
    async with router:
        await fail(router, 2)
        redrive = await router.redrive(target_id="two", event_pattern={"detail": {"n": [1]}})
        await router.settle_down()
        assert redrive.redriven == 1
        assert len(await router.dead_letters()) == 3
    assert (numbers(one), numbers(two)) == ([0, 1], [0, 1, 1])


async def test_letters_are_redriven_no_faster_than_the_rate():
    target = failing(30)
    router = make_router(target)
    async with router:
        await fail(router, 30)
        begin = anyio.current_time()
        await router.redrive(rate=10)
        assert 2.5 <= anyio.current_time() - begin <= 3.5
        await router.settle_down()
    times = target.times[30:]
    for second in range(3):
        assert sum(begin + second <= at < begin + second + 1 for at in times) <= 11


async def test_a_second_redrive_of_the_same_queue_is_refused():
    target = failing(20, dead_letter_queue=DeadLetterQueue("q"))
    router = make_router(target)
    async with router:
        await fail(router, 20)
        async with anyio.create_task_group() as tasks:

            async def first():
                await router.redrive(rate=1, queue="q")

            tasks.start_soon(first)
            await anyio.sleep(5)
            [running] = router.running_redrives()
            assert 3 <= running.redriven <= 7
            for criteria in ({"queue": "q"}, {}):
                with pytest.raises(ConflictError, match="queue q goes on"):
                    await router.redrive(**criteria)
            assert (await router.redrive(queue="another")).total == 0
        assert router.running_redrives() == []
        assert (await router.redrive(queue="q")).total == 0


async def test_a_redrive_can_be_cancelled_between_two_letters():
    target = failing(20)
    router = make_router(target)
    async with router:
        await fail(router, 20)
        ended = []

        async def run():
            ended.append(await router.redrive(rate=1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.sleep(5)
            router.running_redrives()[0].cancel()
        await router.settle_down()
        [redrive] = ended
        assert redrive.state == "CANCELLED"
        assert redrive.redriven + len(await router.dead_letters()) == 20
        assert redrive.left == 20 - redrive.redriven
    assert router.closing_report.is_balanced


@pytest.mark.parametrize("canary", [0, 2])
async def test_cancelled_at_any_moment_each_letter_is_a_letter_or_a_delivery(canary):
    turns = 0
    while True:
        target = failing(3)
        router = make_router(target)
        async with router:
            await fail(router, 3)
            with anyio.CancelScope() as scope, cancelled_after(turns, scope):
                await router.redrive(canary=canary)
            await router.settle_down()
            left = len(await router.dead_letters())
            assert len(target.seen) - 3 + left == 3
            assert (await router.ledger()).is_balanced
            assert router.running_redrives() == []
        if not scope.cancelled_caught:
            break
        turns += 1
    assert turns >= 1


async def test_a_canary_that_is_delivered_lets_the_others_follow():
    target = failing(10)
    router = make_router(target)
    async with router:
        await fail(router, 10)
        redrive = await router.redrive(canary=2)
        await router.settle_down()
    assert (redrive.state, redrive.redriven) == ("COMPLETED", 10)
    assert router.closing_report.total.delivered == 10


async def test_a_canary_that_fails_keeps_the_others_back():
    target = failing(11)
    router = make_router(target)
    async with router:
        await fail(router, 10)
        redrive = await router.redrive(canary=2)
        await router.settle_down()
        assert len(await router.dead_letters()) == 9
    assert (redrive.state, redrive.redriven, redrive.left) == ("CANARY_FAILED", 2, 8)
    assert "failed again" in redrive.reason
    assert "down" in redrive.reason


async def test_a_canary_waits_for_the_retries_of_its_deliveries():
    target = Scripted(
        id="t", script=[OSError()] * 5, retry_policy=RetryPolicy(maximum_retry_attempts=1, maximum_delay=seconds(9))
    )
    router = make_router(target)
    async with router:
        await fail(router, 2)  # two attempts each
        redrive = await router.redrive(canary=1)  # its first attempt fails
        await router.settle_down()
    assert redrive.state == "COMPLETED"
    assert router.closing_report.total.delivered == 2


async def test_a_canary_that_is_dropped_has_failed():
    """The target has lost its dead-letter queue meanwhile."""
    target = failing(2)
    router = make_router(target)
    async with router:
        await fail(router, 2)
        router.put_targets("r", [failing(1, dead_letter_queue=None)])
        redrive = await router.redrive(canary=1)
        assert redrive.state == "CANARY_FAILED"
        assert len(await router.dead_letters()) == 1


async def test_letters_of_targets_that_are_gone_stay_and_are_reported():
    target, other = failing(2), failing(2, "other")
    router = make_router(target, other)
    async with router:
        await fail(router, 2)
        router.remove_targets("r", ["t"])
        redrive = await router.redrive()
        await router.settle_down()
        assert len(await router.dead_letters()) == 2
    assert (redrive.total, redrive.redriven, redrive.left) == (4, 2, 0)
    [(subscription, count)] = redrive.undeclared.items()
    assert (subscription.target_id, count) == ("t", 2)


async def test_letters_that_arrive_meanwhile_are_left_alone():
    target = failing(99)
    router = make_router(target)
    async with router:
        await fail(router, 5)
        redrive = await router.redrive(rate=1)  # each fails again
        await router.settle_down()
        assert len(await router.dead_letters()) == 5
    assert (redrive.total, redrive.redriven) == (5, 5)
    assert len(target.seen) == 10


async def test_letters_that_were_purged_meanwhile_are_counted():
    target = failing(3)
    router = make_router(target)
    async with router:
        await fail(router, 3)
        async with anyio.create_task_group() as tasks:

            async def purge():
                await anyio.sleep(1.5)
                await router.purge_dead_letters()

            tasks.start_soon(purge)
            redrive = await router.redrive(rate=1)
    assert redrive.gone >= 1
    assert redrive.redriven + redrive.gone == 3


@pytest.mark.parametrize(
    "options", [{"rate": 0}, {"rate": float("inf")}, {"rate": True}, {"canary": -1}, {"canary": 1.5}]
)
async def test_options_are_checked(options):
    router = make_router(failing())
    async with router:
        with pytest.raises(InvalidRuleError, match="use a"):
            await router.redrive(**options)


async def test_a_closed_router_redrives_nothing():
    router = make_router(failing(5))
    with pytest.raises(BusClosedError):
        await router.redrive()
    async with router:
        await fail(router, 5)
    with pytest.raises(BusClosedError):
        await router.redrive()
    assert len(await router.dead_letters()) == 5


async def test_a_router_that_closes_ends_its_redrive():
    router = make_router(failing(5), drain_timeout=seconds(0))
    caught = []

    async def run():
        with pytest.raises(BusClosedError) as error:
            await router.redrive(rate=1)
        caught.append(error)

    async with anyio.create_task_group() as tasks:
        async with router:
            await fail(router, 5)
            tasks.start_soon(run)
            await anyio.sleep(1.5)
    assert caught
    assert router.running_redrives() == []
    ledger = await router._store.ledger()
    assert ledger.is_balanced


async def test_a_full_backlog_is_waited_for():
    target = failing(6, maximum_backlog=2)
    router = make_router(target)
    async with router:
        await fail(router, 6)
        router.put_targets(
            "r",
            [
                Scripted(
                    id="t",
                    script=[lambda: anyio.sleep(1)] * 6,
                    maximum_backlog=2,
                    maximum_concurrency=1,
                    seen=target.seen,
                )
            ],
        )
        redrive = await router.redrive(rate=10)
        await router.settle_down()
    assert redrive.redriven == 6
    assert router.closing_report.total.delivered == 6


@pytest.mark.parametrize("end", ["delivered", "dead"])
async def test_a_canary_whose_end_another_process_saw_is_looked_up(end):
    target = failing(3)
    router = make_router(target)
    async with router:
        await fail(router, 3)
        [letter, *_] = await router.dead_letters()
        router.pause_target("r", "t")
        ended = []

        async def run():
            ended.append(await router.redrive(canary=1))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.sleep(1)
            now = router._clock.now()
            [delivery] = await router._store.lease(letter.subscription, 1, now=now, until=now + seconds(9))
            outcome = Delivered(delivery) if end == "delivered" else DeadLettered(delivery, letter)
            assert list(await router._store.settle([outcome])) == []
            router.resume_target("r", "t")
        await router.settle_down()
    [redrive] = ended
    assert redrive.state == ("COMPLETED" if end == "delivered" else "CANARY_FAILED")
    assert redrive.redriven == (3 if end == "delivered" else 1)


async def test_a_canary_is_not_misled_by_other_deliveries_of_the_same_target():
    target = failing(2)
    router = make_router(target)
    async with router:
        await fail(router, 2)
        router.put_targets("r", [Scripted(id="t", script=[lambda: anyio.sleep(5)], seen=target.seen)])

        async def publish():
            await anyio.sleep(1)
            await router.put_events([order(n=9)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            redrive = await router.redrive(canary=1)
        await router.settle_down()
    assert redrive.state == "COMPLETED"


async def test_cancelling_twice_is_cancelling():
    router = make_router(failing(5))
    async with router:
        await fail(router, 5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: router.redrive(rate=1))
            await anyio.sleep(1.5)
            [redrive] = router.running_redrives()
            redrive.cancel()
            redrive.cancel()
            assert redrive.state == "CANCELLING"
        redrive.cancel()
        assert redrive.state == "CANCELLED"
