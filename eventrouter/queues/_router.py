"""Queues of a router: declared, found, changed, and accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from eventrouter._loops import OfOneLoop
from eventrouter.abc import Clock, DeadLetterQueue, Store, Target
from eventrouter.delivery._backlogs import count_deliveries
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.errors import ConflictError, InvalidRuleError, NotFoundError, QueueError
from eventrouter.queues._attributes import QueueAttributes, QueueOptions
from eventrouter.queues._queue import Queue
from eventrouter.records import Accepted, Counts, Ledger, QueueCounts, Subscription


class Queues(OfOneLoop):
    """What a router can do about queues.

    All of it also works while the router is not running. While it runs, what changes a queue raises `BusClosedError` in
    another event loop, or in a thread.
    """

    account: str
    region: str
    _store: Store
    _dispatcher: Dispatcher

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[str, Queue] = {}

    def create_queue(self, name: str, **attributes: Unpack[QueueOptions]) -> Queue:
        """Declare a queue (SQS, `CreateQueue`). What the store holds for it from before is in it.

        Args:
            name: 1 to 80 letters, digits and `- _`; with `.fifo` at the end for a FIFO queue.
            attributes: `visibility_timeout`, `redrive_policy` and the other attributes of `QueueAttributes`.

        Returns:
            The queue; the one of that name if it was declared with the same attributes before.

        Raises:
            ConflictError: There is one of that name with other attributes, or a target's `DeadLetterQueue` has it.
            QueueError: The name or an attribute is not usable; nothing was declared.
            NotFoundError: The redrive policy names a queue that is not declared; declare that one first.
        """
        self._refuse_elsewhere()
        wanted = QueueAttributes(name=name, **attributes)
        existing = self._queues.get(name)
        if existing is not None:
            if existing.attributes != wanted:
                raise ConflictError(f"A queue named {name} already exists with other attributes.")
            return existing
        for subscription, target in self._dispatcher.targets.items():
            if isinstance(target.dead_letter_queue, DeadLetterQueue) and target.dead_letter_queue.name == name:
                raise ConflictError(f"{name} is the name of a DeadLetterQueue, that of {subscription}.")
        self._check_redrive_policy(wanted)
        queue = self._queues[name] = Queue(self, wanted)
        self._dispatcher.put_queue(Subscription.of_queue(name), queue.wake)
        return queue

    def queue(self, name: str) -> Queue:
        """Give the queue of that name. Raises `NotFoundError` when there is none."""
        queue = self._find_queue(name)
        if queue is None:
            raise NotFoundError(f"The specified queue does not exist: {name}.")
        return queue

    def list_queues(self) -> list[str]:
        """Name the queues in the order they were declared."""
        return list(self._queues)

    def set_queue_attributes(self, name: str, **attributes: Unpack[QueueOptions]) -> None:
        """Change some attributes of a queue; the others stay (SQS, `SetQueueAttributes`).

        Counts at once, for the messages that are in the queue too; those that were sent with the old delay keep it, and
        those that were received the old visibility timeout.

        Raises:
            NotFoundError: There is no such queue, or not the one that the redrive policy names; nothing has changed.
            QueueError: An attribute is not usable; nothing has changed.
        """
        self._refuse_elsewhere()
        queue = self.queue(name)
        changed = replace(queue.attributes, **attributes)
        self._check_redrive_policy(changed)
        queue.change(changed)

    def remove_queue(self, name: str) -> None:
        """Take a queue away. Its messages stay in the store, parked, until it is declared again; `purge` it before.

        Rules and targets that send to it fail with `NO_RESOURCE`; whoever waits for a message gets `NotFoundError`.

        Raises:
            NotFoundError: There is no such queue.
            ConflictError: It is the dead-letter queue of another.
        """
        self._refuse_elsewhere()
        queue = self.queue(name)
        for other in self._queues.values():
            policy = other.attributes.redrive_policy
            if policy is not None and policy.dead_letter_queue == name:
                raise ConflictError(f"Queue {name} can't be removed since it is the dead-letter queue of {other.name}.")
        del self._queues[name]
        self._dispatcher.remove_queue(Subscription.of_queue(name))
        queue.wake()

    def _find_queue(self, name: str) -> Queue | None:
        return self._queues.get(name)

    def _notify(self, accepted: Sequence[Accepted]) -> None:
        self._dispatcher.notify(count_deliveries(accepted))

    @property
    def _delivery_clock(self) -> Clock:
        return self._dispatcher.clock

    def _check_redrive_policy(self, attributes: QueueAttributes) -> None:
        policy = attributes.redrive_policy
        if policy is None:
            return
        if self.queue(policy.dead_letter_queue).attributes.is_fifo != attributes.is_fifo:
            raise QueueError(
                f"The dead-letter queue of {attributes.name} is {policy.dead_letter_queue}; that of a FIFO queue is a "
                "FIFO queue, and that of a standard queue a standard one",
                "InvalidAttributeValue",
            )

    def _check_target(self, target: Target) -> None:
        """Refuse a target that sends messages into another store than the one its deliveries are in, or none.

        Raises:
            InvalidRuleError: It, a destination or the dead-letter queue of it is one; or its dead letters would be kept
                under the name of a queue, where no receiver finds them.
        """
        queue = getattr(target, "queue", None)
        if isinstance(queue, Queue) and not queue.is_in(self._store):
            raise InvalidRuleError(
                f"Queue {queue.name} of target {target.id} is of a router with another store",
                hint="use a queue of this router, or a function that sends to the other one's",
            )
        letters = target.dead_letter_queue
        if isinstance(letters, DeadLetterQueue) and letters.name in self._queues:
            raise InvalidRuleError(
                f"dead_letter_queue of target {target.id} is called {letters.name}, as a queue is, but is none",
                hint=f"use a QueueTarget for {letters.name}, or another name",
            )
        for other in (*target.on_success, *target.on_failure, target.dead_letter_queue):  # type: ignore[misc]
            if isinstance(other, Target):
                self._check_target(other)

    def _with_queues(self, ledger: Ledger) -> Ledger:
        """Tell the queues of a store's ledger from its targets, and what is parked."""
        queues = {name: _of_queue(counts) for key, counts in ledger.subscriptions.items() if (name := key.queue_name)}
        undeclared = {
            Subscription.of_queue(name)
            for name, counts in queues.items()
            if name not in self._queues and (counts.waiting or counts.in_flight)
        }
        return Ledger(
            events=ledger.events - sum(counts.sent for counts in queues.values()),  # a message is an event to a store
            subscriptions={key: counts for key, counts in ledger.subscriptions.items() if key.queue_name is None},
            parked=self._dispatcher.parked | undeclared,
            oldest={key: instant for key, instant in ledger.oldest.items() if key.queue_name is None},
            queues=queues,
        )


def _of_queue(counts: Counts) -> QueueCounts:
    return QueueCounts(
        sent=counts.accepted,
        deleted=counts.delivered,
        moved=counts.dead_lettered,
        discarded=counts.dropped,
        waiting=counts.waiting,
        in_flight=counts.in_flight,
    )
