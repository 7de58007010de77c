"""Archives: what is kept, what is replayed to whom, and what changed rules would do."""

from datetime import timedelta

import anyio
import pytest

from eventrouter import (
    Archive,
    ArchiveStatistics,
    BusClosedError,
    BusTarget,
    ConflictError,
    Event,
    EventEntry,
    EventRouter,
    FunctionTarget,
    InvalidRuleError,
    MemoryStore,
    NotFoundError,
    PatternError,
)
from tests.support import EVERYTHING, NOON, Scripted, make_router, order
from tests.virtual_time import LoopClock

LARGE = {"detail": {"total": [{"numeric": [">", 100]}]}}


def archiving_router(*targets, pattern=None, **options) -> EventRouter:
    router = make_router(*targets, **options)
    router.put_archive("large", pattern or LARGE)
    return router


async def kept(router, archive="large", **options) -> list[int]:
    return [item.event.detail["total"] for item in await router.archived_events(archive, **options)]


def totals(target: Scripted) -> list[int]:
    return [delivery.event.detail["total"] for delivery in target.seen]


# -- keeping ---------------------------------------------------------------------------------------------------------


async def test_an_archive_keeps_what_matches_whether_a_rule_wants_it_or_not():
    router = archiving_router(pattern=LARGE)
    async with router:
        await router.put_events([order(total=total) for total in (250, 10, 300)])
    assert await kept(router) == [250, 300]
    statistics = await router.archive_statistics()
    assert list(statistics) == ["large"]
    sizes = [len(item.event.to_json()) for item in await router.archived_events("large")]
    assert statistics["large"] == ArchiveStatistics(2, sum(sizes))


async def test_an_archive_without_a_pattern_keeps_everything():
    router = make_router()
    router.put_archive("all")
    async with router:
        await router.put_events([order(total=1), EventEntry("x", "y", {"total": 2})])
    assert await kept(router, "all") == [1, 2]


async def test_several_archives_of_a_bus_each_keep_their_own():
    router = archiving_router()
    router.put_archive("all")
    async with router:
        await router.put_events([order(total=250), order(total=1)])
    assert (await kept(router), await kept(router, "all")) == ([250], [250, 1])


async def test_an_archive_keeps_events_of_its_bus_only_however_they_got_there():
    router = EventRouter(clock=LoopClock())
    router.add_event_bus("other")
    router.put_archive("large", LARGE, event_bus_name="other")
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [BusTarget(id="b", router=router, event_bus_name="other")])
    async with router:
        await router.put_events([order(total=250)])
        await router.settle_down()
        await router.forward_events([(await router.archived_events("large"))[0].event], "other")
    assert await kept(router) == [250, 250]


async def test_child_events_are_kept_and_duplicates_are_not():
    async def handler(event: Event):
        return None if "child" in event.source else EventEntry("a.child", "d", {"total": 999})

    router = archiving_router(handler)
    async with router:
        entry = EventEntry("shop", "d", {"total": 200}, deduplication_id="one")
        await router.put_events([entry, entry])
        await router.settle_down()
    assert await kept(router) == [200, 999]


async def test_an_archive_that_is_put_again_keeps_others_from_then_on():
    router = archiving_router()
    async with router:
        await router.put_events([order(total=250)])
        router.put_archive("large", {"detail": {"total": [{"numeric": [">", 1_000]}]}})
        await router.put_events([order(total=300), order(total=2_000)])
        router.remove_archive("large")
        await router.put_events([order(total=3_000)])
    assert await kept(router) == [250, 2_000]
    with pytest.raises(NotFoundError, match="Archive large does not exist"):
        router.remove_archive("large")


async def test_what_has_been_kept_for_the_retention_is_gone():
    router = make_router()
    router.put_archive("large", LARGE, retention=timedelta(days=1))
    async with router:
        await router.put_events([order(total=250)])
        await anyio.sleep(24 * 3600 - 1)
        await router.put_events([order(total=300)])
        assert await kept(router) == [250, 300]
        await anyio.sleep(1)
        assert await kept(router) == [300]
        await router.put_events([order(total=400)])
        assert (await router.archive_statistics())["large"].event_count == 2  # the first is removed for good


async def test_a_longer_retention_holds_for_what_comes_after_it():
    router = make_router()
    router.put_archive("large", LARGE, retention=timedelta(seconds=10))
    async with router:
        await router.put_events([order(total=250)])
        router.put_archive("large", LARGE)
        await router.put_events([order(total=300)])
        await anyio.sleep(100)
        assert await kept(router) == [300]


async def test_archives_are_listed_and_described():
    router = make_router()
    assert router.list_archives() == []
    router.put_archive("large", LARGE, retention=timedelta(days=30), description="to try rules on")
    [archive] = router.list_archives()
    assert archive == router.get_archive("large")
    assert isinstance(archive, Archive)
    assert (archive.retention, archive.description) == (timedelta(days=30), "to try rules on")
    with pytest.raises(NotFoundError):
        router.get_archive("small")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"name": "x" * 49}, InvalidRuleError, "archive name"),
        ({"name": "a b"}, InvalidRuleError, "archive name"),
        ({"name": "a", "retention": 30}, InvalidRuleError, "retention of archive a is 30"),
        ({"name": "a", "retention": timedelta(0)}, InvalidRuleError, "retention"),
        ({"name": "a", "event_pattern": {"source": "x"}}, PatternError, "source"),
        ({"name": "a", "event_bus_name": "none"}, NotFoundError, "none"),
        ({"name": "large", "event_bus_name": "other"}, ConflictError, "keeps events of EventBus default"),
    ],
)
def test_an_archive_that_cannot_be_is_refused_and_changes_nothing(arguments, error, text):
    router = archiving_router()
    router.add_event_bus("other")
    with pytest.raises(error, match=text):
        router.put_archive(**arguments)
    assert [archive.name for archive in router.list_archives()] == ["large"]


def test_a_bus_with_archives_cannot_be_removed():
    router = EventRouter()
    router.add_event_bus("other")
    router.put_archive("a", event_bus_name="other")
    with pytest.raises(ConflictError, match="archives"):
        router.remove_event_bus("other")
    router.remove_archive("a")
    router.remove_event_bus("other")


async def test_purging_removes_all_of_one_archive():
    router = archiving_router()
    router.put_archive("all")
    async with router:
        await router.put_events([order(total=250)] * 3)
    assert await router.purge_archive("large") == 3
    assert (await kept(router), await kept(router, "all")) == ([], [250] * 3)
    assert await router.purge_archive("never was") == 0


async def test_a_page_is_limited_by_time_position_and_number():
    router = archiving_router()
    async with router:
        entries = [EventEntry("s", "d", {"total": 200 + hour}, time=NOON + timedelta(hours=hour)) for hour in range(6)]
        await router.put_events(entries)
    start, end = NOON + timedelta(hours=1), NOON + timedelta(hours=4)
    assert await kept(router, start=start, end=end) == [201, 202, 203]
    [first, second] = await router.archived_events("large", start=start, end=end, limit=2)
    assert await kept(router, start=start, end=end, after=second.position) == [203]
    for wrong in ({"start": end, "end": start}, {"start": start.replace(tzinfo=None)}, {"end": "tomorrow"}):
        with pytest.raises(InvalidRuleError):
            await router.archived_events("large", **wrong)
    assert first.at <= second.at


# -- replaying -------------------------------------------------------------------------------------------------------


async def test_a_replay_sends_events_again_marked_and_does_not_keep_them_again():
    target = Scripted(id="t")
    router = archiving_router(target)
    async with router:
        await router.put_events([order(total=total) for total in (250, 10, 300)])
        replay = await router.replay("large", name="again")
        assert router.running_replays() == []
    assert totals(target) == [250, 10, 300, 250, 300]
    assert [delivery.event.to_dict().get("replay-name") for delivery in target.seen] == [None] * 3 + ["again"] * 2
    assert target.seen[0].event.id == target.seen[3].event.id
    assert await kept(router) == [250, 300]
    assert (replay.state, replay.event_count, replay.replayed) == ("COMPLETED", 2, 2)
    assert replay.event_last_replayed_time == target.seen[2].event.time


async def test_a_replayed_event_is_not_kept_by_archives_of_other_buses_that_it_is_handed_on_to():
    router = EventRouter(clock=LoopClock())
    router.add_event_bus("other")
    router.put_archive("here")
    router.put_archive("there", event_bus_name="other")
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [BusTarget(id="b", router=router, event_bus_name="other")])
    received = Scripted(id="t")
    router.put_rule("all", EVERYTHING, event_bus_name="other")
    router.put_targets("all", [received], event_bus_name="other")
    async with router:
        await router.put_events([order(total=250)])
        await router.settle_down()
        await router.replay("here", name="again")
        await router.settle_down()
    assert totals(received) == [250, 250]
    assert await kept(router, "there") == [250]


async def test_a_replay_reaches_the_chosen_rules_only_and_those_of_now():
    first, second = Scripted(id="t"), Scripted(id="t")
    router = archiving_router(first)
    async with router:
        await router.put_events([order(total=250)])
        await router.settle_down()
        router.put_rule("new", {"detail": {"total": [250]}, "replay-name": [{"exists": True}]})
        router.put_targets("new", [second])
        await router.replay("large", name="one", rules=["new"])
        replay = await router.replay("large", name="none", rules=[])
    assert (len(first.seen), len(second.seen)) == (1, 1)
    assert (replay.event_count, replay.replayed) == (1, 0)


async def test_a_replay_keeps_the_order_of_event_groups():
    target = Scripted(id="t", ordering="FIFO", script=[None, None, RuntimeError("once")])
    router = archiving_router(target)
    async with router:
        entries = [EventEntry("s", "d", {"total": 200 + n}, event_group_id="g") for n in range(2)]
        await router.put_events(entries)
        await router.settle_down()
        await router.replay("large", name="again")
        await router.settle_down()
    assert totals(target) == [200, 201, 200, 200, 201]


async def test_more_than_a_page_is_replayed_while_the_target_takes_its_time():
    target = Scripted(id="t", maximum_backlog=150)
    router = archiving_router(target)
    async with router:
        for _ in range(4):
            await router.put_events([order(total=250)] * 100)
            await router.settle_down()
        replay = await router.replay("large", name="again")
    assert replay.event_count == 400
    assert len(target.seen) == 800
    assert router.closing_report.total.delivered == 800


async def test_a_replay_can_be_cancelled_and_goes_on_from_its_position():
    pause = anyio.Event()

    async def wait():
        await pause.wait()

    target = Scripted(id="t", maximum_backlog=1, maximum_concurrency=1)
    router = archiving_router(target)
    async with router:
        for _ in range(3):
            await router.put_events([order(total=250)] * 100)
            await router.settle_down()
        target.script.extend([wait])
        async with anyio.create_task_group() as tasks:

            async def run():
                replay = await router.replay("large", name="again")
                assert (replay.state, replay.event_count) == ("CANCELLED", 100)
                replay.cancel()  # is over: no change

            tasks.start_soon(run)
            await anyio.sleep(1)
            [replay] = router.running_replays()
            with pytest.raises(ConflictError, match="Replay again goes on"):
                await router.replay("large", name="again")
            replay.cancel()
            assert replay.state == "CANCELLING"
        pause.set()
        rest = await router.replay("large", name="again", after=replay.position)
        await router.settle_down()
    assert rest.event_count == 200
    assert len(target.seen) == 600


async def test_a_replay_that_the_store_fails_says_so():
    class Failing(MemoryStore):
        fails = False

        async def append(self, accepted):
            if self.fails:
                await looked.wait()
                raise OSError("disk full")
            return await super().append(accepted)

    store, looked = Failing(), anyio.Event()
    router = archiving_router(Scripted(id="t"), store=store)
    seen = []
    async with router:
        await router.put_events([order(total=250)])
        await router.settle_down()
        store.fails = True

        async def look():
            while not seen:
                await anyio.sleep(1)
                seen.extend(router.running_replays())
            looked.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            with pytest.raises(OSError, match="disk full"):
                await router.replay("large", name="again")
    assert router.running_replays() == []
    assert [(replay.state, replay.reason, replay.event_count) for replay in seen] == [("FAILED", "disk full", 0)]


async def test_a_replay_is_refused_before_anything_is_sent():
    target = Scripted(id="t")
    router = archiving_router(target)
    with pytest.raises(BusClosedError):
        await router.replay("large", name="again")
    async with router:
        for arguments, error in (
            ({"name": "a b"}, InvalidRuleError),
            ({"name": "n" * 65}, InvalidRuleError),
            ({"name": "n", "start": NOON, "end": NOON}, InvalidRuleError),
            ({"name": "n", "rules": ["r", "none"]}, NotFoundError),
        ):
            with pytest.raises(error):
                await router.replay("large", **arguments)
        with pytest.raises(NotFoundError):
            await router.replay("small", name="n")
    assert target.seen == []


async def test_a_replay_of_events_that_a_function_takes_marks_them_for_it():
    names = []

    async def handler(event: Event):
        names.append(event.replay_name)

    router = archiving_router(FunctionTarget(id="f", function=handler))
    async with router:
        await router.put_events([order(total=250)])
        await router.settle_down()
        await router.replay("large", name="n")
    assert names[1:] == ["n"]


# -- trying changed rules --------------------------------------------------------------------------------------------


async def test_a_dry_run_says_which_rules_gain_and_lose_events_and_sends_nothing():
    target = Scripted(id="t")
    router = make_router(target)
    router.put_archive("all")
    router.put_rule("charge", LARGE)
    router.put_rule("gone", {"detail": {"total": [5]}})
    router.put_rule("off", EVERYTHING, state="DISABLED")
    async with router:
        await router.put_events([order(total=total) for total in (250, 5, 60, 70, 300)])
        await router.settle_down()
        result = await router.dry_run(
            "all",
            {
                "charge": {"detail": {"total": [{"numeric": [">", 50, "<", 290]}]}},
                "gone": None,
                "off": None,
                "new": {"source": ["none"]},
            },
        )
    assert len(target.seen) == 5
    assert result.events == 5
    assert {name: (rule.kept, rule.gained, rule.lost) for name, rule in result.rules.items()} == {
        "charge": (1, 2, 1),
        "gone": (0, 0, 1),
        "new": (0, 0, 0),
        "r": (5, 0, 0),
    }
    charge = result.rules["charge"]
    assert (charge.first_gained.detail, charge.first_lost.detail) == ({"total": 60}, {"total": 300})
    assert [rule.name for rule in result.changed] == ["charge", "gone"]
    lines = str(result).splitlines()
    assert lines[0] == "Of 5 events:"
    assert lines[1] == "charge: gains 2, loses 1, keeps 1"
    assert '"total":60' in lines[2]
    assert '"total":300' in lines[3]
    assert router.list_rules()[1].event_pattern.matches(target.seen[0].event.to_dict())  # as before


async def test_a_dry_run_that_changes_nothing_says_so():
    router = archiving_router()
    async with router:
        await router.put_events([order(total=250)])
    assert str(await router.dry_run("large", {})) == "None of 1 events changes its rules."
    with pytest.raises(NotFoundError):
        await router.dry_run("large", {"none": None})
    with pytest.raises(PatternError):
        await router.dry_run("large", {"r": {}})
    with pytest.raises(InvalidRuleError):
        await router.dry_run("large", {"a b": LARGE})
