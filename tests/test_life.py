"""Who may open, use and close a router."""

import asyncio
import contextvars
import threading
from dataclasses import replace
from datetime import timedelta

import anyio
import anyio.from_thread
import anyio.to_thread
import pydantic
import pytest

from eventrouter import (
    BusClosedError,
    ConflictError,
    EventRouter,
    MemoryStore,
    RetryPolicy,
    Schedule,
    ScheduleExpression,
)
from eventrouter.errors import StoreError
from tests.support import Scripted, make_event, make_router, order
from tests.virtual_time import real_time_backends


async def test_one_task_may_start_a_router_and_another_close_it():
    target = Scripted(id="t")
    router = make_router(target)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.start)
    await router.put_events([order(n=n) for n in range(3)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(router.aclose)
    assert len(target.seen) == 3
    assert router.closing_report.total.delivered == 3
    with pytest.raises(BusClosedError):
        await router.put_events([order()])


async def test_a_router_can_be_started_again_and_closing_it_twice_is_no_fault():
    target = Scripted(id="t")
    router = make_router(target)
    await router.aclose()
    for _ in range(2):
        await router.start()
        await router.put_events([order()])
        await router.aclose()
        await router.aclose()
    assert len(target.seen) == 2


async def test_whoever_starts_a_router_that_runs_is_told():
    router = make_router(Scripted(id="t"))
    await router.start()
    with pytest.raises(ConflictError, match="running"):
        await router.start()
    with pytest.raises(RuntimeError, match="already been entered"):
        async with router:
            pass
    await router.aclose()
    async with router:
        with pytest.raises(ConflictError, match="running"):
            await router.start()


async def test_a_store_that_cannot_be_opened_is_said_by_start():
    router = make_router(Scripted(id="t"))

    async def fail():
        raise OSError("no such disk")

    router._store.pending = fail
    with pytest.raises((OSError, ExceptionGroup)) as caught:
        await router.start()
    assert "no such disk" in repr(caught.value)
    await make_router().aclose()


async def test_a_start_that_is_cancelled_leaves_nothing_running():
    router = make_router(Scripted(id="t"))
    gate = anyio.Event()
    pending = router._store.pending

    async def slow():
        await gate.wait()
        return await pending()

    router._store.pending = slow
    with anyio.move_on_after(1):
        await router.start()
    gate.set()
    await anyio.sleep(1)
    assert router.closing_report is not None
    assert not router._is_entered


async def test_closing_goes_on_when_whoever_waits_for_it_is_cancelled():
    target = Scripted(id="t", script=[lambda: anyio.sleep(10)])
    router = make_router(target)
    await router.start()
    await router.put_events([order()])
    with anyio.move_on_after(1):
        await router.aclose()
    await anyio.sleep(20)
    assert router.closing_report.total.delivered == 1
    await router.aclose()


@pytest.mark.parametrize("anyio_backend", real_time_backends())
async def test_another_threads_event_loop_is_told_where_the_router_runs():
    router = make_router(Scripted(id="t"), clock=None)
    seen = []

    def elsewhere():
        with pytest.raises(BusClosedError, match="another thread"):
            anyio.run(router.put_events, [order()])
        seen.append(threading.get_ident())
        anyio.from_thread.run(router.put_events, [order()])

    async with router:
        await anyio.to_thread.run_sync(elsewhere)
        await router.settle_down()
    assert router.closing_report.total.delivered == 1
    assert seen != [threading.get_ident()]


async def test_what_goes_wrong_as_a_router_closes_is_said_by_aclose():
    router = make_router(Scripted(id="t"))
    await router.start()

    async def fail():
        raise OSError("no such disk")

    router._store.ledger = fail
    with pytest.raises(OSError, match="no such disk"):
        await router.aclose()


# -- one event loop ------------------------------------------------------------------------------------------------


class Model(pydantic.BaseModel):
    """A detail."""


async def handle(*arguments):
    """Do nothing."""


SCHEDULE = Schedule(name="s", schedule_expression=ScheduleExpression.parse("rate(1 day)"), target=Scripted(id="s"))


def calls_of_the_loop(router):
    """Give a call of each method that only the router's event loop may call."""
    return {
        "put_events": lambda: router.put_events([order()]),
        "forward_events": lambda: router.forward_events([make_event()]),
        "start": router.start,
        "aclose": router.aclose,
        "settle_down": router.settle_down,
        "ledger": router.ledger,
        "statistics": router.statistics,
        "dead_letters": router.dead_letters,
        "group_dead_letters": router.group_dead_letters,
        "edit_dead_letter": lambda: router.edit_dead_letter(1, detail={}),
        "purge_dead_letters": router.purge_dead_letters,
        "redrive": router.redrive,
        "pause_target": lambda: router.pause_target("r", "t"),
        "resume_target": lambda: router.resume_target("r", "t"),
        "add_event_bus": lambda: router.add_event_bus("b"),
        "remove_event_bus": lambda: router.remove_event_bus("b"),
        "put_policy": lambda: router.put_policy({}),
        "remove_policy": router.remove_policy,
        "put_rule": lambda: router.put_rule("r", {"source": ["a"]}),
        "remove_rule": lambda: router.remove_rule("r"),
        "enable_rule": lambda: router.enable_rule("r"),
        "disable_rule": lambda: router.disable_rule("r"),
        "put_targets": lambda: router.put_targets("r", [Scripted(id="u")]),
        "remove_targets": lambda: router.remove_targets("r", ["t"]),
        "rule": lambda: router.rule({"source": ["a"]})(handle),
        "on": lambda: router.on(Model)(handle),
        "put_archive": lambda: router.put_archive("a"),
        "remove_archive": lambda: router.remove_archive("a"),
        "archive_statistics": router.archive_statistics,
        "archived_events": lambda: router.archived_events("a"),
        "purge_archive": lambda: router.purge_archive("a"),
        "dry_run": lambda: router.dry_run("a", {}, event_bus_name="default"),
        "replay": lambda: router.replay("a", name="n"),
        "create_queue": lambda: router.create_queue("q"),
        "set_queue_attributes": lambda: router.set_queue_attributes("q"),
        "remove_queue": lambda: router.remove_queue("q"),
        "function": lambda: router.function("f")(handle),
        "invoke": lambda: router.invoke("f", {}),
        "event_source_mapping": lambda: router.event_source_mapping("q", "f"),
        "remove_event_source_mapping": lambda: router.remove_event_source_mapping("m"),
        "pipe": lambda: router.pipe("p", "q", "f"),
        "remove_function": lambda: router.remove_function("f"),
        "put_schedule": lambda: router.put_schedule(SCHEDULE),
        "schedule": lambda: router.schedule("rate(1 day)")(handle),
        "remove_schedule": lambda: router.remove_schedule("s"),
        "enable_schedule": lambda: router.enable_schedule("present"),
        "disable_schedule": lambda: router.disable_schedule("present"),
        "add_schedule_group": lambda: router.add_schedule_group("g"),
        "remove_schedule_group": lambda: router.remove_schedule_group("g"),
    }


#: They look at what is declared, and change nothing; `put_in` is for any thread.
CALLS_OF_ANYBODY = {
    *("explain", "get_archive", "get_function", "get_policy", "get_schedule", "queue", "put_in"),
    *("delivery_now", "get_event_source_mapping", "list_event_source_mappings"),
    *("list_archives", "list_event_buses", "list_functions", "list_queues", "list_rules", "list_schedule_groups"),
    *("list_schedules", "list_targets", "running_redrives", "running_replays"),
}


def test_each_method_of_a_router_is_its_event_loops_or_anybodys():
    methods = {name for name in dir(EventRouter) if not name.startswith("_") and callable(getattr(EventRouter, name))}
    assert methods == calls_of_the_loop(make_router()).keys() | CALLS_OF_ANYBODY


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_router_says_so_when_another_loop_of_the_same_thread_uses_it(backend):
    """As fixtures and tests with a loop each do: the router is left open in one, and used in the next."""
    router = make_router(Scripted(id="t"), clock=None)
    router.function("f")(handle)
    router.put_schedule(replace(SCHEDULE, name="present"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(router.start())

    async def use():
        for call in calls_of_the_loop(router).values():
            with pytest.raises(BusClosedError, match="another event loop"):
                result = call()
                await result

    anyio.run(use, backend=backend)
    assert [target.id for target in router.list_targets("r")] == ["t"]
    loop.run_until_complete(router.aclose())
    loop.close()
    anyio.run(router.ledger, backend=backend)  # it is closed, and belongs to nobody
    anyio.run(router.start, backend="asyncio")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_only_its_event_loop_cancels_what_a_router_does(backend):
    retry = RetryPolicy(maximum_retry_attempts=0)
    router = make_router(Scripted(id="t", script=[OSError()] * 2, retry_policy=retry, maximum_backlog=3), clock=None)
    router.put_archive("a")
    loop = asyncio.new_event_loop()

    async def begin():
        await router.start()
        await router.put_events([order(), order()])
        await router.settle_down()
        redrive = asyncio.create_task(router.redrive(rate=0.001))
        await asyncio.sleep(0)
        router.pause_target("r", "t")
        await router.put_events([order()] * 3)
        replay = asyncio.create_task(router.replay("a", name="n"))
        await asyncio.sleep(0.01)
        return redrive, replay

    redrive, replay = loop.run_until_complete(begin())
    running = [*router.running_redrives(), *router.running_replays()]

    async def cancel():
        for one in running:
            with pytest.raises(BusClosedError, match="another event loop"):
                one.cancel()

    anyio.run(cancel, backend=backend)
    assert [one.state for one in running] == ["RUNNING", "RUNNING"]

    async def end():
        for one in running:
            one.cancel()
        await redrive
        await replay
        router.drain_timeout = timedelta(0)
        await router.aclose()

    loop.run_until_complete(end())
    loop.close()
    assert [one.state for one in running] == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_a_thread_without_a_loop_changes_no_targets_while_the_router_runs():
    router = make_router(Scripted(id="t"), clock=None)

    def change():
        router.put_targets("r", [Scripted(id="u")])

    await anyio.to_thread.run_sync(change)
    async with router:
        with pytest.raises(BusClosedError, match="another event loop"):
            await anyio.to_thread.run_sync(change)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_a_callback_of_the_loop_may_pause_a_target():
    router = make_router(Scripted(id="t"), clock=None)
    async with router:
        loop = asyncio.get_running_loop()
        context = contextvars.Context()  # without the trace of any task or backend
        loop.call_soon(lambda: router.pause_target("r", "t"), context=context)
        await anyio.sleep(0.01)
        assert router._dispatcher._paused


# -- an end that nobody asked for ----------------------------------------------------------------------------------


class Fatal(BaseException):
    """What no handler is expected to raise."""


async def test_a_router_that_ends_by_a_failure_says_so_at_once_and_takes_nothing_more(caplog):
    router = make_router(Scripted(id="t", script=[Fatal("bug")]))
    await router.start()
    await router.put_events([order()])
    await anyio.sleep(1)
    assert "Deliveries have ended by a failure" in caplog.text
    assert "Fatal: bug" in caplog.text
    for call in (lambda: router.put_events([order()]), router.settle_down):
        with pytest.raises(BusClosedError, match="ended by a failure") as refused:
            await call()
        assert "Fatal('bug')" in repr(refused.value.__cause__)
    with pytest.raises(BaseExceptionGroup) as raised:
        await router.aclose()
    assert "Fatal('bug')" in repr(raised.value)
    assert router.closing_report.total.waiting == 1  # nothing was lost
    await router.start()  # it can be entered again, and goes on
    await router.settle_down()
    await router.aclose()
    assert router.closing_report.total.delivered == 1


async def test_a_report_that_fails_takes_no_exceptions_place(caplog):
    router = make_router(Scripted(id="t"))

    async def fail():
        raise OSError("no such disk")

    router._store.ledger = fail
    with pytest.raises(ZeroDivisionError):
        async with router:
            raise ZeroDivisionError
    assert router.closing_report is None
    assert "The closing report could not be made" in caplog.text
    with anyio.move_on_after(1) as scope:
        async with router:
            await anyio.sleep(10)
    assert scope.cancelled_caught


# -- waiting for oneself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize("method", ["aclose", "settle_down"])
async def test_a_handler_that_would_wait_for_itself_is_told(method, waits):
    errors = []

    async def handle(event):
        if waits:
            await anyio.sleep(waits)
        try:
            await getattr(router, method)()
        except ConflictError as error:
            errors.append(str(error))

    router = make_router(handle)
    await router.start()
    await router.put_events([order()])
    await router.settle_down()
    await router.aclose()
    assert router.closing_report.total.delivered == 1
    assert errors == [
        f"{method}() in a handler would wait for the handler itself; call it in a task outside of all handlers."
    ]


async def test_a_task_that_a_handler_began_may_close_the_router_when_the_handler_has_ended():
    async with anyio.create_task_group() as tasks:

        async def close():
            await anyio.sleep(1)
            await router.aclose()

        async def handle(event):
            tasks.start_soon(close)

        router = make_router(handle)
        await router.start()
        await router.put_events([order()])
        await anyio.sleep(2)  # the task group would else be left before the handler uses it
    assert router.closing_report.total.delivered == 1


async def test_a_handler_of_one_router_may_close_another():
    inner = make_router(Scripted(id="t"))
    await inner.start()

    async def handle(event):
        await inner.put_events([order()])
        await inner.settle_down()
        await inner.aclose()

    outer = make_router(handle)
    async with outer:
        await outer.put_events([order()])
    assert (inner.closing_report.total.delivered, outer.closing_report.total.delivered) == (1, 1)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_a_loop_that_ends_with_the_router_open_is_no_failure_of_it(caplog):
    async def leave_it_open():
        await router.start()
        await router.put_events([order()])
        await anyio.sleep(0.01)

    router = make_router(Scripted(id="t", script=[anyio.sleep_forever] * 3), clock=None)
    for backend in ("asyncio", "trio"):
        await anyio.to_thread.run_sync(lambda backend=backend: anyio.run(leave_it_open, backend=backend))
    assert "ended by a failure" not in caplog.text
    assert router.closing_report.total.waiting == 2


def test_between_two_runs_of_its_event_loop_a_router_may_be_told_and_in_one_of_another_kind_it_may_not():
    router = make_router(Scripted(id="t"))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(router.start())
        router.pause_target("r", "t")
        with pytest.raises(BusClosedError, match="another event loop"):
            anyio.run(router.ledger, backend="trio")
        loop.run_until_complete(router.aclose())
    finally:
        loop.close()


@pytest.mark.parametrize("method", ["follow_clock", "pending"])
async def test_a_store_that_fails_as_the_router_is_entered_is_told_as_it_is(method):
    store = MemoryStore()
    router = EventRouter(store)

    async def fail(**options):
        raise StoreError("no")

    setattr(store, method, fail)
    with pytest.raises(StoreError, match="no"):
        async with router:
            pass  # pragma: no cover - never entered
    delattr(store, method)
    async with router:
        pass
