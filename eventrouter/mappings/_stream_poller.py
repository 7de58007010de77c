"""Reads a stream: an archive, or an iterator. One batch at a time, in order, and none is passed over silently.

A batch that fails is tried again, and holds up what comes after it, until it succeeds or is discarded (AWS Lambda
developer guide, "How Lambda processes records from stream and queue-based event sources").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from eventrouter.mappings._answers import BatchFailedError
from eventrouter.mappings._configuration import EventSourceMappingConfiguration
from eventrouter.mappings._consume import BatchTooLargeError, Consume, NotNowError
from eventrouter.mappings._records import LARGEST_BATCH, Record
from eventrouter.mappings._state import Counts
from eventrouter.mappings._stopping import Stopping
from eventrouter.mappings._streams import Stream

logger = logging.getLogger("eventrouter.mappings")

#: How long, in seconds, a batch waits that has failed: at first, and at most.
_FIRST_REST, _LONGEST_REST = 0.1, 30.0
#: How long a source that failed is left alone, in seconds.
_PAUSE: Final = 1.0

#: Why a batch was given up, in Lambda's words.
Condition: TypeAlias = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]


@dataclass(frozen=True, slots=True)
class Discarded:
    """A batch that was given up.

    Attributes:
        records: What it was, in order.
        condition: Why.
        attempts: How often it was tried.
        error: What was wrong at last, if it was tried.
    """

    records: Sequence[Record]
    condition: Condition
    attempts: int
    error: BatchFailedError | None


class _NotDoneError(Exception):
    """A batch is to be tried again, after so many attempts."""

    def __init__(self, part: Sequence[Record], attempts: int) -> None:
        super().__init__()
        self.part = part
        self.attempts = attempts


class StreamPoller(Stopping):
    """Hands the records of a stream over in batches, in order.

    Args:
        stream: Gives the records, and hears up to which one all is done or given up.
        configuration: How.
        consume: Who takes them.
        counts: What is counted.
        discard: Keeps a batch that is given up. What it raises is logged, and the batch is read again.
        now: The present.
    """

    def __init__(
        self,
        stream: Stream,
        configuration: EventSourceMappingConfiguration,
        consume: Consume,
        counts: Counts,
        *,
        discard: Callable[[Discarded], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        super().__init__()
        self._stream = stream
        self._discard = discard
        self._configuration = configuration
        self._consume = consume
        self._counts = counts
        self._now = now

    async def run(self) -> None:
        """Go on until it is stopped, or the stream has ended."""
        self._counts.scale(1, self._now())
        try:
            while not self._is_stopping:
                try:
                    await self._go_through()
                    break
                except Exception:
                    logger.exception("Source %s failed; it is read again in a second", self._stream.name)
                    with self._waiting():
                        await anyio.sleep(_PAUSE)
        finally:
            self._counts.scale(-1, self._now())

    async def _go_through(self) -> None:
        """Read until the stream ends: in a task of its own, as an iterator must not be cancelled while it waits."""
        send, receive = anyio.create_memory_object_stream[Record](self._configuration.batch_size)

        async def read() -> None:
            async with send:
                with self._waiting():
                    async with aclosing(self._stream.read()) as records:
                        async for record in records:
                            try:
                                send.send_nowait(record)  # what is there at once is one batch
                            except anyio.WouldBlock:
                                await send.send(record)

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(read)
            while batch := await self._gather(receive):
                self._counts.busy = 1
                try:
                    await self._work_on(batch)
                finally:
                    self._counts.busy = 0
                if self._is_stopping:
                    break
            tasks.cancel_scope.cancel()

    async def _gather(self, records: MemoryObjectReceiveStream[Record]) -> list[Record]:
        """Take records until a batch is full, or its window is over. None when there are no more."""
        batch: list[Record] = []
        size = 0
        window = self._configuration.batch_window.total_seconds()
        scope = anyio.CancelScope()
        with self._waiting(), scope, suppress(anyio.EndOfStream):
            while len(batch) < self._configuration.batch_size and size < LARGEST_BATCH:
                try:
                    record = records.receive_nowait()
                except anyio.WouldBlock:
                    if batch and not window:
                        break
                    record = await records.receive()
                if not record.matches(self._configuration.filters):
                    self._counts.filtered += 1
                    if not batch:
                        await self._stream.done(record)
                    continue
                if not batch:
                    scope.deadline = anyio.current_time() + window if window else math.inf
                batch.append(record)
                size += record.size
        return batch

    async def _work_on(self, batch: Sequence[Record]) -> None:
        """Try a batch until all of it is done or given up; parts of it one after the other."""
        todo = [(batch, 0)]
        rest = _FIRST_REST
        while todo and not self._is_stopping:
            part, attempts = todo.pop()
            part = await self._without_old(part, attempts)
            if not part:
                continue
            try:
                todo += await self._try(part, attempts)
                rest = _FIRST_REST
            except _NotDoneError as again:
                todo.append((again.part, again.attempts))
                with self._waiting():
                    await anyio.sleep(rest)
                rest = min(2 * rest, _LONGEST_REST)

    async def _try(self, part: Sequence[Record], attempts: int) -> list[tuple[Sequence[Record], int]]:
        """Hand over a batch that was tried so often before. Give what of it is to be tried next, the first part last.

        Raises:
            _NotDoneError: It is to be tried again after a rest.
        """
        self._counts.batches += 1
        try:
            failed = await self._consume(part)
        except NotNowError as error:
            self._counts.throttles += 1
            logger.debug("Source %s: a batch waits: %s", self._stream.name, error)
            raise _NotDoneError(part, attempts) from error
        except BatchFailedError as error:
            self._counts.failed += len(part)
            if len(part) > 1 and (self._configuration.bisect_on_error or isinstance(error, BatchTooLargeError)):
                middle = len(part) // 2
                return [(part[middle:], 0), (part[:middle], 0)]
            await self._try_again_or_give_up(part, attempts + 1, error)
            return []
        # All from the first that failed on comes again, as the order would not be kept otherwise.
        first = next((place for place, record in enumerate(part) if record.id in failed), len(part))
        self._counts.succeeded += first
        if first:
            await self._stream.done(part[first - 1])
        if first < len(part):
            self._counts.failed += len(part) - first
            reported = BatchFailedError(f"record {part[first].id} was reported by the function")
            await self._try_again_or_give_up(part[first:], 1 if first else attempts + 1, reported)
        return []

    async def _try_again_or_give_up(self, part: Sequence[Record], attempts: int, error: BatchFailedError) -> None:
        """Give a batch up after its last attempt. Raises `_NotDoneError` if there is another one."""
        most = self._configuration.maximum_retry_attempts
        logger.warning("%d records of source %s failed: %s", len(part), self._stream.name, error.reason)
        if most is None or attempts <= most:
            raise _NotDoneError(part, attempts)
        await self._give_up(Discarded(part, "RetryAttemptsExhausted", attempts, error))

    async def _without_old(self, part: Sequence[Record], attempts: int) -> Sequence[Record]:
        """Give up the records at the beginning that are too old to be tried."""
        longest = self._configuration.maximum_record_age
        if longest is None:
            return part
        now = self._now()
        first = next((place for place, record in enumerate(part) if now - record.arrived <= longest), len(part))
        if first:
            await self._give_up(Discarded(part[:first], "RecordAgeExceeded", attempts, None))
        return part[first:]

    async def _give_up(self, discarded: Discarded) -> None:
        self._counts.discarded += len(discarded.records)
        logger.error(
            "%d records of source %s are discarded: %s", len(discarded.records), self._stream.name, discarded.condition
        )
        await self._discard(discarded)
        await self._stream.done(discarded.records[-1])
