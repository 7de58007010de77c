"""Authorization of HTTP targets, and that no secret is told to anybody but the endpoint."""

import base64
import json
import logging
import traceback
from dataclasses import replace
from urllib.parse import parse_qs, quote

import anyio
import pytest

from eventrouter import DeliveryError, InvalidRuleError, PermanentDeliveryError, RetryPolicy, TransformError
from eventrouter.targets.http import (
    ApiKeyAuthorization,
    BasicAuthorization,
    Connection,
    EgressError,
    HttpRefusedError,
    HttpStatusError,
    HttpTarget,
    OAuthClientCredentials,
    UnusableAnswerError,
)
from tests.support import seconds
from tests.targets.http_server import connects, deliver, make_delivery, reply, send, serve
from tests.virtual_time import real_time_backends


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Sockets need real time."""
    return request.param


# -- Basic and API keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["pass:wörd", "", lambda: "pass:wörd"])
async def test_basic(password):
    async with serve() as server:
        connection = Connection(authorization=BasicAuthorization("user", password))
        await send(server.target(connection=connection, header_parameters={"Authorization": "target's"}))
    scheme, credentials = server.requests[0].headers["authorization"].split(" ")
    expected = password() if callable(password) else password
    assert (scheme, base64.b64decode(credentials).decode()) == ("Basic", f"user:{expected}")


async def test_an_api_key_is_asked_for_each_time():
    keys = iter(["first", "second"])
    async with serve() as server:
        target = server.target(
            connection=Connection(authorization=ApiKeyAuthorization("X-Api-Key", lambda: next(keys)))
        )
        await target.invoke(make_delivery())
        await send(target)
    assert [request.headers["x-api-key"] for request in server.requests] == ["first", "second"]


@pytest.mark.parametrize("status", [401, 407])
async def test_without_a_token_a_401_is_final(status):
    async with serve(reply(status)) as server:
        connection = Connection(authorization=BasicAuthorization("user", "password"))
        with pytest.raises(HttpRefusedError) as caught:
            await send(server.target(connection=connection))
    assert len(server.requests) == 1
    assert caught.value.error_code == "NO_PERMISSIONS"


# -- OAuth ---------------------------------------------------------------------------------------------------------


def token_reply(token, **fields):
    return reply(body=json.dumps({"access_token": token, "token_type": "Bearer", **fields}).encode())


def oauth(server, **options):
    return Connection(
        authorization=OAuthClientCredentials(f"{server.url}/token?v=1", "the client", "s3cret/+", **options)
    )


async def test_a_token_is_fetched_once_and_used_by_all():
    async with serve(token_reply("t1", expires_in=3600)) as tokens, serve() as server:
        target = server.target(connection=oauth(tokens, body_parameters={"scope": "a b"}))
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(target.invoke, make_delivery())
        await target.aclose()
    [request] = tokens.requests
    assert (request.method, request.target) == ("POST", "/token?v=1")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert credentials == "the+client:s3cret%2F%2B"
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer t1"}
    assert len(server.requests) == 5


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_client_and_parameters_may_go_elsewhere(method):
    async with serve(token_reply("t1")) as tokens, serve() as server:
        await send(
            server.target(
                connection=oauth(
                    tokens,
                    method=method,
                    authentication="body",
                    header_parameters={"X-Tenant": "me"},
                    query_string_parameters={"v": "2"},
                )
            )
        )
    [request] = tokens.requests
    _, _, in_query = request.target.partition("?")
    fields = parse_qs(in_query if method == "GET" else request.body.decode())
    assert fields.pop("v", ["2"]) == ["2"]
    assert fields == {
        "grant_type": ["client_credentials"],
        "client_id": ["the client"],
        "client_secret": ["s3cret/+"],
    }
    assert "v=2" in in_query
    assert request.method == method
    assert request.headers["x-tenant"] == "me"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("status", [401, 407])
async def test_a_token_that_is_refused_is_renewed_once_for_all(status):
    arrived = anyio.Event()
    old = 0

    async def answer(request, stream):
        nonlocal old
        if request.headers["authorization"] == "Bearer t2":
            return reply()
        old += 1
        if old == 4:
            arrived.set()
        await arrived.wait()  # all four have been sent with the old token
        return reply(status)

    async with serve(token_reply("t1"), token_reply("t2"), token_reply("t3")) as tokens, serve(answer) as server:
        target = server.target(connection=oauth(tokens))
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(target.invoke, make_delivery())
        await target.aclose()
    assert len(tokens.requests) == 2
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer t1"] * 4 + ["Bearer t2"] * 4


async def test_a_new_token_that_is_refused_as_well_is_final():
    async with serve(token_reply("t1"), token_reply("t2")) as tokens, serve(reply(401)) as server:
        [letter] = await deliver(server.target(connection=oauth(tokens)))
    assert (len(tokens.requests), len(server.requests)) == (2, 2)
    assert (letter.error_code, letter.retry_attempts) == ("NO_PERMISSIONS", 0)


@pytest.mark.parametrize(
    ("lifetime", "fetched"),
    [(1, 2), pytest.param("1", 2, id="text"), (3600, 1), (None, 1), (0, 1), (-5, 1), ("soon", 1), (True, 1)],
)
async def test_a_token_is_renewed_before_it_ends(monkeypatch, lifetime, fetched):
    times = [0.0]
    monkeypatch.setattr("eventrouter.targets._http.tokens.anyio.current_time", lambda: times[0])
    async with serve(token_reply("t1", expires_in=lifetime)) as tokens, serve() as server:
        target = server.target(connection=oauth(tokens))
        await target.invoke(make_delivery())
        times[0] = 0.89
        await target.invoke(make_delivery())
        assert len(tokens.requests) == 1
        times[0] = 0.91 if fetched == 2 else 3500.0
        await send(target)
    assert len(tokens.requests) == fetched


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (reply(503, headers=[("Retry-After", "7")]), HttpStatusError, "ERROR_FROM_TARGET"),
        (reply(429), HttpStatusError, "THROTTLING"),
        (reply(400, b'{"error": "invalid_client"}'), HttpRefusedError, "NO_PERMISSIONS"),
        (reply(302, headers=[("Location", "http://10.0.0.1/")]), HttpRefusedError, "NO_PERMISSIONS"),
        (reply(200, b"not json"), UnusableAnswerError, "ERROR_FROM_TARGET"),
        (reply(200, b"\xff"), UnusableAnswerError, "ERROR_FROM_TARGET"),
        (reply(200, b"[" * 60_000), UnusableAnswerError, "ERROR_FROM_TARGET"),
        (reply(200, b"[]"), UnusableAnswerError, "ERROR_FROM_TARGET"),
        (reply(200, b'{"access_token": 7}'), UnusableAnswerError, "ERROR_FROM_TARGET"),
        (reply(200, b'{"access_token": ""}'), UnusableAnswerError, "ERROR_FROM_TARGET"),
    ],
)
async def test_no_token_no_delivery(answer, error, code):
    async with serve(answer) as tokens, serve() as server:
        with pytest.raises(error) as caught:
            await send(server.target(connection=oauth(tokens)))
    assert caught.value.error_code == code
    assert f"The token endpoint, POST {tokens.url}, answered " in str(caught.value)
    if error is HttpStatusError and code == "ERROR_FROM_TARGET":
        assert caught.value.retry_after == seconds(7)
    assert server.opened == 0


async def test_a_cancelled_renewal_leaves_it_to_the_next():
    async def hang(request, stream):
        await anyio.sleep_forever()

    async with serve(hang, token_reply("t1")) as tokens, serve() as server:
        target = server.target(connection=oauth(tokens))
        with anyio.move_on_after(0.02) as scope:
            await target.invoke(make_delivery())
        assert scope.cancelled_caught
        await send(target)
    assert len(server.requests) == 1


async def test_the_token_endpoint_is_under_the_egress_policy():
    credentials = OAuthClientCredentials("http://169.254.169.254/token", "id", "secret")
    with pytest.raises(InvalidRuleError, match="endpoint of OAuthClientCredentials is not allowed"):
        HttpTarget(id="t", url="https://example.com", connection=Connection(authorization=credentials))
    async with serve() as server:
        credentials = OAuthClientCredentials(f"http://2130706434:{server.port}/token", "id", "secret")
        with connects as addresses, pytest.raises(EgressError):
            await send(server.target(connection=Connection(authorization=credentials)))
    assert addresses == []


# -- secrets -------------------------------------------------------------------------------------------------------

SECRETS = {
    "username": "a user-s3cret",  # of a length at which its Base64 is no part of that of both
    "password": 'päss "w/rd" <&> s3cret',
    "key": "key-s3cret/+=",
    "client": "client-s3cret",
    "token": "token-s3cret",
    "header": "header-s3cret",
    "query": "query s3cret&x",
    "body": "body-s3cret",
    "signing": "signing-s3cret",
}


def authorizations(tokens):
    return {
        "basic": BasicAuthorization(SECRETS["username"], SECRETS["password"]),
        "key": ApiKeyAuthorization("X-Api-Key", SECRETS["key"]),
        "oauth": OAuthClientCredentials(
            f"{tokens.url}/s3cret?s3cret",
            "id",
            SECRETS["client"],
            body_parameters={"b": SECRETS["body"]},
            header_parameters={"h": SECRETS["header"]},
            query_string_parameters={"q": SECRETS["query"]},
        ),
    }


async def echo(request, stream):
    """Answer with everything that came in, in several spellings."""
    told = [request.target, *request.headers.values(), request.body.decode()]
    told += [json.dumps(told), quote(str(told)), *SECRETS.values(), json.dumps(list(SECRETS.values()))]
    credentials = request.headers.get("authorization", "")
    if credentials.startswith("Basic "):
        told.append(base64.b64decode(credentials[6:]).decode())
    known = [line for line in told if "signing-s3cret" not in line or request.headers.get("webhook-signature")]
    return reply(500, "\n".join(known).encode())


@pytest.mark.parametrize("kind", ["basic", "key", "oauth"])
async def test_no_secret_is_told_to_anybody(kind, caplog, monkeypatch):
    """The endpoint repeats them all; what is known to be sent must be in no error, log, dead letter or repr."""
    monkeypatch.setattr("eventrouter.targets._http.responses._EXCERPT", 100_000)
    caplog.set_level(logging.DEBUG)
    async with serve(token_reply(SECRETS["token"])) as tokens, serve(echo) as server:
        connection = Connection(
            authorization=authorizations(tokens)[kind],
            header_parameters={"h": SECRETS["header"]},
            query_string_parameters={"q": SECRETS["query"]},
            body_parameters={"b": SECRETS["body"]},
        )
        target = server.target("/path-s3cret?q2=s3cret", connection=connection, signing_secret=SECRETS["signing"])
        with pytest.raises(HttpStatusError) as caught:
            await send(target)
        letters = await deliver(replace(target, retry_policy=RetryPolicy(maximum_retry_attempts=0)))
    sent = {"basic": ["username", "password"], "key": ["key"], "oauth": ["client", "token"]}[kind]
    sent += ["header", "query", "body", "signing"]
    told = "".join(traceback.format_exception(caught.value)) + letters[0].error_message + caplog.text + repr(target)
    told += repr(letters) + repr(connection)
    credentials = base64.b64encode(f"{SECRETS['username']}:{SECRETS['password']}".encode()).decode()
    assert credentials not in told
    for name in sent:
        for form in (SECRETS[name], quote(SECRETS[name]), json.dumps(SECRETS[name])[1:-1]):
            assert form not in told, name
    assert "***" in letters[0].error_message


async def test_half_a_secret_at_the_end_of_a_long_body_is_not_told_either(monkeypatch):
    monkeypatch.setattr("eventrouter.targets._http.network.KEPT", 50)
    key = "abcdefghijklmnopqrstuvwxyz"
    async with serve(reply(500, (b"." * 30) + key.encode() + b"....")) as server:
        with pytest.raises(HttpStatusError) as caught:
            await send(server.target(connection=Connection(authorization=ApiKeyAuthorization("k", key))))
    assert "abc" not in str(caught.value)


async def test_a_secret_in_a_redirects_address_is_not_told():
    async with serve(reply(302, headers=[("Location", "/x?key=the%20key")])) as server:
        with pytest.raises(HttpRefusedError) as caught:
            await send(server.target(connection=Connection(query_string_parameters={"key": "the key"})))
    assert "which leads to /x?key=*** and is not followed" in str(caught.value)


async def test_an_empty_password_is_not_found_everywhere():
    async with serve(reply(500, b"sorry")) as server:
        with pytest.raises(HttpStatusError, match=r": sorry$"):
            await send(server.target(connection=Connection(authorization=BasicAuthorization("user", ""))))


def no_secret():
    raise RuntimeError("the vault said s3cret")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (no_secret, DeliveryError, "The function that gives X-Key raised RuntimeError."),
        (lambda: None, PermanentDeliveryError, "The function that gives X-Key returned no text."),
        (str, PermanentDeliveryError, "The function that gives X-Key returned no text."),
        ("s3cret\n", TransformError, "The value of header x-key has a line break"),
        ("s3\x00cret", TransformError, "The value of header x-key has a line break"),
    ],
)
async def test_a_secret_that_cannot_be_had_or_sent(value, error, text):
    async with serve() as server:
        with connects as addresses, pytest.raises(error) as caught:
            await send(server.target(connection=Connection(authorization=ApiKeyAuthorization("X-Key", value))))
    assert addresses == []
    assert text in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: BasicAuthorization("us:er", "s3cret"), "username has a colon"),
        (lambda: BasicAuthorization("", "s3cret"), "username is empty"),
        (lambda: BasicAuthorization("user", None), "password is of type NoneType"),
        (lambda: ApiKeyAuthorization("a b", "s3cret"), "has the name 'a b'"),
        (lambda: ApiKeyAuthorization("Host", "s3cret"), "ApiKeyAuthorization sets Host"),
        (lambda: ApiKeyAuthorization("X-Key", ""), "value of ApiKeyAuthorization is empty"),
        (lambda: OAuthClientCredentials("https://e", "", "s3cret"), "client_id is empty"),
        (lambda: OAuthClientCredentials("https://e", "id", b"s3cret"), "client_secret is of type bytes"),
        (lambda: OAuthClientCredentials("https://e", "id", "s3cret", "PATCH"), "method of OAuthClientCredentials is 'PATCH'"),
        (lambda: OAuthClientCredentials("https://e", "id", "s3cret", "POST", "none"), "authentication is 'none'"),
        (lambda: OAuthClientCredentials("https://e", "id", "s3cret", body_parameters={"a": 7}), "body_parameters['a'] is of type int"),
        (lambda: OAuthClientCredentials("https://e", "id", "s3cret", header_parameters={"Host": "x"}), "sets Host"),
        (lambda: OAuthClientCredentials("https://e", "id", "s3cret", query_string_parameters=[]), "is of type list"),
        (lambda: Connection(authorization="Bearer s3cret"), "authorization of the connection is of type str"),
        (lambda: Connection(header_parameters={"X": ["s3cret"]}), "header_parameters['X'] is of type list"),
        (lambda: Connection(query_string_parameters={"X": ""}), "query_string_parameters['X'] is empty"),
        (lambda: Connection(body_parameters={7: "s3cret"}), "body_parameters has the name 7"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_without_showing_it(make, text):
    with pytest.raises(InvalidRuleError) as caught:
        make()
    assert text in str(caught.value)
    assert "s3cret" not in str(caught.value)
