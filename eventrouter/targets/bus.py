"""Another event bus as a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventrouter.abc import Target
from eventrouter.errors import HopLimitError, NotFoundError, ResourceNotFoundError
from eventrouter.event import Event
from eventrouter.records import Delivery


class _Result(Protocol):
    @property
    def error_code(self) -> str | None: ...
    @property
    def error_message(self) -> str | None: ...


class Forwarding(Protocol):
    """The part of `EventRouter` that this target needs."""

    maximum_hops: int

    def list_event_buses(self) -> list[str]:
        """Name the buses."""
        ...

    async def forward_events(
        self, events: Sequence[Event], event_bus_name: str = "default", *, hops: int = 0
    ) -> Sequence[_Result]:
        """Put events on a bus as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class BusTarget(Target):
    """Hand the event on to another bus, with its id, time and source.

    The event counts the buses it has come through; past the router's `maximum_hops` the delivery ends as a dead
    letter with `HOP_LIMIT_EXCEEDED`, so buses that feed each other cannot go round for ever.
    (EventBridge allows one hop; user guide, "Sending events between buses".)

    Attributes:
        router: The router that has the bus; often the one that has this target.
        event_bus_name: The bus.

    Raises:
        NotFoundError: The router has no such bus.
    """

    router: Forwarding
    event_bus_name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.event_bus_name not in self.router.list_event_buses():
            raise NotFoundError(f"Event bus {self.event_bus_name} does not exist.")

    async def invoke(self, delivery: Delivery) -> None:
        """Put the event on the bus; done when that bus has accepted it."""
        hops = delivery.hops + 1
        if hops > self.router.maximum_hops:
            raise HopLimitError(f"The event came through {hops} buses, the limit is {self.router.maximum_hops}.")
        [result] = await self.router.forward_events([delivery.event], self.event_bus_name, hops=hops)
        if result.error_code is not None:
            raise ResourceNotFoundError(result.error_message)  # removed since; the one refusal an event can meet
