"""Python functions as targets."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
import pydantic
import pytest

from eventrouter import DeliveryError, Event, FunctionTarget, Input, InputPath, InvalidRuleError, RetryPolicy
from tests.support import make_router, order
from tests.targets.http_server import make_delivery
from tests.virtual_time import real_time_backends

if TYPE_CHECKING:
    from eventrouter import Event as Imported  # noqa: F401 - as users' code often imports it

NO_RETRY = RetryPolicy(maximum_retry_attempts=0)


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Threads need real time."""
    return request.param


class Order(pydantic.BaseModel):
    total: int


async def run(*functions, entry=None, **options):
    """Deliver one event to each function; give its dead letters."""
    targets = [FunctionTarget(id=f"t{n}", function=f, **options) for n, f in enumerate(functions)]
    async with make_router(*targets, clock=None) as router:
        await router.put_events([entry or order(total=5)])
        await router.settle_down()
    return await router.dead_letters()


async def test_every_kind_of_callable_is_called_with_what_it_asks_for():
    calls = []

    async def takes_event(event: Event):
        calls.append(("event", type(event).__name__))

    async def takes_model(placed: Order):
        calls.append(("model", placed.total))

    async def takes_both(event: Event, placed: Order, extra: int = 1):
        calls.append(("both", event.source, placed.total, extra))

    async def not_annotated(anything):
        calls.append(("plain", anything.source))

    def sync(event: Event):
        calls.append(("sync", threading.current_thread() is not threading.main_thread()))

    def sync_model(placed: Order):
        calls.append(("sync model", placed.total))

    class Handler:
        async def __call__(self, event: Event):
            calls.append(("callable", event.source))

        async def method(self, placed: Order):
            calls.append(("method", placed.total))

    @functools.wraps(takes_model)
    async def decorated(*args):
        await takes_model(*args)

    async def with_prefix(prefix, event: Event):
        calls.append((prefix, event.source))

    async def star(*events):
        calls.append(("star", len(events)))

    def gives_a_coroutine(event: Event):
        return takes_event(event)

    letters = await run(
        takes_event, takes_model, takes_both, not_annotated, sync, sync_model, Handler(), Handler().method, decorated,
        functools.partial(with_prefix, "partial"), star, gives_a_coroutine,
    )  # fmt: skip
    assert letters == []
    assert sorted(calls, key=str) == sorted(
        [
            ("event", "Event"),
            ("model", 5),
            ("both", "shop.orders", 5, 1),
            ("plain", "shop.orders"),
            ("sync", True),
            ("sync model", 5),
            ("callable", "shop.orders"),
            ("method", 5),
            ("model", 5),
            ("partial", "shop.orders"),
            ("star", 1),
            ("event", "Event"),
        ],
        key=str,
    )


async def test_a_detail_that_does_not_fit_the_model_is_a_dead_letter_at_once():
    called = []

    async def handle(placed: Order):
        called.append(placed)

    [letter] = await run(handle, entry=order(total="many"))
    assert called == []
    assert (letter.error_code, letter.retry_attempts) == ("INVALID_DETAIL", 0)
    assert "does not fit Order" in letter.error_message
    assert "total" in letter.error_message


async def test_a_validation_error_of_the_handlers_own_is_an_ordinary_failure():
    async def handle(event):
        Order.model_validate({})

    [letter] = await run(handle, retry_policy=NO_RETRY)
    assert letter.error_code == "TARGET_ERROR"


def takes_nothing(): ...
def keyword_only(*, event): ...
def generator(event):
    yield event


async def async_generator(event):
    yield event


def unresolvable(event: Nowhere): ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (takes_nothing, "takes_nothing cannot be called with an event"),
        (keyword_only, "keyword_only cannot be called"),
        (generator, "is a generator"),
        (async_generator, "is a generator"),
        (unresolvable, "The annotation 'Nowhere' of unresolvable, parameter event, cannot be resolved"),
        (5, "5 is not a function"),
        (type, "is not a function"),
    ],
    ids=["nothing", "keyword", "generator", "async generator", "unresolvable", "number", "type"],
)  # fmt: skip
def test_a_function_that_cannot_take_an_event_is_refused_when_it_is_declared(function, reason):
    with pytest.raises(InvalidRuleError, match=reason):
        FunctionTarget(id="t", function=function)


def test_event_may_be_imported_for_the_type_checker_only():
    def handle(event: elsewhere.Event): ...  # noqa: F821

    FunctionTarget(id="t", function=handle)


async def test_with_an_input_a_function_receives_that_and_not_the_event():
    calls = []

    async def plain(value):
        calls.append(value)

    async def annotated(value: dict):
        calls.append(value)

    async def model(placed: Order):
        calls.append(placed)

    async def both(event: Event, placed: Order, value: dict[str, int]):
        calls.append((type(event), event.detail, placed, value))

    def sync(value):
        value["total"] += 1
        calls.append(value)

    async def star(*values):
        calls.append(values)

    functions = [plain, annotated, model, both, sync, star]
    detail = {"order": {"total": 5}}
    letters = await run(*functions, entry=order(**detail), input=InputPath("$.detail.order"))
    assert letters == []
    five = {"total": 5}
    expected = [five, five, Order(total=5), (Event, detail, Order(total=5), five), {"total": 6}, (five,)]
    assert sorted(map(str, calls)) == sorted(map(str, expected))


async def test_an_input_that_does_not_fit_the_model_is_a_dead_letter_at_once():
    async def handle(placed: Order): ...

    [letter] = await run(handle, input=Input({"total": "many"}))
    assert (letter.error_code, letter.retry_attempts) == ("INVALID_DETAIL", 0)
    assert "The input does not fit Order" in letter.error_message


def takes_the_event(event: Event): ...


def test_a_function_that_would_not_see_its_input_is_refused():
    def handle(event: elsewhere.Event): ...  # noqa: F821

    for function in (takes_the_event, handle):
        with pytest.raises(InvalidRuleError, match="takes the event, and not the input that its target has"):
            FunctionTarget(id="t", function=function, input=Input(1))


async def test_a_thread_that_outlives_its_timeout_counts_until_it_ends():
    """Retries of a stuck function must not pile up threads without bound."""
    stuck, entered = threading.Event(), threading.Event()
    calls = []

    def hang(event):
        calls.append(event)
        entered.set()
        stuck.wait()

    target = FunctionTarget(id="t", function=hang, maximum_concurrency=1)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(target.invoke, make_delivery())
            await anyio.to_thread.run_sync(entered.wait)
            tasks.cancel_scope.cancel()  # as a time limit does; one in real time might end before the thread begins
        with pytest.raises(DeliveryError, match="All 1 threads of target t are busy"):
            await target.invoke(make_delivery())
    finally:
        stuck.set()
    assert len(calls) == 1


async def test_a_slow_function_does_not_take_the_threads_of_another():
    release = threading.Event()

    def slow(event):
        release.wait()

    def quick(event):
        seen.append(event)
        if len(seen) == 60:
            release.set()

    seen = []
    targets = [
        FunctionTarget(id="slow", function=slow, maximum_concurrency=60),
        FunctionTarget(id="quick", function=quick, maximum_concurrency=1),
    ]
    async with make_router(*targets, clock=None) as router:
        await router.put_events([order(n=n) for n in range(60)])
        await router.settle_down()
    assert router.closing_report.total.delivered == 120


async def test_a_function_in_a_thread_may_put_events_even_while_the_router_drains():
    router = make_router(clock=None)
    sent = []

    @router.rule({"source": ["shop.orders"], "detail": {"n": [1]}})
    def first(event):
        anyio.from_thread.run(router.put_events, [order(n=2)])

    @router.rule({"source": ["shop.orders"], "detail": {"n": [2]}})
    def second(event):
        sent.append(event)

    async with router:
        await router.put_events([order(n=1)])
    assert len(sent) == 1
    assert router.closing_report.total.delivered == 2
