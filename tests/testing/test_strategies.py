"""What the strategies draw, put to the oracle. Health checks of Hypothesis are on, so nothing is sought for in vain."""

import enum
import importlib
import json
import random
import re
import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import annotated_types
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from eventrouter import Answer, Event, MissingExtraError, NoSuchEventError, Pattern, PatternError
from eventrouter.patterns._tree import dumps
from eventrouter.testing import _patterns
from eventrouter.testing.strategies import (
    boundary,
    distinguishing,
    events,
    invalid_patterns,
    matching,
    near_miss,
    patterns,
    schedule_expressions,
)
from tests import generators, oracle
from tests.fuzz import strategies as fuzz
from tests.fuzz.algebra import is_of_a_bus

FEW = settings(max_examples=4)  # `python -m tests.fuzz.strategies` draws many
SOME = settings(max_examples=400, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])


def matches(pattern, event):
    return oracle.matches(str(pattern), dumps(event))


#: One for each operator and form, each nesting, and what arrays make of fields that are absent.
EVERY = [
    {"a": ["x", 1, 2.5, True, None]},
    {"a": ["10.0.0.1"]},
    {"a": ["2001:db8::1"]},
    {"a": [{"exactly": "10.0.0.1"}]},
    {"a": [2 * 10**308, -(2 * 10**308)]},  # past all doubles
    {"a": [{"prefix": "ab"}]},
    {"a": [{"suffix": "ab"}]},
    {"a": [{"prefix": {"equals-ignore-case": "straße"}}]},
    {"a": [{"suffix": {"equals-ignore-case": "aǅ"}}]},
    {"a": [{"equals-ignore-case": "K\u212a"}]},
    {"a": [{"wildcard": "a*b\\**"}]},
    {"a": [{"wildcard": "ab"}]},
    {"a": [{"numeric": [">", 0, "<=", 5]}]},
    {"a": [{"numeric": [">=", 0.1, "<", 0.30000000000000004]}]},
    {"a": [{"numeric": ["=", 1e23]}]},
    {"a": [{"numeric": ["<", -1e300]}]},
    {"a": [{"numeric": [">=", 1.7976931348623157e308]}]},
    {"a": [{"numeric": [">", 9007199254740992, "<", 9007199254740994]}]},
    {"a": [{"cidr": "10.0.0.0/8"}, {"cidr": "2001:db8::/32"}]},
    {"a": [{"exists": True}]},
    {"a": [{"exists": False}]},
    {"a": [{"anything-but": "x"}]},
    {"a": [{"anything-but": ["x", "", "y"]}]},
    {"a": [{"anything-but": [0, 1]}]},
    {"a": [{"anything-but": 0}]},
    {"a": [{"anything-but": {"prefix": ["a", "b"]}}]},
    {"a": [{"anything-but": {"suffix": "0"}}]},
    {"a": [{"anything-but": {"equals-ignore-case": ["a", ""]}}]},
    {"a": [{"anything-but": {"wildcard": "*"}}]},
    {"a": {"b": ["x"], "c": [1], "z": [{"exists": False}]}},
    {"a": {"b": [{"exists": False}], "c": [1], "z": [{"exists": False}, 2]}},
    {"a": ["x"], "a.b": [1], "a.b.c": [2]},
    {"$or": [{"a": [1]}, {"a": {"b": [2]}, "c": [{"exists": False}]}], "d": ["x"]},
    {"": {"": [1]}, "a..b": [2], "detail-type": ["x"]},
]


@pytest.mark.parametrize("pattern", EVERY, ids=lambda pattern: json.dumps(pattern)[:60])
def test_all_that_is_drawn_from_a_pattern_is_what_it_says(pattern):
    """The oracle agrees, and near misses and boundaries are no matches where they say so."""
    pattern = Pattern.parse(pattern)

    @FEW
    @given(st.data())
    def check(data):
        assert matches(pattern, data.draw(matching(pattern)))
        without_arrays = data.draw(matching(pattern, arrays=False))
        assert matches(pattern, without_arrays)
        assert all(len(values) == 1 for values in oracle.flatten(without_arrays).values())
        missed = data.draw(near_miss(pattern))
        assert not matches(pattern, missed.event)
        assert_is_one_test(pattern, missed)
        edge = data.draw(boundary(pattern))
        assert matches(pattern, edge.event) == edge.matches

    check()


def assert_is_one_test(pattern, missed):
    """Without its alternatives, at least one sub-rule that asks for them matches."""
    rules = [dict(rule) for rule in pattern.sub_rules if missed.path in rule]
    told = json.loads(missed.tests)
    found = []
    for rule in rules:
        if [test.to_data() for test in rule.pop(missed.path)] == told:
            rest = {path: [test.to_data() for test in filters] for path, filters in rule.items()}
            found.append(not rest or matches(Pattern.parse(rest), missed.event))
    assert any(found)


def test_what_nearly_matches_is_there_and_told():
    missed = find(near_miss({"a": [1], "b": ["x"]}), lambda miss: miss.is_missing, settings=SOME)
    assert (missed.event, missed.path, missed.tests, missed.found) == ({"b": "x"}, "a", "[1]", None)
    missed = find(near_miss({"a": [1], "b": [{"exists": False}]}), lambda miss: miss.path == "b", settings=SOME)
    assert missed.event == {"a": 1, "b": missed.found}
    assert not missed.is_missing


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ([{"numeric": [">", 5]}], {6, 5.000000000000001}, {4, 5, 4.999999999999999}),
        ([{"cidr": "10.0.0.0/24"}], {"10.0.0.0", "10.0.0.255"}, {"9.255.255.255", "10.0.1.0"}),
        ([{"cidr": "::/127"}], {"::", "::1"}, {"::2"}),
        ([{"prefix": "ab"}], {"ab", "abx"}, {"a", "xab", "AB"}),
        ([{"suffix": "ab"}], {"ab", "xab"}, {"b", "abx", "AB"}),
        ([{"wildcard": "a*b"}], {"ab", "axb"}, {"a", "xab", "abx"}),
        ([{"equals-ignore-case": "aB"}], {"ab", "AB", "Ab"}, {"a", "aBx", "xaB"}),
        ([{"anything-but": "ab"}], {"a", "abx", "xab", "AB"}, {"ab"}),
        ([1], {1}, {0, 2, 1.0000000000000002, 0.9999999999999999}),
        ([True], {True}, {None, False, "true"}),
        ([{"exists": True}], {None, "", False}, {None}),
    ],
    ids=lambda value: str(value) if isinstance(value, list) else "",  # sets have no order
)
def test_boundaries_are_just_inside_and_outside(pattern, inside, outside):
    found = {True: set(), False: set()}

    @settings(max_examples=60, database=None, derandomize=True, phases=[Phase.generate])
    @given(boundary({"a": pattern}))
    def look(edge):
        assert edge.matches == edge.inside
        assert edge.path == "a"
        assert json.loads(edge.test) == pattern[0]
        found[edge.inside].add(edge.value)

    look()
    assert (found[True] - {None}, found[False] - {None}) == (inside - {None}, outside - {None})


@FEW
@given(patterns(), patterns(), st.booleans(), st.data())
def test_what_distinguishes_patterns_does(first, second, on_a_bus, data):
    try:
        strategy = distinguishing(first, second, on_a_bus=on_a_bus)
    except NoSuchEventError as error:
        answer = first.equivalent(second, on_a_bus=on_a_bus)
        assert (isinstance(answer, Answer) and answer.holds) == error.proven  # noqa: PT017 - either may come
        return
    found = data.draw(strategy)
    verdicts = [matches(pattern, found.event) for pattern in (first, second)]
    assert verdicts == [found.matched_by == "first", found.matched_by == "second"]


def test_what_cannot_be_drawn_is_told():
    with pytest.raises(NoSuchEventError, match="No such event: the patterns are equivalent") as caught:
        distinguishing({"a": [1, 2]}, {"$or": [{"a": [2]}, {"a": [1]}]})
    assert caught.value.proven
    with pytest.raises(NoSuchEventError, match="None found: it takes too long"):
        excluding = [{"wildcard": f"*{a}*{b}*{a}{b}*"} for a in "abcd" for b in "abcd"]
        distinguishing({"a": excluding}, {"a": [*excluding, {"wildcard": "*a*b*ab*c*"}]})
    nothing = {"a": [{"numeric": [">", 1.7976931348623157e308]}]}
    for strategy in (matching, near_miss, boundary):
        with pytest.raises(NoSuchEventError, match="No such event"):
            strategy(nothing)
    with pytest.raises(NoSuchEventError, match="misses the pattern by one test"):
        near_miss({"a": [{"exists": True}, {"exists": False}]})
    with pytest.raises(PatternError):
        matching("{")
    assert importlib.import_module("pickle").loads(importlib.import_module("pickle").dumps(caught.value)).proven


def test_patterns_that_differ_in_arrays_only_are_distinguished_there():
    either = {"a": {"$or": [{"c": [1], "b": [{"exists": present}]} for present in (True, False)]}}
    found = find(distinguishing({"a": {"c": [1]}}, either), lambda _: True, settings=SOME)
    assert (found.event, found.matched_by) == ({"a": [{"c": 1}, {"b": ""}]}, "first")
    assert find(distinguishing(either, {"a": {"c": [1]}}), lambda _: True, settings=SOME).matched_by == "second"


@FEW
@given(patterns(on_a_bus=True), st.data())
def test_events_of_a_bus_have_its_envelope(pattern, data):
    try:
        drawn = [matching(pattern, on_a_bus=True), near_miss(pattern, on_a_bus=True), boundary(pattern, on_a_bus=True)]
    except NoSuchEventError:
        return
    event, missed, edge = map(data.draw, drawn)
    for one in (event, missed.event, edge.event):
        assert is_of_a_bus(one)
    assert matches(pattern, event)
    assert not matches(pattern, missed.event)
    assert matches(pattern, edge.event) == edge.matches


@FEW
@given(matching({"source": ["shop"], "detail": {"a": [1]}}, on_a_bus=True), events(on_a_bus=True), events())
def test_events_of_a_bus_can_be_read_as_such(event, other, anything):
    for one in (event, other):
        assert is_of_a_bus(one)
        assert Event.from_json(dumps(one)).detail == json.loads(dumps(one["detail"]))
    assert oracle.flatten(dumps(anything)) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        {"source": [{"exists": True}], "replay-name": [{"exists": False}, "r"], "resources": [{"exists": False}], "x": [{"exists": False}]},
        {"id": [{"anything-but": {"prefix": "a"}}], "time": [{"prefix": "2026"}], "resources": ["r"], "detail": [{"exists": False}]},
        {"account": [{"cidr": "10.0.0.0/8"}], "resources": [{"anything-but": "r"}], "detail": {"a": ["x"], "a.b": [1]}},
    ],
    ids=str,
)  # fmt: skip
def test_every_field_of_the_envelope_may_be_asked_for(pattern):
    @FEW
    @given(matching(pattern, on_a_bus=True), near_miss(pattern, on_a_bus=True))
    def check(event, missed):
        assert is_of_a_bus(event)
        assert matches(Pattern.parse(pattern), event)
        assert is_of_a_bus(missed.event)

    check()


@pytest.mark.parametrize(
    "pattern", [{"source": [1]}, {"x": [1]}, {"detail": ["x"]}, {"id": [{"anything-but": {"wildcard": "*"}}]}], ids=str
)
def test_what_no_event_of_a_bus_is_like_is_not_drawn(pattern):
    with pytest.raises(NoSuchEventError):
        matching(pattern, on_a_bus=True)


@settings(max_examples=30)
@given(invalid_patterns())
def test_invalid_patterns_are_refused(text):
    with pytest.raises(PatternError):
        Pattern.parse(text)
    with pytest.raises(oracle.Refused):
        oracle.compile_pattern(text)


def test_many_reasons_to_refuse_a_pattern_are_drawn():
    reasons = set()

    @settings(
        max_examples=100,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.large_base_example],
    )
    @given(invalid_patterns())
    def look(text):
        try:
            Pattern.parse(text)
        except PatternError as error:
            reasons.add(re.sub('".*"|match type .*|: .*|pattern .*|^.* is Ruler|pos [0-9]+', "...", error.reason))

    look()
    assert len(reasons) > 10, sorted(reasons)


def test_a_range_of_one_number_is_drawn_as_that_number():
    assert _patterns._range(1, 1, ">", "<") == {"numeric": ["=", 1]}
    assert _patterns._range(2, 1, ">", "<=") == {"numeric": [">", 1, "<=", 2]}


@FEW
@given(patterns())
def test_patterns_are_valid_to_the_oracle(pattern):
    assert oracle.compile_pattern(str(pattern))


def test_drawn_events_match_and_hardly_any_draw_is_given_up():
    tally = fuzz.run(12, 7)
    assert tally["sought for in vain"] == 0
    assert tally["events"] >= 12


@FEW
@given(st.integers(0, 10**6), st.data())
def test_patterns_with_names_and_operands_that_are_made_to_hurt_are_drawn_from(seed, data):
    text, _ = generators.pattern(random.Random(seed))  # noqa: S311 - reproducible, no secret
    try:
        strategy = matching(text)
    except NoSuchEventError:
        return
    assert oracle.matches(text, dumps(data.draw(strategy)))


def test_the_extra_is_named_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "eventrouter.testing.strategies")
    with pytest.raises(MissingExtraError, match="testing"):
        importlib.import_module("eventrouter.testing.strategies")


def test_schedule_expressions_have_their_form():
    """Of each kind, and `?` in one of the two fields of days."""

    @settings(max_examples=60)
    @given(schedule_expressions())
    def look(text):
        name, _, rest = text.partition("(")
        fields = rest.removesuffix(")").split(" ")
        assert len(text) <= 256
        assert len(fields) == {"rate": 2, "cron": 6, "at": 1}[name]
        assert name != "cron" or [fields[2], fields[4]].count("?") == 1

    look()
    for kind in ("rate(1 minute)", "at(2000-01-01T00:00:00)", "cron(* * ? * * *)"):
        assert find(schedule_expressions(), lambda text, kind=kind: text[:3] == kind[:3], settings=SOME)


# --- details that a model takes -------------------------------------------------------------------------------------


class Tier(enum.StrEnum):
    GOLD = "gold"
    SILVER = "silver"


class Line(BaseModel):
    sku: Annotated[str, Field(min_length=3, max_length=8)]
    amount: Annotated[int, Field(gt=0, le=100)]
    note: str | None = None


class Order(BaseModel):
    order_id: UUID = Field(alias="orderId")
    total: Annotated[float, annotated_types.Gt(0), annotated_types.Lt(10_000)]
    tier: Tier
    state: Literal["paid", "open"] = "open"
    lines: Annotated[list[Line], Field(min_length=1)]
    placed: datetime
    day: date | None = None
    code: Annotated[str, Field(pattern="^[A-Z]{2}[0-9]+$")] = "AA1"
    price: Decimal = Decimal(1)
    dozen: Annotated[int, Field(multiple_of=12)] = 12
    flag: bool = False
    tags: dict[str, int] = {}
    pair: tuple[int, str] = (1, "a")
    unique: set[int] = set()
    parent: "Order | None" = None
    anything: object = None


@pytest.mark.parametrize(
    "detail",
    [
        {"total": [{"numeric": [">", 100]}]},
        {"total": [{"numeric": ["=", 7]}, 5, {"anything-but": 6}], "tier": ["gold", "bronze"]},
        {"tier": [{"prefix": "s"}], "state": [{"anything-but": "open"}], "flag": [True]},
        {"lines": {"sku": [{"prefix": "AB"}], "amount": [{"numeric": [">=", 100]}]}},
        {"lines": {"sku": [{"suffix": "ABCD"}], "note": [None]}},
        {"lines": {"sku": [{"equals-ignore-case": "abc"}], "note": [{"exists": False}]}},
        {"lines": {"sku": ["ABC"], "amount": [1, {"exists": True}]}},
        {"orderId": ["00000000-0000-0000-0000-000000000000", "x"], "day": [{"exists": True}]},
        {"placed": [{"exists": True}], "code": ["AA1", "x"], "dozen": [{"numeric": [">", 12]}, 24, 25]},
        {"parent": {"tier": ["gold"]}, "tags": {"x": [3]}, "dozen": [24, 25]},
        {"anything": ["x"], "pair": [1], "unique": [{"numeric": [">", 3]}], "day": [{"exists": False}]},
        {"flag": [{"exists": True}], "extra": ["x"], "price": [{"numeric": [">", 1]}]},
        {"parent": [None], "orderId": [{"exists": True}], "more.extra": [{"exists": False}, 1]},
    ],
    ids=json.dumps,
)
def test_details_fit_the_model_and_the_pattern(detail):
    pattern = Pattern.parse({"detail-type": ["Order"], "detail": detail})

    @settings(FEW, suppress_health_check=[HealthCheck.too_slow])
    @given(matching(pattern, on_a_bus=True, model=Order))
    def check(event):
        assert matches(pattern, event)
        Order.model_validate_json(dumps(event["detail"]))
        assert is_of_a_bus(event)

    check()


@FEW
@given(events(model=Line), events(on_a_bus=True, model=Line), matching({"a": [1]}, model=Line))
def test_events_have_details_of_a_model(event, of_a_bus, matched):
    for one in (event, of_a_bus, matched):
        assert Line.model_validate(one["detail"])
    assert matches(Pattern.parse({"a": [1]}), matched)


@pytest.mark.parametrize(
    "detail",
    [
        {"amount": [101]},
        {"amount": [{"numeric": [">", 100]}]},
        {"amount": [1.5]},
        {"amount": ["1"]},
        {"amount": {"x": [1]}},
        {"sku": [{"exists": False}]},
        {"sku": ["AB"]},
        {"sku": [{"prefix": "ABCDEFGHI"}]},
        {"sku": {"x": [1]}},
        {"note": [True]},
        {"amount": [{"prefix": "1"}]},
    ],
    ids=json.dumps,
)
def test_what_no_detail_of_a_model_is_like_is_told(detail):
    with pytest.raises(NoSuchEventError, match="no detail of Line"):
        matching({"detail": detail}, model=Line)


class Even(BaseModel, extra="forbid"):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number):
        if number % 2 or not number:
            raise ValueError("odd, or nothing")
        return number


def test_what_a_validator_refuses_is_drawn_again():
    assert find(matching({"detail": {"number": [{"exists": True}]}}, model=Even), lambda _: True, settings=SOME) == {
        "detail": {"number": 2}
    }


@pytest.mark.parametrize(("model", "detail"), [(Even, {"extra": ["x"]}), (Order, {"tags": {"x": ["no integer"]}})])
def test_a_field_that_a_model_forbids_or_has_another_type_for_is_told(model, detail):
    with pytest.raises(NoSuchEventError, match=f"no detail of {model.__name__}"):
        matching({"detail": detail}, model=model)
