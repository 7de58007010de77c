"""A topology as one HTML page that needs nothing else: a picture, with search, and what is to be said about it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from importlib import resources
from typing import Final

from eventrouter.topology._drawing import PLAIN
from eventrouter.topology._layout import columns
from eventrouter.topology._model import Edge, Node, Topology

_WIDTH: Final = 190  # of a node, in pixels, as all of these
_HEIGHT: Final = 44
_BETWEEN_COLUMNS: Final = 90
_BETWEEN_ROWS: Final = 14
_MARGIN: Final = 20
_LANE: Final = 16
_CHARACTERS: Final = 25  # of a label that fit
#: Names and patterns are shown as text; and if that had a hole, nothing could be sent anywhere.
_CONTENT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_Places = Mapping[str, tuple[int, int]]


def to_html(topology: Topology, title: str = "Topology") -> str:
    """Draw a topology as a page that a browser shows without a network.

    Whoever looks can search for names, patterns and whatever else is told of a part, and see what a part sends to and
    receives from.

    Args:
        topology: The topology.
        title: Stands above it.
    """
    style, script = (resources.files(__package__).joinpath(name).read_text() for name in ("page.css", "page.js"))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_POLICY}">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{style}</style>",
            *_head(topology, title),
            '<div id="picture" tabindex="0" aria-label="Picture">',
            *_picture(topology),
            "</div>",
            '<aside id="part" aria-live="polite"></aside>',
            *_list_of_parts(topology),
            f"<script>\n{script}</script>",
            "</html>\n",
        ]
    )


def _head(topology: Topology, title: str) -> Iterator[str]:
    counts = Counter(node.kind for node in topology.nodes.values())
    kinds = "".join(
        f'<li class="{_class(kind)}">{count} {kind}{_plural(kind, count)}</li>' for kind, count in counts.items()
    )
    yield f"<header><h1>{escape(title)}</h1>"
    yield '<label>Search <input id="search" type="search" autocomplete="off"></label> <output id="found"></output>'
    yield f'<ul id="kinds">{kinds}</ul></header>'
    if topology.findings:
        yield '<section id="findings"><h2>Worth a look</h2><ul>'
        for finding in topology.findings:
            ids = escape(json.dumps(finding.nodes))
            message = escape(finding.message)
            yield f'<li class="{finding.severity}"><button data-nodes="{ids}">{message}</button></li>'
        yield "</ul></section>"
    rows = "".join(_fan_out_rows(topology))
    if rows:
        yield (
            "<details><summary>How many deliveries one event becomes</summary><table><tr><th>Bus<th>If all rules match"
            f"<th>Events<th>On average<th>At most</tr>{rows}</table></details>"
        )


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return ""
    return "es" if kind == "bus" else "s"


def _fan_out_rows(topology: Topology) -> Iterator[str]:
    for bus, item in topology.fan_out.items():
        seen = f"{item.events}<td>{item.mean:.2f}<td>{item.most}" if item.events else "-<td>-<td>-"
        yield f"<tr><td>{escape(bus)}<td>{item.at_most}<td>{seen}</tr>"


# -- the picture -------------------------------------------------------------------------------------------------


def _picture(topology: Topology) -> Iterator[str]:
    placed = columns(topology)
    rows = max(map(len, placed), default=0)
    height = 2 * _MARGIN + rows * (_HEIGHT + _BETWEEN_ROWS)
    places: dict[str, tuple[int, int]] = {}
    for number, column in enumerate(placed):
        top = (height - len(column) * (_HEIGHT + _BETWEEN_ROWS) + _BETWEEN_ROWS) // 2
        for row, id in enumerate(column):
            places[id] = (_MARGIN + number * (_WIDTH + _BETWEEN_COLUMNS), top + row * (_HEIGHT + _BETWEEN_ROWS))
    width = 2 * _MARGIN + len(placed) * (_WIDTH + _BETWEEN_COLUMNS)
    back = [edge for edge in topology.edges if places[edge.source][0] >= places[edge.target][0]]
    lanes = {edge: height + number * _LANE for number, edge in enumerate(back)}
    height += len(back) * _LANE + (_MARGIN if back else 0)
    yield f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group">'
    yield (
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>'
    )
    for edge in topology.edges:
        yield _edge(edge, places, lanes.get(edge))
    for id, node in topology.nodes.items():
        yield _node(node, *places[id])
    yield "</svg>"


def _edge(edge: Edge, places: _Places, lane: int | None) -> str:
    (left, top), (x, y) = places[edge.source], places[edge.target]
    left, top, y = left + _WIDTH, top + _HEIGHT // 2, y + _HEIGHT // 2
    bend = _BETWEEN_COLUMNS // 2
    if lane is None:
        path, middle = f"M{left} {top}C{left + bend} {top} {x - bend} {y} {x} {y}", (top + y) // 2
    else:  # a way back goes below everything, so that it is not taken for one that goes on
        right = f"M{left} {top}C{left + bend} {top} {left + bend} {lane} {left} {lane}"
        path, middle = f"{right}L{x} {lane}C{x - bend} {lane} {x - bend} {y} {x} {y}", lane
    ends = f'data-source="{escape(edge.source)}" data-target="{escape(edge.target)}"'
    words = "" if edge.kind in PLAIN else f'<text x="{(left + x) // 2}" y="{middle - 4}">{edge.kind}</text>'
    title = f"<title>{edge.kind}</title>"
    return f'<g class="edge {_class(edge.kind)}" {ends}>{title}<path d="{path}" marker-end="url(#arrow)"/>{words}</g>'


def _node(node: Node, x: int, y: int) -> str:
    label = node.label if len(node.label) <= _CHARACTERS else f"{node.label[: _CHARACTERS - 1]}…"
    disabled = " disabled" if node.details.get("state") else ""
    return (
        f'<g class="node {_class(node.kind)}{disabled}" data-id="{escape(node.id)}" tabindex="0" role="button" '
        f'aria-label="{escape(f"{node.kind} {node.label}")}" transform="translate({x} {y})">'
        f'<title>{escape(node.label)}</title><rect width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="10" y="17" class="kind">{node.kind}</text><text x="10" y="34">{escape(label)}</text></g>'
    )


def _class(kind: str) -> str:
    return kind.replace(" ", "-")


def _list_of_parts(topology: Topology) -> Iterator[str]:
    """Tell of each part in words: what the search looks into, and what there is without scripts or a picture."""
    yield '<section id="parts"><h2>All parts</h2>'
    received: dict[str, list[Edge]] = {id: [] for id in topology.nodes}
    for edge in topology.edges:
        received[edge.target].append(edge)
    for id, node in topology.nodes.items():
        yield f'<article data-id="{escape(id)}" class="{_class(node.kind)}"><h3>{node.kind} {escape(node.label)}</h3>'
        details = "".join(f"<dt>{name}<dd><code>{escape(value)}</code>" for name, value in node.details.items())
        others = [(edge.kind, edge.target) for edge in topology.edges_from(id)]
        senders = [(f"{edge.kind}, from", edge.source) for edge in received[id]]
        for kind, other in [*others, *senders]:
            told = topology.nodes[other]
            button = f'<button data-nodes="{escape(json.dumps([other]))}">{told.kind} {escape(told.label)}</button>'
            details += f"<dt>{kind}<dd>{button}"
        yield f"<dl>{details}</dl></article>"
    yield "</section>"
