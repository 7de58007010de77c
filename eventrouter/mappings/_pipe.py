"""What a pipe does with a batch: enrichment, transformation, target."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter.errors import DeliveryError, InputTransformerError, InvalidRuleError
from eventrouter.event import Event, encode_json
from eventrouter.functions import Function
from eventrouter.mappings._answers import BatchFailedError, failed_ids
from eventrouter.mappings._consume import Consume, Invoking, NotNowError, call
from eventrouter.mappings._records import Record
from eventrouter.templates import TransformContext
from eventrouter.transform import InputTransformer

#: What adds to a batch, or chooses among it: a function of the router, or an async callable.
Enrichment: TypeAlias = str | Function | Callable[[list[Any]], Awaitable[Any]]
#: What makes of an item what the target receives: a template with `<$.path>`, or a callable.
Transform: TypeAlias = str | Callable[[Any], Any]
#: Sends items to a target, from the kind of source that is named.
Send: TypeAlias = Callable[[Sequence[Any], str], Awaitable[None]]

_VARIABLE: Final = re.compile(r"<(\$[^<>]*|aws\.pipes\.[^<>]*)>")


def through_pipe(
    host: Invoking,
    name: str,
    enrichment: Enrichment | None,
    transform: Transform | None,
    *,
    send: Send | None,
    function_name: str,
) -> Consume:
    """Give what brings batches through a pipe.

    Args:
        host: The router.
        name: The pipe's.
        enrichment: If there is one.
        transform: If there is one.
        send: Sends to the target; None if that is the function.
        function_name: The function that is the target.

    Raises:
        InvalidRuleError: The template is not usable.
    """
    shape = _shape(name, transform, host.delivery_now)

    async def consume(records: Sequence[Record]) -> frozenset[str]:
        items = await _enriched(host, enrichment, records)
        try:
            items = [msgspec.Raw(encode_json(shape(item))) for item in items]
        except Exception as error:
            raise BatchFailedError(f"The transformation failed: {type(error).__name__}: {error}") from error
        if not items:
            return frozenset()
        if send is None:
            answer = await call(host, function_name, items)
            # Who reports no failures returns what it likes, since nobody was asked whether it does.
            return failed_ids(answer, [record.id for record in records]) if isinstance(answer, Mapping) else frozenset()
        try:
            await send(items, records[0].data["eventSource"])
        except DeliveryError as error:
            raise NotNowError(str(error)) from error
        return frozenset()

    return consume


async def _enriched(host: Invoking, enrichment: Enrichment | None, records: Sequence[Record]) -> list[Any]:
    """Give what goes on of a batch. An empty answer is nothing, also `""` and `{}` (EventBridge Pipes user guide)."""
    if enrichment is None:
        return [record.shown for record in records]
    given = [record.data for record in records]
    if isinstance(enrichment, str | Function):
        answer = await call(host, enrichment if isinstance(enrichment, str) else enrichment.name, given)
    else:
        try:
            answer = await enrichment(given)
        except Exception as error:
            raise BatchFailedError(f"The enrichment failed: {type(error).__name__}: {error}") from error
    if not answer:
        return []
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def _shape(name: str, transform: Transform | None, present: Callable[[], datetime]) -> Callable[[Any], Any]:
    """Give what makes of an item what the target receives."""
    if transform is None:
        return _as_it_is
    if not isinstance(transform, str):
        if not callable(transform):
            raise InvalidRuleError(f"transform of pipe {name} is {transform!r}", hint="use a template or a callable")
        return transform
    template = _template(name, transform)

    def shape(item: Any) -> Any:
        # The item is what paths begin at: it stands in an event, as templates are filled from events.
        now = present()
        event = Event(
            id="-",
            source="-",
            detail_type="-",
            time=now,
            detail_json=msgspec.Raw(encode_json({"item": item})),
        )
        return msgspec.json.decode(
            template.apply(event, TransformContext(rule_name="", rule_arn="", ingestion_time=now))
        )

    return shape


def _template(name: str, text: str) -> InputTransformer:
    """Read a template of Pipes, whose paths stand where others have the names of variables."""
    paths: dict[str, str] = {}

    def variable(match: re.Match[str]) -> str:
        written = match[1]
        if written == "aws.pipes.pipe-name":
            return name
        if written == "aws.pipes.event.ingestion-time":
            return "<aws.events.event.ingestion-time>"
        if written in {"aws.pipes.event", "aws.pipes.event.json"}:
            written = "$"
        elif written.startswith("aws."):
            raise InvalidRuleError(f"There is no <{written}> in the transform of pipe {name}")
        variable = f"v{len(paths)}"
        paths[variable] = f"$.detail.item{written[1:]}"
        return f"<{variable}>"

    try:
        return InputTransformer(_VARIABLE.sub(variable, text), paths)
    except InputTransformerError as error:
        raise InvalidRuleError(f"transform of pipe {name}: {error.part} {error.problem}", hint=error.hint) from error


def _as_it_is(item: Any) -> Any:
    return item
