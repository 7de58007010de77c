"""Signatures by which a receiver knows that a request is from us, and fresh.

The scheme is that of Standard Webhooks (https://www.standardwebhooks.com), for which there are libraries in many
languages: `webhook-id`, `webhook-timestamp`, and in `webhook-signature` `v1,` and the Base64 of the HMAC-SHA256 of
`id.timestamp.body`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

#: How old, or how far ahead, a signature may be.
TOLERANCE: Final = timedelta(minutes=5)


def sign(id: str, body: bytes, secret: str, now: datetime) -> dict[str, str]:
    """Make the headers that sign a request.

    Args:
        id: Names the message, the same in every attempt to send it: the event's id.
        body: The body as it is sent.
        secret: Text, or `whsec_` and the Base64 of the key.
        now: The present.
    """
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(id, timestamp, body, secret)}",
    }


def verify_signature(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    *,
    now: datetime | None = None,
    tolerance: timedelta = TOLERANCE,
) -> bool:
    """Say whether a received request was signed with one of *secrets*, not long ago. For receivers.

    Whoever sends a recorded request again within *tolerance* passes: the id, in the header `webhook-id`, tells.

    Args:
        headers: The request's headers, in whatever case.
        body: The request's body, byte for byte as received.
        secrets: The secret, or several while one is being replaced by another.
        now: The present; the system's if None.
        tolerance: How old, or how far ahead, the signature may be.
    """
    given = {name.lower(): value for name, value in headers.items()}
    id, timestamp = given.get("webhook-id"), given.get("webhook-timestamp")
    if id is None or timestamp is None or not timestamp.isascii() or not timestamp.isdecimal():
        return False
    present = datetime.now(UTC) if now is None else now
    if abs(present.timestamp() - int(timestamp[:20])) > tolerance.total_seconds():
        return False
    signatures = [part[3:] for part in given.get("webhook-signature", "").split() if part.startswith("v1,")]
    expected = [
        _signature(id, timestamp, body, secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)
    ]
    # All pairs, and in constant time each, so that the time taken tells nothing about the right one.
    return any([hmac.compare_digest(a.encode(), b.encode()) for a in signatures for b in expected])  # noqa: C419


def _signature(id: str, timestamp: str, body: bytes, secret: str) -> str:
    signed = f"{id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def _key(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except binascii.Error:
            pass
    return secret.encode()
