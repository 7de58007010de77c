"""A store in this process's memory: as quick as it gets, and gone when the process is."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from secrets import randbits
from typing import Final

import anyio
import msgspec

from eventrouter.records import (
    Accepted,
    Archived,
    ArchiveStatistics,
    Counts,
    DeadLetter,
    DeadLettered,
    Deduplication,
    Delivered,
    Delivery,
    Depth,
    Dropped,
    Ledger,
    Occurrence,
    Outcome,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.stores._memory_archives import MemoryArchives

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class _Entry(msgspec.Struct, gc=False, eq=False):
    """A delivery that has been leased, or has to wait."""

    id: int
    accepted: Accepted
    attempts: int = 0
    due: datetime | None = None  # its place in `later`, if it has one
    token: int = 0  # of its lease
    until: datetime = _NEVER  # the end of its lease


@dataclass(slots=True)
class _Backlog:
    """The deliveries of one subscription that have not ended.

    Most go the short way: from `fresh` to `leased` to their end. In the heaps, places of what has gone elsewhere since
    are stale, and recognised when they come up. A lease that has run out also has a place in `later`; until somebody
    takes it, its holder may still settle it.
    """

    fresh: deque[tuple[int, Accepted]] = field(default_factory=deque)  # never attempted, in order of acceptance
    later: list[tuple[datetime, int, _Entry]] = field(default_factory=list)  # a heap by due time
    leased: dict[int, _Entry] = field(default_factory=dict)
    leases: list[tuple[datetime, int, Sequence[int]]] = field(default_factory=list)  # a heap by end: token, ids
    placed: int = 0  # how many ids there are in `leases`
    behind: dict[str, deque[tuple[int, Accepted]]] = field(default_factory=dict)  # event group -> all but its first
    unfinished: int = 0
    accepted: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    skipped: int = 0
    retries: int = 0

    def put(self, id: int, item: Accepted, group: str | None) -> None:
        """Give a new delivery its place, when that is not just the end of `fresh`."""
        if group is not None:
            others = self.behind.get(group)
            if others is not None:
                others.append((id, item))
                return
            self.behind[group] = deque()
        due = _first_due(item)
        if due > item.at or (self.fresh and item.at < self.fresh[-1][1].at):  # or the clock went back
            self.wait(_Entry(id, item), due)
        else:
            self.fresh.append((id, item))

    def wait(self, entry: _Entry, due: datetime) -> None:
        entry.due = due
        heapq.heappush(self.later, (due, entry.id, entry))

    def first_later(self) -> tuple[datetime, int] | None:
        while self.later:
            due, id, entry = self.later[0]
            if entry.due == due:
                return due, id
            heapq.heappop(self.later)
        return None

    def let_next_come(self, item: Accepted, subscription: Subscription) -> None:
        """Let the next of a group come, when the delivery of *item* has ended."""
        group = _group(item, subscription)
        if group is None:
            return
        others = self.behind[group]
        if others:
            id, item = others.popleft()
            self.wait(_Entry(id, item), _first_due(item))
        else:
            del self.behind[group]

    def place(self, until: datetime, token: int, ids: Sequence[int]) -> None:
        """Remember when leases end; sweep out the ends of those that are over when they outnumber the others."""
        heapq.heappush(self.leases, (until, token, ids))
        self.placed += len(ids)
        if self.placed > 2 * len(self.leased) + 256:
            self._place_all()

    def _place_all(self) -> None:
        ends: dict[datetime, list[int]] = {}
        for id, lease in self.leased.items():
            ends.setdefault(lease.until, []).append(id)
        self.leases = [(end, index, ids) for index, (end, ids) in enumerate(ends.items())]
        heapq.heapify(self.leases)
        self.placed = len(self.leased)

    def take_back_expired(self, now: datetime) -> None:
        while self.leases and self.leases[0][0] <= now:
            for id in self._unplace():
                lease = self.leased[id]
                if lease.until <= now and lease.due is None:
                    self.wait(lease, lease.until)

    def first_lease_end(self) -> datetime | None:
        while self.leases:
            end, _, ids = self.leases[0]
            if any(id in self.leased and self.leased[id].until == end for id in ids):
                return end
            self._unplace()
        return None

    def _unplace(self) -> list[int]:
        """Take the first entry out of `leases`, and give those of its deliveries that are still leased."""
        _, _, ids = heapq.heappop(self.leases)
        self.placed -= len(ids)
        return [id for id in ids if id in self.leased]

    def move(self, moved: Callable[[datetime], datetime]) -> None:
        """Give all instants others, in the same order."""

        def accepted(item: Accepted) -> Accepted:
            due = None if item.due is None else moved(item.due)
            return msgspec.structs.replace(item, at=moved(item.at), due=due)

        self.fresh = deque((id, accepted(item)) for id, item in self.fresh)
        self.behind = {key: deque((id, accepted(item)) for id, item in items) for key, items in self.behind.items()}
        waiting = [entry for due, _, entry in self.later if entry.due == due]
        for entry in {entry.id: entry for entry in (*waiting, *self.leased.values())}.values():
            entry.accepted = accepted(entry.accepted)
            entry.until = moved(entry.until)
            if entry.due is not None:
                entry.due = moved(entry.due)
        self.later = [(entry.due, entry.id, entry) for entry in waiting if entry.due is not None]
        heapq.heapify(self.later)
        self._place_all()

    def oldest(self) -> datetime | None:
        """Say when the oldest delivery was accepted. Those in `behind` were after the first of their group."""
        instants = [entry.accepted.at for due, _, entry in self.later if entry.due == due]
        instants += [lease.accepted.at for lease in self.leased.values()]
        if self.fresh:
            instants.append(self.fresh[0][1].at)
        return min(instants, default=None)

    def depth(self, now: datetime) -> Depth:
        leased = sum(lease.until > now for lease in self.leased.values())
        delayed = sum(due > now for due, id, entry in self.later if entry.due == due and id not in self.leased)
        delayed += sum(_first_due(item) > now for others in self.behind.values() for _, item in others)
        return Depth(self.unfinished - leased - delayed, delayed, leased, self.oldest())

    def discard(self, subscription: Subscription, before: datetime) -> int:
        """End what was accepted before that, and let those come that it held up."""
        gone: list[Accepted] = []
        while self.fresh and self.fresh[0][1].at < before:
            gone.append(self.fresh.popleft()[1])
        waiting = {id: entry for due, id, entry in self.later if entry.due == due}
        for id, entry in (waiting | self.leased).items():
            if entry.accepted.at < before:
                entry.due = None
                self.leased.pop(id, None)
                gone.append(entry.accepted)
        count = len(gone)
        for group, others in self.behind.items():
            self.behind[group] = deque(pair for pair in others if pair[1].at >= before)
            count += len(others) - len(self.behind[group])
        for item in gone:
            self.let_next_come(item, subscription)
        self.unfinished -= count
        self.dropped += count
        return count

    def counts(self) -> Counts:
        return Counts(
            accepted=self.accepted,
            delivered=self.delivered,
            dead_lettered=self.dead_lettered,
            dropped=self.dropped,
            skipped=self.skipped,
            waiting=self.unfinished - len(self.leased),
            in_flight=len(self.leased),
            retries=self.retries,
        )


class MemoryStore:
    """The `Store` contract in memory, for one process.

    No method waits for anything, so each is atomic within its event loop. An event is kept as long as one of its
    deliveries has not ended; dead letters are kept until they are purged or redriven, or the store goes.
    """

    def __init__(self) -> None:
        #: Whether no call is ever suspended, so that none has to be guarded; what is derived may be otherwise.
        self.never_waits = type(self) is MemoryStore
        self._backlogs: dict[Subscription, _Backlog] = {}
        self._dead_letters: dict[int, DeadLetter] = {}
        self._letter_order: list[int] = []  # their ids, rising, and those of some that are gone
        self._published: dict[tuple[str, str], str] = {}  # scope and key -> event id
        self._forget: list[tuple[datetime, tuple[str, str]]] = []  # a heap of what to remove from `_published`
        self._archives = MemoryArchives()
        self._fired: dict[str, dict[str, datetime]] = {}  # the first word of a schedule's name -> its name -> slot
        self._events = 0
        self._latest: datetime | None = None  # when the last event was accepted
        self._ids = count(1)
        # Not from 1: whoever kept the name of a lease while its process was started again must not have it fit another.
        self._tokens = count(1 + randbits(48))
        self._letter_ids = count(1)

    async def open(self) -> None:
        """Do nothing: it is always ready."""

    async def close(self) -> None:
        """Do nothing: what it holds is still there when a router is entered again."""

    async def changed(self, seen: int) -> int:
        """Wait for ever, since it is of one process."""
        await anyio.sleep_forever()
        return seen  # pragma: no cover - unreachable

    async def follow_clock(self, *, now: datetime, slack: timedelta) -> timedelta:
        """Undo that a clock was ahead."""
        if self._latest is None or self._latest - now <= slack:
            return timedelta(0)
        step, self._latest = self._latest - now, now

        def earlier(instant: datetime) -> datetime:
            return instant if instant <= now else max(now, instant - step)

        for backlog in self._backlogs.values():
            backlog.move(earlier)
        self._forget = [(earlier(until), key) for until, key in self._forget]  # in the same order, so it stays a heap
        return step

    async def append(self, accepted: Sequence[Accepted]) -> Sequence[str | None]:
        """Keep events with all their deliveries, but those that were published before."""
        backlogs, ids = self._backlogs, self._ids
        if accepted:
            self._latest = accepted[-1].at
        duplicates: list[str | None] = []
        subscriptions: tuple[Subscription, ...] | None = None
        receivers: list[tuple[Subscription, _Backlog]] = []
        for item in accepted:  # hot
            if item.deduplication is not None:
                earlier = self._publish(item, item.deduplication)
                if earlier is not None:
                    duplicates.append(earlier)
                    continue
            duplicates.append(None)
            self._events += 1
            if item.archives:
                self._archives.keep(item)
            if item.subscriptions is not subscriptions:  # nearly always all have the same
                subscriptions = item.subscriptions
                receivers = [(key, backlogs.get(key) or backlogs.setdefault(key, _Backlog())) for key in subscriptions]
            for subscription, backlog in receivers:
                backlog.accepted += 1
                backlog.unfinished += 1
                fresh = backlog.fresh
                if item.ordered or item.due is not None or (fresh and item.at < fresh[-1][1].at):
                    backlog.put(next(ids), item, _group(item, subscription))
                else:
                    fresh.append((next(ids), item))
            for subscription in item.skipped:
                backlog = backlogs.setdefault(subscription, _Backlog())
                backlog.accepted += 1
                backlog.skipped += 1
        return duplicates

    def _publish(self, item: Accepted, deduplication: Deduplication) -> str | None:
        while self._forget and self._forget[0][0] <= item.at:
            del self._published[heapq.heappop(self._forget)[1]]
        key = (deduplication.scope, deduplication.key)
        earlier = self._published.get(key)
        if earlier is not None:
            return earlier
        self._published[key] = item.event.id
        heapq.heappush(self._forget, (deduplication.until, key))
        return None

    async def lease(
        self,
        subscription: Subscription,
        limit: int,
        *,
        now: datetime,
        until: datetime,
        maximum_concurrency: int | None = None,  # noqa: ARG002 - it is of one process, which limits itself
    ) -> Sequence[Delivery]:
        """Take up to *limit* due deliveries."""
        backlog = self._backlogs.get(subscription)
        if backlog is None or limit <= 0:
            return []
        backlog.take_back_expired(now)
        fresh, leased = backlog.fresh, backlog.leased
        token = next(self._tokens)  # one for the batch: it tells this lease of a delivery from another one of it
        taken: list[Delivery] = []
        while len(taken) < limit:  # hot: every delivery passes here
            later = backlog.first_later() if backlog.later else None
            if fresh and (later is None or (fresh[0][1].at, fresh[0][0]) < later):
                id, item = fresh[0]
                if item.at > now:
                    break
                fresh.popleft()
                attempts, is_lapsed = 1, False
                leased[id] = _Entry(id, item, attempts, None, token, until)
            elif later is not None and later[0] <= now:
                is_lapsed = later[1] in leased
                if is_lapsed and subscription.queue_name is None:  # its lease has run out: it comes alone
                    if taken:
                        break
                    limit = 1
                _, id, entry = heapq.heappop(backlog.later)
                entry.due = None
                item = entry.accepted
                attempts = entry.attempts = entry.attempts + 1
                entry.token = token
                entry.until = until
                leased[id] = entry
            else:
                break
            taken.append(
                Delivery(
                    id,
                    subscription,
                    item.event.copy(),
                    attempts,
                    item.at,
                    item.hops,
                    token,
                    item.causes,
                    item.trace_header,
                    item.group,
                    item.attributes,
                    is_lapsed=is_lapsed,
                )
            )
        if taken:
            backlog.place(until, token, [delivery.id for delivery in taken])
        return taken

    async def extend(self, deliveries: Sequence[Delivery], *, until: datetime) -> Sequence[Delivery]:
        """Keep leases until later; give back those that were lost."""
        lost: list[Delivery] = []
        kept: dict[Subscription, list[int]] = {}
        for delivery in deliveries:
            lease = self._held(delivery)
            if lease is None:
                lost.append(delivery)
            else:
                lease.until = until
                lease.due = None
                kept.setdefault(delivery.subscription, []).append(delivery.id)
        for subscription, ids in kept.items():
            self._backlogs[subscription].place(until, next(self._tokens), ids)
        return lost

    async def settle(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Write what followed from attempts; give back what came too late."""
        stale: list[Outcome] = []
        if not outcomes:
            return stale
        subscription = outcomes[0].delivery.subscription
        backlog = self._backlogs.get(subscription)
        for outcome in outcomes:  # hot
            delivery = outcome.delivery
            if delivery.subscription is not subscription:  # nearly always all have the same
                subscription = delivery.subscription
                backlog = self._backlogs.get(subscription)
            entry = backlog.leased.get(delivery.id) if backlog is not None else None
            if backlog is None or entry is None or entry.token != delivery.token:
                stale.append(outcome)
                continue
            del backlog.leased[delivery.id]
            if isinstance(outcome, Delivered):
                backlog.delivered += 1
            elif isinstance(outcome, Dropped):
                backlog.dropped += 1
            elif isinstance(outcome, DeadLettered):
                self._bury(backlog, outcome)
            else:
                self._wait(backlog, entry, outcome)
                continue
            backlog.unfinished -= 1
            entry.due = None
            if backlog.behind:
                backlog.let_next_come(entry.accepted, delivery.subscription)
            if outcome.follow_ups:
                await self.append(outcome.follow_ups)
        return stale

    def _wait(self, backlog: _Backlog, lease: _Entry, outcome: RetryAt | Postponed) -> None:
        if isinstance(outcome, RetryAt):
            backlog.retries += 1
        else:
            lease.attempts -= 1
        backlog.wait(lease, outcome.at)

    def _bury(self, backlog: _Backlog, outcome: DeadLettered) -> None:
        backlog.dead_lettered += 1
        if outcome.is_kept:
            id = next(self._letter_ids)
            self._dead_letters[id] = replace(outcome.dead_letter, id=id)
            if len(self._letter_order) > 2 * len(self._dead_letters) + 64:
                self._letter_order = [id for id in self._letter_order if id in self._dead_letters]
            self._letter_order.append(id)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Hand leased deliveries back."""
        for delivery in deliveries:
            lease = self._held(delivery)
            if lease is not None:
                backlog = self._backlogs[delivery.subscription]
                del backlog.leased[delivery.id]
                lease.attempts -= 1
                backlog.wait(lease, lease.accepted.at)

    def _held(self, delivery: Delivery) -> _Entry | None:
        """Find the lease that *delivery* is, if it is not lost."""
        backlog = self._backlogs.get(delivery.subscription)
        lease = backlog.leased.get(delivery.id) if backlog is not None else None
        return lease if lease is not None and lease.token == delivery.token else None

    async def next_due(self, subscription: Subscription) -> datetime | None:
        """Say when the next delivery can be leased."""
        backlog = self._backlogs.get(subscription)
        if backlog is None:
            return None
        later = backlog.first_later()
        due = [backlog.first_lease_end(), None if later is None else later[0]]
        if backlog.fresh:
            due.append(backlog.fresh[0][1].at)
        return min((instant for instant in due if instant is not None), default=None)

    async def pending(self) -> Mapping[Subscription, int]:
        """Count the deliveries that have not ended."""
        return {key: backlog.unfinished for key, backlog in self._backlogs.items() if backlog.unfinished}

    async def depth(self, subscription: Subscription, *, now: datetime) -> Depth:
        """Count the deliveries that have not ended."""
        backlog = self._backlogs.get(subscription)
        return Depth() if backlog is None else backlog.depth(now)

    async def discard(self, subscription: Subscription, *, accepted_before: datetime | None = None) -> int:
        """End deliveries as dropped."""
        backlog = self._backlogs.get(subscription)
        return 0 if backlog is None else backlog.discard(subscription, accepted_before or _NEVER)

    async def dead_letters(
        self, *, queue: str | None = None, after: int = 0, limit: int | None = None
    ) -> Sequence[DeadLetter]:
        """List dead letters, oldest first."""
        order = self._letter_order
        begin = bisect_right(order, after)  # or reading all of them page by page would take a square of their number
        found = (
            letter
            for index in range(begin, len(order))
            if (letter := self._dead_letters.get(order[index])) is not None and (queue is None or letter.queue == queue)
        )
        return list(islice(found, limit))

    async def replace_dead_letter(self, letter: DeadLetter) -> bool:
        """Put a dead letter in the place of the one with its id."""
        if letter.id not in self._dead_letters:
            return False
        self._dead_letters[letter.id] = letter
        return True

    async def redrive(self, ids: Sequence[int], *, now: datetime) -> Sequence[DeadLetter]:
        """Make deliveries of dead letters again."""
        letters = [self._dead_letters.pop(id) for id in dict.fromkeys(ids) if id in self._dead_letters]
        for letter in letters:
            item = letter.again(now)
            backlog = self._backlogs[letter.subscription]
            backlog.dead_lettered -= 1
            backlog.unfinished += 1
            backlog.put(next(self._ids), item, _group(item, letter.subscription))
        return letters

    async def purge(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good."""
        return sum(self._dead_letters.pop(id, None) is not None for id in dict.fromkeys(ids))

    async def archived(
        self, archive: str, *, start: datetime, end: datetime, now: datetime, after: int = 0, limit: int
    ) -> Sequence[Archived]:
        """Read an archive, in the order of acceptance."""
        return self._archives.read(archive, start=start, end=end, now=now, after=after, limit=limit)

    async def archives(self) -> Mapping[str, ArchiveStatistics]:
        """Say what each archive holds."""
        return self._archives.statistics()

    async def purge_archive(self, archive: str, *, limit: int) -> int:
        """Remove the oldest events of an archive."""
        return self._archives.purge(archive, limit)

    async def fire(self, occurrences: Sequence[Occurrence]) -> Sequence[bool]:
        """Keep the events of schedules that fire, unless they have."""
        kept: list[bool] = []
        for occurrence in occurrences:
            name, slot = occurrence.schedule, occurrence.slot
            slots = self._fired.setdefault(name.partition(" ")[0], {})
            kept.append(name not in slots or slots[name] < slot)
            if kept[-1]:
                slots[name] = slot
                await self.append(occurrence.accepted)
        return kept

    async def last_fired(self, names: Sequence[str] | None = None) -> Mapping[str, datetime]:
        """Say for which slots schedules fired last."""
        asked = self._fired if names is None else [name for name in names if name in self._fired]
        return {name: slot for word in asked for name, slot in self._fired[word].items()}

    async def forget_schedules(self, names: Sequence[str]) -> None:
        """Forget for which slots schedules have fired."""
        for name in names:
            word = name.partition(" ")[0]
            slots = self._fired.get(word, {})
            if slots.pop(name, None) is not None and not slots:
                del self._fired[word]

    async def ledger(self) -> Ledger:
        """Account for every delivery ever accepted."""
        oldest = {key: backlog.oldest() for key, backlog in self._backlogs.items()}
        return Ledger(
            self._events,
            {key: backlog.counts() for key, backlog in self._backlogs.items()},
            oldest={key: instant for key, instant in oldest.items() if instant is not None},
        )


def _first_due(item: Accepted) -> datetime:
    return item.at if item.due is None or item.due < item.at else item.due


def _group(item: Accepted, subscription: Subscription) -> str | None:
    """Give the group in whose order the subscription receives *item*, None for no order."""
    return item.group if item.ordered and subscription in item.ordered else None
