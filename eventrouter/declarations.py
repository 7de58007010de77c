"""Rules files: rules and targets as data, in AWS's own keys."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import pydantic
from pydantic.alias_generators import to_pascal

from eventrouter.abc import DeadLetterQueue, Target, TargetOptions
from eventrouter.errors import (
    InputTransformerError,
    InvalidRuleError,
    MissingExtraError,
    PatternError,
    ScheduleExpressionError,
)
from eventrouter.patterns import Pattern, json_path
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
from eventrouter.retry import RetryPolicy
from eventrouter.router import EventRouter
from eventrouter.schedules import ScheduleExpression
from eventrouter.targets.queue import QueueTarget
from eventrouter.transform import Input, InputPath, InputTransformer, TargetInput

_BUS_ARN: Final = re.compile(r"arn:aws[a-z-]*:events:[^:]*:[^:]*:event-bus/(.+)")


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, alias_generator=to_pascal)


class _RetryPolicy(_Model):
    maximum_retry_attempts: Annotated[int, pydantic.Field(ge=0, le=185)] = 5
    maximum_event_age_in_seconds: Annotated[int, pydantic.Field(ge=60, le=86_400)] = 300


class _DeadLetterConfig(_Model):
    arn: str


class _InputTransformer(_Model):
    input_template: str
    input_paths_map: dict[str, str] = {}


class _SqsParameters(_Model):
    message_group_id: str | None = None


class TargetDeclaration(_Model):
    """A target as AWS writes it. What only tells AWS how to reach a service is read and not used."""

    id: str
    arn: Annotated[str, pydantic.Field(min_length=1)]
    retry_policy: _RetryPolicy = _RetryPolicy()
    dead_letter_config: _DeadLetterConfig | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: _InputTransformer | None = None
    role_arn: Any = None
    ecs_parameters: Any = None
    sqs_parameters: _SqsParameters | None = None
    kinesis_parameters: Any = None
    batch_parameters: Any = None
    run_command_parameters: Any = None
    http_parameters: Any = None
    redshift_data_parameters: Any = None
    sage_maker_pipeline_parameters: Any = None
    app_sync_parameters: Any = None

    @property
    def event_bus_name(self) -> str | None:
        """The bus that the ARN names, if it names one."""
        match = _BUS_ARN.fullmatch(self.arn)
        return match[1] if match else None

    @cached_property
    def shaped_input(self) -> TargetInput | None:
        """What the target receives in place of the event, if it is not the event itself.

        Raises:
            InvalidRuleError: There is more than one of the three ways to say it, or one is wrong; says where.
        """
        template = self.input_transformer
        if [self.input, self.input_path, template].count(None) < 2:  # noqa: PLR2004 - all but one
            raise InvalidRuleError(
                f"Only one of Input, InputPath, or InputTransformer must be provided for target {self.id}."
            )
        try:
            if self.input is not None:
                return Input(self.input)
            if self.input_path is not None:
                return InputPath(self.input_path)
            return InputTransformer(template.input_template, template.input_paths_map) if template is not None else None
        except InputTransformerError as error:
            told = InputTransformerError(error.part, error.problem, target_id=self.id)
            inside = ".InputTransformer" if template is not None else ""
            raise InvalidRuleError(told.reason, f"${inside}{error.path[1:]}", error.hint) from error

    def options(self) -> TargetOptions:
        """Give the options of the target."""
        policy, queue = self.retry_policy, self.dead_letter_config
        return TargetOptions(
            retry_policy=RetryPolicy(
                maximum_retry_attempts=policy.maximum_retry_attempts,
                maximum_event_age=timedelta(seconds=policy.maximum_event_age_in_seconds),
            ),
            dead_letter_queue=DeadLetterQueue(queue.arn if queue is not None else None),
            input=self.shaped_input,
        )


class RuleDeclaration(_Model):
    """A rule as AWS writes it."""

    name: str
    event_pattern: dict[str, Any] | str | None = None
    schedule_expression: str | None = None
    schedule_expression_timezone: str = "UTC"
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    description: str = ""
    event_bus_name: str = "default"
    targets: list[TargetDeclaration] = []
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


class _File(_Model):
    rules: list[RuleDeclaration]
    queues: list[QueueDeclaration] = []


#: Makes a target from its declaration.
TargetMaker = Callable[[EventRouter, TargetDeclaration], Target]


@dataclass(frozen=True)
class RulesFile:
    """The rules of a file, each with its pattern parsed, and its queues."""

    rules: tuple[tuple[RuleDeclaration, Pattern | None], ...]
    queues: tuple[QueueAttributes, ...] = ()

    def install(self, router: EventRouter, make_target: TargetMaker) -> None:
        """Put all rules, targets and queues on a router, adding the buses they name.

        A target whose ARN is that of a queue of the router, of the file or not, sends there; so does what a
        `DeadLetterConfig` with such an ARN is for. All other targets are made by *make_target*.

        Raises:
            InvalidRuleError: A target or queue cannot be made, with its place in the file. Nothing has been put but
                buses and queues.
        """
        for name in self._buses():
            if name not in router.list_event_buses():
                router.add_event_bus(name)
        declare_queues(router, self.queues)
        make_target = _with_queues(make_target)
        made = [
            [_at(f"$.Rules[{n}].Targets[{m}]", make_target, router, target) for m, target in enumerate(rule.targets)]
            for n, (rule, _) in enumerate(self.rules)
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

    def _buses(self) -> Iterable[str]:
        for rule, _ in self.rules:
            yield rule.event_bus_name
            yield from (target.event_bus_name for target in rule.targets if target.event_bus_name is not None)


def load_rules(path: Path) -> RulesFile:
    """Read a rules file, and its patterns.

    Raises:
        InvalidRuleError, MissingExtraError, OSError: As `load_declarations`, or a pattern is wrong; says where.
    """
    file = _load(path)
    rules = tuple((rule, _pattern(index, rule)) for index, rule in enumerate(file.rules))
    return RulesFile(rules, checked_queues(file.queues))


def load_declarations(path: Path) -> tuple[RuleDeclaration, ...]:
    """Read the rules of a file, JSON, TOML or YAML by its suffix, and leave their patterns unread.

    Raises:
        InvalidRuleError: Its syntax, a key, a value or an input is wrong, or a key is written twice; says where.
        MissingExtraError: It is YAML, and the `yaml` extra is not installed.
        OSError: It cannot be read.
    """
    return tuple(_load(path).rules)


def _load(path: Path) -> _File:
    document, text = _read(path)
    if isinstance(document, list):
        document = {"Rules": document}
    _refuse_repeated_names(document)
    try:
        file = _File.model_validate(document)
    except pydantic.ValidationError as error:
        raise _translated(error) from error
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
    if text:
        for rule, written in zip(file.rules, _written_patterns(text), strict=True):
            rule.keep(written)
    checked_queues(file.queues)
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


def read_json(path: Path) -> str:
    """Read a JSON file as text, in UTF-8 or what else JSON may be in. Raises `OSError` and `ValueError`."""
    content = path.read_bytes()
    return content.decode(json.detect_encoding(content))


def _read(path: Path) -> tuple[Any, str]:
    """Read a file, and give its text if that is JSON."""
    try:
        match path.suffix.lower():
            case ".json":
                text = read_json(path)
                return json.loads(text, object_pairs_hook=_Object.of), text
            case ".toml":
                return tomllib.loads(path.read_text(encoding="utf-8")), ""
            case ".yaml" | ".yml":
                return _read_yaml(path), ""
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are ValueErrors
        raise InvalidRuleError(f"{path} cannot be read: {error}") from error
    raise InvalidRuleError(f"{path} is no rules file", hint="name it .json, .toml, .yaml or .yml")


def _read_yaml(path: Path) -> Any:
    try:
        import yaml  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("A YAML rules file", "yaml") from None

    class Loader(yaml.SafeLoader):
        """Refuses names that come twice in one mapping, as YAML does; PyYAML would keep the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            twice = next((name for _, name in _repeated(names)), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f'"{twice}" is written twice', node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(path.read_bytes(), Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(error) from error


class _Object(dict[str, Any]):
    """A JSON object in which names come twice."""

    names: Sequence[str] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Make one, or a plain one if no name comes twice."""
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        made = cls(plain)
        made.names = _repeated([name for name, _ in pairs])
        return made


_T = TypeVar("_T")


def _repeated(items: Iterable[_T]) -> list[_T]:
    return [item for item, count in Counter(items).items() if count > 1]


def _refuse_repeated_names(document: Any) -> None:
    """Refuse names that come twice in one object: all but the last would be lost. In patterns they mean something."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while todo:
        steps, value = todo.pop()
        if isinstance(value, _Object):
            place = json_path((*steps, value.names[0]))
            raise InvalidRuleError(f'"{value.names[0]}" is written twice', place, "write it once")
        if isinstance(value, dict):
            todo += [((*steps, name), item) for name, item in value.items() if name != "EventPattern"]
        elif isinstance(value, list):
            todo += [((*steps, index), item) for index, item in enumerate(value)]


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


def _at(place: str, make: TargetMaker, router: EventRouter, target: TargetDeclaration) -> Target:
    try:
        return make(router, target)
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
        "Rules": RuleDeclaration,
        "Targets": TargetDeclaration,
        "RetryPolicy": _RetryPolicy,
        "DeadLetterConfig": _DeadLetterConfig,
        "InputTransformer": _InputTransformer,
        "SqsParameters": _SqsParameters,
        "Queues": QueueDeclaration,
        "RedrivePolicy": RedrivePolicyDeclaration,
    }
    inner = [step for step in location if step in names]
    model = names[inner[-1]] if inner else _File
    return [field.alias or name for name, field in model.model_fields.items()]
