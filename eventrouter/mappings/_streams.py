"""Archives and iterators as streams: where reading goes on, and what is remembered of it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import anyio

from eventrouter.abc import Store
from eventrouter.archives import BEGINNING, END
from eventrouter.mappings._configuration import StartingPosition
from eventrouter.mappings._records import Record, stream_record
from eventrouter.records import Archived, Occurrence

#: How often, in seconds, it is looked for what an archive has been given.
_LOOK_AGAIN: Final = 1.0
_PAGE: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Stream(Protocol):
    """What a poller reads."""

    name: str

    def read(self) -> AsyncGenerator[Record]:
        """Give what comes after the last record that is done."""
        ...

    async def done(self, record: Record) -> None:
        """Hear that all is done up to this record."""
        ...


class ArchiveStream:
    """The events of an archive, and those that it is given later.

    Up to where they were done is kept in the store, so that reading goes on there when the router is entered again.
    Which store that is, is asked each time: a simulation has another one.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        now: Callable[[], datetime],
        archive: str,
        mapping: str,
        start: StartingPosition,
        *,
        arn: str,
        region: str,
    ) -> None:
        self.name = archive
        self._store = store
        self._now = now
        self._mark = f"mapping/{mapping}"
        self._start = start
        self._arn = arn
        self._region = region

    async def read(self) -> AsyncGenerator[Record]:
        """Give what comes after the last event that is done; it has no end."""
        after = await self._position()
        while True:
            page = await self._page(after)
            for archived in page:
                after = archived.position
                yield stream_record(
                    after,
                    archived.event.to_dict(),
                    source="eventrouter:archive",
                    arn=self._arn,
                    region=self._region,
                    arrived=archived.at,
                )
            if len(page) < _PAGE:
                await anyio.sleep(_LOOK_AGAIN)

    async def _page(self, after: int) -> Sequence[Archived]:
        start = self._start if isinstance(self._start, datetime) else BEGINNING
        return await self._store().archived(self.name, start=start, end=END, now=self._now(), after=after, limit=_PAGE)

    async def _position(self) -> int:
        """Say up to where all is done: at the very first time, according to the starting position."""
        found = await self._store().last_fired([self._mark])
        if self._mark in found:
            return (found[self._mark] - _EPOCH) // timedelta.resolution
        after = 0
        if self._start == "LATEST":
            while page := await self._page(after):
                after = page[-1].position
        await self._remember(after)
        return after

    async def done(self, record: Record) -> None:
        """Remember that all is done up to this event."""
        await self._remember(int(record.id))

    async def _remember(self, position: int) -> None:
        # The store knows marks that only rise, by name: those of schedules, whose instants are numbers too.
        await self._store().fire([Occurrence(self._mark, _EPOCH + position * timedelta.resolution)])


class IteratorStream:
    """What an iterator gives. Records that are not done are given again, as long as this lives."""

    def __init__(
        self,
        source: AsyncIterable[Any] | Callable[[], AsyncIterable[Any]],
        now: Callable[[], datetime],
        mapping: str,
        *,
        arn: str,
        region: str,
    ) -> None:
        self.name = mapping
        self._source = source
        self._now = now
        self._arn = arn
        self._region = region
        self._count = 0
        self._pending: deque[Record] = deque()

    async def read(self) -> AsyncGenerator[Record]:
        """Give what was not done before, and then what comes."""
        for record in list(self._pending):
            yield record
        source = self._source if isinstance(self._source, AsyncIterable) else self._source()
        async with AsyncExitStack() as closed:
            if isinstance(source, AsyncGenerator) and source is not self._source:  # it was made here
                closed.push_async_callback(source.aclose)
            async for item in source:
                self._count += 1
                record = stream_record(
                    self._count,
                    item,
                    source="eventrouter:iterator",
                    arn=self._arn,
                    region=self._region,
                    arrived=self._now(),
                )
                self._pending.append(record)
                yield record

    async def done(self, record: Record) -> None:
        """Forget what is done."""
        while self._pending and int(self._pending[0].id) <= int(record.id):
            self._pending.popleft()
