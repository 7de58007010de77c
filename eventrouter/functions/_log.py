"""The log of an invocation: lines for `logging`, and the last of them for the answer."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

from eventrouter.functions._context import Facts

logger = logging.getLogger("eventrouter.functions")

#: Characters that are kept for the answer: what of them Lambda gives is the last 4 KB (`LogType`).
_KEPT: Final = 4 * 1024


class InvocationLog:
    """Writes the lines of one invocation, which all carry its request id.

    Records have `request_id`, `function_name`, `function_version` and `log_stream` as attributes.
    """

    def __init__(self, facts: Facts) -> None:
        self._about = {
            "request_id": facts.aws_request_id,
            "function_name": facts.function_name,
            "function_version": facts.function_version,
            "log_stream": facts.log_stream_name,
        }
        self._tail: deque[str] = deque()
        self._size = 0

    def write(self, line: str) -> None:
        """Write a line."""
        logger.info("%s", line, extra=self._about)
        self._tail.append(line)
        self._size += len(line)
        while self._size - len(self._tail[0]) >= _KEPT:
            self._size -= len(self._tail.popleft())

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, as many as may be needed for 4 KB."""
        return tuple(self._tail)
