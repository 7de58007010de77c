"""The commands that work on a store, and their options."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import anyio
import typer

from eventrouter.cli import _archive, _dlq, _store
from eventrouter.cli._exit import exit_with
from eventrouter.cli._table import read_instant
from eventrouter.delivery.dead_letters import DeadLetterCriteria

dlq = typer.Typer(help="Look into dead letters, deliver them again, or remove them.", no_args_is_help=True)
archive = typer.Typer(help="Look into archives, try changed rules on them, or replay them.", no_args_is_help=True)

#: The largest number that SQLite, and Python's own iterators, can count to.
_LARGEST: Final = 2**63 - 1

_Store = Annotated[str, typer.Argument(metavar="STORE", help="Path of a SQLite store, or sqlite:///orders.db.")]
_Letters = Annotated[
    str,
    typer.Argument(metavar="STORE", help="Path or URL of a SQLite store, or a file that route --dead-letters wrote."),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_Rate = Annotated[float, typer.Option(min=0.1, help="At most so many a second.")]
_Limit = Annotated[int, typer.Option(min=1, max=_LARGEST, help="Print at most so many.")]
_Since = Annotated[str | None, typer.Option(help="Only those given up then or later: 2026-03-01T12:00:00Z.")]
_Until = Annotated[str | None, typer.Option(help="Only those given up before.")]
_OfId = Annotated[
    list[int] | None,
    typer.Option("--id", min=1, max=_LARGEST, help="Only the letter with this id; may be repeated."),
]
_OfQueue = Annotated[str | None, typer.Option(help="Only letters in this dead-letter queue.")]
_OfBus = Annotated[str | None, typer.Option(help="Only letters of this bus.")]
_OfRule = Annotated[str | None, typer.Option(help="Only letters of rules of this name.")]
_OfTarget = Annotated[str | None, typer.Option(help="Only letters of targets with this id; in a file, or ARN.")]
_OfCode = Annotated[str | None, typer.Option(help="Only letters with this ERROR_CODE.")]
_OfFingerprint = Annotated[str | None, typer.Option(help="Only letters with this error, as dlq groups names it.")]
_OfPattern = Annotated[str | None, typer.Option(help="Only letters whose event matches this event pattern.")]
_AfterLetter = Annotated[
    int, typer.Option(min=0, max=_LARGEST, help="Only letters with a greater id: for the next page.")
]
_All = Annotated[bool, typer.Option("--all", help="All letters: what to say when no other option chooses any.")]
_Router = typer.Option(metavar="RULES", help="Rules file, or module:router that code declares.")


@dlq.command("list")
def list_dead_letters(
    store: _Letters,
    queue: _OfQueue = None,
    event_bus_name: _OfBus = None,
    rule: _OfRule = None,
    target: _OfTarget = None,
    code: _OfCode = None,
    fingerprint: _OfFingerprint = None,
    pattern: _OfPattern = None,
    since: _Since = None,
    until: _Until = None,
    after: _AfterLetter = 0,
    limit: _Limit = 1_000,
    json: _AsJson = False,
) -> None:
    """Print dead letters, a line each, oldest first.

    Exit code: 0 when there are none, 1 when there are some, 2 when the store, the file or an option is not usable.
    """
    meant = partial(_criteria, queue, event_bus_name, rule, target, code, fingerprint, pattern, since, until)
    exit_with(lambda: _dlq.list_letters(store, after=after, limit=limit, as_json=json, **meant()))


@dlq.command("groups")
def group_dead_letters(
    store: _Letters,
    queue: _OfQueue = None,
    event_bus_name: _OfBus = None,
    rule: _OfRule = None,
    target: _OfTarget = None,
    code: _OfCode = None,
    fingerprint: _OfFingerprint = None,
    pattern: _OfPattern = None,
    since: _Since = None,
    until: _Until = None,
    json: _AsJson = False,
) -> None:
    """Print how many dead letters each rule and target has for each error, the most frequent first.

    Exit code: 0 when there are none, 1 when there are some, 2 when the store, the file or an option is not usable.
    """
    meant = partial(_criteria, queue, event_bus_name, rule, target, code, fingerprint, pattern, since, until)
    exit_with(lambda: _dlq.group_letters(store, as_json=json, **meant()))


@dlq.command("show")
def show_dead_letter(
    store: _Letters,
    id: Annotated[int, typer.Argument(min=1, max=_LARGEST, help="The letter's id, as dlq list has it.")],
    json: _AsJson = False,
) -> None:
    """Print all there is of one dead letter, its event included.

    Exit code: 0 when it is there, 1 when not, 2 when the store or the file is not usable.
    """
    exit_with(lambda: _dlq.show_letter(store, id, as_json=json))


@dlq.command("redrive")
def redrive(
    store: _Store,
    id: _OfId = None,
    queue: _OfQueue = None,
    event_bus_name: _OfBus = None,
    rule: _OfRule = None,
    target: _OfTarget = None,
    code: _OfCode = None,
    fingerprint: _OfFingerprint = None,
    pattern: _OfPattern = None,
    since: _Since = None,
    until: _Until = None,
    all: _All = False,  # noqa: A002
    rate: _Rate = 500.0,
    json: _AsJson = False,
) -> None:
    """Deliver dead letters again, each to the target that failed and to no other.

    The service delivers them: one that runs notices at once, else they wait for its next start.

    Exit code: 0 when there were any, 1 when there were none, 2 when the store or an option is not usable.
    """
    meant = partial(_criteria, queue, event_bus_name, rule, target, code, fingerprint, pattern, since, until, id)
    exit_with(
        lambda: anyio.run(partial(_dlq.redrive_letters, store, rate=rate, everything=all, as_json=json, **meant()))
    )


@dlq.command("purge")
def purge(
    store: _Store,
    id: _OfId = None,
    queue: _OfQueue = None,
    event_bus_name: _OfBus = None,
    rule: _OfRule = None,
    target: _OfTarget = None,
    code: _OfCode = None,
    fingerprint: _OfFingerprint = None,
    pattern: _OfPattern = None,
    since: _Since = None,
    until: _Until = None,
    all: _All = False,  # noqa: A002
    json: _AsJson = False,
) -> None:
    """Remove dead letters for good.

    Exit code: 0 when there were any, 1 when there were none, 2 when the store or an option is not usable.
    """
    meant = partial(_criteria, queue, event_bus_name, rule, target, code, fingerprint, pattern, since, until, id)
    exit_with(lambda: anyio.run(partial(_dlq.purge_letters, store, everything=all, as_json=json, **meant())))


def _criteria(
    queue: str | None,
    event_bus_name: str | None,
    rule: str | None,
    target: str | None,
    code: str | None,
    fingerprint: str | None,
    pattern: str | None,
    since: str | None,
    until: str | None,
    ids: list[int] | None = None,
) -> DeadLetterCriteria:
    """Say which letters are meant. Raises `InvalidRuleError` when an instant is none."""
    return DeadLetterCriteria(
        ids=ids or None,
        queue=queue,
        event_bus_name=event_bus_name,
        rule_name=rule,
        target_id=target,
        error_code=code,
        fingerprint=fingerprint,
        event_pattern=pattern,
        since=read_instant("--since", since),
        until=read_instant("--until", until),
    )


_Archive = Annotated[str, typer.Argument(help="The archive's name, as archive list has it.")]
_Start = Annotated[str | None, typer.Option(help="Only events whose time is this or later: 2026-03-01T12:00:00Z.")]
_End = Annotated[str | None, typer.Option(help="Only events whose time is before this.")]
_After = Annotated[
    int, typer.Option(min=0, max=_LARGEST, help="Only events with a greater position: for the next page.")
]
_EventPattern = Annotated[str | None, typer.Option(help="Only events that match this event pattern.")]


@archive.command("list")
def list_archives(store: _Store, json: _AsJson = False) -> None:
    """Print what each archive holds.

    Exit code: 0 when there is any, 1 when there is none, 2 when the store is not usable.
    """
    exit_with(lambda: _archive.list_archives(store, as_json=json))


@archive.command("show")
def show_archive(
    store: _Store,
    archive: _Archive,
    start: _Start = None,
    end: _End = None,
    pattern: _EventPattern = None,
    after: _After = 0,
    limit: _Limit = 100,
    json: Annotated[bool, typer.Option("--json", help="Print the events as JSON lines, which route takes.")] = False,
) -> None:
    """Print the events of an archive, a line each, in the order of their acceptance.

    Exit code: 0 when there is any, 1 when there is none, 2 when the store or an option is not usable.
    """
    exit_with(
        lambda: _archive.show_archive(store, archive, _range(start, end, after, pattern), limit=limit, as_json=json)
    )


@archive.command("replay")
def replay(
    store: _Store,
    archive: _Archive,
    rules: Annotated[str | None, _Router] = None,
    name: Annotated[str | None, typer.Option(help="The replay-name of the events.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Only for the rule of this name; may be repeated.")] = None,
    start: _Start = None,
    end: _End = None,
    pattern: _EventPattern = None,
    after: _After = 0,
    rate: _Rate = 500.0,
    dry_run: Annotated[
        str | None,
        typer.Option(
            metavar="RULES",
            help="Send nothing: print what these rules would receive, or with --rules what changes from those.",
        ),
    ] = None,
    json: _AsJson = False,
) -> None:
    """Send archived events again to the rules that they match, or say what other rules would do with them.

    The service delivers them: one that runs notices at once, else they wait for its next start.

    Exit code: 0 when a delivery was made, or the dry run is done, 1 when no event matched, 2 when the store, the rules
    or an option are not usable.
    """

    def run() -> bool:
        meant, names = _range(start, end, after, pattern), rule or []
        if dry_run is not None:
            return _archive.dry_run(store, archive, meant, changed=dry_run, rules=rules, names=names, as_json=json)
        return anyio.run(
            partial(
                _archive.replay,
                store,
                archive,
                meant,
                name=_archive.need("--name", name),
                rules=_archive.need("--rules", rules),
                names=names,
                rate=rate,
                as_json=json,
            )
        )

    exit_with(run)


def _range(start: str | None, end: str | None, after: int, pattern: str | None) -> _archive.Range:
    return _archive.Range(
        start=read_instant("--start", start), end=read_instant("--end", end), after=after, pattern=pattern
    )


def trace(
    store: _Store, event_id: Annotated[str, typer.Argument(help="The event's id.")], json: _AsJson = False
) -> None:
    """Tell the story of one event: its rules, attempts, ends and dead letters, what caused it and what it caused.

    Exit code: 0 when the store has anything of it, 1 when it has nothing, 2 when the store is not usable.
    """
    exit_with(lambda: _store.trace(store, event_id, as_json=json))


def stats(store: _Store, json: _AsJson = False) -> None:
    """Print the account of every target, and how much is in dead-letter queues and archives.

    Exit code: 0 when the account balances, 1 when not, 2 when the store is not usable.
    """
    exit_with(lambda: _store.stats(store, as_json=json))


def doctor(store: _Store, rules: Annotated[str | None, _Router] = None, json: _AsJson = False) -> None:
    """Look for what is wrong: damage, an account that does not balance, deliveries that nobody takes, a growing log.

    With --rules, also for deliveries of targets that these do not declare. Reads the whole file.

    Exit code: 0 when nothing is wrong, 1 when something is, 2 when there is no such file or the rules are not usable.
    """
    exit_with(lambda: _store.doctor(store, rules=rules, as_json=json))


def add_store_commands(app: typer.Typer) -> None:
    """Give the commands that work on a store to an app."""
    app.add_typer(dlq, name="dlq")
    app.add_typer(archive, name="archive")
    for command in (trace, stats, doctor):
        app.command()(command)
