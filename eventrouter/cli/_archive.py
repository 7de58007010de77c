"""`eventrouter archive`: what a store's archives hold, what changed rules would do with it, and sending it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Any, Final

import anyio
import typer

from eventrouter.archives import BEGINNING, END, check_range, replayed
from eventrouter.cli._dlq import WAITING
from eventrouter.cli._places import load_router, open_store, writing
from eventrouter.cli._report import printable
from eventrouter.cli._table import plural, print_json, print_table, shown_time
from eventrouter.dry_run import Comparison, DryRun, RuleChange
from eventrouter.errors import InvalidRuleError, NotFoundError
from eventrouter.names import check_name
from eventrouter.patterns import Pattern
from eventrouter.records import Archived
from eventrouter.router import EventRouter
from eventrouter.rules import RuleSet
from eventrouter.stores import _sqlite_reads as reads
from eventrouter.stores._sqlite_file import ArchiveSummary, StoreFile, archive_summaries

#: Events that are read, or put into the store, at once.
_PAGE: Final = 100


@dataclass(frozen=True, kw_only=True)
class Range:
    """Which events of an archive are meant.

    Attributes:
        start: Those whose `time` is this or later; None for all from the beginning,
        end: and before this; None for all to the end.
        after: Those behind this position.
        pattern: Those that match this event pattern; None for all.
    """

    start: datetime | None = None
    end: datetime | None = None
    after: int = 0
    pattern: str | None = None


def list_archives(store: str, *, as_json: bool) -> bool:
    """Print what each archive holds; give whether there is any."""
    with open_store(store) as file:
        found = file.read(archive_summaries)
    for summary in found if as_json else ():
        print_json(summary._asdict())
    if not as_json:
        print_table(
            ("archive", "bus", "events", "bytes", "first (UTC)", "last (UTC)", "first kept until (UTC)"),
            [
                (
                    summary.name,
                    summary.event_bus_name,
                    f"{summary.event_count:,}",
                    f"{summary.size_bytes:,}",
                    shown_time(summary.first),
                    shown_time(summary.last),
                    "for ever" if summary.until is None else shown_time(summary.until),
                )
                for summary in found
            ],
            numbers=("events", "bytes"),
        )
        typer.echo(plural(len(found), "archive"))
    return bool(found)


def show_archive(store: str, archive: str, meant: Range, *, limit: int, as_json: bool) -> bool:
    """Print archived events, a line each; give whether there is any."""
    with open_store(store) as file:
        found = chain.from_iterable(_pages(file, archive, meant))
        events = list(islice(found, limit))
        has_more = bool(events) and next(found, None) is not None
    if as_json:
        for item in events:
            typer.echo(item.event.to_json())
    else:
        print_table(
            ("position", "accepted (UTC)", "event", "source", "detail-type", "detail"),
            [
                (
                    str(item.position),
                    shown_time(item.at),
                    item.event.id,
                    item.event.source,
                    item.event.detail_type,
                    bytes(item.event.detail_json).decode(),
                )
                for item in events
            ],
            numbers=("position",),
        )
        typer.echo(plural(len(events), "event"))
    if has_more:
        typer.echo(f"There are more: --after {events[-1].position}", err=True)
    return bool(events)


def _pages(file: StoreFile, archive: str, meant: Range) -> Iterator[list[Archived]]:
    """Give the events that are meant, in order of acceptance; each page is of one moment, and may be empty."""
    start, end, after = meant.start or BEGINNING, meant.end or END, meant.after
    check_range(start, end)
    pattern = None if meant.pattern is None else Pattern.parse(meant.pattern)
    while True:
        now = datetime.now(UTC)
        page = file.read(
            partial(reads.archived, archive=archive, start=start, end=end, now=now, after=after, limit=_PAGE)
        )
        if not page:
            return
        after = page[-1].position
        yield [item for item in page if pattern is None or pattern.matches_json(item.event.to_json())]


def _summary(store: str, archive: str) -> ArchiveSummary:
    """Say what an archive holds. Raises `NotFoundError` when it holds nothing."""
    with open_store(store) as file:
        found = {summary.name: summary for summary in file.read(archive_summaries)}
    if archive not in found:
        raise NotFoundError(f"{store} has no event in an archive {archive}; it has {', '.join(found) or 'none'}.")
    return found[archive]


def _rules(place: str, event_bus_name: str) -> RuleSet:
    return load_router(place)._rules(event_bus_name)  # noqa: SLF001 - routed by a router that does not run


# -- what changed rules would do -------------------------------------------------------------------------------------


def dry_run(
    store: str, archive: str, meant: Range, *, changed: str, rules: str | None, names: Sequence[str], as_json: bool
) -> bool:
    """Print what rules would do with archived events, compared with others if there are; give that it is done."""
    bus = _summary(store, archive).event_bus_name
    before = {} if rules is None else _patterns(load_router(rules), bus, names)
    comparison = Comparison(before, _patterns(load_router(changed), bus, names))
    with open_store(store) as file:
        for page in _pages(file, archive, meant):
            comparison.look_at(item.event for item in page)
    result = comparison.result
    if as_json:
        print_json({"events": result.events, "rules": [_told(rule) for rule in result.rules.values()]})
    elif rules is None:
        _print_matches(result)
    else:
        for line in str(result).split("\n"):
            typer.echo(printable(line))
    return True


def _patterns(router: EventRouter, event_bus_name: str, names: Sequence[str]) -> dict[str, Pattern]:
    return {
        rule.name: rule.event_pattern
        for rule in router.list_rules(event_bus_name=event_bus_name)
        if rule.event_pattern is not None and rule.state == "ENABLED" and (not names or rule.name in names)
    }


def _told(rule: RuleChange) -> dict[str, Any]:
    told: dict[str, Any] = {"name": rule.name, "kept": rule.kept, "gained": rule.gained, "lost": rule.lost}
    for name, event in (("first_gained", rule.first_gained), ("first_lost", rule.first_lost)):
        told[name] = None if event is None else event.to_dict()
    return told


def _print_matches(result: DryRun) -> None:
    typer.echo(f"Of {plural(result.events, 'event')}:")
    for rule in sorted(result.rules.values(), key=lambda rule: (-rule.gained, rule.name)):
        typer.echo(f"{rule.name}: would receive {rule.gained:,}")
        if rule.first_gained is not None:
            typer.echo(printable(f"  first: {rule.first_gained.to_json().decode()}"))


# -- sending it again ------------------------------------------------------------------------------------------------


async def replay(
    store: str, archive: str, meant: Range, *, name: str, rules: str, names: Sequence[str], rate: float, as_json: bool
) -> bool:
    """Make deliveries of archived events for the rules that they match, and give whether there are any.

    A page is a transaction. Interrupted, it says after which position to go on.
    """
    check_name("replay name", name)
    table = _rules(rules, _summary(store, archive).event_bus_name)
    for rule in names:
        table[rule]  # which raises when there is none
    read = made = 0
    position = meant.after
    async with writing(store) as opened:
        try:
            with open_store(store) as file:
                for page in _pages(file, archive, meant):
                    began = anyio.current_time()
                    now = datetime.now(UTC)
                    items = [replayed(item, table, name=name, chosen=names or None, now=now) for item in page]
                    routed = [item for item in items if item.subscriptions]
                    await opened.append(routed)
                    read += len(page)
                    made += sum(len(item.subscriptions) for item in routed)
                    position = page[-1].position if page else position
                    await anyio.sleep_until(began + len(routed) / rate)
        except BaseException:
            typer.echo(f"It ended early; go on with --after {position}", err=True)
            raise
    if as_json:
        print_json({"events": read, "deliveries": made, "position": position})
        return made > 0
    typer.echo(f"{plural(read, 'event')} replayed as {name}, {_deliveries(made)}." + (f" {WAITING}" if made else ""))
    return made > 0


def _deliveries(count: int) -> str:
    return f"{count:,} delivery made" if count == 1 else f"{count:,} deliveries made"


def need(option: str, value: str | None) -> str:
    """Give an option's value. Raises `InvalidRuleError` when it was not given."""
    if value is None:
        raise InvalidRuleError(f"A replay needs {option}", hint="or --dry-run, which sends nothing")
    return value
