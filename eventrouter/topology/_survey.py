"""What a router declares, as nodes and edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from eventrouter.abc import DeadLetterQueue, Target
from eventrouter.functions import Function
from eventrouter.functions._configuration import split_name
from eventrouter.functions._target import FunctionInvocationTarget
from eventrouter.mappings import EventSourceMapping
from eventrouter.router import EventRouter
from eventrouter.rules import Archive, Rule
from eventrouter.scheduling import Schedule
from eventrouter.targets.bus import BusTarget
from eventrouter.targets.function import FunctionTarget
from eventrouter.targets.queue import QueueTarget
from eventrouter.topology._model import Edge, EdgeKind, EventType, Node, NodeKind
from eventrouter.topology._types import returned_types

#: Of what a mapping still reads, or invokes, and the router has no more.
_REMOVED: Final = {"state": "removed"}


class Survey:
    """The nodes and edges of a router, added one after the other.

    Attributes:
        nodes: By their ids.
        edges: In no order.
        types: The kinds of events that are put, by the ids of their nodes.
    """

    def __init__(self, router: EventRouter, types: Iterable[EventType]) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: set[Edge] = set()
        self.types: dict[str, EventType] = {}
        self._router = router
        for kind in types:
            self._add_type(kind)
        for schedule in router.list_schedules():
            self._add_schedule(schedule)
        for name in router.list_event_buses():
            bus = self._bus(name)
            for archive in router.list_archives():
                if archive.event_bus_name == name:
                    self._connect(bus, "kept by", self._archive(archive))
            for rule in router.list_rules(event_bus_name=name):
                self._add_rule(bus, rule)
        for name in router.list_functions():
            self._function(router.get_function(name))
        for name in router.list_queues():
            self._queue(name)
        for name in router.list_event_source_mappings():
            self._add_mapping(router.get_event_source_mapping(name))

    def _node(self, kind: NodeKind, name: str, details: Mapping[str, str] | None = None, *, label: str = "") -> str:
        id = f"{kind.replace(' ', '-')}:{name}"
        shown = {key: value for key, value in (details or {}).items() if value}
        self.nodes.setdefault(id, Node(id, kind, label or name, shown))
        return id

    def _connect(self, source: str, kind: EdgeKind, target: str) -> None:
        self.edges.add(Edge(source, target, kind))

    def _add_type(self, kind: EventType) -> str:
        pattern = str(kind.event_pattern)
        node = self._node("event type", f"{kind.event_bus_name}/{kind.name}", {"pattern": pattern}, label=kind.name)
        self.types[node] = kind
        if kind.event_bus_name in self._router.list_event_buses():
            self._connect(node, "put on", self._bus(kind.event_bus_name))
        return node

    def _bus(self, name: str) -> str:
        policy = self._router.get_policy(event_bus_name=name)
        return self._node("bus", name, {"policy": "only what its policy allows" if policy is not None else ""})

    def _archive(self, archive: Archive) -> str:
        details = {
            "pattern": str(archive.event_pattern),
            "retention": "" if archive.retention is None else f"{archive.retention.days} days",
            "description": archive.description,
        }
        return self._node("archive", archive.name, details)

    def _add_schedule(self, schedule: Schedule) -> None:
        expression = schedule.schedule_expression
        details = {
            "expression": f"{expression} {expression.timezone}",
            "state": schedule.state if schedule.state == "DISABLED" else "",
            "description": schedule.description,
        }
        node = self._node("schedule", f"{schedule.group}/{schedule.name}", details, label=schedule.name)
        self._add_target(node, "sent to", schedule.target)

    def _add_rule(self, bus: str, rule: Rule) -> None:
        details = {
            "pattern": "" if rule.event_pattern is None else str(rule.event_pattern),
            "schedule": "" if rule.schedule_expression is None else str(rule.schedule_expression),
            "state": rule.state if rule.state == "DISABLED" else "",
            "description": rule.description,
        }
        node = self._node("rule", f"{rule.event_bus_name}/{rule.name}", details, label=rule.name)
        if rule.event_pattern is not None:
            self._connect(bus, "matched by", node)
        for target in rule.targets:
            self._add_target(node, "sent to", target)

    def _add_target(self, sender: str, kind: EdgeKind, target: Target) -> None:
        """Add a target below what sends to it; one that is a bus, a queue or a function is that itself."""
        if isinstance(target, BusTarget) and target.router is self._router:
            node = self._bus(target.event_bus_name)
        elif isinstance(target, QueueTarget):
            node = self._queue(target.queue.name)
        elif isinstance(target, FunctionInvocationTarget):
            node = self._function(target.function)
        else:
            node = self._node("target", f"{_below(sender)}/{target.id}", _told(target), label=target.id)
        self._connect(sender, kind, node)
        # Of a bus, queue or function that several send to, only the sender tells whose these are.
        owner = node if self.nodes[node].kind == "target" else sender
        if isinstance(target, FunctionTarget):
            for returned in returned_types(target.function):
                self._connect(node, "returns", self._add_type(returned))
        self._add_ends(owner, target.on_success, target.on_failure, target.dead_letter_queue)

    def _add_ends(
        self,
        owner: str,
        on_success: Iterable[Target] | Target,
        on_failure: Iterable[Target] | Target,
        letters: DeadLetterQueue | Target | None,
    ) -> None:
        for destination in _listed(on_success):
            self._add_target(owner, "on success", destination)
        for destination in _listed(on_failure):
            self._add_target(owner, "on failure", destination)
        if isinstance(letters, Target):
            self._add_target(owner, "dead letters", letters)
        elif letters is not None and letters.name is not None:  # else it has its own, which would double the picture
            self._connect(owner, "dead letters", self._node("dead-letter queue", letters.name))

    def _function(self, function: Function) -> str:
        node = f"function:{function.name}"
        if node in self.nodes:
            return node
        latest = function.latest.configuration
        details = {
            "handler": _name_of(latest.handler),
            "timeout": f"{latest.timeout.total_seconds():g} s",
            "isolation": latest.isolation or "",
            "description": latest.description,
        }
        self._node("function", function.name, details)
        config = function.event_invoke_config  # what its handler returns is a response, and is not put
        self._add_ends(node, config.on_success, config.on_failure, config.dead_letter_queue)
        return node

    def _add_mapping(self, mapping: EventSourceMapping) -> None:
        """Connect what a mapping or pipe reads with who receives it, also if one of them was removed since."""
        if mapping.source_kind == "iterator":
            source = self._node("event type", f"iterator {mapping.name}", label=mapping.name)
        elif mapping.source_kind == "archive":
            source = self._node("archive", mapping.source, _REMOVED)  # one that is there was added before
        elif mapping.source in self._router.list_queues():
            source = self._queue(mapping.source)
        else:
            source = self._node("queue", mapping.source, _REMOVED)
        state = "" if mapping.state == "Enabled" else "DISABLED"
        on_failure = mapping.configuration.on_failure
        if isinstance(mapping.receiver, Target) or mapping.enrichment is not None:
            enrichment = mapping.enrichment
            calls = "" if enrichment is None or isinstance(enrichment, str) else _name_of(enrichment)
            details = {"type": "pipe", "enrichment": calls, "state": state}
            node = self._node("target", f"pipe/{mapping.name}", details, label=mapping.name)
            if isinstance(enrichment, str):
                self._connect(node, "enriched by", self._invoked(enrichment))
            if isinstance(mapping.receiver, Target):
                self._add_target(node, "sent to", mapping.receiver)
            else:
                self._connect(node, "sent to", self._invoked(mapping.receiver))
        else:
            node = self._invoked(mapping.receiver, {f"mapping {mapping.name}": state})
        self._connect(source, "polled by", node)
        if on_failure is not None:
            self._add_target(node, "on failure", on_failure)

    def _invoked(self, receiver: str, more: Mapping[str, str] | None = None) -> str:
        """Give the function that is invoked by this name, with a qualifier perhaps, and tell more of it."""
        name, _ = split_name(receiver)
        is_there = name in self._router.list_functions()
        id = self._function(self._router.get_function(name)) if is_there else self._node("function", name, _REMOVED)
        told = {key: value for key, value in (more or {}).items() if value}
        self.nodes[id] = replace(self.nodes[id], details={**self.nodes[id].details, **told})
        return id

    def _queue(self, name: str) -> str:
        node = f"queue:{name}"
        if node in self.nodes:
            return node
        attributes = self._router.queue(name).attributes
        self._node("queue", name, {"type": "FIFO" if attributes.is_fifo else "standard"})
        if attributes.redrive_policy is not None:
            self._connect(node, "dead letters", self._queue(attributes.redrive_policy.dead_letter_queue))
        return node


def _below(sender: str) -> str:
    return sender.partition(":")[2]


def _listed(destinations: Iterable[Target] | Target) -> Iterable[Target]:
    return (destinations,) if isinstance(destinations, Target) else destinations


def _told(target: Target) -> dict[str, str]:
    """Tell of a target what is no secret: an endpoint's URL may hold a key, so it is left out."""
    details = {"type": type(target).__name__, "arn": target.arn}
    if isinstance(target, FunctionTarget):
        details["function"] = _name_of(target.function)
    if target.maximum_concurrency == 0:
        details["state"] = "paused"
    if target.dead_letter_queue is None:
        details["dead letters"] = "dropped"
    return details


def _name_of(function: object) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{name}"
