"""Measure: `python -m benchmarks --help` says what.

Every figure is taken in turn with what it is held against, since machines are noisy. A run that finds other matches
than there are to find ends with exit code 1.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks import changes, delivery, durable, operators, peers, scaling, schedules, simulation
from benchmarks.cache import DIRECTORY
from benchmarks.compare import PAIRS, compare
from benchmarks.families import FAMILIES
from benchmarks.naive import MiscountError
from benchmarks.plot import Curves, draw
from benchmarks.report import Section, summary, surroundings

PAGE, PICTURE = "matching-figures.md", "matching-figures.svg"
DELIVERY_PAGE, DURABLE_PAGE = "delivery-figures.md", "durable-figures.md"
HEADER = "<!-- Written by `python -m benchmarks --write`; change the benchmarks, not this page. -->"


def engine(curves: Curves, *, is_short: bool) -> Iterator[Section]:
    """Measure the engine, which wants a process that has not done much yet."""
    yield operators.measure()
    yield scaling.measure(list(FAMILIES) if not is_short else scaling.OPERATORS, curves, is_short=is_short)
    yield scaling.measure_large_outputs()
    yield changes.measure()
    yield changes.measure_memory()


def run(sections: Iterator[Section]) -> list[Section]:
    """Print each section when it is there."""
    done = []
    for section in sections:
        print(section.text(), flush=True)
        done.append(section)
    return done


def measure_all(directory: Path, *, is_short: bool) -> None:
    """Measure, print, and write two pages and a picture."""
    about = surroundings()
    print(about, end="\n\n")
    curves = Curves()
    matched = run(engine(curves, is_short=is_short))
    delivered = run(delivery.measure())
    # The last, since the Go wheel brings a garbage collector of its own into the process.
    matched += run(iter([peers.measure(curves)]))
    counted = operators.count_all()
    print(f"{counted}\n\n{summary(matched + delivered)}\n")
    page = [f"{about}.", f"![Events a second by number of rules]({PICTURE})"]
    write(directory / PAGE, "Matching in figures", [*page, *(section.markdown() for section in matched), counted])
    write_delivery(directory, delivered)
    (directory / PICTURE).write_text(draw(curves, scaling.OPERATORS, about), encoding="utf-8")
    print(f"Written to {directory / PICTURE}")


def measure_delivery(directory: Path) -> None:
    """Measure delivery, print, and write its page."""
    print(surroundings(delivery.LIBRARIES), end="\n\n")
    sections = run(delivery.measure())
    print(summary(sections), end="\n\n")
    write_delivery(directory, sections)


def measure_durable(directory: Path) -> None:
    """Measure a store in a file, print, and write its page."""
    print(surroundings(delivery.LIBRARIES), end="\n\n")
    sections = run(durable.measure())
    print(summary(sections), end="\n\n")
    write_durable(directory, sections)


def write_durable(directory: Path, sections: Iterable[Section]) -> None:
    """Write the page about a store in a file."""
    page = [f"{surroundings(('anyio', 'trio', 'msgspec'))}.", *(section.markdown() for section in sections)]
    write(directory / DURABLE_PAGE, "A file in figures", page)


def write_delivery(directory: Path, sections: Iterable[Section]) -> None:
    """Write the page about delivery."""
    page = [f"{surroundings(delivery.LIBRARIES)}.", *(section.markdown() for section in sections)]
    write(directory / DELIVERY_PAGE, "Delivery in figures", page)


def write(page: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page, whose directory is made if it is not there, and say where it is."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join([f"# {title}", HEADER, *(part.strip() for part in parts)]) + "\n", encoding="utf-8")
    print(f"Written to {page}")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure eventrouter.")
    root.set_defaults(command="short")
    where = "where pages and the picture go; `full`, `delivery` and `durable` take it as well"
    root.add_argument("--write", type=Path, default=DIRECTORY, metavar="DIR", help=where)
    commands = root.add_subparsers(title="commands; without one, the short set, in under three minutes")
    for name, about in (
        ("full", "the short set, and every family of rules at every size"),
        ("operators", "five rules of each operator, against the decode floor"),
        ("scaling", "families of rules from one rule to 100,000"),
        ("peers", "other matchers, and outputs that are long"),
        ("changes", "adding and removing rules, and memory"),
        ("delivery", "from put_events to a handler, other event buses, latencies, the time to import"),
        ("durable", "put_events, leases and settlements on a SQLite file, against the same rows by hand"),
        ("schedules", "when schedules are due next, other libraries, and 100,000 schedules"),
        ("simulation", "a day in virtual time"),
        ("counts", "match all lots, and compare with event-ruler's counts"),
        ("compare", "compare two commits"),
        ("published", "figures to publish, by pyperf; its options follow"),
    ):
        command = commands.add_parser(name, help=about, add_help=name != "published")
        command.set_defaults(command=name)
        if name in ("full", "delivery", "durable"):
            # Suppressed: a default of the command would undo what was said in front of it.
            command.add_argument("--write", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="see above")
        elif name == "scaling":
            command.add_argument("families", nargs="*", help=f"all if none is named, of {', '.join(FAMILIES)}")
        elif name == "compare":
            command.add_argument("one", help="a commit, or . for the checkout as it is")
            command.add_argument("other", help="another")
            command.add_argument("--pairs", type=int, default=PAIRS, help="of processes; fewer than 8 are never sure")
    return root


def main() -> None:
    """Do what the command line says."""
    options, rest = parser().parse_known_args()
    if rest and options.command != "published":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if unknown := set(getattr(options, "families", ())) - set(FAMILIES):
        parser().error(f"there are no such families: {', '.join(sorted(unknown))}")
    curves = Curves()
    commands: dict[str, Callable[[], Iterator[Section]]] = {
        "operators": lambda: iter([operators.measure()]),
        "scaling": lambda: iter([scaling.measure(options.families or list(FAMILIES), curves, is_short=False)]),
        "peers": lambda: (measure() for measure in (scaling.measure_large_outputs, lambda: peers.measure(curves))),
        "changes": lambda: (measure() for measure in (changes.measure, changes.measure_memory)),
        "schedules": lambda: (measure() for measure in (schedules.measure, schedules.measure_limits)),
        "simulation": lambda: (measure() for measure in (simulation.measure,)),
        "compare": lambda: iter([compare(options.one, options.other, options.pairs)]),
    }
    start = time.perf_counter()
    try:
        if options.command == "published":
            from benchmarks import published  # noqa: PLC0415  # it needs pyperf

            published.main(rest)
            return
        if options.command == "counts":
            print(operators.count_all())
        elif options.command == "delivery":
            measure_delivery(options.write)
        elif options.command == "durable":
            measure_durable(options.write)
        elif options.command in commands:
            print(surroundings(), end="\n\n")
            print(summary(run(commands[options.command]())))
        else:
            measure_all(options.write, is_short=options.command == "short")
    except MiscountError as error:
        print(f"Miscount. {error}", file=sys.stderr)
        raise SystemExit(1) from None
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
