"""Execution environments: where a version of a function runs, one invocation at a time, again and again."""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup, TaskStatus

from eventrouter.delivery._conclude import unwrapped
from eventrouter.delivery._standstill import in_thread_of_target
from eventrouter.delivery.describe import described
from eventrouter.errors import DeliveryError, FunctionError, PermanentDeliveryError, PermanentFunctionError
from eventrouter.event import encode_json
from eventrouter.functions._configuration import FunctionConfiguration
from eventrouter.functions._context import BlockingContext, Capabilities, Context, Facts, call_from_thread
from eventrouter.functions._log import InvocationLog

logger = logging.getLogger("eventrouter.functions")


#: Bytes of a response: 6 MB and what is around them (AWS Lambda's own words when it is more).
MAXIMUM_RESPONSE: Final = 6_291_556


@dataclass(slots=True)
class Work:
    """One invocation, as an execution environment sees it.

    Attributes:
        facts: What the context tells.
        payload: JSON text.
        capabilities: What the context may do.
        seconds: How long it may take.
        log: Takes the lines that the function writes.
    """

    facts: Facts
    payload: bytes
    capabilities: Capabilities
    seconds: float
    log: InvocationLog

    def failure(self, error: BaseException) -> FunctionError:
        """Give the failure that an exception of the function is."""
        if isinstance(error, SystemExit):
            return self.exited(f"exit status {error.code if isinstance(error.code, int) else int(bool(error.code))}")
        assert isinstance(error, Exception)  # noqa: S101 - others are no failures of a function
        error = unwrapped(error)
        told = described(error, self.facts.aws_request_id)
        return self.described_failure(
            told["errorType"],
            told["errorMessage"],
            tuple(told["stackTrace"]),
            error.error_code if isinstance(error, DeliveryError) else FunctionError.error_code,
            error.retry_after if isinstance(error, DeliveryError) else None,
            is_permanent=isinstance(error, PermanentDeliveryError),
        )

    def described_failure(
        self,
        error_type: str,
        message: str,
        stack_trace: tuple[str, ...] | None,
        error_code: str = FunctionError.error_code,
        retry_after: timedelta | None = None,
        *,
        is_permanent: bool = False,
    ) -> FunctionError:
        """Give the failure of which this is known."""
        kind = PermanentFunctionError if is_permanent else FunctionError
        facts = self.facts
        return kind(
            error_type, message, stack_trace, facts.aws_request_id, facts.function_version, error_code, retry_after
        )

    def exited(self, how: str) -> FunctionError:
        """Give the failure that the end of a process is (AWS Lambda developer guide, "Troubleshoot invocation")."""
        message = f"RequestId: {self.facts.aws_request_id} Error: Runtime exited with error: {how}"
        return self.described_failure("Runtime.ExitError", message, None)

    def timed_out(self) -> FunctionError:
        """Give the failure that running out of time is."""
        message = f"RequestId: {self.facts.aws_request_id} Error: Task timed out after {self.seconds:.2f} seconds"
        return self.described_failure("Sandbox.Timedout", message, None, "TIMEOUT")

    def encode(self, result: object) -> bytes:
        """Write a result as JSON text. Raises `FunctionError`."""
        try:
            encoded = encode_json(result)
        except ValueError as error:
            raise self.described_failure("Runtime.MarshalError", f"Unable to marshal response: {error}", ()) from error
        return self.checked(encoded)

    def checked(self, response: bytes) -> bytes:
        """Give a response that is not too large. Raises `FunctionError`."""
        if len(response) > MAXIMUM_RESPONSE:
            raise self.too_large(len(response))
        return response

    def too_large(self, size: int) -> FunctionError:
        """Give the failure that a response of so many bytes is."""
        message = (
            f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAXIMUM_RESPONSE} bytes)."
        )
        return self.described_failure("Function.ResponseSizeTooLarge", message, None)


class Environment(ABC):
    """An execution environment.

    Attributes:
        log_stream: Its name in logs.
        is_broken: Whether it cannot be used again.
        thread: Set when the thread of an invocation that was given up has ended; None if there is none.
    """

    def __init__(self, configuration: FunctionConfiguration, log_stream: str) -> None:
        self.configuration = configuration
        self.log_stream = log_stream
        self.is_broken = False
        self.thread: threading.Event | None = None

    @abstractmethod
    async def start(self, tasks: TaskGroup) -> None:
        """Get ready: enter the lifespan. What it raises is a failure of the initialization; it is closed then."""

    @abstractmethod
    async def run(self, work: Work) -> bytes:
        """Make one invocation.

        Returns:
            The result as JSON text.

        Raises:
            FunctionError: The function failed.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Leave the lifespan, and give back what there is. May be called again."""

    def peak_memory(self) -> int | None:
        """Give the most MB that the process has had, None if that cannot be known."""
        return peak_memory()


class InProcess(Environment):
    """In this process. The lifespan lives in a task of its own, so that it is entered and left in the same one."""

    def __init__(self, configuration: FunctionConfiguration, log_stream: str) -> None:
        super().__init__(configuration, log_stream)
        self._state: object = None
        self._closing = anyio.Event()
        self._closed: anyio.Event | None = None

    async def start(self, tasks: TaskGroup) -> None:
        """Enter the lifespan."""
        if self.configuration.lifespan is None:
            return
        failure = await tasks.start(self._live)
        if failure is not None:
            raise failure

    async def _live(self, *, task_status: TaskStatus[Exception | None]) -> None:
        assert self.configuration.lifespan is not None  # noqa: S101 - `start` has looked
        is_ready = False
        self._closed = anyio.Event()
        try:
            async with AsyncExitStack() as stack:
                manager = self.configuration.lifespan()
                if isinstance(manager, AbstractAsyncContextManager):
                    self._state = await stack.enter_async_context(manager)
                else:
                    self._state = await stack.enter_async_context(_InThreads(manager))
                is_ready = True
                task_status.started(None)
                await self._closing.wait()
        except Exception as error:  # of the user's code: the environment is lost, and nothing else
            self.is_broken = True
            if is_ready:
                logger.exception("The lifespan of %s failed", self.log_stream)
            else:
                task_status.started(error)
        finally:
            self._closed.set()

    async def run(self, work: Work) -> bytes:
        """Call the handler, in the event loop or in a thread."""
        try:
            return work.encode(await self._call(work))
        except FunctionError:
            raise
        except (Exception, SystemExit) as error:
            raise work.failure(error) from error
        finally:
            work.capabilities.is_over = True

    async def _call(self, work: Work) -> object:
        event = msgspec.json.decode(work.payload)
        if self.configuration.is_async:
            deadline = anyio.current_time() + work.seconds
            context = Context(work.facts, self._state, deadline, work.capabilities)
            result = self.configuration.handler(event, context)
        else:
            blocking = BlockingContext(work.facts, self._state, work.seconds, call_from_thread(work.capabilities))
            result = await self._call_in_thread(partial(self.configuration.handler, event, blocking))
        return await result if inspect.isawaitable(result) else result

    async def _call_in_thread(self, handler: Callable[[], object]) -> object:
        ended = threading.Event()

        def call() -> list[object]:
            in_thread_of_target.set(True)  # in a context of this call's own
            try:
                return [handler()]  # boxed: trio refuses a thread that returns a coroutine
            finally:
                ended.set()

        self.thread = ended
        # A limiter of its own, since how many run is counted already.
        try:
            [result] = await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
        except anyio.get_cancelled_exc_class():
            self.is_broken = True  # a thread cannot be stopped, and must not meet the next invocation
            raise
        self.thread = None
        return result

    async def aclose(self) -> None:
        """Leave the lifespan."""
        self._closing.set()
        if self._closed is not None:
            await self._closed.wait()


class _InThreads(AbstractAsyncContextManager[object]):
    """A blocking context manager, entered and left in worker threads."""

    def __init__(self, manager: AbstractContextManager[object]) -> None:
        self._manager = manager

    async def __aenter__(self) -> object:
        return await anyio.to_thread.run_sync(self._manager.__enter__)

    async def __aexit__(self, *error: object) -> None:
        with anyio.CancelScope(shield=True):
            leave: Callable[..., object] = self._manager.__exit__
            await anyio.to_thread.run_sync(leave, *error)


def peak_memory() -> int | None:
    """Give the most MB that this process has had; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024) if sys.platform == "darwin" else peak // 1024
