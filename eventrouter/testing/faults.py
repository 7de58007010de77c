"""Faults on purpose: stores that crash or fail, handlers that are called twice or late, and whether they bear that."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import timedelta
from random import Random
from typing import Any, Final, Literal, TypeVar, cast

import anyio

from eventrouter.abc import Store, Target
from eventrouter.errors import DeliveryError, IdempotencyInProgressError, StoreError
from eventrouter.event import Event
from eventrouter.records import Delivery
from eventrouter.router import EventRouter
from eventrouter.stores.memory import MemoryStore
from eventrouter.testing.cancellation import CancelAt, at_every_point

#: What changes a store.
CHANGES: Final = frozenset(
    (
        "append",
        "discard",
        "extend",
        "fire",
        "follow_clock",
        "forget_schedules",
        "lease",
        "purge",
        "purge_archive",
        "redrive",
        "release",
        "replace_dead_letter",
        "settle",
    )
)

When = Literal["before", "after"]
T = TypeVar("T")


# -- stores that crash or fail -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """Where a process ends.

    Attributes:
        number: At which change of the store, from 0.
        when: Before it, or after it and before anybody hears of it.
        change: Which method of the store it was.
    """

    number: int
    when: When
    change: str = ""

    def __str__(self) -> str:
        return f"{self.when} change {self.number} ({self.change})"


@dataclass
class FaultyStore:
    """A store around another one, of any kind, that crashes or fails.

    Use `faulty(store)` where a `Store` is asked for.

    Attributes:
        inner: The store that keeps everything.
        crash: Where it crashes; then it refuses everything, as for a process that is gone. None for nowhere.
        on_crash: Called as it does.
        errors: The share of changes that fail before they happen, with a `StoreError`.
        lost_answers: The share of changes that happen, and fail even so.
        seed: Of these.
        changes: How many changes of each kind there were.
    """

    inner: Store
    crash: CrashPoint | None = None
    on_crash: Callable[[], object] = lambda: None
    errors: float = 0.0
    lost_answers: float = 0.0
    seed: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    has_crashed: bool = False

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - faults are no secrets

    def __getattr__(self, name: str) -> Any:
        """Give a method of the store inside, with its faults."""
        method = getattr(self.inner, name)
        if name in CHANGES:
            return self._with_faults(name, method)
        if name in ("open", "close") or not inspect.iscoroutinefunction(method):
            return method
        return self._while_alive(method)

    def _while_alive(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            self._refuse_when_crashed()
            return await method(*args, **options)

        return call

    def _with_faults(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def change(*args: Any, **options: Any) -> Any:
            self._refuse_when_crashed()
            number = self.changes.total()
            self.changes[name] += 1
            self._crash_at(number, name, "before")
            if self._random.random() < self.errors:
                raise StoreError(f"{name} failed, on purpose")
            result = await method(*args, **options)
            self._crash_at(number, name, "after")
            if self._random.random() < self.lost_answers:
                raise StoreError(f"{name} has happened, and failed on purpose")
            return result

        return change

    def _crash_at(self, number: int, name: str, when: When) -> None:
        if self.crash is not None and (self.crash.number, self.crash.when) == (number, when):
            self.crash = CrashPoint(number, when, name)
            self.has_crashed = True
            self.on_crash()
            self._refuse_when_crashed()

    def _refuse_when_crashed(self) -> None:
        if self.has_crashed:
            raise StoreError("The process has crashed, on purpose")


def faulty(
    store: Store, *, errors: float = 0.0, lost_answers: float = 0.0, seed: int = 0, crash: CrashPoint | None = None
) -> Store:
    """Give a store that fails now and then, or crashes; see `FaultyStore`, which it is.

    Args:
        store: What keeps everything.
        errors: The share of changes that fail before they happen.
        lost_answers: The share of changes that happen, and fail even so.
        seed: Of these.
        crash: Where it crashes.
    """
    return cast("Store", FaultyStore(store, crash, errors=errors, lost_answers=lost_answers, seed=seed))


async def crash_at_every_step(
    scenario: Callable[[Store], Awaitable[object]],
    recover: Callable[[Store, CrashPoint], Awaitable[object]],
    *,
    make_store: Callable[[], Store] = MemoryStore,
) -> int:
    """Run a scenario again and again, and have it crash before and after each change of its store.

    ::

        async def scenario(store):
            async with simulate(make_router(), store=store) as sim:
                await sim.router.put_events([order])
                await sim.advance(hours=1)

        async def recover(store, point):
            async with simulate(make_router(), store=store, at=later) as sim:
                await sim.run_until_idle()
                assert (await sim.ledger()).is_balanced

        await crash_at_every_step(scenario, recover)

    Args:
        scenario: Given a store, makes a router on it and has something happen. At the crash it is cancelled, and the
            store does nothing for it any more: neither leases nor outcomes are handed back.
        recover: Given the same store, which works again, makes another router on it, and checks what is left.
        make_store: Makes a store for each run.

    Returns:
        How many crashes there were.

    Raises:
        Exception: What *recover* raises, with a note that says at which crash.
    """
    crashes = number = 0
    while True:
        for when in ("before", "after"):
            inner = make_store()
            with anyio.CancelScope() as scope:
                store = FaultyStore(inner, CrashPoint(number, when), scope.cancel)
                try:
                    await scenario(cast("Store", store))
                except Exception:
                    if not store.has_crashed:
                        raise
            if not store.has_crashed:
                return crashes
            crashes += 1
            assert store.crash is not None  # noqa: S101 - it was given one
            try:
                await recover(inner, store.crash)
            except Exception as error:
                error.add_note(f"crashed {store.crash}")
                raise
        number += 1


# -- deliveries that go wrong ------------------------------------------------------------------------------------


class DisturbedError(DeliveryError):
    """An attempt that failed on purpose."""


@dataclass(frozen=True, kw_only=True)
class _Disturbed(Target):
    """Calls another target, and not as it should."""

    target: Target
    duplicates: float
    reorder: timedelta
    errors: float
    lost_answers: float
    seed: int

    async def invoke(self, delivery: Delivery) -> object:
        draws = Random(f"{self.seed} {self.id} {delivery.event.id} {delivery.attempt}")  # noqa: S311 - no secrets
        await anyio.sleep(draws.uniform(0, self.reorder.total_seconds()))
        if draws.random() < self.errors:
            raise DisturbedError("It failed before it began, on purpose.")
        result = await self.target.invoke(delivery)
        if draws.random() < self.duplicates:
            result = await self.target.invoke(delivery)
        if draws.random() < self.lost_answers:
            raise DisturbedError("Its answer was lost, on purpose.")
        return result


@contextmanager
def disturbed(
    router: EventRouter,
    *,
    duplicates: float = 0.0,
    reorder: timedelta = timedelta(0),
    errors: float = 0.0,
    lost_answers: float = 0.0,
    seed: int = 0,
) -> Iterator[None]:
    """Have the targets of all rules called twice, late, or in vain now and then, while the block runs.

    What a delivery promises allows all of that: each event at least once, in no order but that of its group.

    Args:
        router: The router.
        duplicates: The share of attempts in which the target is called twice, one after the other.
        reorder: How long attempts are held up at most, so that they come in another order.
        errors: The share of attempts that fail before the target is called.
        lost_answers: The share of attempts that fail after the target has succeeded.
        seed: Of all that.
    """
    before = [
        (bus, rule.name, list(rule.targets))
        for bus in router.list_event_buses()
        for rule in router.list_rules(event_bus_name=bus)
        if rule.targets
    ]
    for bus, rule_name, targets in before:
        made = [
            _Disturbed(
                **{option.name: getattr(target, option.name) for option in fields(Target)},
                target=target,
                duplicates=duplicates,
                reorder=reorder,
                errors=errors,
                lost_answers=lost_answers,
                seed=seed,
            )
            for target in targets
        ]
        router.put_targets(rule_name, made, event_bus_name=bus)
    try:
        yield
    finally:
        for bus, rule_name, targets in before:
            router.put_targets(rule_name, targets, event_bus_name=bus)


# -- idempotency -------------------------------------------------------------------------------------------------


async def assert_idempotent(
    make: Callable[[], tuple[Callable[[Any], Awaitable[object]], Callable[[], object]]], event: Any
) -> None:
    """Assert that a handler may be called more than once for one event: the end is as after one call.

    It is called twice, one after the other; twice at once; and, for each point at which it waits, cancelled there and
    called again. Of two at once, one may raise `IdempotencyInProgressError`, since it would come again.

    ::

        def make():
            charges = []

            @idempotent(key="$.id", ttl=timedelta(hours=1))
            async def charge(event):
                charges.append(event.detail["total"])

            return charge, lambda: list(charges)

        await assert_idempotent(make, event)

    Args:
        make: Makes the handler anew, and what tells of its effects: anything that can be compared.
        event: What the handler is called with; each call has a copy of its own.

    Raises:
        AssertionError: The effects differ: in which case, and how.
    """
    handler, effects = _made(make)
    await handler(_copy(event))
    once = effects()

    handler, effects = make()
    await handler(_copy(event))
    await handler(_copy(event))
    _compare("called twice", effects(), once)

    handler, effects = make()
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(_call, handler, _copy(event))
    await handler(_copy(event))
    _compare("called twice at once", effects(), once)

    async def cancelled(cancel_at: CancelAt) -> None:
        handler, effects = make()
        await cancel_at(handler(_copy(event)))
        await handler(_copy(event))
        _compare(f"cancelled where it waits for the {cancel_at.n + 1}. time, and called again", effects(), once)

    await at_every_point(cancelled)


def _made(make: Callable[[], T]) -> T:
    try:
        return make()
    except TypeError as error:
        error.add_note("assert_idempotent takes a function without arguments that makes the handler, and its effects")
        raise


def _copy(event: Any) -> Any:
    """Give each call an event of its own, as the router does."""
    return event.copy() if isinstance(event, Event) else deepcopy(event)


async def _call(handler: Callable[[Any], Awaitable[object]], event: Any) -> None:
    try:
        await handler(event)
    except IdempotencyInProgressError:
        return


def _compare(how: str, found: object, once: object) -> None:
    if found != once:
        raise AssertionError(f"It is not idempotent: {how}, it has left {found!r}, and called once {once!r}")
