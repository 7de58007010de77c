"""A router under everything that can happen to it, in any order, and across restarts: the account is always right.

What happens is drawn from a seed: what targets do, how they are declared, what is put, paused, replaced, disabled,
redriven, and when the router is cancelled or closed. In the end a router with targets that work gets all that is left.
"""

import random

import anyio
import pytest

from eventrouter import (
    DeadLetterQueue,
    DeliveryError,
    EventEntry,
    EventRouter,
    PermanentDeliveryError,
    RetryPolicy,
    Store,
    ThrottledError,
)
from tests.stores.engines import INLINE_STORES
from tests.support import EVERYTHING, Scripted, seconds
from tests.virtual_time import LoopClock, virtual_time_backends

BUSES = ("default", "b")
TARGETS = ("t0", "t1", "t2")


class Chaos:
    """Draws what happens."""

    def __init__(self, seed: int, store: Store) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - the same again for the same seed
        self.seed = seed
        self.store = store
        self.clock = LoopClock()

    def step(self):
        """Give what a target does."""
        pick = self.draw.choice
        return pick(
            [
                None,
                None,
                None,
                OSError("down"),
                OSError("down"),
                ThrottledError("closed", retry_after=pick([None, seconds(0), seconds(5)])),
                PermanentDeliveryError("never"),
                DeliveryError("busy", retry_after=pick([seconds(-1), seconds(0), seconds(3)])),
                lambda: anyio.sleep(pick([0, 0.001, 0.5, 3, 20])),
                lambda: anyio.sleep(pick([0, 0.5, 90])),
                self._child,
            ]
        )

    async def _child(self):
        return EventEntry("child", "T", {"n": 1}, event_bus_name=self.draw.choice(BUSES))

    def target(self, id, *, has_destinations=True):
        """Give a target of any kind."""
        pick = self.draw.choice
        options = {}
        if has_destinations:
            options["on_success"] = pick([(), (), [self.target("s", has_destinations=False)]])
            options["on_failure"] = pick([(), [self.target("f", has_destinations=False)]])
            options["dead_letter_queue"] = pick(
                [
                    None,
                    DeadLetterQueue(),
                    DeadLetterQueue("shared"),
                    self.target("q", has_destinations=False),
                ]
            )
        return Scripted(
            id=id,
            script=[self.step() for _ in range(30)],
            timeout=pick([seconds(2), seconds(60), None]),
            maximum_concurrency=pick([0, 1, 2, 10]) if has_destinations else 3,
            ordering=pick(["FIFO", "UNORDERED"]),
            maximum_backlog=pick([1, 5, 1_000]),
            when_full=pick(["wait", "reject", "shed"]),
            retry_policy=RetryPolicy(maximum_retry_attempts=pick([0, 1, 3])),
            **options,
        )

    def router(self, make_target, **options) -> EventRouter:
        router = EventRouter(self.store, clock=self.clock, seed=self.seed, maximum_depth=4, **options)
        router.add_event_bus("b")
        for bus in BUSES:
            router.put_rule("r", EVERYTHING, event_bus_name=bus)
            router.put_targets("r", [make_target(id) for id in TARGETS], event_bus_name=bus)
        return router

    async def live(self) -> None:
        """Let a router live, and be left or cancelled."""
        pick = self.draw.choice
        router = self.router(self.target, drain_timeout=seconds(pick([0, 1, 500])), put_timeout=seconds(pick([0, 1])))
        with anyio.CancelScope() as scope:
            async with router:
                for _ in range(self.draw.randrange(1, 25)):
                    await self.act(router, scope)
                    assert (await router.ledger()).is_balanced
        ledger = router.closing_report
        assert ledger.is_balanced
        assert ledger.total.in_flight == 0

    async def act(self, router, scope) -> None:
        """Do something."""
        pick = self.draw.choice
        place = {"event_bus_name": pick(BUSES)}
        match pick(
            ["put"] * 8
            + ["sleep"] * 3
            + ["replace", "pause", "resume", "resume", "disable", "enable", "redrive", "end"]
        ):
            case "put":
                entries = [
                    EventEntry(
                        "s",
                        "T",
                        {"n": n},
                        event_group_id=pick([None, "a", "b"]),
                        deduplication_id=pick([None, None, "x"]),
                        **place,
                    )
                    for n in range(self.draw.randrange(1, 8))
                ]
                await router.put_events(entries)
            case "sleep":
                await anyio.sleep(pick([0, 0.01, 1, 7, 70]))
            case "replace":
                router.put_targets("r", [self.target(pick(TARGETS))], **place)
            case "pause":
                router.pause_target("r", pick(TARGETS), **place)
            case "resume":
                router.resume_target("r", pick(TARGETS), **place)
            case "disable":
                router.disable_rule("r", **place)
            case "enable":
                router.enable_rule("r", **place)
            case "redrive":
                with anyio.move_on_after(30):  # it waits for room, which a paused target may never have
                    await router.redrive(rate=50, canary=pick([0, 1]))
            case "end":
                scope.cancel()

    async def run(self) -> None:
        for _ in range(self.draw.randrange(1, 4)):
            await self.live()
        works = [Scripted(id=id) for id in "sfq"]
        router = self.router(
            lambda id: Scripted(id=id, on_success=works[:1], on_failure=works[1:2], dead_letter_queue=works[2]),
            drain_timeout=seconds(0),
        )
        async with router:
            with anyio.fail_after(10**6):
                await router.settle_down()
            assert await self.store.pending() == {}
            await anyio.sleep(1)
            assert not router._dispatcher._pumps, "tasks are left that have nothing to do"
        total = router.closing_report.total
        assert router.closing_report.is_balanced
        assert (total.waiting, total.in_flight) == (0, 0)


@pytest.mark.parametrize(("name", "seed"), [("memory", n) for n in range(60)] + [("sqlite", n) for n in range(12)])
def test_whatever_happens_every_delivery_comes_to_one_end(name, seed, scratch):
    backend, options = virtual_time_backends()[seed % 2]
    chaos = Chaos(seed, INLINE_STORES[name](scratch.new()))
    anyio.run(chaos.run, backend=backend, backend_options=options)
