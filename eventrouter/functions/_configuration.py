"""How a function is: its names, its code, its limits, and what it may do."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import FunctionType
from typing import Any, Final, Literal, TypeAlias

from eventrouter.errors import InvalidRuleError, InvokeError, NotAuthorizedError

LATEST: Final = "$LATEST"
#: MB that a function may have at least, and at most (AWS Lambda quotas).
LEAST_MEMORY: Final = 128
MOST_MEMORY: Final = 10_240

#: What a function runs: it is called with the decoded payload and the context.
Handler: TypeAlias = Callable[..., object]
#: Gives the context manager within which an execution environment lives.
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[object] | AbstractContextManager[object]]
Isolation: TypeAlias = Literal["process"]

_NAME: Final = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_NAMED: Final = re.compile(
    r"(?:arn:[^:]*:lambda:[^:]*:[^:]*:function:)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|[a-zA-Z0-9-_]{1,128}))?"
)
_ALIAS: Final = re.compile(r"(?!^[0-9]+$)[a-zA-Z0-9-_]{1,128}")


@dataclass(frozen=True, slots=True)
class Role:
    """What a function may do through its context: an execution role. By default nothing.

    Each is a collection of names; `*` among them stands for all.

    Attributes:
        put_events: The event buses on which it may put events.
        invoke: The functions that it may invoke.
        send_message: The queues that it may send to.

    Raises:
        InvalidRuleError: One of them is a text, or holds something else than texts.
    """

    put_events: Collection[str] = ()
    invoke: Collection[str] = ()
    send_message: Collection[str] = ()

    def __post_init__(self) -> None:
        for name in ("put_events", "invoke", "send_message"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise InvalidRuleError(f"{name} of the role is {value!r}", hint='use a list of names, or ["*"]')
            object.__setattr__(self, name, frozenset(value))

    def check(self, capability: Literal["put_events", "invoke", "send_message"], name: str, who: str) -> None:
        """Raise `NotAuthorizedError` unless it may do that with what is called *name*."""
        allowed = getattr(self, capability)
        if name not in allowed and "*" not in allowed:
            raise NotAuthorizedError(f"{who} may not {capability} on {name}: its role does not allow it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionConfiguration:
    """The code of a function and how it is run. A version keeps one for good.

    Attributes:
        handler: What is called, with the decoded payload and the context.
        timeout: How long one invocation may take; then it has failed with `Sandbox.Timedout`.
        memory: MB that a process of it may have; None for no limit. Needs `isolation="process"`, on Linux.
        isolation: `process` runs it in processes of its own, which can be killed; None in the event loop if it is
            async, else in a worker thread.
        lifespan: Made and entered once for each execution environment, before its first invocation, and left when the
            environment ends. What it yields is `context.state`.
        idle_timeout: How long an execution environment that nobody uses is kept.
        role: What the function may do through its context.
        description: For people.

    Raises:
        InvalidRuleError: Something is not usable as written.
    """

    handler: Handler
    timeout: timedelta = timedelta(seconds=60)
    memory: int | None = None
    isolation: Isolation | None = None
    lifespan: Lifespan | None = None
    idle_timeout: timedelta = timedelta(minutes=5)
    role: Role = field(default_factory=Role)
    description: str = ""

    def __post_init__(self) -> None:
        name = getattr(self.handler, "__qualname__", repr(self.handler))
        _check_signature(self.handler, name)
        for option in ("timeout", "idle_timeout"):
            value = getattr(self, option)
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise InvalidRuleError(f"{option} of {name} is {value!r}", hint="use a positive timedelta")
        if self.isolation not in (None, "process"):
            raise InvalidRuleError(f"isolation of {name} is {self.isolation!r}", hint='use "process" or None')
        if not isinstance(self.role, Role):
            raise InvalidRuleError(f"role of {name} is {self.role!r}", hint="use a Role")
        if self.lifespan is not None and not callable(self.lifespan):
            raise InvalidRuleError(
                f"lifespan of {name} is {self.lifespan!r}", hint="use a function decorated with @asynccontextmanager"
            )
        self._check_memory(name)
        if self.isolation == "process":
            if self.is_async:
                raise InvalidRuleError(
                    f"{name} is async, and in a process nothing else would run meanwhile", hint="make it a plain def"
                )
            import_path(self.handler)
            if self.lifespan is not None:
                import_path(self.lifespan)

    def _check_memory(self, name: str) -> None:
        if self.memory is None:
            return
        if not isinstance(self.memory, int) or not LEAST_MEMORY <= self.memory <= MOST_MEMORY:
            raise InvalidRuleError(
                f"memory of {name} is {self.memory!r}", hint=f"use MB, from {LEAST_MEMORY} to {MOST_MEMORY:,}"
            )
        if self.isolation != "process":
            raise InvalidRuleError(
                f"memory of {name} cannot be limited inside this process", hint='add isolation="process"'
            )
        if sys.platform != "linux":
            raise InvalidRuleError(f"memory of {name} can be limited on Linux only", hint="leave it out")

    @property
    def is_async(self) -> bool:
        """Whether the handler runs in the event loop."""
        return inspect.iscoroutinefunction(_innermost(self.handler))

    def snapshot(self) -> FunctionConfiguration:
        """Give one whose code does not change when somebody gives the function other code."""
        if not isinstance(self.handler, FunctionType) or self.isolation == "process":
            return self
        code = self.handler
        copy = FunctionType(code.__code__, code.__globals__, code.__name__, code.__defaults__, code.__closure__)
        copy.__kwdefaults__ = code.__kwdefaults__ and dict(code.__kwdefaults__)
        copy.__dict__.update(code.__dict__)
        copy.__module__, copy.__qualname__, copy.__doc__ = code.__module__, code.__qualname__, code.__doc__
        options = {name: getattr(self, name) for name in self.__slots__ if name != "handler"}
        return FunctionConfiguration(handler=copy, **options)

    def is_same_as(self, other: FunctionConfiguration) -> bool:
        """Say whether both are the same code, configured alike."""
        if _code(self.handler) != _code(other.handler):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__ if name != "handler")


def check_function_name(name: object) -> None:
    """Refuse a name that Lambda would refuse. Raises `InvalidRuleError`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRuleError(f"{name!r} is no function name", hint="use 1 to 64 letters, digits, and - _")


def split_name(name: object) -> tuple[str, str | None]:
    """Give the name and the qualifier of a function that is named as Lambda allows it: by its name or its ARN.

    Raises:
        InvokeError: It is neither.
    """
    match = _NAMED.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InvokeError(f"{name!r} is no function name or ARN")
    return match[1], match[2]


def check_alias_name(name: object) -> None:
    """Refuse a name that Lambda would refuse for an alias. Raises `InvalidRuleError`."""
    if not isinstance(name, str) or not _ALIAS.fullmatch(name):
        raise InvalidRuleError(
            f"{name!r} is no alias name", hint="use 1 to 128 letters, digits, and - _, not digits alone"
        )


def import_path(function: Callable[..., object]) -> str:
    """Give where a child process finds a function, as `module:qualified.name`.

    Raises:
        InvalidRuleError: It cannot be found by importing a module.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    fix = "a process of its own finds a function by importing it: define it with def, at the top level of a module"
    if module is None or name is None:
        raise InvalidRuleError(f"{function!r} has no import path", hint=fix)
    if "<lambda>" in name:
        raise InvalidRuleError(f"{name} in {module} is a lambda", hint=fix)
    if "<locals>" in name:
        raise InvalidRuleError(f"{name} in {module} is defined inside of a function", hint=fix)
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if spec is None:
            raise InvalidRuleError(
                f"{name} is in the script that was started, which another process would run once more",
                hint="move it to a module that the script imports, or start the script with python -m",
            )
        module = spec.name
    return f"{module}:{name}"


def _check_signature(handler: Handler, name: str) -> None:
    hint = f"write: def {name.rpartition('.')[2]}(event, context)"
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        raise InvalidRuleError(f"{name} cannot be called with an event and a context", hint=hint) from None
    code = _innermost(handler)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise InvalidRuleError(f"{name} is a generator", hint="a function returns its result, it does not yield")


def _innermost(handler: Handler) -> Any:
    while isinstance(handler, partial):
        handler = handler.func
    handler = inspect.unwrap(handler)
    return handler if inspect.isroutine(handler) else getattr(type(handler), "__call__", handler)  # noqa: B004


def _code(handler: Handler) -> object:
    """Give what tells code apart: a copy of a function has the same."""
    if isinstance(handler, FunctionType):
        return handler.__code__, handler.__defaults__, handler.__closure__
    return handler
