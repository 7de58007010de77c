"""`eventrouter lint`: findings in a rules file, as text or as SARIF."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import typer

from eventrouter.cli._report import printable
from eventrouter.declarations import RuleDeclaration, load_declarations
from eventrouter.errors import PatternError
from eventrouter.patterns import CODES, Finding, Pattern, has_wildcards, lint, steps_of

_MAXIMUM_WILDCARD_RULES: Final = 30  # on a bus (EventBridge quotas)


@dataclass(frozen=True)
class _Place:
    """Where a finding stands in a JSON file, line and column from 1; of TOML and YAML only the file is known."""

    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f":{self.line}:{self.column}" if self.line else ""


def lint_rules(path: Path, *, as_sarif: bool) -> bool:
    """Print what is found in the rules of a file, and say whether it is clean: notes are no faults.

    Raises:
        EventRouterError: The file is not a rules file. A pattern that is refused is a finding.
        OSError: It cannot be read.
    """
    declarations = load_declarations(path)
    findings = list(_findings(declarations))
    text = path.read_text(encoding="utf-8") if path.suffix.lower() == ".json" else ""
    placed = [(finding, _locate(text, finding.path)) for finding in findings]
    if as_sarif:
        typer.echo(json.dumps(_sarif(path, placed), indent=2))
    else:
        for finding, place in placed:
            typer.echo(printable(f"{path}{place}: {finding}"))
        typer.echo(f"{len(declarations)} rules, {_counted(findings)}")
    return all(finding.severity == "note" for finding in findings)


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    words = [f"{count} {name}{'s' * (count > 1)}" for name in ("error", "warning", "note") if (count := counts[name])]
    return ", ".join(words) or "nothing to say"


def _findings(declarations: Sequence[RuleDeclaration]) -> Iterator[Finding]:
    wildcards: Counter[str] = Counter()
    for index, rule in enumerate(declarations):
        for finding in lint(rule.event_pattern, on_a_bus=True):
            message, inside = f"rule {rule.name}: {finding.message}", finding.path.removeprefix("$")
            if isinstance(rule.event_pattern, str):  # which is one value of the file, with places of its own
                message, inside = f"{message}{_in_its_text(finding)}", ""
            path = f"$.Rules[{index}].EventPattern{inside}"
            yield replace(finding, message=message, path=path, line=None, column=None)
        wildcards[rule.event_bus_name] += _has_wildcards(rule)
    for bus, count in wildcards.items():
        if count > _MAXIMUM_WILDCARD_RULES:
            message = f"EventBridge would refuse it: bus {bus} has {count} rules with wildcards, more than 30"
            yield Finding("aws-wildcard-rules", "error", message, "$.Rules")


def _in_its_text(finding: Finding) -> str:
    if finding.line is not None:
        return f" at {finding.path}, line {finding.line} column {finding.column} of its text"
    return f" at {finding.path} of its text" if finding.path != "$" else ""


def _has_wildcards(rule: RuleDeclaration) -> bool:
    try:
        return has_wildcards(Pattern.parse(rule.event_pattern))
    except PatternError:  # a finding already
        return False


def _locate(text: str, path: str) -> _Place:
    """Find a place in a JSON text that was read before."""
    if not text:
        return _Place()
    position = _blank(text, 0)
    steps = steps_of(path)
    for step in steps[text[position] == "[" :]:  # the file may be the list of rules itself
        position = _value_of(text, position, step)
    return _Place(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


_decode: Final = json.JSONDecoder().raw_decode


def _value_of(text: str, position: int, step: str | int) -> int:
    """Give where a value of an object or array begins; of a repeated name the last, which is what is read."""
    is_object = text[position] == "{"
    found = position
    index = 0
    position = _blank(text, position + 1)
    while text[position] not in "}]":
        name: str | int = index
        if is_object:
            name, position = _decode(text, position)
            position = _blank(text, _blank(text, position) + 1)
        if name == step:
            found = position
        _, position = _decode(text, position)
        position = _blank(text, position)
        if text[position] == ",":
            position = _blank(text, position + 1)
        index += 1
    return found


def _blank(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\n", "\r"):
        position += 1
    return position


def _sarif(path: Path, placed: Sequence[tuple[Finding, _Place]]) -> dict[str, Any]:
    rules = [{"id": code, "shortDescription": {"text": about}} for code, about in CODES.items()]
    driver = {"name": "eventrouter", "version": metadata.version("eventrouter"), "rules": rules}
    results = [_result(path, finding, place) for finding, place in placed]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _result(path: Path, finding: Finding, place: _Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": path.as_posix()}}
    if place.line:
        physical["region"] = {"startLine": place.line, "startColumn": place.column}
    location = {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": finding.path}]}
    text = finding.message + (f" ({finding.hint})" if finding.hint else "")
    return {"ruleId": finding.code, "level": finding.severity, "message": {"text": text}, "locations": [location]}
