"""Conditions of statements (IAM user guide, "IAM JSON policy elements: Condition operators")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from eventrouter.policy._globs import Globs, VariableError, plain
from eventrouter.policy._places import Place, nearest

#: What a request tells about itself, by the condition key in lower case, as the keys' case does not matter.
Context = Mapping[str, str]

SOURCE: Final = "events:source"
DETAIL_TYPE: Final = "events:detail-type"
KEYS: Final = (
    SOURCE,
    DETAIL_TYPE,
    "aws:PrincipalArn",
    "aws:PrincipalAccount",
    "aws:SourceArn",
    "aws:SourceAccount",
)

_Accepts = Callable[[str], bool]
_PARTS_OF_ARN: Final = 6


@dataclass(frozen=True, slots=True)
class Check:
    """One key of a condition.

    Attributes:
        key: The key, in lower case.
        passes_without: Whether the check passes when the request does not have the key.
        accepts: Whether it passes with a value.
    """

    key: str
    passes_without: bool
    accepts: _Accepts

    def passes(self, context: Context) -> bool:
        """Say whether a request passes."""
        value = context.get(self.key)
        return self.passes_without if value is None else self.accepts(value)


def read_condition(condition: Place) -> Iterator[Check]:
    """Read the checks of a condition, all of which must pass.

    Raises:
        InvalidRuleError: An operator or key is not known here, or a value is not what the operator takes.
    """
    for name, keys in condition.members("condition"):
        read = _reader(name, keys)
        for key, values in keys.members("condition"):
            if key.lower() not in _KNOWN:
                raise values.refusal(
                    f'"{key}" is no condition key here', nearest(key, KEYS, f"the keys are {', '.join(KEYS)}")
                )
            yield read(key.lower(), values)


def _reader(name: str, place: Place) -> Callable[[str, Place], Check]:
    """Give what reads a key and its values under an operator, `ForAllValues:StringEqualsIfExists` for one."""
    if name == "Null":
        return _null
    qualifier, colon, rest = name.rpartition(":")
    operator = rest.removesuffix("IfExists")
    if operator not in _OPERATORS or (qualifier + colon) not in _QUALIFIERS:
        known = [*_OPERATORS, "Null"]
        otherwise = f"the operators are {', '.join(known)}; the first ones with IfExists behind or {_QUALIFIED} before"
        raise place.refusal(f'"{name}" is no condition operator here', nearest(name, known, otherwise))
    negated = "Not" in operator
    make = _OPERATORS[operator]
    # Each key has one value, or none. Without one, "for all values" holds and "for any value" does not.
    without = qualifier != "ForAnyValue" and (negated or rest != operator or qualifier == "ForAllValues")

    def read(key: str, values: Place) -> Check:
        texts = values.texts("write a string, or a list of strings")
        accepts = make(texts)
        return Check(key, without, (lambda value: not accepts(value)) if negated else accepts)

    return read


def _null(key: str, values: Place) -> Check:
    wanted = {True: True, False: False, "true": True, "false": False}
    items = values.items('write "true" or "false"')
    value = items[0].value
    if len(items) > 1 or not isinstance(value, str | bool) or value not in wanted:
        raise values.refusal("Null takes one truth value", 'write "true" for keys that must be absent, or "false"')
    is_absent = wanted[value]
    return Check(key, is_absent, lambda _: not is_absent)


def _equal(texts: list[Place]) -> _Accepts:
    return frozenset(_plain(text) for text in texts).__contains__


def _equal_ignoring_case(texts: list[Place]) -> _Accepts:
    lowered = frozenset(_plain(text).lower() for text in texts)
    return lambda value: value.lower() in lowered


def _like(texts: list[Place]) -> _Accepts:
    return globs(texts).match


def _arn_like(texts: list[Place]) -> _Accepts:
    """Compare ARNs part by part: a star does not reach across a colon but in the last part."""
    patterns: list[list[Globs]] = []
    for text in texts:
        parts = text.value.split(":", _PARTS_OF_ARN - 1)
        if len(parts) != _PARTS_OF_ARN or parts[0] != "arn":
            raise text.refusal(f"{text.value!r} is no ARN", "write arn:partition:service:region:account:resource")
        patterns.append([globs([Place(part, text.steps)]) for part in parts])

    def accepts(value: str) -> bool:
        parts = value.split(":", _PARTS_OF_ARN - 1)
        return len(parts) == _PARTS_OF_ARN and any(
            all(pattern.match(part) for pattern, part in zip(pattern, parts, strict=True)) for pattern in patterns
        )

    return accepts


def globs(texts: list[Place]) -> Globs:
    """Read texts with wildcards."""
    for text in texts:
        _plain(text)
    return Globs([text.value for text in texts])


def _plain(text: Place) -> str:
    try:
        return plain(text.value)
    except VariableError as error:
        raise text.refusal(str(error), "they have no value here; write the text itself") from None


_OPERATORS: Final[dict[str, Callable[[list[Place]], _Accepts]]] = {
    "StringEquals": _equal,
    "StringNotEquals": _equal,
    "StringEqualsIgnoreCase": _equal_ignoring_case,
    "StringNotEqualsIgnoreCase": _equal_ignoring_case,
    "StringLike": _like,
    "StringNotLike": _like,
    "ArnEquals": _arn_like,  # IAM does not tell the two apart
    "ArnNotEquals": _arn_like,
    "ArnLike": _arn_like,
    "ArnNotLike": _arn_like,
}
_QUALIFIED: Final = "ForAllValues: or ForAnyValue:"
_QUALIFIERS: Final = ("", "ForAllValues:", "ForAnyValue:")
_KNOWN: Final = frozenset(key.lower() for key in KEYS)
