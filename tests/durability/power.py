"""Power cuts: what a disk holds that forgets, or tears, whatever was written since the last sync."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from eventrouter.stores import _sqlite_reads as reads
from tests.durability.family import AUDIT, WORK

#: What a disk writes as one, in bytes.
_SECTOR: Final = 512


def read_records(path: Path | str) -> list[list]:
    """Read what a process has written to its disk, and in between to its account."""
    records: list[list] = msgspec.msgpack.decode(Path(path).read_bytes())
    return records


@dataclass
class _File:
    """What of a file would survive, and what might."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)  # writes, and sizes of truncations

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def after_a_cut(self, rng: random.Random | None) -> bytes:
        """Give what is found afterwards: nothing that was not synced, or any sectors of it."""
        found = bytearray(self.durable)
        for change in self.pending if rng is not None else ():
            if isinstance(change, int):
                if rng.random() < 0.5:
                    _apply(found, change)
                continue
            at, data = change
            for start in range(0, len(data), _SECTOR):
                if rng.random() < 0.5:
                    _apply(found, (at + start, data[start : start + _SECTOR]))
        return bytes(found)


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        return
    at, data = change
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at : at + len(data)] = data


@dataclass
class Cut:
    """The moment of a power cut.

    Attributes:
        files: What is found afterwards, by name.
        accepted: The ids of the events of which somebody was told by then that they are accepted.
        handled: The deliveries, as (subscription, event id), that a target had seen by then.
        ended: Those whose end somebody had been told.
    """

    files: dict[str, bytes]
    accepted: set[str]
    handled: set[tuple[str, str]]
    ended: set[tuple[str, str]]


def cuts(records: list[list], number: int, seed: int) -> Iterator[Cut]:
    """Give so many power cuts, spread over what was written; half of them keep some of what was not synced."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    begun = next(place for place, record in enumerate(records) if record[0] == "account")
    chosen = set(rng.sample(range(begun, len(records)), min(number, len(records) - begun)))
    files: dict[str, _File] = {}
    accepted: set[str] = set()
    handled: set[tuple[str, str]] = set()
    ended: set[tuple[str, str]] = set()
    for place, (kind, *rest) in enumerate(records):
        if place in chosen:
            luck = rng if rng.random() < 0.5 else None
            found = {name: file.after_a_cut(luck) for name, file in files.items()}
            yield Cut(found, set(accepted), set(handled), set(ended))
        if kind == "account":
            [line] = rest
            if line["kind"] == "accepted":
                accepted.add(line["id"])
            elif line["kind"] in ("handled", "ended"):
                {"handled": handled, "ended": ended}[line["kind"]].add((line["subscription"], line["id"]))
        elif kind == "delete":
            files.pop(rest[0], None)
        else:
            file = files.setdefault(rest[0], _File())
            if kind == "sync":
                file.sync()
            else:
                file.pending.append((rest[1], rest[2]) if kind == "write" else rest[1])


@dataclass
class Damage:
    """What power cuts have done.

    Attributes:
        lost: Events that were acknowledged, and are not there.
        again: Deliveries whose end was known, and which would come again.
        broken: Files that SQLite, or the ledger, says are damaged.
        bad_cuts: Cuts with any of this.
        cuts: All of them.
    """

    lost: int = 0
    again: int = 0
    broken: int = 0
    bad_cuts: int = 0
    cuts: int = 0

    def __str__(self) -> str:
        return (
            f"{self.cuts:,} power cuts: {self.lost:,} events lost, {self.again:,} deliveries again after their end, "
            f"{self.broken} files damaged, in {self.bad_cuts:,} cuts"
        )

    def add(self, other: Damage) -> None:
        """Take in others."""
        self.lost += other.lost
        self.again += other.again
        self.broken += other.broken
        self.bad_cuts += other.bad_cuts
        self.cuts += other.cuts


def damage_of(every: Iterator[Cut], directory: Path) -> Damage:
    """Look what each cut has left, in a file of its own."""
    damage = Damage()
    for number, cut in enumerate(every):
        place = directory / f"cut-{number}"
        place.mkdir()
        for name, content in cut.files.items():
            (place / name).write_bytes(content)
        database = next(place / name for name in cut.files if not name.endswith(("-wal", "-journal")))
        lost, again, is_broken = _look(database, cut)
        damage.cuts += 1
        damage.lost += lost
        damage.again += again
        damage.broken += is_broken
        damage.bad_cuts += bool(lost or again or is_broken)
        for file in place.iterdir():
            file.unlink()
        place.rmdir()
    return damage


def _look(database: Path, cut: Cut) -> tuple[int, int, bool]:
    connection = sqlite3.connect(database)
    try:
        is_whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("PRAGMA user_version").fetchone()[0]:  # not even its tables are there
            return len(cut.accepted), 0, not is_whole
        ledger = reads.ledger(connection)
        waiting = {
            (f"{bus}/{rule}/{target}", id)
            for bus, rule, target, id in connection.execute(
                "SELECT s.bus, s.rule, s.target, e.id FROM delivery d JOIN event e USING (seq) "
                "JOIN subscription s ON s.id = d.subscription"
            )
        }
    except sqlite3.DatabaseError:
        return 0, 0, True
    finally:
        connection.close()
    kept = {str(key): counts.accepted for key, counts in ledger.subscriptions.items()}
    missing = max(len(cut.accepted) - kept.get(name, 0) for name in (WORK, AUDIT))  # those that ended are counted, too
    nowhere = sum(any((name, id) not in waiting | cut.handled for name in (WORK, AUDIT)) for id in cut.accepted)
    return max(missing, nowhere, 0), len(waiting & cut.ended), not (is_whole and ledger.is_balanced)
