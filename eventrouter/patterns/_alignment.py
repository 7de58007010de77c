"""The text of a given form that is nearest to another text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Of the table, tokens by characters, that is worth its time: some milliseconds.
MAXIMUM_CELLS: Final = 40_000

# To replace costs nearly as much as to remove and to put: "x.jpg" with another ending is "x.png", and not "x.j.png".
_PUT: Final = 11
_GONE: Final = 10
_REPLACED: Final = 19


def aligned(tokens: Sequence[str | None], text: str, *, ignores_case: bool) -> str:
    """Change as few characters of *text* as possible, such that it has the form of *tokens*.

    Args:
        tokens: Characters, and None for any part.
        text: The text.
        ignores_case: A character accepts its lower and its upper case.
    """
    accepted = [_accepted(token, ignores_case=ignores_case) for token in tokens]
    rows = [[_GONE * gone for gone in range(len(text) + 1)]]
    for token in accepted:
        rows.append(_row(token, rows[-1], text))
    return _read_back(tokens, accepted, rows, text)


def _accepted(token: str | None, *, ignores_case: bool) -> frozenset[str] | None:
    if token is None:
        return None
    return frozenset((token, token.lower(), token.upper())) if ignores_case else frozenset((token,))


def _row(accepted: frozenset[str] | None, above: list[int], text: str) -> list[int]:
    """Give what it costs to have one token more, for each beginning of the text. Levenshtein's table."""
    if accepted is None:
        row = above[:1]
        for cost in above[1:]:
            row.append(min(cost, row[-1]))
        return row
    row = [above[0] + _PUT]
    for index, character in enumerate(text):
        both = above[index] + (0 if character in accepted else _REPLACED)
        row.append(min(both, above[index + 1] + _PUT, row[-1] + _GONE))
    return row


def _read_back(
    tokens: Sequence[str | None], accepted: Sequence[frozenset[str] | None], rows: list[list[int]], text: str
) -> str:
    result: list[str] = []
    length, position = len(tokens), len(text)
    while length or position:
        cost = rows[length][position]
        token, fitting = (tokens[length - 1], accepted[length - 1]) if length else ("", frozenset(""))
        if fitting is None:
            if rows[length - 1][position] == cost:
                length -= 1
            else:
                position -= 1
                result.append(text[position])
        elif length and position and rows[length - 1][position - 1] + _fits(text[position - 1], fitting) == cost:
            length, position = length - 1, position - 1
            result.append(text[position] if text[position] in fitting else str(token))
        elif length and rows[length - 1][position] + _PUT == cost:
            length -= 1
            result.append(str(token))
        else:
            position -= 1
    return "".join(reversed(result))


def _fits(character: str, accepted: frozenset[str]) -> int:
    return 0 if character in accepted else _REPLACED
