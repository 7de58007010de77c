"""The site's outer skin: how much may be sent, from where, and what browsers are told to refuse."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing is loaded from elsewhere, no script is written into a page, and no other site shows one in a frame.
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, the origin of forms would be "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: What is sent beyond the limit is read so many times over, since a browser hears no answer before it has sent all.
_PATIENCE: Final = 4


class SecurityHeaders:
    """Adds the headers above to every answer that has not set one of them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class SameOriginOnly:
    """Refuses what a page of another site has a browser send. Cookies are `SameSite=Strict` besides."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and _is_foreign(Headers(scope=scope)):
            await PlainTextResponse("This was sent by a page of another site.", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_foreign(headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin")
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    return origin is not None and origin.rpartition("/")[2] != headers.get("host")


class BodyLimit:
    """Refuses what is too large while it arrives, whatever its length was said to be.

    Args:
        app: Is given all else.
        limit: Bytes of a body.
        message: Is told, with status 413.
    """

    def __init__(self, app: ASGIApp, limit: int, message: str) -> None:
        self._app = app
        self._limit = limit
        self._message = message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        received = 0

        async def receive_some() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                while message.get("more_body") and received <= self._limit * _PATIENCE:
                    message = await receive()
                    received += len(message.get("body", b""))
                raise HTTPException(413, self._message)
            return message

        await self._app(scope, receive_some if scope["type"] == "http" else receive, send)
