"""A topology as text, as a picture and as a page."""

import html
import json
import re
from itertools import pairwise

import pytest

from eventrouter import BusTarget, DeadLetterQueue, EventRouter, FunctionTarget
from eventrouter.topology import Edge, Node, Topology, to_dot, to_html, to_mermaid, topology
from eventrouter.topology._drawing import to_json, to_lines
from eventrouter.topology._layout import columns
from tests.support import make_event
from tests.topology.test_topology import Charged, Placed


@pytest.fixture
def router():
    """A shop whose audit bus sends everything back, with names that are text and nothing else."""
    router = EventRouter()
    router.add_event_bus("audit")

    @router.on(Placed)
    async def charge(order: Placed) -> Charged: ...

    router.put_rule("to-audit", {"source": ["shop"]})
    router.put_targets("to-audit", [BusTarget(id="audit", router=router, event_bus_name="audit")])
    router.put_rule("back", {"source": [{"wildcard": "<script>*\"'&"}, "shop"]}, event_bus_name="audit")
    router.put_targets("back", [BusTarget(id="own", router=router, event_bus_name="default")], event_bus_name="audit")
    router.put_rule("nightly", schedule_expression="rate(1 hour)")
    lost = DeadLetterQueue(name="lost")
    tidy = FunctionTarget(id="a-name-that-is-longer-than-the-box", function=charge, dead_letter_queue=lost)
    router.put_targets("nightly", [tidy])
    return router


def test_mermaid_has_every_node_and_edge(router):
    found = topology(router, publishes=[Placed, {"source": ['a"]<b>']}])
    drawn = to_mermaid(found)
    assert drawn.startswith("flowchart LR\n")
    assert len(re.findall(r"^    n\d+ (-->|-\.->)", drawn, re.MULTILINE)) == len(found.edges)
    assert len(re.findall(r'^    n\d+[^ ]*"[^"]*"[^ ]*$', drawn, re.MULTILINE)) <= len(found.nodes)
    labels = re.findall(r'^    n\d+\S*?"([^"]*)"', drawn, re.MULTILINE)
    assert [re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label) for label in labels] == [
        node.label for node in found.nodes.values()
    ]
    assert "-.->|dead letters|" in drawn
    assert "-->|returns|" in drawn


def test_dot_has_every_node_and_edge_and_quotes_what_it_must(router):
    found = topology(router, publishes=[{"source": ['a"\\b']}])
    drawn = to_dot(found)
    assert drawn.count(" -> ") == len(found.edges)
    assert drawn.count(" shape=") == len(found.nodes)
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', drawn)
    assert re.sub(r'"(?:[^"\\]|\\.)*"', "", drawn).count('"') == 0
    assert any('a\\\\\\"' in string for string in strings)
    assert "[style=dashed label=" in drawn


def test_lines_tell_of_every_part(router):
    lines = list(to_lines(topology(router, publishes=[Placed], traffic=[make_event()])))
    assert lines[2:6] == [
        "bus default  one event becomes 9 deliveries at most; 1 events became 0.00 on average, 0 at most",
        '  matched by charge  pattern: {"detail-type":["Placed"],"source":["shop"]}',
        f"    sent to charge  type: FunctionTarget  function: {__name__}.router.<locals>.charge",
        "      returns event type Charged",
    ]
    assert "    sent to bus audit" in lines
    assert "rule nightly  schedule: rate(1 hour)" in lines
    assert list(to_lines(Topology({"bus:a": Node("bus:a", "bus", "a")}, ()))) == ["bus a"]


def test_json_has_all_of_it(router):
    found = topology(router, publishes=[Placed])
    read = json.loads(to_json(found))
    assert [node["id"] for node in read["nodes"]] == list(found.nodes)
    assert len(read["edges"]) == len(found.edges)
    assert [finding["code"] for finding in read["findings"]] == [finding.code for finding in found.findings]
    assert read["fan_out"]["default"]["at_most"] == 9


# -- the picture -------------------------------------------------------------------------------------------------


def made(*edges):
    names = dict.fromkeys("".join(edges))
    return Topology(
        {name: Node(name, "target", name) for name in names}, tuple(Edge(edge[0], edge[1], "sent to") for edge in edges)
    )


@pytest.mark.parametrize(
    ("edges", "placed"),
    [
        ((), []),
        (("ab", "bc", "ac"), [["a"], ["b"], ["c"]]),
        (("ab", "ba"), [["a"], ["b"]]),
        (("aa",), [["a"]]),
        (("ab", "bc", "ca", "cd"), [["a"], ["b"], ["c"], ["d"]]),
        (("ab", "bc", "xc"), [["a"], ["b", "x"], ["c"]]),
        (("ad", "bc"), [["a", "b"], ["d", "c"]]),
        (("ab", "cb", "ab"), [["a", "c"], ["b"]]),
    ],
)
def test_each_node_stands_to_the_right_of_what_sends_to_it(edges, placed):
    assert columns(made(*edges)) == placed


def test_a_long_chain_is_no_matter():
    names = [f"n{number}" for number in range(5_000)]
    nodes = {name: Node(name, "target", name) for name in names}
    edges = tuple(Edge(first, second, "sent to") for first, second in pairwise(names))
    assert columns(Topology(nodes, edges)) == [[name] for name in names]


def test_the_page_shows_every_part_and_loads_nothing(router):
    found = topology(router, publishes=[Placed], traffic=[make_event()])
    page = to_html(found, "<Shop>")
    assert "<title>&lt;Shop&gt;</title>" in page
    assert re.findall(r'<g class="node [^"]*" data-id="([^"]*)"', page) == [html.escape(id) for id in found.nodes]
    assert page.count('<g class="edge ') == len(found.edges)
    assert page.count("<article ") == len(found.nodes)
    for finding in found.findings:
        assert html.escape(finding.message) in page
    assert "<script>*" not in page
    assert not re.search(r"(src|href)=|https?:|@import|url\((?!#)", page)
    assert "default-src 'none'" in page
    assert ">a-name-that-is-longer-th…<" in page
    assert "2 event types" in page
    assert "2 buses" in page
    assert "<td>1<td>0.00<td>0</tr>" in page


def test_the_page_of_an_empty_router_has_no_findings():
    router = EventRouter()
    router.put_archive("all", {"source": ["shop"]})
    page = to_html(topology(router))
    assert 'id="findings"' not in page
    assert "1 bus<" in page
    assert "<table>" not in to_html(Topology({}, ()))
