"""`eventrouter test-pattern` and `eventrouter explain`: why an event matches, or not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from eventrouter.cli._functions import target_maker
from eventrouter.cli._report import printable
from eventrouter.declarations import load_rules
from eventrouter.errors import InvalidRuleError
from eventrouter.patterns import Pattern, read_event
from eventrouter.router import EventRouter


def test_pattern(pattern: str, event: str, *, quiet: bool) -> bool:
    """Print why an event does or does not match a pattern, and say whether it does.

    Raises:
        EventRouterError: The pattern or the event is not usable.
        OSError: A file cannot be read.
    """
    if pattern == event == "-":
        raise InvalidRuleError("Only one of the two can be read from standard input")
    told = Pattern.parse(_read(pattern)).explain(_read(event))
    if not quiet:
        _print(str(told))
    return told.matched


def explain_rules(rules: Path, event: str, event_bus_name: str) -> bool:
    """Print of each rule why an event does or does not match it, the nearest first, and say whether any does.

    Raises:
        EventRouterError: The rules or the event are not usable, or there is no such bus.
        OSError: A file cannot be read.
    """
    router = EventRouter()
    load_rules(rules).install(router, target_maker(None))
    told = router.explain(read_event(_read(event)), event_bus_name=event_bus_name)
    for item in told:
        _print(str(item))
    matched = [item.rule.name for item in told if item.matched]
    _print(f"{len(matched)} of {len(told)} rules match" + (f": {', '.join(matched)}" if matched else ""))
    return bool(matched)


def _read(place: str) -> bytes:
    """Read a file, standard input, or an argument that is itself JSON: an object, or what should be one."""
    if place == "-":
        return sys.stdin.buffer.read()
    if place.lstrip().startswith(("{", "[", '"')):
        return os.fsencode(place)  # the bytes of the argument, which may not be UTF-8
    return Path(place).read_bytes()


def _print(text: str) -> None:
    for line in text.split("\n"):
        typer.echo(printable(line))
