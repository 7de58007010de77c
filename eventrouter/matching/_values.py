"""Which of many tests one value passes: an index for each operator.

A value is looked up rather than tested. What is found are *payloads*, whatever was added with the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Generic, NamedTuple, TypeVar

from eventrouter.matching._bags import Bag, with_item, without_item
from eventrouter.matching._intervals import Intervals
from eventrouter.patterns import (
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
    parse_address,
)

P = TypeVar("P")

#: Ranges past the greatest double, where there is nothing, not even an integer (reference 7.7).
_NOTHING: Final = (((">", sys.float_info.max),), (("<", -sys.float_info.max),))

#: The longest part of a wildcard that is looked up.
_LONGEST_GRAM: Final = 6
_MAXIMUM_GRAMS: Final = 64  # of one wildcard that are considered
_SHORT: Final = 3  # times as long as its ends is a middle that is looked for first
_CROWD: Final = 8  # tests under one key, before another is considered

#: The code of a look-up of a string `{v}`, for each table. A table is a dict; where the value is looked up by a part of
#: it, a list of pairs, the size of the part and such a dict. `NONE` is empty.
_OF_STRINGS: Final = {
    "strings": "found += strings{s}({v}, NONE)",
    "prefixes": "for size, texts in prefixes{s}: found += texts.get({v}[:size], NONE)",
    "suffixes": "for size, texts in suffixes{s}: found += texts.get({v}[-size:], NONE)",
    "folded": "if {v}.isascii(): found += folded{s}({v}.lower(), NONE)",
    "folded_prefixes": "folded_parts({v}, folded_prefixes{s}, found, prefix_of)",
    "folded_suffixes": "folded_parts({v}, folded_suffixes{s}, found, suffix_of)",
    "unfolded": "verify({v}, unfolded{s}(fold({v}), NONE), found)",
    "unfolded_prefixes": "verify_parts({v}, fold({v}), unfolded_prefixes{s}, found, prefix_of)",
    "unfolded_suffixes": "verify_parts({v}, fold({v}), unfolded_suffixes{s}, found, suffix_of)",
    "heads": "verify_parts({v}, {v}, heads{s}, found, prefix_of)",
    "tails": "verify_parts({v}, {v}, tails{s}, found, suffix_of)",
    "grams": "verify_grams({v}, grams{s}, found)",
    "addresses": "look_up_address({v}, addresses{s}, networks{s}, found)",
}
_OF_NUMBERS: Final = {
    "numbers": "found += numbers{s}({v}, NONE)",
    "intervals": "intervals{s}({v}, found)",
}
#: Tables of which only the look-up is bound.
_WHOLE: Final = ("strings", "folded", "unfolded", "numbers", "constants")
_NONE: Final[tuple[Any, ...]] = ()


class _Home(NamedTuple):
    """Where a test is kept: in which table, for what size of part if it is one of parts, under which key."""

    table: str
    size: Any
    key: Any
    is_doubtful: bool = False  # what is found has to be tested


class ValueIndex(Generic[P]):
    """Tests of one value, each with a payload: any but `AnythingBut` and `Exists`.

    `add` and `discard` cost little more than a look-up in a dict. A look-up may be under way in another thread: what it
    iterates over is replaced, not changed, unless something is only appended.

    Attributes:
        tables: The tables in use, by name; never empty.
    """

    __slots__ = ("_sized", "tables")

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}
        self._sized: dict[tuple[str, Any], dict[Any, Bag[Any]]] = {}

    def __bool__(self) -> bool:
        return bool(self.tables)

    def add(self, test: ContentFilter, payload: P) -> bool:
        """Add a test, and say whether that takes a look-up that is made anew."""
        homes = _homes(test)
        if not homes:
            return False
        # The first that is not crowded, as they are in the order of what a look-up costs; else the least crowded.
        home = next((home for home in homes if self._population(home) < _CROWD), None) if len(homes) > 1 else homes[0]
        home = home or min(homes, key=self._population)
        is_new = home.table not in self.tables
        if home.table == "intervals":
            self.tables.setdefault("intervals", Intervals()).add(test, payload)
            return is_new
        texts = self._texts(home)
        if texts is None:
            texts = {}
            if home.size is None:
                self.tables[home.table] = texts
            else:
                self._sized[home.table, home.size] = texts
                self.tables.setdefault(home.table, []).append((home.size, texts))
        item = (test, payload) if home.is_doubtful else payload
        texts[home.key] = with_item(texts.get(home.key, ()), item)
        return is_new

    def discard(self, test: ContentFilter, payload: P) -> bool:
        """Take a test away that was added, and say whether that takes a look-up that is made anew."""
        for home in _homes(test):
            if home.table == "intervals":
                self.tables["intervals"].discard(test, payload)
                return self._drop(home, self.tables["intervals"])
            texts = self._texts(home) or {}
            payloads = texts.get(home.key, ())
            item = (test, payload) if home.is_doubtful else payload
            if item in payloads:
                left = without_item(payloads, item)
                if left:
                    texts[home.key] = left
                    return False
                del texts[home.key]
                return self._drop(home, texts)
        return False

    def _texts(self, home: _Home) -> dict[Any, Bag[Any]] | None:
        return self.tables.get(home.table) if home.size is None else self._sized.get((home.table, home.size))

    def _drop(self, home: _Home, table: object) -> bool:
        """Forget a table that has become empty."""
        if table:
            return False
        if home.size is not None:
            del self._sized[home.table, home.size]
            self.tables[home.table] = [pair for pair in self.tables[home.table] if pair[1] is not table]
        if home.size is None or not self.tables[home.table]:
            del self.tables[home.table]
        return True

    def _population(self, home: _Home) -> int:
        return len((self._texts(home) or {}).get(home.key, ()))


def _homes(test: ContentFilter) -> list[_Home]:
    """Give where a test may be kept, if any value can pass. All of them lead to it; the least populated is the best."""
    return _HOMES[type(test)](test)


def _of_a_literal(test: Literal) -> list[_Home]:
    if test.kind == "string":
        return [_Home("strings", None, test.value) if test.address is None else _Home("addresses", None, test.address)]
    return [_Home("numbers" if test.kind == "number" else "constants", None, test.value)]


def _of_numbers(test: Numeric) -> list[_Home]:
    if test.bounds in _NOTHING:
        return []
    name, bound = test.bounds[0]
    return [_Home("numbers", None, bound) if name == "=" else _Home("intervals", None, None)]


def _of_a_network(test: Cidr) -> list[_Home]:
    shift = (test.last.value - test.first.value).bit_length()
    return [_Home("networks", (test.first.family, shift), test.first.value >> shift)]


def _of_an_end(test: Prefix | Suffix) -> list[_Home]:
    ends = "_prefixes" if type(test) is Prefix else "_suffixes"
    if not test.text:  # of which a string has as many as it has places, and one is enough
        return [_Home("prefixes", 0, "")]
    if test.ignores_case:
        return [_folded(ends, test.text, len(test.text))]
    return [_Home(ends[1:], len(test.text), test.text)]


def _folded(ends: str, text: str, size: int | None) -> _Home:
    if text.isascii():  # no other character has an ASCII one as its other case in the pattern
        return _Home(f"folded{ends}", size, text.lower())
    key = fold(text)
    return _Home(f"unfolded{ends}", None if size is None else len(key), key, is_doubtful=True)


def _of_a_wildcard(test: Wildcard) -> list[_Home]:
    first, *between = test.parts
    if not between:
        return [_Home("strings", None, first)]
    last = between.pop()
    if not between and not last:
        return [_Home("prefixes", len(first), first)]
    if not between and not first:
        return [_Home("suffixes", len(last), last)]
    homes = []
    if first:
        homes.append(_Home("heads", len(first), first, is_doubtful=True))
    if last:
        homes.append(_Home("tails", len(last), last, is_doubtful=True))
    longest = max(between, key=len, default="")
    size = min(len(longest), _LONGEST_GRAM)
    if size:
        grams = dict.fromkeys(longest[start : start + size] for start in range(len(longest) - size + 1))
        middle = [_Home("grams", size, gram, is_doubtful=True) for gram in islice(grams, _MAXIMUM_GRAMS)]
        return middle + homes if len(longest) > _SHORT * max(len(first), len(last)) else homes + middle
    return homes


#: By type, as isinstance() is slow for classes that derive from ABC.
_HOMES: Final[dict[type[ContentFilter], Callable[[Any], list[_Home]]]] = {
    Literal: _of_a_literal,
    Exactly: lambda test: [_Home("strings", None, test.text)],
    Numeric: _of_numbers,
    Cidr: _of_a_network,
    EqualsIgnoreCase: lambda test: [_folded("", test.text, None)],
    Prefix: _of_an_end,
    Suffix: _of_an_end,
    Wildcard: _of_a_wildcard,
}


def fold(text: str) -> str:
    """Give a text that is the same for all texts that differ in case only.

    If a pattern accepts a value ignoring case, character by character, then their folds are equal; the converse does
    not hold. Upper case first, as casefold alone keeps the dotless i apart. Holds for every character of Unicode.
    """
    return text.upper().casefold()


def prefix_of(text: str, size: int) -> str:
    """Give the first characters of a text."""
    return text[:size]


def suffix_of(text: str, size: int) -> str:
    """Give the last characters of a text; *size* is not 0."""
    return text[-size:]


_PartOf = Callable[[str, int], str]


def folded_parts(value: str, table: list[tuple[int, dict[str, Bag[P]]]], found: list[P], part_of: _PartOf) -> None:
    """Look the ends of a value up among ASCII texts in lower case."""
    for size, texts in table:
        part = part_of(value, size)
        if part.isascii():
            found += texts.get(part.lower(), _NONE)


def verify(value: str, doubtful: Bag[tuple[ContentFilter, P]], found: list[P]) -> None:
    """Add the payloads of the tests that the value passes."""
    for test, payload in tuple(doubtful):
        if test.accepts(value):
            found.append(payload)


def verify_parts(
    value: str,
    text: str,
    table: list[tuple[int, dict[str, Bag[tuple[ContentFilter, P]]]]],
    found: list[P],
    part_of: _PartOf,
) -> None:
    """Look the ends of *text* up, and verify what they suggest for *value*."""
    for size, texts in table:
        doubtful = texts.get(part_of(text, size))
        if doubtful is not None:
            verify(value, doubtful, found)


def verify_grams(value: str, table: list[tuple[int, dict[str, Bag[tuple[ContentFilter, P]]]]], found: list[P]) -> None:
    """Look every part of a value up, each once, and verify what they suggest."""
    for size, texts in table:
        for gram in {value[start : start + size] for start in range(len(value) - size + 1)}:
            doubtful = texts.get(gram)
            if doubtful is not None:
                verify(value, doubtful, found)


def look_up_address(
    value: str,
    addresses: dict[Any, Bag[P]],
    networks: list[tuple[tuple[int, int], dict[int, Bag[P]]]],
    found: list[P],
) -> None:
    """Look a string up as an address, if it is one."""
    address = parse_address(value)
    if address is None:
        return
    found += addresses.get(address, _NONE)
    for (family, shift), payloads in networks:
        if family == address.family:
            found += payloads.get(address.value >> shift, _NONE)


def lookup_lines(index: ValueIndex[P], value: str, kind: str, suffix: str = "") -> Iterator[str]:
    """Give the code that adds to `found` what an index holds for a leaf.

    Args:
        index: The index; the code depends on which tables it has, and nothing else.
        value: The variable with the leaf.
        kind: The variable with its type.
        suffix: Of the names that `lookup_names` gives.
    """
    tables = {"addresses"} | index.tables.keys() if "networks" in index.tables else index.tables.keys()
    strings = [line for name, line in _OF_STRINGS.items() if name in tables]
    numbers = [line for name, line in _OF_NUMBERS.items() if name in tables]
    if strings:
        yield f"if {kind} is str:"
        yield from (f"    {line.format(v=value, s=suffix)}" for line in strings)
    if numbers:
        yield f"if {kind} is int or {kind} is float:"
        yield from (f"    {line.format(v=value, s=suffix)}" for line in numbers)
    if "constants" in tables:
        yield f"if {kind} is bool or {value} is None: found += constants{suffix}({value}, NONE)"


def lookup_names(index: ValueIndex[P], suffix: str = "") -> dict[str, Any]:
    """Give what the code of `lookup_lines` refers to, but for `HELPERS`."""
    names: dict[str, Any] = {"addresses": {}, "networks": []} | index.tables
    for name in _WHOLE:
        if name in names:
            names[name] = names[name].get
    if "intervals" in names:
        names["intervals"] = names["intervals"].find
    return {f"{name}{suffix}": table for name, table in names.items()}


#: What the code may call.
HELPERS: Final = {
    "NONE": _NONE,
    "fold": fold,
    "folded_parts": folded_parts,
    "look_up_address": look_up_address,
    "prefix_of": prefix_of,
    "suffix_of": suffix_of,
    "verify": verify,
    "verify_grams": verify_grams,
    "verify_parts": verify_parts,
}


def make_find(index: ValueIndex[P]) -> Callable[[Any, type, list[P]], None]:
    """Give what adds to a list what the index holds for a leaf of a type; to be made anew for new tables."""
    names = lookup_names(index)
    return _maker(tuple(names), tuple(lookup_lines(index, "value", "kind")))(**names)  # type: ignore[no-any-return]


@lru_cache(maxsize=1_000)
def _maker(names: tuple[str, ...], lines: tuple[str, ...]) -> Any:
    body = [f"        {line}" for line in lines or ("pass",)]
    source = [f"def make({', '.join(names)}):", "    def find(value, kind, found):", *body, "    return find"]
    namespace: dict[str, Any] = dict(HELPERS)
    exec("\n".join(source), namespace)  # noqa: S102 - names of tables only
    return namespace["make"]
