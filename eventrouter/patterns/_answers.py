"""What the algebra of patterns answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

from eventrouter.errors import UndecidedError


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no, which is what it is in an `if`.

    Attributes:
        holds: The answer. It is proven.
        witness: An event, as data, that shows it, where one event can; None for what is so of all events.
    """

    holds: bool
    witness: Mapping[str, Any] | None = None

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True, slots=True)
class Unknown:
    """Neither proven nor disproven. In an `if` it raises `UndecidedError`, so that nobody takes it for an answer.

    Attributes:
        reason: Why.
    """

    reason: str

    def __bool__(self) -> Never:
        raise UndecidedError(self.reason)
