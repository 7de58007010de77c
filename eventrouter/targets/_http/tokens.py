"""OAuth access tokens: fetched, shared, renewed."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import anyio
import httpcore
import msgspec

from eventrouter.targets._http.authorization import OAuthClientCredentials, client_basic, resolve
from eventrouter.targets._http.errors import HttpRefusedError, UnusableAnswerError
from eventrouter.targets._http.network import Answer, Endpoint, exchange
from eventrouter.targets._http.parameters import encode_headers, query
from eventrouter.targets._http.responses import check_status
from eventrouter.targets._http.secrets import Secrets

#: A token is renewed so long before it ends, or after nine tenths of its life if that is shorter.
_AHEAD: Final = 60.0


class Tokens:
    """The present token of one client, for one event loop."""

    def __init__(self, credentials: OAuthClientCredentials, endpoint: Endpoint) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._lock = anyio.Lock()
        self._token: str | None = None
        self._renew_at = math.inf  # in the event loop's time

    async def get(
        self, pool: httpcore.AsyncConnectionPool, secrets: Secrets, now: datetime, *, rejected: str | None = None
    ) -> str:
        """Give a token that is valid as far as we know.

        Args:
            pool: Where connections come from.
            secrets: Told of everything that is sent, and of the token.
            now: The present.
            rejected: A token that the target has refused. It is renewed by the first who comes with it; the others get
                the new one.

        Raises:
            DeliveryError: The token endpoint gave none for now.
            PermanentDeliveryError: It refuses us.
        """
        async with self._lock:
            if self._token is None or self._token == rejected or anyio.current_time() >= self._renew_at:
                self._token = None
                self._token, lifetime = await self._fetch(pool, secrets, now)
                self._renew_at = anyio.current_time() + max(lifetime - _AHEAD, 0.9 * lifetime)
            return secrets.add(self._token)

    async def _fetch(self, pool: httpcore.AsyncConnectionPool, secrets: Secrets, now: datetime) -> tuple[str, float]:
        of, endpoint = self._credentials, self._endpoint
        secret = secrets.resolve("client_secret", of.client_secret)
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        form = {"grant_type": "client_credentials"}
        if of.authentication == "basic":
            headers["authorization"] = client_basic(of.client_id, secret, secrets)
        else:
            form |= {"client_id": of.client_id, "client_secret": secret}
        form |= resolve(of.body_parameters, secrets)
        in_query = resolve(of.query_string_parameters, secrets)
        body = None
        if of.method == "GET":
            in_query = form | in_query
        else:
            body = urlencode(form).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
        headers |= {name.lower(): value for name, value in resolve(of.header_parameters, secrets).items()}
        full = query(in_query.items(), base=endpoint.query)
        target = f"{endpoint.path}?{full}" if full else endpoint.path
        answer = await exchange(pool, endpoint, of.method, target, headers=encode_headers(headers), body=body)
        request = f"The token endpoint, {of.method} {endpoint.origin},"
        try:
            check_status(answer, request, secrets, now)
        except HttpRefusedError as error:
            # Whatever it objects to, we have no permission now. RFC 6749 answers a wrong client with 400 as well.
            raise HttpRefusedError(str(error), error.status, "NO_PERMISSIONS") from None
        return _read_token(answer, request)


def _read_token(answer: Answer, request: str) -> tuple[str, float]:
    """Find token and lifetime in seconds. The answer is never shown: it has the token in it."""
    try:
        fields: Any = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        fields = None
    token = fields.get("access_token") if isinstance(fields, dict) else None
    if not isinstance(token, str) or not token:
        raise UnusableAnswerError(f"{request} answered {answer.status} without an access_token in a JSON object.")
    lifetime = fields.get("expires_in")
    if isinstance(lifetime, str) and lifetime.isdecimal():
        lifetime = float(lifetime)  # not what the standard says, but what several services do
    if not isinstance(lifetime, int | float) or isinstance(lifetime, bool) or lifetime <= 0:
        lifetime = math.inf  # not told: valid until the target says otherwise
    return token, float(lifetime)
