"""`eventrouter graph`: how the parts of a router are connected, in text or as a picture."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path

import typer

from eventrouter.cli._lines import read_event
from eventrouter.cli._places import load_router
from eventrouter.cli._report import printable
from eventrouter.errors import InvalidEventError
from eventrouter.event import Event
from eventrouter.topology import Topology, to_dot, to_html, to_mermaid, topology
from eventrouter.topology._drawing import to_json, to_lines


class GraphFormat(enum.StrEnum):
    """In what a topology is written."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    HTML = "html"
    JSON = "json"


def show_graph(
    place: str,
    form: GraphFormat,
    output: Path | None,
    *,
    publishes: Sequence[str],
    traffic: Path | None,
    event_bus_name: str,
) -> bool:
    """Print the topology of a router, or write it to a file, and say whether there are no warnings.

    Findings are part of the text, the page and the JSON; with the others they go to standard error.

    Raises:
        EventRouterError: There is no such router or bus, or a line or pattern is not usable.
        OSError: A file cannot be read or written.
    """
    events = [] if traffic is None else read_events(traffic)
    found = topology(load_router(place), publishes=publishes, traffic=events, event_bus_name=event_bus_name)
    text = _written(found, form, place)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
    if form in {GraphFormat.MERMAID, GraphFormat.DOT} or output is not None:
        for finding in found.findings:
            typer.echo(printable(str(finding)), err=True)
    return all(finding.severity == "note" for finding in found.findings)


def _written(found: Topology, form: GraphFormat, place: str) -> str:
    if form is GraphFormat.MERMAID:
        return to_mermaid(found)
    if form is GraphFormat.DOT:
        return to_dot(found)
    if form is GraphFormat.HTML:
        return to_html(found, place)
    if form is GraphFormat.JSON:
        return f"{to_json(found)}\n"
    lines = [*to_lines(found), *map(str, found.findings)]
    return "".join(f"{printable(line)}\n" for line in lines)


def read_events(path: Path) -> list[Event]:
    """Read a file of JSON lines with an event each; empty lines do not count.

    Raises:
        InvalidEventError: A line is none, which is named.
        OSError: The file cannot be read.
    """
    events = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            events.append(read_event(line, "log", "Log Line")[0])
        except InvalidEventError as error:
            raise InvalidEventError(f"{path}, line {number}: {error}", error.error_code) from error
    return events
