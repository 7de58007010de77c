"""Rules files: rules and targets as data, in AWS's own keys."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic

from eventrouter._documents import read_document, refuse_repeated_names
from eventrouter.abc import Target
from eventrouter.errors import InvalidRuleError, PatternError, ScheduleExpressionError
from eventrouter.patterns import Pattern
from eventrouter.positions import beginning, find, members
from eventrouter.queue_declarations import (
    QueueDeclaration,
    RedrivePolicyDeclaration,
    checked_queues,
    declare_queues,
    find_queue,
    with_dead_letter_queue,
)
from eventrouter.queues import QueueAttributes
from eventrouter.router import EventRouter
from eventrouter.schedule_declarations import (
    EventBridgeParameters,
    FlexibleTimeWindowDeclaration,
    ScheduleDeclaration,
    ScheduleTargetDeclaration,
    check_schedules,
)
from eventrouter.schedules import ScheduleExpression
from eventrouter.target_declarations import (
    DeadLetterConfig,
    Declaration,
    InputTransformerDeclaration,
    RetryPolicyDeclaration,
    SqsParameters,
    TargetDeclaration,
    TargetMaker,
)
from eventrouter.targets.queue import QueueTarget

_T = TypeVar("_T")


class RuleDeclaration(Declaration):
    """A rule as AWS writes it."""

    name: str
    event_pattern: dict[str, Any] | str | None = None
    schedule_expression: str | None = None
    schedule_expression_timezone: str = "UTC"
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    description: str = ""
    event_bus_name: str = "default"
    targets: list[TargetDeclaration] = pydantic.Field(default_factory=list)
    arn: Any = None
    role_arn: Any = None
    managed_by: Any = None
    created_by: Any = None
    tags: Any = None
    _written: str | None = pydantic.PrivateAttr(None)

    @property
    def pattern_source(self) -> str | dict[str, Any] | None:
        """The pattern as it stands in the file: of a JSON file the text, where names may come again; None if none."""
        return self.event_pattern if self._written is None else self._written

    @cached_property
    def parsed_schedule(self) -> ScheduleExpression | None:
        """When the rule fires by itself, if it does.

        Raises:
            InvalidRuleError: The expression or its time zone is wrong; says where.
        """
        if self.schedule_expression is None:
            return None
        try:
            return ScheduleExpression.parse(self.schedule_expression, self.schedule_expression_timezone)
        except ScheduleExpressionError as error:
            place = "$.ScheduleExpressionTimezone" if error.code == "timezone" else "$.ScheduleExpression"
            raise InvalidRuleError(error.problem, place, error.hint) from error

    def keep(self, written: str | None) -> None:
        """Keep the text that the pattern was read from, if there is one."""
        self._written = written


class _File(Declaration):
    rules: list[RuleDeclaration] = pydantic.Field(default_factory=list)
    queues: list[QueueDeclaration] = pydantic.Field(default_factory=list)
    schedules: list[ScheduleDeclaration] = pydantic.Field(default_factory=list)


@dataclass(frozen=True)
class RulesFile:
    """The rules of a file, each with its pattern parsed, its queues and its schedules."""

    rules: tuple[tuple[RuleDeclaration, Pattern | None], ...]
    queues: tuple[QueueAttributes, ...] = ()
    schedules: tuple[ScheduleDeclaration, ...] = ()

    def install(self, router: EventRouter, make_target: TargetMaker) -> None:
        """Put all rules, targets, queues and schedules on a router, adding the buses and groups they name.

        A target whose ARN is that of a queue of the router, of the file or not, sends there; so does what a
        `DeadLetterConfig` with such an ARN is for. All other targets are made by *make_target*.

        Raises:
            InvalidRuleError: A target or queue cannot be made, with its place in the file. Nothing has been put but
                buses, groups and queues.
        """
        for name in self._buses():
            if name not in router.list_event_buses():
                router.add_event_bus(name)
        for schedule in self.schedules:
            if schedule.group_name not in router.list_schedule_groups():
                router.add_schedule_group(schedule.group_name)
        declare_queues(router, self.queues)
        make_target = _with_queues(make_target)
        made = [
            [
                _in_its_place(f"$.Rules[{n}].Targets[{m}]", partial(make_target, router, target))
                for m, target in enumerate(rule.targets)
            ]
            for n, (rule, _) in enumerate(self.rules)
        ]
        schedules = [
            _in_its_place(f"$.Schedules[{n}].Target", partial(schedule.make, router, make_target))
            for n, schedule in enumerate(self.schedules)
        ]
        for (rule, pattern), targets in zip(self.rules, made, strict=True):
            bus = rule.event_bus_name
            router.put_rule(
                rule.name,
                pattern,
                schedule_expression=rule.parsed_schedule,
                state=rule.state,
                description=rule.description,
                event_bus_name=bus,
            )
            router.put_targets(rule.name, targets, event_bus_name=bus)
        for made_schedule in schedules:
            router.put_schedule(made_schedule)

    def _buses(self) -> Iterable[str]:
        targets = [schedule.declared_target for schedule in self.schedules]
        for rule, _ in self.rules:
            yield rule.event_bus_name
            targets += rule.targets
        yield from (target.event_bus_name for target in targets if target.event_bus_name is not None)


def load_rules(path: Path) -> RulesFile:
    """Read a rules file, and its patterns.

    Raises:
        InvalidRuleError, MissingExtraError, OSError: As `load_declarations`, or a pattern is wrong; says where.
    """
    file = _load(path)
    rules = tuple((rule, _pattern(index, rule)) for index, rule in enumerate(file.rules))
    return RulesFile(rules, checked_queues(file.queues), tuple(file.schedules))


def load_declarations(path: Path) -> tuple[RuleDeclaration, ...]:
    """Read the rules of a file, JSON, TOML or YAML by its suffix, and leave their patterns unread.

    Raises:
        InvalidRuleError: Its syntax, a key, a value or an input is wrong, or a key is written twice; says where.
        MissingExtraError: It is YAML, and the `yaml` extra is not installed.
        OSError: It cannot be read.
    """
    return tuple(_load(path).rules)


def load_expressions(path: Path) -> list[ScheduleExpression]:
    """Read when the rules and schedules of a file fire. Raises as `load_declarations`."""
    file = _load(path)
    of_rules = [rule.parsed_schedule for rule in file.rules if rule.parsed_schedule is not None]
    return [*of_rules, *(schedule.parsed_expression for schedule in file.schedules)]


def _load(path: Path) -> _File:
    document, text = read_document(path)
    if isinstance(document, list):
        document = {"Rules": document}
    refuse_repeated_names(document)
    try:
        file = _File.model_validate(document)
    except pydantic.ValidationError as error:
        raise _translated(error) from error
    if not file.model_fields_set & {"rules", "schedules"}:
        raise InvalidRuleError('"Rules" is required', "$.Rules")
    seen: set[tuple[str, str]] = set()
    for index, rule in enumerate(file.rules):
        if (rule.event_bus_name, rule.name) in seen:
            raise InvalidRuleError(
                f"There are two rules {rule.name} on bus {rule.event_bus_name}",
                f"$.Rules[{index}].Name",
                "give one another name",
            )
        seen.add((rule.event_bus_name, rule.name))
        _check_schedule(f"$.Rules[{index}]", rule)
        for number, target in enumerate(rule.targets):
            _check_input(f"$.Rules[{index}].Targets[{number}]", target)
    if text and file.rules:
        for rule, written in zip(file.rules, _written_patterns(text), strict=True):
            rule.keep(written)
    checked_queues(file.queues)
    check_schedules(file.schedules)
    return file


def _with_queues(make_target: TargetMaker) -> TargetMaker:
    """Give what makes targets that are queues of the router, and leaves others to *make_target*."""

    def make(router: EventRouter, declared: TargetDeclaration) -> Target:
        queue = find_queue(router, declared.arn)
        if queue is None:
            return with_dead_letter_queue(router, make_target(router, declared))
        group = declared.sqs_parameters.message_group_id if declared.sqs_parameters is not None else None
        target = QueueTarget(
            id=declared.id, arn=declared.arn, queue=queue, message_group_id=group, **declared.options()
        )
        return with_dead_letter_queue(router, target)

    return make


def _written_patterns(text: str) -> Iterator[str | None]:
    """Give the text of each rule's pattern in a JSON file, None for one that is itself a string."""
    begin = beginning(text)
    if text[begin] == "{":
        begin = find(text, ["Rules"])
    for rule in members(text, begin):
        patterns = [member for member in members(text, rule.begin) if member.step == "EventPattern"]
        written = text[patterns[0].begin : patterns[0].end] if patterns else ""
        yield written if written.startswith("{") else None


def _pattern(index: int, rule: RuleDeclaration) -> Pattern | None:
    if rule.pattern_source is None:
        return None
    place = f"$.Rules[{index}].EventPattern"
    try:
        return Pattern.parse(rule.pattern_source)
    except PatternError as error:
        raise InvalidRuleError(error.reason, place + error.path.removeprefix("$"), error.hint) from error


def _in_its_place(place: str, make: Callable[[], _T]) -> _T:
    try:
        return make()
    except InvalidRuleError as error:
        raise InvalidRuleError(error.reason, place + error.path[1:], error.hint) from error


def _check_schedule(place: str, rule: RuleDeclaration) -> None:
    if rule.event_pattern is None and rule.schedule_expression is None:
        raise InvalidRuleError("A rule has an EventPattern, a ScheduleExpression, or both", place, "write one")
    try:
        _ = rule.parsed_schedule
    except InvalidRuleError as error:
        raise InvalidRuleError(error.reason, place + error.path[1:], error.hint) from error


def _check_input(place: str, target: TargetDeclaration) -> None:
    try:
        _ = target.shaped_input
    except InvalidRuleError as error:
        raise InvalidRuleError(error.reason, place + error.path[1:], error.hint) from error


def _translated(error: pydantic.ValidationError) -> InvalidRuleError:
    """Turn the first of pydantic's errors into ours, and say how many more there are."""
    # An unknown key is the likeliest cause of what else is wrong, so it comes first.
    first, *others = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    location = [step for step in first["loc"] if step not in ("str", "dict[str,any]")]
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    more = f"; {len(others)} more problem{'s' * (len(others) > 1)} in the file" if others else ""
    if first["type"] == "extra_forbidden":
        keys = _keys_at(location[:-1])
        nearest = difflib.get_close_matches(str(location[-1]), keys, 1)
        hint = f'did you mean "{nearest[0]}"?' if nearest else f"the keys here are {', '.join(keys)}"
        return InvalidRuleError(f'Unknown key "{location[-1]}"{more}', path, hint)
    if first["type"] == "missing":
        return InvalidRuleError(f'"{location[-1]}" is required{more}', path)
    if location[-1:] == ["EventPattern"]:
        return InvalidRuleError(f"An event pattern is an object, or the JSON text of one{more}", path)
    return InvalidRuleError(f"{first['msg']}{more}", path)


def _keys_at(location: list[Any]) -> list[str]:
    """Name the keys that the model at a place of the file has."""
    names: Mapping[str, type[pydantic.BaseModel]] = {
        "Schedules": ScheduleDeclaration,
        "Target": ScheduleTargetDeclaration,
        "FlexibleTimeWindow": FlexibleTimeWindowDeclaration,
        "EventBridgeParameters": EventBridgeParameters,
        "Rules": RuleDeclaration,
        "Targets": TargetDeclaration,
        "RetryPolicy": RetryPolicyDeclaration,
        "DeadLetterConfig": DeadLetterConfig,
        "InputTransformer": InputTransformerDeclaration,
        "SqsParameters": SqsParameters,
        "Queues": QueueDeclaration,
        "RedrivePolicy": RedrivePolicyDeclaration,
    }
    inner = [step for step in location if step in names]
    model = names[inner[-1]] if inner else _File
    return [field.alias or name for name, field in model.model_fields.items()]
