"""Who waits for room in a backlog, and in which order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import anyio

from eventrouter.records import Subscription


class Lines:
    """A line of waiting tasks for each subscription: whoever came first goes first.

    Room lets in the first of a line, who lets in the next if there is still room; so however many wait, the end of a
    delivery wakes one or two.

    Args:
        has_room: Says whether one more fits in.
    """

    def __init__(self, has_room: Callable[[Subscription], bool]) -> None:
        self._has_room = has_room
        self._lines: dict[Subscription, OrderedDict[anyio.Event, None]] = {}

    def has(self, subscription: Subscription) -> bool:
        """Say whether anybody waits, who goes before whoever comes now."""
        return subscription in self._lines

    def call(self, subscription: Subscription) -> None:
        """Let the first in if there is room, which there may be since something has changed."""
        line = self._lines.get(subscription)
        if line is not None and self._has_room(subscription):
            next(iter(line)).set()

    def call_all(self) -> None:
        """Let the first of each line in if there is room."""
        for subscription in self._lines:
            self.call(subscription)

    async def wait(self, subscription: Subscription) -> None:
        """Wait at the end of the line until there is room. To take it before others do, take it at once."""
        line = self._lines.setdefault(subscription, OrderedDict())
        turn = anyio.Event()
        line[turn] = None
        self.call(subscription)
        try:
            await turn.wait()
            while not self._has_room(subscription):  # somebody who did not wait has taken it
                del line[turn]
                turn = anyio.Event()
                line[turn] = None
                line.move_to_end(turn, last=False)
                await turn.wait()
        finally:
            del line[turn]
            if not line:
                del self._lines[subscription]
            self.call(subscription)
