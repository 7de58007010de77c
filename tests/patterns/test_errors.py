"""What is said about a pattern that is refused: EventBridge's reason, the place, and what to write instead."""

import json
import pickle
from pathlib import Path

import pytest

from eventrouter import Pattern, PatternComplexityError, PatternError
from eventrouter.patterns import steps_of

FOLDER = Path(__file__).parents[1] / "conformance"


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
        ('{"a":[1,[2]]}', "Match value must be String, number, true, false, or null", "$.a[1]", "in the outer one"),
        ('{"a":{"b":[{"prefx":1}]}}', "Unrecognized match type prefx", "$.a.b[0]", 'did you mean "prefix"?'),
        ('{"a":[{"Prefix":1}]}', "Unrecognized match type Prefix", "$.a[0]", 'did you mean "prefix"?'),
        ('{"a":[{"zzz":1}]}', "Unrecognized match type zzz", "$.a[0]", "there are exactly, prefix,"),
        ('{"a":[{"prefix":{"sufix":"x"}}]}', "Unsupported prefix pattern: sufix", "$.a[0].prefix", "there are"),
        ('{"a":[{"anything-but":{"sufix":"x"}}]}', "Unsupported anything-but pattern: sufix", "$.a[0]['anything-but']", 'did you mean "suffix"?'),
        ('{"a":[{"numeric":[">",1,"<",0]}]}', "Bottom must be less than top", "$.a[0].numeric", "write 0 first"),
        ('{"a":[{"numeric":[">=",5,"<=",5.0]}]}', "Bottom must be less than top", "$.a[0].numeric", 'write {"numeric": ["=", 5]} for'),
        ('{"a":[{"numeric":["=>",1]}]}', "Unrecognized numeric range operator: =>", "$.a[0].numeric[0]", "use = <"),
        ('{"a":[{"numeric":[[1]]}]}', "Invalid member in numeric match: [", "$.a[0].numeric[0]", "in quotes, before a number"),
        ('{"a":[{"numeric":[">",5,6]}]}', "Bad value in numeric range: 6", "$.a[0].numeric[2]", "write < or <=, in quotes"),
        ('{"a":[{"numeric":[">",5,">",6]}]}', "Bad numeric range operator: >", "$.a[0].numeric[2]", "use < or <="),
        ('{"a":[{"numeric":[">","5"]}]}', "Value of > must be numeric", "$.a[0].numeric[1]", 'without quotes, after ">"'),
        ('{"a":[{"numeric":["="]}]}', "Value of equals must be numeric", "$.a[0].numeric", 'after "="'),
        ('{"a":[{"numeric":["<",5,">",0]}]}', "Too many elements in numeric expression", "$.a[0].numeric[2]", 'as in {"numeric": [">", 0, "<=", 5]}'),
        ('{"a":[{"numeric":5}]}', "Value of numeric must be an array.", "$.a[0].numeric", 'write {"numeric": ["=", 5]}'),
        ('{"a":[{"numeric":"5"}]}', "Value of numeric must be an array.", "$.a[0].numeric", 'write {"numeric": [">", 0]}'),
        ('{"a":[{"numeric":[">",1,"<",12345678901234567890]}]}', "Cannot compare number : 12345678901234567890", "$.a[0].numeric[3]", "17 digits"),
        ('{"a":[{"anything-but":[1,12345678901234567890]}]}', "Cannot compare number : 12345678901234567890", "$.a[0]['anything-but'][1]", "17 digits"),
        ('{"a":[{"wildcard":"a**"}]}', "Consecutive wildcard characters at pos 2", "$.a[0].wildcard", r"\*"),
        ('{"a":[{"anything-but":{"wildcard":["a","a**"]}}]}', "Consecutive wildcard characters at pos 2", "$.a[0]['anything-but'].wildcard[1]", "one star stands for"),
        ('{"a":[{"anything-but":{"prefix":["a",""]}}]}', "Null prefix/suffix not allowed", "$.a[0]['anything-but'].prefix[1]", "exclude every string"),
        ('{"a":[{"anything-but":{"prefix":{}}}]}', "Value of anything-but must be an array or single string/number value.", "$.a[0]['anything-but'].prefix", "a list of strings"),
        ('{"a":[{"anything-but":null}]}', "Value of anything-but must be an array or single string/number value.", "$.a[0]['anything-but']", "strings or numbers"),
        ('{"a":[{"anything-but":["a",null]}]}', "Inside anything but list, start|null|boolean is not supported.", "$.a[0]['anything-but'][1]", "strings only, or numbers only"),
        ('{"a":[{"anything-but":["a",{"prefix":"b"}]}]}', "Inside anything but list, start|null|boolean is not supported.", "$.a[0]['anything-but'][1]", "the list inside"),
        ('{"a":[{"anything-but":["a",5]}]}', "Inside anything but list, either all values are number or string, mixed type is not supported", "$.a[0]['anything-but']", "strings only, or numbers only"),
        ('{"a":[{"anything-but":[]}]}', "Inside anything but list, either all values are number or string, mixed type is not supported", "$.a[0]['anything-but']", "at least one value"),
        ('{"a":[{"anything-but":{}}]}', "Anything-But expression name not found", "$.a[0]['anything-but']", "there are prefix, suffix"),
        ('{"a":[{"exists":"true"}]}', "exists match pattern must be either true or false.", "$.a[0].exists", "write true without quotes"),
        ('{"a":[{"exists":1}]}', "exists match pattern must be either true or false.", "$.a[0].exists", "write true or false"),
        ('{"a":[{"prefix":"a","suffix":"b"}]}', "Only one key allowed in match expression", "$.a[0]", "an object of its own"),
        ('{"a":[{"prefix":5}]}', "prefix match pattern must be a string", "$.a[0].prefix", 'write "5"'),
        ('{"a":[{"prefix":null}]}', "prefix match pattern must be a string", "$.a[0].prefix", "in quotes"),
        ('{"a":[{"prefix":["x","y"]}]}', "prefix match pattern must be a string", "$.a[0].prefix", "one alternative for each"),
        ('{"a":[{"cidr":"10.0.0.0/32"}]}', "IPv4 mask bits must be < 32", "$.a[0].cidr", "by itself"),
        ('{"a":[{"cidr":"10.0.0.0/33"}]}', "IPv4 mask bits must be < 32", "$.a[0].cidr", "fewer bits"),
        ('{"a":[{"cidr":"10.0.0/8"}]}', "Nonstandard IP address: 10.0.0", "$.a[0].cidr", "joined by dots"),
        ('{"a":[{"cidr":"256.0.0.0/8"}]}', "Invalid IP address: 256.0.0.0", "$.a[0].cidr", "from 0 to 255"),
        ('{"a":[{"cidr":"10.0.0.0"}]}', "Malformed CIDR, one '/' required", "$.a[0].cidr", "10.0.0.0/24"),
        ('{"a":[{"startsWith":"x"}]}', "Unrecognized match type startsWith", "$.a[0]", 'did you mean "prefix"?'),
        ('{"a":[{"starts_with":"x"}]}', "Unrecognized match type starts_with", "$.a[0]", 'did you mean "prefix"?'),
        ('{"a":[{"endswith":"x"}]}', "Unrecognized match type endswith", "$.a[0]", 'did you mean "suffix"?'),
        ('{"a":[{"contains":"x"}]}', "Unrecognized match type contains", "$.a[0]", 'did you mean "wildcard", such as {"wildcard": "*text*"}?'),
        ('{"a":[{"regex":"x"}]}', "Unrecognized match type regex", "$.a[0]", 'did you mean "wildcard", such as'),
        ('{"a":[{"not":"x"}]}', "Unrecognized match type not", "$.a[0]", 'did you mean "anything-but"?'),
        ('{"a":[{"$or":["x","y"]}]}', "Unrecognized match type $or", "$.a[0]", 'write "$or" beside the names of fields'),
        ('{"$or":[{"a":[1]},{"prefix":["x"]}]}', "prefix is Ruler reserved fieldName which cannot be used inside $or.", "$['$or'][1].prefix", "a rule for each branch"),
        ('{"$or":[{"a":[1]},{"a":{"exists":["x"]}}]}', "exists is Ruler reserved fieldName which cannot be used inside $or.", "$['$or'][1].a.exists", 'write "a.exists" in one'),
        ('{"$or":[{"a":[1]}]}', "There must have at least 2 Objects in $or relationship.", "$['$or']", "beside the others"),
        ('{"$or":[]}', "There must have at least 2 Objects in $or relationship.", "$['$or']", "two branches or more"),
        ('{"$or":[{"a":[1]},3]}', "Only JSON object is allowed in array of $or relationship.", "$['$or'][1]", "write {"),
        ('{"$or":{"a":[1]}}', "It must be an Array followed with $or.", "$['$or']", "write"),
    ],
)  # fmt: skip
def test_the_reason_is_eventbridges_and_the_place_and_the_fix_are_ours(pattern, reason, path, hint):
    error = refused(pattern)
    assert (error.reason, error.path, hint in error.hint) == (reason, path, True)
    as_data = refused(json.loads(pattern)) if not pattern.startswith("[") else error
    assert (as_data.reason, as_data.path) == (reason, path)
    assert pickle.loads(pickle.dumps(error)).args == error.args


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ('{"a":[{"numeric":[">",2,"<",1]}]}', '[">",2,"<",1]'),
        ('{"a":[{"numeric":[">"]}]}', '[">"]'),
        ('{"a":[{"numeric":[">",1,"<"]}]}', '[">",1,"<"]'),
        ('{"a":[{"numeric":[">","1"]}]}', '"1"'),
        ('{"a":[{"numeric":[">",1e400,"<",5]}]}', "1e400"),
        ('{"a":[{"anything-but":["x",5]}]}', '["x",5]'),
        ('{"a":[{"anything-but":{"wildcard":["a**","b"]}}]}', '"a**"'),
        ('{"a":[{"prefix":"x","suffix":"y"}]}', '{"prefix"'),
    ],
)
def test_the_path_and_the_column_are_of_the_same_thing(text, culprit):
    error = refused(text)
    assert text[error.column - 1 :].startswith(culprit)
    found = json.loads(text)
    for step in steps_of(error.path):
        found = found[step]
    assert found == json.JSONDecoder().raw_decode(text, error.column - 1)[0]


@pytest.mark.parametrize(
    "text",
    ['{"a":"%s"}', '{"a":[{"%s":1}]}', '{"a":[{"cidr":"%s:"}]}', '{"a":[{"cidr":"%s/8"}]}', '{"a":[{"numeric":["%s"]}]}',
     '{"a":[{"numeric":[">",1,"%s"]}]}', '{"a":[{"prefix":{"%s":"x"}}]}', '{"a":1%s}', '{"a":[{"prefix":1%s}]}', '{"%s":1}'],
)  # fmt: skip
def test_a_message_is_short_however_long_the_culprit(text):
    error = refused(text % ("9" * 1_000_000))
    assert len(str(error)) < 700
    assert len(error.path) < 20


def test_what_a_hint_shows_is_json():
    assert refused({"a": 'say "\ud800"\n'}).hint == r'write ["say \"\ud800\"\n"]'
    assert refused({"a": "x" * 100}).hint == f'write ["{"x" * 60}..."]'


@pytest.mark.parametrize("name", ["semantics", "aws", "event-ruler", "generated"])
def test_every_recorded_refusal_has_a_hint(name):
    texts = [json.loads(line)["pattern"] for line in (FOLDER / f"patterns-{name}.jsonl").read_text().splitlines()]
    errors = []
    for text in texts:
        try:
            Pattern.parse(text)
        except PatternError as error:
            errors.append(error)
    assert len(errors) > 20
    # What is wrong with JSON says what was expected, and where.
    assert [error for error in errors if not error.hint and not error.reason.startswith("Malformed JSON: ")] == []


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
    ],
    ids=["combinations", "fields"],
)
def test_limits_that_protect_the_process_are_told_apart(document, reason):
    with pytest.raises(PatternComplexityError, match=reason.replace("$", r"\$")):
        Pattern.parse(document)


def test_the_limit_of_combinations_can_be_raised():
    document = {"$or": [{"a": [n]} for n in range(1_001)]}
    assert Pattern.parse(document, maximum_combinations=1_001).matches({"a": 1_000})
