"""How a request shows who sends it: connections and their authorizations, as EventBridge has them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import quote_plus

from eventrouter.errors import InvalidRuleError
from eventrouter.targets._http.parameters import check_names, check_secret_parameters
from eventrouter.targets._http.secrets import Secret, Secrets, check_secret

_METHODS: Final = ("GET", "POST", "PUT")


@dataclass(frozen=True, slots=True)
class BasicAuthorization:
    """User name and password (RFC 7617).

    Attributes:
        username: The name, without a colon. Kept as secret as the password, since some services take a key here.
        password: The password, which may be empty.

    Raises:
        InvalidRuleError: One is not text nor a function that gives it, or the name has a colon.
    """

    username: Secret = field(repr=False)
    password: Secret = field(repr=False)

    def __post_init__(self) -> None:
        check_secret("username", self.username)
        check_secret("password", self.password, may_be_empty=True)
        if isinstance(self.username, str) and ":" in self.username:
            raise InvalidRuleError("username has a colon", hint="Basic authorization cannot send it")

    def headers(self, secrets: Secrets) -> dict[str, str]:
        """Give the header."""
        name = secrets.resolve("username", self.username)
        return {"authorization": basic(name, secrets.resolve("password", self.password), secrets)}


@dataclass(frozen=True, slots=True)
class ApiKeyAuthorization:
    """A key in a header.

    Attributes:
        name: The header's name, such as `X-Api-Key`.
        value: The key.

    Raises:
        InvalidRuleError: The name is not a header's, or the key is not text nor a function that gives it.
    """

    name: str
    value: Secret = field(repr=False)

    def __post_init__(self) -> None:
        check_names("ApiKeyAuthorization", {self.name: ""}, headers=True)
        check_secret("value of ApiKeyAuthorization", self.value)

    def headers(self, secrets: Secrets) -> dict[str, str]:
        """Give the header."""
        return {self.name.lower(): secrets.resolve(self.name, self.value)}


@dataclass(frozen=True, slots=True)
class OAuthClientCredentials:
    """An access token that the target fetches itself (RFC 6749, section 4.4), and renews.

    A token is fetched for the first delivery and used by all until shortly before it ends. When the target answers 401
    or 407, it is renewed, once however many deliveries are told so, and the request is sent once more.

    Attributes:
        endpoint: URL of the token endpoint. The egress policy counts for it, too.
        client_id: The client's id.
        client_secret: The client's secret.
        method: POST or PUT sends the parameters as a form, GET in the query.
        authentication: Whether the client is told in an `Authorization` header (`basic`) or among the parameters
            (`body`).
        header_parameters: More headers for the token endpoint; values are secrets.
        query_string_parameters: The same for the query.
        body_parameters: The same for the form, such as `scope` or `audience`.

    Raises:
        InvalidRuleError: One of these is not usable.
    """

    endpoint: str = field(repr=False)
    client_id: str
    client_secret: Secret = field(repr=False)
    method: Literal["GET", "POST", "PUT"] = "POST"
    authentication: Literal["basic", "body"] = "basic"
    header_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False, kw_only=True)
    query_string_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False, kw_only=True)
    body_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        check_secret("client_id", self.client_id)
        check_secret("client_secret", self.client_secret)
        if self.method not in _METHODS:
            raise InvalidRuleError(f"method of OAuthClientCredentials is {self.method!r}", hint="use POST, PUT or GET")
        if self.authentication not in ("basic", "body"):
            raise InvalidRuleError(f"authentication is {self.authentication!r}", hint="use 'basic' or 'body'")
        check_secret_parameters("header_parameters", self.header_parameters, headers=True)
        check_secret_parameters("query_string_parameters", self.query_string_parameters)
        check_secret_parameters("body_parameters", self.body_parameters)


Authorization: TypeAlias = BasicAuthorization | ApiKeyAuthorization | OAuthClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How requests to a service are authorized, and what is added to each; shared by the targets that need it.

    Its parameters win over the target's of the same name (EventBridge user guide, "Connections"). All of their values
    are secrets: text, or functions that give it when something is sent.

    Attributes:
        authorization: How a request is authorized; None for not at all.
        header_parameters: Headers to add.
        query_string_parameters: Parameters to add to the query.
        body_parameters: Fields to add to the body, which has to be a JSON object then.

    Raises:
        InvalidRuleError: One of these is not usable.
    """

    authorization: Authorization | None = None
    header_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    query_string_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    body_parameters: Mapping[str, Secret] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.authorization, Authorization | None):
            raise InvalidRuleError(
                f"authorization of the connection is of type {type(self.authorization).__name__}",
                hint="use BasicAuthorization, ApiKeyAuthorization or OAuthClientCredentials",
            )
        check_secret_parameters("header_parameters", self.header_parameters, headers=True)
        check_secret_parameters("query_string_parameters", self.query_string_parameters)
        check_secret_parameters("body_parameters", self.body_parameters)


def resolve(parameters: Mapping[str, Secret], secrets: Secrets) -> dict[str, str]:
    """Give the values of a connection's parameters."""
    return {name: secrets.resolve(name, value) for name, value in parameters.items()}


def basic(username: str, password: str, secrets: Secrets) -> str:
    """Write an `Authorization` header."""
    return f"Basic {secrets.add(base64.b64encode(f'{username}:{password}'.encode()).decode())}"


def client_basic(client_id: str, client_secret: str, secrets: Secrets) -> str:
    """Write one that names an OAuth client, whose parts are form-encoded first (RFC 6749, section 2.3.1)."""
    return basic(quote_plus(client_id), quote_plus(client_secret), secrets)
