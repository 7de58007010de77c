"""Patterns as values: equal, hashed, written, pickled; and laws that hold for all of them."""

import json
import pickle
import random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Pattern, PatternError
from eventrouter.patterns import Alternatives, AnyOf, Exists, Fields, Literal
from tests import generators, oracle

randoms = st.integers(0, 2**64).map(random.Random)


@given(randoms)
def test_the_engine_answers_as_the_oracle_does(rng):
    text, events = generators.case(rng)
    try:
        pattern = Pattern.parse(text)
    except PatternError:
        with pytest.raises(oracle.Refused):
            oracle.matches(text, "{}")
        return
    for event in events:
        try:
            expected = oracle.matches(text, event)
        except oracle.BadEvent:
            continue
        assert pattern.matches_json(event) is expected


@given(randoms)
def test_the_json_of_a_pattern_is_the_pattern(rng):
    text, _ = generators.pattern(rng)
    pattern = Pattern.parse(text)
    again = Pattern.parse(str(pattern))
    assert (again, hash(again), str(again)) == (pattern, hash(pattern), str(pattern))
    copy = pickle.loads(pickle.dumps(pattern))
    assert (copy, repr(copy)) == (pattern, repr(pattern))


@given(randoms)
def test_fields_that_no_pattern_names_mean_nothing(rng):
    text, plan = generators.pattern(rng)
    event = json.loads(generators.event(rng, plan))
    pattern = Pattern.parse(text)
    assert pattern.matches(event) is pattern.matches({**event, "nobody asks for this": [{"x": 1}]})


@given(randoms)
def test_or_is_the_union_of_its_branches(rng):
    first, plan = generators.pattern(rng)
    second, _ = generators.pattern(rng)
    event = json.loads(generators.event(rng, plan))
    try:
        either = Pattern.parse(f'{{"$or":[{first},{second}]}}')
    except PatternError:
        return  # a name that is reserved inside $or, or too many combinations
    assert either.matches(event) is (Pattern.parse(first).matches(event) or Pattern.parse(second).matches(event))


@given(st.recursive(st.none() | st.integers(), lambda v: st.dictionaries(st.sampled_from("ab"), v), max_leaves=5))
def test_without_arrays_a_field_exists_or_it_does_not(value):
    event = {"a": value}
    exists = [Pattern.parse({"a": [{"exists": expected}]}).matches(event) for expected in (True, False)]
    assert exists[0] is not exists[1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":[1],"b":[2]}', '{"b":[2],"a":[1]}'),
        ('{"a":{"b":[1]}}', '{"a.b":[1]}'),
        ('{"a":[1,"x",1]}', '{"a":["x",1.0]}'),
        ('{"a":[{"anything-but":["x","y"]}]}', '{"a":[{"anything-but":["y","x"]}]}'),
        ('{"a":[1],"a":[2]}', '{"a":[2]}'),
        ('{"a":["::1"]}', '{ "a" : ["\\u003a:1"] }'),
        ('{"$or":[{"a":[1]},{"b":[1]}]}', '{"$or":[{"b":[1]},{"a":[1]}]}'),
    ],
)
def test_patterns_that_ask_for_the_same_are_equal(one, other):
    first, second = Pattern.parse(one), Pattern.parse(other)
    assert first == second
    assert hash(first) == hash(second)


def test_arrays_that_have_nothing_to_do_with_each_other_are_searched_together():
    """A value outside the array that the fields before and after it share, which only dotted names can make."""
    pattern = Pattern.parse({"a.x": [1], "a.y.q": [1], "a.z": [1]})
    assert pattern.matches({"a": [{"x": 1, "z": 1}], "a.y": [{"q": 1}]})
    assert not pattern.matches({"a": [{"x": 1}, {"z": 1}], "a.y": [{"q": 1}]})


def test_a_pattern_shows_itself_and_survives_pickling():
    pattern = Pattern.parse({"a": [1]})
    assert repr(pattern) == """Pattern.parse('{"a":[1]}')"""
    assert pickle.loads(pickle.dumps(pattern)) == pattern


def test_any_mapping_is_data():
    assert Pattern.parse(MappingProxyType({"a": MappingProxyType({"b": (1,)})})) == Pattern.parse({"a": {"b": [1]}})


def test_a_text_too_long_for_an_address_is_none():
    assert not Pattern.parse({"a": [{"cidr": "0.0.0.0/0"}]}).matches({"a": "0" * 70 + "1.1.1.1"})


def test_patterns_that_ask_for_something_else_differ():
    documents = ['{"a":[1]}', '{"a":[true]}', '{"a":["1"]}', '{"b":[1]}', '{"a":[null]}', '{"a":[{"exactly":"1"}]}']
    assert len({Pattern.parse(document) for document in documents}) == len(documents)
    assert Pattern.parse(documents[0]) != documents[0]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ('{ "b": [2, 1, 2], "a": ["x"] }', '{"a":["x"],"b":[1,2]}'),
        ('{"a":[{"numeric":[">",1.0,"<=",5]}]}', '{"a":[{"numeric":[">",1.0,"<=",5]}]}'),
        ('{"a":[{"anything-but":{"prefix":["b","a"]}},{"anything-but":[2,1]},{"anything-but":"x"}]}', '{"a":[{"anything-but":"x"},{"anything-but":[1,2]},{"anything-but":{"prefix":["a","b"]}}]}'),
        ('{"a":[{"prefix":{"equals-ignore-case":"x"}},{"suffix":"y"},{"equals-ignore-case":"z"},{"wildcard":"*"},{"cidr":"10.0.0.0/8"},{"exists":true},{"exactly":"e"}]}', '{"a":[{"cidr":"10.0.0.0/8"},{"equals-ignore-case":"z"},{"exactly":"e"},{"exists":true},{"prefix":{"equals-ignore-case":"x"}},{"suffix":"y"},{"wildcard":"*"}]}'),
        ('{"$or":[{"b":[1]},{"a":[1]}],"c":{"z":[1],"y":[1]}}', '{"$or":[{"a":[1]},{"b":[1]}],"c":{"y":[1],"z":[1]}}'),
        ('{"a":[1],"$or":[{"b":[1]},{"a":[2]}]}', '{"a":[1],"$or":[{"b":[1]},{"a":[2]}]}'),
        ('{"é":["\\ud800"]}', '{"é":["\\ud800"]}'),
        ('{"a":[1e400,-1e401]}', '{"a":[-1e999,1e999]}'),
    ],
)  # fmt: skip
def test_the_json_is_compact_and_in_a_fixed_order_where_order_means_nothing(written, canonical):
    assert str(Pattern.parse(written)) == canonical


def test_the_document_and_the_sub_rules_are_there_to_be_looked_at():
    pattern = Pattern.parse({"a": [1], "$or": [{"b": [{"exists": False}]}, {"a": [2]}]})
    one, two = Literal.of(1), Literal.of(2)
    branches = (Fields((("b", Alternatives((Exists(expected=False),))),)), Fields((("a", Alternatives((two,))),)))
    assert pattern.document == Fields((("a", Alternatives((one,))), ("$or", AnyOf(branches))))
    assert pattern.sub_rules == ({"a": (one,), "b": (Exists(expected=False),)}, {"a": (two,)})
