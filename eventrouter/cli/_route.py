"""`eventrouter route`: lines in, deliveries out, through the real router."""

from __future__ import annotations

import logging
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

import anyio
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from eventrouter.cli._functions import target_maker
from eventrouter.cli._lines import read_event, read_lines
from eventrouter.cli._report import Reporter, Tally, make_console, print_summary, printable
from eventrouter.declarations import load_rules
from eventrouter.errors import InvalidEventError
from eventrouter.event import Event
from eventrouter.router import EventRouter

#: Deliveries that may be unfinished before reading goes on: a file of any size needs little memory.
MAXIMUM_UNFINISHED: Final = 10_000
#: The file descriptor of standard input.
_STDIN: Final = 0
#: Seconds after which a progress bar is worth its place.
PATIENCE: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for; see the command's help."""

    rules: Path
    events: str
    functions: str | None
    dead_letters: Path | None
    quiet: bool
    source: str
    detail_type: str
    drain_timeout: timedelta


async def route_lines(options: Options) -> bool:
    """Route all lines, print what becomes of them.

    Returns:
        Whether everything was delivered.

    Raises:
        EventRouterError: The rules or functions are not usable.
        OSError: A file cannot be opened.
    """
    logging.getLogger("eventrouter").addHandler(logging.NullHandler())  # every outcome is printed already
    rules = load_rules(options.rules)
    console = make_console()
    with _open_events(options.events) as (file, size), _open_dead_letters(options.dead_letters) as dead_letters:
        reporter = Reporter(None if options.quiet else console, dead_letters)
        router = EventRouter(drain_timeout=options.drain_timeout, observers=[reporter])
        rules.install(router, target_maker(options.functions))
        run = _Run(options, router, file, size)
        await run.until_the_end(console if console.is_terminal else make_console(stderr=True))
    ledger = await router.ledger()
    listed = [rule for bus in router.list_event_buses() for rule in router.list_rules(event_bus_name=bus)]
    print_summary(console, run.tally, listed, ledger)
    total = ledger.total
    return not run.tally.malformed and total.delivered == total.accepted


@dataclass
class _Run:
    """One run over the lines of a file."""

    options: Options
    router: EventRouter
    file: int
    size: int | None
    tally: Tally = field(default_factory=Tally)
    bytes_read: int = 0

    async def until_the_end(self, terminal: Console) -> None:
        """Route until the file ends and every delivery has.

        The first interruption ends the reading, and deliveries go on for the drain timeout; the second ends all.
        """
        async with anyio.create_task_group() as tasks:
            reading = anyio.CancelScope()
            tasks.start_soon(_heed_signals, reading, tasks.cancel_scope)
            if terminal.is_terminal:
                tasks.start_soon(self._show_progress, terminal)
            async with self.router:
                with reading:
                    await self._route_all()
                    await self.router.settle_down()
            tasks.cancel_scope.cancel()

    async def _route_all(self) -> None:
        async for lines in read_lines(self.file):
            events = [event for number, line in lines if (event := self._read(number, line)) is not None]
            self.tally.events += len(events)
            self.bytes_read += sum(len(line) + 1 for _, line in lines)
            await self.router.forward_events(events)
            await self.router.settle_down(unfinished=MAXIMUM_UNFINISHED)

    def _read(self, number: int, line: bytes) -> Event | None:
        """Make an event of a line; one that cannot be is told of and counted."""
        if not line.strip():
            return None
        try:
            event, was_wrapped = read_event(line, self.options.source, self.options.detail_type)
        except InvalidEventError as error:
            name = "stdin" if self.options.events == "-" else self.options.events
            typer.echo(f"{name}:{number}: {printable(str(error))}", err=True)
            self.tally.malformed.append(number)
            return None
        self.tally.wrapped += was_wrapped
        return event

    async def _show_progress(self, terminal: Console) -> None:
        """Show a bar once the run has taken a moment: of the bytes read, or for a pipe of the events so far."""
        await anyio.sleep(PATIENCE)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=terminal, transient=True) as progress:
            bar = progress.add_task("", total=self.size)
            while True:
                progress.update(bar, description=f"{self.tally.events:,} events", completed=self.bytes_read)
                await anyio.sleep(0.1)


async def _heed_signals(reading: anyio.CancelScope, everything: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            (everything if reading.cancel_called else reading).cancel()


@contextmanager
def _open_events(events: str) -> Iterator[tuple[int, int | None]]:
    """Give the file descriptor of the events, and their size in bytes unless they come through a pipe."""
    if events == "-":
        yield _STDIN, None
        return
    with Path(events).open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        yield file.fileno(), status.st_size if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _open_dead_letters(path: Path | None) -> Iterator[IO[bytes] | None]:
    if path is None:
        yield None
        return
    with path.open("wb") as file:
        yield file
