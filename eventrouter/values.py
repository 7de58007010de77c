"""Values of an event as their own JSON text, so that a part of it is handed on exactly as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, cast

import msgspec

from eventrouter.errors import TransformError

#: From an object or array to one of its values.
Step: TypeAlias = str | int

_read_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Value:
    """A JSON value that is known to be one.

    What is in it is looked for when somebody asks, and once, however many paths lead through it.

    Attributes:
        text: Its JSON text, UTF-8.
    """

    __slots__ = ("_inside", "_known", "text")

    def __init__(self, text: bytes | msgspec.Raw) -> None:
        self.text = bytes(text)
        self._inside: Mapping[Step, msgspec.Raw] | None = None
        self._known: dict[Step, Value] = {}

    def get(self, step: Step) -> Value | None:
        """Give what is in the object or array under a name or index; None if there is nothing, or no such thing.

        Of a name that comes twice, the last counts.

        Raises:
            TransformError: The value is nested deeper than the stack has room for.
        """
        value = self._known.get(step)
        if value is None:
            text = self._read().get(step)
            if text is None:
                return None
            value = self._known[step] = Value(text)
        return value

    def members(self) -> Iterator[tuple[Step, Value]]:
        """Give what is in the object or array, by name or index, in order. Raises as `get`."""
        for step, text in self._read().items():
            yield step, Value(text)

    @property
    def is_container(self) -> bool:
        """Whether it is an object or array."""
        return self.text.startswith((b"{", b"["))

    def _read(self) -> Mapping[Step, msgspec.Raw]:
        if self._inside is None:
            try:
                self._inside = _inside(self.text)
            except RecursionError as error:
                raise TransformError("The event is nested too deeply to look into.") from error
        return self._inside


def _inside(text: bytes) -> Mapping[Step, msgspec.Raw]:
    if text.startswith(b"{"):
        return cast("Mapping[Step, msgspec.Raw]", _read_object(text))
    return dict(enumerate(_read_array(text))) if text.startswith(b"[") else {}
