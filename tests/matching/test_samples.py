"""What is learned from the first events, and that nothing depends on it but the time."""

import random
import threading

import pytest

from eventrouter import Matcher, Pattern
from eventrouter.matching._fields import Branch, Looks, look_at
from tests.matching.material import FORMS, VALUES, Rules, text_of

SAMPLE = 16
TEXTS = [value for value in VALUES if type(value) is str]
#: Rules of four fields, for whose names with dots is looked in the event itself.
DOTTED = {"first": {"o": {"p": ["x"], "q": ["y"]}}, "second": {"o": {"r": ["z"], "s": [{"anything-but": "w"}]}}}
PLAIN = {"id": 1, "o": {"p": "x", "q": "y", "r": "z", "s": "v"}}


@pytest.fixture
def root():
    return Branch.of({"a": 0, "b": 1, "o.p": 2})


def sampled(root, *events):
    looks = Looks()
    looks.forget_all_but(root)
    changes = [looks.sample(look_at(root, event)) for event in events]
    return looks, changes


def filled(documents, event):
    rules = Rules()
    for key, document in documents.items():
        rules.add(key, document)
    for _ in range(2 * SAMPLE):
        rules.assert_right(event)
    assert rules.strategy == "straight"
    return rules


def test_a_sample_says_what_is_always_a_string_and_what_is_usual(root):
    events = [{"a": "x" if number % 2 else f"{number}", "b": number, "o": {"p": "y"}} for number in range(SAMPLE)]
    looks, changes = sampled(root, *events)
    assert changes[-1]
    assert not looks.is_young
    assert looks.usual == {"a": "x", "o.p": "y"}
    assert looks.is_text(root.children["a"])
    assert not looks.is_text(root.children["b"])
    assert looks.names_of(root) == {"a", "b", "o"}
    assert looks.names_of(root.children["o"]) == {"p"}
    assert not looks.sample(look_at(root, events[0]))
    assert looks.learn(look_at(root, events[0] | {"a": None}))
    assert not looks.is_text(root.children["a"])


def test_names_that_differ_or_are_many_are_not_expected(root):
    events = [{"a": "x", "b": 1, "o": {"p": "y", f"n{number}": 1}} for number in range(SAMPLE)]
    looks, _ = sampled(root, *(event | dict.fromkeys(map(str, range(20))) for event in events))
    assert looks.names_of(root) == looks.names_of(root.children["o"]) == frozenset()


def test_a_new_field_asks_for_a_new_sample(root):
    looks, _ = sampled(root, *[{"a": "x", "b": 1, "o": {"p": "y"}}] * SAMPLE)
    looks.forget_all_but(Branch.of({"a": 0}))
    assert not looks.is_young
    looks.forget_all_but(Branch.of({"a": 0, "z": 1}))
    assert looks.is_young
    assert not looks.usual


@pytest.mark.parametrize("dotted", ["o.p", "o.q", "o.r", "o.s"])
def test_a_name_with_a_dot_is_found_behind_as_many_names(dotted):
    """It takes the place of a name that is expected, or stands beside all."""
    rules = filled(DOTTED, PLAIN)
    for event in (
        {dotted: "x", "o": PLAIN["o"]},
        PLAIN | {dotted: "w"},
        {dotted: "w", "id": 1},
        {"id": 1, dotted: "y"},
    ):
        rules.assert_right(event)
    rules = filled(DOTTED, {dotted: "x", "o": PLAIN["o"]})
    for event in ({dotted: "w", "o": PLAIN["o"]}, PLAIN, {dotted: "w", "o": {}}):
        rules.assert_right(event)


@pytest.mark.parametrize("usual", TEXTS)
def test_whatever_is_usual_other_values_are_matched_right(usual):
    """Keys that are expected are taken out again, in any number and from any place."""
    chance = random.Random(usual)  # noqa: S311 - reproducible
    for size in (3, 12, 30):
        forms = chance.sample(FORMS, size)
        documents = {number: {("x", "y")[number % 2]: [form]} for number, form in enumerate(forms)}
        rules = filled(documents, {"x": usual, "y": chance.choice(TEXTS)})
        for value in VALUES:
            rules.assert_right({"x": value, "y": chance.choice(VALUES)})
        for event in ({}, {"x": usual}, {"y": usual}, {"x": [usual, "a"], "y": usual}):
            rules.assert_right(event)


def test_what_is_usual_may_be_excluded_by_many():
    documents = {text: {"x": [{"anything-but": {"prefix": text}}]} for text in ("a", "ab", "abb")}
    rules = filled(documents, {"x": "abba"})
    for value in VALUES:
        rules.assert_right({"x": value})


def test_a_field_with_a_usual_value_may_be_something_else_now_and_then():
    """Not always a string, so it is asked for its type: each kind of key is settled for strings, others and absence."""
    documents = {number: {"x": [form]} for number, form in enumerate(FORMS[:40])} | {
        "excludes it": {"x": [{"anything-but": {"suffix": "b"}}]},
        "finds it": {"x": [{"prefix": "a"}]},
    }
    rules = Rules()
    for key, document in documents.items():
        rules.add(str(key), document)
    for number in range(SAMPLE):
        rules.assert_right({"x": "ab" if number % 4 else None})
    for value in VALUES:
        rules.assert_right({"x": value})
    rules.assert_right({})


def test_threads_that_match_while_the_sample_is_taken_are_answered_right():
    pattern = Pattern.parse({"x": [{"anything-but": {"suffix": "n"}}], "o": {"p": [{"exists": True}]}})
    for _ in range(20):
        matcher = Matcher.build([("it", pattern), ("on", Pattern.parse({"x": [{"suffix": "on"}]}))])
        wrong = []

        def match(matcher=matcher, wrong=wrong):
            for number in range(3 * SAMPLE):
                event, expected = {"x": "salt", "o": {"p": 1}}, ["it"]
                if number % 5 == 0:
                    event, expected = {"x": "Mason", "o": {"p": "y"}}, ["on"]
                if matcher.match(event) != expected or matcher.match_json(text_of(event)) != expected:
                    wrong.append(event)

        threads = [threading.Thread(target=match) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
