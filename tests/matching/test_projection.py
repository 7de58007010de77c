"""Whatever an event looks like, and whatever came before it, the answer is that of each pattern by itself.

The engine reads of an event only what rules use, in code made for what events have looked like so far. So each shape is
sent often enough to be learned (at the first misfit, then after 64), and then meets what was learned from others.
"""

import json
from collections import Counter, OrderedDict, UserDict, defaultdict
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from functools import cache
from types import MappingProxyType

import pytest

from eventrouter import InvalidEventError, Matcher, Pattern
from tests import oracle
from tests.matching.material import STRATEGIES, fillers

PATTERNS = {
    "text": {"a": ["x"]},
    "beginning": {"a": [{"prefix": "x"}]},
    "not x": {"a": [{"anything-but": "x"}]},
    "no a": {"a": [{"exists": False}]},
    "one": {"a": [1]},
    "true": {"a": [True]},
    "null": {"a": [None]},
    "big": {"a": [2**64, 2**64 + 1, 10**30]},
    "more than a double": {"a": [{"numeric": [">", 1.7e308]}]},
    "tiny": {"a": [{"numeric": [">", 0, "<", 1e-300]}]},
    "zero": {"a": [0]},
    "surrogate": {"a": ["\ud800", "é😀"]},
    "inner": {"o": {"p": ["x", 1]}},
    "many": {"o": {"q": [{"numeric": [">=", 2]}]}},
    "many between": {"o": {"q": [{"numeric": [">", 1, "<", 3]}]}},
    "both": {"o": {"p": ["x"], "q": [2]}},
    "deep": {"o": {"r": {"s": ["x"]}}},
    "deep and a": {"a": ["x"], "o": {"r": {"s": [{"anything-but": ["y", "z"]}]}}},
    "no deep": {"o": {"r": {"s": [{"exists": False}]}}},
    "both far": {"o": {"r": {"s": ["x"], "t": ["y"]}}},
    "leaf and parent": {"l": ["x"], "l.m": [1]},
    "table": {"t": {"u": ["x", 0, ""]}},
    "numbers": {"n": {"v": [{"numeric": ["<", 1.5]}]}},
    "numbers between": {"n": {"v": [{"numeric": [">", 1, "<=", 3]}]}},
    "equal numbers": {"n": {"v": [2]}},
    "numbers too": {"n": {"w": [{"numeric": [">=", 5]}]}, "a": ["x"]},
    "tags": {"g": {"h": {"i": ["x", {"suffix": "z"}]}}},
    "é": {"é": {"ü 😀": ["x"]}},
}
ODD_NAMES = {
    "quote": {'"': ["x"]},
    "backslash": {"o": {"\\": ["x"]}},
    "control": {"\n": {"\x00": ["x"]}},
    "lone surrogate": {"\ud800": ["x"]},
    "empty": {"": {"": ["x"]}},
    "dots": {"a..b": ["x"]},
    "dunder": {"__class__": {"__init__": ["x"]}},
    "keyword": {"class": {"def": ["x"]}},
    "spaces": {" ": {"k0 = 1": ["x"]}},
}


parse = cache(Pattern.parse)


@cache
def matches_json(pattern, event):
    """What the pattern answers alone; asked again and again."""
    return pattern.matches_json(event)


@cache
def matches_data(pattern, text):
    return pattern.matches(data_of(text))


class Suite:
    """Patterns, each alone and all in one matcher, which has seen what it has seen."""

    def __init__(self, documents, others=()):
        self.patterns = {key: parse(json.dumps(document)) for key, document in documents.items()}
        self.matcher = Matcher.build(self.patterns.items())
        for key, document in dict(others).items():
            self.matcher.add(key, parse(json.dumps(document)))

    def expected(self, event, ask):
        """The keys; or why the event is refused, by whichever pattern: one that does not look at it does not know."""
        try:
            return sorted(key for key, pattern in self.patterns.items() if ask(pattern, event))
        except InvalidEventError as error:
            return error.error_code

    def expected_of_text(self, event):
        return self.expected(event, matches_json)

    def expected_of_its_data(self, text):
        return self.expected(text, matches_data)

    def expected_of_data(self, event):
        return self.expected(event, Pattern.matches)

    def found(self, event, match):
        try:
            return sorted(match(event))
        except InvalidEventError as error:
            return error.error_code

    def found_in_text(self, event):
        return self.found(event, self.matcher.match_json)

    def found_in_data(self, event):
        return self.found(event, self.matcher.match)


#: Rules that leave arrays of objects to the fast way: no two of their fields share one.
TABLES = ("text", "table", "numbers", "numbers between", "equal numbers", "numbers too", "tags", "é")


#: Rules of which two fields have to come from one element of an array, and none may be absent.
ELEMENTS = {
    "both": {"t": {"u": ["x"], "w": [1]}},
    "either": {
        "$or": [{"t": {"u": ["y"], "w": [{"anything-but": 1}]}}, {"a": ["y"], "t": {"w": [{"numeric": [">", 5]}]}}]
    },
    "and a": {"a": ["x"], "t": {"u": [{"prefix": "x"}], "w": [{"numeric": [">", 0, "<", 3]}]}},
    "a": {"a": ["x"]},
    "numbers": {"n": {"v": [{"numeric": ["<", 1.5]}]}},
}
DEEP_ELEMENTS = {
    "far": {"d": {"t": {"u": ["x"], "w": [1]}}},
    "a": {"a": ["x"]},
    "d": {"d": {"e": [{"numeric": [">", 1]}]}},
}
KINDS = {
    **dict.fromkeys(STRATEGIES, PATTERNS),
    "straight, of tables": {key: PATTERNS[key] for key in TABLES},
    "indexed, of tables": {key: PATTERNS[key] for key in TABLES},
    "straight, of elements": ELEMENTS,
    "indexed, of elements": ELEMENTS,
    "straight, of deep elements": DEEP_ELEMENTS,
    "indexed, of deep elements": DEEP_ELEMENTS,
}


@pytest.fixture(params=KINDS)
def suite(request):
    strategy, documents = request.param.partition(",")[0], KINDS[request.param]
    suite = Suite(documents, fillers(strategy, "a"))
    assert suite.matcher.statistics().strategy == strategy
    return suite


#: Texts of events, by what is special about them.
SHAPES = {
    "plain": [
        '{"a":"x","o":{"p":"x","q":2,"r":{"s":"x","t":"y"}},"l":"x","t":{"u":"x"},"n":{"v":1},"g":{"h":{"i":"az"}}}'
    ],
    "scalars": ['{"a":1}', '{"a":true}', '{"a":null}', '{"a":1.0}', '{"a":"1"}', '{"a":false}', '{"a":0}', "{}"],
    "scalar for object": [
        '{"o":1}',
        '{"o":null}',
        '{"o":"x"}',
        '{"o":{"r":null}}',
        '{"o":{"r":true,"q":2}}',
        '{"t":5}',
    ],
    "object for scalar": ['{"a":{}}', '{"a":{"x":"x"}}', '{"a":{"a":"x"},"o":{"p":{"p":"x"},"q":2}}', '{"t":{"u":{}}}'],
    "arrays of scalars": ['{"a":["x","y"]}', '{"a":[]}', '{"a":[1,true,null,"xy"]}', '{"o":{"q":[1,2,3],"p":["x"]}}'],
    "arrays in arrays": [
        '{"a":[["x"],[["y"]]]}',
        '{"a":[[],[[]]]}',
        '{"a":[1,["x",{"a":"x"}]]}',
        '{"n":[{"v":[1,[2]]}]}',
    ],
    "scalars and objects": ['{"a":["y",{}]}', '{"o":[1,{"p":"x","q":2}]}', '{"l":["x",{"m":1}]}', '{"l":{"m":1}}'],
    "objects": ['{"o":[{"p":"x"},{"q":2}]}', '{"o":[{"p":"x","q":2}]}', '{"o":[{"r":{"s":"x"}},{"r":{"t":"y"}}]}'],
    "far objects": [
        '{"o":{"r":[{"s":"x"},{"t":"y"}]}}',
        '{"o":{"r":[{"s":"x","t":"y"}]}}',
        '{"o":{"r":[[{"s":"y"}],[]]}}',
    ],
    "table": [
        '{"t":[{"u":"y"},{"u":"x"}]}',
        '{"t":[]}',
        '{"t":[{}]}',
        '{"t":[{"u":["y","x"]}]}',
        '{"t":[{"u":{"u":"x"}}]}',
    ],
    "table of tables": ['{"t":[[{"u":"x"}],[]]}', '{"t":[[[{"u":"x"}]],[[{"u":1}]]]}', '{"t":[[[[{"u":"x"}]]]]}'],
    "deepest table": ['{"t":[[[[[{"u":"x"}]]]]]}', '{"t":[[[[[[{"u":"x"}],{"u":1}]]]],"x"]}'],
    "mixed table": [
        '{"t":[{"u":"x"},[{"u":1}],5]}',
        '{"t":[5]}',
        '{"t":[[5],{"u":"x"}]}',
        '{"t":["x",null]}',
        '{"t":[[]]}',
    ],
    "numbers": ['{"n":[{"v":1},{"v":3}]}', '{"n":[{"v":2,"w":6},{"v":4,"w":1}],"a":"x"}', '{"n":[{"v":2.0},{"v":9}]}'],
    "no numbers": [
        '{"n":[{"v":1},{}]}',
        '{"n":[{"v":"1"}]}',
        '{"n":[{"v":null},{"v":1}]}',
        '{"n":[{"v":true}]}',
        '{"n":[]}',
    ],
    "numbers deep": [
        '{"n":[[{"v":1}],[{"v":3},{"v":2}]]}',
        '{"n":[[[{"v":9}]]]}',
        '{"n":{"v":1}}',
        '{"n":5}',
        '{"n":[[]]}',
    ],
    "elements": [
        '{"a":"x","t":[{"u":"x","w":1},{"u":"y","w":2}],"n":[{"v":1}]}',
        '{"a":"x","t":[{"u":"x","w":2},{"u":"y","w":1}]}',
        '{"a":"y","t":[{"u":"x"},{"w":9}]}',
        '{"a":"x","t":[]}',
        '{"a":"y","t":[{}]}',
        '{"a":"x"}',
        '{"t":[{"u":"x","w":1},{"u":"x","w":1}]}',
        '{"t":[{"u":["x"],"w":1}],"a":"x"}',
        '{"t":[{"u":"x","w":1},5]}',
        '{"t":[{"u":"x"},{"w":1}],"t.w":1}',
    ],
    "elements of arrays in arrays": [
        '{"a":"x","t":[[{"u":"x","w":1}],[{"u":"y","w":2},{"u":"x"}]]}',
        '{"a":"x","t":[[{"u":"x"},{"w":1}],[]]}',
        '{"a":"x","t":[[],[]]}',
        '{"t":[[[{"u":"x","w":1}]]]}',
    ],
    "elements far down": [
        '{"a":"x","d":{"t":[{"u":"x","w":1}],"e":5}}',
        '{"a":"x","d":{"t":[{"u":"x"},{"w":1}],"e":5}}',
        '{"a":"x","d":null}',
        '{"a":"x"}',
        '{"d":{"t":[],"e":0.5}}',
        '{"d":{"e":2}}',
        '{"d":{"t":[[{"u":"x","w":1}]]}}',
        '{"d":5,"a":"x"}',
        '{"d":[{"t":{"u":"x","w":1},"e":5}]}',
    ],
    "tags": [
        '{"g":{"h":[{"i":"x"},{"i":"az"}]}}',
        '{"g":[{"h":{"i":"x"}}]}',
        '{"g":[{"h":[{"i":"x"}]}]}',
        '{"g":{"h":[]}}',
    ],
    "dots": [
        '{"o.p":"x"}',
        '{"o":{"r.s":"x"}}',
        '{"o.r":{"s":"x"}}',
        '{"o.r.s":"x","o":{"r":{"s":"y"}}}',
        '{"l.m":1,"l":"x"}',
    ],
    "numbers and others": ['{"n":[{"v":1},{"v":"x"}]}', '{"n":[{"v":[2]},{"v":3}]}', '{"n":[{"v":{}},{"v":3}]}'],
    "dots in arrays": [
        '{"o":[{"r.s":"x"}]}',
        '{"t.u":["x"]}',
        '{"t":[{"u":"y"}],"t.u":"x"}',
        '{"a.b":"x","n.v":[1,2]}',
    ],
    "names again": [
        '{"a":1,"a":"x"}',
        '{"a":"x","a":1}',
        '{"o":{"p":"x"},"o":{"q":2}}',
        '{"o":1,"o":{"p":"x"},"\\u0061":"x"}',
    ],
    "huge integers": [f'{{"a":{number}}}' for number in (2**63, 2**64, 2**64 + 1, -(2**63) - 1, 10**30, -(2**128))],
    "integers past all doubles": [f'{{"a":1{"0" * count}}}' for count in (400, 4_500)],
    "huge numbers": [
        '{"a":1e400}',
        '{"a":-1e400}',
        '{"a":1.7e308}',
        '{"a":18446744073709551616.0}',
        '{"b":1e999999999}',
    ],
    "tiny numbers": [
        '{"a":1e-310}',
        '{"a":5e-324}',
        '{"a":1e-400}',
        '{"a":-0.0}',
        '{"a":-0}',
        '{"a":0e99999}',
        '{"a":1E+0}',
    ],
    "long numbers": [
        '{"a":1.00000000000000000000000001}',
        '{"a":0.99999999999999999}',
        '{"n":[{"v":1.4999999999999999999}]}',
    ],
    "infinite numbers": [
        '{"n":[{"v":1e400}]}',
        '{"n":[{"v":-1e400},{"v":2}]}',
        '{"o":{"q":1e309}}',
        f'{{"n":[{{"v":{2**70}}}]}}',
    ],
    "lone surrogates": [
        '{"a":"\\ud800"}',
        '{"a":"\ud800"}',
        '{"z":"\ud800"}',
        '{"z":"\\udc00","a":"x"}',
        '{"\\ud800":1}',
    ],
    "escapes": [
        '{"a":"\\u0078"}',
        '{"\\u0061":"x"}',
        '{"a":"\\u00e9\\ud83d\\ude00"}',
        '{"z":"\\"\\\\\\/\\b\\f\\n\\r\\t"}',
    ],
    "not ASCII": [
        '{"é":{"ü 😀":"x"}}',
        '{"\\u00e9":{"ü \\ud83d\\ude00":"x"}}',
        '{"a":"é😀"}',
        '{"é":[{"ü 😀":["x"]}]}',
    ],
    "white space": [' \t\r\n{ "a" : "x" , "o" : { "p" : 1 } } \n', "{\n}", '{"t":[ ] , "a":"x"}', '{"a":"x"}\n\n'],
}
#: Texts that are no events, each beside something that would match.
REFUSED = {
    "no object": ["[]", "1", '"x"', "null", "true", "", " ", "NaN", '[{"a":"x"}]', '"{}"'],
    "more text": [
        '{"a":"x"} x',
        '{"a":"x"}{}',
        '{"a":"x"},',
        '{"a":"x"}]',
        '{"a":"x"}\x00',
        '{"a":"x"}\u00a0',
        "\ufeff{}",
    ],
    "no numbers": ['{"a":NaN}', '{"z":NaN}', '{"z":[Infinity]}', '{"z":-Infinity}', '{"z":nan}', '{"n":[{"v":NaN}]}'],
    "odd numbers": [
        '{"z":01}',
        '{"z":1.}',
        '{"z":.5}',
        '{"z":+1}',
        '{"z":-}',
        '{"z":1e}',
        '{"z":0x1}',
        '{"a":00}',
        '{"z":1e+}',
    ],
    "odd numbers in arrays": ['{"z":[1,-]}', '{"z":{"y":[1.e1]}}', '{"a":"x","z":1_000}', '{"z":--1}', '{"z":\u0661}'],
    "odd strings": [
        '{"z":"\\x"}',
        '{"z":"\\u12"}',
        '{"z":"\\u12g4"}',
        '{"z":"\n"}',
        '{"z":"\x1f"}',
        "{\"z\":'x'}",
        '{"z":"x}',
    ],
    "odd names": [
        '{"z\\x":1}',
        '{"\t":1}',
        "{z:1}",
        "{'a':1}",
        "{1:1}",
        '{"z" 1}',
        '{"z":}',
        "{:1}",
        '{"\\u00":1}',
        "{null:1}",
    ],
    "odd commas": [
        '{"a":"x",}',
        '{,"a":"x"}',
        '{"z":[1,]}',
        '{"z":[,1]}',
        '{"z":[1 2]}',
        '{"a":"x" "z":1}',
        '{"z":1,,"a":1}',
    ],
    "odd ends": [
        '{"a":"x"',
        '{"z":[',
        '{"z":{"a":"x"}',
        '{"z":[}',
        '{"z":{]}',
        "{",
        '{"',
        '{"a"',
        '{"a":',
        '{"z":[1}]}',
    ],
    "odd words": ['{"z":tru}', '{"z":True}', '{"z":nul}', '{"z":undefined}', '{"z":nullx}', '{"z":falsee}', '{"z":t}'],
    "comments": ['{"a":"x"/*c*/}', '{"a":"x"}//', '{"z":[1#\n]}', '\x0b{"a":"x"}', '{"a":\x0c"x"}', '{"a":\u2003"x"}'],
}
BYTES = {
    "in a string that is read": b'{"a":"x\xff"}',
    "in a string that is not": b'{"a":"x","z":"\xff"}',
    "in a name": b'{"a":"x","z\xff":1}',
    "in a name far down": b'{"a":"x","z":[[{"\xc3":1}]]}',
    "cut short": b'{"a":"x","z":"\xe2\x82"}',
    "too long a form": b'{"a":"x","z":"\xc0\x80"}',
    "a surrogate": b'{"a":"x","z":"\xed\xa0\x80"}',
    "a surrogate that is read": b'{"a":"\xed\xa0\x80"}',
    "past the last": b'{"a":"x","z":"\xf4\x90\x80\x80"}',
    "after the end": b'{"a":"x"}\xff',
    "UTF-16": '{"a":"x"}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":"x"}'.encode("utf-16-le"),
    "UTF-32": '{"a":"x"}'.encode("utf-32-le"),
    "a mark": b'\xef\xbb\xbf{"a":"x"}',
}
TIMES = 70  # enough to learn of the first misfit, and of another after that


def data_of(text):
    return json.loads(text, parse_int=oracle.whole_number)


def assert_learned(suite, shape):
    for text in SHAPES[shape]:
        expected = suite.expected_of_text(text)
        assert isinstance(expected, list)
        for _ in range(TIMES):
            assert suite.found_in_text(text) == expected, text
        data = data_of(text)
        expected = suite.expected_of_its_data(text)
        for _ in range(TIMES):
            assert suite.found_in_data(data) == expected, text


def assert_right(suite, shapes=tuple(SHAPES)):
    for texts in (SHAPES[shape] for shape in shapes):
        for text in texts:
            assert suite.found_in_text(text) == suite.expected_of_text(text), text
            assert suite.found_in_data(data_of(text)) == suite.expected_of_its_data(text), text


@pytest.mark.parametrize("suite", [kind for kind in KINDS if kind != "general"], indirect=True)
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=[*SHAPES])
def test_a_shape_is_read_right_until_it_is_learned_and_then_others_are(suite, number):
    shapes = [*SHAPES]
    assert_learned(suite, shapes[number])
    assert_right(suite, [*shapes[number % 8 :: 8], shapes[number]])


def test_shapes_may_alternate(suite):
    for _ in range(3):
        assert_right(suite)


def test_text_that_is_no_event_is_refused_also_where_nobody_reads(suite):
    for text in [text for texts in REFUSED.values() for text in texts]:
        assert suite.expected_of_text(text) == "MalformedEvent", text
        for event in (text, text.encode()):
            assert suite.found_in_text(event) == "MalformedEvent", event


def test_bytes_that_are_not_utf_8_are_refused_also_where_nobody_reads(suite):
    for place, event in BYTES.items():
        assert suite.expected_of_text(event) == "MalformedEvent", place
        assert suite.found_in_text(event) == "MalformedEvent", place
        assert suite.found_in_text(bytearray(event)) == "MalformedEvent", place


def test_bytes_are_read_as_text_is(suite):
    for text in [text for texts in SHAPES.values() for text in texts if "\ud800" not in text]:
        expected = suite.expected_of_text(text)
        for event in (text.encode(), bytearray(text.encode()), memoryview(text.encode())):
            assert suite.found_in_text(event) == expected, text


@pytest.mark.parametrize("event", [None, 1.5, ["x"], object()], ids=["None", "number", "list", "object"])
def test_what_is_no_text_is_an_error(suite, event):
    with pytest.raises(TypeError):
        Pattern.parse({"a": ["x"]}).matches_json(event)
    with pytest.raises(TypeError):
        suite.matcher.match_json(event)


@pytest.mark.parametrize(
    "event",
    [None, 1, "{}", b"{}", [], [("a", "x")], object()],
    ids=["None", "number", "text", "bytes", "list", "pairs", "object"],
)
def test_what_is_no_mapping_is_no_event(suite, event):
    assert suite.found_in_data(event) == suite.expected_of_data(event) == "MalformedEvent"


@pytest.mark.parametrize(
    "around", [('{"z":%s}', "[", "]"), ('{"a":%s,"o":1}', '{"a":', "}"), ('{"o":%s}', '[{"r":', "}]")]
)
@pytest.mark.parametrize("depth", [100, 900, 100_000])
def test_deep_nesting_is_read_or_refused(suite, around, depth):
    """How deep is too deep depends on how much of the stack is left, but for far too deep."""
    whole, begin, end = around
    text = whole % (begin * depth + '"x"' + end * depth)
    for _ in range(3):
        found = suite.found_in_text(text)
        assert found == suite.expected_of_text(text) or (
            depth == 900 and "MalformedEvent" in (found, suite.expected_of_text(text))
        )
    if depth == 100:
        assert isinstance(found, list)
        assert suite.found_in_data(data_of(text)) == found
    if depth == 100_000:
        assert found == "MalformedEvent"


@pytest.mark.parametrize(
    "names", [["quote", "backslash"], ["control"], ["lone surrogate"], [*ODD_NAMES], ["dunder", "keyword", "dots"]]
)
def test_names_may_hold_anything(names):
    documents = PATTERNS | {name: ODD_NAMES[name] for name in names}
    few = {name: ODD_NAMES[name] for name in names}
    for one in (Suite(few), Suite(documents), Suite(documents, fillers("indexed", "a"))):
        for event in ODD_NAMES.values():
            for text in (json.dumps(event), json.dumps(event, ensure_ascii=False), json.dumps({"z": event, "a": "x"})):
                for _ in range(3):
                    assert one.found_in_text(text) == one.expected_of_text(text)
                    assert one.found_in_data(data_of(text)) == one.expected_of_data(data_of(text))
        assert_right(one)


def test_any_number_of_names_and_any_depth_can_be_read():
    """More names, with those with dots, than a projection takes; and more levels."""
    steps = [f"s{number}" for number in range(20)]
    wide = {"a": ["x"], "b": {f"n{number}": ["x"] for number in range(60)}}
    deep = {".".join(steps[:end]): ["x"] for end in range(1, 21)}
    bushy = {f"w{number}" + ".x" * 8: ["x"] for number in range(60)}
    deepest = {".".join(["d"] * 80): ["x"]}
    for document in (wide, deep, deepest, bushy, deep | {"a": ["x"]}):
        one = Suite({"it": document, "a": {"a": ["x"]}})
        event = "x"
        for step in reversed(["d"] * 80 if document is deepest else steps):
            event = {step: ["x", event]}
        twig = "x"
        for _ in range(8):
            twig = {"x": twig}
        whole = {"a": "x", "b": dict.fromkeys(wide["b"], "x"), **event} | {f"w{number}": twig for number in range(60)}
        assert one.expected_of_data(whole) == ["a", "it"]
        for _ in range(3):
            assert one.found_in_data(whole) == ["a", "it"]
            assert one.found_in_text(json.dumps(whole)) == ["a", "it"]


class Text(str):
    """A string of one's own."""

    __slots__ = ()


class Colour(StrEnum):
    X = "x"


class Level(IntEnum):
    ONE = 1


class Mixed(str, Enum):  # noqa: UP042 - which differs from StrEnum
    X = "x"


NAN, INFINITY = float("nan"), float("inf")
DATA = {
    "tuples": [{"a": ("x", "y")}, {"o": ({"p": "x"}, {"q": 2})}, {"t": ({"u": "x"},)}, {"n": [({"v": 1},)]}, {"a": ()}],
    "tuples in lists": [
        {"a": [("x",)]},
        {"t": [{"u": ("x",)}]},
        {"n": [{"v": (1,)}, {"v": 2}]},
        {"a": [()]},
        {"t": (1,)},
    ],
    "mappings": [MappingProxyType({"a": "x"}), OrderedDict(a="x"), UserDict(a="x"), {"o": UserDict(p="x", q=2)}],
    "mappings in arrays": [{"t": [MappingProxyType({"u": "x"})]}, {"t": UserDict(u="x")}, {"n": [OrderedDict(v=1)]}],
    "strings of one's own": [
        {"a": Text("x")},
        {"a": Colour.X},
        {"a": Mixed.X},
        {"a": [Colour.X]},
        {"t": [{"u": Text("x")}]},
    ],
    "numbers of one's own": [{"a": Level.ONE}, {"a": [Level.ONE]}, {"n": [{"v": Level.ONE}]}, {"o": {"p": Level.ONE}}],
    "decimals": [{"a": Decimal(1)}, {"a": [Decimal("1.0")]}, {"n": [{"v": Decimal(1)}]}, {"z": Decimal(1), "a": "x"}],
    "infinities": [{"a": INFINITY}, {"a": -INFINITY}, {"a": [INFINITY]}, {"n": [{"v": INFINITY}, {"v": -INFINITY}]}],
    "other objects": [
        {"a": b"x"},
        {"a": {"x"}},
        {"a": object()},
        {"o": b"x"},
        {"o": object(), "a": "x"},
        {"t": {1, 2}},
    ],
    "other objects in arrays": [{"a": [b"x", "x"]}, {"t": [{"u": b"x"}]}, {"t": [b"x"]}, {"n": [{"v": 1j}]}, {"t": ""}],
    "names that are not strings": [{1: "x", "a": "x"}, {None: {"p": "x"}}, {"o": {1: 1, "p": "x"}}, {"z": {(): 1}}],
    "names that spell a field": [{"o": {1: {"s": "x"}}}, {"o": {Text("p"): "x"}}, {Colour.X: 1, "a": "x"}],
    "objects that have everything": [
        {"t": [Counter()]},
        {"t": [defaultdict(int)]},
        {"o": defaultdict(str)},
        Counter(a=1),
    ],
    "names of one's own": [{Text("a"): "x"}, {Text("o"): {Text("r.s"): "x"}}, {Text("t"): [{Text("u"): "x"}]}],
    "not a number": [{"a": NAN}, {"a": [NAN]}, {"a": "x", "o": {"p": NAN}}, {"a": "x", "n": [{"v": 1}, {"v": NAN}]}],
    "not a number unread": [{"z": NAN, "a": "x"}, {"o": NAN, "a": "x"}, {"t": NAN}, {"t": [NAN]}, {"o": {"z": [NAN]}}],
    "not a number beside what fails": [
        {"a": "y", "t": [{"u": NAN}]},
        {"a": "y", "n": [{"w": NAN}]},
        {"a": "y", "n": [{"v": NAN}]},
    ],
}


@pytest.mark.parametrize("first", ["plain", "table", "numbers", "elements"])
def test_data_that_json_has_not_are_read_as_by_each_pattern(first, suite):
    for text in SHAPES[first]:
        for _ in range(3):
            suite.found_in_data(data_of(text))
    for events in DATA.values():
        for event in events:
            expected = suite.expected_of_data(event)
            for _ in range(3):
                assert suite.found_in_data(event) == expected, event


def test_a_number_as_name_is_as_good_as_its_digits():
    """As for each pattern: of names below the first, only the text counts."""
    one = Suite({"number": {"o": {"1": ["x"]}}, "a": {"a": ["x"]}, "table": {"t": {"1": ["x"]}}})
    for event in ({"o": {1: "x"}}, {"t": [{1: "x"}]}, {"o": {"1": "x"}}, {"o": {1: "x"}, "a": "x"}):
        for _ in range(3):
            assert one.found_in_data(event) == one.expected_of_data(event), event


def test_nothing_is_put_into_an_event():
    """Objects that make up members when they are asked for them, in an array that is expected to have objects."""
    one = Suite({"it": {"t": {"u": [0]}}})
    for _ in range(3):
        assert one.found_in_data({"t": [{"u": 0}]}) == ["it"]
    for event in ({"t": [defaultdict(int)]}, {"t": [Counter()]}):
        assert one.found_in_data(event) == one.expected_of_data(event) == []
        assert event == {"t": [{}]}


def test_not_a_number_is_refused_also_where_another_field_fails():
    one = Suite({"it": {"a": ["x"], "t": {"u": ["z"]}}})
    for _ in range(3):
        assert one.found_in_data({"a": "x", "t": [{"u": "z"}]}) == ["it"]
    event = {"a": "y", "t": [{"u": NAN}]}
    assert one.found_in_data(event) == one.expected_of_data(event) == "MalformedEvent"
