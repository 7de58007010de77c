"""From an event to just the values that rules use.

JSON is decoded into a Struct that has only those fields, which is several times faster than building all of it.
Whatever does not fit the Struct, and whatever is not plain, is left to the general way (`_general.py`), which gives the
same answer. This is the only module that knows msgspec.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Any, Final, Union

import msgspec

from eventrouter.matching._checks import ABSENT
from eventrouter.matching._fields import ABSENCE, LIST, MIXED, OBJECT, SCALAR, Branch, FieldNames, Looks
from eventrouter.matching._gathering import PLAIN, numbers, scalars, spread

MAXIMUM_FIELDS: Final = 64  # of all rules; past it a Struct costs more than it saves
_MAXIMUM_NAMES: Final = 400  # of a projection, names with dots included
_MAXIMUM_DEPTH: Final = 60  # of nested `if` in generated code

_EMPTY: Final[dict[str, Any]] = {}

_SCALARS: Final = (str, int, float, bool, None)
_SCALAR: Final[Any] = Union[_SCALARS]  # noqa: UP007 - of a tuple
_NUMBER: Final[Any] = int | float

#: What decoding raises where an event does not fit, is not JSON, or is not even text; what reading raises where data
#: do not fit, and where a change of the rules gets in between.
MISFITS: Final = (msgspec.DecodeError, UnicodeError, RuntimeError, LookupError, AttributeError, TypeError)


class NotProjectableError(Exception):
    """The used fields do not fit a projection; msgspec or the interpreter would refuse it."""


class _Never:
    """The type of what no event may have; decoding one that has it raises a misfit."""


class Extraction:
    """Writes the code that puts the values of an event into variables `v0`, `v1`, ... by slot.

    Fields that have had several values get a list instead, of scalars, in `x0`, `x1`, ... Where fields of a rule have
    to come from one element of an array, the code that follows runs for each element. Where the event is not plain,
    the code returns `slowly(event)` or raises one of `MISFITS`.

    Args:
        fields: The names of the used fields.
        branch: The same as a tree.
        looks: What their values have looked like.
        numeric: Slots of which rules only ask for numbers.
        from_json: Whether events are JSON text, not data.

    Attributes:
        names: What the code refers to.
        lists: The slots that get a list.
        numbers: The slots that get numbers only: a number, or NaN where there is none; or a list.
        texts: The slots that get a string, always.
        usual: The string that a slot has in most events.
        deferred: Expressions of lists that are not in the code, as they may not be needed.
        scans: For some lists of numbers, loops and what each turn of them gives, to go over them without making a list.
    """

    def __init__(
        self, fields: FieldNames, branch: Branch, looks: Looks, numeric: Collection[int], *, from_json: bool
    ) -> None:
        if max((path.count(".") for path in fields.slots), default=0) >= _MAXIMUM_DEPTH:
            raise NotProjectableError
        self.names: dict[str, Any] = {
            "ABSENT": ABSENT,
            "PLAIN": PLAIN,
            "EMPTY": _EMPTY,
            "NAN": math.nan,
            "check_utf8": _check_utf8,
        }
        self.names |= {"spread": spread, "scalars": scalars, "numbers": numbers}
        self.lists: set[int] = set()
        self.numbers: set[int] = set()
        self.usual = {fields.slots[path]: text for path, text in looks.usual.items() if path in fields.slots}
        self.deferred: dict[str, str] = {}
        self.scans: dict[int, tuple[str, str]] = {}
        self._lines: list[str] = []
        self._loop: tuple[str, list[str]] | None = None
        self._fields = fields
        self._looks = looks
        self._numeric = numeric
        self._from_json = from_json
        self._looped: Branch | None = None
        self._constants: dict[str, str] = {}
        self.texts = frozenset(self._always_texts(branch))
        if from_json:
            try:
                self.names["decode"] = msgspec.json.Decoder(self._struct(branch)).decode
            except (ValueError, TypeError) as error:  # names with quotes, backslashes, control characters
                raise NotProjectableError from error
            # What is not decoded is not checked to be UTF-8; all else about JSON is.
            self._write(0, "if not event.isascii(): check_utf8(event)")
            self._object(branch, self._named("root", "decode(event)", branch, 0), 0)
        else:
            self._write(0, "root = event")
            self._write(0, "if type(root) is not dict: return slowly(event)")
            self._object(branch, "root", 0)

    def around(self, lines: Iterable[str]) -> list[str]:
        """Give the whole code, with the lines that put keys into `keys` where the values are."""
        if self._loop is None:
            return [*self._lines, *lines]
        elements, reading = self._loop
        # Each key once from the start: rules times elements may be too many to keep.
        inner = [*reading, *lines, "if keys: found_keys |= dict.fromkeys(keys)"]
        code = [*self._lines, "found_keys = {}", f"for e in {elements}:", *(f"    {line}" for line in inner)]
        return [*code, "keys = [*found_keys]"]

    def _write(self, indent: int, line: str) -> None:
        self._lines.append("    " * indent + line)

    # -- types to decode into ------------------------------------------------------------------------------------

    def _struct(self, branch: Branch, *, is_element: bool = False) -> Any:
        fields: list[tuple[str, Any, Any]] = []
        rename = {}
        for number, (name, child) in enumerate(branch.children.items()):
            rename[f"f{number}"] = name
            fields.append((f"f{number}", *(self._element_type(child) if is_element else self._type_of(child))))
        for number, name in enumerate(branch.dotted()):
            rename[f"d{number}"] = name
            fields.append((f"d{number}", _Never, ABSENT))
        if len(fields) > _MAXIMUM_NAMES:
            raise NotProjectableError
        struct = msgspec.defstruct("Projection", fields, rename=rename, gc=False, frozen=True, kw_only=True)
        self.names[_struct_name(branch)] = struct
        return struct

    def _type_of(self, branch: Branch) -> tuple[Any, Any]:  # noqa: PLR0911 - one for each look
        """Give the type that a value is decoded as, and what stands for one that is absent."""
        kinds = self._kinds(branch)
        if not branch.children:
            if branch.slot in self.texts:
                return str, msgspec.NODEFAULT
            if self._is_number(branch):
                return _NUMBER, math.nan
            if MIXED in kinds:
                return Any, ABSENT
            return (Union[(list[_SCALAR], *_SCALARS)] if LIST in kinds else _SCALAR), ABSENT
        struct = self._struct(branch, is_element=not self._is_looped(branch) and not kinds <= {OBJECT, SCALAR})
        if kinds == {OBJECT}:
            return struct, (struct() if self.texts.isdisjoint(branch.slots()) else msgspec.NODEFAULT)
        if kinds == {OBJECT, SCALAR}:
            return Union[(struct, *_SCALARS)], ABSENT
        depth = _only_depth(kinds)
        if depth:
            arrays: Any = struct
            for _ in range(depth):
                arrays = list[arrays]
            return arrays, []
        deep: Any = list[Any]
        for _ in range(3):
            deep = list[Union[(struct, deep, *_SCALARS)]]  # type: ignore[valid-type]
        return Union[(struct, deep, *_SCALARS)], ABSENT

    def _element_type(self, leaf: Branch) -> tuple[Any, Any]:
        if self._is_number(leaf):
            return _NUMBER, msgspec.NODEFAULT
        return (_SCALAR if self._kinds(leaf) == {SCALAR} else Any), ABSENT

    def _kinds(self, branch: Branch) -> frozenset[str | int]:
        """Give the kinds of values that the code is made for."""
        kinds = self._looks.of(branch) - {ABSENCE}
        if not branch.children:
            return kinds
        if branch.slot is not None:
            return frozenset((OBJECT, SCALAR))
        is_simple = not any(child.children for child in branch.children.values())
        if is_simple and (branch.path not in self._fields.sensitive or self._is_looped(branch)):
            return kinds
        # Its arrays are left to the general way.
        return frozenset(kind for kind in kinds if kind in (OBJECT, SCALAR)) | {OBJECT}

    def _is_looped(self, branch: Branch) -> bool:
        """Say whether the code runs for each object in the arrays of a branch: of the first that needs it."""
        if self._looped is None and self._needs_loop(branch):
            self._looped = branch
        return self._looped is branch

    def _needs_loop(self, branch: Branch) -> bool:
        path = branch.path
        return (
            path in self._fields.sensitive
            and path not in self._fields.absences
            and branch.slot is None
            and bool(_only_depth(self._looks.of(branch) - {ABSENCE}))
            and all(
                not child.children and self._looks.of(child) <= {SCALAR, ABSENCE} for child in branch.children.values()
            )
        )

    def _is_number(self, leaf: Branch) -> bool:
        """Say whether a field may be taken for a number."""
        return leaf.slot in self._numeric and leaf.path not in self._looks.not_numbers and not leaf.children

    def _always_texts(self, branch: Branch) -> Iterator[int]:
        """Give the fields that are strings in all events, below objects that are there in all events."""
        for child in branch.children.values():
            if not self._looks.may_be_absent(child):
                if child.slot is None and self._looks.of(child) == {OBJECT}:
                    yield from self._always_texts(child)
                elif child.slot is not None and not child.children and self._looks.is_text(child):
                    yield child.slot

    # -- code to read ----------------------------------------------------------------------------------------------

    def _object(self, branch: Branch, variable: str, indent: int) -> None:
        """Read the members of an object."""
        if not self._from_json:
            dotted = [*branch.dotted()]
            if dotted:
                test = " or ".join(f"{self._constant(name)} in {variable}" for name in dotted)
                others = self._has_others(branch, variable, dotted)
                self._write(indent, f"if {others}({test}): return slowly(event)")
        for number, (name, child) in enumerate(branch.children.items()):
            if not child.children:
                self._leaf(child, self._member(child, variable, number, name), indent)
            else:
                self._inner(child, self._member(child, variable, number, name), indent)

    def _has_others(self, branch: Branch, variable: str, dotted: Collection[str]) -> str:
        """Give a test that an object without other names than expected fails, if it costs less than asking for them.

        An object that has as many names as are expected, and all of these, has no others. For those that are read
        anyway it need not be asked: to read one that is not there is a misfit.
        """
        names = self._looks.names_of(branch)
        read = {name for name, child in branch.children.items() if not self._looks.may_be_absent(child)}
        unread = sorted(names - read)
        if not read <= names or not names.isdisjoint(dotted) or 1 + len(unread) >= len(dotted):
            return ""
        missing = "".join(f" or {self._constant(name)} not in {variable}" for name in unread)
        return f"(len({variable}) != {len(names)}{missing}) and "

    def _member(self, branch: Branch, variable: str, number: int, name: str) -> str:
        if self._from_json:
            return f"{variable}.f{number}"
        constant = self._constant(name)
        if not self._looks.may_be_absent(branch):
            return f"{variable}[{constant}]"  # half the cost of get(); a KeyError is a misfit
        kinds = self._kinds(branch)
        return f"{variable}.get({constant}, {_absent_object(kinds) if branch.children else 'ABSENT'})"

    def _constant(self, name: str) -> str:
        constant = self._constants.setdefault(name, f"k{len(self._constants)}")
        self.names[constant] = name
        return constant

    def _leaf(self, branch: Branch, value: str, indent: int) -> None:
        slot = branch.slot or 0
        kinds = self._kinds(branch)
        self._write(indent, f"v{slot} = {value}")
        if slot in self.texts:
            if not self._from_json:
                self._write(indent, f"if type(v{slot}) is not str: return slowly(event)")
        elif self._is_number(branch):
            self.numbers.add(slot)
            if not self._from_json:
                test = f"if (type(v{slot}) is not float and type(v{slot}) is not int) or v{slot} != v{slot}"
                if self._looks.may_be_absent(branch):
                    self._write(indent, f"if v{slot} is ABSENT: v{slot} = NAN")
                    test = f"el{test}"
                self._write(indent, f"{test}: return slowly(event)")
        elif kinds == {SCALAR}:
            if not self._from_json:
                self._write(indent, f"t = type(v{slot})")
                test = f"t is not str and (t is not float or v{slot} != v{slot}) and t not in PLAIN"
                self._write(indent, f"if {test}: return slowly(event)")
        else:
            self.lists.add(slot)
            if MIXED in kinds or not self._from_json:
                self._write(indent, f"x{slot} = scalars(v{slot})")
            else:
                several = f"v{slot} if type(v{slot}) is list"
                self._write(indent, f"x{slot} = {several} else [] if v{slot} is ABSENT else [v{slot}]")

    def _inner(self, branch: Branch, value: str, indent: int) -> None:
        kinds = self._kinds(branch)
        inner = self._named(_variable(branch), value, branch, indent)
        if not kinds <= {OBJECT, SCALAR}:
            if self._looped is branch:
                self._each(branch, inner)
            else:
                self._gather(branch, kinds, inner, indent)
            return
        if kinds == {OBJECT}:
            if not self._from_json:
                self._write(indent, f"if type({inner}) is not dict: return slowly(event)")
            self._object(branch, inner, indent)
            return
        self._optional(branch, inner, indent)

    def _named(self, name: str, value: str, branch: Branch, indent: int) -> str:
        """Give a value a name, and the name back; or the value itself where it is needed but once."""
        if self._from_json and len(branch.children) == 1 and (branch.path is None or self._kinds(branch) == {OBJECT}):
            return value
        self._write(indent, f"{name} = {value}")
        return name

    def _optional(self, branch: Branch, inner: str, indent: int) -> None:
        """Read the members of what may be an object, a scalar or absent."""
        self._write(indent, f"if type({inner}) is {_struct_name(branch) if self._from_json else 'dict'}:")
        if branch.slot is not None:
            self._write(indent + 1, f"v{branch.slot} = ABSENT")
        had_loop = self._loop is not None
        self._object(branch, inner, indent + 1)
        if not self._from_json:
            test = f"type({inner}) not in PLAIN and (type({inner}) is not float or {inner} != {inner})"
            self._write(indent, f"elif {test}: return slowly(event)")
        self._write(indent, "else:")
        for slot in branch.slots():
            absent = "NAN" if slot in self.numbers and slot not in self.lists else "ABSENT"
            self._write(indent + 1, f"v{slot} = {inner if slot == branch.slot else absent}")
            if slot in self.lists:
                self._write(indent + 1, f"x{slot} = []")
        if self._looped is not None and self._loop is not None and not had_loop:
            self._write(indent + 1, f"{_variable(self._looped)} = ()")

    def _each(self, branch: Branch, variable: str) -> None:
        """Read the members of each object in arrays, in a loop around all that follows."""
        outside, self._lines = self._lines, []
        self._object(branch, "e", 0)
        objects, none = f"spread({variable}, dict)", "EMPTY"
        if self._from_json:
            objects = _flat(variable, _only_depth(self._kinds(branch)))
            none = f"{_struct_name(branch)}_none"
            self.names[none] = self.names[_struct_name(branch)]()
        self._loop = f"{objects} or ({none},)", self._lines
        self._lines = outside

    def _gather(self, branch: Branch, kinds: frozenset[str | int], variable: str, indent: int) -> None:
        """Read the members of the objects in arrays; nothing depends on which stand in the same one."""
        # Data may hold objects of any type, of which only dicts are safe to ask for a member.
        depth = _only_depth(kinds) if self._from_json else 0
        loops = _loops(variable, depth) if depth else f"for e in {variable}"
        if not depth:
            self._write(
                indent, f"{variable} = spread({variable}, {_struct_name(branch) if self._from_json else 'dict'})"
            )
        for number, (name, child) in enumerate(branch.children.items()):
            slot = child.slot or 0
            self.lists.add(slot)
            gathered = f"[{self._member(child, 'e', number, name)} {loops}]"
            if not (self._from_json and self._is_number(child)):  # of which none is absent
                gathered = f"[v for v in {gathered} if v is not ABSENT]"
            if self._is_number(child):
                self.numbers.add(slot)
                checked = gathered if self._from_json else f"numbers({gathered})"
                if self._from_json and depth and not indent:
                    self.scans[slot] = (loops, f"e.f{number}")
            elif self._from_json and self._kinds(child) == {SCALAR}:
                checked = gathered
            else:
                checked = f"scalars({gathered})"
            if self._from_json and not indent:
                self.deferred[f"x{slot}"] = checked
            else:  # data have to be checked whether needed or not
                self._write(indent, f"x{slot} = {checked}")


def _loops(variable: str, depth: int) -> str:
    """Give the loops of a comprehension over the objects, `e`, in arrays in arrays."""
    names = [variable, *(f"e{number}" for number in range(1, depth)), "e"]
    return " ".join(f"for {inner} in {outer}" for outer, inner in pairwise(names))


def _flat(variable: str, depth: int) -> str:
    return variable if depth == 1 else f"[e {_loops(variable, depth)}]"


def _absent_object(kinds: frozenset[str | int]) -> str:
    """Give what stands for an object, or arrays of them, that is absent from data."""
    return "EMPTY" if kinds == {OBJECT} else "[]" if _only_depth(kinds) else "ABSENT"


def _variable(branch: Branch) -> str:
    return f"o{branch.depth}_{min(branch.slots())}"


def _struct_name(branch: Branch) -> str:
    return f"S{branch.depth}_{min(branch.slots(), default=0)}"


def _only_depth(kinds: frozenset[str | int]) -> int:
    """Give how deep the arrays are, if nothing but arrays of objects is expected; else 0."""
    [kind] = kinds if len(kinds) == 1 else [0]
    return kind if isinstance(kind, int) else 0


def _check_utf8(event: str | bytes) -> None:
    """Raise `UnicodeError` for bytes that are not UTF-8."""
    if not isinstance(event, str):
        str(event, "utf-8")


_decode: Final = msgspec.json.Decoder().decode


def decode_all(event: str | bytes) -> Any:
    """Decode all of an event. Raises what msgspec raises."""
    return _decode(event)
