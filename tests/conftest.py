"""What every test may use: both async backends, each with real or virtual time."""

import os

import hypothesis
import pytest

from tests.stores.engines import Scratch
from tests.virtual_time import virtual_time_backends

# How long an example takes says more about the machine than about the code. In CI, hypothesis has such settings itself.
hypothesis.settings.register_profile("local", deadline=None)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("local")


@pytest.fixture(params=virtual_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Run each async test on asyncio and on trio, in virtual time: waiting for an hour takes no time.

    A test that uses threads, processes or files overrides this with `real_time_backends`.
    """
    return request.param


@pytest.fixture
def scratch():
    """Give directories for files that need not be on a disk."""
    scratch = Scratch()
    yield scratch
    scratch.remove()
