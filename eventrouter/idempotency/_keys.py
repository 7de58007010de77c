"""What identifies a call: parts of its arguments, as a digest."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter.errors import IdempotencyKeyError, InvalidRuleError
from eventrouter.event import Event

#: Chooses what identifies a call: paths into its first argument, or a function of its arguments.
Selection: TypeAlias = "str | Sequence[str] | Callable[..., object]"


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call, without `self`.

    Attributes:
        args: Those given by position.
        kwargs: Those given by name.
        by_name: All of them as the function's parameters have them, defaults included.
        values: The same in the order of the parameters.
    """

    args: Sequence[object]
    kwargs: Mapping[str, object]
    by_name: Mapping[str, object]
    values: Sequence[object]

    @classmethod
    def bind(cls, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]) -> Call:
        """Sort out who is who. Raises TypeError, as the call itself would, if the arguments do not fit."""
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # By convention; whether a function will be a method cannot be known while its class is being made.
        skipped = 1 if next(iter(signature.parameters), "") in ("self", "cls") else 0
        by_name = dict(list(bound.arguments.items())[skipped:])
        return cls(args[skipped:], kwargs, by_name, [*bound.args, *bound.kwargs.values()][skipped:])

    def first(self) -> object:
        """Give the first argument, as data that paths lead into.

        Raises:
            IdempotencyKeyError: It has no JSON form.
        """
        argument = next(iter(self.values), None)
        if isinstance(argument, Event):
            return argument.to_dict()
        try:
            return msgspec.to_builtins(argument, enc_hook=encode_other, str_keys=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise _not_json(error) from error


def default_key(call: Call) -> str:
    """Give the key of a call whose function names none: its event's id, else all of its arguments.

    Raises:
        IdempotencyKeyError: The arguments have no JSON form.
    """
    event = next((argument for argument in call.values if isinstance(argument, Event)), None)
    return _digest(event.id if event is not None else call.by_name)


def compile_selection(name: str, selection: Selection, *, is_required: bool) -> Callable[[Call], str]:
    """Make the function that gives the digest of what *selection* chooses from a call.

    Args:
        name: The option's name, for messages.
        selection: One path, several, or a function.
        is_required: Whether a call without a value there is refused; otherwise null stands for it.

    Raises:
        InvalidRuleError: It is none of them.
    """
    if callable(selection):
        if inspect.iscoroutinefunction(selection):
            raise InvalidRuleError(f"{name} is an async function", hint="use one that needs no await")
        selected = selection
        return lambda call: _checked(selected(*call.args, **call.kwargs), f"What {name} returned", is_required)
    paths = [selection] if isinstance(selection, str) else list(selection)
    if not paths:
        raise InvalidRuleError(f"{name} has no path", hint="leave it out, or name one")
    steps = [_parse(name, path) for path in paths]

    def digest(call: Call) -> str:
        data = call.first()
        values = [_look_up(data, path_steps) for path_steps in steps]
        for path, value in zip(paths, values, strict=True):
            if value is None and is_required:
                raise IdempotencyKeyError(f"There is no idempotency key at {path} of the first argument.")
        return _digest(values)

    return digest


def encode_other(value: Any) -> Any:
    """Give what msgspec does not know as data: pydantic models and mappings."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_encoder: Final = msgspec.json.Encoder(enc_hook=encode_other, order="sorted")


def _checked(value: object, what: str, is_required: bool) -> str:
    if is_required and value in (None, ""):
        raise IdempotencyKeyError(f"{what} is {value!r}, which is no idempotency key.")
    return _digest(value)


def _digest(value: object) -> str:
    # A digest, so that keys have one length, and stores hold no more of somebody's data than they need.
    try:
        return hashlib.sha256(_encoder.encode(value)).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        raise _not_json(error) from error


def _not_json(error: Exception) -> IdempotencyKeyError:
    return IdempotencyKeyError(
        f"What identifies the call cannot be written as JSON: {error}. Choose with key= what identifies it."
    )


_STEP: Final = re.compile(r"""\.([^.\[\]'"\s]+)|\[([0-9]+)\]|\['([^']*)'\]""")


def _parse(name: str, path: object) -> list[str | int]:
    """Read `$.detail['order-id'].items[0]`."""
    steps: list[str | int] = []
    position = 1
    if isinstance(path, str) and path.startswith("$"):
        while match := _STEP.match(path, position):
            member, index, quoted = match.groups()
            steps.append(int(index) if index else quoted if member is None else member)
            position = match.end()
        if position == len(path):
            return steps
    raise InvalidRuleError(f"{name}: {path!r} is no path", hint="write it like $.detail.order_id or $.detail.items[0]")


def _look_up(value: object, steps: Sequence[str | int]) -> object:
    """Give what the steps lead to, None if they lead nowhere."""
    for step in steps:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list | tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
