"""When to try again: a pure function of the policy, the attempts so far, and two instants."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, TypeAlias

from eventrouter.errors import InvalidRuleError

#: No wait is longer, whatever is asked for: the calendar has an end.
LONGEST_WAIT: Final = timedelta(days=3_650)

#: In how many steps what first attempts have allowed is forgotten.
_SLOTS: Final = 10
#: The least that counts as a whole retry: tenths do not add up to one in binary.
_WHOLE: Final = 1 - 1e-6
#: How long a retry waits at least while there is no budget and will be none.
_PAUSE: Final = timedelta(seconds=1)

#: Why there is no next attempt, in EventBridge's words.
ExhaustedRetryCondition: TypeAlias = Literal["MaximumRetryAttempts", "MaximumEventAgeInSeconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, how long and how soon a failed delivery is tried again.

    The wait before retry *n* is drawn between a tenth of its ceiling and its ceiling, which starts at `base_delay`
    and doubles up to `maximum_delay`: full jitter, but never the immediate retry that turns an outage into a storm.

    Attributes:
        maximum_retry_attempts: Retries after the first attempt; 0 for none. (EventBridge: 0 to 185.)
        maximum_event_age: Age, since the bus accepted the event, after which no retry starts. (60 s to 24 h.)
        base_delay: Ceiling of the wait before the first retry.
        maximum_delay: Ceiling of every wait.

    The defaults are those of EventBridge's newer subscribers: 5 retries within 300 s.
    """

    maximum_retry_attempts: int = 5
    maximum_event_age: timedelta = timedelta(seconds=300)
    base_delay: timedelta = timedelta(seconds=1)
    maximum_delay: timedelta = timedelta(seconds=300)

    def __post_init__(self) -> None:
        attempts = self.maximum_retry_attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
            raise InvalidRuleError(f"maximum_retry_attempts is {attempts!r}", hint="use a whole number from 0")
        for name in ("maximum_event_age", "base_delay", "maximum_delay"):
            duration = getattr(self, name)
            if not isinstance(duration, timedelta) or duration <= timedelta(0):
                raise InvalidRuleError(f"{name} is {duration!r}", hint="use a positive timedelta")

    @classmethod
    def eventbridge(cls) -> Self:
        """185 retries within 24 hours, what a rule has on AWS when nothing is said (EventBridge user guide)."""
        return cls(maximum_retry_attempts=185, maximum_event_age=timedelta(hours=24))

    @classmethod
    def lambda_async(cls) -> Self:
        """2 retries, after a minute and after two more, within 6 hours: AWS Lambda's asynchronous invocation.

        The waits are jittered below those (AWS Lambda developer guide, "How Lambda handles errors").
        """
        return cls(
            maximum_retry_attempts=2,
            maximum_event_age=timedelta(hours=6),
            base_delay=timedelta(minutes=1),
            maximum_delay=timedelta(minutes=2),
        )

    def next_attempt(
        self,
        *,
        attempts: int,
        accepted_at: datetime,
        now: datetime,
        draw: float,
        at_least: timedelta = timedelta(0),
    ) -> datetime | ExhaustedRetryCondition:
        """Decide what follows an attempt that failed.

        Age looks ahead: when the next attempt would start past the age limit, this one was the last.

        Args:
            attempts: Attempts made so far, the failed one included.
            accepted_at: When the bus accepted the event.
            now: When the attempt failed.
            draw: Where in its range the wait falls, in [0, 1); see `jitter`.
            at_least: What the target asked to wait; the longer of it and the policy's wait counts.

        Returns:
            The instant of the next attempt, or the limit that was reached.
        """
        if attempts > self.maximum_retry_attempts:
            return "MaximumRetryAttempts"
        due = now + min(max(self._wait(attempts, draw), at_least), LONGEST_WAIT)
        if due - accepted_at > self.maximum_event_age:
            return "MaximumEventAgeInSeconds"
        return due

    def _wait(self, attempts: int, draw: float) -> timedelta:
        # In seconds and with a bounded exponent: a timedelta overflows after some fifty doublings.
        ceiling = min(self.base_delay.total_seconds() * 2 ** min(attempts - 1, 64), self.maximum_delay.total_seconds())
        return timedelta(seconds=ceiling * (0.1 + 0.9 * draw))


def jitter(seed: int, event_id: str, subscription: str, attempt: int) -> float:
    """Draw a number in [0, 1) that is always the same for the same four things.

    So a simulated run repeats itself exactly, on every backend and machine, while no two deliveries wait alike.
    """
    key = f"{seed}\0{event_id}\0{subscription}\0{attempt}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=7).digest()) / 2**56


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudget:
    """How much of a bus's deliveries may be retries, so that an outage does not become a storm.

    First attempts are never held back. A retry that is due when the budget is used up waits for its turn, and is not
    counted; it holds up nothing meanwhile but the events of its group that come in order. Its age goes on: one that
    gets no turn before its `maximum_event_age` is given up.

    Attributes:
        share: Retries allowed for each first attempt.
        minimum_per_second: Retries that are always allowed, so that a quiet bus can retry at all.
        burst: How long both are kept if they are not used: at most the retries of so much time are saved up, and at
            least one.
    """

    share: float = 0.2
    minimum_per_second: float = 50
    burst: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        for name, least in (("share", 0), ("minimum_per_second", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < float("inf"):
                raise InvalidRuleError(f"{name} of the retry budget is {value!r}", hint=f"use a number from {least}")
        if not isinstance(self.burst, timedelta) or self.burst <= timedelta(0):
            raise InvalidRuleError(f"burst of the retry budget is {self.burst!r}", hint="use a positive timedelta")


class RetryAccount:
    """What a bus has left of its retry budget. Time is the caller's."""

    __slots__ = ("_at", "_budget", "_earned", "_grew_at", "_left", "_most", "_next", "_recent", "_slot")

    def __init__(self, budget: RetryBudget, now: datetime) -> None:
        self._budget = budget
        self._most = budget.minimum_per_second * budget.burst.total_seconds()
        self._left = max(1.0, self._most)
        self._at = now
        self._slot = budget.burst / _SLOTS
        self._earned: deque[list[Any]] = deque()  # [since when, how many retries first attempts allowed], rising
        self._recent = 0.0  # the sum of it
        self._grew_at = now
        self._next = now  # when the next turn may be, after those that have been given

    def earn(self, first_attempts: int, now: datetime) -> None:
        """Count first attempts, which allow retries."""
        more = self._budget.share * first_attempts
        if not more:
            return
        if not self._earned or now - self._earned[-1][0] >= self._slot:
            self._pass_time(now)
            self._earned.append([now, 0.0])
            self._grew_at = now
        self._earned[-1][1] += more
        self._recent += more
        self._left += more

    def spend(self, now: datetime) -> bool:
        """Take one retry, if there is one left."""
        self._pass_time(now)
        if self._left < _WHOLE:
            return False
        self._left -= 1
        return True

    def next_turn(self, now: datetime) -> datetime:
        """Give a retry for which nothing is left the instant at which to ask again.

        Turns come as fast as the budget grows, so whoever comes at its turn gets a retry, unless others took it that
        have not waited. When the budget does not grow, all ask again when it has not for twice as long.
        """
        grows = self._budget.minimum_per_second + self._recent / self._budget.burst.total_seconds()
        if grows <= 0:
            return now + min(max(_PAUSE, now - self._grew_at), LONGEST_WAIT)
        self._next = max(self._next, now + _seconds((1 - self._left) / grows))
        last = now + LONGEST_WAIT
        if self._next > last:
            return last
        turn = self._next
        self._next += _seconds(1 / grows)
        return turn

    def _pass_time(self, now: datetime) -> None:
        passed = now - self._at
        if passed <= timedelta(0):
            return
        self._at = now
        while self._earned and now - self._earned[0][0] >= self._budget.burst:
            self._recent -= self._earned.popleft()[1]
        if not self._earned:
            self._recent = 0.0  # or what was rounded would add up
        grown = self._left + self._budget.minimum_per_second * passed.total_seconds()
        self._left = min(grown, max(1.0, self._most + self._recent))


def _seconds(number: float) -> timedelta:
    """Give a duration, rounded up: by then, as much of the budget is there as was computed."""
    return min(timedelta(microseconds=math.ceil(min(number, 1e12) * 1e6)), LONGEST_WAIT)
