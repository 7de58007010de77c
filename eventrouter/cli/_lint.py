"""`eventrouter lint`: findings in a rules file, as text or as SARIF."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import typer

from eventrouter._documents import read_json
from eventrouter.cli._report import printable
from eventrouter.declarations import RuleDeclaration, load_declarations
from eventrouter.errors import PatternError
from eventrouter.patterns import CODES, BusRule, Finding, Pattern, has_wildcards, lint, rule_set_findings, steps_of
from eventrouter.positions import beginning, find, line_and_column
from eventrouter.target_declarations import TargetDeclaration

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
    text = read_json(path) if path.suffix.lower() == ".json" else ""
    placed = [(finding, _locate(text, finding.path)) for finding in findings]
    if as_sarif:
        typer.echo(json.dumps(_sarif(path, placed), indent=2))
    else:
        for finding, place in placed:
            typer.echo(printable(f"{path}{place}: {finding}"))
        typer.echo(f"{len(declarations)} rule{'s' * (len(declarations) != 1)}, {_counted(findings)}")
    return all(finding.severity == "note" for finding in findings)


def _counted(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    words = [f"{count} {name}{'s' * (count > 1)}" for name in ("error", "warning", "note") if (count := counts[name])]
    return ", ".join(words) or "nothing to say"


def _findings(declarations: Sequence[RuleDeclaration]) -> Iterator[Finding]:
    wildcards: Counter[str] = Counter()
    for index, rule in enumerate(declarations):
        if rule.pattern_source is None:
            continue
        for finding in lint(rule.pattern_source, on_a_bus=True):
            message, inside = f"rule {rule.name}: {finding.message}", finding.path.removeprefix("$")
            if isinstance(rule.event_pattern, str):  # which is one value of the file, with places of its own
                message, inside = f"{message}{_in_its_text(finding)}", ""
            path = f"$.Rules[{index}].EventPattern{inside}"
            yield replace(finding, message=message, path=path, line=None, column=None)
        wildcards[rule.event_bus_name] += _has_wildcards(rule)
    yield from _of_buses(declarations)
    for bus, count in wildcards.items():
        if count > _MAXIMUM_WILDCARD_RULES:
            message = f"EventBridge would refuse it: bus {bus} has {count} rules with wildcards, more than 30"
            yield Finding("aws-wildcard-rules", "error", message, "$.Rules")


def _of_buses(declarations: Sequence[RuleDeclaration]) -> Iterator[Finding]:
    """Compare the rules of each bus that are enabled."""
    buses: dict[str, list[BusRule]] = {}
    for index, rule in enumerate(declarations):
        if rule.state == "ENABLED" and (pattern := _pattern(rule)) is not None:
            # The same target twice is the same only if it receives the same.
            targets = {target.arn: _received(target) for target in rule.targets}
            placed = BusRule(rule.name, pattern, targets, f"$.Rules[{index}].EventPattern")
            buses.setdefault(rule.event_bus_name, []).append(placed)
    for rules in buses.values():
        yield from rule_set_findings(rules)


def _received(target: TargetDeclaration) -> str:
    return repr((target.input, target.input_path, target.input_transformer))


def _pattern(rule: RuleDeclaration) -> Pattern | None:
    if rule.pattern_source is None:  # it has a schedule instead
        return None
    try:
        return Pattern.parse(rule.pattern_source)
    except PatternError:  # a finding already
        return None


def _in_its_text(finding: Finding) -> str:
    if finding.line is not None:
        return f" at {finding.path}, line {finding.line} column {finding.column} of its text"
    return f" at {finding.path} of its text" if finding.path != "$" else ""


def _has_wildcards(rule: RuleDeclaration) -> bool:
    pattern = _pattern(rule)
    return pattern is not None and has_wildcards(pattern)


def _locate(text: str, path: str) -> _Place:
    """Find a place in a JSON text that was read before."""
    if not text:
        return _Place()
    steps = steps_of(path)
    is_list = text[beginning(text)] == "["  # the file may be the list of rules itself
    return _Place(*line_and_column(text, find(text, steps[is_list:])))


def _sarif(path: Path, placed: Sequence[tuple[Finding, _Place]]) -> dict[str, Any]:
    rules = [{"id": code, "shortDescription": {"text": about}} for code, about in CODES.items()]
    driver = {"name": "eventrouter", "version": metadata.version("eventrouter"), "rules": rules}
    results = [_result(path, finding, place) for finding, place in placed]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _result(path: Path, finding: Finding, place: _Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(path.as_posix(), errors="surrogateescape")}}
    if place.line:
        physical["region"] = {"startLine": place.line, "startColumn": place.column}
    location = {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": finding.path}]}
    text = finding.message + (f" ({finding.hint})" if finding.hint else "")
    return {"ruleId": finding.code, "level": finding.severity, "message": {"text": text}, "locations": [location]}
