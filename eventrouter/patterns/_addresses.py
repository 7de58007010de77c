"""IP addresses as event-ruler reads them (reference 10), which is not how `ipaddress` does."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Possessive, so that nothing is looked at twice.
_IPV4: Final = re.compile(r"([0-9]++)\.([0-9]++)\.([0-9]++)\.([0-9]++)")
_IPV6: Final = re.compile(r"[0-9a-fA-F]*+:[0-9a-fA-F:]*+")
_GROUP: Final = re.compile(r"[0-9a-fA-F]{1,4}")
_MAPPED: Final = 0xFFFF << 32  # ::ffff:0:0/96, IPv4 in IPv6's clothes


class Address(NamedTuple):
    """An address: 4 or 6, and its bits as a number."""

    family: int
    value: int


def parse_address(text: str) -> Address | None:
    """Read an address in any spelling: decimal octets with leading zeros, hexadecimal groups, mapped IPv4.

    Not an address: zone ids, dotted IPv6, spaces, fewer than four octets.
    """
    if len(text) > 64:  # noqa: PLR2004 - longer than any address; what follows is for short texts
        return None
    match = _IPV4.fullmatch(text)
    if match:
        octets = [int(octet) for octet in match.groups()]
        return Address(4, int.from_bytes(bytes(octets))) if max(octets) < 256 else None  # noqa: PLR2004 - a byte
    if not _IPV6.fullmatch(text):
        return None
    value = _ipv6(text)
    if value is None:
        return None
    return Address(4, value - _MAPPED) if value >> 32 == _MAPPED >> 32 else Address(6, value)


def looks_like_address(text: str) -> bool:
    """Say whether the text has the form of an address, be it one or not."""
    return bool(_IPV4.fullmatch(text) or _IPV6.fullmatch(text))


def _ipv6(text: str) -> int | None:
    head, gap, tail = text.partition("::")
    before = head.split(":") if head else []
    after = tail.split(":") if tail else []
    missing = 8 - len(before) - len(after)
    if not all(_GROUP.fullmatch(group) for group in before + after) or (missing < 1 if gap else missing != 0):
        return None
    groups = before + ["0"] * missing + after
    return int("".join(group.rjust(4, "0") for group in groups), 16)
