"""What a fault is, and how it gets into a copy of the tree."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A plausible mistake.

    Attributes:
        name: What goes wrong, in a few words.
        files: Where the text is, as a glob below the root, so that it may move from one file to another.
        text: What is there now, exactly once in all these files.
        mistake: What stands in its place.
        tests: Which tests find it, each path below `tests`.
        hangs: Whether what it does is to stand still, so that a test which never ends has found it.
    """

    name: str
    files: str
    text: str
    mistake: str
    tests: tuple[str, ...]
    hangs: bool = False

    def place(self, root: Path) -> Path:
        """Find the file that has the text.

        Raises:
            LookupError: Not exactly one place has it: the code has changed, and the fault has to be stated anew.
        """
        places = [path for path in sorted(root.glob(self.files)) for _ in range(path.read_text().count(self.text))]
        if len(places) != 1:
            raise LookupError(f"{self.name}: {len(places)} places in {self.files} have {self.text!r}, not one")
        return places[0]

    def plant(self, root: Path) -> Path:
        """Make the mistake, and say in which file."""
        path = self.place(root)
        path.write_text(path.read_text().replace(self.text, self.mistake))
        return path

    def missing_tests(self, root: Path) -> Iterator[str]:
        """Name the tests that do not exist."""
        return (test for test in self.tests if not (root / "tests" / test).exists())
