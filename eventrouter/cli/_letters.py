"""Dead letters of a store, or of a file of JSON lines as `route --dead-letters` writes it: read page by page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from eventrouter.cli._places import is_store, open_store
from eventrouter.delivery.dead_letters import DeadLetterFilter
from eventrouter.errors import InvalidEventError, InvalidRuleError
from eventrouter.event import Event
from eventrouter.records import DeadLetter, Subscription
from eventrouter.retry import ExhaustedRetryCondition
from eventrouter.stores import _sqlite_reads as reads

_PAGE: Final = 1_000  # letters that are in memory at once
#: When a letter of a file was given up: the file does not say.
UNKNOWN: Final = datetime.fromtimestamp(0, UTC)
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


def letter_pages(place: str, wanted: DeadLetterFilter, after: int = 0) -> Iterator[list[DeadLetter]]:
    """Give the letters that are meant, oldest first; pages may be empty, and each of a store is of one moment.

    Args:
        place: A store, or a file, whose letters have the numbers of their lines as ids.
        wanted: Which letters.
        after: Only those with a greater id.

    Raises:
        InvalidRuleError: A file has no queues and no times.
        EventRouterError, OSError: It cannot be read.
    """
    if is_store(place):
        yield from _of_store(place, wanted, after)
        return
    if wanted.queue is not None or wanted.since is not None or wanted.until is not None:
        raise InvalidRuleError(
            f"{place} is a file of dead letters, which does not say in which queue they were or when"
        )
    letters = (letter for letter in _of_file(Path(place)) if letter.id > after and wanted.accepts(letter))
    while page := list(islice(letters, _PAGE)):
        yield page


def _of_store(place: str, wanted: DeadLetterFilter, after: int) -> Iterator[list[DeadLetter]]:
    first, last = wanted.id_range
    after = max(after, first - 1)
    with open_store(place) as file:
        while after < last and (
            page := file.read(partial(reads.dead_letters, queue=wanted.queue, after=after, limit=_PAGE))
        ):
            yield [letter for letter in page if wanted.accepts(letter)]
            after = page[-1].id


def _of_file(path: Path) -> Iterator[DeadLetter]:
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
        at=UNKNOWN,
        id=number,
    )


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """Give a letter in EventBridge's form, which `dlq` reads again, with what else is known of it."""
    known: dict[str, Any] = {"id": letter.id, **letter.subscription._asdict()}
    if letter.at != UNKNOWN:
        known |= {"queue": letter.queue, "at": letter.at}
    if letter.causes:
        known["causes"] = letter.causes
    return known | letter.to_dict()
