"""Which of many numeric ranges a number lies in."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from fractions import Fraction
from typing import Final, Generic, TypeAlias, TypeVar

from eventrouter.matching._bags import Bag, with_item, without_item
from eventrouter.patterns import Numeric

P = TypeVar("P")

#: A bound, and 1 if it is excluded from a range above it (included in one below it), else 0: so bounds sort in the
#: order in which a growing number passes them.
_Edge: TypeAlias = tuple[float, int]

#: A range with two ends, each with whether it is excluded.
_Range: TypeAlias = tuple[float, bool, float, bool]

_BLOCK: Final = 256  # edges that are copied to add one


class Intervals(Generic[P]):
    """Ranges of numbers, each with payloads.

    Half-open ranges are sorted by their bound, so that those that hold a number are a slice. Closed ranges lie on
    grids: one whose length is at most 2**n lies in one or two neighbouring cells of the grid of that width, and a
    number has to look into two cells of each grid that is in use. So a look-up costs the grids in use and about what it
    finds.

    As everywhere in the index, a reader may be at work during a change: what it iterates over is replaced, not changed,
    unless something is only appended.
    """

    __slots__ = ("_above", "_below", "_grids", "_levels")

    def __init__(self) -> None:
        self._above: _Edges[P] = _Edges()
        self._below: _Edges[P] = _Edges()
        self._grids: dict[int, dict[int, Bag[tuple[_Range, P]]]] = {}
        self._levels: tuple[tuple[int, dict[int, Bag[tuple[_Range, P]]]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self._above.blocks or self._below.blocks or self._grids)

    def add(self, test: Numeric, payload: P) -> None:
        """Add a range; not one of `=`."""
        if len(test.bounds) == 1:
            edges, edge = self._edge(test)
            edges.add(edge, payload)
            return
        limits, level, cell = _place(test)
        if level not in self._grids:
            self._grids[level] = {}
            self._levels = tuple(self._grids.items())
        grid = self._grids[level]
        grid[cell] = with_item(grid.get(cell, ()), (limits, payload))

    def discard(self, test: Numeric, payload: P) -> None:
        """Take a range away that was added."""
        if len(test.bounds) == 1:
            edges, edge = self._edge(test)
            edges.discard(edge, payload)
            return
        limits, level, cell = _place(test)
        grid = self._grids[level]
        grid[cell] = without_item(grid[cell], (limits, payload))
        if not grid[cell]:
            del grid[cell]
            if not grid:
                del self._grids[level]
                self._levels = tuple(self._grids.items())

    def find(self, value: float, found: list[P]) -> None:  # noqa: C901 - hot
        """Add the payloads of the ranges that hold a number."""
        here = (value, 0)
        for edges, payloads in self._above.blocks:
            if edges[0] > here:
                break
            for some in payloads[: bisect_right(edges, here)]:
                found += some
        for edges, payloads in reversed(self._below.blocks):
            first = bisect_right(edges, here)
            for some in payloads[first:]:
                found += some
            if first:
                break
        for level, grid in self._levels:
            cell = _cell(value, level)
            if cell is None:
                return
            for near in (cell - 1, cell):
                for (low, is_above, high, is_below), payload in tuple(grid.get(near, ())):
                    # As is written in `Numeric.accepts`, which would be ten times as slow.
                    if (low < value if is_above else low <= value) and (value < high if is_below else value <= high):
                        found.append(payload)

    def _edge(self, test: Numeric) -> tuple[_Edges[P], _Edge]:
        # Above: `>= 5` is passed at (5, 0), `> 5` after it. Below: `< 5` holds up to but not at (5, 0), `<= 5` at it.
        [(name, bound)] = test.bounds
        return self._above if name[0] == ">" else self._below, (bound, int(name in (">", "<=")))


class _Edges(Generic[P]):
    """Bounds in order, each with its payloads, in blocks that are replaced whole."""

    __slots__ = ("blocks",)

    def __init__(self) -> None:
        self.blocks: list[tuple[list[_Edge], list[Bag[P]]]] = []

    def add(self, edge: _Edge, payload: P) -> None:
        number, place, is_known = self._find(edge)
        if is_known:
            payloads = self.blocks[number][1]
            payloads[place] = with_item(payloads[place], payload)
            return
        edges, payloads = self.blocks[number] if self.blocks else ([], [])
        edges = [*edges[:place], edge, *edges[place:]]
        payloads = [*payloads[:place], (payload,), *payloads[place:]]
        half = len(edges) // 2 if len(edges) > _BLOCK else 0
        halves = [(edges[:half], payloads[:half])] if half else []
        self.blocks = [*self.blocks[:number], *halves, (edges[half:], payloads[half:]), *self.blocks[number + 1 :]]

    def discard(self, edge: _Edge, payload: P) -> None:
        number, place, _ = self._find(edge)
        edges, payloads = self.blocks[number]
        left = without_item(payloads[place], payload)
        kept = int(bool(left))
        edges = [*edges[:place], *[edge] * kept, *edges[place + 1 :]]
        payloads = [*payloads[:place], *[left] * kept, *payloads[place + 1 :]]
        self.blocks = [*self.blocks[:number], *[(edges, payloads)] * bool(edges), *self.blocks[number + 1 :]]

    def _find(self, edge: _Edge) -> tuple[int, int, bool]:
        """Give the block that an edge belongs to, its place there, and whether it is there."""
        number = max(bisect_right(self.blocks, edge, key=lambda block: block[0][0]) - 1, 0)
        if not self.blocks:
            return 0, 0, False
        edges = self.blocks[number][0]
        place = bisect_left(edges, edge)
        return number, place, place < len(edges) and edges[place] == edge


def _place(test: Numeric) -> tuple[_Range, int, int]:
    """Give a closed range, its grid, as the exponent of its width, and the cell of its lower bound."""
    (above, low), (below, high) = test.bounds
    length = Fraction(high) - Fraction(low)  # exact, as two bounds may be the same double and yet not equal
    level = length.numerator.bit_length() - length.denominator.bit_length() + 1
    return (low, above == ">", high, below == "<"), level, _cell(low, level) or 0


def _cell(value: float, level: int) -> int | None:
    """Give the cell of a number; exact, so that rounding moves no number out of its range. Infinities have none."""
    if isinstance(value, int):
        return value >> level if level >= 0 else value << -level
    if math.isinf(value):
        return None
    try:
        scaled = math.ldexp(value, -level)
    except OverflowError:  # the grid of a range that is narrow indeed
        numerator, denominator = value.as_integer_ratio()
        return (numerator << -level) // denominator
    return -1 if scaled == 0 and value < 0 else math.floor(scaled)
