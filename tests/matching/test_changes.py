"""Changes that do not go as planned leave all as it was."""

import copy
import pickle
import weakref

import pytest

from eventrouter import Matcher, Pattern
from eventrouter.matching import _matcher
from tests.matching.material import STRATEGIES, fillers

X, Y = Pattern.parse({"a": ["x"]}), Pattern.parse({"a": ["y"], "b": [{"anything-but": "z"}]})


@pytest.fixture(params=STRATEGIES)
def matcher(request):
    matcher = Matcher.build((key, Pattern.parse(filler)) for key, filler in fillers(request.param, "a").items())
    matcher.add("stays", X)
    return matcher


def answers(matcher):
    events = ({"a": "x"}, {"a": "y", "b": 1}, {"c": "x"})
    return [sorted(map(str, matcher.match(event))) for event in events], matcher.statistics()


def interrupted_once(patch, method):
    real = getattr(_matcher.Node, method)

    def interrupted(self, *arguments):
        real(self, *arguments)
        patch.setattr(_matcher.Node, method, real)
        raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("add", lambda matcher: matcher.add("new", Y)),
        ("add", lambda matcher: matcher.add("changes", Y)),
        ("add", lambda matcher: matcher.replace("changes", Y)),
        ("purge", lambda matcher: matcher.replace("changes", Y)),
        ("purge", lambda matcher: matcher.remove("changes")),
    ],
    ids=["new", "more", "other", "old", "gone"],
)
def test_a_change_that_an_error_ends_has_not_been_made(matcher, method, change, monkeypatch):
    matcher.add("changes", X)
    before = answers(matcher)
    with monkeypatch.context() as patch:
        patch.setattr(_matcher.Node, method, interrupted_once(patch, method))
        with pytest.raises(KeyboardInterrupt):
            change(matcher)
    assert answers(matcher) == before
    assert "new" not in matcher
    matcher.replace("changes", Y)
    assert matcher.match_json('{"a": "y", "b": 1}') == ["changes"]
    matcher.remove("changes")
    assert matcher.match({"a": "x"}) == ["stays"]


def test_a_key_has_to_equal_itself(matcher):
    before = answers(matcher)
    with pytest.raises(ValueError, match="nan does not equal itself"):
        matcher.add(float("nan"), X)
    assert answers(matcher) == before


@pytest.mark.parametrize("attempt", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_matcher_is_not_copied(matcher, attempt):
    with pytest.raises(TypeError, match="build another one"):
        attempt(matcher)


def test_the_end_of_a_key_may_change_the_rules(matcher):
    class Key:
        pass

    key = Key()
    matcher.add(key, X)
    matcher.add("depends on it", X)
    weakref.finalize(key, matcher.remove, "depends on it")
    matcher.remove(key)
    del key
    matcher.add("another", Y)
    assert matcher.match({"a": "x"}) == ["stays"]


def test_rules_of_many_tests_are_looked_up_however_few_they_are():
    matcher = Matcher.build([("it", Pattern.parse({"a": [{"prefix": f"p{number}."} for number in range(200)]}))])
    assert matcher.statistics().strategy == "indexed"
    assert matcher.match({"a": "p7.x"}) == ["it"]


def test_what_each_element_excludes_is_not_multiplied_by_the_elements():
    matcher = Matcher.build((number, Pattern.parse({"a": [{"anything-but": f"x{number}"}]})) for number in range(100))
    event = {"a": [f"x{number}" for number in range(50)]}
    assert sorted(matcher.match(event)) == [*range(100)]
    assert sorted(matcher.match({"a": ["x1", "x1"]})) == [0, *range(2, 100)]


@pytest.mark.parametrize("name", ["match", "match_json"])
def test_a_method_from_before_the_first_match_takes_the_fast_way_as_well(name, monkeypatch):
    matcher = Matcher.build([("it", X)])
    event = {"a": "x"} if name == "match" else '{"a": "x"}'
    method = getattr(matcher, name)
    monkeypatch.setattr(Matcher, f"_{name}_slowly", lambda *_: pytest.fail("the slow way was taken"))
    for _ in range(3):
        assert method(event) == getattr(matcher, name)(event) == ["it"]
