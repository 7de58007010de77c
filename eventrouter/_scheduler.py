"""What makes schedules fire: a heap by the wall clock, and a store that lets each occurrence happen once."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple, TypeVar

import anyio
import anyio.lowlevel

from eventrouter._plan import END_OF_TIME, Plan, disabled_key
from eventrouter.abc import Clock, Store
from eventrouter.delivery._backlogs import count_deliveries
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.records import Occurrence
from eventrouter.retry import jitter
from eventrouter.schedules import ScheduleExpression
from eventrouter.schedules._missed import judge, latest

T = TypeVar("T")

logger = logging.getLogger("eventrouter.schedules")

#: The longest rest, in seconds: so late is it noticed that the wall clock was set forward, if nobody says so.
_LONGEST_REST: Final = 15.0
#: How long a store that failed is left alone, in seconds.
_PAUSE: Final = 1.0
#: How many seconds the store may take, also while the router is being cancelled.
_STORE_PATIENCE: Final = 5.0
#: How many schedules are looked at before other tasks have their turn.
_SLICE: Final = 256
#: How many rows of the store are looked at before that.
_ROWS: Final = 2_048
#: How many answers of expressions are kept while many schedules are looked at, which often share them.
_KEPT: Final = 16_384
#: How long, in seconds, the process that was first to begin a rate may take to say when that was, and how often others
#: look for it.
_CLAIM_PATIENCE: Final = 5.0
_CLAIM_PAUSE: Final = 0.1

#: How far ahead the last occurrence may be before it is said that nothing happens until then: a clock was set wrong.
_FAR: Final = timedelta(days=1)

_MOMENT: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)


class _Due(NamedTuple):
    """That a plan is due at an instant, for an occurrence; the heap is in this order."""

    at: datetime
    order: int
    slot: datetime
    plan: Plan


class Scheduler:
    """Fires the schedules of a router.

    It decides by the wall clock and rests by the event loop's, but never for long, so that a clock that was set is
    noticed. An occurrence is fired for in the transaction that remembers it, which refuses one that is not later than
    the last: so it happens once, whichever process is first, and however often clocks go back. Finding what is due
    costs time by the number that is due, times the logarithm of the number of schedules.

    Args:
        store: Remembers what was fired for, and keeps the events.
        clock: The wall clock.
        dispatcher: Delivers them.
        seed: Of the places in flexible time windows.
        longest_rest: After so many seconds it looks at the clock again, whenever something is due.
    """

    def __init__(
        self, store: Store, clock: Clock, dispatcher: Dispatcher, *, seed: int, longest_rest: float | None = None
    ) -> None:
        self._store = store
        self._never_waits = getattr(store, "never_waits", False)
        self._clock = clock
        self._dispatcher = dispatcher
        self._seed = seed
        self._longest_rest = longest_rest or _LONGEST_REST
        self._plans: dict[str, Plan] = {}
        self._new: dict[str, Plan] = {}  # whose next occurrence is not known yet
        self._forget: dict[str, None] = {}  # keys, in order
        self._disabled: dict[str, None] = {}  # names, which the store does not know to be so yet
        self._heap: list[_Due] = []
        self._order = count()
        self._next: dict[tuple[ScheduleExpression, datetime], datetime | None] = {}
        self._woken = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._is_wanted = False
        self._ended = anyio.Event()

    # -- what is planned -----------------------------------------------------------------------------------------

    def put(self, plan: Plan) -> None:
        """Fire by *plan* from now on; one of the same name is replaced, and what it has pending with it."""
        old = self._plans.get(plan.name)
        self._plans[plan.name] = plan
        if plan.name in self._disabled:
            del self._disabled[plan.name]
            plan.forgets_past = True
        if old is not None:
            old.is_gone = True
            if old.key == plan.key:
                plan.forgets_past |= old.forgets_past
                plan.created = old.created
            else:
                self._forget |= dict.fromkeys((old.key, old.claim))
        if self._scope is not None and plan.created is None:
            plan.created = self._clock.now()
        self._new[plan.name] = plan
        self._woken.set()

    def disable(self, name: str) -> None:
        """Fire no more until it is put again, and then make up for nothing, in whichever process that is."""
        self.remove(name, forget=False)
        self._disabled[name] = None
        self._woken.set()

    def remove(self, name: str, *, forget: bool) -> None:
        """Fire no more; *forget* what it has fired for, too, or go on from there when it is put again."""
        plan = self._plans.pop(name, None)
        if plan is not None:
            plan.is_gone = True
            self._new.pop(name, None)
            if forget:
                self._forget |= dict.fromkeys((plan.key, plan.claim))
                self._woken.set()

    def clock_was_set(self) -> None:
        """Look at the clock now, and not only when something seemed to be due."""
        self._woken.set()

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Fire until `stop`, in a task of the dispatcher's, which is running."""
        self._is_wanted = True
        self._dispatcher.start(self._run)

    async def _run(self) -> None:
        self._ended = anyio.Event()
        self._heap.clear()
        self._new = dict(self._plans)
        now = self._clock.now()
        for plan in self._new.values():
            plan.created = plan.created or now
            plan.waits_since = None
        self._scope = anyio.CancelScope()
        with self._scope:
            try:
                while self._is_wanted:
                    await self._go_on()
            finally:
                self._scope = None
                self._ended.set()

    async def stop(self) -> None:
        """Fire no more; what was fired for is known to the dispatcher afterwards."""
        self._is_wanted = False
        if self._scope is not None:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._ended.wait()

    async def _go_on(self) -> None:
        """Do what is due, then rest."""
        self._woken = anyio.Event()  # made before looking, so that what comes meanwhile is not slept through
        try:
            await self._look()
            rest = self._rest()
        except Exception:
            logger.exception("The store failed; schedules go on in a second")
            rest = _PAUSE
        with anyio.CancelScope(deadline=self._dispatcher.loop_time() + rest):
            await self._woken.wait()

    async def _ask(self, answer: Awaitable[T]) -> T:
        """Wait for the store, though not for ever. Shielded: what it has done must be followed by our hearing of it."""
        if self._never_waits:
            return await answer
        with anyio.fail_after(_STORE_PATIENCE, shield=True):
            return await answer

    async def _look(self) -> None:
        if self._forget:
            forgotten = list(self._forget)
            await self._ask(self._store.forget_schedules(forgotten))
            for key in forgotten:
                self._forget.pop(key, None)
        if self._disabled:
            names = list(self._disabled)
            await self._mark([Occurrence(disabled_key(name), END_OF_TIME) for name in names])
            for name in names:
                self._disabled.pop(name, None)
        if self._new:
            await self._adopt()
        self._next.clear()  # it helps where many are due at once
        now = self._clock.now()
        while due := self._pop_due(now):
            await self._fire(due)
            now = self._clock.now()
            if self._heap and self._heap[0].at <= now:
                await anyio.lowlevel.checkpoint()

    @property
    def is_settled(self) -> bool:
        """Whether it runs, and knows of each schedule when it is due."""
        return self._scope is not None and not self._new

    def _rest(self) -> float:
        if self._new:
            return _CLAIM_PAUSE
        if not self._heap:
            return self._longest_rest
        return min(self._longest_rest, max(0.0, (self._heap[0].at - self._clock.now()).total_seconds()))

    # -- beginning -----------------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Find out for which instant new plans fire next, and remember when those began that are new to the store."""
        names = None if len(self._new) > _SLICE else [plan.name for plan in self._new.values()]
        fired = await self._ask(self._store.last_fired(names))
        enabled: list[Plan] = []
        for number, plan in enumerate(list(self._new.values())):
            if number % _SLICE == _SLICE - 1:
                await anyio.lowlevel.checkpoint()
            last = fired.get(plan.key)
            if last is None or plan.is_gone:
                continue
            if plan.forgets_past or disabled_key(plan.name) in fired:
                enabled.append(plan)
            else:
                self._resume(plan, last)
        fresh = [plan for plan in self._new.values() if plan.key not in fired]
        for begin in range(0, len(enabled), _SLICE):
            await self._pass_over(enabled[begin : begin + _SLICE], fired)
        for begin in range(0, len(fresh), _SLICE):
            await self._begin([plan for plan in fresh[begin : begin + _SLICE] if not plan.is_gone])
            await anyio.lowlevel.checkpoint()
        await self._forget_outdated(fired)

    async def _forget_outdated(self, fired: Mapping[str, datetime]) -> None:
        """Forget what is remembered of expressions that schedules had before they were changed, or were enabled."""
        outdated: list[str] = []
        for number, key in enumerate(fired, 1):
            if number % _ROWS == 0:
                await anyio.lowlevel.checkpoint()
            plan = self._plans.get(key.partition(" ")[0])
            if plan is not None and key not in (plan.key, plan.claim):
                outdated.append(key)
        self._forget |= dict.fromkeys(outdated)

    async def _mark(self, occurrences: Sequence[Occurrence]) -> Sequence[bool]:
        """Have the store remember instants for which nothing is sent; say which are news to it."""
        return await self._ask(self._store.fire(occurrences))

    def _resume(self, plan: Plan, last: datetime) -> None:
        """Go on after an occurrence that was fired for, in whichever process."""
        plan.anchor(last)
        if last - self._clock.now() > _FAR:
            logger.warning("Schedule %s has fired for %s, and does not before then", plan.name, last.isoformat())
        self._await_next(plan, last)

    async def _pass_over(self, plans: Sequence[Plan], fired: Mapping[str, datetime]) -> None:
        """Resume plans that were disabled, after what was due meanwhile; also for a process that begins after this."""
        lasts: list[datetime] = []
        for plan in plans:
            plan.anchor(fired[plan.key])
            lasts.append(latest(plan.expression, fired[plan.key], plan.begun) or fired[plan.key])
        await self._mark([Occurrence(plan.key, last) for plan, last in zip(plans, lasts, strict=True)])
        for plan, last in zip(plans, lasts, strict=True):
            self._resume(plan, last)

    async def _begin(self, plans: Sequence[Plan]) -> None:
        """Begin plans that the store does not know.

        A rate without a start is counted from its creation, which has to be the same for all processes: the one that
        is first to claim it says when that is, by firing for it, and others wait to hear of that. What is created
        right after an occurrence waits, too: another process, which began right before it, may be about to say so,
        and could not fire for that occurrence if the store knew of this later instant.
        """
        present = anyio.current_time()
        waited = {
            id(plan) for plan in plans if plan.waits_since is not None and present - plan.waits_since >= _CLAIM_PATIENCE
        }
        rates = [plan for plan in plans if plan.is_unanchored]
        claims = [plan for plan in rates if plan.waits_since is None]
        marks = [plan for plan in plans if not plan.is_unanchored and (id(plan) in waited or self._is_clear(plan))]
        results = await self._mark(
            [
                *(Occurrence(plan.claim, END_OF_TIME) for plan in claims),  # so that nobody's is a later one
                *(Occurrence(plan.key, plan.begun) for plan in marks),
            ]
        )
        for plan in plans:
            if plan.waits_since is None:
                plan.waits_since = present
        for plan in marks:
            self._await_next(plan, plan.begun)
        won = {id(plan) for plan, is_first in zip(claims, results, strict=False) if is_first}
        for plan in rates:
            if id(plan) in won or id(plan) in waited:
                anchor = plan.begun.replace(microsecond=0)
                plan.anchor(anchor)
                self._await_next(plan, anchor - _MOMENT)

    def _is_clear(self, plan: Plan) -> bool:
        """Say whether no occurrence is so close before a plan's creation that another process may yet fire for it."""
        created = plan.begun
        found = self._after(plan.expression, created - timedelta(seconds=_CLAIM_PATIENCE))
        return found is None or found > created

    def _await_next(self, plan: Plan, last: datetime) -> None:
        """Plan for the first occurrence after *last*."""
        if self._new.get(plan.name) is plan:
            del self._new[plan.name]
        if plan.is_gone:
            return
        slot = self._after(plan.expression, last)
        if slot is None:
            logger.info("Schedule %s has no occurrence left", plan.name)
            plan.completed()
        else:
            heapq.heappush(self._heap, _Due(self._due(plan, slot), next(self._order), slot, plan))

    def _after(self, expression: ScheduleExpression, instant: datetime) -> datetime | None:
        key = (expression, instant)
        found = self._next.get(key, END_OF_TIME)  # which no expression gives
        if found is END_OF_TIME:
            if len(self._next) >= _KEPT:
                self._next.clear()
            found = self._next[key] = expression.next_after(instant)
        return found

    def _due(self, plan: Plan, slot: datetime) -> datetime:
        """Say when an occurrence happens: within its window, but before the next one; the same in every process."""
        if plan.window is None:
            return slot
        offset = timedelta(
            seconds=int(plan.window.total_seconds() * jitter(self._seed, plan.name, slot.isoformat(), 0))
        )
        following = self._after(plan.expression, slot)
        if following is not None:
            offset = min(offset, following - slot - _SECOND)
        return slot + offset

    # -- firing --------------------------------------------------------------------------------------------------

    def _pop_due(self, now: datetime) -> list[_Due]:
        due: list[_Due] = []
        while self._heap and self._heap[0].at <= now and len(due) < _SLICE:
            item = heapq.heappop(self._heap)
            if not item.plan.is_gone:
                due.append(item)
        return due

    async def _fire(self, due: Sequence[_Due]) -> None:
        """Fire for all that is due of some schedules, and plan what comes next."""
        now, at = self._clock.now(), self._dispatcher.clock.now()
        occurrences: list[Occurrence] = []
        decided: list[tuple[Plan, datetime]] = []
        for due_at, _, first, plan in due:
            # With a window, occurrences are as late as they are behind their places in it.
            fires, passed, skipped = judge(plan.expression, first, max(first, now - (due_at - first)), plan.missed)
            if passed is not None:
                _log_missed(plan, first, passed, skipped)
                if not fires:
                    occurrences.append(Occurrence(plan.key, passed))
            occurrences += [Occurrence(plan.key, slot, plan.make(slot, at)) for slot in fires]
            decided.append((plan, fires[-1] if fires else passed or first))
        try:
            results = await self._ask(self._store.fire(occurrences))
        except BaseException:
            self._dispatcher.doubt()  # it may have happened even so
            for again in due:
                heapq.heappush(self._heap, again)
            raise
        kept = [
            item
            for occurrence, is_kept in zip(occurrences, results, strict=True)
            if is_kept
            for item in occurrence.accepted
        ]
        self._dispatcher.notify(count_deliveries(kept))
        if self._dispatcher.observers:
            for item in kept:
                self._dispatcher.observers.ingested(item)
        for plan, last in decided:
            self._await_next(plan, last)


def _log_missed(plan: Plan, first: datetime, last: datetime, skipped: int) -> None:
    logger.warning(
        "Schedule %s missed occurrences from %s to %s (%s); skipped: %d",
        plan.name,
        first.isoformat(),
        last.isoformat(),
        plan.missed,
        skipped,
    )
