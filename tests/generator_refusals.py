"""Patterns that EventBridge refuses, of every class, and events that are none.

Some of them turn out to be valid after all; the oracle decides. What matters is that every message occurs,
and that a pattern can have more than one thing wrong, since the first in document order is the one to report.
"""

from __future__ import annotations

from tests.generator_values import NETWORKS, NOT_ADDRESSES, any_value, pick, quote, word

TEXT_OPERATORS = ("exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "cidr")
NESTED = ("prefix", "suffix", "equals-ignore-case", "wildcard")
RESERVED = (
    *("<", "<=", "=", ">", ">=", "anything-but", "cidr", "date-after", "date-before", "date-on-or-after"),
    *("date-on-or-before", "equals-ignore-case", "exactly", "exists", "in-date-range", "ip-address-in-range"),
    *("ip-address-not-in-range", "not-equals-ignore-case", "not-wildcard", "numeric", "prefix", "regex", "suffix"),
    "wildcard",
)
OPERANDS = (
    *(
        "5",
        "null",
        "true",
        "[]",
        "{}",
        '["a"]',
        '[5,"a"]',
        '""',
        '"a"',
        '"a**b"',
        '"a\\\\b"',
        "1e400",
        "[null]",
        "[{}]",
    ),
    *('["a",""]', '["a",5]', "[1,2]", "[1,1e400]", '[9007199254740993,"a"]', '{"prefix":"a"}', '{"wildcard":"a"}'),
    *('{"equals-ignore-case":"a"}', '{"equals-ignore-case":["a"]}', '{"equals-ignore-case":"a","x":"y"}'),
    *(
        '{"prefix":""}',
        '{"suffix":["a",""]}',
        '{"wildcard":["a*","b**"]}',
        '{"numeric":["<",5]}',
        '{"prefix":"a","b":1}',
    ),
)
LISTS = ("[]", '["a**b",5]', '["a","b**",""]', '["a**b","c"]', '["",5]', '[5,""]', "[{},1e400]", '["a","b"]', '[["a"]]')
NUMERIC_MEMBERS = (
    *(
        '"="',
        '"<"',
        '"<="',
        '">"',
        '">="',
        '"="',
        '"<"',
        '"<="',
        '">"',
        '">="',
        '"!="',
        '"5"',
        "5",
        "5",
        "300",
        "6.0e1",
    ),
    *("-1", "1e400", "9007199254740993", "1E-325", "2e23", "null", "true", "[]", "{}", '[">",1]'),
)
BOUNDS = ("1", "1", "5", "5.0", "300", "1e400", "9007199254740993", "-0", "0.0")
MASKS = (*("32", "128", "33", "129", "31", "127", "x", "-1", "", "+", "8 ", "0x8", "8.0", "4294967296", "/8"), "8/")
BRANCHES = ("{}", "3", "[]", "null", '{"a":1}', '{"a":[]}', '{"a":[{"foo":1}]}', '{"$or":[]}')
DOCUMENTS = (
    *("[]", '"x"', "5", "null", "true", "{}", '[{"a":[1]}]', '{"a":{}}', '{"a":{"b":{}}}', "", " ", "{", "{'a':[1]}"),
    *('{"a":[NaN]}', '{"a":[-Infinity]}', '{"a":[01]}', '{"a":[1.]}', '{"a":[+1]}', '{"a":[1,]}', '{"a":[1],}'),
    *('{"a":["\\x"]}', '{"a":["\t"]}', '{"a":[1]} xyz', '{"a":[1]}{}', '{"a" [1]}', "{a:[1]}", '{"a":[tru]}'),
)
EVENTS = (
    *("", "[]", '[{"a":1}]', '"a"', "5", "null", '{"a":1', '{"a":1} xyz', '{"a":1,"b":NaN}', '{"a":Infinity}'),
    *('{"b":{"c":xyz},"a":1}', '{"a":01}', '{"a":"\n"}', "{'a':1}", '{"a":1,}', '{"a":-}', '{"a":"\\q"}', '{"a":1}}'),
)


def bad_event(rng, good):
    return pick(rng, EVENTS) if rng.random() < 0.5 else _mutated(rng, good)


def refused_pattern(rng, good):
    """The text of a pattern with something wrong, mostly *good* with one bad field."""
    kind = rng.random()
    if kind < 0.06:
        return pick(rng, DOCUMENTS)
    if kind < 0.14:
        return _mutated(rng, good)
    if kind < 0.144:
        return _over_a_limit(rng)
    if kind < 0.3:
        return _with_field(rng, good, '"$or"', _bad_or(rng, good))
    bad = _with_field(rng, good, f'"{pick(rng, ("a", "b", "m"))}"', _bad_field(rng))
    return _with_field(rng, bad, '"n"', _bad_field(rng)) if rng.random() < 0.1 else bad


def _with_field(rng, text, name, value):
    """Add a member to the object *text*, first or last or inside a branch of an `$or`."""
    text = text.strip()
    kind = rng.random()
    if kind < 0.4:
        return f"{{{name}:{value},{text[1:]}"
    if kind < 0.8:
        return f"{text[:-1]},{name}:{value}}}"
    if kind < 0.9:
        return f'{{"$or":[{text},{{{name}:{value}}}]}}'
    return f'{{"k":{{{name}:{value}}},"$or":[{text},{text}]}}'


def _bad_field(rng):
    kind = rng.random()
    if kind < 0.1:
        return pick(rng, ('"x"', "5", "null", "true", "{}", "[]", '{"b":1}', '{"b":{}}'))
    bad = _bad_alternative(rng)
    if kind < 0.6:
        return f"[{bad}]"
    if kind < 0.8:
        return f"[{any_value(rng)},{bad}]"
    return f"[{bad},{_bad_alternative(rng)}]"


def _bad_alternative(rng):
    kind = int(rng.random() * 11)
    if kind == 0:
        return pick(rng, ("[1]", "[]", "{}", '{"foo":1}', '{"Prefix":"x"}', '{"":[]}', '{"$or":[]}', '{"é":"x"}'))
    if kind == 1:
        operator = pick(rng, TEXT_OPERATORS)
        return f'{{"{operator}":{pick(rng, OPERANDS)}}}'
    if kind == 2:  # two keys: which is looked at first?
        operator, operand = pick(rng, (*TEXT_OPERATORS, "anything-but", "exists")), pick(rng, OPERANDS)
        return f'{{"{operator}":{operand},"{pick(rng, (operator, "x", "prefix"))}":{pick(rng, OPERANDS)}}}'
    if kind == 3:
        return f'{{"wildcard":{_wild(rng)}}}'
    if kind in (4, 10):
        extra = ',"x":1' if rng.random() < 0.1 else ""
        return f'{{"numeric":{pick(rng, OPERANDS) if rng.random() < 0.15 else _numeric_operand(rng)}{extra}}}'
    if kind == 5:
        return f'{{"anything-but":{pick(rng, OPERANDS)}}}'
    if kind == 6:
        operand = pick(rng, (_wild(rng), pick(rng, OPERANDS), pick(rng, LISTS)))
        return f'{{"anything-but":{{"{pick(rng, (*NESTED, "cidr", "exists", "x"))}":{operand}}}}}'
    if kind == 7:
        return f'{{"cidr":{_bad_cidr(rng)}}}'
    if kind == 8:
        return f'{{"exists":{pick(rng, OPERANDS)}}}'
    return f'{{"{pick(rng, ("prefix", "suffix"))}":{{"{pick(rng, NESTED)}":{pick(rng, OPERANDS)}}}}}'


def _wild(rng):
    return quote(
        rng, "".join([pick(rng, ("*", "\\", "\\*", "a", "é", "😀", "\ud83d")) for _ in range(int(rng.random() * 7))])
    )


def _numeric_operand(rng):
    if rng.random() < 0.6:  # almost a range
        lower = pick(rng, ('">"', '">="', '">"', '">="', '">="', '"<"', '"="'))
        upper = pick(rng, ('"<"', '"<="', '"<"', '"<="', '"<="', '">"', "5"))
        tail = pick(rng, ("", "", "", "", "", ',"<"', ",5", ",1e400"))
        return f"[{lower},{pick(rng, BOUNDS)},{upper},{pick(rng, BOUNDS)}{tail}]"
    return f"[{','.join([pick(rng, NUMERIC_MEMBERS) for _ in range(int(rng.random() * 6))])}]"


def _bad_cidr(rng):
    if rng.random() < 0.2:
        return quote(rng, word(rng))
    network = pick(rng, NOT_ADDRESSES) if rng.random() < 0.5 else pick(rng, NETWORKS)[0].partition("/")[0]
    return quote(rng, f"{network}/{pick(rng, MASKS)}" if rng.random() < 0.8 else pick(rng, (network, f"{network}/8")))


def _bad_or(rng, good):
    kind = rng.random()
    if kind < 0.4:
        reserved = f'"{pick(rng, RESERVED)}"'
        deep = f'{{"a":{{{reserved}:["x"]}}}}' if rng.random() < 0.5 else f"{{{reserved}:[5]}}"
        return f"[{good},{deep}]" if rng.random() < 0.5 else f"[{deep},{good}]"
    if kind < 0.6:
        return f"[{good},{pick(rng, BRANCHES)}]"
    return pick(rng, ('"a"', "5", "null", "{}", f"{good}", "[]", f"[{good}]", "[1,2]", "[{},{}]", f"[[],{good}]"))


def _over_a_limit(rng):
    """On either side of 1,000 combinations (12.9), or of 256 paths (1.10)."""
    if rng.random() < 0.3:
        count = 256 + int(rng.random() * 2)
        fields = [f'"k{at}":[{{"exists":false}}]' for at in range(count)]
        return f"{{{','.join(fields)}}}"
    if rng.random() < 0.3:  # 32 x 32 by the lengths of the arrays, which counts, though only 63 sub-rules
        inner = ",".join([f'{{"k":[{at}]}}' for at in range(32)])
        others = ",".join([f'{{"m":[{at}]}}' for at in range(31)])
        return f'{{"$or":[{{"$or":[{inner}]}},{others}]}}'
    sizes = pick(rng, ((10, 10, 10), (7, 11, 13), (1000,), (1001,), (4, 250), (2,) * 9, (2,) * 10))
    branches = [",".join([f'{{"k{level}":[{at}]}}' for at in range(size)]) for level, size in enumerate(sizes)]
    choices = [f'"$or":[{branch}]' for branch in branches]
    return f"{{{','.join(choices)}}}"


def _mutated(rng, text):
    at = int(rng.random() * len(text))
    kind = rng.random()
    if kind < 0.3:
        return text[:at]
    if kind < 0.6:
        return text[:at] + text[at + 1 :]
    return text[:at] + pick(rng, tuple('{}[],:"\\0a*- \n')) + text[at + (kind < 0.8) :]
