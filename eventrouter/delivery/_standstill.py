"""Whether a wait for room can end: not if all who could make room wait for room themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

from eventrouter.records import Subscription

#: Whether the code that runs is that of a target in a thread, which does nothing else until what it calls has returned.
in_thread_of_target: Final[ContextVar[bool]] = ContextVar("eventrouter_in_thread_of_target", default=False)


class Wait(NamedTuple):
    """That an attempt cannot go on before a backlog has room.

    Attributes:
        attempt: Names the attempt.
        awaited: Whose backlog.
    """

    attempt: int
    awaited: Subscription


class Waits:
    """The waits of attempts: for the room that only other attempts make, as they end.

    Args:
        may_go_on: Says whether a subscription has anything that may make room, given the attempts that may not end.
    """

    def __init__(self, may_go_on: Callable[[Subscription, Collection[int]], bool]) -> None:
        self._may_go_on = may_go_on
        self._all: list[Wait] = []

    @contextmanager
    def entered(self, wait: Wait) -> Iterator[None]:
        """Count a wait while the block goes on."""
        self._all.append(wait)
        try:
            yield
        finally:
            self._all.remove(wait)

    def hopeless(self) -> set[Subscription]:
        """Give the subscriptions that are waited for in vain: each has nothing but attempts that wait for one of these.

        The largest such set: it begins with all that are waited for, and loses what may go on, and then what may go on
        since that may.
        """
        hopeless = {wait.awaited for wait in self._all}
        while hopeless:
            stuck = {wait.attempt for wait in self._all if wait.awaited in hopeless}
            hopeful = {subscription for subscription in hopeless if self._may_go_on(subscription, stuck)}
            if not hopeful:
                break
            hopeless -= hopeful
        return hopeless
