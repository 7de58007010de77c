"""What one alternative of a field says about one value. The other half of the oracle; `tests.oracle` begins it."""

from __future__ import annotations

import ipaddress
import json
import math
import re
import sys
from decimal import Decimal

MAX_INT_DIGITS = 4_000  # int() refuses longer decimal texts; Decimal does not

ONE_KEY = "Only one key allowed in match expression"
TOO_MANY = "Too many elements in numeric expression"
MIXED_LIST = "Inside anything but list, either all values are number or string, mixed type is not supported"
BAD_ANYTHING_BUT = "Value of anything-but must be an array or single string/number value."
NON_STRING_INSIDE = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
    "equals-ignore-case": ("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."),
}

ABSENT = object()  # the alternative {"exists": false}, the only one that is not a test of a value
IPV4_SHAPE = r"[0-9]+(\.[0-9]+){3}"
IPV6_SHAPE = "[0-9a-fA-F:]*:[0-9a-fA-F:]*"
STAR = object()  # an unescaped * of a wildcard


class Refused(Exception):  # noqa: N818 - the pattern was; the oracle made no error
    """The pattern is refused. `message` is AWS's text, None where the language fixes none."""

    def __init__(self, message):
        super().__init__(message)
        self.message = message


class Object(list):
    """A JSON object as its (name, value) pairs: a pattern may repeat a name [1.9, 12.2]."""


class Number:
    """A number of a pattern. The text is kept because error messages quote it [7.4]."""

    def __init__(self, text):
        self.text = text
        self.value = whole_number(text) if re.fullmatch("-?[0-9]+", text) else float(text)

    def bound(self):
        """The value, for `numeric` and `anything-but`, which refuse what a double cannot print [4.4, 7.4]."""
        double = float(self.text)
        if not math.isfinite(double) or Decimal(self.text) != Decimal(repr(double)):
            raise Refused(f"Cannot compare number : {self.text}")
        return self.value


def whole_number(text):
    return int(text) if len(text) < MAX_INT_DIGITS else int(Decimal(text))


def compile_alternatives(items):
    if not items:
        raise Refused("Empty arrays are not allowed")
    return [compile_alternative(item) for item in items]


def compile_alternative(item):
    if isinstance(item, Object):
        return compile_expression(item)
    if isinstance(item, list):
        raise Refused("Match value must be String, number, true, false, or null")
    if isinstance(item, str):
        address = parse_address(item)
        return text_test(lambda text: text == item if address is None else parse_address(text) == address)
    if isinstance(item, Number):
        return number_test(lambda number: number == item.value)
    return lambda value: value is item  # true, false, null


def compile_expression(expression):
    if not expression:
        raise Refused("Match expression name not found")
    name, operand = expression[0]
    if name not in OPERATORS:
        raise Refused(f"Unrecognized match type {name}")
    test = OPERATORS[name](operand)
    if len(expression) > 1:  # only now: a bad operand is the error to report [1.7]
        raise Refused(TOO_MANY if name in ("numeric", "anything-but") else ONE_KEY)
    return test


def text_test(test):
    return lambda value: isinstance(value, str) and test(value)


def number_test(test):
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and test(value)


def must_be_text(operand, message):
    if not isinstance(operand, str):
        raise Refused(message)
    return operand


# --- one function per operator: operand -> test ---------------------------------------------------------------------


def exactly(operand):
    wanted = must_be_text(operand, "exact match pattern must be a string")
    return text_test(lambda text: text == wanted)


def prefix(operand):
    if isinstance(operand, Object):
        return text_test(starts_ignoring_case(nested_ignore_case(operand, "prefix")))
    wanted = must_be_text(operand, "prefix match pattern must be a string")
    return text_test(lambda text: text.startswith(wanted))


def suffix(operand):
    if isinstance(operand, Object):
        return text_test(ends_ignoring_case(nested_ignore_case(operand, "suffix")))
    wanted = must_be_text(operand, "suffix match pattern must be a string")
    return text_test(lambda text: text.endswith(wanted))


def nested_ignore_case(operand, outer):
    if not operand:
        raise Refused(f"{outer.capitalize()} expression name not found")
    name, value = operand[0]
    if name != "equals-ignore-case":
        raise Refused(f"Unsupported {outer} pattern: {name}")
    wanted = must_be_text(value, "equals-ignore-case match pattern must be a string")
    if len(operand) > 1:
        raise Refused(ONE_KEY)
    return wanted


def equals_ignore_case(operand):
    return text_test(equals_ignoring_case(must_be_text(operand, "equals-ignore-case match pattern must be a string")))


def case_ends(wanted, text, start):
    """Every position at which *wanted* can end if it begins at *start* of *text* [6.6]."""
    positions = {start}
    for character in wanted:
        forms = {character.lower(), character.upper()}
        positions = {at + len(form) for at in positions for form in forms if text.startswith(form, at)}
    return positions


def equals_ignoring_case(wanted):
    return lambda text: len(text) in case_ends(wanted, text, 0)


def starts_ignoring_case(wanted):
    return lambda text: bool(case_ends(wanted, text, 0))


def ends_ignoring_case(wanted):
    return lambda text: any(len(text) in case_ends(wanted, text, start) for start in range(len(text) + 1))


def wildcard(operand):
    return text_test(wildcard_test(must_be_text(operand, "wildcard match pattern must be a string")))


def wildcard_test(wanted):
    tokens = wildcard_tokens(wanted)

    def test(text):
        positions = {0}
        for token in tokens:
            if token is STAR:
                positions = set(range(min(positions), len(text) + 1)) if positions else positions
            else:
                positions = {at + 1 for at in positions if text[at : at + 1] == token}
        return len(text) in positions

    return test


def wildcard_tokens(wanted):
    tokens, at = [], 0
    while at < len(wanted):
        pair, position = wanted[at : at + 2], len(wanted[:at].encode("utf-8", "replace")) + 1
        if pair == "**":
            raise Refused(f"Consecutive wildcard characters at pos {position}")
        if pair[0] == "\\" and pair not in ("\\*", "\\\\"):
            raise Refused(f"Invalid escape character at pos {position}")
        tokens.append(STAR if pair[0] == "*" else pair[-1] if pair[0] == "\\" else pair[0])
        at += 2 if pair[0] == "\\" else 1
    return tokens


def exists(operand):
    if operand is not True and operand is not False:
        raise Refused("exists match pattern must be either true or false.")
    return (lambda value: True) if operand else ABSENT


def token_text(items, index):
    """How a streaming reader shows the token at *index* of an array: of a container only the bracket."""
    if index >= len(items):
        return "]"
    item = items[index]
    if isinstance(item, Number):
        return item.text
    if isinstance(item, list):
        return "{" if isinstance(item, Object) else "["
    return json.dumps(item)


GREATEST = sys.float_info.max  # nothing is greater, not even an integer [7.7]
LOWER = {
    ">": lambda number, bound: bound != GREATEST and number > bound,
    ">=": lambda number, bound: number >= bound,
}
UPPER = {
    "<": lambda number, bound: bound != -GREATEST and number < bound,
    "<=": lambda number, bound: number <= bound,
}
SINGLE = {**UPPER, "=": lambda number, bound: number == bound}


def numeric(operand):
    if not isinstance(operand, list) or isinstance(operand, Object):
        raise Refused("Value of numeric must be an array.")
    if not operand or not isinstance(operand[0], str):
        raise Refused(f"Invalid member in numeric match: {token_text(operand, 0)}")
    operator, size = operand[0], len(operand)
    if operator not in LOWER and operator not in SINGLE:
        raise Refused(f"Unrecognized numeric range operator: {operator}")
    if size < 2 or not isinstance(operand[1], Number):
        raise Refused(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    if operator in SINGLE:
        if size > 2:
            raise Refused(TOO_MANY)
        bound = operand[1].bound()
        return number_test(lambda number: SINGLE[operator](number, bound))
    if size == 2:
        bound = operand[1].bound()
        return number_test(lambda number: LOWER[operator](number, bound))
    return numeric_range(operand)


def numeric_range(operand):
    lower, upper = operand[0], operand[2]
    if not isinstance(upper, str):
        raise Refused(f"Bad value in numeric range: {token_text(operand, 2)}")
    if upper not in UPPER:
        raise Refused(f"Bad numeric range operator: {upper}")
    if len(operand) < 4 or not isinstance(operand[3], Number):
        raise Refused(f"Value of {upper} must be numeric")
    if len(operand) > 4:
        raise Refused("Too many terms in numeric range expression")
    bottom, top = operand[1].bound(), operand[3].bound()
    if bottom >= top:
        raise Refused("Bottom must be less than top")
    return number_test(lambda number: LOWER[lower](number, bottom) and UPPER[upper](number, top))


def anything_but(operand):
    if isinstance(operand, Object):
        return anything_but_nested(operand)
    if isinstance(operand, list):
        excluded = anything_but_list(operand)
    elif isinstance(operand, str):
        excluded = [operand]
    elif isinstance(operand, Number):
        excluded = [operand.bound()]
    else:
        raise Refused(BAD_ANYTHING_BUT)
    # Not `value in excluded`: True equals 1 in Python.
    return lambda value: isinstance(value, bool) or value is None or value not in excluded


def anything_but_list(operand):
    excluded = []
    for item in operand:
        if not isinstance(item, str | Number):
            raise Refused("Inside anything but list, start|null|boolean is not supported.")
        excluded.append(item if isinstance(item, str) else item.bound())
    if len({isinstance(item, str) for item in excluded}) != 1:
        raise Refused(MIXED_LIST)
    return excluded


def anything_but_nested(operand):
    if not operand:
        raise Refused("Anything-But expression name not found")
    name, value = operand[0]
    if name not in NON_STRING_INSIDE:
        raise Refused(f"Unsupported anything-but pattern: {name}")
    if isinstance(value, Object) or not isinstance(value, str | Number | list):
        raise Refused(BAD_ANYTHING_BUT)
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise Refused(MIXED_LIST)
    for item in listed:
        if not isinstance(item, str):
            raise Refused(NON_STRING_INSIDE[name])
        if not item and name in ("prefix", "suffix"):
            raise Refused("Null prefix/suffix not allowed")
    tests = [EXCLUDING[name](item) for item in listed]
    if len(operand) > 1:
        raise Refused(TOO_MANY)
    return lambda value: not isinstance(value, str) or not any(test(value) for test in tests)


def parse_address(text):
    """(family, address), or None if *text* is not a bare address [10.2, 10.3]."""
    if re.fullmatch(IPV4_SHAPE, text):
        octets = [whole_number(octet) for octet in text.split(".")]
        return (4, int.from_bytes(bytes(octets), "big")) if max(octets) <= 255 else None
    if not re.fullmatch(IPV6_SHAPE, text):
        return None
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped
    return (6, int(address)) if mapped is None else (4, int(mapped))


def cidr(operand):
    text = must_be_text(operand, "prefix match pattern must be a string")
    parts = text.rstrip("/").split("/")  # as Java splits: empty parts at the end do not count
    if len(parts) != 2:
        raise Refused("Malformed CIDR, one '/' required")
    network, mask = parts
    if not re.fullmatch("[+-]?[0-9]+", mask) or not -(2**31) <= whole_number(mask) < 2**31:
        raise Refused("Malformed CIDR, mask bits must be an integer")
    bits = int(mask)
    if bits < 0:
        raise Refused("Malformed CIDR, mask bits must not be negative")
    address = parse_address(network)
    if address is None:
        shaped = re.fullmatch(f"{IPV4_SHAPE}|{IPV6_SHAPE}", network)
        raise Refused(f"{'Invalid' if shaped else 'Nonstandard'} IP address: {network}")
    family, base = address
    width = 32 if family == 4 else 128
    if bits >= width:
        raise Refused(f"IPv{family} mask bits must be < {width}")
    shift = width - bits

    def test(value):
        other = parse_address(value)
        return other is not None and other[0] == family and other[1] >> shift == base >> shift

    return text_test(test)


EXCLUDING = {
    "prefix": lambda wanted: lambda text: text.startswith(wanted),
    "suffix": lambda wanted: lambda text: text.endswith(wanted),
    "equals-ignore-case": equals_ignoring_case,
    "wildcard": wildcard_test,
}
OPERATORS = {
    "exactly": exactly,
    "prefix": prefix,
    "suffix": suffix,
    "equals-ignore-case": equals_ignore_case,
    "wildcard": wildcard,
    "numeric": numeric,
    "cidr": cidr,
    "exists": exists,
    "anything-but": anything_but,
}
