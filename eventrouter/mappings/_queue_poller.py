"""Reads a queue: workers that come and go with its backlog, each with a batch at a time.

A message leaves the queue when it has been worked on, and in no other way: what fails stays hidden until its visibility
timeout is over, and is received again, until the queue's redrive policy moves it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

import anyio
from anyio.abc import TaskGroup

from eventrouter.mappings._answers import BatchFailedError
from eventrouter.mappings._configuration import EventSourceMappingConfiguration
from eventrouter.mappings._consume import BatchTooLargeError, Consume, NotNowError
from eventrouter.mappings._records import LARGEST_BATCH, Record, message_record
from eventrouter.mappings._scale import workers_wanted
from eventrouter.mappings._state import Counts
from eventrouter.mappings._stopping import Stopping
from eventrouter.queues import Message, Queue
from eventrouter.queues._attributes import MAXIMUM_VISIBILITY_TIMEOUT
from eventrouter.queues._queue import MAXIMUM_BATCH

logger = logging.getLogger("eventrouter.mappings")

#: How many batches are worked on at once, if nothing else is said.
DEFAULT_CONCURRENCY: Final = 10
#: How often, in seconds, it is looked whether there is more to do: at first, and at most when there was nothing. What
#: is sent, also by other processes, is heard of at once; this is for what nobody tells.
_LOOK_AGAIN, _LOOK_RARELY = 1.0, 60.0
#: How long, in seconds, a batch waits that could not be handed over: at first, and at most.
_FIRST_REST, _LONGEST_REST = 0.1, 10.0
#: How long a store that failed is left alone, in seconds.
_PAUSE: Final = 1.0
#: How many seconds the store may take while everything is being cancelled.
_STORE_PATIENCE: Final = 5.0


class QueuePoller(Stopping):
    """Hands the messages of a queue over in batches.

    Args:
        queue: The queue.
        configuration: How.
        consume: Who takes them.
        counts: What is counted.
        region: The router's.
    """

    def __init__(
        self,
        queue: Queue,
        configuration: EventSourceMappingConfiguration,
        consume: Consume,
        counts: Counts,
        region: str,
    ) -> None:
        super().__init__()
        self._queue = queue
        self._configuration = configuration
        self._consume = consume
        self._counts = counts
        self._region = region
        self._maximum = configuration.maximum_concurrency or max(DEFAULT_CONCURRENCY, configuration.minimum_concurrency)
        self._changed = anyio.Event()  # the number of workers that are idle
        self._look_again = _LOOK_AGAIN

    def stop(self) -> None:
        """Take no more messages, and finish what has been taken."""
        super().stop()
        self._changed.set()

    # -- workers -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on until it is stopped."""
        async with anyio.create_task_group() as tasks:
            while not self._is_stopping:
                self._changed = anyio.Event()  # made before looking, so that no change is slept through
                try:
                    await self._scale(tasks)
                except Exception:
                    logger.exception("Queue %s cannot be read; it is looked at again in a second", self._queue.name)
                    with self._waiting():
                        await anyio.sleep(_PAUSE)

    async def _scale(self, tasks: TaskGroup) -> None:
        """Begin as many workers as are needed, and wait until that may have changed."""
        counts = self._counts
        if counts.workers - counts.busy and counts.workers >= self._configuration.minimum_concurrency:
            visible = 0  # there is one that waits for a message, and takes it
        elif counts.workers >= self._maximum:
            visible = 0
        else:
            visible = await self._queue.visible()
        wanted = workers_wanted(
            visible=visible,
            busy=counts.busy,
            batch_size=self._configuration.batch_size,
            minimum=self._configuration.minimum_concurrency,
            maximum=self._maximum,
        )
        self._look_again = min(2 * self._look_again, _LOOK_RARELY)
        if wanted > counts.workers:
            self._look_again = _LOOK_AGAIN
            new = wanted - counts.workers
            counts.scale(new, self._queue.now())
            for _ in range(new):
                tasks.start_soon(self._work)
        with self._waiting():
            if counts.workers > counts.busy or counts.workers >= self._maximum:
                with anyio.move_on_after(self._look_again):
                    await self._changed.wait()
            else:
                await self._queue.wait_for_more(self._look_again)

    async def _work(self) -> None:
        """Work on one batch after the other, until there are no messages for a while."""
        counts = self._counts
        try:
            while not self._is_stopping:
                try:
                    if not await self._work_on_next():
                        break
                except Exception:
                    logger.exception("Queue %s: a worker goes on in a second", self._queue.name)
                    with self._waiting():
                        await anyio.sleep(_PAUSE)
        finally:
            counts.scale(-1, self._queue.now())
            self._changed.set()

    async def _work_on_next(self) -> bool:
        """Work on the next batch; False if this worker is not needed any more."""
        counts = self._counts
        batch = await self._gather()
        if not batch:
            return counts.workers <= self._configuration.minimum_concurrency
        counts.busy += 1
        self._changed.set()
        try:
            await self._attempt(batch)
        finally:
            counts.busy -= 1
        return True

    # -- a batch -------------------------------------------------------------------------------------------------

    async def _gather(self) -> list[Record]:
        """Take messages until a batch is full, or its window is over. None when none came for a while."""
        configuration, window = self._configuration, self._configuration.batch_window.total_seconds()
        # Until the batch is full, too.
        hidden = min(self._queue.attributes.visibility_timeout + configuration.batch_window, MAXIMUM_VISIBILITY_TIMEOUT)
        records: list[Record] = []
        size = 0
        deadline = anyio.current_time() + configuration.idle_timeout.total_seconds()
        try:
            while not self._is_stopping:
                asked = min(MAXIMUM_BATCH, configuration.batch_size - len(records))
                wait = min(max(deadline - anyio.current_time(), 0), 20)
                messages: Sequence[Message] = ()
                with self._waiting():
                    messages = await self._queue.receive(
                        asked, wait_time=timedelta(seconds=wait), visibility_timeout=hidden
                    )
                found = [message_record(message, arn=self._queue.arn, region=self._region) for message in messages]
                kept = [record for record in found if record.matches(configuration.filters)]
                if kept and not records:
                    deadline = anyio.current_time() + window
                records += kept
                size += sum(record.size for record in kept)
                if len(kept) < len(found):
                    self._counts.filtered += len(found) - len(kept)
                    await self._delete([record for record in found if record not in kept])
                is_full = len(records) >= configuration.batch_size or size >= LARGEST_BATCH
                if is_full or (records and not window and len(messages) < asked):
                    break
                if anyio.current_time() >= deadline and (records or not messages):
                    break
        except BaseException:
            with anyio.move_on_after(_STORE_PATIENCE, shield=True):
                await self._give_back(records)
            raise
        return records

    async def _attempt(self, batch: Sequence[Record]) -> None:
        """Hand a batch over until all of it is done or has failed."""
        todo = [batch]
        rest = _FIRST_REST
        # A rest is over well before the messages would be seen by others, which would count as another receive.
        longest = min(_LONGEST_REST, self._queue.attributes.visibility_timeout.total_seconds() / 2)
        is_fresh = not self._configuration.batch_window  # they have just been hidden
        try:
            while todo:
                if not is_fresh:
                    todo = [await self._hold(part) for part in todo]  # all, as the others wait for this one
                is_fresh, part = False, todo[-1]
                try:
                    failed = await self._hand_over(part)
                except NotNowError as error:
                    self._counts.throttles += 1
                    logger.debug("Queue %s: a batch waits: %s", self._queue.name, error)
                    with self._waiting():
                        await anyio.sleep(min(rest, longest))
                    if self._is_stopping:
                        break  # nobody has tried it, and others may
                    rest = min(2 * rest, longest)
                    continue
                except BatchFailedError as error:
                    todo.pop()
                    if len(part) > 1 and (self._configuration.bisect_on_error or isinstance(error, BatchTooLargeError)):
                        middle = len(part) // 2
                        todo += [part[middle:], part[:middle]]
                    else:
                        self._count_failed(part, error.reason)
                    continue
                await self._delete([record for record in part if record.id not in failed])
                self._counts.succeeded += len(part) - len(failed)
                if failed:
                    self._count_failed([record for record in part if record.id in failed], "reported by the function")
                todo.pop()
        finally:
            if todo:
                with anyio.move_on_after(_STORE_PATIENCE, shield=True):
                    await self._give_back([record for part in todo for record in part])

    async def _hand_over(self, part: Sequence[Record]) -> frozenset[str]:
        if not part:
            return frozenset()
        self._counts.batches += 1
        return await self._consume(part)

    def _count_failed(self, records: Sequence[Record], reason: str) -> None:
        self._counts.failed += len(records)
        logger.warning("%d messages of queue %s failed, and come again: %s", len(records), self._queue.name, reason)

    async def _hold(self, records: Sequence[Record]) -> list[Record]:
        """Hide messages for as long again, and give those that are still ours."""
        hidden = self._queue.attributes.visibility_timeout
        held: list[Record] = []
        for chunk in _chunks(records):
            results = await self._queue.change_visibility_batch([record.receipt for record in chunk], hidden)  # type: ignore[misc]
            held += [record for record, result in zip(chunk, results, strict=True) if result.error_code is None]
        return held

    async def _delete(self, records: Sequence[Record]) -> None:
        for chunk in _chunks(records):
            await self._queue.delete_batch([record.receipt for record in chunk])  # type: ignore[misc]

    async def _give_back(self, records: Sequence[Record]) -> None:
        """Show messages again that were not tried to the end."""
        for chunk in _chunks(records):
            await self._queue.change_visibility_batch([record.receipt for record in chunk], timedelta(0))  # type: ignore[misc]


def _chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for begin in range(0, len(records), MAXIMUM_BATCH):
        yield records[begin : begin + MAXIMUM_BATCH]
