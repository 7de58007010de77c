"""Handlers that put events into a backlog that only they could make room in."""

from functools import partial

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import ConflictError, EventEntry, FunctionTarget, RetryPolicy, StoreError, Subscription
from eventrouter.delivery._standstill import Wait, Waits
from eventrouter.stores.memory import MemoryStore
from tests.support import Scripted, make_router, order, seconds
from tests.virtual_time import real_time_backends

NO_RETRY = RetryPolicy(maximum_retry_attempts=0)
FULL = "ThrottlingException"


class Handlers:
    """Rules whose handlers put an event each, and what came of that, with when."""

    def __init__(self, store="memory://", **options) -> None:
        self.options = {"maximum_backlog": 1, "maximum_concurrency": 1, "timeout": None, "dead_letter_queue": None}
        self.options |= options
        self.router = make_router(store=store, put_timeout=seconds(60))
        self.results = []

    def put_rule(self, name, handle=None, **options):
        """Deliver what has this source to a handler that puts what has that of `to`, without an end."""
        to, pause = options.pop("to", name), options.pop("pause", 0)

        async def put(event):
            await anyio.sleep(pause)
            await self.put(to)

        target = FunctionTarget(id="t", function=handle or put, **self.options | options)
        self.router.put_rule(name, {"source": [name]})
        self.router.put_targets(name, [target])
        return Subscription("default", name, "t")

    async def put(self, source):
        if len(self.results) > 5:
            return
        [result] = await self.router.put_events([EventEntry(source, "T", {})])
        self.results.append((anyio.current_time(), result.success_code or result.error_code))
        self.last = result

    async def run(self, *sources):
        async with self.router:
            begin = anyio.current_time()
            for source in sources:
                await self.router.put_events([EventEntry(source, "T", {})])
            await self.router.settle_down()
        assert self.router.closing_report.is_balanced
        return [(at - begin, code) for at, code in self.results]


async def test_a_handler_that_puts_into_its_own_full_backlog_is_told_at_once():
    handlers = Handlers()
    handlers.put_rule("a")
    assert await handlers.run("a") == [(0, FULL)]
    assert handlers.last.error_message == (
        "The backlog of default/a/t is full, and every attempt that could make room waits for room itself, this one "
        "included; return the events from the handler instead, or raise maximum_backlog."
    )


async def test_a_handler_waits_as_long_as_another_attempt_may_make_room():
    handlers = Handlers(maximum_concurrency=2, maximum_backlog=2)
    begun = []

    async def first_puts_second_takes_its_time(event):
        begun.append(event)
        if len(begun) == 1:
            await anyio.sleep(1)  # until the other one is there
            await handlers.put("a")
        elif len(begun) == 2:
            await anyio.sleep(3)

    handlers.put_rule("a", first_puts_second_takes_its_time)
    assert await handlers.run("a", "a") == [(3, "PUBLISHED")]
    assert len(begun) == 3


async def test_of_attempts_that_all_wait_the_last_one_is_told_and_the_others_get_its_room():
    handlers = Handlers(maximum_concurrency=3, maximum_backlog=3)
    begun = []

    async def put(event):
        begun.append(event)
        if len(begun) <= 3:
            await anyio.sleep(len(begun))
            await handlers.put("a")

    handlers.put_rule("a", put)
    assert await handlers.run("a", "a", "a") == [(3, FULL), (3, "PUBLISHED"), (3, "PUBLISHED")]


async def test_handlers_that_wait_for_one_another_are_found():
    handlers = Handlers()
    handlers.put_rule("a", to="b")
    handlers.put_rule("b", to="c")
    handlers.put_rule("c", to="a")
    results = await handlers.run("a", "b", "c")
    assert results[0] == (0, FULL)
    assert {at for at, _ in results} == {0}


async def test_waiting_for_a_backlog_that_goes_on_is_no_standstill():
    handlers = Handlers()

    async def slow(event):
        await anyio.sleep(5)

    handlers.put_rule("a", to="b")
    handlers.put_rule("b", slow)
    assert await handlers.run("b", "a") == [(5, "PUBLISHED")]


async def test_deliveries_that_may_yet_begin_or_whose_end_is_being_written_may_make_room():
    handlers = Handlers(maximum_backlog=2)
    begun = []

    async def put_second(event):
        begun.append(event)
        if len(begun) == 2:
            await handlers.put("a")

    handlers.put_rule("a", put_second)
    assert await handlers.run("a", "a") == [(0, "PUBLISHED")]  # the first has ended, which is not written yet

    handlers = Handlers(maximum_concurrency=5, maximum_backlog=2)
    begun = []

    async def fail_or_put(event):
        begun.append(event)
        if len(begun) == 1:
            raise OSError("down")
        if len(begun) == 2:
            await anyio.lowlevel.checkpoint()
            await handlers.put("a")

    handlers.put_rule("a", fail_or_put)
    [(at, code)] = await handlers.run("a", "a")
    assert 0.1 <= at <= 1  # after the retry
    assert code == "PUBLISHED"


async def test_tasks_in_the_handler_hold_it_up_and_others_do_not():
    handlers = Handlers()

    async def in_a_group(event):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(handlers.put, "a")

    async with anyio.create_task_group() as background:

        async def in_the_background(event):
            background.start_soon(handlers.put, "b")
            await anyio.sleep(2)

        handlers.put_rule("a", in_a_group)
        handlers.put_rule("b", in_the_background)
        results = await handlers.run("a", "b")
    assert results[:2] == [(0, FULL), (2, "PUBLISHED")]


async def test_a_task_that_has_outlived_its_attempt_waits_as_anybody_does():
    handlers = Handlers()
    begun = []

    async with anyio.create_task_group() as background:

        async def late():
            await anyio.sleep(1)
            await handlers.put("a")

        async def take_turns(event):
            begun.append(event)
            if len(begun) == 1:
                background.start_soon(late)
            elif len(begun) == 2:
                await anyio.sleep(7)

        handlers.put_rule("a", take_turns)
        assert await handlers.run("a", "a") == [(7, "PUBLISHED")]


async def test_what_another_process_attempts_may_make_room():
    handlers = Handlers(maximum_backlog=2)
    handlers.router.put_timeout = seconds(4)
    subscription = handlers.put_rule("a")
    async with handlers.router as router:
        begin = anyio.current_time()
        router.pause_target("a", "t")
        await router.put_events([EventEntry("a", "T", {})] * 2)
        now = router._dispatcher.clock.now()
        assert len(await router._store.lease(subscription, 1, now=now, until=now + seconds(3600))) == 1
        router.resume_target("a", "t")
        await anyio.sleep(10)
        assert [(at - begin, code) for at, code in handlers.results] == [(4, FULL)]
        assert handlers.last.error_message == "The backlog of default/a/t is full."
        await router._store.discard(subscription)
        router._dispatcher.doubt()


class Delaying(MemoryStore):
    """A store that calls a function first."""

    def __init__(self):
        super().__init__()
        self.before = {}

    async def append(self, accepted):
        await self.before.get("append", anyio.lowlevel.checkpoint)()
        return await super().append(accepted)

    async def depth(self, subscription, *, now):
        await self.before.get("depth", anyio.lowlevel.checkpoint)()
        return await super().depth(subscription, now=now)


async def test_what_is_being_written_may_yet_not_be():
    store = Delaying()
    handlers = Handlers(store=store, maximum_backlog=2)
    handlers.put_rule("a", pause=1)

    async def fail():
        await anyio.sleep(3)
        raise StoreError("The disk is full")

    async with handlers.router as router, anyio.create_task_group() as tasks:
        begin = anyio.current_time()
        await router.put_events([EventEntry("a", "T", {})])
        await anyio.sleep(0.5)
        store.before = {"append": fail}
        tasks.start_soon(router.put_events, [EventEntry("a", "T", {})])
        await anyio.sleep(0.1)
        store.before = {}
        await router.settle_down()
    at, code = handlers.results[0]
    assert (at - begin, code) == (3.5, "PUBLISHED")


async def test_an_attempt_that_gives_up_waiting_meanwhile_may_make_room():
    store = Delaying()
    store.before = {"depth": partial(anyio.sleep, 3)}
    handlers = Handlers(store=store, maximum_concurrency=2, maximum_backlog=2)
    begun = []

    async def put(event):
        begun.append(event)
        if len(begun) == 1:
            with anyio.move_on_after(3):
                await handlers.put("a")
            await anyio.sleep(6)
        elif len(begun) == 2:
            await anyio.sleep(2)
            await handlers.put("a")

    handlers.put_rule("a", put)
    assert await handlers.run("a", "a") == [(9, "PUBLISHED")]


async def test_without_an_answer_of_the_store_a_handler_waits():
    async def fail():
        raise StoreError("The disk is gone")

    store = Delaying()
    store.before = {"depth": fail}
    handlers = Handlers(store=store)
    handlers.put_rule("a")
    assert await handlers.run("a") == [(60, FULL)]


async def test_the_others_of_a_call_are_waited_for_even_so():
    handlers = Handlers()
    results = []

    async def put_two(event):
        results.extend(await handlers.router.put_events([EventEntry("a", "T", {}), EventEntry("b", "T", {})]))

    async def slow(event):
        await anyio.sleep(5)

    handlers.put_rule("a", put_two)
    handlers.put_rule("b", slow)
    await handlers.run("b", "a")
    first, second = results
    assert (first.error_code, second.success_code) == (FULL, "PUBLISHED")
    assert first.error_message.endswith("raise maximum_backlog.")


async def test_a_redrive_in_the_handler_it_would_wait_for_is_refused():
    errors = []

    async def redrive():
        try:
            await router.redrive()
        except ConflictError as error:
            errors.append(str(error))

    steps = [OSError("down"), redrive]
    target = Scripted(id="t", script=steps, maximum_backlog=1, retry_policy=NO_RETRY)
    router = make_router(target)
    async with router:
        await router.put_events([order()])
        await router.settle_down()
        await router.put_events([order()])
        await router.settle_down()
        assert len(await router.dead_letters()) == 1
    assert "every attempt that could make room waits for room itself" in errors[0]


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_a_sync_handler_is_told_at_once(anyio_backend):
    results = []

    def put(event):
        results.extend(anyio.from_thread.run(router.put_events, [order()]))

    router = make_router(clock=None, put_timeout=seconds(20))
    router.put_targets("r", [FunctionTarget(id="t", function=put, maximum_backlog=1)])
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    assert [result.error_code for result in results] == [FULL]


# -- the decision, against all subsets -----------------------------------------------------------------------------

NAMES = st.sampled_from("abcd")


@given(
    waits=st.lists(st.tuples(st.integers(0, 7), NAMES), max_size=8),
    attempts=st.dictionaries(NAMES, st.frozensets(st.integers(0, 7)), min_size=4),
)
def test_hopeless_is_the_largest_set_that_only_waits_for_itself(waits, attempts):
    def may_go_on(name, stuck):
        return not attempts[name] <= set(stuck)

    tested = Waits(may_go_on)
    entered = [tested.entered(Wait(*wait)) for wait in waits]
    for one in entered:
        one.__enter__()
    awaited = sorted({name for _, name in waits})
    best = set()
    for bits in range(2 ** len(awaited)):
        chosen = {name for index, name in enumerate(awaited) if bits >> index & 1}
        stuck = {attempt for attempt, name in waits if name in chosen}
        if all(not may_go_on(name, stuck) for name in chosen):
            best |= chosen
    assert tested.hopeless() == best
    for one in entered:
        one.__exit__(None, None, None)
    assert tested.hopeless() == set()
