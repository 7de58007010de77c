"""Content filters as functions that give plain pattern data, and patterns for events with a typed detail.

::

    {"source": ["shop"], "detail": {"total": [gt(100)], "state": [anything_but("draft")]}}

Nothing is checked here: `Pattern.parse` checks the whole, and says where it is wrong. Values of Python become what they
are in the JSON of events: decimals numbers, members of an enumeration their values, UUIDs, dates and times strings.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias, get_args
from uuid import UUID

from eventrouter.errors import PatternError

#: Pattern data: what may stand in the array of a field.
Data: TypeAlias = Any


def exactly(text: str) -> Data:
    """Match that string, and no other spelling of it where it is an IP address."""
    return {"exactly": text}


def prefix(text: str, *, ignore_case: bool = False) -> Data:
    """Match strings that begin so."""
    return {"prefix": equals_ignore_case(text) if ignore_case else text}


def suffix(text: str, *, ignore_case: bool = False) -> Data:
    """Match strings that end so."""
    return {"suffix": equals_ignore_case(text) if ignore_case else text}


def equals_ignore_case(text: str) -> Data:
    """Match that string in any mix of cases."""
    return {"equals-ignore-case": text}


def wildcard(text: str) -> Data:
    r"""Match strings of that form: `*` stands for any part, `\*` and `\\` for a star and a backslash."""
    return {"wildcard": text}


def eq(number: float | Decimal) -> Data:
    """Match that number."""
    return {"numeric": ["=", _plain(number)]}


def gt(number: float | Decimal) -> Data:
    """Match numbers greater than that."""
    return {"numeric": [">", _plain(number)]}


def ge(number: float | Decimal) -> Data:
    """Match that number and greater ones."""
    return {"numeric": [">=", _plain(number)]}


def lt(number: float | Decimal) -> Data:
    """Match numbers less than that."""
    return {"numeric": ["<", _plain(number)]}


def le(number: float | Decimal) -> Data:
    """Match that number and lesser ones."""
    return {"numeric": ["<=", _plain(number)]}


def between(low: float | Decimal, high: float | Decimal, *, with_low: bool = True, with_high: bool = True) -> Data:
    """Match numbers from *low* to *high*, each end included unless told otherwise."""
    return {"numeric": [">=" if with_low else ">", _plain(low), "<=" if with_high else "<", _plain(high)]}


def cidr(network: str) -> Data:
    """Match strings that are addresses of a network, such as `10.0.0.0/24` or `2001:db8::/32`."""
    return {"cidr": network}


def exists(present: bool = True) -> Data:
    """Match a field that has any value, or with `exists(False)` one that has none."""
    return {"exists": present}


def anything_but(*excluded: Data) -> Data:
    """Match any value but these, or those of one list: strings, numbers, or filters of one kind, such as prefixes."""
    if len(excluded) == 1 and isinstance(excluded[0], list | tuple | set | frozenset):
        excluded = tuple(excluded[0])
    if excluded and all(isinstance(item, Mapping) and len(item) == 1 for item in excluded):
        [kind, *others] = {name for item in excluded for name in item}
        if not others:
            texts = [text for item in excluded for text in item.values()]
            return {"anything-but": {kind: texts if len(texts) > 1 else texts[0]}}
    return {"anything-but": [_plain(item) for item in excluded]}


def any_of(*alternatives: Data) -> list[Data]:
    """List what a field may be, values and filters: the array that a pattern has there."""
    return [_plain(item) for item in alternatives]


def either(*branches: Mapping[str, Any]) -> dict[str, Any]:
    """Match what any of these patterns matches: `{**either({"a": [1]}, {"b": [2]}), "c": [3]}`."""
    return {"$or": list(branches)}


def _plain(value: Any) -> Any:
    """Give a value as it is in the JSON of events; what has no obvious form there stays, and is refused later."""
    match value:
        case Enum():
            plain = _plain(value.value)
        case Decimal():
            plain = _number(value)
        case UUID():
            plain = str(value)
        case date() | time():
            plain = value.isoformat().replace("+00:00", "Z")
        case Mapping():
            plain = {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            plain = [_plain(item) for item in value]
        case _:
            plain = value
    return plain


def _number(value: Decimal) -> int | float | Decimal:
    """Give the same number as JSON has it; a decimal that no double shows stays one."""
    if not value.is_finite():
        return value
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else value


def event_pattern(model: type[Any], /, **fields: Any) -> dict[str, Any]:
    """Give the pattern of events whose detail is a *model*, with tests of its fields.

    ::

        event_pattern(OrderPlaced, total=gt(100), customer={"tier": any_of("gold", "silver")})

    The detail-type is the model's class variable `detail_type`, or else its name, written together or in words:
    `OrderPlaced` or `Order Placed`. A class variable `source` adds the source.

    Args:
        model: A pydantic model.
        fields: What the fields may be, by the names of the model or their aliases in JSON: a value, a filter, a list
            of either, or a dict of fields for a field that is itself a model or a dict.

    Raises:
        PatternError: The model has no such field, and the nearest is named; or a value has no form in JSON.
    """
    _fields_of(model, "$")
    pattern: dict[str, Any] = {"detail-type": detail_types(model)}
    source = getattr(model, "source", None)
    if source is not None:
        pattern["source"] = [source]
    if fields:
        pattern["detail"] = _tests(model, fields, "$.detail")
    return pattern


def detail_types(model: type[Any]) -> list[str]:
    """Name the detail-types of events whose detail is a *model*; under the last of them it is put."""
    detail_type = getattr(model, "detail_type", None)
    if detail_type:
        return [detail_type]
    name = model.__name__
    in_words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return list(dict.fromkeys([name, in_words]))


def _fields_of(model: type[Any], place: str) -> Mapping[str, Any]:
    found = getattr(model, "model_fields", None)
    if not isinstance(found, Mapping):
        raise PatternError(f"{model!r} is not a pydantic model", place)
    return found


def _tests(model: type[Any], tests: Mapping[str, Any], place: str) -> dict[str, Any]:
    fields = _fields_of(model, place)
    names = {_in_json(name, field, place): name for name, field in fields.items()}
    names |= {name: name for name in fields}
    pattern: dict[str, Any] = {}
    for name, test in tests.items():
        if name not in names:
            nearest = difflib.get_close_matches(name, names, 1, 0.5)
            hint = f'did you mean "{nearest[0]}"?' if nearest else f"it has {', '.join(fields)}"
            raise PatternError(f"{model.__name__} has no field {name}", f"{place}.{name}", hint)
        field = fields[names[name]]
        pattern[_in_json(names[name], field, place)] = _test(field.annotation, test, f"{place}.{name}")
    return pattern


def _in_json(name: str, field: Any, place: str) -> str:
    alias = field.validation_alias or name
    if not isinstance(alias, str):
        raise PatternError(f"{name} has several aliases in JSON", f"{place}.{name}", "write the pattern as data")
    return alias


def _test(annotation: Any, test: Any, place: str) -> Any:
    if isinstance(test, Mapping) and (inner := _model_in(annotation)) is not None:
        if not _is_filter(test) or test.keys() <= inner.model_fields.keys():
            return _tests(inner, test, place)
        # It would be legal and mean something else: objects have no value, so even `exists` finds none (11.2).
        raise PatternError(f"{inner.__name__} is an object, and filters test values", place, "test one of its fields")
    return _wrapped(test, place)


def _wrapped(test: Any, place: str) -> Any:
    """Make the array of alternatives that a pattern has for a field; of a dict of fields, for each of them."""
    if isinstance(test, Mapping) and not _is_filter(test):
        return {name: _wrapped(inner, f"{place}.{name}") for name, inner in test.items()}
    alternatives = [_plain(item) for item in (test if isinstance(test, list | tuple) else [test])]
    for item in alternatives:
        _check(item, place)
    return alternatives


def _check(value: Any, place: str) -> None:
    """Refuse what is no JSON while the field is known."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, place)
    elif isinstance(value, Decimal):
        raise PatternError(f"{value} is not a number that JSON keeps", place, "use at most 17 digits")
    elif not isinstance(value, str | int | float | None):
        raise PatternError(f"A {type(value).__name__} has no JSON form", place, "write it as it is in the event's JSON")


def _is_filter(test: Mapping[str, Any]) -> bool:
    return len(test) == 1 and test.keys() <= _OPERATORS


_OPERATORS = frozenset(
    ("exactly", "prefix", "suffix", "equals-ignore-case", "wildcard", "numeric", "cidr", "exists", "anything-but")
)


def _model_in(annotation: Any) -> type[Any] | None:
    """Find the model in `Model`, `Model | None`, `list[Model]` and the like."""
    if isinstance(getattr(annotation, "model_fields", None), Mapping):
        return annotation  # type: ignore[no-any-return]
    return next((found for argument in get_args(annotation) if (found := _model_in(argument)) is not None), None)
