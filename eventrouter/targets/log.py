"""Targets that write events down: to Python's logging, or to a file of JSON lines."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass

import anyio.to_thread

from eventrouter.abc import Target
from eventrouter.records import Delivery

#: Taken while a line is appended. One for all files: two targets may name the same one.
_one_writer = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class LogTarget(Target):
    """Write the event's JSON, or the input's, to a logger.

    Attributes:
        logger: Name of the logger.
        level: Level of the record, as `logging` counts it.
    """

    logger: str = "eventrouter.events"
    level: int = logging.INFO

    async def invoke(self, delivery: Delivery) -> None:
        """Write one record; the event itself is its `event` attribute."""
        text = delivery.payload.decode()
        logging.getLogger(self.logger).log(self.level, "%s", text, extra={"event": delivery.event})


@dataclass(frozen=True, kw_only=True)
class JsonLinesTarget(Target):
    """Append the event's JSON, or the input's, to a file, one line each.

    A line is written whole or, when the disk is full, not at all. An event that comes again is a line again. One
    process at a time writes the file.

    Attributes:
        path: The file; made when the first event comes.
        fsync: Whether a line has to be on the disk before the delivery counts.
    """

    path: str | os.PathLike[str]
    fsync: bool = False

    async def invoke(self, delivery: Delivery) -> None:
        """Append one line, in a worker thread."""
        await anyio.to_thread.run_sync(self._append, delivery.payload + b"\n")

    def _append(self, line: bytes) -> None:
        # A thread that was started finishes even if its attempt is cancelled, so the lock is always given back.
        with _one_writer, open(self.path, "ab", buffering=0) as file:  # noqa: PTH123 - path may be any PathLike
            end = file.seek(0, os.SEEK_END)
            try:
                while line:
                    line = line[file.write(line) :]
                if self.fsync:
                    os.fsync(file.fileno())
            except OSError:
                file.truncate(end)  # half a line would swallow the next one
                raise
