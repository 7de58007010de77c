"""What patterns are to one another: the answers, their witnesses, and what is not known."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventrouter import Answer, Event, Pattern, UndecidedError, Unknown
from eventrouter.patterns._tree import dumps
from eventrouter.testing.strategies import matching, patterns
from tests import oracle
from tests.fuzz import algebra

parse = Pattern.parse


@pytest.mark.parametrize(
    ("first", "second", "witness"),
    [
        ({"a": [1, 2]}, {"a": [2, 3]}, {"a": 2}),
        ({"a": [{"prefix": "ab"}]}, {"a": [{"suffix": "bc"}]}, {"a": "abc"}),
        ({"a": [{"wildcard": "a*c"}]}, {"a": [{"anything-but": ["ac"]}]}, {"a": "aac"}),
        ({"a": [{"numeric": [">", 1]}]}, {"a": [{"numeric": ["<", 2]}]}, {"a": 1.5}),
        ({"a": [{"cidr": "10.0.0.0/8"}]}, {"a": [{"anything-but": {"prefix": "10."}}]}, {"a": "010.000.000.000"}),
        ({"a": [{"equals-ignore-case": "ab"}]}, {"a": [{"prefix": "A"}]}, {"a": "Ab"}),
        ({"a": [1]}, {"b": [2]}, {"a": 1, "b": 2}),
        ({"a": [1]}, {"a": {"b": [2]}}, {"a": 1, "a.b": 2}),
        ({"a": [{"exists": False}]}, {"a": [{"exists": False}, 1]}, {}),
        # A value for each, in an array; and an element for each, as the absence is one of the element (11.5).
        ({"a": [1]}, {"a": [2]}, {"a": [1, 2]}),
        ({"a": {"b": [1], "z": [{"exists": False}]}}, {"a": {"z": [2]}}, {"a": [{"b": 1}, {"z": 2}]}),
        ({"a": [1], "a.z": [{"exists": False}]}, {"a": {"z": [2]}}, {"a": [[1], {"z": 2}]}),
        ({"a": {"b": [1], "z": [2]}}, {"a": [1, {"exists": False}], "a.z": [{"exists": False}]}, None),
        ({"a": {"z": [2]}}, {"a": [1, {"exists": False}], "a.z": [{"exists": False}]}, {"a": [{"z": 2}, [1]]}),
    ],
)
def test_patterns_overlap(first, second, witness):
    answer = parse(first).overlaps(parse(second))
    if witness is None:
        assert answer
        witness = answer.witness
    assert answer == Answer(True, witness)
    assert all(oracle.matches(json.dumps(pattern), json.dumps(witness)) for pattern in (first, second))


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ({"a": [1]}, {"a": [{"exists": False}]}, {}),
        ({"a": {"b": [{"exists": False}], "c": [1]}}, {"a": {"b": [2]}}, {}),
        # An absence that would need an anchor, which the other pattern takes away.
        (
            {"a": {"b": [1, {"exists": False}], "z": [{"exists": False}]}},
            {"a": {"b": [{"exists": False}], "z": [1]}},
            {},
        ),
        ({"a": [1]}, {"a": [2]}, {"arrays": False}),
        ({"a": [{"prefix": "ab"}]}, {"a": [{"prefix": "ac"}]}, {"arrays": False}),
        ({"source": ["a"]}, {"source": ["b"]}, {"on_a_bus": True}),
        ({"a": [{"numeric": [">", 1.7976931348623157e308]}]}, {"b": [1]}, {}),
    ],
)
def test_patterns_are_apart(first, second, options):
    assert parse(first).overlaps(parse(second), **options) == Answer(False)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": ["abc"]}, {"a": [{"prefix": "ab"}]}),
        ({"a": [{"prefix": "abc"}]}, {"a": [{"prefix": "ab"}]}),
        ({"a": [{"wildcard": "a*b*c"}]}, {"a": [{"wildcard": "a*c"}]}),
        ({"a": [{"numeric": [">", 5]}]}, {"a": [{"numeric": [">=", 5]}]}),
        ({"a": [{"cidr": "10.1.0.0/16"}]}, {"a": [{"cidr": "10.0.0.0/8"}]}),
        ({"a": ["10.0.0.1"]}, {"a": ["010.0.0.1"]}),
        ({"a": [1], "b": [2]}, {"b": [2]}),
        ({"a": [1]}, {"$or": [{"a": [1]}, {"b": [1]}]}),
        # No one sub-rule has it all.
        ({"a": [{"exists": True}]}, {"$or": [{"a": [1]}, {"a": [{"anything-but": 1}]}]}),
        ({"a": [1]}, {"$or": [{"a": [1], "b": [{"exists": True}]}, {"a": [1], "b": [{"exists": False}]}]}),
        ({"a": {"b": [1]}}, {"a": {"$or": [{"b": [1], "z": [{"exists": x}]} for x in (True, False)]}}),
        ({"a": [{"numeric": [">", 1.7976931348623157e308]}]}, {"b": [1]}),
    ],
)
def test_a_pattern_implies_another(first, second):
    assert parse(first).implies(parse(second)) == Answer(True)


@pytest.mark.parametrize(
    ("first", "second", "witness"),
    [
        ({"a": [1, 2]}, {"a": [1]}, {"a": 2}),
        ({"a": [{"prefix": "ab"}]}, {"a": [{"prefix": "abc"}]}, {"a": "ab"}),
        ({"a": [1]}, {"a": [1], "b": [2]}, {"a": 1}),
        ({"a": [{"exists": True}]}, {"a": [{"prefix": ""}]}, {"a": 0}),
        # In an array, a field is neither in the element nor absent from all.
        ({"a": {"c": [1]}}, {"a": {"$or": [{"c": [1], "b": [{"exists": x}]} for x in (True, False)]}}, {"a": [{"c": 1}, {"b": ""}]}),
        ({"a": {"c": [1], "z": [{"exists": False}]}}, {"a": {"z": [{"exists": False}]}}, {"a": [{"c": 1}, {"z": ""}]}),
    ],
)  # fmt: skip
def test_a_pattern_does_not_imply_another(first, second, witness):
    answer = parse(first).implies(parse(second))
    assert answer == Answer(False, witness)
    verdicts = [oracle.matches(json.dumps(pattern), json.dumps(witness)) for pattern in (first, second)]
    assert verdicts == [True, False]


def test_patterns_are_equivalent_however_they_are_written():
    first, second = parse({"a": [1], "b": [2, 3]}), parse({"$or": [{"b": [3], "a": [1]}, {"b": [2], "a": [1.0]}]})
    assert first != second
    assert first.equivalent(second)
    assert first.equivalent(first)
    assert first.implies(first)
    assert first.equivalent(parse({"a": [1], "b": [2]})) == Answer(False, {"a": 1, "b": 3})
    assert parse({"a": [1]}).equivalent(parse({"a": [1, 2]})) == Answer(False, {"a": 2})


def test_a_pattern_is_empty_if_a_field_has_no_value():
    assert parse({"a": [{"numeric": [">", 9007199254740992, "<", 9007199254740994]}]}).is_empty() == Answer(
        False, {"a": 9007199254740993}
    )
    assert parse({"a": [{"numeric": [">", 1, "<", 1.0000000000000002]}]}).is_empty() == Answer(True)
    assert parse({"a": [{"numeric": ["<", -1.7976931348623157e308]}]}).is_empty()
    assert parse({"a": [1], "b": [{"exists": False}]}).is_empty() == Answer(False, {"a": 1})


@pytest.mark.parametrize(
    "pattern",
    [{"source": [{"exists": False}]}, {"id": [5]}, {"sorce": ["a"]}, {"detail": ["a"]}, {"source": {"a": ["a"]}}],
    ids=json.dumps,
)
def test_on_a_bus_events_have_the_envelope(pattern):
    assert not parse(pattern).is_empty()
    assert parse(pattern).is_empty(on_a_bus=True)


def test_the_witness_on_a_bus_is_an_event_of_a_bus():
    pattern = parse(
        {"source": ["shop"], "resources": [{"prefix": "arn:"}], "detail": {"a": {"b": [1], "z": [{"exists": False}]}}}
    )
    witness = pattern.overlaps(parse({"detail": {"a": {"z": [2]}}}), on_a_bus=True).witness
    event = Event.from_json(dumps(witness))
    assert (event.source, event.resources) == ("shop", ("arn:",))
    assert event.detail == {"a": [{"b": 1}, {"z": 2}]}
    assert algebra.is_of_a_bus(witness)


NETWORK = {"source": [{"cidr": "10.0.0.0/8"}]}
#: All ways that are tried to write an address of the network begin so; whether there is another is not known.
BEGINS = ("1", "01", "001", "::", "0:")


def test_what_is_not_known_is_no_answer():
    answer = parse(NETWORK).implies(parse({"source": [{"prefix": text} for text in BEGINS]}))
    assert isinstance(answer, Unknown)
    assert "IP address" in answer.reason
    with pytest.raises(
        UndecidedError, match="Neither proven nor disproven: it depends on whether an IP address"
    ) as caught:
        bool(answer)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("options", [{"arrays": False}, {"on_a_bus": True}], ids=str)
def test_whether_a_field_of_one_value_can_be_in_both_may_not_be_known(options):
    other_spellings = parse({"source": [{"anything-but": {"prefix": list(BEGINS)}}]})
    unknown = Unknown("it depends on whether an IP address can be written in some way")
    assert parse(NETWORK).overlaps(other_spellings, **options) == unknown


def test_no_double_lies_between_neighbours():
    """From 2**53 on not each integer is a double, but a number of JSON may be any."""
    first, second = parse('{"a": [9007199254740992, 9007199254740993]}'), parse({"a": [{"numeric": [">", 5]}]})
    assert first.implies(second)
    assert second.implies(first) == Answer(False, {"a": 6})


def hard(number, letters):
    """A pattern whose wildcards have more states together than there is time to look at."""
    return parse({"a": [{"wildcard": f"*{one}*{other}*{one}{other}*{number}"} for one in letters for other in letters]})


ANY = {"$or": [{"a": [f"x{n}"]} for n in range(1_000)]}
LISTED = {"a": [f"x{n}" for n in range(1_000)]}
OPTIONAL = [{f"f{n}": [{"exists": False}, n]} for n in range(321)]
EXCLUDING = {"$or": [{f"f{n}": [n], "a": [{"anything-but": n}]} for n in range(900)]}


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        ("implies", hard(1, "abcdefg"), hard(2, "gfedcba")),
        ("overlaps", hard(1, "abcdefg"), parse({"a": [{"exists": False}]})),
        ("equivalent", parse(EXCLUDING), parse({"$or": [{f"f{n}": [n], "a": [{"anything-but": n + 1}]} for n in range(900)]})),
        ("implies", parse({"a": [f"x{n}" for n in range(2_000)]}), parse(ANY)),
        ("overlaps", parse({"$or": [{"a": [f"x{n}"], "b": [{"exists": False}]} for n in range(900)]}), parse({"$or": [{"b": [n]} for n in range(900)]})),
        ("implies", parse({"$or": OPTIONAL[1:]}), parse({"$or": OPTIONAL})),  # of points it does; of arrays it takes too long
    ],
)  # fmt: skip
def test_the_work_is_bounded(question, first, second):
    assert getattr(first, question)(second) == Unknown("it takes too long to find out")


def test_long_lists_are_compared():
    assert parse(ANY).implies(parse(LISTED))
    assert parse(LISTED).overlaps(parse(ANY)) == Answer(True, {"a": "x0"})
    assert parse(LISTED).implies(parse({"a": [f"x{n}" for n in range(1, 1_100)]})) == Answer(False, {"a": "x0"})


def test_no_answer_is_wrong():
    total, wrong = algebra.run(150, "suite")
    assert wrong is None
    assert total["is_empty", "False"] > 100


@settings(max_examples=10)
@given(patterns(), patterns(), st.data())
def test_of_what_is_drawn(first, second, data):
    """A pattern implies a choice between it and another; what matches it is in whatever it implies."""
    either = parse({"$or": [json.loads(str(first)), json.loads(str(second))]})
    answer = first.implies(either)
    assert isinstance(answer, Unknown) or answer
    if not isinstance(answer, Unknown) and not first.is_empty():
        assert either.matches(data.draw(matching(first)))
