"""What an answer's status means (EventBridge user guide, "API destinations")."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from eventrouter.targets._http.errors import HttpRefusedError, HttpStatusError
from eventrouter.targets._http.network import Answer
from eventrouter.targets._http.secrets import Secrets

#: Characters of a body that an error message shows.
_EXCERPT: Final = 300
#: The longest `Retry-After` that is taken at its word; a longer one is past every event's age anyway.
_LONGEST: Final = 366 * 24 * 3600

_CODES: Final = {
    401: "NO_PERMISSIONS",
    403: "NO_PERMISSIONS",
    404: "NO_RESOURCE",
    407: "NO_PERMISSIONS",
    408: "TIMEOUT",
    410: "NO_RESOURCE",
    429: "THROTTLING",
    504: "TIMEOUT",
}


def check_status(answer: Answer, request: str, secrets: Secrets, now: datetime) -> None:
    """Do nothing about 2xx, and raise what any other status means.

    Args:
        answer: The answer.
        request: Method and origin, for the message.
        secrets: What must not be in the message, which repeats the beginning of the answer's body.
        now: The present, which `Retry-After` may be relative to.

    Raises:
        HttpStatusError: 429 and 5xx, with the `Retry-After` of the answer.
        HttpRefusedError: 1xx, 3xx and any other 4xx.
    """
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004 - as everybody writes them
        return
    message = f"{request} answered {_name(status)}{_explanation(answer, secrets)}"
    code = _CODES.get(status, "ERROR_FROM_TARGET")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise HttpStatusError(message, status, code, retry_after=retry_after(answer.headers.get("retry-after"), now))
    raise HttpRefusedError(message, status, code)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read a `Retry-After` header: seconds, which may be negative, or a date (RFC 9110, section 10.2.3).

    Returns:
        How long to wait; negative for never; None when there is nothing that can be understood.
    """
    if value is None:
        return None
    try:
        return timedelta(seconds=max(-1, min(int(value[:20]), _LONGEST)))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    wait = date.replace(tzinfo=date.tzinfo or UTC) - now
    return min(max(timedelta(0), wait), timedelta(seconds=_LONGEST))


def _name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explanation(answer: Answer, secrets: Secrets) -> str:
    location = answer.headers.get("location")
    if 300 <= answer.status < 400 and location:  # noqa: PLR2004
        return f", which leads to {_printable(secrets.redact(location))} and is not followed"
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding != "identity":
        return f" (its body is compressed, {_printable(secrets.redact(encoding))})"
    text = secrets.redact(answer.body.decode(errors="replace"), is_whole=answer.is_whole)
    excerpt = _printable(text)
    return f": {excerpt}" if excerpt else ""


def _printable(text: str) -> str:
    """Make one line of it, so that a log cannot be forged."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _EXCERPT]).split())
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "..."
