"""Where an event can go from rule to rule: over buses that it is handed on to, and by events that follow from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventrouter.patterns import Pattern, Unknown
from eventrouter.rules import Rule
from eventrouter.topology._model import Edge, EdgeKind, EventType

_SCHEDULED: Final = Pattern.parse({"source": ["aws.events"], "detail-type": ["Scheduled Event"]})
_RECORDS: Final[Mapping[EdgeKind, Pattern]] = {
    "on success": Pattern.parse({"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Success"]}),
    "on failure": Pattern.parse({"source": ["lambda"], "detail-type": ["Lambda Function Invocation Result - Failure"]}),
}


@dataclass(frozen=True, slots=True)
class Emission:
    """Events that come onto a bus because of a rule.

    Attributes:
        bus: Id of its node.
        pattern: What they are; None for the event that the rule matched.
        path: Ids of the nodes from the rule, which is left out, to the bus.
    """

    bus: str
    pattern: Pattern | None
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """Rules that an event goes through one after the other, and again.

    Attributes:
        nodes: Ids of all the nodes in the order of the way, each once.
        same_event: Whether it is one event that goes round, and not others that follow from it.
        witness: An event that all of the rules match, if it is one event and one is known.
    """

    nodes: tuple[str, ...]
    same_event: bool
    witness: Mapping[str, Any] | None


class Flow:
    """How events go from rule to rule. Rules that are disabled take and send nothing.

    Attributes:
        rules: The enabled rules, by the ids of their nodes.
        on_bus: Those that have a pattern, by the ids of the nodes of their buses.
        types: The kinds of events that are put, by the ids of their nodes.
    """

    def __init__(self, rules: Iterable[Rule], types: Mapping[str, EventType], edges: Iterable[Edge]) -> None:
        enabled = [rule for rule in rules if rule.state == "ENABLED"]
        self.rules = {f"rule:{rule.event_bus_name}/{rule.name}": rule for rule in enabled}
        self.on_bus: dict[str, dict[str, Pattern]] = {}
        for id, rule in self.rules.items():
            if rule.event_pattern is not None:
                self.on_bus.setdefault(f"bus:{rule.event_bus_name}", {})[id] = rule.event_pattern
        self.types = types
        self._matched: dict[tuple[str, Pattern], list[tuple[str, Mapping[str, Any] | None]]] = {}
        self._edges: dict[str, list[Edge]] = {}
        for edge in sorted(edges):
            self._edges.setdefault(edge.source, []).append(edge)
        self._steps = {id: self._steps_of(id) for id in self.rules}

    # -- one step ------------------------------------------------------------------------------------------------

    def emissions(self, node: str) -> list[Emission]:
        """Give what comes onto a bus because of a rule or schedule, without what goes on from there."""
        found: list[Emission] = []
        seen = {node}
        waiting: list[tuple[str, tuple[str, ...]]] = [(node, ())]
        while waiting:
            sender, path = waiting.pop()
            for edge in self._edges.get(sender, ()):
                way = (*path, edge.target)
                if edge.target.startswith("bus:"):
                    pattern = self.types[sender].event_pattern if sender in self.types else _RECORDS.get(edge.kind)
                    found.append(Emission(edge.target, pattern, way))
                elif edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append((edge.target, way))
        return found

    def matched_on(self, bus: str, pattern: Pattern) -> Sequence[tuple[str, Mapping[str, Any] | None]]:
        """Give the rules of a bus that can match an event of *pattern*, with one that shows it if one is known."""
        found = self._matched.get((bus, pattern))
        if found is None:
            found = self._matched[bus, pattern] = []
            for id, other in self.on_bus.get(bus, {}).items():
                answer = pattern.overlaps(other, on_a_bus=True, arrays=False)
                if isinstance(answer, Unknown):
                    found.append((id, None))
                elif answer:
                    found.append((id, answer.witness))
        return found

    def sent_by(self, rule: Rule) -> list[Pattern]:
        """Give the events that a rule sends to its targets."""
        own = [] if rule.event_pattern is None else [rule.event_pattern]
        return own if rule.schedule_expression is None else [*own, _SCHEDULED]

    def _steps_of(self, node: str) -> dict[str, tuple[Emission, Mapping[str, Any] | None]]:
        """Give the rules that can match what comes of a rule: how, and an event that shows it."""
        steps: dict[str, tuple[Emission, Mapping[str, Any] | None]] = {}
        for emission in self.emissions(node):
            for pattern in self.sent_by(self.rules[node]) if emission.pattern is None else [emission.pattern]:
                for id, witness in self.matched_on(emission.bus, pattern):
                    steps.setdefault(id, (emission, witness))
        return steps

    # -- all steps -----------------------------------------------------------------------------------------------

    def reached(self, types: Iterable[EventType], rules: Iterable[str], schedules: Iterable[str]) -> set[str]:
        """Give the rules that can match one of some kinds of events, or what follows from it.

        Args:
            types: The kinds of events that are put.
            rules: Ids of rules that are known to fire, for events that are followed from bus to bus already.
            schedules: Ids of standalone schedules.
        """
        waiting: list[tuple[str, Pattern | None]] = [(id, None) for id in rules]
        waiting += [(id, _SCHEDULED) for id, rule in self.rules.items() if rule.schedule_expression is not None]
        for kind in types:
            matched = self.matched_on(f"bus:{kind.event_bus_name}", kind.event_pattern)
            waiting += [(id, kind.event_pattern) for id, _ in matched]
        for schedule in schedules:
            waiting += self._next(schedule, _SCHEDULED)
        reached: set[tuple[str, Pattern | None]] = set()
        while waiting:
            step = waiting.pop()
            if step not in reached:
                reached.add(step)
                waiting += self._next(*step)
        return {id for id, _ in reached}

    def _next(self, node: str, event: Pattern | None) -> Iterator[tuple[str, Pattern]]:
        """Give the rules that can match what comes of an event that a rule or schedule has sent, and what that is.

        An event that is handed on stays what it was, whatever else the rule would let through. None is one that was
        followed already: of it, only what is new.
        """
        steps = self._steps.get(node)  # none of a standalone schedule, which lets through what it sends
        for emission in self.emissions(node):
            what = event if emission.pattern is None else emission.pattern
            if what is not None:
                for id, _ in self.matched_on(emission.bus, what):
                    if emission.pattern is not None or steps is None or id in steps:
                        yield id, what

    def loops(self) -> list[Loop]:
        """Find ways that lead back to where they began: for each rule the shortest that it is on."""
        cycles: dict[frozenset[str], list[str]] = {}
        for id in self.rules:
            cycle = self._shortest_cycle(id)
            if cycle:
                cycles.setdefault(frozenset(cycle), cycle)
        return [self._loop(cycle) for cycle in sorted(cycles.values(), key=len)]

    def _shortest_cycle(self, start: str) -> list[str]:
        """Give the rules of the shortest way from a rule back to it, beginning with it; none if there is no way."""
        come_from: dict[str, str] = {}
        waiting = deque([start])
        while waiting:
            id = waiting.popleft()
            for other in self._steps[id]:
                if other == start:
                    cycle = [id]
                    while cycle[-1] != start:
                        cycle.append(come_from[cycle[-1]])
                    return cycle[::-1]
                if other not in come_from:
                    come_from[other] = id
                    waiting.append(other)
        return []

    def _loop(self, cycle: Sequence[str]) -> Loop:
        taken = [self._steps[first][second] for first, second in zip(cycle, [*cycle[1:], cycle[0]], strict=True)]
        nodes = tuple(node for id, (emission, _) in zip(cycle, taken, strict=True) for node in (id, *emission.path))
        if any(emission.pattern is not None for emission, _ in taken):
            return Loop(nodes, same_event=False, witness=None)
        patterns = [pattern for id in cycle if (pattern := self.rules[id].event_pattern) is not None]
        shown = (
            witness
            for _, witness in taken
            if witness is not None and all(pattern.matches(witness) for pattern in patterns)
        )
        return Loop(nodes, same_event=True, witness=next(shown, None))
