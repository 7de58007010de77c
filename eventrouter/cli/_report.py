"""What a person sees: a line per delivery, then the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eventrouter.records import (
    Counts,
    DeadLettered,
    Delivered,
    Dropped,
    Ledger,
    Observation,
    Outcome,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.rules import Rule

_SHOWN_LINES = 10


@dataclass
class Tally:
    """What the lines turned out to be."""

    events: int = 0
    wrapped: int = 0
    malformed: list[int] = field(default_factory=list)  # line numbers


def make_console(*, stderr: bool = False) -> Console:
    """Give a console that colours on a terminal only, and never breaks lines elsewhere."""
    console = Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 200
    return console


def printable(text: str) -> str:
    """Make control characters visible: what comes from an event must not command the terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


@dataclass
class Reporter:
    """An observer that prints outcomes, and keeps dead letters in a file.

    Attributes:
        console: Where to print; None for quiet.
        dead_letters: Where dead letters go, if anywhere.
    """

    console: Console | None
    dead_letters: IO[bytes] | None

    def observe(self, observation: Observation) -> None:
        """Print one line for the outcome of an attempt."""
        if observation.outcome is not None and observation.step.startswith("INVOCATION_ATTEMPT"):
            self._report(observation.outcome)

    def _report(self, outcome: Outcome) -> None:
        if isinstance(outcome, DeadLettered) and self.dead_letters is not None:
            self.dead_letters.write(msgspec.json.encode(outcome.dead_letter.to_dict()) + b"\n")
            self.dead_letters.flush()
        if self.console is not None:
            self.console.print(_line(outcome))


def _line(outcome: Outcome) -> Text:
    delivery = outcome.delivery
    event, subscription = delivery.event, delivery.subscription
    what, style, reason = _told(outcome)
    rule = subscription.rule_name
    if subscription.event_bus_name != "default":
        rule = f"{subscription.event_bus_name}/{rule}"
    text = Text.assemble((f"{what:<12}", style), f"{rule} -> {subscription.target_id}")
    text.append(
        printable(f"  {event.source}, {event.detail_type}, event {event.id}, attempt {delivery.attempt}"), "dim"
    )
    return text.append(printable(f"  {reason}") if reason else "")


def _told(outcome: Outcome) -> tuple[str, str, str]:
    """Give the word for an outcome, its colour, and the reason."""
    if isinstance(outcome, Delivered):
        return "delivered", "green", ""
    if isinstance(outcome, RetryAt):
        return "retry", "yellow", f"{outcome.error_message}; next attempt in {_wait(outcome.at):.1f} s"
    if isinstance(outcome, Postponed):
        return "throttled", "yellow", f"{outcome.error_message}; next attempt in {_wait(outcome.at):.1f} s"
    if isinstance(outcome, Dropped):
        return "dropped", "red", outcome.error_message
    condition = outcome.dead_letter.exhausted_retry_condition
    return "dead letter", "red", outcome.dead_letter.error_message + (f" ({condition})" if condition else "")


def _wait(at: datetime) -> float:
    return max(0.0, (at - datetime.now(at.tzinfo)).total_seconds())


def print_summary(console: Console, tally: Tally, rules: Sequence[Rule], ledger: Ledger) -> None:
    """Print the sums: what was read, and what became of it, rule by rule."""
    console.print()
    console.print(_rules_table(rules, ledger))
    console.print(f"{tally.events} events" + (f", {tally.wrapped} of them plain lines" if tally.wrapped else ""))
    if tally.malformed:
        shown = ", ".join(map(str, tally.malformed[:_SHOWN_LINES]))
        more = len(tally.malformed) - _SHOWN_LINES
        lines = f"{shown} and {more} more" if more > 0 else shown
        console.print(Text(f"{len(tally.malformed)} malformed: line {lines}", "red"))
    total = ledger.total
    console.print(
        f"{total.accepted} deliveries: {total.delivered} delivered, {total.dead_lettered} dead-lettered, "
        f"{_unfinished(total)} unfinished; {total.retries} retries"
    )
    for name, counts in ledger.queues.items():
        console.print(f"queue {name}: {counts.waiting} message{'s' * (counts.waiting != 1)}")


def _rules_table(rules: Sequence[Rule], ledger: Ledger) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name in ("rule", "target"):
        table.add_column(name, overflow="fold")
    for name in ("matched", "delivered", "retries", "dead", "unfinished"):
        table.add_column(name, justify="right")
    for rule in rules:
        name = rule.name if rule.event_bus_name == "default" else f"{rule.event_bus_name}/{rule.name}"
        for target in rule.targets:
            subscription = Subscription(rule.event_bus_name, rule.name, target.id)
            counts = ledger.subscriptions.get(subscription, Counts())
            numbers = (counts.accepted, counts.delivered, counts.retries, counts.dead_lettered, _unfinished(counts))
            table.add_row(name, target.id, *map(str, numbers))
            name = ""
        if not rule.targets:
            table.add_row(name, "(none)", *"-----")
    return table


def _unfinished(counts: Counts) -> int:
    return counts.waiting + counts.in_flight
