"""Functions in processes of their own: real ones, in real time."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anyio
import pytest

from eventrouter import EventRouter, Policy, RetryPolicy, Role
from eventrouter.functions import FunctionConfiguration, _process
from eventrouter.policy import allow
from tests.functions import declared, handlers
from tests.functions.support import ARN, declare, queue_up
from tests.support import Scripted, seconds
from tests.virtual_time import real_time_backends


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Real processes take real time."""
    return request.param


#: For what does not depend on the backend: starting processes takes a while.
ON_ONE = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])


def child(router, handler, name="f", **options):
    return declare(router, handler, name, isolation="process", **options)


def is_alive(pid: int) -> bool:
    """Say whether a process goes on; one that has ended and was not asked about is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - of another process
            await anyio.sleep(0.01)


async def test_a_function_in_a_process_is_invoked_like_any_other():
    router = EventRouter()
    function = child(router, handlers.echo)
    other = child(router, handlers.use, "use", role=Role(["default"], ["f"], ["jobs"]))
    jobs = router.create_queue("jobs")
    seen = Scripted(id="t")
    router.put_rule("r", {"source": ["shop"]})
    router.put_targets("r", [seen])
    async with router:
        first = (await function.invoke({"a": [1, None, "é"]}, principal="ann")).value
        second = (await function.invoke(2)).value
        assert first["event"] == {"a": [1, None, "é"]}
        assert (first["version"], first["principal"], first["state"]) == ("$LATEST", "ann", None)
        assert first["remaining"] > 59_000
        assert second["pid"] == first["pid"] != os.getpid()  # warm
        put = (await other.invoke({"put": "shop"})).value
        assert put["code"] is None
        assert (await other.invoke({"put": "aws.s3"})).value["code"] == "NotAuthorizedForSourceException"
        called = (await other.invoke({"call": "f"})).value
        assert (called["value"]["principal"], called["status"]) == (ARN + "use", 200)
        sent = (await other.invoke({"send": "jobs"})).value
        [message] = await jobs.receive()
        assert (message.message_id, message.json()) == (sent, {"n": 1})
        denied = await other.invoke({"call": "use"}, log_type="Tail")
        assert denied.value["errorType"] == "NotAuthorizedError"
        missing = (await other.invoke({"send": "nothing"})).value
        assert missing["errorType"] == "NotAuthorizedError"
        id = await queue_up(other, {"put": "shop"})
        await queue_up(other, {"call": "use"})
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, letter.retry_attempts) == ("NO_PERMISSIONS", 0)
    assert seen.seen[0].event.id == put["id"]
    assert seen.seen[1].causes == (id,)
    assert not is_alive(first["pid"])
    assert (function.metrics.cold_starts, function.metrics.warm_starts) == (1, 2)


async def test_a_stuck_function_is_killed_with_its_children_when_its_time_is_over(tmp_path):
    path = tmp_path / "pids"
    router = EventRouter()
    function = child(router, handlers.hang, timeout=seconds(0.3), retry_policy=RetryPolicy(maximum_retry_attempts=0))
    async with router:
        response = await function.invoke({"path": str(path)}, log_type="Tail")
        first = [int(pid) for pid in path.read_text().split()]
        assert response.value == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {response.request_id} Error: Task timed out after 0.30 seconds",
        }
        assert response.log[-1].endswith("Status: timeout")
        await until(lambda: not any(map(is_alive, first)))
        await queue_up(function, {"path": str(path)})
        await router.settle_down()
        [letter] = await router.dead_letters()
    second = [int(pid) for pid in path.read_text().split()]
    assert letter.error_code == "TIMEOUT"
    assert len({*first, *second}) == 4
    await until(lambda: not any(map(is_alive, second)))


@ON_ONE
async def test_a_process_over_its_memory_ends_with_the_documented_error_and_nothing_is_lost(tmp_path):
    destination = Scripted(id="d")
    router = EventRouter()
    policy = RetryPolicy(maximum_retry_attempts=2, base_delay=seconds(0.01))
    function = child(router, handlers.grow, "grow", memory=128)
    retried = child(router, handlers.once, "once", memory=128, retry_policy=policy, on_success=destination)
    async with router:
        small = await function.invoke({"mb": 10}, log_type="Tail")
        assert small.value == 10
        assert "Memory Size: 128 MB\tMax Memory Used: " in small.log[-1]
        response = await function.invoke({"mb": 1_000}, log_type="Tail")
        assert response.value == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {response.request_id} Error: Runtime exited with error: signal: killed",
        }
        assert response.log[-1].endswith("Status: error\tError Type: Runtime.ExitError")
        await queue_up(retried, {"path": str(tmp_path / "seen")})
        await router.settle_down()
    assert b'"approximateInvokeCount":2' in destination.seen[0].payload
    assert b'"responsePayload":"in the end"' in destination.seen[0].payload
    assert router.closing_report.total.dead_lettered == 0
    assert router.closing_report.is_balanced


@ON_ONE
async def test_the_end_of_a_process_is_told_and_another_one_begins():
    router = EventRouter()
    leave, die = child(router, handlers.leave, "leave"), child(router, handlers.die, "die")
    async with router:
        for function, payload, how in (
            (leave, 3, "exit status 3"),
            (leave, 0, "exit status 0"),
            (die, int(signal.SIGKILL), "signal: killed"),
            (die, int(signal.SIGSEGV), "signal: segmentation fault"),
        ):
            response = await function.invoke(payload)
            assert response.value == {
                "errorType": "Runtime.ExitError",
                "errorMessage": f"RequestId: {response.request_id} Error: Runtime exited with error: {how}",
            }


@ON_ONE
async def test_an_idle_process_that_dies_fails_no_invocation():
    router = EventRouter()
    function = child(router, handlers.echo)
    async with router:
        first = (await function.invoke()).value["pid"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: not is_alive(first))
        await anyio.sleep(0.1)
        assert (await function.invoke()).value["pid"] != first
    assert function.metrics.cold_starts == 2


@ON_ONE
async def test_modules_are_those_of_the_parent_and_not_of_the_current_directory(tmp_path, monkeypatch):
    (tmp_path / "msgspec.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])  # "" is the current directory
    router = EventRouter()
    function = child(router, handlers.echo)
    async with router:
        assert (await function.invoke(1)).value["event"] == 1


@ON_ONE
async def test_errors_are_those_of_any_function():
    router = EventRouter()
    odd, fail = child(router, handlers.odd, "odd"), child(router, handlers.fail, "fail")
    give_up = child(router, handlers.give_up, "give_up")
    async with router:
        error = (await fail.invoke()).value
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such order")
        assert [line.split(", in ")[1].split("\n")[0] for line in error["stackTrace"]] == ["fail"]
        error = (await odd.invoke()).value
        assert (error["errorType"], error["errorMessage"]) == (
            "Runtime.MarshalError",
            "Unable to marshal response: A object has no JSON form",
        )
        await queue_up(give_up)
        await router.settle_down()
        [letter] = await router.dead_letters()
    assert (letter.error_code, letter.retry_attempts) == ("PERMANENT_ERROR", 0)


@ON_ONE
async def test_what_a_function_prints_is_in_the_log(caplog):
    caplog.set_level("INFO", "eventrouter.functions")
    router = EventRouter()
    function = child(router, handlers.say)
    async with router:
        response = await function.invoke(300_000, log_type="Tail")
        assert sum(map(len, response.log[:-2])) < 300_000  # the end is enough
    lines = [record.getMessage() for record in caplog.records]
    id = response.request_id
    assert lines[0] == f"START RequestId: {id} Version: $LATEST"
    assert lines[1:3] == ["to standard output", "to standard error"]
    assert "".join(lines[3:-2]) == "x" * 300_000  # a line without an end comes in parts
    assert len(lines) > 6
    assert lines[-2] == f"END RequestId: {id}"
    assert {record.request_id for record in caplog.records} == {id}


@ON_ONE
async def test_a_response_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(_process, "_LARGEST_FRAME", 8_000_000)
    router = EventRouter()
    function = child(router, handlers.much)
    async with router:
        for size in (7_000_000, 9_000_000):
            error = (await function.invoke(size)).value
            assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert function.metrics.cold_starts == 1


@ON_ONE
async def test_a_lifespan_is_entered_and_left_in_the_process(tmp_path, monkeypatch):
    path = tmp_path / "lifespan"
    monkeypatch.setenv("EVENTROUTER_TEST_LIFESPAN", str(path))
    router = EventRouter()
    function = child(router, handlers.echo, lifespan=handlers.lifespan)
    async with router:
        assert (await function.invoke()).value["state"] == "ready"
        assert path.read_text() == "enter "
    assert path.read_text() == "enter leave "


@ON_ONE
async def test_an_initialization_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(handlers.give_up, "__module__", "tests.functions.no_such_module")
    monkeypatch.setattr(handlers.fail, "__qualname__", "no.such.function")
    router = EventRouter()
    no_module, no_function = child(router, handlers.give_up, "a"), child(router, handlers.fail, "b")
    broken = child(router, handlers.echo, "c", lifespan=handlers.broken_lifespan)
    gone = child(router, handlers.echo, "d", lifespan=handlers.exiting_lifespan)
    async with router:
        errors = [(await function.invoke()).value for function in (no_module, no_function, broken, gone)]
    assert [(error["errorType"], error["errorMessage"]) for error in errors] == [
        (
            "Runtime.ImportModuleError",
            "Unable to import module 'tests.functions.no_such_module': No module named 'tests.functions.no_such_module'",
        ),
        ("Runtime.HandlerNotFound", "Handler 'no.such.function' missing on module 'tests.functions.handlers'"),
        ("OSError", "no database"),
        ("Runtime.ExitError", "Runtime exited with error: exit status 5"),
    ]


@ON_ONE
async def test_a_declared_function_is_found_behind_its_own_declaration():
    async with declared.router:
        assert (await declared.shout.invoke("hello")).value == "HELLO"


@ON_ONE
async def test_what_a_context_refuses_in_other_ways_is_an_exception_there():
    router = EventRouter()
    use = child(router, handlers.use, role=Role(["*"], ["*"], ["*"]))
    hidden = declare(router, handlers.echo, "hidden")
    hidden.put_policy(Policy.of(allow("nobody", action="lambda:InvokeFunction")))
    async with router:
        errors = [(await use.invoke(event)).value for event in ({"send": "none"}, {"call": "hidden"}, {"odd": 1})]
    assert [error["errorType"] for error in errors] == ["RuntimeError", "NotAuthorizedError", "InvalidEventError"]
    assert errors[0]["errorMessage"] == "NotFoundError: The specified queue does not exist: none."


@ON_ONE
async def test_cancelling_the_invoker_kills_the_process(tmp_path):
    path = tmp_path / "pids"
    router = EventRouter()
    function = child(router, handlers.hang)
    async with router:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(function.invoke, {"path": str(path)})
            await until(lambda: path.exists() and " " in path.read_text())
            tasks.cancel_scope.cancel()
        pids = [int(pid) for pid in path.read_text().split()]
        await until(lambda: not any(map(is_alive, pids)))
    assert function.metrics.invocations == 0


@ON_ONE
async def test_what_a_process_leaves_behind_holds_up_nothing(tmp_path, monkeypatch):
    """A daemon has the pipes of the process that started it, and is in a session of its own."""
    for name in ("_PATIENCE", "_HEARD_PATIENCE"):
        monkeypatch.setattr(_process, name, 0.1)
    path = tmp_path / "pid"
    router = EventRouter()
    function = child(router, handlers.daemonize, timeout=seconds(10))
    try:
        async with router:
            response = await function.invoke({"path": str(path)})
    finally:
        os.kill(int(path.read_text()), signal.SIGKILL)
    assert response.value["errorMessage"].endswith("Runtime exited with error: exit status 7")


@ON_ONE
async def test_closing_again_does_nothing():
    environment = _process.InChild(FunctionConfiguration(handler=handlers.echo, isolation="process"), "stream")
    await environment.aclose()
    assert environment.peak_memory() is None


def test_a_process_that_is_at_work_ends_with_its_parent_however_that_ends(tmp_path):
    path = tmp_path / "pids"
    program = textwrap.dedent(f"""
        import anyio
        from eventrouter import EventRouter
        from tests.functions import handlers

        router = EventRouter()
        function = router.function("f", isolation="process")(handlers.note)

        async def main():
            async with router:
                await function.invoke({{"path": {str(path)!r}, "seconds": 60}})

        anyio.run(main)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 20
        while not (path.exists() and path.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        pid = int(path.read_text())
        assert is_alive(pid)
    finally:
        parent.kill()
        parent.wait()
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
