"""Where HTTP targets connect, and where they do not: checked against the interpreter's own report of connections."""

import ipaddress
import socket

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import InvalidRuleError
from eventrouter.targets.http import ConnectionFailedError, EgressError, EgressPolicy, HttpTarget
from tests.targets.http_server import LOOPBACK, connects, deliver, reply, send, serve
from tests.virtual_time import real_time_backends


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Sockets need real time."""
    return request.param


def is_allowed(address, **policy) -> bool:
    try:
        EgressPolicy(**policy).check_addresses("host.example", [str(address)])
    except EgressError:
        return False
    return True


# -- the policy ----------------------------------------------------------------------------------------------------

REFUSED = """
0.0.0.0 10.1.2.3 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:a9fe:a9fe ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:db8::1
3fff::1 100::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%1 fec0::1 ff02::1 4000::1
""".split()  # noqa: SIM905 - it reads as a table
ALLOWED = """
1.1.1.1 8.8.8.8 93.184.216.34 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 169.253.1.1 223.255.255.255
2606:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
""".split()  # noqa: SIM905 - it reads as a table


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_refused(address):
    assert not is_allowed(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are_allowed(address):
    assert is_allowed(address)


NEAR_SPECIAL = st.sampled_from(REFUSED[:22]).flatmap(
    lambda text: st.integers(-3, 3).map(lambda n: ipaddress.IPv4Address((int(ipaddress.ip_address(text)) + n) % 2**32))
)


@given(st.ip_addresses(v=4) | NEAR_SPECIAL)
def test_whatever_is_allowed_is_public_for_the_standard_library_too(address):
    wrapped = [
        ipaddress.IPv6Address(base | int(address) << shift)
        for base, shift in ((0xFFFF << 32, 0), (0x0064FF9B << 96, 0), (0x2002 << 112, 80), (0xFFFF << 48, 0))
    ]
    allowed = is_allowed(address)
    if allowed:
        assert address.is_global
        assert not address.is_multicast
    assert [is_allowed(form) for form in wrapped] == [allowed] * len(wrapped)


@given(st.ip_addresses(v=6))
def test_in_ipv6_too(address):
    if is_allowed(address):
        assert address.is_global or address.sixtofour is not None
        assert not address.is_multicast
        assert address.teredo is None


@pytest.mark.parametrize(
    ("address", "policy", "expected"),
    [
        ("10.1.2.3", {"allow": ["10.0.0.0/8"]}, True),
        ("::ffff:10.1.2.3", {"allow": ["10.0.0.0/8"]}, True),
        ("11.1.2.3", {"allow": ["10.0.0.0/8"]}, True),
        ("192.168.0.1", {"allow": ["10.0.0.0/8"]}, False),
        ("::1", {"allow": ["[::1]"]}, True),
        ("127.0.0.1", {"allow": ["127.0.0.1"]}, True),
        ("127.0.0.2", {"allow": ["127.0.0.1"]}, False),
        ("127.0.0.1", {"allow": ["HOST.example."]}, True),
        ("127.0.0.1", {"allow": ["*.example"]}, True),
        ("127.0.0.1", {"allow": ["*.host.example"]}, False),
        ("127.0.0.1", {"allow": ["ost.example"]}, False),
        ("8.8.8.8", {"deny": ["8.8.0.0/16"]}, False),
        ("::ffff:8.8.8.8", {"deny": ["8.8.0.0/16"]}, False),
        ("8.8.8.8", {"deny": ["host.example"]}, False),
        ("10.0.0.1", {"allow": ["10.0.0.0/8"], "deny": ["10.0.0.1"]}, False),
        ("10.0.0.1", {"allow": ["host.example"], "deny": ["10.0.0.0/8"]}, False),
    ],
)
def test_what_the_policy_names_is_allowed_or_denied(address, policy, expected):
    assert is_allowed(address, **policy) is expected


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ({"allow": ["10.0.0.1/8"]}, "has host bits set (use an address, a network such as '10.0.0.0/8'"),
        ({"allow": "localhost"}, "allow of the egress policy is a string (write allow=['localhost'])"),
        ({"deny": ["http://x.example/"]}, "deny of the egress policy has 'http://x.example/'"),
        ({"allow": ["*"]}, "has '*'"),
        ({"allow": [10]}, "has '10'"),
        ({"allow": ["1.2.3"]}, "has '1.2.3'"),
        ({"schemes": ["ftp"]}, "schemes of the egress policy are ['ftp'] (use 'https', 'http' or both, in a list)"),
        ({"schemes": "https"}, "schemes of the egress policy are 'https'"),
        ({"schemes": []}, "schemes of the egress policy are []"),
    ],
)
def test_entries_that_mean_nothing_are_refused(policy, text):
    with pytest.raises(InvalidRuleError) as caught:
        EgressPolicy(**policy)
    assert text in str(caught.value)


def test_names_in_other_scripts_are_compared_as_they_are_resolved():
    policy = EgressPolicy(allow=["bücher.example"], deny=["☃" * 70])  # the second is too long for a name
    policy.check_addresses("xn--bcher-kva.example", ["127.0.0.1"])


# -- URLs, when the target is made ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://127.0.0.1/", "is not allowed: The egress policy refuses to connect: 127.0.0.1 is loopback."),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254 is link-local."),
        ("http://[::1]/", "::1 is loopback."),
        ("http://[::ffff:169.254.169.254]/", "is link-local."),
        ("http://[64:ff9b::7f00:1]/", "is loopback."),
        ("http://0177.0.0.1/", "is not a URL: Invalid IPv4 address"),
        ("http://①②⑦.⓪.⓪.①/", "is not a URL: Invalid IDNA hostname"),
        ("ftp://example.com/", "is not an http or https URL (write https://example.com/path)"),
        ("file:///etc/passwd", "is not an http or https URL"),
        ("example.com/path", "is not an http or https URL"),
        ("https:///path", "is not an http or https URL"),
        (None, "is not a URL"),
        ("https://user:hunter2@example.com/", "has a user name or password in it (use BasicAuthorization)"),
        ("https://example.com/#part", "has a fragment, which is not sent"),
        ("https://example.com:0/", "has port 0 (use a port from 1 to 65535)"),
        ("https://example.com:70000/", "has port 70000"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url, text):
    with pytest.raises(InvalidRuleError) as caught:
        HttpTarget(id="t", url=url)
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "policy", "text"),
    [
        ("http://example.com/", EgressPolicy(schemes=["https"]), "The egress policy allows https, not http."),
        ("https://example.com:8443/", EgressPolicy(ports=[443]), "The egress policy does not allow port 8443."),
        ("https://example.com/", EgressPolicy(deny=["*.com"]), "The egress policy denies example.com."),
    ],
)
def test_scheme_port_and_name_are_checked_at_once(url, policy, text):
    with pytest.raises(InvalidRuleError) as caught:
        HttpTarget(id="t", url=url, egress=policy)
    assert text in str(caught.value)
    HttpTarget(id="t", url="https://example.com/", egress=EgressPolicy(ports=[443]))


# -- connections ---------------------------------------------------------------------------------------------------


@pytest.fixture
def names(monkeypatch):
    """Answer for the domain name system: each question takes the next of a name's answers, the last for ever."""
    answers: dict[str, list] = {}
    asked = []
    real = socket.getaddrinfo

    def resolve(host, port, *args, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if name not in answers:
            return real(host, port, *args, **options)
        asked.append(name)
        found = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answers["asked"] = asked
    return answers


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1", "0"])
async def test_loopback_is_not_reached_however_it_is_written(host):
    async with serve() as server:
        with connects as addresses, pytest.raises((EgressError, InvalidRuleError)):
            await send(HttpTarget(id="t", url=f"http://{host}:{server.port}/"))
    assert addresses == []
    assert server.opened == 0


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "::1", "64:ff9b::7f00:1", "fd00:ec2::254", "10.0.0.5"],
)
@pytest.mark.parametrize("others", [[], ["8.8.8.8"]])
async def test_a_name_with_a_private_address_is_not_connected_to(names, address, others):
    names["rebound.example"] = [[*others, address]]
    with connects as addresses, pytest.raises(EgressError) as caught:
        await send(HttpTarget(id="t", url="https://rebound.example/"))
    assert addresses == []
    assert f"rebound.example is at {address}, which is " in str(caught.value)
    assert caught.value.error_code == "EGRESS_REFUSED"


async def test_the_connection_goes_to_the_address_that_was_checked(names):
    """A name that answers differently the second time is asked once."""
    async with serve() as server:
        names["changing.example"] = [["127.0.0.1"], ["127.0.0.2"]]
        target = HttpTarget(id="t", url=f"http://changing.example:{server.port}/", egress=LOOPBACK)
        with connects as addresses:
            await send(target)
        assert names["asked"] == ["changing.example"]
        assert [address[0] for address in addresses] == ["127.0.0.1"]
        assert server.requests[0].headers["host"] == f"changing.example:{server.port}"
        with connects as addresses, pytest.raises(EgressError):  # and the next connection is checked anew
            await send(target)
    assert addresses == []


async def test_a_redirect_is_not_followed():
    async with serve() as inner, serve(reply(302, headers=[("Location", f"http://127.0.0.1:{inner.port}/x")])) as outer:
        with connects as addresses:
            [letter] = await deliver(outer.target())
    assert [address[1] for address in addresses] == [outer.port]
    assert inner.opened == 0
    assert f"302 Found, which leads to http://127.0.0.1:{inner.port}/x and is not followed" in letter.error_message
    assert letter.retry_attempts == 0


async def test_a_refused_address_is_a_dead_letter_at_once(names):
    names["inside.example"] = [["10.0.0.5"]]
    target = HttpTarget(id="t", url="https://inside.example/")
    with connects as addresses:
        [letter] = await deliver(target)
    assert addresses == []
    assert (letter.error_code, letter.retry_attempts) == ("EGRESS_REFUSED", 0)


async def test_a_name_that_is_allowed_may_be_anywhere(names):
    async with serve() as server:
        names["inside.example"] = [["127.0.0.1"]]
        await send(
            HttpTarget(
                id="t", url=f"http://inside.example:{server.port}/", egress=EgressPolicy(allow=["inside.example"])
            )
        )
        assert len(server.requests) == 1


@pytest.mark.parametrize("bad", ["127.0.0.9", "::1"])
async def test_an_address_that_does_not_answer_is_followed_by_the_next(names, bad):
    async with serve() as server:
        names["two.example"] = [[bad, "127.0.0.1"]]
        await send(
            HttpTarget(
                id="t", url=f"http://two.example:{server.port}/", egress=EgressPolicy(allow=["127.0.0.0/8", "::1"])
            )
        )
        assert len(server.requests) == 1


async def test_an_address_that_keeps_silent_is_given_up_for_the_next(names, monkeypatch):
    monkeypatch.setattr("eventrouter.targets._http.network._ADDRESS_PATIENCE", 0.01)
    connect = anyio.connect_tcp

    async def silent(remote_host, *args, **options):
        if remote_host == "127.0.0.9":
            await anyio.sleep_forever()
        return await connect(remote_host, *args, **options)

    monkeypatch.setattr(anyio, "connect_tcp", silent)
    async with serve() as server:
        names["two.example"] = [["127.0.0.9", "127.0.0.1"]]
        await send(
            HttpTarget(id="t", url=f"http://two.example:{server.port}/", egress=EgressPolicy(allow=["127.0.0.0/8"]))
        )
        assert len(server.requests) == 1


async def test_a_name_that_is_not_found_is_tried_again_later(monkeypatch):
    def fail(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with connects as addresses, pytest.raises(ConnectionFailedError) as caught:
        await send(HttpTarget(id="t", url="https://nowhere.example/"))
    assert addresses == []
    assert "The host nowhere.example was not found" in str(caught.value)
    assert caught.value.error_code == "CONNECTION_FAILURE"


async def test_the_environments_proxy_is_not_used(monkeypatch):
    async with serve() as proxy, serve() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        await send(server.target())
        assert (proxy.opened, server.opened) == (0, 1)
