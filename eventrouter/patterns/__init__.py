"""The pattern language, pure: what an event pattern means, one pattern at a time."""

from eventrouter.patterns._draft import Change
from eventrouter.patterns._explain import BranchExplanation, Explanation, FieldExplanation, Found
from eventrouter.patterns._findings import CODES, Finding
from eventrouter.patterns._lint import has_wildcards, lint
from eventrouter.patterns._operators import (
    AnythingBut,
    Cidr,
    ContentFilter,
    EqualsIgnoreCase,
    Exactly,
    Exists,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    Wildcard,
)
from eventrouter.patterns._pattern import Pattern, read_event
from eventrouter.patterns._places import json_path, steps_of
from eventrouter.patterns._tree import Alternatives, AnyOf, Fields

__all__ = [
    "CODES",
    "Alternatives",
    "AnyOf",
    "AnythingBut",
    "BranchExplanation",
    "Change",
    "Cidr",
    "ContentFilter",
    "EqualsIgnoreCase",
    "Exactly",
    "Exists",
    "Explanation",
    "FieldExplanation",
    "Fields",
    "Finding",
    "Found",
    "Literal",
    "Numeric",
    "Pattern",
    "Prefix",
    "Suffix",
    "Wildcard",
    "has_wildcards",
    "json_path",
    "lint",
    "read_event",
    "steps_of",
]
