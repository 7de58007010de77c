"""Signed requests: what receivers can verify, and what they must not believe."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from eventrouter import PermanentDeliveryError
from eventrouter.targets.http import verify_signature
from tests.support import NOON, seconds
from tests.targets.http_server import make_delivery, send, serve
from tests.virtual_time import real_time_backends

RAW_KEY = b"0123456789abcdef0123"
STANDARD = "whsec_" + base64.b64encode(RAW_KEY).decode()


class Noon:
    def now(self):
        return NOON


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Sockets need real time."""
    return request.param


async def received(secret, **options):
    async with serve() as server:
        await send(server.target(signing_secret=secret, clock=Noon(), **options))
    return server.requests[0]


@pytest.mark.parametrize(
    ("secret", "key"), [(STANDARD, RAW_KEY), ("plain", b"plain"), ("whsec_no base64", b"whsec_no base64"), (lambda: "plain", b"plain")]
)  # fmt: skip
async def test_the_signature_is_that_of_standard_webhooks(secret, key):
    request = await received(secret)
    headers = request.headers
    assert headers["webhook-id"] == make_delivery().event.id
    assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_of_the_specifications_example():
    """The worked example of the Standard Webhooks specification's reference implementations."""
    body = b'{"test": 2432232314}'
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    now = datetime.fromtimestamp(1614265330, UTC)
    assert verify_signature(headers, body, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now=now)


async def test_a_request_without_a_body_is_signed_too():
    request = await received("k", method="GET")
    assert request.body == b""
    assert verify_signature(request.headers, b"", "k", now=NOON)


async def test_a_receiver_verifies():
    request = await received(STANDARD)
    headers = {name.title(): value for name, value in request.headers.items()}
    assert verify_signature(headers, request.body, STANDARD, now=NOON)
    assert verify_signature(headers, request.body, ["next", STANDARD], now=NOON + seconds(300))
    assert verify_signature(headers | {"Webhook-Signature": "v1a,x v1,AAAA " + headers["Webhook-Signature"]}, request.body, STANDARD, now=NOON)  # fmt: skip
    assert not verify_signature(headers, request.body, STANDARD)  # by the system's clock it is old


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"other"},
        {"secrets": "other"},
        {"secrets": []},
        {"now": NOON + seconds(301)},
        {"now": NOON - seconds(301)},
        {"webhook-id": "other"},
        {"webhook-id": None},
        {"webhook-timestamp": None},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-5"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": str(int(NOON.timestamp()) + 1)},
        {"webhook-signature": None},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,ü"},
    ],
)
async def test_what_is_not_signed_so_is_not_believed(change):
    request = await received("secret")
    arguments = {"body": request.body, "secrets": "secret", "now": NOON}
    headers = dict(request.headers)
    for name, value in change.items():
        if name in arguments:
            arguments[name] = value
        elif value is None:
            del headers[name]
        else:
            headers[name] = value
    assert not verify_signature(headers, **arguments)


async def test_a_header_parameter_cannot_replace_the_signature():
    request = await received("secret", header_parameters={"Webhook-Signature": "v1,forged"})
    assert verify_signature(request.headers, request.body, "secret", now=NOON)


async def test_a_signing_secret_that_is_missing_sends_nothing():
    async with serve() as server:
        with pytest.raises(PermanentDeliveryError, match="signing_secret returned no text"):
            await send(server.target(signing_secret=lambda: ""))
    assert server.requests == []
