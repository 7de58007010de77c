"""The record of a delivery: AWS Lambda's, version 1.0."""

import json
from datetime import timedelta

import anyio
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import (
    DeadLetterQueue,
    FunctionTarget,
    InputPath,
    InputTransformer,
    PermanentDeliveryError,
    RetryPolicy,
    Subscription,
    ThrottledError,
)
from eventrouter.delivery.describe import MAXIMUM_FRAMES
from eventrouter.destinations import Aftermath, encode_result
from eventrouter.records import Delivery
from tests.aftermath import LAMBDA, NO_RETRY, fails, record, run
from tests.support import NOON, Scripted, make_event, order, seconds


async def test_the_record_of_a_success_is_lambdas_to_the_order_of_its_keys():
    destination = Scripted(id="d")

    async def handle():
        return {"statusCode": 500, "body": "héllo"}

    target = Scripted(id="t", arn=LAMBDA, script=[OSError("once"), handle], on_success=destination)
    await run(target)
    [sent] = destination.seen
    event = target.seen[0].event
    text = sent.payload.decode()
    time = json.loads(text)["timestamp"]
    assert text == (
        f'{{"version":"1.0","timestamp":"{time}","requestContext":{{"requestId":"{event.id}",'
        f'"functionArn":"{LAMBDA}:$LATEST","condition":"Success","approximateInvokeCount":2}},'
        f'"requestPayload":{event.to_json().decode()},'
        '"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},'
        '"responsePayload":{"statusCode":500,"body":"héllo"}}'
    )


async def test_the_timestamp_is_when_the_delivery_ended_in_milliseconds():
    destination = Scripted(id="d")

    async def wait():
        await anyio.sleep(5.5678)

    await run(Scripted(id="t", script=[wait], on_success=[destination]))
    assert record(destination.seen[0])["timestamp"] == "2026-03-01T12:00:05.567Z"


async def test_the_record_of_a_failure_is_lambdas_to_the_order_of_its_keys():
    destination = Scripted(id="d")

    async def handle():
        raise ValueError("no such order")

    policy = RetryPolicy(maximum_retry_attempts=2)
    target = Scripted(id="t", arn=f"{LAMBDA}:7", script=[handle] * 3, retry_policy=policy, on_failure=[destination])
    await run(target)
    [sent] = destination.seen
    event, text = target.seen[0].event, sent.payload.decode()
    told = json.loads(text)
    [*_, frame] = told["responsePayload"]["stackTrace"]
    assert frame == (
        f'  File "{__file__}", line {handle.__code__.co_firstlineno + 1}, in handle\n'
        '    raise ValueError("no such order")\n'
    )
    trace = json.dumps(told["responsePayload"]["stackTrace"], separators=(",", ":"))
    assert text == (
        f'{{"version":"1.0","timestamp":"{told["timestamp"]}","requestContext":{{"requestId":"{event.id}",'
        f'"functionArn":"{LAMBDA}:7","condition":"RetriesExhausted","approximateInvokeCount":3}},'
        f'"requestPayload":{event.to_json().decode()},'
        '"responseContext":{"statusCode":200,"executedVersion":"7","functionError":"Unhandled"},'
        f'"responsePayload":{{"errorMessage":"no such order","errorType":"ValueError","requestId":"{event.id}",'
        f'"stackTrace":{trace}}}}}'
    )


async def hang():
    await anyio.sleep(3600)


async def fails_later():
    await anyio.sleep(1)
    raise OSError


@pytest.mark.parametrize("error", [OSError(), fails_later, hang])
async def test_the_record_of_a_failure_has_what_the_target_received(error):
    destination = Scripted(id="d")
    target = fails(error, input=InputPath("$.detail.total"), timeout=seconds(5), on_failure=destination)
    router = await run(target)
    assert record(destination.seen[0])["requestPayload"] == 250
    assert target.seen[0].payload == b"250"
    [letter] = await router.dead_letters()
    assert letter.event.detail == {"total": 250}


async def test_the_record_of_a_failure_has_the_event_when_there_was_no_input():
    destination = Scripted(id="d")
    template = InputTransformer(input_paths_map={"a": "$.detail.text"}, input_template='{"a": "<a>"}')
    target = Scripted(id="t", input=template, on_failure=destination)
    await run(target, entry=order(text={"a": 1}))
    assert target.seen == []
    assert record(destination.seen[0])["requestPayload"]["detail"] == {"text": {"a": 1}}


async def test_a_stack_trace_begins_with_the_targets_own_code_and_is_bounded():
    destination = Scripted(id="d")

    def fall(depth):
        if depth:
            fall(depth - 1)
        raise KeyError("x" * 9_999)

    async def handle(event):
        fall(event.detail["depth"])

    target = FunctionTarget(id="t", function=handle, retry_policy=NO_RETRY, on_failure=destination)
    router = await run(target, entry=order(depth=1))
    await run(router=router, entry=order(depth=400))
    short, long = (record(sent)["responsePayload"] for sent in destination.seen)
    assert [frame.split(", in ")[1].split("\n")[0] for frame in short["stackTrace"]] == ["handle", "fall", "fall"]
    assert len(long["stackTrace"]) == MAXIMUM_FRAMES
    assert short["errorType"] == "KeyError"
    assert len(short["errorMessage"]) == 1_000


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (OSError(), "RetriesExhausted"),
        (PermanentDeliveryError("never"), "RetriesExhausted"),
        (ThrottledError("closed", retry_after=timedelta(days=1)), "EventAgeExceeded"),
    ],
)
@pytest.mark.parametrize("queue", [DeadLetterQueue(), None, Scripted(id="q")])
async def test_the_condition_says_why_there_is_no_retry(error, condition, queue):
    destination = Scripted(id="d")
    await run(fails(error, on_failure=destination, dead_letter_queue=queue))
    context = record(destination.seen[0])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == (condition, 1)


async def test_no_record_is_sent_while_retries_go_on():
    destination, succeeded = Scripted(id="d"), Scripted(id="s")
    target = fails(OSError(), OSError(), retry_policy=RetryPolicy(), on_failure=destination, on_success=succeeded)
    await run(target)
    assert (len(target.seen), len(destination.seen), len(succeeded.seen)) == (3, 0, 1)


async def test_age_counts_ahead_as_for_lambda():
    destination = Scripted(id="d")
    policy = RetryPolicy(maximum_event_age=timedelta(minutes=1), base_delay=timedelta(minutes=10))
    await run(fails(OSError(), OSError(), retry_policy=policy, on_failure=destination))
    assert record(destination.seen[0])["requestContext"]["condition"] == "EventAgeExceeded"


async def test_a_timeout_has_no_stack_trace():
    destination = Scripted(id="d")

    async def hang():
        await anyio.sleep(3600)

    await run(fails(hang, timeout=seconds(7), on_failure=destination))
    response = record(destination.seen[0])["responsePayload"]
    assert (response["errorType"], response["errorMessage"], response["stackTrace"]) == (
        "TargetTimeoutError",
        "No answer within 7 s.",
        [],
    )


class NoSource:
    """A loader that fails when it is asked for a module's text."""

    def get_source(self, name):
        raise LookupError(name)


@pytest.mark.parametrize(("path", "loader", "frames"), [("/gone/\udcff.py", None, 1), ("/nowhere.py", NoSource(), 0)], ids=["path", "loader"])  # fmt: skip
async def test_no_error_is_too_odd_to_be_told_of(path, loader, frames):
    names = {"__name__": "odd", "__loader__": loader}
    exec(compile("async def handle():\n    raise OSError('\\udcff is missing')", path, "exec"), names)  # noqa: S102
    queue, destination = Scripted(id="q"), Scripted(id="d")
    await run(fails(names["handle"], dead_letter_queue=queue, on_failure=destination))
    response = record(destination.seen[0])["responsePayload"]
    assert response["errorMessage"] == "\\udcff is missing"
    assert [frame for frame in response["stackTrace"] if "in handle" in frame] == [
        '  File "/gone/\\udcff.py", line 2, in handle\n'
    ] * frames
    assert queue.seen[0].attributes["ERROR_MESSAGE"] == "OSError: \\udcff is missing"


async def test_a_group_of_errors_tells_of_each():
    destination = Scripted(id="d")
    errors = ExceptionGroup("several", [OSError("a"), ValueError("b")])
    await run(fails(errors, on_failure=destination))
    await run(fails(ExceptionGroup("one", [OSError("a")]), on_failure=destination))
    several, one = (record(sent)["responsePayload"] for sent in destination.seen)
    assert (several["errorType"], several["errorMessage"]) == ("ExceptionGroup", "OSError: a; ValueError: b")
    assert (one["errorType"], one["errorMessage"]) == ("OSError", "a")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_any_json_value_comes_through_as_a_result(value):
    assert json.loads(encode_result(value)) == value


@pytest.mark.parametrize("result", [object(), float("nan"), {"a": {1, object()}}, 2**64])
async def test_a_result_that_no_record_can_hold_is_a_failure(result):
    succeeded, failed = Scripted(id="s"), Scripted(id="f")

    async def handle():
        return result

    router = await run(Scripted(id="t", script=[handle], on_success=succeeded, on_failure=failed))
    [letter] = await router.dead_letters()
    assert letter.error_code == "INVALID_RESULT"
    assert letter.error_message.startswith("InvalidResultError: What the target returned cannot be written as JSON: ")
    assert (len(succeeded.seen), len(failed.seen)) == (0, 1)


async def test_a_result_that_fails_to_write_itself_is_a_failed_attempt():
    class Broken(pydantic.BaseModel):
        def model_dump(self, **options):
            raise LookupError("lost")

    async def handle():
        return Broken()

    destination = Scripted(id="d")
    target = Scripted(id="t", script=[handle], on_success=destination)
    await run(target)
    assert len(target.seen) == 2
    assert record(destination.seen[0])["responsePayload"] is None


def record_of(detail: bytes, result: object, **options) -> dict:
    """Make a record without any router."""
    event = msgspec.structs.replace(make_event(), detail_json=msgspec.Raw(detail))
    delivery = Delivery(1, Subscription("default", "r", "t"), event, 1, NOON, 0, 1)
    target = Scripted(id="t", on_success=Scripted(id="d"))
    aftermath = Aftermath(now=NOON, account="000000000000", region="local", new_id=lambda: "id")
    [sent] = aftermath.of_success(delivery, target, result, ())
    return sent.event.detail


def nested(depth) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def test_what_is_nested_too_deeply_for_a_record_is_in_it_as_text():
    wide = [[]] * 1_500
    assert record_of(nested(500), wide)["responsePayload"] == wide
    assert isinstance(record_of(nested(500), wide)["requestPayload"], dict)
    deep = record_of(nested(999), [None])
    assert deep["requestPayload"].endswith(f'"detail":{nested(999).decode()}}}')
    assert deep["responsePayload"] == "[null]"
