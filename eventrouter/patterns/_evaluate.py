"""Plain evaluation of one pattern against one event, with array consistency.

An event is a set of *leaves*: a path, a value, and a trail, the elements of arrays that the value stands in. A
sub-rule matches if a leaf can be found for each of its fields such that no two of them stand in different elements of
the same array (5.3). `{"exists": false}` asks that there is no leaf, among those that go together with what the fields
before it, in the order of their names, were given (11.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from eventrouter.errors import InvalidEventError
from eventrouter.patterns._operators import ContentFilter, Exists, Leaf
from eventrouter.patterns._tree import SubRule

#: The elements of arrays that a value stands in, outermost first: which array, which element. Only elements that are
#: objects or arrays count (5.6). Arrays are numbered so that an inner one has a higher number.
Trail: TypeAlias = tuple[tuple[int, int], ...]
Leaves: TypeAlias = dict[str, list[tuple[Leaf, Trail]]]

_ABSENCE: Final = Exists(expected=False)


class Field(NamedTuple):
    """A field of a sub-rule."""

    path: str
    filters: tuple[ContentFilter, ...]
    may_be_absent: bool


class Evaluator:
    """A pattern's sub-rules, prepared for evaluation.

    Attributes:
        rules: The fields of each sub-rule, in the order of their names.
        paths: All that the pattern looks at.
        prefixes: The paths on the way there.
    """

    def __init__(self, sub_rules: Iterable[SubRule]) -> None:
        self.rules = [in_order(rule) for rule in sub_rules]
        self.paths = {field.path for rule in self.rules for field in rule}
        self.prefixes = {prefix for path in self.paths for prefix in _prefixes(path)}

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether any sub-rule matches the event."""
        leaves = self._flatten(event)
        return any(leaves_match(rule, leaves) for rule in self.rules)

    def verdicts(self, event: Mapping[str, Any]) -> list[bool]:
        """Say of each sub-rule whether it matches the event."""
        leaves = self._flatten(event)
        return [leaves_match(rule, leaves) for rule in self.rules]

    def _flatten(self, event: Mapping[str, Any]) -> Leaves:
        """Collect the leaves that the pattern looks at. A loop, as an event may be nested deeply."""
        leaves: Leaves = {}
        arrays = 0
        todo: list[tuple[str | None, Any, Trail]] = [(None, event, ())]
        while todo:
            path, value, trail = todo.pop()
            if isinstance(value, Mapping):
                for name, item in value.items():
                    full = name if path is None else f"{path}.{name}"
                    if full in self.paths or full in self.prefixes:
                        todo.append((full, item, trail))
            elif isinstance(value, list | tuple):
                arrays += 1
                for index, item in enumerate(value):
                    is_element = isinstance(item, Mapping | list | tuple)
                    todo.append((path, item, (*trail, (arrays, index)) if is_element else trail))
            elif path in self.paths:
                if value != value:  # noqa: PLR0124 - only NaN is not itself
                    raise InvalidEventError(f"{value} at {path} is not a JSON number", "MalformedEvent")
                leaves.setdefault(str(path), []).append((value, trail))
        return leaves


def in_order(rule: SubRule) -> list[Field]:
    """Give the fields of a sub-rule in the order in which they are tried."""
    fields = [Field(path, filters, _ABSENCE in filters) for path, filters in rule.items()]
    return sorted(fields, key=lambda field: in_javas_order(field.path))


def in_javas_order(path: str) -> bytes:
    """Give the key by which Java sorts strings, UTF-16 code units: 11.5 depends on it."""
    return path.encode("utf-16-be", "surrogatepass")


def _prefixes(path: str) -> Iterator[str]:
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


def leaves_match(rule: Sequence[Field], leaves: Leaves) -> bool:
    """Say whether a leaf can be found for each field of a sub-rule, `in_order`, such that all go together."""
    fitting: list[set[Trail]] = []
    for field in rule:
        found = leaves.get(field.path, ())
        trails = {trail for value, trail in found if any(test.accepts(value) for test in field.filters)}
        if not trails and not field.may_be_absent:
            return False
        fitting.append(trails)
    if all(not trail for field in rule for _, trail in leaves.get(field.path, ())):
        return all(trails or not leaves.get(field.path) for field, trails in zip(rule, fitting, strict=True))
    present = [{trail for _, trail in leaves.get(field.path, ())} if field.may_be_absent else None for field in rule]
    return _are_consistent(fitting, present)


def _are_consistent(fitting: Sequence[set[Trail]], present: Sequence[set[Trail] | None]) -> bool:
    """Search for one trail for each field such that all go together.

    Field by field, with the set of all choices that are still possible. A choice is told by the elements it has settled
    on, and only of arrays that a later field has values in: so there are about as many of them as elements, and the
    search is near linear in the size of the event, where trying all combinations would be exponential.

    Args:
        fitting: For each field, where values stand that its filters accept.
        present: For each field, where values stand at all, if it may be absent; None if it may not.
    """
    later: list[set[int]] = [set()]
    for trails, all_trails in zip(reversed(fitting[1:]), reversed(present[1:]), strict=True):
        later.append(later[-1] | {array for trail in trails | (all_trails or set()) for array, _ in trail})
    choices: set[Trail] = {()}
    for trails, all_trails, relevant in zip(fitting, present, reversed(later), strict=True):
        index = _Choices(choices)
        following = {_pruned({*choice, *trail}, relevant) for trail in trails for choice in index.going_with(trail)}
        if all_trails is not None:
            taken = {choice for trail in all_trails for choice in index.going_with(trail)}
            following |= {_pruned(set(choice), relevant) for choice in choices - taken}
        if not following:
            return False
        choices = following
    return True


def _pruned(elements: set[tuple[int, int]], relevant: set[int]) -> Trail:
    return tuple(sorted(element for element in elements if element[0] in relevant))


class _Choices:
    """Choices by the elements they have settled on, as a tree: array, then element, then what lies inside."""

    def __init__(self, choices: Iterable[Trail]) -> None:
        self._root = _Branch()
        for choice in choices:
            branch = self._root
            for array, element in choice:
                branch = branch.arrays.setdefault(array, {}).setdefault(element, _Branch())
            branch.choices.append(choice)

    def going_with(self, trail: Trail) -> Iterator[Trail]:
        """Give the choices that settle on no other element of an array than *trail* does."""
        elements = dict(trail)
        todo = [self._root]
        while todo:
            branch = todo.pop()
            yield from branch.choices
            for array, inside in branch.arrays.items():
                if array in elements:
                    if elements[array] in inside:
                        todo.append(inside[elements[array]])
                else:
                    todo.extend(inside.values())


class _Branch:
    """The choices that settle on the same elements so far."""

    __slots__ = ("arrays", "choices")

    def __init__(self) -> None:
        self.choices: list[Trail] = []
        self.arrays: dict[int, dict[int, _Branch]] = {}
