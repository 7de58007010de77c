"""Steps as log records, and log records as lines of JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias, get_args

from eventrouter.errors import InvalidDetailError, InvalidRuleError, TransformError
from eventrouter.records import DeadLettered, Dropped, Observation, Postponed, RetryAt, Step

LogLevel: TypeAlias = Literal["OFF", "ERROR", "INFO", "TRACE"]

#: The lowest level at which each step is logged. `ERROR` has what fails, `INFO` the major steps as well, `TRACE`
#: everything (EventBridge user guide, "Specifying event bus log level").
LEVELS: Final[Mapping[Step, LogLevel]] = {
    "EVENT_INGEST_SUCCESS": "TRACE",
    "EVENT_INGEST_FAILURE": "ERROR",
    "EVENT_RECEIPT": "INFO",
    "RULE_MATCH_START": "TRACE",
    "RULE_MATCH": "INFO",
    "NO_STANDARD_RULES_MATCHED": "INFO",
    "INVOCATION_START": "INFO",
    "INVOCATION_ATTEMPT_START": "TRACE",
    "INVOCATION_ATTEMPT_SUCCESS": "TRACE",
    "INVOCATION_ATTEMPT_RETRYABLE_FAILURE": "ERROR",
    "INVOCATION_ATTEMPT_PERMANENT_FAILURE": "ERROR",
    "INVOCATION_ATTEMPT_THROTTLE": "ERROR",
    "INVOCATION_THROTTLE_START": "ERROR",
    "INVOCATION_SUCCESS": "INFO",
    "INVOCATION_FAILURE": "ERROR",
    "INVOCATION_DLQ": "ERROR",
}

_NUMBERS: Final = {"ERROR": logging.ERROR, "INFO": logging.INFO, "TRACE": logging.DEBUG}
_RANKS: Final[Mapping[LogLevel, int]] = {"OFF": 0, "ERROR": 1, "INFO": 2, "TRACE": 3}
#: The errors whose message is made of the event's detail.
_QUOTING: Final = {InvalidDetailError.error_code, TransformError.error_code}


@dataclass(frozen=True)
class LogObserver:
    """Log the steps of events through Python's `logging`.

    A record says in words what it has as attributes too, for formatters: `step`, `log_level`, `at`, `event_bus_name`,
    and as far as the step has them `event_id`, `source`, `detail_type`, `resources`, `rule_name`, `target_id`,
    `target_ids` and `skipped_target_ids` (of `RULE_MATCH`), `attempt`, `trace_header`, `error_code`, `error_message`,
    `retry_at`, `exhausted_retry_condition`, `dead_letter_queue`, `ingestion_to_start_latency_ms` and
    `ingestion_to_complete_latency_ms`. Instants are ISO 8601 in UTC, latencies whole milliseconds.

    The detail of an event is no part of it, nor are messages of errors that are made of it. What a handler writes into
    its own exceptions is; raise without the detail where that matters.

    Attributes:
        level: The least important steps to log; `LEVELS` says which step has which. They become records of the levels
            ERROR, INFO and DEBUG, which the logger may filter again. `OFF` logs nothing.
        include_detail: Whether records have the `detail` too, as JSON text, and the `input` of a target that does not
            receive the event itself (EventBridge, `IncludeDetail`).
        logger: Name of the logger.

    Raises:
        InvalidRuleError: There is no such level.
    """

    level: LogLevel = "ERROR"
    include_detail: bool = False
    logger: str = "eventrouter.steps"

    def __post_init__(self) -> None:
        if self.level not in get_args(LogLevel):
            raise InvalidRuleError(f"level of the log is {self.level!r}", hint="use OFF, ERROR, INFO or TRACE")

    @property
    def steps(self) -> frozenset[Step]:
        """The steps that are logged."""
        return frozenset(step for step, level in LEVELS.items() if _RANKS[level] <= _RANKS[self.level])

    def observe(self, observation: Observation) -> None:
        """Log the step, if it is important enough."""
        level = LEVELS[observation.step]
        if _RANKS[level] > _RANKS[self.level]:
            return  # told by somebody who does not look at `steps`
        logger = logging.getLogger(self.logger)
        if logger.isEnabledFor(_NUMBERS[level]):
            fields = _fields(observation, include_detail=self.include_detail)
            logger.log(_NUMBERS[level], "%s", _text(observation, fields), extra={"log_level": level, **fields})


def _text(observation: Observation, fields: Mapping[str, Any]) -> str:
    place = observation.event_bus_name
    if observation.rule_name is not None:
        place += f"/{observation.rule_name}"
    if "target_id" in fields:
        place += f"/{fields['target_id']}"
    words = [f"{observation.step} {place}"]
    words += [
        f"{word} {fields[name]}" for word, name in (("event", "event_id"), ("attempt", "attempt")) if name in fields
    ]
    text = ", ".join(words)
    if "error_code" in fields:
        text += f": {fields['error_code']}"
    return f"{text}: {fields['error_message']}" if "error_message" in fields else text


def _fields(observation: Observation, *, include_detail: bool) -> dict[str, Any]:
    """Give what there is to know, without what is not there."""
    event, delivery = observation.event, observation.delivery
    described = event if event is not None else observation.entry
    fields: dict[str, Any] = {
        "step": observation.step,
        "at": observation.at.isoformat(),
        "event_bus_name": observation.event_bus_name,
        "event_id": observation.event_id,
        "rule_name": observation.rule_name,
        "error_code": observation.error_code,
        "error_message": observation.error_message,
    }
    if described is not None:
        fields |= {"source": described.source, "detail_type": described.detail_type}
    if event is not None:
        fields["resources"] = list(event.resources)
        if include_detail:
            fields["detail"] = bytes(event.detail_json).decode()
    if observation.step == "RULE_MATCH":
        fields["target_ids"] = [receiver.target_id for receiver in observation.subscriptions]
        fields["skipped_target_ids"] = [receiver.target_id for receiver in observation.skipped]
    if delivery is not None:
        fields |= {
            "target_id": delivery.subscription.target_id,
            "attempt": delivery.attempt,
            "trace_header": delivery.trace_header,
        }
        if include_detail and delivery.input is not None:
            fields["input"] = delivery.input.decode()
    if not include_detail and observation.error_code in _QUOTING:
        del fields["error_message"]
    fields |= _outcome(observation)
    return {name: value for name, value in fields.items() if value is not None}


def _outcome(observation: Observation) -> dict[str, Any]:
    """Give what only some steps of an invocation have."""
    fields: dict[str, Any] = {}
    if observation.delivery is not None:
        since = observation.at - observation.delivery.accepted_at
        milliseconds = max(0, round(since.total_seconds() * 1_000))
        if observation.step == "INVOCATION_START":
            fields["ingestion_to_start_latency_ms"] = milliseconds
        elif observation.step in ("INVOCATION_SUCCESS", "INVOCATION_FAILURE"):
            fields["ingestion_to_complete_latency_ms"] = milliseconds
    match observation.outcome:
        case RetryAt(at=at) | Postponed(at=at):
            fields["retry_at"] = at.isoformat()
        case DeadLettered(dead_letter=letter):
            fields["dead_letter_queue"] = letter.queue
            fields["exhausted_retry_condition"] = letter.exhausted_retry_condition
        case Dropped(exhausted_retry_condition=condition):
            fields["exhausted_retry_condition"] = condition
    return fields


class JsonFormatter(logging.Formatter):
    """Format each log record as one line of JSON, with what it has beside the message as members.

    First come `timestamp` (ISO 8601, UTC), `level`, `logger` and `message`; then every attribute that was given as
    `extra`; last `exception`, the traceback, if there is one. What JSON does not know is written as its `str()`. Any
    logger may use it, not this package's alone.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without a line break."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, skipkeys=True)


#: What every record has; the others are `extra`.
_STANDARD: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
