"""The pattern language, pure: what an event pattern means, one pattern at a time."""

from eventrouter.patterns._addresses import parse_address
from eventrouter.patterns._answers import Answer, Unknown
from eventrouter.patterns._draft import Change
from eventrouter.patterns._evaluate import Evaluator, Field, Leaves, Names, in_order, leaves_match, leaves_of
from eventrouter.patterns._explain import BranchExplanation, Explanation, FieldExplanation, Found
from eventrouter.patterns._findings import CODES, Finding
from eventrouter.patterns._lint import has_wildcards, lint
from eventrouter.patterns._lint_sets import BusRule, rule_set_findings
from eventrouter.patterns._operators import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Leaf,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
)
from eventrouter.patterns._pattern import Pattern, read_event
from eventrouter.patterns._places import json_path, steps_of
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields, SubRule

__all__ = [
    "CODES",
    "Alternatives",
    "Answer",
    "AnyOf",
    "AnythingBut",
    "BranchExplanation",
    "BusRule",
    "Change",
    "Cidr",
    "ContentFilter",
    "EqualsIgnoreCase",
    "Evaluator",
    "Exactly",
    "Exists",
    "Explanation",
    "Field",
    "FieldExplanation",
    "Fields",
    "Finding",
    "Found",
    "Leaf",
    "Leaves",
    "Literal",
    "Names",
    "Numeric",
    "Pattern",
    "Prefix",
    "SubRule",
    "Suffix",
    "Unknown",
    "Wildcard",
    "has_wildcards",
    "in_order",
    "json_path",
    "leaves_match",
    "leaves_of",
    "lint",
    "parse_address",
    "read_event",
    "rule_set_findings",
    "steps_of",
]
