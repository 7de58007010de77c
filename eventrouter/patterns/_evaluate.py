"""Plain evaluation of one pattern against one event, with array consistency.

An event is a set of *leaves*: a path, a value, and a trail, the elements of arrays that the value stands in. A
sub-rule matches if a leaf can be found for each of its fields such that no two of them stand in different elements of
the same array (5.3). `{"exists": false}` asks that there is no leaf, among those that go together with what the fields
before it, in the order of their names, were given (11.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.errors import InvalidEventError
from eventrouter.patterns._addresses import Address, parse_address
from eventrouter.patterns._arrays import are_consistent
from eventrouter.patterns._json import as_read, read_number
from eventrouter.patterns._operators import ContentFilter, Exactly, Exists, Leaf, Literal, is_number
from eventrouter.patterns._tree import SubRule

#: The elements of arrays that a value stands in, outermost first: which array, which element. Only elements that are
#: objects or arrays count (5.6), and only of arrays that have two of these.
Trail: TypeAlias = tuple[tuple[int, int], ...]
Leaves: TypeAlias = dict[str, list[tuple[Leaf, Trail]]]

_SCALARS: Final = frozenset((str, int, float, bool, type(None)))  # looked up first, as most values are
_ABSENCE: Final = Exists(expected=False)
_MAXIMUM_LEVELS: Final = 1_000  # of arrays around a value, about what is read from text
#: Steps of all trails together: as deep as that in a small event, and in a large one 32 levels on an average.
_FREE_STEPS: Final = 1_000_000
_STEPS_A_TRAIL: Final = 32


class Field(NamedTuple):
    """A field of a sub-rule.

    Attributes:
        path: The names that lead to it, joined by dots.
        filters: What it may be: any of these.
        may_be_absent: Whether it may be missing.
        values: Those of the filters that are plain strings and numbers, and so take one look-up together.
        addresses: Those that are addresses.
        others: The rest.
    """

    path: str
    filters: tuple[ContentFilter, ...]
    may_be_absent: bool
    values: frozenset[Leaf]
    addresses: frozenset[Address]
    others: tuple[ContentFilter, ...]

    def accepts(self, value: Leaf) -> bool:
        """Say whether any of the filters accepts a value."""
        if isinstance(value, str):
            found = value in self.values or (bool(self.addresses) and parse_address(value) in self.addresses)
        else:
            found = is_number(value) and value in self.values
        return found or any(test.accepts(value) for test in self.others)


class Evaluator:
    """A pattern's sub-rules, prepared for evaluation.

    Attributes:
        rules: The fields of each sub-rule, in the order of their names.
        paths: All that the pattern looks at.
    """

    def __init__(self, sub_rules: Iterable[SubRule]) -> None:
        self.rules = [in_order(rule) for rule in sub_rules]
        self.paths = {field.path for rule in self.rules for field in rule}
        self._names = Names()
        for path in self.paths:
            self._names.add(path)

    @cached_property
    def prefixes(self) -> set[str]:
        """The paths on the way to all that the pattern looks at."""
        return {prefix for path in self.paths for prefix in _prefixes(path)}

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether any sub-rule matches the event."""
        leaves = leaves_of(event, self._names)
        return any(leaves_match(rule, leaves) for rule in self.rules)

    def verdicts(self, event: Mapping[str, Any]) -> list[bool]:
        """Say of each sub-rule whether it matches the event."""
        leaves = leaves_of(event, self._names)
        return [leaves_match(rule, leaves) for rule in self.rules]


def leaves_of(event: Mapping[str, Any], names: Names) -> Leaves:
    """Collect the leaves of an event that have these names. A loop, as an event may be nested deeply.

    Raises:
        InvalidEventError: A leaf is no value of JSON, or its arrays are nested too deeply.
    """
    leaves: Leaves = {}
    arrays = trails = steps = 0
    todo: list[tuple[Names, Any, Trail, int]] = [(names, event, (), 0)]
    while todo:
        name, value, trail, level = todo.pop()
        if not _is_container(value):
            if name.path is not None:
                leaves.setdefault(name.path, []).append((read_leaf(value, name.path), trail))
        elif isinstance(value, Mapping):
            if name.inner:
                todo += [(inner, item, trail, level) for inner, item in name.inside(value)]
        else:
            elements = [_is_container(item) for item in value]
            number = sum(elements)
            if number > 1:
                arrays += 1
                trails += number
                steps += number * (len(trail) + 1)
            if level == _MAXIMUM_LEVELS or steps > _FREE_STEPS + _STEPS_A_TRAIL * trails:
                raise InvalidEventError("The event is nested too deeply", "MalformedEvent")
            for index, item in enumerate(value):
                # An element that is the only one excludes no other.
                inside = (*trail, (arrays, index)) if number > 1 and elements[index] else trail
                todo.append((name, item, inside, level + 1))
    return leaves


def _is_container(value: object) -> bool:
    return type(value) not in _SCALARS and isinstance(value, dict | list | tuple | Mapping)


class Names:
    """The names that lead to some fields, as a tree; here, at one of its branches.

    Attributes:
        path: All names up to here, joined by dots, if they are those of a field; or None.
        inner: The names that follow.
    """

    __slots__ = ("inner", "path")

    def __init__(self) -> None:
        self.path: str | None = None
        self.inner: dict[str, Names] = {}

    def add(self, path: str) -> None:
        """Add a field."""
        names = self
        for step in path.split("."):
            names = names.inner.setdefault(step, Names())
        names.path = path

    def discard(self, path: str) -> None:
        """Take a field away that was added, and the names that lead to no other one."""
        branches = [self]
        steps = path.split(".")
        for step in steps:
            branches.append(branches[-1].inner[step])
        branches.pop().path = None
        for step, branch in zip(reversed(steps), reversed(branches), strict=True):
            if branch.inner[step].inner or branch.inner[step].path is not None:
                return
            del branch.inner[step]

    def inside(self, value: Mapping[str, Any]) -> Iterator[tuple[Names, Any]]:
        """Give the members of an object whose names lead on; a name with dots is several (3.2)."""
        for step, item in value.items():
            names = self.inner.get(step)
            if names is None and isinstance(step, str) and "." in step:
                names = self._far(step)
            if names is not None:
                yield names, item

    def _far(self, path: str) -> Names | None:
        names: Names | None = self
        for step in path.split("."):
            names = names.inner.get(step) if names is not None else None
        return names


def read_leaf(value: Any, path: str) -> Leaf:
    """Give a value of an event as a filter takes it: as it would be read from JSON text.

    Raises:
        InvalidEventError: It is no string, number, true, false or null.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return as_read(value)
    if isinstance(value, Decimal) and not value.is_nan():
        return read_number(str(value))
    if isinstance(value, float) and value == value:  # noqa: PLR0124 - NaN alone is not itself
        return value
    kind = "number" if isinstance(value, float | Decimal) else "value"
    shown = value if kind == "number" else f"a {type(value).__name__}"
    raise InvalidEventError(f"{shown} at {path} is not a JSON {kind}", "MalformedEvent")


def in_order(rule: SubRule) -> list[Field]:
    """Give the fields of a sub-rule in the order in which they are tried."""
    return sorted(
        (_field(path, filters) for path, filters in rule.items()), key=lambda field: in_javas_order(field.path)
    )


def _field(path: str, filters: tuple[ContentFilter, ...]) -> Field:
    values: set[Leaf] = set()
    addresses: set[Address] = set()
    others: list[ContentFilter] = []
    for test in dict.fromkeys(filters):
        if isinstance(test, Exactly):
            values.add(test.text)
        elif not isinstance(test, Literal) or test.kind not in ("string", "number"):
            others.append(test)
        elif test.address is not None:
            addresses.add(test.address)
        else:
            values.add(test.value)
    return Field(path, filters, _ABSENCE in filters, frozenset(values), frozenset(addresses), tuple(others))


def in_javas_order(path: str) -> bytes:
    """Give the key by which Java sorts strings, UTF-16 code units: 11.5 depends on it."""
    return path.encode("utf-16-be", "surrogatepass")


def _prefixes(path: str) -> Iterator[str]:
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


def leaves_match(rule: Sequence[Field], leaves: Leaves) -> bool:
    """Say whether a leaf can be found for each field of a sub-rule, `in_order`, such that all go together.

    Raises:
        InvalidEventError: The arrays that the leaves stand in combine in too many ways.
    """
    fitting: list[set[Trail]] = []
    for field in rule:
        trails = {trail for value, trail in leaves.get(field.path, ()) if field.accepts(value)}
        if not trails and not field.may_be_absent:
            return False
        fitting.append(trails)
    if all(not trail for field in rule for _, trail in leaves.get(field.path, ())):
        return all(trails or not leaves.get(field.path) for field, trails in zip(rule, fitting, strict=True))
    present = [{trail for _, trail in leaves.get(field.path, ())} if field.may_be_absent else None for field in rule]
    return are_consistent(fitting, present)
