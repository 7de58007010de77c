"""A process that works on the queue of a file until it is killed: `python -m tests.mappings.child FILE LOG`."""

import os
import sys
from datetime import timedelta

import anyio

from eventrouter import EventRouter

SECOND = timedelta(seconds=1)


def make_router(path) -> EventRouter:
    router = EventRouter(f"sqlite:///{path}")
    router.create_queue("jobs", visibility_timeout=SECOND)
    return router


async def main(path: str, log: str) -> None:
    router = make_router(path)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @router.function("work", timeout=SECOND)
    async def work(event, context):
        for record in event["Records"]:
            await anyio.sleep(0.002)
            os.write(file, f"{record['body']}\n".encode())

    router.event_source_mapping("jobs", "work", maximum_concurrency=3)
    async with router:
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
