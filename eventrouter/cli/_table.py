"""Columns of text, aligned, with every value whole: an id that a terminal breaks in two can still be copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import msgspec
import typer
from rich.cells import cell_len

from eventrouter.cli._report import printable
from eventrouter.errors import InvalidRuleError
from eventrouter.records import Subscription


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = ()) -> None:
    """Print rows below their header, or nothing without any.

    Args:
        header: The names of the columns. The last one is not padded, so what may be long goes there.
        rows: The texts, as they come from anywhere: control characters are made visible.
        numbers: The names of columns whose values stand on the right.
    """
    if not rows:
        return
    shown = [list(map(printable, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(header, *shown, strict=True)]
    for row in (header, *shown):
        cells = []
        for name, text, width in zip(header, row, widths, strict=True):
            space = " " * (width - cell_len(text))
            cells.append(space + text if name in numbers else text + space)
        typer.echo("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value))


def plural(count: int, what: str) -> str:
    """Count something: `1 event`, `1,000 events`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def shown_time(instant: datetime | None) -> str:
    """Give an instant in UTC, to the millisecond; a dash for none."""
    return "-" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]


def shown_target(subscription: Subscription) -> str:
    """Give the rule and target of a subscription, and the bus unless it is the default one."""
    rule = subscription.rule_name
    if subscription.event_bus_name != "default":
        rule = f"{subscription.event_bus_name}/{rule}"
    return f"{rule} -> {subscription.target_id}"


def read_instant(option: str, text: str | None) -> datetime | None:
    """Read an instant in ISO 8601; one without an offset is in UTC.

    Raises:
        InvalidRuleError: It is none.
    """
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):  # in UTC it may be before the year 1
        raise InvalidRuleError(f"{option} is {text!r}", hint="write it as 2026-03-01T12:00:00Z") from None
