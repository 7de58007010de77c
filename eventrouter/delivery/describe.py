"""Errors as Lambda's Python runtime describes them."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Final

from eventrouter.delivery._conclude import text_of, writable

#: Frames of a stack trace, and characters of each: a record explains, it does not archive tracebacks.
MAXIMUM_FRAMES: Final = 20
MAXIMUM_FRAME_LENGTH: Final = 500

_OWN_FILES: Final = str(Path(__file__).parents[1] / "_")[:-1]


def described(error: Exception, request_id: str) -> dict[str, Any]:
    """Describe an error as Lambda's Python runtime does."""
    return {
        "errorMessage": text_of(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": _stack_trace(error),
    }


def _stack_trace(error: Exception) -> list[str]:
    """Give the innermost frames, outermost first, without those of this package that called the target."""
    try:
        frames = traceback.extract_tb(error.__traceback__, limit=-MAXIMUM_FRAMES)
    except Exception:  # noqa: BLE001 - it asks foreign loaders for the lines, and must not cost the delivery
        return []
    first = next((index for index, frame in enumerate(frames) if not frame.filename.startswith(_OWN_FILES)), 0)
    return [writable(_shown(frame))[:MAXIMUM_FRAME_LENGTH] for frame in frames[first:]]


def _shown(frame: traceback.FrameSummary) -> str:
    place = f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
    return f"{place}    {frame.line}\n" if frame.line else place
