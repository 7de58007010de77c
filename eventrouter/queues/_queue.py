"""One queue: what can be done with it, as thin steps around its store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import anyio
import anyio.lowlevel

from eventrouter.delivery._workers import current_delivery
from eventrouter.errors import QueueError
from eventrouter.queues._attributes import (
    MAXIMUM_MESSAGE_SIZE,
    MAXIMUM_VISIBILITY_TIMEOUT,
    MAXIMUM_WAIT_TIME,
    check_duration,
    check_number,
)
from eventrouter.queues._core import QueueCore
from eventrouter.queues._messages import (
    Body,
    Message,
    QueueEntry,
    QueueResult,
    accept,
    moved,
    of_handle,
    received,
    size_of,
    source_of,
)
from eventrouter.records import Accepted, DeadLetter, DeadLettered, Delivered, Delivery, Dropped, Outcome

logger = logging.getLogger("eventrouter.queues")

MAXIMUM_BATCH: Final = 10  # messages that one call sends, receives or deletes (SQS)
#: How often, in seconds, a receiver that waits looks whether another process has sent something.
_LOOK_AGAIN: Final = 1.0
#: How many seconds the store may take while a receiver is being cancelled.
_STORE_PATIENCE: Final = 5.0
_NOTHING: Final = timedelta(0)
#: How many messages one transaction moves back at most, and how long they are hidden for it.
_LARGEST_MOVE: Final = 100
_MOVE_TIMEOUT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages a queue has at one moment (SQS, `GetQueueAttributes`; here the numbers are exact).

    Attributes:
        visible: Those that can be received, or wait for others of their group (`ApproximateNumberOfMessages`).
        not_visible: Those that somebody has received, and may still delete (`ApproximateNumberOfMessagesNotVisible`).
        delayed: Those that can be received later (`ApproximateNumberOfMessagesDelayed`).
        oldest_age: The age of the oldest; None if there are none (`ApproximateAgeOfOldestMessage`).
    """

    visible: int = 0
    not_visible: int = 0
    delayed: int = 0
    oldest_age: timedelta | None = None


class Queue(QueueCore):
    """A queue of a router; `EventRouter.create_queue` makes it, and `EventRouter.queue` gives it.

    Messages are in the router's store. Each call is one transaction there, and a point where others have their turn and
    a cancellation arrives. Queues can be used before the router is entered and after it was left, as long as its store
    can.

    Every method that is about messages raises `NotFoundError` when the queue was removed from its router, and
    `BusClosedError` in the event loop of another thread than the router's.
    """

    # -- sending -------------------------------------------------------------------------------------------------

    async def send(
        self,
        body: Body,
        *,
        delay: timedelta | None = None,
        message_group_id: str | None = None,
        deduplication_id: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> QueueResult:
        """Send one message (SQS, `SendMessage`). Returns once the store has it.

        In the handler of an event, the message has that event as its cause, and its trace.

        Args:
            body: Text or bytes, which arrive as they are; anything else is sent as its JSON text.
            delay: How long it stays hidden, up to 15 minutes; None for the queue's own delay.
            message_group_id: For FIFO queues; see `QueueEntry`, also for the other two.
            deduplication_id: For FIFO queues.
            attributes: Up to 10 texts that go with it.

        Raises:
            QueueError: The queue does not take it: `InvalidParameterValue`, `MissingParameter` or
                `InvalidMessageContents`.
        """
        entry = QueueEntry(body, delay, message_group_id, deduplication_id, attributes or {})
        await self._begin()
        [result] = await self._send([accept(entry, self._attributes, self.now(), current_delivery())])
        return result

    async def send_batch(self, entries: Sequence[QueueEntry]) -> list[QueueResult]:
        """Send up to 10 messages in one transaction, and give one result each, in the same order (`SendMessageBatch`).

        A refused entry does not stop the others: its result has an `error_code`, one of those of `send`.

        Raises:
            QueueError: `EmptyBatchRequest`, `TooManyEntriesInBatchRequest`, or `BatchRequestTooLong` for more than
                1 MiB together. None was sent.
        """
        _check_batch(entries)
        await self._begin()
        now, parent = self.now(), current_delivery()
        made: list[Accepted | QueueResult] = []
        for entry in entries:
            try:
                made.append(accept(entry, self._attributes, now, parent))
            except QueueError as error:
                made.append(_refusal(error))
        accepted = [item for item in made if isinstance(item, Accepted)]
        if sum(map(size_of, accepted)) > MAXIMUM_MESSAGE_SIZE:
            raise QueueError(
                f"Batch requests cannot be longer than {MAXIMUM_MESSAGE_SIZE} bytes.", "BatchRequestTooLong"
            )
        sent = iter(await self._send(accepted))
        return [item if isinstance(item, QueueResult) else next(sent) for item in made]

    async def _send(self, accepted: Sequence[Accepted]) -> list[QueueResult]:
        await self.sweep()
        earlier_ids = await self._host._store.append(accepted)  # noqa: SLF001
        self.wake()
        return [
            QueueResult(item.event.id) if earlier is None else QueueResult(earlier, is_duplicate=True)
            for item, earlier in zip(accepted, earlier_ids, strict=True)
        ]

    # -- receiving -----------------------------------------------------------------------------------------------

    async def receive(
        self, maximum: int = 1, *, visibility_timeout: timedelta | None = None, wait_time: timedelta | None = None
    ) -> list[Message]:
        """Take messages, those first that are due longest, and hide them from others (SQS, `ReceiveMessage`).

        Who does not delete a message in time loses it to the next receiver: it comes again, at least once is what a
        queue promises. One that was received too often is moved to the dead-letter queue, and one that was kept for
        long enough is gone, instead of being received.

        Of each group of a FIFO queue only the first message can be received, and the next one when that is deleted.

        Args:
            maximum: How many at most, 1 to 10. There may be fewer.
            visibility_timeout: How long they are hidden, up to 12 hours; None for the queue's own.
            wait_time: How long to wait when there is none, up to 20 seconds; None for the queue's own. It returns as
                soon as there are any.

        Returns:
            The messages; none when there are none in time. If it is cancelled, they stay in the queue, not received.

        Raises:
            QueueError: `InvalidParameterValue`: an argument is out of range.
        """
        check_number("maximum", maximum, 1, MAXIMUM_BATCH, "InvalidParameterValue")
        hidden = self._attributes.visibility_timeout if visibility_timeout is None else visibility_timeout
        wait = self._attributes.wait_time if wait_time is None else wait_time
        check_duration("visibility_timeout", hidden, _NOTHING, MAXIMUM_VISIBILITY_TIMEOUT)
        check_duration("wait_time", wait, _NOTHING, MAXIMUM_WAIT_TIME)
        await self._begin()
        deadline = anyio.current_time() + wait.total_seconds()
        while True:
            woken = anyio.Event()  # made before looking, so that what comes meanwhile is not slept through
            self._waiting.add(woken)
            try:
                taken = await self._take(maximum, hidden)
                left = deadline - anyio.current_time()
                if taken or left <= 0:
                    return [received(delivery) for delivery in taken]
                await self._sleep(woken, min(left, _LOOK_AGAIN))
            finally:
                self._waiting.remove(woken)
            self._check()

    async def _sleep(self, woken: anyio.Event, seconds: float) -> None:
        """Wait until there may be a message, at most so long."""
        due = await self._host._store.next_due(self._subscription)  # noqa: SLF001
        if due is not None:
            seconds = min(seconds, max((due - self.now()).total_seconds(), 0))
        with anyio.move_on_after(seconds):
            await woken.wait()

    async def wait_for_more(self, seconds: float) -> None:
        """Wait until there may be a message that can be received, at most so many seconds."""
        woken = anyio.Event()
        self._waiting.add(woken)
        try:
            await self._sleep(woken, seconds)
        finally:
            self._waiting.remove(woken)

    async def visible(self) -> int:
        """Count the messages that could be received now."""
        await self._begin()
        return (await self._host._store.depth(self._subscription, now=self.now())).visible  # noqa: SLF001

    async def _take(self, maximum: int, hidden: timedelta) -> list[Delivery]:
        """Lease what can be received now, and end what has been here for long enough."""
        taken: list[Delivery] = []
        try:
            # Shielded, since what was leased has to arrive here in order to be handed back.
            with anyio.fail_after(_STORE_PATIENCE, shield=True):
                await self._lease(taken, maximum, hidden)
            await anyio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            with anyio.move_on_after(_STORE_PATIENCE, shield=True):
                await self._host._store.release(taken)  # noqa: SLF001
            self.wake()
            raise
        return taken

    async def _lease(self, taken: list[Delivery], maximum: int, hidden: timedelta) -> None:
        while True:  # what ends makes room for more
            now = self.now()
            leased = await self._host._store.lease(  # noqa: SLF001
                self._subscription, maximum - len(taken), now=now, until=now + hidden
            )
            ends = [outcome for delivery in leased if (outcome := self._end_of(delivery, now)) is not None]
            ended = {outcome.delivery.id for outcome in ends}
            taken += [delivery for delivery in leased if delivery.id not in ended]
            if not ends:
                break
            await self._settle(ends)
            for end in ends:
                if isinstance(end, DeadLettered):
                    _warn_of(end)
            if not hidden:
                break  # what was taken could be taken once more

    def _end_of(self, delivery: Delivery, now: datetime) -> Dropped | DeadLettered | None:
        """Say how a message ends that was leased; None if it goes to the receiver."""
        if now - delivery.accepted_at >= self._attributes.message_retention_period:
            return Dropped(delivery, "EXPIRED", "The message was kept for its retention period.")
        policy = self._attributes.redrive_policy
        if policy is None or delivery.attempt <= policy.maximum_receive_count:
            return None
        queue = self._host.queue(policy.dead_letter_queue)  # there is one as long as a policy names it
        return self._move(delivery, queue, now, source=self.name)

    def _move(self, delivery: Delivery, to: QueueCore, now: datetime, *, source: str | None) -> DeadLettered:
        letter = DeadLetter(
            queue=to.name,
            event=delivery.event,
            subscription=self._subscription,
            rule_arn="",
            target_arn=self.arn,
            error_code="MOVED",
            error_message=f"The message was moved to queue {to.name}.",
            exhausted_retry_condition=None,
            retry_attempts=delivery.attempt - 1,
            at=now,
        )
        follow_ups = (moved(delivery, to.attributes, now, source=source),)
        return DeadLettered(delivery, letter, follow_ups, is_kept=False)

    async def _settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """End messages, and wake whoever waits for those that come after them, or were moved."""
        stale = await self._host._store.settle(outcomes)  # noqa: SLF001
        self.wake()
        self._host._notify([item for outcome in outcomes for item in _follow_ups(outcome)])  # noqa: SLF001
        return stale

    # -- what was received ---------------------------------------------------------------------------------------

    async def delete(self, receipt: Message | str) -> None:
        """Delete a message that was received: its work is done (SQS, `DeleteMessage`).

        It can be deleted after its visibility timeout as well, as long as nobody has received it again.

        Args:
            receipt: The message, or its receipt handle.

        Raises:
            QueueError: `ReceiptHandleIsInvalid`: it is none of this queue. `InvalidParameterValue`: it does not count
                any more, since the message was deleted, or received again, or is not there. Nothing has changed: if
                somebody else has the message, its work may be done twice.
        """
        _raise(*await self.delete_batch([receipt]))

    async def delete_batch(self, receipts: Sequence[Message | str]) -> list[QueueResult]:
        """Delete up to 10 messages in one transaction, with one result each, in the same order (`DeleteMessageBatch`).

        Raises:
            QueueError: `EmptyBatchRequest` or `TooManyEntriesInBatchRequest`; none was deleted.
        """

        async def delete(deliveries: Sequence[Delivery]) -> set[int]:
            stale = await self._settle([Delivered(delivery) for delivery in deliveries])
            return {id(outcome.delivery) for outcome in stale}

        return await self._answer(receipts, delete, "InvalidParameterValue", "The receipt handle has expired.")

    async def change_visibility(self, receipt: Message | str, visibility_timeout: timedelta) -> None:
        """Hide a message that was received for so long from now on, or show it (SQS, `ChangeMessageVisibility`).

        Args:
            receipt: The message, or its receipt handle.
            visibility_timeout: Up to 12 hours; nothing makes the message visible at once.

        Raises:
            QueueError: `InvalidParameterValue`: the timeout is out of range. `ReceiptHandleIsInvalid`, as `delete`.
                `MessageNotInflight`: it does not count any more; nothing has changed.
        """
        _raise(*await self.change_visibility_batch([receipt], visibility_timeout))

    async def change_visibility_batch(
        self, receipts: Sequence[Message | str], visibility_timeout: timedelta
    ) -> list[QueueResult]:
        """Do that with up to 10 messages in one transaction, with one result each, in the same order.

        Raises:
            QueueError: `EmptyBatchRequest`, `TooManyEntriesInBatchRequest`, or `InvalidParameterValue` for the timeout;
                nothing has changed.
        """
        check_duration("visibility_timeout", visibility_timeout, _NOTHING, MAXIMUM_VISIBILITY_TIMEOUT)

        async def extend(deliveries: Sequence[Delivery]) -> set[int]:
            lost = await self._host._store.extend(deliveries, until=self.now() + visibility_timeout)  # noqa: SLF001
            self.wake()
            return {id(delivery) for delivery in lost}

        return await self._answer(receipts, extend, "MessageNotInflight", "The specified message isn't in flight.")

    async def _answer(
        self,
        receipts: Sequence[Message | str],
        act: Callable[[Sequence[Delivery]], Awaitable[set[int]]],
        code: str,
        reason: str,
    ) -> list[QueueResult]:
        """Do something with receipts, and say of each whether it counted.

        Args:
            receipts: Messages or their handles.
            act: Does it, and gives the `id()` of those that did not count.
            code: SQS's, for those.
            reason: The same in words.
        """
        _check_batch(receipts)
        await self._begin()
        named: list[Delivery | QueueResult] = []
        for receipt in receipts:
            try:
                named.append(of_handle(receipt, self._attributes))
            except QueueError as error:
                named.append(_refusal(error))
        lost = await act([item for item in named if isinstance(item, Delivery)])
        late = QueueResult(error_code=code, error_message=reason)
        return [
            item if isinstance(item, QueueResult) else (late if id(item) in lost else QueueResult()) for item in named
        ]

    # -- the whole queue -----------------------------------------------------------------------------------------

    async def depth(self) -> QueueDepth:
        """Count its messages, as they are now."""
        await self._begin()
        await self.sweep(at_once=True)
        now = self.now()
        depth = await self._host._store.depth(self._subscription, now=now)  # noqa: SLF001
        age = None if depth.oldest is None else max(now - depth.oldest, _NOTHING)
        return QueueDepth(depth.visible, depth.in_flight, depth.delayed, age)

    async def purge(self) -> int:
        """Discard all messages, those that somebody has received included (SQS, `PurgeQueue`), and count them."""
        await self._begin()
        return await self._host._store.discard(self._subscription)  # noqa: SLF001

    async def redrive(self, to: QueueCore | None = None) -> int:
        """Move what is visible in a dead-letter queue back to where it came from (SQS, `StartMessageMoveTask`).

        Messages that arrive meanwhile stay, and so do those that nobody has moved here, or from a queue that is not
        declared any more. Whoever cancels it, each message is in one of the two queues.

        Args:
            to: The queue to move all of them to instead.

        Returns:
            How many were moved.

        Raises:
            QueueError: `InvalidParameterValue`: *to* is this queue, is of the other kind or of another router.
        """
        if to is not None:
            self._check_may_move(to)
        left = (await self.depth()).visible
        count = 0
        kept: list[Delivery] = []
        try:
            while left > 0 and (leased := await self._take(min(left, _LARGEST_MOVE), _MOVE_TIMEOUT)):
                left -= len(leased)
                now, moves = self.now(), list[Outcome]()
                for delivery in leased:
                    target = to if to is not None else self._host._find_queue(source_of(delivery) or "")  # noqa: SLF001
                    if target is None:
                        kept.append(delivery)
                    else:
                        moves.append(self._move(delivery, target, now, source=None))
                count += len(moves) - len(await self._settle(moves))
                await anyio.lowlevel.checkpoint()
        finally:
            with anyio.move_on_after(_STORE_PATIENCE, shield=True):
                await self._host._store.release(kept)  # noqa: SLF001
        return count

    def _check_may_move(self, to: QueueCore) -> None:
        """Refuse to move messages to a queue that cannot have them, with `QueueError`."""
        if to is self or to._host is not self._host or to.attributes.is_fifo != self._attributes.is_fifo:  # noqa: SLF001
            raise QueueError(
                f"Messages of queue {self.name} cannot be moved to queue {to.name}; name another "
                f"{'FIFO' if self._attributes.is_fifo else 'standard'} queue of the same router."
            )


def _check_batch(entries: Sequence[object]) -> None:
    if not entries:
        raise QueueError("There should be at least one entry in the request.", "EmptyBatchRequest")
    if len(entries) > MAXIMUM_BATCH:
        raise QueueError(
            f"Maximum number of entries per request are {MAXIMUM_BATCH}. You have sent {len(entries)}.",
            "TooManyEntriesInBatchRequest",
        )


def _follow_ups(outcome: Outcome) -> Sequence[Accepted]:
    return outcome.follow_ups if isinstance(outcome, DeadLettered) else ()


def _warn_of(end: DeadLettered) -> None:
    logger.warning(
        "Message %s of %s was received %d times, and was moved to queue %s",
        end.delivery.event.id,
        end.delivery.subscription,
        end.delivery.attempt - 1,
        end.dead_letter.queue,
    )


def _refusal(error: QueueError) -> QueueResult:
    return QueueResult(error_code=error.error_code, error_message=error.reason)


def _raise(result: QueueResult) -> None:
    if result.error_code is not None:
        raise QueueError(result.error_message or "", result.error_code)
