"""Every Python example in the README and the docs runs as it stands."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples():
    for page in PAGES:
        for match in re.finditer(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            line = page.read_text()[: match.start(1)].count("\n")
            yield pytest.param(page, line, match[1], id=f"{page.relative_to(ROOT)}:{line + 1}")


@pytest.mark.parametrize(("page", "line", "code"), list(examples()))
def test_the_example_runs(page, line, code):
    exec(compile("\n" * line + code, str(page), "exec"), {"__name__": "__main__"})  # noqa: S102


def test_the_readmes_example_does_what_it_says(capsys):
    [example] = [parameters.values[2] for parameters in examples() if parameters.values[0].name == "README.md"]
    exec(example, {"__name__": "__main__"})  # noqa: S102
    assert capsys.readouterr().out == "large order: 250\n"
    assert len([line for line in example.splitlines() if line.strip()]) <= 15


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 100


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link
