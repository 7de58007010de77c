"""What becomes of the records of a batch: they are given to a function, or to whatever else takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from eventrouter.errors import (
    EventRouterError,
    FunctionError,
    InvokeError,
    NotFoundError,
    TooManyRequestsError,
    ZeroConcurrencyError,
)
from eventrouter.mappings._answers import BatchFailedError, failed_ids
from eventrouter.mappings._records import Record

#: Works on a batch, and gives the ids of the records that have failed. Raises `BatchFailedError` when all have, and
#: `NotNowError` when none was tried.
Consume: TypeAlias = Callable[[Sequence[Record]], Awaitable[frozenset[str]]]

_TOO_LARGE: Final = "RequestTooLargeException"


class NotNowError(EventRouterError):
    """A batch was not tried: there is no concurrency left, or no such function. It can be tried later."""


class BatchTooLargeError(BatchFailedError):
    """A batch is more than a function takes; it may be less in parts."""


class Invoking(Protocol):
    """What is needed of a router."""

    def delivery_now(self) -> datetime:
        """Say what time it is."""
        ...

    async def _invoke_batch(self, function_name: str, payload: object) -> Any:
        """Invoke a function and give what it returns. Raises `FunctionError` and what else `invoke` does."""
        ...


async def call(host: Invoking, function_name: str, payload: object) -> Any:
    """Invoke a function with a batch, and give what it returns.

    Raises:
        NotNowError: It is throttled, stopped, or not there.
        BatchFailedError: It has failed, or does not take as much.
    """
    try:
        return await host._invoke_batch(function_name, payload)  # noqa: SLF001 - parts of one router
    except (TooManyRequestsError, ZeroConcurrencyError, NotFoundError) as error:
        raise NotNowError(str(error)) from error
    except InvokeError as error:
        kind = BatchTooLargeError if error.error_code == _TOO_LARGE else BatchFailedError
        raise kind(str(error)) from error
    except FunctionError as error:
        raise BatchFailedError(str(error), error.payload) from error


def to_function(host: Invoking, function_name: str, *, reports_failures: bool) -> Consume:
    """Give what hands batches to a function, as `{"Records": [...]}`."""

    async def consume(records: Sequence[Record]) -> frozenset[str]:
        answer = await call(host, function_name, {"Records": [record.data for record in records]})
        return failed_ids(answer, [record.id for record in records]) if reports_failures else frozenset()

    return consume
