"""The content filters: one class per test of one value, named after its JSON key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt
from typing import Any, Final, Protocol, TypeAlias

#: A leaf of an event: what a content filter is asked about.
Leaf: TypeAlias = str | int | float | bool | None


class ContentFilter(Protocol):
    """One test of one value."""

    def accepts(self, value: Leaf) -> bool:
        """Say whether a value that is present passes."""
        ...

    def to_data(self) -> Any:
        """Give the filter as it is written in a pattern."""
        ...


def is_number(value: object) -> bool:
    """Say whether a value is a JSON number; Python counts booleans among the integers, JSON does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(first: Leaf, second: Leaf) -> bool:
    """Compare as JSON does: numbers by exact value, and no type with another."""
    if is_number(first) and is_number(second):
        return first == second
    return type(first) is type(second) and first == second


@dataclass(frozen=True, slots=True)
class Exactly:
    """The value itself."""

    value: Leaf

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is that value."""
        return same(self.value, value)

    def to_data(self) -> Any:
        """Give the literal."""
        return self.value


@dataclass(frozen=True, slots=True)
class Prefix:
    """A string that begins so."""

    text: str

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string that begins so."""
        return isinstance(value, str) and value.startswith(self.text)

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"prefix": self.text}


@dataclass(frozen=True, slots=True)
class Suffix:
    """A string that ends so."""

    text: str

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a string that ends so."""
        return isinstance(value, str) and value.endswith(self.text)

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"suffix": self.text}


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True, slots=True)
class Numeric:
    """A number within bounds: pairs of a comparison and a bound, one of them or a range of two."""

    bounds: tuple[tuple[str, int | float], ...]

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is a number within all bounds."""
        return is_number(value) and all(_COMPARISONS[name](value, bound) for name, bound in self.bounds)

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"numeric": [part for bound in self.bounds for part in bound]}


@dataclass(frozen=True, slots=True)
class AnythingBut:
    """Any value, of any type, but these."""

    values: tuple[str | int | float, ...]

    def accepts(self, value: Leaf) -> bool:
        """Say whether it is none of the excluded values."""
        return not any(same(excluded, value) for excluded in self.values)

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"anything-but": list(self.values)}


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether there is any value at all."""

    expected: bool

    def accepts(self, value: Leaf) -> bool:  # noqa: ARG002 - presence is all that counts
        """Say whether a present value is what is asked for."""
        return self.expected

    def to_data(self) -> Any:
        """Give the match expression."""
        return {"exists": self.expected}
