"""How many invocations may run at once. Pure: no clock, and nothing waits."""

from __future__ import annotations

import threading
from collections import Counter

from eventrouter.errors import InvokeError, TooManyRequestsError, ZeroConcurrencyError


class Concurrency:
    """Counts the invocations of all functions, and holds each to its limit (Lambda, "Function scaling").

    A function with a reserved concurrency may have so many, and nobody takes them away from it; the others share what
    is left. One that is reserved 0 is stopped.

    Args:
        total: Invocations of all functions.
    """

    def __init__(self, total: int) -> None:
        if not isinstance(total, int) or isinstance(total, bool) or total < 1:
            raise InvokeError(f"function_concurrency is {total!r}; use a whole number from 1")
        self.total = total
        self.reserved: dict[str, int] = {}
        self.running: Counter[str] = Counter()
        self._threads: list[tuple[str, threading.Event]] = []  # that go on after their invocation was given up

    @property
    def unreserved(self) -> int:
        """What is left for functions without a reserved concurrency."""
        return self.total - sum(self.reserved.values())

    def reserve(self, name: str, number: int | None) -> None:
        """Reserve concurrency for a function, None to give it back.

        Raises:
            InvokeError: `InvalidParameterValueException`: it is no whole number from 0, or more than is there.
        """
        if number is None:
            self.reserved.pop(name, None)
            return
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise InvokeError(f"The reserved concurrency of {name} is {number!r}; use a whole number from 0")
        available = self.unreserved + self.reserved.get(name, 0)
        if number > available:
            raise InvokeError(
                f"The reserved concurrency of {name} is {number}, and {available} of {self.total} are not reserved yet"
            )
        self.reserved[name] = number

    def take(self, name: str) -> None:
        """Begin an invocation.

        Raises:
            TooManyRequestsError: There is no concurrency left.
            ZeroConcurrencyError: The function is stopped.
        """
        self._sweep()
        limit = self.reserved.get(name)
        if limit == 0:
            raise ZeroConcurrencyError(
                f"Function {name} was not invoked: it is configured with zero reserved concurrent executions."
            )
        if limit is not None:
            if self.running[name] >= limit:
                raise TooManyRequestsError("ReservedFunctionConcurrentInvocationLimitExceeded")
        elif sum(count for other, count in self.running.items() if other not in self.reserved) >= self.unreserved:
            raise TooManyRequestsError("ConcurrentInvocationLimitExceeded")
        self.running[name] += 1

    def give_back(self, name: str, thread: threading.Event | None = None) -> None:
        """End an invocation; one whose *thread* is still running ends when that is set."""
        if thread is not None and not thread.is_set():
            self._threads.append((name, thread))
            return
        self.running[name] -= 1
        if not self.running[name]:
            del self.running[name]

    def _sweep(self) -> None:
        over = [item for item in self._threads if item[1].is_set()]
        if over:
            self._threads = [item for item in self._threads if not item[1].is_set()]
            for name, _ in over:
                self.give_back(name)
