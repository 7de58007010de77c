"""The decorator `idempotent`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, get_args, overload

from eventrouter.abc import Clock, IdempotencyStore, SystemClock
from eventrouter.errors import InvalidRuleError
from eventrouter.idempotency._async import AsyncRunner
from eventrouter.idempotency._blocking import BlockingRunner
from eventrouter.idempotency._guard import Guard, OnConflict
from eventrouter.idempotency._keys import Call, Selection, compile_selection, default_key
from eventrouter.idempotency._results import Results
from eventrouter.stores._memory_idempotency import MemoryIdempotencyStore

P = ParamSpec("P")
T = TypeVar("T")


@overload
def idempotent(function: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def idempotent(
    *,
    key: Selection | None = None,
    validate: Selection | None = None,
    on_conflict: OnConflict = "wait",
    ttl: timedelta = ...,
    lease: timedelta = ...,
    name: str | None = None,
    result_type: object = None,
    store: IdempotencyStore | None = None,
    clock: Clock | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def idempotent(
    function: Callable[..., Any] | None = None,
    /,
    *,
    key: Selection | None = None,
    validate: Selection | None = None,
    on_conflict: OnConflict = "wait",
    ttl: timedelta = timedelta(hours=1),
    lease: timedelta = timedelta(seconds=30),
    name: str | None = None,
    result_type: object = None,
    store: IdempotencyStore | None = None,
    clock: Clock | None = None,
) -> Any:
    """Let a function do its work once for each key: later calls get the result of the first.

    For async functions, on asyncio and trio, and any others, in any thread; as a rule's handler or by itself. With or
    without parentheses, below `@router.rule`, `@classmethod` and the like.

    The first call with a key writes a record with a lease, which is renewed while the function runs. When it returns,
    its result is stored for `ttl`; what has returned is done, even if it was being cancelled. When it raises or is
    cancelled, the record is deleted, so that the next call runs it again. When the process dies, the lease ends, and
    the next call runs it again. (The semantics are those of Powertools for AWS Lambda, "Idempotency".)

    A call that has lost its lease to another goes on and gives its own result, with a warning in the log, but the
    other's record stays. If the store fails before the function, the call fails with its error. If it fails after, the
    function's result or error is given all the same, with the store's error in the log.

    Args:
        function: The function; given by using the decorator without parentheses.
        key: What identifies a call: a path such as `$.detail.order_id` into the first argument, several of them, or a
            function that takes the call's arguments and returns anything with a JSON form. `self` and `cls` are left
            out. By default the id of the `Event` among the arguments, else all arguments as JSON.
        validate: Further values, chosen in the same way, that must be the same whenever the key is.
        on_conflict: What a call does while another with its key runs. `wait` until that ends, then give its result, or
            run if it failed or its lease ended; `raise` `IdempotencyInProgressError`; `skip` and return None.
        ttl: How long results are kept.
        lease: How long a record outlives a process that died. It is renewed every quarter of this.
        name: What the keys belong to; by default the function's module and qualified name. Give one before renaming
            the function while records are kept, or to let two functions share their keys.
        result_type: What stored results are made into, anything that msgspec can decode, pydantic models included. By
            default the function's return annotation; `typing.Any`, or an annotation that cannot be resolved, gives
            plain JSON data.
        store: Where records are; by default in memory, for this function alone.
        clock: Where wall time comes from.

    Raises:
        InvalidRuleError: The function or an option is not usable. Calls raise the following.
        IdempotencyKeyError: The call has no key.
        IdempotencyValidationError: The key was used with other values where `validate` looks.
        IdempotencyInProgressError: Another call with the key is running, and `on_conflict` is `raise`; or, with
            `wait`, that other call is the one this is made from.
        IdempotencyResultError: The function has run, but its result has no JSON form that can be read again.
    """
    for option, duration in (("ttl", ttl), ("lease", lease)):
        if not (isinstance(duration, timedelta) and duration > timedelta(0)):
            raise InvalidRuleError(f"{option} is {duration!r}", hint="use a positive timedelta")
    if on_conflict not in get_args(OnConflict):
        raise InvalidRuleError(f"on_conflict is {on_conflict!r}", hint="use 'wait', 'raise' or 'skip'")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        guard = Guard(
            scope=_scope(function, name),
            key=default_key if key is None else compile_selection("key", key, is_required=True),
            validate=None if validate is None else compile_selection("validate", validate, is_required=False),
            results=Results(function, result_type),
            on_conflict=on_conflict,
            ttl=ttl,
            lease=lease,
            clock=clock if clock is not None else SystemClock(),
        )
        return _wrap(function, guard, store if store is not None else MemoryIdempotencyStore())

    return decorate if function is None else decorate(function)


def _scope(function: Callable[..., object], name: str | None) -> str:
    """Name the function, refusing what cannot be decorated."""
    if not callable(function):
        raise InvalidRuleError(
            f"{function!r} is not a function", hint="write @idempotent below @classmethod, and options by keyword"
        )
    code = _code(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise InvalidRuleError(f"{function!r} is a generator", hint="an idempotent function returns, it does not yield")
    if name is not None:
        if not isinstance(name, str) or not name:
            raise InvalidRuleError(f"name is {name!r}", hint="use a string that is not empty")
        return name
    if not hasattr(function, "__qualname__"):
        raise InvalidRuleError(f"{function!r} has no name", hint="give one with name=")
    return f"{function.__module__}.{function.__qualname__}"


def _code(function: Callable[..., object]) -> Callable[..., object]:
    """Find the `def` behind partials and callable objects. Not behind decorators: it is theirs that is called."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _wrap(function: Callable[..., Any], guard: Guard, store: IdempotencyStore) -> Callable[..., Any]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise InvalidRuleError(f"{guard.scope} does not say what it takes", hint="wrap it in a def") from None
    if inspect.iscoroutinefunction(_code(function)):
        async_runner = AsyncRunner(guard, store)

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            claim = guard.claim(Call.bind(signature, args, kwargs))
            return await async_runner.run(claim, functools.partial(function, *args, **kwargs))

        return run_async
    if store.blocking is None:
        raise InvalidRuleError(f"{guard.scope} is not async, as its store requires", hint="write async def")
    runner = BlockingRunner(guard, store.blocking)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        claim = guard.claim(Call.bind(signature, args, kwargs))
        return runner.run(claim, functools.partial(function, *args, **kwargs))

    return run
