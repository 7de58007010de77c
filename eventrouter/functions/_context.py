"""What a function is told of its invocation, and what it can do: Lambda's context object, with an execution role."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.from_thread

from eventrouter.admission import PutResult
from eventrouter.errors import TargetTimeoutError
from eventrouter.event import EventEntry
from eventrouter.functions._configuration import Role, split_name
from eventrouter.functions._invocation import InvocationType, InvokeResponse
from eventrouter.queues import QueueResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who invoked the function.

    Attributes:
        principal: The name given to `invoke`, or a rule's or function's ARN; None for the process itself.
    """

    principal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What does not change during an invocation; the attributes of a context."""

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: int | None
    log_group_name: str
    log_stream_name: str
    identity: Identity
    client_context: Any


class Services(ABC):
    """What a context needs of a router."""

    @abstractmethod
    async def put_events(self, entries: Sequence[EventEntry], *, principal: str) -> list[PutResult]:
        """Put events as *principal*."""

    @abstractmethod
    async def invoke(
        self, function_name: str, payload: object, *, invocation_type: InvocationType, principal: str
    ) -> InvokeResponse:
        """Invoke a function as *principal*."""

    @abstractmethod
    async def send_message(self, queue_name: str, body: object, options: Mapping[str, Any]) -> QueueResult:
        """Send a message to a queue."""


class AnyContext:
    """What every context has (AWS Lambda developer guide, "Using the Lambda context object in Python").

    Attributes:
        aws_request_id: The same for each attempt of an invocation; of one by a rule, the id of the event.
        function_name: The function.
        function_version: The version that runs, `$LATEST` or a number.
        invoked_function_arn: As it was invoked, with its version or alias if that was named.
        memory_limit_in_mb: The limit; None for none.
        log_group_name: `/aws/lambda/` and the name.
        log_stream_name: Of this execution environment.
        identity: Who invoked.
        client_context: What the invoker gave as `client_context`.
        state: What the lifespan of the execution environment has yielded; None without one.
    """

    aws_request_id: str
    function_name: str
    function_version: str
    invoked_function_arn: str
    memory_limit_in_mb: int | None
    log_group_name: str
    log_stream_name: str
    identity: Identity
    client_context: Any

    def __init__(self, facts: Facts, state: object, clock: Callable[[], float], deadline: float) -> None:
        for name in Facts.__slots__:
            setattr(self, name, getattr(facts, name))
        self.state = state
        self._clock = clock
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """Say how long the invocation may still take, in milliseconds."""
        return max(0, round((self._deadline - self._clock()) * 1_000))


class Capabilities:
    """What an invocation may do: its role decides, before the router is asked. It ends with the invocation."""

    def __init__(self, services: Services, role: Role, function_arn: str) -> None:
        self._services = services
        self._role = role
        self._arn = function_arn
        self.is_over = False

    async def put_events(self, entries: Sequence[EventEntry]) -> list[PutResult]:
        """Put events, all of them on buses that the role names."""
        entries = list(entries)
        for entry in entries:
            if isinstance(entry, EventEntry):  # others are refused by the router, each for itself
                self._check("put_events", entry.event_bus_name)
        return await self._services.put_events(entries, principal=self._arn)

    async def invoke(
        self, function_name: str, payload: object = None, *, invocation_type: InvocationType = "RequestResponse"
    ) -> InvokeResponse:
        """Invoke a function that the role names."""
        self._check("invoke", split_name(function_name)[0])
        return await self._services.invoke(function_name, payload, invocation_type=invocation_type, principal=self._arn)

    async def send_message(self, queue_name: str, body: object, **options: Any) -> QueueResult:
        """Send a message to a queue that the role names."""
        self._check("send_message", queue_name)
        return await self._services.send_message(queue_name, body, options)

    def _check(self, capability: Any, name: str) -> None:
        if self.is_over:
            raise TargetTimeoutError("The invocation is over; what it left running may do nothing more.")
        self._role.check(capability, name, self._arn)


class Context(AnyContext):
    """The context of an async function. Its methods raise `NotAuthorizedError` for what the role does not allow."""

    def __init__(self, facts: Facts, state: object, deadline: float, capabilities: Capabilities) -> None:
        super().__init__(facts, state, anyio.current_time, deadline)
        self._capabilities = capabilities

    async def put_events(self, entries: Sequence[EventEntry]) -> list[PutResult]:
        """Put events, as `EventRouter.put_events` does; the principal is the function, by its ARN."""
        return await self._capabilities.put_events(entries)

    async def invoke(
        self, function_name: str, payload: object = None, *, invocation_type: InvocationType = "RequestResponse"
    ) -> InvokeResponse:
        """Invoke a function, as `EventRouter.invoke` does; the principal is this function, by its ARN."""
        return await self._capabilities.invoke(function_name, payload, invocation_type=invocation_type)

    async def send_message(self, queue_name: str, body: object, **options: Any) -> QueueResult:
        """Send a message, as `Queue.send` does, whose options it takes."""
        return await self._capabilities.send_message(queue_name, body, **options)


class BlockingContext(AnyContext):
    """The context of any other function, with the same methods; they wait, and give their result.

    Args:
        facts: What is told.
        state: Of the execution environment.
        remaining: The seconds that are left.
        call: Has something done by the router: the name of a capability, its arguments, its options.
    """

    def __init__(self, facts: Facts, state: object, remaining: float, call: Callable[..., object]) -> None:
        super().__init__(facts, state, time.monotonic, time.monotonic() + remaining)
        self._call = call

    def put_events(self, entries: Sequence[EventEntry]) -> list[PutResult]:
        """Put events, as `EventRouter.put_events` does; the principal is the function, by its ARN."""
        return cast("list[PutResult]", self._call("put_events", (list(entries),), {}))

    def invoke(
        self, function_name: str, payload: object = None, *, invocation_type: InvocationType = "RequestResponse"
    ) -> InvokeResponse:
        """Invoke a function, as `EventRouter.invoke` does; the principal is this function, by its ARN."""
        options = {"invocation_type": invocation_type}
        return cast("InvokeResponse", self._call("invoke", (function_name, payload), options))

    def send_message(self, queue_name: str, body: object, **options: Any) -> QueueResult:
        """Send a message, as `Queue.send` does, whose options it takes."""
        return cast("QueueResult", self._call("send_message", (queue_name, body), options))


def call_from_thread(capabilities: Capabilities) -> Callable[..., object]:
    """Give what calls capabilities from a worker thread."""

    def call(name: str, arguments: Sequence[object], options: Mapping[str, Any]) -> object:
        function: Callable[..., Coroutine[Any, Any, object]] = getattr(capabilities, name)
        return anyio.from_thread.run(partial(function, *arguments, **options))

    return call
