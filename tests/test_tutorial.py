"""The tutorial is followed to the letter: its files are written, its commands are run, and print what it shows."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "tutorial").glob("*.md"))

#: What a reader types is found in the environment that runs the tests, whatever its scripts are called.
COMMANDS = {"python": [sys.executable], "pytest": [sys.executable, "-m", "pytest"], "wc": ["wc"]}


def steps(text):
    """Give what a reader does, in order: files to write as (name, text), commands to run as (command, output)."""
    for language, block in re.findall(r"^```(python|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language == "python":
            name = re.match(r"# (\w+\.py)\n", block)
            assert name, f"this begins with no comment that names its file:\n{block}"
            yield name[1], block
        else:
            for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                yield command.split(), output


@pytest.mark.no_cover  # what runs here runs in processes of their own
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_tutorial_does_what_it_says(page, tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    ran = 0
    for what, content in steps(page.read_text()):
        if isinstance(what, str):
            (tmp_path / what).write_text(content)
            continue
        command = [*COMMANDS[what[0]], *what[1:]]
        said = subprocess.run(  # both streams as one, as on a terminal
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        ).stdout
        assert doctest.OutputChecker().check_output(content, said, doctest.ELLIPSIS), f"{what}:\n{said}"
        ran += 1
    assert ran


def test_files_and_commands_are_read_in_order():
    page = "```python\n# a.py\nx = 1\n```\n```console\n$ python a.py\none\ntwo\n$ pytest -q\n```\n"
    assert list(steps(page)) == [
        ("a.py", "# a.py\nx = 1\n"),
        (["python", "a.py"], "one\ntwo\n"),
        (["pytest", "-q"], ""),
    ]
