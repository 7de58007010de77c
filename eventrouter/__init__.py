"""EventBridge for the inside of a Python service: content-based rules, fan-out, retries and dead letters."""

from eventrouter.abc import (
    BlockingIdempotencyStore,
    Clock,
    DeadLetterQueue,
    IdempotencyStore,
    Observer,
    Store,
    StoredValue,
    SystemClock,
    Target,
    Tracing,
)
from eventrouter.admission import PutResult
from eventrouter.archives import Replay
from eventrouter.delivery.dead_letters import DeadLetterFilter, DeadLetterGroup
from eventrouter.delivery.fingerprint import error_fingerprint
from eventrouter.delivery.redrive import Redrive
from eventrouter.dry_run import DryRun, RuleChange
from eventrouter.errors import (
    BusClosedError,
    ConflictError,
    DeliveryError,
    DepthLimitError,
    EventRouterError,
    HopLimitError,
    IdempotencyInProgressError,
    IdempotencyKeyError,
    IdempotencyResultError,
    IdempotencyValidationError,
    InputTransformerError,
    InvalidDetailError,
    InvalidEventError,
    InvalidResultError,
    InvalidRuleError,
    MissingExtraError,
    NotAuthorizedError,
    NotFoundError,
    PatternComplexityError,
    PatternError,
    PermanentDeliveryError,
    QueueError,
    ResourceNotFoundError,
    ScheduleExpressionError,
    StoreError,
    TargetTimeoutError,
    ThrottledError,
    TransformError,
)
from eventrouter.event import Event, EventEntry
from eventrouter.idempotency import idempotent
from eventrouter.matching import Matcher
from eventrouter.observability import LogObserver, Metrics, Statistics
from eventrouter.patterns import Explanation, Finding, Pattern, lint
from eventrouter.policy import Policy
from eventrouter.queues import Message, Queue, QueueAttributes, QueueDepth, QueueEntry, QueueResult, RedrivePolicy
from eventrouter.records import (
    Archived,
    ArchiveStatistics,
    Counts,
    DeadLetter,
    DeadLettered,
    Delivered,
    Delivery,
    Dropped,
    Ledger,
    Observation,
    Outcome,
    Postponed,
    QueueCounts,
    RetryAt,
    Subscription,
)
from eventrouter.retry import RetryBudget, RetryPolicy
from eventrouter.router import EventRouter
from eventrouter.rules import Archive, Rule, RuleExplanation
from eventrouter.schedules import ScheduleExpression
from eventrouter.stores._memory_idempotency import MemoryIdempotencyStore
from eventrouter.stores.memory import MemoryStore
from eventrouter.stores.sqlite import SqliteStore
from eventrouter.targets.bus import BusTarget
from eventrouter.targets.function import FunctionTarget
from eventrouter.targets.log import JsonLinesTarget, LogTarget
from eventrouter.targets.queue import QueueTarget
from eventrouter.templates import TransformContext
from eventrouter.transform import Input, InputPath, InputTransformer

__all__ = [
    "Archive",
    "ArchiveStatistics",
    "Archived",
    "BlockingIdempotencyStore",
    "BusClosedError",
    "BusTarget",
    "Clock",
    "ConflictError",
    "Counts",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterGroup",
    "DeadLetterQueue",
    "DeadLettered",
    "Delivered",
    "Delivery",
    "DeliveryError",
    "DepthLimitError",
    "Dropped",
    "DryRun",
    "Event",
    "EventEntry",
    "EventRouter",
    "EventRouterError",
    "Explanation",
    "Finding",
    "FunctionTarget",
    "HopLimitError",
    "IdempotencyInProgressError",
    "IdempotencyKeyError",
    "IdempotencyResultError",
    "IdempotencyStore",
    "IdempotencyValidationError",
    "Input",
    "InputPath",
    "InputTransformer",
    "InputTransformerError",
    "InvalidDetailError",
    "InvalidEventError",
    "InvalidResultError",
    "InvalidRuleError",
    "JsonLinesTarget",
    "Ledger",
    "LogObserver",
    "LogTarget",
    "Matcher",
    "MemoryIdempotencyStore",
    "MemoryStore",
    "Message",
    "Metrics",
    "MissingExtraError",
    "NotAuthorizedError",
    "NotFoundError",
    "Observation",
    "Observer",
    "Outcome",
    "Pattern",
    "PatternComplexityError",
    "PatternError",
    "PermanentDeliveryError",
    "Policy",
    "Postponed",
    "PutResult",
    "Queue",
    "QueueAttributes",
    "QueueCounts",
    "QueueDepth",
    "QueueEntry",
    "QueueError",
    "QueueResult",
    "QueueTarget",
    "Redrive",
    "RedrivePolicy",
    "Replay",
    "ResourceNotFoundError",
    "RetryAt",
    "RetryBudget",
    "RetryPolicy",
    "Rule",
    "RuleChange",
    "RuleExplanation",
    "ScheduleExpression",
    "ScheduleExpressionError",
    "SqliteStore",
    "Statistics",
    "Store",
    "StoreError",
    "StoredValue",
    "Subscription",
    "SystemClock",
    "Target",
    "TargetTimeoutError",
    "ThrottledError",
    "Tracing",
    "TransformContext",
    "TransformError",
    "error_fingerprint",
    "idempotent",
    "lint",
]
