"""The code that tests a string, with as few operations as there can be.

On CPython a comparison costs far less than a method call. A string begins with a text if it lies between that and what
follows it in the order of strings: two comparisons; and where several beginnings are asked for, a few comparisons tell
which it has. Other tests begin with one that is cheap and that most values fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.patterns import EqualsIgnoreCase, Prefix, Suffix, Wildcard

#: The tests of strings that take more than a comparison.
TextTest: TypeAlias = Prefix | Suffix | EqualsIgnoreCase | Wildcard

_TAILS: Final = 3  # ends of a string of which the last character is looked at first
_FEW: Final = 2  # keys that are added one by one
_LAST_CHARACTER: Final = chr(0x10FFFF)


class Conditions(NamedTuple):
    """What a string has to fulfil, as code.

    Attributes:
        variable: What begins and ends so: `v` and the slot, which is the string, or `l`, the same in lower case.
        head: What it has to begin with, or empty.
        tail: What it has to end with, or empty.
        rest: What else has to hold, cheapest first.
    """

    variable: str
    head: str
    tail: str
    rest: tuple[str, ...] = ()


class Item(NamedTuple):
    """A key that is found for strings that fulfil conditions, or for all values but those."""

    key: Any
    conditions: Conditions
    is_but: bool


class Texts:
    """Writes the code.

    Args:
        bind: Gives a name to a constant.
    """

    def __init__(self, bind: Callable[[Any], str]) -> None:
        self._bind = bind

    def conditions(self, slot: int, test: TextTest, *, is_alone: bool) -> Conditions:  # noqa: PLR0911 - by kind
        """Give the conditions of a test; *is_alone* if no other test of the slot compares it in lower case."""
        value, lower = f"v{slot}", f"l{slot}"
        if isinstance(test, Wildcard):
            return self._wildcard(value, test)
        text = test.text
        is_whole = isinstance(test, EqualsIgnoreCase)
        if not is_folded(test):
            if is_whole:
                return Conditions(value, "", "", (f"{value} == {self._bind(text)}",))
            return Conditions(value, text, "") if isinstance(test, Prefix) else Conditions(value, "", text)
        if not text.isascii():
            return Conditions(value, "", "", (f"{self._bind(test.accepts)}({value})",))
        # No character but the Kelvin sign, which is a small k in lower case, has an ASCII one as its lower case.
        small = text.lower()
        if is_whole and is_alone:
            whole = (f"len({value}) == {len(text)}", f"{value}.lower() == {self._bind(small)}", f"{value}.isascii()")
            return Conditions(value, "", "", whole)
        if is_whole:
            return Conditions(lower, "", "", (f"{lower} == {self._bind(small)}", f"{value}.isascii()"))
        if isinstance(test, Prefix):
            return Conditions(lower, small, "", (f"{value}[{self._bind(slice(len(text)))}].isascii()",))
        return Conditions(lower, "", small, (f"{value}[{self._bind(slice(-len(text), None))}].isascii()",))

    def _wildcard(self, value: str, test: Wildcard) -> Conditions:
        first, *between = test.parts
        if not between:
            return Conditions(value, "", "", (f"{value} == {self._bind(first)}",))
        last = between.pop()
        rest = []
        if between and not first and not last:
            rest.append(f"{self._bind(max(between, key=len))} in {value}")
        if len(between) > 1 or (between and (first or last)):
            rest.append(f"{self._bind(test.accepts)}({value})")
        elif first and last and not between:
            rest.append(f"len({value}) >= {len(first) + len(last)}")
        return Conditions(value, first, last, tuple(rest))

    def all_of(self, conditions: Conditions) -> str:
        """Give the conditions as one expression, of what is known to be a string."""
        variable, head, tail, rest = conditions
        tests = [self._begins(variable, head)] if head else []
        return " and ".join([*tests, *self._ends(variable, tail), *rest]) or "True"

    def _begins(self, variable: str, head: str) -> str:
        low, after = f"{self._bind(head)} <= {variable}", following(head)
        return low if after is None else f"{low} < {self._bind(after)}"

    def _ends(self, variable: str, tail: str) -> list[str]:
        if not tail:
            return []
        end = f"{variable}[{self._bind(slice(-len(tail), None))}] == {self._bind(tail)}"
        # To find a text in a string takes half the time of cutting its end out, and most have it nowhere.
        return [f"{self._bind(tail)} in {variable}", end] if len(tail) > 1 else [end]

    def block(self, slot: int, items: Sequence[Item]) -> list[str]:
        """Give the code that adds the keys of items of one slot to `keys`."""
        lines = [f"if type(v{slot}) is str:"]
        for variable in (f"v{slot}", f"l{slot}"):
            of_variable = [item for item in items if item.conditions.variable == variable]
            heads = [item for item in of_variable if item.conditions.head]
            others = [item for item in of_variable if not item.conditions.head]
            if heads:
                lines += (f"    {line}" for line in self._tree(variable, heads, _bounds(heads)))
            last = ""
            if len({item.conditions.tail for item in others} - {""}) >= _TAILS:
                last = f"z{variable}"
                lines.append(f"    {last} = {variable}[{self._bind(slice(-1, None))}]")
            lines += (f"    {line}" for item in others for line in self._line(item, last))
        if len(lines) == 1:  # an anything-but that every string fails
            lines.append("    pass")
        buts = [item.key for item in items if item.is_but]
        return [*lines, *([f"elif v{slot} is not ABSENT:", f"    {self._add(buts)}"] if buts else [])]

    def _tree(self, variable: str, items: Sequence[Item], bounds: Sequence[str], low: int = 0) -> Iterator[str]:
        """Halve the bounds at which beginnings start and end; then it is known which a string has, if any."""
        if bounds:
            half = len(bounds) // 2
            yield f"if {variable} < {self._bind(bounds[half])}:"
            yield from (f"    {line}" for line in self._tree(variable, items, bounds[:half], low))
            yield "else:"
            yield from (f"    {line}" for line in self._tree(variable, items, bounds[half + 1 :], low + half + 1))
            return
        all_bounds = _bounds(items)
        keys, lines = [], []
        for item in items:
            after = following(item.conditions.head)
            end = all_bounds.index(after) if after is not None else len(all_bounds)
            if all_bounds.index(item.conditions.head) < low <= end:
                lines += self._line(item._replace(conditions=item.conditions._replace(head="")))
            elif item.is_but:
                keys.append(item.key)
        yield from [*([self._add(keys)] if keys else []), *lines] or ["pass"]

    def _line(self, item: Item, last: str = "") -> list[str]:
        """Give the code of an item of which the beginning is known."""
        variable, _, tail, rest = item.conditions
        ends = self._ends(variable, tail)
        if last and tail:
            ends = [f"{last} == {self._bind(tail[-1])}", *ends[-1:]][: len(tail)]
        tests = [*ends, *rest]
        if not tests:
            return [] if item.is_but else [self._add([item.key])]
        if len(tests) == 1 and item.is_but and " == " in tests[0]:
            condition = tests[0].replace(" == ", " != ")
        else:
            condition = f"not ({' and '.join(tests)})" if item.is_but else " and ".join(tests)
        return [f"if {condition}: {self._add([item.key])}"]

    def _add(self, keys: Sequence[Any]) -> str:
        if len(keys) > _FEW:
            return f"keys += {self._bind(tuple(keys))}"
        return "; ".join(f"keys.append({self._bind(key)})" for key in keys)


def _bounds(items: Sequence[Item]) -> list[str]:
    heads = {item.conditions.head for item in items}
    return sorted(heads | {after for head in heads if (after := following(head)) is not None})


def is_folded(test: object) -> bool:
    """Say whether a test ignores case, and its text has any."""
    if isinstance(test, EqualsIgnoreCase) or (isinstance(test, Prefix | Suffix) and test.ignores_case):
        return not test.text.isascii() or test.text.lower() != test.text.upper()
    return False


def following(text: str) -> str | None:
    """Give the first string after all that begin with a text, if there is any."""
    text = text.rstrip(_LAST_CHARACTER)
    return text[:-1] + chr(ord(text[-1]) + 1) if text else None
