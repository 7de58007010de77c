"""A task that holds an async context manager open, so that any task may open it and any other close it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    import asyncio

#: asyncio keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()


class Host:
    """Enters a context manager and leaves it in one task of its own.

    A task group has to be left by the task that entered it; frameworks whose start-up and shut-down hooks run in
    different tasks cannot promise that ("Attempted to exit cancel scope in a different task").
    """

    def __init__(self, manager: AbstractAsyncContextManager[object]) -> None:
        self._manager = manager
        self._opened = anyio.Event()
        self._close = anyio.Event()
        self._closed = anyio.Event()
        self._error: BaseException | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the context manager has been left, by `close` or by itself."""
        return self._closed.is_set()

    async def open(self) -> None:
        """Enter the context manager. Raises what entering it raises; cancelled meanwhile, it is left again."""
        _start(self._run)
        try:
            await self._opened.wait()
        except BaseException:
            self._close.set()
            raise
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Leave it, and wait for that. Raises what it raises."""
        self._close.set()
        await self._closed.wait()
        if self._error is not None:
            raise self._error

    async def _run(self) -> None:
        try:
            async with self._manager:
                self._opened.set()
                await self._close.wait()
        except anyio.get_cancelled_exc_class():  # with its event loop
            raise
        except BaseException as error:  # noqa: BLE001 - raised by `open` or `close`, in the task that waits for it;
            self._error = error  # raised here, trio would take it for a fault of its own
        finally:
            self._opened.set()
            self._closed.set()


def _start(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a task that belongs to the event loop itself, and not to whoever calls this."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        trio.lowlevel.spawn_system_task(function, context=copy_context())
        return
    import asyncio  # noqa: PLC0415 - importing it takes longer than importing this package

    task = asyncio.get_running_loop().create_task(function())
    _running.add(task)
    task.add_done_callback(_running.discard)
