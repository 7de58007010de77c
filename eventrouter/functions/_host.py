"""What functions need of their router."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from eventrouter.errors import FunctionError
from eventrouter.functions._invocation import InvocationType, InvokeResponse, LogType, Request
from eventrouter.functions._runtime import Pool
from eventrouter.functions._versions import FunctionVersion
from eventrouter.records import Executed

if TYPE_CHECKING:
    from eventrouter.functions._function import Function  # which knows this


class Host(ABC):
    """What a function needs of its router."""

    account: str
    region: str

    @abstractmethod
    def delivery_now(self) -> datetime:
        """Give the present, by the time of deliveries."""

    @abstractmethod
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
        """Invoke a function."""

    @abstractmethod
    async def _execute(
        self, function: Function, version: FunctionVersion, request: Request
    ) -> tuple[Executed | FunctionError, tuple[str, ...]]:
        """Run an invocation."""

    @abstractmethod
    def _refuse_change(self, function: Function) -> None:
        """Raise `NotFoundError` when a function was removed, and `BusClosedError` in another event loop."""

    @abstractmethod
    def _function_has_changed(self, function: Function, *, gone: Sequence[Pool] = ()) -> None:
        """Hear that a function has other versions, aliases or limits, and that pools are not needed any more."""

    @abstractmethod
    def _reserve(self, name: str, number: int | None) -> None:
        """Reserve concurrency."""

    @abstractmethod
    def _find_function(self, name: str) -> Function | None:
        """Give the function of a name."""

    @abstractmethod
    def _concurrency_of(self, name: str) -> int | None:
        """Give the reserved concurrency of a function."""
