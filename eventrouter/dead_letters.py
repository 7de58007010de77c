"""Dead letters of a router: found, grouped, edited, purged, redriven."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Unpack

import anyio.lowlevel
import msgspec

from eventrouter._loops import OfOneLoop
from eventrouter.abc import Clock, Store
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.delivery.dead_letters import (
    DeadLetterCriteria,
    DeadLetterFilter,
    DeadLetterGroup,
    DeadLetterGroups,
)
from eventrouter.delivery.redrive import Redrive, Redriver
from eventrouter.errors import ConflictError, InvalidRuleError, NotFoundError
from eventrouter.event import Detail, encode_detail
from eventrouter.records import DeadLetter, Subscription

REDRIVE_RATE: Final = 500.0  # letters a second (SQS, `StartMessageMoveTask`)

_PAGE: Final = 1_000  # letters that are in memory at once


class DeadLetters(OfOneLoop, ABC):
    """What a router can do about dead letters.

    Methods take criteria by keyword, and mean the letters that meet all of them, or all letters without any; see
    `DeadLetterFilter`. They read a store page by page, so that it may hold more letters than memory does. All but
    `redrive` also work while the router is not running; while it runs, all raise `BusClosedError` in another event
    loop.
    """

    _clock: Clock
    _store: Store
    _dispatcher: Dispatcher

    def __init__(self) -> None:
        super().__init__()
        self._redrives: list[Redrive] = []  # those that go on

    @abstractmethod
    def _is_declared(self, subscription: Subscription) -> bool:
        """Say whether there is such a target now."""

    @abstractmethod
    def _refuse_when_closed(self) -> None:
        """Raise `BusClosedError` unless the router is running."""

    async def dead_letters(
        self, *, after: int = 0, limit: int | None = None, **criteria: Unpack[DeadLetterCriteria]
    ) -> list[DeadLetter]:
        """List dead letters, oldest first.

        Args:
            after: Only those with a greater id: the last id of a page gives the next.
            limit: At most so many; None for all.
            criteria: Which; see `DeadLetterFilter`.

        Raises:
            PatternError, InvalidRuleError: A criterion is not usable.
        """
        wanted = DeadLetterFilter(**criteria)
        if limit is not None and (not isinstance(limit, int) or limit < 0):
            raise InvalidRuleError(f"limit is {limit!r}", hint="use a whole number from 0")
        found: list[DeadLetter] = []
        if limit == 0:
            return found
        async with aclosing(self._pages(wanted, after)) as pages:
            async for page in pages:
                found += page
                if limit is not None and len(found) >= limit:
                    return found[:limit]
        return found

    async def group_dead_letters(self, **criteria: Unpack[DeadLetterCriteria]) -> list[DeadLetterGroup]:
        """Group dead letters by rule, target and error, the largest group first.

        Two errors are the same if they differ in numbers, ids, quoted texts, URLs and paths only (see
        `error_fingerprint`). Each letter is in one group; the `fingerprint` of a group finds its letters again.

        Raises:
            PatternError, InvalidRuleError: A criterion is not usable.
        """
        groups = DeadLetterGroups()
        async with aclosing(self._pages(DeadLetterFilter(**criteria))) as pages:
            async for page in pages:
                groups.add(page)
        return groups.listed()

    async def edit_dead_letter(self, id: int, *, detail: Detail) -> DeadLetter:
        """Replace the detail of a dead letter's event, and keep all else, the event's id included.

        Args:
            id: The letter's id.
            detail: The new detail: a mapping, a model, or JSON text, as in `EventEntry`.

        Returns:
            The letter as it is now.

        Raises:
            InvalidEventError: `MalformedDetail`: the detail is not a JSON object; nothing has changed.
            NotFoundError: There is no such letter, or no longer.
        """
        self._refuse_elsewhere()
        encoded = msgspec.Raw(encode_detail(detail))
        found = await self._store.dead_letters(after=id - 1, limit=1)
        if found and found[0].id == id:
            letter = replace(found[0], event=msgspec.structs.replace(found[0].event, detail_json=encoded))
            if await self._store.replace_dead_letter(letter):
                return letter
        raise NotFoundError(f"There is no dead letter {id}; it may have been purged or redriven.")

    async def purge_dead_letters(self, **criteria: Unpack[DeadLetterCriteria]) -> int:
        """Remove dead letters for good, and count them. The ledger keeps counting them as dead-lettered.

        Interrupted, it has removed the oldest. Letters that arrive meanwhile may be removed with the others; name an
        instant as `until` to keep them.

        Raises:
            PatternError, InvalidRuleError: A criterion is not usable; nothing was removed.
        """
        purged = 0
        async with aclosing(self._pages(DeadLetterFilter(**criteria))) as pages:
            async for page in pages:
                purged += await self._store.purge([letter.id for letter in page])
        return purged

    async def redrive(
        self, *, rate: float = REDRIVE_RATE, canary: int = 0, **criteria: Unpack[DeadLetterCriteria]
    ) -> Redrive:
        """Deliver dead letters again, the oldest first, each to the target that failed and to no other.

        They become deliveries of the same event, with its trace header, all attempts before them and an age of nothing.
        With `ordering="FIFO"`, those of an event group come one at a time, after what waits of it by then. Letters that
        arrive meanwhile are left alone, and so are those whose target is not declared any more, which the result
        counts. Returns once all are deliveries again, not once they are delivered; `settle_down` waits for that.

        Whoever cancels it, it ends between two letters: each is a dead letter, or a delivery, and never both. A target
        whose backlog is full is waited for.

        Args:
            rate: Letters a second, at most.
            canary: So many go first. The others follow when all of these have been delivered; if one of them fails
                again, retries included, the redrive ends as `CANARY_FAILED`. 0 for no such trial.
            criteria: Which; see `DeadLetterFilter`.

        Returns:
            What was done; `running_redrives` gives it while it goes on.

        Raises:
            PatternError, InvalidRuleError: An argument is not usable; nothing was done.
            ConflictError: A redrive of the same queue goes on, in this process; without a `queue`, of any. Or a handler
                redrives to a full backlog that only it could make room in.
            BusClosedError: The router is not running, or has closed meanwhile.
        """
        self._refuse_when_closed()
        wanted = DeadLetterFilter(**criteria)
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
            raise InvalidRuleError(f"rate is {rate!r}", hint="use a number of letters a second, above 0")
        if not isinstance(canary, int) or isinstance(canary, bool) or canary < 0:
            raise InvalidRuleError(f"canary is {canary!r}", hint="use a whole number from 0")
        for other in self._redrives:
            if wanted.queue is None or other.queue in {None, wanted.queue}:
                name = "all queues" if other.queue is None else f"queue {other.queue}"
                raise ConflictError(f"A redrive of {name} goes on; wait for it, or cancel it.")
        redrive = Redrive(rate, canary, wanted.queue, self._clock.now(), _check=self._refuse_elsewhere)
        self._redrives.append(redrive)
        try:
            with redrive._scope:  # noqa: SLF001 - its own, for `cancel`
                letters = await self._chosen(wanted)
                await Redriver(redrive, self._dispatcher, self._refuse_when_closed, self._is_declared).run(letters)
                if redrive.state in {"RUNNING", "CANCELLING"}:  # a cancellation that came too late
                    redrive.state = "COMPLETED"
        except Exception as error:
            redrive.state, redrive.reason = "FAILED", str(error)
            raise
        finally:
            if not redrive.is_over:
                redrive.state = "CANCELLED"
            self._redrives.remove(redrive)
        return redrive

    def running_redrives(self) -> list[Redrive]:
        """List the redrives that go on in this process, with their progress; each can be cancelled."""
        return list(self._redrives)

    async def _chosen(self, wanted: DeadLetterFilter) -> Sequence[tuple[int, Subscription]]:
        """Find the letters that are meant now; their ids, since there may be more of them than memory holds."""
        known: dict[Subscription, Subscription] = {}  # one object each
        chosen: list[tuple[int, Subscription]] = []
        async with aclosing(self._pages(wanted)) as pages:
            async for page in pages:
                chosen += [(letter.id, known.setdefault(letter.subscription, letter.subscription)) for letter in page]
        return chosen

    async def _pages(self, wanted: DeadLetterFilter, after: int = 0) -> AsyncGenerator[list[DeadLetter]]:
        """Give the letters that are meant, a page at a time."""
        self._refuse_elsewhere()
        first, last = wanted.id_range
        after = max(after, first - 1)
        while after < last and (page := await self._store.dead_letters(queue=wanted.queue, after=after, limit=_PAGE)):
            yield [letter for letter in page if wanted.accepts(letter)]
            after = page[-1].id
            await anyio.lowlevel.checkpoint()  # a store in memory waits for nothing, and others have work to do
