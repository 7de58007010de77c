"""The driver finds planted faults and makes them small; without a fault it finds nothing."""

import json

import pytest

from tests import oracle
from tests.fuzz.__main__ import main, run_chunk
from tests.fuzz.comparison import Subject

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover


class PatternError(Exception):
    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason


class EventError(Exception):
    pass


class Honest:
    """The oracle in the package's clothes."""

    def __init__(self, pattern):
        try:
            self.rules = oracle.compile_pattern(pattern.decode() if isinstance(pattern, bytes) else pattern)
        except oracle.Refused as refused:
            raise PatternError(self.reason(refused.message or "malformed")) from refused

    def reason(self, message):
        return message

    def leaves(self, event):
        try:
            return oracle.flatten(event.decode() if isinstance(event, bytes) else event)
        except oracle.BadEvent as bad:
            raise EventError from bad

    def matches(self, event):
        return oracle.decide(self.rules, self.leaves(event))

    matches_json = matches


class MixesElements(Honest):
    def leaves(self, event):
        return {path: [(value, {}) for value, _ in found] for path, found in super().leaves(event).items()}


class MisquotesOneMessage(Honest):
    def reason(self, message):
        return message.replace("Empty arrays are not allowed", "Empty lists are not allowed")


class TakesTrueForOneInData(Honest):
    def matches(self, event):
        return super().matches(json.loads(json.dumps(event), parse_int=lambda text: text == "1" or int(text)))


class CrashesOnEmptyNames(Honest):
    def matches_json(self, event):
        found = self.leaves(event)
        return oracle.decide(self.rules, found) if "" not in found else found["no such path"]


def subject(pattern):
    return Subject(pattern, PatternError, EventError)


def honest():
    return subject(Honest)


def mixes_elements():
    return subject(MixesElements)


def test_finds_nothing_where_nothing_is(capsys):
    assert main(["--pairs", "6000", "--seed", "1"], honest) == 0
    assert "6,000 pairs" in capsys.readouterr().out


def test_the_engine_differs_from_the_oracle_in_nothing(capsys):
    assert main(["--pairs", "2000", "--seed", "3", "--engine"]) == 0
    assert "2,000 pairs" in capsys.readouterr().out


def test_two_jobs_compare_as_many_pairs_as_one(capsys):
    assert main(["--pairs", "11000", "--seed", "1", "--jobs", "2"], honest) == 0
    assert "11,000 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pattern", "answers", "longest"),
    [
        (MixesElements, {"match", "no match"}, 90),
        (MisquotesOneMessage, {"refused: Empty arrays are not allowed", "refused: Empty lists are not allowed"}, 15),
        (TakesTrueForOneInData, {"match", "no match"}, 40),
        (CrashesOnEmptyNames, {"no match", "crash: KeyError: 'no such path'"}, 20),
    ],
)
def test_finds_a_planted_fault_and_shrinks_it(pattern, answers, longest):
    difference = run_chunk(lambda: subject(pattern), 50_000, "7").difference
    assert answers == {difference.expected, difference.actual}
    assert len(difference.pattern + difference.event) <= longest


def test_reports_a_difference_and_fails(capsys):
    assert main(["--pairs", "50000", "--seed", "7"], mixes_elements) == 1
    output = capsys.readouterr().out
    assert "DIFFERENCE: pattern as text, event as text" in output
    assert "  oracle   no match\n  package  match\n" in output
