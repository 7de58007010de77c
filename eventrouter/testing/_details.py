"""Details that a pydantic model takes, with some fields that a pattern asks for. Made from the model's JSON schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import pydantic
from hypothesis import strategies as st

from eventrouter.patterns._operators import (
    AnythingBut,
    ContentFilter,
    Exactly,
    Exists,
    Leaf,
    Literal,
    Numeric,
    Prefix,
    Suffix,
    is_number,
)
from eventrouter.testing._values import Values, accepted, doubles, leaves, whole_numbers

_Schema: TypeAlias = Mapping[str, Any]
_MANY: Final = 5  # items of an array, more than which are not drawn unless the model wants them
_DEEP: Final = 6  # levels of a model that contains itself


@dataclass(frozen=True)
class Wanted:
    """What a pattern asks of a field: its alternatives, and values that they accept."""

    filters: tuple[ContentFilter, ...]
    values: Values
    may_be_absent: bool

    def accepts(self, value: Leaf) -> bool:
        """Say whether a value is what is asked for."""
        return any(test.accepts(value) for test in self.filters)


#: By the names that lead there, joined by dots; empty for the value itself.
_Wants: TypeAlias = Mapping[str, Wanted]


def details(model: type[pydantic.BaseModel], wanted: Mapping[str, Wanted]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw details, as data, that are valid for a model. What a validator of its own refuses is drawn again."""
    return _Model(model).strategy(wanted)


class _Model:
    def __init__(self, model: type[pydantic.BaseModel]) -> None:
        self._model = model
        self._schema = model.model_json_schema(by_alias=True)

    def strategy(self, wanted: Mapping[str, Wanted]) -> st.SearchStrategy[dict[str, Any]]:
        drawn = self._value(self._schema, wanted, 0)
        return st.nothing() if drawn.is_empty else drawn.filter(self._is_valid)

    def _is_valid(self, detail: Any) -> bool:
        try:
            self._model.model_validate(detail)
        except pydantic.ValidationError:
            return False
        return True

    def _value(self, schema: _Schema, wanted: _Wants, depth: int) -> st.SearchStrategy[Any]:
        schema = self._resolved(schema)
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return st.one_of([self._value(option, wanted, depth) for option in options])
        inner = {path: want for path, want in wanted.items() if path}
        own = wanted.get("")
        kind = schema.get("type")
        if kind == "object":
            return self._object(schema, inner, depth) if _may_lack(own) else st.nothing()
        if kind == "array":
            return self._array(schema, wanted, depth)
        if not all(map(_may_lack, inner.values())):
            return st.nothing()
        return _leaf(schema, own) if own is None or not own.values.is_empty else st.nothing()

    def _resolved(self, schema: _Schema) -> _Schema:
        while "$ref" in schema:
            schema = self._schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return schema

    def _object(self, schema: _Schema, wanted: _Wants, depth: int) -> st.SearchStrategy[Any]:
        if depth > _DEEP:
            return st.nothing()
        required, optional, left = {}, {}, dict(wanted)
        for name, property_ in schema.get("properties", {}).items():
            inside = {path[len(name) + 1 :]: want for path, want in wanted.items() if f"{path}.".startswith(f"{name}.")}
            left = {path: want for path, want in left.items() if not f"{path}.".startswith(f"{name}.")}
            value = self._value(property_, inside, depth + 1)
            is_wanted = not all(map(_may_lack, inside.values()))
            if name in schema.get("required", ()) or is_wanted:
                required[name] = value
            elif not value.is_empty:
                optional[name] = value
        if any(value.is_empty for value in required.values()):
            return st.nothing()
        drawn = st.fixed_dictionaries(required, optional=optional)
        return self._further(schema, left, drawn, depth)

    def _further(
        self, schema: _Schema, wanted: _Wants, drawn: st.SearchStrategy[Any], depth: int
    ) -> st.SearchStrategy[Any]:
        """Add fields that the model names no more than the type of, if a pattern asks for them."""
        present = {path: want for path, want in wanted.items() if not _may_lack(want)}
        further = schema.get("additionalProperties", True)
        if present and further is False:
            return st.nothing()
        for path, want in present.items():
            value = want.values if further is True else self._value(further, {"": want}, depth + 1)
            if value.is_empty:
                return st.nothing()
            drawn = st.builds(_with, drawn, st.just(path), value)
        return drawn

    def _array(self, schema: _Schema, wanted: _Wants, depth: int) -> st.SearchStrategy[Any]:
        is_wanted = not all(map(_may_lack, wanted.values()))
        least = max(schema.get("minItems", 0), int(is_wanted))
        most = schema.get("maxItems", max(least, _MANY))
        if "prefixItems" in schema:
            return self._tuple(schema["prefixItems"], wanted, depth)
        items = self._value(schema.get("items", {}), wanted, depth + 1)
        if items.is_empty:
            return st.nothing() if least else st.just([])
        return st.lists(items, min_size=least, max_size=most, unique_by=repr if schema.get("uniqueItems") else None)

    def _tuple(self, items: Sequence[_Schema], wanted: _Wants, depth: int) -> st.SearchStrategy[Any]:
        """Draw tuples in which one item is what is wanted."""
        lacking = {path: want for path, want in wanted.items() if want.values.is_empty}
        others = [self._value(item, lacking, depth + 1) for item in items]
        if len(lacking) == len(wanted):
            return st.tuples(*others).map(list)
        fitting = [self._value(item, wanted, depth + 1) for item in items]
        return st.one_of([st.tuples(*others[:at], one, *others[at + 1 :]).map(list) for at, one in enumerate(fitting)])


def _with(detail: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Add a field; a name with dots is several (3.2)."""
    return {**detail, path: value}


def _may_lack(want: Wanted | None) -> bool:
    return want is None or want.may_be_absent


def _leaf(schema: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        fitting = [value for value in values if want is None or want.accepts(value)]
        return st.sampled_from(fitting) if fitting else st.nothing()
    make = _KINDS.get(schema.get("type", ""), _anything)
    return make(schema, want)


def _anything(_: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    return leaves if want is None else want.values


def _null(_: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    return st.none() if want is None or want.accepts(None) else st.nothing()


def _boolean(_: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    fitting = [value for value in (False, True) if want is None or want.accepts(value)]
    return st.sampled_from(fitting) if fitting else st.nothing()


def _number(schema: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    """Draw numbers within the bounds of the schema and of a test together."""
    bounds = [(name, schema[key]) for key, name in _BOUNDS.items() if key in schema]
    if want is None:
        return _within(schema, bounds)
    options: list[st.SearchStrategy[Any]] = []
    for test in want.filters:
        if isinstance(test, Numeric):
            narrower = [("=", bound) if name == "=" else (name, bound) for name, bound in test.bounds]
            options.append(_within(schema, [*bounds, *narrower]))
        elif isinstance(test, Literal):
            value = test.value
            if is_number(value) and _fits(schema, value, bounds):
                options.append(st.just(int(value) if schema["type"] == "integer" else value))  # type: ignore[arg-type]
        elif test.accepts(0.5) or test.accepts(1):
            options.append(_within(schema, bounds).filter(test.accepts))
    return st.one_of(options)


_BOUNDS: Final = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def _fits(schema: _Schema, value: Any, bounds: Sequence[tuple[str, Any]]) -> bool:
    is_whole = schema["type"] != "integer" or value % schema.get("multipleOf", 1) == 0
    return is_whole and all(Numeric((bound,)).accepts(value) for bound in bounds)


def _within(schema: _Schema, bounds: Sequence[tuple[str, Any]]) -> st.SearchStrategy[Any]:
    exact = [bound for name, bound in bounds if name == "="]
    if exact:
        rest = [bound for bound in bounds if bound[0] != "="]
        return st.just(exact[0]) if _fits(schema, exact[0], rest) else st.nothing()
    lower = max((bound for bound in bounds if ">" in bound[0]), key=_lower_last, default=None)
    upper = min((bound for bound in bounds if "<" in bound[0]), key=_upper_first, default=None)
    if schema["type"] == "integer":
        return whole_numbers(lower, upper, schema.get("multipleOf", 1))
    return st.one_of(whole_numbers(lower, upper), doubles(lower, upper))


def _lower_last(bound: tuple[str, Any]) -> tuple[Any, bool]:
    return bound[1], bound[0] == ">"


def _upper_first(bound: tuple[str, Any]) -> tuple[Any, bool]:
    return bound[1], bound[0] == "<="


def _string(schema: _Schema, want: Wanted | None) -> st.SearchStrategy[Any]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    form, pattern = schema.get("format"), schema.get("pattern")
    if form in _FORMATS:
        base: st.SearchStrategy[Any] = _FORMATS[form][0]
    elif pattern is not None:
        base = st.from_regex(pattern)
    else:
        base = st.text(min_size=least, max_size=most if most is not None else max(20, least))
    if want is None:
        return base

    def fits(text: Any) -> bool:
        return (
            isinstance(text, str)
            and least <= len(text) <= (len(text) if most is None else most)
            and (pattern is None or re.search(pattern, text) is not None)
            and (form not in _FORMATS or _is_valid(_FORMATS[form][1], text))
        )

    is_free = form not in _FORMATS and pattern is None
    room = (least, most if most is not None else max(20, least)) if is_free else None
    return st.one_of([_text(test, base, fits, room) for test in want.filters])


def _text(
    test: ContentFilter, base: st.SearchStrategy[str], fits: Callable[[Any], bool], room: tuple[int, int] | None
) -> st.SearchStrategy[Any]:
    """Draw texts that a test accepts and that fit.

    Args:
        test: The test.
        base: Draws texts that fit.
        fits: Says whether a text does.
        room: The least and the greatest length, if that is all that makes a text fit.
    """
    if isinstance(test, Literal | Exactly):
        named = test.value if isinstance(test, Literal) else test.text
        return st.just(named) if fits(named) else st.nothing()
    if room is None or isinstance(test, AnythingBut | Exists):
        return base.filter(test.accepts) if test != Exists(expected=False) else st.nothing()
    if isinstance(test, Prefix | Suffix) and not test.ignores_case:
        least, most = (max(0, length - len(test.text)) for length in room)
        rest = st.text(min_size=least, max_size=most)
        joined = rest.map(lambda text: test.text + text if isinstance(test, Prefix) else text + test.text)
        return joined if fits(test.text + "x" * least) else st.nothing()
    return accepted([test], only_texts=True).filter(fits)


def _is_valid(kind: Any, text: str) -> bool:
    try:
        pydantic.TypeAdapter(kind).validate_python(text)
    except pydantic.ValidationError:
        return False
    return True


_FORMATS: Final[dict[Any, tuple[st.SearchStrategy[str], Any]]] = {
    "uuid": (st.uuids().map(str), UUID),
    "date-time": (st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat), datetime),
    "date": (st.dates().map(date.isoformat), date),
    "time": (st.times().map(time.isoformat), time),
    "duration": (st.integers(0, 10**6).map(lambda seconds: f"PT{seconds}S"), timedelta),
    "ipv4": (st.ip_addresses(v=4).map(str), pydantic.IPvAnyAddress),
    "ipv6": (st.ip_addresses(v=6).map(str), pydantic.IPvAnyAddress),
}
_KINDS: Final[dict[str, Callable[[_Schema, Wanted | None], st.SearchStrategy[Any]]]] = {
    "null": _null,
    "boolean": _boolean,
    "integer": _number,
    "number": _number,
    "string": _string,
}
