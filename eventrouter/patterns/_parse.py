"""From JSON text to a frozen tree.

The order of the checks is event-ruler's: the first problem of the document is the one reported.
"""

from __future__ import annotations

from typing import Final

from eventrouter.patterns._cursor import Cursor, shown
from eventrouter.patterns._expressions import MORE_KEYS, OPERATORS
from eventrouter.patterns._json import Scalar
from eventrouter.patterns._operators import ContentFilter, Literal
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields, dumps

#: Names that event-ruler keeps for itself, and so nobody may use inside `$or` (12.6).
RESERVED: Final = frozenset(
    (
        "<", "<=", "=", ">", ">=", "anything-but", "cidr", "date-after", "date-before", "date-on-or-after",
        "date-on-or-before", "equals-ignore-case", "exactly", "exists", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range", "not-equals-ignore-case", "not-wildcard", "numeric", "prefix", "regex", "suffix",
        "wildcard",
    )
)  # fmt: skip


class Parser:
    """Reads one pattern.

    Attributes:
        combinations: The product of the lengths of all `$or` arrays.
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
        fields = self._fields(inside_or=False)
        self._cursor.reader.end()
        return fields

    def _fields(self, *, inside_or: bool) -> Fields:
        members: list[tuple[str, Fields | Alternatives | AnyOf]] = []
        start = self._cursor.reader.offset
        for name in self._cursor.reader.names():
            self._cursor.steps.append(name)
            if name == "$or":
                members.append((name, self._any_of()))
            else:
                if inside_or and name in RESERVED:
                    raise self._reserved(name)
                members.append((name, self._node(name, inside_or=inside_or)))
            self._cursor.steps.pop()
        if not members:
            hint = 'to match every event write {"source": [{"prefix": ""}]}'
            raise self._cursor.refused("Empty objects are not allowed", hint, start)
        return Fields(tuple(members))

    def _reserved(self, name: str) -> Exception:
        above = self._cursor.steps[-2] if len(self._cursor.steps) > 1 else 0
        hint = "write the field beside $or, or a rule for each branch"
        if isinstance(above, str):
            hint = f"write {dumps(f'{above}.{name}')} in one, which means the same"
        return self._cursor.refused(f"{name} is Ruler reserved fieldName which cannot be used inside $or.", hint)

    def _node(self, name: str, *, inside_or: bool) -> Fields | Alternatives:
        begun = self._cursor.reader.begin()
        if begun == "{":
            return self._fields(inside_or=inside_or)
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

    def _any_of(self) -> AnyOf:
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
            branches.append(self._fields(inside_or=True))
            self._cursor.steps.pop()
        if len(branches) < 2:  # noqa: PLR2004 - an alternative needs two
            hint = "write the fields of the one branch beside the others" if branches else "write two branches or more"
            raise self._cursor.refused("There must have at least 2 Objects in $or relationship.", hint, start)
        self.combinations *= len(branches)
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
