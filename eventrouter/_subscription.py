"""The unit of delivery: one target of one rule."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from eventrouter.names import rule_arn

#: Stands where a subscription has its bus; no bus can be called so.
_FUNCTIONS: Final = "$functions"


class Subscription(NamedTuple):
    """One target of one rule: the unit that has a backlog, a concurrency limit and a dead-letter queue.

    A queue is one too, to a store: what waits in it waits for whoever receives from it. It has no bus and no rule.
    And so is a qualifier of a function: what waits for it are asynchronous invocations.
    """

    event_bus_name: str
    rule_name: str
    target_id: str

    @classmethod
    def of_queue(cls, name: str) -> Self:
        """Give that of the queue of this name."""
        return cls("", "", name)

    @classmethod
    def of_function(cls, name: str, qualifier: str) -> Self:
        """Give that of the asynchronous invocations of a function, by the version or alias they name."""
        return cls(_FUNCTIONS, name, qualifier)

    @property
    def function_name(self) -> str | None:
        """The function's name; None for the target of a rule, and for a queue."""
        return self.rule_name if self.event_bus_name == _FUNCTIONS else None

    @property
    def queue_name(self) -> str | None:
        """The queue's name; None for the target of a rule."""
        return None if self.event_bus_name else self.target_id

    def principal(self, *, region: str, account: str) -> str:
        """Name as whom its target acts, for the policies of buses and functions: its rule or function, by the ARN."""
        if self.function_name is not None:
            return f"arn:aws:lambda:{region}:{account}:function:{self.function_name}"
        return rule_arn(self.event_bus_name, self.rule_name, region=region, account=account)

    def __str__(self) -> str:
        if not self.event_bus_name:
            return f"queue {self.target_id}"
        if self.event_bus_name == _FUNCTIONS:
            return f"function {self.rule_name}:{self.target_id}"
        return f"{self.event_bus_name}/{self.rule_name}/{self.target_id}"
