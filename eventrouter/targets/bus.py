"""Another event bus as a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventrouter.abc import Target
from eventrouter.errors import (
    DeliveryError,
    HopLimitError,
    InvalidRuleError,
    NotAuthorizedError,
    NotFoundError,
    ResourceNotFoundError,
)
from eventrouter.event import Event
from eventrouter.records import Delivery


class _Result(Protocol):
    @property
    def error_code(self) -> str | None: ...
    @property
    def error_message(self) -> str | None: ...


class Forwarding(Protocol):
    """The part of `EventRouter` that this target needs."""

    account: str
    region: str
    maximum_hops: int

    def list_event_buses(self) -> list[str]:
        """Name the buses."""
        ...

    async def forward_events(
        self,
        events: Sequence[Event],
        event_bus_name: str = "default",
        *,
        hops: int = 0,
        principal: str | None = None,
    ) -> Sequence[_Result]:
        """Put events on a bus as they are."""
        ...


@dataclass(frozen=True, kw_only=True)
class BusTarget(Target):
    """Hand the event on to another bus, with its id, time and source.

    The event counts the buses it has come through; past the router's `maximum_hops` the delivery ends as a dead
    letter with `HOP_LIMIT_EXCEEDED`, so buses that feed each other cannot go round for ever.
    (EventBridge allows one hop; user guide, "Sending events between buses".)

    Where the bus has a policy, that decides about the target's `principal`; a refusal is a dead letter with
    `NO_PERMISSIONS`.

    Attributes:
        router: The router that has the bus; often the one that has this target.
        event_bus_name: The bus.
        principal: Who puts the event there; by default the rule, by its ARN in the account and region of `router`:
            `arn:aws:events:local:000000000000:rule/NAME`, or `rule/BUS/NAME` on another than the default bus. So a
            policy may allow one rule, or by its account all of them. Of a function's destination it is the function.

    Raises:
        NotFoundError: The router has no such bus.
        InvalidRuleError: It has an input: what a bus receives is an event, with the envelope that it had.
    """

    router: Forwarding
    event_bus_name: str
    principal: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input is not None:
            raise InvalidRuleError(
                f"Target {self.id} is a bus, and cannot have an input",
                hint="shape the input of the targets on that bus",
            )
        if self.event_bus_name not in self.router.list_event_buses():
            raise NotFoundError(f"Event bus {self.event_bus_name} does not exist.")

    async def invoke(self, delivery: Delivery) -> None:
        """Put the event on the bus; done when that bus has accepted it."""
        hops = delivery.hops + 1
        if hops > self.router.maximum_hops:
            raise HopLimitError(f"The event came through {hops} buses, the limit is {self.router.maximum_hops}.")
        principal = self.principal
        if principal is None:
            principal = delivery.subscription.principal(region=self.router.region, account=self.router.account)
        [result] = await self.router.forward_events(
            [delivery.event], self.event_bus_name, hops=hops, principal=principal
        )
        if result.error_code == "ResourceNotFoundException":
            raise ResourceNotFoundError(result.error_message)  # removed since
        if result.error_code == "ThrottlingException":
            raise DeliveryError(result.error_message)  # a target there has a full backlog
        if result.error_code is not None:
            raise NotAuthorizedError(f"{result.error_code}: {result.error_message}")
