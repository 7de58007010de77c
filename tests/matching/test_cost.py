"""What a match costs follows what comes near, not what there is: counted in steps, not in time."""

import gc
import json
import sys
from contextlib import contextmanager

import pytest

from eventrouter import Matcher, Pattern
from eventrouter.matching import _checks

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover

COUNT = 1_500
#: For each operator a rule that differs by number, and a value that meets few of them; how many it meets.
OPERATORS = {
    "literal": (lambda number: f"text {number}", "text 77", 1),
    "number": (lambda number: number / 4, 19.25, 1),
    "exactly": (lambda number: {"exactly": f"text {number}"}, "text 77", 1),
    "prefix": (lambda number: {"prefix": f"{number:05}"}, "00077 and more", 1),
    "prefix ignoring case": (lambda number: {"prefix": {"equals-ignore-case": f"x{number:05}"}}, "X00077y", 1),
    "suffix": (lambda number: {"suffix": f"{number:05}"}, "more and 00077", 1),
    "suffix ignoring case": (lambda number: {"suffix": {"equals-ignore-case": f"{number:05}x"}}, "y00077X", 1),
    "equals-ignore-case": (lambda number: {"equals-ignore-case": f"Text {number}"}, "TEXT 77", 1),
    "beyond ASCII": (lambda number: {"equals-ignore-case": f"É {number}"}, "é 77", 1),
    "wildcard with a beginning": (lambda number: {"wildcard": f"{number:05}*x"}, "00077 and x", 1),
    "wildcard with an end": (lambda number: {"wildcard": f"x*{number:05}"}, "x and 00077", 1),
    "wildcard with a middle": (lambda number: {"wildcard": f"*-{number:05}-*"}, "x-00077-y", 1),
    "equal": (lambda number: {"numeric": ["=", number]}, 77, 1),
    "more than": (lambda number: {"numeric": [">", number]}, 1.5, 2),
    "less than": (lambda number: {"numeric": ["<", number]}, COUNT - 1.5, 1),
    "between": (lambda number: {"numeric": [">", number, "<", number + 1]}, 77.5, 1),
    "between, of all lengths": (lambda number: {"numeric": [">", number, "<", number * 1.5 + 1]}, 1.75, 1),
    "network": (lambda number: {"cidr": f"10.{number // 256}.{number % 256}.0/24"}, "10.0.77.5", 1),
    "address": (lambda number: f"10.{number // 256}.{number % 256}.1", "10.0.77.1", 1),
    "anything but": (lambda number: {"anything-but": f"text {number}"}, "text 77", COUNT - 1),
}


@contextmanager
def counted():
    """Count the calls of Python functions; what compiled code does itself is done once for each field and event."""
    before, calls = sys.getprofile(), []

    def profile(frame, kind, argument):
        if kind == "call":
            calls.append(frame.f_code.co_name)

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        calls[:] = [name for name in calls if name not in ("counted", "__exit__")]


def calls_of(matcher, name, event):
    """The calls of a match, when what there is to be learned of events has been learned."""
    for _ in range(2):
        getattr(matcher, name)(event)
    ask = getattr(matcher, name)
    with counted() as calls:
        found = ask(event)
    return found, calls


@pytest.mark.parametrize("operator", OPERATORS)
def test_of_many_rules_only_those_are_tried_that_come_near(operator):
    form, value, meets = OPERATORS[operator]
    matcher = Matcher.build((number, Pattern.parse({"x": [form(number)]})) for number in range(COUNT))
    for name, event in (("match", {"x": value}), ("match_json", json.dumps({"x": value}))):
        found, calls = calls_of(matcher, name, event)
        assert len(found) == meets
        assert len(calls) < 25, calls


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "anything but"])
def test_also_where_rules_share_another_field(operator):
    """The field that tells them apart is looked up, be the shared one first or last, and whatever it asks for."""
    form, value, _ = OPERATORS[operator]
    for shared, shared_value in (({"exists": False}, None), ({"anything-but": "z"}, "y"), ({"prefix": "y"}, "yes")):
        matcher = Matcher()
        for number in range(COUNT // 10):
            matcher.add(number, Pattern.parse({"a": [shared], "x": [form(number)], "z": [shared]}))
        event = {"x": value} | ({} if shared_value is None else {"a": shared_value, "z": shared_value})
        found, calls = calls_of(matcher, "match", event)
        assert len(found) <= 2
        assert len(calls) < 50, calls


@pytest.mark.parametrize("size", [100, 1_000])
def test_of_an_array_every_element_is_looked_up_once(size):
    """Many rules and many elements: the sum of both counts, not their product."""
    matcher = Matcher.build((number, Pattern.parse({"x": [f"text {number}"]})) for number in range(COUNT))
    found, calls = calls_of(matcher, "match", {"x": [f"text {number}" for number in range(size)]})
    assert len(found) == size
    assert len(calls) < 3 * size + 40


@pytest.mark.parametrize("rules", [10, 100])
def test_elements_that_have_to_go_together_are_not_tried_in_pairs(rules):
    """Each rule asks for two fields of one element, and each element has one of them: near linear in the elements."""
    matcher = Matcher()
    for number in range(rules):
        matcher.add(number, Pattern.parse({"t": {"u": ["x"], "v": [number], "w": [{"exists": False}]}}))
    counts = []
    for size in (100, 200, 400):
        elements = [{"u": "x"} if number % 2 else {"v": number % rules} for number in range(size)]
        found, calls = calls_of(matcher, "match", {"t": elements})
        assert found == []
        counts.append(len(calls))
    assert counts[2] < 3 * counts[1] < 9 * counts[0]


@pytest.mark.parametrize("shared", [{"wildcard": "*b*c*"}, {"numeric": [">", 1, "<", 9]}, {"cidr": "10.0.0.0/8"}])
@pytest.mark.parametrize("method", ["match", "match_json"])
def test_what_many_rules_ask_of_a_field_is_tested_once_an_event(shared, method):
    """Candidates from different buckets, here of prefixes that all fit, have the same test left."""
    values = {"wildcard": "abacad", "numeric": 5, "cidr": "10.1.2.3"}
    value = values[next(iter(shared))]
    matcher = Matcher()
    for number in range(1, 201):
        matcher.add(number, Pattern.parse({"x": [{"prefix": "a" * number}], "z": [shared]}))
    for event, expected in (
        ({"x": "a" * 300, "z": value}, 200),
        ({"x": "a" * 300, "z": "never"}, 0),
        ({"x": "a" * 100, "z": value}, 100),
    ):
        found, calls = calls_of(matcher, method, event if method == "match" else json.dumps(event))
        assert len(found) == expected
        tests = [name for name in calls if "accepts" in str(name)]
        assert len(tests) <= 2, tests


@pytest.mark.parametrize("shared", [{"wildcard": "*b*c*"}, {"numeric": [">", 1, "<", 9]}, {"cidr": "10.0.0.0/8"}])
@pytest.mark.parametrize("method", ["match", "match_json"])
def test_also_where_fields_have_several_values(shared, method):
    """What many candidates ask for is tested once with each value."""
    values = [{"wildcard": "abacad", "numeric": 5, "cidr": "10.1.2.3"}[next(iter(shared))], "never", 10]
    matcher = Matcher()
    for number in range(200):
        matcher.add(number, Pattern.parse({"x": [number], "z": [shared]}))
    for event in ({"x": [*range(150)], "z": values[0]}, {"x": [*range(150)], "z": values[::-1]}):
        found, calls = calls_of(matcher, method, event if method == "match" else json.dumps(event))
        assert sorted(found) == [*range(150)]
        tests = [name for name in calls if name == "accepts"]
        assert len(tests) <= 3, tests


def test_no_more_of_events_is_kept_than_a_value_of_each_field():
    matcher = Matcher()
    for number in range(400):
        matcher.add(number, Pattern.parse({"x": [f"{number // 2}"], "z": [{"wildcard": f"*a{number // 2}*b*c*"}]}))
    values = [f"{number}".rjust(5_000) for number in range(200)]
    for number, value in enumerate(values):
        for _ in range(2):
            assert matcher.match({"x": f"{number}", "z": value}) == []
    unused = sys.getrefcount(object())
    assert sum(sys.getrefcount(value) > unused + 2 for value in values) <= 1


def test_shared_tests_go_with_the_rules_that_have_them():
    matcher = Matcher()
    for number in range(100):
        matcher.add(number, Pattern.parse({"x": [{"prefix": "a" * number}], "z": [{"wildcard": f"*b{number}*c*"}]}))
    matcher.match({"x": "a" * 99, "z": "b1c"})
    held = len(_checks._tests)
    for number in range(100):
        matcher.remove(number)
    gc.collect()
    assert len(_checks._tests) <= held - 100
