"""A function that is idempotent does its work once for each key, async or not."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import anyio
import pydantic
import pytest
from anyio.lowlevel import checkpoint

from eventrouter import (
    DeliveryError,
    IdempotencyInProgressError,
    IdempotencyResultError,
    IdempotencyValidationError,
    InvalidRuleError,
    MemoryIdempotencyStore,
    idempotent,
)
from tests.idempotency.stores import AwaitingStore, FailingStore, SharedClock
from tests.support import make_event, seconds


class Receipt(pydantic.BaseModel):
    number: int
    paid: Decimal


@dataclasses.dataclass
class Parcel:
    weight: float
    receipts: list[Receipt]


@pytest.fixture(params=["async", "blocking"])
def made(request):
    """Make a function idempotent, as an async or as a blocking one; either way the result is awaited."""

    def make(function, **options):
        options = {"clock": SharedClock(), **options}
        if request.param == "async":

            @functools.wraps(function)
            async def call(*args, **kwargs):
                await checkpoint()
                return function(*args, **kwargs)

            return idempotent(**options)(call)
        decorated = idempotent(**options)(function)

        async def awaitable(*args, **kwargs):
            return decorated(*args, **kwargs)

        return awaitable

    return make


class Counter:
    """A function's body, which counts."""

    def __init__(self, result=None):
        self.calls = 0
        self.result = result

    def step(self):
        self.calls += 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


# -- results ---------------------------------------------------------------------------------------------------------


async def test_later_calls_get_the_result_of_the_first(made):
    counter = Counter()

    def handle(event):
        return {"call": counter.step() or counter.calls, "id": event.id}

    handler = made(handle)
    first = await handler(make_event())
    assert first == await handler(make_event()) == {"call": 1, "id": make_event().id}
    assert counter.calls == 1


@pytest.mark.parametrize("result", [None, 0, "", [], {}, False, 0.0])
async def test_falsy_results_are_results(made, result):
    counter = Counter(result)
    handler = made(lambda event: counter.step(), name="f")
    for _ in range(3):
        again = await handler(make_event())
        assert again == result
        assert type(again) is type(result)
    assert counter.calls == 1


def gives_model(n: int) -> Receipt:
    return Receipt(number=n, paid=Decimal("1.10"))


def gives_dataclass(n: int) -> Parcel:
    return Parcel(1.5, [Receipt(number=n, paid=Decimal(2))])


def gives_tuple(n: int) -> tuple[int, datetime | None]:
    return n, datetime(2026, 1, 1, tzinfo=UTC)


def gives_bytes(n: int) -> bytes:
    return b"\x00" * n


@pytest.mark.parametrize("function", [gives_model, gives_dataclass, gives_tuple, gives_bytes])
async def test_results_become_what_the_return_annotation_says(made, function):
    handler = made(function)
    first, second = await handler(3), await handler(3)
    assert first == second == function(3)
    assert type(first) is type(second)


async def test_the_result_type_says_so_instead_of_the_annotation(made):
    handler = made(gives_model, result_type=dict[str, Any])
    await handler(3)
    assert await handler(3) == {"number": 3, "paid": "1.10"}
    handler = made(lambda: {"number": 1, "paid": "2"}, name="f", result_type=Receipt)
    await handler()
    assert await handler() == Receipt(number=1, paid=Decimal(2))


async def test_an_annotation_that_cannot_be_resolved_leaves_plain_data(made):
    def handle(event) -> ImportedForTypeCheckingOnly:  # noqa: F821
        return {"a": (1, 2)}

    handler = made(handle)
    await handler(make_event())
    assert await handler(make_event()) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("function", "problem"),
    [(lambda event: object(), "a object has no JSON form"), (lambda event: {"a": {1, "x"}, "b": 1j}, "complex")],
)
async def test_a_result_without_json_form_is_refused_and_does_not_run_again(made, function, problem):
    counter = Counter()
    handler = made(lambda event: (counter.step(), function(event))[1], name="f")
    for _ in range(3):
        with pytest.raises(IdempotencyResultError, match=problem):
            await handler(make_event())
    assert counter.calls == 1


async def test_a_result_that_is_not_what_the_annotation_says_is_refused(made):
    def wrong(event) -> int:
        return "text"

    def strange(event) -> Counter:
        return {}

    for function, problem in [(wrong, "Expected `int`"), (strange, "cannot be made from JSON")]:
        handler = made(function)
        for _ in range(2):
            with pytest.raises(IdempotencyResultError, match=problem):
                await handler(make_event())


async def test_a_stored_result_that_does_not_fit_a_newer_type_is_refused(made):
    store = MemoryIdempotencyStore()
    await made(lambda: {"number": 1}, name="f", store=store)()
    newer = made(lambda: None, name="f", store=store, result_type=Receipt)
    with pytest.raises(IdempotencyResultError, match="paid"):
        await newer()


# -- failure, time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), ExceptionGroup("two", [ValueError()])])
async def test_what_failed_runs_again_and_errors_come_out_as_they_are(made, error):
    counter = Counter(error)
    handler = made(lambda event: counter.step(), name="f")
    for _ in range(2):
        with pytest.raises(type(error)) as caught:
            await handler(make_event())
        assert caught.value is error
    counter.result = "done"
    assert await handler(make_event()) == "done"
    assert counter.calls == 3


async def test_results_are_kept_for_the_ttl(made):
    counter = Counter()
    handler = made(lambda event: counter.step(), name="f", ttl=seconds(100))
    for wait, calls in [(0, 1), (99.9, 1), (0.2, 2), (99.9, 2)]:
        await anyio.sleep(wait)
        await handler(make_event())
        assert counter.calls == calls


async def test_by_default_results_are_kept_for_an_hour(made):
    counter = Counter()
    handler = made(lambda event: counter.step(), name="f")
    for wait, calls in [(0, 1), (3_599, 1), (2, 2)]:
        await anyio.sleep(wait)
        await handler(make_event())
        assert counter.calls == calls


# -- a store that fails ----------------------------------------------------------------------------------------------


async def test_without_the_store_the_function_does_not_run(made):
    counter = Counter()
    handler = made(lambda event: counter.step(), name="f", store=FailingStore("put_if_absent"))
    with pytest.raises(OSError, match="put_if_absent failed"):
        await handler(make_event())
    assert counter.calls == 0


async def test_a_put_that_failed_after_it_was_written_is_taken_back(made):
    inner = MemoryIdempotencyStore()

    class Breaking(FailingStore):
        """Writes, and loses the connection."""

        blocking = property(lambda self: Breaking(store=self.inner.blocking))

        def put_if_absent(self, *args, **kwargs):
            self.inner.put_if_absent(*args, **kwargs)
            raise OSError("gone")

        def __getattr__(self, name):
            return getattr(self.inner, name)

    class Async(Breaking):
        blocking = property(lambda self: Breaking(store=inner.blocking))

        async def put_if_absent(self, *args, **kwargs):
            await self.inner.put_if_absent(*args, **kwargs)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await made(lambda: 1, name="f", store=Async(store=inner))()
    assert len(inner) == 0


async def test_a_result_is_given_even_if_it_could_not_be_stored(made, caplog):
    """The work is done: an error would ask for it again."""
    handler = made(lambda event: 5, name="f", store=FailingStore("compare_and_set"))
    assert await handler(make_event()) == 5
    assert "What became of f with key" in caplog.text
    assert "compare_and_set failed" in caplog.text


async def test_the_functions_error_is_more_important_than_the_stores(made, caplog):
    handler = made(lambda event: 1 / 0, name="f", store=FailingStore("delete_if"))
    with pytest.raises(ZeroDivisionError):
        await handler(make_event())
    assert "delete_if failed" in caplog.text


# -- conflicts -------------------------------------------------------------------------------------------------------


async def test_a_call_from_inside_itself_does_not_wait_for_ever(made):
    calls = []

    def handle(n: int):
        calls.append(n)
        if len(calls) == 1:
            handle_again(n)

    def handle_again(n):
        with pytest.raises(IdempotencyInProgressError, match="from inside itself"):
            blocking(n)

    store = MemoryIdempotencyStore()
    blocking = idempotent(name="f", store=store, clock=SharedClock())(handle)
    handler = made(handle, name="f", store=store)
    await handler(1)
    assert calls == [1]


async def test_payload_that_differs_is_refused(made):
    counter = Counter("ok")
    handler = made(
        lambda order: counter.step(), name="f", key="$.id", validate=["$.total", "$.currency"], on_conflict="wait"
    )
    assert await handler({"id": 1, "total": 5}) == "ok"
    assert await handler({"id": 1, "total": 5, "note": "again", "currency": None}) == "ok"
    for other in ({"id": 1, "total": 6}, {"id": 1, "total": 5, "currency": "EUR"}, {"id": 1}):
        with pytest.raises(IdempotencyValidationError, match="other values"):
            await handler(other)
    assert await handler({"id": 2, "total": 6}) == "ok"
    assert counter.calls == 2


async def test_records_from_before_validation_was_demanded_are_accepted(made):
    store = MemoryIdempotencyStore()
    await made(lambda order: 1, name="f", key="$.id", store=store)({"id": 1})
    later = made(lambda order: 2, name="f", key="$.id", store=store, validate=lambda order: order["total"])
    assert await later({"id": 1, "total": 5}) == 1


# -- async alone -----------------------------------------------------------------------------------------------------


def slow(counter, duration=5.0, **options):
    @idempotent(name="slow", clock=SharedClock(), **options)
    async def handle(n=1):
        number = counter.calls + 1
        try:
            await anyio.sleep(duration)
        finally:
            result = counter.step()
        return result or number

    return handle


async def gather(*calls):
    """Call at the same time; give results, or errors, in order."""
    results = [None] * len(calls)

    async def run(index, call):
        try:
            results[index] = await call()
        except (ValueError, DeliveryError) as error:
            results[index] = error

    async with anyio.create_task_group() as tasks:
        for index, call in enumerate(calls):
            tasks.start_soon(run, index, call)
    return results


@pytest.mark.parametrize("wrap", [lambda store: store, AwaitingStore])
async def test_who_waits_gets_the_result_when_it_is_there(wrap):
    counter = Counter()
    handle = slow(counter, store=wrap(MemoryIdempotencyStore()))
    start = anyio.current_time()
    assert await gather(*[handle] * 5) == [1] * 5
    assert anyio.current_time() - start == pytest.approx(5)
    assert counter.calls == 1


async def test_who_waits_for_a_call_that_fails_runs_itself():
    counter = Counter(ValueError("no"))
    start = anyio.current_time()
    results = await gather(*[slow(counter)] * 3)
    assert [type(result) for result in results] == [ValueError] * 3
    assert counter.calls == 3
    assert anyio.current_time() - start == pytest.approx(15)


async def test_who_raises_is_told_when_the_lease_ends():
    counter = Counter()
    handle = slow(counter, duration=25, on_conflict="raise", lease=seconds(30))

    async def later():
        await anyio.sleep(7)
        return await handle()

    first, second = await gather(handle, later)
    assert first == 1
    assert isinstance(second, IdempotencyInProgressError)
    assert second.retry_after.total_seconds() == pytest.approx(23)
    assert await handle() == 1


async def test_who_skips_returns_at_once_with_nothing():
    counter = Counter()
    handle = slow(counter, on_conflict="skip")
    times = []

    async def other():
        await anyio.sleep(1)
        times.append(anyio.current_time())
        result = await handle()
        times.append(anyio.current_time())
        return result

    assert await gather(handle, other) == [1, None]
    assert times[0] == pytest.approx(times[1])
    assert await handle() == 1


async def test_a_conflict_with_another_payload_is_noticed_while_the_first_runs():
    counter = Counter()

    @idempotent(key=lambda n, total: n, validate=lambda n, total: total, clock=SharedClock())
    async def handle(n, total):
        await anyio.sleep(1)
        return counter.step()

    results = await gather(lambda: handle(1, 5), lambda: handle(1, 6))
    assert {type(result) for result in results} == {type(None), IdempotencyValidationError}


async def test_a_handler_that_cancels_itself_is_a_failure_like_any_other(anyio_backend_name):
    if anyio_backend_name == "trio":
        return  # nothing there can raise Cancelled but a cancelled scope
    cancelled = anyio.get_cancelled_exc_class()
    counter = Counter(cancelled())
    handle = slow(counter)
    for _ in range(2):
        with pytest.raises(cancelled):
            await handle()
    counter.result = "done"
    assert await handle() == "done"


# -- the decorator ---------------------------------------------------------------------------------------------------


async def test_it_works_without_parentheses_and_keeps_the_functions_face():
    @idempotent
    async def handle(event: int, *, extra: str = "") -> int:
        """What it does."""
        return event

    @idempotent
    def blocking(event: int) -> int:
        return event

    assert await handle(1) == 1
    assert blocking(2) == 2
    assert (handle.__name__, handle.__doc__) == ("handle", "What it does.")
    assert str(inspect.signature(handle)) == "(event: 'int', *, extra: 'str' = '') -> 'int'"
    assert inspect.iscoroutinefunction(handle)
    assert not inspect.iscoroutinefunction(blocking)


async def test_methods_of_every_kind_are_supported():
    calls = []

    class Shop:
        @idempotent
        async def buy(self, n):
            calls.append(("buy", n))
            return n

        @classmethod
        @idempotent
        async def sell(cls, n):
            calls.append(("sell", n))
            return n

        @staticmethod
        @idempotent(key=lambda n: n)
        def lend(n):
            calls.append(("lend", n))
            return n

        @idempotent(key=lambda n, m=0: n)
        async def __call__(self, n, m=0):
            calls.append(("call", n))
            return n

    for shop in (Shop(), Shop()):
        for _ in range(2):
            assert [await shop.buy(1), await Shop.sell(2), Shop.lend(3), await shop(4, m=7)] == [1, 2, 3, 4]
    assert calls == [("buy", 1), ("sell", 2), ("lend", 3), ("call", 4)]


async def test_callable_objects_and_partials_need_a_name():
    class Handler:
        calls = 0

        async def __call__(self, n):
            self.calls += 1
            return n

    handler = Handler()
    handle = idempotent(name="handler")(handler)
    assert [await handle(1), await handle(1)] == [1, 1]
    assert handler.calls == 1
    part = idempotent(name="part")(functools.partial(handler, 5))
    assert [await part(), await part()] == [5, 5]
    assert handler.calls == 2
    for nameless in (handler, functools.partial(handler)):
        with pytest.raises(InvalidRuleError, match=r"has no name \(give one with name="):
            idempotent(nameless)


async def test_functions_share_keys_only_by_name():
    store = MemoryIdempotencyStore()

    @idempotent(store=store)
    async def one(n):
        return "one"

    @idempotent(store=store)
    async def two(n):
        return "two"

    @idempotent(store=store, name=f"{__name__}.{one.__qualname__}")
    async def three(n):
        return "three"

    assert [await one(1), await two(1), await three(1)] == ["one", "two", "one"]


def test_a_function_that_returns_an_awaitable_is_refused():
    async def work(n):
        raise AssertionError

    class Awaitable:
        def __await__(self):
            raise AssertionError

    for function in (lambda n: [work(n)][0], lambda n: Awaitable()):
        handle = idempotent(function)
        for _ in range(2):
            with pytest.raises(TypeError, match="write it as an async function"):
                handle(1)


async def generator():
    yield


@pytest.mark.parametrize(
    ("function", "options", "problem"),
    [
        (generator, {}, "is a generator"),
        ((lambda: (yield)), {}, "is a generator"),
        (classmethod(lambda cls: None), {}, "below @classmethod"),
        ("$.id", {}, "options by keyword"),
        (type, {}, "does not say what it takes"),
        (print, {"ttl": seconds(0)}, "ttl is"),
        (print, {"ttl": 60}, "ttl is 60"),
        (print, {"lease": seconds(-1)}, "lease is"),
        (print, {"on_conflict": "die"}, "on_conflict is 'die'"),
        (print, {"name": ""}, "name is ''"),
        (print, {"name": 5}, "name is 5"),
        (print, {"store": AwaitingStore()}, "not async, as its store requires"),
    ],
)
def test_what_cannot_be_is_refused_at_once(function, options, problem):
    with pytest.raises(InvalidRuleError, match=problem):
        idempotent(**options)(function)


async def test_arguments_that_do_not_fit_are_refused_as_python_does():
    @idempotent
    async def handle(n):
        raise AssertionError

    with pytest.raises(TypeError, match="missing a required argument"):
        await handle()


def test_nothing_is_logged_when_all_goes_well(caplog):
    caplog.set_level(logging.DEBUG)
    handle = idempotent(lambda n: n)
    assert [handle(1), handle(1)] == [1, 1]
    assert caplog.text == ""
