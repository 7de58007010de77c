"""Idempotent functions as handlers of rules."""

from __future__ import annotations

import threading

import anyio
import pydantic
import pytest

from eventrouter import Event, EventRouter, RetryPolicy, idempotent
from tests.idempotency.stores import SharedClock
from tests.support import EVERYTHING, Recorder, make_event, order, seconds
from tests.virtual_time import real_time_backends


class Order(pydantic.BaseModel):
    total: int


def make_router(**options):
    return EventRouter(**{"clock": SharedClock(), **options})


async def test_an_event_that_comes_twice_is_handled_once_with_whatever_the_handler_asks_for():
    router = make_router()
    seen = []

    @router.rule(EVERYTHING)
    @idempotent(clock=SharedClock())
    async def on_event(event: Event) -> None:
        seen.append(("event", event.detail["total"]))

    @router.rule(EVERYTHING)
    @idempotent(key=lambda event, placed: event.id, clock=SharedClock())
    async def on_both(event: Event, placed: Order) -> None:
        seen.append(("both", event.source, placed.total))

    @router.rule(EVERYTHING)
    @idempotent(key="$.total", clock=SharedClock())
    async def on_order(placed: Order) -> None:
        await anyio.sleep(5)
        seen.append(("order", placed.total))

    async with router:
        await router.forward_events([make_event({"total": 5})] * 3)
    assert sorted(seen) == [("both", "shop.orders", 5), ("event", 5), ("order", 5)]
    assert router.closing_report.total.delivered == 9


async def test_a_retry_runs_the_handler_again_and_the_next_event_gets_the_result():
    router = make_router()
    calls = []

    @router.rule(EVERYTHING)
    @idempotent(key="$.detail.total", clock=SharedClock())
    async def handle(event: Event) -> None:
        calls.append(event.id)
        if len(calls) == 1:
            raise OSError("not yet")

    async with router:
        await router.put_events([order(total=5)])
        await router.settle_down()
        await router.put_events([order(total=5)])
    assert len(calls) == 2
    assert router.closing_report.total.delivered == 2
    assert router.closing_report.total.retries == 1


async def test_after_a_timeout_the_retry_runs_the_handler_again():
    router = make_router()
    calls = []

    @router.rule(EVERYTHING, timeout=seconds(10))
    @idempotent(clock=SharedClock())
    async def handle(event: Event) -> None:
        calls.append(event.id)
        await anyio.sleep(60 if len(calls) == 1 else 1)

    async with router:
        await router.put_events([order()])
    assert len(calls) == 2
    assert router.closing_report.total.delivered == 1


async def test_errors_of_idempotency_have_codes_of_their_own():
    recorder = Recorder()
    router = make_router(observers=[recorder])

    @router.rule(EVERYTHING, retry_policy=RetryPolicy(maximum_retry_attempts=10))
    @idempotent(key="$.detail.id", validate="$.detail.total", on_conflict="raise", clock=SharedClock())
    async def handle(event: Event) -> None:
        await anyio.sleep(20)

    async with router:
        await router.put_events([order(id=1, total=5)])
        await anyio.sleep(1)
        await router.put_events([order(id=1, total=5), order(id=1, total=6), order(total=5)])
        await router.settle_down()
    codes = [outcome.error_code for outcome in recorder.outcomes if hasattr(outcome, "error_code")]
    assert set(codes) == {"IDEMPOTENCY_IN_PROGRESS"}
    letters = await router.dead_letters()
    assert sorted(letter.error_code for letter in letters) == ["IDEMPOTENCY_MISMATCH", "NO_IDEMPOTENCY_KEY"]
    assert router.closing_report.total.delivered == 2


class TestThreads:
    @pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
    def anyio_backend(self, request):
        return request.param

    async def test_a_sync_handler_runs_in_a_thread_and_once(self):
        router = EventRouter()
        threads = []

        @router.rule(EVERYTHING)
        @idempotent
        def handle(placed: Order) -> None:
            threads.append(threading.current_thread())

        async with router:
            await router.put_events([order(total=5)] * 5)
        assert len(threads) == 1
        assert threads[0] is not threading.main_thread()
        assert router.closing_report.total.delivered == 5
