"""The records of calls, and the JSON of results."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from eventrouter.errors import IdempotencyResultError
from eventrouter.idempotency._keys import encode_other

_NOTHING: Final = msgspec.Raw(b"null")


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the store has of a call.

    Attributes:
        owner: Unique to the call that wrote it: the fencing token.
        status: Whether the call is still running. These are Powertools' words.
        payload: Digest of what must be the same whenever the key is.
        result: What the function returned, as JSON.
        problem: Why it cannot be given to later calls.
    """

    owner: str
    status: Literal["INPROGRESS", "COMPLETED"] = "INPROGRESS"
    payload: str | None = None
    result: msgspec.Raw = _NOTHING
    problem: str | None = None


encode_record: Final[Callable[[Record], bytes]] = msgspec.json.encode
decode_record: Final[Callable[[bytes], Record]] = msgspec.json.Decoder(Record).decode

_encoder: Final = msgspec.json.Encoder(enc_hook=encode_other)


class Results:
    """Results of one function to JSON and back.

    Args:
        function: Its return annotation says what is made of the JSON, if it can be resolved.
        result_type: Says so instead, unless it is None.
    """

    def __init__(self, function: Callable[..., object], result_type: object = None) -> None:
        self._function = function
        self._type = result_type

    def encode(self, result: object) -> tuple[msgspec.Raw, str | None]:
        """Give the result's JSON, and what is wrong with it. It is read again, to know now and not at the next call."""
        try:
            encoded = msgspec.Raw(_encoder.encode(result))
            self._decode(encoded)
        except Exception as error:  # noqa: BLE001 - a model's own validators may raise anything
            return _NOTHING, f"{type(error).__name__}: {error}"
        return encoded, None

    def decode(self, record: Record) -> object:
        """Make the result again that the record has.

        Raises:
            IdempotencyResultError: That is not possible.
        """
        if record.problem is not None:
            raise unusable(record.problem)
        try:
            return self._decode(record.result)
        except Exception as error:  # the record may be older than the type
            raise unusable(f"{type(error).__name__}: {error}") from error

    def _decode(self, encoded: msgspec.Raw) -> object:
        if self._type is None:  # at the first use: the annotation may name what is defined below the function
            self._type = _return_annotation(self._function)
        return msgspec.json.decode(encoded, type=self._type, dec_hook=_decode_other)


def unusable(problem: str) -> IdempotencyResultError:
    """Make the error that says why a result cannot be given to later calls."""
    return IdempotencyResultError(
        f"The function has run, but its result cannot be stored and made again: {problem}. Return what JSON has, or "
        "say with result_type= what to make of it."
    )


def _return_annotation(function: Callable[..., object]) -> Any:
    # Hints of one name only: those of parameters, often imported for the type checker alone, need not resolve.
    unwrapped = inspect.unwrap(function)
    annotation = getattr(unwrapped, "__annotations__", {}).get("return", Any)
    holder: Any = type("", (), {"__annotations__": {"return": annotation}})
    try:
        return typing.get_type_hints(holder, getattr(unwrapped, "__globals__", None))["return"]
    except Exception:  # noqa: BLE001 - resolving runs foreign code
        return Any


def _decode_other(wanted: Any, value: Any) -> Any:
    if hasattr(wanted, "model_validate"):
        return wanted.model_validate(value)
    raise TypeError(f"a {getattr(wanted, '__name__', wanted)} cannot be made from JSON")
