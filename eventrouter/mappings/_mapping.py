"""An event source mapping: a source, who takes its records, and whether it is enabled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

import anyio

from eventrouter.abc import Target
from eventrouter.mappings._configuration import EventSourceMappingConfiguration
from eventrouter.mappings._state import Counts, MappingStatistics

logger = logging.getLogger("eventrouter.mappings")

SourceKind: TypeAlias = Literal["queue", "archive", "iterator"]
MappingState: TypeAlias = Literal["Enabled", "Disabling", "Disabled"]


class Poller(Protocol):
    """Reads a source until it is stopped."""

    async def run(self) -> None:
        """Go on until it is stopped, or the source has ended."""
        ...

    def stop(self) -> None:
        """Take no more, and finish what was taken."""
        ...


class EventSourceMapping:
    """Reads a source while the router runs, and hands what it reads to a function, or to a pipe's target.

    `EventRouter.event_source_mapping` and `EventRouter.pipe` make it.

    Attributes:
        source: The name of the queue or archive; of an iterator, the mapping's own name.
        source_kind: What that is: `queue`, `archive` or `iterator`.
        receiver: The name of the function, or a pipe's target.
        enrichment: Of a pipe that has one: the name of the function, or the callable.
        configuration: How.
    """

    def __init__(
        self,
        source: str,
        receiver: str | Target,
        configuration: EventSourceMappingConfiguration,
        make: Callable[[Counts], Poller],
        start: Callable[[EventSourceMapping], None],
        *,
        source_kind: SourceKind,
        enrichment: str | Callable[..., object] | None,
        may_run: Callable[[], bool],
        is_enabled: bool,
    ) -> None:
        self.source = source
        self.source_kind: SourceKind = source_kind
        self.receiver = receiver
        self.enrichment = enrichment
        self.configuration = configuration
        self._make = make
        self._start = start
        self._may_run = may_run
        self._is_enabled = is_enabled
        self._counts = Counts()
        self._poller: Poller | None = None
        self._ended = anyio.Event()

    def __repr__(self) -> str:
        return f"<EventSourceMapping {self.name}: {self.source} to {self.target}, {self.state}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.configuration.name

    @property
    def target(self) -> str:
        """The name of the function, or the id of a pipe's target."""
        return self.receiver if isinstance(self.receiver, str) else self.receiver.id

    @property
    def state(self) -> MappingState:
        """`Enabled`; `Disabling` as long as batches are being finished; or `Disabled`."""
        if self._is_enabled:
            return "Enabled"
        return "Disabled" if self._poller is None else "Disabling"

    def enable(self) -> None:
        """Read again, from where it stopped. No change if it is enabled."""
        if not self._is_enabled:
            self._is_enabled = True
            self._start(self)

    def disable(self) -> None:
        """Take no more records; batches that were taken are finished. No change if it is disabled."""
        self._is_enabled = False
        self.stop()

    def statistics(self) -> MappingStatistics:
        """Say what it has done, and how many workers it has."""
        return self._counts.statistics()

    # -- for its router ------------------------------------------------------------------------------------------

    @property
    def is_enabled(self) -> bool:
        """Whether it is to read while the router runs."""
        return self._is_enabled

    async def run(self) -> None:
        """Read until it is stopped."""
        while self._poller is not None:  # it was stopped, and has not come to its end
            await self._ended.wait()
        if not self._is_enabled or not self._may_run():  # the router may have begun to stop since this was asked for
            return
        self._ended = anyio.Event()
        self._poller = self._make(self._counts)
        try:
            await self._poller.run()
        finally:
            self._poller = None
            self._ended.set()

    def stop(self) -> None:
        """Have it end soon."""
        if self._poller is not None:
            self._poller.stop()

    async def wait_for_end(self) -> None:
        """Wait until it has."""
        while self._poller is not None:
            await self._ended.wait()
