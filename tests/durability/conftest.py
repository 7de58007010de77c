"""Processes for the stories."""

import pytest

from tests.durability.rounds import nurseries
from tests.virtual_time import real_time_backends


@pytest.fixture(scope="package")
def four():
    """Give four that start processes, each one at a time."""
    with nurseries(4) as every:
        yield every


@pytest.fixture
def nursery(four):
    return four[0]


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    return request.param
