"""What meets an event whose target has a full backlog."""

import anyio
import pytest

from eventrouter import InvalidRuleError, PutResult
from tests.support import Scripted, make_router, order, seconds


def stuck(**options) -> Scripted:
    """Give a target whose attempts take an hour."""
    usual = {
        "script": [lambda: anyio.sleep(3600)] * 100,
        "timeout": None,
        "maximum_concurrency": 1,
        "maximum_backlog": 3,
    }
    return Scripted(id="t", **usual | options)


async def test_publishers_wait_for_room():
    target = stuck(script=[lambda: anyio.sleep(2)] * 100)
    router = make_router(target)
    async with router:
        await router.put_events([order() for _ in range(3)])
        begin = anyio.current_time()
        [result] = await router.put_events([order()])
        assert result.event_id is not None
        assert anyio.current_time() - begin == pytest.approx(2)
        await router.settle_down()
    assert router.closing_report.total.delivered == 4


async def test_a_publisher_is_told_when_there_is_no_room_in_time():
    router = make_router(stuck(), put_timeout=seconds(7), drain_timeout=seconds(0))
    async with router:
        await router.put_events([order() for _ in range(3)])
        begin = anyio.current_time()
        assert await router.put_events([order()]) == [
            PutResult(None, "ThrottlingException", "The backlog of default/r/t is full.")
        ]
        assert anyio.current_time() - begin == pytest.approx(7)
        ledger = await router.ledger()
        assert (ledger.events, ledger.total.accepted) == (3, 3)


async def test_a_target_may_refuse_at_once():
    router = make_router(stuck(when_full="reject"), drain_timeout=seconds(0))
    async with router:
        await router.put_events([order() for _ in range(3)])
        begin = anyio.current_time()
        [result] = await router.put_events([order()])
        assert result.error_code == "ThrottlingException"
        assert anyio.current_time() == begin


async def test_a_target_may_shed_what_is_too_much_and_the_ledger_counts_it():
    other = Scripted(id="other")
    router = make_router(stuck(when_full="shed"), other, drain_timeout=seconds(0))
    async with router:
        await router.put_events([order() for _ in range(3)])
        [result] = await router.put_events([order(n=1)])
        assert result.success_code == "PUBLISHED"
        await router.settle_down(3)
        ledger = await router.ledger()
    assert ledger.total.skipped == 1
    assert ledger.is_balanced
    assert [delivery.event.detail for delivery in other.seen][3:] == [{"n": 1}]
    assert "1 skipped, 3 unfinished" in str(ledger)


async def test_one_full_target_refuses_the_whole_event():
    """An event is accepted for all who are to receive it, or not at all."""
    other = Scripted(id="other")
    router = make_router(stuck(when_full="reject"), other, drain_timeout=seconds(0))
    async with router:
        await router.put_events([order() for _ in range(3)])
        [result] = await router.put_events([order()])
        assert result.error_code == "ThrottlingException"
        await anyio.sleep(1)
    assert len(other.seen) == 3


async def test_waiting_publishers_end_with_the_router():
    """Closing the router does not leave a publisher waiting for room that will never be."""
    router = make_router(stuck(), put_timeout=seconds(10**6), drain_timeout=seconds(1))
    results = []

    async def publish():
        results.extend(await router.put_events([order()]))

    async with anyio.create_task_group() as tasks:
        async with router:
            await router.put_events([order() for _ in range(3)])
            tasks.start_soon(publish)
            await anyio.sleep(1)
    [result] = results
    assert result.error_code is not None or result.event_id is not None
    assert router.closing_report.is_balanced


@pytest.mark.parametrize(
    "options", [{"maximum_backlog": 0}, {"maximum_backlog": True}, {"when_full": "panic"}, {"ordering": "LIFO"}]
)
def test_options_are_checked(options):
    with pytest.raises(InvalidRuleError, match="use "):
        Scripted(id="t", **options)
