"""Many patterns, one event."""

import copy
import json
import pickle

import pytest

from eventrouter import InvalidEventError, Matcher, NotFoundError, Pattern

EVENT = {"a": 1, "b": "x"}
A, B, C = Pattern.parse({"a": [1]}), Pattern.parse({"b": ["x"]}), Pattern.parse({"c": [1]})


def make(**patterns) -> Matcher:
    matcher = Matcher()
    for key, pattern in patterns.items():
        matcher.add(key, pattern)
    return matcher


def test_the_keys_of_all_matching_patterns_are_found_in_any_order():
    assert sorted(make(second=B, none=C, first=A).match(EVENT)) == ["first", "second"]
    assert make(a=A).match_json('{"a": 1.0}') == ["a"]
    assert make().match(EVENT) == []


def test_patterns_under_one_key_are_alternatives():
    matcher = make(k=C)
    matcher.add("k", A)
    matcher.add("k", B)
    assert matcher.match(EVENT) == ["k"]
    assert len(matcher) == 1


def test_removing_a_key_removes_all_its_patterns():
    matcher = make(a=A, b=B)
    matcher.add("a", B)
    matcher.remove("a")
    assert (matcher.match(EVENT), "a" in matcher, "b" in matcher) == (["b"], False, True)
    with pytest.raises(NotFoundError, match="'a'"):
        matcher.remove("a")


def test_a_match_goes_on_with_the_table_it_began_with():
    class Meddling(dict):
        """An event that changes the matcher while it is being matched."""

        def get(self, *args):
            if "b" in matcher:
                matcher.remove("b")
            return super().get(*args)

        def __getitem__(self, key):
            return self.get(key)

        def items(self):
            self.get("a")
            return super().items()

    matcher = make(a=A, b=B)
    assert sorted(matcher.match(Meddling(EVENT))) == ["a", "b"]
    assert matcher.match(EVENT) == ["a"]


@pytest.mark.parametrize("text", ["[]", "1", "{", "", '{"a":NaN}'])
def test_text_that_is_no_event_is_refused(text):
    with pytest.raises(InvalidEventError):
        make(a=A).match_json(text)


@pytest.mark.parametrize("event", [None, [], "{}", 1])
def test_what_is_no_mapping_is_refused(event):
    with pytest.raises(InvalidEventError, match="object"):
        make(a=A).match(event)


def test_a_pattern_is_found_by_any_key():
    keys = ["a", 1, None, ("a", 1), frozenset("a"), object()]
    matcher = Matcher.build((key, A) for key in keys)
    assert len(matcher.match(EVENT)) == len(matcher.match_json('{"a":1}')) == len(keys)
    assert set(matcher.match(EVENT)) == set(keys)
    assert all(key in matcher for key in keys)


def test_a_matcher_may_be_built_of_keys_and_patterns():
    matcher = Matcher.build(iter([("k", C), ("other", B), ("k", A)]))
    assert len(matcher) == 2
    assert sorted(matcher.match(EVENT)) == ["k", "other"]
    assert Matcher.build([]).match(EVENT) == []
    assert type(Special.build([("a", A)])) is Special


class Special(Matcher):
    """A matcher that has something to say of its own."""

    def match(self, event):
        return ["special", *super().match(event)]


def test_a_subclass_may_add_to_a_match():
    matcher = Special.build([("a", A)])
    for _ in range(20):
        assert matcher.match(EVENT) == ["special", "a"]
        assert matcher.match_json('{"a":1}') == ["a"]
    matcher.remove("a")
    assert matcher.match(EVENT) == ["special"]


def test_a_replaced_key_stands_for_the_new_pattern_alone():
    matcher = make(k=A, other=B)
    matcher.add("k", B)
    matcher.replace("k", C)
    assert (matcher.match(EVENT), matcher.match({"c": 1}), len(matcher)) == (["other"], ["k"], 2)
    matcher.replace("new", A)
    assert matcher.match({"a": 1}) == ["new"]


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("name", ["a", "b", "other", "o.p"])
def test_a_replaced_field_is_another_field(count, name):
    """A field that nobody else uses makes room for one that nobody used: the number of fields stays as it was."""
    matcher = Matcher()
    for number in range(count):
        matcher.add(number, Pattern.parse({"x": [f"other {number}"]}))
        matcher.add(("shared", number), Pattern.parse({"x": ["shared"], "n": [number]}))
    matcher.add("it", Pattern.parse({"x": ["shared"], "a": [{"prefix": "long"}]}))
    for _ in range(3):
        assert matcher.match({"x": "shared", "a": "longer", "n": -1}) == ["it"]
        assert matcher.match_json('{"x":"shared","a":"longer","n":-1}') == ["it"]
    matcher.replace("it", Pattern.parse({"x": ["shared"], name: [{"prefix": "long"}]}))
    for field in ("a", "b", "other", "o.p"):
        event = {"x": "shared", field: "longer", "n": -1}
        assert matcher.match(event) == matcher.match_json(json.dumps(event)) == ["it"] * (field == name)


def test_a_key_that_is_not_there_cannot_be_removed():
    matcher = Matcher()
    with pytest.raises(NotFoundError, match="'a'"):
        matcher.remove("a")
    matcher.add("a", A)
    with pytest.raises(NotFoundError, match="None"):
        matcher.remove(None)
    assert (matcher.match(EVENT), len(matcher)) == (["a"], 1)


def test_what_cannot_be_a_key_changes_nothing():
    matcher = make(a=A)
    for change in (lambda: matcher.add([], A), lambda: matcher.remove([]), lambda: matcher.replace({}, B)):
        with pytest.raises(TypeError):
            change()
    assert (matcher.match(EVENT), len(matcher), matcher.statistics().sub_rules) == (["a"], 1, 1)


def test_statistics_say_what_there_is():
    matcher = make(a=A, b=B)
    matcher.add("a", Pattern.parse({"$or": [{"a": [1], "d.e": ["x"]}, {"c": [1]}], "x": [{"exists": True}]}))
    statistics = matcher.statistics()
    assert (statistics.keys, statistics.sub_rules, statistics.fields, statistics.strategy) == (2, 4, 5, "straight")
    assert 1 <= statistics.accesses <= 5
    for number in range(60):
        matcher.add(number, Pattern.parse({"b": [f"{number}"], "x": ["y"]}))
    statistics = matcher.statistics()
    assert (statistics.keys, statistics.sub_rules, statistics.fields, statistics.strategy) == (62, 64, 5, "indexed")
    matcher.add("wide", Pattern.parse({f"n{number}": [1] for number in range(60)}))
    statistics = matcher.statistics()
    assert (statistics.keys, statistics.sub_rules, statistics.fields, statistics.strategy) == (63, 65, 65, "general")
    matcher.remove("wide")
    assert matcher.statistics().strategy == "indexed"
    for key in ["a", "b", *range(60)]:
        matcher.remove(key)
    statistics = matcher.statistics()
    assert (statistics.keys, statistics.sub_rules, statistics.fields, statistics.accesses) == (0, 0, 0, 0)


def test_a_matcher_without_rules_is_as_any_other():
    matcher = Matcher()
    assert matcher.statistics().strategy == "straight"
    assert matcher.match(EVENT) == matcher.match_json("{}") == []
    with pytest.raises(InvalidEventError):
        matcher.match_json("{")


def test_the_strategy_does_not_depend_on_who_asks_first():
    """Names that cannot be projected: what is said is said of JSON, before and after data were matched."""
    matcher = Matcher.build([("it", Pattern.parse({'"': ["x"]}))])
    before = matcher.statistics().strategy
    assert matcher.match({'"': "x"}) == matcher.match_json('{"\\"":"x"}') == ["it"]
    matcher.match({'"': "x"})
    assert matcher.statistics().strategy == before


@pytest.mark.parametrize("count", [0, 60])
@pytest.mark.parametrize(
    "alternatives",
    [
        ["10.0.0.1", "010.0.0.1"],
        ["x", {"exactly": "x"}],
        ["x", "x"],
        [1, 1.0],
        [True, True],
        ["10.0.0.1", {"exactly": "10.0.0.1"}],
    ],
    ids=str,
)
def test_a_key_is_found_once_for_alternatives_that_are_the_same(count, alternatives):
    matcher = Matcher()
    for number in range(count):
        matcher.add(number, Pattern.parse({"a": [f"{number}"]}))
    matcher.add("it", Pattern.parse({"a": alternatives}))
    matcher.add("it too", Pattern.parse({"a": alternatives, "b": ["x"]}))
    event = {"a": alternatives[0], "b": "x"}
    assert sorted(matcher.match(event)) == sorted(matcher.match_json(json.dumps(event))) == ["it", "it too"]


def test_a_matcher_cannot_be_copied():
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copied or pickled"):
            copied(make(a=A))


def test_a_key_has_to_equal_itself():
    matcher = make(a=A)
    with pytest.raises(ValueError, match="nan"):
        matcher.add(float("nan"), A)
    assert (matcher.match(EVENT), len(matcher)) == (["a"], 1)
