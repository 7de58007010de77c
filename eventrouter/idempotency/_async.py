"""Run an async function at most once for its key."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import anyio

from eventrouter.abc import IdempotencyStore
from eventrouter.idempotency._guard import RENEWALS, Claim, Guard, Reply
from eventrouter.idempotency._results import unusable

logger = logging.getLogger("eventrouter.idempotency")

#: How long writing what became of a call may go on while the call is being cancelled, in seconds.
SETTLE_GRACE: Final = 5.0


class AsyncRunner:
    """A guard with the store it asks."""

    def __init__(self, guard: Guard, store: IdempotencyStore) -> None:
        self._guard = guard
        self._store = store

    async def run(self, claim: Claim, function: Callable[[], Awaitable[object]]) -> object:
        """Give what *function* returns, or returned when the key was new."""
        reply = await self._begin(claim)
        if reply is not None:
            return reply.result
        # No await from here to the `try`: a cancelled call must not leave its record behind.
        completed: bytes | None = None
        problem: str | None = None
        error: BaseException | None = None
        result: object = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew, claim)
                try:
                    with claim.running():
                        result = await function()
                    encoded, problem = self._guard.results.encode(result)
                    # What has returned is done, whatever is being cancelled: there is no await up to the `finally`,
                    # and leaving the task group, which is one, may well raise.
                    completed = claim.completed(encoded, problem)
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as raised:  # noqa: BLE001 - raised again below, outside of the task group,
                    error = raised  # which would wrap it in an exception group
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(SETTLE_GRACE, shield=True):
                await self._settle(claim, completed)
        if error is not None:
            try:
                raise error
            finally:
                error = None  # the traceback leads to this frame: no cycle for the garbage collector
        if problem is not None:
            raise unusable(problem)
        return result

    async def _begin(self, claim: Claim) -> Reply | None:
        """Claim the key, waiting for others if that is wanted. None: the function is to run."""
        while True:
            now = self._guard.clock.now()
            try:
                found = await self._store.put_if_absent(
                    claim.scope, claim.key, claim.value, now=now, expires=now + self._guard.lease
                )
            except BaseException:
                # It may have been written before the cancellation, or before the connection broke.
                with anyio.move_on_after(SETTLE_GRACE, shield=True):
                    await self._settle(claim, None)
                raise
            if found is None:
                return None
            reply = self._guard.judge(claim, found, now)
            if reply is not None:
                return reply
            with anyio.move_on_after((found.expires - now).total_seconds()):
                await self._store.changed(claim.scope, claim.key, found)

    async def _settle(self, claim: Claim, completed: bytes | None) -> None:
        """Write what the call returned, or that it never was.

        What the store raises is not passed on. If the function has returned, that would ask for a repetition of what
        is done; if it has not, its own exception matters more. The lease ends by itself.
        """
        try:
            if completed is None:
                await self._store.delete_if(claim.scope, claim.key, claim.value)
            elif not await self._keep(claim, completed, self._guard.ttl):
                logger.warning("%s returned after another call had taken over its key; that call's record stays", claim)
        except Exception:
            logger.exception("What became of %s could not be stored", claim)

    async def _renew(self, claim: Claim) -> None:
        """Keep the lease while the function runs."""
        while True:
            await anyio.sleep(self._guard.lease.total_seconds() / RENEWALS)
            try:
                if not await self._keep(claim, claim.value, self._guard.lease):
                    logger.warning("%s has lost its lease to another call, and goes on", claim)
                    return
            except Exception:
                logger.exception("The lease of %s could not be renewed", claim)

    async def _keep(self, claim: Claim, value: bytes, duration: timedelta) -> bool:
        """Write to the claimed key, unless another call has it now."""
        now = self._guard.clock.now()
        expires = now + duration
        if await self._store.compare_and_set(claim.scope, claim.key, claim.value, value, expires=expires):
            return True
        # The record may have expired while the event loop was blocked, and been swept without being claimed.
        return await self._store.put_if_absent(claim.scope, claim.key, value, now=now, expires=expires) is None
