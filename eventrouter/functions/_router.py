"""Functions of a router: declared, found, invoked and run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Unpack

import anyio
import msgspec

from eventrouter._ids import new_ids
from eventrouter.abc import Target
from eventrouter.admission import PutResult
from eventrouter.delivery._workers import current_delivery
from eventrouter.errors import (
    ConflictError,
    DepthLimitError,
    FunctionError,
    InvalidRuleError,
    InvokeError,
    NotFoundError,
    TooManyRequestsError,
)
from eventrouter.event import EventEntry
from eventrouter.functions._concurrency import Concurrency
from eventrouter.functions._configuration import LATEST, FunctionConfiguration, Handler, check_function_name, split_name
from eventrouter.functions._context import Services
from eventrouter.functions._function import (
    ConfigurationOptions,
    Function,
)
from eventrouter.functions._host import Host
from eventrouter.functions._invocation import (
    KEPT_PAYLOAD,
    InvocationType,
    InvokeResponse,
    LogType,
    Request,
    accept,
    check_invocation,
    encode_payload,
)
from eventrouter.functions._runtime import Pool, Runtime
from eventrouter.functions._target import AsyncInvocations, FunctionInvocationTarget
from eventrouter.functions._versions import EventInvokeConfig, FunctionVersion
from eventrouter.queues import QueueResult
from eventrouter.queues._router import Queues
from eventrouter.records import Accepted, Executed, Subscription


class FunctionOptions(ConfigurationOptions, total=False):
    """What `EventRouter.function` takes; see `FunctionConfiguration` and `EventInvokeConfig`."""

    concurrency: int | None
    retry_policy: Any
    on_success: Sequence[Target] | Target
    on_failure: Sequence[Target] | Target
    dead_letter_queue: Any
    maximum_concurrency: int | None


class Functions(Queues, Host):
    """What a router can do about functions."""

    maximum_depth: int

    def __init__(self) -> None:
        super().__init__()
        self._functions: dict[str, Function] = {}
        self._runtime: Runtime

    def _set_up_functions(self, concurrency: int) -> None:
        self._runtime = Runtime(_Services(self), Concurrency(concurrency), self._dispatcher.clock)

    @abstractmethod
    async def _keep(self, admitted: Sequence[Accepted | PutResult]) -> list[PutResult]:
        """Hand events to the store, and say what became of them."""

    @abstractmethod
    def _refuse_when_closed(self) -> None:
        """Raise `BusClosedError` unless the router is running."""

    @abstractmethod
    async def put_events(
        self, entries: Sequence[EventEntry], *, principal: str | None = None, by_content: bool = False
    ) -> list[PutResult]:
        """Put events."""

    @abstractmethod
    def _target_was_put(self, subscription: Subscription, target: Target) -> None:
        """Hear of a new or replaced target."""

    @abstractmethod
    def _target_was_removed(self, subscription: Subscription) -> None:
        """Hear of a target that is gone."""

    # -- declaring -----------------------------------------------------------------------------------------------

    def function(self, name: str, **options: Unpack[FunctionOptions]) -> Callable[[Handler], Function]:
        """Declare the decorated function, `def handler(event, context)`, as a function of the router.

        ::

            @router.function("resize", timeout=timedelta(seconds=30), concurrency=4)
            async def resize(event, context): ...

            response = await resize.invoke({"key": "cat.jpg"})

        An async one runs in the event loop, any other in a worker thread, and with `isolation="process"` in processes
        that are killed when they take too long. It is invoked with the decoded payload.

        Args:
            name: 1 to 64 letters, digits, and `- _`.
            options: `timeout`, `memory`, `isolation`, `lifespan`, `idle_timeout`, `role` and `description` as
                `FunctionConfiguration` has them; `concurrency`, which is reserved, as in `Function.put_concurrency`;
                `retry_policy`, `on_success`, `on_failure`, `dead_letter_queue` and `maximum_concurrency` of its
                asynchronous invocations, as `EventInvokeConfig` has them.

        Returns:
            What makes a `Function` of it.

        Raises:
            ConflictError: There is a function of that name.
            InvalidRuleError, InvokeError: Something is not usable as written; nothing was declared.
        """

        def decorate(handler: Handler) -> Function:
            self._refuse_elsewhere()
            check_function_name(name)
            if name in self._functions:
                raise ConflictError(f"Function already exist: {name}")
            given: dict[str, Any] = dict(options)
            concurrency = given.pop("concurrency", None)
            asynchronous = {key: given.pop(key) for key in EventInvokeConfig.__dataclass_fields__ if key in given}
            unknown = given.keys() - FunctionConfiguration.__dataclass_fields__.keys()
            if unknown:
                raise InvalidRuleError(f"Function {name} has no option {', '.join(sorted(unknown))}")
            function = Function(
                self, name, FunctionConfiguration(handler=handler, **given), EventInvokeConfig(**asynchronous)
            )
            self._check_target(self._asynchronous(function, LATEST, None))
            self._reserve(name, concurrency)
            self._functions[name] = function
            self._function_has_changed(function)
            return function

        return decorate

    def get_function(self, name: str) -> Function:
        """Give the function of that name. Raises `NotFoundError` when there is none."""
        function = self._functions.get(name)
        if function is None:
            raise NotFoundError(f"Function not found: {name}")
        return function

    def list_functions(self) -> list[str]:
        """Name the functions in the order they were declared."""
        return list(self._functions)

    def remove_function(self, name: str) -> None:
        """Take a function away. What runs goes on, and while the router runs what waits asynchronously as well.

        Those that are left then stay in the store, parked, until there is such a function again.

        Raises:
            NotFoundError: There is no such function.
        """
        self._refuse_elsewhere()
        function = self.get_function(name)
        del self._functions[name]
        self._runtime.concurrency.reserve(name, None)
        for qualifier in function.qualifiers:
            self._target_was_removed(Subscription.of_function(name, qualifier))
        for pool, _ in function.pools:
            self._runtime.retire(pool)

    def _refuse_change(self, function: Function) -> None:
        self._refuse_elsewhere()
        if not function.is_declared:
            raise NotFoundError(f"Function not found: {function.arn}")

    def _function_has_changed(self, function: Function, *, gone: Sequence[Pool] = ()) -> None:
        for pool in gone:
            self._runtime.retire(pool)
        for pool, counting in function.pools:
            self._runtime.add(pool, counting)
        reserved = self._concurrency_of(function.name)
        for qualifier in function.qualifiers:
            target = self._asynchronous(function, qualifier, reserved)
            self._target_was_put(Subscription.of_function(function.name, qualifier), target)
        declared = {Subscription.of_function(function.name, qualifier) for qualifier in function.qualifiers}
        for subscription in list(self._dispatcher.targets):
            is_its = subscription.function_name == function.name and "/" not in subscription.target_id
            if is_its and subscription not in declared:
                self._target_was_removed(subscription)

    @staticmethod
    def _asynchronous(function: Function, qualifier: str, reserved: int | None) -> Target:
        """Give what runs the asynchronous invocations of a version or alias."""
        config = function.event_invoke_config
        # A function that is stopped still takes what waits, to end it.
        most = config.maximum_concurrency or (10 if reserved is None else max(1, reserved))
        return AsyncInvocations(
            id=function.name,
            arn=function.arn if qualifier == LATEST else function.qualified_arn(qualifier),
            function=function,
            qualifier=qualifier,
            input=KEPT_PAYLOAD,
            retry_policy=config.retry_policy,
            on_success=config.on_success,
            on_failure=config.on_failure,
            dead_letter_queue=config.dead_letter_queue,
            maximum_concurrency=most,
        )

    def _check_target(self, target: Target) -> None:
        super()._check_target(target)
        if isinstance(target, FunctionInvocationTarget) and self._functions.get(target.function.name) is not (
            target.function
        ):
            raise InvalidRuleError(
                f"Function {target.function.name} of target {target.id} is of another router",
                hint="use a function of this router, or one that invokes the other one's",
            )

    # -- invoking ------------------------------------------------------------------------------------------------

    async def invoke(
        self,
        function_name: str,
        payload: object = None,
        *,
        invocation_type: InvocationType = "RequestResponse",
        qualifier: str | None = None,
        principal: str | None = None,
        client_context: object = None,
        log_type: LogType = "None",
    ) -> InvokeResponse:
        """Invoke a function (Lambda, `Invoke`).

        - `RequestResponse` runs it now, and gives its result. A function that fails is no exception here: the response
          has `function_error`, and the error as its payload. What was not run for lack of concurrency is one.
        - `Event` returns when the store has the invocation. It is run then at least once, with retries, and ends with
          a record to its destinations, and if it is given up as a dead letter.
        - `DryRun` checks that the function is there and the principal may invoke it, and runs nothing.

        Args:
            function_name: The function, by its name or ARN, each with a qualifier after a colon if you like.
            payload: Data with a form as JSON, or JSON text as bytes.
            invocation_type: See above.
            qualifier: A version or alias, if the name has none; None for `$LATEST`.
            principal: Who invokes, for the function's policy and `context.identity`; None is the process itself.
            client_context: Data for `context.client_context`; not with `Event`.
            log_type: `Tail` gives the response the lines of the log; not with `Event`.

        Raises:
            NotFoundError: There is no such function, version or alias.
            NotAuthorizedError: The policy of the function does not let the principal invoke it.
            TooManyRequestsError: There is no concurrency left, or the backlog of asynchronous invocations is full.
            ZeroConcurrencyError: The function is stopped by a reserved concurrency of 0; not with `Event`.
            InvokeError: An argument is not usable, or the payload is too large: 6 MB, or 1 MB with `Event`.
            DepthLimitError: With `Event`: the chain of events and invocations is longer than `maximum_depth`.
            BusClosedError: The router is not running.
        """
        name, named = split_name(function_name)
        if named and qualifier not in (None, named):
            raise InvokeError("The derived qualifier from the function name does not match the specified qualifier.")
        return await self._invoke_function(
            self.get_function(name),
            payload,
            invocation_type=invocation_type,
            qualifier=named or qualifier,
            principal=principal,
            client_context=client_context,
            log_type=log_type,
        )

    async def _invoke_function(
        self,
        function: Function,
        payload: object,
        *,
        invocation_type: InvocationType,
        qualifier: str | None,
        principal: str | None,
        client_context: object,
        log_type: LogType,
    ) -> InvokeResponse:
        self._refuse_when_closed()
        if not function.is_declared:
            raise NotFoundError(f"Function not found: {function.arn}")
        check_invocation(invocation_type, log_type, client_context)
        qualifier = None if qualifier is None else str(qualifier)
        request_id = new_ids(1)[0]
        version = function.resolve(qualifier, request_id)
        function.authorize(qualifier, principal)
        encoded = encode_payload(payload, invocation_type)
        await anyio.lowlevel.checkpoint()
        if invocation_type == "DryRun":
            return InvokeResponse(204, request_id)
        request = Request(request_id, encoded, function.qualified_arn(qualifier), principal, client_context)
        if invocation_type == "Event":
            await self._accept_invocation(request, Subscription.of_function(function.name, qualifier or LATEST))
            return InvokeResponse(202, request_id)
        outcome, log = await self._execute(function, version, request)
        told = log if log_type == "Tail" else None
        if isinstance(outcome, FunctionError):
            payload_bytes = msgspec.json.encode(outcome.payload)
            return InvokeResponse(200, request_id, payload_bytes, "Unhandled", outcome.executed_version, told)
        return InvokeResponse(200, request_id, outcome.payload, None, outcome.executed_version, told)

    async def _accept_invocation(self, request: Request, subscription: Subscription) -> None:
        """Keep an asynchronous invocation."""
        parent = current_delivery()
        accepted = accept(request, subscription, self.delivery_now(), parent)
        if len(accepted.causes) > self.maximum_depth:
            raise DepthLimitError(
                f"The invocation would be number {len(accepted.causes)} in a chain; the limit is {self.maximum_depth}."
            )
        if request.principal is not None:
            accepted = msgspec.structs.replace(accepted, attributes={"principal": request.principal})
        [result] = await self._keep([accepted])
        if result.error_code is not None:
            raise TooManyRequestsError  # the backlog has been full for as long as publishers wait

    async def _execute(
        self, function: Function, version: FunctionVersion, request: Request
    ) -> tuple[Executed | FunctionError, tuple[str, ...]]:
        return await self._runtime.execute(
            function.name,
            function.arn,
            version.pool,
            function.counting,
            request,
        )

    # -- life and limits -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _running_functions(self) -> AsyncIterator[None]:
        """Have execution environments while the block runs, whose exceptions come out as they are."""
        error: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            pools = [item for function in self._functions.values() for item in function.pools]
            self._runtime.open(tasks, pools)
            try:
                yield
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as raised:  # noqa: BLE001 - raised again below, outside of the task group,
                error = raised  # which would wrap it in an exception group
            finally:
                await self._runtime.close()
                tasks.cancel_scope.cancel()
        if error is not None:
            raise error

    def delivery_now(self) -> datetime:
        """Give the present, by the time of deliveries."""
        return self._dispatcher.clock.now()

    def _reserve(self, name: str, number: int | None) -> None:
        self._runtime.concurrency.reserve(name, number)

    def _concurrency_of(self, name: str) -> int | None:
        return self._runtime.concurrency.reserved.get(name)

    def _find_function(self, name: str) -> Function | None:
        return self._functions.get(name)

    def _is_qualifier(self, subscription: Subscription) -> bool:
        """Say whether it is that of a declared version or alias."""
        function = self._functions.get(subscription.function_name or "")
        return function is not None and subscription.target_id in function.qualifiers

    def _dead_letter_queue_failed(self, subscription: Subscription) -> None:
        """Count that a target did not take what was given up."""
        function = self._functions.get(subscription.function_name or "")
        if function is not None:
            function.counting.dead_letter_errors += 1


class _Services(Services):
    """What contexts need of a router."""

    def __init__(self, router: Functions) -> None:
        self._router = router

    async def put_events(self, entries: Sequence[EventEntry], *, principal: str) -> list[PutResult]:
        return await self._router.put_events(entries, principal=principal)

    async def invoke(
        self, function_name: str, payload: object, *, invocation_type: InvocationType, principal: str
    ) -> InvokeResponse:
        return await self._router.invoke(function_name, payload, invocation_type=invocation_type, principal=principal)

    async def send_message(self, queue_name: str, body: object, options: Mapping[str, Any]) -> QueueResult:
        return await self._router.queue(queue_name).send(body, **options)
