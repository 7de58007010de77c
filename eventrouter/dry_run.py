"""What a changed set of rules would do with events: compared, and nothing sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eventrouter.event import Event
from eventrouter.matching import Matcher
from eventrouter.patterns import Pattern


@dataclass
class RuleChange:
    """What becomes of one rule.

    Attributes:
        name: The rule's.
        kept: How many events it matches before and after.
        gained: How many it matches only afterwards.
        lost: How many it matched only before.
        first_gained: The first of those that it gains, for an example.
        first_lost: The first of those that it loses.
    """

    name: str
    kept: int = 0
    gained: int = 0
    lost: int = 0
    first_gained: Event | None = None
    first_lost: Event | None = None

    def __str__(self) -> str:
        told = [f"{self.name}: gains {self.gained:,}, loses {self.lost:,}, keeps {self.kept:,}"]
        for what, event in (("gains", self.first_gained), ("loses", self.first_lost)):
            if event is not None:
                told.append(f"  first that it {what}: {event.to_json().decode()}")
        return "\n".join(told)


@dataclass
class DryRun:
    """What a changed set of rules would do; `str()` tells of the rules that change.

    Attributes:
        events: How many events were looked at.
        rules: Each rule that is there before or after, by its name.
    """

    events: int = 0
    rules: dict[str, RuleChange] = field(default_factory=dict)

    @property
    def changed(self) -> list[RuleChange]:
        """The rules that gain or lose an event, those with most of them first."""
        changed = [rule for rule in self.rules.values() if rule.gained or rule.lost]
        return sorted(changed, key=lambda rule: (-rule.gained - rule.lost, rule.name))

    def __str__(self) -> str:
        changed = self.changed
        if not changed:
            return f"None of {self.events:,} events changes its rules."
        return "\n".join([f"Of {self.events:,} events:", *map(str, changed)])


class Comparison:
    """Compares rules on one event after the other.

    Args:
        before: The patterns of the rules as they are, by name.
        after: As they would be.
    """

    def __init__(self, before: Mapping[str, Pattern], after: Mapping[str, Pattern]) -> None:
        self.result = DryRun(rules={name: RuleChange(name) for name in sorted({*before, *after})})
        self._before = Matcher[str].build(before.items())
        self._after = Matcher[str].build(after.items())

    def look_at(self, events: Iterable[Event]) -> None:
        """Take more events into account."""
        rules = self.result.rules
        for event in events:
            text = event.to_json()
            before, after = set(self._before.match_json(text)), set(self._after.match_json(text))
            self.result.events += 1
            for name in before & after:
                rules[name].kept += 1
            for name in after - before:
                change = rules[name]
                change.gained += 1
                change.first_gained = change.first_gained or event
            for name in before - after:
                change = rules[name]
                change.lost += 1
                change.first_lost = change.first_lost or event
