"""AWS services as targets: against moto's services, and against clients that fail on purpose."""

import json
import pickle
import subprocess
import sys
import threading

import anyio
import anyio.to_thread
import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from moto import mock_aws

from eventrouter import DeliveryError, InvalidRuleError, RetryPolicy, TransformError
from eventrouter.targets.aws import (
    AwsError,
    AwsRefusedError,
    EventBridgeTarget,
    LambdaTarget,
    SnsTarget,
    SqsTarget,
)
from tests.support import order, seconds
from tests.targets.http_server import deliver, make_delivery
from tests.virtual_time import real_time_backends

FIFO = {"FifoQueue": "true"}


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Threads need real time."""
    return request.param


@pytest.fixture
def aws(monkeypatch):
    """Make clients of services that exist in memory only."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="eu-west-1")


def make_queue(sqs, name="q", **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(sqs, url):
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    return answer.get("Messages", [])


class Client:
    """A client whose every method does what it is told."""

    def __init__(self, outcome=None):
        self.outcome = outcome
        self.calls = []

    def send_message(self, **request):
        self.calls.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or {}

    publish = invoke = put_events = send_message


# -- what is sent --------------------------------------------------------------------------------------------------


async def test_an_event_comes_out_of_a_queue(aws):
    sqs = aws("sqs")
    url, _ = make_queue(sqs)
    assert await deliver(SqsTarget(id="t", client=sqs, queue_url=url), order(text="größer")) == []
    [message] = receive(sqs, url)
    assert json.loads(message["Body"])["detail"] == {"text": "größer"}


async def test_a_fifo_queue_takes_an_event_once(aws):
    sqs = aws("sqs")
    url, _ = make_queue(sqs, "q.fifo", **FIFO)
    target = SqsTarget(id="t", client=sqs, queue_url=url, message_group_id="$.detail.customer")
    delivery = make_delivery({"customer": "c-1"})
    await target.invoke(delivery)
    await target.invoke(delivery)
    [message] = receive(sqs, url)
    assert message["Attributes"]["MessageGroupId"] == "c-1"
    assert message["Attributes"]["MessageDeduplicationId"] == delivery.event.id


@pytest.mark.parametrize(
    ("fifo", "given", "group", "expected"),
    [
        (True, None, "g", "g"),
        (True, "fixed", "g", "fixed"),
        (True, "$.detail.total", None, "250"),
        (True, "$.detail.none", "g", TransformError),
        (True, None, None, TransformError),
        (False, None, "g", None),
        (False, "fair", None, "fair"),
        (False, "$.detail.none", None, None),
    ],
)
async def test_the_message_group(fifo, given, group, expected):
    client = Client()
    suffix = ".fifo" if fifo else ""
    for target in (
        SqsTarget(id="t", client=client, queue_url=f"https://sqs/q{suffix}", message_group_id=given),
        SnsTarget(id="t", client=client, topic_arn=f"arn:topic{suffix}", message_group_id=given),
    ):
        if expected is TransformError:
            with pytest.raises(TransformError, match="the event has no message group"):
                await target.invoke(make_delivery(group=group))
            continue
        await target.invoke(make_delivery(group=group))
        assert client.calls[-1].get("MessageGroupId") == expected
        assert ("MessageDeduplicationId" in client.calls[-1]) is fifo


async def test_an_event_is_published_to_a_topic(aws):
    sns, sqs = aws("sns"), aws("sqs")
    url, arn = make_queue(sqs)
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    await SnsTarget(id="t", client=sns, topic_arn=topic).invoke(make_delivery(input=b'{"n": 1}'))
    [message] = receive(sqs, url)
    assert json.loads(message["Body"])["Message"] == '{"n": 1}'


async def test_an_event_is_put_on_a_bus_of_aws(aws):
    events, sqs = aws("events"), aws("sqs")
    url, arn = make_queue(sqs)
    events.create_event_bus(Name="orders")
    events.put_rule(Name="r", EventBusName="orders", EventPattern='{"source": ["shop.orders"]}')
    events.put_targets(Rule="r", EventBusName="orders", Targets=[{"Id": "q", "Arn": arn}])
    delivery = make_delivery({"n": 1}, input=b'"not this"')
    await EventBridgeTarget(id="t", client=events, event_bus_name="orders").invoke(delivery)
    [message] = receive(sqs, url)
    received = json.loads(message["Body"])
    assert received["detail"] == {"n": 1}
    assert received["detail-type"] == delivery.event.detail_type
    assert received["time"] == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"InvocationType": "Event"}),
        ({"qualifier": "live"}, {"InvocationType": "Event", "Qualifier": "live"}),
        ({"invocation_type": "RequestResponse"}, {"InvocationType": "RequestResponse"}),
    ],
)
async def test_a_function_is_invoked(options, expected):
    client, delivery = Client({"StatusCode": 202}), make_delivery()
    await LambdaTarget(id="t", client=client, function_name="f", **options).invoke(delivery)
    assert client.calls == [{"FunctionName": "f", "Payload": delivery.event.to_json(), **expected}]


async def test_a_functions_error_is_a_failed_attempt():
    client = Client({"StatusCode": 200, "FunctionError": "Unhandled"})
    target = LambdaTarget(id="t", client=client, function_name="f", invocation_type="RequestResponse")
    with pytest.raises(AwsError, match=r"The function f failed: Unhandled\."):
        await target.invoke(make_delivery())


# -- what failures mean --------------------------------------------------------------------------------------------


async def test_what_does_not_exist_is_a_dead_letter_at_once(aws):
    targets = [
        SqsTarget(id="t", client=aws("sqs"), queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/none"),
        SnsTarget(id="t", client=aws("sns"), topic_arn="arn:aws:sns:eu-west-1:123456789012:none"),
        LambdaTarget(id="t", client=aws("lambda"), function_name="none"),
    ]
    for target in targets:
        [letter] = await deliver(target)
        assert (letter.error_code, letter.retry_attempts) == ("NO_RESOURCE", 0), target


def client_error(code, status=400):
    return ClientError(
        {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Op"
    )


@pytest.mark.parametrize(
    ("error", "code", "retries"),
    [
        (client_error("ThrottlingException"), "THROTTLING", 1),
        (client_error("com.amazonaws.sqs#RequestThrottled"), "THROTTLING", 1),
        (client_error("TooManyRequestsException", 429), "THROTTLING", 1),
        (client_error("Whatever", 429), "THROTTLING", 1),
        (client_error("InternalError", 500), "ERROR_FROM_TARGET", 1),
        (client_error("ExpiredTokenException", 403), "ERROR_FROM_TARGET", 1),
        (client_error("AccessDeniedException"), "NO_PERMISSIONS", 0),
        (client_error("AuthorizationError", 403), "NO_PERMISSIONS", 0),
        (client_error("Whatever", 403), "NO_PERMISSIONS", 0),
        (client_error("AWS.SimpleQueueService.NonExistentQueue"), "NO_RESOURCE", 0),
        (client_error("Whatever", 404), "NO_RESOURCE", 0),
        (client_error("InvalidMessageContents"), "INVALID_PARAMETER", 0),
        (ClientError({"Error": {}}, "Op"), "ERROR_FROM_TARGET", 1),
        (ParamValidationError(report="bad"), "INVALID_PARAMETER", 0),
        (EndpointConnectionError(endpoint_url="https://sqs"), "TARGET_ERROR", 1),
        (OSError("broken"), "TARGET_ERROR", 1),
    ],
    ids=str,
)
async def test_errors_of_a_client_are_classified(error, code, retries):
    client = Client(error)
    policy = RetryPolicy(maximum_retry_attempts=1, base_delay=seconds(0.001))
    [letter] = await deliver(SqsTarget(id="t", client=client, queue_url="q", retry_policy=policy))
    assert (letter.error_code, letter.retry_attempts) == (code, retries)
    assert len(client.calls) == 1 + retries
    assert str(error) in letter.error_message


@pytest.mark.parametrize(
    ("code", "error", "error_code"),
    [
        ("ThrottlingException", AwsError, "THROTTLING"),
        ("InternalFailure", AwsError, "ERROR_FROM_TARGET"),
        ("NotAuthorizedForSourceException", AwsRefusedError, "NO_PERMISSIONS"),
        ("MalformedDetail", AwsRefusedError, "INVALID_PARAMETER"),
    ],
)
async def test_an_entry_that_a_bus_refuses_is_a_failed_attempt(code, error, error_code):
    client = Client({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "why"}]})
    with pytest.raises(error) as caught:
        await EventBridgeTarget(id="t", client=client).invoke(make_delivery())
    assert (caught.value.error_code, caught.value.aws_code, str(caught.value)) == (error_code, code, f"{code}: why")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), vars(again)) == (str(caught.value), vars(caught.value))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SqsTarget(id="t", client=None, queue_url="q"), "client of target t is of type NoneType, without a method send_message (pass boto3.client(...) for the service)"),
        (lambda: SqsTarget(id="t", client=Client(), queue_url="q", message_group_id="$.a."), "message_group_id has a path"),
        (lambda: LambdaTarget(id="t", client=Client(), function_name="f", invocation_type="DryRun"), "invocation_type of target t is 'DryRun'"),
    ],
    ids=["client", "group", "type"],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_at_once(make, text):
    with pytest.raises(InvalidRuleError) as caught:
        make()
    assert text in str(caught.value)


async def test_threads_of_attempts_that_timed_out_count_until_they_end():
    release, entered = threading.Event(), threading.Event()
    calls = []

    class Slow(Client):
        def send_message(self, **request):
            calls.append(request)
            entered.set()
            release.wait(10)
            return {}

    target = SqsTarget(id="t", client=Slow(), queue_url="q", maximum_concurrency=1)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(target.invoke, make_delivery())
            await anyio.to_thread.run_sync(entered.wait)
            tasks.cancel_scope.cancel()  # as a time limit does; one in real time might end before the thread begins
        with pytest.raises(DeliveryError) as caught:
            await target.invoke(make_delivery())
    finally:
        release.set()
    assert len(calls) == 1
    assert str(caught.value) == "All 1 threads of target t are busy with attempts that timed out."


async def test_a_thread_that_ends_makes_room():
    target = SqsTarget(id="t", client=Client(), queue_url="q", maximum_concurrency=1)
    for _ in range(3):
        await target.invoke(make_delivery())
    assert len(target.client.calls) == 3


def test_no_aws_library_is_imported():
    code = "import sys, eventrouter.targets.aws; print(sorted({'boto3', 'botocore', 'httpx', 'httpcore'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
