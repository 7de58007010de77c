"""Every exception of this package.

::

    EventRouterError
    +-- PatternError            ValueError     a pattern breaks a rule of the pattern language
    |   +-- PatternComplexityError             it is valid, but past a limit that protects the process
    +-- InvalidEventError       ValueError     the bus cannot accept this event; `error_code` is EventBridge's
    +-- InvalidRuleError        ValueError     a rule, target, policy or rules file is not usable as written
    +-- InputTransformerError   ValueError     paths or template do not fit
    +-- QueueError              ValueError     a queue cannot do that; `error_code` is SQS's
    +-- InvokeError             ValueError     a function cannot be invoked so; `error_code` is Lambda's
    +-- ScheduleExpressionError ValueError     rate(), cron() or at() not understood
    +-- NotFoundError           LookupError    no bus, rule, target or archive of that name
    +-- ConflictError                          that name is taken, or still in use
    +-- BusClosedError          RuntimeError   the router is not running
    +-- MissingExtraError       ImportError    an optional dependency is not installed
    +-- StoreError                             the store cannot be used, or could not do what it was asked
    +-- NoSuchEventError        ValueError     there is no event to draw, or none was found
    +-- UndecidedError          ValueError     a question about patterns was neither proven nor disproven
    +-- DeliveryError                          an attempt to deliver failed; `error_code` says how
        +-- TargetTimeoutError  TimeoutError   the target did not return in time
        +-- IdempotencyInProgressError         another call with the same idempotency key is still running
        +-- ThrottledError                     the target wants no deliveries for a while: all of them wait
        |   +-- TooManyRequestsError           a function has no concurrency left (Lambda's 429)
        +-- FunctionError                      a function was invoked, and failed
        |   +-- PermanentFunctionError         it failed so that no later attempt can succeed
        +-- PermanentDeliveryError             no later attempt can succeed: dead letter at once
            +-- ResourceNotFoundError          what the target sends to does not exist (any more)
            +-- NotAuthorizedError             a policy does not let the target send there
            +-- ZeroConcurrencyError           the function is stopped: its reserved concurrency is 0
            +-- InvalidDetailError             the detail does not fit the handler's model
            +-- TransformError                 the input transformer cannot make the target's input
            +-- HopLimitError                  the event has been handed from bus to bus too often
            +-- DepthLimitError                the chain of events that each cause the next is too long
            +-- InvalidResultError             what the target returned cannot be put, or recorded
            +-- IdempotencyKeyError            the call has nothing that could be its idempotency key
            +-- IdempotencyValidationError     the key was used before, for something else
            +-- IdempotencyResultError         what the function returned cannot be given to later calls

Catch `EventRouterError` for all of them, or the builtin beside each.
All can be pickled, as any exception crossing a process boundary has to be.
"""

from __future__ import annotations

from datetime import timedelta


class EventRouterError(Exception):
    """Root of everything this package raises on purpose."""


class PatternError(EventRouterError, ValueError):
    """A pattern breaks a rule of the pattern language.

    Attributes:
        reason: EventBridge's own text, the part after "Event pattern is not valid. Reason: ".
        path: JSONPath of the culprit inside the pattern, `$` for the whole.
        hint: What to write instead, or empty.
        line: Line in the pattern's text, from 1; None when the pattern came as data.
        column: Column in that line, in characters from 1; None when the pattern came as data.
    """

    def __init__(
        self, reason: str, path: str = "$", hint: str = "", line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(reason, path, hint, line, column)  # all of them: errors get pickled
        self.reason, self.path, self.hint, self.line, self.column = reason, path, hint, line, column

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line} column {self.column}"
        located = f"{self.reason} at {place}"
        return f"{located} ({self.hint})" if self.hint else located


class PatternComplexityError(PatternError):
    """A pattern is well-formed but past a limit that protects the process (nesting, size, `$or` combinations)."""


class InvalidEventError(EventRouterError, ValueError):
    """An event or an entry cannot be accepted.

    Attributes:
        reason: What is wrong.
        error_code: EventBridge's code for it, such as `InvalidArgument` or `MalformedDetail`.
    """

    def __init__(self, reason: str, error_code: str = "InvalidArgument") -> None:
        super().__init__(reason, error_code)
        self.reason, self.error_code = reason, error_code

    def __str__(self) -> str:
        return self.reason


class InvalidRuleError(EventRouterError, ValueError):
    """A rule, target, retry policy or rules file is not usable as written.

    Attributes:
        reason: What is wrong.
        path: JSONPath of the culprit inside the rules file, `$` when it came from code.
        hint: What to write instead, or empty.
    """

    def __init__(self, reason: str, path: str = "$", hint: str = "") -> None:
        super().__init__(reason, path, hint)
        self.reason, self.path, self.hint = reason, path, hint

    def __str__(self) -> str:
        located = self.reason if self.path == "$" else f"{self.reason} at {self.path}"
        return f"{located} ({self.hint})" if self.hint else located


class InputTransformerError(EventRouterError, ValueError):
    """An input, an input path or an input template is not usable as written.

    Attributes:
        part: What is wrong, in EventBridge's words: `Input`, `InputPath`, `InputPathsMap` or `InputTemplate`.
        problem: What is wrong with it.
        path: JSONPath of the culprit inside the target or its input transformer.
        hint: What to write instead, or empty.
        target_id: The target that has it, or empty while it has none.
    """

    def __init__(self, part: str, problem: str, path: str = "$", hint: str = "", target_id: str = "") -> None:
        super().__init__(part, problem, path, hint, target_id)
        self.part, self.problem, self.path, self.hint, self.target_id = part, problem, path, hint, target_id

    @property
    def reason(self) -> str:
        """What is wrong, in EventBridge's words where it has some."""
        whose = f" for target {self.target_id}" if self.target_id else ""
        return f"{self.part}{whose} {self.problem}"

    def __str__(self) -> str:
        located = self.reason if self.path == "$" else f"{self.reason} at {self.path}"
        return f"{located} ({self.hint})" if self.hint else located


class QueueError(EventRouterError, ValueError):
    """A queue cannot be as it is declared, or cannot do what it is asked for; nothing has changed.

    Attributes:
        reason: What is wrong.
        error_code: SQS's code for it, such as `InvalidAttributeValue` or `ReceiptHandleIsInvalid`.
    """

    def __init__(self, reason: str, error_code: str = "InvalidParameterValue") -> None:
        super().__init__(reason, error_code)
        self.reason, self.error_code = reason, error_code

    def __str__(self) -> str:
        return f"{self.error_code}: {self.reason}"


class InvokeError(EventRouterError, ValueError):
    """A function cannot be invoked like that, or cannot be configured so; nothing was run and nothing has changed.

    Attributes:
        reason: What is wrong.
        error_code: Lambda's code for it, such as `InvalidParameterValueException` or `RequestTooLargeException`.
    """

    def __init__(self, reason: str, error_code: str = "InvalidParameterValueException") -> None:
        super().__init__(reason, error_code)
        self.reason, self.error_code = reason, error_code

    def __str__(self) -> str:
        return f"{self.error_code}: {self.reason}"


class ScheduleExpressionError(EventRouterError, ValueError):
    """A schedule expression, or what goes with it, is not usable as written.

    Attributes:
        expression: As it was given.
        code: The class of the fault: `wrapper`, `length`, `whitespace`, `charset`, `fields`, `dom-dow`, `value`,
            `range`, `step`, `step-in-dow`, `star-in-list`, `reversed-year`, `rate-syntax`, `rate-value`,
            `rate-plural`, `at-syntax`, `at-date`, `unix`, `timezone` or `period`.
        problem: What is wrong.
        hint: What to write instead, or empty.
        field: The field of a cron expression, such as `day-of-week`; None when it is not about one.
        position: Where in the expression, counted in characters from 0; None when it is about the whole.
    """

    def __init__(
        self,
        expression: object,
        code: str,
        problem: str,
        hint: str = "",
        *,
        field: str | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(expression, code, problem, hint)
        self.expression, self.code, self.problem, self.hint = expression, code, problem, hint
        self.field, self.position = field, position

    @property
    def reason(self) -> str:
        """What is wrong, after EventBridge Scheduler's own words, which are the same for every fault."""
        return f"Invalid Schedule Expression {self.expression}. {self.problem}"

    def __str__(self) -> str:
        located = self.reason if self.position is None else f"{self.reason} at position {self.position}"
        return f"{located} ({self.hint})" if self.hint else located


class NotFoundError(EventRouterError, LookupError):
    """There is no bus, rule, target, queue, function or archive of that name."""


class ConflictError(EventRouterError):
    """A name is taken, or what it names is still in use."""


class BusClosedError(EventRouterError, RuntimeError):
    """The router is not running: it was not entered yet, or it is closing."""


class NoSuchEventError(EventRouterError, ValueError):
    """There is no event of the kind that a test asks for, or none was found.

    Attributes:
        reason: Why.
        proven: Whether it is proven that there is none.
    """

    def __init__(self, reason: str, *, proven: bool) -> None:
        super().__init__(reason, proven)
        self.reason, self.proven = reason, proven

    def __str__(self) -> str:
        return f"{'No such event' if self.proven else 'None found'}: {self.reason}"

    def __reduce__(self) -> tuple[object, ...]:
        return _no_such_event, (self.reason, self.proven)


def _no_such_event(reason: str, proven: bool) -> NoSuchEventError:
    return NoSuchEventError(reason, proven=proven)


class UndecidedError(EventRouterError, ValueError):
    """A question about patterns was neither proven nor disproven, and somebody asked for yes or no.

    Attributes:
        reason: Why it is not known.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"Neither proven nor disproven: {self.reason}"


class MissingExtraError(EventRouterError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        extra: The extra of this package that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature, self.extra = feature, extra

    def __str__(self) -> str:
        return f"{self.feature} needs the {self.extra!r} extra: pip install 'eventrouter[{self.extra}]'"


class StoreError(EventRouterError):
    """The store cannot be used, or could not do what it was asked. What it had accepted before is not touched.

    Attributes:
        reason: What is wrong.
        hint: What to do about it, or empty.
        error_code: Of entries that could not be kept for this reason: `InternalFailure`, or `ThrottlingException` when
            the store is as large as it may become.
    """

    def __init__(self, reason: str, hint: str = "", error_code: str = "InternalFailure") -> None:
        super().__init__(reason, hint, error_code)
        self.reason, self.hint, self.error_code = reason, hint, error_code

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


class DeliveryError(EventRouterError):
    """An attempt to deliver failed. Raised by a target, it is retried like any other exception.

    Attributes:
        error_code: Goes to the dead letter as `ERROR_CODE`.
        retry_after: When the target wants to be asked again, as HTTP's `Retry-After` says it: the next attempt waits
            at least so long; a negative duration means never. None leaves it to the retry policy.
    """

    error_code = "TARGET_ERROR"

    def __init__(self, *args: object, retry_after: timedelta | None = None) -> None:
        super().__init__(*args)
        if not isinstance(retry_after, timedelta | None):
            raise TypeError(f"retry_after is {retry_after!r}; use a timedelta")
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self.args, {"retry_after": self.retry_after}


class TargetTimeoutError(DeliveryError, TimeoutError):
    """The target did not return within its timeout. Retried."""

    error_code = "TIMEOUT"


class IdempotencyInProgressError(DeliveryError):
    """Another call with the same idempotency key is still running. Retried.

    `retry_after` is when that call's lease ends, unless it is renewed or given back before.
    """

    error_code = "IDEMPOTENCY_IN_PROGRESS"


class ThrottledError(DeliveryError):
    """The target is overloaded or closed, whatever it is sent.

    All deliveries of the subscription wait for `retry_after`, or without one for 1 s, doubling up to 5 minutes while
    it goes on (AWS Lambda developer guide, "How Lambda handles errors with asynchronous invocation"). The attempt does
    not count; the event's age does.
    """

    error_code = "THROTTLING"


class TooManyRequestsError(ThrottledError):
    """A function has no concurrency left: its own, or what all functions share. It was not run (Lambda, HTTP 429).

    Attributes:
        reason: Lambda's word for which: `ReservedFunctionConcurrentInvocationLimitExceeded` or
            `ConcurrentInvocationLimitExceeded`.
        exception_name: Lambda's name of the exception, `TooManyRequestsException`.
        status_code: The HTTP status, 429.
    """

    exception_name = "TooManyRequestsException"
    status_code = 429

    def __init__(self, reason: str = "ConcurrentInvocationLimitExceeded") -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason,)


class PermanentDeliveryError(DeliveryError):
    """No later attempt can succeed: the delivery is dead-lettered at once. Targets may raise it."""

    error_code = "PERMANENT_ERROR"


class FunctionError(DeliveryError):
    """A function was invoked and failed: it raised, took too long, or its process ended. Retried.

    Attributes:
        error_type: Name of the exception's class, or Lambda's word, such as `Sandbox.Timedout`.
        error_message: What it says.
        stack_trace: Its frames, innermost last; None where there is no exception.
        request_id: Of the invocation.
        executed_version: The version that was run.
        error_code: `TARGET_ERROR`, `TIMEOUT`, or the code of the `DeliveryError` that the function raised.
    """

    def __init__(  # noqa: PLR0917 - by position, as errors are pickled
        self,
        error_type: str,
        error_message: str,
        stack_trace: tuple[str, ...] | None = None,
        request_id: str = "",
        executed_version: str = "$LATEST",
        error_code: str = "TARGET_ERROR",
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(
            error_type, error_message, stack_trace, request_id, executed_version, error_code, retry_after=retry_after
        )
        self.error_type, self.error_message, self.stack_trace = error_type, error_message, stack_trace
        self.request_id, self.executed_version, self.error_code = request_id, executed_version, error_code

    def __str__(self) -> str:
        return f"{self.error_type}: {self.error_message}" if self.error_message else self.error_type

    @property
    def payload(self) -> dict[str, object]:
        """What Lambda answers in place of a result."""
        if self.stack_trace is None:
            return {"errorType": self.error_type, "errorMessage": self.error_message}
        return {
            "errorMessage": self.error_message,
            "errorType": self.error_type,
            "requestId": self.request_id,
            "stackTrace": list(self.stack_trace),
        }


class PermanentFunctionError(FunctionError, PermanentDeliveryError):
    """A function failed so that no later attempt can succeed, as it raised a `PermanentDeliveryError`."""


class ResourceNotFoundError(PermanentDeliveryError):
    """What the target sends to does not exist, or no longer."""

    error_code = "NO_RESOURCE"


class NotAuthorizedError(PermanentDeliveryError):
    """A policy does not let the target do what it would."""

    error_code = "NO_PERMISSIONS"


class ZeroConcurrencyError(PermanentDeliveryError):
    """The function is stopped by a reserved concurrency of 0. Asynchronous invocations end as failures at once."""

    error_code = "ZERO_RESERVED_CONCURRENCY"


class InvalidDetailError(PermanentDeliveryError):
    """The event's detail, or the target's input, does not fit the model that the handler asked for."""

    error_code = "INVALID_DETAIL"


class TransformError(PermanentDeliveryError):
    """The target's input cannot be made from the event."""

    error_code = "TRANSFORM_ERROR"


class HopLimitError(PermanentDeliveryError):
    """The event has been handed from bus to bus too often."""

    error_code = "HOP_LIMIT_EXCEEDED"


class DepthLimitError(PermanentDeliveryError):
    """The target returned an event for the end of too long a chain of events, each put by the handler of the last."""

    error_code = "DEPTH_LIMIT_EXCEEDED"


class InvalidResultError(PermanentDeliveryError):
    """What the target returned cannot be put as events, or cannot be written into the record of its success."""

    error_code = "INVALID_RESULT"


class IdempotencyKeyError(PermanentDeliveryError):
    """The call has nothing that could be its idempotency key, so the function was not run."""

    error_code = "NO_IDEMPOTENCY_KEY"


class IdempotencyValidationError(PermanentDeliveryError):
    """The idempotency key was used before, with other values where the same are demanded. The function was not run."""

    error_code = "IDEMPOTENCY_MISMATCH"


class IdempotencyResultError(PermanentDeliveryError):
    """The function did its work, but its result cannot be kept as JSON and given to later calls.

    Every later call with the same key raises this as well, and does not run the function.
    """

    error_code = "INVALID_RESULT"
