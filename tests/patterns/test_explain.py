"""Explanations: what failed, where, and the smallest change that helps."""

import copy
import json
import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventrouter import InvalidEventError, Pattern, lint
from eventrouter.patterns import _repair
from tests import generators

randoms = st.integers(0, 2**64).map(random.Random)


def explain(pattern, event):
    return Pattern.parse(pattern).explain(event)


def applied(event, changes):
    """Make the changes, one after the other."""
    changed = copy.deepcopy(event)
    for change in changes:
        *steps, last = change.steps
        place = changed
        for step in steps:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        is_new = last not in place if isinstance(place, dict) else last == len(place)
        assert (change.kind == "add") is is_new
        if change.kind == "remove":
            del place[last]
        elif isinstance(place, list):
            place[last : last + 1] = [copy.deepcopy(change.value)]
        else:
            place[last] = copy.deepcopy(change.value)
    return changed


def is_small(text):
    """Say whether a generated pattern keeps within the limit of combinations; few do not."""
    return not any(finding.code == "too-complex" for finding in lint(text))


@given(randoms)
def test_an_explanation_agrees_with_the_verdict_and_its_changes_make_a_match(rng):
    text, plan = generators.pattern(rng)
    assume(is_small(text))
    pattern = Pattern.parse(text)
    for event in (generators.event(rng, plan, miss=True), generators.random_event(rng)):
        told = pattern.explain(event)
        assert told.matched is pattern.matches_json(event)
        assert (told.distance == 0) is told.matched
        assert len(told.branches) == len(pattern.sub_rules)
        assert str(told).startswith("match" if told.matched else "no match")
        for branch in told.branches:
            assert sorted(map(str, branch.changes)) == sorted(
                str(one) for field in branch.fields for one in field.changes
            )
            hopeless = any(field.note == "no value fits" for field in branch.failed)
            assert branch.matched or hopeless or pattern.matches(applied(json.loads(event), branch.changes))


@pytest.mark.parametrize(
    ("test", "value", "change"),
    [
        ("running", "runing", "running"),
        ({"exactly": "::1"}, "::2", "::1"),
        ({"prefix": "i-"}, "0abc", "i-0abc"),
        ({"suffix": ".png"}, "photo", "photo.png"),
        ({"equals-ignore-case": "Yes"}, "no", "Yes"),
        ({"suffix": ".png"}, "photo.jpg", "photo.png"),
        ({"suffix": {"equals-ignore-case": ".PNG"}}, "photo.jng", "photo.Png"),
        ({"prefix": "shop."}, "shpo.orders", "shop.orders"),
        ({"prefix": {"equals-ignore-case": "Shop."}}, "SHOP", "SHOP."),
        ({"equals-ignore-case": "Yes"}, "YEZ", "YEs"),
        ({"equals-ignore-case": "\u01c5"}, "x", "\u01c6"),
        ({"wildcard": "a*b"}, "x", "axb"),
        ({"wildcard": "arn:*:prod"}, "arn:x:y:z:prd", "arn:x:y:z:prod"),
        ({"wildcard": "arn:*:prod:*"}, "arn:x:prd:y", "arn:x:prod:y"),
        ({"wildcard": "a*b*"}, "x" * 20_000, "ab"),
        ({"numeric": [">", 100]}, 50, 101),
        ({"numeric": [">=", 100]}, 50, 100),
        ({"numeric": ["<", 1]}, 5, 0),
        ({"numeric": [">", 0, "<", 1]}, 5, 0.5),
        ({"numeric": [">", 0.5]}, 0.25, 1),
        ({"numeric": [">=", 0, "<=", 100]}, 150, 100),
        ({"numeric": [">", 0, "<", 10]}, 50, 9),
        ({"numeric": [">", 0, "<", 10]}, -50, 1),
        ({"numeric": [">", 0, "<", 10]}, "x", 1),
        ({"numeric": [">", 100]}, "250", 250),
        ({"numeric": ["<", 100]}, "2.5", 2.5),
        ({"numeric": ["=", 7]}, 5, 7),
        ({"numeric": [">", 9007199254740992]}, 5, 9007199254740993),
        ({"numeric": [">", 1e300]}, 5, 1.0000000000000002e300),
        ({"cidr": "10.1.0.0/16"}, "10.2.3.4", "10.1.3.4"),
        ({"cidr": "10.1.0.0/16"}, "elsewhere", "10.1.0.0"),
        ({"cidr": "2001:db8::/32"}, "10.2.0.1", "2001:db8::"),
        ({"cidr": "2001:db8::/32"}, "2002:db8::5", "2001:db8::5"),
        ({"anything-but": "x"}, "x", "x-other"),
        ({"anything-but": {"suffix": ["x"]}}, "ax", "ax-other"),
        ({"anything-but": {"prefix": ["a"]}}, "ax", "other-ax"),
        ({"anything-but": {"wildcard": "*x*"}}, "ax", "other"),
        ({"anything-but": [5, 6]}, 5, 4),
        ({"anything-but": {"wildcard": "*"}}, "x", 0),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_the_smallest_change_is_a_value_that_fits(test, value, change):
    told = explain({"a": [test]}, {"a": value})
    [only] = told.branches[0].changes
    assert (only.steps, only.value, type(only.value), only.kind) == (("a",), change, type(change), "set")
    assert explain({"a": [test]}, {"a": change}).matched


def test_the_nearest_alternative_is_chosen():
    told = explain({"a": ["terminated", "running", 5, {"exists": False}]}, {"a": "runing"})
    assert [change.value for change in told.branches[0].changes] == ["running"]
    assert [change.value for change in explain({"a": [1, 40, 7]}, {"a": 38}).branches[0].changes] == [40]
    assert [change.value for change in explain({"a": [True, False]}, {"a": "false"}).branches[0].changes] == [False]
    assert [change.value for change in explain({"a": ["x", "500"]}, {"a": 5001}).branches[0].changes] == ["500"]
    huge = explain({"a": [1.5, 10**400]}, {"a": 10**399})
    assert huge.branches[0].changes[0].value in (1.5, 10**400)


@pytest.mark.parametrize(
    ("pattern", "event", "changes"),
    [
        ({"a": {"b": ["x"]}}, {}, ['add $.a.b = "x"']),
        ({"a": {"b": [1], "c": [2]}}, {}, ["add $.a.b = 1", "add $.a.c = 2"]),
        ({"a": {"b": [{"exists": True}]}}, {"a": {"c": 1}}, ['add $.a.b = "any"']),
        ({"detail-type": ["x"]}, {"detail-type": "y"}, ["set $['detail-type'] = \"x\""]),
        # What is in the way stays.
        ({"a": {"b": [1]}}, {"a": 5}, ["add $['a.b'] = 1"]),
        ({"a": {"b": [1]}}, {"a.b": {}, "a": 5}, ["set $['a.b'] = 1"]),
        ({"a": [1]}, {"a": {}}, ["set $.a = 1"]),
        ({"a": [1], "a.b": [2]}, {"a": {"b": 2}}, ['set $.a = [1,{"b":2}]']),
        ({"a": [1], "a.b": [2]}, {"a": 2}, ["set $.a = 1", "add $['a.b'] = 2"]),
        ({"a": [1], "a.b": [{"exists": False}]}, {"a": {"b": 2}}, ['set $.a = [1,{"b":2}]', "remove $.a[1].b"]),
        ({"a": [1], "a.b": [2], "c": [{"exists": False}]}, {"a": {"b": 2}, "c": 3}, ['set $.a = [1,{"b":2}]', "remove $.c"]),
        ({"a": [{"anything-but": "x"}]}, {}, ['add $.a = "other"']),
        ({"a": [1], "a.b": [2], "a.b.c": [3]}, {"a": {"b": {"c": 3}}}, ['set $.a.b = [2,{"c":3}]', 'set $.a = [1,{"b":[2,{"c":3}]}]']),
        # The elements of arrays: the nearest, the first object, or a new one.
        ({"a": ["running"]}, {"a": ["zzz", "runing"]}, ['set $.a[1] = "running"']),
        ({"a": [5]}, {"a": [1, 2, 3, 4.9]}, ["set $.a[3] = 5"]),
        ({"a": {"b": ["x"], "c": [1]}}, {"a": [{"b": ["xx", "zzz"], "c": 1}]}, ['set $.a[0].b[0] = "x"']),
        ({"a": [5]}, {"a": []}, ["add $.a[0] = 5"]),
        ({"a": {"b": [1]}}, {"a": [3, {"c": 1}]}, ["add $.a[1].b = 1"]),
        ({"a": {"b": [1]}}, {"a": [[{"c": 1}]]}, ["add $.a[0][0].b = 1"]),
        ({"a": {"b": {"c": [1]}, "d": [2]}}, {"a": [3]}, ['add $.a[1] = {"b":{"c":1}}', "add $.a[1].d = 2"]),
        ({"a": {"b": [1]}}, {"a": [[3]]}, ['add $.a[0][1] = {"b":1}']),
        ({"a": {"b": [{"exists": False}], "c": [1], "a": [2]}}, {"a": [{"b": 1}, {}]}, ["add $.a[1].a = 2", "add $.a[1].c = 1"]),
        # What may not be there goes everywhere, whole or from the end.
        ({"a": [{"exists": False}]}, {"a": [1, 2, 3]}, ["remove $.a"]),
        ({"a": [{"exists": False}]}, {"a": [1, 2, {"b": 3}]}, ["remove $.a[1]", "remove $.a[0]"]),
        ({"a": [{"exists": False}]}, {"a": [[1], [[2]]]}, ["remove $.a"]),
        ({"a": {"b": [{"exists": False}]}}, {"a": [{"b": 1}, {"b": 2}]}, ["remove $.a[1].b", "remove $.a[0].b"]),
        ({"a": [{"exists": False}], "a.b": [1]}, {"a": [2]}, ['add $.a[1] = {"b":1}', "remove $.a[0]"]),
        ({"a": {"b": [{"exists": False}, "x"], "c": [1]}}, {"a": [{"c": 2}, {"b": 3, "c": 1}]}, ['set $.a[1].b = "x"']),
    ],
    ids=str,
)  # fmt: skip
def test_the_changes_name_their_places(pattern, event, changes):
    [branch] = explain(pattern, event).branches
    assert [str(change) for change in branch.changes] == changes
    assert explain(pattern, applied(event, branch.changes)).matched


def test_a_test_that_nothing_passes_is_told():
    told = explain({"a": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}, {"a": 1})
    assert told.branches[0].changes == ()
    assert str(told) == ('no match\n  - a: 1 does not fit {"numeric":[">",1,"<",1.0000000000000002]} (no value fits)')


ORDERS = {"detail": {"items": {"sku": ["A"], "qty": [{"numeric": [">=", 2]}], "without": [{"exists": False}]}}}


def test_the_nearest_element_of_an_array_is_named():
    event = {
        "detail": {"items": [{"sku": "B", "qty": 1}, {"sku": "A", "qty": 1}, {"sku": "C", "qty": 1, "without": 1}]}
    }
    [branch] = explain(ORDERS, event).branches
    assert branch.elements == ("$.detail.items[1]",)
    assert [(field.path, [found.place for found in field.found]) for field in branch.failed] == [
        ("detail.items.qty", ["$.detail.items[1].qty"])
    ]
    assert explain(ORDERS, applied(event, branch.changes)).matched


def test_the_nearest_of_many_elements_is_found():
    rows = [{"sku": f"sku-{n}", "size": 5 if n == 150 else 4} for n in range(200)]
    [branch] = explain({"rows": {"sku": ["none"], "size": [5]}}, {"rows": rows}).branches
    assert branch.elements == ("$.rows[150]",)
    [branch] = explain({"rows": {"sku": ["sku-150x"]}}, {"rows": rows}).branches
    assert branch.elements == ("$.rows[150]",)


def test_past_its_patience_an_explanation_is_still_right(monkeypatch):
    monkeypatch.setattr(_repair, "_LOOKS", 0)
    monkeypatch.setattr(_repair, "_CELLS", 0)
    pattern, event = {"a": {"b": [{"suffix": "xyz"}], "c": [1]}}, {"a": [{"b": "xy", "c": 2}, {"b": "xz", "c": 1}]}
    [branch] = explain(pattern, event).branches
    assert [str(change) for change in branch.changes] == ['set $.a[1].b = "xzxyz"']


def test_fields_that_pass_in_different_elements_do_not_pass_together():
    event = {"detail": {"items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 5}]}}
    [branch] = explain(ORDERS, event).branches
    assert len(branch.failed) == 1
    assert explain(ORDERS, applied(event, branch.changes)).matched


def test_absence_that_depends_on_the_order_of_names_is_told():
    told = explain({"a": {"b": [{"exists": False}], "c": [1], "d": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 1}]})
    [failed] = told.branches[0].failed
    assert (failed.path, [str(change) for change in failed.changes]) == ("a.b", ["remove $.a[0].b"])
    assert "in the order of their names" in str(told)


def test_each_branch_of_or_is_told_the_nearest_first():
    pattern = {"$or": [{"a": [1], "b": [1]}, {"c": {"$or": [{"d": [1]}, {"e": [1]}]}}], "f": [1]}
    told = explain(pattern, {"c": {"e": 1}, "f": 2})
    assert [(branch.choices, len(branch.failed)) for branch in told.branches] == [
        (("$['$or'][1]", "$['$or'][1].c['$or'][1]"), 1),
        (("$['$or'][1]", "$['$or'][1].c['$or'][0]"), 2),
        (("$['$or'][0]",), 3),
    ]


def test_the_text_reads_well():
    pattern = {"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}, None]}}
    assert str(explain(pattern, {"source": "shop", "detail": {"total": 1}})).splitlines() == [
        "no match",
        '  - detail.total: 1 does not fit {"numeric":[">",100]} or null; set $.detail.total = 101',
        '  + source: "shop" fits "shop"',
    ]
    assert str(explain(pattern, {"source": "shop", "detail": {"total": [1, 2, None, 4, 5, None]}})).splitlines() == [
        "match",
        '  + detail.total: null, null fit {"numeric":[">",100]} or null',
        '  + source: "shop" fits "shop"',
    ]
    gone = explain({"a": [{"exists": False}]}, {"a": [1, 2, 3, 4, 5, {}]})
    assert str(gone).splitlines()[1] == (
        '  - a: 1, 2, 3 and 2 more do not fit {"exists":false}; remove $.a[4], remove $.a[3], remove $.a[2] and 2 more'
    )
    assert str(explain({"a": [{"exists": True}]}, {"a": {"b": 1}})).splitlines()[1] == (
        '  - a: missing, wanted {"exists":true} (an object is there, and has no value of its own); set $.a = "any"'
    )
    assert "(a name with dots means the same as nesting," in str(explain({"a": {"b": [1]}}, {"a": 5}))
    assert str(explain({"a": list(range(12))}, {})).splitlines()[1].endswith(" or 9 or 2 more; add $.a = 0")
    many = explain({"$or": [{"a": [n]} for n in range(5)]}, {})
    assert str(many).splitlines()[-1] == "  (2 more branches of $or, none nearer)"


def test_long_values_are_abbreviated():
    text = str(explain(f'{{"a": [1{"0" * 5000}, "{"y" * 300}"]}}', {"a": [-(10**5000), "x" * 300]}))
    zeros = "0" * 59
    assert f"  - a: -1{zeros[1:]}... (5,001 digits)," in text
    assert f'do not fit 1{zeros}... (5,001 digits) or "{"y" * 59}... (302 characters)' in text


def test_data_that_has_no_json_form_is_refused_as_matching_refuses_it():
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(InvalidEventError, match="a datetime at a is not a JSON value"):
        explain({"a": [1]}, {"a": moment})
    assert explain({"a": [1]}, {"a": Decimal(1), "b": moment}).matched
    kept = explain({"a": [1], "a.b": [2]}, {"a": {"b": 2, "c": moment}})
    assert "set $.a = {...} (a list)" in str(kept)


def test_an_event_may_be_text_and_has_to_be_an_object():
    assert Pattern.parse({"a": [1]}).explain(b'{"a":1}').matched
    with pytest.raises(InvalidEventError):
        Pattern.parse({"a": [1]}).explain("[1]")
    with pytest.raises(InvalidEventError):
        Pattern.parse({"a": [1]}).explain([1])
