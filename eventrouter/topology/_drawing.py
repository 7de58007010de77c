"""A topology as text: for people, for Mermaid, and for Graphviz."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from eventrouter.topology._model import EdgeKind, FanOut, Node, NodeKind, Topology

_MERMAID_SHAPES: Final[Mapping[NodeKind, tuple[str, str]]] = {
    "event type": (">", "]"),
    "schedule": ("([", "])"),
    "bus": ("[[", "]]"),
    "rule": ("{{", "}}"),
    "archive": ("[(", ")]"),
    "target": ("[", "]"),
    "function": ("(", ")"),
    "queue": ("[/", "/]"),
    "dead-letter queue": ("[/", "/]"),
}
_DOT_SHAPES: Final[Mapping[NodeKind, str]] = {
    "event type": "note",
    "schedule": "ellipse",
    "bus": "box3d",
    "rule": "hexagon",
    "archive": "cylinder",
    "target": "box",
    "function": "component",
    "queue": "cds",
    "dead-letter queue": "cds",
}
#: What is told by where an edge leads, and needs no words.
PLAIN: Final[frozenset[EdgeKind]] = frozenset(("put on", "matched by", "sent to"))
_ALONE: Final[frozenset[NodeKind]] = frozenset(("event type", "schedule", "function", "queue"))
_PARTS: Final = ("on success", "on failure", "dead letters")


def to_mermaid(topology: Topology) -> str:
    """Draw a topology as a Mermaid flowchart, as GitHub and others show it."""
    names = {id: f"n{number}" for number, id in enumerate(topology.nodes)}
    lines = ["flowchart LR"]
    for id, node in topology.nodes.items():
        before, after = _MERMAID_SHAPES[node.kind]
        lines.append(f'    {names[id]}{before}"{_mermaid(node.label)}"{after}')
    for edge in topology.edges:
        arrow = "-.->" if edge.kind in _PARTS else "-->"
        label = "" if edge.kind in PLAIN else f"|{edge.kind}|"
        lines.append(f"    {names[edge.source]} {arrow}{label} {names[edge.target]}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    # Mermaid reads entities without the ampersand; everything that it could take for syntax is written as one.
    return "".join(
        character if character.isalnum() or character in " ._-/:" else f"#{ord(character)};" for character in text
    )


def to_dot(topology: Topology) -> str:
    """Draw a topology in the language of Graphviz: `dot -Tsvg`."""
    lines = ["digraph topology {", "    rankdir=LR;"]
    for id, node in topology.nodes.items():
        tooltip = "".join(f"\n{name}: {value}" for name, value in node.details.items())
        attributes = (
            f"label={_quoted(node.label)} shape={_DOT_SHAPES[node.kind]} tooltip={_quoted(node.kind + tooltip)}"
        )
        lines.append(f"    {_quoted(id)} [{attributes}];")
    for edge in topology.edges:
        style = " style=dashed" if edge.kind in _PARTS else ""
        label = "" if edge.kind in PLAIN else f" label={_quoted(edge.kind)}"
        attributes = f" [{(style + label).strip()}]" if style or label else ""
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{attributes};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def to_lines(topology: Topology) -> Iterator[str]:
    """Tell of a topology in lines: each bus with its rules and where these send, then the rest."""
    for node in topology.nodes.values():
        if node.kind == "bus":
            yield f"{node.kind} {node.label}{_told_of_fan_out(topology.fan_out.get(node.label))}"
            for edge in topology.edges_from(node.id):
                yield from _branch(topology, topology.nodes[edge.target], f"  {edge.kind} ")
        elif node.kind in _ALONE or (node.kind == "rule" and "pattern" not in node.details):  # which no bus leads to
            yield from _branch(topology, node, f"{node.kind} ")


def _branch(topology: Topology, node: Node, introduction: str) -> Iterator[str]:
    details = "  ".join(f"{name}: {value}" for name, value in node.details.items() if name != "description")
    yield f"{introduction}{node.label}{'  ' if details else ''}{details}"
    margin = " " * (len(introduction) - len(introduction.lstrip()) + 2)
    for edge in topology.edges_from(node.id):
        other = topology.nodes[edge.target]
        if other.kind == "target":
            yield from _branch(topology, other, f"{margin}{edge.kind} ")
        else:
            yield f"{margin}{edge.kind} {other.kind} {other.label}"


def _told_of_fan_out(fan_out: FanOut | None) -> str:
    if fan_out is None:
        return ""
    told = f"  one event becomes {fan_out.at_most} deliveries at most"
    if fan_out.events:
        told += f"; {fan_out.events} events became {fan_out.mean:.2f} on average, {fan_out.most} at most"
    return told


def to_json(topology: Topology) -> str:
    """Write a topology as JSON: `nodes`, `edges`, `findings` and `fan_out`, with the names of their attributes."""
    return json.dumps(
        {
            "nodes": [
                {"id": node.id, "kind": node.kind, "label": node.label, "details": dict(node.details)}
                for node in topology.nodes.values()
            ],
            "edges": [{"source": edge.source, "target": edge.target, "kind": edge.kind} for edge in topology.edges],
            "findings": [
                {"code": item.code, "severity": item.severity, "message": item.message, "nodes": list(item.nodes)}
                for item in topology.findings
            ],
            "fan_out": {
                bus: {"at_most": item.at_most, "events": item.events, "mean": item.mean, "most": item.most}
                for bus, item in topology.fan_out.items()
            },
        },
        ensure_ascii=False,
    )
