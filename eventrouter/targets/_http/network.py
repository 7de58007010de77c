"""Connections that go where the egress policy lets them, and one exchange over them.

The one module that knows httpcore. It uses httpcore's pool and not httpx's client on top: what the client adds, such as
redirects, cookies, proxies from the environment and log lines with whole URLs, is what must not happen here.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Any, Final

import anyio

from eventrouter.errors import InvalidRuleError, MissingExtraError
from eventrouter.targets._http.egress import EgressPolicy
from eventrouter.targets._http.errors import ConnectionFailedError, EgressError

try:
    import httpcore
    import httpx
except ImportError as error:
    raise MissingExtraError("HttpTarget", "http") from error

#: How much of a body is kept, which is to explain a failure or to hold a token; and how much is read so that the
#: connection can be used again. EventBridge asks for the same 1 MiB by its `Range` header.
KEPT: Final = 64 * 1024
MOST: Final = 1024 * 1024
#: How long a body may take. The status has come by then and decides; an endless body must not undo it.
_BODY_PATIENCE: Final = 2.0
#: How long one address of several may take to connect before the next is tried.
_ADDRESS_PATIENCE: Final = 1.0
#: How long an unused connection is kept. Short, as some servers close theirs after 5 s, and since a new connection is
#: what makes us look at the name's addresses again.
_KEEPALIVE: Final = 4.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL taken apart.

    Attributes:
        origin: Scheme, host and port as text, which is all that messages tell: paths and queries may be secrets.
        scheme: `https` or `http`.
        host: The host's name as it is resolved, without brackets.
        port: The port.
        authority: What goes into the `Host` header.
        path: The path, percent-encoded.
        query: The query, percent-encoded, without the question mark.
    """

    origin: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str
    query: str

    @classmethod
    def parse(cls, name: str, text: str, egress: EgressPolicy) -> Endpoint:
        """Take a URL apart.

        Raises:
            InvalidRuleError: It is no URL of a server, has what does not belong there, or the policy refuses it.
        """
        try:
            url = httpx.URL(text)
            host = url.raw_host.decode()
        except (httpx.InvalidURL, TypeError, UnicodeError) as error:
            raise InvalidRuleError(f"{name} is not a URL: {error}") from None
        if url.scheme not in ("https", "http") or not host:
            raise InvalidRuleError(f"{name} is not an http or https URL", hint="write https://example.com/path")
        if url.userinfo:
            raise InvalidRuleError(f"{name} has a user name or password in it", hint="use BasicAuthorization")
        if url.fragment:
            raise InvalidRuleError(f"{name} has a fragment, which is not sent", hint="leave out what follows '#'")
        port = (443 if url.scheme == "https" else 80) if url.port is None else url.port
        if not 1 <= port <= 65_535:  # noqa: PLR2004 - TCP's
            raise InvalidRuleError(f"{name} has port {port}", hint="use a port from 1 to 65535")
        try:
            egress.check_url(url.scheme, host, port)
        except EgressError as error:
            raise InvalidRuleError(f"{name} is not allowed: {error}", hint="see EgressPolicy") from None
        authority = url.netloc.decode()
        path, _, query = url.raw_path.decode().partition("?")
        return cls(f"{url.scheme}://{authority}", url.scheme, host, port, authority, path, query)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: The status code.
        headers: The headers, names in lower case; of several with one name, the last.
        body: The beginning of the body as it was sent, at most `KEPT` bytes.
        is_whole: Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolve a name, check all of its addresses, and connect to one of those.

    The pool above goes on to speak TLS with the name that was asked for, so the certificate has to be the name's.
    """

    def __init__(self, egress: EgressPolicy) -> None:
        self._egress = egress
        self._network = httpcore.AnyIOBackend()  # anyio runs on trio as well

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        addresses = await _resolve(host, port)
        self._egress.check_addresses(host, addresses)
        *others, last = addresses
        for address in others:
            with anyio.move_on_after(_ADDRESS_PATIENCE):
                try:
                    return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
                except httpcore.NetworkError:
                    continue
        return await self._network.connect_tcp(last, port, timeout, local_address, socket_options)


async def _resolve(host: str, port: int) -> list[str]:
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailedError(f"The host {host} was not found: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def open_pool(egress: EgressPolicy, context: SSLContext | None, connections: int) -> httpcore.AsyncConnectionPool:
    """Make an empty pool of connections.

    Args:
        egress: Where they may go.
        context: How certificates are verified; None for the authorities that Mozilla trusts.
        connections: How many are kept open while unused. How many are in use is up to the caller.
    """
    return httpcore.AsyncConnectionPool(
        ssl_context=context or default_context(),
        max_connections=None,
        max_keepalive_connections=connections,
        keepalive_expiry=_KEEPALIVE,
        network_backend=CheckedNetwork(egress),
    )


@cache
def default_context() -> SSLContext:
    """Verify certificates by the authorities that Mozilla trusts. Read once, as that takes some 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


async def exchange(
    pool: httpcore.AsyncConnectionPool,
    endpoint: Endpoint,
    method: str,
    target: str,
    *,
    headers: Mapping[str, bytes],
    body: bytes | None,
) -> Answer:
    """Send one request and read the answer.

    Cancelling it closes its connection.

    Args:
        pool: Where connections come from.
        endpoint: The server.
        method: The method.
        target: Path and query.
        headers: All headers but those about the connection and the body's length.
        body: The body; None for none.

    Raises:
        EgressError: The policy refuses an address of the server; nothing was opened.
        ConnectionFailedError: There was no answer.
    """
    url = httpcore.URL(
        scheme=endpoint.scheme.encode(), host=endpoint.host.encode(), port=endpoint.port, target=target.encode()
    )
    sent = [(b"Host", endpoint.authority.encode()), *((name.encode(), value) for name, value in headers.items())]
    if body is not None:
        sent.append((b"Content-Length", str(len(body)).encode()))
    content = None if body is None else _Body(body)
    try:
        async with pool.stream(method, url, headers=sent, content=content) as response:
            kept, is_whole = bytearray(), False
            with anyio.move_on_after(_BODY_PATIENCE) as scope:
                is_whole = await _read(response, kept, scope)
            received = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, received, bytes(kept), is_whole)
    except httpcore.LocalProtocolError:
        # Its text shows what it refuses to send, which may be a secret.
        raise ConnectionFailedError(f"The request to {endpoint.origin} is not valid HTTP.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        text = str(error) or "the connection broke off"
        if "_SWITCH_UPGRADE" in text:  # how h11 words a 101 that nobody asked for
            return Answer(101, {}, b"", is_whole=False)
        raise ConnectionFailedError(f"No answer from {endpoint.origin}: {text}.") from None


class _Body:
    """A body to send. Given bytes, httpcore makes a generator of them, which a cancelled attempt leaves unfinished."""

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def _read(response: httpcore.Response, kept: bytearray, scope: anyio.CancelScope) -> bool:
    """Read a body, and say whether all of it was kept. It is never decompressed, so it is what it is."""
    total = 0
    try:
        async for chunk in response.aiter_stream():
            total += len(chunk)
            kept += chunk[: KEPT - len(kept)]
            if total > MOST:
                # Not `break`: it would leave the generators below unfinished, and cancelling ends all of them.
                scope.cancel()
    except (httpcore.NetworkError, httpcore.ProtocolError):
        return False
    return total == len(kept)
