"""What a function may be declared as."""

import functools
import re
import sys
import types
from datetime import timedelta

import pytest

from eventrouter import ConflictError, InvalidRuleError, InvokeError, NotFoundError, Role
from eventrouter.functions import FunctionConfiguration
from eventrouter.functions._configuration import check_function_name, import_path, split_name
from tests.functions import handlers
from tests.functions.support import declare, make_router


async def handle(event, context):
    """Do nothing."""


def generator(event, context):
    yield


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": 3}, "timeout of handle is 3 (use a positive timedelta)"),
        ({"timeout": timedelta(0)}, "timeout of handle is datetime.timedelta(0) (use a positive timedelta)"),
        ({"idle_timeout": None}, "idle_timeout of handle is None (use a positive timedelta)"),
        ({"isolation": "thread"}, "isolation of handle is 'thread' (use \"process\" or None)"),
        ({"role": "admin"}, "role of handle is 'admin' (use a Role)"),
        ({"lifespan": 3}, "lifespan of handle is 3 (use a function decorated with @asynccontextmanager)"),
        ({"memory": 64}, "memory of handle is 64 (use MB, from 128 to 10,240)"),
        ({"memory": "1 GB"}, "memory of handle is '1 GB' (use MB, from 128 to 10,240)"),
        ({"memory": 128}, 'memory of handle cannot be limited inside this process (add isolation="process")'),
        (
            {"isolation": "process"},
            "handle is async, and in a process nothing else would run meanwhile (make it a plain def)",
        ),
        ({"maximum_concurrency": -1}, "maximum_concurrency of target f is -1 (use a whole number from 0)"),
        ({"on_success": 3}, "on_success of target f is 3 (use a list of targets)"),
        ({"mem0ry": 128}, "Function f has no option mem0ry"),
    ],
)
def test_an_option_that_is_not_usable_is_refused_with_the_fix(options, text):
    router = make_router()
    with pytest.raises(InvalidRuleError, match="^" + re.escape(text) + "$"):
        declare(router, handle, **options)
    assert router.list_functions() == []


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (lambda event: 1, "cannot be called with an event and a context (write: def <lambda>(event, context))"),
        (3, "3 cannot be called with an event and a context"),
        (generator, "generator is a generator (a function returns its result, it does not yield)"),
    ],
)
def test_a_handler_takes_an_event_and_a_context(handler, text):
    with pytest.raises(InvalidRuleError, match=re.escape(text)):
        declare(make_router(), handler)


def test_a_partial_is_a_handler():
    function = declare(make_router(), functools.partial(handle))
    assert function.latest.configuration.is_async
    assert function.publish_version() is function.publish_version()


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, None, "f:1"])
def test_names_are_those_of_lambda(name):
    with pytest.raises(InvalidRuleError, match="is no function name"):
        declare(make_router(), handle, name)
    check_function_name("a-B_9")


def test_a_name_is_declared_once():
    router = make_router()
    declare(router, handle)
    with pytest.raises(ConflictError, match="Function already exist: f"):
        declare(router, handle)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("f", ("f", None)),
        ("f:prod", ("f", "prod")),
        ("function:prod", ("function", "prod")),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST", ("f", "$LATEST")),
    ],
)
def test_a_function_is_named_by_name_or_arn(name, parts):
    assert split_name(name) == parts
    with pytest.raises(InvokeError):
        split_name(name + ":too:many")


def test_a_role_is_of_lists_of_names():
    assert Role(put_events=["a", "a"]) == Role(put_events=("a",))
    for value in ("default", [3]):
        with pytest.raises(InvalidRuleError, match="put_events of the role is"):
            Role(put_events=value)


# -- where a process finds a function ----------------------------------------------------------------------------------


def test_a_process_finds_a_function_by_its_import_path():
    assert import_path(handlers.echo) == "tests.functions.handlers:echo"

    def local(event, context):
        """Do nothing."""

    for handler, text in (
        (local, "local in tests.functions.test_configuration is defined inside of a function"),
        (lambda event, context: 1, "<lambda> in tests.functions.test_configuration is a lambda"),
        (functools.partial(handlers.echo), "has no import path"),
    ):
        with pytest.raises(InvalidRuleError, match=text) as caught:
            declare(make_router(), handler, isolation="process")
        assert "define it with def, at the top level of a module" in str(caught.value)
    with pytest.raises(InvalidRuleError, match="is a lambda"):
        declare(make_router(), handlers.echo, isolation="process", lifespan=lambda: None)
    declare(make_router(), handlers.echo, isolation="process", lifespan=handlers.lifespan)


def test_what_is_in_the_started_script_has_to_move_unless_it_is_a_module(monkeypatch):
    def echo(event, context):
        """Do nothing."""

    echo.__module__, echo.__qualname__ = "__main__", "echo"
    script = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    script.__spec__ = None
    with pytest.raises(InvalidRuleError, match="start the script with python -m"):
        import_path(echo)
    script.__spec__ = types.SimpleNamespace(name="shop.worker")
    assert import_path(echo) == "shop.worker:echo"


def test_memory_can_be_limited_on_linux_only(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InvalidRuleError, match="can be limited on Linux only"):
        FunctionConfiguration(handler=handlers.echo, isolation="process", memory=128)


def test_an_update_that_is_not_usable_changes_nothing():
    function = declare(make_router(), handle)
    before = function.latest
    with pytest.raises(InvalidRuleError):
        function.update(timeout=3)
    assert function.latest is before


def test_a_policy_that_is_not_about_the_function_is_refused():
    function = declare(make_router(), handle)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "lambda:InvokeFunction", "Resource": "g"}
    with pytest.raises(InvalidRuleError, match="No statement of the policy is about lambda:InvokeFunction on f"):
        function.put_policy({"Statement": [statement]})
    assert function.policy is None
    function.put_policy({"Statement": [statement | {"Resource": "f:$LATEST"}]})
    assert function.policy is not None
    with pytest.raises(NotFoundError):
        make_router().get_function("f")
