"""No promise is without a test that proves it, and each test that is named is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/explanation/guarantees.md").read_text()
README = (TESTS.parent / "README.md").read_text()


def promises(page):
    """Give each row of the tables as (promise, tests)."""
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| promise |"):
            _, promise, tests, _ = line.split("|")
            yield promise.strip(), re.findall(r"`([\w/]+\.py)::(\w+)`", tests)


def left_out(mark):
    return ast.unparse(mark).startswith(("pytest.mark.skip", "pytest.mark.xfail"))


def found_in(file):
    """Give the names of the tests that pytest finds at the top of a file, and whether something has them skipped."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, any(map(left_out, node.decorator_list))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, False  # a state machine's `TestCase`


def test_no_promise_is_without_a_test():
    assert [promise for promise, tests in promises(PAGE) if not tests] == []
    assert sum(1 for _ in promises(PAGE)) > 40


@pytest.mark.parametrize(("file", "name"), sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE))))
def test_what_is_named_is_a_test_that_runs(file, name):
    assert name.lower().startswith("test")
    assert dict(found_in(TESTS / file)).get(name) is False, "there is no such test, or it is skipped"


def test_every_promise_of_the_readme_has_a_section():
    promised = README.partition("## What it promises")[2].partition("\n## ")[0]
    leads = re.findall(r"^- \*\*([^*]*?)[.,:]?\*\*", promised, re.MULTILINE)
    assert len(leads) == 5
    assert [lead for lead in leads if f"\n## {lead}\n" not in PAGE] == []


@pytest.mark.parametrize(
    ("text", "is_left_out"),
    [
        ("@pytest.mark.skip", True),
        ("@pytest.mark.xfail(reason='')", True),
        ("@pytest.mark.parametrize('a', ['skip'])", False),
    ],
)
def test_what_is_skipped_proves_nothing(tmp_path, text, is_left_out):
    (tmp_path / "test_it.py").write_text(f"{text}\nasync def test_one(): ...\nTestTwo = Machine.TestCase\n")
    assert dict(found_in(tmp_path / "test_it.py")) == {"test_one": is_left_out, "TestTwo": False}
