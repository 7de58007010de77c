"""Workers that are killed with a batch in their hands, in real processes on a real file."""

import random
import signal
import subprocess
import sys
import time

import anyio
import pytest

from eventrouter import QueueEntry
from tests.mappings.child import make_router
from tests.virtual_time import real_time_backends

MESSAGES = 300


@pytest.fixture(params=real_time_backends()[:1], ids=["asyncio"])
def anyio_backend(request):
    """Run in real time, as processes do."""
    return request.param


async def test_nothing_is_lost_when_workers_are_killed_mid_batch(tmp_path):
    path, log = tmp_path / "queue.db", tmp_path / "log"
    log.touch()
    draw = random.Random(7)
    sent = [f"message {number}" for number in range(MESSAGES)]
    router = make_router(path)
    async with router:
        for begin in range(0, MESSAGES, 10):
            await router.queue("jobs").send_batch([QueueEntry(body) for body in sent[begin : begin + 10]])
    kills, left = 0, MESSAGES
    until = time.monotonic() + 60
    while left and time.monotonic() < until:
        before = len(log.read_text().splitlines())
        child = subprocess.Popen([sys.executable, "-m", "tests.mappings.child", str(path), str(log)])
        while child.poll() is None and len(log.read_text().splitlines()) - before < draw.randrange(20, 120):
            await anyio.sleep(0.02)
            if kills and time.monotonic() > until:
                break
            async with router:
                depth = await router.queue("jobs").depth()
            left = depth.visible + depth.not_visible
            if not left:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
    worked_on = log.read_text().splitlines()
    assert left == 0
    assert kills > 3
    assert set(worked_on) == set(sent)
    async with router:
        ledger = await router.ledger()
    assert ledger.is_balanced
    assert ledger.queues["jobs"].deleted == MESSAGES
