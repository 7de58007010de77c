"""Recursion that takes no room on the interpreter's stack, however deeply its subject is nested."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

#: A generator that yields another of its kind to have it run, is sent what that returned, and returns a result.
Task: TypeAlias = Generator["Task[Any]", Any, T]


def run(task: Task[T]) -> T:
    """Run a task, and all that it yields, to the end."""
    waiting: list[Task[Any]] = [task]
    result: Any = None
    while waiting:
        try:
            begun = waiting[-1].send(result)
        except StopIteration as ended:
            waiting.pop()
            result = ended.value
        else:
            waiting.append(begun)
            result = None
    return result  # type: ignore[no-any-return]
