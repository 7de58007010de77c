"""How the parts of a router are connected: as a graph, with what is to be said about it, and as a picture.

::

    found = topology(router, publishes=[OrderPlaced])
    for finding in found.findings:
        print(finding)
    Path("topology.html").write_text(to_html(found))
"""

from eventrouter.topology._drawing import to_dot, to_mermaid
from eventrouter.topology._make import topology
from eventrouter.topology._model import TOPOLOGY_CODES, Edge, EventType, FanOut, Node, Topology, TopologyFinding
from eventrouter.topology._page import to_html
from eventrouter.topology._types import Published

__all__ = [
    "TOPOLOGY_CODES",
    "Edge",
    "EventType",
    "FanOut",
    "Node",
    "Published",
    "Topology",
    "TopologyFinding",
    "to_dot",
    "to_html",
    "to_mermaid",
    "topology",
]
