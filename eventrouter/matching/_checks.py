"""What is left to check of a rule, as straight-line Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias, cast
from weakref import WeakValueDictionary

from eventrouter.patterns import AnythingBut, ContentFilter, Exactly, Exists, Literal, Numeric, Prefix, Suffix

#: The alternatives of one field.
Filters: TypeAlias = tuple[ContentFilter, ...]
#: Fields of a rule, each by its slot.
Fields: TypeAlias = tuple[tuple[int, Filters], ...]


class Check(Protocol):
    """Says whether fields fit, with the constants that belong to it.

    Attributes:
        several: Does so where fields may have several values. A function's attribute, as most calls do without.
    """

    several: Callable[[Many, tuple[Any, ...]], bool]

    def __call__(self, values: Any, constants: tuple[Any, ...], /) -> bool:
        """Say it of the values of an event, by slot."""


class _Absent:
    """There is no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
_MISSING: Final = Exists(expected=False)
_MAXIMUM_COMPILED: Final = 8  # fields; checks of more are rare, and each count needs code of its own


class Values(dict[int, Any]):
    """The values of an event that has few of the fields of all rules."""

    __slots__ = ()

    def __missing__(self, slot: int) -> Any:
        return ABSENT


class Many:
    """The values of an event in which fields have several.

    Attributes:
        values: The distinct values of each field that has any.
        uncertain: The fields that may be absent though they have values, as these stand in elements of an array.
        answers: What shared tests have said of them.
    """

    __slots__ = ("answers", "uncertain", "values")

    def __init__(self, values: Values, uncertain: frozenset[int] = frozenset()) -> None:
        self.values = values
        self.uncertain = uncertain
        self.answers: dict[_Test, bool] = {}


def make_check(fields: Fields) -> tuple[Check, tuple[Any, ...]]:
    """Give the check of fields, and the constants that it is to be called with.

    Its code depends on the kinds of the tests only, and is compiled once for each combination.
    """
    planned = sorted(
        ((*_plan(slot, filters), slot) for slot, filters in fields),
        key=lambda plan: _EXPRESSIONS_BY_COST.index(plan[0]),
    )
    if len(planned) > _MAXIMUM_COMPILED:
        return cast("Check", _all_of), tuple(make_check((field,)) for field in fields)
    # A tuple of constants takes a third of the room of a closure over them.
    constants = tuple(part for _, constant, slot in planned for part in (slot, constant))
    return _compiled(tuple(kind for kind, _, _ in planned)), constants


def _all_of(values: Any, checks: Any) -> bool:
    return all(check(values, constants) for check, constants in checks)


cast("Check", _all_of).several = lambda many, checks: all(check.several(many, constants) for check, constants in checks)

#: The expression of each kind, cheapest first: of the value, which is `v` when named again, and a constant.
_EXPRESSIONS: Final = {
    "text": "{value} == {c}",
    "texts": "type({value}) is str and v in {c}",
    "number": "type({value}) in NUMBERS and v == {c}",
    ">": "type({value}) in NUMBERS and v > {c}",
    ">=": "type({value}) in NUMBERS and v >= {c}",
    "<": "type({value}) in NUMBERS and v < {c}",
    "<=": "type({value}) in NUMBERS and v <= {c}",
    "prefix": "type({value}) is str and v.startswith({c})",
    "suffix": "type({value}) is str and v.endswith({c})",
    "but": "{value} is not ABSENT and v not in {c}",
    "other": "{c}.passes({value})",
}
#: Those that are quicker, or different, where there are several values.
_SEVERAL: Final = {
    "text": "{c} in many.values.get({slot}, ())",
    "other": "{c}.passes_any_of(many, {slot})",
}
_EXPRESSIONS_BY_COST: Final = list(_EXPRESSIONS)


def _plan(slot: int, filters: Filters) -> tuple[str, Any]:  # noqa: PLR0911 - one for each kind
    """Give the kind of the check of one field, and its constants."""
    if len(filters) > 1:
        texts = [text_of(test) for test in filters]
        return ("texts", frozenset(texts)) if None not in texts else ("other", _shared(slot, filters))
    [test] = filters
    text = text_of(test)
    if text is not None:
        return "text", text
    kind = type(test)
    if kind is Literal and test.kind == "number":  # type: ignore[attr-defined]
        return "number", test.value  # type: ignore[attr-defined]
    if kind is Numeric and len(test.bounds) == 1 and not is_extreme(test):  # type: ignore[attr-defined, arg-type]
        [(name, bound)] = test.bounds  # type: ignore[attr-defined]
        return ("number" if name == "=" else name), bound
    if kind in (Prefix, Suffix) and not test.ignores_case:  # type: ignore[attr-defined]
        return ("prefix" if kind is Prefix else "suffix"), test.text  # type: ignore[attr-defined]
    if kind is AnythingBut and all(type(excluded) is Exactly for excluded in test.excluded):  # type: ignore[attr-defined]
        return "but", frozenset(excluded.text for excluded in test.excluded)  # type: ignore[attr-defined]
    return "other", _shared(slot, filters)


def is_extreme(test: Numeric) -> bool:
    """Say whether a bound is at the end of what a double can be, past which there is nothing, not even an integer."""
    return any(abs(bound) >= sys.float_info.max for _, bound in test.bounds)


def text_of(test: ContentFilter) -> str | None:
    """Give the one string that passes, if that is so; of addresses several spellings do."""
    # By type, as isinstance() is slow for classes that derive from ABC; adding a rule asks this several times.
    if type(test) is Literal:
        return test.value if type(test.value) is str and test.address is None else None
    return test.text if type(test) is Exactly else None


def accepts_any(filters: Filters) -> Callable[[Any], bool]:
    """Give what says whether any of the tests accepts a value that is present."""
    if len(filters) == 1:
        return filters[0].accepts
    return lambda value: any(test.accepts(value) for test in filters)


#: What no event holds.
_NOTHING: Final = object()


class _Field:
    """The value of a field that its shared tests were last asked about, and a token that stands for it.

    The value is kept here and not in the tests, so that a field keeps one and not as many as it has tests.
    """

    __slots__ = ("__weakref__", "last")

    def __init__(self) -> None:
        self.last: tuple[Any, object] = (_NOTHING, None)


class _Test:
    """The tests of one field that are neither quick nor written in line; one object for all rules that have them."""

    __slots__ = ("__weakref__", "_accepts", "_answer", "_field", "_may_be_absent")

    def __init__(self, filters: Filters) -> None:
        self._accepts = accepts_any(filters)
        self._may_be_absent = _MISSING in filters

    def passes(self, value: Any) -> bool:
        """Say whether a value passes, or that there is none."""
        return self._may_be_absent if value is ABSENT else self._accepts(value)

    def passes_any_of(self, many: Many, slot: int) -> bool:
        """Say whether some value passes, or none is wanted and there may be none; found out once for each event."""
        answer = many.answers.get(self)
        if answer is None:
            values = many.values.get(slot, ())
            answer = self._may_be_absent and (not values or slot in many.uncertain)
            answer = many.answers[self] = answer or any(map(self._accepts, values))
        return answer

    def share(self, field: _Field) -> None:
        """Keep the answer for the last value from now on, as there are more rules than one to ask for it."""
        if type(self) is _Test:
            self._field = field
            self._answer: tuple[object, bool] = (_NOTHING, False)
            self.__class__ = _SharedTest  # in place, as the rules that have it are not known


class _SharedTest(_Test):
    """Tests that several rules have: the candidates of one event ask about the same object, which is tested once.

    A value is a leaf and does not change; threads that disturb each other only test it again.
    """

    __slots__ = ()

    def passes(self, value: Any) -> bool:
        last = self._field.last  # read once, as the answer is: another thread may put another pair there
        if last[0] is not value:
            last = self._field.last = (value, object())
        answer = self._answer
        if answer[0] is not last[1]:
            passed = self._may_be_absent if value is ABSENT else self._accepts(value)
            answer = self._answer = (last[1], passed)
        return answer[1]


#: By slot and tests, and by slot, as long as some rule has them.
_tests: Final[WeakValueDictionary[tuple[int, Filters], _Test]] = WeakValueDictionary()
_fields: Final[WeakValueDictionary[int, _Field]] = WeakValueDictionary()


def _shared(slot: int, filters: Filters) -> _Test:
    test = _tests.get((slot, filters))
    if test is None:
        test = _tests[slot, filters] = _Test(filters)
        return test
    field = _fields.get(slot)
    if field is None:
        field = _fields[slot] = _Field()
    test.share(field)
    return test


@lru_cache(maxsize=1_000)
def _compiled(kinds: tuple[str, ...]) -> Check:
    one, several = [], []
    for number, kind in enumerate(kinds):
        slot, constant = f"c[{2 * number}]", f"c[{2 * number + 1}]"
        one.append(_EXPRESSIONS[kind].format(value=f"(v := values[{slot}])", c=constant))
        of_any = f"any({_EXPRESSIONS[kind].format(value='v', c=constant)} for v in many.values.get({slot}, ()))"
        several.append(_SEVERAL[kind].format(slot=slot, c=constant) if kind in _SEVERAL else of_any)
    source = f"check = lambda values, c: {' and '.join(one)}\ncheck.several = lambda many, c: {' and '.join(several)}"
    namespace: dict[str, Any] = {"NUMBERS": frozenset((int, float)), "ABSENT": ABSENT}
    exec(source, namespace)  # noqa: S102 - the expressions above only
    check: Check = namespace["check"]
    return check
