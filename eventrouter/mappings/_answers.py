"""What a function's answer says of the records that it was given. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eventrouter.errors import EventRouterError


class BatchFailedError(EventRouterError):
    """All records of a batch have failed.

    Attributes:
        reason: Why, for people.
        response: What the function answered, if it did.
    """

    def __init__(self, reason: str, response: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response


def failed_ids(answer: Any, ids: Sequence[str]) -> frozenset[str]:
    """Read `batchItemFailures` (AWS Lambda developer guide, "Implementing partial batch responses").

    Nothing, an empty answer and an empty list say that all is well.

    Args:
        answer: What the function returned.
        ids: Those of the records that it was given.

    Raises:
        BatchFailedError: The answer cannot be read: it is none of a function that reports failures, or names a record
            that was not in the batch. The whole batch has failed.
    """
    if not answer:
        return frozenset()
    if not isinstance(answer, Mapping):
        raise BatchFailedError(f"The function returned {answer!r}, and not its batchItemFailures", answer)
    failures = answer.get("batchItemFailures")
    if not failures:
        return frozenset()
    if not isinstance(failures, Sequence) or isinstance(failures, str):
        raise BatchFailedError(f"batchItemFailures is {failures!r}, and no list", answer)
    known = frozenset(ids)
    named: list[str] = []
    for failure in failures:
        id = failure.get("itemIdentifier") if isinstance(failure, Mapping) else None
        if not isinstance(id, str) or id not in known:
            raise BatchFailedError(f"{failure!r} in batchItemFailures names no record of the batch", answer)
        named.append(id)
    return frozenset(named)
