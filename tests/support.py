"""Small parts that many tests use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from eventrouter import Delivery, Event, EventEntry, EventRouter, FunctionTarget, Observation, Outcome, Target
from tests.virtual_time import LoopClock

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERYTHING = {"source": [{"prefix": ""}]}


def make_event(detail=None, **changes) -> Event:
    """Give an accepted event."""
    entry = EventEntry("shop.orders", "Order Placed", {"total": 250} if detail is None else detail, **changes)
    return Event.from_entry(
        entry, id="6f0b1c1e-0000-4000-8000-000000000001", now=NOON, account="000000000000", region="local"
    )


def order(**detail) -> EventEntry:
    """Give an entry of a shop."""
    return EventEntry("shop.orders", "Order Placed", detail)


@dataclass
class Recorder:
    """An observer that keeps every outcome."""

    outcomes: list[Outcome] = field(default_factory=list)

    def observe(self, observation: Observation) -> None:
        if observation.outcome is not None and observation.step.startswith("INVOCATION_ATTEMPT"):
            self.outcomes.append(observation.outcome)

    @property
    def names(self) -> list[str]:
        return [type(outcome).__name__ for outcome in self.outcomes]


@dataclass(frozen=True, kw_only=True)
class Scripted(Target):
    """A target that does what its script says, a step an attempt: raise, call, or (None, or past its end) succeed."""

    script: list[BaseException | Callable[[], object] | None] = field(default_factory=list)
    seen: list[Delivery] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @property
    def relative_times(self) -> list[float]:
        """When it was called, in seconds since the first call."""
        return [at - self.times[0] for at in self.times]

    async def invoke(self, delivery: Delivery) -> object:
        self.seen.append(delivery)
        self.times.append(anyio.current_time())
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        return await step() if step is not None else None


def make_router(*targets: Target | Callable[..., object], pattern=None, **options) -> EventRouter:
    """Give a router on virtual time whose rule `r` sends everything to *targets*."""
    router = EventRouter(**{"clock": LoopClock(), **options})
    router.put_rule("r", pattern or EVERYTHING)
    router.put_targets(
        "r",
        [
            target if isinstance(target, Target) else FunctionTarget(id=f"t{index}", function=target)
            for index, target in enumerate(targets)
        ],
    )
    return router


def seconds(number: float) -> timedelta:
    """Spell a duration."""
    return timedelta(seconds=number)


@dataclass
class Steps:
    """An observer that keeps everything."""

    told: list[Observation] = field(default_factory=list)

    def observe(self, observation: Observation) -> None:
        self.told.append(observation)

    @property
    def names(self) -> list[str]:
        return [observation.step for observation in self.told]
