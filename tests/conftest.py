"""What every test may use: both async backends, each with real or virtual time."""

import os

import hypothesis
import pytest

from tests.stores.engines import Scratch
from tests.virtual_time import virtual_time_backend

# How long an example takes says more about the machine than about the code. In CI, hypothesis has such settings itself.
hypothesis.settings.register_profile("local", deadline=None)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("local")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Run each async test on asyncio and on trio, in virtual time: waiting for an hour takes no time.

    Each has a clock of its own. One for all would be years ahead after some of them, and rounded to more than the
    microseconds that deliveries are due by; which tests came before would decide how one ends.

    A test that uses threads, processes or files overrides this with `real_time_backends`.
    """
    return virtual_time_backend(request.param)


@pytest.fixture
def scratch():
    """Give directories for files that need not be on a disk."""
    scratch = Scratch()
    yield scratch
    scratch.remove()
