"""Inputs of targets, as values and as functions of an event; templates have tests of their own."""

import copy
import functools
import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass
from decimal import Decimal

import jsonpath_ng
import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventrouter import (
    DeliveryError,
    Input,
    InputPath,
    InputTransformer,
    InputTransformerError,
    InvalidRuleError,
    TransformContext,
    TransformError,
)
from eventrouter.transform import InputFunction, target_input
from tests.support import NOON, make_event

CONTEXT = TransformContext(rule_name="r", rule_arn="arn:r", ingestion_time=NOON)


def at(path, detail=None) -> str:
    return InputPath(path).apply(make_event(detail), CONTEXT).decode()


# -- constants -------------------------------------------------------------------------------------------------------


@dataclass
class Order:
    total: Decimal


class Model(pydantic.BaseModel):
    total: Decimal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, None, "ü"]}, '{"a":[1,null,"ü"]}'),
        ('{"a" : 1.0}', '{"a" : 1.0}'),
        ('{\n  "a": "b\\n"\r\n}', '{   "a": "b\\n"  }'),
        ('"stop"', '"stop"'),
        (b'"\xc3\xbc"', '"ü"'),
        ([], "[]"),
        (5, "5"),
        (True, "true"),
        (None, "null"),
        ("null", "null"),
        (Order(Decimal("1.50")), '{"total":1.50}'),
        (Model(total=Decimal("1.5")), '{"total":1.5}'),
    ],
)
def test_an_input_is_the_same_json_for_every_event(value, text):
    assert Input(value).apply(make_event(), CONTEXT).decode() == text
    assert Input(value) == Input(text)


def test_changing_the_data_of_an_input_afterwards_changes_nothing():
    data = {"a": 1}
    made = Input(data)
    data["a"] = 2
    assert made.apply(make_event(), CONTEXT) == b'{"a":1}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("stop", "Input is not a valid JSON text. at $.Input (JSON is malformed: invalid character (byte 0); a string has quotes in JSON: Input('\"stop\"'))"),
        ("", "is not a valid JSON text."),
        (b'"\xff"', "is not a valid JSON text."),
        ('{"a": 1} x', "is not a valid JSON text."),
        ('{"a": 1e400}', "is not a valid JSON text."),
        ('"\ud800"', "is not a valid JSON text."),
        ("[" * 8000, "is not a valid JSON text."),
        ({"a": [float("nan")]}, "nan at $.a[0] is not a JSON number"),
        ([2**63], "9223372036854775808 at $[0] does not fit 64 bits"),
        (object(), "A object has no JSON form"),
        ({"a": "\ud800"}, "a string holds a lone surrogate"),
        (f'"{"x" * 8191}"', "Input has 8,193 characters at $.Input (it may have 1 to 8,192)"),
        ("x" * 8191, "is not a valid JSON text"),
        (["x" * 8189], "Input has 8,193 characters"),
    ],
    ids=range(14),
)  # fmt: skip
def test_an_input_that_is_not_json_is_refused(value, message):
    with pytest.raises(InputTransformerError) as caught:
        Input(value)
    assert message in str(caught.value)


def test_the_longest_input_is_taken():
    assert len(Input("x".join('""').replace("x", "x" * 8190)).value) == 8192


# -- paths -----------------------------------------------------------------------------------------------------------

DETAIL = {
    "foo": {"bar": "baz"},
    "two words": 1,
    "a-b": {"c_d": 2},
    "a/b": 3,
    "where": 4,
    "0": 5,
    "2nd": 6,
    "größe": 7,
    "it's": 8,
    'quo"te': 9,
    "*": 10,
    "a.b": 11,
    "items": [{"id": 1, "tags": ["x"]}, {"id": 2}, {"no": 3}, "text", []],
    "none": [],
    "null": None,
    "": 12,
    "back\\slash": 13,
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("$.detail.foo.bar", '"baz"'),  # recorded: to a leaf, the JSON of that leaf
        ("$.detail.foo", '{"bar":"baz"}'),
        ("$['detail']['two words']", "1"),
        ('$.detail["a-b"].c_d', "2"),
        ("$.detail.a-b.c_d", "2"),
        ("$.detail.a/b", "3"),
        ("$.detail.where", "4"),
        ("$.detail.0", "5"),
        ("$.detail.2nd", "6"),
        ("$.detail.größe", "7"),
        (r"$.detail['it\'s']", "8"),
        (r"$.detail['back\\slash']", "13"),
        ("$.detail['quo\"te']", "9"),
        ("$.detail['*']", "10"),
        ("$.detail['a.b']", "11"),
        ("$.detail.null", "null"),
        ("$.detail['']", "12"),
        ("$.detail.items[0].tags[0]", '"x"'),
        ("$.detail.items[04]", "[]"),
        ("$.time", '"2026-03-01T12:00:00Z"'),
        ("$.detail-type", '"Order Placed"'),
        ("$.resources", "[]"),
        # With a star, the list of all that is found.
        ("$.detail.items[*].id", "[1,2]"),
        ("$.detail.items[0].*", '[1,["x"]]'),
        ("$.detail.items.*.tags[*]", '["x"]'),
        ("$.detail.foo.*", '["baz"]'),
        ("$.detail.none[*].id", "[]"),
        ("$.detail.items[*].nowhere", "[]"),
        ("$.detail.items[*].nowhere[*]", "[]"),
    ],
)
def test_a_path_gives_that_part_of_the_event(path, text):
    assert at(path, DETAIL) == text


@pytest.mark.parametrize(
    "path",
    ["$.detail.no", "$.detail.foo.bar.baz", "$.detail.items.id", "$.detail.items[5]", "$.detail.foo[0]", "$[0]",
     "$.detail.no[*]", "$.detail.foo.bar[*]", "$.detail.null.*", "$.replay-name", "$.detail.items['0']"],
)  # fmt: skip
def test_a_path_that_finds_nothing_is_an_error(path):
    """AWS would deliver nothing, and say nothing."""
    with pytest.raises(TransformError) as caught:
        at(path, DETAIL)
    assert str(caught.value) == f"InputPath {path} finds nothing in the event."


def test_the_whole_event_is_the_path_without_steps():
    assert InputPath("$").apply(make_event(), CONTEXT) == make_event().to_json()


def test_a_part_is_exactly_what_the_publisher_wrote():
    detail = r'{"a":{"n":1.0,"m":1E+2,"big":9223372036854775807,"s":"\u00fc\/ü"},"a":{"n":1.10,"s":"\u00fc\/ü"}}'
    assert at("$.detail.a", detail) == r'{"n":1.10,"s":"\u00fc\/ü"}'
    assert at("$.detail.a.n", detail) == "1.10"
    assert at("$.detail.a.*", detail) == r'[1.10,"\u00fc\/ü"]'


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (" $", "it does not begin with $"),
        ("detail", "it does not begin with $"),
        ("`this`", "it does not begin with $"),
        ("", "has 0 characters"),
        (f"$.{'x' * 255}", "has 257 characters at $.InputPath (it may have 1 to 256)"),
        (None, "must be a string, got NoneType"),
        *[
            (path, f"{path} ({path[offset]!r} at character {offset + 1})")
            for path, offset in [
                ("$..a", 1), ("$.a.", 3), ("$.a..b", 3), ("$.", 1), ("$a", 1), ("$.a$", 3), ("$.a b", 3),
                ("$.a where b", 3), ("$.a|$.b", 3), ("$.a&b", 3), ("$.a+1", 3), ("$.'a'", 1), ("$.a[-1]", 3),
                ("$.a[0,1]", 3), ("$.a[0:9]", 3), ("$.a[", 3), ("$.a[]", 3), ("$['a", 1), ("$['a','b']", 1),
                ("$.a[?(@.b =~ '(x+)+y')]", 3), ("$.a[\\b]", 3), ("$.a[/b]", 3), ("$.`sub(/(x+)+y/, z)`", 1),
                ("$.`parent`", 1), ("$.a.`len`", 3), ("$.a[1000000000]", 3), ("$.*a", 3), ("$.a\n", 3), ("$['a']x", 6), (r"$['a\n']", 1),
                ("$['a\\\n']", 1), (r"$['a\']", 1),
            ]
        ],
    ],
)  # fmt: skip
def test_a_path_outside_of_the_subset_is_refused_when_it_is_declared(path, why, monkeypatch):
    """And what is not of the subset, jsonpath-ng does not get to see."""
    monkeypatch.setattr("jsonpath_ng.parser.parse", None)
    with pytest.raises(InputTransformerError) as caught:
        InputPath(path)
    assert why in str(caught.value)
    with pytest.raises(InputTransformerError):
        InputTransformer("1", {"a": path})


names = st.sampled_from(["a", "b", "c d", "e-f", "where", "0", "ü"])
steps = (
    names.map(lambda name: f"['{name}']")
    | names.filter(lambda name: " " not in name).map(".{}".format)
    | st.integers(0, 2).map("[{}]".format)
    | st.sampled_from([".*", "[*]"])
)
data = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(steps, max_size=4), st.dictionaries(names, data))
@example(["['a']", ".*", "[0]"], {"a": {"b": [1], "0": {"0": 2}}})
def test_paths_find_what_jsonpath_ng_finds(steps, detail):
    event = make_event(detail)
    # What of the subset it does not read without quotes, it is given in brackets.
    path = "".join(f"['{step[1:]}']" if step.startswith(".") and step != ".*" else step for step in steps)
    expected = [found.value for found in jsonpath_ng.parse(f"$.detail{path}").find(event.to_dict())]
    try:
        found = json.loads(InputPath("$.detail" + "".join(steps)).apply(event, CONTEXT))
    except TransformError:
        assert expected == []
        return
    assert found == expected if {".*", "[*]"} & set(steps) else [found] == expected


def test_one_decoding_serves_all_the_paths_through_a_value(monkeypatch):
    """A hundred paths into a large detail must not read it a hundred times."""
    read = []
    inside = sys.modules["eventrouter.values"]._inside
    monkeypatch.setattr("eventrouter.values._inside", lambda text: read.append(text) or inside(text))
    paths = {f"p{n}": f"$.detail.a.p{n}" for n in range(100)}
    template = "[" + ",".join(f"<{name}>" for name in paths) + "]"
    made = InputTransformer(template, paths).apply(make_event({"a": dict.fromkeys(paths, 1)}), CONTEXT)
    assert json.loads(made) == [1] * 100
    assert len(read) == 3


def test_an_event_too_deep_for_the_stack_is_an_error():
    event = make_event('{"a":' * 800 + "1" + "}" * 800)

    def apply(depth):
        return InputPath("$.detail.a").apply(event, CONTEXT) if not depth else apply(depth - 1)

    assert len(apply(0)) == 800 * 6 + 1 - 6
    try:  # how much stack is left depends on the version of Python
        assert apply(sys.getrecursionlimit() - 300) == apply(0)
    except TransformError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017 - either is right, and a RecursionError is not


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"AWSx": "$"}, "InputPathsMap has the invalid key 'AWSx' at $.InputPathsMap (use 1 to 256 letters, digits, - and _, not beginning with AWS)"),
        ({"a.b": "$"}, "invalid key 'a.b'"),
        ({"": "$"}, "invalid key ''"),
        ({"x" * 257: "$"}, "invalid key"),
        ({"ü": "$"}, "invalid key 'ü'"),
        ({"a\n": "$"}, "invalid key"),
        ({5: "$"}, "invalid key 5"),
        ({f"p{n}": "$" for n in range(101)}, "InputPathsMap has 101 entries, the limit is 100"),
        ([("a", "$")], "InputPathsMap must map names to paths, got list"),
        ({"a-b": "x"}, "InputPathsMap is not a path: x (it does not begin with $) at $.InputPathsMap['a-b'] (a path is"),
        ({"a": "$" + ".x" * 128}, "InputPathsMap has 257 characters at $.InputPathsMap.a"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_bad_map_is_refused_when_it_is_declared(paths, message):
    with pytest.raises(InputTransformerError) as caught:
        InputTransformer("1", paths)
    assert message in str(caught.value)


def test_a_map_up_to_its_limits_is_taken():
    paths = {f"{n:0256}": "$.id" for n in range(100)}
    assert InputTransformer("1", paths).input_paths_map == paths


# -- functions -------------------------------------------------------------------------------------------------------


class TextlessError(Exception):
    def __str__(self):
        raise OSError


def fails_without_a_text(event):
    raise TextlessError


def total_of(event):
    return {"total": event.detail["total"]}


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (total_of, '{"total":250}'),
        (lambda event: event.source, '"shop.orders"'),
        (lambda event: None, "null"),
        (lambda event: [Model(total=Decimal("2.5"))], '[{"total":2.5}]'),
        (functools.partial(lambda key, event: event.detail[key], "total"), "250"),
    ],
    ids=["data", "text", "none", "model", "partial"],
)
def test_a_function_gives_a_json_value(function, text):
    assert InputFunction(function).apply(make_event(), CONTEXT).decode() == text


def test_a_function_gets_an_event_of_its_own():
    event = make_event()
    InputFunction(lambda event: event.detail.clear()).apply(event, CONTEXT)
    assert event.detail == {"total": 250}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda event: event.detail["no"], "<lambda> failed: KeyError: 'no'"),
        (lambda event: float("inf"), "<lambda> failed: ValueError: inf at $ is not a JSON number"),
        (lambda event: object(), "<lambda> failed: ValueError: A object has no JSON form"),
        (functools.partial(int, "x"), "failed: TypeError"),
        (fails_without_a_text, "fails_without_a_text failed: "),
    ],
    ids=["raises", "number", "object", "partial", "text"],
)
def test_a_function_that_fails_is_an_error_that_says_why(function, message):
    with pytest.raises(TransformError) as caught:
        InputFunction(function).apply(make_event(), CONTEXT)
    assert message in str(caught.value)


def test_a_delivery_error_of_a_function_says_itself_what_follows():
    def later(event):
        raise DeliveryError("not yet")

    with pytest.raises(DeliveryError, match="not yet") as caught:
        InputFunction(later).apply(make_event(), CONTEXT)
    assert not isinstance(caught.value, TransformError)


async def async_function(event): ...


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("$.detail", "The input '$.detail' is none (use Input, InputPath, InputTransformer, or a function of the event)"),
        ({"a": 1}, "The input {'a': 1} is none"),
        (async_function, "The input async_function is an async function (an input is computed at once: write def)"),
    ],
)  # fmt: skip
def test_what_is_no_input_is_refused(source, message):
    with pytest.raises(InvalidRuleError) as caught:
        target_input(source)
    assert message in str(caught.value)


# -- as values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Input({"a": 1}), "Input(value='{\"a\":1}')"),
        (InputPath("$.detail.a"), "InputPath(path='$.detail.a')"),
        (InputTransformer('"<a>"', {"a": "$.id"}), "InputTransformer('\"<a>\"', {'a': '$.id'})"),
        (InputTransformer(input_paths_map={"a": "$.id"}, input_template='"<a>"'), "InputTransformer('\"<a>\"', {'a': '$.id'})"),
        (InputTransformer("1"), "InputTransformer('1', {})"),
    ],
)  # fmt: skip
def test_inputs_are_values(made, text):
    assert repr(made) == text
    assert eval(text) == made  # noqa: S307
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert again == made
        assert hash(again) == hash(made)
        assert (
            again.apply(make_event(), CONTEXT) == made.apply(make_event(), CONTEXT) if text.count("$.d") == 0 else True
        )
    assert made != Input("0")
    with pytest.raises(FrozenInstanceError):
        made.value = 1


def test_the_map_of_a_transformer_cannot_be_changed():
    paths = {"a": "$.id"}
    made = InputTransformer('"<a>"', paths)
    paths["a"] = "$.source"
    assert made.input_paths_map == {"a": "$.id"}
    with pytest.raises(TypeError):
        made.input_paths_map["a"] = "$.source"


def test_a_function_as_an_input_is_pickled_as_the_function_it_is():
    assert pickle.loads(pickle.dumps(InputFunction(total_of))) == InputFunction(total_of)


def test_errors_say_for_which_target_once_it_is_known():
    error = InputTransformerError("InputTemplate", "contains invalid placeholder x.", "$.InputTemplate", "h", "t")
    assert error.reason == "InputTemplate for target t contains invalid placeholder x."
    assert str(error) == f"{error.reason} at $.InputTemplate (h)"
    assert str(InputTransformerError("Input", "is bad")) == "Input is bad"


def test_jsonpath_ng_is_imported_for_the_first_path():
    code = "import sys; from eventrouter import *; Input(1); InputTransformer('1'); print('jsonpath_ng' in sys.modules); InputPath('$'); print('jsonpath_ng' in sys.modules)"  # fmt: skip
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.split() == ["False", "True"]
