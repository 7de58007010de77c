"""Statements for people who would rather not write IAM's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def allow(
    principal: str | Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    detail_types: Sequence[str] | None = None,
    action: str = "events:PutEvents",
    resource: str | Sequence[str] = "*",
    sid: str | None = None,
) -> dict[str, Any]:
    """Write a statement that allows somebody something; `Policy.of` makes a policy of such.

    Args:
        principal: Who: a name, an account, an ARN, or several; `*` is everybody.
        sources: Of which events; `*` stands for any text, `?` for one character. None for all.
        detail_types: Of which events, likewise; both must fit.
        action: What: `events:PutEvents` or `lambda:InvokeFunction`.
        resource: On which bus or function, by name, with wildcards; by default that which the policy is put on.
        sid: A name for the statement, which denials give.
    """
    # An empty list is written as it is, and refused by `Policy`: nobody means "all" by it.
    keys = {"events:source": sources, "events:detail-type": detail_types}
    tests = {key: _json(texts) for key, texts in keys.items() if texts is not None}
    return {
        **({"Sid": sid} if sid is not None else {}),
        "Effect": "Allow",
        "Principal": principal if principal == "*" else {"AWS": _json(principal)},
        "Action": action,
        "Resource": _json(resource),
        **({"Condition": {"StringLike": tests}} if tests else {}),
    }


def deny(
    principal: str | Sequence[str],
    *,
    sources: Sequence[str] | None = None,
    detail_types: Sequence[str] | None = None,
    action: str = "events:PutEvents",
    resource: str | Sequence[str] = "*",
    sid: str | None = None,
) -> dict[str, Any]:
    """Write a statement that denies somebody something, whatever else allows it. For the arguments see `allow`."""
    allowed = allow(principal, sources=sources, detail_types=detail_types, action=action, resource=resource, sid=sid)
    return {**allowed, "Effect": "Deny"}


def _json(texts: str | Sequence[str]) -> str | list[str]:
    return texts if isinstance(texts, str) else list(texts)
