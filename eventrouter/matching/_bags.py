"""Small collections without repetition, which others may be reading while they change.

A few things are a tuple, which is replaced; more are a dict, to which adding, and from which taking away, costs little.
Either is read by `list += bag`, in one step, or by going over `tuple(bag)`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar

T = TypeVar("T")

Bag: TypeAlias = tuple[T, ...] | dict[T, None]

_FEW: Final = 16


def with_item(bag: Bag[T], item: T) -> Bag[T]:
    """Give the bag with an item."""
    if isinstance(bag, dict):
        bag[item] = None
        return bag
    if item in bag:
        return bag
    return (*bag, item) if len(bag) < _FEW else dict.fromkeys((*bag, item))


def without_item(bag: Bag[T], item: Any) -> Bag[T]:
    """Give the bag without an item."""
    if isinstance(bag, dict):
        bag.pop(item, None)
        return bag
    return tuple(other for other in bag if other is not item and other != item)
