"""What a target is, and the options that all of them have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict

from eventrouter.errors import InvalidRuleError
from eventrouter.names import check_name
from eventrouter.records import Delivery
from eventrouter.retry import RetryPolicy
from eventrouter.transform import InputSource, target_input

#: Whether the events of one group come in order.
Ordering: TypeAlias = Literal["UNORDERED", "FIFO"]
#: What `put_events` does about a target whose backlog is full.
WhenFull: TypeAlias = Literal["wait", "reject", "shed"]


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """Where the dead letters of a target go.

    Attributes:
        name: The queue's name, which several targets may share; by default each target has its own, called
            `bus/rule/target`.
    """

    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """Where a rule sends: something that can be invoked with a delivery, and how failures of it are treated.

    Subclass it as a frozen dataclass and write `invoke`.

    Attributes:
        id: Unique among the targets of its rule.
        arn: What dead letters name as `TARGET_ARN`; made from the id when empty.
        retry_policy: When a failed attempt is repeated.
        dead_letter_queue: Where a delivery ends that was given up: a queue of the store, or another target, which is
            sent the event until it takes it. None drops it, with an error in the log.
        timeout: Limit of one attempt; None for none.
        maximum_concurrency: How many attempts may run at once; 0 for none: its deliveries wait until it is put again
            with another number.
        ordering: `FIFO` delivers the events of one event group in the order of their acceptance, one at a time; one
            that waits for a retry holds up its own group only. Events without a group have no order. A dead letter
            that is redriven comes after those of its group that wait by then.
        maximum_backlog: How many deliveries may be unfinished, those being written included, before `when_full`
            applies. A call of `put_events` that finds room is accepted with all of its entries, so it may become up to
            99 more.
        when_full: What meets the next event: `wait` lets `put_events` wait for room, and answer
            `ThrottlingException` when there is none in time; `reject` answers so at once; `shed` accepts the event and
            skips this target, which the ledger counts.
        on_success: Destinations: targets that are sent a record of each delivery that succeeded, each of them a copy
            (AWS Lambda, "Destinations"). One target may stand without a list. They have no destinations themselves.
        on_failure: The same for each that was given up.
        input: What the target receives in place of the event: `Input`, `InputPath`, `InputTransformer`, or a function
            that makes it from the event; None for the event itself. Each attempt makes it anew, before `invoke`.

    Raises:
        InvalidRuleError: An option is not usable as written.
    """

    id: str
    arn: str = ""
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    dead_letter_queue: DeadLetterQueue | Target | None = field(default_factory=DeadLetterQueue)
    timeout: timedelta | None = timedelta(seconds=60)
    maximum_concurrency: int = 10
    ordering: Ordering = "UNORDERED"
    maximum_backlog: int = 100_000
    when_full: WhenFull = "wait"
    on_success: Sequence[Target] | Target = ()
    on_failure: Sequence[Target] | Target = ()
    input: InputSource | None = None

    def __post_init__(self) -> None:
        check_name("target id", self.id)
        if self.timeout is not None and not (isinstance(self.timeout, timedelta) and self.timeout > timedelta(0)):
            raise InvalidRuleError(f"timeout of target {self.id} is {self.timeout!r}", hint="use a positive timedelta")
        self._check_count("maximum_concurrency", least=0)
        self._check_count("maximum_backlog", least=1)
        self._check_choice("ordering", ("UNORDERED", "FIFO"))
        self._check_choice("when_full", ("wait", "reject", "shed"))
        if self.input is not None:
            object.__setattr__(self, "input", target_input(self.input))
        self._check_dead_letter_queue()
        for name in ("on_success", "on_failure"):
            object.__setattr__(self, name, self._checked_destinations(name))

    def _check_count(self, name: str, *, least: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InvalidRuleError(f"{name} of target {self.id} is {value!r}", hint=f"use a whole number from {least}")

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise InvalidRuleError(f"{name} of target {self.id} is {value!r}", hint=f"use {' or '.join(choices)}")

    def _check_dead_letter_queue(self) -> None:
        queue = self.dead_letter_queue
        if isinstance(queue, Target):
            self._check_has_no_destinations("dead_letter_queue", queue)
            if isinstance(queue.dead_letter_queue, Target):
                raise InvalidRuleError(
                    f"dead_letter_queue of target {self.id} has one itself",
                    hint="leave it out: a dead-letter queue is tried until it takes the event",
                )
        elif not isinstance(queue, DeadLetterQueue | None):
            raise InvalidRuleError(
                f"dead_letter_queue of target {self.id} is {queue!r}", hint="use a DeadLetterQueue, a Target or None"
            )

    def _checked_destinations(self, name: str) -> tuple[Target, ...]:
        given = getattr(self, name)
        destinations = (given,) if isinstance(given, Target) else given
        if not isinstance(destinations, Sequence) or not all(isinstance(item, Target) for item in destinations):
            raise InvalidRuleError(f"{name} of target {self.id} is {given!r}", hint="use a list of targets")
        for destination in destinations:
            self._check_has_no_destinations(name, destination)
        if len({destination.id for destination in destinations}) < len(destinations):
            raise InvalidRuleError(f"Two targets in {name} of {self.id} have the same id", hint="give each its own")
        return tuple(destinations)

    def _check_has_no_destinations(self, name: str, target: Target) -> None:
        if target.on_success or target.on_failure:
            raise InvalidRuleError(
                f"Target {target.id} in {name} of {self.id} has destinations itself",
                hint="send records to a bus, whose rules may go on from there",
            )

    @abstractmethod
    async def invoke(self, delivery: Delivery) -> object:
        """Make one attempt. What to hand on is `delivery.payload`.

        Returning means delivered. An exception means that this attempt failed: the retry policy decides what
        follows, unless it is a `PermanentDeliveryError`. Cancellation means neither; it must not be swallowed.
        What is returned goes into the record for `on_success`; an `EventEntry`, a model that names its source, or a
        list of nothing but those, is put as events whose cause is this one.
        At least once: an event may come again, so what must not happen twice needs the event's id as its key.

        It runs in a context of its own: context variables that it sets are not seen by the next attempt.
        """

    async def aclose(self) -> None:  # noqa: B027 - most targets hold nothing
        """Give back what was opened for the event loop that is running, such as connections.

        The router calls it when it is left, after all attempts have ended; what it raises is logged. It may be called
        again, and `invoke` after it: what is needed is opened anew.
        """


class TargetOptions(TypedDict, total=False):
    """What a decorator takes for the target it makes; see `Target`."""

    retry_policy: RetryPolicy
    dead_letter_queue: DeadLetterQueue | Target | None
    timeout: timedelta | None
    maximum_concurrency: int
    ordering: Ordering
    maximum_backlog: int
    when_full: WhenFull
    on_success: Sequence[Target] | Target
    on_failure: Sequence[Target] | Target
    input: InputSource | None
