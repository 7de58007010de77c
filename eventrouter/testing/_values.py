"""Values of a field: any, and those that a content filter accepts, made so and not sought for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from eventrouter.patterns._addresses import Address
from eventrouter.patterns._evaluate import in_order
from eventrouter.patterns._kinds import kinds_of
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
from eventrouter.patterns._strings import spellings
from eventrouter.patterns._work import Work

Values: TypeAlias = st.SearchStrategy[Leaf]

_LOOKS: Final = 200_000  # at filters of strings

texts: Final = st.text(max_size=10)
#: What a bus takes as an integer.
_LEAST, _MOST = -(2**63), 2**63 - 1

numbers: Final = st.one_of(st.integers(_LEAST, _MOST), st.floats(allow_nan=False, allow_infinity=False))
leaves: Final[Values] = st.one_of(st.none(), st.booleans(), numbers, texts)


def accepted(filters: Iterable[ContentFilter], *, only_texts: bool = False) -> Values:
    """Draw values that one of some filters accepts; empty if there are none."""
    return st.one_of([_accepted(test, only_texts=only_texts) for test in filters])


def _accepted(test: ContentFilter, *, only_texts: bool) -> Values:  # noqa: PLR0911 - one for each kind
    match test:
        case Literal():
            return _literals(test) if isinstance(test.value, str) or not only_texts else st.nothing()
        case Exactly():
            return st.just(test.text)
        case EqualsIgnoreCase():
            return in_any_case(test.text)
        case Prefix():
            return st.tuples(_own(test), texts).map("".join)
        case Suffix():
            return st.tuples(texts, _own(test)).map("".join)
        case Wildcard():
            first, *others = test.parts
            return st.tuples(*[texts] * len(others)).map(
                lambda runs: first + "".join([run + part for run, part in zip(runs, others, strict=True)])
            )
        case Numeric():
            return st.nothing() if only_texts else _numbers(test)
        case Cidr():
            return st.builds(
                _spelled, st.integers(test.first.value, test.last.value), st.just(test.first.family), _MANY
            )
        case AnythingBut():
            return _others(test, only_texts=only_texts)
        case _:
            return (texts if only_texts else leaves) if test == Exists(expected=True) else st.nothing()


_MANY: Final = st.integers(0, 6)


def _literals(literal: Literal) -> Values:
    if literal.address is not None:
        return st.sampled_from([literal.value, *spellings(literal.address)])
    value = literal.value
    if literal.kind != "number" or not isinstance(value, int | float):
        return st.just(value)
    try:
        other: Leaf = int(value) if isinstance(value, float) else float(value)
    except OverflowError:  # infinity is no integer, and what is past the greatest double no double
        return st.just(value)
    return st.sampled_from([value, other] if other == value else [value])


def _own(test: Prefix | Suffix) -> st.SearchStrategy[str]:
    return in_any_case(test.text) if test.ignores_case else st.just(test.text)


def in_any_case(text: str) -> st.SearchStrategy[str]:
    """Draw a text with each character in its lower or its upper case."""
    cases = [(one.lower(), one.upper()) for one in text]
    several = [index for index, (lower, upper) in enumerate(cases) if lower != upper]

    def chosen(choices: int) -> str:
        upper = {index for bit, index in enumerate(several) if choices >> bit & 1}
        return "".join([pair[index in upper] for index, pair in enumerate(cases)])

    return st.integers(0, (1 << len(several)) - 1).map(chosen)


def _spelled(value: int, family: int, choice: int) -> str:
    ways = spellings(Address(family, value))
    return ways[choice % len(ways)]


def _numbers(test: Numeric) -> Values:
    lower = next(((name, bound) for name, bound in test.bounds if "<" not in name), None)
    upper = next(((name, bound) for name, bound in test.bounds if ">" not in name), None)
    if not _passing(test):  # nothing is past the greatest double (7.7)
        return st.nothing()
    return st.one_of(whole_numbers(lower, upper), doubles(lower, upper))


#: A comparison and what a number is compared with.
Bound: TypeAlias = "tuple[str, int | float] | None"


def whole_numbers(lower: Bound, upper: Bound, step: int = 1) -> st.SearchStrategy[int]:
    """Draw integers within bounds, of those that a step divides."""
    least = None if lower is None else math.floor(lower[1]) + 1 if lower[0] == ">" else math.ceil(lower[1])
    most = None if upper is None else math.ceil(upper[1]) - 1 if upper[0] == "<" else math.floor(upper[1])
    least = None if least is None else -(-least // step)
    most = None if most is None else most // step
    if least is not None and most is not None and least > most:
        return st.nothing()
    # 64 bits, which is what a bus takes, but where the bounds are past that.
    least = min(_LEAST // step + 1, _MOST if most is None else most) if least is None else least
    most = max(_MOST // step, least) if most is None else most
    return st.integers(least, most).map(lambda count: count * step)


def doubles(lower: Bound, upper: Bound) -> st.SearchStrategy[float]:
    """Draw doubles within bounds, which may lie between doubles."""
    least, most = -_GREATEST, _GREATEST
    if lower is not None:
        least = float(lower[1])
        if least < lower[1] or (lower[0] == ">" and least == lower[1]):
            least = math.nextafter(least, math.inf)
    if upper is not None:
        most = float(upper[1])
        if most > upper[1] or (upper[0] == "<" and most == upper[1]):
            most = math.nextafter(most, -math.inf)
    if not least <= most or math.isinf(least) or math.isinf(most):
        return st.nothing()
    return st.floats(least + 0.0, most + 0.0, allow_nan=False)


_GREATEST: Final = math.nextafter(math.inf, 0)


def _others(test: AnythingBut, *, only_texts: bool) -> Values:
    passing = [value for value in _passing(test) if isinstance(value, str) or not only_texts]
    return (texts if only_texts else leaves).map(made_to_pass(test.accepts, passing[0])) if passing else st.nothing()


def _passing(test: ContentFilter) -> list[Leaf]:
    """Give a value for each kind of values that a test accepts."""
    [field] = in_order({"": (test,)})
    kinds = kinds_of([field], Work(_LOOKS))
    return [value for kind, value in kinds.values.items() if kind & kinds.accepted[0]]


def made_to_pass(accepts: Callable[[Leaf], bool], known: Leaf) -> Callable[[Leaf], Leaf]:
    """Make a value that passes of any value: itself, or one like it, or else the one that is known to pass."""

    def made(value: Leaf) -> Leaf:
        candidates: Sequence[Any] = (value, f"{value}x", f"x{value}") if isinstance(value, str) else (value,)
        return next((candidate for candidate in candidates if accepts(candidate)), known)

    return made
