"""What stands in for a target in a simulation: it fails, is slow, is down for a while, or never answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from random import Random
from typing import Final, TypeAlias

import anyio

from eventrouter.abc import Target
from eventrouter.errors import DeliveryError, PermanentDeliveryError
from eventrouter.records import Delivery

_RETRIED: Final = 429  # as of HTTP targets, besides 5xx


@dataclass(frozen=True, slots=True)
class Moment:
    """One attempt, as a script sees it.

    Attributes:
        delivery: What is attempted.
        now: When it began.
        since: How long the simulation has been running.
        number: How often this stand-in was called before.
        random: Draws that follow from the simulation's seed, the event and the attempt.
    """

    delivery: Delivery
    now: datetime
    since: timedelta
    number: int
    random: Random


#: What a stand-in does: it returns, raises, or takes its time.
Script: TypeAlias = Callable[[Moment], Awaitable[object]]


class ScriptedError(DeliveryError):
    """What a script raises that was given a status: an attempt that is retried, if retries are left."""


class ScriptedRefusalError(PermanentDeliveryError):
    """What a script raises that was given a status which is final."""


def returning(value: object = None) -> Script:
    """Succeed, with this result."""

    async def script(moment: Moment) -> object:  # noqa: ARG001 - whatever it is
        return value

    return script


#: What a script fails with: an exception, its type, or a status code as of an HTTP target.
Failure: TypeAlias = int | BaseException | type[BaseException]


def failing(error: Failure = 503, *, times: int | None = None, then: Script | None = None) -> Script:
    """Fail.

    Args:
        error: What with: an exception, or a status code, of which 429 and 5xx are retried and others are final.
        times: How often, for each event; None for always.
        then: What it does afterwards; by default succeed.
    """
    after = then if then is not None else returning()

    async def script(moment: Moment) -> object:
        if times is not None and moment.delivery.attempt > times:
            return await after(moment)
        raise _made(error)

    return script


def _made(error: Failure) -> BaseException:
    if isinstance(error, int):
        kind = ScriptedError if error >= 500 or error == _RETRIED else ScriptedRefusalError  # noqa: PLR2004
        return kind(f"HTTP {error}")
    return error() if isinstance(error, type) else error


def slow(seconds: float | tuple[float, float] | Callable[[Random], float], then: Script | None = None) -> Script:
    """Take time, in virtual seconds, and then do something else; by default succeed.

    Args:
        seconds: How many: a number, the least and the most of even draws, or a function of `random.Random`, such as
            `lambda random: random.expovariate(1 / 2)`.
        then: What follows.
    """
    after = then if then is not None else returning()

    async def script(moment: Moment) -> object:
        if isinstance(seconds, tuple):
            length = moment.random.uniform(*seconds)
        else:
            length = seconds(moment.random) if callable(seconds) else seconds
        await anyio.sleep(length)
        return await after(moment)

    return script


def outage(
    start: timedelta | float, length: timedelta | float, *, error: Failure = 503, then: Script | None = None
) -> Script:
    """Fail within an interval of the simulation, and do something else outside of it; by default succeed.

    Args:
        start: When it begins, since the simulation has; a timedelta, or seconds.
        length: How long it lasts.
        error: As in `failing`.
        then: What it does before and after.
    """
    begin, duration = _span(start), _span(length)
    broken, after = failing(error), then if then is not None else returning()

    async def script(moment: Moment) -> object:
        is_down = begin <= moment.since < begin + duration
        return await (broken if is_down else after)(moment)

    return script


def _span(given: timedelta | float) -> timedelta:
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


def hanging() -> Script:
    """Never answer, so that the time limit of the attempt ends it."""

    async def script(moment: Moment) -> None:  # noqa: ARG001 - whatever it is
        await anyio.sleep_forever()

    return script


def in_turn(*scripts: Script) -> Script:
    """Do one thing at the first call, another at the second, and so on; the last one from then on."""

    async def script(moment: Moment) -> object:
        return await scripts[min(moment.number, len(scripts) - 1)](moment)

    return script


@dataclass(frozen=True, kw_only=True)
class StandIn(Target):
    """A target that does what a script says, with all options of the target whose place it takes.

    Attributes:
        script: What it does.
        seen: What it was given, in order.
        clock: Where the present comes from.
        begin: When the simulation began.
        seed: Of draws.
    """

    script: Script
    clock: Callable[[], datetime]
    begin: datetime
    seed: int
    seen: list[Delivery] = field(default_factory=list)

    @classmethod
    def of(cls, target: Target, script: Script, clock: Callable[[], datetime], begin: datetime, seed: int) -> StandIn:
        """Make one for a target."""
        options = {option.name: getattr(target, option.name) for option in fields(Target)}
        return cls(**options, script=script, clock=clock, begin=begin, seed=seed)

    async def invoke(self, delivery: Delivery) -> object:
        """Do what the script says."""
        number, now = len(self.seen), self.clock()
        self.seen.append(delivery)
        draws = Random(f"{self.seed} {self.id} {delivery.event.id} {delivery.attempt}")  # noqa: S311 - a simulation's
        return await self.script(Moment(delivery, now, now - self.begin, number, draws))
