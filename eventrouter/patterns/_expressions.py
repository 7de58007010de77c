"""The operands of the operators, from JSON text to content filters, refusing what EventBridge refuses, in its words.

The order of the checks is event-ruler's: an operand's problems come before a second key beside the operator.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final, TypeAlias

from eventrouter.patterns._addresses import Address, looks_like_address, parse_address
from eventrouter.patterns._json import Begin, Number, Reader, Scalar
from eventrouter.patterns._operators import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
    WildcardError,
)
from eventrouter.patterns._places import Step

#: Reads an operand whose value was begun.
Operator: TypeAlias = "Callable[[Cursor, Begin], ContentFilter]"

_ONE_KEY: Final = "Only one key allowed in match expression"
_TOO_MANY: Final = "Too many elements in numeric expression"
_MIXED: Final = "Inside anything but list, either all values are number or string, mixed type is not supported"
_BAD_ANYTHING_BUT: Final = "Value of anything-but must be an array or single string/number value."
_IGNORE_CASE: Final = "equals-ignore-case"


class RefusedError(Exception):
    """A pattern is refused: EventBridge's reason, the steps to the culprit, where it stands, and what to write."""

    def __init__(self, reason: str, steps: tuple[Step, ...], offset: int, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.steps, self.offset, self.hint = reason, steps, offset, hint


class Cursor:
    """A place in the text of a pattern.

    Attributes:
        reader: The text.
        steps: The names and indexes that lead here.
    """

    def __init__(self, text: str) -> None:
        self.reader = Reader(text)
        self.steps: list[Step] = []

    def refused(self, reason: str, hint: str = "") -> RefusedError:
        """Give the error that refuses what is here."""
        return RefusedError(reason, tuple(self.steps), self.reader.offset, hint)

    def expression(
        self,
        operators: Mapping[str, Operator],
        missing: str,
        unknown: str,
        more: Callable[[str, str], str],
    ) -> ContentFilter:
        """Read an object with one key, the name of an operator, and its operand."""
        content_filter: ContentFilter | None = None
        operator = ""
        start = self.reader.offset
        for name in self.reader.names():
            if content_filter is not None:
                raise self.refused(more(operator, _ONE_KEY))
            if name not in operators:
                nearest = difflib.get_close_matches(name.lower(), operators, 1, 0.5)
                hint = f'did you mean "{nearest[0]}"?' if nearest else f"there are {', '.join(operators)}"
                raise self.refused(unknown.format(name), hint)
            operator = name
            self.steps.append(name)
            content_filter = operators[name](self, self.reader.begin())
            self.steps.pop()
        if content_filter is None:
            raise RefusedError(missing, tuple(self.steps), start)
        return content_filter

    def string(self, begun: Begin, reason: str) -> str:
        """Read a string, or refuse what is there for *reason*."""
        value = begun.value if isinstance(begun, Scalar) else None
        if not isinstance(value, str):
            hint = "write one alternative for each string" if begun == "[" else ""
            raise self.refused(reason, hint)
        return value


def _exactly(cursor: Cursor, begun: Begin) -> ContentFilter:
    return Exactly(cursor.string(begun, "exact match pattern must be a string"))


def _end(cursor: Cursor, kind: type[Prefix | Suffix], begun: Begin) -> ContentFilter:
    if begun != "{":
        return kind(cursor.string(begun, f"{kind.key} match pattern must be a string"))

    def ignoring_case(cursor: Cursor, operand: Begin) -> ContentFilter:
        return kind(_ignore_case_text(cursor, operand), ignores_case=True)

    return cursor.expression(
        {_IGNORE_CASE: ignoring_case},
        f"{kind.key.capitalize()} expression name not found",
        f"Unsupported {kind.key} pattern: {{}}",
        lambda _, one_key: one_key,
    )


def _prefix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _end(cursor, Prefix, begun)


def _suffix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _end(cursor, Suffix, begun)


def _ignore_case_text(cursor: Cursor, begun: Begin) -> str:
    return cursor.string(begun, "equals-ignore-case match pattern must be a string")


def _equals_ignore_case(cursor: Cursor, begun: Begin) -> ContentFilter:
    return EqualsIgnoreCase(_ignore_case_text(cursor, begun))


def _wildcard(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _made_wildcard(cursor, cursor.string(begun, "wildcard match pattern must be a string"))


def _made_wildcard(cursor: Cursor, text: str) -> Wildcard:
    try:
        return Wildcard(text)
    except WildcardError as error:
        raise cursor.refused(str(error), r"write \* for a star and \\ for a backslash") from None


def _exists(cursor: Cursor, begun: Begin) -> ContentFilter:
    value = begun.value if isinstance(begun, Scalar) else None
    if not isinstance(value, bool):
        raise cursor.refused("exists match pattern must be either true or false.")
    return Exists(value)


def _numeric(cursor: Cursor, begun: Begin) -> ContentFilter:
    if begun != "[":
        raise cursor.refused("Value of numeric must be an array.", 'write {"numeric": [">", 0]}')
    parts: list[Begin] = []
    bounds = _NumericShape(cursor, parts)
    for index in cursor.reader.items():
        cursor.steps.append(index)
        part = cursor.reader.begin()
        parts.append(part)
        bounds.check()
        cursor.steps.pop()
    return bounds.finish()


def bound(cursor: Cursor, number: Number) -> int | float:
    """Give a number that `numeric` or `anything-but` compares with: one that a double can show (4.4, 7.4)."""
    double = float(number.text)
    if not math.isfinite(double) or Decimal(number.text) != Decimal(repr(double)):
        raise cursor.refused(f"Cannot compare number : {number.text}", "use at most 17 digits")
    return number.value


def _cidr(cursor: Cursor, begun: Begin) -> ContentFilter:
    text = cursor.string(begun, "prefix match pattern must be a string")
    parts = re.sub("/+$", "", text).split("/")  # as Java splits, dropping empty parts at the end
    if len(parts) != 2:  # noqa: PLR2004 - an address and a mask
        raise cursor.refused("Malformed CIDR, one '/' required", "write address/bits")
    if not re.fullmatch("[-+]?[0-9]{1,99}", parts[1]) or not -(2**31) <= int(parts[1]) < 2**31:
        raise cursor.refused("Malformed CIDR, mask bits must be an integer")
    bits = int(parts[1])
    if bits < 0:
        raise cursor.refused("Malformed CIDR, mask bits must not be negative")
    address = parse_address(parts[0])
    if address is None:
        fault = "Invalid" if looks_like_address(parts[0]) else "Nonstandard"
        raise cursor.refused(f"{fault} IP address: {parts[0]}")
    width = 32 if address.family == 4 else 128  # noqa: PLR2004 - the family's own number
    if bits >= width:
        raise cursor.refused(f"IPv{address.family} mask bits must be < {width}", "write the address by itself")
    mask = (1 << (width - bits)) - 1
    first, last = address.value & ~mask, address.value | mask
    return Cidr(text, Address(address.family, first), Address(address.family, last))


def _anything_but(cursor: Cursor, begun: Begin) -> ContentFilter:
    if begun == "{":
        return cursor.expression(
            _EXCLUSIONS, "Anything-But expression name not found", "Unsupported anything-but pattern: {}", _too_many
        )
    if begun == "[":
        return AnythingBut(frozenset(_excluded_values(cursor)))
    value = begun.value if isinstance(begun, Scalar) else None
    if isinstance(value, str | Number):
        return AnythingBut(frozenset([_excluded(cursor, value)]))
    raise cursor.refused(_BAD_ANYTHING_BUT)


def _excluded(cursor: Cursor, value: str | Number) -> ContentFilter:
    return Exactly(value) if isinstance(value, str) else Literal.of(bound(cursor, value))


def _excluded_values(cursor: Cursor) -> list[ContentFilter]:
    excluded: list[ContentFilter] = []
    for index in cursor.reader.items():
        cursor.steps.append(index)
        begun = cursor.reader.begin()
        value = begun.value if isinstance(begun, Scalar) else None
        if not isinstance(value, str | Number):
            raise cursor.refused("Inside anything but list, start|null|boolean is not supported.")
        excluded.append(_excluded(cursor, value))
        cursor.steps.pop()
    if len({type(content_filter) for content_filter in excluded}) != 1:
        raise cursor.refused(_MIXED)
    return excluded


def _texts(cursor: Cursor, begun: Begin, reason: str, *, may_be_empty: bool) -> list[str]:
    """Read the operand of an exclusion: a string, or a list of them."""
    if begun == "{" or (isinstance(begun, Scalar) and isinstance(begun.value, bool | None)):
        raise cursor.refused(_BAD_ANYTHING_BUT)
    if begun != "[":
        return [_excluded_text(cursor, begun, reason, may_be_empty=may_be_empty)]
    texts = []
    for index in cursor.reader.items():
        cursor.steps.append(index)
        texts.append(_excluded_text(cursor, cursor.reader.begin(), reason, may_be_empty=may_be_empty))
        cursor.steps.pop()
    if not texts:
        raise cursor.refused(_MIXED)
    return texts


def _excluded_text(cursor: Cursor, begun: Begin, reason: str, *, may_be_empty: bool) -> str:
    text = cursor.string(begun, reason)
    if not text and not may_be_empty:
        raise cursor.refused("Null prefix/suffix not allowed")
    return text


def _not_end(cursor: Cursor, kind: type[Prefix | Suffix], begun: Begin) -> ContentFilter:
    texts = _texts(cursor, begun, "prefix/suffix match pattern must be a string", may_be_empty=False)
    return AnythingBut(frozenset(map(kind, texts)))


def _not_prefix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _not_end(cursor, Prefix, begun)


def _not_suffix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _not_end(cursor, Suffix, begun)


def _not_equals_ignore_case(cursor: Cursor, begun: Begin) -> ContentFilter:
    reason = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    return AnythingBut(frozenset(map(EqualsIgnoreCase, _texts(cursor, begun, reason, may_be_empty=True))))


def _not_wildcard(cursor: Cursor, begun: Begin) -> ContentFilter:
    texts = _texts(cursor, begun, "wildcard match pattern must be a string", may_be_empty=True)
    return AnythingBut(frozenset(map(partial(_made_wildcard, cursor), texts)))


class _NumericShape:
    """The shape of a numeric operand, checked part by part: a comparison and a number, or a range of two."""

    def __init__(self, cursor: Cursor, parts: list[Begin]) -> None:
        self._cursor, self._parts = cursor, parts

    def check(self) -> None:
        """Refuse the last part if it cannot stand where it does."""
        index = len(self._parts) - 1
        part = self._parts[index]
        value = part.value if isinstance(part, Scalar) else None
        is_range = index > 1 and self._name(0) in _LOWER
        if index > 1 and not is_range:
            raise self._cursor.refused(_TOO_MANY)
        if index > 3:  # noqa: PLR2004 - two comparisons and two numbers
            raise self._cursor.refused("Too many terms in numeric range expression")
        if index % 2:
            if not isinstance(value, Number):
                raise self._missing(index - 1)
        elif not isinstance(value, str):
            problem = "Bad value in numeric range" if index else "Invalid member in numeric match"
            raise self._cursor.refused(f"{problem}: {text_of(part)}")
        elif index and value not in _UPPER:
            raise self._cursor.refused(f"Bad numeric range operator: {value}")
        elif value not in ("=", *_LOWER, *_UPPER):
            raise self._cursor.refused(f"Unrecognized numeric range operator: {value}", "use = < <= > >=")

    def finish(self) -> ContentFilter:
        """Give the filter, if the parts are complete and can be compared."""
        if not self._parts:
            raise self._cursor.refused("Invalid member in numeric match: ]")
        if len(self._parts) % 2:
            raise self._missing(len(self._parts) - 1)
        numbers = [part.value for part in self._parts if isinstance(part, Scalar) and isinstance(part.value, Number)]
        values = [bound(self._cursor, number) for number in numbers]
        if len(values) > 1 and not values[0] < values[1]:
            raise self._cursor.refused("Bottom must be less than top")
        return Numeric(tuple((self._name(2 * index), value) for index, value in enumerate(values)))

    def _missing(self, index: int) -> RefusedError:
        name = self._name(index)
        return self._cursor.refused(f"Value of {'equals' if name == '=' else name} must be numeric")

    def _name(self, index: int) -> str:
        part = self._parts[index]
        return str(part.value) if isinstance(part, Scalar) else ""


_LOWER: Final = (">", ">=")
_UPPER: Final = ("<", "<=")


def _too_many(_: str, __: str) -> str:
    return _TOO_MANY


def plain(scalar: Scalar) -> str | int | float | bool | None:
    return scalar.value.value if isinstance(scalar.value, Number) else scalar.value


def text_of(begun: Begin) -> str:
    """Quote a value as it is written, or what it begins with."""
    if not isinstance(begun, Scalar):
        return begun
    if isinstance(begun.value, Number):
        return begun.value.text
    if isinstance(begun.value, str):
        return f'"{begun.value}"'
    return {True: "true", False: "false", None: "null"}[begun.value]


OPERATORS: Final[dict[str, Operator]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "exists": _exists,
    "anything-but": _anything_but,
}

#: What is said of a second key beside an operator, where it is not the usual.
MORE_KEYS: Final = {"numeric": _TOO_MANY, "anything-but": _TOO_MANY}

_EXCLUSIONS: Final[dict[str, Operator]] = {
    "prefix": _not_prefix,
    "suffix": _not_suffix,
    "equals-ignore-case": _not_equals_ignore_case,
    "wildcard": _not_wildcard,
}
