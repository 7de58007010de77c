"""The commands and their options."""

from __future__ import annotations

import enum
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import anyio
import typer

from eventrouter._ids import seeded_ids
from eventrouter.cli import _bench, _graph, _lint, _patterns, _schedule, _simulate
from eventrouter.cli._exit import exit_with
from eventrouter.cli._graph import GraphFormat, show_graph
from eventrouter.cli._route import Options, route_lines
from eventrouter.cli._store_app import add_store_commands
from eventrouter.schedules import ScheduleExpression

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
    exit_with(lambda: anyio.run(route_lines, options))


@app.command("test-pattern")
def try_pattern(
    pattern: Annotated[
        str, typer.Argument(help="File with an event pattern, - for standard input, or the JSON itself.")
    ],
    event: Annotated[str, typer.Argument(help="File with an event, - for standard input, or the JSON itself.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing, only give the exit code.")] = False,
) -> None:
    """Tell why an event does or does not match a pattern, and the smallest change that helps.

    Exit code: 0 when it matches, 1 when it does not, 2 when the pattern or the event is not usable.
    """
    exit_with(lambda: _patterns.test_pattern(pattern, event, quiet=quiet))


@app.command()
def explain(
    rules: Annotated[Path, typer.Argument(help="Rules file: JSON, TOML or YAML with AWS's keys.")],
    event: Annotated[str, typer.Argument(help="File with an event, - for standard input, or the JSON itself.")],
    event_bus_name: Annotated[str, typer.Option(help="The bus that the event is on.")] = "default",
) -> None:
    """Tell of every rule why an event does or does not match it, the nearest first.

    Exit code: 0 when a rule matches, 1 when none does, 2 when the rules or the event are not usable.
    """
    exit_with(lambda: _patterns.explain_rules(rules, event, event_bus_name))


class Format(enum.StrEnum):
    """How findings are printed."""

    TEXT = "text"
    SARIF = "sarif"


@app.command()
def lint(
    rules: Annotated[Path, typer.Argument(help="Rules file: JSON, TOML or YAML with AWS's keys.")],
    format: Annotated[Format, typer.Option(help="How to print what is found.")] = Format.TEXT,  # noqa: A002
) -> None:
    """Look for patterns that EventBridge would refuse, that match nothing, or that hardly mean what they say.

    Exit code: 0 when there is nothing but notes, 1 when there are warnings or errors, 2 when the file is not usable.
    """
    exit_with(lambda: _lint.lint_rules(rules, as_sarif=format is Format.SARIF))


@app.command()
def bench(
    rules: Annotated[Path, typer.Option(help="Rules file: JSON, TOML or YAML with AWS's keys.")],
    events: Annotated[str, typer.Option(help="File of JSON lines, or - for standard input.")],
    event_bus_name: Annotated[str, typer.Option(help="The bus whose rules are measured.")] = "default",
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure all rules together, at least.")] = 1.0,
    all: Annotated[bool, typer.Option("--all", help="Show every rule, not only the dearest.")] = False,  # noqa: A002
) -> None:
    """Measure how fast the rules of a bus match events, what each costs, and which never fire.

    Exit code: 0 when every rule matches some event, 1 when one never does, 2 when the rules or the events are not
    usable.
    """
    exit_with(lambda: _bench.bench_rules(rules, events, event_bus_name=event_bus_name, seconds=seconds, everything=all))


@app.command()
def graph(
    router: Annotated[str, typer.Argument(help="Rules file, or MODULE:NAME or FILE.py:NAME of a router.")],
    format: Annotated[GraphFormat, typer.Option(help="In what to write it.")] = GraphFormat.TEXT,  # noqa: A002
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, instead of printing.")] = None,
    publishes: Annotated[
        list[str] | None, typer.Option(help="Event pattern, as JSON, of events that are put; may be given repeatedly.")
    ] = None,
    traffic: Annotated[Path | None, typer.Option(help="File of JSON lines: events that have been put.")] = None,
    event_bus_name: Annotated[str, typer.Option(help="The bus that the traffic is put on.")] = "default",
) -> None:
    """Show how buses, rules, targets, queues and functions are connected, and what is worth a look about it.

    Loops, how many deliveries one event becomes, events that nobody takes, rules that nobody feeds.

    Exit code: 0 when there is nothing but notes, 1 when there are warnings, 2 when the arguments are not usable.
    """
    exit_with(
        lambda: show_graph(
            router, format, output, publishes=publishes or (), traffic=traffic, event_bus_name=event_bus_name
        )
    )


@app.command()
def simulate(
    router: Annotated[str, typer.Argument(help="Rules file, or MODULE:NAME or FILE.py:NAME of a router.")],
    traffic: Annotated[
        Path, typer.Option(help="File of JSON lines: events, which come as far apart as their times are.")
    ],
    down: Annotated[
        list[str] | None, typer.Option(help="TARGET=LENGTH or TARGET=LENGTH@START, as crm=40m@10m; may be repeated.")
    ] = None,
    slow: Annotated[
        list[str] | None, typer.Option(help="TARGET=LENGTH: how long each answer takes; may be repeated.")
    ] = None,
    every: Annotated[str | None, typer.Option(help="How far apart events come instead, such as 2s.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", help="How long it goes on; by default until every delivery has ended.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the jitter between retries.")] = 0,
) -> None:
    """Tell what becomes of traffic while targets are down: attempts, backlogs, recovery, dead letters.

    In virtual time, with nothing called, and in no store: every target but buses is replaced.

    Exit code: 0 when nothing would be dead-lettered, 1 when something would, 2 when the arguments are not usable.
    """

    def run() -> bool:
        with seeded_ids(seed):  # of events that have none, as the jitter between retries follows from them
            events = _graph.read_events(traffic)
        scenario = _simulate.Scenario(
            traffic=events,
            every=None if every is None else _simulate.read_length(every),
            downs=[_simulate.Down.parse("down", text) for text in down or ()],
            slow=[_simulate.Down.parse("slow", text) for text in slow or ()],
            length=None if length is None else _simulate.read_length(length),
            seed=seed,
        )
        return _simulate.simulate_router(router, traffic, scenario)

    exit_with(run)


schedules = typer.Typer(help="When schedule expressions are due, and what they mean.", no_args_is_help=True)
app.add_typer(schedules, name="schedule")

_Expression = Annotated[str, typer.Argument(help="""cron(...), rate(...), at(...) or unix("...").""")]
_Zone = Annotated[str, typer.Option("--tz", help="Time zone, an IANA name.")]
_From = Annotated[str | None, typer.Option("--from", help="Where to begin, in ISO 8601; by default now.")]


@schedules.command("next")
def schedule_next(
    expression: _Expression,
    tz: _Zone = "UTC",
    count: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 10,
    begin: _From = None,
) -> None:
    """Print the next occurrences, with what changes of the clock do to them.

    Exit code: 0 when there is one, 1 when none is left, 2 when the arguments are not usable.
    """
    exit_with(
        lambda: _schedule.show_next(
            ScheduleExpression.parse(expression, tz, profile="scheduler"), count, _schedule.read_instant(begin)
        )
    )


@schedules.command("explain")
def schedule_explain(expression: _Expression, tz: _Zone = "UTC") -> None:
    """Say in plain English when an expression is due.

    Exit code: 0, or 2 when the arguments are not usable.
    """

    def run() -> bool:
        _schedule.show_explanation(ScheduleExpression.parse(expression, tz, profile="scheduler"))
        return True

    exit_with(run)


@schedules.command("diff")
def schedule_diff(
    first: _Expression,
    second: Annotated[str, typer.Argument(help="What it is compared with.")],
    tz: _Zone = "UTC",
    second_tz: Annotated[str | None, typer.Option("--tz2", help="Time zone of the second one, if another.")] = None,
    begin: _From = None,
) -> None:
    """Print at which instants of a year only one of two expressions is due.

    Exit code: 0 when there are none, 1 when there are, 2 when the arguments are not usable.
    """

    def run() -> bool:
        after = _schedule.read_instant(begin)
        start = after.replace(microsecond=0)
        one, other = (
            ScheduleExpression.parse(text, zone, start if text.startswith("rate") else None, profile="scheduler")
            for text, zone in ((first, tz), (second, second_tz or tz))
        )
        return _schedule.show_difference(one, other, after)

    exit_with(run)


@schedules.command("convert")
def schedule_convert(expression: _Expression, tz: _Zone = "UTC") -> None:
    """Write an expression of AWS as a Unix one, or the other way, and name what gets lost.

    Exit code: 0 when there is one, 1 when it cannot be said, 2 when the arguments are not usable.
    """
    exit_with(lambda: _schedule.show_conversion(ScheduleExpression.parse(expression, tz, profile="scheduler")))


@schedules.command("collisions")
def schedule_collisions(
    expressions: Annotated[list[str], typer.Argument(help="Expressions, or rules files whose rules have some.")],
    tz: _Zone = "UTC",
    least: Annotated[int, typer.Option("--least", min=2, help="How many at once are told of.")] = 2,
    begin: _From = None,
) -> None:
    """Print at which instants of a day many schedules are due at once.

    Exit code: 0 when there are none, 1 when there are, 2 when the arguments are not usable.
    """
    exit_with(lambda: _schedule.show_collisions(expressions, tz, _schedule.read_instant(begin), least))


add_store_commands(app)
