"""The material of `tests.generators`: one alternative of a field, with values that it accepts and refuses.

Every maker takes a `Random` and returns `(text, hits, misses)`: JSON texts of the alternative, and of values that
are meant to satisfy or to fail it. They only steer the share of matches; the oracle decides what is true.
`hits` is None for `{"exists": false}`, which no value satisfies.
"""

from __future__ import annotations

from json.encoder import encode_basestring, encode_basestring_ascii

WORDS = (
    *("", "a", "b", "A", "B", "ab", "abc", "ABC", "aBc", "aab", "abab", "xAbc", "x*y", "*", "a*b", "?", "??", "-", "/"),
    *("null", "true", "5", "300", "N", "\\", "a\\b", "\\*", '"', 'a"b', '"a', "a\n", "\x00", "\x7f", "\u2028", "a b"),
    *("é", "É", "e\u0301", "ß", "SS", "ss", "sS", "\u1e9e", "straße", "Σ", "\u03c3", "ς", "K", "k", "\u212a", "ŉ"),
    *("\u01c4", "\u01c5", "\u01c6", "İ", "\u0131", "i", "I", "i\u0307", "\ufb01", "fi", "FI", "\u0390", "\u1fd3"),
    *("😀", "a😀", "😀b", "\U00010400", "\U00010428", "a\U00010428b", "大雨", "x大雨", "\uff5e", "\ue000"),
    *("\ud83d", "\ude00", "a\ud800", "\ude00\ud83d", "é*b", "ab" * 20),
)
#: Spellings of one address; nothing else in the table means the same address.
ADDRESSES = (
    ("10.0.0.1", "010.0.0.1", "10.00.000.1", "0010.0.0.1", "::ffff:a00:1", "::FFFF:0a00:0001", "0:0:0:0:0:ffff:a00:1"),
    ("10.0.0.9", "10.0.0.09", "::ffff:a00:9"),
    ("10.0.1.5", "010.000.001.005", "0:0:0:0:0:FFFF:A00:105"),
    ("10.255.255.255", "::ffff:aff:ffff"),
    ("11.0.0.0", "011.0.0.0"),
    ("255.255.255.255", "::ffff:ffff:ffff"),
    ("0.0.0.0", "00.00.00.00", "::ffff:0:0"),  # noqa: S104 - an address as data, nothing is bound
    ("::1", "::0001", "0:0:0:0:0:0:0:1", "0::1", "0:0::0:1"),
    ("::", "0::", "::0", "0:0:0:0:0:0:0:0"),
    ("a00::1", "A00::1", "0a00:0::1"),
    ("2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "2001:db8:0::0:1", "2001:DB8::1"),
    ("2001:db8:ffff::", "2001:db8:ffff:0:0:0:0:0"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "FFFF:ffff:ffff:ffff:ffff:ffff:ffff:FFFF"),
)
#: Almost addresses, and so ordinary strings.
NOT_ADDRESSES = (
    *(
        "10.1",
        "10.0.0.256",
        " 10.0.0.1",
        "10.0.0.1 ",
        "10.0.0.1/8",
        "10.0.0.1.",
        "10.0.0.-1",
        "1.2.3.4.5",
        "\u0660.0.0.1",
    ),
    *("::ffff:10.0.0.1", "::1%eth0", "[::1]", ":", ":::", "1::2::3", "12:30", "1:2:3:4:5:6:7", "::g", "00001::"),
    *("1:2:3:4:5:6:7:8:9", "10000::", "1:2:3:4:5:6:7:", "256.0.0.1", "0A000001", "0x0a.0.0.1"),
)
#: Operand of `cidr`, the rows of ADDRESSES inside it. All others are outside.
NETWORKS = (
    ("10.0.0.0/8", (0, 1, 2, 3)),
    ("10.0.0.5/24", (0, 1)),
    ("010.0.0.0/+8", (0, 1, 2, 3)),
    ("10.0.0.8/31", (1,)),
    ("10.0.0.0/-0", (0, 1, 2, 3, 4, 5, 6)),
    ("255.255.255.254/31", (5,)),
    ("0.0.0.0/0", (0, 1, 2, 3, 4, 5, 6)),
    ("128.0.0.0/001", (5,)),
    ("::ffff:a00:0/8", (0, 1, 2, 3)),
    ("::/0", (7, 8, 9, 10, 11, 12)),
    ("::/127", (7, 8)),
    ("2001:db8::/32", (10, 11)),
    ("2001:0DB8:8000::1/33", (11,)),
    ("a00::/7", (9,)),
)
#: (exact value in ascending order as written here, usable as a bound, spellings).
NUMBERS = (
    (False, ("-1e400",)),
    (True, ("-1.7976931348623157e308",)),
    (True, ("-5000000001", "-5000000001.0")),
    (False, ("-9007199254740993e-6",)),
    (True, ("-1", "-1.0", "-10e-1")),
    (True, ("-1e-300",)),
    (True, ("0", "-0", "0.0", "-0.0", "0e5", "-0E-3")),
    (True, ("5e-324",)),
    (True, ("0.1", "0.10", "1e-1")),
    (True, ("0.5", "5E-1")),
    (True, ("1", "1.0", "1e0")),
    (True, ("5", "5.0", "0.5e1", "5e0")),
    (True, ("5.000001",)),
    (True, ("300", "300.0", "3.0e2", "3E+2")),
    (True, ("10000001", "10000001.0")),
    (True, ("5000000000", "5e9")),
    (True, ("9007199254740991", "9007199254740991.0")),
    (True, ("9007199254740992", "9007199254740992.0", "9.007199254740992e15")),
    (False, ("9007199254740993",)),
    (True, ("9007199254740994", "9007199254740994.0")),
    (False, ("12345678901234567168",)),
    (False, ("12345678901234567890",)),
    (True, ("1e22", "10000000000000000000000")),
    (True, ("1e23",)),  # as a double a little less than
    (True, ("100000000000000000000000",)),
    (True, ("1.7976931348623157e308", "17976931348623157e292")),
    (False, ("1" + "0" * 400,)),
    (False, ("1e400", "1E+400")),
)
BOUNDS = tuple(row for row, (usable, _) in enumerate(NUMBERS) if usable)
#: Of any type but text: what no test of text accepts, and `{}` and `[]` are no values at all.
OTHERS = ("null", "true", "false", "0", "1", "5", "300", "0.1234567890123456789", "5.0000000000000001", "1e309")
NOTHINGS = ("{}", "[]", "[[],{}]", "[[]]")


def pick(rng, items):
    """As `rng.choice`, at half its cost."""
    return items[int(rng.random() * len(items))]


def quote(rng, text):
    # Only the escaped spelling can carry a lone surrogate through UTF-8.
    if rng.random() < 0.5 or not text.isprintable():
        return encode_basestring_ascii(text)
    return encode_basestring(text)


def word(rng):
    return pick(rng, WORDS) if rng.random() < 0.85 else pick(rng, WORDS) + pick(rng, WORDS)


def near(rng, text):
    """Some text that differs from *text* a little, or not at all."""
    kind = int(rng.random() * 8)
    if kind == 0:
        return text + pick(rng, WORDS)
    if kind == 1:
        return text[:-1]
    if kind == 2:
        return text.swapcase()
    if kind == 3:
        return pick(rng, WORDS) + text
    if kind == 4:
        return text[1:]
    if kind == 5:
        return text.replace("a", "A", 1).replace("*", "x", 1)
    if kind == 6:
        return text.upper().lower()
    return pick(rng, WORDS)


def recase(rng, text):
    return "".join([one.upper() if rng.random() < 0.5 else one.lower() for one in text])


def any_value(rng):
    kind = rng.random()
    if kind < 0.5:
        return quote(rng, word(rng))
    if kind < 0.6:
        return quote(rng, pick(rng, pick(rng, ADDRESSES)))
    if kind < 0.65:
        return quote(rng, pick(rng, NOT_ADDRESSES))
    return pick(rng, OTHERS) if kind < 0.8 else pick(rng, pick(rng, NUMBERS)[1])


def failing_text(rng, text):
    """A value likely to fail a test of text that *text* passes."""
    return quote(rng, near(rng, text)) if rng.random() < 0.8 else pick(rng, OTHERS)


def exact(rng):
    text = word(rng)
    same = quote(rng, text)
    return same, (quote(rng, text),), (failing_text(rng, text), quote(rng, near(rng, text)))


def exactly(rng):
    text = word(rng) if rng.random() < 0.7 else pick(rng, pick(rng, ADDRESSES))
    same = quote(rng, text)
    return f'{{"exactly":{same}}}', (same,), (failing_text(rng, text),)


def address(rng):
    if rng.random() < 0.1:
        same = quote(rng, pick(rng, NOT_ADDRESSES))
        return same, (same,), (quote(rng, pick(rng, NOT_ADDRESSES)),)
    row = pick(rng, ADDRESSES)
    other = pick(rng, NOT_ADDRESSES) if rng.random() < 0.2 else pick(rng, pick(rng, ADDRESSES))
    return f'"{pick(rng, row)}"', (f'"{pick(rng, row)}"',), (quote(rng, other), "10000001")


def number(rng):
    _, spellings = pick(rng, NUMBERS)
    text = pick(rng, spellings)
    return text, (pick(rng, spellings), text), (pick(rng, pick(rng, NUMBERS)[1]), f'"{text}"')


def constant(rng):
    text = pick(rng, ("true", "false", "null"))
    return text, (text,), (pick(rng, ("true", "false", "null", "0", "1", '""')), f'"{text}"')


def prefix(rng):
    text = word(rng)
    return f'{{"prefix":{quote(rng, text)}}}', (quote(rng, text + word(rng)),), (failing_text(rng, text),)


def suffix(rng):
    text = word(rng)
    return f'{{"suffix":{quote(rng, text)}}}', (quote(rng, word(rng) + text),), (failing_text(rng, text),)


def ignore_case(rng):
    text = word(rng)
    operand = f'{{"equals-ignore-case":{quote(rng, text)}}}'
    misses = (failing_text(rng, text), quote(rng, text.casefold()))
    kind = rng.random()
    if kind < 0.4:
        return operand, (quote(rng, recase(rng, text)),), misses
    if kind < 0.7:
        return f'{{"prefix":{operand}}}', (quote(rng, recase(rng, text) + word(rng)),), misses
    return f'{{"suffix":{operand}}}', (quote(rng, word(rng) + recase(rng, text)),), misses


def wildcard_parts(rng):
    """(operand, a text that it matches)."""
    operand, text, after_star = [], [], False
    for _ in range(int(rng.random() * 6)):
        kind = rng.random()
        star = kind < 0.4 and not after_star
        if star:
            operand.append("*")
            text.append(word(rng) if rng.random() < 0.6 else "")
        elif kind < 0.55:
            escaped = "*" if rng.random() < 0.5 else "\\"
            operand.append("\\" + escaped)
            text.append(escaped)
        else:
            one = pick(rng, ("a", "b", "ab", "A", "é", "😀", "?", ".", '"', "\n", "大"))
            operand.append(one)
            text.append(one)
        after_star = star
    return "".join(operand), "".join(text)


def wildcard(rng):
    operand, text = wildcard_parts(rng)
    return f'{{"wildcard":{quote(rng, operand)}}}', (quote(rng, text),), (failing_text(rng, text), quote(rng, operand))


def numeric(rng):
    at = int(rng.random() * len(BOUNDS))
    row = BOUNDS[at]
    bound, kind = pick(rng, NUMBERS[row][1]), rng.random()
    below, above, on = NUMBERS[max(row - 1, 0)][1], NUMBERS[min(row + 1, len(NUMBERS) - 1)][1], NUMBERS[row][1]
    if kind < 0.2:
        test, hit, miss = f'"=",{bound}', on, above if kind < 0.1 else below
    elif kind < 0.35:
        test, hit, miss = f'"<",{bound}', below, on
    elif kind < 0.5:
        test, hit, miss = f'"<=",{bound}', on if kind < 0.42 else below, above
    elif kind < 0.6:
        test, hit, miss = f'">",{bound}', above, on
    elif kind < 0.7 or at + 1 == len(BOUNDS):
        test, hit, miss = f'">=",{bound}', on if kind < 0.65 else above, below
    else:
        top = BOUNDS[at + 1 + int(rng.random() * (len(BOUNDS) - at - 1))]
        lower, upper = pick(rng, ('">"', '">="')), pick(rng, ('"<"', '"<="'))
        test = f"{lower},{bound},{upper},{pick(rng, NUMBERS[top][1])}"
        edge = NUMBERS[top][1]
        hit = on if lower == '">="' else edge if upper == '"<="' else NUMBERS[(row + top) // 2][1]
        miss = below if lower == '">="' else on
    return f'{{"numeric":[{test}]}}', (pick(rng, hit),), (pick(rng, miss), f'"{bound}"')


def cidr(rng):
    operand, inside = pick(rng, NETWORKS)
    hit = pick(rng, ADDRESSES[pick(rng, inside)])
    miss = pick(rng, pick(rng, ADDRESSES)) if rng.random() < 0.7 else pick(rng, NOT_ADDRESSES)
    return f'{{"cidr":"{operand}"}}', (f'"{hit}"',), (quote(rng, miss), "12345678")


def present(rng):
    return '{"exists":true}', (any_value(rng), "null"), NOTHINGS


def absent(rng):
    return '{"exists":false}', None, (any_value(rng),)


def anything_but(rng):
    if rng.random() < 0.35:
        rows = [NUMBERS[pick(rng, BOUNDS)][1] for _ in range(1 + int(rng.random() * 2))]
        listed, other = [pick(rng, row) for row in rows], pick(rng, pick(rng, NUMBERS)[1])
        misses = [pick(rng, row) for row in rows]
    else:
        texts = [word(rng) for _ in range(1 + int(rng.random() * 2))]
        if rng.random() < 0.1:
            texts.append(pick(rng, ADDRESSES)[0])
        listed = misses = [quote(rng, text) for text in texts]
        other = quote(rng, near(rng, texts[0]))
    operand = listed[0] if len(listed) == 1 and rng.random() < 0.6 else f"[{','.join(listed)}]"
    return f'{{"anything-but":{operand}}}', (other, pick(rng, OTHERS)), misses


def anything_but_nested(rng):
    operator = pick(rng, ("prefix", "suffix", "equals-ignore-case", "wildcard"))
    operands, misses = [], []
    for _ in range(1 if rng.random() < 0.6 else 2):
        text = word(rng)
        if operator == "wildcard":
            text, miss = wildcard_parts(rng)
        elif operator == "equals-ignore-case":
            miss = recase(rng, text)
        else:
            text = text or "a"
            miss = text + word(rng) if operator == "prefix" else word(rng) + text
        operands.append(quote(rng, text))
        misses.append(quote(rng, miss))
    operand = operands[0] if len(operands) == 1 and rng.random() < 0.6 else f"[{','.join(operands)}]"
    hits = (quote(rng, near(rng, text)), quote(rng, word(rng)), pick(rng, OTHERS))
    return f'{{"anything-but":{{"{operator}":{operand}}}}}', hits, misses


#: In proportion: text is where the operators differ, and two `anything-but` in one field match everything.
MAKERS = (
    *(exact, exact, exact, exactly, address, number, number, constant),
    *(prefix, prefix, suffix, suffix, ignore_case, ignore_case, ignore_case, wildcard, wildcard, wildcard),
    *(numeric, numeric, numeric, cidr, cidr, present, absent, absent, anything_but, anything_but_nested),
)


def alternative(rng):
    return pick(rng, MAKERS)(rng)
