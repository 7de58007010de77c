"""HTTP endpoints as targets: EventBridge's API destinations. Needs the `http` extra."""

from __future__ import annotations

import math
import re
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final, Literal, TypeAlias
from weakref import WeakKeyDictionary

import anyio
import anyio.lowlevel

from eventrouter.abc import Clock, SystemClock, Target
from eventrouter.errors import InvalidRuleError, ThrottledError
from eventrouter.event import Event
from eventrouter.records import Delivery
from eventrouter.targets._dynamic_path import Parameter, parameter
from eventrouter.targets._http.authorization import (
    ApiKeyAuthorization,
    BasicAuthorization,
    Connection,
    OAuthClientCredentials,
    resolve,
)
from eventrouter.targets._http.egress import EgressPolicy
from eventrouter.targets._http.errors import (
    ConnectionFailedError,
    EgressError,
    HttpRefusedError,
    HttpStatusError,
    UnusableAnswerError,
)
from eventrouter.targets._http.network import Answer, Endpoint, exchange, open_pool
from eventrouter.targets._http.parameters import (
    PathTemplate,
    add_to_body,
    check_names,
    encode_headers,
    query,
)
from eventrouter.targets._http.responses import check_status
from eventrouter.targets._http.secrets import Secret, Secrets, check_secret
from eventrouter.targets._http.signing import sign, verify_signature
from eventrouter.targets._http.tokens import Tokens

__all__ = [
    "ApiKeyAuthorization",
    "BasicAuthorization",
    "Connection",
    "ConnectionFailedError",
    "EgressError",
    "EgressPolicy",
    "HttpRefusedError",
    "HttpStatusError",
    "HttpTarget",
    "OAuthClientCredentials",
    "Secret",
    "UnusableAnswerError",
    "verify_signature",
]

Method: TypeAlias = Literal["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
#: Methods for whose body HTTP has no meaning, and which servers and caches refuse or drop.
_WITHOUT_BODY: Final = ("GET", "HEAD", "OPTIONS")
_HINTS: Final = {"connection": "Connection(authorization=...)", "egress": "EgressPolicy(allow=[...])"}
#: The trace contexts that are passed on: W3C's and AWS's. An event may bring anything under that name.
_TRACES: Final = {
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "x-amzn-trace-id": re.compile(r"Root=[\w;=.:-]+", re.ASCII),
}


@dataclass(frozen=True, kw_only=True)
class HttpTarget(Target):
    """Send the event to an HTTP endpoint (EventBridge user guide, "API destinations").

    The body is what the target is to receive: the event's JSON, or its input. 2xx means delivered. 429 and 5xx are
    retried, not before the answer's `Retry-After`, or never when that is negative. Anything else is permanent: 1xx,
    other 4xx, and 3xx, since redirects are not followed. What fails without an answer is retried, except an address
    that the egress policy refuses. The proxies of the environment are not used.

    Every request has the headers `Content-Type: application/json; charset=utf-8`, `User-Agent`,
    `Range: bytes=0-1048575`, `Accept-Encoding: identity`, `Idempotency-Key` with the event's id, which is the same in
    every attempt, and the trace context of the event if it has one: `traceparent`, or `X-Amzn-Trace-Id`.

    A value of `path_parameter_values`, `header_parameters` or `query_string_parameters` that begins with `$.` or `$[`
    is a path into the event, such as `$.detail.items[0].id` or `$['detail-type']`; strings are sent as they are,
    anything else as JSON. What the event does not have is left out, but a path cannot be filled without it: the
    delivery fails with `TRANSFORM_ERROR`.

    Connections are kept for the next delivery, for each event loop its own, until the router is left (see `aclose`).

    Attributes:
        url: Where to. Each `*` in its path is filled with a value of `path_parameter_values`. Neither `repr` nor error
            messages show more of it than the host, as paths and queries often hold a key.
        method: The method. GET, HEAD and OPTIONS send no body.
        connection: Authorization, and parameters that win over the target's.
        path_parameter_values: One for each `*`, percent-encoded so that it stays within its segment.
        header_parameters: Headers to add.
        query_string_parameters: Parameters to add to the URL's query.
        rate_limit_per_second: How many requests may begin within any second, from 1 on; None for no limit. What is
            too much waits in the store, and no attempt is counted; the event's age goes on.
        egress: Where connections may go; by default to public addresses only.
        signing_secret: Signs each request, so that the receiver can tell that it is from here; see
            `verify_signature`.
        ssl_context: How certificates are verified, or with which one we are known; by default by the authorities that
            Mozilla trusts. It has to verify them.
        clock: Where the time of signatures and of `Retry-After` comes from.
        timeout: Limit of one attempt, from resolving the name to the answer; 5 s as in EventBridge.

    Raises:
        InvalidRuleError: Something is not usable as written, or the egress policy refuses the URL as it is written.
    """

    url: str = field(repr=False)
    method: Method = "POST"
    connection: Connection | None = None
    path_parameter_values: Sequence[str] = ()
    header_parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    query_string_parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_limit_per_second: int | None = None
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    signing_secret: Secret | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    timeout: timedelta | None = timedelta(seconds=5)
    _request: _Request = field(init=False, repr=False, compare=False)
    _sessions: WeakKeyDictionary[Any, _Session] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check()
        object.__setattr__(self, "_request", _Request(self))
        object.__setattr__(self, "_sessions", WeakKeyDictionary())

    def _check(self) -> None:
        if self.method not in _METHODS:
            raise InvalidRuleError(f"method of target {self.id} is {self.method!r}", hint=f"use {', '.join(_METHODS)}")
        rate = self.rate_limit_per_second
        if rate is not None and (not isinstance(rate, int) or isinstance(rate, bool) or rate < 1):
            raise InvalidRuleError(
                f"rate_limit_per_second of target {self.id} is {rate!r}", hint="use a whole number from 1"
            )
        for name, value, kind in (
            ("connection", self.connection, Connection | None),
            ("egress", self.egress, EgressPolicy),
        ):
            if not isinstance(value, kind):
                raise InvalidRuleError(
                    f"{name} of target {self.id} is of type {type(value).__name__}", hint=f"use {_HINTS[name]}"
                )
        if self.connection and self.connection.body_parameters and self.method in _WITHOUT_BODY:
            raise InvalidRuleError(f"{self.method} sends no body for the connection's body_parameters to go into")
        if self.signing_secret is not None:
            check_secret("signing_secret", self.signing_secret)
        context = self.ssl_context
        if context is not None and not (context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname):
            raise InvalidRuleError(
                f"ssl_context of target {self.id} does not verify certificates",
                hint="use ssl.create_default_context(cafile=...) with the authority to trust",
            )

    async def invoke(self, delivery: Delivery) -> None:
        """Send one request, two if a token had to be renewed."""
        session = self._session()
        wait = session.take_turn(self.rate_limit_per_second)
        if wait is not None:
            raise ThrottledError(
                f"Target {self.id} takes {self.rate_limit_per_second} requests per second.", retry_after=wait
            )
        secrets = Secrets()
        answer, token = await self._send(session, delivery, secrets, None)
        if token is not None and answer.status in (401, 407):
            answer, _ = await self._send(session, delivery, secrets, token)
        check_status(answer, f"{self.method} {self._request.endpoint.origin}", secrets, self.clock.now())

    async def _send(
        self, session: _Session, delivery: Delivery, secrets: Secrets, rejected: str | None
    ) -> tuple[Answer, str | None]:
        """Send the request, and say with which token."""
        token = None
        if session.tokens is not None:
            token = await session.tokens.get(session.pool, secrets, self.clock.now(), rejected=rejected)
        target, headers, body = self._request.make(delivery, secrets, token)
        answer = await exchange(session.pool, self._request.endpoint, self.method, target, headers=headers, body=body)
        return answer, token

    async def aclose(self) -> None:
        """Close the connections of this event loop. The next delivery opens new ones."""
        session = self._sessions.pop(_current_loop(), None)
        if session is not None:
            await session.pool.aclose()

    def _session(self) -> _Session:
        loop = _current_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._sessions[loop] = _Session(self)
        return session


def _current_loop() -> Any:
    token = anyio.lowlevel.current_token()
    return getattr(token, "native_token", token)  # before anyio 4.11 it is the loop itself


class _Session:
    """What a target has in one event loop: connections, a token, and the count of the last second."""

    def __init__(self, target: HttpTarget) -> None:
        self.pool = open_pool(target.egress, target.ssl_context, max(1, target.maximum_concurrency))
        self.tokens = target._request.new_tokens()  # noqa: SLF001 - one object in parts
        self._turns: deque[float] = deque()

    def take_turn(self, rate: int | None) -> timedelta | None:
        """Take one of *rate* turns of the second that ends now, or say when there will be one."""
        if rate is None:
            return None
        now = anyio.current_time()
        while self._turns and self._turns[0] + 1 <= now:
            self._turns.popleft()
        if len(self._turns) < rate:
            self._turns.append(now)
            return None
        # Rounded up: a microsecond too early would be a wait in vain.
        return timedelta(microseconds=math.ceil((self._turns[0] + 1 - now) * 1e6))


class _Request:
    """How a target's requests are made from deliveries: everything that is known before there is one."""

    def __init__(self, target: HttpTarget) -> None:
        self.endpoint = Endpoint.parse(f"url of target {target.id}", target.url, target.egress)
        self._target = target
        self._path = PathTemplate(self.endpoint.path, target.path_parameter_values)
        check_names("header_parameters", target.header_parameters, headers=True)
        check_names("query_string_parameters", target.query_string_parameters)
        self._headers = _compile("header_parameters", target.header_parameters)
        self._query = _compile("query_string_parameters", target.query_string_parameters)
        self._connection = target.connection or Connection()
        self._token_endpoint: Endpoint | None = None
        if isinstance(self._connection.authorization, OAuthClientCredentials):
            self._token_endpoint = Endpoint.parse(
                "endpoint of OAuthClientCredentials", self._connection.authorization.endpoint, target.egress
            )

    def new_tokens(self) -> Tokens | None:
        """Give an empty place for tokens, if requests need any."""
        authorization = self._connection.authorization
        if isinstance(authorization, OAuthClientCredentials) and self._token_endpoint is not None:
            return Tokens(authorization, self._token_endpoint)
        return None

    def make(
        self, delivery: Delivery, secrets: Secrets, token: str | None
    ) -> tuple[str, dict[str, bytes], bytes | None]:
        """Give path and query, headers, and body.

        Raises:
            TransformError: The event does not fit.
        """
        of, connection, event = self._target, self._connection, delivery.event
        path = self._path.fill(event) or "/"
        in_query = query(
            _evaluate(self._query, event),
            resolve(connection.query_string_parameters, secrets).items(),
            base=self.endpoint.query,
        )
        body = None if of.method in _WITHOUT_BODY else delivery.payload
        if body is not None and connection.body_parameters:
            body = add_to_body(body, resolve(connection.body_parameters, secrets))
        headers = {**_BASE_HEADERS, "idempotency-key": event.id, **_trace_headers(delivery.trace_header)}
        headers |= {name.lower(): value for name, value in _evaluate(self._headers, event)}
        headers |= {name.lower(): value for name, value in resolve(connection.header_parameters, secrets).items()}
        headers |= self._authorize(secrets, token)
        if of.signing_secret is not None:
            secret = secrets.resolve("signing_secret", of.signing_secret)
            headers |= sign(event.id, body or b"", secret, of.clock.now())
        return f"{path}?{in_query}" if in_query else path, encode_headers(headers), body

    def _authorize(self, secrets: Secrets, token: str | None) -> dict[str, str]:
        authorization = self._connection.authorization
        if isinstance(authorization, BasicAuthorization | ApiKeyAuthorization):
            return authorization.headers(secrets)
        return {} if token is None else {"authorization": f"Bearer {token}"}


_BASE_HEADERS: Final = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": f"eventrouter/{version('eventrouter')}",
    "range": "bytes=0-1048575",
    "accept-encoding": "identity",
}


def _compile(place: str, parameters: Mapping[str, str]) -> dict[str, Parameter]:
    return {name: parameter(f"{place}[{name!r}]", value) for name, value in parameters.items()}


def _evaluate(parameters: Mapping[str, Parameter], event: Event) -> list[tuple[str, str]]:
    found = ((name, of(event)) for name, of in parameters.items())
    return [(name, value) for name, value in found if value is not None]


def _trace_headers(trace: str | None) -> dict[str, str]:
    return {name: trace for name, form in _TRACES.items() if trace is not None and form.fullmatch(trace)}
