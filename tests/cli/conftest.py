"""What the commands change in the process that runs them, and tests must not inherit from one another."""

import sys

import pytest


@pytest.fixture(autouse=True)
def path_of_modules(monkeypatch):
    """Commands that import a router look for it in the current directory, as `python -m` does."""
    monkeypatch.setattr(sys, "path", list(sys.path))
