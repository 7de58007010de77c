"""What is worth a look in a topology, and what becomes of one event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import msgspec

from eventrouter.event import Event
from eventrouter.matching import Matcher
from eventrouter.patterns import Answer
from eventrouter.router import EventRouter
from eventrouter.rules import Rule
from eventrouter.targets.bus import BusTarget
from eventrouter.topology._flow import Flow, Loop
from eventrouter.topology._model import FanOut, Node, TopologyFinding

_SHOWN: Final = ("source", "detail-type", "detail")  # of an event; the rest is hardly ever matched


@dataclass
class Traffic:
    """What becomes of sample events.

    Attributes:
        deliveries: For each event that was put on a bus, how many became of it, by the bus.
        matched: Ids of the rules that matched one of them.
        unmatched: How many were taken by nobody, by bus, source and detail-type.
    """

    deliveries: dict[str, list[int]]
    matched: set[str]
    unmatched: Counter[tuple[str, str, str]]


class Routes:
    """The enabled rules of all buses, and the ways from bus to bus."""

    def __init__(self, router: EventRouter) -> None:
        self._router = router
        self._rules: dict[str, dict[str, Rule]] = {}
        self._matchers: dict[str, Matcher[str]] = {}
        for bus in router.list_event_buses():
            rules = [rule for rule in router.list_rules(event_bus_name=bus) if rule.state == "ENABLED"]
            self._rules[bus] = {rule.name: rule for rule in rules if rule.event_pattern is not None}
            matcher = self._matchers[bus] = Matcher[str]()
            for rule in self._rules[bus].values():
                assert rule.event_pattern is not None  # noqa: S101 - for the type checker
                matcher.add(rule.name, rule.event_pattern)
        self._archives = router.list_archives()
        self._most: dict[tuple[str, int], int] = {}  # by bus, and after how many hops

    def at_most(self, bus: str, hops: int = 0) -> int:
        """Count the deliveries that one event has if every rule matches, over as many buses as the router allows."""
        known = self._most.get((bus, hops))
        if known is None:
            targets = [target for rule in self._rules[bus].values() for target in rule.targets]
            known = len(targets)
            if hops < self._router.maximum_hops:
                ahead = filter(None, map(self._next_bus, targets))
                known += sum(self.at_most(name, hops + 1) for name in ahead)
            self._most[bus, hops] = known
        return known

    def send(self, events: Sequence[Event], event_bus_name: str) -> Traffic:
        """Follow events that are put on a bus."""
        traffic = Traffic({}, set(), Counter())
        for event in events:
            text = event.to_json()
            count, taken = self._deliver(event, text, event_bus_name, 0, traffic.matched)
            traffic.deliveries.setdefault(event_bus_name, []).append(count)
            if not taken:
                traffic.unmatched[event_bus_name, event.source, event.detail_type] += 1
        return traffic

    def _deliver(self, event: Event, text: bytes, bus: str, hops: int, matched: set[str]) -> tuple[int, bool]:
        names = self._matchers[bus].match_json(text)
        count = 0
        for name in names:
            matched.add(f"rule:{bus}/{name}")
            for target in self._rules[bus][name].targets:
                count += 1
                ahead = self._next_bus(target)
                if ahead is not None and hops < self._router.maximum_hops:
                    count += self._deliver(event, text, ahead, hops + 1, matched)[0]
        taken = bool(names) or any(
            archive.event_bus_name == bus and archive.event_pattern.matches(event.to_dict())
            for archive in self._archives
        )
        return count, taken

    def _next_bus(self, target: object) -> str | None:
        own = isinstance(target, BusTarget) and target.router is self._router
        return target.event_bus_name if own else None  # type: ignore[attr-defined]


def fan_out(routes: Routes, buses: Sequence[str], traffic: Traffic) -> dict[str, FanOut]:
    """Say for each bus how many deliveries become of one event."""
    return {
        bus: FanOut(routes.at_most(bus), len(counts), fmean(counts) if counts else 0.0, max(counts, default=0))
        for bus in buses
        for counts in [traffic.deliveries.get(bus, [])]
    }


def loop_findings(flow: Flow, nodes: Mapping[str, Node], router: EventRouter) -> Iterator[TopologyFinding]:
    """Tell of ways that lead back to where they began."""
    for loop in flow.loops():
        way = " -> ".join(nodes[id].label for id in (*loop.nodes, loop.nodes[0]))
        yield TopologyFinding("loop", "warning", f"{_told(loop, router)}: {way}", loop.nodes)


def _told(loop: Loop, router: EventRouter) -> str:
    if not loop.same_event:
        return f"events may follow from one another, {router.maximum_depth} of them at most"
    ends = f"{router.maximum_hops} buses on at most"
    if loop.witness is None:
        return f"an event may go round, {ends}, if one matches all of these rules"
    shown = msgspec.json.encode({key: loop.witness[key] for key in _SHOWN}).decode()
    return f"an event goes round, {ends}, such as {shown}"


def rule_findings(flow: Flow, rules: Sequence[Rule], fed: set[str] | None) -> Iterator[TopologyFinding]:
    """Tell of rules that nothing comes of.

    Args:
        flow: How events go.
        rules: All rules, those that are disabled included.
        fed: Ids of the rules that match something; None if it is not known what is put.
    """
    for rule in rules:
        id = f"rule:{rule.event_bus_name}/{rule.name}"
        if not rule.targets:
            yield TopologyFinding("no-targets", "warning", f"rule {rule.name} has no targets", (id,))
        if rule.event_pattern is None or id not in flow.rules:
            continue
        empty = rule.event_pattern.is_empty(on_a_bus=True)
        if isinstance(empty, Answer) and empty:
            yield TopologyFinding("never-matches", "warning", f"no event can match rule {rule.name}", (id,))
        elif fed is not None and id not in fed:
            message = f"no event that is put can match rule {rule.name}"
            yield TopologyFinding("nobody-feeds", "warning", message, (id,))


def event_findings(flow: Flow, router: EventRouter, traffic: Traffic) -> Iterator[TopologyFinding]:
    """Tell of events that nobody takes: kinds of them, and those of the traffic."""
    buses = router.list_event_buses()
    for id, kind in flow.types.items():
        if kind.event_bus_name not in buses:
            message = f"{kind.name} is put on {kind.event_bus_name}, which is no bus of this router"
            yield TopologyFinding("nobody-takes", "warning", message, (id,))
            continue
        bus = f"bus:{kind.event_bus_name}"
        kept = any(
            not _never(kind.event_pattern.overlaps(archive.event_pattern, on_a_bus=True, arrays=False))
            for archive in router.list_archives()
            if archive.event_bus_name == kind.event_bus_name
        )
        if not kept and not flow.matched_on(bus, kind.event_pattern):
            message = f"no rule of bus {kind.event_bus_name} takes {kind.name}"
            yield TopologyFinding("nobody-takes", "warning", message, (id,))
    for (bus_name, source, detail_type), count in traffic.unmatched.most_common():
        message = f"no rule of bus {bus_name} takes {count} of the events, {detail_type!r} from {source!r}"
        yield TopologyFinding("nobody-takes", "warning", message, (f"bus:{bus_name}",))


def _never(answer: object) -> bool:
    return isinstance(answer, Answer) and not answer


def part_findings(router: EventRouter, nodes: Mapping[str, Node]) -> Iterator[TopologyFinding]:
    """Tell of buses that lead nowhere, and of targets without dead letters."""
    archived = {archive.event_bus_name for archive in router.list_archives()}
    for bus in router.list_event_buses():
        if not router.list_rules(event_bus_name=bus) and bus not in archived:
            yield TopologyFinding("no-rules", "warning", f"bus {bus} has no rules", (f"bus:{bus}",))
    for node in nodes.values():
        if node.details.get("dead letters") == "dropped":
            message = f"what is given up for target {node.label} is dropped"
            yield TopologyFinding("no-dead-letters", "note", message, (node.id,))
