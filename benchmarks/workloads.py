"""Sets of rules over one stream of events: event-ruler's, over lots, and one as services on AWS have it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventrouter import Matcher, Pattern

#: How many times the decode floor a workload may take: more where it walks arrays, or has many rules.
FLOOR_BUDGET = 1.35
LARGE_BUDGET = 2.0
LARGE = frozenset({"COMPLEX_ARRAYS", "PARTIAL_COMBO", "COMBO"})
#: Measured, and held to nothing: single rules, and rules of no one kind.
UNJUDGED = frozenset({"ANYTHING_BUT_3FIELD", "CITYLOTS_R1_R7", "AWS"})

#: Not over lots: their events would nest a hundred levels deep.
_OTHER_EVENTS = frozenset({"DEEP_EXACT"})


@dataclass(frozen=True)
class Workload:
    """Rules by name.

    Attributes:
        name: What event-ruler calls it.
        rules: The pattern of each.
        matches: How many of all 213,068 lots each rule matches; nothing for other events.
    """

    name: str
    rules: Mapping[str, dict[str, Any]]
    matches: Mapping[str, int]

    def matcher(self) -> Matcher[str]:
        """Make a matcher of the rules."""
        return Matcher.build((name, Pattern.parse(pattern)) for name, pattern in self.rules.items())

    @property
    def floor_budget(self) -> float | None:
        """Give how many times the decode floor it may take, if that is limited."""
        if self.name in UNJUDGED:
            return None
        return LARGE_BUDGET if self.name in LARGE else FLOOR_BUDGET

    @property
    def has_parsed_budget(self) -> bool:
        """Say whether matching parsed events is held to a part of `orjson.loads`."""
        return len(self.rules) == 5 and self.name not in LARGE | UNJUDGED


def over_lots() -> list[Workload]:
    """Give event-ruler's workloads over lots."""
    listed = json.loads(Path(__file__).with_name("workloads.json").read_text(encoding="utf-8"))
    return [
        Workload(
            name,
            {rule["name"]: rule["pattern"] for rule in rules},
            {rule["name"]: rule["expected_matches"] for rule in rules},
        )
        for name, rules in listed.items()
        if name not in _OTHER_EVENTS
    ]
