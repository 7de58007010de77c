"""What an ARN of a rules file means on this machine."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from eventrouter.abc import Target
from eventrouter.errors import InvalidRuleError
from eventrouter.records import Delivery
from eventrouter.router import EventRouter
from eventrouter.target_declarations import TargetDeclaration, TargetMaker
from eventrouter.targets.bus import BusTarget
from eventrouter.targets.function import FunctionTarget
from eventrouter.targets.log import JsonLinesTarget

_FUNCTION_ARN: Final = re.compile(r"arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:([^:]+)(?::[^:]+)?")


@dataclass(frozen=True, kw_only=True)
class StandIn(Target):
    """Takes every event and does nothing: a target that only AWS has."""

    async def invoke(self, delivery: Delivery) -> None:
        """Take the event."""


def target_maker(functions: str | None) -> TargetMaker:
    """Give what makes targets from their declarations.

    Code is named by *functions* alone, which comes from the command line; a rules file can only choose among it.

    Args:
        functions: Path of a Python file, or name of a module, whose functions stand for Lambda functions.

    Raises:
        InvalidRuleError: There is no such module, or importing it fails.
    """
    module = load_module(functions) if functions is not None else None

    def make(router: EventRouter, declared: TargetDeclaration) -> Target:
        options = declared.options()
        if declared.event_bus_name is not None:
            return BusTarget(
                id=declared.id, arn=declared.arn, router=router, event_bus_name=declared.event_bus_name, **options
            )
        if declared.arn.startswith("file:"):
            path = declared.arn.removeprefix("file:")
            return JsonLinesTarget(id=declared.id, arn=declared.arn, path=path, **options)
        match = _FUNCTION_ARN.fullmatch(declared.arn)
        if match and module is not None:
            function = _function(module, match[1])
            return FunctionTarget(id=declared.id, arn=declared.arn, function=function, **options)
        return StandIn(id=declared.id, arn=declared.arn, **options)

    return make


def load_module(functions: str) -> ModuleType:
    """Import a Python file, or a module by its name. Raises `InvalidRuleError` when it cannot be."""
    path = Path(functions)
    if path.suffix == ".py":
        if not path.is_file():
            raise InvalidRuleError(f"There is no file {functions}")
        sys.path.insert(0, str(path.parent.resolve()))  # as for a script, so that it finds its neighbours
        functions = path.stem
    else:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        return importlib.import_module(functions)
    except Exception as error:
        raise InvalidRuleError(f"{functions} cannot be imported: {type(error).__name__}: {error}") from error


def _function(module: ModuleType, name: str) -> Callable[..., object]:
    function: Callable[..., object] | None = getattr(module, name, None) or getattr(
        module, name.replace("-", "_"), None
    )
    if callable(function):
        return function
    known = sorted(
        key for key, value in vars(module).items() if callable(value) and value.__module__ == module.__name__
    )
    raise InvalidRuleError(
        f"{module.__file__} has no function {name.replace('-', '_')}", hint=f"it has {', '.join(known) or 'none'}"
    )
