"""What `import eventrouter` gives, and what it costs."""

import inspect
import pickle
import subprocess
import sys
from datetime import timedelta

import pytest

import eventrouter
from eventrouter import errors


def test_all_is_what_is_there():
    names = {
        name for name, value in vars(eventrouter).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert names == set(eventrouter.__all__)
    assert sorted(eventrouter.__all__) == eventrouter.__all__


def test_everything_public_is_documented():
    undocumented = [
        name
        for name in eventrouter.__all__
        if inspect.isclass(getattr(eventrouter, name)) and not getattr(eventrouter, name).__doc__
    ]
    assert undocumented == []


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_package_leaves_the_heavy_libraries_alone():
    loaded = run("import sys, eventrouter; print(*sys.modules)").split()
    heavy = {"pydantic", "croniter", "jsonpath_ng", "typer", "rich", "httpx", "trio", "asyncio", "yaml", "hypothesis"}
    assert heavy.isdisjoint(loaded)


ALL_ERRORS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


def test_every_error_has_the_root_and_is_public():
    assert all(issubclass(error, errors.EventRouterError) for error in ALL_ERRORS)
    assert {error.__name__ for error in ALL_ERRORS} <= set(eventrouter.__all__)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = []
    stack = []
    for line in errors.__doc__.splitlines():
        if "+--" in line or line.strip() == "EventRouterError":
            depth = (line.index("+--") // 4) if "+--" in line else 0
            name = line.split("+-- ")[-1].split()[0]
            stack[depth:] = [name]
            if depth:
                drawn.append((stack[depth - 1], name))
    real = [(error.__bases__[0].__name__, error.__name__) for error in ALL_ERRORS[1:]]
    assert sorted(drawn) == sorted(real)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.PatternError("Bad", "$.a", "write [1]"), "Bad at $.a (write [1])"),
        (errors.PatternError("Bad", "$.a", "", 2, 5), "Bad at $.a, line 2 column 5"),
        (errors.InvalidRuleError("Bad"), "Bad"),
        (errors.InvalidRuleError("Bad", "$.Rules[0]", "do"), "Bad at $.Rules[0] (do)"),
        (errors.InvalidEventError("Bad", "MalformedDetail"), "Bad"),
        (
            errors.InputTransformerError("Input", "is bad", "$.Input", "do", "t"),
            "Input for target t is bad at $.Input (do)",
        ),
        (errors.MissingExtraError("YAML", "yaml"), "YAML needs the 'yaml' extra: pip install 'eventrouter[yaml]'"),
        (errors.QueueError("Bad", "MissingParameter"), "MissingParameter: Bad"),
        (errors.InvokeError("Bad", "RequestTooLargeException"), "RequestTooLargeException: Bad"),
        (errors.FunctionError("ValueError", "Bad", ("frame",), "id", "7", "TIMEOUT"), "ValueError: Bad"),
        (errors.FunctionError("ValueError", "", retry_after=timedelta(seconds=1)), "ValueError"),
        (errors.PermanentFunctionError("OSError", "Bad"), "OSError: Bad"),
        (errors.TooManyRequestsError("CallerRateLimitExceeded"), "Rate Exceeded."),
        (errors.HopLimitError("far"), "far"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__ + str(len(value.args)),
)
def test_errors_read_well_and_survive_pickling(error, text):
    again = pickle.loads(pickle.dumps(error))
    assert str(error) == str(again) == text
    assert vars(again) == vars(error)
    assert type(again) is type(error)
