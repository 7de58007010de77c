"""The content filters: one class per test of one value, named after its JSON key. All are immutable and hashable.

A filter is asked about one leaf of an event: a string, a number, true, false or null. `Exists(False)` alone is about
the lack of one.
"""

from __future__ import annotations

import ipaddress
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

from eventrouter.patterns._addresses import Address, parse_address

#: A leaf of an event.
Leaf: TypeAlias = str | int | float | bool | None


def is_number(value: object) -> bool:
    """Say whether a value is a JSON number; Python counts booleans among the integers, JSON does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_one_form(number: Leaf) -> Leaf:
    """Give equal numbers one form: integers as such, and from 10**16 on, as far as they are doubles, as doubles."""
    if isinstance(number, float):
        return int(number) if number.is_integer() and abs(number) < _LONG else number
    if not isinstance(number, int) or abs(number) < _LONG:
        return number
    try:
        return float(number) if float(number) == number else number
    except OverflowError:
        return number


_LONG: Final = 10**16


class ContentFilter(ABC):
    """One test of one value."""

    __slots__ = ()

    @abstractmethod
    def accepts(self, value: Leaf) -> bool:
        """Say whether a value that is present passes."""

    @abstractmethod
    def to_data(self) -> Any:
        """Give the filter as it is written in a pattern."""


@dataclass(frozen=True, slots=True)
class Literal(ContentFilter):
    """The value itself. Numbers compare by exact value; a string that is an IP address, in any spelling (10.7)."""

    kind: str  # string, number, boolean or null: in Python 1 == True
    value: Leaf
    address: Address | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        address = parse_address(self.value) if isinstance(self.value, str) else None
        object.__setattr__(self, "address", address)

    @classmethod
    def of(cls, value: Leaf) -> Literal:
        """Make one from a plain value."""
        return cls(_kind(value), value)

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is that value."""
        if self.address is not None:
            return isinstance(value, str) and parse_address(value) == self.address
        return value == self.value and _kind(value) == self.kind

    def to_data(self) -> Any:
        """Give the literal."""
        return _in_one_form(self.value)


def _kind(value: Leaf) -> str:
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "boolean" if isinstance(value, bool) else "number"


@dataclass(frozen=True, slots=True)
class Exactly(ContentFilter):
    """That string, and no other spelling of it."""

    text: str

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is that string."""
        return value == self.text

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"exactly": self.text}


@dataclass(frozen=True, slots=True)
class _Text(ContentFilter):
    """A filter of strings with one text to compare with."""

    text: str
    key: ClassVar[str]

    def to_data(self) -> Any:
        """Give the match expression."""
        return {self.key: self.text}


@dataclass(frozen=True, slots=True)
class _End(ContentFilter):
    """A beginning or end of a string."""

    text: str
    ignores_case: bool = False
    key: ClassVar[str]

    def to_data(self) -> Any:
        """Give the match expression."""
        return {self.key: {"equals-ignore-case": self.text} if self.ignores_case else self.text}


@dataclass(frozen=True, slots=True)
class Prefix(_End):
    """A string that begins so."""

    key: ClassVar[str] = "prefix"

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string that begins so."""
        if not isinstance(value, str):
            return False
        return bool(ends_ignoring_case(self.text, value)) if self.ignores_case else value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix(_End):
    """A string that ends so."""

    key: ClassVar[str] = "suffix"

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string that ends so."""
        if not isinstance(value, str):
            return False
        return _suffix_ignoring_case(self.text, value) if self.ignores_case else value.endswith(self.text)


@dataclass(frozen=True, slots=True)
class EqualsIgnoreCase(_Text):
    """A string each of whose characters is the lower or upper case of the pattern's (6.6)."""

    key: ClassVar[str] = "equals-ignore-case"

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is that string but for case."""
        return isinstance(value, str) and len(value) in ends_ignoring_case(self.text, value)


def ends_ignoring_case(text: str, value: str) -> set[int]:
    """Give where a match of *text* at the start of *value* may end.

    Each character of the pattern accepts its lower and its upper case, which may be of different lengths ("ß" accepts
    "ß" and "SS"): so there may be several ends, but never more than there are characters whose case changes length.
    """
    ends = {0}
    for character in text:
        cases = {character.lower(), character.upper()}
        ends = {end + len(case) for end in ends for case in cases if value.startswith(case, end)}
        if not ends:
            break
    return ends


def _suffix_ignoring_case(text: str, value: str) -> bool:
    # From the end, with each case compared as it stands: the same as above in a mirror.
    starts = {len(value)}
    for character in reversed(text):
        cases = {character.lower(), character.upper()}
        starts = {start - len(case) for start in starts for case in cases if _ends_at(value, case, start)}
        if not starts:
            return False
    return True


def _ends_at(value: str, case: str, end: int) -> bool:
    return len(case) <= end and value.startswith(case, end - len(case))


@dataclass(frozen=True, slots=True)
class Wildcard(_Text):
    r"""A string of which each `*` of the pattern stands for any part; `\*` and `\\` stand for themselves.

    Matched in linear time: the first and last part are anchored, and each part between is looked for from where the
    one before it ended. The leftmost find is always the best, so nothing is looked at twice.
    """

    key: ClassVar[str] = "wildcard"
    parts: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", wildcard_parts(self.text))

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string of that form."""
        if not isinstance(value, str):
            return False
        first, *between = self.parts
        if not between:
            return value == first
        last = between.pop()
        end = len(value) - len(last)
        if not (value.startswith(first) and value.endswith(last)) or end < len(first):
            return False
        position = len(first)
        for part in between:
            position = value.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True


class WildcardError(ValueError):
    """A wildcard cannot be read; the message is EventBridge's."""


def wildcard_tokens(text: str) -> list[str | None]:
    r"""Read a wildcard: its characters, and None for each star.

    Raises:
        WildcardError: Two stars in a row, or a backslash that escapes neither `*` nor `\`.
    """
    tokens: list[str | None] = []
    characters = iter(enumerate(text))
    for index, character in characters:
        if character == "*":
            if tokens and tokens[-1] is None:
                raise WildcardError(f"Consecutive wildcard characters at pos {_position(text, index) - 1}")
            tokens.append(None)
        elif character == "\\":
            _, escaped = next(characters, (0, ""))
            if escaped not in ("*", "\\"):
                raise WildcardError(f"Invalid escape character at pos {_position(text, index)}")
            tokens.append(escaped)
        else:
            tokens.append(character)
    return tokens


def wildcard_parts(text: str) -> tuple[str, ...]:
    """Split a wildcard at its stars. Raises `WildcardError` as `wildcard_tokens` does."""
    parts: list[list[str]] = [[]]
    for token in wildcard_tokens(text):
        if token is None:
            parts.append([])
        else:
            parts[-1].append(token)
    return tuple("".join(part) for part in parts)


def _position(text: str, index: int) -> int:
    """Count UTF-8 bytes, from 1, as EventBridge does; a lone surrogate counts one."""
    return len(text[:index].encode(errors="replace")) + 1


@dataclass(frozen=True, slots=True)
class Numeric(ContentFilter):
    """A number within bounds: `(comparison, bound)`, one of them or a range of two."""

    bounds: tuple[tuple[str, int | float], ...]

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a number within all bounds."""
        return is_number(value) and all(_COMPARISONS[name](value, bound) for name, bound in self.bounds)

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"numeric": [part for name, bound in self.bounds for part in (name, _in_one_form(bound))]}


#: No double is past the greatest one, so nothing is, not even an integer (7.7).
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound and bound > -sys.float_info.max,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound and bound < sys.float_info.max,
    ">=": lambda value, bound: value >= bound,
}


@dataclass(frozen=True, slots=True)
class Cidr(ContentFilter):
    """An address in a range of its own family."""

    first: Address
    last: Address

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string that is an address of the range."""
        address = parse_address(value) if isinstance(value, str) else None
        return address is not None and self.first <= address <= self.last

    def to_data(self) -> Any:
        """Give the match expression, with the first address of the range."""
        family, first = self.first
        bits = (32 if family == 4 else 128) - (self.last.value - first).bit_length()  # noqa: PLR2004 - by the family
        address = ipaddress.IPv4Address(first) if family == 4 else ipaddress.IPv6Address(first)  # noqa: PLR2004
        return {"cidr": f"{address}/{bits}"}


@dataclass(frozen=True, slots=True)
class Exists(ContentFilter):
    """Whether there is any value at all."""

    expected: bool

    def accepts(self, value: Leaf) -> bool:  # noqa: ARG002 - presence is all that counts
        """Say whether a present value is what is asked for."""
        return self.expected

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"exists": self.expected}


@dataclass(frozen=True, slots=True)
class AnythingBut(ContentFilter):
    """Any value, of any type, that none of the *excluded* filters accepts.

    Attributes:
        excluded: All of one class: `Exactly`, numbers as `Literal`, `Prefix`, `Suffix`, `EqualsIgnoreCase`, `Wildcard`.
    """

    excluded: frozenset[ContentFilter]
    values: frozenset[Leaf] = field(init=False, compare=False, repr=False)  # what is excluded by name: one look-up
    others: tuple[ContentFilter, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        texts = {test.text for test in self.excluded if isinstance(test, Exactly)}
        numbers = {test.value for test in self.excluded if isinstance(test, Literal)}
        others = tuple(test for test in self.excluded if not isinstance(test, Exactly | Literal))
        object.__setattr__(self, "values", frozenset(texts | numbers))
        object.__setattr__(self, "others", others)

    def accepts(self, value: Leaf) -> bool:
        """Say whether no excluded filter accepts it."""
        if not isinstance(value, bool) and value in self.values:  # True == 1
            return False
        return not any(test.accepts(value) for test in self.others)

    def to_data(self) -> Any:
        """Give the match expression; its values in a fixed order."""
        some = next(iter(self.excluded))
        operands = [_operand(excluded) for excluded in self.excluded]
        operands.sort(key=lambda operand: (isinstance(operand, str), operand))
        listed = operands if len(operands) > 1 else operands[0]
        plain = isinstance(some, Literal | Exactly)
        return {"anything-but": listed if plain else {some.key: listed}}  # type: ignore[attr-defined]


def _operand(excluded: ContentFilter) -> Any:
    return excluded.to_data() if isinstance(excluded, Literal) else excluded.text  # type: ignore[attr-defined]
