"""HTTP targets against a real server: what they send, what answers mean, and what becomes of connections."""

import functools
import json
import pickle
import runpy
import ssl
import subprocess
import sys
import traceback
from contextlib import nullcontext
from datetime import timedelta

import anyio
import pytest
import trustme

from eventrouter import EventEntry, InvalidRuleError, MissingExtraError, RetryPolicy, TransformError
from eventrouter.targets import http
from eventrouter.targets._http import network
from eventrouter.targets._http.network import Answer
from eventrouter.targets._http.responses import retry_after
from eventrouter.targets.http import (
    BasicAuthorization,
    Connection,
    ConnectionFailedError,
    EgressPolicy,
    HttpRefusedError,
    HttpStatusError,
    HttpTarget,
)
from tests.support import NOON, Recorder, make_router, order, seconds
from tests.targets.http_server import LOOPBACK, connects, deliver, make_delivery, reply, send, serve
from tests.virtual_time import real_time_backends, virtual_time_backends

NO_RETRY = RetryPolicy(maximum_retry_attempts=0)
in_virtual_time = pytest.mark.parametrize("anyio_backend", virtual_time_backends(), ids=["asyncio", "trio"])


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Sockets need real time."""
    return request.param


# -- what is sent --------------------------------------------------------------------------------------------------


async def test_an_event_is_posted_with_eventbridges_headers():
    delivery = make_delivery()
    async with serve() as server:
        await send(server.target("/orders?key=1"), delivery)
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/orders?key=1", delivery.event.to_json())
    agent = request.headers.pop("user-agent")
    assert agent.startswith("eventrouter/")
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json; charset=utf-8",
        "range": "bytes=0-1048575",
        "accept-encoding": "identity",
        "idempotency-key": delivery.event.id,
        "content-length": str(len(delivery.event.to_json())),
    }


async def test_the_targets_input_is_what_is_sent():
    async with serve() as server:
        await send(server.target(), make_delivery(input=b'"transformed"'))
    assert server.requests[0].body == b'"transformed"'


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
async def test_every_method_is_sent(method):
    answer = reply(length=10) if method == "HEAD" else reply(body=b"0123456789")
    async with serve(answer) as server:
        target = server.target(method=method)
        await target.invoke(make_delivery())
        await send(target)
    assert [request.method for request in server.requests] == [method] * 2
    assert bool(server.requests[0].body) is (method not in ("GET", "HEAD", "OPTIONS"))
    assert server.opened == 1  # the answer of HEAD announces a body, and has none


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "traceparent"),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", "x-amzn-trace-id"),
        ("something\r\nX-Evil: 1", None),
        (None, None),
    ],
)
async def test_the_trace_context_goes_along(trace, expected):
    async with serve() as server:
        await send(server.target(), make_delivery(trace_header=trace))
    headers = server.requests[0].headers
    found = [name for name in ("traceparent", "x-amzn-trace-id", "x-evil") if name in headers]
    assert found == ([expected] if expected else [])
    assert expected is None or headers[expected] == trace


# -- parameters ----------------------------------------------------------------------------------------------------

EVENT = {
    "id": "o-1",
    "n": 2.5,
    "ok": True,
    "none": None,
    "items": [{"sku": "a/b ü"}],
    "a.b": "x",
}


@pytest.mark.parametrize(
    ("path", "values", "expected"),
    [
        ("/o/*", ["7"], "/o/7"),
        ("/o/*/i/*", ["$.detail.id", "$.detail.items[0].sku"], "/o/o-1/i/a%2Fb%20%C3%BC"),
        ("/*?x=*", ["$['detail-type']"], "/Order%20Placed?x=*"),
        ("/*", ["$.detail-type"], "/Order%20Placed"),
        ("/a*b", ["$.detail.n"], "/a2.5b"),
        ("/*", ["$.detail.ok"], "/true"),
        ("/*", ["$.detail['a.b']"], "/x"),
        ("/*", ["$.detail.items"], "/%5B%7B%22sku%22%3A%22a%2Fb%20%C3%BC%22%7D%5D"),
        ("/*", ["$5"], "/%245"),
        ("/x*", [".."], "/x.."),
        ("/*", ["../../etc?x#y\\z%2e%2e;p=1&q"], "/..%2F..%2Fetc%3Fx%23y%5Cz%252e%252e%3Bp%3D1%26q"),
        ("/*", ["\ud800\n"], "/%3F%0A"),
        ("", [], "/"),
    ],
)
async def test_wildcards_of_the_path_are_filled(path, values, expected):
    async with serve() as server:
        await send(server.target(path, path_parameter_values=values), make_delivery(EVENT))
    assert server.requests[0].target == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/a/*", ".."),
        ("/a/*/b", "."),
        ("/a/.*", "."),
        ("/a/%2e*", "."),
        ("/a/*", ""),
        ("/a/*", "$.detail.missing"),
        ("/a/*", "$.detail.id.deeper"),
        ("/a/*", "$.detail[0]"),
        ("/a/*", "$.detail.items[1]"),
        ("/a/*", "$.detail.none"),
    ],
)
async def test_a_value_cannot_leave_its_segment(path, value):
    async with serve() as server:
        target = server.target(path, path_parameter_values=[value])
        with connects as addresses, pytest.raises(TransformError):
            await send(target, make_delivery({"id": "x", "items": [1], "none": None}))
    assert addresses == []


async def test_headers_and_query_take_paths_and_leave_out_what_is_missing():
    async with serve() as server:
        target = server.target(
            "/x?a=1&b=2&c",
            header_parameters={"X-Id": "$.detail.id", "X-None": "$.detail.none", "USER-AGENT": "me ", "X-T": "1\t2"},
            query_string_parameters={"b": "$.detail.n", "ü": "$.detail.items[0].sku", "gone": "$.detail.gone"},
        )
        await send(target, make_delivery(EVENT))
    [request] = server.requests
    assert request.target == "/x?a=1&c&b=2.5&%C3%BC=a%2Fb%20%C3%BC"
    assert (request.headers["x-id"], request.headers["user-agent"], request.headers["x-t"]) == ("o-1", "me", "1\t2")
    assert "x-none" not in request.headers


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "\x7f"])
async def test_a_header_cannot_begin_another(value):
    async with serve() as server:
        target = server.target(header_parameters={"X-Id": "$.detail.id"})
        with connects as addresses, pytest.raises(TransformError) as caught:
            await send(target, make_delivery({"id": value}))
    assert addresses == []
    assert str(caught.value) == "The value of header x-id has a line break or another control character."


async def test_a_connections_parameters_win():
    connection = Connection(
        header_parameters={"x-a": "connection"},
        query_string_parameters={"q": "connection"},
        body_parameters={"source": "connection", "added": lambda: 'a"b'},
    )
    async with serve() as server:
        target = server.target(
            "/?q=url",
            connection=connection,
            header_parameters={"X-A": "target", "X-B": "target"},
            query_string_parameters={"q": "target", "r": "target"},
        )
        await send(target, make_delivery(input=b'{"source": "event", "n": 1.0, "big": 123456789012345678901234567890}'))
    [request] = server.requests
    assert request.target == "/?q=connection&r=target"
    assert (request.headers["x-a"], request.headers["x-b"]) == ("connection", "target")
    assert request.body == b'{"source":"connection","n":1.0,"big":123456789012345678901234567890,"added":"a\\"b"}'


async def test_body_parameters_need_an_object():
    async with serve() as server:
        with pytest.raises(TransformError, match="the body is not a JSON object"):
            await send(
                server.target(connection=Connection(body_parameters={"a": "b"})), make_delivery(input=b'["list"]')
            )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "post"}, "method of target t is 'post' (use DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT)"),
        ({"path_parameter_values": ["a", "b"]}, "The URL's path has 1 wildcards, and path_parameter_values has 2 values"),
        ({"path_parameter_values": []}, "has 0 values (give one value for each '*')"),
        ({"path_parameter_values": "a"}, "path_parameter_values is a string (write ['a'])"),
        ({"path_parameter_values": [7]}, "path_parameter_values[0] is 7"),
        ({"path_parameter_values": ["$.a..b"]}, "path_parameter_values[0] has a path that is not understood from '..b' on: $.a..b"),
        ({"path_parameter_values": ["$.a[*]"]}, "not understood from '[*]' on"),
        ({"header_parameters": {"Host": "x"}}, "header_parameters sets Host, which is made from the URL and the body"),
        ({"header_parameters": {"content-length": "1"}}, "header_parameters sets content-length"),
        ({"header_parameters": {"a b": "1"}}, "header_parameters has the name 'a b' (use a header's name)"),
        ({"header_parameters": {"a": 1}}, "header_parameters['a'] is 1"),
        ({"header_parameters": [("a", "b")]}, "header_parameters is of type list (use a dict of names and values)"),
        ({"query_string_parameters": {"": "1"}}, "query_string_parameters has the name ''"),
        ({"rate_limit_per_second": 0}, "rate_limit_per_second of target t is 0 (use a whole number from 1)"),
        ({"rate_limit_per_second": 1.5}, "rate_limit_per_second of target t is 1.5"),
        ({"rate_limit_per_second": True}, "rate_limit_per_second of target t is True"),
        ({"connection": BasicAuthorization("u", "hunter2")}, "connection of target t is of type BasicAuthorization (use Connection(authorization=...))"),
        ({"egress": ["10.0.0.0/8"]}, "egress of target t is of type list (use EgressPolicy(allow=[...]))"),
        ({"signing_secret": ""}, "signing_secret is empty"),
        ({"signing_secret": 7}, "signing_secret is of type int"),
        ({"method": "GET", "connection": Connection(body_parameters={"a": "b"})}, "GET sends no body"),
        ({"ssl_context": ssl._create_unverified_context()}, "ssl_context of target t does not verify certificates"),  # noqa: S323
        ({"timeout": timedelta(0)}, "timeout of target t"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_at_once(options, text):
    with pytest.raises(InvalidRuleError) as caught:
        HttpTarget(**{"id": "t", "url": "https://example.com/*", "path_parameter_values": ["x"], **options})
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)


# -- what answers mean ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_2xx_is_delivered(status):
    async with serve(reply(status)) as server:
        assert await deliver(server.target()) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "THROTTLING"),
        (500, "ERROR_FROM_TARGET"),
        (502, "ERROR_FROM_TARGET"),
        (503, "ERROR_FROM_TARGET"),
        (504, "TIMEOUT"),
        (599, "ERROR_FROM_TARGET"),
    ],
)
async def test_429_and_5xx_are_retried(status, code):
    async with serve(reply(status, b"why\nso"), reply(status), reply()) as server:
        target = server.target(retry_policy=RetryPolicy(maximum_retry_attempts=1, base_delay=seconds(0.001)))
        [letter] = await deliver(target)
    assert len(server.requests) == 2
    assert (letter.error_code, letter.retry_attempts) == (code, 1)
    assert letter.exhausted_retry_condition == "MaximumRetryAttempts"
    assert server.requests[0].headers["idempotency-key"] == server.requests[1].headers["idempotency-key"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (101, "ERROR_FROM_TARGET"),
        (300, "ERROR_FROM_TARGET"),
        (301, "ERROR_FROM_TARGET"),
        (304, "ERROR_FROM_TARGET"),
        (307, "ERROR_FROM_TARGET"),
        (400, "ERROR_FROM_TARGET"),
        (401, "NO_PERMISSIONS"),
        (403, "NO_PERMISSIONS"),
        (404, "NO_RESOURCE"),
        (407, "NO_PERMISSIONS"),
        (408, "TIMEOUT"),
        (410, "NO_RESOURCE"),
        (422, "ERROR_FROM_TARGET"),
    ],
)
async def test_other_statuses_are_dead_letters_at_once(status, code):
    async with serve(reply(status)) as server:
        [letter] = await deliver(server.target())
    assert len(server.requests) == 1
    assert (letter.error_code, letter.retry_attempts, letter.exhausted_retry_condition) == (code, 0, None)


async def test_an_error_says_who_answered_what_but_not_the_path():
    async with serve(reply(599, b"out of\r\n\x1b[31m order " + b"x" * 5000)) as server:
        with pytest.raises(HttpStatusError) as caught:
            await send(server.target("/key-in-path?key=in-query"))
    text = str(caught.value)
    assert text.startswith(f"POST {server.url} answered 599: out of [31m order xxx")
    assert text.endswith("x...")
    assert len(text) < 400
    assert "key" not in text
    assert "key" not in repr(server.target("/key-in-path?key=in-query"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.status, again.error_code) == (text, 599, "ERROR_FROM_TARGET")


def test_a_refusal_survives_pickling():
    again = pickle.loads(pickle.dumps(HttpRefusedError("no", 403, "NO_PERMISSIONS")))
    assert (str(again), again.status, again.error_code, again.retry_after) == ("no", 403, "NO_PERMISSIONS", None)


async def test_a_compressed_body_is_not_unpacked():
    async with serve(reply(500, b"\x1f\x8b bomb", headers=[("Content-Encoding", "gzip")])) as server:
        with pytest.raises(HttpStatusError, match=r"its body is compressed, gzip\)"):
            await send(server.target())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120),
        ("0", 0),
        ("-1", -1),
        ("-120", -1),
        ("9" * 500, 366 * 24 * 3600),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Sun, 01 Mar 2026 12:02:00 -0000", 120),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 366 * 24 * 3600),
        ("soon", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, expected):
    wait = retry_after(value, NOON)
    assert wait == (None if expected is None else seconds(expected))


@in_virtual_time
@pytest.mark.parametrize(
    ("value", "policy_wait", "expected"),
    [("30", 1, 30), ("1", 60, 60), (None, 60, 60), ("Sun, 01 Mar 2026 12:00:50 GMT", 1, 50)],
)
async def test_the_longer_of_policy_and_retry_after_counts(monkeypatch, value, policy_wait, expected):
    times = []

    async def answer(*_args, **_options):
        times.append(anyio.current_time())
        headers = {} if value is None else {"retry-after": value}
        return Answer(503 if len(times) == 1 else 200, headers, b"", is_whole=True)

    monkeypatch.setattr(http, "exchange", answer)
    policy = RetryPolicy(base_delay=seconds(policy_wait), maximum_delay=seconds(policy_wait))
    router = make_router()
    router.put_targets("r", [HttpTarget(id="t", url="https://example.com", retry_policy=policy, clock=router._clock)])
    async with router:
        await router.put_events([order()])
        await router.settle_down()
    waited = times[1] - times[0]
    if expected == policy_wait:
        assert 0.1 * policy_wait <= waited <= policy_wait  # jittered by the policy
    else:
        assert waited == pytest.approx(expected, abs=0.01)


async def test_a_negative_retry_after_ends_the_retries():
    async with serve(reply(503, headers=[("Retry-After", "-1")])) as server:
        [letter] = await deliver(server.target())
    assert len(server.requests) == 1
    assert letter.error_code == "ERROR_FROM_TARGET"


# -- answers that misbehave ----------------------------------------------------------------------------------------


async def hang_up(request, stream):
    await stream.aclose()


async def test_a_broken_off_answer_is_retried():
    async with serve(hang_up, reply()) as server:
        target = server.target(retry_policy=RetryPolicy(base_delay=seconds(0.001)))
        assert await deliver(target) == []
    assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_is_not_http_is_a_failed_connection(answer):
    async with serve(answer) as server:
        with pytest.raises(ConnectionFailedError, match=f"No answer from http://127.0.0.1:{server.port}: ") as caught:
            await send(server.target())
    assert caught.value.error_code == "CONNECTION_FAILURE"


async def test_nobody_listening_is_a_failed_connection():
    async with serve() as server:
        target = server.target()
    with pytest.raises(ConnectionFailedError):
        await send(target)


@pytest.mark.parametrize("status", [200, 503])
async def test_the_status_counts_even_if_the_body_breaks_off(status):
    async def half(request, stream):
        await stream.send(reply(status, b"half", length=100))

    async with serve(half) as server:
        with pytest.raises(HttpStatusError, match="half") if status == 503 else nullcontext():
            await send(server.target())


async def test_a_body_without_end_is_not_read_to_the_end():
    sent = 0

    async def endless(request, stream):
        nonlocal sent
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    async with serve(endless) as server:
        await send(server.target())
        with anyio.fail_after(5):
            await server.is_idle.wait()
    assert 1024 * 1024 <= sent < 64 * 1024 * 1024


async def test_a_body_that_drips_does_not_undo_the_delivery(monkeypatch):
    monkeypatch.setattr("eventrouter.targets._http.network._BODY_PATIENCE", 0.01)

    async def drip(request, stream):
        await stream.send(reply(200, b"x", length=100))
        await anyio.sleep_forever()

    async with serve(drip) as server:
        await send(server.target())
    assert server.opened == 1


async def test_what_we_must_not_send_is_not_shown():
    """Nothing gets so far by way of a target; this is the last line."""
    value = b"s3cret\n"
    async with serve() as server:
        endpoint = network.Endpoint.parse("url", server.url, LOOPBACK)
        pool = network.open_pool(LOOPBACK, None, 1)
        with pytest.raises(ConnectionFailedError) as caught:
            await network.exchange(pool, endpoint, "GET", "/", headers={"x": value}, body=None)
        await pool.aclose()
    assert "is not valid HTTP" in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


# -- connections ---------------------------------------------------------------------------------------------------


async def test_connections_are_used_again_until_the_target_is_closed():
    async with serve(reply(body=b"x" * 100_000)) as server:
        target = server.target()
        for _ in range(3):
            await target.invoke(make_delivery())
        assert (server.opened, server.is_open) == (1, 1)
        await target.aclose()
        await target.aclose()
        with anyio.fail_after(5):
            await server.is_idle.wait()
        await send(target)
        assert server.opened == 2


def test_one_target_serves_several_loops():
    target = HttpTarget(id="t", url="http://127.0.0.1/", egress=LOOPBACK)

    async def session(close):
        first = target._session()
        assert target._session() is first
        if close:
            await target.aclose()
            assert len(target._sessions) == 0
        return first

    sessions = [
        anyio.run(session, close, backend=backend) for close in (True, False) for backend in ("asyncio", "trio")
    ]
    assert len({id(one) for one in sessions}) == 4


async def test_no_answer_in_time_is_a_timeout_and_leaves_no_connection():
    async def hang(request, stream):
        await anyio.sleep_forever()

    async with serve(hang, reply()) as server:
        target = server.target(timeout=seconds(0.3), retry_policy=RetryPolicy(base_delay=seconds(0.001)))
        recorder = Recorder()
        async with make_router(target, clock=None, observers=[recorder]) as router:
            await router.put_events([order()])
            await router.settle_down()
            pool = target._session().pool
            assert [connection.is_idle() for connection in pool.connections] == [True]
    assert recorder.names == ["RetryAt", "Delivered"]
    assert recorder.outcomes[0].error_code == "TIMEOUT"
    assert server.opened == 2


async def test_leaving_the_router_closes_connections():
    async with serve() as server:
        targets = [server.target(id=name) for name in ("a", "b", "c")]
        router = make_router(*targets, clock=None)
        for _ in range(2):
            async with router:
                await router.put_events([order()])
                await router.settle_down()
                router.put_targets("r", [server.target(id="a")])  # replaces one
                assert server.is_open == 3
            with anyio.fail_after(5):
                await server.is_idle.wait()
            server.is_idle = anyio.Event()
    assert len(server.requests) == 6


def test_the_time_limit_is_that_of_eventbridge():
    assert HttpTarget(id="t", url="https://example.com").timeout == seconds(5)


@pytest.mark.parametrize("delay", [0, 0.001, 0.002, 0.003, 0.005])
async def test_an_attempt_may_be_cancelled_anywhere(delay):
    async def slow(request, stream):
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            await anyio.sleep(0.001)
            await stream.send(b"x")
        return b""

    async with serve(slow) as server:
        target = server.target()
        for _ in range(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(target.invoke, make_delivery())
                await anyio.sleep(delay)
                tasks.cancel_scope.cancel()
        pool = target._session().pool
        assert all(connection.is_idle() for connection in pool.connections)
        await target.invoke(make_delivery())
        await target.aclose()
        assert pool.connections == []


# -- TLS -----------------------------------------------------------------------------------------------------------


@functools.cache
def authority():
    return trustme.CA()


def tls(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(name).configure_cert(context)
    return context


def trusting():
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


async def test_the_certificate_is_checked_against_the_name():
    policy = EgressPolicy(allow=["localhost", "127.0.0.1"])
    async with serve(tls=tls("localhost")) as server:
        options = {"id": "t", "egress": policy, "ssl_context": trusting()}
        await send(HttpTarget(url=f"https://localhost:{server.port}/", **options))
        with pytest.raises(ConnectionFailedError, match="certificate"):
            await send(HttpTarget(url=f"https://127.0.0.1:{server.port}/", **options))
        assert [request.headers["host"] for request in server.requests] == [f"localhost:{server.port}"]


async def test_an_unknown_authority_is_not_trusted():
    async with serve(tls=tls("localhost")) as server:
        target = HttpTarget(id="t", url=f"https://localhost:{server.port}/", egress=EgressPolicy(allow=["localhost"]))
        with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
            await send(target)
        assert server.requests == []


def test_the_environment_adds_no_authority(monkeypatch, tmp_path):
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    subjects = str([certificate["subject"] for certificate in network.default_context.__wrapped__().get_ca_certs()])
    assert "trustme" not in subjects
    assert len(subjects) > 1000


# -- rate limit ----------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_is_too_much_for_a_second_waits_and_is_not_counted(monkeypatch):
    times = []

    async def answer(*_args, **_options):
        times.append(anyio.current_time())
        await anyio.sleep(0.3)
        return Answer(200, {}, b"", is_whole=True)

    monkeypatch.setattr(http, "exchange", answer)
    target = HttpTarget(
        id="t", url="https://example.com", rate_limit_per_second=4, retry_policy=NO_RETRY, maximum_concurrency=3
    )
    recorder = Recorder()
    async with make_router(target, observers=[recorder]) as router:
        await router.put_events([order(n=n) for n in range(20)])
        await router.settle_down()
    assert len(times) == 20
    assert {outcome.delivery.attempt for outcome in recorder.outcomes} == {1}
    assert recorder.names.count("Delivered") == 20
    assert set(recorder.names) == {"Delivered", "Postponed"}
    assert all(later - earlier >= 1 - 1e-6 for earlier, later in zip(times, times[4:], strict=False))
    assert times[-1] - times[0] < 5  # and no slower than it has to be


async def test_without_a_limit_nothing_is_counted():
    async with serve() as server:
        target = server.target()
        for _ in range(10):
            await target.invoke(make_delivery())
        assert len(target._session()._turns) == 0
        await target.aclose()


# -- the extra -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["httpx", "httpcore"])
def test_a_missing_package_is_named_by_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        runpy.run_path(network.__file__)
    assert str(caught.value) == "HttpTarget needs the 'http' extra: pip install 'eventrouter[http]'"


def test_the_target_itself_says_so_too():
    code = "import sys; sys.modules['httpcore'] = None\nimport eventrouter.targets.http"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "HttpTarget needs the 'http' extra" in done.stderr


async def test_the_whole_way_through_a_router():
    async with serve() as server:
        target = server.target("/orders/*", path_parameter_values=["$.detail.id"])
        assert await deliver(target, EventEntry("shop.orders", "Order Placed", {"id": "o/7"})) == []
    assert server.requests[0].target == "/orders/o%2F7"
    assert json.loads(server.requests[0].body)["detail"] == {"id": "o/7"}
