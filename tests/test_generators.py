"""What the generators promise: reproducible, often matching, every refusal of the reference among their patterns."""

import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import generators, oracle

#: Nothing of the package runs here.
pytestmark = pytest.mark.no_cover

# One stem for each message of the reference.
MESSAGES = (
    *("Filter is not an object", "Empty objects are not allowed", '"a" must be an object or an array'),
    *("Empty arrays are not allowed", "Match value must be String, number, true, false, or null"),
    *("Match expression name not found", "Unrecognized match type foo", "Only one key allowed in match expression"),
    *("exact match pattern must be a string", "prefix match pattern must be a string"),
    *("suffix match pattern must be a string", "equals-ignore-case match pattern must be a string"),
    *("Prefix expression name not found", "Suffix expression name not found", "Unsupported prefix pattern: suffix"),
    *("Unsupported suffix pattern: wildcard", "wildcard match pattern must be a string", "Invalid escape character at"),
    *("Consecutive wildcard characters at pos 2", "Value of numeric must be an array.", "Bottom must be less than top"),
    *(
        "Invalid member in numeric match: ]",
        "Invalid member in numeric match: 5",
        "Unrecognized numeric range operator",
    ),
    *("Value of equals must be numeric", "Value of > must be numeric", "Too many elements in numeric expression"),
    *("Bad value in numeric range: 5", "Bad numeric range operator: >", "Too many terms in numeric range expression"),
    *("Cannot compare number : 1e400", "Inside anything but list, either all values are number or string"),
    *("Value of anything-but must be an array", "Inside anything but list, start|null|boolean is not supported."),
    *("Anything-But expression name not found", "Unsupported anything-but pattern: ", "Null prefix/suffix not allowed"),
    *("prefix/suffix match pattern must be a string", "Inside anything-but/equals-ignore-case list, number|start|null"),
    *("Malformed CIDR, one '/' required", "Malformed CIDR, mask bits must be an integer", "Nonstandard IP address: "),
    *("Malformed CIDR, mask bits must not be negative", "Invalid IP address: ", "IPv4 mask bits must be < 32"),
    *("IPv6 mask bits must be < 128", "exists match pattern must be either true or false.", "It must be an Array foll"),
    *("There must have at least 2 Objects in $or", "Only JSON object is allowed in array of $or relationship."),
    "prefix is Ruler reserved fieldName which cannot be used inside $or.",
)


def cases(seed):
    rng = random.Random(seed)  # noqa: S311 - reproducible, no secret
    while True:
        yield generators.case(rng)


def test_the_seed_says_it_all():
    assert list(islice(cases("a"), 50)) == list(islice(cases("a"), 50)) != list(islice(cases("b"), 50))


def test_half_of_the_pairs_match_and_every_refusal_occurs():
    answers, messages = Counter(), set()
    for pattern, events in islice(cases("shares"), 15_000):
        try:
            rules = oracle.compile_pattern(pattern)
        except oracle.Refused as refused:
            answers["refused"] += len(events)
            messages.add(refused.message or "malformed")
            continue
        for event in events:
            try:
                answers[oracle.decide(rules, oracle.flatten(event))] += 1
            except oracle.BadEvent:
                answers["bad event"] += 1
    shares = {answer: count / answers.total() for answer, count in answers.items()}
    assert 0.4 < shares[True] < 0.6
    assert 0.05 < shares["refused"] < 0.1
    assert 0.003 < shares["bad event"] < 0.02
    assert "malformed" in messages
    assert [stem for stem in MESSAGES if not any(message.startswith(stem) for message in messages)] == []


@settings(max_examples=50, deadline=None)
@given(st.randoms(use_true_random=False))
def test_hypothesis_can_drive_them(rng):
    pattern, events = generators.case(rng)
    assert isinstance(pattern, str)
    assert all(isinstance(event, str) for event in events)
