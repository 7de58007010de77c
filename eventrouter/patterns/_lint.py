"""What is legal in a pattern, and yet not what its author can want, or not what EventBridge takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from eventrouter.errors import PatternComplexityError, PatternError
from eventrouter.patterns._answers import Answer
from eventrouter.patterns._findings import Finding
from eventrouter.patterns._lint_alternatives import alternatives_findings, wildcards
from eventrouter.patterns._lint_rules import Places, rules_findings
from eventrouter.patterns._pattern import MAXIMUM_COMBINATIONS, Pattern, pattern_text
from eventrouter.patterns._tree import Alternatives, to_json
from eventrouter.patterns._written import repeats, written

MAXIMUM_LENGTH: Final = 2_048  # characters (EventBridge quotas; may be raised to 4,096)

_GRAVITY: Final = ("error", "warning", "note")


def lint(pattern: Pattern | str | bytes | Mapping[str, Any], *, on_a_bus: bool | None = None) -> list[Finding]:
    """Look for what is legal in a pattern but hardly wanted, and for what EventBridge would refuse.

    Never raises: a pattern that is refused is a finding too. Duplicate keys show only in text, as data has none.

    Args:
        pattern: The pattern; as text or data it is read with the default limits.
        on_a_bus: Whether its events come from a bus: so they have EventBridge's envelope, and no other fields beside
            it. By default that is not known: then fields that no event of a bus has are notes, in a pattern that has,
            or seems to mean, a field of the envelope. True makes them errors, which is what the command line does.

    Returns:
        The findings, the gravest first; empty when there is nothing to say.
    """
    try:
        parsed = pattern if isinstance(pattern, Pattern) else Pattern.parse(pattern)
    except PatternError as error:
        code = "too-complex" if isinstance(error, PatternComplexityError) else "invalid"
        return [Finding(code, "error", error.reason, error.path, error.hint, error.line, error.column)]
    parts = list(written(parsed.document))
    fields = [(part.steps, part.node) for part in parts if isinstance(part.node, Alternatives)]
    places = Places({id(node.filters): steps for steps, node in fields})
    findings = [
        *_limits(parsed, _length(pattern, parsed)),
        *repeats(parts),
        *(finding for steps, node in fields for finding in alternatives_findings(node.filters, steps)),
        *rules_findings(parsed, places, on_a_bus=on_a_bus),
    ]
    if on_a_bus and not any(finding.code == "never-matches" for finding in findings):
        answer = parsed.is_empty(on_a_bus=True)
        if isinstance(answer, Answer) and answer:
            findings.append(
                Finding("never-matches", "error", "no event of a bus can match: its envelope is another one")
            )
    return sorted(dict.fromkeys(findings), key=lambda finding: _GRAVITY.index(finding.severity))


def _limits(pattern: Pattern, length: int) -> Iterator[Finding]:
    if length > MAXIMUM_LENGTH:
        message = f"EventBridge would refuse it: {length} characters are more than {MAXIMUM_LENGTH}"
        yield Finding("aws-length", "error", message)
    if len(pattern.sub_rules) > MAXIMUM_COMBINATIONS:
        message = f"EventBridge would refuse it: $or has {len(pattern.sub_rules)} combinations, more than 1000"
        yield Finding("aws-or-combinations", "error", message, hint="split the rule")


def _length(pattern: Pattern | str | bytes | Mapping[str, Any], parsed: Pattern) -> int:
    """Count the characters of a text as it is, and of all else as compact JSON."""
    if isinstance(pattern, str | bytes):
        return len(pattern_text(pattern))
    return len(to_json(parsed.document))


def has_wildcards(pattern: Pattern) -> bool:
    """Say whether a pattern has wildcards, of which EventBridge allows 30 rules on a bus."""
    return any(wildcards(test) for rule in pattern.sub_rules for filters in rule.values() for test in filters)
