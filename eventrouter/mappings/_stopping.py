"""What may be told to stop while it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Stopping:
    """Goes on until it is told to stop, and then waits no more; what it works on goes on to its end."""

    def __init__(self) -> None:
        self._is_stopping = False
        self._scopes: set[anyio.CancelScope] = set()  # of what waits, and need not when it stops

    def stop(self) -> None:
        """Take nothing more, and finish what has been taken."""
        self._is_stopping = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Give up what the block waits for when this stops, or has been told to."""
        with anyio.CancelScope() as scope:
            if self._is_stopping:
                scope.cancel()
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.remove(scope)
