"""JSON values as a person is shown them: whole while short, abbreviated when long."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from eventrouter.patterns._tree import dumps

_LONG: Final = 200  # characters
_KEPT: Final = 60  # characters of what is longer
#: Python refuses to write longer ones, since that takes time that grows with their square.
_LARGE: Final = 10**1000


def shown(value: Any) -> str:
    """Write a value as compact JSON; of a long one the beginning, and how long it is."""
    if isinstance(value, int) and abs(value) >= _LARGE:
        text = f"{Decimal(value):f}"
        return f"{text[:_KEPT]}... ({len(text.lstrip('-')):,} digits)"
    try:
        text = dumps(value)
    except (RecursionError, TypeError, ValueError):  # deep, or data that JSON has no form for, or a large number inside
        return f"{{...}} (a {type(value).__name__})"
    return text if len(text) <= _LONG else f"{text[:_KEPT]}... ({len(text):,} characters)"
