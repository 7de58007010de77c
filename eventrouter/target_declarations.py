"""Targets in a rules file, in AWS's own keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Final

import pydantic
from pydantic.alias_generators import to_pascal

from eventrouter.abc import DeadLetterQueue, Target, TargetOptions
from eventrouter.errors import InputTransformerError, InvalidRuleError
from eventrouter.retry import RetryPolicy
from eventrouter.router import EventRouter
from eventrouter.transform import Input, InputPath, InputTransformer, TargetInput

_BUS_ARN: Final = re.compile(r"arn:aws[a-z-]*:events:[^:]*:[^:]*:event-bus/(.+)")


class Declaration(pydantic.BaseModel):
    """Something in a rules file, in AWS's keys."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, alias_generator=to_pascal)


class RetryPolicyDeclaration(Declaration):
    """A retry policy as AWS writes it."""

    maximum_retry_attempts: Annotated[int, pydantic.Field(ge=0, le=185)] = 5
    maximum_event_age_in_seconds: Annotated[int, pydantic.Field(ge=60, le=86_400)] = 300


class DeadLetterConfig(Declaration):
    """Where dead letters go."""

    arn: str


class InputTransformerDeclaration(Declaration):
    """An input transformer as AWS writes it."""

    input_template: str
    input_paths_map: dict[str, str] = {}


class SqsParameters(Declaration):
    """How messages are sent to a queue."""

    message_group_id: str | None = None


class TargetDeclaration(Declaration):
    """A target as AWS writes it. What only tells AWS how to reach a service is read and not used."""

    id: str
    arn: Annotated[str, pydantic.Field(min_length=1)]
    retry_policy: RetryPolicyDeclaration = RetryPolicyDeclaration()
    dead_letter_config: DeadLetterConfig | None = None
    input: str | None = None
    input_path: str | None = None
    input_transformer: InputTransformerDeclaration | None = None
    role_arn: Any = None
    ecs_parameters: Any = None
    sqs_parameters: SqsParameters | None = None
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


#: Makes a target from its declaration.
TargetMaker = Callable[[EventRouter, TargetDeclaration], Target]
