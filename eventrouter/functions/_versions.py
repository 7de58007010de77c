"""Versions and aliases of a function, and what else is configured. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from eventrouter.abc import DeadLetterQueue, Target
from eventrouter.errors import InvokeError
from eventrouter.functions._configuration import LATEST, FunctionConfiguration
from eventrouter.functions._runtime import Pool
from eventrouter.retry import RetryPolicy


@dataclass(frozen=True, kw_only=True)
class EventInvokeConfig:
    """How asynchronous invocations of a function end (Lambda, `PutFunctionEventInvokeConfig`).

    Attributes:
        retry_policy: When a failed attempt is repeated; Lambda allows 0 to 2 retries within 60 s to 6 h.
        on_success: Destinations of a record of each invocation that succeeded.
        on_failure: The same for each that was given up.
        dead_letter_queue: Where the payload goes that was given up.
        maximum_concurrency: How many run at once, of each qualifier; None for the reserved concurrency, or 10.
    """

    retry_policy: RetryPolicy = field(default_factory=RetryPolicy.lambda_async)
    on_success: Sequence[Target] | Target = ()
    on_failure: Sequence[Target] | Target = ()
    dead_letter_queue: DeadLetterQueue | Target | None = field(default_factory=DeadLetterQueue)
    maximum_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class FunctionVersion:
    """A function as it was when it was published, or as it is now.

    Attributes:
        version: `$LATEST`, or a number from 1.
        configuration: Its code and how it is run.
        description: For people.
        pool: Its execution environments that are idle.
    """

    version: str
    configuration: FunctionConfiguration
    description: str
    pool: Pool = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a version, or for two of them (Lambda, `CreateAlias`).

    Attributes:
        name: The name.
        version: The version that it stands for.
        additional_version_weights: At most one more version, with its share of the invocations from 0 to 1.
        description: For people.
    """

    name: str
    version: str
    additional_version_weights: Mapping[str, float] = field(default_factory=dict)
    description: str = ""

    def choose(self, request_id: str) -> str:
        """Give the version for an invocation: the same for the same id, in every process and attempt."""
        draw = int.from_bytes(hashlib.blake2b(f"{self.name}\0{request_id}".encode(), digest_size=7).digest()) / 2**56
        for version, weight in self.additional_version_weights.items():
            if draw < weight:
                return version
        return self.version

    def check(self) -> None:
        """Raise `InvokeError` when the weights are not usable."""
        weights = self.additional_version_weights
        if not weights:
            return
        if len(weights) > 1:
            raise InvokeError("An alias takes one additional version")
        if LATEST in (self.version, *weights):
            raise InvokeError("$LATEST is not supported for an alias pointing to more than 1 version")
        if self.version in weights:
            raise InvokeError(f"Alias {self.name} names version {self.version} twice")
        for weight in weights.values():
            if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight <= 1:
                raise InvokeError(f"The weight {weight!r} of alias {self.name} is not between 0.0 and 1.0")

    def shares(self) -> dict[str, float]:
        """Give each version with its share."""
        additional = sum(self.additional_version_weights.values())
        return {self.version: 1 - additional, **self.additional_version_weights}


@dataclass(frozen=True, slots=True)
class ProvisionedConcurrency:
    """How much concurrency is provisioned (Lambda, `GetProvisionedConcurrencyConfig`).

    Attributes:
        requested: So many execution environments were asked for.
        allocated: So many there are, ready or getting ready.
    """

    requested: int
    allocated: int

    @property
    def status(self) -> str:
        """`READY` or `IN_PROGRESS`."""
        return "READY" if self.allocated >= self.requested else "IN_PROGRESS"
