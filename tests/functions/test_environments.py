"""Execution environments: started, reused, kept, sent away; and how many there may be."""

import contextlib
import sys
import threading
from collections import Counter

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventrouter import BusClosedError, InvokeError, NotFoundError, TooManyRequestsError, ZeroConcurrencyError
from eventrouter.functions._concurrency import Concurrency
from eventrouter.functions._environment import InProcess, peak_memory
from tests.functions.support import ARN, declare, make_router, queue_up
from tests.support import seconds
from tests.virtual_time import real_time_backends


class Lifespans:
    """Notes when environments begin and end."""

    def __init__(self, init=0.0):
        self.log = []
        self.tasks = []
        self.init = init
        self.number = 0

    @contextlib.asynccontextmanager
    async def __call__(self):
        self.number += 1
        number = self.number
        await anyio.sleep(self.init)
        self.log.append(f"enter {number}")
        self.tasks.append(anyio.get_current_task().id)
        try:
            yield number
        finally:
            self.tasks.append(anyio.get_current_task().id)
            self.log.append(f"leave {number}")


async def work(event, context):
    await anyio.sleep(1)
    return context.state


async def at_once(function, number):
    """Invoke so often at the same time, and give the results in order."""
    results = []

    async def one():
        results.append((await function.invoke()).value)

    async with anyio.create_task_group() as tasks:
        for _ in range(number):
            tasks.start_soon(one)
    return sorted(results)


async def test_an_environment_begins_once_and_is_used_again():
    lifespans = Lifespans(init=0.5)
    router = make_router()
    function = declare(router, work, lifespan=lifespans)
    async with router:
        begin = anyio.current_time()
        cold = await function.invoke(log_type="Tail")
        assert anyio.current_time() - begin == 1.5
        assert (await function.invoke()).value == 1
        assert await at_once(function, 2) == [1, 2]
    assert cold.log[-1].endswith("Init Duration: 500.00 ms")
    assert "Duration: 1000.00 ms" in cold.log[-1]
    assert lifespans.log[:2] == ["enter 1", "enter 2"]
    assert sorted(lifespans.log[2:]) == ["leave 1", "leave 2"]
    metrics = function.metrics
    assert (metrics.cold_starts, metrics.warm_starts) == (2, 2)
    assert (metrics.init_duration.count, metrics.init_duration.total) == (2, seconds(1))


async def test_a_lifespan_is_left_by_the_task_that_entered_it():
    """A task group or cancel scope that lives in it demands that."""
    lifespans = Lifespans()
    router = make_router()
    function = declare(router, work, lifespan=lifespans, idle_timeout=seconds(10))
    async with router:
        await function.invoke()
        await anyio.sleep(11)
    first, last = lifespans.tasks
    assert first == last


async def test_idle_environments_go_the_longest_unused_first():
    lifespans = Lifespans()
    router = make_router()
    function = declare(router, work, lifespan=lifespans, idle_timeout=seconds(100))
    async with router:
        await at_once(function, 3)
        for _ in range(5):
            await anyio.sleep(60)
            await function.invoke()
        assert sorted(lifespans.log[3:]) == ["leave 1", "leave 2"] or len(lifespans.log) == 5
        await anyio.sleep(101)
        assert len(lifespans.log) == 6
        await function.invoke()
    assert function.metrics.cold_starts == 4


async def test_a_failed_start_is_the_invocations_failure_and_the_next_one_starts_anew():
    attempts = []

    @contextlib.asynccontextmanager
    async def lifespan():
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("no database")
        yield "ready"

    router = make_router()
    function = declare(router, work, lifespan=lifespan)
    async with router:
        failed = await function.invoke(log_type="Tail")
        assert (failed.function_error, failed.value["errorType"]) == ("Unhandled", "OSError")
        assert failed.value["errorMessage"] == "no database"
        assert (await function.invoke()).value == "ready"
    assert (function.metrics.errors, function.metrics.invocations) == (1, 2)


async def test_a_start_has_ten_seconds():
    router = make_router()
    function = declare(router, work, lifespan=Lifespans(init=11))
    async with router:
        begin = anyio.current_time()
        response = await function.invoke()
        assert anyio.current_time() - begin == 10
    assert response.value == {"errorType": "Sandbox.Timedout", "errorMessage": "Init timed out after 10.00 seconds"}


async def test_an_environment_whose_lifespan_fails_is_not_used_again(caplog):
    events = []

    @contextlib.asynccontextmanager
    async def lifespan():
        async with anyio.create_task_group() as tasks:
            fail = anyio.Event()
            events.append(fail)

            async def watch():
                await fail.wait()
                raise ConnectionError("lost")

            tasks.start_soon(watch)
            yield len(events)
            tasks.cancel_scope.cancel()

    router = make_router()
    function = declare(router, work, lifespan=lifespan)
    async with router:
        assert (await function.invoke()).value == 1
        events[0].set()
        await anyio.sleep(1)
        assert (await function.invoke()).value == 2
    assert [record.getMessage().split("]")[-1][-6:] for record in caplog.records] == ["failed"]


async def test_a_lifespan_that_does_not_end_well_is_logged_and_holds_up_nothing(caplog):
    @contextlib.asynccontextmanager
    async def lifespan():
        yield
        raise OSError("cannot close")

    router = make_router()
    function = declare(router, work, lifespan=lifespan)
    async with router:
        await function.invoke()
    assert "The lifespan of" in caplog.text


async def test_a_close_that_hangs_is_left_behind():
    @contextlib.asynccontextmanager
    async def lifespan():
        yield
        await anyio.sleep(1_000)

    router = make_router()
    function = declare(router, work, lifespan=lifespan)
    begin = anyio.current_time()
    async with router:
        await function.invoke()
    assert anyio.current_time() - begin == 11


async def test_an_environment_that_cannot_be_closed_is_logged(caplog, monkeypatch):
    async def fail(self):
        raise OSError("stuck")

    monkeypatch.setattr(InProcess, "aclose", fail)
    router = make_router()
    function = declare(router, work)
    async with router:
        await function.invoke()
    assert "could not be closed" in caplog.text


async def test_changed_code_runs_in_a_new_environment():
    lifespans = Lifespans()
    router = make_router()
    function = declare(router, work, lifespan=lifespans)
    async with router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(function.invoke)
            await anyio.sleep(0.5)
            function.update(description="new")
            assert (await function.invoke()).value == 2
        assert lifespans.log == ["enter 1", "enter 2", "leave 1"]
        function.update(idle_timeout=seconds(7))
        await anyio.wait_all_tasks_blocked()
        assert lifespans.log[-1] == "leave 2"
        router.remove_function("f")


async def test_a_router_that_is_entered_again_begins_again():
    lifespans = Lifespans()
    router = make_router()
    function = declare(router, work, lifespan=lifespans)
    for _ in range(2):
        async with router:
            await function.invoke()
            await function.invoke()
    assert lifespans.log == ["enter 1", "leave 1", "enter 2", "leave 2"]


@pytest.mark.parametrize("error", [ValueError("a"), ExceptionGroup("b", [OSError()]), KeyboardInterrupt()], ids=repr)
async def test_what_ends_the_router_comes_out_as_it_is(error):
    with pytest.raises(type(error)) as caught:
        async with make_router()._running_functions():
            raise error
    assert caught.value is error


async def test_the_router_can_be_cancelled():
    router = make_router()
    with anyio.move_on_after(5) as scope:
        async with router._running_functions():
            await anyio.sleep(100)
    assert scope.cancelled_caught


async def test_an_invocation_that_the_end_of_the_router_overtakes_is_told_so():
    router = make_router()
    function = declare(router, work)
    refused = []

    async def late():
        try:
            await function.invoke()
        except BusClosedError as error:
            refused.append(str(error))

    async with anyio.create_task_group() as tasks:
        async with router:
            await router._runtime.close()
            tasks.start_soon(late)
            await anyio.wait_all_tasks_blocked()
    assert refused == ["The router has closed."]


# -- provisioned -------------------------------------------------------------------------------------------------------


async def test_provisioned_environments_are_ready_before_the_first_invocation():
    lifespans = Lifespans(init=3)
    router = make_router()
    function = declare(router, work, lifespan=lifespans, idle_timeout=seconds(10))
    function.publish_version()
    function.put_provisioned_concurrency(1, 2)
    async with router:
        assert function.get_provisioned_concurrency("1").status == "IN_PROGRESS"
        await anyio.sleep(3.5)
        provisioned = function.get_provisioned_concurrency("1")
        assert (provisioned.requested, provisioned.allocated, provisioned.status) == (2, 2, "READY")
        await anyio.sleep(100)
        begin = anyio.current_time()

        async def one():
            await function.invoke(qualifier="1")

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one)
        assert anyio.current_time() - begin == 4  # the third had to wait for an environment
        await anyio.sleep(100)
        assert lifespans.log.count("leave 1") + lifespans.log.count("leave 2") + lifespans.log.count("leave 3") == 1
        function.put_provisioned_concurrency("1", 0)
        await anyio.sleep(11)
        assert len(lifespans.log) == 6
    metrics = function.metrics
    assert (metrics.cold_starts, metrics.warm_starts, metrics.provisioned_concurrency_spillover) == (1, 2, 1)


async def test_an_alias_spreads_what_is_provisioned_over_its_versions():
    router = make_router()
    lifespans = Lifespans()
    function = declare(router, work, lifespan=lifespans)
    function.publish_version()
    function.update(description="new")
    function.publish_version()
    function.put_alias("prod", 1, additional_version_weights={2: 0.25})
    function.put_provisioned_concurrency("prod", 4)
    function.put_provisioned_concurrency(2, 1)
    async with router:
        await anyio.wait_all_tasks_blocked()
        assert [len(version.pool) for version in function.versions.values()] == [0, 3, 2]
        assert function.get_provisioned_concurrency("prod").status == "READY"
        function.put_alias("prod", 2)
        await anyio.wait_all_tasks_blocked()
        assert len(function.versions["2"].pool) == 5
        function.remove_alias("prod")
        assert function.versions["2"].pool.provisioned == 1


async def test_a_provisioned_environment_that_breaks_is_replaced():
    async def break_it(event, context):
        environment.is_broken = True

    router = make_router()
    function = declare(router, break_it)
    function.publish_version()
    function.put_provisioned_concurrency(1, 1)
    async with router:
        await anyio.wait_all_tasks_blocked()
        pool = function.versions["1"].pool
        [[environment, _]] = pool._idle
        await function.invoke(qualifier=1)
        await anyio.wait_all_tasks_blocked()
        [[other, _]] = pool._idle
        assert other is not environment
    assert (function.metrics.cold_starts, function.metrics.init_duration.count) == (0, 2)


async def test_what_cannot_be_provisioned_is_not_tried_without_end(caplog):
    attempts = []

    @contextlib.asynccontextmanager
    async def lifespan():
        attempts.append(1)
        raise OSError("no database")
        yield

    router = make_router()
    function = declare(router, work, lifespan=lifespan)
    function.publish_version()
    function.put_provisioned_concurrency(1, 2)
    async with router:
        await anyio.sleep(1_000)
        assert len(attempts) == 2
        assert (await function.invoke(qualifier=1)).function_error == "Unhandled"
        assert function.get_provisioned_concurrency(1).status == "IN_PROGRESS"
    assert caplog.text.count("could not be provisioned") >= 2


@pytest.mark.parametrize(
    ("qualifier", "number", "error", "text"),
    [
        ("$LATEST", 1, InvokeError, "cannot be applied to unpublished function versions"),
        ("latest", 1, InvokeError, "cannot be applied to unpublished function versions"),
        ("9", 1, NotFoundError, "Function not found"),
        ("1", -1, InvokeError, "The provisioned concurrency of f is -1"),
        ("1", True, InvokeError, "The provisioned concurrency of f is True"),
    ],
)
def test_what_cannot_be_provisioned_is_refused(qualifier, number, error, text):
    function = declare(make_router(), work)
    function.publish_version()
    function.put_alias("latest", "$LATEST")
    with pytest.raises(error, match=text):
        function.put_provisioned_concurrency(qualifier, number)
    with pytest.raises(NotFoundError, match="No Provisioned Concurrency Config found for " + ARN + "f:1"):
        function.get_provisioned_concurrency(1)


def test_an_alias_with_provisioned_concurrency_does_not_move_to_latest():
    function = declare(make_router(), work)
    function.publish_version()
    function.put_alias("prod", 1)
    function.put_provisioned_concurrency("prod", 1)
    with pytest.raises(InvokeError, match="unpublished"):
        function.put_alias("prod", "$LATEST")
    assert function.aliases["prod"].version == "1"


# -- concurrency -------------------------------------------------------------------------------------------------------


async def test_asynchronous_invocations_use_the_concurrency_that_there_is():
    running, most = [0], []

    async def count(event, context):
        running[0] += 1
        most.append(running[0])
        await anyio.sleep(1)
        running[0] -= 1

    router = make_router()
    function = declare(router, count, concurrency=3)
    assert function.reserved_concurrency == 3
    async with router:
        for _ in range(9):
            await queue_up(function)
        await router.settle_down()
        assert max(most) == 3
        function.put_concurrency(None)
        most.clear()
        for _ in range(20):
            await queue_up(function)
        await router.settle_down()
    assert max(most) == 10
    assert function.metrics.throttles == 0


@pytest.mark.parametrize("number", [-1, True, 1.5, "1"])
def test_a_reserved_concurrency_is_a_number(number):
    router = make_router()
    with pytest.raises(InvokeError, match="The reserved concurrency of f is"):
        declare(router, work, concurrency=number)
    assert router.list_functions() == []


def test_no_more_can_be_reserved_than_there_is():
    router = make_router(function_concurrency=10)
    function = declare(router, work, concurrency=6)
    with pytest.raises(InvokeError, match="The reserved concurrency of g is 5, and 4 of 10 are not reserved yet"):
        declare(router, work, "g", concurrency=5)
    function.put_concurrency(10)
    router.remove_function("f")
    declare(router, work, "g", concurrency=10)
    for number in (0, True, 2.0):
        with pytest.raises(InvokeError, match="function_concurrency is"):
            make_router(function_concurrency=number)


class ConcurrencyMachine(RuleBasedStateMachine):
    """Whoever may run does, against plain counting."""

    def __init__(self):
        super().__init__()
        self.concurrency = Concurrency(6)
        self.running = Counter()
        self.reserved = {}
        self.threads = []

    @rule(name=st.sampled_from("abc"), number=st.none() | st.integers(0, 4))
    def reserve(self, name, number):
        others = sum(value for key, value in self.reserved.items() if key != name)
        try:
            self.concurrency.reserve(name, number)
        except InvokeError:
            assert others + number > 6
        else:
            assert others + (number or 0) <= 6
            self.reserved.pop(name, None)
            if number is not None:
                self.reserved[name] = number

    @rule(name=st.sampled_from("abc"))
    def take(self, name):
        if name in self.reserved:
            may = self.running[name] < self.reserved[name]
        else:
            shared = sum(count for key, count in self.running.items() if key not in self.reserved)
            may = shared < 6 - sum(self.reserved.values())
        try:
            self.concurrency.take(name)
        except (TooManyRequestsError, ZeroConcurrencyError) as error:
            assert not may
            assert isinstance(error, ZeroConcurrencyError) == (self.reserved.get(name) == 0)  # noqa: PT017
        else:
            assert may
            self.running[name] += 1

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data(), is_thread=st.booleans())
    def give_back(self, data, is_thread):
        free = self.running - Counter(name for name, _ in self.threads)
        if not free:
            return
        name = data.draw(st.sampled_from(sorted(free)))
        if is_thread:
            thread = threading.Event()
            self.threads.append((name, thread))
            self.concurrency.give_back(name, thread)
        else:
            self.concurrency.give_back(name)
            self.running[name] -= 1

    @precondition(lambda self: self.threads)
    @rule()
    def end_of_a_thread(self):
        name, thread = self.threads.pop()
        thread.set()
        self.running[name] -= 1

    @invariant()
    def counts(self):
        assert self.concurrency.unreserved == 6 - sum(self.reserved.values())


TestConcurrency = ConcurrencyMachine.TestCase
TestConcurrency.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.lists(st.sampled_from("ab"), max_size=20))
def test_a_guarantee_holds_whatever_others_do(others):
    concurrency = Concurrency(5)
    concurrency.reserve("mine", 2)
    for name in others:
        with contextlib.suppress(TooManyRequestsError):
            concurrency.take(name)
    concurrency.take("mine")
    concurrency.take("mine")


# -- threads: real time ------------------------------------------------------------------------------------------------


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def real(request):
    """Run the parts of a test that need threads in real time, on both backends."""
    backend, options = request.param
    return lambda function: anyio.run(function, backend=backend, backend_options=options)


def test_where_the_system_does_not_tell_the_memory_is_not_known(monkeypatch):
    assert peak_memory() > 10
    monkeypatch.setattr(sys, "platform", "darwin")  # which counts in bytes
    assert peak_memory() < 10
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory() is None


def test_a_thread_that_outlives_its_invocation_keeps_its_concurrency(real):
    release, ended = threading.Event(), threading.Event()

    def stick(event, context):
        try:
            release.wait(10 if event else 0)
            return context.get_remaining_time_in_millis()
        finally:
            if event:
                ended.set()

    async def main():
        router = make_router(clock=None)
        function = declare(router, stick, concurrency=1, timeout=seconds(0.3))
        async with router:
            assert (await function.invoke(True)).value["errorType"] == "Sandbox.Timedout"
            with pytest.raises(TooManyRequestsError):
                await function.invoke(False)
            release.set()
            await anyio.to_thread.run_sync(ended.wait)
            while True:
                try:
                    assert 0 < (await function.invoke(False)).value <= 300
                except TooManyRequestsError:  # the thread is on its last steps
                    await anyio.sleep(0.001)
                else:
                    break
        assert function.metrics.cold_starts == 2

    real(main)


def test_a_blocking_lifespan_lives_in_threads(real):
    log = []

    @contextlib.contextmanager
    def lifespan():
        log.append(threading.current_thread() is threading.main_thread())
        yield "state"
        log.append(threading.current_thread() is threading.main_thread())

    async def main():
        router = make_router(clock=None)
        function = declare(router, lambda event, context: context.state, lifespan=lifespan)
        async with router:
            assert (await function.invoke()).value == "state"

    real(main)
    assert log == [False, False]


def test_a_plain_function_may_give_something_to_be_awaited(real):
    async def answer(event):
        return event

    async def main():
        router = make_router(clock=None)
        function = declare(router, lambda event, context: answer(event))
        async with router:
            assert (await function.invoke(3)).value == 3

    real(main)
