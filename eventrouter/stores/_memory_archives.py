"""The archives of a store in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from operator import attrgetter
from typing import Final

from eventrouter.records import Accepted, Archived, ArchiveStatistics

_position: Final = attrgetter("position")


@dataclass(slots=True)
class _Shelf:
    """The events of one archive, in the order of acceptance."""

    events: list[Archived] = field(default_factory=list)
    until: list[datetime | None] = field(default_factory=list)  # how long each of them is kept
    size: int = 0

    def remove(self, number: int) -> int:
        """Remove the first of them."""
        gone = self.events[:number]
        self.size -= sum(len(archived.event.to_json()) for archived in gone)
        del self.events[:number], self.until[:number]
        return len(gone)

    def sweep(self, now: datetime) -> None:
        """Remove what is not to be kept any more, from the front; a retention that was shortened waits its turn."""
        expired = 0
        while expired < len(self.until) and _is_over(self.until[expired], now):
            expired += 1
        if 2 * expired >= len(self.until):  # else most of the list would be moved for the sake of a few
            self.remove(expired)


class MemoryArchives:
    """Events that archives keep, in memory."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}
        self._positions = count(1)

    def keep(self, item: Accepted) -> None:
        """Keep an event in each of its archives."""
        position = next(self._positions)
        for name, until in item.archives:
            shelf = self._shelves.setdefault(name, _Shelf())
            shelf.sweep(item.at)
            shelf.events.append(Archived(position, item.event, item.at, item.group))
            shelf.until.append(until)
            shelf.size += len(item.event.to_json())

    def read(
        self, archive: str, *, start: datetime, end: datetime, now: datetime, after: int, limit: int
    ) -> Sequence[Archived]:
        """See `Store.archived`."""
        shelf = self._shelves.get(archive, _Shelf())
        found: list[Archived] = []
        for index in range(bisect_right(shelf.events, after, key=_position), len(shelf.events)):
            if len(found) == limit:
                break
            archived = shelf.events[index]
            if start <= archived.event.time < end and not _is_over(shelf.until[index], now):
                found.append(archived)
        return found

    def statistics(self) -> Mapping[str, ArchiveStatistics]:
        """See `Store.archives`."""
        return {
            name: ArchiveStatistics(len(shelf.events), shelf.size)
            for name, shelf in self._shelves.items()
            if shelf.events
        }

    def purge(self, archive: str, limit: int) -> int:
        """See `Store.purge_archive`."""
        shelf = self._shelves.get(archive)
        return shelf.remove(limit) if shelf is not None else 0


def _is_over(until: datetime | None, now: datetime) -> bool:
    return until is not None and until <= now
