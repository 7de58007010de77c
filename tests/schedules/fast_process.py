"""A process with schedules whose wall clock runs fast: `python -m tests.schedules.fast_process FILE LOG`.

It says that it is ready, and is told when its clock begins: as long as it takes to start.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from eventrouter import Event, EventRouter, ScheduleExpression, _scheduler

START = datetime(2026, 10, 24, tzinfo=UTC)
END = START + timedelta(days=3)
SPEED = 86_400  # simulated seconds a second
EXPRESSIONS = {
    "ten": ScheduleExpression.parse("cron(0/10 * * * ? *)", "UTC", START + timedelta(hours=2), END),
    "rate": ScheduleExpression.parse("rate(25 minutes)", "UTC", START + timedelta(hours=2), END),
    "london": ScheduleExpression.parse("cron(0/30 0-3 * * ? *)", "Europe/London", START + timedelta(hours=2), END),
    "begun": ScheduleExpression.parse("rate(40 minutes)", end=END),
}


class FastClock:
    """Wall time that is the same in all processes, and runs fast."""

    def __init__(self, begin):
        self.begin = begin

    def now(self):
        return START + timedelta(seconds=(time.time() - self.begin) * SPEED)


async def main(file, begin, log):
    _scheduler._LONGEST_REST = 0.005  # of real time, in which the clock goes on by some minutes
    clock = FastClock(begin)
    router = EventRouter(f"sqlite:///{file}", clock=clock)

    def writing(name):
        async def write(event: Event):
            log.write(f"{name} {event.time.isoformat()} {event.id}\n")

        return write

    for name, expression in EXPRESSIONS.items():
        router.schedule(expression, name=name, missed="all", timeout=None)(writing(name))
    async with router:
        while clock.now() < END + timedelta(hours=8):  # noqa: ASYNC110 - the clock tells nobody
            await anyio.sleep(0.02)
        await router.settle_down()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w") as log:
        print("ready", flush=True)  # noqa: T201 - to who started it
        anyio.run(main, sys.argv[1], float(sys.stdin.readline()), log)
