"""Running invocations: concurrency, execution environments, time limits, logs and metrics."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from eventrouter.abc import Clock
from eventrouter.errors import BusClosedError, FunctionError, TooManyRequestsError
from eventrouter.functions._concurrency import Concurrency
from eventrouter.functions._configuration import FunctionConfiguration
from eventrouter.functions._context import Capabilities, Facts, Identity, Services
from eventrouter.functions._environment import Environment, InProcess, Work
from eventrouter.functions._invocation import Request
from eventrouter.functions._log import InvocationLog
from eventrouter.functions._metrics import Counting
from eventrouter.functions._process import InChild
from eventrouter.records import Executed

logger = logging.getLogger("eventrouter.functions")

#: Seconds that an execution environment has to get ready (AWS Lambda developer guide, "Init phase").
INIT_TIMEOUT: Final = 10.0
#: Seconds that one has to go away.
_CLOSE_PATIENCE: Final = 10.0


class Pool:
    """The execution environments of one version that nobody uses at the moment.

    Attributes:
        version: Whose.
        configuration: Of that version.
        provisioned: So many are kept, however long they are idle.
        is_retired: Whether none is to be kept: the version has been replaced, or the router is closed.
    """

    def __init__(self, version: str, configuration: FunctionConfiguration) -> None:
        self.configuration = configuration
        self.provisioned = 0
        self.is_retired = False
        self.busy = 0  # in an invocation
        self.starting = 0  # ahead of one
        self.version = version
        self._idle: list[tuple[Environment, float]] = []  # each with since when, the longest first

    def __len__(self) -> int:
        return len(self._idle) + self.busy + self.starting

    @property
    def ready(self) -> int:
        """How many there are that can be used or are used."""
        return len(self._idle) + self.busy

    def new(self, day: str) -> Environment:
        """Make an environment, which is to be started."""
        stream = f"{day}/[{self.version}]{uuid4().hex}"
        return (InProcess if self.configuration.isolation is None else InChild)(self.configuration, stream)

    def take(self) -> tuple[Environment | None, list[Environment]]:
        """Give the one that was used last, if there is any, and those before it that have broken while they were idle.

        A lifespan may fail meanwhile, and a process be killed.
        """
        broken: list[Environment] = []
        while self._idle:
            environment, _ = self._idle.pop()
            if not environment.is_broken:
                return environment, broken
            broken.append(environment)
        return None, broken

    def put_back(self, environment: Environment, now: float) -> bool:
        """Keep an environment for the next one. False if it is to be closed."""
        if environment.is_broken or self.is_retired:
            return False
        self._idle.append((environment, now))
        return True

    def idle_until(self) -> float:
        """Say when the first environment will have been idle for too long."""
        if not self._idle or (len(self) <= self.provisioned and not self.is_retired):
            return math.inf
        return self._idle[0][1] + self.configuration.idle_timeout.total_seconds()

    def evict(self, now: float) -> list[Environment]:
        """Give up the environments that have been idle for too long."""
        gone: list[Environment] = []
        while self.idle_until() <= now:
            gone.append(self._idle.pop(0)[0])
        return gone

    def drain(self) -> list[Environment]:
        """Give up all that are idle, and keep none any more."""
        self.is_retired = True
        gone = [environment for environment, _ in self._idle]
        self._idle.clear()
        return gone


class Runtime:
    """Runs invocations of all functions of a router.

    Args:
        services: What contexts need.
        concurrency: How many may run.
        clock: Wall time.
    """

    def __init__(self, services: Services, concurrency: Concurrency, clock: Clock) -> None:
        self.concurrency = concurrency
        self._services = services
        self._clock = clock
        self._tasks: TaskGroup | None = None
        self._pools: dict[int, tuple[Pool, Counting]] = {}
        self._changed = anyio.Event()

    # -- life ----------------------------------------------------------------------------------------------------

    def open(self, tasks: TaskGroup, pools: Iterable[tuple[Pool, Counting]]) -> None:
        """Keep environments ready, and send those away that are idle, in these tasks."""
        self._tasks = tasks
        for pool, counting in pools:
            pool.is_retired = False
            self.add(pool, counting)
        tasks.start_soon(self._evict)

    def add(self, pool: Pool, counting: Counting) -> None:
        """Look after one more pool, and begin what it has to have provisioned."""
        self._pools[id(pool)] = pool, counting
        self._refill(pool, counting)
        self._changed.set()

    def _refill(self, pool: Pool, counting: Counting) -> None:
        if self._tasks is None:
            return
        for _ in range(pool.provisioned - len(pool)):
            pool.starting += 1
            self._tasks.start_soon(self._provide, pool, counting)

    def retire(self, pool: Pool) -> None:
        """Have no more of a pool: what is idle goes now, the rest when it is done."""
        self._pools.pop(id(pool), None)
        self._close_later(pool.drain())

    def _close_later(self, environments: Iterable[Environment]) -> None:
        if self._tasks is not None:
            for environment in environments:
                self._tasks.start_soon(_close, environment)

    async def close(self) -> None:
        """Close everything that is idle."""
        self._tasks = None
        environments = [environment for pool, _ in self._pools.values() for environment in pool.drain()]
        self._pools.clear()
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as closing:
                for environment in environments:
                    closing.start_soon(_close, environment)

    async def _evict(self) -> None:
        while True:
            self._changed = anyio.Event()
            now = anyio.current_time()
            for environment in [item for pool, _ in self._pools.values() for item in pool.evict(now)]:
                await _close(environment)
            first = min((pool.idle_until() for pool, _ in self._pools.values()), default=math.inf)
            with anyio.CancelScope(deadline=first):
                await self._changed.wait()

    async def _provide(self, pool: Pool, counting: Counting) -> None:
        """Start an environment ahead of its first invocation."""
        environment = pool.new(self._day())
        try:
            await self._start(environment, None, counting)
        except Exception:
            environment.is_broken = True  # the next invocation begins another, and tells its caller
            logger.exception("An execution environment of %s could not be provisioned", environment.log_stream)
        finally:
            pool.starting -= 1
            await self._put_back(pool, environment)

    async def _put_back(self, pool: Pool, environment: Environment) -> None:
        if self._tasks is not None and pool.put_back(environment, anyio.current_time()):
            self._changed.set()
        else:
            await _close(environment)

    def _day(self) -> str:
        return f"{self._clock.now():%Y/%m/%d}"

    # -- invocations ---------------------------------------------------------------------------------------------

    async def execute(
        self, function_name: str, arn: str, pool: Pool, counting: Counting, request: Request
    ) -> tuple[Executed | FunctionError, tuple[str, ...]]:
        """Make one invocation.

        Args:
            function_name: The function.
            arn: Its ARN, as whom it acts.
            pool: Of the version that is run.
            counting: Of the function.
            request: The invocation.

        Returns:
            The result or the failure, and the last lines of the log.

        Raises:
            TooManyRequestsError: There is no concurrency left; nothing was run.
            ZeroConcurrencyError: The function is stopped; nothing was run.
            BusClosedError: The router has closed since the invocation was accepted.
        """
        if self._tasks is None:
            raise BusClosedError("The router has closed.")
        try:
            self.concurrency.take(function_name)
        except TooManyRequestsError:
            counting.throttles += 1
            raise
        counting.began(self.concurrency.running[function_name])
        environment, broken = pool.take()
        self._close_later(broken)
        is_cold = environment is None
        environment = environment or pool.new(self._day())
        counting.cold_starts += is_cold
        counting.warm_starts += not is_cold
        counting.provisioned_concurrency_spillover += is_cold and pool.provisioned > 0
        pool.busy += 1
        configuration = pool.configuration
        facts = Facts(
            aws_request_id=request.request_id,
            function_name=function_name,
            function_version=pool.version,
            invoked_function_arn=request.invoked_arn,
            memory_limit_in_mb=configuration.memory,
            log_group_name=f"/aws/lambda/{function_name}",
            log_stream_name=environment.log_stream,
            identity=Identity(request.principal),
            client_context=request.client_context,
        )
        capabilities = Capabilities(self._services, configuration.role, arn)
        work = Work(facts, request.payload, capabilities, configuration.timeout.total_seconds(), InvocationLog(facts))
        try:
            return await self._make(environment, work, counting, is_cold=is_cold)
        finally:
            pool.busy -= 1
            # Given back first: closing takes a while, and the concurrency of a thread ends with that thread.
            self.concurrency.give_back(function_name, environment.thread)
            await self._put_back(pool, environment)
            if not pool.is_retired:
                self._refill(pool, counting)  # one that broke is replaced

    async def _make(
        self, environment: Environment, work: Work, counting: Counting, *, is_cold: bool
    ) -> tuple[Executed | FunctionError, tuple[str, ...]]:
        facts = work.facts
        work.log.write(f"START RequestId: {facts.aws_request_id} Version: {facts.function_version}")
        init: float | None = None
        begin = anyio.current_time()
        outcome: Executed | FunctionError
        try:
            if is_cold:
                init = await self._start(environment, work, counting)
                begin = anyio.current_time()
            outcome = Executed(await _run(environment, work), facts.function_version)
        except FunctionError as error:
            outcome = error
        except BaseException:
            environment.is_broken |= is_cold  # cancelled, perhaps before it was ready
            raise
        seconds = anyio.current_time() - begin
        counting.ended(seconds, failed=isinstance(outcome, FunctionError))
        work.log.write(f"END RequestId: {facts.aws_request_id}")
        work.log.write(_report(environment, facts, seconds, init, outcome))
        return outcome, work.log.tail

    async def _start(self, environment: Environment, work: Work | None, counting: Counting) -> float:
        """Get an environment ready, and say how many seconds it took."""
        assert self._tasks is not None  # noqa: S101 - nothing is run when the router is closed
        begin = anyio.current_time()
        try:
            with anyio.move_on_after(INIT_TIMEOUT) as limit:
                await environment.start(self._tasks)
            if limit.cancelled_caught:
                message = f"Init timed out after {INIT_TIMEOUT:.2f} seconds"
                raise FunctionError("Sandbox.Timedout", message)  # noqa: TRY301 - as what `start` raises
        except Exception as error:
            environment.is_broken = True
            if work is None:
                raise
            if isinstance(error, FunctionError):
                code = "TIMEOUT" if error.error_type == "Sandbox.Timedout" else error.error_code
                raise work.described_failure(error.error_type, error.error_message, error.stack_trace, code) from error
            raise work.failure(error) from error
        seconds = anyio.current_time() - begin
        counting.init_duration.add(seconds)
        return seconds


async def _run(environment: Environment, work: Work) -> bytes:
    with anyio.move_on_after(work.seconds) as limit:
        return await environment.run(work)
    assert limit.cancelled_caught  # noqa: S101 - there is no other way here
    raise work.timed_out()


async def _close(environment: Environment) -> None:
    with anyio.move_on_after(_CLOSE_PATIENCE, shield=True):
        try:
            await environment.aclose()
        except Exception:
            logger.exception("Execution environment %s could not be closed", environment.log_stream)


def _report(
    environment: Environment, facts: Facts, seconds: float, init: float | None, outcome: Executed | FunctionError
) -> str:
    """Write the line that sums an invocation up (AWS Lambda developer guide, "Log and monitor Python functions")."""
    fields = [
        f"REPORT RequestId: {facts.aws_request_id}",
        f"Duration: {seconds * 1_000:.2f} ms",
        f"Billed Duration: {math.ceil(seconds * 1_000)} ms",
    ]
    if facts.memory_limit_in_mb is not None:
        fields.append(f"Memory Size: {facts.memory_limit_in_mb} MB")
    peak = environment.peak_memory()
    if peak is not None:
        fields.append(f"Max Memory Used: {peak} MB")
    if init is not None:
        fields.append(f"Init Duration: {init * 1_000:.2f} ms")
    if isinstance(outcome, FunctionError):
        is_timeout = outcome.error_type == "Sandbox.Timedout"
        fields += ["Status: timeout"] if is_timeout else ["Status: error", f"Error Type: {outcome.error_type}"]
    return "\t".join(fields)
