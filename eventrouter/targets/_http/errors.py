"""How a delivery over HTTP can fail. The codes are EventBridge's (user guide, "Using dead-letter queues")."""

from __future__ import annotations

from datetime import timedelta

from eventrouter.errors import DeliveryError, PermanentDeliveryError


class EgressError(PermanentDeliveryError):
    """The egress policy refuses the address. No connection was opened."""

    error_code = "EGRESS_REFUSED"


class ConnectionFailedError(DeliveryError):
    """There was no answer: no such host, no connection, no valid certificate, or it broke off. Retried."""

    error_code = "CONNECTION_FAILURE"


class UnusableAnswerError(DeliveryError):
    """The answer is not what the protocol promises, such as a token endpoint's without a token. Retried."""

    error_code = "ERROR_FROM_TARGET"


class HttpStatusError(DeliveryError):
    """The answer's status asks for another attempt: 429 or 5xx. Retried.

    Attributes:
        status: The status code.
    """

    def __init__(
        self, message: str, status: int, error_code: str = "ERROR_FROM_TARGET", *, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, status, error_code, retry_after=retry_after)  # all of it: errors get pickled
        self.status, self.error_code = status, error_code

    def __str__(self) -> str:
        return str(self.args[0])


class HttpRefusedError(PermanentDeliveryError):
    """The answer's status says that asking again is no use: 1xx, 3xx, or 4xx but 429.

    Attributes:
        status: The status code.
    """

    def __init__(self, message: str, status: int, error_code: str = "ERROR_FROM_TARGET") -> None:
        super().__init__(message, status, error_code)
        self.status, self.error_code = status, error_code

    def __str__(self) -> str:
        return str(self.args[0])
