"""The life of a router: who may open, use and close it, and what has to be said when it ends."""

from __future__ import annotations

import logging
import math
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Final, Self

import anyio

from eventrouter._host import Host
from eventrouter._loops import OfOneLoop
from eventrouter._scheduler import Scheduler
from eventrouter.abc import Store
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.delivery._workers import current_delivery
from eventrouter.errors import BusClosedError, ConflictError
from eventrouter.records import Ledger

logger = logging.getLogger("eventrouter")

#: How long the closing report may take to collect while everything is being cancelled.
_REPORT_GRACE: Final = 5.0


class Life(OfOneLoop, anyio.AsyncContextManagerMixin):
    """What a router does as it is entered and left, and refuses before, after and elsewhere."""

    drain_timeout: timedelta
    _store: Store
    _dispatcher: Dispatcher
    _scheduler: Scheduler

    def __init__(self) -> None:
        super().__init__()
        self.closing_report: Ledger | None = None
        self._is_open = False
        self._host: Host | None = None

    async def start(self) -> None:
        """Do what entering ``async with router`` does, in a task of the event loop's own.

        For frameworks with a hook for starting and one for stopping, which may run in different tasks; elsewhere
        ``async with`` is the better way, since it cannot be left open.

        Raises:
            ConflictError: The router is running.
            BusClosedError: It is running in another event loop.
        """
        self._refuse_elsewhere()
        if self._is_entered or (self._host is not None and not self._host.is_closed):
            raise ConflictError("The router is running.")
        self._host = host = Host(self)
        try:
            await host.open()
        except BaseException:
            self._host = None
            raise

    async def aclose(self) -> None:
        """Close a router that `start` has opened, as leaving ``async with router`` does; any task may call this.

        Does nothing when it is closed. Cancelled, it goes on closing in the background.

        Raises:
            BusClosedError: The router runs in another event loop.
            ConflictError: A handler of the router's calls it, which would wait for itself.
            Exception: What ended the router before, or went wrong as it closed.
        """
        self._refuse_elsewhere()
        self._refuse_to_wait_for_itself("aclose")
        if self._host is not None:
            host = self._host
            try:
                await host.close()
            finally:
                if self._host is host and host.is_closed:  # another task may have closed and opened it meanwhile
                    self._host = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        await self._store.open()
        try:
            async with self._opened():
                yield self
        finally:
            with anyio.move_on_after(_REPORT_GRACE, shield=True):
                await self._store.close()

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[None]:
        self._enter_loop()
        error: Exception | None = None
        try:
            async with self._surroundings(), self._dispatcher.running():
                self._is_open = True
                self._scheduler.start()
                self._start_sources()
                deadline = math.inf
                try:
                    try:
                        yield
                    except Exception as raised:  # noqa: BLE001 - raised again below, outside of the task group,
                        error = raised  # which would wrap it in an exception group
                    deadline = anyio.current_time() + self.drain_timeout.total_seconds()
                    with anyio.CancelScope(deadline=deadline):
                        await self._stop_sources()  # 1. read no more; functions may put events for what was read
                finally:
                    self._is_open = False  # 2. refuse
                    await self._scheduler.stop()
                with anyio.CancelScope(deadline=deadline):
                    await self._dispatcher.settle_down(paused=False)  # 3. drain
            # 4. cancel: leaving the dispatcher hands back what is still in flight
        except BaseException:
            await self._report(is_failing=True)
            raise
        await self._report(is_failing=error is not None)
        if error is not None:
            raise error

    async def _report(self, *, is_failing: bool) -> None:
        """Account for everything as the last phase; what goes wrong must not take the place of an exception before."""
        self._is_entered = False
        self.closing_report = None
        with anyio.move_on_after(_REPORT_GRACE, shield=True):
            try:
                self.closing_report = await self.ledger()  # 5. report
                logger.info("Closed: %s", self.closing_report)
            except Exception:
                if not is_failing:
                    raise
                logger.exception("The closing report could not be made")

    async def settle_down(self, unfinished: int = 0) -> None:
        """Wait until at most *unfinished* deliveries have not ended, retries and those of paused targets included.

        For tests, for scripts that put events and leave, and for feeding a router no faster than it delivers.

        Raises:
            BusClosedError: The router runs in another event loop, or has ended by a failure.
            ConflictError: A handler of the router's calls it, which would wait for itself.
        """
        self._refuse_elsewhere()
        self._refuse_to_wait_for_itself("settle_down")
        await self._dispatcher.settle_down(unfinished)
        self._refuse_after_failure()

    @abstractmethod
    def _start_sources(self) -> None:
        """Begin to read queues and streams, as the router is entered."""

    @abstractmethod
    async def _stop_sources(self) -> None:
        """Read no more, and wait until all batches are finished."""

    @abstractmethod
    def _surroundings(self) -> AbstractAsyncContextManager[None]:
        """Give what has to be there as long as deliveries are attempted; it lets exceptions through as they are."""

    @abstractmethod
    async def ledger(self) -> Ledger:
        """Account for everything."""

    def _refuse_when_closed(self) -> None:
        # While the router drains, only its own deliveries may still cause events: refusing a handler's child events
        # would turn a clean shutdown into failed deliveries.
        if not self._is_open and not (self._is_entered and current_delivery() is not None):
            self._refuse_after_failure()
            raise BusClosedError("The router is not running; put events inside 'async with router'.")
        self._refuse_elsewhere()

    def _refuse_after_failure(self) -> None:
        if self._dispatcher.failure is not None:
            raise BusClosedError(
                "The router has ended by a failure, which is in the log."
            ) from self._dispatcher.failure

    def _refuse_to_wait_for_itself(self, method: str) -> None:
        delivery = current_delivery()
        if delivery is not None and self._dispatcher.is_attempting(delivery):
            raise ConflictError(
                f"{method}() in a handler would wait for the handler itself; call it in a task outside of all handlers."
            )
