"""The code for rules that consist of one test of a string each, field by field.

Most values decide most such rules the same way: what a rule excludes is rare, and some fields have one value in most
events. So the keys that are expected stand in the list from the start, and the code puts right what is otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from eventrouter.matching._texts import Conditions, Texts, TextTest, following

_TAILS: Final = 3  # ends of a string of which the last character is looked at first
_FEW: Final = 2  # keys that are added one by one


class Item(NamedTuple):
    """A key that is found for strings that fulfil conditions, or for all values but those.

    Attributes:
        place: Where the key stands in the list from the start, as it is expected to be found; None if it is not.
    """

    key: Any
    test: TextTest
    conditions: Conditions
    is_but: bool
    place: int | None = None

    def is_found(self, *, holds: bool) -> bool:
        """Say whether the key is found where the conditions hold, or where they do not."""
        return holds != self.is_but


class Blocks:
    """Writes the code.

    Args:
        bind: Gives a name to a constant.
        usual: The string that a slot has in most events.
        texts: Slots that have nothing but strings.
    """

    def __init__(self, bind: Callable[[Any], str], usual: Mapping[int, str], texts: Collection[int]) -> None:
        self._bind = bind
        self._usual = usual
        self._only_texts = texts
        self._texts = Texts(bind)

    def write(self, items: Mapping[int, Iterable[Item]]) -> tuple[list[Any], list[str]]:
        """Give the keys that are to be in `keys` before, and the code that then makes `keys` right."""
        ordered = {slot: sorted(some, key=_order) for slot, some in items.items()}
        expected = [(slot, item) for slot, some in ordered.items() for item in some if self._is_expected(slot, item)]
        # The code comes to the last place first: so to take a key away leaves those places alone that are yet to come.
        places = {id(item): place for place, (_, item) in enumerate(reversed(expected))}
        lines = []
        for slot, some in ordered.items():
            lines += self._block(slot, [item._replace(place=places.get(id(item))) for item in some])
        return [item.key for _, item in reversed(expected)], lines

    def _is_expected(self, slot: int, item: Item) -> bool:
        usual = self._usual.get(slot)
        return item.is_found(holds=usual is not None and item.test.accepts(usual))

    def _block(self, slot: int, items: Sequence[Item]) -> list[str]:
        value = f"v{slot}"
        lines = self._of_string(slot, items)
        if slot not in self._only_texts:
            present = [self._settled(item, is_found=item.is_but) for item in items]
            absent = [self._settled(item, is_found=False) for item in items]
            branches = {
                f"if type({value}) is str:": lines,
                f"elif {value} is not ABSENT:": list(filter(None, present)),
                "else:": list(filter(None, absent)),
            }
            lines = [
                line for head, body in branches.items() if body or head != "else:" for line in (head, *_inside(body))
            ]
        if slot in self._usual and lines:
            return [f"if {value} != {self._bind(self._usual[slot])}:", *_inside(lines)]
        return lines

    def _of_string(self, slot: int, items: Sequence[Item]) -> list[str]:
        lines = []
        for variable in (f"v{slot}", lower_of(slot)):
            of_variable = [item for item in items if item.conditions.variable == variable]
            heads = [item for item in of_variable if item.conditions.head]
            others = [item for item in of_variable if not item.conditions.head]
            if of_variable and variable == lower_of(slot):
                lines.append(f"{variable} = v{slot}.lower()")
            if heads:
                lines += self._tree(variable, heads, _bounds(heads))
            lines += self._others(variable, others)
        return lines

    def _others(self, variable: str, items: Sequence[Item]) -> list[str]:
        """Give the code of items that ask for no beginning."""
        tails = "".join({item.conditions.tail[-1:]: None for item in items})
        if len({item.conditions.tail for item in items} - {""}) < _TAILS:
            return [line for item in items for line in self._line(item)]
        last = f"z{variable}"
        first_line = f"{last} = {variable}[{self._bind(slice(-1, None))}]"
        lines = [line for item in items for line in self._line(item, last)]
        if all(item.conditions.tail and _acts_if_it_holds(item) for item in items):
            return [first_line, f"if {last} in {self._bind(tails)}:", *_inside(lines)]
        return [first_line, *lines]

    def _tree(self, variable: str, items: Sequence[Item], bounds: Sequence[str], low: int = 0) -> Iterator[str]:
        """Halve the bounds at which beginnings start and end; then it is known which a string has, if any."""
        if bounds:
            half = len(bounds) // 2
            below = [*self._tree(variable, items, bounds[:half], low)]
            above = [*self._tree(variable, items, bounds[half + 1 :], low + half + 1)]
            bound = self._bind(bounds[half])
            if below:
                yield from (f"if {variable} < {bound}:", *_inside(below))
                yield from ("else:", *_inside(above)) if above else ()
            else:  # there is something on one side: at a bound an item begins or ceases to need anything done
                yield from (f"if {variable} >= {bound}:", *_inside(above))
            return
        all_bounds = _bounds(items)
        added, lines = [], []
        for item in items:
            after = following(item.conditions.head)
            end = all_bounds.index(after) if after is not None else len(all_bounds)
            if all_bounds.index(item.conditions.head) < low <= end:
                lines += self._line(item._replace(conditions=item.conditions._replace(head="")))
            elif item.place is None and item.is_but:
                added.append(item.key)
            elif not item.is_but and item.place is not None:
                lines.append(self._settled(item, is_found=False))
        yield from [*([self._add(added)] if added else []), *lines]

    def _line(self, item: Item, last: str = "") -> list[str]:
        """Give the code of an item of which the beginning is known."""
        variable, _, tail, rest = item.conditions
        ends = self._texts.ends(variable, tail)
        if last and tail:
            ends = [f"{last} == {self._bind(tail[-1])}", *ends[-1:]][: len(tail)]
        tests = [*ends, *rest]
        if not tests:
            action = self._settled(item, is_found=item.is_found(holds=True))
            return [action] if action else []
        action = self._settled(item, is_found=item.place is None)
        if _acts_if_it_holds(item):
            return [f"if {' and '.join(tests)}: {action}"]
        if len(tests) == 1 and " == " in tests[0]:
            return [f"if {tests[0].replace(' == ', ' != ')}: {action}"]
        return [f"if not ({' and '.join(tests)}): {action}"]

    def _settled(self, item: Item, *, is_found: bool) -> str:
        """Give what is to be done where it is known whether a key is found; that may be nothing."""
        if item.place is None:
            return self._add([item.key]) if is_found else ""
        return "" if is_found else f"del keys[{item.place}]"

    def _add(self, keys: Sequence[Any]) -> str:
        if len(keys) > _FEW:
            return f"keys += {self._bind(tuple(keys))}"
        return "; ".join(f"keys.append({self._bind(key)})" for key in keys)


def lower_of(slot: int) -> str:
    """Name the variable that has a string in lower case, where a block needs it."""
    return f"y{slot}"


def _order(item: Item) -> tuple[bool, bool]:
    """Rank items as the code comes to them."""
    return not item.conditions.variable.startswith("v"), not item.conditions.head


def _acts_if_it_holds(item: Item) -> bool:
    """Say whether `keys` has to be changed where the conditions hold, not where they do not."""
    return item.is_but == (item.place is not None)


def _inside(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines] or ["    pass"]


def _bounds(items: Sequence[Item]) -> list[str]:
    heads = {item.conditions.head for item in items}
    return sorted(heads | {after for head in heads if (after := following(head)) is not None})
