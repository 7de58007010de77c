"""Which errors are the same error: what is left of a message when its variable parts are taken out."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from eventrouter.records import DeadLetter

#: Characters of a masked message that count. Messages are cut somewhere, and a cut must not make two errors of one.
_COUNTED: Final = 300
_LONG: Final = 16  # letters and digits in a row, a digit among them: an id, not a name

#: The type that a target's exception begins its message with. It is a name, so its digits stay.
_TYPE: Final = re.compile(r"[^\W\d]\w*(?=: |\Z)")
#: The tokens of a message. Whatever begins here is taken whole by one of the alternatives, none gives back what it has
#: taken (`++`), and those that fail have looked a bounded way ahead, or up to the next quote of their kind: time is
#: linear in the length, whatever the text.
_TOKEN: Final = re.compile(
    r"""
      (?P<part>
          "[^"\n]*+(?:"|\Z) | `[^`\n]*+(?:`|\Z) | '[^'\n]*+(?:'(?!\w)|\Z)            # quoted, up to a cut perhaps
        | [A-Za-z][A-Za-z0-9+.-]{0,15}+://[^\s"'`<>]++                               # URL
        | (?<![\w/\\])(?:[A-Za-z]:|~|\.{1,2})?+(?:[/\\][^\s"'`/\\:,;()\[\]<>]++)++[/\\]?+  # path from a root, ~ or .
        | (?<!\w)[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?!\w)          # UUID
        | \d++(?:\.\d++)?+[eE][+-]?+\d++(?!\w)                                       # 1.5e-7
      )
    | (?P<sign>(?<!\w)[+-](?=\d))
    | (?P<word>[^\W_]++(?:'[^\W_]++)?+)                                              # don't is a word, not a quote
    """,
    re.VERBOSE,
)
_HEXADECIMAL: Final = re.compile(r"(?:0[xX])[0-9A-Fa-f]+|[0-9A-Fa-f]{8,}")
_DIGITS: Final = re.compile(r"\d+")
_REPEATED: Final = re.compile(r"\*(?:[.,:]?\*)++")  # 12.5, 1,000, 12:30:05, 10.0.0.1


def masked_error(message: str) -> str:
    """Put `*` in the place of the variable parts of an error message.

    These are numbers, hexadecimal and other ids, UUIDs, quoted strings, URLs and paths. The type of an exception, with
    which the messages of dead letters begin, stays as it is. At most 300 characters are given, in time linear in the
    length of the message.
    """
    kind = _TYPE.match(message)
    begin = kind.end() if kind is not None else 0
    return message[:begin] + _REPEATED.sub("*", _TOKEN.sub(_masked, message[begin:]))[:_COUNTED]


def error_fingerprint(letter: DeadLetter) -> str:
    """Give 12 hexadecimal digits that are the same for dead letters with the same error.

    They stand for the error code and the message without its variable parts (see `masked_error`); neither the event nor
    the target counts. The same letter has the same fingerprint in every process and version of Python.
    """
    text = f"{letter.error_code}\0{masked_error(letter.error_message)}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _masked(match: re.Match[str]) -> str:
    if match["part"] is not None:
        return "*"
    word: str | None = match["word"]
    if word is None:
        return ""
    if _DIGITS.search(word) is None:
        return word
    return "*" if len(word) >= _LONG or _HEXADECIMAL.fullmatch(word) else _DIGITS.sub("*", word)
