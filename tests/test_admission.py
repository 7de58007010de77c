"""Ids of events."""

import subprocess
import sys
import uuid
from collections import Counter

import pytest

from eventrouter._ids import new_ids


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 100])
def test_ids_are_random_uuids_of_version_4(count):
    ids = new_ids(count)
    assert len(set(ids)) == count
    for id in ids:
        assert str(uuid.UUID(id)) == id
        assert uuid.UUID(id).version == 4
        assert uuid.UUID(id).variant == uuid.RFC_4122


@pytest.mark.parametrize("count", [1, 100])
def test_every_digit_but_the_version_takes_all_its_values(count):
    ids = [id for _ in range(2_000 // count) for id in new_ids(count)]
    for place, digits in enumerate(zip(*ids, strict=True)):
        values = set(Counter(digits))
        expected = {8: "-", 13: "-", 18: "-", 23: "-", 14: "4", 19: "89ab"}.get(place, "0123456789abcdef")
        assert values == set(expected)


def test_a_process_that_is_forked_makes_ids_of_its_own():
    done = subprocess.run([sys.executable, "-c", _FORKS], capture_output=True, text=True, check=True)
    ids = done.stdout.split()
    assert len(ids) == len({*ids}) == 600


#: In a process without threads, which would be in the way of forks.
_FORKS = """
import os, sys
from eventrouter._ids import new_ids
print(new_ids(1)[0], flush=True)  # so that there are some that were made ahead
child = os.fork()
if child:
    os.waitpid(child, 0)  # so that they do not write at once
print(*[id for _ in range(300 - (child != 0)) for id in new_ids(1)], sep="\\n", flush=True)
"""
