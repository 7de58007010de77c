"""Which elements of an event's arrays come nearest to satisfying a rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from eventrouter.patterns._evaluate import Trail

#: The elements that are settled on: of each array, which.
Elements: TypeAlias = dict[int, int]
#: An element of an array, or None for the event itself: what an array is in.
Holder: TypeAlias = tuple[int, int] | None
#: What the fields cost, by their numbers, where they have a value.
_Costs: TypeAlias = dict[int, float]


def goes_with(trail: Trail, elements: Elements) -> bool:
    """Say whether a value is not in another element of an array than the one settled on."""
    return all(elements.get(array, element) == element for array, element in trail)


def lies_in(trail: Trail, elements: Elements) -> bool:
    """Say whether a value is in the elements settled on, or outside of all arrays."""
    return all(elements.get(array) == element for array, element in trail)


def nearest_elements(
    found: Iterable[Iterable[tuple[Trail, float]]],
    missing: Sequence[float],
    holders: Sequence[Holder],
    element_without: Callable[[int, Container[int]], int | None],
) -> Elements:
    """Settle on an element of each array that a rule has values in, such that they cost least together.

    From the inside out: an element costs what its own values cost, and the best elements of the arrays inside it. Each
    value is looked at once, so this is linear in the size of the event.

    Args:
        found: Of each field, where it has values, and what each costs.
        missing: What each field costs when it has none.
        holders: What each array is in.
        element_without: Gives an element of an array that is not among the given ones, if there is any.
    """
    costs: dict[int, dict[int, _Costs]] = {}  # by array and element
    for number, values in enumerate(found):
        for trail, cost in values:
            if trail:
                _lower(costs, trail[-1], number, cost)
    best: Elements = {}
    for array in range(max(costs, default=-1), -1, -1):  # inner arrays have higher numbers
        if array in costs:
            best[array] = element = _best(costs[array], missing, partial(element_without, array))
            holder = holders[array]
            if holder is not None:
                costs.setdefault(holder[0], {}).setdefault(holder[1], {})
                for number, cost in costs[array].get(element, {}).items():
                    _lower(costs, holder, number, cost)
    return _reached(best, holders)


def _lower(costs: dict[int, dict[int, _Costs]], element: tuple[int, int], number: int, cost: float) -> None:
    fields = costs.setdefault(element[0], {}).setdefault(element[1], {})
    if cost < fields.get(number, math.inf):
        fields[number] = cost


def _best(
    elements: Mapping[int, _Costs],
    missing: Sequence[float],
    element_without: Callable[[Container[int]], int | None],
) -> int:
    least, best = math.inf, 0
    for element, costs in elements.items():
        # Compared with an element that has none of the values.
        gain = sum([cost - missing[number] for number, cost in costs.items()])
        least, best = min((least, best), (gain, element))
    without = element_without(elements) if least > 0 else None
    return best if without is None else without


def _reached(best: Elements, holders: Sequence[Holder]) -> Elements:
    """Leave out the arrays inside elements that were not settled on."""
    reached: Elements = {}
    for array in sorted(best):
        holder = holders[array]
        if holder is None or reached.get(holder[0]) == holder[1]:
            reached[array] = best[array]
    return reached
