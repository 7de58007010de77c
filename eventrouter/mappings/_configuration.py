"""How an event source mapping reads its source, and what it does about failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from eventrouter.abc import Target
from eventrouter.errors import InvalidRuleError
from eventrouter.names import check_name
from eventrouter.patterns import Pattern

#: Where in an archive reading begins, when it was never read by this mapping.
StartingPosition: TypeAlias = Literal["TRIM_HORIZON", "LATEST"] | datetime

_LARGEST_BATCH: Final = 10_000
_LONGEST_WINDOW: Final = timedelta(seconds=300)
_MOST_WORKERS: Final = 1_000
_MOST_FILTERS: Final = 10
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourceMappingConfiguration:
    """How an event source mapping works (Lambda, `CreateEventSourceMapping`), with Lambda's limits.

    Attributes:
        name: Of the mapping; 1 to 64 of letters, digits and `. - _`.
        batch_size: How many records the function receives at most, 1 to 10,000; of a FIFO queue at most 10.
        batch_window: How long to wait for a batch to become full, up to 5 minutes. It is handed over earlier when it
            is full, or has 6 MB.
        filters: Patterns of which one has to match a record; none for all. What none matches is deleted from a queue,
            and passed over in a stream.
        maximum_concurrency: Of a queue: how many batches are worked on at once at most, 1 to 1,000. A stream has one.
        minimum_concurrency: So many workers wait for messages even when there are none.
        idle_timeout: How long a worker above the minimum waits for messages before it goes.
        report_batch_item_failures: Whether the function says which records have failed. Otherwise what it returns does
            not matter.
        bisect_on_error: Whether a batch that has failed as a whole is divided in two, and so on, to find the culprit.
        maximum_retry_attempts: Of a stream: after how many retries a batch is discarded; None for never.
        maximum_record_age: Of a stream: how old records may be that are tried (again); None for any age.
        on_failure: Of a stream: who receives a record of each batch that was discarded.
        starting_position: Of an archive.

    Raises:
        InvalidRuleError: Something is not usable as written.
    """

    name: str
    batch_size: int = 10
    batch_window: timedelta = _NOTHING
    filters: Sequence[Pattern] = ()
    maximum_concurrency: int | None = None
    minimum_concurrency: int = 0
    idle_timeout: timedelta = timedelta(seconds=5)
    report_batch_item_failures: bool = False
    bisect_on_error: bool = False
    maximum_retry_attempts: int | None = None
    maximum_record_age: timedelta | None = None
    on_failure: Target | None = None
    starting_position: StartingPosition = "TRIM_HORIZON"

    def __post_init__(self) -> None:
        check_name("event source mapping name", self.name)
        self._check_number("batch_size", 1, _LARGEST_BATCH)
        self._check_number("maximum_concurrency", 1, _MOST_WORKERS, optional=True)
        self._check_number("minimum_concurrency", 0, self.maximum_concurrency or _MOST_WORKERS)
        self._check_number("maximum_retry_attempts", 0, 10_000, optional=True)
        self._check_duration("batch_window", _NOTHING, _LONGEST_WINDOW)
        self._check_duration("idle_timeout", timedelta.resolution, timedelta.max)
        if self.maximum_record_age is not None:
            self._check_duration("maximum_record_age", timedelta(seconds=1), timedelta.max)
        if len(self.filters) > _MOST_FILTERS:
            self._refuse("filters", f"use up to {_MOST_FILTERS} patterns")
        if not isinstance(self.on_failure, Target | None):
            self._refuse("on_failure", "use a Target")
        position = self.starting_position
        is_aware = isinstance(position, datetime) and position.tzinfo is not None
        if not is_aware and position not in ("TRIM_HORIZON", "LATEST"):
            self._refuse("starting_position", "use TRIM_HORIZON, LATEST, or an aware datetime")

    def check_for_queue(self, *, is_fifo: bool) -> None:
        """Refuse what a queue does otherwise."""
        for name in ("maximum_retry_attempts", "maximum_record_age", "on_failure"):
            if getattr(self, name) is not None:
                self._refuse(name, "leave it out: the queue's redrive policy and retention period say it")
        if is_fifo and self.batch_size > 10:  # noqa: PLR2004
            self._refuse("batch_size", "use at most 10 for a FIFO queue")

    def check_for_stream(self) -> None:
        """Refuse what only a queue can have."""
        if self.maximum_concurrency not in (None, 1) or self.minimum_concurrency:
            self._refuse("maximum_concurrency", "leave it out: the order of a stream is kept by one worker")

    def _check_number(self, name: str, least: int, most: int, *, optional: bool = False) -> None:
        value: Any = getattr(self, name)
        if optional and value is None:
            return
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self._refuse(name, f"use a whole number from {least:,} to {most:,}")

    def _check_duration(self, name: str, least: timedelta, most: timedelta) -> None:
        value: Any = getattr(self, name)
        if not isinstance(value, timedelta) or not least <= value <= most:
            longest = "" if most == timedelta.max else f" to {most.total_seconds():,.0f}"
            self._refuse(name, f"use a timedelta of {least.total_seconds():g}{longest} seconds")

    def _refuse(self, name: str, hint: str) -> None:
        raise InvalidRuleError(f"{name} of event source mapping {self.name} is {getattr(self, name)!r}", hint=hint)
