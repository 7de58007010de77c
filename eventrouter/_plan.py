"""A schedule as the scheduler sees it, and under what the store remembers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from eventrouter.records import Accepted
from eventrouter.schedules import Missed, ScheduleExpression

#: Later than anything happens.
END_OF_TIME: Final = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


@dataclass(eq=False, slots=True)
class Plan:
    """A schedule as the scheduler sees it.

    Attributes:
        name: Names the schedule in the router.
        expression: When it fires.
        missed: What becomes of occurrences that were missed.
        window: Within how long after its occurrence it happens.
        make: Makes the events of an occurrence, from its instant and that of their acceptance.
        completed: Told when no occurrence is left.
        created: When it was put or enabled; None for the time at which the router begins.
        forgets_past: Whether what was due before `created` does not count, as it was disabled then.
        waits_since: Since when it waits for what another process may say of its beginning, by the event loop's time.
        is_gone: Whether it was replaced or removed.
        key: Names it in the store.
    """

    name: str
    expression: ScheduleExpression
    missed: Missed
    window: timedelta | None
    make: Callable[[datetime, datetime], tuple[Accepted, ...]]
    completed: Callable[[], None]
    created: datetime | None = None
    forgets_past: bool = False
    waits_since: float | None = None
    is_gone: bool = False
    key: str = ""

    def __post_init__(self) -> None:
        # With the expression: one that is changed begins anew, and nothing that the old one missed counts.
        expression = self.expression
        self.key = f"{self.name} {expression} {expression.timezone} {expression.start or ''}".rstrip()

    @property
    def is_unanchored(self) -> bool:
        """Whether the first occurrence is the schedule's creation (EventBridge user guide, "Rate expressions")."""
        return self.expression.kind == "rate" and self.expression.start is None

    def anchor(self, instant: datetime) -> None:
        """Count a rate from an occurrence of it."""
        if self.is_unanchored:
            self.expression = replace(self.expression, start=instant)

    @property
    def claim(self) -> str:
        """Under what the store remembers that a process has begun it."""
        return f"{self.key} (begun)"

    @property
    def begun(self) -> datetime:
        """When it was put or enabled, once that is known."""
        assert self.created is not None  # noqa: S101 - set before it is looked at
        return self.created


def disabled_key(name: str) -> str:
    """Give under what the store remembers that a schedule is disabled."""
    return f"{name} (disabled)"
