"""A pattern as it was written, and as it is matched."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventrouter.patterns._operators import ContentFilter


@dataclass(frozen=True, slots=True)
class Alternatives:
    """What one field may be: any of these."""

    filters: tuple[ContentFilter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`$or`: at least one of these."""

    branches: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a pattern: names in the order they were written, which may repeat."""

    members: tuple[tuple[str, Fields | Alternatives | AnyOf], ...]


#: One way for an event to match: what each field, named by its whole path, has to be.
SubRule: TypeAlias = Mapping[str, tuple[ContentFilter, ...]]


def expand(fields: Fields) -> tuple[SubRule, ...]:
    """Multiply the branches of every `$or` out.

    A path that comes again replaces what it was, in the order of the document: so a branch overrides what stands
    before its `$or`, and is overridden by what stands behind it (12.3).
    """
    return _expanded(fields, None, ({},))


def _expanded(fields: Fields, path: str | None, rules: tuple[SubRule, ...]) -> tuple[SubRule, ...]:
    for name, node in fields.members:
        if isinstance(node, AnyOf):
            rules = tuple(rule for branch in node.branches for rule in _expanded(branch, path, rules))
            continue
        full = name if path is None else f"{path}.{name}"
        if isinstance(node, Fields):
            rules = _expanded(node, full, rules)
        else:
            rules = tuple({**rule, full: node.filters} for rule in rules)
    return rules


def to_json(fields: Fields, *, is_sorted: bool) -> str:
    """Write a pattern as compact JSON; sorted, names and alternatives stand in a fixed order, each once."""
    members = [f"{dumps(name)}:{_node_to_json(node, is_sorted=is_sorted)}" for name, node in fields.members]
    return "{" + ",".join(sorted(members) if is_sorted else members) + "}"


def _node_to_json(node: Fields | Alternatives | AnyOf, *, is_sorted: bool) -> str:
    if isinstance(node, Fields):
        return to_json(node, is_sorted=is_sorted)
    if isinstance(node, AnyOf):
        parts = [to_json(branch, is_sorted=is_sorted) for branch in node.branches]
    else:
        parts = list(dict.fromkeys(dumps(content_filter.to_data()) for content_filter in node.filters))
    return "[" + ",".join(sorted(parts) if is_sorted else parts) + "]"


def dumps(value: Any) -> str:
    """Write a value of a pattern or an event as compact JSON."""
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"  # a literal past all doubles is any of them
    # Lone surrogates have no UTF-8, so a text that holds one is escaped.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))
