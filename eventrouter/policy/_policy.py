"""`Policy`: a resource policy and its decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias

from eventrouter.errors import InvalidRuleError
from eventrouter.policy._conditions import DETAIL_TYPE, SOURCE
from eventrouter.policy._places import Place
from eventrouter.policy._statement import Statement, is_account, parts_of_arn, read_statements

MAXIMUM_POLICY_SIZE: Final = 10_240  # bytes (EventBridge quotas: 10 KB)
MAXIMUM_NAME_LENGTH: Final = 2_048  # characters of what a request names; the greatest length of an ARN

#: What a policy can decide about.
Action: TypeAlias = Literal["events:PutEvents", "lambda:InvokeFunction"]


class Denial(NamedTuple):
    """Why a request is refused.

    Attributes:
        error_code: `NotAuthorizedForSourceException`, `NotAuthorizedForDetailTypeException` or `AccessDeniedException`.
        error_message: The reason in words, with the statement if one decided.
    """

    error_code: str
    error_message: str


@dataclass(frozen=True)
class Policy:
    """Who may put which events on a bus, or invoke which function: a resource policy of AWS's, unchanged.

    Make one with `parse` from AWS's document, or with `of` from statements that `allow` and `deny` write. Policies are
    values: equal documents make equal policies.

    Attributes:
        document: The document as JSON text without spaces, in the order it was written in.
    """

    document: str
    _statements: tuple[Statement, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, document: Mapping[str, Any] | str | bytes) -> Self:
        """Read a policy document, as JSON text or as data.

        What AWS knows and this package does not evaluate is refused, for nobody should believe in a restriction that
        does not hold: `NotPrincipal`, `NotAction`, `NotResource`, policy variables, and condition operators and keys
        other than those in `docs/how-to/policies.md`.

        Raises:
            InvalidRuleError: It is not a policy, or larger than 10 KB; with the place as JSONPath and what to write.
        """
        data = _read(document)
        statements = read_statements(Place(data))
        return cls(_written(data), tuple(statements))

    @classmethod
    def of(cls, *statements: Mapping[str, Any]) -> Self:
        """Make a policy of statements. Raises `InvalidRuleError` as `parse` does."""
        return cls.parse({"Version": "2012-10-17", "Statement": [dict(statement) for statement in statements]})

    def to_data(self) -> dict[str, Any]:
        """Give the document as data, as it was read."""
        data: dict[str, Any] = json.loads(self.document)
        return data

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).parse, (self.document,)

    def covers(self, action: Action, resource: str) -> bool:
        """Say whether any statement is about doing *action* to *resource*, whoever does it."""
        return any(statement.covers(action, resource) for statement in self._statements)

    def authorize(
        self,
        *,
        action: Action,
        resource: str,
        principal: str | None = None,
        source: str | None = None,
        detail_type: str | None = None,
    ) -> Denial | None:
        """Decide whether a request is allowed: None if it is.

        As in IAM, a `Deny` that applies decides; otherwise it takes an `Allow` that applies (IAM user guide, "Policy
        evaluation logic"). Pure, and takes time that grows with the names' length and the policy's size.

        Args:
            action: What is to be done.
            resource: The name of the bus or function.
            principal: Who does it: any name, an account of twelve digits, or an ARN, which also acts as its account and
                its service. None is the process itself, which only a statement for `*` speaks of.
            source: Of the event that is put.
            detail_type: Of the event that is put.

        Returns:
            None, or a denial. Its code is `NotAuthorizedForSourceException` when an `Allow` would apply but for its
            condition on the source, or the `Deny` has such a condition; `NotAuthorizedForDetailTypeException` likewise,
            where of two `Allow` the one that only misses the detail type counts as the nearer; otherwise
            `AccessDeniedException`.
        """
        who = principal if principal is not None else "The process itself"
        asked = f"{who[:100]} may not {action} on {resource[:100]}"
        if any(len(name or "") > MAXIMUM_NAME_LENGTH for name in (principal, resource, source, detail_type)):
            return Denial("AccessDeniedException", f"{asked}: a name has more than {MAXIMUM_NAME_LENGTH:,} characters.")
        names, context = _identity(principal)
        context |= {key: value for key, value in ((SOURCE, source), (DETAIL_TYPE, detail_type)) if value is not None}
        is_allowed = False
        misses: list[frozenset[str]] = []
        for statement in self._statements:
            if not statement.covers(action, resource) or statement.principals.isdisjoint(names):
                continue
            failed = statement.failed(context)
            if statement.is_allow:
                is_allowed |= not failed
                misses.append(failed)
            elif not failed:
                return Denial(_code([statement.keys]), f"{asked}: statement {statement.name} denies it.")
        if is_allowed:
            return None
        code = _code(misses)
        return Denial(code, f"{asked}: {_REASONS[code]}.")


#: Of an implicit denial; an explicit one has its statement to name.
_REASONS: Final = {
    "NotAuthorizedForSourceException": "no statement allows this source",
    "NotAuthorizedForDetailTypeException": "no statement allows this detail type",
    "AccessDeniedException": "no statement allows it",
}


def _code(misses: list[frozenset[str]]) -> str:
    """Give the code for the condition keys that each of some statements has come down to."""
    about = [keys for keys in misses if keys and keys <= {SOURCE, DETAIL_TYPE}]
    if not about:
        return "AccessDeniedException"
    if any(SOURCE not in keys for keys in about):
        return "NotAuthorizedForDetailTypeException"
    return "NotAuthorizedForSourceException"


def _identity(principal: str | None) -> tuple[set[str], dict[str, str]]:
    """Give the names that a statement may call the principal by, and what conditions can know of it."""
    names: set[str] = {"*"}
    context: dict[str, str] = {}
    if principal is None:
        return names, context
    names.add(principal)
    parts = parts_of_arn(principal)
    service, account = parts if parts is not None else ("", principal)
    # AWS tells people and roles, which act themselves, from rules and the like, on whose behalf a service acts.
    kind = "source" if service not in ("", "iam", "sts") else "principal"
    if kind == "source":
        names.add(f"{service}.amazonaws.com")
    if is_account(account):
        names.add(account)
        context[f"aws:{kind}account"] = account
    context[f"aws:{kind}arn"] = principal
    return names, context


def _read(document: Mapping[str, Any] | str | bytes) -> Any:
    """Read a document that is not too large as plain data."""
    try:
        text = document if isinstance(document, str | bytes) else _written(document)
        data = json.loads(text, object_pairs_hook=_object)
        size = len(_written(data).encode())
    except InvalidRuleError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRuleError(f"The policy is not JSON: {error}", hint="write AWS's policy document") from error
    if size > MAXIMUM_POLICY_SIZE:
        raise InvalidRuleError(
            f"The policy has {size:,} bytes without spaces, {MAXIMUM_POLICY_SIZE:,} are allowed",
            hint="use wildcards instead of long lists",
        )
    return data


def _written(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object in which no name comes twice: of two conditions, one would silently be none."""
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise InvalidRuleError(f'"{name}" is written twice in one object', hint="write it once, with a list")
        made[name] = value
    return made
