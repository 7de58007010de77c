"""The trace of a publisher, carried with the event: what a `Tracing` is around."""

from contextlib import contextmanager
from contextvars import ContextVar

import anyio
import pytest

from eventrouter import BusClosedError, BusTarget, Delivery, EventEntry, PermanentDeliveryError
from tests.support import EVERYTHING, Scripted, make_event, make_router, order, seconds
from tests.virtual_time import real_time_backends

inside: ContextVar[str] = ContextVar("inside", default="nothing")


class Notes:
    """A tracing that notes what it is around, and how that ended."""

    def __init__(self, header: str | None = "of the call") -> None:
        self.header = header
        self.notes: list[tuple[str, str]] = []
        self.deliveries: list[Delivery] = []

    @contextmanager
    def around(self, name):
        token = inside.set(name)
        try:
            yield self.header
        except BaseException as error:
            self.notes.append((name, type(error).__name__))
            raise
        else:
            self.notes.append((name, "ended"))
        finally:
            inside.reset(token)

    def publish(self, entries, event_bus_name=None):
        return self.around(f"publish {len(entries)} {event_bus_name}")

    def attempt(self, delivery):
        self.deliveries.append(delivery)
        return self.around(f"attempt {delivery.attempt}")


async def put(router, *entries):
    async with router:
        await router.put_events(list(entries) or [order()])
        assert inside.get() == "nothing"
        await router.settle_down()


async def test_the_header_of_the_call_travels_to_every_attempt():
    tracing, target = Notes(), Scripted(id="t", script=[OSError()])
    await put(make_router(target, tracing=tracing))
    assert [delivery.trace_header for delivery in target.seen] == ["of the call"] * 2
    assert tracing.deliveries == target.seen
    assert tracing.notes == [("publish 1 None", "ended"), ("attempt 1", "OSError"), ("attempt 2", "ended")]


async def test_an_entry_that_has_a_header_keeps_it():
    target = Scripted(id="t")
    own = EventEntry("shop.orders", "Order Placed", {}, trace_header="its own")
    await put(make_router(target, tracing=Notes()), own, order(), "no entry")
    assert {delivery.trace_header for delivery in target.seen} == {"its own", "of the call"}


@pytest.mark.parametrize("tracing", [None, Notes(header=None)], ids=["no tracing", "no header"])
async def test_without_a_header_there_is_the_entrys_own_or_none(tracing):
    target = Scripted(id="t")
    own = EventEntry("shop.orders", "Order Placed", {}, trace_header="its own")
    await put(make_router(target, tracing=tracing), own, order())
    assert {delivery.trace_header for delivery in target.seen} == {"its own", None}


async def test_a_handler_runs_inside_even_after_it_has_waited():
    seen = []

    async def work():
        seen.append(inside.get())
        await anyio.sleep(1)
        seen.append(inside.get())

    tracing = Notes()
    await put(make_router(Scripted(id="t", script=[work] * 3), tracing=tracing), order(), order())
    assert seen == ["attempt 1"] * 4
    assert tracing.notes[1:] == [("attempt 1", "ended")] * 2


@pytest.mark.parametrize("anyio_backend", real_time_backends(), ids=lambda backend: backend[0])
async def test_a_sync_handler_runs_inside_in_its_thread(anyio_backend):
    seen = []

    def handle(event):
        seen.append(inside.get())

    await put(make_router(handle, tracing=Notes()))
    assert seen == ["attempt 1"]


async def test_an_attempt_past_its_time_limit_is_cut_off_inside():
    tracing = Notes()
    target = Scripted(id="t", script=[anyio.sleep_forever], timeout=seconds(1))
    await put(make_router(target, tracing=tracing))
    assert tracing.notes[1] in {("attempt 1", "CancelledError"), ("attempt 1", "Cancelled")}
    assert tracing.notes[2] == ("attempt 2", "ended")


async def test_what_a_handler_puts_carries_what_its_attempt_says():
    tracing = Notes()
    target = Scripted(id="t")

    async def put_another():
        tracing.header = "of the handler"
        await router.put_events([order(n=2)])

    target.script.append(put_another)
    router = make_router(target, tracing=tracing)
    await put(router)
    assert [delivery.trace_header for delivery in target.seen] == ["of the call", "of the handler"]


@pytest.mark.parametrize("header", ["of the call", None], ids=["header", "no header"])
async def test_forwarded_events_carry_the_header_of_their_call_or_that_of_the_event_before(header):
    """Also those that a `BusTarget` hands on."""
    tracing, target = Notes(header), Scripted(id="t")
    router = make_router(tracing=tracing)
    router.put_targets("r", [BusTarget(id="on", router=add_bus(router, target), event_bus_name="next")])
    async with router:
        await router.put_events([EventEntry("s", "d", {}, trace_header="its own")])
        await router.forward_events([make_event()], "next")
        await router.settle_down()
    assert {delivery.trace_header for delivery in target.seen} == ({header} if header else {"its own", None})
    assert ("publish 1 next", "ended") in tracing.notes


def add_bus(router, target):
    router.add_event_bus("next")
    router.put_rule("all", EVERYTHING, event_bus_name="next")
    router.put_targets("all", [target], event_bus_name="next")
    return router


async def test_a_call_that_raises_raises_through():
    tracing = Notes()
    with pytest.raises(BusClosedError):
        await make_router(tracing=tracing).put_events([order()])
    assert tracing.notes == [("publish 1 None", "BusClosedError")]


async def test_a_tracing_that_raises_fails_what_it_is_around():
    class Broken(Notes):
        def attempt(self, delivery):
            raise PermanentDeliveryError("broken")

    target = Scripted(id="t")
    router = make_router(target, tracing=Broken())
    await put(router)
    [letter] = await router.dead_letters()
    assert letter.error_message == "PermanentDeliveryError: broken"
    assert target.seen == []
