"""How many workers a queue needs. Pure."""

from __future__ import annotations


def workers_wanted(*, visible: int, busy: int, batch_size: int, minimum: int, maximum: int) -> int:
    """Say how many workers there should be: one for each batch that waits or is being worked on, within the limits.

    Args:
        visible: Messages that could be received now.
        busy: Workers that have a batch.
        batch_size: How many messages a worker takes at once.
        minimum: Never fewer.
        maximum: Never more.
    """
    return max(minimum, min(maximum, busy + -(-visible // batch_size)))
