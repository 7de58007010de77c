"""Queues: SQS's semantics, standard and FIFO, on the store of a router."""

from eventrouter.queues._attributes import QueueAttributes, QueueOptions, RedrivePolicy
from eventrouter.queues._messages import Message, QueueEntry, QueueResult, Sending
from eventrouter.queues._queue import Queue, QueueDepth

__all__ = [
    "Message",
    "Queue",
    "QueueAttributes",
    "QueueDepth",
    "QueueEntry",
    "QueueOptions",
    "QueueResult",
    "RedrivePolicy",
    "Sending",
]
