"""What a run has to say: sections with a table each, and budgets that were kept or missed."""

import importlib.metadata
import os
import platform
import subprocess
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cache import CHECKOUT

#: What a cell holds where something could not be measured.
MISSING = "-"
LIBRARIES = ("msgspec", "orjson", "moto", "localstack-core", "event-ruler")


@dataclass(frozen=True)
class Budget:
    """A ratio, and what it may be."""

    what: str
    ratio: float
    limit: float
    is_floor: bool = False

    @property
    def is_kept(self) -> bool:
        """Say whether the ratio is within its limit."""
        return self.ratio >= self.limit if self.is_floor else self.ratio <= self.limit

    @property
    def cell(self) -> str:
        """Give the ratio with its limit and the verdict, for a table."""
        sign = ">=" if self.is_floor else "<="
        digits = 0 if self.limit >= 100 else 2
        if round(self.ratio, digits) == self.limit:
            digits += 2  # so that a near miss does not read like a contradiction
        return f"{self.ratio:,.{digits}f} ({sign} {self.limit:,.4g} {'ok' if self.is_kept else 'MISSED'})"


@dataclass
class Section:
    """A table with what it is about."""

    title: str
    about: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def judge(self, what: str, ratio: float, limit: float | None, *, is_floor: bool = False) -> str:
        """Give a ratio for a cell of the table, held to its budget if it has one."""
        if limit is None:
            return f"{ratio:,.2f}"
        budget = Budget(what, ratio, limit, is_floor)
        self.budgets.append(budget)
        return budget.cell

    def text(self) -> str:
        """Give the section for a terminal."""
        table = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if number == 0 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        lines.insert(1, "-" * sum(widths, 2 * (len(widths) - 1)))
        return "\n".join([f"== {self.title}", textwrap.fill(self.about, 110), "", *lines, *self.notes, ""])

    def markdown(self) -> str:
        """Give the section for the docs."""
        rule = [":--", *["--:"] * (len(self.columns) - 1)]
        rows = [
            "| " + " | ".join(row).replace("<=", "≤").replace(">=", "≥") + " |"
            for row in [self.columns, rule, *self.rows]
        ]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"## {self.title}", "", self.about, "", *rows, *notes, ""])


def summary(sections: Iterable[Section]) -> str:
    """Say which budgets were kept."""
    budgets = [budget for section in sections for budget in section.budgets]
    if not budgets:
        return ""
    missed = [f"  MISSED {budget.what}: {budget.cell}" for budget in budgets if not budget.is_kept]
    return "\n".join([f"{len(budgets) - len(missed)} of {len(budgets)} budgets kept", *missed])


def surroundings(libraries: Iterable[str] = LIBRARIES) -> str:
    """Say what was measured on what, with which versions of these packages."""
    versions = []
    for library in libraries:
        try:
            versions.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {library}")
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {_processor()}, {os.cpu_count()} cores; "
        f"commit {_commit()}; {', '.join(versions)}; timed without the garbage collector unless it says otherwise"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    git = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603
