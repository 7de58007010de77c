"""An HTTP server in the test's own event loop, on real sockets, and what else tests of HTTP targets share."""

import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.streams.tls import TLSListener

from eventrouter import Delivery, Subscription
from eventrouter.targets.http import EgressPolicy, HttpTarget
from tests.support import NOON, make_event, make_router, order

LOOPBACK = EgressPolicy(allow=["127.0.0.1"])


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


def reply(status=200, body=b"", headers=(), length=None) -> bytes:
    """Write a response."""
    lines = [f"HTTP/1.1 {status} Text", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode() + body


@dataclass
class Server:
    """Answers each request with the next of `script`, the last for ever: bytes, or a function of request and stream."""

    script: list[bytes | Callable]
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    opened: int = 0
    is_open: int = 0
    is_idle: anyio.Event = field(default_factory=anyio.Event)  # set once all connections have been closed

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def target(self, path="/", **options) -> HttpTarget:
        return HttpTarget(**{"id": "t", "url": self.url + path, "egress": LOOPBACK, **options})

    async def handle(self, stream) -> None:
        self.opened += 1
        self.is_open += 1
        number = self.opened
        try:
            async with stream:
                while await self._answer(stream, number):
                    pass
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            pass
        finally:
            self.is_open -= 1
            if not self.is_open:
                self.is_idle.set()

    async def _answer(self, stream, number) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive()
        method, target, _ = first.split(" ")
        request = Request(method, target, headers, body, number)
        self.requests.append(request)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, bytes):
            await stream.send(step)
            return True
        answer = await step(request, stream)
        if answer is not None:
            await stream.send(answer)
        return answer is not None


@asynccontextmanager
async def serve(*script, tls=None, host="127.0.0.1"):
    """Run a server while the block runs."""
    server = Server(list(script) or [reply()])
    listener = await anyio.create_tcp_listener(local_host=host)
    server.port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django's
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(
            (TLSListener(listener, tls, standard_compatible=False) if tls else listener).serve, server.handle
        )
        yield server
        tasks.cancel_scope.cancel()


def make_delivery(detail=None, **changes) -> Delivery:
    """Give a first attempt."""
    return Delivery(
        **{
            "id": 1,
            "subscription": Subscription("default", "r", "t"),
            "event": make_event(detail),
            "attempt": 1,
            "accepted_at": NOON,
            "hops": 0,
            "token": 1,
            **changes,
        }
    )


async def send(target, delivery=None) -> None:
    """Make one attempt and close."""
    try:
        await target.invoke(delivery or make_delivery())
    finally:
        await target.aclose()


async def deliver(target, entry=None):
    """Deliver an event through a router, and give the dead letters."""
    async with make_router(target, clock=None) as router:
        await router.put_events([entry or order(id=7)])
        await router.settle_down()
    return await router.dead_letters()


class Connects:
    """Every attempt of this process to connect a socket, as the interpreter itself reports it."""

    def __init__(self) -> None:
        self.addresses: list | None = None
        sys.addaudithook(self._hook)

    def _hook(self, name, arguments) -> None:
        if name == "socket.connect" and self.addresses is not None:
            self.addresses.append(arguments[1])

    def __enter__(self) -> list:
        self.addresses = []
        return self.addresses

    def __exit__(self, *_) -> None:
        self.addresses = None


connects = Connects()
