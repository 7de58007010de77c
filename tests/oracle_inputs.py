"""Input templates in their slowest, plainest form: one character after the other. Imports nothing of the engine."""

import json

NOTHING = object()


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def read(text: str):
    """Read JSON, numbers as they are written."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def write(value) -> str:
    """Write JSON without blanks, numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{write(name)}:{write(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def fill(template: str, values: dict) -> str | None:
    """Fill a template; None when a value does not fit between its quotes.

    Args:
        template: A valid template.
        values: For each placeholder its value, or `NOTHING`.
    """
    is_lines = template.lstrip().startswith('"')
    filled, in_quotes, position = "", False, 0
    while position < len(template):
        character = template[position]
        if character == "\\":
            filled += template[position : position + 2]
            position += 2
        elif character == "<" and ">" in template[position:].splitlines()[0]:
            end = template.index(">", position)
            text = written(values[template[position + 1 : end]], in_quotes=in_quotes, is_lines=is_lines)
            if in_quotes and not fits(text):
                return None
            filled += text
            position = end + 1
        else:
            in_quotes ^= character == '"'
            filled += character
            position += 1
    if is_lines:
        return '"' + r"\n".join(line.strip()[1:-1] for line in filled.strip().split("\n")) + '"'
    return filled.replace("\n", " ")


def written(value, *, in_quotes: bool, is_lines: bool) -> str:
    """Say what is written for a value."""
    if value is NOTHING:
        return "" if in_quotes else '""'
    if not in_quotes:
        return write(value)
    if isinstance(value, str) and not isinstance(value, Number):
        return value
    return write(value).replace('"', "") if is_lines and isinstance(value, dict | list) else write(value)


def fits(text: str) -> bool:
    """Ask Python's own JSON reader whether a text may stand between quotes."""
    try:
        json.loads(f'"{text}"').encode()
    except ValueError:  # a lone surrogate, which is no Unicode text, is one too
        return False
    return True
