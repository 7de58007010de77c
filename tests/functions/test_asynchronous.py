"""Asynchronous invocations: retries, ages, destinations, dead letters, throttling, and rules that invoke."""

from dataclasses import replace

import anyio
import pytest

from eventrouter import (
    BusTarget,
    DeadLetterQueue,
    Delivery,
    DepthLimitError,
    Dropped,
    EventEntry,
    FunctionInvocationTarget,
    InputPath,
    InvalidRuleError,
    Metrics,
    NotFoundError,
    PermanentDeliveryError,
    Policy,
    RetryPolicy,
    Subscription,
    TooManyRequestsError,
    ZeroConcurrencyError,
)
from eventrouter.destinations import Aftermath
from eventrouter.policy import allow
from eventrouter.targets.queue import QueueTarget
from tests.functions.support import ARN, NO_RETRY, declare, make_router, queue_up, records
from tests.support import EVERYTHING, NOON, Scripted, make_event, order, seconds
from tests.virtual_time import LoopClock, real_time_backends


def failing(times, error=None):
    """Give a handler that fails so often, and the times at which it was called."""
    at = []

    async def handle(event, context):
        at.append(anyio.current_time())
        if len(at) <= times:
            raise error or ValueError("no such order")
        return {"after": len(at)}

    return handle, at


async def test_a_success_is_recorded_in_lambdas_format_to_the_order_of_its_keys():
    destination = Scripted(id="d")
    handle, at = failing(1)
    router = make_router()
    function = declare(router, handle, on_success=destination)
    async with router:
        id = await queue_up(function, {"total": 250})
        await router.settle_down()
    assert 6 <= at[1] - at[0] <= 60  # a minute, jittered below
    [delivery] = destination.seen
    timestamp = records(destination)[0]["timestamp"]
    assert delivery.payload.decode() == (
        f'{{"version":"1.0","timestamp":"{timestamp}","requestContext":{{"requestId":"{id}",'
        f'"functionArn":"{ARN}f:$LATEST","condition":"Success","approximateInvokeCount":2}},'
        '"requestPayload":{"total":250},"responseContext":{"statusCode":200,"executedVersion":"$LATEST"},'
        '"responsePayload":{"after":2}}'
    )


async def test_a_failure_is_retried_twice_recorded_and_dead_lettered():
    destination = Scripted(id="d")
    handle, at = failing(3)
    router = make_router()
    function = declare(router, handle, on_failure=[destination])
    function.publish_version()
    function.put_alias("prod", 1)
    async with router:
        id = await queue_up(function, [1, 2], qualifier="prod")
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert len(at) == 3
    [told] = records(destination)
    assert list(told) == [
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    ]  # fmt: skip
    assert told["requestContext"] == {
        "requestId": id,
        "functionArn": ARN + "f:prod",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert told["requestPayload"] == [1, 2]
    assert told["responseContext"] == {"statusCode": 200, "executedVersion": "1", "functionError": "Unhandled"}
    assert list(told["responsePayload"]) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert told["responsePayload"]["errorMessage"] == "no such order"
    assert told["responsePayload"]["requestId"] == id
    assert destination.seen[0].event.resources[1] == ARN + "f:prod"
    assert letter.attributes == {"RequestID": id, "ErrorCode": "200", "ErrorMessage": "no such order"}
    assert letter.event.detail == {"payload": [1, 2]}
    assert (letter.target_arn, letter.retry_attempts) == (ARN + "f:prod", 2)
    assert letter.queue == str(letter.subscription) == "function f:prod"
    assert letter.error_message == "FunctionError: ValueError: no such order"


async def test_a_permanent_failure_is_not_retried():
    handle, at = failing(9, PermanentDeliveryError("never"))
    router = make_router()
    function = declare(router, handle)
    async with router:
        await queue_up(function)
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (len(at), letter.error_code, letter.exhausted_retry_condition) == (1, "PERMANENT_ERROR", None)
    assert letter.attributes["ErrorMessage"] == "never"


async def test_the_age_looks_ahead():
    destination = Scripted(id="d")
    handle, at = failing(9)
    policy = RetryPolicy(maximum_retry_attempts=2, maximum_event_age=seconds(1), base_delay=seconds(100))
    router = make_router()
    function = declare(router, handle, retry_policy=policy, on_failure=destination)
    async with router:
        await queue_up(function)
        await router.settle_down()
    context = records(destination)[0]["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"], len(at)) == ("EventAgeExceeded", 1, 1)


async def test_a_dead_letter_queue_that_is_a_target_receives_lambdas_attributes():
    queue = Scripted(id="q", script=[OSError("down"), OSError("down")])
    handle, _ = failing(9, ValueError("é" * 1_000))
    router = make_router()
    function = declare(router, handle, retry_policy=NO_RETRY, dead_letter_queue=queue)
    async with router:
        id = await queue_up(function, {"a": 1})
        await router.settle_down()
    *_, delivery = queue.seen
    assert delivery.attributes == {"RequestID": id, "ErrorCode": "200", "ErrorMessage": "é" * 512}
    assert function.metrics.dead_letter_errors == 2


async def test_dead_letters_go_to_a_queue_with_lambdas_attributes():
    handle, _ = failing(9)
    router = make_router()
    queue = router.create_queue("dlq")
    function = declare(router, handle, retry_policy=NO_RETRY, dead_letter_queue=QueueTarget(id="q", queue=queue))
    async with router:
        id = await queue_up(function, {"a": 1})
        await router.settle_down()
        [message] = await queue.receive()
    assert message.attributes == {"RequestID": id, "ErrorCode": "200", "ErrorMessage": "no such order"}


async def test_throttled_attempts_wait_from_a_second_on_and_count_for_nothing():
    async def wait(event, context):
        await anyio.sleep(10)

    at = []

    async def note(event, context):
        at.append(anyio.current_time())

    router = make_router(function_concurrency=1)
    busy, function = declare(router, wait, "busy"), declare(router, note, retry_policy=NO_RETRY)
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(busy.invoke)
        await anyio.wait_all_tasks_blocked()
        begin = anyio.current_time()
        await queue_up(function)
        await router.settle_down()
    assert [moment - begin for moment in at] == pytest.approx([15], abs=0.1)  # after 1, 2, 4 and 8 seconds
    assert (function.metrics.throttles, function.metrics.invocations) == (4, 1)
    assert router.closing_report.total.dead_lettered == 0


async def test_what_is_throttled_for_too_long_has_exceeded_its_age():
    async def wait(event, context):
        await anyio.sleep(1_000)

    destination = Scripted(id="d")
    policy = RetryPolicy(maximum_event_age=seconds(60))
    router = make_router()
    function = declare(router, wait, concurrency=1, retry_policy=policy, on_failure=destination)
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(function.invoke)
        await anyio.wait_all_tasks_blocked()
        await queue_up(function)
        await router.settle_down()
        tasks.cancel_scope.cancel()
    assert records(destination)[0]["requestContext"]["condition"] == "EventAgeExceeded"


async def test_a_throttled_dead_letter_says_429():
    async def wait(event, context):
        await anyio.sleep(1_000)

    router = make_router()
    function = declare(router, wait, concurrency=1, retry_policy=RetryPolicy(maximum_event_age=seconds(0.5)))
    async with router, anyio.create_task_group() as tasks:
        tasks.start_soon(function.invoke)
        await anyio.wait_all_tasks_blocked()
        id = await queue_up(function)
        await router.settle_down()
        [letter] = await router.dead_letters()
        tasks.cancel_scope.cancel()
    assert letter.attributes == {"RequestID": id, "ErrorCode": "429", "ErrorMessage": "Rate Exceeded."}


async def test_stopping_a_function_sends_what_waits_to_the_failure_destination():
    destination = Scripted(id="d")
    handle, at = failing(1)
    router = make_router()
    function = declare(router, handle, on_failure=destination)
    async with router:
        id = await queue_up(function, {"a": 1})
        await anyio.sleep(1)
        function.put_concurrency(0)
        later = await queue_up(function, {"a": 2})
        await router.settle_down()
        letters = await router.dead_letters()
    told = {record["requestContext"]["requestId"]: record for record in records(destination)}
    assert [told[key]["requestContext"] for key in (id, later)] == [
        {
            "requestId": key,
            "functionArn": ARN + "f:$LATEST",
            "condition": "ZeroReservedConcurrency",
            "approximateInvokeCount": count,
        }
        for key, count in ((id, 1), (later, 0))
    ]
    for record in told.values():  # recorded: nothing was run, so there is no response
        assert list(record) == ["version", "timestamp", "requestContext", "requestPayload"]
    assert len(at) == 1
    assert {letter.error_code for letter in letters} == {"ZERO_RESERVED_CONCURRENCY"}


def test_a_record_that_is_too_deep_has_the_payload_as_text():
    deep = "[" * 1_000 + "]" * 1_000
    delivery = Delivery(1, Subscription.of_function("f", "$LATEST"), make_event(), 1, NOON, 0, 1, input=deep.encode())
    target = Scripted(id="f", arn=ARN + "f", on_failure=Scripted(id="d"))
    aftermath = Aftermath(now=NOON, account="000000000000", region="local", new_id=lambda: "id")
    outcome = Dropped(delivery, "ZERO_RESERVED_CONCURRENCY", "")
    [accepted] = aftermath.of_failure(outcome, target, ZeroConcurrencyError("stopped"))
    told = accepted.event.detail
    assert told["requestPayload"] == deep
    assert "responsePayload" not in told


async def test_dead_letters_can_be_edited_and_redriven():
    async def pick(event, context):
        seen.append((event["id"], context.aws_request_id))

    seen = []
    router = make_router()
    function = declare(router, pick, retry_policy=NO_RETRY)
    async with router:
        id = await queue_up(function, {})
        await router.settle_down()
        [letter] = await router.dead_letters(queue="function f:$LATEST")
        await router.edit_dead_letter(letter.id, detail={"payload": {"id": 7}})
        assert (await router.redrive()).redriven == 1
        await router.settle_down()
    assert seen == [(7, id)]
    assert router.closing_report.is_balanced


async def test_a_full_backlog_refuses_more():
    async def wait(event, context):
        await anyio.sleep(100)

    router = make_router(put_timeout=seconds(2))
    function = declare(router, wait)
    subscription = Subscription.of_function("f", "$LATEST")
    target = router._dispatcher.targets[subscription]
    router._dispatcher.put_target(subscription, replace(target, maximum_backlog=1))
    async with router:
        await queue_up(function)
        begin = anyio.current_time()
        with pytest.raises(TooManyRequestsError):
            await queue_up(function)
        assert anyio.current_time() - begin == 2
        assert (await router.ledger()).total.accepted == 1


async def test_what_a_store_failed_to_say_is_looked_for():
    """A store that has kept the invocation and then fails must not leave it lying about."""
    handle, at = failing(0)
    router = make_router()
    function = declare(router, handle)
    append = router._store.append

    async def keep_and_fail(accepted):
        await append(accepted)
        raise OSError("the answer was lost")

    async with router:
        router._store.append = keep_and_fail
        with pytest.raises(OSError, match="lost"):
            await queue_up(function)
        router._store.append = append
        await router.settle_down()
    assert len(at) == 1


async def test_waiting_invocations_survive_the_router():
    handle, at = failing(1)
    clock = LoopClock()
    first = make_router(clock=clock, drain_timeout=seconds(1))
    async with first:
        await queue_up(declare(first, handle), {"a": 1})
    assert (first.closing_report.total.waiting, len(at)) == (1, 1)
    second = make_router(clock=clock, store=first._store)
    async with second:  # not declared yet: it is parked
        await anyio.sleep(1)
        assert second._dispatcher.parked == {Subscription.of_function("f", "$LATEST")}
        declare(second, handle)
        await second.settle_down()
    assert len(at) == 2
    assert second.closing_report.total.delivered == 1


async def test_a_chain_of_invocations_has_an_end():
    depth = []
    refusals = []

    async def again(event, context):
        depth.append(event)
        try:
            await function.invoke(event + 1, invocation_type="Event")
        except DepthLimitError as error:
            refusals.append(str(error))

    router = make_router(maximum_depth=3)
    function = declare(router, again)
    async with router:
        await queue_up(function, 0)
        await router.settle_down()
    assert depth == [0, 1, 2, 3]
    assert refusals == ["The invocation would be number 4 in a chain; the limit is 3."]


async def test_a_function_that_hears_of_its_own_results_comes_to_an_end():
    calls = []

    async def handle(event, context):
        calls.append(event)

    async def inner(event, context):
        calls.append(event)

    router = make_router(maximum_depth=4)
    function = declare(router, inner)
    router.put_rule("loop", {"source": ["lambda"]})
    router.put_targets("loop", [function.target()])
    sending = declare(router, handle, "sender", on_success=BusTarget(id="b", router=router, event_bus_name="default"))
    router.put_targets("loop", [sending.target()])
    async with router:
        await queue_up(sending)
        await router.settle_down()
        letters = await router.dead_letters()
    assert len(calls) == 9
    assert all("RecursiveInvocationException" in letter.error_message for letter in letters)
    assert letters


# -- rules -------------------------------------------------------------------------------------------------------------


async def test_a_rule_invokes_a_function_with_the_event():
    seen = []
    router = make_router()

    @router.rule({"source": ["shop.orders"]})
    @router.function("charge")
    async def charge(event, context):
        seen.append((event, context))
        return event["detail"]["total"]

    async with router:
        [result] = await router.put_events([order(total=250)])
        await router.settle_down()
    [(event, context)] = seen
    assert (event["id"], event["detail-type"], event["detail"]) == (result.event_id, "Order Placed", {"total": 250})
    assert context.aws_request_id == result.event_id
    assert context.identity.principal == "arn:aws:events:local:000000000000:rule/charge"
    assert context.invoked_function_arn == ARN + "charge"
    counts = router.closing_report.subscriptions
    assert counts[Subscription("default", "charge", "charge")].delivered == 1
    assert counts[Subscription.of_function("charge", "$LATEST")].delivered == 1


async def test_a_function_stands_for_its_target():
    handle, at = failing(0)
    router = make_router()
    function = declare(router, handle)
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [function])
    assert router.list_targets("r") == [function.target()]
    async with router:
        await router.put_events([order(total=1)])
        await router.settle_down()
    assert len(at) == 1


async def test_a_target_has_an_input_a_qualifier_and_destinations_of_its_own():
    seen = []

    async def note(event, context):
        seen.append((event, context.function_version, context.aws_request_id))

    handed_over = Scripted(id="d")
    router = make_router()
    function = declare(router, note)
    function.publish_version()
    router.put_rule("r", EVERYTHING)
    target = function.target(id="t", qualifier="1", input=InputPath("$.detail.total"), on_success=handed_over)
    assert target.arn == ARN + "f:1"
    router.put_targets("r", [target])
    async with router:
        [result] = await router.put_events([order(total=250)])
        await router.settle_down()
    assert seen == [(250, "1", result.event_id)]
    assert records(handed_over)[0]["responsePayload"] == {"StatusCode": 202}


async def test_functions_are_destinations_and_dead_letter_queues():
    seen = {}

    def keep(name):
        async def handle(event, context):
            seen[name] = event, context.identity.principal

        return handle

    router = make_router()
    worked, failed, last = (declare(router, keep(name), name) for name in ("worked", "failed", "last"))

    async def work(event, context):
        return 1 // event

    function = declare(
        router,
        work,
        retry_policy=NO_RETRY,
        on_success=worked.target(),
        on_failure=failed.target(),
        dead_letter_queue=last.target(),
    )
    async with router:
        await queue_up(function, 1)
        id = await queue_up(function, 0)
        await router.settle_down()
    assert seen["worked"][0]["responsePayload"] == 1
    assert seen["failed"][0]["responsePayload"]["errorType"] == "ZeroDivisionError"
    assert (seen["last"][0]["id"], seen["last"][0]["detail"]) == (id, {"payload": 0})
    assert {principal for _, principal in seen.values()} == {ARN + "f"}


async def test_what_a_policy_refuses_a_rule_is_a_dead_letter_of_the_rule():
    router = make_router()
    handle, at = failing(0)
    function = declare(router, handle)
    function.put_policy(Policy.of(allow("shop", action="lambda:InvokeFunction")))
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [function.target()])
    async with router:
        await router.put_events([order(total=1)])
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, letter.queue, at) == ("NO_PERMISSIONS", "default/r/f", [])
    assert letter.attributes["TARGET_ARN"] == ARN + "f"


@pytest.mark.parametrize("gone", ["function", "alias"])
async def test_a_function_that_is_gone_is_a_dead_letter(gone):
    router = make_router()
    function = declare(router, failing(0)[0])
    function.put_alias("prod", "$LATEST")
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [function.target(qualifier="prod")])
    async with router:
        if gone == "function":
            router.remove_function("f")
        else:
            function.remove_alias("prod")
        await router.put_events([order(total=1)])
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert letter.error_code == "NO_RESOURCE"


async def test_an_alias_that_goes_while_an_invocation_runs_out_of_retries_is_a_dead_letter():
    router = make_router()
    handle, at = failing(1)
    function = declare(router, handle)
    function.put_alias("prod", "$LATEST")
    async with router:
        await queue_up(function, qualifier="prod")
        await anyio.sleep(1)
        function.remove_alias("prod")
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, len(at)) == ("NO_RESOURCE", 1)


def test_targets_are_of_functions_of_the_same_router():
    router, other = make_router(), make_router()
    function = declare(router, failing(0)[0])
    other.put_rule("r", EVERYTHING)
    with pytest.raises(InvalidRuleError, match="Function f of target f is of another router"):
        other.put_targets("r", [function.target()])
    with pytest.raises(NotFoundError, match="Function not found: " + ARN + "f:7"):
        function.target(qualifier="7")
    with pytest.raises(InvalidRuleError, match=r"use router\.function"):
        FunctionInvocationTarget(id="t", function=len)
    assert FunctionInvocationTarget(id="t", function=function, arn="arn:mine").arn == "arn:mine"


async def test_steps_and_statistics_know_of_invocations():
    metrics = Metrics()
    router = make_router(observers=[metrics])
    handle, _ = failing(9)
    function = declare(router, handle, retry_policy=NO_RETRY, dead_letter_queue=DeadLetterQueue("mine"))
    async with router:
        await queue_up(function)
        await router.settle_down()
        statistics = await router.statistics()
    assert metrics.snapshot().count("InvocationsSentToDlq", rule_name="f") == 1
    assert statistics.subscriptions[Subscription.of_function("f", "$LATEST")].counts.dead_lettered == 1


async def test_an_event_that_looks_like_an_invocation_is_a_payload_like_any_other():
    """Who sees the dead letter of a function on a bus must get all of it, not what is inside of it."""
    seen = []

    async def note(event, context):
        seen.append(event)

    router = make_router()
    function = declare(router, note)
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [function.target()])
    async with router:
        await router.put_events([EventEntry("eventrouter.function", "Lambda Function Invocation", {"payload": 1})])
        await router.settle_down()
    assert (seen[0]["source"], seen[0]["detail"]) == ("eventrouter.function", {"payload": 1})


@pytest.mark.parametrize(("backend", "options"), real_time_backends())
def test_invocations_in_a_file_go_on_where_they_were(backend, options, tmp_path):
    """Payload, qualifier, principal and request id come back; what was running is run again."""
    seen = []

    async def hang(event, context):
        await anyio.sleep(100)

    async def note(event, context):
        seen.append((event, context.aws_request_id, context.identity.principal, context.invoked_function_arn))

    async def main():
        address = f"sqlite:///{tmp_path / 'store.db'}"
        first = make_router(clock=None, store=address, drain_timeout=seconds(0.05))
        function = declare(first, hang)
        function.put_alias("prod", "$LATEST")
        async with first:
            id = await queue_up(function, {"a": [1, "é"]}, qualifier="prod", principal="ann")
        assert first.closing_report.total.waiting == 1
        second = make_router(clock=None, store=address)
        declare(second, note).put_alias("prod", "$LATEST")
        async with second:
            await second.settle_down()
        assert seen == [({"a": [1, "é"]}, id, "ann", ARN + "f:prod")]
        assert second.closing_report.is_balanced

    anyio.run(main, backend=backend, backend_options=options)
