"""Leaving the router: refuse, drain, cancel, report."""

from dataclasses import dataclass

import anyio
import anyio.lowlevel
import pytest

from eventrouter import BusClosedError, EventEntry, MemoryStore, Target
from eventrouter.records import Counts
from tests.support import Scripted, make_router, order, seconds


async def sleep_an_hour():
    await anyio.sleep(3600)


async def test_leaving_waits_for_what_was_accepted():
    async def work():
        await anyio.sleep(20)

    target = Scripted(id="t", script=[work, OSError("once"), None])
    router = make_router(target)
    async with router:
        await router.put_events([order(n=1), order(n=2)])
    assert router.closing_report.total == Counts(accepted=2, delivered=2, retries=1)
    assert str(router.closing_report) == (
        "2 events, 2 deliveries: 2 delivered, 0 dead-lettered, 0 dropped, 0 unfinished; 1 retries"
    )


async def test_what_does_not_end_in_time_is_cancelled_handed_back_and_reported():
    cancelled = []

    async def hang():
        try:
            await anyio.sleep(3600)
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    store = MemoryStore()
    router = make_router(Scripted(id="t", script=[hang], timeout=None), store=store, drain_timeout=seconds(10))
    async with router:
        await router.put_events([order()])
        start = anyio.current_time()
    assert anyio.current_time() - start == pytest.approx(10)
    assert cancelled == [True]
    assert router.closing_report.total == Counts(accepted=1, waiting=1)


async def test_a_cancelled_attempt_does_not_count_and_goes_on_when_the_router_is_entered_again():
    target = Scripted(id="t", script=[sleep_an_hour], timeout=None)
    router = make_router(target, drain_timeout=seconds(1))
    async with router:
        [result] = await router.put_events([order()])
    async with router:
        await router.settle_down()
    assert [(delivery.event.id, delivery.attempt) for delivery in target.seen] == [(result.event_id, 1)] * 2
    assert router.closing_report.total == Counts(accepted=1, delivered=1)


async def test_a_handler_that_swallows_its_cancellation_has_not_delivered():
    async def swallow():
        try:
            await anyio.sleep(3600)
        except anyio.get_cancelled_exc_class():
            pass

    router = make_router(Scripted(id="t", script=[swallow], timeout=None), drain_timeout=seconds(1))
    async with router:
        await router.put_events([order()])
    assert router.closing_report.total == Counts(accepted=1, waiting=1)


async def test_events_are_refused_while_the_router_drains():
    router = make_router(Scripted(id="t", script=[sleep_an_hour], timeout=None), drain_timeout=seconds(10))

    async def late():
        await anyio.sleep(5)
        with pytest.raises(BusClosedError):
            await router.put_events([order()])
        refused.append(True)

    refused = []
    async with anyio.create_task_group() as tasks:
        async with router:
            await router.put_events([order()])
            tasks.start_soon(late)
    assert refused == [True]


async def test_handlers_may_still_put_events_while_the_router_drains():
    router = make_router()
    sent = []

    @router.rule({"source": ["shop.orders"]})
    async def bill(event):
        await anyio.sleep(5)
        await router.put_events([EventEntry("shop.billing", "Bill", {})])

    @router.rule({"source": ["shop.billing"]})
    async def send(event):
        sent.append(event)

    async with router:
        await router.put_events([order()])
    assert len(sent) == 1
    assert router.closing_report.total == Counts(accepted=2, delivered=2)


async def test_cancelling_the_block_does_not_wait():
    router = make_router(Scripted(id="t", script=[sleep_an_hour], timeout=None), drain_timeout=seconds(1_000))
    with anyio.move_on_after(5) as scope:
        async with router:
            await router.put_events([order()])
            start = anyio.current_time()
            await anyio.sleep(500)
    assert scope.cancelled_caught
    assert anyio.current_time() - start == pytest.approx(5)
    assert router.closing_report.total == Counts(accepted=1, waiting=1)


async def test_an_exception_in_the_block_comes_out_as_it_is_after_the_drain():
    target = Scripted(id="t", script=[OSError()])
    router = make_router(target)
    with pytest.raises(ZeroDivisionError):
        async with router:
            await router.put_events([order()])
            raise ZeroDivisionError
    assert router.closing_report.total == Counts(accepted=1, delivered=1, retries=1)


async def test_deliveries_without_a_target_are_kept_and_named(caplog):
    """A rule was renamed between two runs: what waits for the old name is neither lost nor in the way."""
    store = MemoryStore()
    async with make_router(Scripted(id="old", maximum_concurrency=0), store=store, drain_timeout=seconds(1)) as router:
        await router.put_events([order()])
    router = make_router(Scripted(id="new"), store=store)
    async with router:
        await router.settle_down()
    assert "1 deliveries wait for default/r/old, which is not declared" in caplog.text
    assert router.closing_report.total == Counts(accepted=1, waiting=1)


async def test_settling_down_ends_with_the_router():
    router = make_router(Scripted(id="t", maximum_concurrency=0), drain_timeout=seconds(1))
    settled = []

    async def wait():
        await router.settle_down()
        settled.append(True)

    async with anyio.create_task_group() as tasks:
        async with router:
            await router.put_events([order()])
            tasks.start_soon(wait)
            await anyio.sleep(1)
            assert settled == []
    assert settled == [True]


async def test_an_attempt_cancelled_at_any_moment_is_handed_back_or_settled():
    """Cancel after 0, 1, 2 ... steps of a handler that takes ten: the account always balances, nothing is lost."""
    for steps in range(14):

        async def work():
            for _ in range(10):
                await anyio.sleep(1)

        target = Scripted(id="t", script=[work])
        router = make_router(target)
        with anyio.move_on_after(steps + 0.5):
            async with router:
                await router.put_events([order()])
                await anyio.sleep(100)
        total = router.closing_report.total
        assert total.accepted == total.delivered + total.waiting == 1
        assert total.delivered == (steps >= 10)


@dataclass(frozen=True, kw_only=True)
class Closing(Target):
    log: list[str]

    async def invoke(self, delivery):
        self.log.append(f"{self.id} invoked")
        await anyio.sleep(1)
        self.log.append(f"{self.id} done")

    async def aclose(self):
        await anyio.sleep(1)
        self.log.append(f"{self.id} closed")
        if self.id == "a":
            raise OSError("broken")


async def test_targets_are_closed_once_after_their_last_attempt_even_if_one_cannot(caplog):
    log = []
    shared = Closing(id="b", log=log)
    router = make_router(Closing(id="a", log=log), shared)
    router.put_rule("other", {"source": ["nobody"]})
    router.put_targets("other", [shared])
    with anyio.CancelScope() as scope:
        async with router:
            await router.put_events([order()])
            await anyio.sleep(2)
            router.remove_targets("r", ["a"])
            scope.cancel()
    assert sorted(log[:4]) == ["a done", "a invoked", "b done", "b invoked"]
    assert sorted(log[4:]) == ["a closed", "b closed"]
    assert "Target a could not be closed" in caplog.text


async def test_destinations_and_dead_letter_targets_are_closed_too():
    log = []
    target = Scripted(
        id="t",
        on_success=[Closing(id="b", log=log)],
        dead_letter_queue=Closing(id="c", log=log),
    )
    async with make_router(target) as router:
        await router.put_events([order()])
    assert sorted(log) == ["b closed", "b done", "b invoked", "c closed"]


async def test_a_target_that_is_replaced_or_removed_is_closed_when_its_last_attempt_has_ended():
    log = []
    old, other = Closing(id="t", log=log), Closing(id="other", log=log)
    router = make_router(old)
    async with router:
        await router.put_events([order()])
        await anyio.sleep(0.5)
        router.put_targets("r", [Scripted(id="t"), other])
        await anyio.sleep(0.4)
        assert log == ["t invoked"]
        router.remove_targets("r", ["other"])  # nothing calls it
        await anyio.sleep(3)
        assert log == ["t invoked", "t done", "other closed", "t closed"]
        assert router._dispatcher._replaced == []
    assert log[4:] == []


async def test_a_target_that_is_still_declared_elsewhere_stays_open():
    log = []
    shared = Closing(id="b", log=log)
    router = make_router(shared, Scripted(id="t", on_success=shared))
    async with router:
        router.put_targets("r", [shared])  # the same again
        router.remove_targets("r", ["b"])
        await anyio.sleep(5)
        assert log == []
        router.put_targets("r", [Scripted(id="t")])
        await anyio.sleep(5)
        assert log == ["b closed"]
        assert router._dispatcher._replaced == []


async def test_targets_that_are_replaced_without_end_leave_nothing_behind():
    log = []
    router = make_router()
    async with router:
        for n in range(50):
            router.put_targets(
                "r", [Scripted(id="t", on_success=Closing(id=f"c{n}", log=log), on_failure=Scripted(id="d"))]
            )
            await router.put_events([order()])
            await anyio.lowlevel.checkpoint()
        await router.settle_down()
        await anyio.sleep(100)
        assert sorted(line for line in log if "closed" in line) == sorted(f"c{n} closed" for n in range(49))
        assert router._dispatcher._replaced == []
        assert len(router._dispatcher._targets) == 3


async def test_a_replaced_target_that_does_not_close_holds_nothing_up():
    class Stuck(Closing):
        async def aclose(self):
            await anyio.sleep(3600)

    router = make_router(Stuck(id="t", log=[]))
    async with router:
        router.remove_targets("r", ["t"])
        await anyio.sleep(0.1)
        began = anyio.current_time()
    assert anyio.current_time() - began < 10
