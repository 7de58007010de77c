"""What a target is invoked with."""

from __future__ import annotations

import msgspec

from eventrouter.delivery._conclude import rule_arn
from eventrouter.records import Delivery
from eventrouter.templates import TransformContext
from eventrouter.transform import InputSource, target_input


def with_input(delivery: Delivery, source: InputSource) -> Delivery:
    """Give the delivery with the input that *source* makes of its event.

    Raises:
        TransformError: The input cannot be made of this event.
    """
    context = TransformContext(
        rule_name=delivery.subscription.rule_name,
        rule_arn=rule_arn(delivery.subscription, delivery.event),
        ingestion_time=delivery.accepted_at,
    )
    # Of an event of its own: a function that makes the input may change what it is given.
    made = target_input(source).apply(delivery.event.copy(), context)
    return msgspec.structs.replace(delivery, input=made)
