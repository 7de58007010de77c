"""Events, patterns, and what is refused as a pattern."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pydantic
from hypothesis import strategies as st

from eventrouter.patterns._parse import RESERVED
from eventrouter.patterns._pattern import Pattern
from eventrouter.patterns._space import TEXTS
from eventrouter.testing._details import details
from eventrouter.testing._shapes import Draw, envelope_text
from eventrouter.testing._values import leaves, texts

_Data = st.SearchStrategy[Any]

_names: Final = st.one_of(st.sampled_from(["a", "b", "c", "id", "a.b"]), st.text(max_size=8)).map(
    lambda name: f"{name}_" if name in RESERVED or name == "$or" else name
)
_FIELDS: Final = 3  # of one object


# --- events ---------------------------------------------------------------------------------------------------------

_values: Final[_Data] = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_names, inner, max_size=_FIELDS)),
    max_leaves=10,
)
_objects: Final = st.dictionaries(_names, _values, max_size=_FIELDS)


def events(*, on_a_bus: bool, model: type[pydantic.BaseModel] | None) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events."""
    detail = _objects if model is None else details(model, {})
    if not on_a_bus:
        return _objects if model is None else st.builds(lambda rest, own: {**rest, "detail": own}, _objects, detail)
    return st.fixed_dictionaries(
        {
            **{name: envelope_text(name) for name in TEXTS},
            "resources": st.lists(texts, max_size=2),
            "detail": detail,
        }
    )


# --- patterns -------------------------------------------------------------------------------------------------------

_plain: Final[_Data] = st.one_of(texts, leaves)
_some: Final = st.lists(texts, min_size=1, max_size=3)
_nonempty: Final = st.text(min_size=1, max_size=20)
#: A `numeric` takes no integer that a double cannot show.
_bounds: Final[_Data] = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
_wildcards: Final = st.builds(
    lambda runs, before, behind: "*" * before + "*".join(runs) + "*" * (behind and bool(runs)),
    st.lists(_nonempty.map(lambda text: text.replace("\\", "\\\\").replace("*", "\\*")), max_size=3),
    st.booleans(),
    st.booleans(),
)


def _range(low: float, high: float, lower: str, upper: str) -> dict[str, Any]:
    if low == high:
        return {"numeric": ["=", low]}
    return {"numeric": [lower, min(low, high), upper, max(low, high)]}


def _one_key(name: str, operand: _Data) -> _Data:
    return operand.map(lambda value: {name: value})


_ends: Final = st.one_of(texts, _one_key("equals-ignore-case", texts))
_networks: Final = st.one_of(
    st.builds(lambda address, bits: f"{address}/{bits}", st.ip_addresses(v=4), st.integers(0, 31)),
    st.builds(
        lambda address, bits: f"{address}/{bits}",
        # An IPv6 address that is an IPv4 one in disguise has IPv4's bits (10.3), and no dots in it.
        st.integers(2**48, 2**128 - 1).map(
            lambda value: ":".join(f"{value >> at & 0xFFFF:x}" for at in range(112, -1, -16))
        ),
        st.integers(0, 127),
    ),
)
_string_tests: Final[_Data] = st.one_of(
    _one_key("prefix", _ends),
    _one_key("suffix", _ends),
    _one_key("equals-ignore-case", texts),
    _one_key("wildcard", _wildcards),
    _one_key("exactly", texts),
    _one_key("cidr", _networks),
)
_exclusions: Final[_Data] = _one_key(
    "anything-but",
    st.one_of(
        texts,
        _some,
        _bounds,
        st.lists(_bounds, min_size=1, max_size=3),
        _one_key("prefix", st.one_of(_nonempty, st.lists(_nonempty, min_size=1, max_size=3))),
        _one_key("suffix", st.one_of(_nonempty, st.lists(_nonempty, min_size=1, max_size=3))),
        _one_key("equals-ignore-case", st.one_of(texts, _some)),
        _one_key("wildcard", st.one_of(_wildcards, st.lists(_wildcards, min_size=1, max_size=3))),
    ),
)
_comparisons: Final[_Data] = st.one_of(
    st.builds(lambda name, bound: {"numeric": [name, bound]}, st.sampled_from(["=", "<", "<=", ">", ">="]), _bounds),
    st.builds(_range, _bounds, _bounds, st.sampled_from([">", ">="]), st.sampled_from(["<", "<="])),
)
_presence: Final[_Data] = _one_key("exists", st.booleans())
_tests: Final[_Data] = st.one_of(_plain, _string_tests, _comparisons, _exclusions, _presence)
_alternatives: Final[_Data] = st.one_of(_tests.map(lambda test: [test]), st.lists(_tests, min_size=1, max_size=3))
_text_alternatives: Final[_Data] = st.lists(
    st.one_of(_nonempty, _string_tests, _exclusions, _presence), min_size=1, max_size=3
)


def _objects_of(fields: _Data, branches: _Data) -> _Data:
    """Draw an object of a pattern, with or without an `$or`."""
    any_of = st.lists(branches, min_size=2, max_size=3)
    either = st.one_of(
        st.builds(lambda one: {"$or": one}, any_of), st.builds(lambda some, one: {**some, "$or": one}, fields, any_of)
    )
    return st.one_of(fields, fields, fields, either)


_leaf_fields: Final = st.dictionaries(_names, _alternatives, min_size=1, max_size=2)
_inner: Final = _objects_of(_leaf_fields, _leaf_fields)
_fields: Final = _objects_of(
    st.dictionaries(_names, st.one_of(_alternatives, _alternatives, _inner), min_size=1, max_size=_FIELDS), _inner
)
_envelopes: Final[_Data] = st.fixed_dictionaries(
    {}, optional={"source": _text_alternatives, "detail-type": _text_alternatives, "resources": _text_alternatives}
)


def documents(*, on_a_bus: bool) -> _Data:
    """Draw patterns as data."""
    if not on_a_bus:
        return _fields
    return st.one_of(
        _envelopes.map(lambda fields: fields or {"source": [{"prefix": ""}]}),
        st.builds(lambda fields, detail: {**fields, "detail": detail}, _envelopes, _fields),
    )


def patterns(*, on_a_bus: bool) -> st.SearchStrategy[Pattern]:
    """Draw patterns."""
    return documents(on_a_bus=on_a_bus).map(Pattern.parse)


# --- what is refused ------------------------------------------------------------------------------------------------

_no_strings: Final[_Data] = st.one_of(st.none(), st.booleans(), st.integers(), st.lists(texts, max_size=2))
_too_long: Final = st.integers(2**53, 2**60).map(lambda number: 2 * number + 1)
_incomparable: Final[_Data] = st.one_of(
    _too_long.filter(lambda number: int(float(number)) != number), st.just(2**53 + 1)
)
_unknown: Final = st.text(max_size=8).filter(lambda name: name not in RESERVED)
_bad_wildcards: Final = st.one_of(
    st.builds("{}**{}".format, texts.map(lambda text: text.replace("\\", "")), texts),
    texts.map(lambda text: text.replace("\\", "") + "\\"),
    st.builds(
        lambda text, after: f"{text}\\{after}", texts.map(lambda text: text.replace("\\", "")), st.sampled_from("abn")
    ),
)


def _with_second(test: dict[str, Any]) -> dict[str, Any]:
    return {**test, "x": 1}


_bad_numeric: Final[_Data] = st.one_of(
    st.integers(),
    st.just([]),
    st.lists(st.integers(), min_size=1, max_size=2),
    st.builds(lambda bound: ["!=", bound], st.integers()),
    st.sampled_from([["="], [">"], [">", "5"], [">", 5, "<"], [">", 5, 6], [">", 5, ">", 6], ["=", 5, "<", 6]]),
    st.builds(lambda low, by: [">", low, "<", low - by], st.integers(-1000, 1000), st.integers(0, 1000)),
    _incomparable.map(lambda number: ["=", number]),
    st.just([">", 1, "<", 5, "<", 4]),
)
_bad_networks: Final[_Data] = st.one_of(
    _no_strings,
    st.ip_addresses().map(str),
    st.builds(lambda address, bits: f"{address}/{bits}", st.ip_addresses(v=4), st.integers(32, 200)),
    st.builds(lambda address, bits: f"{address}/-{bits}", st.ip_addresses(v=4), st.integers(1, 40)),
    st.sampled_from(["10.0.0.0/x", "256.0.0.0/8", "10.0.0/8", "fe80::1%eth0/10", "::ffff:10.0.0.0/104", "x"]),
)
_bad_exclusions: Final[_Data] = st.one_of(
    st.none(),
    st.booleans(),
    st.just([]),
    st.builds(lambda text, number: [text, number], texts, st.integers()),
    st.just([None]),
    st.just({}),
    st.sampled_from(
        [{"numeric": ["<", 5]}, {"cidr": "10.0.0.0/8"}, {"exists": True}, {"prefix": ""}, {"suffix": [""]}]
    ),
    _one_key("prefix", st.integers()),
    _one_key("equals-ignore-case", st.one_of(st.integers(), st.just([]), st.just([1]))),
    _one_key("wildcard", _bad_wildcards),
    _incomparable,
)
_bad_ends: Final[_Data] = st.one_of(
    _no_strings, st.just({}), _one_key("suffix", texts), st.just({"equals-ignore-case": "a", "x": "y"})
)
_bad_alternatives: Final[_Data] = st.one_of(
    st.just({}),
    st.lists(leaves, max_size=2),
    st.builds(lambda name, value: {name: value}, _unknown, leaves),
    _string_tests.map(_with_second),
    _comparisons.map(_with_second),
    _exclusions.map(_with_second),
    *(_one_key(name, _no_strings) for name in ("exactly", "equals-ignore-case", "wildcard")),
    _one_key("prefix", _bad_ends),
    _one_key("suffix", _bad_ends.filter(lambda end: not isinstance(end, dict) or "suffix" not in end)),
    _one_key("wildcard", _bad_wildcards),
    _one_key("numeric", _bad_numeric),
    _one_key("cidr", _bad_networks),
    _one_key("exists", st.one_of(texts, st.integers(), st.none())),
    _one_key("anything-but", _bad_exclusions),
)
_bad_fields: Final[_Data] = st.one_of(
    leaves, st.just([]), st.just({}), _bad_alternatives.map(lambda bad: [bad]),
    st.builds(lambda good, bad: [*good, bad], _alternatives, _bad_alternatives),
)  # fmt: skip
_bad_branches: Final[_Data] = st.one_of(
    leaves,
    st.just({}),
    st.lists(_fields, max_size=1),
    st.builds(lambda branch, bad: [branch, bad], _fields, st.one_of(leaves, st.just({}), st.just([]))),
    st.builds(lambda branch, name: [branch, {name: ["x"]}], _fields, st.sampled_from(sorted(RESERVED))),
)


@st.composite
def _faulty(draw: Draw) -> Any:
    """Draw a pattern with one field that is refused, somewhere in it."""
    bad: Any = {"$or": draw(_bad_branches)} if draw(st.integers(0, 4)) == 4 else {draw(_names): draw(_bad_fields)}  # noqa: PLR2004 - a fifth
    for _ in range(draw(st.integers(0, 2))):
        bad = {draw(_names): bad}
    # The fault comes last, so that no field of the same name takes its place.
    return draw(st.sampled_from([bad, {**_without(draw(_fields), bad), **bad}]))


def _without(fields: dict[str, Any], bad: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in bad}


def _broken(text: str, at: int) -> str:
    """Cut a JSON object short."""
    return text[: at % len(text)]


def invalid_patterns() -> st.SearchStrategy[str]:
    """Draw texts that are refused."""
    text = _fields.map(json.dumps)
    no_objects: Sequence[Any] = ([], [{}], "x", 5, None, True, {})
    return st.one_of(
        st.sampled_from(no_objects).map(json.dumps),
        _faulty().map(json.dumps),
        _faulty().map(json.dumps),
        _faulty().map(json.dumps),
        st.builds(_broken, text, st.integers(0, 10_000)),
        st.builds("{} {}".format, text, st.sampled_from(["x", "{}", ",", "]"])),
    )
