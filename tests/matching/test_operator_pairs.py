"""No operator changes what another one on the same field answers (reference 13.5), in whatever order they come.

event-ruler has wrong answers for some pairs, as they share one automaton.
"""

from itertools import product

import pytest

from eventrouter import Matcher, Pattern
from tests import oracle
from tests.matching.material import FORMS, STRATEGIES, VALUES, fillers

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover

STRINGS = ["".join(letters) for size in range(3) for letters in product("abAé", repeat=size)]
STRINGS += ["".join(letters) for letters in product("ab", repeat=3)] + ["aaBb", "ébéa", "abAa", "éaé"]  # 13.5's
EVENTS = [{}, *({"x": value} for value in dict.fromkeys([*STRINGS, *filter(lambda v: type(v) is str, VALUES)]))]
EVENTS += [{"x": value} for value in VALUES if type(value) is not str]
PATTERNS = [Pattern.parse({"x": [form]}) for form in FORMS]
RULES = [oracle.compile_pattern({"x": [form]}) for form in FORMS]
ANSWERS = [[oracle.decide(rules, oracle.flatten(event)) for event in EVENTS] for rules in RULES]


@pytest.fixture(scope="module", params=STRATEGIES)
def matcher(request):
    """One matcher for all pairs of a strategy, so that what a pair leaves behind would show in the next."""
    matcher = Matcher.build((key, Pattern.parse(filler)) for key, filler in fillers(request.param, "x").items())
    matcher.add("one that stays", Pattern.parse({"x": ["one"]}))
    assert matcher.statistics().strategy == request.param
    return matcher


@pytest.mark.parametrize("first", range(len(FORMS)), ids=lambda number: str(FORMS[number]))
def test_two_operators_on_one_field_answer_as_each_alone(matcher, first):
    empty = len(matcher)
    for second in range(len(FORMS)):
        matcher.add(1, PATTERNS[first])
        matcher.add(2, PATTERNS[second])
        found = [sorted(matcher.match(event)) for event in EVENTS]
        matcher.remove(1)
        alone = [matcher.match(event) for event in EVENTS[second % 4 :: 4]]
        matcher.remove(2)
        expected = [[1] * one + [2] * two for one, two in zip(ANSWERS[first], ANSWERS[second], strict=True)]
        assert [*zip(EVENTS, found, strict=True)] == [*zip(EVENTS, expected, strict=True)], FORMS[second]
        assert alone == [[2] * two for two in ANSWERS[second][second % 4 :: 4]], FORMS[second]
    assert len(matcher) == empty
    assert [matcher.match(event) for event in EVENTS] == [[]] * len(EVENTS)


@pytest.mark.parametrize("first", range(len(FORMS)), ids=lambda number: str(FORMS[number]))
def test_two_alternatives_of_one_field_are_found_once(matcher, first):
    """13.6: the same inside one rule, and beside another field, so that it has something left to check."""
    for second in range(first, len(FORMS), 1 if type(FORMS[first]) is not dict else 8):
        either = [FORMS[first], FORMS[second]]
        matcher.add(1, Pattern.parse({"x": either}))
        matcher.add(2, Pattern.parse({"x": either, "y": [{"exists": False}]}))
        found = [sorted(matcher.match(event)) for event in EVENTS]
        matcher.remove(2)
        matcher.remove(1)
        expected = [[1, 2] * (one or two) for one, two in zip(ANSWERS[first], ANSWERS[second], strict=True)]
        assert [*zip(EVENTS, found, strict=True)] == [*zip(EVENTS, expected, strict=True)], FORMS[second]
