"""The oracle against every recorded answer: it is only worth comparing with if it is right itself."""

import json
from pathlib import Path

import pytest

from tests import oracle

CONFORMANCE = Path(__file__).parent / "conformance"
AWS_PREFIX = "Event pattern is not valid. Reason: "

# The messages of these were taken from event-ruler's second attempt, which reads `$or` the old way. EventBridge
# reports the first attempt's (14.1), and aws-0012 has it recorded for er-1495's class.
OTHER_MESSAGE = {
    "er-1492": "There must have at least 2 Objects in $or relationship.",
    "er-1493": "Only JSON object is allowed in array of $or relationship.",
    "er-1495": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
}
# Filed as a quota that we do not have; but its own message is that of two adjacent stars (8.4).
REALLY_REFUSED = {"aws-0122"}
# Filed as an error of the pattern; the pattern is fine and the event is an array (2.1).
REALLY_BAD_EVENT = {"aws-0164"}


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def expected(case):
    if case["expect"] == "event-error" or case["id"] in REALLY_BAD_EVENT:
        return "bad event", ""
    message = OTHER_MESSAGE.get(case["id"], case.get("message", "").removeprefix(AWS_PREFIX))
    if case["expect"] == "error" or case["id"] in REALLY_REFUSED:
        # Of what is not JSON only the refusal is comparable: the text is that of whichever JSON reader it was.
        return "refused", message if is_json(case["pattern"]) else ""
    return ("match" if case["expect"] else "no match"), ""


def actual(case, message):
    try:
        return ("match" if oracle.matches(case["pattern"], case["event"]) else "no match"), ""
    except oracle.Refused as refused:
        return "refused", message and refused.message
    except oracle.BadEvent:
        return "bad event", ""


@pytest.mark.parametrize("name", ["semantics", "aws", "event-ruler", "generated"])
def test_answers_as_recorded(name):
    lines = (CONFORMANCE / f"patterns-{name}.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    wrong = {}
    for case in cases:
        verdict, message = expected(case)
        answer = actual(case, message)
        if answer != (verdict, message):
            wrong[case["id"]] = {"expected": (verdict, message), "oracle": answer, **case}
    assert not wrong, f"{len(wrong)} of {len(cases)}: {json.dumps(list(wrong.values())[:5], indent=1)}"
