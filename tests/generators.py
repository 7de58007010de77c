"""Random patterns, and events derived from them.

All randomness comes from the `Random` handed in and nothing is kept between calls, so a seed reproduces a case, and
`hypothesis.strategies.randoms(use_true_random=False)` can drive every function. The texts are put together
directly, without a JSON writer: a million pairs should take minutes.

`case` is what most callers want. A *plan* is what `pattern` says beside its text about how to satisfy it: a list of
`(steps, alternatives)`, or `(None, plans)` for a choice between the branches of an `$or`.
"""

from __future__ import annotations

from json.encoder import encode_basestring, encode_basestring_ascii

from tests.generator_refusals import bad_event, refused_pattern
from tests.generator_values import NOTHINGS, absent, alternative, any_value, pick

PLAIN = ("a", "b", "c", "z")
#: In UTF-16, which decides the order of paths (11.5), the emoji comes before U+FF5E, in code points after it.
ODD = ("a.b", "b.c", "", "é", "e\u0301", "😀", "\uff5e", "A", "a..b", ".", "$OR", "x y", '"', "detail-type", "\ud800")
NEIGHBOURS = ("a", "c", "z", "a.b", "A", "😀", "\uff5e")
OPERATORS = ("prefix", "exists", "numeric", "=", "regex")  # ordinary names, except inside `$or`


ARRAY_SHARES = (0.0, 0.0, 0.3, 0.3, 0.8)  # of the values and objects of an event; one of these for each event


def _spellings(name):
    escaped = "".join(f"\\u{ord(one):04x}" if one in "abcz" else encode_basestring_ascii(one)[1:-1] for one in name)
    readable = encode_basestring(name) if name.isprintable() else encode_basestring_ascii(name)
    return (*(readable,) * 6, encode_basestring_ascii(name), f'"{escaped}"')


KEYS = {name: _spellings(name) for name in (*PLAIN, *ODD, *OPERATORS)}


def key(rng, name):
    spellings = KEYS.get(name)
    return pick(rng, spellings) if spellings else encode_basestring_ascii(name)


def field_name(rng, *, inside_or=False):
    kind = rng.random()
    if kind < 0.85:
        return pick(rng, PLAIN)
    return pick(rng, ODD) if kind < 0.98 or inside_or else pick(rng, OPERATORS)


# --- patterns -------------------------------------------------------------------------------------------------------


def pattern(rng):
    """The text of a valid pattern, and its plan."""
    plan = []
    text = _siblings(rng, plan) if rng.random() < 0.08 else _object(rng, 0, False, (), plan)
    if rng.random() < 0.1:
        text = " " + text.replace('":[', '"\t:\r\n[ ') + "\n"
    return text, plan


def _object(rng, depth, inside_or, steps, plan):
    members, names = [], set()
    for _ in range(1 + int(rng.random() * (3.2 - depth))):
        name = field_name(rng, inside_or=inside_or)
        if name in names and rng.random() < 0.9:  # a repeated name is valid, and better rare
            continue
        names.add(name)
        path = (*steps, name)
        if rng.random() < 0.3 and depth < 3:
            value = _object(rng, depth + 1, inside_or, path, plan)
        else:
            value = _field(rng, path, plan)
        members.append(f"{key(rng, name)}:{value}")
    if rng.random() < 0.16 and depth < 3:
        members.insert(int(rng.random() * (len(members) + 1)), _or(rng, depth, steps, plan))
    return f"{{{','.join(members)}}}"


def _siblings(rng, plan):
    """Fields of one parent, some of them absent: in an array the answer depends on the order of the names (11.5)."""
    parent, members = pick(rng, PLAIN), []
    for name in dict.fromkeys([pick(rng, NEIGHBOURS) for _ in range(3)]):
        nested = rng.random() < 0.2
        path = (parent, name, "b") if nested else (parent, name)
        if rng.random() < 0.4:
            plan.append((path, [absent(rng)]))
            value = '[{"exists":false}]'
        else:
            value = _field(rng, path, plan)
        members.append(f'{key(rng, name)}:{{"b":{value}}}' if nested else f"{key(rng, name)}:{value}")
    return f'{{"{parent}":{{{",".join(members)}}}}}'


def _field(rng, path, plan):
    count = rng.random()
    alternatives = [alternative(rng) for _ in range(1 if count < 0.65 else 2 if count < 0.92 else 3)]
    plan.append((path, alternatives))
    return f"[{','.join([text for text, _, _ in alternatives])}]"


def _or(rng, depth, steps, plan):
    plans = [[] for _ in range(2 if rng.random() < 0.7 else 3)]
    # The plan keeps the document's order only roughly; where it matters (12.3) the event merely misses its aim.
    plan.append((None, plans))
    return f'"$or":[{",".join([_object(rng, depth + 1, True, steps, branch) for branch in plans])}]'


# --- events ---------------------------------------------------------------------------------------------------------


def event(rng, plan, *, miss=False):
    """The text of an event meant to satisfy *plan*; with *miss* all of it but one field."""
    wanted = {}
    _choose(rng, plan, wanted)
    victim = pick(rng, list(wanted)) if miss else None
    root = {}
    if rng.random() < 0.3:
        root[field_name(rng)] = any_value(rng)
    for path, (steps, alternatives) in wanted.items():
        _, hits, misses = pick(rng, alternatives)
        if path == victim:
            if rng.random() < 0.8:
                _put(rng, root, steps, pick(rng, misses))
        elif hits is not None:
            _put(rng, root, steps, pick(rng, hits))
        elif rng.random() < 0.1:
            _put(rng, root, steps, pick(rng, NOTHINGS))
    return _render_object(rng, list(root.items()), pick(rng, ARRAY_SHARES))


def _choose(rng, plan, wanted):
    for steps, choices in plan:
        if steps is None:
            _choose(rng, pick(rng, choices), wanted)
        else:
            wanted[".".join(steps)] = (steps, choices)


def _put(rng, node, steps, text):
    """Place *text*, where a path has a leaf and a parent in one place as the array of both (3.5)."""
    if rng.random() < 0.15:
        path = ".".join(steps)
        steps = (path,) if rng.random() < 0.5 else path.split(".")
    for step in steps[:-1]:
        child = node.get(step)
        if child is None:
            child = node[step] = {}
        elif type(child) is str:
            node[step] = [child, child := {}]
        elif type(child) is list:
            child = child[1]
        node = child
    last = steps[-1]
    existing = node.get(last)
    node[last] = [text, existing] if type(existing) is dict else text


def _render_object(rng, items, arrays):
    if rng.random() < 0.3:
        items = items[::-1]
    members = [f"{key(rng, name)}:{_render(rng, value, arrays)}" for name, value in items]
    if rng.random() < 0.02 and items:
        members.insert(0, f"{key(rng, pick(rng, items)[0])}:{any_value(rng)}")  # overridden: the last wins (2.2)
    return f"{{{','.join(members)}}}"


def _render(rng, node, arrays):
    wrapped = rng.random() < arrays
    if type(node) is str:
        return _array_of_values(rng, node) if wrapped else node
    if type(node) is list:
        return f"[{','.join([_render(rng, one, arrays) for one in node])}]"
    items = list(node.items())
    return _array_of_objects(rng, items, arrays) if wrapped else _render_object(rng, items, arrays)


def _array_of_values(rng, text):
    kind = int(rng.random() * 6)
    if kind == 0:
        return f"[{text}]"
    if kind == 1:
        return f"[{any_value(rng)},{text}]"
    if kind == 2:
        return f"[{text},{any_value(rng)},{text}]"
    if kind == 3:
        return f"[[{any_value(rng)}],[{text}]]"
    if kind == 4:
        return f"[{{}},[[{text}]],{{{key(rng, field_name(rng))}:{any_value(rng)}}}]"
    return f"[[],{text},null]"


def _array_of_objects(rng, items, arrays):
    kind = int(rng.random() * 7)
    if kind == 0 and len(items) > 1:  # what belongs together in two elements (5.3)
        at = 1 + int(rng.random() * (len(items) - 1))
        return f"[{_render_object(rng, items[:at], arrays)},{_render_object(rng, items[at:], arrays)}]"
    whole = _render_object(rng, items, arrays)
    if kind <= 1:
        return f"[{whole}]"
    if kind == 2:
        return f"[[{whole}],{{}}]"
    if kind == 3:
        return f"[{any_value(rng)},{whole}]"
    # The first choice leads nowhere, or an element lacks what `exists: false` wants to be absent (5.5, 11.5).
    decoy = [(name, any_value(rng) if rng.random() < 0.5 else value) for name, value in items if rng.random() < 0.7]
    other = _render_object(rng, decoy, 0.0)
    if kind == 4:
        return f"[{other},{whole}]"
    return f"[{whole},{other}]" if kind == 5 else f"[[{other}],[{whole},{other}]]"


def random_event(rng, depth=0):
    """An event that knows nothing of any pattern."""
    members = []
    for _ in range(int(rng.random() * 4)):
        kind = rng.random() if depth < 3 else 0.0
        if kind < 0.6:
            value = any_value(rng)
        elif kind < 0.8:
            value = random_event(rng, depth + 1)
        else:
            inner = [any_value(rng), random_event(rng, depth + 1), "[]", f"[{any_value(rng)}]"]
            value = f"[{','.join(inner[: int(rng.random() * 5)])}]"
        members.append(f"{key(rng, field_name(rng))}:{value}")
    return f"{{{','.join(members)}}}"


# --- both -----------------------------------------------------------------------------------------------------------


def case(rng):
    """A pattern's text, and the texts of some events to try it on: several, for a pattern costs more than an event."""
    text, plan = pattern(rng)
    if rng.random() < 0.25:
        return refused_pattern(rng, text), [event(rng, plan)]
    last = rng.random()
    return text, [
        event(rng, plan),
        event(rng, plan, miss=True),
        event(rng, plan, miss=rng.random() < 0.4),
        bad_event(rng, event(rng, plan)) if last < 0.04 else random_event(rng) if last < 0.4 else event(rng, plan),
    ]
