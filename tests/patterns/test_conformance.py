"""Every recorded answer: from the real EventBridge, from event-ruler's own tests, and from the reference."""

import json
import sys
from pathlib import Path

import pytest

from eventrouter import InvalidEventError, Pattern, PatternError

FOLDER = Path(__file__).parents[1] / "conformance"
#: For each file how many answers are recorded, and how many of these only say, in their words, that JSON is malformed.
COUNTS = {"semantics": (367, 1), "aws": (88, 0), "event-ruler": (1_715, 16), "generated": (8_000, 0)}

#: Cases whose expectation is at odds with the reference, or with another case; and what we answer.
DECIDED = {
    "aws-0122": ("error", "Consecutive wildcard characters at pos 26"),  # says "lint", with this message of AWS; 8.4
    "aws-0164": ("event-error", None),  # the pattern is fine, the event is an array; 2.1
    # The text of event-ruler's fall-back compiler; 14.1 makes JsonRuleCompiler's the target, as aws-0012 has it.
    "er-1492": ("error", "There must have at least 2 Objects in $or relationship."),
    "er-1493": ("error", "Only JSON object is allowed in array of $or relationship."),
    "er-1494": ("error", "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."),
    "er-1495": ("error", "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."),
}

#: How Jackson and Python word a syntax error of JSON. We word our own; that the pattern is refused is what counts.
SYNTAX = ("Unexpected ", "Unrecognized character", "Unrecognized token", "json: ")


def answer(case):
    try:
        pattern = Pattern.parse(case["pattern"])
    except PatternError as error:
        return "error", error.reason
    try:
        by_text = pattern.matches_json(case["event"])
    except InvalidEventError:
        return "event-error", None
    assert pattern.matches(json.loads(case["event"])) is by_text
    return by_text, None


def expected(case):
    message = (case.get("message") or "").partition("Event pattern is not valid. Reason: ")
    text = (message[2] or message[0]).split("\n")[0] or None
    return DECIDED.get(case["id"], (case["expect"], text if case["expect"] == "error" else None))


def is_worded_our_way(wanted):
    return wanted[0] == "error" and (wanted[1] or "").startswith(SYNTAX)


def agree(found, wanted):
    if wanted[0] == "lint":
        return isinstance(found[0], bool)
    if wanted[0] != "error" or wanted[1] is None:
        return found[0] == wanted[0]
    if is_worded_our_way(wanted):
        return found[0] == "error" and found[1].startswith("Malformed JSON: ")
    return found == wanted


@pytest.mark.parametrize("name", COUNTS)
def test_every_recorded_answer_is_ours(name):
    cases = [json.loads(line) for line in (FOLDER / f"patterns-{name}.jsonl").read_text().splitlines()]
    differences = [
        (case["id"], answer(case), expected(case)) for case in cases if not agree(answer(case), expected(case))
    ]
    ours = sum(is_worded_our_way(expected(case)) for case in cases)
    exact = len(cases) - ours - len(differences)
    # Shown by pytest -rP, and kept in the report of a failure.
    sys.stdout.write(f"patterns-{name}: {len(cases)} cases, {exact} exact, {ours} JSON syntax errors worded our way\n")
    assert differences == []
    assert (len(cases), ours) == COUNTS[name]
