"""What `lint` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to look at in a pattern.

    Attributes:
        code: What kind of thing, such as `never-matches`; the codes are listed in `CODES`.
        severity: `error`: it is refused here or by EventBridge, or never matches. `warning`: it hardly means what it
            says. `note`: it is worth knowing.
        message: What it is.
        path: JSONPath of the place inside the pattern.
        hint: What to write instead, or empty.
        line: Line in the pattern's text, from 1, of what is refused; None for all else.
        column: Column in that line, in characters from 1.
    """

    code: str
    severity: Severity
    message: str
    path: str = "$"
    hint: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}, line {self.line} column {self.column}"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.severity}: {self.message} at {place}{hint} [{self.code}]"


#: Every code, with what it is about.
CODES: Final[Mapping[str, str]] = {
    "invalid": "The pattern is refused, here and by EventBridge.",
    "too-complex": "The pattern is past a limit that protects the process.",
    "aws-length": "EventBridge refuses patterns of more than 2,048 characters.",
    "aws-wildcard-complexity": "EventBridge refuses wildcards that could make its matching slow.",
    "aws-or-combinations": "EventBridge refuses patterns whose $or branches multiply to more than 1,000.",
    "aws-numeric-range": "The EventBridge user guide limits numbers to five billion either side of zero.",
    "aws-wildcard-rules": "EventBridge allows 30 rules with wildcards on a bus.",
    "never-matches": "No event can match.",
    "needs-array": "A field has to be a value and an object at once, which takes an array or a name with a dot.",
    "or-override": "A field stands beside a $or and inside it, and the later one replaces the earlier.",
    "duplicate-key": "A name is written twice: a later array replaces the earlier, objects are merged.",
    "two-anything-but": "Alternatives are ORed, so that two anything-but let nearly everything through.",
    "passes-everything": "Every value passes the alternatives of a field.",
    "anything-but-other-types": "An anything-but of strings lets all values through that are no strings.",
    "duplicate-rule": "Two rules of a bus match the same events.",
    "shadowed-rule": "All that a rule sends to a target, another rule sends there too.",
    "exists-false-in-array": "Inside arrays, an absent field is judged by the order of the names of fields.",
}
