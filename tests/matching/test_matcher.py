"""Many patterns, one event."""

import pytest

from eventrouter import InvalidEventError, Matcher, NotFoundError, Pattern

EVENT = {"a": 1, "b": "x"}
A, B, C = Pattern.parse({"a": [1]}), Pattern.parse({"b": ["x"]}), Pattern.parse({"c": [1]})


def make(**patterns) -> Matcher:
    matcher = Matcher()
    for key, pattern in patterns.items():
        matcher.add(key, pattern)
    return matcher


def test_the_keys_of_all_matching_patterns_are_found_in_order():
    assert make(second=B, none=C, first=A).match(EVENT) == ["second", "first"]
    assert make(a=A).match_json('{"a": 1.0}') == ["a"]
    assert make().match(EVENT) == []


def test_patterns_under_one_key_are_alternatives():
    matcher = make(k=C)
    matcher.add("k", A)
    matcher.add("k", B)
    assert matcher.match(EVENT) == ["k"]
    assert len(matcher) == 1


def test_removing_a_key_removes_all_its_patterns():
    matcher = make(a=A, b=B)
    matcher.add("a", B)
    matcher.remove("a")
    assert (matcher.match(EVENT), "a" in matcher, "b" in matcher) == (["b"], False, True)
    with pytest.raises(NotFoundError, match="'a'"):
        matcher.remove("a")


def test_a_match_goes_on_with_the_table_it_began_with():
    class Meddling(dict):
        """An event that changes the matcher while it is being matched."""

        def get(self, *args):
            if "b" in matcher:
                matcher.remove("b")
            return super().get(*args)

        def __getitem__(self, key):
            return self.get(key)

        def items(self):
            self.get("a")
            return super().items()

    matcher = make(a=A, b=B)
    assert matcher.match(Meddling(EVENT)) == ["a", "b"]
    assert matcher.match(EVENT) == ["a"]


@pytest.mark.parametrize("text", ["[]", "1", "{", "", '{"a":NaN}'])
def test_text_that_is_no_event_is_refused(text):
    with pytest.raises(InvalidEventError):
        make(a=A).match_json(text)
