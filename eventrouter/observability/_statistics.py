"""What `EventRouter.statistics` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventrouter.abc import Observer
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.matching import MatcherStatistics
from eventrouter.observability._metrics import Metrics, MetricsSnapshot
from eventrouter.records import Counts, Ledger, Subscription
from eventrouter.rules import RuleSet


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """How one target of one rule is doing.

    Attributes:
        counts: Its account: among others how many deliveries are `waiting`, `in_flight` and `dead_lettered`.
        is_declared: Whether there is such a target; what waits for one that is not waits until it is.
        is_paused: Whether no attempt begins until somebody says so: it was paused, or its `maximum_concurrency` is 0.
        throttled_until: When it is attempted again after the target asked for a pause; None if it did not.
        oldest_age: The time since the oldest delivery was accepted that has not ended; None if all have.
    """

    counts: Counts
    is_declared: bool
    is_paused: bool
    throttled_until: datetime | None
    oldest_age: timedelta | None


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """What an event bus has.

    Attributes:
        rules: How many rules.
        enabled_rules: How many of them are enabled.
        targets: How many targets they have.
        matcher: What its matcher holds: the patterns of the enabled rules.
    """

    rules: int
    enabled_rules: int
    targets: int
    matcher: MatcherStatistics


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a router is doing.

    Attributes:
        at: When, by the router's clock.
        ledger: The account of every delivery that its store accepted; its `total` sums it up.
        subscriptions: Each declared target, and each that ever had a delivery.
        buses: Each event bus, by name.
        metrics: What the first `Metrics` among the observers has counted; None without one.
    """

    at: datetime
    ledger: Ledger
    subscriptions: Mapping[Subscription, SubscriptionStatistics]
    buses: Mapping[str, BusStatistics]
    metrics: MetricsSnapshot | None = None


def survey(
    at: datetime, ledger: Ledger, dispatcher: Dispatcher, buses: Mapping[str, RuleSet], observers: Iterable[Observer]
) -> Statistics:
    """Put the statistics of a router together."""
    metrics = next((observer for observer in observers if isinstance(observer, Metrics)), None)
    return Statistics(
        at=at,
        ledger=ledger,
        subscriptions={
            subscription: _of_subscription(subscription, at, ledger, dispatcher)
            for subscription in dict.fromkeys((*dispatcher.targets, *ledger.subscriptions))
        },
        buses={name: _of_bus(rules) for name, rules in buses.items()},
        metrics=metrics.snapshot() if metrics is not None else None,
    )


def _of_subscription(
    subscription: Subscription, at: datetime, ledger: Ledger, dispatcher: Dispatcher
) -> SubscriptionStatistics:
    throttled_until = dispatcher.throttled_until(subscription)
    oldest = ledger.oldest.get(subscription)
    return SubscriptionStatistics(
        counts=ledger.subscriptions.get(subscription, Counts()),
        is_declared=subscription in dispatcher.targets,
        is_paused=dispatcher.is_paused(subscription),
        throttled_until=throttled_until if throttled_until is not None and throttled_until > at else None,
        oldest_age=max(at - oldest, timedelta(0)) if oldest is not None else None,
    )


def _of_bus(rules: RuleSet) -> BusStatistics:
    all_rules = list(rules)
    return BusStatistics(
        rules=len(all_rules),
        enabled_rules=sum(rule.state == "ENABLED" for rule in all_rules),
        targets=sum(len(rule.targets) for rule in all_rules),
        matcher=rules.matcher_statistics(),
    )
