"""Statements: reading them, and what they apply to (IAM user guide, "IAM JSON policy elements reference")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eventrouter.patterns import json_path
from eventrouter.policy._conditions import Check, Context, globs, read_condition
from eventrouter.policy._globs import Globs
from eventrouter.policy._places import Place, nearest

#: The actions that are decided here.
_DECIDED: Final = ("events:PutEvents", "lambda:InvokeFunction")
#: What else AWS's policies of buses and functions may name; it is read, so that these can stay as they are.
_OTHERS: Final = (
    *(f"events:{name}Rule" for name in ("Put", "Delete", "Describe", "Disable", "Enable")),
    *(f"events:{name}" for name in ("PutTargets", "RemoveTargets", "ListRules", "ListTargetsByRule")),
    *(f"events:{name}" for name in ("ListTagsForResource", "TagResource", "UntagResource", "DescribeEventBus")),
    *(f"lambda:{name}" for name in ("InvokeAsync", "InvokeFunctionUrl", "GetFunction", "GetFunctionConfiguration")),
)
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ARN: Final = re.compile(r"arn:[^:]*:([^:]*):[^:]*:([^:]*):.+", re.DOTALL)
_ROOT: Final = re.compile(r"arn:[^:]*:iam::([0-9]{12}):root")
_RESOURCE: Final = re.compile(
    r"arn:[^:]*:(?:events:[^:]*:[^:]*:event-bus/(?P<events>.+)|lambda:[^:]*:[^:]*:function:(?P<lambda>.+)"
    r"|events:[^:]*:[^:]*:rule/(?P<rule>.+))"
)
_KINDS: Final = ("AWS", "Service", "Federated", "CanonicalUser")
_ELEMENTS: Final = ("Sid", "Effect", "Principal", "Action", "Resource", "Condition")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement.

    Attributes:
        name: Its `Sid`, or its place.
        is_allow: Whether it allows; otherwise it denies.
        principals: Whom it is about; `*` is everybody.
        actions: Which of the decided actions it is about.
        resources: What it is about: the service, or None for all, and the name.
        checks: What must hold besides.
    """

    name: str
    is_allow: bool
    principals: frozenset[str]
    actions: frozenset[str]
    resources: tuple[tuple[str | None, Globs], ...]
    checks: tuple[Check, ...]

    def covers(self, action: str, resource: str) -> bool:
        """Say whether it is about doing *action* to *resource*."""
        service = action.partition(":")[0]
        return action in self.actions and any(
            of in (None, service) and name.match(resource) for of, name in self.resources
        )

    def failed(self, context: Context) -> frozenset[str]:
        """Give the keys of the checks that a request fails."""
        return frozenset(check.key for check in self.checks if not check.passes(context))

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all its checks."""
        return frozenset(check.key for check in self.checks)


def parts_of_arn(text: str) -> tuple[str, str] | None:
    """Give service and account of an ARN, None for any other text."""
    match = _ARN.fullmatch(text)
    return (match[1], match[2]) if match else None


def is_account(text: str) -> bool:
    """Say whether it is an account's number."""
    return _ACCOUNT.fullmatch(text) is not None


def read_statements(document: Place) -> Iterator[Statement]:
    """Read a policy document.

    Raises:
        InvalidRuleError: It is not one; with the place and what to write.
    """
    parts = _elements(document, "policy", ("Version", "Id", "Statement"), required=("Statement",))
    if "Version" in parts and parts["Version"].value not in ("2012-10-17", "2008-10-17"):
        raise parts["Version"].refusal("It is no version of the policy language", 'write "2012-10-17"')
    if "Id" in parts:
        parts["Id"].text("write a text, or leave it out")
    seen: set[str] = set()
    for place in parts["Statement"].items("write at least one statement"):
        statement = _statement(place)
        if statement.name in seen:
            raise place.member("Sid").refusal(f"There are two statements {statement.name}", "give one another Sid")
        seen.add(statement.name)
        yield statement


def _elements(place: Place, what: str, names: tuple[str, ...], *, required: tuple[str, ...]) -> dict[str, Place]:
    parts = dict(place.members(what))
    for name, part in parts.items():
        if name in ("NotPrincipal", "NotAction", "NotResource"):
            hint = f"use {name[3:]}" + ", with a Deny for the exceptions"
            raise part.refusal(f'"{name}" is not evaluated here', hint)
        if name not in names:
            raise part.refusal(
                f'"{name}" is no element of a {what}', nearest(name, names, f"they are {', '.join(names)}")
            )
    for name in required:
        if name not in parts:
            raise place.refusal(f"The {what} has no {name}", f'add "{name}"')
    return parts


def _statement(place: Place) -> Statement:
    parts = _elements(place, "statement", _ELEMENTS, required=("Effect", "Principal", "Action", "Resource"))
    effect = parts["Effect"]
    if effect.value not in ("Allow", "Deny"):
        raise effect.refusal(f"{effect.value!r} is no effect", 'write "Allow" or "Deny"')
    return Statement(
        name=parts["Sid"].text("write a text, or leave it out") if "Sid" in parts else f"at {json_path(place.steps)}",
        is_allow=effect.value == "Allow",
        principals=frozenset(_principals(parts["Principal"])),
        actions=frozenset(_actions(parts["Action"])),
        resources=tuple(map(_resource, parts["Resource"].texts('write the name of the bus or function, or "*"'))),
        checks=tuple(read_condition(parts["Condition"])) if "Condition" in parts else (),
    )


def _principals(place: Place) -> Iterator[str]:
    """Give the principals; an account's root stands for the account."""
    hint = 'write "*", or {"AWS": name} or a list of them'
    kinds = [("AWS", place)] if isinstance(place.value, str) else place.members("principal")
    for kind, names in kinds:
        if kind not in _KINDS:
            raise names.refusal(f'"{kind}" is no kind of principal', nearest(kind, _KINDS, hint))
        for name in names.texts(hint):
            text: str = name.value
            if ("*" in text or "?" in text) and (kind, text) != ("AWS", "*"):
                raise name.refusal(
                    f"{text!r} has a wildcard, which a principal cannot have",
                    'write "*", with a StringLike condition on aws:PrincipalArn',
                )
            root = _ROOT.fullmatch(text)
            yield root[1] if root else text


def _actions(place: Place) -> Iterator[str]:
    for name in place.texts('write "events:PutEvents" or "lambda:InvokeFunction"'):
        # IAM does not tell case apart in actions.
        pattern = globs([Place(name.value.lower(), name.steps)])
        meant = [action for action in (*_DECIDED, *_OTHERS) if pattern.match(action.lower())]
        if not meant:
            hint = nearest(name.value, (*_DECIDED, *_OTHERS), f"what is decided here is {' and '.join(_DECIDED)}")
            raise name.refusal(f"{name.value!r} is no action of a bus or function", hint)
        yield from (action for action in meant if action in _DECIDED)


def _resource(place: Place) -> tuple[str | None, Globs]:
    """Read a bus or function, of which only the name counts: a router has one region and one account."""
    text: str = place.value
    if not text.startswith("arn:"):
        return None, globs([place])
    match = _RESOURCE.fullmatch(text)
    if match is None or match.lastgroup is None:
        raise place.refusal(
            f"{text!r} is no bus or function", "write its name, or its ARN as far as event-bus/NAME or function:NAME"
        )
    return match.lastgroup, globs([Place(match[match.lastgroup], place.steps)])
