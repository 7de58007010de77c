"""Places inside JSON, written as JSONPath."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

#: From an object or array to one of its values.
Step: TypeAlias = str | int

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def json_path(steps: tuple[Step, ...]) -> str:
    """Write a place as JSONPath, with odd names quoted."""
    return "$" + "".join(map(_step, steps))


def _step(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _PLAIN.fullmatch(step):
        return f".{step}"
    escaped = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]|\['((?:[^'\\]|\\.)*)'\]", re.DOTALL)


def steps_of(path: str) -> tuple[Step, ...]:
    """Read what `json_path` has written."""
    return tuple(
        int(index) if index else name or re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        for name, index, quoted in _STEP.findall(path)
    )
