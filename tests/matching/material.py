"""What the tests of the engine put into it: alternatives of every form, on few values, so that rules meet.

Also how a rule set is brought to each of the three ways in which a matcher goes about a match.
"""

import json

from eventrouter import Matcher, Pattern
from tests import oracle

#: Alternatives in every form, on the letters a, b, A and é, on a few numbers and a few addresses.
FORMS = (
    *("a", "ab", "aA", "é", "", {"exactly": "a"}, {"exactly": "10.0.0.1"}, "10.0.0.1", "010.0.0.1", "::1"),
    *(1, 1.5, -2, True, False, None),
    *({"prefix": "a"}, {"prefix": "aé"}, {"prefix": ""}, {"suffix": "a"}, {"suffix": "éa"}, {"suffix": ""}),
    *({"equals-ignore-case": "a"}, {"equals-ignore-case": "Ab"}, {"equals-ignore-case": "aÉ"}),
    *({"prefix": {"equals-ignore-case": "aB"}}, {"prefix": {"equals-ignore-case": "é"}}),
    *({"suffix": {"equals-ignore-case": "Aa"}}, {"suffix": {"equals-ignore-case": "É"}}),
    *({"wildcard": "*"}, {"wildcard": "*a"}, {"wildcard": "a*"}, {"wildcard": "a*b"}, {"wildcard": "*b*"}),
    *({"wildcard": "*ab*a"}, {"wildcard": "é*é"}, {"wildcard": "aA"}),
    *({"numeric": ["=", 1]}, {"numeric": ["<", 1.5]}, {"numeric": ["<=", 1.5]}, {"numeric": [">", 1]}),
    *({"numeric": [">=", 1]}, {"numeric": [">", -2, "<=", 1.5]}, {"numeric": [">=", -2, "<", 1]}),
    *({"cidr": "10.0.0.0/30"}, {"cidr": "10.0.0.0/8"}, {"cidr": "::/127"}),
    *({"exists": True}, {"exists": False}),
    *({"anything-but": "a"}, {"anything-but": ["a", "é"]}, {"anything-but": 1}, {"anything-but": [1, 1.5]}),
    *({"anything-but": {"prefix": "a"}}, {"anything-but": {"suffix": ["é", "ab"]}}),
    *({"anything-but": {"equals-ignore-case": ["AB", "é"]}}, {"anything-but": {"wildcard": ["*b*A", "é*"]}}),
)
#: Values that these accept and refuse.
VALUES = (
    *("", "a", "b", "A", "é", "É", "ab", "aB", "aA", "Aa", "aé", "éa", "aÉb", "éé", "aab", "abba", "bA"),
    *("10.0.0.1", "010.0.0.1", "::ffff:a00:1", "10.0.0.9", "11.0.0.1", "::1", "0:0:0:0:0:0:0:1", "::2"),
    *(1, 1.0, 1.5, -2, 2, 0, -0.0, 2**70, 1e300, float("inf"), True, False, None),
)

STRATEGIES = ("straight", "indexed", "general")


class Rules:
    """A matcher, and beside it the patterns that it was given, for the oracle."""

    def __init__(self):
        self.matcher = Matcher()
        self.patterns = {}

    def add(self, key, document):
        self.matcher.add(key, Pattern.parse(document))
        self.patterns.setdefault(key, []).extend(oracle.compile_pattern(document))

    def replace(self, key, document):
        self.matcher.replace(key, Pattern.parse(document))
        self.patterns[key] = oracle.compile_pattern(document)

    def remove(self, key):
        self.matcher.remove(key)
        del self.patterns[key]

    def expected(self, event):
        """What the oracle finds, pattern by pattern."""
        leaves = oracle.flatten(event)
        return sorted(key for key, rules in self.patterns.items() if oracle.decide(rules, leaves))

    def assert_right(self, event):
        """Every key is found that should be, once, in data and in text."""
        expected = self.expected(event)
        assert sorted(self.matcher.match(event)) == expected
        assert sorted(self.matcher.match_json(text_of(event))) == expected

    @property
    def strategy(self):
        return self.matcher.statistics().strategy


def text_of(event, *, ensure_ascii=False):
    """The text of an event; infinities are numbers past all doubles."""
    return json.dumps(event, ensure_ascii=ensure_ascii).replace("Infinity", "1e400")


def fillers(strategy, field):
    """Rules, by key, that bring a matcher to a strategy, and meet no value of `VALUES` in *field* or anywhere."""
    if strategy == "indexed":
        return {f"filler {number:02}": {field: [f"filler {number}"]} for number in range(60)}
    if strategy == "general":
        return {f"filler {number:02}": {f"filler {number}": ["filler"]} for number in range(70)}
    return {}
