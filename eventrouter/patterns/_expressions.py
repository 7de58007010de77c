"""The operands of the operators, from JSON text to content filters, refusing what EventBridge refuses, in its words.

The order of the checks is event-ruler's: an operand's problems come before a second key beside the operator.
"""

from __future__ import annotations

import re
from typing import Final

from eventrouter.patterns._addresses import Address, looks_like_address, parse_address
from eventrouter.patterns._cursor import Cursor, Operator, RefusedError, shortened
from eventrouter.patterns._json import Begin, Number, Scalar
from eventrouter.patterns._numeric import TOO_MANY, bound, numeric
from eventrouter.patterns._operators import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    Prefix,
    Suffix,
    Wildcard,
    WildcardError,
)

_MIXED: Final = "Inside anything but list, either all values are number or string, mixed type is not supported"
_BAD_ANYTHING_BUT: Final = "Value of anything-but must be an array or single string/number value."
_IGNORE_CASE: Final = "equals-ignore-case"
_EXCLUDABLE: Final = (
    "it excludes strings or numbers, one or a list; or one of prefix, suffix, equals-ignore-case, wildcard"
)
_ONE_TYPE: Final = "list strings only, or numbers only"
_EMPTY: Final = "name at least one value"


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
    text = _Text(cursor.string(begun, "wildcard match pattern must be a string"), cursor)
    return _made_wildcard(text)


class _Text:
    """A string of a pattern, and where it stands."""

    def __init__(self, text: str, cursor: Cursor) -> None:
        self.text, self.steps, self.offset = text, tuple(cursor.steps), cursor.reader.offset


def _made_wildcard(text: _Text) -> Wildcard:
    try:
        return Wildcard(text.text)
    except WildcardError as error:
        hint = r"write \* for a star and \\ for a backslash, each \ doubled in JSON; one star stands for any part"
        raise RefusedError(str(error), text.steps, text.offset, hint) from None


def _exists(cursor: Cursor, begun: Begin) -> ContentFilter:
    value = begun.value if isinstance(begun, Scalar) else None
    if not isinstance(value, bool):
        hint = f"write {value} without quotes" if value in ("true", "false") else "write true or false"
        raise cursor.refused("exists match pattern must be either true or false.", hint)
    return Exists(value)


def _cidr(cursor: Cursor, begun: Begin) -> ContentFilter:
    text = cursor.string(begun, "prefix match pattern must be a string")
    parts = text.rstrip("/").split("/")  # as Java splits, dropping empty parts at the end
    if len(parts) != 2:  # noqa: PLR2004 - an address and a mask
        raise cursor.refused("Malformed CIDR, one '/' required", "write address/bits, such as 10.0.0.0/24")
    if not re.fullmatch("[-+]?[0-9]{1,99}", parts[1]) or not -(2**31) <= int(parts[1]) < 2**31:
        reason = "Malformed CIDR, mask bits must be an integer"
        raise cursor.refused(reason, "write how many bits the network has, such as 10.0.0.0/24")
    bits = int(parts[1])
    if bits < 0:
        raise cursor.refused("Malformed CIDR, mask bits must not be negative", "write how many bits the network has")
    address = parse_address(parts[0])
    if address is None:
        raise _no_address(cursor, parts[0])
    width = 32 if address.family == 4 else 128  # noqa: PLR2004 - the family's own number
    if bits >= width:
        hint = "write the address by itself" if bits == width else f"an IPv{address.family} network has fewer bits"
        raise cursor.refused(f"IPv{address.family} mask bits must be < {width}", hint)
    mask = (1 << (width - bits)) - 1
    return Cidr(Address(address.family, address.value & ~mask), Address(address.family, address.value | mask))


def _no_address(cursor: Cursor, text: str) -> RefusedError:
    fault = "Invalid" if looks_like_address(text) else "Nonstandard"
    hint = "write four numbers from 0 to 255 joined by dots, or an IPv6 address in hexadecimal without a zone"
    return cursor.refused(f"{fault} IP address: {shortened(text)}", hint)


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
    raise cursor.refused(_BAD_ANYTHING_BUT, _EXCLUDABLE)


def _excluded(cursor: Cursor, value: str | Number) -> ContentFilter:
    return Exactly(value) if isinstance(value, str) else Literal.of(bound(cursor, value))


def _excluded_values(cursor: Cursor) -> list[ContentFilter]:
    excluded: list[ContentFilter] = []
    start = cursor.reader.offset
    for index in cursor.reader.items():
        cursor.steps.append(index)
        begun = cursor.reader.begin()
        value = begun.value if isinstance(begun, Scalar) else None
        if not isinstance(value, str | Number):
            hint = 'write {"anything-but": {"prefix": [...]}}, the list inside' if begun == "{" else _ONE_TYPE
            raise cursor.refused("Inside anything but list, start|null|boolean is not supported.", hint)
        excluded.append(_excluded(cursor, value))
        cursor.steps.pop()
    if len({type(content_filter) for content_filter in excluded}) != 1:
        raise cursor.refused(_MIXED, _ONE_TYPE if excluded else _EMPTY, start)
    return excluded


def _texts(cursor: Cursor, begun: Begin, reason: str, *, may_be_empty: bool) -> list[_Text]:
    """Read the operand of an exclusion: a string, or a list of them."""
    if begun == "{" or (isinstance(begun, Scalar) and isinstance(begun.value, bool | None)):
        raise cursor.refused(_BAD_ANYTHING_BUT, "write a string or a list of strings")
    if begun != "[":
        return [_excluded_text(cursor, begun, reason, may_be_empty=may_be_empty)]
    texts = []
    for index in cursor.reader.items():
        cursor.steps.append(index)
        texts.append(_excluded_text(cursor, cursor.reader.begin(), reason, may_be_empty=may_be_empty))
        cursor.steps.pop()
    if not texts:
        raise cursor.refused(_MIXED, _EMPTY)
    return texts


def _excluded_text(cursor: Cursor, begun: Begin, reason: str, *, may_be_empty: bool) -> _Text:
    text = cursor.string(begun, reason)
    if not text and not may_be_empty:
        raise cursor.refused("Null prefix/suffix not allowed", "it would exclude every string; write some characters")
    return _Text(text, cursor)


def _not_end(cursor: Cursor, kind: type[Prefix | Suffix], begun: Begin) -> ContentFilter:
    texts = _texts(cursor, begun, "prefix/suffix match pattern must be a string", may_be_empty=False)
    return AnythingBut(frozenset(kind(text.text) for text in texts))


def _not_prefix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _not_end(cursor, Prefix, begun)


def _not_suffix(cursor: Cursor, begun: Begin) -> ContentFilter:
    return _not_end(cursor, Suffix, begun)


def _not_equals_ignore_case(cursor: Cursor, begun: Begin) -> ContentFilter:
    reason = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
    texts = _texts(cursor, begun, reason, may_be_empty=True)
    return AnythingBut(frozenset(EqualsIgnoreCase(text.text) for text in texts))


def _not_wildcard(cursor: Cursor, begun: Begin) -> ContentFilter:
    texts = _texts(cursor, begun, "wildcard match pattern must be a string", may_be_empty=True)
    return AnythingBut(frozenset(map(_made_wildcard, texts)))


def _too_many(_: str, __: str) -> str:
    return TOO_MANY


OPERATORS: Final[dict[str, Operator]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": numeric,
    "cidr": _cidr,
    "exists": _exists,
    "anything-but": _anything_but,
}

#: What is said of a second key beside an operator, where it is not the usual.
MORE_KEYS: Final = {"numeric": TOO_MANY, "anything-but": TOO_MANY}

_EXCLUSIONS: Final[dict[str, Operator]] = {
    "prefix": _not_prefix,
    "suffix": _not_suffix,
    "equals-ignore-case": _not_equals_ignore_case,
    "wildcard": _not_wildcard,
}
