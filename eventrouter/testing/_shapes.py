"""From fields to events: nested objects or dotted names, arrays with more in them, and fields that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from eventrouter.patterns._operators import Leaf
from eventrouter.patterns._space import TEXTS
from eventrouter.patterns._witness import put
from eventrouter.testing._values import leaves, texts

Draw = Callable[[st.SearchStrategy[Any]], Any]

_NAMES: Final = ("other", "more", "a", "b", "id", "é")
_PLAIN, _ALONE, _BEFORE, _BEHIND, _NESTED = range(5)


@dataclass(frozen=True)
class Shape:
    """How events are made of fields.

    Attributes:
        fields: What each field is; a value that is no leaf is put as it is.
        absent: Fields that may not be anywhere, but in elements of an array under one of these paths.
        untouched: Further fields that nothing may be added to.
        on_a_bus: Whether the event has the envelope.
        arrays: Whether values and objects may be elements of arrays.
    """

    fields: Mapping[str, Any]
    absent: Mapping[str, Collection[str]]
    untouched: Collection[str] = ()
    on_a_bus: bool = False
    arrays: bool = True

    def event(self, draw: Draw) -> dict[str, Any]:
        """Draw an event."""
        root: dict[str, Any] = {}
        given = {path: _Given(value) for path, value in self.fields.items()}
        if not self.on_a_bus and draw(_RARELY):
            root.update(given)  # with dots in names, which means the same
        else:
            put(root, given)
        if not self.on_a_bus:
            return self._object(draw, root, "")
        detail = root.pop("detail", {})
        event = {name: draw(envelope_text(name)) for name in TEXTS}
        event |= {name: inner.value for name, inner in root.items()}
        event["resources"] = self._resources(draw, event.get("resources"))
        whole = isinstance(detail, _Given)
        event["detail"] = detail.value if whole else self._object(draw, detail, "detail")
        return event

    def _resources(self, draw: Draw, given: Leaf) -> list[Leaf]:
        others = [] if "resources" in self.absent or not self.arrays else draw(st.lists(texts, max_size=2))
        return others if given is None else [given, *others]

    def _object(self, draw: Draw, members: Mapping[str, Any], path: str) -> dict[str, Any]:
        value = {name: self._value(draw, inner, _joined(path, name)) for name, inner in members.items()}
        if draw(_RARELY):
            name = draw(st.sampled_from(_NAMES))
            if name not in value and not self._is_known(_joined(path, name)):
                value[name] = draw(leaves)
        return value

    def _value(self, draw: Draw, inner: Any, path: str) -> Any:
        if isinstance(inner, _Given) and isinstance(inner.value, dict):  # a detail that a model has made
            return inner.value
        kind = draw(st.integers(_PLAIN, _NESTED)) if self.arrays and draw(_RARELY) else _PLAIN
        if isinstance(inner, _Given):
            whole = inner.value
            decoy = (lambda: draw(leaves)) if path in self.fields else None
        else:
            whole = self._object(draw, inner, path)
            decoy = lambda: self._decoy(draw, path)  # noqa: E731 - which of two, as above
        if kind == _PLAIN or decoy is None:
            return whole
        if kind == _ALONE:
            return [whole]
        if kind == _BEFORE:
            return [decoy(), whole]
        return [whole, decoy()] if kind == _BEHIND else [[whole], [decoy()]]

    def _decoy(self, draw: Draw, path: str) -> dict[str, Any]:
        """Draw another element: some of the fields of the first with other values, and what may be in such only."""
        begin = f"{path}."
        candidates = [name for name in self.fields if name.startswith(begin)]
        candidates += [name for name, anchors in self.absent.items() if name.startswith(begin) and path in anchors]
        chosen = draw(st.lists(st.sampled_from(candidates), unique=True)) if candidates else []
        element: dict[str, Any] = {}
        put(element, {name[len(begin) :]: draw(leaves) for name in chosen})
        return element

    def _is_known(self, path: str) -> bool:
        known = (*self.fields, *self.absent, *self.untouched)
        return any(name == path or name.startswith(f"{path}.") for name in known)


@dataclass(frozen=True)
class _Given:
    value: Any


_RARELY: Final = st.integers(0, 3).map(lambda number: number == 3)  # noqa: PLR2004 - a quarter, and shrinks to no


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def envelope_text(name: str) -> st.SearchStrategy[str]:
    """Draw a text of the envelope, as a bus writes it."""
    return _ENVELOPE.get(name, st.text(min_size=1, max_size=20))


_ENVELOPE: Final[dict[str, st.SearchStrategy[str]]] = {
    "version": st.just("0"),
    "id": st.uuids(version=4).map(str),
    "account": st.integers(0, 10**12 - 1).map(lambda number: f"{number:012}"),
    "time": st.datetimes().map(lambda time: f"{time.replace(microsecond=0).isoformat()}Z"),
    "region": st.sampled_from(["local", "us-east-1", "eu-central-1"]),
}
