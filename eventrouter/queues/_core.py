"""What a queue is, before anything is done with it: its name, its attributes, its place in a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import anyio
import anyio.lowlevel

from eventrouter.abc import Clock, Store
from eventrouter.errors import NotFoundError
from eventrouter.queues._attributes import QueueAttributes
from eventrouter.records import Accepted, Subscription

#: How often messages are swept out that nobody receives, and that were kept for long enough.
_SWEEP: Final = timedelta(minutes=1)


class Host(Protocol):
    """What queues share: their router."""

    account: str
    region: str
    _store: Store

    @property
    def _delivery_clock(self) -> Clock:
        """The clock of deliveries."""
        ...

    def _refuse_elsewhere(self) -> None:
        """Raise `BusClosedError` in the event loop of another thread."""
        ...

    def _notify(self, accepted: Sequence[Accepted]) -> None:
        """Say that the store has new messages, in whichever queue."""
        ...

    def _find_queue(self, name: str) -> QueueCore | None:
        """Give the queue of a name, None if it is not declared."""
        ...

    def queue(self, name: str) -> QueueCore:
        """Give the queue of a name, which is declared."""
        ...


class QueueCore:
    """A queue of a router, and what its router and targets need of it."""

    def __init__(self, host: Host, attributes: QueueAttributes) -> None:
        self._host = host
        self._attributes = attributes
        self._subscription = Subscription.of_queue(attributes.name)
        self._waiting: set[anyio.Event] = set()  # of receivers; one each, since they may be of different event loops
        self._swept_at: datetime | None = None

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self._attributes.name

    @property
    def arn(self) -> str:
        """Its name as AWS writes it, such as `arn:aws:sqs:local:000000000000:orders`."""
        return f"arn:aws:sqs:{self._host.region}:{self._host.account}:{self.name}"

    @property
    def attributes(self) -> QueueAttributes:
        """How it treats its messages; `EventRouter.set_queue_attributes` changes it."""
        return self._attributes

    @property
    def is_declared(self) -> bool:
        """Whether its router still has it."""
        return self._host._find_queue(self.name) is self  # noqa: SLF001 - a router's queues are parts of it

    # -- for its router and targets ------------------------------------------------------------------------------

    def is_in(self, store: Store) -> bool:
        """Say whether its messages are in that store."""
        return self._host._store is store  # noqa: SLF001

    def change(self, attributes: QueueAttributes) -> None:
        """Treat messages so from now on."""
        self._attributes = attributes
        self.wake()

    def wake(self) -> None:
        """Let those look again who wait for a message."""
        for woken in self._waiting:
            woken.set()

    async def sweep(self, *, at_once: bool = False) -> None:
        """Discard what was kept for long enough and never received, unless that was done a minute ago."""
        now = self.now()
        if at_once or self._swept_at is None or now - self._swept_at >= _SWEEP:
            self._swept_at = now
            kept_since = now - self._attributes.message_retention_period
            await self._host._store.discard(self._subscription, accepted_before=kept_since + timedelta.resolution)  # noqa: SLF001

    def now(self) -> datetime:
        """Give the present, by the clock of deliveries."""
        return self._host._delivery_clock.now()  # noqa: SLF001

    async def _begin(self) -> None:
        """Let others have their turn, since a store may not; then see whether the queue can be used."""
        await anyio.lowlevel.checkpoint()
        self._check()

    def _check(self) -> None:
        self._host._refuse_elsewhere()  # noqa: SLF001
        if not self.is_declared:
            raise NotFoundError(f"The specified queue does not exist: {self.name}.")
