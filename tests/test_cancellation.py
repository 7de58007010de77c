"""The harness that cancels at every point does so."""

import anyio
from anyio.lowlevel import checkpoint

from eventrouter.testing.cancellation import at_every_point


async def test_each_point_is_cancelled_once_and_the_last_attempt_runs_through():
    reached = []
    cancelled = []

    async def work(steps):
        for step in range(3):
            await checkpoint()
            steps.append(step)
        return "done"

    async def attempt(cancel_at):
        steps = []
        result = await cancel_at(work(steps))
        reached.append((len(steps), result))
        cancelled.append(cancel_at.was_cancelled)

    assert await at_every_point(attempt) == len(reached) - 1
    assert reached[0] == (0, None)
    assert reached[-1] == (3, "done")
    assert {steps for steps, _ in reached} == {0, 1, 2, 3}
    assert cancelled == [True] * (len(reached) - 1) + [False]


async def test_a_shielded_point_is_not_cancelled():
    async def work():
        with anyio.CancelScope(shield=True):
            await checkpoint()
        return "done"

    async def attempt(cancel_at):
        assert await cancel_at(work()) == "done"
        assert not cancel_at.was_cancelled

    assert await at_every_point(attempt) > 0
