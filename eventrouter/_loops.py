"""The event loop that runs, and its time, found without asking which kind it is.

anyio finds them too, but takes ten times as long, since it finds out first which kind runs: every call of `put_events`
would pay for that several times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from anyio.lowlevel import current_token


def loop_finder() -> Callable[[], object]:
    """Give what finds the event loop that its caller is in, if that is of the kind that runs here.

    In one of the other kind, and outside of any, it raises `RuntimeError`.
    """
    finder: Callable[[], object] = (  # it runs, so it has been imported
        sys.modules["asyncio"].get_running_loop if _is_asyncio() else sys.modules["trio"].lowlevel.current_trio_token
    )
    return finder


def loop_time() -> Callable[[], float]:
    """Give what tells the time of the event loop that runs here, in seconds."""
    time: Callable[[], float] = (
        current_token().native_token.time if _is_asyncio() else sys.modules["trio"].current_time  # type: ignore[attr-defined]
    )
    return time


def _is_asyncio() -> bool:
    return hasattr(current_token().native_token, "call_soon")
