"""Names: what EventBridge allows, and how rules are called."""

from __future__ import annotations

import re
from typing import Final

from eventrouter.errors import InvalidRuleError

#: What stands before the name of a schedule's group where a rule has its bus; no bus has such a name.
SCHEDULE_GROUP: Final = "schedule/"

_NAME: Final = re.compile(r"[.\-_A-Za-z0-9]+")


def rule_arn(event_bus_name: str, rule_name: str, *, region: str, account: str) -> str:
    """Name a rule as AWS does, which leaves the default bus out; or a schedule, whose group stands for the bus."""
    if event_bus_name.startswith(SCHEDULE_GROUP):
        return f"arn:aws:scheduler:{region}:{account}:{event_bus_name}/{rule_name}"
    path = rule_name if event_bus_name == "default" else f"{event_bus_name}/{rule_name}"
    return f"arn:aws:events:{region}:{account}:rule/{path}"


def check_name(what: str, name: object, *, maximum: int = 64) -> None:
    """Refuse a name that EventBridge would refuse.

    Args:
        what: What is being named, for the message: `rule name`, `target id`, `event bus name`.
        name: The name.
        maximum: Its greatest length: 64 for rules and targets, 256 for buses (botocore's service model).

    Raises:
        InvalidRuleError: It is not a string of that form.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > maximum:
        raise InvalidRuleError(
            f"{name!r} is no {what}", hint=f"use 1 to {maximum} letters, digits, and the characters . - _"
        )
