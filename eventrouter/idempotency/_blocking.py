"""Run a function that is not async at most once for its key. The steps are those of `_async.py`, with threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from inspect import isawaitable, iscoroutine

from eventrouter.abc import BlockingIdempotencyStore
from eventrouter.idempotency._guard import RENEWALS, Claim, Guard, Reply
from eventrouter.idempotency._results import unusable

logger = logging.getLogger("eventrouter.idempotency")


class BlockingRunner:
    """A guard with the store it asks."""

    def __init__(self, guard: Guard, store: BlockingIdempotencyStore) -> None:
        self._guard = guard
        self._store = store

    def run(self, claim: Claim, function: Callable[[], object]) -> object:
        """Give what *function* returns, or returned when the key was new."""
        reply = self._begin(claim)
        if reply is not None:
            return reply.result
        completed: bytes | None = None
        try:
            with self._renewed(claim), claim.running():
                result = function()
            _refuse_awaitable(claim, result)
            encoded, problem = self._guard.results.encode(result)
            completed = claim.completed(encoded, problem)
        finally:
            self._settle(claim, completed)
        if problem is not None:
            raise unusable(problem)
        return result

    def _begin(self, claim: Claim) -> Reply | None:
        while True:
            now = self._guard.clock.now()
            try:
                found = self._store.put_if_absent(
                    claim.scope, claim.key, claim.value, now=now, expires=now + self._guard.lease
                )
            except BaseException:
                self._settle(claim, None)
                raise
            if found is None:
                return None
            reply = self._guard.judge(claim, found, now)
            if reply is not None:
                return reply
            self._store.changed(claim.scope, claim.key, found, timeout=(found.expires - now).total_seconds())

    def _settle(self, claim: Claim, completed: bytes | None) -> None:
        try:
            if completed is None:
                self._store.delete_if(claim.scope, claim.key, claim.value)
            elif not self._keep(claim, completed, self._guard.ttl):
                logger.warning("%s returned after another call had taken over its key; that call's record stays", claim)
        except Exception:
            logger.exception("What became of %s could not be stored", claim)

    @contextmanager
    def _renewed(self, claim: Claim) -> Iterator[None]:
        """Keep the lease while the block runs, from a thread of its own."""
        done = threading.Event()
        thread = threading.Thread(target=self._renew, args=(claim, done), name=f"lease of {claim}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()  # a renewal on its way would bring back a record that is then deleted

    def _renew(self, claim: Claim, done: threading.Event) -> None:
        while not done.wait(self._guard.lease.total_seconds() / RENEWALS):
            try:
                if not self._keep(claim, claim.value, self._guard.lease):
                    logger.warning("%s has lost its lease to another call, and goes on", claim)
                    return
            except Exception:
                logger.exception("The lease of %s could not be renewed", claim)

    def _keep(self, claim: Claim, value: bytes, duration: timedelta) -> bool:
        now = self._guard.clock.now()
        expires = now + duration
        if self._store.compare_and_set(claim.scope, claim.key, claim.value, value, expires=expires):
            return True
        return self._store.put_if_absent(claim.scope, claim.key, value, now=now, expires=expires) is None


def _refuse_awaitable(claim: Claim, result: object) -> None:
    if isawaitable(result):
        if iscoroutine(result):
            result.close()  # it would warn that nobody has awaited it
        raise TypeError(f"{claim.scope} returned an awaitable: write it as an async function")
