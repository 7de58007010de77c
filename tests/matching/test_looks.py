"""What events have looked like, and the code for few rules that is made of it."""

import math
import sys

import pytest

from eventrouter import Matcher, Pattern
from eventrouter.matching._checks import ABSENT
from eventrouter.matching._fields import (
    ABSENCE,
    LIST,
    MIXED,
    OBJECT,
    SCALAR,
    Branch,
    Looks,
    flattened,
    kind_of,
    look_at,
)
from eventrouter.matching._straight import MAXIMUM_RULES
from tests.matching.material import Rules, text_of


@pytest.mark.parametrize(
    ("value", "of_a_leaf", "of_an_object"),
    [
        ("x", SCALAR, SCALAR),
        (None, SCALAR, SCALAR),
        (1.5, SCALAR, SCALAR),
        ({}, MIXED, OBJECT),
        ({"a": 1}, MIXED, OBJECT),
        ([], LIST, LIST),
        (["x", 1, None, True], LIST, LIST),
        ([{}], MIXED, 1),
        ([{"a": 1}, {}], MIXED, 1),
        ([[{}], [{}, {}]], MIXED, 2),
        ([[[{}]], []], MIXED, 3),
        ([[[[{}]]]], MIXED, 4),
        ([[[[[{}]]]]], MIXED, MIXED),
        ([{}, 1], MIXED, MIXED),
        ([[1], [2]], MIXED, MIXED),
        ([[{}], {}], MIXED, MIXED),
        ([(1,)], MIXED, MIXED),
    ],
)
def test_what_a_value_looks_like(value, of_a_leaf, of_an_object):
    assert kind_of(value, is_leaf=True) == of_a_leaf
    assert kind_of(value, is_leaf=False) == of_an_object


def test_arrays_in_arrays_are_flattened_as_deep_as_they_are():
    assert flattened([1, 2], 1) == [1, 2]
    assert flattened([[1], [], [2, 3]], 2) == [1, 2, 3]
    assert flattened([[[1]], [[2], [3]]], 3) == [1, 2, 3]


@pytest.fixture
def root():
    return Branch.of({"a": 0, "t.u": 1, "t.v": 2})


def of(looks, root, *names):
    branch = root
    for name in names:
        branch = branch.children[name]
    return looks.of(branch)


def test_at_first_fields_are_scalars_in_objects(root):
    looks = Looks()
    assert of(looks, root, "a") == {SCALAR}
    assert of(looks, root, "t") == {OBJECT}
    assert not looks.learn(look_at(root, {"a": 1, "t": {"u": 1, "v": 1}}))


def test_the_first_misfit_is_learned_at_once_and_the_next_after_64(root):
    looks = Looks()
    plain = {"a": 1, "t": {"u": 1, "v": 1}}
    assert looks.learn(look_at(root, plain | {"a": [1]}))
    assert of(looks, root, "a") == {SCALAR, LIST}
    for _ in range(63):
        assert not looks.learn(look_at(root, plain | {"a": [[1]]}))
    assert of(looks, root, "a") == {SCALAR, LIST}
    assert looks.learn(look_at(root, plain | {"a": [[1]]}))
    assert of(looks, root, "a") == {SCALAR, LIST, MIXED}


def test_arrays_of_objects_replace_what_was_assumed_and_others_are_beside_it(root):
    looks = Looks()
    assert looks.learn(look_at(root, {"a": 1, "t": [{"u": 1, "v": 1}]}))
    assert of(looks, root, "t") == {1}
    looks = Looks()
    assert looks.learn(look_at(root, {"a": 1, "t": None}))
    assert of(looks, root, "t") == {OBJECT, SCALAR}


def test_absence_is_learned_beside_the_rest(root):
    looks = Looks()
    assert looks.learn(look_at(root, {"t": {"u": 1}}))
    assert of(looks, root, "a") == {SCALAR, ABSENCE}
    assert of(looks, root, "t", "v") == {SCALAR, ABSENCE}
    assert not looks.learn(look_at(root, {"t": {"u": 1}}))


def test_fields_that_have_not_always_been_numbers_are_known(root):
    looks = Looks()
    looks.learn(look_at(root, {"a": "x", "t": [{"u": 1, "v": 2.5}, {"u": 3}]}))
    assert looks.not_numbers == {"a", "t.v"}
    looks.learn(look_at(root, {"a": 1, "t": [{"u": True, "v": 2}]}))
    assert looks.not_numbers == {"a", "t.u", "t.v"}


def test_of_long_arrays_only_the_beginning_is_looked_at(root):
    looks = Looks()
    looks.learn(look_at(root, {"a": 1, "t": [{"u": 1, "v": 1}] * 100 + [{"u": ["x"]}]}))
    assert of(looks, root, "t", "u") == {SCALAR}


def test_the_tree_of_names_knows_names_with_dots():
    root = Branch.of({"a.b.c": 0, "a.d": 1, "e": 2, "a": 3})
    assert set(root.dotted()) == {"a.b", "a.b.c", "a.d"}
    assert set(root.children["a"].dotted()) == {"b.c"}
    assert sorted(root.slots()) == [0, 1, 2, 3]


# --- code for few rules -----------------------------------------------------------------------------------------------

LAST = "\U0010ffff"
TEXTS = (
    "",
    "a",
    "ab",
    "abc",
    "b",
    "é",
    "A",
    LAST,
    LAST * 2,
    "a" + LAST,
    "a" + LAST * 2,
    "\ud7ff",
    "\ud800",
    "\udfff",
    "\ue000",
    "ß",
)
AROUND = [text + more for text in TEXTS for more in ("", "a", LAST, "\x00", "b", "\ud800")]


def assert_few_are_right(forms):
    rules = Rules()
    for number, form in enumerate(forms):
        rules.add(number, {"x": [form]})
    assert rules.strategy == "straight"
    for value in [*AROUND, *(text[::-1] for text in AROUND), None, 1, True, 0.5]:
        event = {"x": value}
        assert sorted(rules.matcher.match(event)) == rules.expected(event), repr(value)
    assert sorted(rules.matcher.match({})) == rules.expected({})


@pytest.mark.parametrize("count", [1, 2, 3, 5, len(TEXTS)])
@pytest.mark.parametrize("operator", ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but"])
def test_beginnings_and_ends_are_told_apart_however_many(operator, count):
    """A beginning is a range of strings; of what ends in U+10FFFF the range may have no end."""
    for start in range(0, len(TEXTS), max(count // 2, 1)):
        texts = [*TEXTS[start:], *TEXTS[:start]][:count]
        if operator == "wildcard":
            forms = [
                {"wildcard": form}
                for text in texts
                for form in (f"{text}*", f"*{text}" if text else "*a*", f"{text}*a")
            ]
        elif operator == "anything-but":
            texts = [text for text in texts if text]
            forms = [{"anything-but": {"prefix": text}} for text in texts] + [
                {"anything-but": {"suffix": text}} for text in texts
            ]
            forms += [{"anything-but": {"prefix": texts}}] if texts else []
        elif operator == "equals-ignore-case":
            forms = [{operator: text} for text in texts]
        else:
            forms = [form for text in texts for form in ({operator: text}, {operator: {"equals-ignore-case": text}})]
        assert_few_are_right(forms[:MAXIMUM_RULES])


def test_equal_strings_of_one_field_are_looked_up_together():
    assert_few_are_right([*TEXTS, "a", {"exactly": "a"}, {"exactly": ""}])
    rules = Rules()
    for number, text in enumerate(TEXTS):
        rules.add(number, {"x": [text, TEXTS[number - 1], {"exactly": text}]})
    for value in AROUND:
        assert sorted(rules.matcher.match({"x": value})) == rules.expected({"x": value})


def test_keys_are_kept_apart_by_what_equals_them():
    """One key is as good as an equal one; the first is given."""
    matcher = Matcher.build([(1, Pattern.parse({"x": ["a"]})), (True, Pattern.parse({"x": ["b"]}))])
    assert len(matcher) == 1
    assert matcher.match({"x": "a"}) == matcher.match({"x": "b"}) == [1]


def test_bounds_at_the_end_of_all_doubles_and_excluded_text_of_any_kind():
    greatest = sys.float_info.max
    forms = [{"numeric": [">", greatest]}, {"numeric": [">=", greatest]}, {"numeric": ["<", -greatest]}]
    forms += [{"numeric": ["<=", -greatest]}, {"numeric": [">", 0, "<", greatest]}, {"anything-but": {"wildcard": "*"}}]
    for chosen in (forms, *([form] for form in forms)):
        rules = Rules()
        for number, form in enumerate(chosen):
            rules.add(number, {"x": [form]})
        for value in (greatest, -greatest, 10**400, -(10**400), math.inf, -math.inf, 1, "x", None, True):
            assert sorted(rules.matcher.match({"x": value})) == rules.expected({"x": value}), value
            several = {"x": [value, 0]}
            assert sorted(rules.matcher.match(several)) == rules.expected(several), value


# --- parts of the tree that take many of a kind -----------------------------------------------------------------------


def test_rules_of_many_fields_are_checked_field_by_field():
    rules = Rules()
    for number in range(60):
        fields = {f"n{field}": [{"numeric": [">", field]}] for field in range(12)}
        rules.add(number, {"x": ["it"]} | fields | {"n0": [{"numeric": [">", number]}]})
    assert rules.strategy == "indexed"
    event = {"x": "it"} | {f"n{field}": 30 for field in range(12)}
    for change in ({}, {"n11": 11}, {"n5": None}, {"x": "other"}, {"n3": [0, 30]}):
        rules.assert_right(event | change)


def test_many_keys_of_equal_patterns_come_and_go():
    rules = Rules()
    for number in range(60):
        rules.add(number, {"x": ["it"]})
        rules.add(number, {"x": ["it"], "y": [{"prefix": "a"}]})
        rules.add(100 + number, {"x": ["it"]})
    rules.add(100, {"x": ["it"]})
    rules.assert_right({"x": "it", "y": "ab"})
    for number in (0, 30, 59, 100, 159, *range(1, 30)):
        rules.remove(number)
    rules.assert_right({"x": "it", "y": "ab"})
    rules.assert_right({"x": ["it", "too"]})


def test_among_many_fields_those_that_may_be_absent_are_found_by_their_absence():
    """Where fields are many, only those are visited that an event has, and those of which absence is asked for."""
    rules = Rules()
    for number in range(70):
        rules.add(number, {f"n{number}": ["x"]})
    rules.add("absent", {"m": [{"exists": False}]})
    rules.add("absent, in a crowd", {"n5": [{"exists": False}]})
    assert rules.strategy == "general"
    rules.patterns = {str(key): held for key, held in rules.patterns.items()}
    for event in (
        {},
        {"m": 1},
        {"n5": "x"},
        {"n5": "y", "n6": "x"},
        {"m": ["y"], "n1": ["x", "y"]},
        {"n5": []},
        {"n5": [{}]},
    ):
        for found in (rules.matcher.match(event), rules.matcher.match_json(text_of(event))):
            assert sorted(map(str, found)) == rules.expected(event)
    rules.matcher.remove("absent")
    assert "absent" not in rules.matcher.match({})


def test_what_stands_for_no_value_says_so():
    assert repr(ABSENT) == "ABSENT"
