"""A store that fails, or loses leases: deliveries are kept, and go on when it recovers."""

import anyio
import pytest

from eventrouter import DeadLettered, MemoryStore, RetryPolicy
from tests.support import Scripted, make_router, order, seconds

GIVE_UP = RetryPolicy(maximum_retry_attempts=0)


class Failing(MemoryStore):
    """A store whose calls fail while they are named in `broken`; a predicate there is asked for each outcome."""

    def __init__(self):
        super().__init__()
        self.broken = {}
        self.calls = []

    def _check(self, name, *arguments):
        self.calls.append(name)
        breaks = self.broken.get(name)
        if breaks is not None and (breaks is True or breaks(*arguments)):
            raise OSError(f"{name} failed")

    async def settle(self, outcomes):
        self._check("settle", outcomes)
        return await super().settle(outcomes)

    async def lease(self, *arguments, **options):
        self._check("lease")
        return await super().lease(*arguments, **options)

    async def next_due(self, *arguments):
        self._check("next_due")
        return await super().next_due(*arguments)

    async def extend(self, *arguments, **options):
        self._check("extend")
        return await super().extend(*arguments, **options)

    async def changed(self, seen):
        self._check("changed")
        return await super().changed(seen)

    async def release(self, *arguments):
        self._check("release")
        return await super().release(*arguments)


@pytest.mark.parametrize("call", ["settle", "lease", "next_due"])
async def test_deliveries_go_on_when_the_store_recovers(call, caplog):
    store, target = Failing(), Scripted(id="t")
    router = make_router(target, store=store)
    async with router:
        store.broken[call] = True
        await router.put_events([order(n=n) for n in range(5)])
        await anyio.sleep(10)
        del store.broken[call]
        await anyio.sleep(1.5)
        await router.settle_down()
    assert [delivery.event.detail["n"] for delivery in target.seen] == [0, 1, 2, 3, 4]  # none came twice
    assert router.closing_report.total.delivered == 5
    assert 8 <= store.calls.count(call) <= 80  # it is not called again and again meanwhile
    assert f"{call} failed" in caplog.text


async def test_a_store_that_does_not_tell_what_others_write_is_asked_again_in_a_second(caplog):
    store, target = Failing(), Scripted(id="t")
    store.broken["changed"] = True
    async with make_router(target, store=store) as router:
        await anyio.sleep(3.5)
        assert store.calls.count("changed") == 4
        await router.put_events([order()])  # what this process accepts needs no telling
        await router.settle_down()
        del store.broken["changed"]
        await anyio.sleep(10)
    assert len(target.seen) == 1
    assert store.calls.count("changed") == 5
    assert "asked again in a second" in caplog.text


async def test_a_dead_letter_that_cannot_be_written_is_parked_and_the_others_are_not_held_up(caplog):
    """The dead-letter queue fails: nothing is lost, and other deliveries of the same target end."""
    store = Failing()
    target = Scripted(id="t", script=[OSError("poison")], retry_policy=GIVE_UP, maximum_concurrency=1)
    router = make_router(target, store=store)
    async with router:
        store.broken["settle"] = lambda outcomes: any(isinstance(outcome, DeadLettered) for outcome in outcomes)
        await router.put_events([order(n=n) for n in range(4)])
        await anyio.sleep(100)
        total = (await router.ledger()).total
        assert (total.delivered, total.in_flight, total.dead_lettered) == (3, 1, 0)
        await router.put_events([order(n=4)])
        await anyio.sleep(5)
        assert (await router.ledger()).total.delivered == 4
        store.broken.clear()
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert letter.event.detail == {"n": 0}
    assert len(target.seen) == 5  # the failed delivery was attempted once
    assert router.closing_report.is_balanced


async def test_leases_are_kept_while_a_handler_runs():
    """Others would take over after a minute; the handler works for an hour."""
    store = Failing()
    target = Scripted(id="t", script=[lambda: anyio.sleep(3600)], timeout=None)
    router = make_router(target, store=store)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert len(target.seen) == 1
    assert router.closing_report.total.delivered == 1
    assert store.calls.count("extend") == pytest.approx(180, abs=2)


async def test_a_lease_that_cannot_be_extended_is_lost_and_said_so(caplog):
    store = Failing()
    target = Scripted(id="t", script=[lambda: anyio.sleep(100)], timeout=None)
    router = make_router(target, store=store)
    async with router:
        store.broken["extend"] = True
        await router.put_events([order()])
        await anyio.sleep(70)
        assert [delivery.attempt for delivery in target.seen] == [1, 2]  # taken over, here by the router itself
        store.broken.clear()
        await anyio.sleep(20)
        assert "its lease was lost" in caplog.text
        await router.settle_down()
    assert router.closing_report.total.delivered == 1


async def test_a_store_that_fails_at_the_end_costs_no_other_subscription(caplog):
    store = Failing()
    targets = [Scripted(id=f"t{n}", script=[lambda: anyio.sleep(10**6)], timeout=None) for n in range(3)]
    router = make_router(*targets, store=store, drain_timeout=seconds(1))
    async with router:
        await router.put_events([order()])
        await anyio.sleep(1)
        calls = iter([True, False, False])
        store.broken["release"] = lambda: next(calls)
    total = router.closing_report.total
    assert (total.waiting, total.in_flight) == (2, 1)
    assert "come again when their leases end" in caplog.text


async def test_events_are_not_accepted_by_a_store_that_fails():
    class Full(MemoryStore):
        async def append(self, accepted):
            raise OSError("disk full")

    target = Scripted(id="t")
    router = make_router(target, store=Full())
    async with router:
        with pytest.raises(OSError, match="disk full"):
            await router.put_events([order()])
        await router.settle_down()
    assert target.seen == []


async def test_deliveries_for_whom_nobody_knows_are_parked_until_it_is_declared(caplog):
    first = make_router(Scripted(id="t", maximum_concurrency=0))
    async with first:
        await first.put_events([order(), order()])
    second = make_router(store=first._store)
    target = Scripted(id="t")
    async with second:
        ledger = await second.ledger()
        assert len(ledger.parked) == 1
        assert "2 unfinished, 2 of them parked" in str(ledger)
        await second.settle_down()  # does not wait for what cannot go on
        second.put_targets("r", [target])
        await second.settle_down()
    assert len(target.seen) == 2
    assert not second.closing_report.parked
    assert "which is not declared" in caplog.text
