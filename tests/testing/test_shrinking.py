"""What the strategies shrink to: for eleven bugs that an event-driven service may have, the smallest event that shows it."""

import pytest
from hypothesis import Phase, find, settings

from eventrouter.testing.strategies import boundary, distinguishing, matching, near_miss

SETTINGS = settings(
    max_examples=2_000, deadline=None, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink]
)


def first_elements(value):
    """Read an event as one would who has never seen an array of two."""
    if isinstance(value, list):
        return first_elements(value[0])
    return {name: first_elements(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def is_seen(value):
    return isinstance(value, dict) and value.get("b") == 1 and value.get("c") == 2


BUGS = {
    "a bound that belongs to the outside is taken in": (
        boundary({"a": [{"numeric": [">", 5]}]}),
        lambda found: found.event["a"] == 5,
        lambda found: found.event == {"a": 5} and not found.inside,
    ),
    "a prefix is looked for anywhere": (
        boundary({"a": [{"prefix": "ab"}]}),
        lambda found: "ab" in found.value and not found.inside,
        lambda found: found.event == {"a": "xab"},
    ),
    "only the first element of an array is looked at": (
        matching({"a": {"b": [1], "c": [2]}}),
        lambda event: isinstance(event.get("a"), list) and not is_seen(first_elements(event)["a"]),
        lambda event: event == {"a": [{}, {"b": 1, "c": 2}]},
    ),
    "null counts as nothing": (
        matching({"a": [{"anything-but": "x"}]}),
        lambda event: event.get("a") is None,
        lambda event: event == {"a": None},
    ),
    "a field that is null counts as absent": (
        near_miss({"a": [{"exists": False}], "b": [1]}),
        lambda found: found.path == "a" and found.found is None,
        lambda found: found.event == {"a": None, "b": 1},
    ),
    "a number is compared with its type": (
        matching({"a": [1]}),
        lambda event: isinstance(event["a"], float),
        lambda event: event == {"a": 1.0},
    ),
    "case is ignored in the first character only": (
        matching({"a": [{"equals-ignore-case": "abc"}]}),
        lambda event: isinstance(event["a"], str) and event["a"][1:] != "bc",
        lambda event: event == {"a": "aBc"},
    ),
    "addresses are compared as text": (
        matching({"a": [{"cidr": "10.0.0.0/8"}]}),
        lambda event: isinstance(event["a"], str) and not event["a"].startswith("10."),
        lambda event: event == {"a": "010.000.000.000"},
    ),
    "a name with a dot is one name": (
        matching({"a": {"b": ["x"]}}),
        lambda event: "a" not in event,
        lambda event: event == {"a.b": "x"},
    ),
    "all branches of $or are wanted": (
        matching({"$or": [{"a": [1]}, {"b": [2]}]}),
        lambda event: "a" not in event,
        lambda event: event == {"b": 2},
    ),
    "a bound is not the same as the other": (
        distinguishing({"a": [{"numeric": [">=", 5]}]}, {"a": [{"numeric": [">", 5]}]}),
        lambda found: True,
        lambda found: found.event == {"a": 5} and found.matched_by == "first",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_smallest_event_is_found(bug):
    strategy, shows_it, is_smallest = BUGS[bug]
    found = find(strategy, shows_it, settings=SETTINGS)
    assert is_smallest(found), found
