"""Functions as targets: how a rule invokes one, and how asynchronous invocations are run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from eventrouter.abc import Target
from eventrouter.errors import FunctionError, InvalidRuleError, NotFoundError, ResourceNotFoundError
from eventrouter.functions._configuration import LATEST
from eventrouter.functions._function import Function
from eventrouter.functions._invocation import Handover, Request, hand_over
from eventrouter.records import Delivery, Executed, Subscription


@dataclass(frozen=True, kw_only=True)
class FunctionInvocationTarget(Target):
    """Invoke a declared function asynchronously, as EventBridge invokes one of Lambda; `Function.target` makes it.

    The invocation is there if and only if the delivery has ended: both are one transaction of the store. From there on
    the function's own retries, destinations and dead letters count. The request id is the id of the event.

    What the function's policy refuses is a dead letter with `NO_PERMISSIONS`; a function that is not declared any more
    one with `NO_RESOURCE`.

    Attributes:
        function: The function.
        qualifier: A version or alias; None for `$LATEST`.
        arn: What dead letters name as `TARGET_ARN`; that of the function, with the qualifier, when empty.

    Raises:
        InvalidRuleError: The function is none.
        NotFoundError: It has no such version or alias.
    """

    function: Function
    qualifier: str | None = None
    timeout: timedelta | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.function, Function):
            raise InvalidRuleError(
                f"function of target {self.id} is {self.function!r}", hint="use router.function or router.get_function"
            )
        self.function.resolve(self.qualifier, "")
        if not self.arn:
            object.__setattr__(self, "arn", self.function.qualified_arn(self.qualifier))

    async def invoke(self, delivery: Delivery) -> Handover:
        """Give the invocation, which the router writes with the end of the delivery."""
        function, host = self.function, self.function.host
        if not function.is_declared:
            raise ResourceNotFoundError(f"Function not found: {function.arn}")
        try:
            function.resolve(self.qualifier, delivery.event.id)
        except NotFoundError as error:
            raise ResourceNotFoundError(str(error)) from error
        principal = delivery.subscription.principal(region=host.region, account=host.account)
        function.authorize(self.qualifier, principal, delivery.event)
        subscription = Subscription.of_function(function.name, self.qualifier or LATEST)
        accepted = hand_over(delivery, self.function.qualified_arn(self.qualifier), subscription, host.delivery_now())
        return Handover(msgspec.structs.replace(accepted, attributes={"principal": principal}))


@dataclass(frozen=True, kw_only=True)
class AsyncInvocations(Target):
    """Runs the asynchronous invocations of a function that name one version or alias.

    Attributes:
        function: The function.
        qualifier: The version or alias.
    """

    function: Function
    qualifier: str
    timeout: timedelta | None = None

    async def invoke(self, delivery: Delivery) -> Executed:
        """Run one attempt."""
        function, request_id = self.function, delivery.event.id
        try:
            version = function.resolve(self.qualifier, request_id)
        except NotFoundError as error:
            raise ResourceNotFoundError(str(error)) from error
        request = Request(request_id, delivery.payload, self.arn, delivery.attributes.get("principal"))
        outcome, _ = await function.host._execute(function, version, request)  # noqa: SLF001 - parts of one router
        if isinstance(outcome, FunctionError):
            raise outcome
        return outcome
