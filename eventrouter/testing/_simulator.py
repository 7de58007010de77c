"""`simulate`: a router in virtual time, with scripts in the place of its targets, and a trace of all that happens."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import anyio

from eventrouter._ids import seeded_ids
from eventrouter._scheduler import Scheduler
from eventrouter.abc import Store, Target
from eventrouter.delivery._receivers import RecordReceiver, holder
from eventrouter.errors import EventRouterError
from eventrouter.mappings._router import MAPPINGS
from eventrouter.records import Delivery, Ledger, Subscription
from eventrouter.router import EventRouter
from eventrouter.targets.function import FunctionTarget
from eventrouter.testing._scripts import Script, StandIn
from eventrouter.testing._trace import Trace
from eventrouter.testing.virtual_time import LoopClock, is_virtual

logger = logging.getLogger("eventrouter.testing")

_SOON: Final = timedelta(milliseconds=1)


class SimulationError(EventRouterError):
    """A simulation cannot be made as asked."""


@dataclass(frozen=True, repr=False)
class Simulation:
    """A router that is being simulated.

    Attributes:
        router: The router, which is entered.
        trace: What has happened so far.
        begin: When it began, in virtual time.
    """

    router: EventRouter
    trace: Trace
    begin: datetime
    _clock: LoopClock
    _stand_ins: Mapping[str, StandIn]

    def __repr__(self) -> str:
        """Say how much has happened; all of it would fill a book."""
        return f"<Simulation from {self.begin.isoformat()}, {len(self.trace)} steps>"

    @property
    def now(self) -> datetime:
        """The virtual present."""
        return self._clock.now()

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, to: datetime | None = None
    ) -> None:
        """Let virtual time pass, with everything that happens in it; what is due at its end has happened as well.

        Args:
            days: How long, together with the others.
            hours: As above.
            minutes: As above.
            seconds: As above.
            to: Until this instant instead; an aware datetime.

        Raises:
            SimulationError: Time would go backwards, or the instant has no time zone.
        """
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if to is not None:
            if to.tzinfo is None:
                raise SimulationError(f"{to.isoformat()} is of no time zone; write datetime(..., tzinfo=UTC)")
            length = to - self.now
        if length < timedelta(0):
            raise SimulationError(f"Time does not go back: it is {self.now.isoformat()}")
        # A moment more, as many things are due exactly at the end of an hour, and come in no order.
        await anyio.sleep((length + _SOON).total_seconds())

    def jump_clock(self, by: timedelta) -> None:
        """Set the wall clock, forward or back, which schedules notice at once; `now` is what it says then."""
        self._clock.jump(by)
        self.router._scheduler.clock_was_set()  # noqa: SLF001 - the kit is a part of the package

    async def run_until_idle(self) -> None:
        """Let time pass until every delivery has ended, retries included; schedules do not count."""
        await self.router.settle_down()

    def seen(self, name: str) -> list[Delivery]:
        """Give what the stand-in called *name* in `replace` was given, in order; each attempt is one.

        Raises:
            SimulationError: There is none of that name.
        """
        try:
            return self._stand_ins[name].seen
        except KeyError:
            known = ", ".join(sorted(self._stand_ins)) or "none"
            raise SimulationError(f"No target was replaced as {name!r}; there is {known}") from None

    async def ledger(self) -> Ledger:
        """Account for every delivery."""
        return await self.router.ledger()


@asynccontextmanager
async def simulate(
    router: EventRouter,
    *,
    at: datetime | str = "2026-03-01T12:00:00Z",
    seed: int = 0,
    replace: Mapping[str, Script] | None = None,
    store: Store | None = None,
) -> AsyncIterator[Simulation]:
    """Enter a router in virtual time, with scripts in the place of some of its targets.

    ::

        async with simulate(router, at="2026-03-29T00:00Z", replace={"crm": failing(503, times=3)}) as sim:
            await sim.router.put_events([EventEntry("shop", "Order Placed", {"id": 7})])
            await sim.advance(hours=24)
        assert len(sim.seen("crm")) == 4

    It has to run in an event loop in virtual time: `eventrouter.testing.run`, the fixture `eventrouter_sim`, or the
    backends of `virtual_time_backend`. Everything passes in it: schedules, retries, ages, leases, the visibility of
    messages, pollers, and `anyio.sleep` in handlers; nothing waits in real time. Ids, jitter and the draws of scripts
    follow from *seed*. Handlers that run in threads or processes do not go with virtual time: replace them.

    Afterwards the router has its clock, seed, targets and store again. What is in its store then stays there; so that
    nothing is done to a real one, give another in its place.

    Args:
        router: The router, which must not be running.
        at: When virtual time begins: aware, or text in ISO 8601, in UTC unless it says otherwise.
        seed: Of all that is random.
        replace: Scripts by the ids of targets, of rules, schedules, pipes, and of mappings whose `on_failure` is meant;
            also as `rule/target`, `bus/rule/target` or `pipe/target`, with `*` for any text. The first that fits
            counts. Options of the targets stay: retries, time limits, dead-letter queues, destinations.
        store: Takes the place of the router's store, such as `MemoryStore()`, which a router on a file needs.

    Raises:
        SimulationError: The event loop is in real time, the instant is none, or a name in *replace* fits no target.
    """
    if not is_virtual():
        raise SimulationError(
            "A simulation needs an event loop in virtual time: call it by eventrouter.testing.run(...), use the "
            "fixture eventrouter_sim, or give your tests the backends of eventrouter.testing.virtual_time_backend(...)"
        )
    kept = store if store is not None else router._store  # noqa: SLF001 - the kit is a part of the package
    if getattr(kept, "needs_real_time", False):
        raise SimulationError(
            "The store works in threads, which virtual time does not wait for; give one in memory in its place: "
            "simulate(router, store=MemoryStore())"
        )
    begin = _instant(at)
    clock, trace = LoopClock(begin), Trace()
    clock.now()  # from here on
    with ExitStack() as undone:
        undone.enter_context(seeded_ids(seed))
        undone.enter_context(_in_place_of(router, clock, seed, kept))
        replacing = _Replacing(
            replace or {}, undone, lambda target, script: StandIn.of(target, script, clock.now, begin, seed)
        )
        replacing.of(router)
        for subscription, target in router._dispatcher.targets.items():  # noqa: SLF001 - the kit is a part of the package
            if isinstance(target, FunctionTarget) and not target.is_async:
                logger.warning(
                    "Target %s is a plain `def`: virtual time overtakes its thread; replace it", subscription
                )
        router._dispatcher.observers.add(trace)  # noqa: SLF001 - the kit is a part of the package
        undone.callback(router._dispatcher.observers.remove, trace)  # noqa: SLF001
        async with router:
            yield Simulation(router, trace, begin, clock, replacing.stand_ins)


def _instant(at: datetime | str) -> datetime:
    try:
        instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    except ValueError:
        raise SimulationError(f"{at!r} is no instant; write 2026-03-29T00:00:00Z") from None
    return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)


@contextmanager
def _in_place_of(router: EventRouter, clock: LoopClock, seed: int, store: Store) -> Iterator[None]:
    """Give all parts of a router another clock, seed and store while the block runs.

    And another scheduler: what schedules have fired for, and when a rate began, is of the simulation alone.
    """
    dispatcher, schedules = router._dispatcher, router.list_schedules()  # noqa: SLF001
    parts: list[tuple[Any, str, object]] = [
        (router, "_clock", clock),
        (dispatcher._steady, "_wall", clock),  # noqa: SLF001
        (dispatcher, "_seed", seed),
        (router, "_store", store),
        (dispatcher, "store", store),
        (dispatcher, "_accounts", {}),  # what the buses have left of their retry budgets
        (router, "_scheduler", Scheduler(store, clock, dispatcher, seed=seed, longest_rest=math.inf)),
        (router, "_schedules", dict(router._schedules)),  # noqa: SLF001
    ]
    before = [(part, name, getattr(part, name)) for part, name, _ in parts]
    try:
        for part, name, value in parts:
            setattr(part, name, value)
        router._plan_all()  # noqa: SLF001
        yield
    finally:
        for part, name, value in before:
            setattr(part, name, value)
        for schedule in schedules:  # those that were removed when nothing was left of them
            router._target_was_put(schedule.subscription, schedule.target)  # noqa: SLF001


class _Replacing:
    """Has scripts in the place of targets, until it is undone.

    Attributes:
        stand_ins: By each name that they may be asked for.
    """

    def __init__(
        self, scripts: Mapping[str, Script], undone: ExitStack, make: Callable[[Target, Script], StandIn]
    ) -> None:
        self.stand_ins: dict[str, StandIn] = {}
        self._scripts = scripts
        self._undone = undone
        self._make = make

    def of(self, router: EventRouter) -> None:
        """Replace all targets of a router that are named. Raises `SimulationError` for a name that fits none."""
        for bus in router.list_event_buses():
            for rule in router.list_rules(event_bus_name=bus):
                for target in rule.targets:
                    self._replace_target(router, bus, rule.name, target)
        for schedule in router.list_schedules():
            names = schedule.name, f"{schedule.group}/{schedule.name}", schedule.target.id
            made = self._stand_in(names, schedule.target)
            if made is not None:
                router.put_schedule(replaced(schedule, target=made))
                self._undone.callback(router.put_schedule, schedule)
        for subscription, target in list(router._dispatcher.targets.items()):  # noqa: SLF001 - the kit is a part of the package
            if subscription.event_bus_name == MAPPINGS:  # of a pipe, or where a mapping sends what it gave up
                self._replace_receiver(router, subscription, target)
        unused = [pattern for pattern in self._scripts if pattern not in self.stand_ins]
        if unused:
            raise SimulationError(f"No target is called {', '.join(map(repr, unused))}")

    def _replace_target(self, router: EventRouter, bus: str, rule: str, target: Target) -> None:
        made = self._stand_in((target.id, rule, f"{rule}/{target.id}", f"{bus}/{rule}/{target.id}"), target)
        if made is not None:
            router.put_targets(rule, [made], event_bus_name=bus)
            self._undone.callback(router.put_targets, rule, [target], event_bus_name=bus)

    def _replace_receiver(self, router: EventRouter, subscription: Subscription, target: Target) -> None:
        _, mapping, place = subscription
        made = self._stand_in((target.id, mapping, f"{mapping}/{target.id}", f"{mapping}/{place}"), holder(target))
        if made is not None:
            router._target_was_put(subscription, RecordReceiver.of(made))  # noqa: SLF001 - the kit is a part of the package
            self._undone.callback(router._target_was_put, subscription, target)  # noqa: SLF001

    def _stand_in(self, names: Sequence[str], target: Target) -> StandIn | None:
        for pattern, script in self._scripts.items():
            if any(fnmatchcase(name, pattern) for name in names):
                made = self._make(target, script)
                for name in (*names, pattern):
                    self.stand_ins.setdefault(name, made)
                return made
        return None
