"""EventBridge's metrics, counted in this process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from eventrouter.errors import HopLimitError, InvalidRuleError
from eventrouter.records import Observation, Step

#: The names are EventBridge's (user guide, "Monitoring Amazon EventBridge").
MetricName: TypeAlias = Literal[
    "MatchedEvents",
    "TriggeredRules",
    "Invocations",
    "FailedInvocations",
    "DeadLetterInvocations",
    "InvocationAttempts",
    "RetryInvocationAttempts",
    "InvocationsSentToDlq",
    "InvocationsFailedToBeSentToDlq",
    "ThrottledRules",
    "PutEventsFailedEntriesCount",
]
LATENCY: Final = "IngestionToInvocationStartLatency"


class Dimensions(NamedTuple):
    """What a count is of.

    Attributes:
        event_bus_name: EventBridge's `EventBusName`; None where the bus is not known to exist.
        rule_name: EventBridge's `RuleName`; None for the bus itself.
    """

    event_bus_name: str | None = None
    rule_name: str | None = None


#: The same as a plain tuple, which takes a third of the time to make and is equal.
_Dimensions: TypeAlias = tuple[str | None, str | None]

_NOWHERE: Final = Dimensions()
#: Stands for all rules past the limit; no rule can be called so.
_OTHERS: Final = "*"


#: What each step is counted as; some depend on more than the step.
_COUNTED: Final[Mapping[Step, tuple[MetricName, ...]]] = {
    "RULE_MATCH": ("MatchedEvents", "TriggeredRules"),
    "INVOCATION_ATTEMPT_START": ("InvocationAttempts",),
    "INVOCATION_SUCCESS": ("Invocations",),
    "INVOCATION_FAILURE": ("Invocations", "FailedInvocations"),
    "INVOCATION_DLQ": ("InvocationsSentToDlq",),
    "INVOCATION_THROTTLE_START": ("ThrottledRules",),
}


#: The steps that say something to be counted.
STEPS: Final[frozenset[Step]] = frozenset({*_COUNTED, "EVENT_INGEST_FAILURE", "INVOCATION_START"})


class Readings:
    """Read off steps what is to be counted.

    It remembers the event that matched last: an event that several rules match is one for the bus.
    """

    def __init__(self) -> None:
        self._matched: tuple[str, str | None] | None = None

    def of(self, observation: Observation) -> Sequence[tuple[MetricName, _Dimensions, int]]:
        """Give what a step adds to which counts."""
        if observation.step == "EVENT_INGEST_FAILURE":
            return [("PutEventsFailedEntriesCount", _NOWHERE, 1)]
        names = _COUNTED.get(observation.step)
        if names is None:
            return ()
        bus = observation.event_bus_name
        rule: _Dimensions = bus, observation.rule_name
        readings = [(name, rule, 1) for name in _exceptions(observation) or names]
        if observation.skipped:
            readings.append(("DeadLetterInvocations", rule, len(observation.skipped)))
        if observation.step == "RULE_MATCH" and self._matched != (bus, observation.event_id):
            self._matched = bus, observation.event_id
            readings.append(("MatchedEvents", (bus, None), 1))
        return readings


def _exceptions(observation: Observation) -> tuple[MetricName, ...]:
    """Give what a step is counted as when it is not an ordinary one of its kind."""
    if observation.step == "INVOCATION_FAILURE" and observation.error_code == HopLimitError.error_code:
        return ("DeadLetterInvocations",)
    if observation.step == "INVOCATION_DLQ" and observation.outcome is None:
        return ("InvocationsFailedToBeSentToDlq",)
    if observation.step == "INVOCATION_ATTEMPT_START" and observation.delivery and observation.delivery.attempt > 1:
        return "InvocationAttempts", "RetryInvocationAttempts"
    return ()


def start_latency(observation: Observation) -> float | None:
    """Give the seconds from acceptance to the start of an invocation, None in other steps."""
    if observation.step != "INVOCATION_START" or observation.delivery is None:
        return None
    return max(0.0, (observation.at - observation.delivery.accepted_at).total_seconds())


#: Buckets grow by an eighth of a power of two, so a quantile is at most 9 % too high. A microsecond, the clock's own
#: resolution, is in the lowest one: from there to a year there are less than 400.
_BUCKETS_PER_OCTAVE: Final = 8
_LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took, many times.

    Attributes:
        count: How many times.
        total: All of them together.
        maximum: The longest.
        buckets: How many times there were in each bucket; bucket *n* ends at 2 ** ((n + 1) / 8) seconds.
    """

    count: int = 0
    total: timedelta = timedelta(0)
    maximum: timedelta = timedelta(0)
    buckets: Mapping[int, int] = field(default_factory=dict, repr=False)

    @property
    def mean(self) -> timedelta | None:
        """The mean; None of nothing."""
        return self.total / self.count if self.count else None

    @property
    def p50(self) -> timedelta | None:
        """The median, as `quantile` gives it."""
        return self.quantile(0.5)

    @property
    def p99(self) -> timedelta | None:
        """What 99 of 100 times did not exceed, as `quantile` gives it."""
        return self.quantile(0.99)

    def quantile(self, share: float) -> timedelta | None:
        """Give what that share of the times, from 0 to 1, did not exceed: at most 9 % too high. None of nothing."""
        needed, seen = share * self.count, 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= needed:
                return min(self.maximum, timedelta(seconds=2 ** ((bucket + 1) / _BUCKETS_PER_OCTAVE)))
        return None

    def __add__(self, other: Latency) -> Latency:
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        return Latency(self.count + other.count, self.total + other.total, max(self.maximum, other.maximum), buckets)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What a `Metrics` had counted at some moment.

    Attributes:
        counts: By bus and rule, then by the name of the metric. `MatchedEvents` has an entry for the bus itself too, as
            an event that several rules match is one event.
        latencies: `IngestionToInvocationStartLatency` by bus and rule.
    """

    counts: Mapping[Dimensions, Mapping[MetricName, int]] = field(default_factory=dict)
    latencies: Mapping[Dimensions, Latency] = field(default_factory=dict)

    def count(self, name: MetricName, *, event_bus_name: str | None = None, rule_name: str | None = None) -> int:
        """Sum a metric up over all buses and rules, or those of one bus, or one name."""
        whole = name == "MatchedEvents" and rule_name is None
        return sum(
            counts.get(name, 0)
            for dimensions, counts in self.counts.items()
            if _is_in(dimensions, event_bus_name, rule_name) and not (whole and dimensions.rule_name is not None)
        )

    def latency(self, *, event_bus_name: str | None = None, rule_name: str | None = None) -> Latency:
        """Give the time from the acceptance of an event to the first attempt of a delivery of it."""
        return sum(
            (value for key, value in self.latencies.items() if _is_in(key, event_bus_name, rule_name)), start=Latency()
        )


def _is_in(dimensions: Dimensions, event_bus_name: str | None, rule_name: str | None) -> bool:
    return event_bus_name in (None, dimensions.event_bus_name) and rule_name in (None, dimensions.rule_name)


class Times:
    """Gathers a `Latency`, a time after the other."""

    __slots__ = ("buckets", "count", "maximum", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = self.maximum = 0.0

    def add(self, seconds: float) -> None:
        bucket = math.ceil(math.log2(max(seconds, _LEAST)) * _BUCKETS_PER_OCTAVE) - 1
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds
        self.maximum = max(self.maximum, seconds)

    def snapshot(self) -> Latency:
        return Latency(self.count, timedelta(seconds=self.total), timedelta(seconds=self.maximum), self.buckets.copy())


class Metrics:
    """An observer that counts what EventBridge counts, by bus and rule, since it was made.

    - `MatchedEvents`: events that a rule matched. `TriggeredRules`: matches of rules.
    - `Invocations`: deliveries that ended, whether with success or not. `FailedInvocations`: those that were given up.
      Neither has what counts as `DeadLetterInvocations`: targets that were not invoked, since their backlog was full or
      the event had come through too many buses.
    - `InvocationAttempts`: attempts. `RetryInvocationAttempts`: those after the first.
    - `InvocationsSentToDlq`: dead letters. `InvocationsFailedToBeSentToDlq`: those that the store refused at first.
    - `ThrottledRules`: throttlings that began.
    - `PutEventsFailedEntriesCount`: entries that were refused; not by bus, since they may name any.
    - `IngestionToInvocationStartLatency`: from the acceptance of an event to the first attempt of each delivery.

    Its size is bounded: past *maximum_rules*, further rules are counted together, under the name `*`. One may observe
    several routers of one event loop. `snapshot` may be called from any thread.

    Raises:
        InvalidRuleError: *maximum_rules* is no positive whole number.
    """

    steps = STEPS

    def __init__(self, *, maximum_rules: int = 10_000) -> None:
        if not isinstance(maximum_rules, int) or maximum_rules < 1:
            raise InvalidRuleError(f"maximum_rules is {maximum_rules!r}", hint="use a positive whole number")
        self._maximum_rules = maximum_rules
        self._readings = Readings()
        self._counts: dict[_Dimensions, dict[MetricName, int]] = {}
        self._latencies: dict[_Dimensions, Times] = {}

    def observe(self, observation: Observation) -> None:
        """Count the step."""
        for name, dimensions, number in self._readings.of(observation):
            counts = self._counts.get(dimensions)
            if counts is None:
                counts = self._counts.setdefault(self._bounded(dimensions, len(self._counts)), {})
            counts[name] = counts.get(name, 0) + number
        seconds = start_latency(observation)
        if seconds is not None:
            dimensions = observation.event_bus_name, observation.rule_name
            times = self._latencies.get(dimensions)
            if times is None:
                times = self._latencies.setdefault(self._bounded(dimensions, len(self._latencies)), Times())
            times.add(seconds)

    def _bounded(self, dimensions: _Dimensions, entries: int) -> Dimensions:
        bus, rule = dimensions
        return Dimensions(bus, rule if rule is None or entries < self._maximum_rules else _OTHERS)

    def snapshot(self) -> MetricsSnapshot:
        """Give what has been counted so far; it does not change any more."""
        return MetricsSnapshot(
            {Dimensions(*key): counts.copy() for key, counts in self._counts.copy().items()},
            {Dimensions(*key): times.snapshot() for key, times in self._latencies.copy().items()},
        )
