"""Lint: what is legal and yet not meant, and what EventBridge would refuse."""

import json
import random
import sys
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventrouter import Pattern, lint
from eventrouter.patterns import CODES, Alternatives, has_wildcards, json_path
from eventrouter.patterns._wildcard_complexity import complexity
from eventrouter.patterns._written import written
from tests import generators
from tests.generator_values import any_value


@contextmanager
def steps_counted():
    """Count the lines that are run, which unlike time is the same everywhere."""
    steps = 0

    def trace(frame, event, argument):
        nonlocal steps
        steps += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: steps
    finally:
        sys.settrace(previous)


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
        {"$or": [{"a": [1], "$or": [{"b": [1]}, {"b": [2]}]}, {"a": [2], "$or": [{"b": [3]}, {"c": [4]}]}]},
        {"a": [{"anything-but": "x"}, "y", {"prefix": "y"}]},
        {"a": [{"anything-but": {"prefix": "a"}}, {"prefix": "ab"}, {"prefix": {"equals-ignore-case": "a"}}]},
        {"a": [{"anything-but": {"suffix": "a"}}, {"prefix": "a"}]},
        {"a": [{"exists": True}]},
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
        ({"a": [{"numeric": [">", 1.7976931348623157e308]}]}, ("never-matches", "error", "$.a")),
        ({"a": [{"numeric": ["<", -1.7976931348623157e308]}]}, ("never-matches", "error", "$.a")),
        ({"sorce": ["shop"]}, ("never-matches", "note", "$.sorce")),
        ({"source": ["shop"], "total": [1]}, ("never-matches", "note", "$.total")),
        ({"a": [1], "a.b": [2]}, ("needs-array", "warning", "$['a.b']")),
        ({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}, ("or-override", "warning", "$['$or'][0].a")),
        ({"$or": [{"a": [2]}, {"b": [3]}], "a": [{"prefix": "x"}]}, ("or-override", "warning", "$.a")),
        ('{"a": [1], "a": [2]}', ("duplicate-key", "warning", "$.a")),
        ({"a": {"b": [1]}, "a.b": [1]}, ("duplicate-key", "warning", "$['a.b']")),
        ('{"a": {"b": [1]}, "a": {"c": [2]}}', ("duplicate-key", "warning", "$.a")),
        ('{"a": {"b": [1]}, "a": [2]}', ("duplicate-key", "warning", "$.a")),
        ('{"x": {"$or": [{"a": [1]}, {"b": [2]}], "$or": [{"a": [3]}, {"d": [4]}]}}', ("duplicate-key", "warning", "$.x['$or']")),
        ('{"$or": [{"a": [1]}, {"b": [2]}], "$or": [{"a": [3]}, {"d": [4]}]}', ("or-override", "warning", "$['$or'][0].a")),
        ({"$or": [{"a": [1], "$or": [{"a": [2]}, {"c": [3]}]}, {"b": [4]}]}, ("or-override", "warning", "$['$or'][0]['$or'][0].a")),
        ({"$or": [{"$or": [{"a": [2]}, {"c": [3]}], "a": [1]}, {"b": [4]}]}, ("or-override", "warning", "$['$or'][0].a")),
        ({"a": [{"anything-but": "x"}, "x"]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"exists": True}, {"exists": False}]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"anything-but": "::1"}, "0::1"]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"exists": True}, "x"]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"anything-but": {"prefix": "ab"}}, {"prefix": "a"}]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"anything-but": {"wildcard": "a*b"}}, {"wildcard": "a*b"}]}, ("passes-everything", "warning", "$.a")),
        ({"a": [{"anything-but": 1}, {"anything-but": 2}]}, ("two-anything-but", "warning", "$.a")),
        ({"a": ["x", {"anything-but": "y"}]}, ("anything-but-other-types", "note", "$.a[1]")),
        ({"a": [{"anything-but": {"prefix": "y"}}]}, ("anything-but-other-types", "note", "$.a[0]")),
        ({"a": {"b": [{"exists": False}], "c": [1]}}, ("exists-false-in-array", "warning", "$.a.b")),
        ({"detail": {"i": {"b": [{"exists": False}], "c": {"d": [1]}}}}, ("exists-false-in-array", "warning", "$.detail.i.b")),
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
    assert lint(pattern, on_a_bus=False) == []
    [finding] = lint(pattern, on_a_bus=True)
    assert str(finding) == f"error: {message} [never-matches]"


def test_by_default_a_pattern_that_seems_to_be_for_a_bus_is_held_against_the_envelope():
    [finding] = lint({"sorce": ["x"]})
    assert str(finding) == (
        "note: no event of a bus can match: events have no field sorce at $.sorce"
        ' (did you mean "source"?) [never-matches]'
    )
    [finding] = lint({"source": ["x"], "$or": [{"total": [1]}, {"detail": {"total": [1]}}]})
    assert "no event of a bus can match this branch of $or: events have no field total" in finding.message
    assert lint({"total": [1], "customer": {"name": ["x"]}}) == []


def test_what_events_on_a_bus_may_have_is_fine():
    pattern = {
        "source": [{"prefix": "a"}],
        "account": [{"anything-but": [1]}],
        "detail": {"x": [1]},
        "gone": [{"exists": False}],
        "resources": [{"wildcard": "arn:*"}],
    }
    assert lint(pattern, on_a_bus=True) == lint(pattern) == []


def test_messages_say_what_really_happens():
    [override] = lint({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]})
    assert (
        override.message == "this a replaces that of $.a, they are not both required; together they would never match"
    )
    [merged, _] = lint('{"a": {"b": [1]}, "a": {"c": [2]}, "a.b": [1]}')
    assert merged.message == (
        '"a" is written twice in one object; both count, where most readers of JSON keep the last'
    )
    [merged] = lint('{"$or": [{"a": [1]}, {"b": [2]}], "$or": [{"c": [1]}, {"d": [2]}]}')
    assert '"$or" is written twice in one object; one branch of each has to match' in merged.message
    long = {"a": [{"anything-but": list(map(str, range(200)))}, *({"prefix": str(n)} for n in range(200))]}
    assert "passes-everything" not in {finding.code for finding in lint(long)}
    thrice = lint('{"$or": [{"a": [1]}, {"b": [1]}], "$or": [{"a": [2]}, {"b": [2]}], "$or": [{"a": [3]}, {"b": [3]}]}')
    assert [
        item.message.partition(",")[0] for item in thrice if item.code == "or-override" and item.path.endswith("a")
    ] == ["this a replaces that of $['$or'][0].a"]
    [needs] = lint({"a": [1], "a.b": [2]})
    assert needs.message.endswith("an event can have both only in an array, or by a name with a dot")
    assert Pattern.parse({"a": [1], "a.b": [2]}).matches({"a": 1, "a.b": 2})
    for apart in (
        [{"prefix": "a"}, {"prefix": "b"}],
        [{"suffix": "a"}, 5],
        ["a", {"prefix": "b"}],
        [{"prefix": "b"}, "a"],
        ["a", "b"],
    ):
        [both, *_] = lint({"a": [{"anything-but": excluded} for excluded in apart]})
        assert both.message == "alternatives are ORed, so that every value passes"
    for shared in ([{"prefix": "a"}, {"prefix": "ab"}], [{"prefix": "a"}, {"suffix": "b"}], [["a", "b"], ["b", "c"]]):
        [both, *_] = lint({"a": [{"anything-but": excluded} for excluded in shared]})
        assert both.message == "alternatives are ORed, so that only what all of these exclude is excluded"
    before, after = lint({"a": {"b": [{"exists": False}], "c": [1]}}), lint({"a": {"z": [{"exists": False}], "c": [1]}})
    assert "every element, as its name comes before a.c" in before[0].message
    assert "the element that a.c is in" in after[0].message


def test_what_is_refused_has_its_line_and_column():
    [finding] = lint('{"a":\n  ["x", {"prefx": "y"}]}')
    assert (finding.line, finding.column) == (2, 10)
    assert str(finding).startswith("error: Unrecognized match type prefx at $.a[1], line 2 column 10 (did you mean")
    [finding] = lint({"a": [{"prefx": "y"}]})
    assert (finding.line, finding.column) == (None, None)


def test_it_takes_large_numbers_and_deep_objects():
    digits = "1" + "0" * 5000
    assert ("aws-length", "error", "$") in found(Pattern.parse(f'{{"a": [{digits}]}}'))
    assert ("never-matches", "error", "$.account") in found(f'{{"account": [{digits}]}}', on_a_bus=True)
    assert ("aws-length", "error", "$") in found('{"a":' * 200 + "[1]" + " " * 3000 + "}" * 200)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "{" + ", ".join(f'"a": [{number}]' for number in range(n)) + "}",
        lambda n: {"$or": [{"a": [number]} for number in range(n)]},
        lambda n: {"a": [{"anything-but": [str(number) for number in range(n)]}, *map(str, range(n))]},
        lambda n: {"a": {f"f{number}": [{"exists": False}] for number in range(n)}},
        lambda n: {"a": [1], **{f"a.{number}": [1] for number in range(n)}},
    ],
    ids=["repeats", "branches", "lists", "absent", "inside"],
)
def test_the_time_it_takes_grows_with_the_length_only(make):
    counts = []
    for n in (60, 240):
        pattern = Pattern.parse(make(n))
        with steps_counted() as count:
            lint(pattern)
        counts.append(count())
    assert counts[1] <= 4.5 * counts[0]


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
    assume(not any(finding.code == "too-complex" for finding in findings))
    nodes: dict[str, list[Alternatives]] = {}  # a name that comes twice is the place of two
    for part in written(Pattern.parse(text).document):
        if isinstance(part.node, Alternatives):
            nodes.setdefault(json_path(part.steps), []).append(part.node)
    for item in findings:
        if "every value passes" in item.message or item.code == "passes-everything":
            values = [json.loads(any_value(rng)) for _ in range(20)]
            accepting = [
                all(any(test.accepts(value) for test in node.filters) for value in values) for node in nodes[item.path]
            ]
            assert any(accepting)
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


@pytest.mark.no_cover
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
