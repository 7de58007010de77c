"""A function: its versions and aliases, who may invoke it, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, TypedDict, Unpack

from eventrouter.abc import Target, TargetOptions
from eventrouter.buses import MakesTarget
from eventrouter.errors import InvalidRuleError, InvokeError, NotAuthorizedError, NotFoundError
from eventrouter.event import Event
from eventrouter.functions._configuration import (
    LATEST,
    FunctionConfiguration,
    Handler,
    Isolation,
    Lifespan,
    Role,
    check_alias_name,
)
from eventrouter.functions._host import Host
from eventrouter.functions._invocation import InvocationType, InvokeResponse, LogType
from eventrouter.functions._metrics import Counting, FunctionMetrics
from eventrouter.functions._runtime import Pool
from eventrouter.functions._versions import Alias, EventInvokeConfig, FunctionVersion, ProvisionedConcurrency
from eventrouter.policy import Policy

_INVOKE: Final = "lambda:InvokeFunction"


class ConfigurationOptions(TypedDict, total=False):
    """What a version of a function keeps; see `FunctionConfiguration`."""

    timeout: timedelta
    memory: int | None
    isolation: Isolation | None
    lifespan: Lifespan | None
    idle_timeout: timedelta
    role: Role
    description: str


class Function(MakesTarget):
    """A function of a router; `EventRouter.function` declares it, and `EventRouter.get_function` gives it.

    It is not called itself: whoever wants it run uses `invoke`, and a rule or destination its `target`. Calling it runs
    its code as the plain Python function that it is, with nothing around it, as a unit test does.
    """

    def __init__(
        self, host: Host, name: str, configuration: FunctionConfiguration, event_invoke_config: EventInvokeConfig
    ) -> None:
        self._host = host
        self.name = name
        self.__name__ = name
        self.__doc__ = configuration.handler.__doc__
        self.event_invoke_config = event_invoke_config
        self._versions: dict[str, FunctionVersion] = {}
        self._aliases: dict[str, Alias] = {}
        self._provisioned: dict[str, int] = {}
        self._policy: Policy | None = None
        self._published = 0
        self._counting = Counting()
        self._keep(LATEST, configuration, "")

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    def __call__(self, event: object, context: object) -> object:
        """Call the code of `$LATEST` as it is."""
        return self.handler(event, context)

    @property
    def handler(self) -> Handler:
        """The code of `$LATEST`."""
        return self.latest.configuration.handler

    @property
    def latest(self) -> FunctionVersion:
        """The version that can be changed, `$LATEST`."""
        return self._versions[LATEST]

    @property
    def versions(self) -> Mapping[str, FunctionVersion]:
        """All versions by their numbers, `$LATEST` first."""
        return MappingProxyType(self._versions)

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """All aliases by name."""
        return MappingProxyType(self._aliases)

    @property
    def arn(self) -> str:
        """Its name as AWS writes it, such as `arn:aws:lambda:local:000000000000:function:resize`."""
        return f"arn:aws:lambda:{self._host.region}:{self._host.account}:function:{self.name}"

    def qualified_arn(self, qualifier: str | None) -> str:
        """Give the ARN with a version or alias; without one, that of the function."""
        return self.arn if qualifier is None else f"{self.arn}:{qualifier}"

    @property
    def is_declared(self) -> bool:
        """Whether its router still has it."""
        return self._host._find_function(self.name) is self  # noqa: SLF001 - a router's functions are parts of it

    @property
    def metrics(self) -> FunctionMetrics:
        """What has been counted since it was declared."""
        return self._counting.snapshot()

    # -- invoking ------------------------------------------------------------------------------------------------

    async def invoke(
        self,
        payload: object = None,
        *,
        invocation_type: InvocationType = "RequestResponse",
        qualifier: str | None = None,
        principal: str | None = None,
        client_context: object = None,
        log_type: LogType = "None",
    ) -> InvokeResponse:
        """Invoke it; see `EventRouter.invoke`."""
        return await self._host._invoke_function(  # noqa: SLF001
            self,
            payload,
            invocation_type=invocation_type,
            qualifier=qualifier,
            principal=principal,
            client_context=client_context,
            log_type=log_type,
        )

    def target(
        self, *, id: str | None = None, qualifier: str | None = None, **options: Unpack[TargetOptions]
    ) -> Target:
        """Give a target that invokes it asynchronously, for a rule, a destination or a dead-letter queue.

        Args:
            id: The target's id; by default the function's name.
            qualifier: A version or alias; None for `$LATEST`.
            options: Those of a `Target`. They are about the way to the function, where hardly anything can fail:
                retries, destinations and dead letters of what the function does are its own.
        """
        from eventrouter.functions._target import FunctionInvocationTarget  # noqa: PLC0415 - it knows functions

        return FunctionInvocationTarget(id=id or self.name, function=self, qualifier=qualifier, **options)

    def resolve(self, qualifier: str | None, request_id: str) -> FunctionVersion:
        """Give the version that an invocation runs.

        Raises:
            NotFoundError: There is no such version or alias.
        """
        name = LATEST if qualifier is None else qualifier
        alias = self._aliases.get(name)
        version = self._versions.get(alias.choose(request_id) if alias is not None else name)
        if version is None:
            raise NotFoundError(f"Function not found: {self.qualified_arn(qualifier)}")
        return version

    # -- versions and aliases ------------------------------------------------------------------------------------

    def update(self, handler: Handler | None = None, **options: Unpack[ConfigurationOptions]) -> None:
        """Give `$LATEST` other code or another configuration; what is not named stays. Published versions stay.

        Invocations that run go on as they began, and the next one begins in a new execution environment.

        Raises:
            InvalidRuleError: Something is not usable as written; nothing has changed.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        changes = dict(options) if handler is None else {"handler": handler, **options}
        configuration = replace(self.latest.configuration, **changes)  # type: ignore[arg-type]
        gone = self.latest.pool
        self._keep(LATEST, configuration, "")
        self._host._function_has_changed(self, gone=[gone])  # noqa: SLF001

    def publish_version(self, description: str = "") -> FunctionVersion:
        """Make a version of what `$LATEST` is now, which never changes (Lambda, `PublishVersion`).

        Nothing is published when nothing has changed since the last one, which is given again.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        last = self._versions.get(str(self._published))
        if last is not None and last.configuration.is_same_as(self.latest.configuration):
            return last
        self._published += 1
        published = self._keep(str(self._published), self.latest.configuration.snapshot(), description)
        self._host._function_has_changed(self)  # noqa: SLF001
        return published

    def _keep(self, number: str, configuration: FunctionConfiguration, description: str) -> FunctionVersion:
        pool = Pool(number, configuration)
        version = self._versions[number] = FunctionVersion(number, configuration, description, pool)
        return version

    def put_alias(
        self,
        name: str,
        version: str | int,
        *,
        additional_version_weights: Mapping[str | int, float] | None = None,
        description: str = "",
    ) -> Alias:
        """Give a version a name, or give the name to another version (Lambda, `CreateAlias`, `UpdateAlias`).

        With a second version, a hash of the request id decides which of the two an invocation runs: the same one for
        all its attempts.

        Args:
            name: 1 to 128 letters, digits, and `- _`, not digits alone.
            version: The version.
            additional_version_weights: One more version with its share, from 0.0 to 1.0; both are published ones then.
            description: For people.

        Raises:
            InvalidRuleError: The name is not usable.
            InvokeError: The weights are not usable.
            NotFoundError: There is no such version.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        check_alias_name(name)
        weights = {str(number): weight for number, weight in (additional_version_weights or {}).items()}
        alias = Alias(name, str(version), MappingProxyType(weights), description)
        for number in (alias.version, *weights):
            if number not in self._versions:
                raise NotFoundError(f"Function not found: {self.qualified_arn(number)}")
        alias.check()
        if LATEST in alias.shares():
            self._check_provisionable(name, self._provisioned.get(name, 0), alias)
        self._aliases[name] = alias
        self._provision()
        self._host._function_has_changed(self)  # noqa: SLF001
        return alias

    def remove_alias(self, name: str) -> None:
        """Remove an alias. Asynchronous invocations of it that wait stay parked until it is put again.

        Raises:
            NotFoundError: There is no such alias.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        if name not in self._aliases:
            raise NotFoundError(f"Function not found: {self.qualified_arn(name)}")
        del self._aliases[name]
        self._provisioned.pop(name, None)
        self._provision()
        self._host._function_has_changed(self)  # noqa: SLF001

    # -- limits --------------------------------------------------------------------------------------------------

    @property
    def reserved_concurrency(self) -> int | None:
        """How many invocations it may run at once, and can always; None if it shares what is not reserved."""
        return self._host._concurrency_of(self.name)  # noqa: SLF001

    def put_concurrency(self, reserved: int | None) -> None:
        """Reserve concurrency: no more, and no fewer, invocations may run at once (Lambda, `PutFunctionConcurrency`).

        0 stops the function: synchronous invocations are refused, and asynchronous ones end as failures, those that
        wait included. None gives it back.

        Raises:
            InvokeError: `InvalidParameterValueException`: so much is not there; nothing has changed.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        self._host._reserve(self.name, reserved)  # noqa: SLF001
        self._host._function_has_changed(self)  # noqa: SLF001

    def put_provisioned_concurrency(self, qualifier: str | int, number: int) -> None:
        """Keep execution environments ready while the router runs (Lambda, `PutProvisionedConcurrencyConfig`).

        Args:
            qualifier: A published version, or an alias, whose versions get their shares.
            number: How many; 0 for none.

        Raises:
            InvokeError: It is `$LATEST`, or the number is none.
            NotFoundError: There is no such version or alias.
        """
        self._host._refuse_change(self)  # noqa: SLF001
        name = str(qualifier)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise InvokeError(f"The provisioned concurrency of {self.name} is {number!r}; use a whole number from 0")
        self.resolve(name, "")
        self._check_provisionable(name, number)
        self._provisioned[name] = number
        self._provision()
        self._host._function_has_changed(self)  # noqa: SLF001

    def get_provisioned_concurrency(self, qualifier: str | int) -> ProvisionedConcurrency:
        """Say how many environments are kept ready. Raises `NotFoundError` if none were asked for."""
        name = str(qualifier)
        if not self._provisioned.get(name):
            raise NotFoundError(f"No Provisioned Concurrency Config found for {self.qualified_arn(name)}")
        pools = [self._versions[number].pool for number in self._shares(name)]
        allocated = sum(min(pool.provisioned, pool.ready) for pool in pools)
        return ProvisionedConcurrency(self._provisioned[name], min(allocated, self._provisioned[name]))

    def _shares(self, name: str) -> dict[str, float]:
        """Give the versions that a qualifier stands for, each with its share."""
        return self._aliases[name].shares() if name in self._aliases else {name: 1.0}

    def _check_provisionable(self, name: str, number: int, alias: Alias | None = None) -> None:
        shares = self._shares(name) if alias is None else alias.shares()
        if number and LATEST in shares:
            raise InvokeError("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")

    def _provision(self) -> None:
        """Spread what is provisioned over the versions."""
        wanted: dict[str, int] = {}
        for name, number in self._provisioned.items():
            shares = self._shares(name)
            left = number
            for version, share in list(shares.items())[1:]:
                part = min(left, round(number * share))
                left -= part
                wanted[version] = wanted.get(version, 0) + part
            first = next(iter(shares))
            wanted[first] = wanted.get(first, 0) + left
        for published in self._versions.values():
            published.pool.provisioned = wanted.get(published.version, 0)

    # -- who may invoke it ---------------------------------------------------------------------------------------

    @property
    def policy(self) -> Policy | None:
        """Who may invoke it; None for everybody."""
        return self._policy

    def put_policy(self, policy: Policy | Mapping[str, Any] | str | bytes) -> None:
        """Say who may invoke it, in place of what was said before (Lambda, `AddPermission`).

        Without a policy everybody may; with one, only whom a statement allows `lambda:InvokeFunction`. A rule invokes
        as its ARN, a function as its own, and what names no principal is the process itself, which a statement for
        `*` allows. A resource is `NAME` for invocations without a qualifier, and `NAME:QUALIFIER` for those with one.

        Raises:
            InvalidRuleError: It is no policy, or none of its statements is about invoking this function.
        """
        parsed = policy if isinstance(policy, Policy) else Policy.parse(policy)
        resources = [self.name, *(f"{self.name}:{name}" for name in (*self._versions, *self._aliases))]
        if not any(parsed.covers(_INVOKE, resource) for resource in resources):
            raise InvalidRuleError(
                f"No statement of the policy is about {_INVOKE} on {self.name}",
                hint="name the function, or *, as Resource",
            )
        self._policy = parsed

    def remove_policy(self) -> None:
        """Let everybody invoke it again. Raises `NotFoundError` if it has no policy."""
        if self._policy is None:
            raise NotFoundError(f"Function {self.name} has no policy.")
        self._policy = None

    def authorize(self, qualifier: str | None, principal: str | None, event: Event | None = None) -> None:
        """Raise `NotAuthorizedError` when *principal* may not invoke it; the event is that of a rule."""
        if self._policy is None:
            return
        denial = self._policy.authorize(
            action=_INVOKE,
            resource=self.name if qualifier is None else f"{self.name}:{qualifier}",
            principal=principal,
            source=None if event is None else event.source,
            detail_type=None if event is None else event.detail_type,
        )
        if denial is not None:
            raise NotAuthorizedError(f"AccessDeniedException: {denial.error_message}")

    # -- for its router ------------------------------------------------------------------------------------------

    @property
    def host(self) -> Host:
        """Its router."""
        return self._host

    @property
    def pools(self) -> list[tuple[Pool, Counting]]:
        """The execution environments of all versions."""
        return [(version.pool, self._counting) for version in self._versions.values()]

    @property
    def counting(self) -> Counting:
        """Where what happens is counted."""
        return self._counting

    @property
    def qualifiers(self) -> list[str]:
        """All versions and aliases."""
        return [*self._versions, *self._aliases]
