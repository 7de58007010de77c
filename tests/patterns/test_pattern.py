"""Patterns as values: equal, hashed, written, pickled; and laws that hold for all of them."""

import copy
import json
import pickle
import random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Pattern, PatternError
from eventrouter.patterns import Alternatives, AnyOf, Exists, Fields, Literal
from eventrouter.patterns._tree import dumps
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
    same = pickle.loads(pickle.dumps(pattern))
    assert (same, repr(same), same.document) == (pattern, repr(pattern), pattern.document)


@given(randoms)
def test_the_order_of_an_events_members_means_nothing(rng):
    text, plan = generators.pattern(rng)
    event = json.loads(generators.event(rng, plan))
    pattern = Pattern.parse(text)
    assert pattern.matches(event) is pattern.matches(shuffled(rng, event))


@given(randoms)
def test_the_order_of_a_patterns_members_means_nothing_where_none_replaces_another(rng):
    text, plan = generators.pattern(rng)
    pattern = Pattern.parse(text)
    written = json.loads(text, object_pairs_hook=Members)
    if any(len(rule) < sum(1 for _ in fields) for rule, fields in zip(pattern.sub_rules, ways(written), strict=True)):
        return  # a path comes again, and the last one counts (1.9, 12.3)
    other = Pattern.parse(as_text(shuffled(rng, written)))
    assert (other, hash(other), str(other)) == (pattern, hash(pattern), str(pattern))
    for miss in (False, True):
        event = json.loads(generators.event(rng, plan, miss=miss))
        assert pattern.matches(event) is other.matches(event)


class Members(list):
    """The members of an object of a pattern, whose names may come again."""


def shuffled(rng, value):
    """Put the members of all objects in another order."""
    if isinstance(value, Members):
        return Members((name, shuffled(rng, item)) for name, item in rng.sample(value, len(value)))
    if isinstance(value, dict):
        return {name: shuffled(rng, item) for name, item in rng.sample(list(value.items()), len(value))}
    return [shuffled(rng, item) for item in value] if isinstance(value, list) else value


def as_text(value):
    if isinstance(value, Members):
        return f"{{{','.join(f'{json.dumps(name)}:{as_text(item)}' for name, item in value)}}}"
    return f"[{','.join(map(as_text, value))}]" if isinstance(value, list) else dumps(value)


def ways(members):
    """For each sub-rule, the fields that go into it, once for each time they are written."""
    rules = [[]]
    for name, item in members:
        if name == "$or":
            rules = [[*rule, *way] for branch in item for way in ways(branch) for rule in rules]
        elif isinstance(item, Members):
            rules = [[*rule, *way] for way in ways(item) for rule in rules]
        else:
            rules = [[*rule, name] for rule in rules]
    return rules


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
        ('{"a":{"b.c":[1],"":{"d":[2]}}}', '{"a..d":[2],"a.b":{"c":[1]}}'),
        ('{"a":[1,"x",1]}', '{"a":["x",1.0]}'),
        ('{"a":[0,1e22,0.1]}', '{"a":[-0.0,10000000000000000000000,1e-1]}'),
        ('{"a":[9007199254740993,100000000000000000000000]}', '{"a":[100000000000000000000000,9007199254740993]}'),
        ('{"a":[{"numeric":[">",0,"<",1e1]}]}', '{"a":[{"numeric":[">",-0.0,"<",10]}]}'),
        ('{"a":[{"anything-but":["x","y"]}]}', '{"a":[{"anything-but":["y","x"]}]}'),
        ('{"a":[{"anything-but":[1,2.0]}]}', '{"a":[{"anything-but":[2,1.0]}]}'),
        ('{"a":[{"cidr":"10.0.0.5/24"}]}', '{"a":[{"cidr":"10.0.0.0/024/"}]}'),
        ('{"a":[{"cidr":"::ffff:a00:5/24"}]}', '{"a":[{"cidr":"10.0.0.0/24"}]}'),
        ('{"a":[{"cidr":"2001:0DB8::1/32"}]}', '{"a":[{"cidr":"2001:db8::/32"}]}'),
        ('{"a":[{"cidr":"::fffe:0:1/95"}]}', '{"a":[{"cidr":"::fffe:0:0/95"}]}'),
        ('{"a":[1],"a":[2]}', '{"a":[2]}'),
        ('{"a":{"b":[1]},"a.b":[2]}', '{"a":{"b":[2]}}'),
        ('{"a":["::1"]}', '{ "a" : ["\\u003a:1"] }'),
        ('{"$or":[{"a":[1]},{"b":[1]}]}', '{"$or":[{"b":[1]},{"a":[1]}]}'),
        ('{"$or":[{"a":[1]},{"a":[1]}]}', '{"a":[1]}'),
        ('{"$or":[{"a":[1]},{"b":[1]},{"a":[1]}]}', '{"$or":[{"a":[1]},{"b":[1]}]}'),
        ('{"$or":[{"a":[1],"c":[1]},{"b":[1],"c":[1]}]}', '{"c":[1],"$or":[{"a":[1]},{"b":[1]}]}'),
        ('{"d":{"$or":[{"a":[1]},{"b":[1]}]}}', '{"$or":[{"d":{"a":[1]}},{"d":{"b":[1]}}]}'),
        ('{"a":[1],"$or":[{"a":[1]},{"b":[1]}]}', '{"$or":[{"a":[1]},{"a":[1],"b":[1]}]}'),
        ('{"a":[1],"$or":[{"a":[2]},{"b":[1]}]}', '{"$or":[{"a":[2]},{"b":[1],"a":[1]}]}'),
        ('{"prefix":[1],"a":[1],"$or":[{"a":[1]},{"b":[1]}]}', '{"$or":[{"a":[1]},{"b":[1],"a":[1]}],"prefix":[1]}'),
        ('{"prefix":{"$or":[{"a":[1]},{"b":[1]}]}}', '{"$or":[{"prefix.a":[1]},{"prefix.b":[1]}]}'),
        ('{"a":[1],"a.b":[2],"a.b.c":[3],"d":{"$or":[{"e":[1]},{"f":[1]}]}}', '{"a.b":[2],"$or":[{"d.f":[1]},{"d.e":[1]}],"a":[1],"a.b.c":[3]}'),
        ('{"$or.a":[1],"a.$or":[2]}', '{"a.$or":[2],"$or.a":[1]}'),
    ],
)  # fmt: skip
def test_patterns_that_ask_for_the_same_are_equal_and_written_alike(one, other):
    first, second = Pattern.parse(one), Pattern.parse(other)
    assert (first, hash(first), str(first)) == (second, hash(second), str(second))
    assert (Pattern.parse(str(first)), str(Pattern.parse(str(first)))) == (first, str(first))


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
        ('{"a":[{"numeric":[">",1.0,"<=",5.5]}]}', '{"a":[{"numeric":[">",1,"<=",5.5]}]}'),
        ('{"a":[9007199254740993, 1e15, 1e16, 10000000000000000, 1e-7, -0.0]}', '{"a":[0,1000000000000000,1e+16,1e-07,9007199254740993]}'),
        ('{"a.b":[1],"a":{"c":{"d":[2]}}}', '{"a":{"b":[1],"c":{"d":[2]}}}'),
        ('{"a.b":[1],"a":[2]}', '{"a":[2],"a.b":[1]}'),
        ('{"a":[{"cidr":"010.0.0.5/24"},{"cidr":"2001:DB8:0:0::1/32"},{"cidr":"1.2.3.4/0"}]}', '{"a":[{"cidr":"0.0.0.0/0"},{"cidr":"10.0.0.0/24"},{"cidr":"2001:db8::/32"}]}'),
        ('{"a":[{"anything-but":{"prefix":["b","a"]}},{"anything-but":[2,1]},{"anything-but":"x"}]}', '{"a":[{"anything-but":"x"},{"anything-but":[1,2]},{"anything-but":{"prefix":["a","b"]}}]}'),
        ('{"a":[{"prefix":{"equals-ignore-case":"x"}},{"suffix":"y"},{"equals-ignore-case":"z"},{"wildcard":"*"},{"cidr":"10.0.0.0/8"},{"exists":true},{"exactly":"e"}]}', '{"a":[{"cidr":"10.0.0.0/8"},{"equals-ignore-case":"z"},{"exactly":"e"},{"exists":true},{"prefix":{"equals-ignore-case":"x"}},{"suffix":"y"},{"wildcard":"*"}]}'),
        ('{"$or":[{"b":[1]},{"a":[1]}],"c":{"z":[1],"y":[1]}}', '{"$or":[{"a":[1]},{"b":[1]}],"c":{"y":[1],"z":[1]}}'),
        ('{"a":[1],"$or":[{"b":[1]},{"a":[2]}]}', '{"$or":[{"a":[1],"b":[1]},{"a":[2]}]}'),
        ('{"$or":[{"a":[1]},{"b":[1]}],"d":{"$or":[{"e":[1]},{"f":[1]}]}}', '{"$or":[{"a":[1],"d":{"e":[1]}},{"a":[1],"d":{"f":[1]}},{"b":[1],"d":{"e":[1]}},{"b":[1],"d":{"f":[1]}}]}'),
        ('{"prefix":{"x":[1]},"$or":[{"a":[1]},{"b":[1]}]}', '{"$or":[{"a":[1]},{"b":[1]}],"prefix":{"x":[1]}}'),
        ('{"prefix":{"$or":[{"a":[1]},{"b":[1]}]}}', '{"$or":[{"prefix.a":[1]},{"prefix.b":[1]}]}'),
        ('{"é":["\\ud800"]}', '{"é":["\\ud800"]}'),
        ('{"a":[1e400,-1e401]}', '{"a":[-1e999,1e999]}'),
    ],
)  # fmt: skip
def test_the_json_is_compact_and_in_a_fixed_order(written, canonical):
    assert str(Pattern.parse(written)) == canonical


def test_a_pattern_cannot_be_changed():
    pattern = Pattern.parse({"a": [1]})
    with pytest.raises(AttributeError):
        pattern.document = None
    with pytest.raises(AttributeError):
        del pattern.sub_rules
    with pytest.raises(TypeError):
        pattern.sub_rules[0]["x"] = ()
    assert pattern == Pattern.parse({"a": [1]})
    assert copy.deepcopy(pattern) == copy.copy(pattern) == pattern


def test_the_document_and_the_sub_rules_are_there_to_be_looked_at():
    pattern = Pattern.parse({"a": [1], "$or": [{"b": [{"exists": False}]}, {"a": [2]}]})
    one, two = Literal.of(1), Literal.of(2)
    branches = (Fields((("b", Alternatives((Exists(expected=False),))),)), Fields((("a", Alternatives((two,))),)))
    assert pattern.document == Fields((("a", Alternatives((one,))), ("$or", AnyOf(branches))))
    assert pattern.sub_rules == ({"a": (one,), "b": (Exists(expected=False),)}, {"a": (two,)})


@pytest.mark.parametrize(
    ("wildcard", "value", "expected"),
    [
        ("*a*b*", "aba", True),  # the last a has no b behind it
        ("a*b*c", "abbc", True),
        ("ab*ba", "aba", False),  # the beginning and the end do not share the b
        ("ab*ba", "abba", True),
        ("ab*b*ba", "abba", False),
        ("ab*b*ba", "abbba", True),
    ],
)
def test_each_part_of_a_wildcard_takes_the_first_place_and_shares_none(wildcard, value, expected):
    pattern = {"x": [{"wildcard": wildcard}]}

    assert Pattern.parse(pattern).matches({"x": value}) is expected
    assert oracle.decide(oracle.compile_pattern(pattern), oracle.flatten({"x": value})) is expected


@pytest.mark.parametrize(
    ("suffix", "value", "expected"),
    [
        ("aß", "xaß", True),
        ("aß", "xASS", True),  # the upper case of one character is two
        ("aß", "xSS", False),
        ("aß", "xaS", False),
        ("ßa", "SSA", True),
        ("ßß", "SSß", True),
        ("aŉ", "xa\u02bcN", True),
    ],
)
def test_a_suffix_without_case_goes_back_by_what_each_case_is_long(suffix, value, expected):
    pattern = {"x": [{"suffix": {"equals-ignore-case": suffix}}]}

    assert Pattern.parse(pattern).matches({"x": value}) is expected
    assert oracle.decide(oracle.compile_pattern(pattern), oracle.flatten({"x": value})) is expected
