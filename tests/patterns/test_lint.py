"""Lint: what is legal and yet not meant, and what EventBridge would refuse."""

import json
import random
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Pattern, lint
from eventrouter.patterns import CODES, has_wildcards
from eventrouter.patterns._wildcard_complexity import complexity
from tests import generators

CASES = Path(__file__).parents[1] / "conformance"


def found(pattern, **options):
    """Give code, severity and place of each finding."""
    return [(finding.code, finding.severity, finding.path) for finding in lint(pattern, **options)]


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": ["shop"], "detail": {"total": [{"numeric": [">", 100, "<=", 200]}], "state": [{"anything-but": [1]}]}},
        {"detail": {"a": [{"exists": False}], "b": [1]}},
        {"a": [{"exists": False}], "b": [1]},
        {"a": {"b": [{"exists": False}]}, "c": [1]},
        {"$or": [{"a": [1]}, {"a": [2]}]},
        {"a": [{"exists": False}], "a.b": ["x"]},
        {"a": [{"numeric": [">", 9007199254740992, "<", 9007199254740994]}]},
        {"a": [{"numeric": [">", 1, "<=", 1.0000000000000002]}]},
        {"a": [{"wildcard": "/Users/*/dir/dir/dir/dir/dir/doc.txt"}]},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_there_is_nothing_to_say_of_a_good_pattern(pattern):
    severe = [item for item in found(pattern) if item[1] != "note"]
    assert severe == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"a": "x"}, ("invalid", "error", "$.a")),
        ({"$or": [{"a": [n]} for n in range(1001)]}, ("too-complex", "error", "$")),
        ("[" * 20_000, ("invalid", "error", "$")),
        ({"a": ["x" * 2050]}, ("aws-length", "error", "$")),
        (json.dumps({"a": [1]}) + " " * 2050, ("aws-length", "error", "$")),
        ({"a": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}, ("aws-wildcard-complexity", "error", "$.a")),
        ({"a": [{"anything-but": {"wildcard": "*a*a*a*a*a*a*"}}]}, ("aws-wildcard-complexity", "error", "$.a")),
        ({"a": [{"numeric": ["<", 6e9]}]}, ("aws-numeric-range", "note", "$.a[0]")),
        ({"a": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}, ("never-matches", "error", "$.a")),
        ({"b": [1], "$or": [{"a": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}, {"c": [1]}]}, ("never-matches", "warning", "$['$or'][0].a")),
        ({"a": [1], "a.b": [2]}, ("needs-array", "warning", "$['a.b']")),
        ({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}, ("or-override", "warning", "$['$or'][0].a")),
        ({"$or": [{"a": [2]}, {"b": [3]}], "a": [{"prefix": "x"}]}, ("or-override", "warning", "$.a")),
        ('{"a": [1], "a": [2]}', ("duplicate-key", "warning", "$.a")),
        ({"a": {"b": [1]}, "a.b": [1]}, ("duplicate-key", "warning", "$['a.b']")),
        ({"a": [{"anything-but": 1}, {"anything-but": 2}]}, ("two-anything-but", "warning", "$.a")),
        ({"a": ["x", {"anything-but": "y"}]}, ("anything-but-other-types", "note", "$.a[1]")),
        ({"a": [{"anything-but": {"prefix": "y"}}]}, ("anything-but-other-types", "note", "$.a[0]")),
        ({"a": {"b": [{"exists": False}], "c": [1]}}, ("exists-false-in-array", "warning", "$.a.b")),
        ({"detail": {"i": {"b": [{"exists": False}], "c": [1]}}}, ("exists-false-in-array", "warning", "$.detail.i.b")),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_each_kind_of_finding(pattern, expected):
    assert expected in found(pattern)
    assert expected[0] in CODES


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({"sorce": ["x"]}, 'no event can match: events have no field sorce at $.sorce (did you mean "source"?)'),
        ({"total": [1]}, "no event can match: events have no field total at $.total (is it in detail?)"),
        ({"detail": [1]}, "no event can match: detail is an object at $.detail (name one of its fields)"),
        ({"source": {"x": [1]}}, "no event can match: source is no object at $.source.x"),
        ({"account": [123456789012]}, 'no event can match: account is a string at $.account (write "123456789012")'),
        ({"source": [{"numeric": [">", 1]}]}, "no event can match: source is a string at $.source"),
        ({"source": [None]}, "no event can match: source is a string at $.source"),
    ],
    ids=str,
)
def test_on_a_bus_events_have_the_envelope_and_nothing_else(pattern, message):
    assert lint(pattern) == []
    [finding] = lint(pattern, on_a_bus=True)
    assert str(finding) == f"error: {message} [never-matches]"


def test_what_events_on_a_bus_may_have_is_fine():
    pattern = {
        "source": [{"prefix": "a"}],
        "account": [{"anything-but": [1]}],
        "detail": {"x": [1]},
        "gone": [{"exists": False}],
        "resources": [{"wildcard": "arn:*"}],
    }
    assert lint(pattern, on_a_bus=True) == []


def test_messages_say_what_really_happens():
    [override] = lint({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]})
    assert (
        override.message == "this a replaces that of $.a, they are not both required; together they would never match"
    )
    before, after = lint({"a": {"b": [{"exists": False}], "c": [1]}}), lint({"a": {"z": [{"exists": False}], "c": [1]}})
    assert "every element, as its name comes before a.c" in before[0].message
    assert "the element that a.c is in" in after[0].message


def test_the_gravest_finding_comes_first_and_a_parsed_pattern_will_do():
    pattern = Pattern.parse({"a": [{"anything-but": "x"}], "b": [{"wildcard": "*a*a*a*a*a*"}]})
    assert [finding.severity for finding in lint(pattern)] == ["error", "note"]
    many = Pattern.parse({"$or": [{"a": [n]} for n in range(1001)]}, maximum_combinations=2000)
    assert ("aws-or-combinations", "error", "$") in found(many)


def test_it_reports_every_conformance_case_that_it_has_to():
    lines = [line for path in sorted(CASES.glob("patterns-*.jsonl")) for line in path.read_text().splitlines()]
    cases = [case for case in map(json.loads, lines) if case["expect"] == "lint"]
    assert len(cases) == 2
    for case in cases:
        [finding] = [finding for finding in lint(case["pattern"]) if finding.severity == "error"]
        assert case["message"].partition("Reason: ")[2] in finding.message


@given(st.integers(0, 2**64).map(random.Random))
def test_it_never_raises_and_a_pattern_that_matches_is_not_called_hopeless(rng):
    text, plan = generators.pattern(rng)
    findings = lint(text)
    assert {finding.code for finding in findings} <= CODES.keys()
    if Pattern.parse(text).matches_json(generators.event(rng, plan)):
        assert ("never-matches", "error") not in {(finding.code, finding.severity) for finding in findings}


@pytest.mark.parametrize(
    ("score", "filters"),
    [
        (1, ["*"]), (1, ["abc"]), (2, ["*ab"]), (3, ["*aa"]), (2, ["aa*"]), (3, ["a*bb"]), (5, ["a*b*bb"]),
        (3, ["*", "ab*c"]), (4, ["*abc", "*abcde"]), (2, ["ab*c", "ab*c"]), (6, ["ab*cd", "ab*wx", "ab*yz"]),
        (17, ["*a*a*a*a*a*a*a*a*"]), (10, ["F*eatureFeature", "Fe*atureFeature", "Fea*tureFeature"]),
        (2, ["/Users/*/doc.txt"]), (3, ["arn:aws:events:us-east-1:*:event-bus/*"]),
        (7, ["/Users/*/dir/dir/dir/dir/dir/doc.txt"]), (11, ["*:*:*:*:*:event-bus/*"]),
        (5, [("*/init/*", "*/dir/*")]), (6, [("a*aaa", "aa*aa")]), (0, []),
    ],
    ids=str,
)  # fmt: skip
def test_complexity_is_scored_as_event_ruler_scores_it(score, filters):
    assert complexity([[some] if isinstance(some, str) else some for some in filters], 100) == score


def test_complexity_stops_at_its_limit_and_when_patience_ends():
    assert complexity([["*a*a*a*a*a*a*a*"]], 7) == 7
    hard = ["*" + "".join(rng.choice("ab") for _ in range(40)) + "*" for rng in map(random.Random, range(30))]
    assert complexity([[text] for text in hard], 1000) >= 60


def test_the_complexity_of_a_long_wildcard_takes_little_memory():
    tracemalloc.start()
    assert complexity([["*" + "a" * 30_000]]) == 10
    assert complexity([["a" * 30_000 + "*"]]) == 2
    assert complexity([["*" + chr(97 + n % 26) * 2 + str(n)] for n in range(1_000)]) == 10
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_wildcards_are_found_in_exclusions_too():
    assert has_wildcards(Pattern.parse({"a": [{"anything-but": {"wildcard": "x*"}}]}))
    assert not has_wildcards(Pattern.parse({"a": [{"anything-but": "x"}, {"prefix": "y"}]}))
