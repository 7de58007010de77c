"""The indexes of one field, each against the tests that it holds, asked one by one."""

import math
import sys

from hypothesis import assume, given
from hypothesis import strategies as st

from eventrouter import Pattern
from eventrouter.matching._complement import Complement
from eventrouter.matching._intervals import Intervals
from eventrouter.matching._values import ValueIndex, fold, make_find
from eventrouter.patterns import AnythingBut, Exists, Numeric
from tests.matching.material import FORMS, VALUES

GREATEST = sys.float_info.max
TINY = 5e-324
#: Numbers near one another, near powers of two, and at the ends of what there is.
NUMBERS = (
    *(0, -0.0, 1, 1.0, 2, 3, 4, -1, -2.5, 0.1, 0.5, 0.30000000000000004, 7.999999999999999, 8, 255, 256, 257, -1024),
    *(TINY, -TINY, 1e-300, -1e-300, 2.0**-1022, 2**53, 2**53 + 2, float(2**53), 1e300, -1e300, GREATEST, -GREATEST),
)
#: What only an event may hold.
MORE_NUMBERS = (*NUMBERS, 2**53 + 1, 10**310, -(10**310), math.inf, -math.inf, 2**70 + 1, 1.5 * TINY)

numbers = (
    st.sampled_from(NUMBERS)
    | st.integers(-300, 300)
    | st.floats(-10, 10)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.sampled_from(MORE_NUMBERS) | numbers


class Payload:
    """What a test leads to; one is the same as itself only."""

    def __init__(self, name):
        self.name = name


def names_of(payloads):
    return sorted(payload.name for payload in payloads)


@st.composite
def half_open(draw):
    # Past the greatest double there is nothing (reference 7.7); whoever holds ranges keeps these out.
    bound = draw(numbers.filter(lambda number: abs(number) < sys.float_info.max))
    return Numeric(((draw(st.sampled_from(("<", "<=", ">", ">="))), bound),))


@st.composite
def closed(draw):
    low, high = sorted((draw(numbers), draw(numbers)))
    if low == high:
        high = low + 1 if low + 1 > low else low * 2 if low > 0 else 0
    assume(math.isfinite(high))
    return Numeric(((draw(st.sampled_from((">", ">="))), low), (draw(st.sampled_from(("<", "<="))), high)))


@given(
    st.lists(half_open() | closed(), max_size=30),
    st.lists(values, min_size=1, max_size=20),
    st.randoms(use_true_random=False),
)
def test_intervals_find_what_holds_a_number(tests, asked, rng):
    intervals = Intervals()
    held = []

    def add(name, test):
        payload = Payload(name)
        intervals.add(test, payload)
        held.append((payload, test))

    def assert_right():
        for value in [*asked, *(bound for test in tests for _, bound in test.bounds)]:
            found = []
            intervals.find(value, found)
            assert names_of(found) == names_of(payload for payload, test in held if test.accepts(value)), value
        assert bool(intervals) == bool(held)

    for name, test in enumerate(tests):
        add(name, test)
    assert_right()
    rng.shuffle(held)
    while held:
        for _ in range(1 + len(held) // 2):
            payload, test = held.pop()
            intervals.discard(test, payload)
        assert_right()
    for name, test in enumerate(tests[:3]):
        add(name, test)
    assert_right()


def test_many_intervals_are_found_and_taken_away():
    """More than fit one block of edges, in orders in which they may come, several with one bound."""
    for order in (range(1_500), range(1_500, 0, -1), [number * 487 % 1_499 for number in range(1_500)]):
        intervals, held = Intervals(), {}
        for number, bound in enumerate(order):
            test = Numeric((((">", ">=", "<", "<=")[number % 4], bound % 700),))
            held[Payload(number)] = test
        for payload, test in held.items():
            intervals.add(test, payload)
        for keep in (1_500, 900, 40, 0):
            for payload in [payload for payload in held if payload.name >= keep]:
                intervals.discard(held.pop(payload), payload)
            for value in (-1, 0, 0.5, 3, 255.5, 256, 400, 699, 700, math.inf, -math.inf):
                found = []
                intervals.find(value, found)
                assert names_of(found) == names_of(payload for payload, test in held.items() if test.accepts(value))
        assert not intervals


def test_one_of_two_intervals_of_a_size_is_taken_away():
    intervals = Intervals()
    tests = [Numeric(((">", low), ("<", low + 1))) for low in (0, 1_000)]
    payloads = [Payload(name) for name in range(2)]
    for test, payload in zip(tests, payloads, strict=True):
        intervals.add(test, payload)
    intervals.discard(tests[0], payloads[0])
    for value, expected in ((0.5, []), (1_000.5, [1])):
        found = []
        intervals.find(value, found)
        assert names_of(found) == expected


def test_equal_intervals_of_several_payloads_are_kept_apart():
    for test in (Numeric(((">", 1),)), Numeric((("<=", 1),)), Numeric(((">", 1), ("<", 3)))):
        intervals, value = Intervals(), 1 if test.bounds[0][0] == "<=" else 2
        payloads = {name: Payload(name) for name in "abc"}
        for payload in payloads.values():
            intervals.add(test, payload)
        for name, left in (("b", ["a", "c"]), ("a", ["c"]), ("c", [])):
            intervals.discard(test, payloads[name])
            found = []
            intervals.find(value, found)
            assert names_of(found) == left
        assert not intervals


# --- values -----------------------------------------------------------------------------------------------------------


def filters_of(form):
    return Pattern.parse({"x": [form]}).sub_rules[0]["x"][0]


ODD_FORMS = (
    *(
        {"equals-ignore-case": text}
        for text in ("\u212a", "k", "ß", "SS", "İ", "\u0131", "\u01c5", "ς", "Σ", "ﬁ", "ŉ", "5", "")
    ),
    *({"prefix": {"equals-ignore-case": text}} for text in ("K", "\u212a", "ß", "s", "i", "İ", "ŉ", "ab", "5", "")),
    *({"suffix": {"equals-ignore-case": text}} for text in ("k", "ß", "S", "i\u0307", "ﬁ", "AB", "5", "")),
    *(
        {"wildcard": text}
        for text in ("abcdefgh*", "*abcdefgh", "*abcdefgh*", "a*abcdefgh*b", "*ab*cd*", "a*b", "ab*b")
    ),
    *({"wildcard": text} for text in ("*abcdefgh*abc*", "*bcdefghi*", "*😀*", "\\**", "*\\\\*", "", "*a", "a*")),
    *({"prefix": text} for text in ("\U0010ffff", "a\U0010ffff", "\ud800", "😀", "abc")),
    *({"suffix": text} for text in ("\U0010ffff", "b", "cb", "😀", "abc")),
    *("fe80::1", "FE80:0::1", "256.0.0.1", "\ud800", 2**70, 1e300, -0.0),
    *({"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}, {"cidr": "10.0.0.0/31"}, {"cidr": "fe80::/10"}),
    *(
        {"numeric": [">=", 0.1, "<", 0.5]},
        {"numeric": ["=", -2]},
        {"numeric": [">", GREATEST]},
        {"numeric": ["<", -GREATEST]},
    ),
    *({"numeric": ["<", GREATEST]}, {"numeric": [">=", GREATEST]}, {"numeric": ["<=", -GREATEST]}),
)
ODD_VALUES = (
    *(
        "K",
        "k",
        "\u212a",
        "ß",
        "ss",
        "SS",
        "Ss",
        "\u1e9e",
        "i",
        "I",
        "İ",
        "i\u0307",
        "\u0131",
        "\u01c4",
        "\u01c5",
        "\u01c6",
        "\u03c3",
        "ς",
        "Σ",
    ),
    *(
        "ﬁ",
        "FI",
        "fi",
        "ŉ",
        "\u02bcN",
        "abk",
        "aB5",
        "5",
        "5k",
        "xß",
        "xSS",
        "ssx",
        "abcdefgh",
        "xabcdefghx",
        "aabcdefghb",
    ),
    *(
        "abxcd",
        "cdab",
        "abb",
        "bcdefghi",
        "abcdefghabc",
        "😀",
        "a😀b",
        "*",
        "\\",
        "\U0010ffff",
        "a\U0010ffff",
        "a\U0010ffffb",
    ),
    *(
        "\ud800",
        "\ud800x",
        "fe80::1",
        "FE80::0001",
        "fe90::",
        "10.0.0.1",
        "10.0.0.0",
        "256.0.0.1",
        "0.1",
        0.1,
        0.3,
        2**70,
    ),
    *(2**70 + 1, GREATEST, -GREATEST, 10**400, -(10**400), "cb", "abc", "cabc"),
)
ALL_VALUES = (*VALUES, *ODD_VALUES)
#: `AnythingBut` and `Exists` are kept elsewhere.
FILTERS = [test for form in (*FORMS, *ODD_FORMS) if type(test := filters_of(form)) not in (AnythingBut, Exists)]
ACCEPTED = {
    (number, place): test.accepts(value)
    for number, test in enumerate(FILTERS)
    for place, value in enumerate(ALL_VALUES)
}


class Held:
    """An index, its look-up made anew when it says so, and what it holds."""

    def __init__(self):
        self.index = ValueIndex()
        self.find = make_find(self.index)
        self.held = {}

    def add(self, number, name):
        payload = self.held[number, name] = Payload((number, name))
        if self.index.add(FILTERS[number], payload):
            self.find = make_find(self.index)

    def discard(self, number, name):
        if self.index.discard(FILTERS[number], self.held.pop((number, name))):
            self.find = make_find(self.index)

    def assert_right(self):
        for place, value in enumerate(ALL_VALUES):
            found = []
            self.find(value, type(value), found)
            assert names_of(found) == sorted(item for item in self.held if ACCEPTED[item[0], place]), value


@given(
    st.lists(st.tuples(st.integers(0, len(FILTERS) - 1), st.integers(0, 3)), unique=True, max_size=25),
    st.randoms(use_true_random=False),
)
def test_an_index_of_values_finds_the_tests_that_accept_one(items, rng):
    held = Held()
    for item in items:
        held.add(*item)
    held.assert_right()
    rng.shuffle(items)
    for count, item in enumerate(items):
        held.discard(*item)
        if count % 6 == 0:
            held.assert_right()
    assert not held.index
    assert (held.index.tables, held.index._sized) == ({}, {})
    for item in items[:3]:
        held.add(*item)
    held.assert_right()


def test_an_index_of_every_operator_at_once_loses_nothing_when_some_go():
    held = Held()
    for number in range(len(FILTERS)):
        held.add(number, "one")
        held.add(number, "two")
    held.assert_right()
    for number in range(0, len(FILTERS), 2):
        held.discard(number, "one")
    held.assert_right()
    for number in range(0, len(FILTERS), 2):
        held.discard(number, "two")
    held.assert_right()


def test_what_was_not_added_may_be_taken_away():
    index = ValueIndex()
    for test in FILTERS:
        if type(test) is not Numeric:
            assert not index.discard(test, "it")
    index.add(filters_of("a"), "one")
    assert not index.discard(filters_of("a"), "two")
    assert index


def test_texts_that_differ_only_in_case_have_one_fold():
    """Of every character: what accepts its cases has the fold of each of them."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if character.lower() != character or character.upper() != character:
            assert fold(character.lower()) == fold(character.upper()) == fold(character), hex(code)


# --- anything but -----------------------------------------------------------------------------------------------------

EXCLUDING = [test for form in FORMS if type(test := filters_of(form)) is AnythingBut]
EXCLUDING += [
    filters_of({"anything-but": operand})
    for operand in ("b", ["b", "a"], 2, [2, 1.5], {"prefix": ["a", "b"]}, "é", "A", "ab")
]
steps = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, len(EXCLUDING) - 1), st.integers(0, 6)), max_size=150
)


def assert_complement(complement, keys, buckets):
    several = [
        (VALUES[number], VALUES[number * 7 % len(VALUES)], VALUES[number * 3 % 5]) for number in range(len(VALUES))
    ]
    for values in [*((value,) for value in VALUES), *several]:
        found_keys, found_buckets = ["before"], ["before"]
        complement.look_up(values, found_keys, found_buckets)
        assert found_keys[0] == found_buckets[0] == "before"
        assert sorted(found_keys[1:]) == sorted(key for test, key in keys if any(map(test.accepts, values)))
        assert sorted(found_buckets[1:]) == sorted(bucket for test, bucket in buckets if any(map(test.accepts, values)))
    assert bool(complement) == bool(keys or buckets)


@given(steps)
def test_a_complement_finds_all_but_what_is_excluded(steps):
    complement = Complement()
    keys, buckets = set(), set()
    for is_added, is_key, number, name in steps:
        test = EXCLUDING[number]
        if is_key and is_added:
            complement.add_key(test, name)
            keys.add((test, name))
        elif is_key:
            complement.purge_key(test, name)
            keys.discard((test, name))
        elif is_added and (test, name) not in buckets:
            complement.add_bucket(test, name)
            buckets.add((test, name))
        elif not is_added and (test, name) in buckets:
            complement.discard_bucket(test, name)
            buckets.remove((test, name))
    assert_complement(complement, keys, buckets)


def test_a_complement_of_many_keys_is_written_anew_now_and_then():
    complement, keys = Complement(), set()
    for name in range(300):
        test = EXCLUDING[name % 7]
        complement.add_key(test, name)
        complement.add_key(test, name)  # once is enough
        keys.add((test, name))
    assert_complement(complement, keys, set())
    for test, name in sorted(keys, key=lambda item: item[1] * 101 % 300):
        complement.purge_key(test, name)
        complement.purge_key(test, name)
        keys.remove((test, name))
        if name % 25 == 0:
            assert_complement(complement, keys, set())
    assert not complement
    assert_complement(complement, set(), set())
    complement.add_key(EXCLUDING[0], 1)
    assert_complement(complement, {(EXCLUDING[0], 1)}, set())
