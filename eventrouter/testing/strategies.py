"""Strategies of Hypothesis: test data from event patterns.

They need the extra `testing`. What is drawn is made to fit and not sought for, so that health checks of Hypothesis stay
quiet, and shrinks to small events: without arrays, dots in names, and fields that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from eventrouter.errors import MissingExtraError

try:
    from hypothesis import strategies as st
except ModuleNotFoundError:
    raise MissingExtraError("eventrouter.testing.strategies", "testing") from None

import pydantic

from eventrouter.patterns import Pattern
from eventrouter.testing import _drawing, _near, _patterns, _schedules
from eventrouter.testing._near import Boundary, Distinguishing, NearMiss

__all__ = [
    "Boundary",
    "Distinguishing",
    "NearMiss",
    "boundary",
    "distinguishing",
    "events",
    "invalid_patterns",
    "matching",
    "near_miss",
    "patterns",
    "schedule_expressions",
]

#: A pattern, or what `Pattern.parse` takes.
PatternLike: TypeAlias = "Pattern | str | bytes | Mapping[str, Any]"


def _parsed(pattern: PatternLike) -> Pattern:
    return pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)


def events(
    *, on_a_bus: bool = False, model: type[pydantic.BaseModel] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events, as data, that know nothing of any pattern.

    Args:
        on_a_bus: With EventBridge's envelope, as a bus delivers them. Otherwise any JSON objects.
        model: Their `detail` is valid for this pydantic model.
    """
    return _patterns.events(on_a_bus=on_a_bus, model=model)


def patterns(*, on_a_bus: bool = False) -> st.SearchStrategy[Pattern]:
    """Draw valid patterns, with every operator, `$or`, and fields inside fields.

    Args:
        on_a_bus: Of fields that events of a bus have.
    """
    return _patterns.patterns(on_a_bus=on_a_bus)


def invalid_patterns() -> st.SearchStrategy[str]:
    """Draw texts that `Pattern.parse` refuses: JSON with one fault, of each of EventBridge's reasons, or no JSON."""
    return _patterns.invalid_patterns()


def matching(
    pattern: PatternLike,
    *,
    on_a_bus: bool = False,
    arrays: bool = True,
    model: type[pydantic.BaseModel] | None = None,
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw events, as data, that match a pattern.

    Args:
        pattern: The pattern, parsed or not.
        on_a_bus: With EventBridge's envelope. Every field of it that the pattern leaves open is as a bus writes it.
        arrays: Also with arrays of several elements, of which one matches.
        model: The `detail` is valid for this pydantic model. Bounds, lengths and choices of the model and the pattern
            are combined; what a validator of the model's own refuses, or a text of a special form that the pattern
            wants to begin so, is drawn again.

    Raises:
        NoSuchEventError: No event can match.
        PatternError: It is no pattern.
    """
    parsed = _parsed(pattern)
    drawn = _drawing.matching_events(parsed, on_a_bus=on_a_bus, arrays=arrays, model=model)
    if drawn.is_empty:
        raise _drawing.no_detail(model)
    return drawn


def near_miss(pattern: PatternLike, *, on_a_bus: bool = False) -> st.SearchStrategy[NearMiss]:
    """Draw events that do not match a pattern, each for one reason, which is told.

    All fields that one way to match asks for are as they should be, but one; and no other way matches.

    Args:
        pattern: The pattern, parsed or not.
        on_a_bus: With EventBridge's envelope.

    Raises:
        NoSuchEventError: There is no such event, as every value passes, or none was found.
        PatternError: It is no pattern.
    """
    return _near.near_misses(_parsed(pattern), on_a_bus=on_a_bus)


def boundary(pattern: PatternLike, *, on_a_bus: bool = False) -> st.SearchStrategy[Boundary]:
    """Draw events at the edges of a pattern's tests: just inside and just outside.

    Edges are each bound of a number and the numbers next to it, the first and last address of a network and those
    beside them, a text with a character more, less or in another case, null, and the lack of a field. One field is at
    an edge, and the others of one way to match are as they should be.

    Args:
        pattern: The pattern, parsed or not.
        on_a_bus: With EventBridge's envelope.

    Raises:
        NoSuchEventError: No event can match.
        PatternError: It is no pattern.
    """
    return _near.boundaries(_parsed(pattern), on_a_bus=on_a_bus)


def distinguishing(
    first: PatternLike, second: PatternLike, *, on_a_bus: bool = False
) -> st.SearchStrategy[Distinguishing]:
    """Draw events that match one of two patterns and not the other, from both sides where there are such.

    Args:
        first: A pattern, parsed or not.
        second: Another one.
        on_a_bus: With EventBridge's envelope.

    Raises:
        NoSuchEventError: The patterns are equivalent, if it is `proven`, or no such event was found.
        PatternError: One is no pattern.
    """
    return _near.differences(_parsed(first), _parsed(second), on_a_bus=on_a_bus)


def schedule_expressions() -> st.SearchStrategy[str]:
    """Draw valid schedule expressions of EventBridge: `rate(...)`, `cron(...)` and `at(...)`.

    Some are never due, such as those of a year that is over.
    """
    return _schedules.schedule_expressions()
