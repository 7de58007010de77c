"""From JSON text to a frozen tree.

The order of the checks is event-ruler's: the first problem of the document is the one reported.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from eventrouter.patterns._cursor import Cursor, shown
from eventrouter.patterns._expressions import MORE_KEYS, OPERATORS
from eventrouter.patterns._json import Scalar
from eventrouter.patterns._operators import ContentFilter, Literal
from eventrouter.patterns._recursion import Task, run
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields, dumps

MAXIMUM_LEVELS: Final = 256  # of names that lead to a field, and `$or` around it
MAXIMUM_PATH: Final = 4_096  # characters of these names: as many as EventBridge allows a whole pattern
UNCOUNTED: Final = 10**18  # combinations; that many are not told apart any more

#: Names that event-ruler keeps for itself, and so nobody may use inside `$or` (12.6).
RESERVED: Final = frozenset(
    (
        "<", "<=", "=", ">", ">=", "anything-but", "cidr", "date-after", "date-before", "date-on-or-after",
        "date-on-or-before", "equals-ignore-case", "exactly", "exists", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range", "not-equals-ignore-case", "not-wildcard", "numeric", "prefix", "regex", "suffix",
        "wildcard",
    )
)  # fmt: skip


class _Place(NamedTuple):
    """What the limits are about."""

    levels: int = 0
    length: int = -1  # of the path, joined by dots: the first name has none before it
    inside_or: bool = False


class Parser:
    """Reads one pattern.

    Attributes:
        combinations: The product of the lengths of all `$or` arrays, or `UNCOUNTED` if that is less.
    """

    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text)
        self.combinations = 1

    def parse(self) -> Fields:
        """Read the whole text.

        Raises:
            RefusedError: It is not a pattern.
            JsonSyntaxError: It is not JSON.
        """
        begun = self._cursor.reader.begin()
        if begun != "{":
            raise self._cursor.refused("Filter is not an object", 'write {"field": [value, ...]}')
        fields = run(self._fields(_Place()))
        self._cursor.reader.end()
        return fields

    def _fields(self, place: _Place) -> Task[Fields]:
        members: list[tuple[str, Fields | Alternatives | AnyOf]] = []
        start = self._cursor.reader.offset
        for name in map(sys.intern, self._cursor.reader.names()):  # the same few in thousands of patterns
            inner = self._inside(place, name)
            self._cursor.steps.append(name)
            if name == "$or":
                members.append((name, (yield self._any_of(inner))))
            else:
                if place.inside_or and name in RESERVED:
                    raise self._reserved(name)
                members.append((name, (yield self._node(name, inner))))
            self._cursor.steps.pop()
        if not members:
            hint = 'to match every event write {"source": [{"prefix": ""}]}'
            raise self._cursor.refused("Empty objects are not allowed", hint, start)
        return Fields(tuple(members))

    def _inside(self, place: _Place, name: str) -> _Place:
        if name == "$or":
            inner = _Place(place.levels + 1, place.length, inside_or=True)
        else:
            inner = _Place(place.levels + 1 + name.count("."), place.length + 1 + len(name), place.inside_or)
        if inner.levels > MAXIMUM_LEVELS:
            hint = f"{MAXIMUM_LEVELS} levels are allowed, and a dot in a name is one"
            raise self._cursor.too_complex("The pattern is nested too deeply", hint)
        if inner.length > MAXIMUM_PATH:
            hint = f"{MAXIMUM_PATH:,} characters are allowed"
            raise self._cursor.too_complex("The names that lead to a field are too long", hint)
        return inner

    def _reserved(self, name: str) -> Exception:
        above = self._cursor.steps[-2] if len(self._cursor.steps) > 1 else 0
        hint = "write the field beside $or, or a rule for each branch"
        if isinstance(above, str):
            hint = f"write {dumps(f'{above}.{name}')} in one, which means the same"
        return self._cursor.refused(f"{name} is Ruler reserved fieldName which cannot be used inside $or.", hint)

    def _node(self, name: str, place: _Place) -> Task[Fields | Alternatives]:
        begun = self._cursor.reader.begin()
        if begun == "{":
            fields: Fields = yield self._fields(place)
            return fields
        if isinstance(begun, Scalar):
            raise self._cursor.refused(f'"{name}" must be an object or an array', f"write [{shown(begun)}]")
        start = self._cursor.reader.offset
        filters = []
        for index in self._cursor.reader.items():
            self._cursor.steps.append(index)
            filters.append(self._alternative())
            self._cursor.steps.pop()
        if not filters:
            raise self._cursor.refused("Empty arrays are not allowed", "name at least one value", start)
        return Alternatives(tuple(filters))

    def _any_of(self, place: _Place) -> Task[AnyOf]:
        begun = self._cursor.reader.begin()
        start = self._cursor.reader.offset
        if begun != "[":
            raise self._cursor.refused("It must be an Array followed with $or.", 'write "$or": [{...}, {...}]')
        branches = []
        for index in self._cursor.reader.items():
            self._cursor.steps.append(index)
            if self._cursor.reader.begin() != "{":
                hint = 'write {"field": [value, ...]}'
                raise self._cursor.refused("Only JSON object is allowed in array of $or relationship.", hint)
            branches.append((yield self._fields(place)))
            self._cursor.steps.pop()
        if len(branches) < 2:  # noqa: PLR2004 - an alternative needs two
            hint = "write the fields of the one branch beside the others" if branches else "write two branches or more"
            raise self._cursor.refused("There must have at least 2 Objects in $or relationship.", hint, start)
        self.combinations = min(self.combinations * len(branches), UNCOUNTED)
        return AnyOf(tuple(branches))

    def _alternative(self) -> ContentFilter:
        begun = self._cursor.reader.begin()
        if isinstance(begun, Scalar):
            return Literal.of(self._cursor.plain(begun))
        if begun == "[":
            hint = "write the values of the inner list in the outer one"
            raise self._cursor.refused("Match value must be String, number, true, false, or null", hint)
        return self._cursor.expression(
            OPERATORS, "Match expression name not found", "Unrecognized match type {}", MORE_KEYS.get
        )
