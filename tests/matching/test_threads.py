"""Threads match while others change the rules.

Two kinds of tests: real threads, and one that stops at every line of the engine to let the other side have its turn.
"""

import sys
import threading
from contextlib import contextmanager

import pytest

from eventrouter import Matcher, Pattern
from eventrouter.matching._changes import STALE
from tests.matching.material import STRATEGIES, Rules, fillers, text_of

PARSE = Pattern.parse

#: Rules that stay. They meet all events below, and share with the rules that come and go whatever can be shared: a
#: bucket, a size of prefix, a grid of ranges, a list of anything but, the lack of a field.
LASTING = {
    "literal": {"x": ["ab"]},
    "literal, and more": {"x": ["ab"], "n": [{"numeric": [">", 1]}]},
    "prefix": {"x": [{"prefix": "ab"}]},
    "suffix": {"x": [{"suffix": "b"}]},
    "ignoring case": {"x": [{"equals-ignore-case": "AB"}]},
    "wildcard": {"x": [{"wildcard": "*a*"}]},
    "more than": {"n": [{"numeric": [">", 2]}]},
    "less than": {"n": [{"numeric": ["<", 9]}]},
    "between": {"n": [{"numeric": [">", 2, "<", 9]}]},
    "anything but": {"x": [{"anything-but": "zz"}]},
    "anything but a prefix": {"x": [{"anything-but": {"prefix": "zz"}}]},
    "anything but, and more": {"x": [{"anything-but": "zz"}], "n": [5]},
    "present": {"x": [{"exists": True}]},
    "absent": {"y": [{"exists": False}]},
    "absent, and more": {"y": [{"exists": False}], "x": ["ab"]},
    "never": {"x": ["never"], "y": ["never"]},
}
#: Each is added and removed again and again. Some take a table, a size, a grid or a field that nobody else has.
PASSING = (
    {"x": ["ab"]},
    {"x": ["ab"], "n": [{"numeric": [">", 3]}]},
    {"x": [{"prefix": "ab"}]},
    {"x": [{"prefix": "a"}]},
    {"x": [{"suffix": "ab"}, {"suffix": "zz"}]},
    {"x": [{"equals-ignore-case": "aB"}]},
    {"x": [{"wildcard": "*a*"}]},
    {"x": [{"wildcard": "a*b"}], "y": [{"exists": False}]},
    {"n": [{"numeric": [">", 2]}]},
    {"n": [{"numeric": ["<", 8.5]}]},
    {"n": [{"numeric": [">", 1, "<", 100]}]},
    {"x": [{"anything-but": "zz"}]},
    {"x": [{"anything-but": ["zz", "zzz"]}]},
    {"x": [{"anything-but": "ab"}]},
    {"x": [{"anything-but": "ab"}], "n": [5]},
    {"x": [{"exists": True}]},
    {"y": [{"exists": False}]},
    {"y": [{"exists": False}], "x": [{"anything-but": {"suffix": "z"}}]},
    {"w": [{"exists": False}]},
    {"x": [{"cidr": "10.0.0.0/8"}, "10.0.0.1", "ab"]},
    {"o": {"p": [{"exists": False}], "q": [1]}},
)
EVENTS = (
    {"x": "ab", "n": 5},
    {"x": ["ab", "zz"], "n": [5, 5.5]},
    {"x": "ab", "n": 5, "o": [{"q": 1}, {"p": 1}]},
    {"x": "zz", "n": 5, "y": 1},
)


def rules_of(strategy, *more):
    rules = Rules()
    for key, document in (LASTING | fillers(strategy, "x")).items():
        rules.add(key, document)
    for number, document in enumerate(more):
        rules.add(("more", number), document)
    assert rules.strategy == strategy
    return rules


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return request.param


#: Every rule that comes and goes with looked-up rules, and each of them with one of the other strategies.
TURNS = [
    pytest.param(strategy, number, id=f"{strategy}-{PASSING[number]}")
    for number in range(len(PASSING))
    for strategy in ("indexed", ("straight", "general")[number % 2])
]


# --- real threads ---------------------------------------------------------------------------------------------------


@contextmanager
def hasty():
    """Let threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def run_together(*tasks):
    """Run each in a thread of its own, all of them from one moment on; raise what one of them raised."""
    barrier = threading.Barrier(len(tasks))
    errors = []

    def run(task):
        try:
            barrier.wait(timeout=20)
            task()
        except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread of the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    with hasty():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def asks(matcher):
    """Ways to ask about an event: as data, as text, by methods from now and by methods looked up each time."""
    match, match_json = matcher.match, matcher.match_json
    return (
        lambda event, text: match(event),
        lambda event, text: match_json(text),
        lambda event, text: matcher.match(event),
        lambda event, text: matcher.match_json(text),
    )


@pytest.mark.no_cover
def test_rules_that_stay_are_found_once_and_exactly_while_others_come_and_go(strategy):
    rules = rules_of(strategy)
    matcher = rules.matcher
    expected = [(event, text_of(event), rules.expected(event)) for event in EVENTS]
    is_over = threading.Event()

    def read():
        while not is_over.is_set():
            for ask in asks(matcher):
                for event, text, keys in expected:
                    found = ask(event, text)
                    assert len(found) == len(set(found))
                    assert sorted(key for key in found if type(key) is str) == keys

    def write(mine):
        try:
            for turn in range(3):
                for number, document in enumerate(PASSING[mine::2]):
                    matcher.add((mine, number), PARSE(document))
                    if turn % 2:
                        matcher.replace((mine, number), PARSE(PASSING[number]))
                    matcher.add((mine, number, "more"), PARSE(document))
                for number in range(len(PASSING[mine::2])):
                    matcher.remove((mine, number))
                    matcher.remove((mine, number, "more"))
        finally:
            finished[mine].set()
            if all(one.is_set() for one in finished):
                is_over.set()

    finished = [threading.Event(), threading.Event()]
    run_together(read, read, lambda: write(0), lambda: write(1))
    assert len(matcher) == len(rules.patterns)
    for event in EVENTS:
        rules.assert_right(event)


@pytest.mark.no_cover
@pytest.mark.parametrize("number", range(0, len(PASSING), 4))
def test_no_match_sees_a_later_change_without_an_earlier_one(strategy, number):
    """Two keys, one added before the other and removed after it: whoever sees the second sees the first."""
    rules = rules_of(strategy)
    matcher = rules.matcher
    first, second, event = PARSE(PASSING[number]), PARSE(PASSING[(number + 7) % len(PASSING)]), EVENTS[0]
    text = text_of(event)
    is_over = threading.Event()
    both = first.matches(event) and second.matches(event)

    def read():
        while not is_over.is_set():
            for ask in asks(matcher):
                found = ask(event, text)
                assert not both or ("b" not in found or "a" in found)
                assert found.count("a") <= 1

    def write():
        try:
            for _ in range(40):
                matcher.add("a", first)
                matcher.add("b", second)
                matcher.remove("b")
                matcher.remove("a")
        finally:
            is_over.set()

    run_together(read, read, write)


@pytest.mark.no_cover
def test_a_replaced_rule_is_found_as_what_it_was_or_is(strategy):
    rules = rules_of(strategy)
    matcher, event = rules.matcher, EVENTS[0]
    text = text_of(event)
    patterns = [PARSE(document) for document in PASSING if PARSE(document).matches(event)]
    matcher.add("it", patterns[0])
    is_over = threading.Event()

    def read():
        while not is_over.is_set():
            for ask in asks(matcher):
                assert ask(event, text).count("it") == 1

    def write():
        try:
            for _ in range(15):
                for pattern in patterns:
                    matcher.replace("it", pattern)
        finally:
            is_over.set()

    run_together(read, read, write)


# --- a turn at every line ---------------------------------------------------------------------------------------------


def is_engine(frame):
    """Say whether a frame runs the engine's code, be it compiled for some rules."""
    return f"eventrouter{'/'}matching" in frame.f_code.co_filename.replace("\\", "/") or (
        frame.f_code.co_filename == "<string>"
        and frame.f_code.co_name in ("match", "match_json", "find", "check", "<lambda>")
    )


@contextmanager
def at_every_line(meanwhile, is_useless=lambda: False):
    """Call a function at every line of the engine; what it runs itself is not followed, nor calls at useless moments.

    Python follows nothing while a trace function runs. To turn tracing off and on for that costs ten times as much as
    all the rest, from Python 3.12 on.
    """
    before = sys.gettrace()

    def trace(frame, kind, argument):
        if not is_engine(frame) or (kind == "call" and is_useless()):
            return None
        if kind == "line":
            meanwhile()
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


OTHER = PARSE({"x": [{"prefix": "ab"}], "new": [{"exists": False}]})


def changes(matcher, pattern):
    """One after the other, changes that come to nothing."""
    return (
        lambda: matcher.add("it", pattern),
        lambda: matcher.replace("it", OTHER),
        lambda: matcher.replace("it", pattern),
        lambda: matcher.remove("it"),
    )


def states(pattern, event):
    """Whether the key matches before each of these changes."""
    return [False, pattern.matches(event), OTHER.matches(event), pattern.matches(event)]


def some_of(number):
    """Ways to ask, and events: not all combinations for each rule."""
    event = EVENTS[number % 3]
    yield number % 4, event, text_of(event)
    yield (number + 1) % 2 + 2, event, text_of(event)


@pytest.mark.no_cover
@pytest.mark.parametrize(("strategy", "number"), TURNS)
def test_a_match_at_any_point_of_a_change_sees_all_of_it_or_nothing(strategy, number):
    rules = rules_of(strategy)
    matcher, pattern = rules.matcher, PARSE(PASSING[number])
    for way, event, text in some_of(number):
        lasting, is_found = rules.expected(event), states(pattern, event)
        ask = asks(matcher)[way]
        for turn, change in enumerate(changes(matcher, pattern)):
            before, after = is_found[turn], is_found[(turn + 1) % 4]
            ask(event, text)
            seen = []
            with at_every_line(lambda ask=ask, event=event, text=text, seen=seen: seen.append(ask(event, text))):
                change()
            assert len(seen) > 3
            assert all(sorted(key for key in found if key != "it") == lasting for found in seen)
            # As before up to some line, and as after from there.
            answers = [found.count("it") for found in seen]
            assert answers == sorted(answers, reverse=before > after)
            assert set(answers) <= {before, after}


class Turns:
    """Changes that are made one at each turn, at a line that is different from round to round."""

    def __init__(self, matcher, pattern):
        self.matcher = matcher
        self.changes = changes(matcher, pattern)
        self.made = 0
        self.lines = 0
        self.at = ()

    def __call__(self):
        if self.are_in_vain():  # a thread of its own would wait; this one would for ever
            return
        if self.lines in self.at:
            self.change()
        self.lines += 1

    def are_in_vain(self):
        return self.matcher._lock.locked()

    def change(self):
        self.changes[self.made % 4]()
        self.made += 1


@pytest.mark.parametrize(("strategy", "number"), TURNS)
def test_a_change_at_any_point_of_a_match_is_seen_whole_or_not_at_all(strategy, number):
    rules = rules_of(strategy)
    matcher, pattern = rules.matcher, PARSE(PASSING[number])
    turns = Turns(matcher, pattern)
    way, event = number % 2, EVENTS[number % 3]
    ask, text, lasting, is_found = asks(matcher)[way + 2], text_of(event), rules.expected(event), states(pattern, event)
    ask(event, text)
    for line in range(number % 3, 1_000, 3):
        made, turns.lines, turns.at = turns.made, 0, (line,)
        with at_every_line(turns, turns.are_in_vain):
            found = ask(event, text)
        if turns.made == made:  # past the last line
            break
        assert sorted(key for key in found if key != "it") == lasting
        assert found.count("it") in {is_found[made % 4], is_found[turns.made % 4]}
    assert 3 < line < 997


@pytest.mark.parametrize("number", range(0, len(PASSING), 5), ids=lambda number: str(PASSING[number]))
def test_several_changes_in_one_match_leave_what_stays(strategy, number):
    rules = rules_of(strategy)
    matcher = rules.matcher
    turns = Turns(matcher, PARSE(PASSING[number]))
    event = EVENTS[number % 3]
    text, lasting = text_of(event), rules.expected(event)
    for line in range(0, 30, 2):
        turns.lines, turns.at = 0, (line, line + 1, line + 3, line + 6)
        with at_every_line(turns, turns.are_in_vain):
            found = asks(matcher)[2 + line % 4 // 2](event, text)
        assert sorted(key for key in found if key != "it") == lasting
        assert found.count("it") <= 1
        while turns.made % 4:
            turns.change()
        rules.assert_right(event)


# --- what code of the caller's may do in between ----------------------------------------------------------------------


class Key:
    """A key that runs something when it is compared or hashed."""

    def __init__(self, name):
        self.name = name
        self.run = None

    def __eq__(self, other):
        self._call()
        return isinstance(other, Key) and self.name == other.name

    def __hash__(self):
        self._call()
        return hash("the same for all")

    def _call(self):
        run, self.run = self.run, None
        if run is not None:
            try:
                run()
            finally:
                self.run = run


def test_a_match_inside_a_change_ends_and_sees_what_was_before(strategy):
    rules = rules_of(strategy)
    matcher = rules.matcher
    pattern, event = PARSE({"x": ["ab"]}), EVENTS[0]
    text, lasting = text_of(event), rules.expected(event)
    keys = [Key("one"), Key("two")]
    matcher.add(keys[0], pattern)
    seen = []

    def look():
        for found in (matcher.match(event), matcher.match_json(text)):
            assert sorted(key for key in found if type(key) is str) == lasting
            seen.append({key.name for key in found if type(key) is Key})

    for change, before in (
        (lambda: matcher.add(keys[1], pattern), {"one"}),
        (lambda: matcher.replace(keys[1], pattern), {"one", "two"}),
        (lambda: matcher.remove(keys[1]), {"one", "two"}),
        (lambda: matcher.remove(keys[0]), {"one"}),
    ):
        seen.clear()
        for key in keys:
            key.run = look
        change()
        for key in keys:
            key.run = None
        assert seen
        assert all(names == before for names in seen)
    assert sorted(matcher.match(event)) == sorted(matcher.match_json(text)) == lasting


@pytest.mark.parametrize("as_what", ["the event", "an object in it", "an object in an array"])
def test_an_event_that_changes_the_rules_is_matched_against_those_it_began_with(strategy, as_what):
    rules = rules_of(strategy)
    matcher = rules.matcher
    expected = rules.expected({"x": "ab", "n": 5})

    class Meddling(dict):
        """Any look at it removes a rule."""

        def meddle(self):
            if "it" in matcher:
                matcher.remove("it")

        def items(self):
            self.meddle()
            return super().items()

        def get(self, *args):
            self.meddle()
            return super().get(*args)

        def __getitem__(self, name):
            self.meddle()
            return super().__getitem__(name)

        def __contains__(self, name):
            self.meddle()
            return super().__contains__(name)

    for _ in range(3):
        matcher.add("it", PARSE({"x": ["ab"], "o": {"p": [1]}}))
        plain = {"x": "ab", "n": 5, "o": {"p": 1}}
        assert matcher.match(plain).count("it") == 1
        if as_what == "the event":
            event = Meddling(plain)
        elif as_what == "an object in it":
            event = plain | {"o": Meddling(p=1)}
        else:
            event = plain | {"o": [Meddling(p=1)]}
        found = sorted(matcher.match(event))
        # An object in the event may be looked at before the match settles on what rules it goes by.
        assert found in (
            [sorted([*expected, "it"])] if as_what == "the event" else [sorted([*expected, "it"]), expected]
        )
        assert sorted(matcher.match(event)) == expected


def test_a_method_from_before_all_changes_answers_by_the_rules_of_the_moment():
    rules = Rules()
    early, early_json = rules.matcher.match, rules.matcher.match_json
    bound = [(early, early_json)]
    documents = {**LASTING, **fillers("indexed", "x"), **fillers("general", "z"), **dict(enumerate(PASSING))}

    def look():
        bound.append((rules.matcher.match, rules.matcher.match_json))
        for event in EVENTS:
            expected = rules.expected(event)
            for match, match_json in (*bound[:3], bound[len(bound) // 2], bound[-1]):
                assert sorted(match(event), key=str) == expected
                assert sorted(match_json(text_of(event)), key=str) == expected

    rules.expected = lambda event, ask=rules.expected: ask(event)
    for number, (key, document) in enumerate(documents.items()):
        rules.add(str(key), document)
        if number % 5 == 0:
            look()
    for number, key in enumerate(documents):
        rules.remove(str(key))
        if number % 5 == 0:
            look()
    look()


class Unfit(Exception):  # noqa: N818 - what it stands for is not ours to name
    """Raised by a key."""


def fail_at(call, keys, *, once):
    """Let the keys raise an error when they are asked so often, and from then on or not."""
    asked = iter(range(1_000))

    def ask():
        number = next(asked)
        if number == call or (number > call and not once):
            raise Unfit

    for key in keys:
        key.run = ask


@pytest.mark.no_cover
@pytest.mark.parametrize("once", [True, False], ids=["once", "on and on"])
@pytest.mark.parametrize(
    "document",
    [{"x": ["ab"]}, {"x": ["ab"], "n": [5]}, {"x": [{"anything-but": "zz"}]}, {"x": [{"prefix": "a"}]}],
    ids=str,
)
def test_a_change_that_an_error_ends_leaves_all_other_keys_right(strategy, document, once):
    """An error at any comparison of the keys, whatever is half done then; if it is but one, all is as before."""
    pattern = PARSE(document)
    for call in range(0, 18, 3 if once else 5):
        rules = rules_of(strategy)
        matcher = rules.matcher
        keys = [Key(f"key {number}") for number in range(3)]

        def assert_right(*held, rules=rules, keys=keys):
            for event in EVENTS:
                for found in (rules.matcher.match(event), rules.matcher.match_json(text_of(event))):
                    assert sorted(key for key in found if type(key) is str) == rules.expected(event)
                    for key, is_held in zip(keys, held, strict=False):
                        assert sum(other is key for other in found) == (is_held and pattern.matches(event))

        matcher.add(keys[0], pattern)
        matcher.add(keys[1], pattern)
        held = [True, True, False]
        assert_right(*held)
        for number, change, is_held in ((2, matcher.add, True), (1, matcher.replace, True), (1, matcher.remove, False)):
            fail_at(call, keys, once=once)
            try:
                change(keys[number], pattern) if is_held else change(keys[number])
                held[number] = is_held
            except Unfit:
                pass
            finally:
                for key in keys:
                    key.run = None
            assert_right(*(held if once else held[:1]))
        # Later changes are made and seen.
        rules.add("later", {"x": ["ab"]})
        assert_right(True)
        rules.remove("later")
        matcher.remove(keys[0])
        assert_right(False)


def test_what_is_learned_in_a_change_waits_for_its_end():
    """A match in the middle of a change may find that events look different; nothing is compiled just then."""
    matcher = Matcher()
    key = Key("it")
    matcher.add("lasting", PARSE({"a": {"b": ["x"]}}))
    found = []
    key.run = lambda: found.extend(matcher.match({"a": [{"b": "x"}]}) for _ in range(3))
    matcher.add(key, PARSE({"a": {"b": ["y"]}}))
    key.run = None
    assert found
    assert all(keys == ["lasting"] for keys in found)
    assert matcher.match({"a": [{"b": "x"}]}) == matcher.match_json('{"a":[{"b":"x"}]}') == ["lasting"]


def test_a_match_that_finds_the_rules_replaced_just_now_looks_again(strategy):
    """Between two steps of one line, the shape that a match has in hand may become stale."""

    class JustReplaced:
        """A shape that is stale the first time."""

        branch = None

        def __init__(self, shape):
            self.answers = [shape.last, STALE]

        @property
        def last(self):
            return self.answers.pop() if len(self.answers) > 1 else self.answers[0]

    matcher = rules_of(strategy).matcher
    expected = sorted(matcher.match(EVENTS[0]))
    shape, matcher._shape = matcher._shape, JustReplaced(matcher._shape)
    assert sorted(matcher._match_slowly(EVENTS[0])) == expected
    matcher._shape = shape
