"""What the decorator decides, for async and other functions alike: no waiting, no store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from eventrouter.abc import Clock, StoredValue
from eventrouter.errors import IdempotencyInProgressError, IdempotencyValidationError
from eventrouter.idempotency._keys import Call
from eventrouter.idempotency._results import Record, Results, decode_record, encode_record

#: What a call does that finds another with its key still running.
OnConflict: TypeAlias = Literal["wait", "raise", "skip"]

#: Owners of the records inside whose functions this code runs.
_running: ContextVar[frozenset[str]] = ContextVar("eventrouter_idempotency_running", default=frozenset())


class Reply(NamedTuple):
    """The answer to a call for which the function need not run."""

    result: object


@dataclass(frozen=True, slots=True)
class Claim:
    """One call's wish to be the one that runs the function.

    Attributes:
        scope: The function's name.
        key: What identifies the call, as a digest.
        record: What it writes to the store while it runs.
        value: The same, encoded.
    """

    scope: str
    key: str
    record: Record
    value: bytes

    def __str__(self) -> str:
        return f"{self.scope} with key {self.key[:12]}..."

    def completed(self, result: msgspec.Raw, problem: str | None) -> bytes:
        """Give what it writes when the function has returned."""
        done = msgspec.structs.replace(self.record, status="COMPLETED", result=result, problem=problem)
        return encode_record(done)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Know in the block, and in the tasks it starts, that this call is running."""
        token = _running.set(_running.get() | {self.record.owner})
        try:
            yield
        finally:
            _running.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The options of one decorated function; see `idempotent`."""

    scope: str
    key: Callable[[Call], str]
    validate: Callable[[Call], str] | None
    results: Results
    on_conflict: OnConflict
    ttl: timedelta
    lease: timedelta
    clock: Clock

    def claim(self, call: Call) -> Claim:
        """Work out the call's key, and what it writes."""
        payload = self.validate(call) if self.validate is not None else None
        record = Record(owner=uuid.uuid4().hex, payload=payload)
        return Claim(self.scope, self.key(call), record, encode_record(record))

    def judge(self, claim: Claim, found: StoredValue, now: datetime) -> Reply | None:
        """Decide about a call whose key is taken: give its answer, or None to wait.

        Raises:
            IdempotencyValidationError: Another call had the key for something else.
            IdempotencyResultError: The answer cannot be made again.
            IdempotencyInProgressError: The other call is still running, and this one is not to wait.
        """
        record = decode_record(found.value)
        mine = claim.record.payload
        if mine is not None and record.payload is not None and mine != record.payload:
            raise IdempotencyValidationError(f"{claim} was called before, with other values where validate= looks.")
        if record.status == "COMPLETED":
            return Reply(self.results.decode(record))
        if self.on_conflict == "skip":
            return Reply(None)
        if record.owner in _running.get():
            # To wait would be for ever: the function waits for itself.
            raise IdempotencyInProgressError(f"{claim} was called from inside itself.")
        if self.on_conflict == "raise":
            raise IdempotencyInProgressError(f"{claim} is still running.", retry_after=found.expires - now)
        return None


#: How often a lease is renewed, the last time as it ends, which may be too late: two renewals may fail.
RENEWALS: Final = 4
