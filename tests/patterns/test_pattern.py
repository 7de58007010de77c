"""What a pattern means, and which are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import InvalidEventError, Pattern, PatternComplexityError, PatternError


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ({"a": ["x"]}, ["x", ["y", "x"], [["x"]]], ["X", 1, None, [], {}, {"a": "x"}]),
        ({"a": [300]}, [300, 300.0, 3e2], ["300", True, 301]),
        ({"a": [True, None]}, [True, None, [None]], [1, "true", False, []]),
        ({"a": [1]}, [1], [True]),
        ({"a": [{"prefix": "ab"}]}, ["ab", "abc"], ["b", 5, None, "Ab"]),
        ({"a": [{"suffix": "ab"}]}, ["ab", "cab"], ["abc", 5]),
        ({"a": [{"numeric": ["=", 5]}]}, [5, 5.0, [1, 5]], ["5", 4, True]),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, [0.1, 5], [0, 5.1, None]),
        ({"a": [{"numeric": [">=", 2**60]}]}, [2**60], [2**60 - 1]),
        ({"a": [{"anything-but": "x"}]}, ["y", 5, None, True, ["x", "y"]], ["x", ["x"], [], {}]),
        ({"a": [{"anything-but": [1, 2]}]}, [3, "1", True], [1, 2.0]),
        ({"a": [{"exists": True}]}, ["", None, False, 0], [[], {}, {"b": 1}]),
        ({"a": [{"exists": False}]}, [[], {}, {"b": 1}], ["", None]),
        ({"a": [{"exists": False}, "x"]}, ["x", []], ["y"]),
    ],
    ids=str,
)
def test_what_each_content_filter_accepts(pattern, matching, others):
    parsed = Pattern.parse(pattern)
    assert [value for value in matching if not parsed.matches({"a": value})] == []
    assert [value for value in others if parsed.matches({"a": value})] == []


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ('{"a":[1],"b":[2]}', '{"a":1,"b":2,"c":3}', True),
        ('{"a":[1],"b":[2]}', '{"a":1}', False),
        ('{"a":{"b":[1]}}', '{"a":{"b":1}}', True),
        ('{"a":{"b":[1]}}', '{"a":1}', False),
        ('{"a":{"b":[1]}}', "{}", False),
        ('{"a":{"b":[1]}}', '{"a":[{"b":0},{"b":1}]}', True),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1},{"c":2}]}', False),
        ('{"a":{"b":[1],"c":[2]}}', '{"a":[{"b":1},{"b":1,"c":2}]}', True),
        ('{"a":{"b":[{"exists":false}]}}', "{}", True),
        ('{"a":{"b":[{"exists":false}]}}', '{"a":1}', True),
        ('{"a":{"b":[{"exists":false}]}}', '{"a":[]}', True),
    ],
)
def test_fields_are_anded_and_come_from_one_element_of_an_array(pattern, event, expected):
    assert Pattern.parse(pattern).matches_json(event) is expected


@pytest.mark.parametrize(
    ("pattern", "reason", "path", "hint"),
    [
        ("[]", "Filter is not an object", "$", "write"),
        ("{}", "Empty objects are not allowed", "$", "prefix"),
        ('{"a":{}}', "Empty objects are not allowed", "$.a", ""),
        ('{"a":"x"}', '"a" must be an object or an array', "$.a", 'write ["x"]'),
        ('{"detail-type":null}', '"detail-type" must be an object or an array', "$['detail-type']", "write [null]"),
        ('{"a":[]}', "Empty arrays are not allowed", "$.a", ""),
        ('{"a":[[1]]}', "Match value must be String, number, true, false, or null", "$.a[0]", ""),
        ('{"a":[1,{}]}', "Match expression name not found", "$.a[1]", ""),
        ('{"a":[{"prefx":1}]}', "Unrecognized match type prefx", "$.a[0]", 'did you mean "prefix"?'),
        ('{"a":[{"prefix":5,"x":1}]}', "prefix match pattern must be a string", "$.a[0].prefix", ""),
        ('{"a":[{"suffix":[]}]}', "suffix match pattern must be a string", "$.a[0].suffix", ""),
        ('{"a":[{"prefix":"x","suffix":"y"}]}', "Only one key allowed in match expression", "$.a[0]", ""),
        ('{"a":[{"exists":1}]}', "exists match pattern must be either true or false.", "$.a[0].exists", ""),
        ('{"a":[{"anything-but":null}]}', "Value of anything-but must be an array or single string/number value.", "$.a[0]['anything-but']", ""),
        ('{"a":[{"anything-but":[]}]}', "Inside anything but list, either all values are number or string, mixed type is not supported", "$.a[0]['anything-but']", ""),
        ('{"a":[{"anything-but":["a",5]}]}', "Inside anything but list, either all values are number or string, mixed type is not supported", "$.a[0]['anything-but']", ""),
        ('{"a":[{"numeric":5}]}', "Value of numeric must be an array.", "$.a[0].numeric", "write"),
        ('{"a":[{"numeric":["!=",5]}]}', "Unrecognized numeric range operator: !=", "$.a[0].numeric", ""),
        ('{"a":[{"numeric":[">","5"]}]}', "Value of > must be numeric", "$.a[0].numeric", ""),
        ('{"a":[{"numeric":[">",5,"<"]}]}', "Value of < must be numeric", "$.a[0].numeric", ""),
        ('{"a":[{"numeric":["<",5,">",0]}]}', "Too many elements in numeric expression", "$.a[0].numeric", ""),
        ('{"a":[{"numeric":[">=",5,"<=",5]}]}', "Bottom must be less than top", "$.a[0].numeric", ""),
        ("{'a'", "Malformed JSON", "$", ""),
        ('{"a":[NaN]}', "Malformed JSON: NaN is not a JSON value", "$", ""),
    ],
)  # fmt: skip
def test_what_eventbridge_refuses_is_refused_in_its_words_with_the_place(pattern, reason, path, hint):
    with pytest.raises(PatternError) as caught:
        Pattern.parse(pattern)
    assert caught.value.reason.startswith(reason)
    assert (caught.value.path, hint in caught.value.hint) == (path, True)


def test_patterns_and_events_that_are_too_deep_are_refused():
    deep = inner = {}
    for _ in range(100_000):
        inner["a"] = inner = {}
    with pytest.raises(PatternComplexityError):
        Pattern.parse(deep)
    with pytest.raises(PatternComplexityError):
        Pattern.parse('{"a":' * 100_000 + "1" + "}" * 100_000)
    with pytest.raises(InvalidEventError):
        Pattern.parse({"a": [1]}).matches_json('{"a":' * 100_000 + "1" + "}" * 100_000)


@pytest.mark.parametrize("text", ["[]", "1", "{", "", '{"a":NaN}', b"\xff"])
def test_text_that_is_no_event_is_refused(text):
    with pytest.raises(InvalidEventError):
        Pattern.parse({"a": [1]}).matches_json(text)


literals = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
filters = (
    literals
    | st.fixed_dictionaries({"prefix": st.text()})
    | st.fixed_dictionaries({"suffix": st.text()})
    | st.fixed_dictionaries({"exists": st.booleans()})
    | st.fixed_dictionaries({"anything-but": st.lists(st.text(), min_size=1) | st.integers()})
    | st.builds(lambda bound: {"numeric": [">", bound]}, st.integers())
)
documents = st.recursive(
    st.dictionaries(st.text(), st.lists(filters, min_size=1), min_size=1),
    lambda below: st.dictionaries(st.text(), below, min_size=1),
    max_leaves=5,
)


@given(documents)
def test_the_json_of_a_pattern_is_the_pattern(document):
    pattern = Pattern.parse(document)
    again = Pattern.parse(str(pattern))
    assert (again, hash(again), repr(again)) == (pattern, hash(pattern), repr(pattern))


def test_patterns_that_mean_different_things_differ():
    patterns = [Pattern.parse(document) for document in ({"a": [1]}, {"a": [True]}, {"a": ["1"]}, {"b": [1]})]
    assert len(set(patterns)) == 4
    assert patterns[0] != "x"
    assert Pattern.parse({"a": [1], "b": [2]}) == Pattern.parse({"b": [2], "a": [1]})
