"""Measure: `python -m benchmarks --help` says what.

Every figure is taken in turn with what it is held against, since machines are noisy. A run that finds other matches
than there are to find ends with exit code 1.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import changes, delivery, operators, peers, scaling
from benchmarks.cache import DIRECTORY
from benchmarks.compare import PAIRS, compare
from benchmarks.families import FAMILIES
from benchmarks.naive import MiscountError
from benchmarks.plot import Curves, draw
from benchmarks.report import Section, summary, surroundings

PAGE, PICTURE, DELIVERY_PAGE = "matching-figures.md", "matching-figures.svg", "delivery-figures.md"
HEADER = "<!-- Written by `python -m benchmarks --write`; change the benchmarks, not this page. -->"


def everything(curves: Curves, *, is_short: bool) -> Iterator[Section]:
    """Measure the engine, which wants a process that has not done much yet, and delivery."""
    yield operators.measure()
    yield scaling.measure(list(FAMILIES) if not is_short else scaling.OPERATORS, curves, is_short=is_short)
    yield scaling.measure_large_outputs()
    yield changes.measure()
    yield changes.measure_memory()
    yield delivery.measure()
    # The last, since the Go wheel brings a garbage collector of its own into the process.
    yield peers.measure(curves)


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
    sections = run(everything(curves, is_short=is_short))
    delivered = [section for section in sections if section.title == delivery.TITLE]
    matched = [section for section in sections if section not in delivered]
    counted = operators.count_all()
    print(f"{counted}\n\n{summary(sections)}")
    directory.mkdir(parents=True, exist_ok=True)
    page = ["# Matching in figures", HEADER, about + ".", f"![Events a second by number of rules]({PICTURE})"]
    page += [section.markdown() for section in matched] + [counted]
    (directory / PAGE).write_text("\n\n".join(page) + "\n", encoding="utf-8")
    page = ["# Delivery in figures", HEADER, about + "."] + [section.markdown() for section in delivered]
    (directory / DELIVERY_PAGE).write_text("\n\n".join(page) + "\n", encoding="utf-8")
    (directory / PICTURE).write_text(draw(curves, scaling.OPERATORS, about), encoding="utf-8")
    print(f"\nWritten to {directory}: {PAGE}, {PICTURE} and {DELIVERY_PAGE}")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    root = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure eventrouter.")
    root.set_defaults(command="short")
    root.add_argument("--write", type=Path, default=DIRECTORY, metavar="DIR", help="where page and picture go")
    commands = root.add_subparsers(title="commands; without one, the short set, in under three minutes")
    for name, about in (
        ("full", "the short set, and every family of rules at every size"),
        ("operators", "five rules of each operator, against the decode floor"),
        ("scaling", "families of rules from one rule to 100,000"),
        ("peers", "other matchers, and outputs that are long"),
        ("changes", "adding and removing rules, and memory"),
        ("delivery", "from put_events to a handler, and the time to import"),
        ("counts", "match all lots, and compare with event-ruler's counts"),
        ("compare", "compare two commits"),
        ("published", "figures to publish, by pyperf; its options follow"),
    ):
        command = commands.add_parser(name, help=about, add_help=name != "published")
        command.set_defaults(command=name)
        if name == "scaling":
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
        "delivery": lambda: iter([delivery.measure()]),
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
