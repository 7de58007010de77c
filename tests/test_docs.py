"""Every Python example in the README and the docs runs as it stands, and every public name is in the reference.

The tutorial's examples are files, which `test_tutorial.py` writes and runs.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import eventrouter
from eventrouter.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [page for page in PAGES if page.parent.name != "tutorial"]


def examples(page):
    """Give each Python example of a page with the line it begins at."""
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text[: match.start(1)].count("\n"), match[1]


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
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


def referenced():
    """Give what the reference documents: each public object or alias as (name, value), from where it is written."""
    names = set()
    for page in (ROOT / "docs/reference/api").glob("*.md"):
        for kind, path in re.findall(r"^\.\. (auto\w+|py:\w+):: ([\w.]+)$", page.read_text(), re.MULTILINE):
            if kind == "automodule":
                names |= {(path, name) for name in public(importlib.import_module(path))}
            else:
                names.add(tuple(path.rsplit(".", 1)))
    return {(name, id(getattr(importlib.import_module(module), name))) for module, name in names}


def public(module):
    """Give the names that a module has for others: `__all__`, or what it defines without a leading underscore."""
    defined = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]
    return getattr(module, "__all__", defined)


def imported_by_examples():
    """Give what the examples of all pages import from the package, as (module, name)."""
    for page in PAGES:
        for _, code in examples(page):
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "eventrouter":
                    yield from ((node.module, alias.name) for alias in node.names)


#: Packages whose `__all__` is for users as a whole; what others have for users is in `eventrouter.__all__`.
FACES = ["eventrouter", *(f"eventrouter.{name}" for name in (
    "errors", "filters", "functions", "idempotency", "observability", "otel", "policy", "queues", "schedules", "topology"
))]  # fmt: skip


def test_every_public_name_is_in_the_reference():
    testing = importlib.import_module("eventrouter.testing")
    kit = [module.name for module in pkgutil.walk_packages(testing.__path__, "eventrouter.testing.")]
    kit = ["eventrouter.testing", *(name for name in kit if "._" not in name)]
    wanted = {(face, name) for face in FACES + kit for name in public(importlib.import_module(face))}
    wanted |= set(imported_by_examples())
    known = referenced()
    missing = [
        f"{module}.{name}"
        for module, name in sorted(wanted)
        if (name, id(getattr(importlib.import_module(module), name))) not in known
    ]
    assert missing == [], "write `.. autoclass:: NAME` or the like on a page of docs/reference/api"
    assert len(wanted) > len(eventrouter.__all__)


def test_code_of_others_is_python():
    page = (ROOT / "docs/explanation/coming-from.md").read_text()
    theirs = re.findall(r"^```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(theirs) == 4
    for code in theirs:
        compile(code, "theirs", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
