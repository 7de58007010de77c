"""The changes that an explanation proposes, made one after the other on a draft of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventrouter.patterns._operators import Leaf
from eventrouter.patterns._places import Step, json_path
from eventrouter.patterns._shown import shown

Steps: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an event.

    Attributes:
        steps: The names and indexes that lead to what changes. Objects that are not there yet are added on the way.
        value: What to put there; not looked at for a removal.
        kind: `add` (there is nothing yet; in an array at the end), `set` or `remove`.
    """

    steps: Steps
    value: Any
    kind: str

    def __str__(self) -> str:
        if self.kind == "remove":
            return f"remove {json_path(self.steps)}"
        return f"{self.kind} {json_path(self.steps)} = {shown(self.value)}"


class Draft:
    """An event being changed; the event itself stays as it is.

    Values are set and added at once. What would move others, removals from arrays and values that become arrays, waits
    until `finish`, so that places can be named by where they are in the event.
    """

    def __init__(self, event: Mapping[str, Any]) -> None:
        self._root: Any = event
        self._own: dict[int, Any] = {}  # containers copied already, by id
        self._wraps: list[tuple[int, Steps, Leaf]] = []
        self._removals: list[tuple[int, Steps]] = []
        self._changes: list[tuple[int, Change]] = []

    def set(self, field: int, steps: Steps, value: Any) -> None:
        """Replace a value, for the field of that number."""
        self._make(field, Change(steps, value, "set"))

    def remove(self, field: int, steps: Steps) -> None:
        """Remove a value in the end."""
        self._removals.append((field, steps))

    def add(self, field: int, steps: Steps, path: str, value: Any, *, keep: bool) -> None:
        """Add a value, at a path inside an object, or inside an element that an array does not have yet.

        Where something is in the way, the rest of the path becomes one name with dots, which means the same (3.2); an
        array takes the value in, and so does an object's place, which becomes an array of the value and the object
        (3.5), or if the object is not to be kept, the value alone.
        """
        names = path.split(".")
        if self.is_new_element(steps):
            for name in reversed(names):
                value = {name: value}
            self._make(field, Change(steps, value, "add"))
            return
        holder = self.at(steps)
        if names[0] not in holder:
            self._make(field, Change((*steps, *names), value, "add"))
        elif path not in holder:
            self._make(field, Change((*steps, path), value, "add"))
        elif isinstance(holder[path], list | tuple):
            self._make(field, Change((*steps, path, len(holder[path])), value, "add"))
        elif keep:
            self._wraps.append((field, (*steps, path), value))
        else:
            self._make(field, Change((*steps, path), value, "set"))

    def finish(self) -> list[tuple[int, Change]]:
        """Give all changes in the order in which they can be made, each with the number of its field."""
        # Innermost first, so that no wrap moves another; nothing was removed yet, so no index has changed.
        wraps = sorted(self._wraps, key=lambda wrap: len(wrap[1]), reverse=True)
        for field, steps, value in wraps:
            self._make(field, Change(steps, [value, self.at(steps)], "set"))
        # From the end, so that no removal moves another.
        for field, steps in sorted(self._removals, key=lambda removal: removal[1], reverse=True):
            moved = steps
            for _, wrapped, _ in wraps:
                if steps[: len(wrapped)] == wrapped:
                    moved = (*moved[: len(wrapped)], 1, *moved[len(wrapped) :])
            self._changes.append((field, Change(moved, None, "remove")))
        return self._changes

    def at(self, steps: Steps) -> Any:
        """Give the value at a place."""
        value = self._root
        for step in steps:
            value = value[step]
        return value

    def is_new_element(self, steps: Steps) -> bool:
        """Say whether a place is just past the end of an array."""
        return steps != () and isinstance(steps[-1], int) and steps[-1] == len(self.at(steps[:-1]))

    def _make(self, field: int, change: Change) -> None:
        self._changes.append((field, change))
        *steps, last = change.steps
        self._root = holder = self._copied(self._root)
        for step in steps:
            holder[step] = inner = self._copied(holder[step] if step in holder or isinstance(step, int) else {})
            holder = inner
        if isinstance(last, int) and last == len(holder):
            holder.append(change.value)
        else:
            holder[last] = change.value

    def _copied(self, container: Any) -> Any:
        """Give a copy that may be changed; of what is a copy already, itself."""
        if id(container) in self._own:
            return container
        copy = dict(container) if isinstance(container, Mapping) else list(container)
        self._own[id(copy)] = copy
        return copy
