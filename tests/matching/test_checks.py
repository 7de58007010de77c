"""What is left to check of a rule, against its tests asked one by one."""

from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Pattern
from eventrouter.matching._checks import ABSENT, Many, Values, make_check
from eventrouter.patterns import Exists, Literal
from tests.matching.material import FORMS, VALUES

MISSING = Exists(expected=False)
alternatives = st.lists(st.sampled_from(FORMS), min_size=1, max_size=3).map(
    lambda forms: Pattern.parse({"x": forms}).sub_rules[0]["x"]
)
#: More than there is code for in one piece.
rules = st.lists(alternatives, min_size=1, max_size=10).map(lambda fields: tuple(enumerate(fields)))
leaves = st.sampled_from(VALUES)


@given(rules, st.lists(st.dictionaries(st.integers(0, 9), leaves, max_size=10), min_size=1, max_size=4))
def test_a_value_of_each_field_or_none(fields, events):
    """Events follow one another, and come back; two rules that have the same tests share these."""
    checks = [make_check(fields), make_check(fields)]
    for values in events * 2:
        expected = all(
            any(test.accepts(values[slot]) for test in tests) if slot in values else MISSING in tests
            for slot, tests in fields
        )
        for check, constants in checks:
            assert check(Values(values), constants) == expected
            assert check(tuple(values.get(slot, ABSENT) for slot in range(10)), constants) == expected


@given(
    rules,
    st.dictionaries(st.integers(0, 9), st.lists(leaves, min_size=1, max_size=3), max_size=10),
    st.frozensets(st.integers(0, 9)),
)
def test_several_values_of_each_field(fields, values, uncertain):
    checks = [make_check(fields), make_check(fields)]
    expected = all(
        any(test.accepts(value) for value in values.get(slot, ()) for test in tests)
        or (MISSING in tests and (slot not in values or slot in uncertain))
        for slot, tests in fields
    )
    many = Many(Values(values), uncertain)
    for check, constants in checks:
        assert check.several(many, constants) == expected


def test_an_element_of_an_array_may_lack_what_another_has():
    fields = ((0, (MISSING,)), (1, (MISSING, Literal("string", "a"))))
    check, constants = make_check(fields)
    for values, uncertain, expected in (
        ({}, (), True),
        ({0: ["b"]}, (), False),
        ({0: ["b"]}, (0,), True),
        ({0: ["b"], 1: ["b"]}, (0,), False),
        ({0: ["b"], 1: ["b"]}, (0, 1), True),
        ({0: ["b"], 1: ["b", "a"]}, (0,), True),
    ):
        assert check.several(Many(Values(values), frozenset(uncertain)), constants) == expected


def test_one_test_of_two_fields():
    """What it says of one field's value it says of no other's."""
    [tests] = Pattern.parse({"x": [{"wildcard": "*a*b*"}]}).sub_rules[0].values()
    check, constants = make_check(((0, tests), (1, tests)))
    for first, second in (("ab", "ab"), ("ab", "ba"), ("ba", "ab"), ("ba", "ba")):
        expected = first == second == "ab"
        assert check((first, second), constants) == expected
        assert check.several(Many(Values({0: [first], 1: [second]})), constants) == expected


def test_equal_values_of_different_kinds_are_told_apart():
    """A value is known again by identity: 1, 1.0 and True are equal, and not the same."""
    [tests] = Pattern.parse({"x": [{"numeric": [">", 0, "<", 2]}]}).sub_rules[0].values()
    checks = [make_check(((0, tests),)) for _ in range(2)]
    for check, constants in checks:
        said = [check((value,), constants) for value in (1, True, 1.0, True, 1)]
        assert said == [True, False, True, False, True]
