"""Where connections may go: which schemes, ports, hosts and addresses. Pure; `network` acts on it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from eventrouter.errors import InvalidRuleError
from eventrouter.targets._http.errors import EgressError

_Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

# Our own tables instead of `ipaddress.is_global`: that differs between patch releases of Python, calls multicast
# global, and does not look into addresses that hold another one. Sources: the IANA special-purpose address registries.
_SPECIAL: Final = tuple(
    (ip_network(network), use)
    for network, use in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),  # Azure's, at an address like any other
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "reserved for protocols"),  # Teredo among them, which tunnels to IPv4
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
    )
)
#: All that is handed out for hosts in IPv6; whatever is outside and not unwrapped below is reserved.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
#: IPv6 addresses that lead to an IPv4 address, and how many bits are to the right of that.
_WRAPPERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("::/96"), 0),  # IPv4-compatible
    (IPv6Network("2002::/16"), 80),  # 6to4
)
_HOST: Final = re.compile(r"(\*\.)?[^\s/:@*?#\[\]]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """Where an HTTP target may connect to.

    By default, to any port of any public address over HTTP or HTTPS. Refused are loopback, private, link-local (with
    it the metadata services of clouds), multicast, documentation and reserved addresses, in IPv4 and IPv6, and IPv6
    addresses that lead to such an IPv4 address. Every address that a name resolves to is checked, each time a
    connection is opened, and the connection goes to an address that was checked. So it makes no difference how an
    address is written, nor whether the name resolves to something else a moment later.

    Attributes:
        allow: What may be reached although it is not public: addresses and networks (`10.0.0.0/8`), and host names
            (`localhost`, `*.corp.example`), whose addresses are then not looked at.
        deny: What may not be reached although it is public, or allowed; written alike.
        schemes: `https`, `http`, or both.
        ports: The ports; None for all.

    Raises:
        InvalidRuleError: An entry is not understood.
    """

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    schemes: Collection[str] = ("https", "http")
    ports: Collection[int] | None = None
    _allowed: _Entries = field(init=False, repr=False, compare=False)
    _denied: _Entries = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", _Entries.parse("allow", self.allow))
        object.__setattr__(self, "_denied", _Entries.parse("deny", self.deny))
        if isinstance(self.schemes, str) or not self.schemes or not set(self.schemes) <= {"https", "http"}:
            raise InvalidRuleError(
                f"schemes of the egress policy are {self.schemes!r}", hint="use 'https', 'http' or both, in a list"
            )

    def check_url(self, scheme: str, host: str, port: int) -> None:
        """Refuse what can be refused without resolving the host's name.

        Raises:
            EgressError: It may not be reached.
        """
        if scheme not in self.schemes:
            raise EgressError(f"The egress policy allows {' and '.join(self.schemes)}, not {scheme}.")
        if self.ports is not None and port not in self.ports:
            raise EgressError(f"The egress policy does not allow port {port}.")
        if self._denied.has_host(host):
            raise EgressError(f"The egress policy denies {host}.")
        try:
            address = ip_address(host)
        except ValueError:
            return
        self.check_addresses(host, [str(address)])

    def check_addresses(self, host: str, addresses: Iterable[str]) -> None:
        """Refuse a host if any of its addresses may not be reached: a name that has one such is not to be trusted.

        Raises:
            EgressError: It may not be reached.
        """
        for text in addresses:
            reason = self._reason(host, ip_address(text))
            if reason is not None:
                name = text if text == host else f"{host} is at {text}, which"
                raise EgressError(f"The egress policy refuses to connect: {name} is {reason}.")

    def _reason(self, host: str, address: _Address) -> str | None:
        inner = _unwrap(address)
        forms = {address, inner}
        if self._denied.has_host(host) or self._denied.has_address(forms):
            return "denied"
        if self._allowed.has_host(host) or self._allowed.has_address(forms):
            return None
        return _special_use(inner)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Networks and host names."""

    networks: tuple[_Network, ...]
    hosts: frozenset[str]
    domains: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, entries: Sequence[str]) -> _Entries:
        if isinstance(entries, str):
            raise InvalidRuleError(f"{name} of the egress policy is a string", hint=f"write {name}=[{entries!r}]")
        networks: list[_Network] = []
        hosts: list[str] = []
        for entry in map(str, entries):
            try:
                networks.append(ip_network(entry.strip("[]")))
            except ValueError as error:
                if re.search(r"/|^[\d.]+$|:", entry) or not _HOST.fullmatch(entry):
                    raise InvalidRuleError(
                        f"{name} of the egress policy has {entry!r}: {error}",
                        hint="use an address, a network such as '10.0.0.0/8', a host name or '*.example.com'",
                    ) from None
                hosts.append(_normal(entry))
        return cls(
            tuple(networks),
            frozenset(host for host in hosts if not host.startswith("*.")),
            tuple(host[1:] for host in hosts if host.startswith("*.")),
        )

    def has_host(self, host: str) -> bool:
        host = _normal(host)
        return host in self.hosts or host.endswith(self.domains)

    def has_address(self, forms: Iterable[_Address]) -> bool:
        return any(form in network for network in self.networks for form in forms)


def _normal(host: str) -> str:
    """Give the one spelling of a host's name that is compared."""
    host = host.lower().rstrip(".")
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _unwrap(address: _Address) -> _Address:
    """Give the IPv4 address that an IPv6 address leads to, or the address itself."""
    if isinstance(address, IPv6Address):
        for wrapper, shift in _WRAPPERS:
            if address in wrapper and int(address) > 1:  # :: and ::1 wrap nothing
                return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def _special_use(address: _Address) -> str | None:
    """Say what an address is for if it is not for public hosts."""
    for network, use in _SPECIAL:
        if address in network:
            return use
    return "reserved" if address.version == 6 and address not in _GLOBAL_UNICAST else None  # noqa: PLR2004
