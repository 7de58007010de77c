"""What can be wrong with a store's file: looked for, and told in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from eventrouter.errors import StoreError
from eventrouter.records import Subscription
from eventrouter.stores import _sqlite_reads as reads
from eventrouter.stores._sqlite_file import StoreFile, sizes
from eventrouter.stores._sqlite_schema import LARGEST_LOG, from_micros, to_micros

Verdict: TypeAlias = Literal["ok", "wrong"]

#: How long something may be due, or a lease be over, before it seems that nobody takes it.
_PATIENCE: Final = timedelta(minutes=1)
#: How much of what is wrong with the pages is told.
_TOLD: Final = 10


class Finding(NamedTuple):
    """What one check has found.

    Attributes:
        check: Which.
        verdict: Whether all is well.
        text: What was found.
    """

    check: str
    verdict: Verdict
    text: str


def examine(file: StoreFile, now: datetime, is_declared: Callable[[Subscription], bool] | None) -> Iterator[Finding]:
    """Look at everything, the ground first; what stands on something broken is not looked at.

    Args:
        file: The file.
        now: The present.
        is_declared: Says whether a subscription is declared; None if nobody knows.
    """
    try:
        yield Finding("version", "ok", f"version {file.check_version()} of the tables, as this release has it")
        for check in (_pages, _ledger, _rows):
            yield file.read(check)
        yield from file.read(lambda connection: list(_subscriptions(connection, now, is_declared)))
    except StoreError as error:
        yield Finding("file", "wrong", str(error))
    yield from _sizes(file)


def _pages(connection: sqlite3.Connection) -> Finding:
    found = [text for (text,) in connection.execute(f"PRAGMA integrity_check({_TOLD})")]
    if found == ["ok"]:
        return Finding("integrity", "ok", "every page and index is as it should be")
    hint = (
        "stop all processes, keep a copy, and restore a backup, or save what can be read with `sqlite3 FILE .recover`"
    )
    return Finding("integrity", "wrong", f"{'; '.join(found)} ({hint})")


def _ledger(connection: sqlite3.Connection) -> Finding:
    ledger = reads.ledger(connection)
    wrong = [f"{key}: {counts}" for key, counts in ledger.subscriptions.items() if not counts.is_balanced]
    if wrong:
        return Finding("ledger", "wrong", f"deliveries are missing, or twice there: {'; '.join(wrong)}")
    return Finding("ledger", "ok", f"it balances: {ledger}")


_NO_EVENT: Final = "NOT EXISTS (SELECT 1 FROM event e WHERE e.seq = x.seq)"
_NO_SUBSCRIPTION: Final = "NOT EXISTS (SELECT 1 FROM subscription s WHERE s.id = x.subscription)"
_NO_USE: Final = (
    "archives = 0 AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.id BETWEEN x.seq AND x.seq + x.deliveries - 1)"
)
#: What would be wrong, in which table, and when a row of it is.
_CONTRADICTIONS: Final = (
    ("deliveries without an event", "delivery", _NO_EVENT),
    ("deliveries without a subscription", "delivery", _NO_SUBSCRIPTION),
    ("archived events that are not there", "archived", _NO_EVENT),
    ("events that nothing keeps", "event", _NO_USE),
    ("dead letters without a subscription", "dead", _NO_SUBSCRIPTION),
)


def _rows(connection: sqlite3.Connection) -> Finding:
    counts = [
        (connection.execute(f"SELECT count(*) FROM {table} x WHERE {where}").fetchone()[0], what)
        for what, table, where in _CONTRADICTIONS
    ]
    wrong = [f"{count} {what}" for count, what in counts if count]
    if wrong:
        return Finding("rows", "wrong", ", ".join(wrong))
    return Finding("rows", "ok", "deliveries, events, archives and dead letters fit together")


def _subscriptions(
    connection: sqlite3.Connection, now: datetime, is_declared: Callable[[Subscription], bool] | None
) -> Iterator[Finding]:
    """Look for deliveries that nobody takes."""
    present, patient = to_micros(now), to_micros(now - _PATIENCE)
    overdue: list[str] = []
    over: list[str] = []
    parked: list[str] = []
    for number, bus, rule, target in connection.execute("SELECT id, bus, rule, target FROM subscription ORDER BY id"):
        key = Subscription(bus, rule, target)
        [[count, held, due, lapsed, first]] = connection.execute(
            "SELECT count(*), total(token <> 0 AND due > ?), total(token = 0 AND due <= ?), "
            "total(token <> 0 AND due <= ?), min(due) FROM delivery WHERE subscription = ?",
            (present, patient, patient, number),
        ).fetchall()
        if count and is_declared is not None and not is_declared(key):
            parked.append(f"{key}: {count}")
        elif due and not held:
            overdue.append(f"{key}: {int(due)} since {from_micros(first):%Y-%m-%d %H:%M:%S} UTC")
        if lapsed and not held:
            over.append(f"{key}: {int(lapsed)}")
    if is_declared is not None:
        yield _list("parked", parked, "deliveries of targets that are not declared", "every target is declared")
    yield _list(
        "waiting",
        overdue,
        "deliveries are due, and nobody takes them (is the service running, and the target declared and not paused?)",
        "nothing has been due for a minute without anybody who takes it",
    )
    yield _list(
        "leases",
        over,
        "leases ended over a minute ago, and nobody has taken over (a process has died, and none runs)",
        "none has ended without anybody who takes over",
    )


def _list(check: str, wrong: list[str], what: str, otherwise: str) -> Finding:
    if wrong:
        return Finding(check, "wrong", f"{what}: {'; '.join(wrong)}")
    return Finding(check, "ok", otherwise)


def _sizes(file: StoreFile) -> Iterator[Finding]:
    (name, size), (log_name, log_size) = sizes(file.path)
    yield Finding("size", "ok", f"{name} has {size:,} bytes")
    text = f"{log_name} has {log_size:,} bytes"
    if log_size > LARGEST_LOG:
        yield Finding("log", "wrong", f"{text} (some process keeps a read open, which keeps it growing)")
    else:
        yield Finding("log", "ok", text)
