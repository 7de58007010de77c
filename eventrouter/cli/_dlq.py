"""`eventrouter dlq`: what is in a dead-letter queue, and what is to become of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final, Unpack

import anyio
import typer

from eventrouter.cli._letters import UNKNOWN, letter_json, letter_pages
from eventrouter.cli._places import is_store, writing
from eventrouter.cli._report import printable
from eventrouter.cli._table import plural, print_json, print_table, shown_target, shown_time
from eventrouter.delivery.dead_letters import DeadLetterCriteria, DeadLetterFilter, DeadLetterGroups
from eventrouter.errors import InvalidRuleError
from eventrouter.records import DeadLetter, Subscription

#: Letters that one transaction moves: a service that runs waits for it no longer than for one of its own.
_BATCH: Final = 100
#: What becomes of deliveries that the command line makes.
WAITING: Final = "They wait for the service, which notices within 0.1 s if it runs, or else at its next start."


def list_letters(place: str, *, after: int, limit: int, as_json: bool, **criteria: Unpack[DeadLetterCriteria]) -> bool:
    """Print the letters that are meant, a line each; give whether there are none."""
    found = chain.from_iterable(letter_pages(place, DeadLetterFilter(**criteria), after))
    letters = list(islice(found, limit))
    if as_json:
        for letter in letters:
            print_json(letter_json(letter))
    else:
        _print_letters(letters)
        typer.echo(plural(len(letters), "dead letter"))
    if letters and next(found, None) is not None:
        typer.echo(f"There are more: --after {letters[-1].id}", err=True)
    return not letters


def _print_letters(letters: Sequence[DeadLetter]) -> None:
    print_table(
        ("id", "given up (UTC)", "target", "code", "retries", "event", "source", "detail-type", "error"),
        [
            (
                str(letter.id),
                "-" if letter.at == UNKNOWN else shown_time(letter.at),
                shown_target(letter.subscription),
                letter.error_code,
                str(letter.retry_attempts),
                letter.event.id,
                letter.event.source,
                letter.event.detail_type,
                letter.error_message,
            )
            for letter in letters
        ],
        numbers=("id", "retries"),
    )


def group_letters(place: str, *, as_json: bool, **criteria: Unpack[DeadLetterCriteria]) -> bool:
    """Print the letters that are meant by rule, target and error; give whether there are none."""
    groups = DeadLetterGroups()
    for page in letter_pages(place, DeadLetterFilter(**criteria)):
        groups.add(page)
    listed = groups.listed()
    for group in listed if as_json else ():
        told: dict[str, object] = {"count": group.count, **group.subscription._asdict()}
        told |= {name: getattr(group, name) for name in ("error_code", "error_message", "fingerprint")}
        if group.first_at != UNKNOWN:
            told |= {"first_at": group.first_at, "last_at": group.last_at}
        print_json(told | {"example": letter_json(group.example)})
    if not as_json:
        print_table(
            ("letters", "target", "code", "fingerprint", "last (UTC)", "error"),
            [
                (
                    str(group.count),
                    shown_target(group.subscription),
                    group.error_code,
                    group.fingerprint,
                    "-" if group.last_at == UNKNOWN else shown_time(group.last_at),
                    group.error_message,
                )
                for group in listed
            ],
            numbers=("letters",),
        )
        typer.echo(f"{plural(sum(group.count for group in listed), 'dead letter')} in {plural(len(listed), 'group')}")
    return not listed


def show_letter(place: str, id: int, *, as_json: bool) -> bool:
    """Print all there is of one letter; give whether it is there."""
    letter = next(chain.from_iterable(letter_pages(place, DeadLetterFilter(ids=[id]))), None)
    if letter is None:
        typer.echo(f"{place} has no dead letter {id}; it may have been redriven or purged", err=True)
        return False
    if as_json:
        print_json(letter_json(letter))
        return True
    lines = [("dead letter", str(letter.id)), ("target", shown_target(letter.subscription))]
    if letter.at != UNKNOWN:
        lines += [("queue", letter.queue), ("given up", f"{shown_time(letter.at)} UTC")]
    lines += [(name.lower(), value) for name, value in letter.attributes.items()]
    if letter.group is not None:
        lines.append(("event group", letter.group))
    if letter.causes:
        lines.append(("caused by", " > ".join(letter.causes)))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {printable(value)}")
    typer.echo(f"{'event':<{width}}  {printable(letter.event.to_json().decode())}")
    return True


async def redrive_letters(
    place: str, *, rate: float, everything: bool, as_json: bool, **criteria: Unpack[DeadLetterCriteria]
) -> bool:
    """Make deliveries of the letters that are meant again, and give whether there were any.

    Those that are there when it begins are meant; one that is gone by the time that it comes up is not counted.
    """
    _refuse_file(place, "redriven")
    chosen = _chosen(place, everything=everything, **criteria)
    moved: Counter[Subscription] = Counter()
    async with writing(place) as store:
        for batch in _batches(chosen, min(_BATCH, max(1, int(rate)))):
            began = anyio.current_time()
            for letter in await store.redrive(batch, now=datetime.now(UTC)):
                moved[letter.subscription] += 1
            await anyio.sleep_until(began + len(batch) / rate)
    count = moved.total()
    if as_json:
        print_json({"redriven": count, "targets": [{**key._asdict(), "deliveries": n} for key, n in moved.items()]})
        return count > 0
    print_table(
        ("deliveries", "target"),
        [(f"{count:,}", shown_target(key)) for key, count in moved.items()],
        numbers=("deliveries",),
    )
    typer.echo(f"{plural(count, 'dead letter')} redriven." + (f" {WAITING}" if count else ""))
    return count > 0


async def purge_letters(place: str, *, everything: bool, as_json: bool, **criteria: Unpack[DeadLetterCriteria]) -> bool:
    """Remove the letters that are meant for good, and give whether there were any."""
    _refuse_file(place, "purged")
    chosen = _chosen(place, everything=everything, **criteria)
    purged = 0
    async with writing(place) as store:
        for batch in _batches(chosen, _BATCH):
            purged += await store.purge(batch)
    if as_json:
        print_json({"purged": purged})
    else:
        typer.echo(f"{plural(purged, 'dead letter')} purged")
    return purged > 0


def _refuse_file(place: str, what: str) -> None:
    if not is_store(place):
        raise InvalidRuleError(f"{place} is a file of dead letters; those of a store can be {what}")


def _chosen(place: str, *, everything: bool, **criteria: Unpack[DeadLetterCriteria]) -> list[int]:
    if everything == any(value is not None for value in criteria.values()):
        raise InvalidRuleError("Say which letters by at least one option, or --all for all of them, and not both")
    return [letter.id for page in letter_pages(place, DeadLetterFilter(**criteria)) for letter in page]


def _batches(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (ids[begin : begin + size] for begin in range(0, len(ids), size))
