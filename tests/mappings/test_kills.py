"""Workers that are killed with a batch in their hands, in real processes on a real file."""

import random
import signal
import subprocess
import sys
import time

import anyio

from eventrouter import QueueEntry
from tests.mappings.child import make_router

MESSAGES = 300


async def send(router, bodies):
    async with router:
        for begin in range(0, len(bodies), 10):
            await router.queue("jobs").send_batch([QueueEntry(body) for body in bodies[begin : begin + 10]])


async def ledger(router):
    async with router:
        return await router.ledger()


def test_nothing_is_lost_when_workers_are_killed_mid_batch(tmp_path):
    path, log = tmp_path / "queue.db", tmp_path / "log"
    log.touch()
    sent, draw = [f"message {number}" for number in range(MESSAGES)], random.Random(7)  # noqa: S311
    router = make_router(path)
    anyio.run(send, router, sent)
    kills, until = 0, time.monotonic() + 60
    while (deleted := anyio.run(ledger, router).queues["jobs"].deleted) < MESSAGES and time.monotonic() < until:
        enough = len(log.read_text().splitlines()) + draw.randrange(20, 120)
        child = subprocess.Popen([sys.executable, "-m", "tests.mappings.child", str(path), str(log)])
        patience = time.monotonic() + 5  # at the end there is not as much left
        while len(log.read_text().splitlines()) < enough and time.monotonic() < patience and deleted < MESSAGES:
            time.sleep(0.02)
            deleted = anyio.run(ledger, router).queues["jobs"].deleted
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
    account = anyio.run(ledger, router)
    assert account.is_balanced
    assert account.queues["jobs"].deleted == MESSAGES
    assert kills > 3
    assert set(log.read_text().splitlines()) == set(sent)
