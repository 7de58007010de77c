"""Steps as log records."""

import json
import logging
import re
from pathlib import Path
from typing import get_args

import anyio
import pydantic
import pytest

from eventrouter import (
    Delivery,
    EventEntry,
    InvalidRuleError,
    LogObserver,
    Observation,
    PermanentDeliveryError,
    RetryPolicy,
    Subscription,
)
from eventrouter.observability import LEVELS, JsonFormatter
from eventrouter.records import Step
from tests.support import NOON, Scripted, make_event, make_router, order, seconds


async def records_of(caplog, *targets, entries=(), level="TRACE", pattern=None, router_options=None, **options):
    """Deliver orders and give the records of their steps."""
    caplog.set_level(logging.DEBUG, "eventrouter.steps")
    router = make_router(
        *targets, pattern=pattern, observers=[LogObserver(level=level, **options)], **(router_options or {})
    )
    async with router:
        await router.put_events(list(entries) or [order(card="4111")])
        await router.settle_down()
    return [record for record in caplog.records if record.name == "eventrouter.steps"]


def of(records, step):
    [record] = [record for record in records if record.step == step]
    return record


def test_every_step_has_a_level():
    assert set(LEVELS) == set(get_args(Step))


def test_the_page_has_the_steps_with_their_levels():
    page = (Path(__file__).parents[2] / "docs/how-to/observe.md").read_text()
    assert dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z]+) \|", page, re.MULTILINE)) == LEVELS


EXPECTED = {
    "OFF": [],
    "ERROR": ["INVOCATION_ATTEMPT_RETRYABLE_FAILURE"],
    "INFO": [
        "EVENT_RECEIPT",
        "RULE_MATCH",
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
        "INVOCATION_SUCCESS",
    ],
    "TRACE": [
        "EVENT_INGEST_SUCCESS",
        "EVENT_RECEIPT",
        "RULE_MATCH_START",
        "RULE_MATCH",
        "INVOCATION_START",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
        "INVOCATION_ATTEMPT_START",
        "INVOCATION_ATTEMPT_SUCCESS",
        "INVOCATION_SUCCESS",
    ],
}


@pytest.mark.parametrize("level", EXPECTED)
async def test_a_level_logs_its_steps_and_those_of_the_levels_below(level, caplog):
    records = await records_of(caplog, Scripted(id="t", script=[OSError("down")]), level=level)
    assert [record.step for record in records] == EXPECTED[level]
    numbers = {"ERROR": logging.ERROR, "INFO": logging.INFO, "TRACE": logging.DEBUG}
    assert all(record.levelno == numbers[record.log_level] for record in records)
    assert all(record.log_level == LEVELS[record.step] for record in records)


async def test_the_logger_may_filter_again(caplog):
    caplog.set_level(logging.ERROR, "mine")
    async with make_router(Scripted(id="t"), observers=[LogObserver("TRACE", logger="mine")]) as router:
        await router.put_events([order()])
        await router.settle_down()
    assert [record for record in caplog.records if record.name == "mine"] == []


def test_an_unknown_level_is_refused():
    with pytest.raises(InvalidRuleError, match=r"'DEBUG'.*use OFF, ERROR, INFO or TRACE"):
        LogObserver("DEBUG")


async def test_a_failure_says_who_what_and_when_it_comes_again(caplog):
    entry = EventEntry("shop.orders", "Order Placed", {}, trace_header="00-1-2-01", resources=["order/1"])
    records = await records_of(caplog, Scripted(id="t", script=[OSError("down")]), entries=[entry])
    failure = of(records, "INVOCATION_ATTEMPT_RETRYABLE_FAILURE")
    id = failure.event_id
    assert failure.getMessage() == (
        f"INVOCATION_ATTEMPT_RETRYABLE_FAILURE default/r/t, event {id}, attempt 1: TARGET_ERROR: OSError: down"
    )
    ours = {name: value for name, value in vars(failure).items() if name not in vars(logging.makeLogRecord({}))}
    assert ours.pop("retry_at") > ours["at"]
    assert {name: ours[name] for name in ours if name != "message"} == {
        "step": "INVOCATION_ATTEMPT_RETRYABLE_FAILURE",
        "log_level": "ERROR",
        "at": "2026-03-01T12:00:00+00:00",
        "event_bus_name": "default",
        "event_id": id,
        "source": "shop.orders",
        "detail_type": "Order Placed",
        "resources": ["order/1"],
        "rule_name": "r",
        "target_id": "t",
        "attempt": 1,
        "trace_header": "00-1-2-01",
        "error_code": "TARGET_ERROR",
        "error_message": "OSError: down",
    }


async def test_a_match_names_the_targets_and_those_that_are_left_out(caplog):
    full = Scripted(id="full", maximum_concurrency=0, maximum_backlog=1, when_full="shed")
    caplog.set_level(logging.INFO, "eventrouter.steps")
    router = make_router(Scripted(id="t"), full, observers=[LogObserver("INFO")], drain_timeout=seconds(0))
    async with router:
        await router.put_events([order()])
        await router.put_events([order()])
    matches = [record for record in caplog.records if getattr(record, "step", "") == "RULE_MATCH"]
    assert [(record.target_ids, record.skipped_target_ids) for record in matches] == [
        (["t", "full"], []),
        (["t"], ["full"]),
    ]
    assert matches[0].getMessage() == f"RULE_MATCH default/r, event {matches[0].event_id}"


async def test_what_is_given_up_names_the_limit_and_the_queue(caplog):
    once = RetryPolicy(maximum_retry_attempts=0)
    dropping = Scripted(id="drops", script=[OSError()], retry_policy=once, dead_letter_queue=None)
    records = await records_of(caplog, Scripted(id="t", script=[OSError()], retry_policy=once), dropping)
    letter = of(records, "INVOCATION_DLQ")
    assert (letter.dead_letter_queue, letter.exhausted_retry_condition) == ("default/r/t", "MaximumRetryAttempts")
    failures = [record for record in records if record.step == "INVOCATION_FAILURE"]
    assert {(record.target_id, record.exhausted_retry_condition) for record in failures} == {
        ("t", "MaximumRetryAttempts"),
        ("drops", "MaximumRetryAttempts"),
    }


async def test_latencies_are_whole_milliseconds(caplog):
    async def work():
        await anyio.sleep(0.25)

    records = await records_of(caplog, Scripted(id="t", script=[work]))
    assert of(records, "INVOCATION_START").ingestion_to_start_latency_ms == 0
    assert of(records, "INVOCATION_SUCCESS").ingestion_to_complete_latency_ms == 250


async def test_a_refused_entry_is_described(caplog):
    records = await records_of(caplog, entries=[EventEntry("aws.ec2", "x", {}), "none"], level="ERROR")
    assert [(record.error_code, getattr(record, "source", None)) for record in records] == [
        ("NotAuthorizedForSourceException", "aws.ec2"),
        ("InvalidArgument", None),
    ]


class Order(pydantic.BaseModel):
    card: int


async def handle(order: Order) -> None:
    raise AssertionError


CARD = "4111-1111"


async def everything_logged(caplog, **options) -> str:
    script = [OSError("down"), PermanentDeliveryError("no")]
    records = await records_of(caplog, handle, Scripted(id="t", script=script), entries=[order(card=CARD)], **options)
    return "\n".join(JsonFormatter().format(record) for record in records)


async def test_the_detail_is_never_logged_unless_asked_for(caplog):
    """Not in what pydantic says of it either, which the dead letter quotes."""
    text = await everything_logged(caplog)
    assert "INVALID_DETAIL" in text
    assert CARD not in text
    assert '"detail"' not in text


async def test_the_detail_is_logged_when_asked_for(caplog):
    lines = [json.loads(line) for line in (await everything_logged(caplog, include_detail=True)).splitlines()]
    assert all(json.loads(line["detail"]) == {"card": CARD} for line in lines)
    [failure] = [line for line in lines if line.get("error_code") == "INVALID_DETAIL" and "ATTEMPT" in line["step"]]
    assert CARD in failure["error_message"]


def invocation_start(**changes) -> Observation:
    key = Subscription("default", "r", "t")
    fields = {"accepted_at": NOON, "hops": 0, "token": 1} | changes
    delivery = Delivery(1, key, make_event(), 1, **fields)
    return Observation(
        step="INVOCATION_START", at=NOON, event_bus_name="default", subscriptions=[key], delivery=delivery
    )


def test_the_input_of_a_target_goes_with_the_detail(caplog):
    caplog.set_level(logging.DEBUG, "eventrouter.steps")
    observation = invocation_start(input=b'"made of it"')
    LogObserver("ERROR").observe(observation)  # not important enough
    LogObserver("TRACE").observe(observation)
    LogObserver("TRACE", include_detail=True).observe(observation)
    without, with_it = caplog.records
    assert not hasattr(without, "input")
    assert with_it.input == '"made of it"'


def test_a_clock_that_went_back_makes_no_negative_latency(caplog):
    caplog.set_level(logging.DEBUG, "eventrouter.steps")
    LogObserver("TRACE").observe(invocation_start(accepted_at=NOON + seconds(1)))
    assert caplog.records[0].ingestion_to_start_latency_ms == 0


def test_a_record_becomes_one_line_of_json():
    class Strange:
        def __str__(self):
            return "strange"

    try:
        raise ValueError("two\nlines \ud800")
    except ValueError as error:
        record = logging.makeLogRecord(
            {
                "name": "any.logger",
                "levelname": "ERROR",
                "msg": "%s went",
                "args": ("it",),
                "created": 1772366400.25,
                "exc_info": (type(error), error, error.__traceback__),
                "thing": Strange(),
                "odd": {(1, 2): 3, "a": 1},
            }
        )
    line = JsonFormatter().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert list(read) == ["timestamp", "level", "logger", "message", "thing", "odd", "exception"]
    assert read | {"exception": ""} == {
        "timestamp": "2026-03-01T12:00:00.250+00:00",
        "level": "ERROR",
        "logger": "any.logger",
        "message": "it went",
        "thing": "strange",
        "odd": {"a": 1},
        "exception": "",
    }
    assert read["exception"].endswith("ValueError: two\nlines \ud800")
