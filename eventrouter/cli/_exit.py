"""How a command ends."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import NoReturn

import typer

from eventrouter.cli._report import printable
from eventrouter.errors import EventRouterError


def exit_with(run: Callable[[], bool]) -> NoReturn:
    """Run a command, and end with 0 if it says so, 1 if not, or 2 and a message if it could not be run."""
    try:
        code = 0 if run() else 1
    except (EventRouterError, OSError) as error:
        typer.echo(f"eventrouter: {printable(str(error))}", err=True)
        code = 2
    except Exception:  # noqa: BLE001 - whatever it is, it is reported in full
        # Python's own exit code for what is not caught is 1, which would mean "no match".
        typer.echo(f"eventrouter: this should not have happened, please report it:\n{traceback.format_exc()}", err=True)
        code = 2
    raise typer.Exit(code)
