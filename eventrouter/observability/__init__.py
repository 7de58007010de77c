"""What a router tells of itself: log records, metrics and statistics."""

from eventrouter.observability._log import LEVELS, JsonFormatter, LogLevel, LogObserver
from eventrouter.observability._metrics import Dimensions, Latency, MetricName, Metrics, MetricsSnapshot
from eventrouter.observability._statistics import BusStatistics, Statistics, SubscriptionStatistics

__all__ = [
    "LEVELS",
    "BusStatistics",
    "Dimensions",
    "JsonFormatter",
    "Latency",
    "LogLevel",
    "LogObserver",
    "MetricName",
    "Metrics",
    "MetricsSnapshot",
    "Statistics",
    "SubscriptionStatistics",
]
