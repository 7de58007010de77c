"""What a match has to know of changes; the protocol is in the docstring of `Matcher`."""

from __future__ import annotations

from typing import Any, Final

from eventrouter.matching._fields import Branch
from eventrouter.patterns import SubRule


class Change:
    """A change of the rules of one key: what they were before, and the change that came next."""

    __slots__ = ("before", "key", "next")

    def __init__(self, key: Any, before: tuple[SubRule, ...]) -> None:
        self.key = key
        self.before = before
        self.next: Change | None = None


#: The last change, as code sees it that was made for a shape from before. What comes next is itself: so a match by such
#: code finds, as after any change, that it cannot answer, and there it tells this one, and has code made anew.
STALE: Final = Change(None, ())
STALE.next = STALE


class Shape:
    """What compiled code was made for; replaced when code would come out different.

    Attributes:
        last: The last change that is complete.
        branch: The used fields, if code was made for it.
    """

    __slots__ = ("branch", "last")

    def __init__(self, last: Change) -> None:
        self.last = last
        self.branch: Branch | None = None
