"""What a process counts of a backlog is right, whenever the store waits, fails, or keeps an answer to itself."""

import contextlib

import anyio
import pytest

from eventrouter import EventEntry, MemoryStore, RetryBudget, RetryPolicy
from tests.support import Scripted, make_router, order, seconds


class Waiting(MemoryStore):
    """A store that takes a second before it appends, and may take long, or fail, after it has done a thing."""

    def __init__(self):
        super().__init__()
        self.append_fails = False
        self.after = {}  # name of a method -> what it does, once, after it has done its work

    async def _after(self, name):
        act = self.after.pop(name, None)
        if act is not None:
            await act()

    async def append(self, accepted):
        await anyio.sleep(1)
        if self.append_fails:
            raise OSError("disk full")
        duplicates = await super().append(accepted)
        await self._after("append")
        return duplicates

    async def settle(self, outcomes):
        stale = await super().settle(outcomes)
        await self._after("settle")
        return stale

    async def pending(self):
        found = await super().pending()
        await self._after("pending")
        return found


async def fail():
    raise OSError("the answer was lost")


async def hang():
    await anyio.sleep(100)


async def publish(router, times=1, **options):
    """Put so many events at once, each by a publisher of its own, and give what became of them."""
    results = []

    async def put():
        results.extend(await router.put_events([EventEntry("shop.orders", "Order Placed", {}, **options)]))

    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(put)
    return [result.success_code or result.error_code for result in results]


def full_soon(**options) -> Scripted:
    """Give a target that takes three and attempts none."""
    return Scripted(id="t", **{"maximum_concurrency": 0, "maximum_backlog": 3, "when_full": "reject"} | options)


@pytest.mark.parametrize("when_full", ["reject", "wait"])
async def test_a_backlog_is_full_with_what_is_being_written(when_full):
    router = make_router(full_soon(when_full=when_full), store=Waiting())
    async with router:
        results = await publish(router, 10)
        assert sorted(results) == ["PUBLISHED"] * 3 + ["ThrottlingException"] * 7
        assert (await router.ledger()).total.accepted == 3


async def test_room_is_given_back_when_nothing_was_written():
    store = Waiting()
    router = make_router(full_soon(), store=store)
    async with router:
        store.append_fails = True
        for _ in range(3):
            with pytest.raises(OSError, match="disk full"):
                await router.put_events([order()])
        store.append_fails = False
        for _ in range(3):
            with anyio.move_on_after(0.5):
                await router.put_events([order()])
        assert await publish(router, 1, deduplication_id="x") == ["PUBLISHED"]
        for _ in range(5):
            assert await publish(router, 1, deduplication_id="x") == ["DEDUPLICATED"]
        assert sorted(await publish(router, 3)) == ["PUBLISHED"] * 2 + ["ThrottlingException"]
        with anyio.fail_after(1):
            await router.settle_down(3)


async def test_a_store_that_fails_leaves_nothing_to_wait_for_of_a_paused_target():
    store = Waiting()
    router = make_router(full_soon(), store=store)
    async with router:
        store.append_fails = True
        with pytest.raises(OSError, match="disk full"):
            await router.put_events([order()])
        with anyio.fail_after(1):
            await router.settle_down()


@pytest.mark.parametrize("concurrency", [0, 1])
async def test_what_was_written_is_found_though_its_publisher_was_cut_off(concurrency):
    store = Waiting()
    target = full_soon(maximum_concurrency=concurrency)
    router = make_router(target, store=store)
    async with router:
        for end in (fail, hang, fail):
            store.after["append"] = end
            with anyio.move_on_after(2):
                with contextlib.suppress(OSError):
                    await router.put_events([order()])
        await router.settle_down(3)
        if not concurrency:
            assert await publish(router) == ["ThrottlingException"]
            assert router._dispatcher._unfinished == 3
        else:
            await router.settle_down()
            assert len(target.seen) == 3


async def test_what_is_written_a_little_later_than_its_publisher_gave_up_is_found(caplog):
    """A cancelled call may be in the hands of another task."""
    store, target = Waiting(), Scripted(id="t")
    router = make_router(target, store=store)

    async def append_later(accepted):
        await anyio.sleep(3)
        await MemoryStore.append(store, accepted)

    async with anyio.create_task_group() as tasks, router:

        async def give_up(accepted):
            tasks.start_soon(append_later, accepted)
            raise OSError("gave up")

        store.append = give_up
        with pytest.raises(OSError, match="gave up"):
            await router.put_events([order()])
        await router.settle_down()
        assert target.seen == []
        await anyio.sleep(6)
        assert len(target.seen) == 1


def with_children(store, **options):
    """Give a router whose target `t` returns an event for each order, which goes to `child`."""
    router = make_router(store=store)
    child = Scripted(id="child", **options)

    @router.rule({"source": ["shop.orders"]})
    async def parent(event):
        return EventEntry("shop.children", "Child", {}, deduplication_id=event.detail.get("id"))

    router.put_rule("children", {"source": ["shop.children"]})
    router.put_targets("children", [child])
    return router, child


@pytest.mark.parametrize("end", [fail, hang], ids=["its answer is lost", "its answer takes too long"])
async def test_what_follows_from_an_outcome_is_delivered_though_nobody_heard_that_it_was_written(end, caplog):
    store = Waiting()
    router, child = with_children(store)
    async with router:
        store.after["settle"] = end
        await router.put_events([order()])
        with anyio.fail_after(20):
            await router.settle_down()
        assert len(child.seen) == 1
        assert router._dispatcher._unfinished == 0
    assert router.closing_report.total.delivered == 2


@pytest.mark.parametrize("end", [fail, hang])
async def test_a_busy_subscription_knows_what_it_has_after_an_answer_was_lost(end):
    """One that never runs out of work would keep a miscount for ever, and be full in the end."""
    store = Waiting()
    target = Scripted(id="t", script=[None, lambda: anyio.sleep(500)])
    router = make_router(target, store=store)
    async with router:
        store.after["settle"] = end
        await router.put_events([order(n=n) for n in range(2)])
        await anyio.sleep(20)
        with anyio.fail_after(1):
            await router.settle_down(1)
        assert router._dispatcher._unfinished == 1


async def test_what_follows_and_was_there_before_is_not_waited_for():
    store = MemoryStore()
    router, _ = with_children(store, maximum_concurrency=0, maximum_backlog=3, when_full="reject")
    async with router:
        await router.put_events([order(id="x") for _ in range(10)])
        with anyio.fail_after(60):
            await router.settle_down(1)
        assert (await store.pending()) == {next(iter(await store.pending())): 1}
        assert await publish(router) == ["PUBLISHED"]  # its child is another one
        [result] = await router.put_events([EventEntry("shop.children", "Child", {})])
        assert result.success_code == "PUBLISHED"


async def test_a_count_is_right_whatever_happens_while_the_store_is_asked():
    store, target = Waiting(), Scripted(id="t", script=[None] * 4 + [lambda: anyio.sleep(500)] * 10)
    router = make_router(target, store=store)
    async with router:
        await router.put_events([order() for _ in range(3)])
        await router.settle_down()
        target.script[:] = [lambda: anyio.sleep(2)] * 3 + [lambda: anyio.sleep(500)] * 10
        await router.put_events([order() for _ in range(5)])

        async def take_five_seconds():
            await anyio.sleep(4)

        store.after["pending"] = take_five_seconds
        router._dispatcher.doubt()
        await router.put_events([order() for _ in range(2)])
        await anyio.sleep(3.5)
        assert router._dispatcher._unfinished == sum((await MemoryStore.pending(store)).values()) == 4


async def test_what_came_while_the_store_was_asked_counts_though_its_answer_does_not_have_it():
    store = Waiting()
    router = make_router(full_soon(), store=store)
    async with router:
        await router.put_events([order()])

        async def take_four_seconds():
            await anyio.sleep(4)

        store.after["pending"] = take_four_seconds
        router._dispatcher.doubt()
        await router.put_events([order() for _ in range(2)])
        await anyio.sleep(3.5)
        assert router._dispatcher._unfinished == sum((await MemoryStore.pending(store)).values()) == 3
        assert await publish(router) == ["ThrottlingException"]


async def test_a_store_that_does_not_say_what_it_has_is_asked_again(caplog):
    store = Waiting()
    router, child = with_children(store)
    async with router:
        store.after["settle"], store.after["pending"] = fail, fail
        await router.put_events([order()])
        await router.settle_down()
        assert len(child.seen) == 1
    assert "does not say what it has" in caplog.text


async def test_what_the_store_has_for_nobody_is_parked_once(caplog):
    store = Waiting()
    router = make_router(Scripted(id="t"), store=store)
    first = make_router(Scripted(id="other", maximum_concurrency=0), store=store)
    async with first, router:
        await first.put_events([order()])
        for _ in range(3):
            router._dispatcher.doubt()
            await anyio.sleep(10)
        await router.settle_down()
        assert {subscription.target_id for subscription in (await router.ledger()).parked} == {"other"}
    assert caplog.text.count("1 deliveries wait for default/r/other, which is not declared") == 1


async def test_each_end_wakes_only_as_many_publishers_as_there_is_room_for():
    target = Scripted(id="t", script=[lambda: anyio.sleep(1)] * 300, maximum_concurrency=1, maximum_backlog=1)
    router = make_router(target, put_timeout=seconds(10**6))
    asked = 0

    def counting(subscription, has_room=router._dispatcher.has_room):
        nonlocal asked
        asked += 1
        return has_room(subscription)

    router._dispatcher.has_room = counting
    async with router:
        assert await publish(router, 200) == ["PUBLISHED"] * 200
        await router.settle_down()
    assert len(target.seen) == 200
    assert asked <= 20 * 200


async def test_publishers_that_wait_come_in_their_order_and_before_others():
    target = Scripted(id="t", script=[lambda: anyio.sleep(1)] * 99, maximum_concurrency=1, maximum_backlog=1)
    router = make_router(target, put_timeout=seconds(10**6))

    async def put(n):
        await router.put_events([order(n=n)])

    async with router, anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(put, n)
            await anyio.sleep(0.3)
    assert [delivery.event.detail["n"] for delivery in target.seen] == list(range(20))


async def test_a_publisher_that_gives_up_lets_the_next_one_in():
    target = Scripted(id="t", script=[lambda: anyio.sleep(10)] * 99, maximum_concurrency=1, maximum_backlog=1)
    other = Scripted(id="other", maximum_concurrency=0, maximum_backlog=1)
    router = make_router(target, put_timeout=seconds(30), drain_timeout=seconds(100))
    router.put_rule("both", {"detail": {"both": [True]}})
    router.put_targets("both", [other])
    results = []

    async def put(seconds, **detail):
        with anyio.move_on_after(seconds):
            [result] = await router.put_events([order(**detail)])
            results.append((anyio.current_time() - begin, result.success_code or result.error_code))

    async def both(seconds):
        await put(seconds, both=True)

    async with router, anyio.create_task_group() as tasks:
        begin = anyio.current_time()
        await router.put_events([order(both=True)])
        tasks.start_soon(put, 5)
        await anyio.sleep(0.1)
        tasks.start_soon(both, 100)  # is let in at 10 s, and finds no room for the other target
        await anyio.sleep(0.1)
        tasks.start_soon(put, 100)
    assert results == [(pytest.approx(10), "PUBLISHED"), (pytest.approx(30.1), "ThrottlingException")]


async def test_many_who_wait_for_the_same_are_woken_once():
    target = Scripted(id="t", script=[lambda: anyio.sleep(1)] * 200, maximum_concurrency=1)
    router = make_router(target)
    asked = 0

    def counting(*arguments, is_settled=router._dispatcher._is_settled, **options):
        nonlocal asked
        asked += 1
        return is_settled(*arguments, **options)

    router._dispatcher._is_settled = counting
    async with router:
        await router.put_events([order() for _ in range(100)])
        async with anyio.create_task_group() as tasks:
            for n in range(500):
                tasks.start_soon(router.settle_down, n % 2)
    assert asked <= 500 + 10 * 100


class Counting(MemoryStore):
    """A store that counts what is leased."""

    leased = 0

    async def lease(self, *arguments, **options):
        taken = await super().lease(*arguments, **options)
        self.leased += len(taken)
        return taken


@pytest.mark.parametrize(
    "budget",
    [
        RetryBudget(share=0, minimum_per_second=5, burst=seconds(1)),
        RetryBudget(share=0.5, minimum_per_second=3, burst=seconds(10)),
    ],
)
async def test_a_retry_that_waits_for_the_budget_is_leased_a_few_times_however_many_wait(budget):
    store, target = Counting(), Scripted(id="t", script=[OSError()] * 600)
    router = make_router(target, store=store, retry_budget=budget, drain_timeout=seconds(10**6))
    policy = RetryPolicy(maximum_event_age=seconds(10**6))
    router.put_targets(
        "r", [Scripted(id="t", script=target.script, seen=target.seen, times=target.times, retry_policy=policy)]
    )
    async with router:
        for _ in range(6):
            await router.put_events([order() for _ in range(100)])
    assert len(target.seen) == 1200
    assert store.leased <= 3 * 1200


@pytest.mark.parametrize("answer", [None, fail], ids=["answered", "its answer is lost"])
async def test_redriven_letters_are_delivered_though_nobody_heard_of_it(answer):
    class Redriving(Waiting):
        async def redrive(self, ids, *, now):
            moved = await super().redrive(ids, now=now)
            await self._after("redrive")
            return moved

    store = Redriving()
    target = Scripted(id="t", script=[OSError()], retry_policy=RetryPolicy(maximum_retry_attempts=0))
    router = make_router(target, store=store)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
        if answer is not None:
            store.after["redrive"] = answer
        with contextlib.suppress(OSError):
            await router.redrive()
        await router.settle_down()
        assert len(target.seen) == 2


async def test_what_is_written_while_the_router_is_left_and_entered_again_is_delivered():
    """Its room was reserved in a life of the router that is over."""
    store, target = MemoryStore(), Scripted(id="t")
    router = make_router(target, store=store, drain_timeout=seconds(0))
    append, may_go_on = store.append, anyio.Event()

    async def wait_and_append(accepted):
        await may_go_on.wait()
        return await append(accepted)

    store.append = wait_and_append
    async with anyio.create_task_group() as tasks:
        async with router:
            tasks.start_soon(router.put_events, [order()])
            await anyio.sleep(1)
        async with router:
            may_go_on.set()
            await anyio.sleep(1)
            assert len(target.seen) == 1
            await router.settle_down()


async def test_what_is_put_after_the_last_attempt_was_cancelled_waits_in_the_store():
    router = make_router(Scripted(id="t"), pattern={"source": ["late"]}, drain_timeout=seconds(0))

    @router.rule({"source": ["shop.orders"]})
    async def stubborn(event):
        try:
            await anyio.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await router.put_events([EventEntry("late", "T", {})])

    async with router:
        await router.put_events([order()])
        await anyio.sleep(1)
    assert router.closing_report.total.waiting == 2


async def test_counts_of_routes_add_up():
    """Whoever receives the events of several rules in one call."""
    target, other = Scripted(id="t"), Scripted(id="other")
    router = make_router(target)
    router.put_rule("odd", {"detail": {"odd": [True]}})
    router.put_targets("odd", [other])
    async with router:
        router.pause_target("r", "t")
        router.pause_target("odd", "other")
        await router.put_events([order(odd=n % 2 == 1) for n in range(9)])
        assert router._dispatcher._unfinished == sum((await router._store.pending()).values()) == 13
        router.resume_target("r", "t")
        router.resume_target("odd", "other")
        await router.settle_down()
    assert (len(target.seen), len(other.seen)) == (9, 4)


async def test_a_publisher_that_waits_as_the_router_closes_has_the_rest_of_its_events_accepted():
    router = make_router(full_soon(when_full="wait"), put_timeout=seconds(10**6), drain_timeout=seconds(1))
    router.put_rule("other", {"source": ["other"]})
    router.put_targets("other", [Scripted(id="t")])
    router.put_rule("r", {"source": ["shop.orders"]})
    results = []

    async def put():
        results.extend(await router.put_events([order(), EventEntry("other", "T", {})]))

    async with anyio.create_task_group() as tasks:
        async with router:
            await router.put_events([order() for _ in range(3)])
            tasks.start_soon(put)
            await anyio.sleep(1)
    assert [result.success_code or result.error_code for result in results] == ["ThrottlingException", "PUBLISHED"]
    async with router:
        await router.settle_down(3)
        assert (await router.ledger()).total.delivered == 1


async def test_a_subscription_that_has_ended_while_the_store_was_asked_stays_so():
    store, target = Waiting(), Scripted(id="t", script=[lambda: anyio.sleep(1)])
    router = make_router(target, store=store)
    async with router:
        await router.put_events([order()])

        async def take_long():
            await anyio.sleep(3)

        store.after["pending"] = take_long
        router._dispatcher.doubt()
        await router.settle_down()
        await anyio.sleep(0.1)
        assert not router._dispatcher._pumps
        assert router._dispatcher._unfinished == 0
        await router.settle_down()
    assert len(target.seen) == 1


async def test_a_canary_may_be_the_first_thing_that_a_router_does():
    store = MemoryStore()
    never = RetryPolicy(maximum_retry_attempts=0)
    async with make_router(Scripted(id="t", script=[OSError()], retry_policy=never), store=store) as first:
        await first.put_events([order()])
    target = Scripted(id="t", script=[lambda: anyio.sleep(1)])
    async with make_router(target, store=store) as router:
        redrive = await router.redrive(canary=1)
        assert (redrive.state, len(target.seen)) == ("COMPLETED", 1)
