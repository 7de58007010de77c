"""A Python function as a target."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from types import CoroutineType
from typing import Any, TypeAlias

import anyio.to_thread
import msgspec

from eventrouter.abc import Target
from eventrouter.delivery._standstill import in_thread_of_target
from eventrouter.errors import DeliveryError, InvalidDetailError, InvalidRuleError
from eventrouter.event import Event
from eventrouter.records import Delivery

#: Makes one argument of the function from the delivery.
_Argument: TypeAlias = Callable[[Delivery], object]


@dataclass(frozen=True, kw_only=True)
class FunctionTarget(Target):
    """Call a function with the event.

    What the function takes is read from its annotations: a parameter annotated with a pydantic model receives the
    event's detail as that model, any other receives the `Event`. A detail that does not fit the model ends as a dead
    letter at once, with `INVALID_DETAIL`.

    With an `input`, parameters receive that instead: as the model, or as decoded JSON. One that is annotated `Event`
    still receives the event; some other parameter has to take the input.

    An async function runs in the event loop. Any other runs in a worker thread, at most `maximum_concurrency` at a
    time. A thread cannot be stopped: after a timeout the delivery goes on to its retry while the thread may still
    be working. Such threads count against the limit until they return.

    Attributes:
        function: The function, or any callable.
        is_async: Whether it is an `async def`; others run in threads.

    Raises:
        InvalidRuleError: It cannot be called with an event, or does not take the input.
    """

    function: Callable[..., object]
    _arguments: tuple[_Argument, ...] = field(init=False, repr=False, compare=False)
    is_async: bool = field(init=False, repr=False, compare=False)
    _takes_event: bool = field(init=False, repr=False, compare=False)  # it is async, and takes nothing else
    _threads: threading.Semaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_arguments", _arguments(self.function, with_input=self.input is not None))
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(_unwrapped(self.function)))
        object.__setattr__(self, "_takes_event", self.is_async and self._arguments == (_event,))
        object.__setattr__(self, "_threads", threading.Semaphore(self.maximum_concurrency))

    def invoke(self, delivery: Delivery) -> Coroutine[Any, Any, object]:
        """Call the function; its return value is given back."""
        if self._takes_event:  # the common case, without a coroutine around the function's own
            result = self.function(delivery.event)
            return result if isinstance(result, CoroutineType) else _finished(result)
        return self._call_with_arguments(delivery)

    async def _call_with_arguments(self, delivery: Delivery) -> object:
        arguments = [argument(delivery) for argument in self._arguments]
        result = self.function(*arguments) if self.is_async else await self._call_in_thread(arguments)
        return await result if inspect.isawaitable(result) else result

    async def _call_in_thread(self, arguments: list[object]) -> object:
        # anyio's own limiter, 40 threads for the whole process, would let one slow target starve the others.
        limiter = anyio.CapacityLimiter(1)
        [result] = await anyio.to_thread.run_sync(self._call, arguments, abandon_on_cancel=True, limiter=limiter)
        return result

    def _call(self, arguments: list[object]) -> list[object]:
        # Taken and given back by the thread itself: only so is an abandoned thread counted until it really ends.
        if not self._threads.acquire(blocking=False):
            raise DeliveryError(
                f"All {self.maximum_concurrency} threads of target {self.id} are busy with attempts that timed out."
            )
        in_thread_of_target.set(True)  # in a context of this call's own
        try:
            # Boxed: trio refuses a thread that returns a coroutine, as `lambda event: handle(event)` does.
            return [self.function(*arguments)]
        finally:
            self._threads.release()


async def _finished(result: object) -> object:
    """Await what a decorator made of an async function's coroutine, such as a task."""
    return await result if inspect.isawaitable(result) else result


def _unwrapped(function: Callable[..., object]) -> Any:
    """Find the `def` behind partials, decorators and callable objects."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    return function if inspect.isroutine(function) else getattr(type(function), "__call__", function)  # noqa: B004


def _arguments(function: Callable[..., object], *, with_input: bool) -> tuple[_Argument, ...]:
    """Plan how each parameter of *function* is made from a delivery."""
    name = getattr(function, "__qualname__", repr(function))
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise InvalidRuleError(f"{name} is not a function that can be called with an event") from None
    code = _unwrapped(function)
    if inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code):
        raise InvalidRuleError(f"{name} is a generator", hint="a target's function returns, it does not yield")
    needed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    positional = [parameter for parameter in needed if parameter.kind in _POSITIONAL]
    if not positional or any(parameter.kind is parameter.KEYWORD_ONLY for parameter in needed):
        raise InvalidRuleError(
            f"{name} cannot be called with an event", hint=f"write: async def {name}(event: Event) -> None"
        )
    annotations = [_resolve(function, name, parameter) for parameter in positional]
    if with_input and all(map(_is_event, annotations)):
        raise InvalidRuleError(
            f"{name} takes the event, and not the input that its target has",
            hint="annotate the parameter with a pydantic model or with what JSON gives, such as dict or str",
        )
    return tuple(_argument(annotation, with_input=with_input) for annotation in annotations)


_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def _argument(annotation: object, *, with_input: bool) -> _Argument:
    if isinstance(annotation, type) and hasattr(annotation, "model_validate_json"):
        return partial(_validate, annotation)
    return _input if with_input and not _is_event(annotation) else _event


def _is_event(annotation: object) -> bool:
    return annotation is Event or (isinstance(annotation, str) and annotation.rpartition(".")[2] == "Event")


def _resolve(function: Callable[..., object], name: str, parameter: inspect.Parameter) -> object:
    """Give the annotation as an object; under `from __future__ import annotations` it is text."""
    annotation = parameter.annotation
    if not isinstance(annotation, str) or _is_event(annotation):
        return annotation  # `Event` is often imported for the type checker only
    scope = getattr(_unwrapped(function), "__globals__", {})
    try:
        return eval(annotation, scope)  # noqa: S307 - the function's own source, not data
    except Exception as error:
        raise InvalidRuleError(
            f"The annotation {annotation!r} of {name}, parameter {parameter.name}, cannot be resolved: {error}",
            hint="define or import it at the top of the module",
        ) from error


def _event(delivery: Delivery) -> Event:
    return delivery.event


def _input(delivery: Delivery) -> object:
    return msgspec.json.decode(delivery.payload)


def _validate(model: Any, delivery: Delivery) -> object:
    what, text = ("detail", delivery.event.detail_json) if delivery.input is None else ("input", delivery.input)
    try:
        return model.model_validate_json(bytes(text))
    except sys.modules["pydantic"].ValidationError as error:
        raise InvalidDetailError(f"The {what} does not fit {model.__name__}: {error}") from error
