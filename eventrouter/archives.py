"""Archives of a router: events kept, to be replayed or to try changed rules on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import anyio
import anyio.lowlevel
import msgspec

from eventrouter._loops import OfOneLoop
from eventrouter.abc import Clock, Store
from eventrouter.buses import DEFAULT_BUS
from eventrouter.delivery._backlogs import count_deliveries
from eventrouter.delivery._dispatcher import Dispatcher
from eventrouter.dry_run import Comparison, DryRun
from eventrouter.errors import ConflictError, InvalidRuleError, NotFoundError
from eventrouter.names import check_name
from eventrouter.patterns import Pattern
from eventrouter.records import Accepted, Archived, ArchiveStatistics
from eventrouter.rules import Archive, RuleSet

#: EventBridge, DescribeReplay; it has STARTING too, which takes no time here.
ReplayState: TypeAlias = Literal["RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"]

_EVERYTHING: Final = Pattern.parse({"source": [{"exists": True}]})
BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
END: Final = datetime.max.replace(tzinfo=UTC)
#: Events that are read, and put into the store, at once.
_PAGE: Final = 100


@dataclass(eq=False)
class Replay:
    """A replay that goes on, or has ended (EventBridge, DescribeReplay).

    Attributes:
        name: The `replay-name` of its events.
        archive: Where they come from.
        start: Only events whose `time` is this or later,
        end: and before this.
        rules: The rules that receive them; None for all of the bus.
        started_at: When it began.
        state: `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` (by `cancel`, or with whoever awaited it) or `FAILED`
            (the store did, or the router has closed).
        event_count: Events that were read so far.
        replayed: Those of them that a rule matched, and that are deliveries now.
        position: The last event's place in the archive: `replay(..., after=...)` goes on behind it.
        event_last_replayed_time: The last event's `time`.
        reason: Why it failed, in words; empty otherwise.
    """

    name: str
    archive: str
    start: datetime
    end: datetime
    rules: tuple[str, ...] | None
    started_at: datetime
    state: ReplayState = "RUNNING"
    event_count: int = 0
    replayed: int = 0
    position: int = 0
    event_last_replayed_time: datetime | None = None
    reason: str = ""
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope, repr=False)
    _check: Callable[[], object] = field(default=object, repr=False)

    def cancel(self) -> None:
        """End it before the next events: what is replayed stays so. It is `CANCELLING` until it is `CANCELLED`.

        Raises:
            BusClosedError: The router runs in another event loop.
        """
        self._check()
        if self.state == "RUNNING":
            self.state = "CANCELLING"
            self._scope.cancel()


class Archives(OfOneLoop, ABC):
    """What a router can do about archives (EventBridge user guide, "Archiving and replaying events").

    An archive keeps the events of one bus that match its pattern, in the same transaction that accepts them; replayed
    ones are not kept again. What is kept lives in the store, and outlives the process if that does. While the router
    runs, whatever changes or reads one raises `BusClosedError` in another event loop, or in a thread.
    """

    _clock: Clock
    _store: Store
    _dispatcher: Dispatcher

    def __init__(self) -> None:
        super().__init__()
        self._archive_buses: dict[str, str] = {}
        self._replays: dict[str, Replay] = {}  # those that go on

    @abstractmethod
    def _rules(self, event_bus_name: str) -> RuleSet:
        """Give the rules of a bus, or raise `NotFoundError`."""

    @abstractmethod
    def _refuse_when_closed(self) -> None:
        """Raise `BusClosedError` unless the router is running."""

    # -- declaring -----------------------------------------------------------------------------------------------

    def put_archive(
        self,
        name: str,
        event_pattern: Pattern | Mapping[str, Any] | str | bytes | None = None,
        *,
        retention: timedelta | None = None,
        description: str = "",
        event_bus_name: str = DEFAULT_BUS,
    ) -> None:
        """Keep the events of a bus that are accepted from now on, or replace what the archive of that name keeps.

        What is in the archive stays, for as long as was said when it was put there.

        Args:
            name: 1 to 48 of letters, digits and `. - _`, unique in the router.
            event_pattern: Which events; None for all.
            retention: How long each is kept; None for ever.
            description: For people.
            event_bus_name: The bus.

        Raises:
            PatternError: The pattern breaks a rule of the pattern language; nothing has changed.
            InvalidRuleError: The name or the retention is not usable; nothing has changed.
            NotFoundError: There is no such bus.
            ConflictError: The archive is one of another bus.
        """
        self._refuse_elsewhere()
        rules = self._rules(event_bus_name)
        pattern = event_pattern if event_pattern is not None else _EVERYTHING
        parsed = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
        archive = Archive(name, parsed, retention, description, event_bus_name)
        if self._archive_buses.get(name, event_bus_name) != event_bus_name:
            raise ConflictError(f"Archive {name} keeps events of EventBus {self._archive_buses[name]}.")
        rules.put_archive(archive)
        self._archive_buses[name] = event_bus_name

    def remove_archive(self, name: str) -> None:
        """Keep no more events. What the archive holds stays in the store; see `purge_archive`.

        Raises:
            NotFoundError: There is no such archive.
        """
        self._refuse_elsewhere()
        self._rules(self.get_archive(name).event_bus_name).remove_archive(name)
        del self._archive_buses[name]

    def get_archive(self, name: str) -> Archive:
        """Give the archive of that name. Raises `NotFoundError` when it is not declared."""
        if name not in self._archive_buses:
            raise NotFoundError(f"Archive {name} does not exist.")
        return next(archive for archive in self._rules(self._archive_buses[name]).archives() if archive.name == name)

    def list_archives(self) -> list[Archive]:
        """List the archives that are declared."""
        return [self.get_archive(name) for name in self._archive_buses]

    # -- looking into them ---------------------------------------------------------------------------------------

    async def archive_statistics(self) -> Mapping[str, ArchiveStatistics]:
        """Say what each archive of the store holds, also those that are not declared (any more)."""
        self._refuse_elsewhere()
        return await self._store.archives()

    async def archived_events(
        self, archive: str, *, start: datetime = BEGINNING, end: datetime = END, after: int = 0, limit: int = _PAGE
    ) -> list[Archived]:
        """Read a page of an archive, in the order of acceptance.

        Args:
            archive: Its name. One that is not declared is read too; it is empty if there is none.
            start: Only events whose `time` is this or later,
            end: and before this; aware datetimes.
            after: Only those with a greater position: the last one of a page gives the next.
            limit: At most so many.

        Raises:
            InvalidRuleError: The range is not usable.
        """
        self._refuse_elsewhere()
        check_range(start, end)
        now = self._dispatcher.clock.now()
        return list(await self._store.archived(archive, start=start, end=end, now=now, after=after, limit=limit))

    async def purge_archive(self, name: str) -> int:
        """Remove all events from an archive, and count them. Interrupted, it has removed the oldest."""
        self._refuse_elsewhere()
        purged = 0
        while removed := await self._store.purge_archive(name, limit=1_000):
            purged += removed
            await anyio.lowlevel.checkpoint()  # a store in memory waits for nothing, and others have work to do
        return purged

    async def dry_run(
        self,
        archive: str,
        changes: Mapping[str, Pattern | Mapping[str, Any] | str | bytes | None],
        *,
        start: datetime = BEGINNING,
        end: datetime = END,
        event_bus_name: str | None = None,
    ) -> DryRun:
        """Say what changed rules would do with archived events. Nothing is sent, and no rule is changed.

        Args:
            archive: Its name.
            changes: The patterns of rules that are new or different, by rule name; None for one that is removed.
            start: Only events whose `time` is this or later,
            end: and before this.
            event_bus_name: The bus whose enabled rules are compared; None for the bus of the archive.

        Raises:
            PatternError: A pattern breaks a rule of the pattern language.
            InvalidRuleError: The range is not usable.
            NotFoundError: The archive is not declared, there is no such bus, or a rule that is removed is not there.
        """
        rules = self._rules(event_bus_name or self.get_archive(archive).event_bus_name)
        before = {rule.name: rule.event_pattern for rule in rules if rule.state == "ENABLED" and rule.event_pattern}
        after = dict(before)
        for name, pattern in changes.items():
            if pattern is None:
                after.pop(rules[name].name, None)
            else:
                check_name("rule name", name)
                after[name] = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
        comparison = Comparison(before, after)
        async with aclosing(self._archive_pages(archive, start, end)) as pages:
            async for page in pages:
                comparison.look_at(archived.event for archived in page)
        return comparison.result

    # -- replaying -----------------------------------------------------------------------------------------------

    async def replay(
        self,
        archive: str,
        *,
        name: str,
        start: datetime = BEGINNING,
        end: datetime = END,
        rules: Sequence[str] | None = None,
        after: int = 0,
    ) -> Replay:
        """Send the events of an archive to the rules of its bus again (EventBridge, StartReplay).

        They come in the order of their acceptance, those of an event group in order where the target asks for it; each
        is the event that it was, its id included, with `name` as its `replay-name`. They are not archived again.
        Deliveries begin anew: with all attempts before them, and an age of nothing. A target whose backlog is full is
        waited for. Returns once all are deliveries, not once they are delivered; `settle_down` waits for that.

        Whoever cancels it, it ends between two pages of events, of which each is a delivery wholly or not at all. After
        a failure or a crash, `after` goes on where it ended.

        Args:
            archive: Its name.
            name: 1 to 64 of letters, digits and `. - _`; no other replay of that name may go on.
            start: Only events whose `time` is this or later,
            end: and before this; aware datetimes.
            rules: The rules that are to receive them; None for all.
            after: Only events behind this position; that of a `Replay` which did not come to its end.

        Returns:
            What was done; `running_replays` gives it while it goes on.

        Raises:
            InvalidRuleError: The name or the range is not usable.
            NotFoundError: The archive is not declared, or its bus has no such rule.
            ConflictError: A replay of that name goes on. Or a handler replays to a full backlog that only it could make
                room in.
            BusClosedError: The router is not running, or has closed meanwhile.
        """
        self._refuse_when_closed()
        check_name("replay name", name)
        check_range(start, end)
        bus = self.get_archive(archive).event_bus_name
        for rule in rules or ():
            self._rules(bus)[rule]
        if name in self._replays:
            raise ConflictError(f"Replay {name} goes on; wait for it, or cancel it.")
        chosen = None if rules is None else tuple(rules)
        replay = Replay(
            name, archive, start, end, chosen, self._clock.now(), position=after, _check=self._refuse_elsewhere
        )
        self._replays[name] = replay
        try:
            with replay._scope:  # noqa: SLF001 - its own, for `cancel`
                async with aclosing(self._archive_pages(archive, start, end, after)) as pages:
                    async for page in pages:
                        await self._replay_page(replay, bus, page)
                replay.state = "COMPLETED"
        except Exception as error:
            replay.state, replay.reason = "FAILED", str(error)
            raise
        finally:
            if replay.state in {"RUNNING", "CANCELLING"}:
                replay.state = "CANCELLED"
            del self._replays[name]
        return replay

    def running_replays(self) -> list[Replay]:
        """List the replays that go on in this process, with their progress; each can be cancelled."""
        return list(self._replays.values())

    async def _replay_page(self, replay: Replay, bus: str, page: Sequence[Archived]) -> None:
        rules, now = self._rules(bus), self._dispatcher.clock.now()
        made = [replayed(archived, rules, name=replay.name, chosen=replay.rules, now=now) for archived in page]
        routed = [item for item in made if item.subscriptions]
        counts = count_deliveries(routed)
        for subscription in counts:
            await self._dispatcher.wait_for_room(subscription)
        self._refuse_when_closed()
        # Shielded: a store that has them must be followed by the dispatcher's hearing of it, or the deliveries would
        # wait for the next start.
        reserved = self._dispatcher.reserve(counts)
        try:
            with anyio.CancelScope(shield=True):
                await self._store.append(routed)
        except BaseException:
            self._dispatcher.give_back(reserved)
            self._dispatcher.doubt()  # its answer may have been lost
            raise
        self._dispatcher.accept(reserved, counts)
        for item in routed:
            self._dispatcher.observers.ingested(item)
        replay.event_count += len(page)
        replay.replayed += len(routed)
        replay.position = page[-1].position
        replay.event_last_replayed_time = page[-1].event.time

    async def _archive_pages(
        self, archive: str, start: datetime, end: datetime, after: int = 0
    ) -> AsyncGenerator[list[Archived]]:
        while page := await self.archived_events(archive, start=start, end=end, after=after):
            yield page
            after = page[-1].position
            await anyio.lowlevel.checkpoint()  # a store in memory waits for nothing, and others have work to do


def replayed(
    archived: Archived, rules: RuleSet, *, name: str, chosen: Collection[str] | None, now: datetime
) -> Accepted:
    """Make of an archived event what a replay accepts: the event with its `replay-name`, for the rules that it matches.

    Args:
        archived: The event.
        rules: The rules of its bus.
        name: The replay's.
        chosen: The names of the rules that are to receive it; None for all.
        now: The present.
    """
    event = msgspec.structs.replace(archived.event, replay_name=name)
    route = rules.route(event)
    receivers = tuple(item for item in route.subscriptions if chosen is None or item.rule_name in chosen)
    return Accepted(
        event, now, receivers, group=archived.group, ordered=route.ordered, event_bus_name=rules.event_bus_name
    )


def check_range(start: datetime, end: datetime) -> None:
    """Raise `InvalidRuleError` unless this is a range of instants."""
    for name, instant in (("start", start), ("end", end)):
        if not isinstance(instant, datetime) or instant.tzinfo is None:
            raise InvalidRuleError(f"{name} is {instant!r}", hint="use an aware datetime, such as one in datetime.UTC")
    if start >= end:
        raise InvalidRuleError("EventStartTime must be before EventEndTime.", hint="swap start and end")
