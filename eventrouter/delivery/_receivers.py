"""Targets as they are called when they stand for a destination or a dead-letter queue."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any

import msgspec

from eventrouter.abc import Target
from eventrouter.records import Delivery


@dataclass(frozen=True, kw_only=True)
class RecordReceiver(Target):
    """A destination: its input is the record itself, not the event that carries it, which a bus receives.

    The record is the event's detail, so it is found again whatever the store keeps of a delivery.
    """

    target: Target

    @classmethod
    def of(cls, target: Target) -> RecordReceiver:
        """Make one of a target."""
        return cls(**_options(target), target=target)

    def invoke(self, delivery: Delivery) -> Coroutine[Any, Any, object]:
        """Call the target with the record as its input, if it has not asked for another input."""
        if delivery.input is None:
            delivery = msgspec.structs.replace(delivery, input=bytes(delivery.event.detail_json))
        return self.target.invoke(delivery)


@dataclass(frozen=True, kw_only=True)
class LastResort(Target):
    """A target that is a dead-letter queue: it is tried until it takes the event, whatever it says."""

    target: Target

    @classmethod
    def of(cls, target: Target) -> LastResort:
        """Make one of a target, which keeps the waits of its retry policy but not its limits."""
        policy = replace(target.retry_policy, maximum_retry_attempts=2**63, maximum_event_age=timedelta.max)
        return cls(**_options(target) | {"retry_policy": policy, "dead_letter_queue": None}, target=target)

    def invoke(self, delivery: Delivery) -> Coroutine[Any, Any, object]:
        """Call the target."""
        return self.target.invoke(delivery)


def holder(target: Target) -> Target:
    """Give the target that is to be closed: the one that a receiver stands for, or the target itself."""
    return target.target if isinstance(target, RecordReceiver | LastResort) else target


def _options(target: Target) -> dict[str, Any]:
    return {option.name: getattr(target, option.name) for option in fields(Target)}
