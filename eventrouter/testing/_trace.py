"""What happened in a simulation: every step with its virtual time, the same for one seed on asyncio and trio."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final, get_args

from eventrouter.records import Observation, Postponed, RetryAt, Step

#: Set to anything, it has golden files written instead of compared with.
UPDATE: Final = "EVENTROUTER_UPDATE_GOLDEN"


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step.

    Attributes:
        at: When, in virtual time.
        event: Names the event: a number, in the order in which they were accepted; or for one of a schedule, the
            schedule's name and the instant.
        step: Which, in EventBridge's words.
        concerns: Whom: the subscription as `bus/rule/target`, or the rule that matched.
        attempt: Of an attempt, its number.
        told: What more there is to say: the event's detail-type, an error, when the next attempt is due.
        place: Of what concerns the same of one event, the order.
    """

    at: datetime
    event: str
    step: Step
    concerns: str = ""
    attempt: int = 0
    told: str = ""
    place: int = 0

    def __str__(self) -> str:
        attempt = f" attempt {self.attempt}" if self.attempt else ""
        at = f"{self.at:%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        words = [f"{at}Z", self.event, self.step, f"{self.concerns}{attempt}", self.told]
        return "  ".join(filter(None, words))

    @property
    def key(self) -> tuple[object, ...]:
        """By what steps are in order: that of one instant does not depend on which task was run first."""
        return self.at, self.event, self.attempt > 0, self.concerns, self.place


class Trace:
    """An observer that keeps every step.

    The steps of one instant are in the order of their events, whatever order the event loop has run their tasks in.
    """

    #: Of these it is told.
    steps: ClassVar[frozenset[Step]] = frozenset(get_args(Step)) - {
        "EVENT_RECEIPT",
        "RULE_MATCH_START",
        "INVOCATION_START",
    }

    def __init__(self) -> None:
        self._observations: list[Observation] = []  # as they came; they are made steps of when somebody looks

    def observe(self, observation: Observation) -> None:
        """Keep a step."""
        self._observations.append(observation)

    def __iter__(self) -> Iterator[TraceStep]:
        names: dict[str, str] = {}
        places: Counter[tuple[str, str]] = Counter()
        steps: list[TraceStep] = []
        for observation in self._observations:
            event, delivery = _name(observation, names), observation.delivery
            concerns = str(delivery.subscription) if delivery is not None else observation.rule_name or ""
            places[event, concerns] += 1
            attempt, place = delivery.attempt if delivery is not None else 0, places[event, concerns]
            steps.append(
                TraceStep(observation.at, event, observation.step, concerns, attempt, _told(observation), place)
            )
        return iter(sorted(steps, key=lambda step: step.key))

    def __len__(self) -> int:
        return len(self._observations)

    def __str__(self) -> str:
        return "".join(f"{step}\n" for step in self)

    def of(self, step: Step) -> list[TraceStep]:
        """Give the steps of one kind."""
        return [item for item in self if item.step == step]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, a line for each step."""
        Path(path).write_text(str(self), encoding="utf-8")

    def assert_matches(self, path: str | os.PathLike[str]) -> None:
        """Compare it with a file that `save` wrote, line by line.

        With the environment variable `EVENTROUTER_UPDATE_GOLDEN` set, the file is written instead.

        Raises:
            AssertionError: They differ, and where; or there is no such file.
        """
        if os.environ.get(UPDATE):
            self.save(path)
            return
        if not Path(path).exists():
            raise AssertionError(f"There is no {path}; run the test once with {UPDATE}=1 to have it written")
        golden = Path(path).read_text(encoding="utf-8").splitlines()
        lines = list(difflib.unified_diff(golden, str(self).splitlines(), str(path), "this run", lineterm="", n=2))
        if lines:
            shown = "\n".join(lines[:60])
            raise AssertionError(f"The trace differs from {path}; if that is right, run with {UPDATE}=1:\n{shown}")


def _told(observation: Observation) -> str:
    outcome, event = observation.outcome, observation.event
    if isinstance(outcome, RetryAt | Postponed) and observation.step.startswith("INVOCATION_ATTEMPT"):
        return f"{observation.error_message}; next at {outcome.at:%H:%M:%S.%f}"[:-3]
    if observation.step == "EVENT_INGEST_SUCCESS" and event is not None:
        return f"{event.detail_type} from {event.source}"
    return observation.error_message or ""


def _name(observation: Observation, names: dict[str, str]) -> str:
    """Give the name of an event: the one in *names*, by its id, or a new one."""
    event, entry = observation.event, observation.entry
    if event is None:
        return f"refused {entry.detail_type}" if entry is not None else "refused"
    if event.id not in names:
        if event.source == "aws.events" and event.detail_type == "Scheduled Event" and event.resources:
            names[event.id] = f"{event.resources[0].rpartition('/')[2]}@{event.time:%Y-%m-%dT%H:%M:%S}"
        else:
            names[event.id] = f"{len(names) + 1:04}"
    return names[event.id]
