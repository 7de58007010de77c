"""What is counted of each function: CloudWatch's metrics of Lambda, in this process."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventrouter.observability._metrics import Latency, Times


@dataclass(frozen=True, slots=True)
class FunctionMetrics:
    """What had been counted of a function at some moment (AWS Lambda developer guide, "Types of metrics").

    Attributes:
        invocations: Times that its code was run; those that were throttled or refused are none.
        errors: Those of them that failed, initialization and time limit included.
        throttles: Times that it was not run for lack of concurrency.
        dead_letter_errors: Times that a dead-letter queue, which is a target, did not take an event.
        concurrent_executions: The most that ran at once.
        cold_starts: Invocations that had to wait for a new execution environment.
        warm_starts: Those that found one.
        provisioned_concurrency_spillover: Cold starts although there was provisioned concurrency: all of it was busy.
        duration: How long the invocations took, without initialization.
        init_duration: How long execution environments took to get ready.
    """

    invocations: int = 0
    errors: int = 0
    throttles: int = 0
    dead_letter_errors: int = 0
    concurrent_executions: int = 0
    cold_starts: int = 0
    warm_starts: int = 0
    provisioned_concurrency_spillover: int = 0
    duration: Latency = field(default_factory=Latency)
    init_duration: Latency = field(default_factory=Latency)


class Counting:
    """Counts, for one function."""

    def __init__(self) -> None:
        self.invocations = self.errors = self.throttles = self.dead_letter_errors = 0
        self.concurrent_executions = self.cold_starts = self.warm_starts = 0
        self.provisioned_concurrency_spillover = 0
        self.duration, self.init_duration = Times(), Times()

    def began(self, running: int) -> None:
        """Count an invocation that begins, as one of so many."""
        self.concurrent_executions = max(self.concurrent_executions, running)

    def ended(self, seconds: float, *, failed: bool) -> None:
        """Count an invocation that was run."""
        self.invocations += 1
        self.errors += failed
        self.duration.add(seconds)

    def snapshot(self) -> FunctionMetrics:
        """Give what has been counted; it does not change any more."""
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return FunctionMetrics(
            **numbers, duration=self.duration.snapshot(), init_duration=self.init_duration.snapshot()
        )
