"""A pattern as it was written: its parts in the order of the text, and what is written twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from eventrouter.patterns._findings import Finding
from eventrouter.patterns._operators import ContentFilter, Literal
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields

#: Of the `$or` around a part, from the outside: which `$or`, which branch. They are numbered in the order of the text.
_Branches: TypeAlias = tuple[tuple[int, int], ...]


class Written(NamedTuple):
    """A part of a pattern.

    Attributes:
        node: An object, the alternatives of a field, or the branches of a `$or`.
        steps: The names and indexes that lead to it.
        path: The names of fields that lead to it, joined by dots; None for the whole.
        branches: The branches of `$or` that it is in.
    """

    node: Fields | Alternatives | AnyOf
    steps: tuple[Step, ...] = ()
    path: str | None = None
    branches: _Branches = ()


def written(document: Fields) -> Iterator[Written]:
    """Give all parts. A loop, as a pattern may be nested deeply."""
    numbers = itertools.count()
    todo = [Written(document)]
    while todo:
        part = todo.pop()
        yield part
        node, steps, path, branches = part
        if isinstance(node, AnyOf):
            number = next(numbers)
            inside = [
                Written(branch, (*steps, index), path, (*branches, (number, index)))
                for index, branch in enumerate(node.branches)
            ]
        elif isinstance(node, Fields):
            inside = [
                Written(member, (*steps, name), path if isinstance(member, AnyOf) else _joined(path, name), branches)
                for name, member in node.members
            ]
        else:
            inside = []
        todo += reversed(inside)


def _joined(path: str | None, name: str) -> str:
    return name if path is None else f"{path}.{name}"


def repeats(parts: Sequence[Written]) -> Iterator[Finding]:
    """Tell of names that are written twice, and of fields that come twice in one sub-rule."""
    earlier: dict[str, _Earlier] = {}
    for part in parts:
        if isinstance(part.node, Fields):
            yield from _repeated_names(part.node, part.steps)
        elif isinstance(part.node, Alternatives) and part.path is not None:
            known = earlier.setdefault(part.path, _Earlier())
            replaced = known.latest_with(part.branches)
            if replaced is not None:
                yield _replacement(replaced, part)
            known.add(part)


def _repeated_names(fields: Fields, steps: tuple[Step, ...]) -> Iterator[Finding]:
    """Tell of names whose values are merged; of arrays the later replaces the earlier, which shows by their paths."""
    seen: dict[str, type] = {}
    for name, node in fields.members:
        if name in seen and not (isinstance(node, Alternatives) and seen[name] is Alternatives):
            both = "one branch of each has to match" if name == "$or" else "both count"
            message = f'"{name}" is written twice in one object; {both}, where most readers of JSON keep the last'
            yield Finding("duplicate-key", "warning", message, json_path((*steps, name)), "write it once")
        seen[name] = type(node)


class _Earlier:
    """The parts with one path so far, kept such that the latest that meets another is found at once.

    Two parts meet in a sub-rule unless they are in different branches of the same `$or`.
    """

    def __init__(self) -> None:
        # By the branches that are shared: the latest part, and the latest of another `$or` than its, or of none.
        self._latest: dict[_Branches, dict[int | None, Written]] = {}

    def add(self, part: Written) -> None:
        """Add a part, that comes later than all so far."""
        for shared in range(len(part.branches) + 1):
            latest = self._latest.setdefault(part.branches[:shared], {})
            latest.pop(_next_or(part.branches, shared), None)
            latest[_next_or(part.branches, shared)] = part
            if len(latest) > 2:  # noqa: PLR2004 - the latest, and one of another `$or`
                del latest[next(iter(latest))]

    def latest_with(self, branches: _Branches) -> Written | None:
        """Give the latest part that meets one in these branches."""
        for shared in range(len(branches), -1, -1):
            latest = self._latest.get(branches[:shared], {})
            own = _next_or(branches, shared)
            for other, part in reversed(latest.items()):
                if other is None or other != own:
                    return part
        return None


def _next_or(branches: _Branches, shared: int) -> int | None:
    return branches[shared][0] if shared < len(branches) else None


def _replacement(earlier: Written, later: Written) -> Finding:
    where = json_path(later.steps)
    if earlier.branches == later.branches:
        message = f"{later.path} is written twice; this one replaces the earlier"
        return Finding("duplicate-key", "warning", message, where, "write it once")
    message = f"this {later.path} replaces that of {json_path(earlier.steps)}, they are not both required"
    if _exclude_each_other(_filters(earlier), _filters(later)):
        message += "; together they would never match"
    return Finding("or-override", "warning", message, where, "write the field once in every branch")


def _filters(part: Written) -> Sequence[ContentFilter]:
    return part.node.filters if isinstance(part.node, Alternatives) else ()


def _exclude_each_other(first: Sequence[ContentFilter], second: Sequence[ContentFilter]) -> bool:
    """Say whether no single value can satisfy both; only literals are looked at."""
    if not all(isinstance(test, Literal) for test in (*first, *second)):
        return False
    return _values(first).isdisjoint(_values(second))


def _values(tests: Sequence[ContentFilter]) -> set[object]:
    return {test.address or test for test in tests if isinstance(test, Literal)}
