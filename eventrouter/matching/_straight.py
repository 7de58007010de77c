"""The code that matches one event against few rules: their tests, one after the other, as straight-line Python.

What several rules test is tested once, and what takes time only if all else has been passed. Strings have a module of
their own, `_texts.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from eventrouter.matching._blocks import Blocks, Item, lower_of
from eventrouter.matching._checks import Fields, Filters, accepts_any, is_extreme, text_of
from eventrouter.matching._projection import Extraction
from eventrouter.matching._texts import Texts, TextTest, is_folded
from eventrouter.patterns import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
    parse_address,
)

MAXIMUM_RULES: Final = 48  # past it looking a value up costs less
MAXIMUM_TESTS: Final = 150  # of all these rules together
_MANY: Final = 6  # strings that are looked up together
_FEW: Final = 2  # strings that are compared ignoring case without making the value small for all

_OPERATORS: Final = {"=": "==", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


class Straight:
    """Writes the code that puts the keys of the rules that match into `keys`.

    Args:
        rules: The rules of each key, any of which makes it match.
        extraction: Says where the values are.

    Attributes:
        lines: The code.
    """

    def __init__(self, rules: Mapping[Any, Sequence[Fields]], extraction: Extraction) -> None:
        self._lists = extraction.lists
        self._numbers = extraction.numbers
        self._deferred = extraction.deferred
        self._scans = extraction.scans
        self._names = extraction.names
        self._names |= {"parse_address": parse_address, "NONE": (), "INFINITY": math.inf}
        self._constants = 0
        self._texts = Texts(self._constant)
        self._usual, self._only_texts = extraction.usual, extraction.texts
        self._scanning: dict[int, list[str]] = {}
        self._helpers: dict[str, str] = {**self._deferred}
        exact, others = self._split(rules)
        tests = [test for _, ways in others for fields in ways for test in fields]
        self._uses = Counter(tests)
        self._tests = Counter(slot for slot, _ in _each(tests))
        self._folds = Counter(slot for slot, test in _each(tests) if is_folded(test))
        self._addresses = Counter(slot for slot, test in _each(tests) if isinstance(test, Cidr))
        expected, blocks, others = self._blocks(others)
        body = blocks + [f"if {self._any_way(ways)}: keys.append({self._constant(key)})" for key, ways in others]
        tables = [f"keys += {self._constant(table.get)}(v{slot}, NONE)" for slot, table in exact.items()]
        scanning = [line for lines in self._scanning.values() for line in lines]
        first = f"keys = [*{self._constant(tuple(expected))}]" if expected else "keys = []"
        self.lines = [first, *tables, *scanning, *_inlined(self._helpers, body)]

    def _split(
        self, rules: Mapping[Any, Sequence[Fields]]
    ) -> tuple[dict[int, dict[str, list[Any]]], list[tuple[Any, Sequence[Fields]]]]:
        """Take out the rules that ask one field for certain strings, where these are many: by slot, then string."""
        exact: dict[int, dict[Any, list[Any]]] = {}
        for key, ways in rules.items():
            if len(ways) == 1 and len(ways[0]) == 1:
                [(slot, filters)] = ways[0]
                texts = dict.fromkeys(text_of(test) for test in filters)
                if slot not in self._lists and None not in texts:
                    for text in texts:
                        exact.setdefault(slot, {}).setdefault(text, []).append(key)
        exact = {slot: table for slot, table in exact.items() if len(table) > _MANY}
        taken = {key for table in exact.values() for keys in table.values() for key in keys}
        return exact, [(key, ways) for key, ways in rules.items() if key not in taken]

    # -- names -----------------------------------------------------------------------------------------------------

    def _constant(self, value: Any) -> str:
        """Bind a value to a name: what rules and events hold is never part of the code."""
        name = f"c{self._constants}"
        self._constants += 1
        self._names[name] = value
        return name

    def _helper(self, name: str, expression: str) -> str:
        """Compute something once, before the rules."""
        self._helpers.setdefault(name, expression)
        return name

    def _is_string(self, slot: int) -> str:
        return self._helper(f"s{slot}", f"type(v{slot}) is str")

    def _is_number(self, slot: int) -> str:
        return self._helper(f"n{slot}", f"type(v{slot}) is float or type(v{slot}) is int")

    def _address(self, slot: int) -> str:
        return self._helper(f"a{slot}", f"parse_address(v{slot}) if {self._is_string(slot)} else None")

    # -- rules -----------------------------------------------------------------------------------------------------

    def _any_way(self, ways: Iterable[Fields]) -> str:
        return " or ".join(self._all_of(fields) for fields in ways)

    def _all_of(self, fields: Fields) -> str:
        tests = sorted(fields, key=lambda test: max(map(_cost, test[1])))
        return " and ".join(self._test(*test) for test in tests)

    def _test(self, slot: int, filters: Filters) -> str:
        expression = self._in_list(slot, filters) if slot in self._lists else self._in_value(slot, filters)
        if self._uses[slot, filters] == 1 or text_of(filters[0]) is not None:
            return f"({expression})"
        return self._helper(f"q{slot}_{list(self._uses).index((slot, filters))}", expression)

    # -- a field that has one value --------------------------------------------------------------------------------

    def _in_value(self, slot: int, filters: Iterable[ContentFilter]) -> str:
        texts = [text for test in filters if (text := text_of(test)) is not None]
        tests = [self._one(slot, test) for test in filters if len(texts) == 1 or text_of(test) is None]
        if len(texts) > 1:
            tests.insert(0, f"v{slot} in {self._constant(frozenset(texts))}")
        return " or ".join(tests)

    def _one(self, slot: int, test: ContentFilter) -> str:  # noqa: C901, PLR0911 - one for each operator
        value = f"v{slot}"
        match test:
            case Literal(kind="string", address=None) | Exactly():
                return f"{value} == {self._constant(text_of(test))}"
            case Literal(kind="string"):
                return f"{self._address(slot)} == {self._constant(test.address)}"
            case Literal(kind="number"):
                return self._of_number(slot, f"{value} == {self._constant(test.value)}")
            case Literal():
                return f"{value} is {self._constant(test.value)}"
            case Numeric() if not is_extreme(test):
                return self._of_number(slot, self._within(test, value, value))
            case Cidr() if self._addresses[slot] == 1:
                return f"({self._is_string(slot)} and {self._constant(test.accepts)}({value}))"
            case Cidr():
                address = self._address(slot)
                low, high = self._constant(test.first), self._constant(test.last)
                return f"({address} is not None and {low} <= {address} <= {high})"
            case Exists(expected=expected):
                return f"{value} is {'not ' * expected}ABSENT"
            case AnythingBut():
                return self._but(slot, test)
            case Prefix() | Suffix() | EqualsIgnoreCase() | Wildcard():
                return self._of_string(slot, self._conditions(slot, test))
        return self._of_number(slot, f"{self._constant(test.accepts)}({value})")

    def _of_number(self, slot: int, test: str) -> str:
        return f"({test})" if slot in self._numbers else f"({self._is_number(slot)} and {test})"

    def _of_string(self, slot: int, test: str) -> str:
        return f"({test})" if slot in self._only_texts else f"({self._is_string(slot)} and {test})"

    def _within(self, test: Numeric, least: str, most: str) -> str:
        if len(test.bounds) == 1:
            [(name, bound)] = test.bounds
            return f"{least if name[0] == '<' else most} {_OPERATORS[name]} {self._constant(bound)}"
        (above, low), (below, high) = test.bounds
        lower, upper = self._constant(low), self._constant(high)
        if least == most:
            return f"{lower} {_REVERSED[above]} {least} {_OPERATORS[below]} {upper}"
        return f"{most} {_OPERATORS[above]} {lower} and {least} {_OPERATORS[below]} {upper}"

    def _but(self, slot: int, test: AnythingBut) -> str:
        present = f"v{slot} is not ABSENT"
        some = next(iter(test.excluded))
        if isinstance(some, Exactly) and len(test.excluded) == 1:
            return f"(v{slot} != {self._constant(some.text)} and {present})"
        if isinstance(some, Literal) and len(test.excluded) > 1:
            values = self._constant(frozenset(excluded.value for excluded in test.excluded))  # type: ignore[attr-defined]
            return f"({present} and not ({self._is_number(slot)} and v{slot} in {values}))"
        if isinstance(some, Literal | Exactly):
            return f"({present} and not ({self._in_value(slot, test.excluded)}))"
        excluded = [self._conditions(slot, other) for other in test.excluded]  # type: ignore[arg-type]
        if slot in self._only_texts:
            return f"(not ({' or '.join(excluded)}))"
        return f"(not ({' or '.join(excluded)}) if {self._is_string(slot)} else {present})"

    # -- strings ---------------------------------------------------------------------------------------------------

    def _conditions(self, slot: int, test: TextTest) -> str:
        conditions = self._texts.conditions(slot, test, f"l{slot}", is_alone=self._folds[slot] <= _FEW)
        if conditions.variable == f"l{slot}":
            self._helper(f"l{slot}", f"v{slot}.lower() if {self._is_string(slot)} else None")
        return self._texts.all_of(conditions)

    def _blocks(
        self, rules: Iterable[tuple[Any, Sequence[Fields]]]
    ) -> tuple[list[Any], list[str], list[tuple[Any, Sequence[Fields]]]]:
        """Write the tests of strings that are all there is to a rule; give the other rules too.

        Before that come the keys that are to be there when this code begins.
        """
        items: dict[int, list[Item]] = {}
        others = []
        for key, ways in rules:
            [slot, test, is_but] = self._text_test(ways)
            if test is None:
                others.append((key, ways))
            else:
                is_alone = self._folds[slot] <= _FEW
                conditions = self._texts.conditions(slot, test, lower_of(slot), is_alone=is_alone)
                items.setdefault(slot, []).append(Item(key, test, conditions, is_but))
        expected, lines = Blocks(self._constant, self._usual, self._only_texts).write(items)
        return expected, lines, others

    def _text_test(self, ways: Sequence[Fields]) -> tuple[int, TextTest | None, bool]:
        """Give the one test of a string that a rule consists of, if it does."""
        if len(ways) == 1 and len(ways[0]) == 1 and ways[0][0][0] not in self._lists and len(ways[0][0][1]) == 1:
            [(slot, [test])] = ways[0]
            is_but = isinstance(test, AnythingBut) and len(test.excluded) == 1
            asked = next(iter(test.excluded)) if isinstance(test, AnythingBut) and is_but else test
            if isinstance(asked, Prefix | Suffix | EqualsIgnoreCase | Wildcard):
                return slot, asked, is_but
            if is_but and isinstance(asked, Exactly):
                return slot, asked, is_but
        return 0, None, False

    # -- a field that may have several values ----------------------------------------------------------------------

    def _in_list(self, slot: int, filters: Filters) -> str:  # noqa: PLR0911 - one for each operator
        values = f"x{slot}"
        texts = [text for test in filters if (text := text_of(test)) is not None]
        if len(texts) == len(filters):
            if len(texts) == 1:
                return f"{self._constant(texts[0])} in {values}"
            return f"not {self._constant(frozenset(texts).isdisjoint)}({values})"
        if len(filters) == 1:
            match filters[0]:
                case Exists(expected=expected):
                    return values if expected else f"not {values}"
                case Literal(kind="number", value=number) | Numeric(bounds=(("=", number),)) if slot in self._numbers:
                    constant = self._constant(number)
                    if self._tests[slot] == 1:
                        return f"{constant} in {values}"
                    return (
                        f"{self._least(slot)} <= {constant} <= {self._most(slot)} and {constant} in {self._list(slot)}"
                    )
                case Numeric() as test if slot in self._numbers and not is_extreme(test):
                    return self._some_within(slot, test)
                case AnythingBut(excluded=excluded) if len(excluded) == 1 and isinstance(next(iter(excluded)), Exactly):
                    return f"{values}.count({self._constant(text_of(next(iter(excluded))))}) != len({values})"
        present = f"any(map({self._constant(accepts_any(filters))}, {values}))"
        return f"not {values} or {present}" if Exists(expected=False) in filters else present

    def _list(self, slot: int) -> str:
        """Give a list that is needed now and then only."""
        return self._deferred.get(f"x{slot}", f"x{slot}") if slot in self._scanning else f"x{slot}"

    def _least(self, slot: int) -> str:
        self._scan(slot)
        return f"i{slot}" if slot in self._scanning else self._helper(f"i{slot}", f"min(x{slot}, default=INFINITY)")

    def _most(self, slot: int) -> str:
        self._scan(slot)
        return f"j{slot}" if slot in self._scanning else self._helper(f"j{slot}", f"max(x{slot}, default=-INFINITY)")

    def _scan(self, slot: int) -> None:
        """Find the least and the greatest in one go; twice as fast as to make a list and ask for them."""
        if slot in self._scans and slot not in self._scanning:
            loops, value = self._scans[slot]
            lines = [f"i{slot} = INFINITY", f"j{slot} = -INFINITY"]
            indent = ""
            for loop in re.findall(r"for \w+ in \w+", loops):
                lines.append(f"{indent}{loop}:")
                indent += "    "
            lines += [
                f"{indent}v = {value}",
                f"{indent}if v < i{slot}: i{slot} = v",
                f"{indent}if v > j{slot}: j{slot} = v",
            ]
            self._scanning[slot] = lines

    def _some_within(self, slot: int, test: Numeric) -> str:
        """Ask the least and the greatest number first, and all only where these leave it open."""
        least, most = self._least(slot), self._most(slot)
        can_be = self._within(test, least, most)
        if len(test.bounds) == 1:
            return can_be
        accepts = self._constant(test.accepts)
        either = f"{self._within(test, least, least)} or {self._within(test, most, most)}"
        return f"{can_be} and ({either} or any(map({accepts}, {self._list(slot)})))"


_REVERSED: Final = {">": "<", ">=": "<="}


def _each(tests: Iterable[tuple[int, Filters]]) -> Iterator[tuple[int, ContentFilter]]:
    """Give the tests one by one, and for an `AnythingBut` those that it excludes."""
    for slot, filters in tests:
        for test in filters:
            if isinstance(test, AnythingBut):
                yield from ((slot, excluded) for excluded in test.excluded)
            else:
                yield slot, test


def _inlined(helpers: Mapping[str, str], body: Sequence[str]) -> list[str]:
    """Give the helpers and the body; a helper that is needed once is put where it is needed, if at all."""
    lines = [*(f"{name} = {expression}" for name, expression in helpers.items()), *body]
    for number, name in reversed([*enumerate(helpers)]):
        word = re.compile(rf"\b{name}\b")
        users = [index for index in range(number + 1, len(lines)) if word.search(lines[index])]
        if not users:
            lines[number] = ""
        elif len(users) == 1 and len(word.findall(lines[users[0]])) == 1:
            expression = lines[number].partition(" = ")[2]
            lines[users[0]] = word.sub(lambda _, inner=expression: f"({inner})", lines[users[0]])  # type: ignore[misc]
            lines[number] = ""
    return [line for line in lines if line]


def numeric_slots(tests: Iterable[tuple[int, Filters]]) -> frozenset[int]:
    """Give the fields of which only numbers are asked for."""
    slots: dict[int, bool] = {}
    for slot, filters in tests:
        slots[slot] = slots.get(slot, True) and all(map(_asks_for_a_number, filters))
    return frozenset(slot for slot, is_numeric in slots.items() if is_numeric)


def _asks_for_a_number(test: ContentFilter) -> bool:
    return isinstance(test, Numeric) or (isinstance(test, Literal) and test.kind == "number")


def weight(filters: Filters) -> int:
    """Count the tests that a field takes; strings are looked up together."""
    texts = sum(text_of(test) is not None for test in filters)
    return min(texts, 1) + sum(
        len(test.excluded) if isinstance(test, AnythingBut) else 1 for test in filters if text_of(test) is None
    )


def _cost(test: ContentFilter) -> int:
    """Rank tests by their cost."""
    if text_of(test) is not None:
        return 0
    return 1 if isinstance(test, Literal | Exists | Numeric | Prefix | Suffix) else 2
