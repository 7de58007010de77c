"""The code that tests a string, with as few operations as there can be.

On CPython a comparison costs far less than a method call. A string begins with a text if it lies between that and what
follows it in the order of strings: two comparisons; and where several beginnings are asked for, a few comparisons tell
which it has. Other tests begin with one that is cheap and that most values fail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.patterns import EqualsIgnoreCase, Exactly, Prefix, Suffix, Wildcard

#: The tests that only strings pass.
TextTest: TypeAlias = Prefix | Suffix | EqualsIgnoreCase | Wildcard | Exactly

_LAST_CHARACTER: Final = chr(0x10FFFF)


class Conditions(NamedTuple):
    """What a string has to fulfil, as code.

    Attributes:
        variable: What begins and ends so: `v` and the slot, which is the string, or what has it in lower case.
        head: What it has to begin with, or empty.
        tail: What it has to end with, or empty.
        rest: What else has to hold, cheapest first.
    """

    variable: str
    head: str
    tail: str
    rest: tuple[str, ...] = ()


class Texts:
    """Writes the code.

    Args:
        bind: Gives a name to a constant.
    """

    def __init__(self, bind: Callable[[Any], str]) -> None:
        self._bind = bind

    def conditions(self, slot: int, test: TextTest, lower: str, *, is_alone: bool) -> Conditions:  # noqa: PLR0911
        """Give the conditions of a test.

        Args:
            slot: Of the string.
            test: The test.
            lower: The variable that has the string in lower case.
            is_alone: Whether hardly any other test of the slot compares it in lower case.
        """
        value = f"v{slot}"
        if isinstance(test, Exactly):
            return Conditions(value, "", "", (f"{value} == {self._bind(test.text)}",))
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
            return Conditions(lower, small, "", (self._is_ascii(value, slice(len(text))),))
        return Conditions(lower, "", small, (self._is_ascii(value, slice(-len(text), None)),))

    def _is_ascii(self, value: str, part: slice) -> str:
        return f"({value}.isascii() or {value}[{self._bind(part)}].isascii())"  # of the whole it costs less

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
        return " and ".join([*tests, *self.ends(variable, tail), *rest]) or "True"

    def _begins(self, variable: str, head: str) -> str:
        low, after = f"{self._bind(head)} <= {variable}", following(head)
        return low if after is None else f"{low} < {self._bind(after)}"

    def ends(self, variable: str, tail: str) -> list[str]:
        """Give the tests of what a string ends with."""
        if not tail:
            return []
        end = f"{variable}[{self._bind(slice(-len(tail), None))}] == {self._bind(tail)}"
        # To find a text in a string takes half the time of cutting its end out, and most have it nowhere.
        return [f"{self._bind(tail)} in {variable}", end] if len(tail) > 1 else [end]


def is_folded(test: object) -> bool:
    """Say whether a test ignores case, and its text has any."""
    if isinstance(test, EqualsIgnoreCase) or (isinstance(test, Prefix | Suffix) and test.ignores_case):
        return not test.text.isascii() or test.text.lower() != test.text.upper()
    return False


def following(text: str) -> str | None:
    """Give the first string after all that begin with a text, if there is any."""
    text = text.rstrip(_LAST_CHARACTER)
    return text[:-1] + chr(ord(text[-1]) + 1) if text else None
