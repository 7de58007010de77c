"""Where the nodes of a topology stand in a picture: in columns, each to the right of what sends to it."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from eventrouter.topology._model import Topology

_SWEEPS = 6  # more hardly change anything


def columns(topology: Topology) -> list[list[str]]:
    """Place the nodes so that few ways go back, and few cross: each column from top to bottom."""
    following = _without_ways_back(topology)
    depth = dict.fromkeys(topology.nodes, 0)
    for id in _in_order(following):
        for other in following[id]:
            depth[other] = max(depth[other], depth[id] + 1)
    received = {other for others in following.values() for other in others}
    for id in topology.nodes:  # what only sends stands right before what it sends to
        if following[id] and id not in received:
            depth[id] = min(depth[other] for other in following[id]) - 1
    placed: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for id in topology.nodes:
        placed[depth[id]].append(id)
    return _uncrossed(topology, placed)


def _without_ways_back(topology: Topology) -> dict[str, list[str]]:
    """Give what follows each node, without the edges that would lead back to where one came from."""
    following: dict[str, list[str]] = {id: [] for id in topology.nodes}
    ahead = {id: sorted({edge.target for edge in topology.edges_from(id)}) for id in topology.nodes}
    on_the_way: set[str] = set()
    done: set[str] = set()
    for start in topology.nodes:
        stack = [(start, iter(ahead[start]))] if start not in done else []
        on_the_way.update(id for id, _ in stack)
        while stack:
            id, others = stack[-1]
            other = next(others, None)
            if other is None:
                stack.pop()
                on_the_way.discard(id)
                done.add(id)
            elif other not in on_the_way:
                following[id].append(other)
                if other not in done:
                    on_the_way.add(other)
                    stack.append((other, iter(ahead[other])))
    return following


def _in_order(following: Mapping[str, list[str]]) -> list[str]:
    """Give the nodes so that each comes before those that follow it."""
    waited_for = dict.fromkeys(following, 0)
    for others in following.values():
        for other in others:
            waited_for[other] += 1
    ready = [id for id, number in waited_for.items() if number == 0]
    for id in ready:
        for other in following[id]:
            waited_for[other] -= 1
            if waited_for[other] == 0:
                ready.append(other)  # which the loop goes on with
    return ready


def _uncrossed(topology: Topology, placed: list[list[str]]) -> list[list[str]]:
    """Order each column by where the neighbours stand, from left to right and back (Sugiyama's barycentres)."""
    neighbours: dict[str, set[str]] = {id: set() for id in topology.nodes}
    for edge in topology.edges:
        neighbours[edge.source].add(edge.target)
        neighbours[edge.target].add(edge.source)
    height = {id: float(row) for column in placed for row, id in enumerate(column)}
    for sweep in range(_SWEEPS):
        for column in placed if sweep % 2 == 0 else placed[::-1]:
            wanted = {
                id: fmean(height[other] for other in neighbours[id]) if neighbours[id] else height[id] for id in column
            }
            column.sort(key=wanted.__getitem__)
            height.update((id, float(row)) for row, id in enumerate(column))
    return placed
