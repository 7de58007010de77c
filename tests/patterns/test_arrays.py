"""The search through arrays: the oracle's answers, in a number of steps that grows as the event does."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import InvalidEventError, Pattern
from eventrouter.patterns import _arrays
from tests import oracle

NAMES = ("a", "b", "a-b", "a.a", "a.b", "b.a", "a.a.b")
TESTS = ([1], [1], [1, 0], [{"exists": False}], [{"exists": False}, 1], [{"exists": True}])


def value(rng, depth=0):
    """Arrays in arrays, and names with dots that bring the values of one field together from several."""
    kind = rng.random()
    if depth > 4 or kind < 0.3:
        return rng.choice((1, 1, 0))
    if kind < 0.7:
        return [value(rng, depth + 1) for _ in range(rng.randint(1, 3))]
    return {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.randint(1, 3))}


@given(st.integers(0, 2**64).map(random.Random))
def test_arrays_are_searched_as_the_oracle_does(rng):
    pattern = {name: rng.choice(TESTS) for name in rng.sample((*NAMES, "a.a.a", "a.b.a"), rng.randint(2, 5))}
    for _ in range(20):
        event = {"a": value(rng), rng.choice(NAMES): value(rng)}
        assert Pattern.parse(pattern).matches(event) is oracle.matches(json.dumps(pattern), json.dumps(event))


def test_arrays_that_have_nothing_to_do_with_each_other_are_searched_together():
    """A value outside the array that the fields before and after it share, which only dotted names can make."""
    pattern = Pattern.parse({"a.x": [1], "a.y.q": [1], "a.z": [1]})
    assert pattern.matches({"a": [{"x": 1, "z": 1}, {}], "a.y": [{"q": 1}, {}]})
    assert not pattern.matches({"a": [{"x": 1}, {"z": 1}], "a.y": [{"q": 1}, {}]})


def test_elements_exclude_each_other_in_one_array_and_not_in_two_that_are_as_deep():
    pattern = Pattern.parse({"a": {"x": [1], "y": [1]}, "b": {"x": [1]}})
    assert pattern.matches({"a": [{"x": 1, "y": 1}, {}], "b": [{}, {"x": 1}]})
    assert not pattern.matches({"a": [{"x": 1}, {"y": 1}], "b": [{}, {"x": 1}]})


def test_a_field_brings_arrays_together_that_two_others_have_apart():
    pattern = Pattern.parse({"a.x": [1], "a.b.x": [1], "a.b.y": [1]})
    event = {"a": [{"x": 1}, {"b.y": 1}], "a.b": [{"x": 1}, {"y": 1}]}
    assert not pattern.matches(event)
    assert pattern.matches({**event, "a.b.y": 1})


def test_a_value_beside_arrays_does_where_none_inside_does():
    pattern = Pattern.parse({"a": [1, {"exists": False}]})
    assert pattern.matches({"a": [1, [0], [0]]})
    assert not pattern.matches({"a": [2, [0], [0]]})


@pytest.mark.parametrize(("present", "absent", "fits"), [("😀", "ﬁ", True), ("ﬁ", "😀", False)])
def test_fields_are_tried_in_the_order_of_utf_16_as_java_compares_strings(present, absent, fits):
    """Code points have U+FB01 before U+1F600; the surrogates that UTF-16 writes for the latter come before both."""
    pattern = {"a": {present: [1], absent: [{"exists": False}]}}
    event = {"a": [{present: 1}, {absent: 1}]}
    assert Pattern.parse(pattern).matches(event) is fits
    assert oracle.matches(json.dumps(pattern), json.dumps(event)) is fits


@pytest.fixture
def steps_of(monkeypatch):
    """Count the elements that are chosen in vain, and the fields looked at in each."""

    def count(pattern, event) -> int:
        chosen = _arrays._Search._chosen
        looked_at = 0

        def counting(self, *arguments):
            nonlocal looked_at
            for choice in chosen(self, *arguments):
                looked_at += 1
                yield choice

        monkeypatch.setattr(_arrays._Search, "_chosen", counting)
        assert not Pattern.parse(pattern).matches(event)
        monkeypatch.undo()
        assert looked_at
        return looked_at

    return count


def three_arrays(n, last):
    fields = {"x": [1], "y": [1], "z": last}
    elements = [*[{"x": 1, "y": 1, "z": 0}] * (n // 3), {"z": 1}]
    return {"a": fields, "b": fields, "c": fields}, {"a": elements, "b": elements, "c": elements}


def arrays_in_arrays(n, last):
    side = int(n**0.5)
    elements = [*[{"x": 1, "y": 1, "z": 0}] * side, {"z": 1}]
    return {"a": {"b": {"x": [1], "y": [1], "z": last}, "x": [1]}}, {"a": [{"b": elements, "x": 1}] * side}


def arrays_between_each_others_fields(n, last):
    """`a`, `a-b.c`, `a-b.d` and `a.x` are tried in this order, and the array of the first and last is one."""
    pattern = {"a": [1], "a-b": {"c": [1], "d": [1]}, "a.x": last}
    return pattern, {"a": [*[[1, {"x": 0}]] * (n // 2), {"x": 1}], "a-b": [{"c": 1, "d": 1}] * (n // 2)}


def two_arrays_in_each_element(n, last):
    side = int((n // 2) ** 0.5)
    pattern = {"a": {"b": [1], "b-c": {"c": [1], "d": [1]}, "b.x": last}}
    element = {"b": [*[[1, {"x": 0}]] * side, {"x": 1}], "b-c": [{"c": 1, "d": 1}] * side}
    return pattern, {"a": [element] * side}


def one_path_in_two_arrays(n, last):
    """Only names with dots do this: `a` is chosen in the one, `b` in the other, and `c` in any of both."""
    pattern = {"p": {"q": {"a": [1], "b": [1], "c": last}}}
    first, second = [{"a": 1, "c": 0}] * (n // 2), [{"b": 1, "c": 0}] * (n // 2)
    return pattern, {"p": {"q": [*first, {"c": 1, "a": 2}]}, "p.q": [*second, {"b": 2}]}


SHAPES = (
    three_arrays,
    arrays_in_arrays,
    arrays_between_each_others_fields,
    two_arrays_in_each_element,
    one_path_in_two_arrays,
)


@pytest.mark.parametrize("make", SHAPES)
@pytest.mark.parametrize("last", [[1], [{"exists": False}]])
def test_the_search_through_arrays_grows_as_the_event_does(steps_of, make, last):
    """Nothing is found before all has been tried: where the last field would be right, the first is not."""
    counts = [steps_of(*make(n, last)) for n in (2_500, 10_000)]
    assert counts[1] <= 4.5 * counts[0] + 10
    assert counts[1] <= 6 * 10_000


def test_arrays_of_values_and_arrays_in_turn_are_no_trouble(steps_of):
    """Each level lets a field be satisfied outside or inside; what is inside is looked at once all the same."""
    counts = []
    for levels in (10, 40):
        event: object = {"x": 0}
        pattern = {"x": [{"exists": False}]}
        for _ in range(levels):
            event = {"a": [1, [1, event, {}], []]}
            pattern = {"a": [1], "a.q": [{"exists": False}], **{f"a.{path}": test for path, test in pattern.items()}}
        counts.append(steps_of(pattern, event))
    assert counts[1] <= 4.5**2 * counts[0]


def formula(variables, clauses):
    """A Boolean formula: an element of each array for a variable being true or false, a field for each clause."""
    paths = [".".join("p" * length) for length in range(1, variables + 1)]
    event = {}
    for number, path in enumerate(paths, 1):
        rest = ".".join("p" * (variables - number))
        event[path] = [
            {
                f"{rest}.c{index}" if rest else f"c{index}": 1
                for index, clause in enumerate(clauses)
                if literal in clause
            }
            for literal in (number, -number)
        ]
    return {f"{paths[-1]}.c{index}": [1] for index in range(len(clauses))}, event


def test_arrays_whose_combinations_count_are_searched_up_to_a_limit():
    pattern, event = formula(3, [(1, 2), (-1, 3), (-2, -3), (1, -3)])
    assert Pattern.parse(pattern).matches(event)
    pattern, event = formula(3, [(1, 2), (-1, 2), (1, -2), (-1, -2), (3,)])
    assert not Pattern.parse(pattern).matches(event)
    rng = random.Random(1)  # noqa: S311 - a formula, the same each time
    clauses = [[rng.choice((1, -1)) * variable for variable in rng.sample(range(1, 21), 3)] for _ in range(90)]
    pattern, event = formula(20, clauses)
    with pytest.raises(InvalidEventError, match=r"arrays combine in more than [0-9,]+ ways"):
        Pattern.parse(pattern).matches(event)
