"""The three invocation types, and what they answer: Lambda's `Invoke`."""

import base64
import json
import logging
import re
from datetime import timedelta

import anyio
import botocore.session
import pydantic
import pytest

from eventrouter import (
    BusClosedError,
    InvokeError,
    InvokeResponse,
    NotAuthorizedError,
    NotFoundError,
    PermanentDeliveryError,
    Policy,
    TooManyRequestsError,
    ZeroConcurrencyError,
)
from eventrouter.functions._environment import MAXIMUM_RESPONSE
from eventrouter.functions._invocation import MAXIMUM_ASYNC_PAYLOAD, MAXIMUM_PAYLOAD
from eventrouter.policy import allow
from tests.functions.support import ARN, declare, make_router
from tests.support import seconds

MODEL = botocore.session.get_session().get_service_model("lambda")


async def double(event, context):
    return {"doubled": event["n"] * 2}


def assert_is_of_shape(answer: dict, name: str) -> None:
    """Say whether botocore's model of Lambda allows an answer."""
    members = MODEL.shape_for(name).members
    kinds = {"integer": int, "string": str, "blob": bytes}
    for key, value in answer.items():
        assert isinstance(value, kinds[members[key].type_name]), key


async def test_request_response_gives_the_result():
    router = make_router()
    function = declare(router, double)
    async with router:
        response = await function.invoke({"n": 21})
        assert (response.status_code, response.value, response.function_error) == (200, {"doubled": 42}, None)
        assert (response.executed_version, response.log_result) == ("$LATEST", None)
        assert (await router.invoke("f", b' {"n": 4} ')).value == {"doubled": 8}
        for name in (ARN + "f", ARN + "f:$LATEST", "f:$LATEST"):
            assert (await router.invoke(name, {"n": 1})).value == {"doubled": 2}


async def test_answers_have_botocores_shapes():
    router = make_router()
    function = declare(router, double)
    async with router:
        answers = [
            (await function.invoke(payload, invocation_type=kind, log_type=log)).to_dict()
            for payload, kind, log in (
                ({"n": 1}, "RequestResponse", "Tail"),
                ({}, "RequestResponse", "None"),
                ({"n": 1}, "Event", "None"),
                ({"n": 1}, "DryRun", "None"),
            )
        ]
    for answer in answers:
        assert_is_of_shape(answer, "InvocationResponse")
    assert [answer["StatusCode"] for answer in answers] == [200, 200, 202, 204]
    assert list(answers[0]) == ["StatusCode", "LogResult", "Payload", "ExecutedVersion"]
    assert list(answers[1]) == ["StatusCode", "FunctionError", "Payload", "ExecutedVersion"]
    assert answers[2] == {"StatusCode": 202, "Payload": b""}
    assert answers[3] == {"StatusCode": 204, "Payload": b""}
    assert {"RequestResponse", "Event", "DryRun"} == set(MODEL.shape_for("InvocationType").enum)


async def test_a_function_that_raises_answers_with_a_description_of_the_error():
    async def fail(event, context):
        raise ValueError("no such order")

    router = make_router()
    function = declare(router, fail)
    async with router:
        response = await function.invoke({})
    assert (response.status_code, response.function_error) == (200, "Unhandled")
    assert list(response.value) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert response.value["errorMessage"] == "no such order"
    assert (response.value["errorType"], response.value["requestId"]) == ("ValueError", response.request_id)
    [frame] = response.value["stackTrace"]
    line = fail.__code__.co_firstlineno + 1
    assert frame == f'  File "{__file__}", line {line}, in fail\n    raise ValueError("no such order")\n'


async def test_a_function_that_takes_too_long_answers_in_lambdas_words():
    async def hang(event, context):
        await anyio.sleep(100)

    router = make_router()
    function = declare(router, hang, timeout=seconds(3))
    async with router:
        begin = anyio.current_time()
        response = await function.invoke({}, log_type="Tail")
        assert anyio.current_time() - begin == 3
    assert response.value == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {response.request_id} Error: Task timed out after 3.00 seconds",
    }
    assert "Duration: 3000.00 ms" in response.log[-1]
    assert response.log[-1].endswith("Status: timeout")


async def test_a_result_without_a_form_as_json_is_a_marshal_error():
    async def odd(event, context):
        return object() if event is None else "x" * event

    router = make_router()
    function = declare(router, odd)
    async with router:
        odd_one = await function.invoke()
        large = await function.invoke(MAXIMUM_RESPONSE)
    assert odd_one.value["errorType"] == "Runtime.MarshalError"
    assert odd_one.value["errorMessage"].startswith("Unable to marshal response: ")
    assert large.value == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size (6291558 bytes) exceeded maximum allowed payload size (6291556 bytes).",
    }


async def test_a_model_is_a_result_and_so_is_nothing():
    class Order(pydantic.BaseModel):
        total: int

    async def give(event, context):
        return event and Order(total=1)

    router = make_router()
    function = declare(router, give)
    async with router:
        assert (await function.invoke(1)).payload == b'{"total":1}'
        nothing = await function.invoke()
        assert (nothing.payload, nothing.value) == (b"null", None)


async def test_leaving_python_is_an_exit_of_the_runtime():
    def leave(code):
        async def handle(event, context):
            raise SystemExit(code)

        return handle

    router = make_router()
    async with router:
        for number, (code, status) in enumerate(((3, 3), (None, 0), ("bye", 1))):
            response = await declare(router, leave(code), f"f{number}").invoke()
            assert response.value == {
                "errorType": "Runtime.ExitError",
                "errorMessage": f"RequestId: {response.request_id} Error: Runtime exited with error: exit status {status}",
            }


async def test_a_handler_may_give_something_to_be_awaited():
    class Callable:
        async def __call__(self, event, context):
            return event

    router = make_router()
    function = declare(router, Callable())
    async with router:
        assert (await function.invoke("x")).value == "x"


async def test_dry_run_checks_and_runs_nothing():
    ran = []

    async def run(event, context):
        ran.append(event)

    router = make_router()
    function = declare(router, run)
    function.put_policy(Policy.of(allow("shop", action="lambda:InvokeFunction")))
    async with router:
        assert (await function.invoke({}, invocation_type="DryRun", principal="shop")).status_code == 204
        with pytest.raises(NotAuthorizedError, match="AccessDeniedException: guest may not lambda:InvokeFunction on f"):
            await function.invoke({}, invocation_type="DryRun", principal="guest")
        with pytest.raises(NotFoundError, match="Function not found: " + ARN + "f:7"):
            await function.invoke({}, invocation_type="DryRun", qualifier="7", principal="shop")
    assert ran == []
    assert function.metrics.invocations == 0


async def test_the_context_is_lambdas():
    contexts = []

    async def look(event, context):
        before = context.get_remaining_time_in_millis()
        await anyio.sleep(1.5)
        contexts.append(context)
        return [before, context.get_remaining_time_in_millis()]

    router = make_router(account="123456789012", region="eu-west-1")
    function = declare(router, look, "look-at", timeout=seconds(10))
    function.publish_version()
    function.put_alias("prod", 1)
    async with router:
        response = await function.invoke(qualifier="prod", principal="ann", client_context={"app": 1})
    [context] = contexts
    assert response.value == [10_000, 8_500]
    assert context.aws_request_id == response.request_id
    assert (context.function_name, context.function_version) == ("look-at", "1")
    assert context.invoked_function_arn == "arn:aws:lambda:eu-west-1:123456789012:function:look-at:prod"
    assert (context.memory_limit_in_mb, context.state) == (None, None)
    assert context.log_group_name == "/aws/lambda/look-at"
    assert re.fullmatch(r"2026/03/01/\[1\][0-9a-f]{32}", context.log_stream_name)
    assert (context.identity.principal, context.client_context) == ("ann", {"app": 1})


async def test_each_invocation_has_start_end_and_report_lines_with_its_request_id(caplog):
    caplog.set_level(logging.INFO, "eventrouter.functions")
    router = make_router()
    function = declare(router, double)
    async with router:
        cold = await function.invoke({"n": 1}, log_type="Tail")
        warm = await function.invoke({}, log_type="Tail")
    id = cold.request_id
    assert cold.log[:2] == (f"START RequestId: {id} Version: $LATEST", f"END RequestId: {id}")
    assert re.fullmatch(
        rf"REPORT RequestId: {id}\tDuration: 0\.00 ms\tBilled Duration: 0 ms"
        r"\tMax Memory Used: \d+ MB\tInit Duration: 0\.00 ms",
        cold.log[2],
    )
    assert "Init Duration" not in warm.log[2]
    assert warm.log[2].endswith("\tStatus: error\tError Type: KeyError")
    assert base64.b64decode(cold.log_result).decode() == "\n".join(cold.log)
    lines = [record for record in caplog.records if record.name == "eventrouter.functions"]
    assert [record.getMessage() for record in lines] == [*cold.log, *warm.log]
    assert [record.request_id for record in lines] == [id] * 3 + [warm.request_id] * 3
    assert {(record.function_name, record.function_version) for record in lines} == {("f", "$LATEST")}


async def test_durations_errors_and_starts_are_counted():
    async def work(event, context):
        await anyio.sleep(event)
        return 1 // event

    router = make_router()
    function = declare(router, work)
    async with router:
        async with anyio.create_task_group() as tasks:
            for duration in (1, 2, 0):
                tasks.start_soon(function.invoke, duration)
        await function.invoke(4)
    metrics = function.metrics
    assert (metrics.invocations, metrics.errors, metrics.throttles) == (4, 1, 0)
    assert (metrics.concurrent_executions, metrics.cold_starts, metrics.warm_starts) == (3, 3, 1)
    assert (metrics.duration.total, metrics.duration.maximum) == (seconds(7), seconds(4))
    assert metrics.init_duration.count == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"invocation_type": "Later"}, "invocation_type is 'Later'; use RequestResponse, Event or DryRun"),
        ({"log_type": "Head"}, "log_type is 'Head'; use None or Tail, as text"),
        ({"invocation_type": "Event", "log_type": "Tail"}, "are for invocations that are waited for"),
        ({"invocation_type": "Event", "client_context": {}}, "are for invocations that are waited for"),
        ({"payload": float("nan")}, "InvalidRequestContentException: Could not parse request body into json"),
        ({"payload": b"{"}, "InvalidRequestContentException: Could not parse request body into json"),
        ({"payload": "x" * MAXIMUM_PAYLOAD}, "RequestTooLargeException: Request must be smaller than 6291456 bytes"),
        (
            {"payload": "x" * MAXIMUM_ASYNC_PAYLOAD, "invocation_type": "Event"},
            "RequestTooLargeException: Request must be smaller than 1048576 bytes",
        ),
    ],
)
async def test_what_cannot_be_invoked_so_is_refused(arguments, text):
    router = make_router()
    declare(router, double)
    async with router:
        with pytest.raises(InvokeError, match=re.escape(text)):
            await router.invoke("f", **arguments)


async def test_names_of_functions_are_checked():
    router = make_router()
    function = declare(router, double)
    with pytest.raises(BusClosedError):
        await function.invoke({"n": 1})
    async with router:
        for name in ("", "a b", "arn:aws:sqs:local:0:f", 3):
            with pytest.raises(InvokeError, match="is no function name or ARN"):
                await router.invoke(name)
        with pytest.raises(NotFoundError, match="Function not found: g"):
            await router.invoke("g")
        with pytest.raises(InvokeError, match="does not match the specified qualifier"):
            await router.invoke("f:1", qualifier="2")
        router.remove_function("f")
        with pytest.raises(NotFoundError):
            await function.invoke({"n": 1})


async def test_a_policy_decides_who_invokes_what():
    router = make_router()
    function = declare(router, double)
    function.publish_version()
    rule = "arn:aws:events:local:000000000000:rule/orders"
    function.put_policy(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "lambda:InvokeFunction",
                    "Resource": ARN + "f",
                    "Condition": {"ArnLike": {"AWS:SourceArn": rule}},
                },
                allow("ann", action="lambda:InvokeFunction", resource="f:1", sid="Ann"),
            ],
        }
    )

    async def may(principal, qualifier=None):
        try:
            await function.invoke({"n": 1}, principal=principal, qualifier=qualifier)
        except NotAuthorizedError:
            return False
        return True

    async with router:
        assert [await may(principal) for principal in (rule, rule + "s", "ann", None)] == [True, False, False, False]
        assert await may("ann", "1")
        function.remove_policy()
        assert await may(None)
        with pytest.raises(NotFoundError):
            function.remove_policy()


async def test_more_than_the_concurrency_is_refused_with_the_documented_error():
    async def wait(event, context):
        await anyio.sleep(1)

    router = make_router(function_concurrency=3)
    capped, other = declare(router, wait, "capped", concurrency=1), declare(router, wait, "other")
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(capped.invoke)
        tasks.start_soon(other.invoke)
        tasks.start_soon(other.invoke)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TooManyRequestsError, match=r"Rate Exceeded\.") as first:
            await capped.invoke()
        with pytest.raises(TooManyRequestsError) as second:
            await other.invoke()
    assert first.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert second.value.reason == "ConcurrentInvocationLimitExceeded"
    reasons = MODEL.shape_for("ThrottleReason").enum
    assert {first.value.reason, second.value.reason} <= set(reasons)
    shape = MODEL.shape_for(first.value.exception_name)
    assert shape.metadata["error"]["httpStatusCode"] == first.value.status_code
    assert (capped.metrics.throttles, other.metrics.throttles) == (1, 1)
    assert (capped.metrics.invocations, other.metrics.invocations) == (1, 2)


async def test_a_function_with_no_concurrency_is_stopped():
    router = make_router()
    function = declare(router, double, concurrency=0)
    async with router:
        with pytest.raises(ZeroConcurrencyError):
            await function.invoke({"n": 1})
        function.put_concurrency(None)
        assert (await function.invoke({"n": 1})).value == {"doubled": 2}


async def test_a_cancelled_invocation_gives_everything_back():
    async def wait(event, context):
        await anyio.sleep(100)

    router = make_router()
    function = declare(router, wait, concurrency=1)
    async with router:
        for _ in range(3):
            with anyio.move_on_after(1):
                await function.invoke()
    assert function.metrics.invocations == 0
    assert (function.metrics.cold_starts, function.metrics.throttles) == (3, 0)


async def test_a_permanent_failure_is_one_when_waited_for_too():
    async def give_up(event, context):
        raise PermanentDeliveryError("never")

    router = make_router()
    function = declare(router, give_up)
    async with router:
        assert (await function.invoke()).value["errorType"] == "PermanentDeliveryError"


def test_a_function_is_called_as_the_plain_one_it_is_in_a_unit_test():
    router = make_router()

    @router.function("add", description="adds")
    def add(event, context):
        """Add."""
        return event["a"] + event["b"]

    assert add({"a": 1, "b": 2}, None) == 3
    assert (add.__doc__, add.__name__, repr(add)) == ("Add.", "add", "<Function add>")
    assert add.latest.configuration.timeout == timedelta(seconds=60)
    assert json.loads(InvokeResponse(200, "id", b"[1]").payload) == [1]
