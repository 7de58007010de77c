"""`eventrouter trace`, `stats` and `doctor`: what is in a store, and whether all is well with it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import typer

from eventrouter.cli._places import load_router, open_store, store_path
from eventrouter.cli._report import printable
from eventrouter.cli._table import plural, print_json, print_table, shown_target, shown_time
from eventrouter.errors import StoreError
from eventrouter.records import Counts, Subscription
from eventrouter.stores import _sqlite_reads as reads
from eventrouter.stores._sqlite_doctor import Finding, examine
from eventrouter.stores._sqlite_file import StoreFile, archive_summaries, queue_sizes, sizes
from eventrouter.stores._sqlite_story import Story, ToldDelivery, tell_story

# -- trace -----------------------------------------------------------------------------------------------------------


def trace(store: str, event_id: str, *, as_json: bool) -> bool:
    """Print the story of an event; give whether the store has anything of it."""
    with open_store(store) as file:
        story = file.read(lambda connection: tell_story(connection, event_id, datetime.now(UTC)))
    if not story.is_known:
        typer.echo(
            f"{store} has nothing of an event {printable(event_id)}: it was never accepted, or no rule matched it and "
            "no archive keeps it, or it ended too long ago",
            err=True,
        )
        return False
    if as_json:
        print_json(_story_json(story))
    else:
        _print_story(story)
    return True


def _story_json(story: Story) -> dict[str, Any]:
    return {
        "event_id": story.event_id,
        "event": None if story.event is None else story.event.to_dict(),
        "group": story.group,
        "trace_header": story.trace_header,
        "archives": story.archives,
        "causes": story.causes,
        "children": list(story.children),
        "deliveries": [_delivery_json(told) for told in story.deliveries],
        "dead_letters": [{"id": letter.id, "queue": letter.queue, "at": letter.at} for letter in story.dead_letters],
    }


def _delivery_json(told: ToldDelivery) -> dict[str, Any]:
    values = asdict(told)
    return values.pop("subscription")._asdict() | values  # type: ignore[no-any-return]


def _print_story(story: Story) -> None:
    facts = [("event", story.event_id)]
    if story.event is not None:
        facts += [("source", story.event.source), ("detail-type", story.event.detail_type)]
        facts += [("time", f"{shown_time(story.event.time)} UTC"), ("detail", bytes(story.event.detail_json).decode())]
    else:
        facts.append(("content", "is gone, since every delivery has ended and no archive keeps it"))
    if story.group is not None:
        facts.append(("event group", story.group))
    if story.trace_header is not None:
        facts.append(("trace", story.trace_header))
    facts += [("archive", name) for name in story.archives]
    facts += [("caused by", id) for id in reversed(story.causes)]
    facts += [("caused", f"{id}  {told}".rstrip()) for id, told in story.children.items()]
    for letter in story.dead_letters:
        facts.append(("dead letter", f"{letter.id}, in queue {letter.queue}"))
    for name, value in facts:
        typer.echo(f"{name:<12} {printable(value)}")
    if story.deliveries:
        typer.echo()
    print_table(
        ("accepted (UTC)", "target", "state", "attempts", "last attempt (UTC)", "until (UTC)", "last error"),
        [_row(told) for told in story.deliveries],
        numbers=("attempts",),
    )


def _row(told: ToldDelivery) -> tuple[str, ...]:
    return (
        shown_time(told.accepted_at),
        shown_target(told.subscription),
        told.state,
        str(told.attempts),
        shown_time(told.began_at),
        shown_time(told.until),
        told.error or "-",
    )


# -- stats -----------------------------------------------------------------------------------------------------------


def stats(store: str, *, as_json: bool) -> bool:
    """Print the account of a store, its queues, archives and size; give whether the account balances."""
    with open_store(store) as file:
        ledger = file.read(reads.ledger)
        queues, archives = file.read(queue_sizes), file.read(archive_summaries)
        (name, size), (log, log_size) = sizes(file.path)
    if as_json:
        told = [
            {**key._asdict(), **asdict(counts), "oldest": ledger.oldest.get(key)}
            for key, counts in ledger.subscriptions.items()
        ]
        print_json(
            {"events": ledger.events, "subscriptions": told, "dead_letters": queues}
            | {"archives": {item.name: {"events": item.event_count, "bytes": item.size_bytes} for item in archives}}
            | {"bytes": size, "log_bytes": log_size, "is_balanced": ledger.is_balanced}
        )
        return ledger.is_balanced
    columns = ("accepted", "delivered", "dead", "dropped", "skipped", "waiting", "leased", "retries")
    print_table(
        ("target", *columns, "oldest (UTC)"),
        [
            (shown_target(key), *_numbers(counts), shown_time(ledger.oldest.get(key)))
            for key, counts in ledger.subscriptions.items()
        ],
        numbers=columns,
    )
    typer.echo(str(ledger))
    for queue, count in queues.items():
        typer.echo(printable(f"{plural(count, 'dead letter')} in queue {queue}"))
    for item in archives:
        typer.echo(f"{plural(item.event_count, 'event')} in archive {item.name}, {item.size_bytes:,} bytes")
    typer.echo(f"{name}: {size:,} bytes; {log}: {log_size:,} bytes")
    return ledger.is_balanced


def _numbers(counts: Counts) -> list[str]:
    ended = (counts.delivered, counts.dead_lettered, counts.dropped, counts.skipped)
    return [f"{n:,}" for n in (counts.accepted, *ended, counts.waiting, counts.in_flight, counts.retries)]


# -- doctor ----------------------------------------------------------------------------------------------------------


def doctor(store: str, *, rules: str | None, as_json: bool) -> bool:
    """Print what is well and what is wrong with a store; give whether nothing is wrong."""
    is_declared = None
    if rules is not None:
        declared = load_router(rules)._dispatcher.targets  # noqa: SLF001 - with what follows from deliveries

        def is_declared(subscription: Subscription) -> bool:
            return subscription in declared

    path = store_path(store)
    if not path.is_file():
        raise StoreError(f"There is no file {path}")
    try:
        with StoreFile(path) as file:
            findings = list(examine(file, datetime.now(UTC), is_declared))
    except StoreError as error:
        findings = [Finding("file", "wrong", str(error))]
    is_well = all(finding.verdict == "ok" for finding in findings)
    if as_json:
        print_json({"is_well": is_well, "findings": [finding._asdict() for finding in findings]})
    else:
        print_table(("check", "verdict", "found"), findings)
    return is_well
