"""The commands and their options."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import anyio
import typer

from eventrouter.cli._route import Options, route_lines
from eventrouter.errors import EventRouterError

app = typer.Typer(help="EventBridge's rules on the command line.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def commands() -> None:
    """EventBridge's rules on the command line."""


@app.command()
def route(
    rules: Annotated[Path, typer.Argument(help="Rules file: JSON, TOML or YAML with AWS's keys.")],
    events: Annotated[str, typer.Argument(help="File of JSON lines, or - for standard input.")],
    functions: Annotated[
        str | None, typer.Option(help="Python file or module whose functions stand for the rules' Lambda functions.")
    ] = None,
    dead_letters: Annotated[
        Path | None, typer.Option(help="Write what could not be delivered to this file, as JSON lines.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the summary.")] = False,
    source: Annotated[str, typer.Option(help="Source of lines that are no events but plain objects.")] = "log",
    detail_type: Annotated[str, typer.Option(help="Detail-type of such lines.")] = "Log Line",
    drain_timeout: Annotated[
        float, typer.Option(min=0, help="Seconds that deliveries go on after an interruption.")
    ] = 30.0,
) -> None:
    """Route events through rules, print each delivery and the sums.

    Exit code: 0 when everything was delivered, 1 when something was dead-lettered, malformed or left over, 2 when
    the rules or the arguments are not usable.
    """
    options = Options(
        rules=rules,
        events=events,
        functions=functions,
        dead_letters=dead_letters,
        quiet=quiet,
        source=source,
        detail_type=detail_type,
        drain_timeout=timedelta(seconds=drain_timeout),
    )
    try:
        code = 0 if anyio.run(route_lines, options) else 1
    except (EventRouterError, OSError) as error:
        typer.echo(f"eventrouter: {error}", err=True)
        code = 2
    raise typer.Exit(code)
