"""What a function may do through its context: its execution role."""

import anyio
import pytest

from eventrouter import EventEntry, NotAuthorizedError, Policy, Role, TargetTimeoutError
from eventrouter.policy import allow
from tests.functions.support import ARN, declare, make_router, queue_up
from tests.support import EVERYTHING, Scripted
from tests.virtual_time import real_time_backends


async def put(event, context):
    [result] = await context.put_events([EventEntry("shop", "Done", {}, event_bus_name=event)])
    return [result.event_id, result.error_code]


async def call(event, context):
    return (await context.invoke(event, {"n": 1})).value


async def send(event, context):
    return (await context.send_message(event, {"n": 1}, attributes={"a": "b"})).message_id


async def answer(event, context):
    return [event, context.identity.principal]


async def test_a_role_allows_what_it_names():
    router = make_router()
    router.add_event_bus("central")
    jobs = router.create_queue("jobs")
    seen = Scripted(id="t")
    router.put_rule("r", EVERYTHING, event_bus_name="central")
    router.put_targets("r", [seen], event_bus_name="central")
    declare(router, answer, "answer")
    role = Role(put_events=["central"], invoke=["answer"], send_message=["*"])
    for number, handler in enumerate((put, call, send)):
        declare(router, handler, f"f{number}", role=role)
    async with router:
        id, code = (await router.invoke("f0", "central")).value
        await router.settle_down()
        assert (seen.seen[0].event.id, code) == (id, None)
        assert (await router.invoke("f1", ARN + "answer:$LATEST")).value == [{"n": 1}, ARN + "f1"]
        message_id = (await router.invoke("f2", "jobs")).value
        [message] = await jobs.receive()
        assert (message.message_id, message.json(), message.attributes) == (message_id, {"n": 1}, {"a": "b"})


@pytest.mark.parametrize(
    ("handler", "payload", "capability"),
    [(put, "default", "put_events"), (call, "f", "invoke"), (send, "q", "send_message")],
)
async def test_without_the_capability_there_is_no_retry_and_a_dead_letter(handler, payload, capability):
    router = make_router()
    router.create_queue("q")
    function = declare(router, handler, role=Role(put_events=["x"], invoke=["x"], send_message=["x"]))
    async with router:
        response = await function.invoke(payload)
        assert response.value["errorType"] == "NotAuthorizedError"
        await queue_up(function, payload)
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, letter.retry_attempts) == ("NO_PERMISSIONS", 0)
    assert letter.attributes["ErrorMessage"] == (
        f"{ARN}f may not {capability} on {payload}: its role does not allow it."
    )
    assert function.metrics.invocations == 2


async def test_by_default_a_role_allows_nothing():
    router = make_router()
    function = declare(router, put)
    async with router:
        assert (await function.invoke("default")).value["errorType"] == "NotAuthorizedError"


async def test_a_qualifier_is_not_taken_for_the_function():
    """A function may be called `function`, and an alias as the one that the role names."""
    router = make_router()
    declare(router, answer, "function").put_alias("prod", "$LATEST")
    caller = declare(router, call, "caller", role=Role(invoke=["prod"]))
    async with router:
        assert (await caller.invoke("function:prod")).value["errorType"] == "NotAuthorizedError"


async def test_the_policy_of_a_bus_sees_the_function():
    router = make_router()
    router.put_policy(Policy.of(allow(ARN + "good")))
    for name in ("good", "bad"):
        declare(router, put, name, role=Role(put_events=["*"]))
    async with router:
        assert (await router.invoke("good", "default")).value[1] is None
        assert (await router.invoke("bad", "default")).value[1] == "AccessDeniedException"


async def test_what_is_no_entry_is_refused_by_the_router():
    async def odd(event, context):
        [result] = await context.put_events([3])
        return result.error_code

    router = make_router()
    function = declare(router, odd)
    async with router:
        assert (await function.invoke()).value == "InvalidArgument"


async def test_an_event_put_by_a_function_knows_its_cause():
    router = make_router()
    seen = Scripted(id="t")
    router.put_rule("r", {"source": ["shop"]})
    router.put_targets("r", [seen])
    function = declare(router, put, role=Role(put_events=["default"]))
    async with router:
        id = await queue_up(function, "default")
        await router.settle_down()
    assert seen.seen[0].causes == (id,)


async def test_what_an_invocation_left_running_may_do_nothing_more():
    kept = []

    async def keep(event, context):
        kept.append(context)

    router = make_router()
    function = declare(router, keep, role=Role(put_events=["*"]))
    async with router:
        await function.invoke()
        with pytest.raises(TargetTimeoutError, match="The invocation is over"):
            await kept[0].put_events([EventEntry("a", "b", {})])


@pytest.mark.parametrize(("backend", "options"), real_time_backends())
def test_a_plain_function_uses_the_same_methods_without_await(backend, options):
    def use(event, context):
        [result] = context.put_events([EventEntry("shop", "Done", {})])
        message = context.send_message("jobs", "hello", attributes={"a": "b"})
        inner = context.invoke("answer", 1)
        accepted = context.invoke("answer", 1, invocation_type="Event")
        try:
            context.invoke("use")
        except NotAuthorizedError as error:
            return [result.error_code, bool(message.message_id), inner.value, accepted.status_code, str(error)]

    async def main():
        router = make_router(clock=None)
        router.create_queue("jobs")
        seen = Scripted(id="t")
        router.put_rule("r", EVERYTHING)
        router.put_targets("r", [seen])
        declare(router, answer, "answer")
        function = declare(router, use, "use", role=Role(["default"], ["answer"], ["jobs"]))
        async with router:
            response = await function.invoke()
            id = await queue_up(function)
            await router.settle_down()
        refusal = f"{ARN}use may not invoke on use: its role does not allow it."
        assert response.value == [None, True, [1, ARN + "use"], 202, refusal]
        assert [delivery.causes for delivery in seen.seen] == [(), (id,)]

    anyio.run(main, backend=backend, backend_options=options)
