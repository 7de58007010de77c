"""Queues in rules files, in CloudFormation's keys."""

import json

import pytest

from eventrouter import (
    DeadLetterQueue,
    EventRouter,
    InvalidRuleError,
    LogTarget,
    QueueAttributes,
    QueueTarget,
    RedrivePolicy,
)
from eventrouter.declarations import load_declarations, load_rules
from tests.support import seconds

ARN = "arn:aws:sqs:eu-west-1:123456789012:"
QUEUES = [
    {
        "QueueName": "jobs",
        "VisibilityTimeout": 60,
        "DelaySeconds": 5,
        "ReceiveMessageWaitTimeSeconds": 20,
        "MessageRetentionPeriod": 3600,
        "MaximumMessageSize": 2048,
        "RedrivePolicy": {"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 3},
        "Tags": [{"Key": "team", "Value": "shop"}],
    },
    {"QueueName": "dead"},
    {"QueueName": "orders.fifo", "FifoQueue": True, "ContentBasedDeduplication": True},
]


def rules(*targets):
    return [{"Name": "a", "EventPattern": {"source": ["x"]}, "Targets": list(targets)}]


@pytest.fixture
def load(tmp_path):
    def write_and_load(document, how=load_rules):
        path = tmp_path / "rules.json"
        path.write_text(json.dumps(document))
        return how(path)

    return write_and_load


def log_target(router, declared):
    return LogTarget(id=declared.id, arn=declared.arn, **declared.options())


def test_queues_are_declared_dead_letter_queues_first(load):
    router = EventRouter()
    load({"Rules": [], "Queues": QUEUES}).install(router, log_target)
    assert router.list_queues() == ["dead", "orders.fifo", "jobs"]
    assert router.queue("jobs").attributes == QueueAttributes(
        name="jobs",
        visibility_timeout=seconds(60),
        delay=seconds(5),
        wait_time=seconds(20),
        message_retention_period=seconds(3600),
        maximum_message_size=2048,
        redrive_policy=RedrivePolicy("dead", 3),
    )
    assert router.queue("dead").attributes == QueueAttributes(name="dead")
    assert router.queue("orders.fifo").attributes.content_based_deduplication


def test_an_arn_of_a_queue_is_the_queue(load):
    letters = {"DeadLetterConfig": {"Arn": f"{ARN}dead"}}
    file = load(
        {
            "Rules": rules(
                {"Id": "q", "Arn": f"{ARN}orders.fifo", "SqsParameters": {"MessageGroupId": "$.detail.id"}} | letters,
                {"Id": "other", "Arn": f"{ARN}elsewhere", "SqsParameters": {"MessageGroupId": "g"}},
                {"Id": "log", "Arn": "arn:log"} | letters,
                {"Id": "letters", "Arn": f"{ARN}jobs", "DeadLetterConfig": {"Arn": f"{ARN}elsewhere"}},
            ),
            "Queues": QUEUES,
        }
    )
    router = EventRouter()
    file.install(router, log_target)
    queue, other, log, jobs = router.list_targets("a")
    assert isinstance(queue, QueueTarget)
    assert (queue.queue, queue.message_group_id) == (router.queue("orders.fifo"), "$.detail.id")
    assert queue.arn == f"{ARN}orders.fifo"
    assert isinstance(other, LogTarget)
    for target in (queue, log):
        assert isinstance(target.dead_letter_queue, QueueTarget)
        assert target.dead_letter_queue.queue is router.queue("dead")
    assert isinstance(log, LogTarget)
    assert (jobs.queue, jobs.message_group_id) == (router.queue("jobs"), None)
    assert jobs.dead_letter_queue == DeadLetterQueue(f"{ARN}elsewhere")


BAD = [
    ([{"QueueName": "a b"}], "$.Queues[0]", "'a b' is no queue name"),
    ([{"QueueName": "a", "VisibilityTimeout": 43_201}], "$.Queues[0]", "InvalidAttributeValue: visibility_timeout is"),
    ([{"QueueName": "a", "FifoQueue": True}], "$.Queues[0].FifoQueue", "FifoQueue of queue a is true"),
    ([{"QueueName": "a.fifo", "FifoQueue": False}], "$.Queues[0].FifoQueue", "FifoQueue of queue a.fifo is false"),
    ([{"QueueName": "a"}, {"QueueName": "a"}], "$.Queues[1].QueueName", "There are two queues a"),
    ([{"QueueName": "a", "DelaySecond": 1}], "$.Queues[0].DelaySecond", 'did you mean "DelaySeconds"?'),
    ([{"QueueName": "a", "VisibilityTimeout": "30"}], "$.Queues[0].VisibilityTimeout", "valid integer"),
    (
        [{"QueueName": "a", "RedrivePolicy": {"deadLetterTargetArn": "dead"}}],
        "$.Queues[0].RedrivePolicy.deadLetterTargetArn",
        "dead is no ARN of a queue",
    ),
    (
        [{"QueueName": "a", "RedrivePolicy": {"deadLetterTargetArn": f"{ARN}d", "maxReceiveCounts": 2}}],
        "$.Queues[0].RedrivePolicy.maxReceiveCounts",
        'did you mean "maxReceiveCount"?',
    ),
]


@pytest.mark.parametrize(("queues", "path", "text"), BAD)
@pytest.mark.parametrize("how", [load_rules, load_declarations])
def test_what_is_wrong_is_told_with_its_place(load, queues, path, text, how):
    with pytest.raises(InvalidRuleError) as caught:
        load({"Rules": [], "Queues": queues}, how)
    assert caught.value.path == path
    assert text in str(caught.value)


def test_a_dead_letter_queue_that_is_nowhere_is_told_with_the_place_of_who_has_it(load):
    policy = {"RedrivePolicy": {"deadLetterTargetArn": f"{ARN}dead"}}
    file = load({"Rules": [], "Queues": [{"QueueName": "b"}, {"QueueName": "a"} | policy]})
    with pytest.raises(InvalidRuleError, match=r"The specified queue does not exist: dead. at \$.Queues\[1\]"):
        file.install(EventRouter(), log_target)
    router = EventRouter()
    router.create_queue("dead")
    file.install(router, log_target)
    assert router.list_queues() == ["dead", "b", "a"]


def test_a_queue_that_the_router_has_otherwise_is_told(load):
    router = EventRouter()
    router.create_queue("a", delay=seconds(1))
    with pytest.raises(InvalidRuleError, match=r"already exists with other attributes. at \$.Queues\[0\]"):
        load({"Rules": [], "Queues": [{"QueueName": "a"}]}).install(router, log_target)
