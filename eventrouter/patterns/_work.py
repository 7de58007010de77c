"""A limit of what may be spent, for searches that could take too long."""

from __future__ import annotations


class Work:
    """How much may still be spent. Past it a search goes on with what it has found so far, or says so."""

    def __init__(self, amount: int) -> None:
        self._left = amount

    def take(self, amount: int) -> bool:
        """Spend some, if there is enough."""
        self._left -= amount
        return self._left >= 0
