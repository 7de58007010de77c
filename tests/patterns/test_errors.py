"""What is said about a pattern that is refused: EventBridge's reason, the place, and what to write instead."""

import json
import pickle

import pytest

from eventrouter import Pattern, PatternComplexityError, PatternError


def refused(source) -> PatternError:
    with pytest.raises(PatternError) as caught:
        Pattern.parse(source)
    return caught.value


@pytest.mark.parametrize(
    ("pattern", "reason", "path", "hint"),
    [
        ("[]", "Filter is not an object", "$", "write"),
        ('{"a":{}}', "Empty objects are not allowed", "$.a", "prefix"),
        ('{"a":"x"}', '"a" must be an object or an array', "$.a", 'write ["x"]'),
        ('{"a":1.0}', '"a" must be an object or an array', "$.a", "write [1.0]"),
        ('{"detail-type":null}', '"detail-type" must be an object or an array', "$['detail-type']", "write [null]"),
        ('{"a.b":true}', '"a.b" must be an object or an array', "$['a.b']", "write [true]"),
        ('{"it\'s\\\\":false}', '"it\'s\\" must be an object or an array', "$['it\\'s\\\\']", "write [false]"),
        ('{"a":[]}', "Empty arrays are not allowed", "$.a", "at least one"),
        ('{"a":[1,[2]]}', "Match value must be String, number, true, false, or null", "$.a[1]", ""),
        ('{"a":{"b":[{"prefx":1}]}}', "Unrecognized match type prefx", "$.a.b[0]", 'did you mean "prefix"?'),
        ('{"a":[{"Prefix":1}]}', "Unrecognized match type Prefix", "$.a[0]", 'did you mean "prefix"?'),
        ('{"a":[{"zzz":1}]}', "Unrecognized match type zzz", "$.a[0]", "there are exactly, prefix,"),
        ('{"a":[{"prefix":{"sufix":"x"}}]}', "Unsupported prefix pattern: sufix", "$.a[0].prefix", "there are"),
        ('{"a":[{"anything-but":{"sufix":"x"}}]}', "Unsupported anything-but pattern: sufix", "$.a[0]['anything-but']", 'did you mean "suffix"?'),
        ('{"a":[{"numeric":[">",1,"<",0]}]}', "Bottom must be less than top", "$.a[0].numeric", ""),
        ('{"a":[{"numeric":["=>",1]}]}', "Unrecognized numeric range operator: =>", "$.a[0].numeric[0]", "use = <"),
        ('{"a":[{"numeric":[[1]]}]}', "Invalid member in numeric match: [", "$.a[0].numeric[0]", ""),
        ('{"a":[{"wildcard":"a**"}]}', "Consecutive wildcard characters at pos 2", "$.a[0].wildcard", r"\*"),
        ('{"a":[{"prefix":["x","y"]}]}', "prefix match pattern must be a string", "$.a[0].prefix", "one alternative for each"),
        ('{"a":[{"cidr":"10.0.0.0/32"}]}', "IPv4 mask bits must be < 32", "$.a[0].cidr", "by itself"),
        ('{"$or":[{"a":[1]},{"prefix":["x"]}]}', "prefix is Ruler reserved fieldName which cannot be used inside $or.", "$['$or'][1].prefix", ""),
        ('{"$or":{"a":[1]}}', "It must be an Array followed with $or.", "$['$or']", "write"),
    ],
)  # fmt: skip
def test_the_reason_is_eventbridges_and_the_place_and_the_fix_are_ours(pattern, reason, path, hint):
    error = refused(pattern)
    assert (error.reason, error.path, hint in error.hint) == (reason, path, True)
    as_data = refused(json.loads(pattern)) if not pattern.startswith("[") else error
    assert (as_data.reason, as_data.path) == (reason, path)
    assert pickle.loads(pickle.dumps(error)).args == error.args


def test_text_has_a_line_and_a_column():
    text = '{\n  "source": ["x"],\n  "detail": {"state": "running"}\n}'
    error = refused(text)
    assert (error.line, error.column) == (3, 23)
    assert str(error) == '"state" must be an object or an array at $.detail.state, line 3 column 23 (write ["running"])'
    assert refused(json.loads(text)).line is None


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("", "the text ends early", (1, 1)),
        ('{"a":[1]', "the text ends early", (1, 9)),
        ('{"a":[1]} x', "the end of the text was expected, not 'x'", (1, 11)),
        ('{"a":\n[tru]}', "a value was expected, not 't'", (2, 2)),
        ('{"a":[1 2]}', "',' or ']' was expected, not '2'", (1, 9)),
        ('{"a" [1]}', "':' was expected, not '['", (1, 6)),
        ("{a:[1]}", "a name in quotes was expected, not 'a'", (1, 2)),
        ('{"a":["\\x"]}', "invalid \\escape", (1, 8)),
        ('{"a":["x', "unterminated string starting at", (1, 7)),
        ('{"a":[NaN]}', "a value was expected, not 'N'", (1, 7)),
        ('{"a":[1],}', "a name in quotes was expected, not '}'", (1, 10)),
        ("\ufeff{}", "a value was expected", (1, 1)),
    ],
)
def test_text_that_is_no_json_says_where(text, reason, place):
    error = refused(text)
    assert error.reason.startswith(f"Malformed JSON: {reason}")
    assert (error.line, error.column) == place


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b'{"a":["\xff"]}', "invalid UTF-8 at byte 7"),
        ('{"a":[1]}'.encode("utf-16"), "invalid UTF-8 at byte 0"),
        ({"a": [float("nan")]}, "a value was expected, not 'N'"),
        ({"a": [object()]}, "Not a JSON value: a object has no JSON form"),
        ({("a", "b"): [1]}, "Not a JSON value"),
        (5, "Filter is not an object"),
    ],
    ids=["utf-8", "utf-16", "nan", "object", "key", "number"],
)
def test_what_is_no_json_is_refused(source, reason):
    assert reason in refused(source).reason


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"$or": [{"a": [1]}] * 10 + [{"$or": [{"b": [1]}] * 101}]}, "$or has 1111 combinations, more than 1000"),
        ({f"f{n}": [1] for n in range(257)}, "The pattern has more than 256 fields"),
        ('{"a":[%s]}' % ("9" * 200_000), "an integer has more than 100,000 digits"),
    ],
    ids=["combinations", "fields", "digits"],
)
def test_limits_that_protect_the_process_are_told_apart(document, reason):
    with pytest.raises(PatternComplexityError, match=reason.replace("$", r"\$")):
        Pattern.parse(document)


def test_the_limit_of_combinations_can_be_raised():
    document = {"$or": [{"a": [n]} for n in range(1_001)]}
    assert Pattern.parse(document, maximum_combinations=1_001).matches({"a": 1_000})
