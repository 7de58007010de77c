"""What a target receives in place of the event: a constant, a part of the event, or a template filled from it.

::

    Input({"action": "stop"})
    InputPath("$.detail.order")
    InputTransformer('{"id": <id>, "text": "Order <id>"}', {"id": "$.detail.order.id"})

The rules are EventBridge's (user guide, "Input transformation"). Everything that can be wrong is found when it is
declared, but for what only an event can show; that is a `TransformError`, and the delivery a dead letter at once.
"""

from __future__ import annotations

import inspect
import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter.errors import DeliveryError, InputTransformerError, InvalidRuleError, TransformError
from eventrouter.event import Event, encode_json
from eventrouter.patterns import json_path
from eventrouter.templates import ON_ONE_LINE, Template, TransformContext
from eventrouter.values import Step, Value

# Limits of botocore's service model, in characters.
MAXIMUM_INPUT_LENGTH: Final = 8_192
MAXIMUM_PATH_LENGTH: Final = 256
MAXIMUM_TEMPLATE_LENGTH: Final = 8_192
MAXIMUM_PATHS: Final = 100


class TargetInput(ABC):
    """What makes the input of a target from an event. Pure: the same event and context give the same bytes."""

    @abstractmethod
    def apply(self, event: Event, context: TransformContext) -> bytes:
        """Give the input as JSON text: UTF-8, one value, on one line.

        Raises:
            TransformError: It cannot be made of this event.
        """


@dataclass(frozen=True)
class Input(TargetInput):
    """The same JSON for every event.

    Attributes:
        value: JSON text of at most 8,192 characters, as a string. It may be given as bytes in UTF-8, and any other
            value stands for its own JSON.

    Raises:
        InputTransformerError: It is not JSON, or too long.
    """

    value: Any

    def __post_init__(self) -> None:
        text = self.value
        try:
            if isinstance(text, str | bytes):
                msgspec.json.decode(text)
                text = text if isinstance(text, str) else text.decode()
            else:
                text = encode_json(text).decode()
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
            hint = f"{error}; a string has quotes in JSON: Input('\"stop\"')"
            raise InputTransformerError("Input", "is not a valid JSON text.", "$.Input", hint) from error
        _check_length("Input", "$.Input", text, MAXIMUM_INPUT_LENGTH)
        object.__setattr__(self, "value", text.translate(ON_ONE_LINE))

    def apply(self, event: Event, context: TransformContext) -> bytes:  # noqa: ARG002 - a constant
        """Give the constant."""
        encoded: bytes = self.value.encode()
        return encoded


@dataclass(frozen=True)
class InputPath(TargetInput):
    """One part of the event.

    Attributes:
        path: Where it is, at most 256 characters: `$`, then steps such as `.detail`, `['two words']`, `[0]` and `*`.
            With a `*` the input is the list of all that is found.

    Raises:
        InputTransformerError: It is no such path.
    """

    path: str
    _find: _Find = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_find", _compile_path("InputPath", "$.InputPath", self.path))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path,)  # closures are not pickled, but compiled again

    def apply(self, event: Event, context: TransformContext) -> bytes:  # noqa: ARG002 - the event is enough
        """Give the JSON of that part. Where there is none, AWS delivers nothing and says nothing; this raises."""
        found = self._find(Value(event.to_json()))
        if found is None:
            raise TransformError(f"InputPath {self.path} finds nothing in the event.")
        return found


@dataclass(frozen=True)
class InputTransformer(TargetInput):
    """A template, filled with parts of the event.

    A template that begins with a quote is a *string template*: each of its lines is a string in double quotes, and
    the input is one JSON string with those lines. Any other is a *JSON template*. A placeholder outside of quotes
    becomes the JSON of its value, inside quotes its text. Values are not escaped there: one that does not fit between
    quotes as it stands, by a quote of its own for instance, is a `TransformError`.

    Attributes:
        input_template: The template, with placeholders such as `<id>`; at most 8,192 characters.
        input_paths_map: For each placeholder its path in the event, as in `InputPath`; at most 100. The names have
            1 to 256 letters, digits, `-` and `_`, and do not begin with `AWS`.

    Raises:
        InputTransformerError: A name, a path or the template is wrong, or no event could make it JSON.
    """

    input_template: str
    input_paths_map: Mapping[str, str] = field(default_factory=dict, hash=False)
    _template: Template = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        looks = {name: partial(_look, find) for name, find in _compile_paths(self.input_paths_map)}
        _check_length("InputTemplate", "$.InputTemplate", self.input_template, MAXIMUM_TEMPLATE_LENGTH)
        object.__setattr__(self, "input_paths_map", MappingProxyType(dict(self.input_paths_map)))
        object.__setattr__(self, "_template", Template(self.input_template, looks))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.input_template!r}, {dict(self.input_paths_map)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.input_template, dict(self.input_paths_map))

    def apply(self, event: Event, context: TransformContext) -> bytes:
        """Fill the template."""
        return self._template.fill(Value(event.to_json()), context).encode()


def _look(find: _Find, root: Value, _: TransformContext) -> bytes | None:
    return find(root)


@dataclass(frozen=True)
class InputFunction(TargetInput):
    """What a Python function makes of the event.

    It runs in the event loop, so it has to be quick, and gets an event of its own. What it raises ends the delivery
    as a dead letter, unless it is a `DeliveryError`, which says itself what follows.

    Attributes:
        function: Takes the event, and gives a JSON value: data, a pydantic model, or whatever else a detail may hold.

    Raises:
        InvalidRuleError: It is not a function, or an async one.
    """

    function: Callable[[Event], object]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidRuleError(
                f"The input {self.function!r} is none",
                hint="use Input, InputPath, InputTransformer, or a function of the event",
            )
        if inspect.iscoroutinefunction(self.function):
            raise InvalidRuleError(
                f"The input {self._name} is an async function", hint="an input is computed at once: write def"
            )

    @property
    def _name(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def apply(self, event: Event, context: TransformContext) -> bytes:  # noqa: ARG002 - the event is enough
        """Call the function, and encode what it returns."""
        try:
            return encode_json(self.function(event.copy()))
        except DeliveryError:
            raise
        except Exception as error:
            # Not str(error): that is foreign code too, and may raise.
            told = "".join(traceback.format_exception_only(error)).strip()
            raise TransformError(f"The input function {self._name} failed: {told}") from error


#: What a target takes as its `input`.
InputSource: TypeAlias = TargetInput | Callable[[Event], object]


def target_input(source: InputSource) -> TargetInput:
    """Give what makes the input. Raises `InvalidRuleError` when it is neither a `TargetInput` nor a function."""
    return source if isinstance(source, TargetInput) else InputFunction(source)


# -- paths -----------------------------------------------------------------------------------------------------------

#: Gives the JSON text of what a path leads to, None when there is nothing.
_Find: TypeAlias = Callable[[Value], bytes | None]

#: The subset of JSONPath that EventBridge has: `$`, then names, indexes and stars. Nothing else is shown to the parser,
#: which knows regular expressions, arithmetic and more.
_PATH_PIECE: Final = re.compile(
    r"""\A\$|\.(?P<name>[\w/-]++)|(?P<star>\.\*)|\[(?:\*|[0-9]{1,9})\]"""
    r"""|\[(?:'(?:[^'\\]|\\['"\\])*+'|"(?:[^"\\]|\\['"\\])*+")\]|(?P<foreign>.)""",
    re.DOTALL,
)
_PATH_HINT: Final = "a path is $ and steps such as .name, ['name'], [0], .* and [*]"


def _compile_path(part: str, place: str, path: str) -> _Find:
    """Turn a path into a function that follows it. Raises `InputTransformerError` when it is not of the subset."""
    _check_length(part, place, path, MAXIMUM_PATH_LENGTH)
    steps = _steps(part, place, path)
    if None not in steps:
        return _follow([step for step in steps if step is not None])
    first = steps.index(None)
    return _gather([_take(step) for step in steps[:first]], [_take(step) for step in steps[first:]])


def _follow(steps: Sequence[Step]) -> _Find:
    def find(value: Value) -> bytes | None:
        for step in steps:
            found = value.get(step)
            if found is None:
                return None
            value = found
        return value.text

    return find


#: Gives what one step leads to.
_Take: TypeAlias = Callable[[Value], Iterable[Value]]


def _take(step: Step | None) -> _Take:
    if step is None:
        return lambda value: (found for _, found in value.members())

    def take(value: Value) -> Iterable[Value]:
        found = value.get(step)
        return () if found is None else (found,)

    return take


def _gather(before: Sequence[_Take], after: Sequence[_Take]) -> _Find:
    def find(value: Value) -> bytes | None:
        """List what is found, be it nothing; None if there is nothing that the first star could look into."""
        looked_into = _take_all([value], before)
        if not any(container.is_container for container in looked_into):
            return None
        return b"[" + b",".join(found.text for found in _take_all(looked_into, after)) + b"]"

    return find


def _take_all(values: list[Value], takes: Sequence[_Take]) -> list[Value]:
    for take in takes:
        values = [found for value in values for found in take(value)]
    return values


def _steps(part: str, place: str, path: str) -> list[Step | None]:
    """Read the steps of a path: names, indexes, and None for a star."""
    # Here, since importing it takes long, and most programs have no paths.
    from jsonpath_ng import Child, Fields, Index  # noqa: PLC0415
    from jsonpath_ng.parser import parse  # noqa: PLC0415

    def refusal(why: str) -> InputTransformerError:
        return InputTransformerError(part, f"is not a path: {path} ({why})", place, _PATH_HINT)

    def readable(match: re.Match[str]) -> str:
        if match["foreign"]:
            raise refusal(f"{match['foreign']!r} at character {match.start() + 1}")
        # In quotes: jsonpath-ng takes some plain names for keywords, and reads neither slashes nor letters past ASCII.
        if match["name"]:
            return f".'{match['name']}'"
        return "[*]" if match["star"] else match[0]  # `.*` it may take for a field of that name

    if not path.startswith("$"):
        raise refusal("it does not begin with $")
    node: Any = parse(_PATH_PIECE.sub(readable, path))
    steps: list[Step | None] = []
    while isinstance(node, Child):
        match node.right:
            case Fields(fields=(str(name),)):
                steps.append(name)
            case Index(indices=(int(index),)):
                steps.append(index)
            case _:  # a star, the one thing that is left; its class has changed
                steps.append(None)
        node = node.left
    return steps[::-1]


_PATH_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


def _compile_paths(paths: Mapping[str, str]) -> Iterator[tuple[str, _Find]]:
    place = "$.InputPathsMap"
    if not isinstance(paths, Mapping):
        raise InputTransformerError("InputPathsMap", f"must map names to paths, got {type(paths).__name__}", place)
    if len(paths) > MAXIMUM_PATHS:
        raise InputTransformerError("InputPathsMap", f"has {len(paths)} entries, the limit is {MAXIMUM_PATHS}", place)
    for name, path in paths.items():
        if not isinstance(name, str) or not _PATH_NAME.fullmatch(name) or name.startswith("AWS"):
            raise InputTransformerError(
                "InputPathsMap",
                f"has the invalid key {name!r}",
                place,
                "use 1 to 256 letters, digits, - and _, not beginning with AWS",
            )
        yield name, _compile_path("InputPathsMap", place + json_path((name,))[1:], path)


def _check_length(part: str, place: str, text: object, maximum: int) -> None:
    if not isinstance(text, str):
        raise InputTransformerError(part, f"must be a string, got {type(text).__name__}", place)
    if not 0 < len(text) <= maximum:
        raise InputTransformerError(part, f"has {len(text):,} characters", place, f"it may have 1 to {maximum:,}")
