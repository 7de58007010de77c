"""How queues are declared, and what SQS would refuse."""

from datetime import timedelta

import pytest

from eventrouter import (
    ConflictError,
    DeadLetterQueue,
    EventRouter,
    InvalidRuleError,
    NotFoundError,
    QueueAttributes,
    QueueError,
    RedrivePolicy,
)
from tests.queues.support import refused
from tests.support import Scripted, make_router, seconds


def test_the_defaults_are_those_of_sqs():
    attributes = QueueAttributes(name="jobs")
    assert (attributes.visibility_timeout, attributes.delay, attributes.wait_time) == (
        seconds(30),
        seconds(0),
        seconds(0),
    )
    assert (attributes.message_retention_period, attributes.maximum_message_size) == (timedelta(days=4), 1_048_576)
    assert not attributes.is_fifo
    assert QueueAttributes(name="jobs.fifo").is_fifo


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 80, "a.fifo", "x" * 75 + ".fifo"])
def test_a_name_that_sqs_takes_is_taken(name):
    assert QueueAttributes(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "a b", "ä", "a.b", ".fifo", "a.fifo.fifo", "x" * 81, "x" * 76 + ".fifo", "a\n", 7, None]
)
def test_a_name_that_sqs_refuses_is_refused(name):
    with refused("InvalidParameterValue", "is no queue name; use 1 to 80 letters"):
        QueueAttributes(name=name)


LIMITS = [
    ("visibility_timeout", seconds(0), seconds(43_200)),
    ("delay", seconds(0), seconds(900)),
    ("wait_time", seconds(0), seconds(20)),
    ("message_retention_period", seconds(60), seconds(1_209_600)),
]


@pytest.mark.parametrize(("attribute", "least", "most"), LIMITS)
def test_durations_have_the_limits_of_sqs(attribute, least, most):
    for value in (least, most):
        assert getattr(QueueAttributes(name="q", **{attribute: value}), attribute) == value
    for value in (least - timedelta.resolution, most + timedelta.resolution, 5, None):
        with refused("InvalidAttributeValue", f"{attribute} is .*use a timedelta of"):
            QueueAttributes(name="q", **{attribute: value})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"maximum_message_size": 1023}, "use a whole number from 1,024 to 1,048,576"),
        ({"maximum_message_size": 1_048_577}, "maximum_message_size is 1048577"),
        ({"maximum_message_size": True}, "maximum_message_size is True"),
        ({"content_based_deduplication": 1}, "use True or False"),
        ({"content_based_deduplication": True}, "is for FIFO queues, and q is none"),
        ({"redrive_policy": "dlq"}, "use a RedrivePolicy"),
        ({"redrive_policy": RedrivePolicy("q", 1)}, "its own dead-letter queue"),
    ],
)
def test_other_attributes_are_checked(attributes, reason):
    with refused("InvalidAttributeValue", reason):
        QueueAttributes(name="q", **attributes)


@pytest.mark.parametrize("count", [0, 1_001, 1.5])
def test_a_receive_count_is_1_to_1000(count):
    with refused("InvalidAttributeValue", "use a whole number from 1 to 1,000"):
        RedrivePolicy("dlq", count)


def test_a_queue_is_declared_once():
    router = EventRouter()
    queue = router.create_queue("jobs", delay=seconds(5))
    assert router.create_queue("jobs", delay=seconds(5)) is queue is router.queue("jobs")
    assert queue.attributes == QueueAttributes(name="jobs", delay=seconds(5))
    assert (repr(queue), queue.arn, queue.is_declared) == (
        "<Queue jobs>",
        "arn:aws:sqs:local:000000000000:jobs",
        True,
    )
    with pytest.raises(ConflictError, match="jobs already exists with other attributes"):
        router.create_queue("jobs")
    router.create_queue("more")
    assert router.list_queues() == ["jobs", "more"]
    with pytest.raises(NotFoundError, match="The specified queue does not exist: other"):
        router.queue("other")


def test_a_dead_letter_queue_is_there_first_and_of_the_same_kind():
    router = EventRouter()
    with pytest.raises(NotFoundError):
        router.create_queue("jobs", redrive_policy=RedrivePolicy("dlq"))
    router.create_queue("dlq")
    with refused("InvalidAttributeValue", "that of a FIFO queue is a FIFO queue"):
        router.create_queue("jobs.fifo", redrive_policy=RedrivePolicy("dlq"))
    assert router.list_queues() == ["dlq"]
    router.create_queue("jobs", redrive_policy=RedrivePolicy("dlq"))
    with pytest.raises(ConflictError, match="dead-letter queue of jobs"):
        router.remove_queue("dlq")
    router.set_queue_attributes("jobs", redrive_policy=None)
    router.remove_queue("dlq")
    with pytest.raises(NotFoundError):
        router.remove_queue("dlq")


def test_a_dead_letter_queue_of_dead_letters_is_not_called_as_a_queue_is():
    router = make_router(Scripted(id="t", dead_letter_queue=DeadLetterQueue("letters")))
    with pytest.raises(ConflictError, match="letters is the name of a DeadLetterQueue, that of default/r/t"):
        router.create_queue("letters")
    router.create_queue("jobs")
    for target in (
        Scripted(id="u", dead_letter_queue=DeadLetterQueue("jobs")),
        Scripted(id="u", on_failure=Scripted(id="v", dead_letter_queue=DeadLetterQueue("jobs"))),
    ):
        with pytest.raises(InvalidRuleError, match="use a QueueTarget for jobs, or another name"):
            router.put_targets("r", [target])
    assert [target.id for target in router.list_targets("r")] == ["t"]


def test_attributes_change_one_by_one_or_not_at_all():
    router = EventRouter()
    queue = router.create_queue("jobs", delay=seconds(5))
    router.set_queue_attributes("jobs", wait_time=seconds(2))
    assert queue.attributes == QueueAttributes(name="jobs", delay=seconds(5), wait_time=seconds(2))
    with pytest.raises(QueueError):
        router.set_queue_attributes("jobs", wait_time=seconds(21))
    with pytest.raises(NotFoundError):
        router.set_queue_attributes("jobs", redrive_policy=RedrivePolicy("dlq"))
    assert queue.attributes.wait_time == seconds(2)
    assert queue.attributes.redrive_policy is None
