"""What a topology consists of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from eventrouter.patterns import Pattern

NodeKind: TypeAlias = Literal[
    "event type", "schedule", "bus", "rule", "archive", "target", "function", "queue", "dead-letter queue"
]
EdgeKind: TypeAlias = Literal[
    "put on",
    "matched by",
    "sent to",
    "kept by",
    "returns",
    "on success",
    "on failure",
    "dead letters",
    "polled by",
    "enriched by",
]
#: What is worth a look: see `TopologyFinding`.
Severity: TypeAlias = Literal["warning", "note"]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a router.

    Attributes:
        id: Unique in the topology, such as `rule:default/orders`, and the same whenever it is made.
        kind: What it is.
        label: Its name.
        details: More to tell of it, by what it is about: a rule's pattern, a target's type, a schedule's expression.
            Never what could be a secret.
    """

    id: str
    kind: NodeKind
    label: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """A way that events, messages or records go.

    Attributes:
        source: Id of the node they come from.
        target: Id of the node they go to.
        kind: How to read it: *source* is `kind` *target*.
    """

    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class TopologyFinding:
    """Something to look at in how a router is put together.

    Attributes:
        code: What kind of thing; the codes are listed in `TOPOLOGY_CODES`.
        severity: `warning`: it hardly means what was meant. `note`: it is worth knowing.
        message: What it is.
        nodes: Ids of the nodes that it is about; of a loop, in the order in which an event goes round.
    """

    code: str
    severity: Severity
    message: str
    nodes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} [{self.code}]"


#: Every code of a `TopologyFinding`, with what it is about.
TOPOLOGY_CODES: Mapping[str, str] = {
    "loop": "An event can come back to a rule that it, or what follows from it, has been through.",
    "nobody-takes": "An event that is put is matched by no rule and kept by no archive.",
    "nobody-feeds": "No event that is put is matched by a rule.",
    "never-matches": "No event at all can be matched by a rule.",
    "no-targets": "A rule has no targets.",
    "no-rules": "A bus has no rules and no archives.",
    "no-dead-letters": "What is given up for a target is dropped.",
}


@dataclass(frozen=True, slots=True)
class FanOut:
    """How many deliveries become of one event that is put on a bus, over all buses that it is handed on to.

    What handlers put of their own, records for destinations and dead letters are not counted.

    Attributes:
        at_most: If all rules matched that are enabled, as often as an event comes back within `maximum_hops`.
        events: How many events of the traffic there were for this bus; the following is 0 when there was none.
        mean: How many deliveries became of one of them on average.
        most: The most that became of one of them.
    """

    at_most: int
    events: int = 0
    mean: float = 0.0
    most: int = 0


@dataclass(frozen=True)
class EventType:
    """A kind of event that somebody puts.

    Attributes:
        name: How it is called.
        event_pattern: Which events they are.
        event_bus_name: The bus they are put on.
    """

    name: str
    event_pattern: Pattern
    event_bus_name: str = "default"


@dataclass(frozen=True)
class Topology:
    """How the parts of a router are connected, and what is to be said about it.

    Attributes:
        nodes: The parts by their ids, in the order in which they were declared, those that send before those they
            send to.
        edges: The ways between them, sorted, each once.
        findings: What is worth a look, warnings first.
        fan_out: By the name of the bus.
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    findings: tuple[TopologyFinding, ...] = ()
    fan_out: Mapping[str, FanOut] = field(default_factory=dict)

    def edges_from(self, id: str) -> Iterator[Edge]:
        """Give the edges that leave a node."""
        return (edge for edge in self.edges if edge.source == id)
