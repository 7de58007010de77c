"""Input templates, compiled so that they are JSON whatever event fills them (EventBridge user guide).

A template that begins with a quote is a *string template*: lines, each a string in double quotes. Any other is a *JSON
template*. What a placeholder becomes depends on where it stands; the rows of the table in `docs/how-to/shape-inputs.md`
are the functions at the end of this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec

from eventrouter.errors import InputTransformerError, TransformError
from eventrouter.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformContext:
    """What an input can tell of a delivery besides its event.

    Attributes:
        rule_name: `<aws.events.rule-name>`.
        rule_arn: `<aws.events.rule-arn>`.
        ingestion_time: `<aws.events.event.ingestion-time>`: when the bus accepted the event, aware.
    """

    rule_name: str
    rule_arn: str
    ingestion_time: datetime


#: Gives the JSON text that a placeholder stands for, None when there is nothing.
Look: TypeAlias = Callable[[Value, TransformContext], bytes | None]
#: Gives what is written for that.
_Write: TypeAlias = Callable[[bytes | None], str]


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """Where a value is filled in."""

    name: str
    look: Look
    write: _Write
    in_quotes: bool

    def fill(self, root: Value, context: TransformContext) -> str:
        return self.write(self.look(root, context))


_Piece: TypeAlias = str | _Placeholder

_PLACEHOLDER: Final = re.compile(r"<([^>\r\n]*)>")
#: A string, or a placeholder outside of one; with a colon it is a key. Possessive, so that nothing is looked at twice.
_TOKEN: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"([ \t\r\n]*+:)?+|<([^>\r\n]*+)>([ \t\r\n]*+:)?+', re.DOTALL)
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")
#: What may stand between the quotes of a JSON string. Parts of which each may, may together: so a template whose own
#: parts do is JSON if the values do, and no value can end its string and go on as if it were template.
_CONTENT: Final = re.compile(
    r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?:(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))*+"
)
#: Outside of strings JSON may have line breaks; lines of JSON, and of a log, may not.
ON_ONE_LINE: Final = {ord("\n"): " ", ord("\r"): " "}
_SHORT: Final = 300  # characters of a text in a message


class Template:
    """A template, cut into its own text and placeholders.

    Args:
        text: The template.
        looks: What its placeholders stand for, besides the reserved ones.

    Raises:
        InputTransformerError: A placeholder is unknown or misplaced, or no event could make it JSON.
    """

    def __init__(self, text: str, looks: Mapping[str, Look]) -> None:
        known = {**looks, **_RESERVED}
        for name in _PLACEHOLDER.findall(text):
            if name not in known:
                there_are = ", ".join(f"<{other}>" for other in known)
                raise _refused(f"contains invalid placeholder {name}.", f"there are {there_are}")
        self._pieces = _cut_lines(text, known) if text.lstrip().startswith('"') else _cut_json(text, known)

    def fill(self, root: Value, context: TransformContext) -> str:
        """Give the text with values filled in.

        Args:
            root: The event.
            context: What else there is to tell.

        Raises:
            TransformError: A value does not fit between the quotes that it stands in.
        """
        texts = [piece if isinstance(piece, str) else piece.fill(root, context) for piece in self._pieces]
        for piece, text in zip(self._pieces, texts, strict=True):
            if isinstance(piece, _Placeholder) and piece.in_quotes and not _CONTENT.fullmatch(text):
                raise TransformError(
                    f"The filled-in InputTemplate is not JSON: the value of <{piece.name}> does not fit between quotes "
                    f"as it stands, and values are not escaped; write <{piece.name}> without quotes. "
                    f"The text is {_shortened(''.join(texts))}"
                )
        return "".join(texts)


def _cut_json(text: str, looks: Mapping[str, Look]) -> list[_Piece]:
    pieces: list[_Piece] = []
    end = 0
    for token in _TOKEN.finditer(text):
        string, colon, bare, bare_colon = token.groups()
        if bare_colon or (colon and _PLACEHOLDER.search(string)):
            raise _refused(f"has a placeholder in the key {token[0]}", "only values are filled in")
        pieces.append(text[end : token.start()].translate(ON_ONE_LINE))
        if bare is not None:
            pieces.append(_Placeholder(bare, looks[bare], _bare, in_quotes=False))
        else:
            pieces += ['"', *_cut_string(string, looks, _in_json), '"', (colon or "").translate(ON_ONE_LINE)]
        end = token.end()
    pieces.append(text[end:].translate(ON_ONE_LINE))
    _check_json(pieces)
    return pieces


def _cut_lines(text: str, looks: Mapping[str, Look]) -> list[_Piece]:
    """Make one string of the lines: lines of strings, as AWS sends them, are not JSON."""
    pieces: list[_Piece] = []
    for number, line in enumerate(_LINE_BREAK.split(text.strip()), 1):
        string = _STRING.fullmatch(line.strip() or '""')
        if string is None:
            raise _refused(
                f"is not JSON: line {number} is {_shortened(line)}",
                "in a template that begins with a quote, each line is one string in double quotes",
            )
        pieces += [r"\n" if pieces else '"', *_cut_string(string[1], looks, _in_line)]
    return [*pieces, '"']


def _cut_string(content: str, looks: Mapping[str, Look], write: _Write) -> Iterator[_Piece]:
    """Cut what stands between quotes."""
    for index, piece in enumerate(_PLACEHOLDER.split(content)):
        if index % 2 and piece in _OBJECTS:
            raise _refused(f"has <{piece}> inside quotes", "it is an object: write it without")
        if index % 2:
            yield _Placeholder(piece, looks[piece], write, in_quotes=True)
        elif _CONTENT.fullmatch(piece):
            yield piece
        else:
            raise _refused(
                f"is not JSON: {_shortened(piece)} cannot stand inside quotes",
                "write a quote and a backslash with a backslash before them",
            )


def _check_json(pieces: list[_Piece]) -> None:
    """See that the text is JSON when each value is an empty string, and so when it is any other value."""
    text = "".join(piece if isinstance(piece, str) else "" if piece.in_quotes else '""' for piece in pieces)
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused(f"is not JSON, whatever is filled in: {_shortened(text)}", str(error)) from error


def _refused(problem: str, hint: str) -> InputTransformerError:
    return InputTransformerError("InputTemplate", problem, "$.InputTemplate", hint)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}... ({len(text):,} characters)"


# -- what placeholders stand for, and what is written for it -----------------------------------------------------------


def _without_detail(root: Value, _: TransformContext) -> bytes:
    """Give the event without its detail, with `detail-type` spelled as real EventBridge does there (recorded)."""
    parts = [
        b'"%b":%b' % (b"detailType" if name == "detail-type" else str(name).encode(), value.text)
        for name, value in root.members()
        if name != "detail"
    ]
    return b"{" + b",".join(parts) + b"}"


def _ingestion_time(_: Value, context: TransformContext) -> bytes:
    return f'"{context.ingestion_time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"'.encode()


_OBJECTS: Final[Mapping[str, Look]] = {
    "aws.events.event": _without_detail,
    "aws.events.event.json": lambda root, _: root.text,
}
_RESERVED: Final[Mapping[str, Look]] = {
    "aws.events.rule-arn": lambda _, context: msgspec.json.encode(context.rule_arn),
    "aws.events.rule-name": lambda _, context: msgspec.json.encode(context.rule_name),
    "aws.events.event.ingestion-time": _ingestion_time,
    **_OBJECTS,
}


def _bare(json: bytes | None) -> str:
    """Write a value outside of quotes: its JSON, or an empty string for none (recorded; the guide says otherwise)."""
    return '""' if json is None else json.decode()


def _in_json(json: bytes | None) -> str:
    """Write a value inside the quotes of a JSON template: the text of a string, the JSON of any other."""
    if json is None:
        return ""
    return str(msgspec.json.decode(json)) if json.startswith(b'"') else json.decode()


def _in_line(json: bytes | None) -> str:
    """Write a value in a string template: of objects and lists the JSON without its quotes (recorded)."""
    if json is None or not json.startswith((b"{", b"[")):
        return _in_json(json)
    text = json.decode()
    if "\\" in text:  # escape no more than has to be: the backslash of a quote that goes stands before what follows
        text = _STRING.sub(lambda string: msgspec.json.encode(msgspec.json.decode(string[0])).decode(), text)
    return text.replace('"', "")
