"""A pattern as it was written, and as it is matched."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from eventrouter.errors import PatternComplexityError
from eventrouter.patterns._json import write_integer
from eventrouter.patterns._operators import ContentFilter
from eventrouter.patterns._recursion import Task, run

MAXIMUM_FIELDS: Final = 256  # of one sub-rule (event-ruler)
_DEEPEST: Final = 600  # levels of JSON in data: more than a pattern may have, each `$or` being two


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

    Raises:
        PatternComplexityError: A sub-rule has too many fields.
    """
    return tuple(MappingProxyType(rule) for rule in run(_expanded(fields, None, [{}])))


_Rules: TypeAlias = list[dict[str, tuple[ContentFilter, ...]]]


def _expanded(fields: Fields, path: str | None, rules: _Rules) -> Task[_Rules]:
    for name, node in fields.members:
        if isinstance(node, AnyOf):
            multiplied: _Rules = []
            for branch in node.branches:
                multiplied += yield _expanded(branch, path, [rule.copy() for rule in rules])
            rules = multiplied
            continue
        # One string for all rules that look at the field: there may be 100,000 of them.
        full = sys.intern(name if path is None else f"{path}.{name}")
        if isinstance(node, Fields):
            rules = yield _expanded(node, full, rules)
            continue
        for rule in rules:
            rule[full] = node.filters
            if len(rule) > MAXIMUM_FIELDS:
                raise PatternComplexityError(
                    f"The pattern has more than {MAXIMUM_FIELDS} fields", hint="split the rule"
                )
    return rules


def to_json(fields: Fields) -> str:
    """Write a pattern as compact JSON, names and values in the order in which they were written."""
    pieces: list[str] = []
    run(_write_fields(fields, pieces))
    return "".join(pieces)


def _write_fields(fields: Fields, pieces: list[str]) -> Task[None]:
    opening = "{"
    for name, node in fields.members:
        pieces += (opening, dumps(name), ":")
        opening = ","
        if isinstance(node, Fields):
            yield _write_fields(node, pieces)
        elif isinstance(node, Alternatives):
            pieces += ("[", ",".join([dumps(test.to_data()) for test in node.filters]), "]")
        else:
            for index, branch in enumerate(node.branches):
                pieces.append("," if index else "[")
                yield _write_fields(branch, pieces)
            pieces.append("]")
    pieces.append("}")


def dumps(value: Any) -> str:
    """Write a value of a pattern or an event as compact JSON: integers of any size, a `Decimal` as the number it is.

    Raises:
        TypeError: A part of it has no JSON form.
        ValueError: It contains itself.
        PatternComplexityError: It is nested too deeply for a pattern.
    """
    pieces: list[str] = []
    run(_write(value, pieces, set()))
    return "".join(pieces)


def _write(value: Any, pieces: list[str], around: set[int]) -> Task[None]:
    if not isinstance(value, Mapping | list | tuple):
        pieces.append(_scalar(value))
        return
    if id(value) in around:
        raise ValueError("it contains itself")
    if len(around) > _DEEPEST:
        raise PatternComplexityError("The pattern is nested too deeply")
    around.add(id(value))
    brackets, separator = "{}" if isinstance(value, Mapping) else "[]", ""
    pieces.append(brackets[0])
    for item in value:
        pieces.append(separator)
        separator = ","
        member = item
        if isinstance(value, Mapping):
            if not isinstance(item, str):
                raise TypeError(f"a name is a {type(item).__name__}, not a string")
            pieces += (_scalar(item), ":")
            member = value[item]
        if isinstance(member, Mapping | list | tuple):
            yield _write(member, pieces, around)
        else:
            pieces.append(_scalar(member))
    pieces.append(brackets[1])
    around.remove(id(value))


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        # Lone surrogates have no UTF-8, so a text that holds one is escaped.
        text = json.dumps(value, ensure_ascii=False)
        return text if text.isprintable() else json.dumps(value)
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"  # a literal past all doubles is any of them
    if isinstance(value, Decimal):
        return _scalar(float(value)) if value.is_infinite() else str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return write_integer(value)
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")
