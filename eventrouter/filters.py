"""Content filters as functions that give plain pattern data, and patterns for events with a typed detail.

::

    {"source": ["shop"], "detail": {"total": [gt(100)], "state": [anything_but("draft")]}}

Nothing is checked here: `Pattern.parse` checks the whole, and says where it is wrong.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

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


def eq(number: float) -> Data:
    """Match that number."""
    return {"numeric": ["=", number]}


def gt(number: float) -> Data:
    """Match numbers greater than that."""
    return {"numeric": [">", number]}


def ge(number: float) -> Data:
    """Match that number and greater ones."""
    return {"numeric": [">=", number]}


def lt(number: float) -> Data:
    """Match numbers less than that."""
    return {"numeric": ["<", number]}


def le(number: float) -> Data:
    """Match that number and lesser ones."""
    return {"numeric": ["<=", number]}


def between(low: float, high: float, *, with_low: bool = True, with_high: bool = True) -> Data:
    """Match numbers from *low* to *high*, each end included unless told otherwise."""
    return {"numeric": [">=" if with_low else ">", low, "<=" if with_high else "<", high]}


def cidr(network: str) -> Data:
    """Match strings that are addresses of a network, such as `10.0.0.0/24` or `2001:db8::/32`."""
    return {"cidr": network}


def exists(present: bool = True) -> Data:
    """Match a field that has any value, or with `exists(False)` one that has none."""
    return {"exists": present}


def anything_but(*excluded: Data) -> Data:
    """Match any value but these: strings, or numbers, or filters of one kind, such as two prefixes."""
    if excluded and all(isinstance(item, Mapping) and len(item) == 1 for item in excluded):
        [kind, *others] = {name for item in excluded for name in item}
        if not others:
            texts = [text for item in excluded for text in item.values()]
            return {"anything-but": {kind: texts if len(texts) > 1 else texts[0]}}
    return {"anything-but": list(excluded)}


def any_of(*alternatives: Data) -> list[Data]:
    """List what a field may be, values and filters: the array that a pattern has there."""
    return list(alternatives)


def either(*branches: Mapping[str, Any]) -> dict[str, Any]:
    """Match what any of these patterns matches: `{**either({"a": [1]}, {"b": [2]}), "c": [3]}`."""
    return {"$or": list(branches)}


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
        PatternError: The model has no such field; names the nearest.
    """
    _fields_of(model, "$")
    name = model.__name__
    in_words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    detail_type = getattr(model, "detail_type", None)
    pattern: dict[str, Any] = {"detail-type": list(dict.fromkeys([detail_type] if detail_type else [name, in_words]))}
    source = getattr(model, "source", None)
    if source is not None:
        pattern["source"] = [source]
    if fields:
        pattern["detail"] = _tests(model, fields, "$.detail")
    return pattern


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
    if isinstance(test, list | tuple):
        return list(test)
    if not isinstance(test, Mapping):
        return [test]
    inner = _model_in(annotation)
    if inner is None:
        return [test] if _is_filter(test) else dict(test)
    if _is_filter(test) and not test.keys() <= inner.model_fields.keys():
        # It would be legal and mean something else: objects have no value, so even `exists` finds none (11.2).
        raise PatternError(f"{inner.__name__} is an object, and filters test values", place, "test one of its fields")
    return _tests(inner, test, place)


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
