"""The pattern language in its slowest, plainest form.

Nothing here is shared with the package and nothing is clever: `$or` is multiplied out into flat
sub-rules, an event is flattened into leaves, and a sub-rule holds if one leaf can be assigned to each of its
paths without mixing elements of one array. What a single alternative says about a single value is in
`tests.oracle_operators`. Numbers in brackets are points of the reference of the pattern language.
"""

from __future__ import annotations

import json
import math

from tests.oracle_operators import ABSENT, OPERATORS, Number, Object, Refused, compile_alternatives, whole_number

__all__ = ["BadEvent", "Refused", "compile_pattern", "decide", "flatten", "matches"]

MAX_COMBINATIONS = 1_000  # 12.9
MAX_PATHS = 256  # 1.10

#: The operators, and what EventBridge keeps for operators to come [12.6].
RESERVED_INSIDE_OR = (
    frozenset(OPERATORS)
    | {"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"}
    | {"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"}
    | {"ip-address-in-range", "ip-address-not-in-range"}
)


class BadEvent(Exception):  # noqa: N818 - the event is; the oracle made no error
    """The event is not a JSON object."""


def matches(pattern, event):
    """Whether *event* satisfies *pattern*, each either JSON text or data.

    Raises:
        Refused: EventBridge would refuse the pattern.
        BadEvent: The event is not a JSON object. A pattern is looked at first.
    """
    return decide(compile_pattern(pattern), flatten(event))


def decide(rules, leaves):
    return any(holds(rule, leaves, {}) for rule in rules)


# --- reading JSON ---------------------------------------------------------------------------------------------------


def not_json(text):
    raise ValueError(text)  # NaN and the infinities, which Python's reader takes for numbers


def read_pattern(pattern):
    try:
        text = pattern if isinstance(pattern, str) else json.dumps(pattern)
        return json.loads(text, object_pairs_hook=Object, parse_int=Number, parse_float=Number, parse_constant=not_json)
    except ValueError as error:
        raise Refused(None) from error


def read_event(text):
    try:
        return json.loads(text, parse_int=whole_number, parse_constant=not_json)
    except ValueError as error:
        raise BadEvent(str(error)) from error


# --- the event ------------------------------------------------------------------------------------------------------


def flatten(event):
    """Path -> [(value, trail)], a trail being {array: element} for every array above the value [2.3, 5.3]."""
    data = read_event(event) if isinstance(event, str) else event
    if not isinstance(data, dict):
        raise BadEvent("Event must be a JSON object")
    leaves = {}
    arrays = iter(range(10**9))

    def walk(node, steps, trail):
        if isinstance(node, dict):
            for name, child in node.items():
                walk(child, (*steps, name), trail)
        elif isinstance(node, list):
            array = next(arrays)
            for index, child in enumerate(node):
                # A scalar directly in an array carries no membership of that array [5.6].
                inside = isinstance(child, dict | list)
                walk(child, steps, {**trail, array: index} if inside else trail)
        else:
            # 1e400 is a JSON number; Python's own reader makes an infinity of it. NaN is nobody's number.
            if isinstance(node, float) and math.isnan(node):
                raise BadEvent("not a JSON number")
            leaves.setdefault(".".join(steps), []).append((node, trail))

    walk(data, (), {})
    return leaves


# --- a sub-rule against the leaves ----------------------------------------------------------------------------------


def holds(fields, leaves, trail):
    """Whether the remaining *fields* can be satisfied without leaving the array elements in *trail*."""
    if not fields:
        return True
    (path, alternatives), rest = fields[0], fields[1:]
    reachable = []
    for value, its_trail in leaves.get(path, ()):
        if all(trail.get(array, index) == index for array, index in its_trail.items()):
            reachable.append((value, {**trail, **its_trail}))
    # Absent means: from the elements chosen so far. Hence it depends on the order of the paths [11.5].
    if ABSENT in alternatives and not reachable and holds(rest, leaves, trail):
        return True
    return any(
        any(test is not ABSENT and test(value) for test in alternatives) and holds(rest, leaves, longer)
        for value, longer in reachable
    )


# --- the pattern ----------------------------------------------------------------------------------------------------


def compile_pattern(pattern):
    """The sub-rules, each a list of (path, alternatives) in the order in which fields are tried."""
    document = read_pattern(pattern)
    if not isinstance(document, Object):
        raise Refused("Filter is not an object")
    entries = check_object(document, (), inside_or=False)
    if combinations(entries) > MAX_COMBINATIONS:
        raise Refused(None)
    rules = expand(entries, [{}])
    if any(len(rule) > MAX_PATHS for rule in rules):
        raise Refused(None)
    # By UTF-16 code unit, as Java compares strings; it matters for 11.5 only.
    return [sorted(rule.items(), key=lambda field: field[0].encode("utf-16-be", "surrogatepass")) for rule in rules]


def check_object(document, steps, *, inside_or):
    """The entries of an object in document order: (path, alternatives); (None, branches) for an `$or`."""
    if not document:
        raise Refused("Empty objects are not allowed")
    entries = []
    for name, value in document:
        path = (*steps, name)
        if name == "$or":
            entries.append((None, check_or(value, steps)))
        elif inside_or and name in RESERVED_INSIDE_OR:
            raise Refused(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
        elif isinstance(value, Object):
            entries += check_object(value, path, inside_or=inside_or)
        elif isinstance(value, list):
            entries.append((".".join(path), compile_alternatives(value)))
        else:
            raise Refused(f'"{name}" must be an object or an array')
    return entries


def check_or(branches, steps):
    if not isinstance(branches, list) or isinstance(branches, Object):
        raise Refused("It must be an Array followed with $or.")
    checked = []
    for branch in branches:
        if not isinstance(branch, Object):
            raise Refused("Only JSON object is allowed in array of $or relationship.")
        checked.append(check_object(branch, steps, inside_or=True))
    if len(checked) < 2:
        raise Refused("There must have at least 2 Objects in $or relationship.")
    return checked


def combinations(entries):
    """The product of the lengths of all `$or` arrays, nested ones too [12.9]: not the number of sub-rules."""
    product = 1
    for path, value in entries:
        if path is None:
            product *= len(value) * math.prod(combinations(branch) for branch in value)
    return product


def expand(entries, rules):
    """Multiply *rules* by *entries*. Of one path the last alternatives in document order win [1.9, 12.3]."""
    for path, value in entries:
        if path is None:
            rules = [rule for branch in value for rule in expand(branch, rules)]
        else:
            rules = [{**rule, path: value} for rule in rules]
    return rules
