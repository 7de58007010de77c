"""Input that is made to hurt: the work grows with its size, and nothing crashes."""

import copy
import inspect
import json
import pickle
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from eventrouter import InvalidEventError, Pattern, PatternComplexityError, PatternError, lint
from eventrouter.patterns._operators import Wildcard

DEEP = 100_000


def nested(levels):
    document = inner = {}
    for _ in range(levels - 1):
        inner["a"] = inner = {}
    inner["a"] = [1]
    return document


def branches(levels):
    document = {"a": [1]}
    for _ in range(levels - 1):
        document = {"$or": [document, {"b": [1]}]}
    return document


def deep_in_the_stack(function, frames=None):
    """Call *function* where 100 frames are left."""
    frames = sys.getrecursionlimit() - len(inspect.stack(0)) - 100 if frames is None else frames
    return deep_in_the_stack(function, frames - 1) if frames else function()


@pytest.mark.parametrize(
    "source",
    [
        nested(DEEP),
        '{"a":' * DEEP + "[1]" + "}" * DEEP,
        {".".join("a" * 257): [1]},
        nested(257),
        branches(257),
        json.dumps(branches(257)),
        {"a" * 4_097: [1]},
        {"a" * 2_048: {"b" * 2_048: [1]}},
    ],
    ids=["data", "text", "dots", "257", "or", "or as text", "long name", "long names"],
)
def test_patterns_whose_fields_are_far_down_are_refused_wherever_they_are_read(source):
    for read in (Pattern.parse, lambda source: deep_in_the_stack(lambda: Pattern.parse(source))):
        with pytest.raises(PatternComplexityError, match=r"nested too deeply|names that lead to a field are too long"):
            read(source)


def test_the_first_problem_of_a_deep_text_counts():
    with pytest.raises(PatternError, match="Unrecognized match type a"):
        Pattern.parse('{"a":[' * DEEP)


def test_data_that_contains_itself_is_no_pattern():
    around = {"a": [1]}
    around["b"] = {"c": around}
    with pytest.raises(PatternError, match="Not a JSON value: it contains itself"):
        Pattern.parse(around)


@pytest.mark.parametrize(
    "source",
    [nested(256), {".".join("a" * 256): [1]}, branches(8), {"a" * 2_000: {"b" * 2_095: [1]}}],
    ids=["256", "dots", "or", "long names"],
)
def test_what_is_read_is_written_copied_and_matched_wherever_that_is(source):
    pattern = Pattern.parse(source)
    assert deep_in_the_stack(lambda: Pattern.parse(str(pattern))) == pattern
    assert deep_in_the_stack(lambda: str(pattern)) in repr(pattern)
    assert deep_in_the_stack(lambda: pickle.loads(pickle.dumps(pattern))) == pattern
    assert deep_in_the_stack(lambda: copy.deepcopy(pattern)) == pattern
    assert deep_in_the_stack(lambda: hash(pattern)) == hash(pattern)
    assert deep_in_the_stack(lambda: pattern.matches(source)) is ("$or" not in source)
    assert deep_in_the_stack(lambda: pattern.matches({"a": 1})) is ("$or" in source)
    assert lint(pattern) == lint(Pattern.parse(str(pattern)))


def test_events_nested_too_deeply_are_refused_as_text_and_where_the_pattern_looks_as_data():
    pattern = Pattern.parse({"a": [1]})
    with pytest.raises(InvalidEventError, match="nested too deeply"):
        pattern.matches_json('{"b":' * DEEP + "1" + "}" * DEEP)
    assert not Pattern.parse({"b": [1]}).matches({"b": nested(DEEP)})
    assert pattern.matches({"b": nested(DEEP), "a": 1})
    lists = 1
    for _ in range(1_000):
        lists = [lists]
    assert Pattern.parse({"b": [1]}).matches({"b": lists})
    around = []
    around.append(around)
    for deep in ([lists], around):
        with pytest.raises(InvalidEventError, match="nested too deeply"):
            Pattern.parse({"b": [{"exists": False}]}).matches({"b": deep})
        assert pattern.matches({"b": deep, "a": 1})


@pytest.mark.no_cover
def test_many_values_each_in_many_arrays_are_refused():
    """What is kept about the arrays around a value grows with their number: so many around so many is too much."""
    lists = [{"x": 1}] * 50_000
    for _ in range(100):
        lists = [{"x": 0}, lists]
    with pytest.raises(InvalidEventError, match="nested too deeply"):
        Pattern.parse({"b": {"x": [1]}}).matches({"b": lists})
    for _ in range(100):
        lists = lists[1]
    assert Pattern.parse({"b": {"x": [1]}}).matches({"b": [[lists], [lists]]})


@pytest.mark.no_cover
def test_large_patterns_and_events_are_no_trouble():
    values = [f"value-{n}" for n in range(500_000)]
    text = json.dumps({"a": values})
    assert len(text) > 7_000_000
    assert Pattern.parse(text).matches_json(json.dumps({"a": values[-1:]}))
    assert Pattern.parse({"a": ["value-499999"]}).matches_json(text)


def test_a_pattern_of_too_many_fields_is_refused_before_it_is_copied_for_each():
    with pytest.raises(PatternComplexityError, match="more than 256 fields"):
        Pattern.parse({f"f{n}": [1] for n in range(32_000)})


def test_a_combination_of_combinations_past_counting_is_refused():
    either = '"$or":[{"a":[1]},{"b":[1]}]'
    with pytest.raises(PatternComplexityError, match="1000000000000000000 or more combinations"):
        Pattern.parse(f"{{{','.join([either] * 20_000)}}}")


@pytest.mark.parametrize(
    "text", ["/" * 200_000 + "x", ":" * 200_000 + "g/8", "1" * 200_000 + "/8", "1." * 200_000 + "/8"]
)
def test_long_texts_that_are_no_networks_are_read_once(text):
    with pytest.raises(PatternError, match=r"Malformed CIDR|Nonstandard IP address") as caught:
        Pattern.parse({"a": [{"cidr": text}]})
    assert len(str(caught.value)) < 600


class CountedText(str):
    """A string that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other):
        CountedText.compared += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    "alternatives", [lambda texts: texts, lambda texts: [{"anything-but": texts}]], ids=["literals", "anything-but"]
)
def test_a_list_of_values_is_one_look_up(alternatives):
    texts = [f"value-{n}" for n in range(4_000)]
    pattern = Pattern.parse({"a": alternatives(texts), "b": ["x"]})
    CountedText.compared = 0
    assert not pattern.matches({"a": [CountedText(f"value-{n}") for n in range(4_000)], "b": "y"})
    assert CountedText.compared <= 2 * 4_000


def test_a_bomb_of_alternatives_is_refused_before_it_is_multiplied_out():
    bomb = {f"f{n}": {"$or": [{f"g{m}": [1]} for m in range(10)]} for n in range(8)}
    with pytest.raises(PatternComplexityError, match="100000000 combinations"):
        Pattern.parse(bomb)


class CountingText(str):
    """A string that adds up how many characters are looked at in it."""

    __slots__ = ()
    looked_at = 0

    def find(self, part, start, end):
        found = super().find(part, start, end)
        CountingText.looked_at += (end if found < 0 else found + len(part)) - start
        return found


@pytest.mark.parametrize("wildcard", ["*a*a*a*a*a*a*a*b", "a*a*a*a*ab*", "*" + "aab*" * 50, "*a*ba*ab*c"])
def test_wildcards_look_at_each_character_a_bounded_number_of_times(wildcard):
    test = Wildcard(wildcard)
    counts = []
    for length in (1_000, 2_000, 4_000):
        CountingText.looked_at = 0
        test.accepts(CountingText("a" * length))
        counts.append(CountingText.looked_at)
    assert counts[2] <= 4_000
    assert counts[2] <= 2.1 * max(counts[1], 1)


def test_lone_surrogates_and_nan_are_no_trouble():
    pattern = Pattern.parse({"a": ["\ud800", {"prefix": "\ud83d"}, {"equals-ignore-case": "\udfff"}]})
    assert pattern.matches({"a": "\ud800"})
    assert Pattern.parse(str(pattern)) == pattern
    assert Pattern.parse({"a": [{"numeric": [">", 0]}]}).matches({"a": float("inf")})
    with pytest.raises(InvalidEventError):
        pattern.matches_json('{"a": NaN}')


@pytest.mark.parametrize("text", ["[]", "1", "{", "", '{"a":NaN}', b"\xff", '{"a":1}'.encode("utf-16"), "\ufeff{}"])
def test_text_that_is_no_event_is_refused(text):
    with pytest.raises(InvalidEventError):
        Pattern.parse({"a": [1]}).matches_json(text)


def test_data_that_is_no_event_is_refused():
    with pytest.raises(InvalidEventError, match="Event must be a JSON object"):
        Pattern.parse({"a": [1]}).matches([1])


@pytest.mark.parametrize("event", [{"a": 1}, None, 5])
def test_what_is_no_text_is_a_mistake_of_the_caller(event):
    with pytest.raises(TypeError, match=f"is a {type(event).__name__}, not JSON text; `matches` takes data"):
        Pattern.parse({"a": [1]}).matches_json(event)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan at a is not a JSON number"),
        (Decimal("NaN"), "NaN at a is not a JSON number"),
        (Decimal("sNaN"), "sNaN at a is not a JSON number"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a datetime at a is not a JSON value"),
        (b"x", "a bytes at a is not a JSON value"),
        ({1}, "a set at a is not a JSON value"),
    ],
)
def test_what_json_cannot_hold_is_refused_where_the_pattern_looks(value, shown):
    for alternative in (1, {"exists": True}, {"exists": False}, {"anything-but": 1}):
        with pytest.raises(InvalidEventError, match=shown):
            Pattern.parse({"a": [alternative]}).matches({"a": value})
    assert Pattern.parse({"b": [1]}).matches({"a": value, "b": 1})


@pytest.mark.parametrize(
    ("alternative", "value", "verdict"),
    [
        (5, Decimal(5), True),
        (5, Decimal("5.00"), True),
        (0.1, Decimal("0.1"), True),
        ({"numeric": ["=", 5]}, Decimal(5), True),
        ({"numeric": [">", 5]}, Decimal("5.1"), True),
        ({"anything-but": 5}, Decimal(5), False),
        (10**30, Decimal(10**30), True),
        (10**30, Decimal(10**30 + 1), False),
        ({"numeric": [">", 0]}, Decimal("Infinity"), True),
        ("5", Decimal(5), False),
        ({"prefix": "5"}, Decimal(5), False),
        (Decimal("2.5"), 2.5, True),
        (Decimal(5), 5, True),
        (Decimal("-Infinity"), -1e400, True),
    ],
)
def test_a_decimal_is_the_number_that_json_would_have(alternative, value, verdict):
    assert Pattern.parse({"a": [alternative]}).matches({"a": value}) is verdict


@pytest.mark.parametrize("digits", [641, 4_301, 10_000])
def test_integers_of_up_to_ten_thousand_digits_compare_exactly(digits):
    """Python's own limit for the text of an integer is 4,300 digits, and may be set to 640."""
    integer, text = 10**digits // 9, "1" * digits
    for pattern in (Pattern.parse({"a": [integer]}), Pattern.parse(f'{{"a":[{text}]}}')):
        assert pattern == Pattern.parse({"a": [integer]})
        assert pattern.matches({"a": integer})
        assert pattern.matches_json(f'{{"a":{text}}}')
        assert not pattern.matches_json(f'{{"a":-{text}}}')
        assert not pattern.matches({"a": integer + 1})
        assert str(pattern) == f'{{"a":[{text}]}}'
        assert text in repr(pattern)
        assert pickle.loads(pickle.dumps(pattern)) == pattern
        assert "does not fit 1111" in str(pattern.explain({"a": integer + 1}))  # abbreviated
    assert "a: 1111" in str(Pattern.parse({"a": [1]}).explain({"a": integer}))


def test_longer_integers_are_numbers_past_all_doubles():
    for integer, text in ((10**10_000, "1" + "0" * 10_000), (10**20_000, "9" * 100_000)):
        for sign, above in (("", True), ("-", False)):
            value = integer if above else -integer
            for test, verdict in (({"numeric": [">", 0]}, above), (float(f"{sign}inf"), True), (1, False)):
                pattern = Pattern.parse({"a": [test]})
                assert pattern.matches({"a": value}) is verdict
                assert pattern.matches_json(f'{{"a":{sign}{text}}}') is verdict


@pytest.mark.parametrize("source", ['{"a":[%s]}' % ("1" * 10_001), {"a": [10**10_000]}, {"a": [-(10**100_000)]}])
def test_longer_integers_are_refused_in_patterns(source):
    with pytest.raises(PatternComplexityError, match="An integer has more than 10,000 digits") as caught:
        Pattern.parse(source)
    assert caught.value.path == "$.a[0]"


@pytest.mark.parametrize("test", ['{"numeric":[">",%s]}', '{"anything-but":%s}', '{"anything-but":[%s]}'])
def test_numbers_that_no_decimal_can_hold_are_compared_all_the_same(test):
    for zero in ("0e99999999999999999999", "0.00e-99999999999999999999", "-0"):
        assert Pattern.parse(f'{{"a":[{test % zero}]}}') == Pattern.parse(f'{{"a":[{test % "0"}]}}')
    for number in ("1e-99999999999999999999", "1e99999999999999999999", "1e-400", "1" * 20_000, "0." + "1" * 20_000):
        with pytest.raises(PatternError) as caught:
            Pattern.parse(f'{{"a":[{test % number}]}}')
        assert caught.value.reason.startswith(f"Cannot compare number : {number[:200]}")
        assert len(str(caught.value)) < 500


def test_nothing_is_past_the_greatest_double():
    """7.7: event-ruler crashes; no double is greater, and what is no double does not count."""
    greatest = 1.7976931348623157e308
    for text in ("1.7976931348623157e308", "1e400", "1" + "0" * 309, "1" * 20_000):
        assert not Pattern.parse({"a": [{"numeric": [">", greatest]}]}).matches_json(f'{{"a":{text}}}')
        assert not Pattern.parse({"a": [{"numeric": ["<", -greatest]}]}).matches_json(f'{{"a":-{text}}}')
        assert Pattern.parse({"a": [{"numeric": [">=", greatest]}]}).matches_json(f'{{"a":{text}}}')
        assert Pattern.parse({"a": [{"numeric": [">", 0, "<", greatest]}]}).matches({"a": 1})
