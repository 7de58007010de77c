"""The JSON of a pattern that is the same for all patterns that are equal.

It is written from the sub-rules, and so knows nothing of how the fields were nested, in which order they stood, which
of them were overridden, or how the branches of `$or` were factored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias, cast

from eventrouter.patterns._parse import RESERVED
from eventrouter.patterns._recursion import Task, run
from eventrouter.patterns._tree import SubRule, dumps

#: Paths of fields, each with the JSON of its alternatives.
_Fields: TypeAlias = frozenset[tuple[str, str]]
#: Names of an object: each with its fields, or the JSON of its alternatives.
_Tree: TypeAlias = "dict[str, _Tree | str]"

_NO_NAMES: Final[frozenset[str]] = frozenset()


def canonical_json(rules: Iterable[SubRule]) -> str:
    """Write a pattern: what all sub-rules ask for, and beside it a `$or` of what they ask for each."""
    distinct: set[_Fields] = {frozenset((path, _alternatives(rule, path)) for path in rule) for rule in rules}
    common = frozenset.intersection(*distinct)
    if len(distinct) == 1:
        return _object(common, _NO_NAMES)
    if common in distinct:
        # One sub-rule asks for nothing else, and no branch may be empty. So a field goes into the branches: one that
        # may stand there, as at least one does in the pattern.
        common -= {min((field for field in common if field[0] not in RESERVED), key=_levels_first)}
    branches = sorted(_object(fields - common, RESERVED) for fields in distinct)
    either = f'"$or":[{",".join(branches)}]'
    return f"{{{either},{_object(common, _NO_NAMES)[1:]}" if common else f"{{{either}}}"


def _levels_first(field: tuple[str, str]) -> tuple[int, tuple[str, str]]:
    return field[0].count("."), field


def _alternatives(rule: SubRule, path: str) -> str:
    return f"[{','.join(sorted({dumps(test.to_data()) for test in rule[path]}))}]"


def _object(fields: _Fields, reserved: frozenset[str]) -> str:
    """Write fields as nested objects, and in one with dots what cannot be nested, which means the same (3.2)."""
    paths = {path for path, _ in fields}
    tree: _Tree = {}
    for path, alternatives in fields:
        inner = tree
        *above, last = _names(path, paths, reserved)
        for name in above:
            inner = cast("_Tree", inner.setdefault(name, {}))  # none of these has alternatives of its own
        inner[last] = alternatives
    pieces: list[str] = []
    run(_write(tree, pieces))
    return "".join(pieces)


def _names(path: str, paths: set[str], reserved: frozenset[str]) -> list[str]:
    """Split a path, but for one with a name that is special where it would stand, or that is a field itself."""
    names = path.split(".")
    is_special = "$or" in names or not reserved.isdisjoint(names)
    is_inside = any(".".join(names[:length]) in paths for length in range(1, len(names)))
    return [path] if is_special or is_inside else names


def _write(tree: _Tree, pieces: list[str]) -> Task[None]:
    opening = "{"
    for name in sorted(tree):
        node = tree[name]
        pieces += (opening, dumps(name), ":")
        opening = ","
        if isinstance(node, str):
            pieces.append(node)
        else:
            yield _write(node, pieces)
    pieces.append("}")
