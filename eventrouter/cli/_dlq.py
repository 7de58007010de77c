"""`dlq list` and `dlq groups`: what is in a file of dead letters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Unpack

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from eventrouter.cli._report import printable
from eventrouter.delivery.dead_letters import DeadLetterCriteria, DeadLetterFilter, DeadLetterGroups
from eventrouter.errors import InvalidEventError
from eventrouter.event import Event
from eventrouter.records import DeadLetter, Subscription
from eventrouter.retry import ExhaustedRetryCondition

#: The default bus is not in the ARN of a rule.
_RULE: Final = re.compile(r"arn:[^:]*:events:[^:]*:[^:]*:rule/(?:(?P<bus>[^/]+)/)?(?P<rule>[^/]+)")


class _Attributes(msgspec.Struct, rename=str.upper):
    rule_arn: str
    target_arn: str
    error_code: str
    error_message: str = ""
    retry_attempts: str = "0"
    exhausted_retry_condition: ExhaustedRetryCondition | None = None


class _Letter(msgspec.Struct):
    body: msgspec.Raw
    attributes: _Attributes


def list_letters(path: Path, **criteria: Unpack[DeadLetterCriteria]) -> bool:
    """Print the letters that are meant, a line each; give whether there are none."""
    wanted = DeadLetterFilter(**criteria)
    console = Console(highlight=False, soft_wrap=True)
    count = 0
    for letter in filter(wanted.accepts, _read(path)):
        count += 1
        event = f"{letter.event.source}, {letter.event.detail_type}, event {letter.event.id}"
        texts = (letter.error_code, _target(letter.subscription), event, letter.error_message)
        console.print(printable("  ".join(texts)), markup=False)
    console.print("1 dead letter" if count == 1 else f"{count} dead letters", markup=False)
    return count == 0


def group_letters(path: Path, **criteria: Unpack[DeadLetterCriteria]) -> bool:
    """Print the letters that are meant by rule, target and error; give whether there are none."""
    wanted = DeadLetterFilter(**criteria)
    groups = DeadLetterGroups()
    groups.add(letter for letter in _read(path) if wanted.accepts(letter))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("letters", justify="right")
    for name in ("target", "code", "error", "fingerprint"):
        table.add_column(name, overflow="fold")
    listed = groups.listed()
    for group in listed:
        texts = (_target(group.subscription), group.error_code, group.error_message, group.fingerprint)
        table.add_row(str(group.count), *map(printable, texts))
    Console(highlight=False, markup=False).print(table)
    return not listed


def _target(subscription: Subscription) -> str:
    rule = subscription.rule_name
    if subscription.event_bus_name != "default":
        rule = f"{subscription.event_bus_name}/{rule}"
    return f"{rule} -> {subscription.target_id}"


def _read(path: Path) -> Iterator[DeadLetter]:
    """Read a file as `route --dead-letters` writes it; the letters' ids are their lines."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield _letter(msgspec.json.decode(line, type=_Letter), number)
                except (ValueError, RecursionError) as error:  # also what msgspec and Event raise
                    reason = f"{path}, line {number}, is no dead letter: {error}"
                    raise InvalidEventError(reason, "MalformedEvent") from error


def _letter(read: _Letter, number: int) -> DeadLetter:
    attributes = read.attributes
    rule = _RULE.fullmatch(attributes.rule_arn)
    if rule is None:
        raise ValueError(f"RULE_ARN {attributes.rule_arn!r} is not the ARN of a rule")
    target_id = attributes.target_arn.rpartition("/target/")[2]
    return DeadLetter(
        queue="",
        event=Event.from_json(bytes(read.body)),
        subscription=Subscription(rule["bus"] or "default", rule["rule"], target_id),
        rule_arn=attributes.rule_arn,
        target_arn=attributes.target_arn,
        error_code=attributes.error_code,
        error_message=attributes.error_message,
        exhausted_retry_condition=attributes.exhausted_retry_condition,
        retry_attempts=int(attributes.retry_attempts),
        at=datetime.fromtimestamp(0, UTC),  # the file does not say
        id=number,
    )
