"""`eventrouter simulate`: what a router would do with traffic while some of its targets are down."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import typer

from eventrouter.abc import DeadLetterQueue, Target
from eventrouter.cli._places import load_router
from eventrouter.cli._report import printable
from eventrouter.cli._table import print_table
from eventrouter.errors import InvalidRuleError
from eventrouter.event import Event
from eventrouter.records import DeadLettered, Delivered, Dropped, Observation, Subscription
from eventrouter.router import EventRouter
from eventrouter.stores.memory import MemoryStore
from eventrouter.targets.bus import BusTarget
from eventrouter.testing import Script, Simulation, outage, returning, run, simulate, slow

_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_NOTHING: Final = timedelta(0)


@dataclass
class _Seen:
    """What became of the deliveries of a target."""

    deliveries: int = 0
    attempts: int = 0
    delivered: int = 0
    dead_letters: int = 0
    waiting: int = 0
    most: int = 0
    backlogs: list[tuple[datetime, int]] = field(default_factory=list)  # how many waited, from when on
    errors: Counter[str] = field(default_factory=Counter)

    def wait(self, change: int, at: datetime) -> None:
        """Count what has come or ended."""
        self.waiting += change
        self.most = max(self.most, self.waiting)
        self.backlogs.append((at, self.waiting))

    def recovered(self, end: datetime) -> timedelta | None:
        """Say how long after an outage nothing waited any more; None if something still did at last."""
        if not next((waiting for at, waiting in reversed(self.backlogs) if at < end), 0):
            return _NOTHING
        return next((at - end for at, waiting in self.backlogs if at >= end and not waiting), None)


@dataclass
class _Watch:
    """An observer that counts."""

    by_target: dict[Subscription, _Seen] = field(default_factory=dict)
    unmatched: int = 0
    end: datetime | None = None

    def observe(self, observation: Observation) -> None:
        """Count a step."""
        outcome = observation.outcome
        if observation.step == "RULE_MATCH":
            for subscription in observation.subscriptions:
                seen = self.by_target.setdefault(subscription, _Seen())
                seen.deliveries += 1
                seen.wait(1, observation.at)
        elif observation.step == "NO_STANDARD_RULES_MATCHED":
            self.unmatched += 1
        elif observation.step == "INVOCATION_ATTEMPT_START" and observation.delivery is not None:
            self.by_target.setdefault(observation.delivery.subscription, _Seen()).attempts += 1
        elif outcome is not None and observation.step in {"INVOCATION_SUCCESS", "INVOCATION_FAILURE"}:
            seen = self.by_target.setdefault(outcome.delivery.subscription, _Seen())
            seen.wait(-1, observation.at)
            seen.delivered += isinstance(outcome, Delivered)
            if isinstance(outcome, DeadLettered | Dropped):
                seen.dead_letters += 1
                seen.errors[observation.error_message or ""] += 1


@dataclass(frozen=True)
class Down:
    """That targets do not answer, or are slow.

    Attributes:
        name: Of the targets: an id, a rule, `rule/target` or `bus/rule/target`, with `*` for any text.
        length: How long they are down, or how long an answer takes.
        start: When they go down, since the traffic has begun.
    """

    name: str
    length: timedelta
    start: timedelta = _NOTHING

    @classmethod
    def parse(cls, option: str, text: str) -> Down:
        """Read `crm=40m` or `crm=40m@10m`. Raises `InvalidRuleError` when it is neither."""
        name, _, lengths = text.rpartition("=")
        length, _, start = lengths.partition("@")
        if not name:
            raise InvalidRuleError(f"--{option} {text}: there is no target", hint=f"write --{option} crm=40m")
        return cls(name, read_length(length), read_length(start) if start else _NOTHING)

    def fits(self, subscription: Subscription) -> bool:
        """Say whether it is about this target."""
        bus, rule, id = subscription
        return any(fnmatchcase(name, self.name) for name in (id, rule, f"{rule}/{id}", f"{bus}/{rule}/{id}"))


def read_length(text: str) -> timedelta:
    """Read `90s`, `40m`, `1.5h` or `2d`. Raises `InvalidRuleError` when it is none."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise InvalidRuleError(f"{text!r} is no length of time", hint="write 90s, 40m, 1.5h or 2d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise InvalidRuleError(f"{text} is longer than time can be", hint="write 90s, 40m, 1.5h or 2d") from None


@dataclass(frozen=True)
class Scenario:
    """What is to be simulated.

    Attributes:
        traffic: Events, which come as far apart as their times are.
        every: How far apart they come instead.
        downs: Targets that are down.
        slow: Targets that take time.
        length: How long it goes on; None until every delivery has ended.
        seed: Of all that is random.
    """

    traffic: Sequence[Event]
    every: timedelta | None
    downs: Sequence[Down]
    slow: Sequence[Down]
    length: timedelta | None
    seed: int

    def offsets(self) -> list[tuple[timedelta, Event]]:
        """Say when each event comes, since the beginning; in order."""
        if self.every is not None:
            return [(self.every * number, event) for number, event in enumerate(self.traffic)]
        first = min((event.time for event in self.traffic), default=None)
        spaced = [(event.time - first, event) for event in self.traffic if first is not None]
        return sorted(spaced, key=lambda pair: pair[0])

    def scripts(self, router: EventRouter) -> dict[str, Script]:
        """Give what stands for each target. Buses stay; nothing else is called.

        Raises:
            InvalidRuleError: A name fits no target.
        """
        targets = [
            Subscription(bus, rule.name, target.id)
            for bus in router.list_event_buses()
            for rule in router.list_rules(event_bus_name=bus)
            for target in rule.targets
            if not isinstance(target, BusTarget)
        ]
        schedules = {f"{schedule.group}/{schedule.name}": schedule.subscription for schedule in router.list_schedules()}
        for down in (*self.downs, *self.slow):
            if not any(map(down.fits, [*targets, *schedules.values()])):
                names = {target.target_id for target in targets} | {item.rule_name for item in schedules.values()}
                known = ", ".join(sorted(names)) or "none"
                raise InvalidRuleError(f"No target is called {down.name!r}", hint=f"there is {known}")
        scripts = {str(target): self._script(target) for target in targets}
        return scripts | {name: self._script(subscription) for name, subscription in schedules.items()}

    def _script(self, target: Subscription) -> Script:
        script = returning()
        for item in self.slow:
            if item.fits(target):
                script = slow(item.length.total_seconds(), then=script)
        for item in self.downs:
            if item.fits(target):
                script = outage(item.start, item.length, then=script)
        return script


def simulate_router(place: str, traffic: Path, scenario: Scenario) -> bool:
    """Simulate, print what became of it, and say whether nothing would be dead-lettered.

    Raises:
        EventRouterError: There is no such router or target, or a line is no event.
        OSError: A file cannot be read.
    """
    logging.getLogger("eventrouter").addHandler(logging.NullHandler())  # all of it is summed up
    router, watch = load_router(place), _Watch()
    for name in router.list_event_source_mappings():
        router.get_event_source_mapping(name).disable()  # it would call functions
    _print(scenario, run(_run, router, scenario, watch), watch, traffic)
    return not any(seen.dead_letters for seen in watch.by_target.values())


async def _run(router: EventRouter, scenario: Scenario, watch: _Watch) -> Simulation:
    begin = min((event.time for event in scenario.traffic), default=None)
    at = {} if begin is None else {"at": begin}
    async with simulate(router, seed=scenario.seed, replace=scenario.scripts(router), store=MemoryStore(), **at) as sim:
        _call_nothing(router)
        router._dispatcher.observers.add(watch)  # noqa: SLF001 - parts of one package
        for offset, event in scenario.offsets():
            due = sim.begin + offset
            if due > sim.now:
                await sim.advance(to=due)
            await router.forward_events([event])
        if scenario.length is not None:
            await sim.advance(to=max(sim.now, sim.begin + scenario.length))
        else:
            await router.settle_down()
        watch.end = sim.now
        router.drain_timeout = _NOTHING
        return sim


def _call_nothing(router: EventRouter) -> None:
    """Have no dead-letter queue and no destination called, which stand-ins have from the targets they stand for."""
    for bus in router.list_event_buses():
        for rule in router.list_rules(event_bus_name=bus):
            for target in rule.targets:
                router.put_targets(rule.name, [_by_itself(target)], event_bus_name=bus)
    for schedule in router.list_schedules():
        router.put_schedule(replace(schedule, target=_by_itself(schedule.target)))


def _by_itself(target: Target) -> Target:
    kept = target.dead_letter_queue
    return replace(
        target,
        dead_letter_queue=DeadLetterQueue() if isinstance(kept, Target) else kept,
        on_success=_buses(target.on_success),
        on_failure=_buses(target.on_failure),
    )


def _buses(given: Sequence[Target] | Target) -> list[Target]:
    destinations = [given] if isinstance(given, Target) else given
    return [_by_itself(item) for item in destinations if isinstance(item, BusTarget)]


def _print(scenario: Scenario, sim: Simulation, watch: _Watch, traffic: Path) -> None:
    typer.echo(printable(f"{len(scenario.traffic)} events of {traffic}, {watch.unmatched} without a rule"))
    rows = []
    for subscription, seen in watch.by_target.items():
        ends = [sim.begin + down.start + down.length for down in scenario.downs if down.fits(subscription)]
        recovered = "-"
        if ends and watch.end is not None and watch.end >= max(ends):
            length = seen.recovered(max(ends))
            recovered = "-" if length is None else _short(length)
        numbers = seen.deliveries, seen.attempts, seen.delivered, seen.dead_letters, seen.waiting, seen.most
        rows.append([str(subscription), *map(str, numbers), recovered])
    counted = ["deliveries", "attempts", "delivered", "dead", "left", "most waiting"]
    print_table(["target", *counted, "recovered in"], rows, numbers=counted)
    for subscription, seen in watch.by_target.items():
        for message, count in seen.errors.most_common(3):
            typer.echo(printable(f"{count} dead letters of {subscription}: {message}"))


def _short(length: timedelta) -> str:
    seconds = length.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds >= _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.1f} {unit}"
    return f"{seconds:.1f} s"
