"""What becomes of events that are to be put when the backlog of a target is full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import anyio
import msgspec

from eventrouter.admission import PutResult
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.errors import ConflictError
from eventrouter.records import Accepted, Subscription


async def make_room(
    dispatcher: Dispatcher,
    admitted: Sequence[Accepted | PutResult],
    counts: Mapping[Subscription, int],
    *,
    patience: timedelta,
) -> Sequence[Accepted | PutResult]:
    """Wait for those that let publishers wait; then leave out, or refuse, what there is no room for.

    Args:
        dispatcher: Has the backlogs.
        admitted: What is put, and what was refused before.
        counts: The deliveries of each subscription that it is to become.
        patience: How long the waits may take altogether.

    Returns:
        For each of *admitted* what is put, or why it is refused. The room is the caller's who takes it at once.
    """
    hopeless: dict[Subscription, str] = {}  # with the reason not to wait
    with anyio.move_on_after(patience.total_seconds()):
        # For one at a time, and holding no room meanwhile: others might need it, who wait for nothing else.
        full = [key for key in counts if not dispatcher.has_room(key) or dispatcher.is_waited_for(key)]
        while waited_for := [key for key in full if dispatcher.when_full(key) == "wait" and key not in hopeless]:
            try:
                if not await dispatcher.wait_for_room(waited_for[0]):
                    break
            except ConflictError as error:
                hopeless[waited_for[0]] = str(error)
            full = [key for key in counts if not dispatcher.has_room(key)]
    still_full = {
        key: hopeless.get(key, f"The backlog of {key} is full.") for key in counts if not dispatcher.has_room(key)
    }
    shed = {key for key in still_full if dispatcher.when_full(key) == "shed"}
    return [item if isinstance(item, PutResult) else _fit(item, still_full, shed) for item in admitted]


def _fit(item: Accepted, full: Mapping[Subscription, str], shed: set[Subscription]) -> Accepted | PutResult:
    """Leave out of an event those subscriptions that shed it, or refuse it for the sake of another that is full.

    Args:
        item: The event.
        full: Those that are full, each with what to say about it.
        shed: Those of them that shed what is too much.
    """
    blocking = [
        subscription for subscription in item.subscriptions if subscription in full and subscription not in shed
    ]
    if blocking:
        return PutResult(None, "ThrottlingException", full[blocking[0]])
    kept = tuple(subscription for subscription in item.subscriptions if subscription not in shed)
    left_out = tuple(subscription for subscription in item.subscriptions if subscription in shed)
    return msgspec.structs.replace(item, subscriptions=kept, skipped=left_out)
