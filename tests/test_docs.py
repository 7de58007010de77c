"""Every Python example in the README and the docs runs as it stands."""

import re
from pathlib import Path

import pytest

from eventrouter.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples(page):
    """Give each Python example of a page with the line it begins at."""
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text[: match.start(1)].count("\n"), match[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_from_top_to_bottom(page):
    names = {"__name__": "__main__"}
    for line, code in examples(page):
        exec(compile("\n" * line + code, str(page), "exec"), names)  # noqa: S102


def test_the_readmes_example_does_what_it_says(capsys):
    [(_, example)] = examples(ROOT / "README.md")
    exec(example, {"__name__": "__main__"})  # noqa: S102
    assert capsys.readouterr().out == "large order: 250\n"
    assert len([line for line in example.splitlines() if line.strip()]) <= 15


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link, heading in re.findall(r"\]\(([^)#:]*)#?([^)#:]*)\)", page.read_text()):
        linked = page.parent / link if link else page
        assert linked.exists(), link
        assert not heading or heading in headings(linked), f"{link}#{heading}"


def headings(page):
    """Give what links call the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_command_is_documented():
    page = (ROOT / "docs/how-to/command-line.md").read_text()
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    for group in app.registered_groups:
        commands += [f"{group.name} {command.name}" for command in group.typer_instance.registered_commands]
    assert len(commands) > 3
    assert [name for name in commands if f"eventrouter {name}" not in page] == []
