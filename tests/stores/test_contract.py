"""What every store promises. A new engine joins by joining the `store` fixture."""

from dataclasses import replace

import anyio
import msgspec
import pytest

from eventrouter import DeadLetter, DeadLettered, Delivered, Dropped, MemoryStore, Postponed, RetryAt, Subscription
from eventrouter.records import (
    Accepted,
    ArchiveStatistics,
    Archiving,
    Counts,
    Deduplication,
    Delivery,
    Depth,
    Ledger,
    Occurrence,
)
from tests.stores.engines import STORES, Scratch
from tests.support import NOON, make_event, seconds
from tests.virtual_time import real_time_backends

A, B = Subscription("default", "r", "a"), Subscription("default", "r", "b")
SOON = NOON + seconds(10)


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Nothing here waits for time, and stores have threads."""
    return request.param


@pytest.fixture(params=STORES)
async def store(request):
    scratch = Scratch()
    store = STORES[request.param](scratch.new())
    await store.open()
    yield store
    await store.close()
    scratch.remove()


def accepted(n=0, *subscriptions) -> Accepted:
    return Accepted(make_event({"n": n}), NOON + seconds(n), subscriptions or (A,))


def letter(delivery) -> DeadLetter:
    return DeadLetter("q", delivery.event, delivery.subscription, "", "", "E", "m", None, delivery.attempt - 1, NOON)


async def lease(store, subscription=A, limit=10, now=SOON, until=None):
    return list(await store.lease(subscription, limit, now=now, until=until or now + seconds(60)))


async def counts(store, subscription=A) -> Counts:
    ledger = await store.ledger()
    assert ledger.is_balanced
    return ledger.subscriptions[subscription]


async def test_an_empty_store_has_nothing(store):
    assert await lease(store) == []
    assert await store.next_due(A) is None
    assert await store.pending() == {}
    assert list(await store.append([])) == list(await store.settle([])) == []
    assert list(await store.dead_letters()) == []
    assert await store.ledger() == Ledger()


async def test_an_event_is_leased_once_by_each_subscription(store):
    item = accepted(0, A, B)
    await store.append([item])
    [a], [b] = await lease(store, A), await lease(store, B)
    assert (a.event, a.subscription, a.attempt, a.accepted_at, a.hops) == (item.event, A, 1, NOON, 0)
    assert b.subscription == B
    assert a.id != b.id
    assert await lease(store, A) == []


async def test_deliveries_come_oldest_first_and_no_more_than_asked_for(store):
    await store.append([accepted(n) for n in (3, 1, 2)])
    leased = await lease(store, limit=2) + await lease(store, limit=2)
    assert [delivery.event.detail["n"] for delivery in leased] == [1, 2, 3]
    assert await lease(store, limit=0) == []


async def test_deliveries_of_one_instant_keep_their_order(store):
    await store.append([Accepted(make_event({"n": n}), NOON, (A,)) for n in range(5)])
    assert [delivery.event.detail["n"] for delivery in await lease(store)] == [0, 1, 2, 3, 4]


async def test_nothing_is_leased_before_it_is_due(store):
    await store.append([accepted(5)])
    assert await store.next_due(A) == NOON + seconds(5)
    assert await lease(store, now=NOON + seconds(4)) == []
    assert len(await lease(store, now=NOON + seconds(5))) == 1


async def test_what_was_delivered_does_not_come_again(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    assert list(await store.settle([Delivered(delivery)])) == []
    assert await store.next_due(A) is None
    assert await counts(store) == Counts(accepted=1, delivered=1)


async def test_a_retry_comes_when_it_is_due_as_the_next_attempt(store):
    await store.append([accepted()])
    [first] = await lease(store)
    later = SOON + seconds(7)
    await store.settle([RetryAt(first, later, "E", "m")])
    assert await store.next_due(A) == later
    assert await counts(store) == Counts(accepted=1, waiting=1, retries=1)
    [second] = await lease(store, now=later)
    assert (second.id, second.attempt) == (first.id, 2)


ENDS = {
    "delivered": lambda delivery, *events: Delivered(delivery, events),
    "dropped": lambda delivery, *events: Dropped(delivery, "E", "m", events),
    "dead-lettered": lambda delivery, *events: DeadLettered(delivery, letter(delivery), events),
    "sent to a target": lambda delivery, *events: DeadLettered(delivery, letter(delivery), events, is_kept=False),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_what_follows_from_an_outcome_is_written_with_it(store, end):
    await store.append([accepted()])
    [delivery] = await lease(store)
    below = Subscription("default", "r", "a/on_success/d")
    item = Accepted(make_event(), SOON, (below, B), 2, ("cause",), "trace", attributes={"ERROR_CODE": "E"})
    assert list(await store.settle([end(delivery, item)])) == []
    [sent], [other] = await lease(store, below), await lease(store, B)
    assert (sent.event, sent.accepted_at, sent.hops, sent.causes) == (item.event, SOON, 2, ("cause",))
    assert (sent.trace_header, sent.attributes, other.event) == ("trace", {"ERROR_CODE": "E"}, item.event)
    assert (await counts(store, below)).accepted == 1
    assert (await store.ledger()).events == 2


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_nothing_follows_from_an_outcome_that_came_too_late(store, end):
    await store.append([accepted()])
    [late] = await lease(store, until=SOON + seconds(1))
    [delivery] = await lease(store, now=SOON + seconds(2))
    before = await counts(store)
    assert len(await store.settle([end(late, accepted(0, B))])) == 1
    assert await lease(store, B) == []
    assert list(await store.dead_letters()) == []
    assert await counts(store) == before
    await store.settle([end(delivery, accepted(0, B))])
    assert len(await lease(store, B)) == 1


async def test_a_dead_letter_is_written_as_the_delivery_ends(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    await store.settle([DeadLettered(delivery, letter(delivery))])
    [kept] = await store.dead_letters()
    assert kept == replace(letter(delivery), id=kept.id)
    assert kept.id > 0
    assert list(await store.dead_letters(queue="q")) == [kept]
    assert list(await store.dead_letters(queue="other")) == []
    assert await counts(store) == Counts(accepted=1, dead_lettered=1)


async def test_a_dropped_delivery_is_counted(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    await store.settle([Dropped(delivery, "E", "m")])
    assert await counts(store) == Counts(accepted=1, dropped=1)


async def test_a_released_delivery_is_due_at_once_and_its_attempt_did_not_count(store):
    await store.append([accepted()])
    [first] = await lease(store)
    await store.release([first])
    assert await counts(store) == Counts(accepted=1, waiting=1)
    [again] = await lease(store)
    assert again.attempt == 1
    assert again.token != first.token


async def test_a_lease_that_runs_out_makes_the_delivery_due_again(store):
    await store.append([accepted()])
    await lease(store, until=SOON + seconds(5))
    assert await store.next_due(A) == SOON + seconds(5)
    assert await lease(store, now=SOON + seconds(4)) == []
    [second] = await lease(store, now=SOON + seconds(5))
    assert second.attempt == 2
    assert await counts(store) == Counts(accepted=1, in_flight=1)


async def test_what_was_in_a_lease_that_ran_out_comes_alone(store):
    """Perhaps it ended the process that had it, and would end the next one with all that was leased along with it."""
    await store.append([accepted(1), accepted(2)])
    await lease(store, now=NOON + seconds(2), until=NOON + seconds(5))
    await store.append([accepted(3), accepted(4), accepted(6)])

    batches = [await lease(store, now=NOON + seconds(9)) for _ in range(5)]

    numbers = [[delivery.event.detail["n"] for delivery in batch] for batch in batches]
    assert numbers == [[3, 4], [1], [2], [6], []]
    assert [[delivery.is_lapsed for delivery in batch] for batch in batches] == [
        [False] * 2,
        [True],
        [True],
        [False],
        [],
    ]


async def test_what_was_handed_back_or_is_retried_has_not_lapsed(store):
    await store.append([accepted(1), accepted(2)])
    first, second = await lease(store, until=NOON + seconds(5))
    await store.release([first])
    await store.settle([RetryAt(second, NOON, "E", "m")])

    assert [delivery.is_lapsed for delivery in await lease(store, now=NOON + seconds(9))] == [False, False]


@pytest.mark.parametrize("end", ["expired", "released", "retried", "delivered"])
@pytest.mark.parametrize(
    "late",
    [Delivered, lambda d: RetryAt(d, NOON, "E", "m"), lambda d: Dropped(d, "", "")],
    ids=["delivered late", "retried late", "dropped late"],
)
async def test_whoever_lost_the_lease_changes_nothing(store, end, late):
    await store.append([accepted()])
    [stale] = await lease(store, until=SOON + seconds(5))
    match end:
        case "expired":
            await lease(store, now=SOON + seconds(5))
        case "released":
            await store.release([stale])
        case "retried":
            await store.settle([RetryAt(stale, SOON, "E", "m")])
        case "delivered":
            await store.settle([Delivered(stale)])
    before = await store.ledger()
    assert list(await store.settle([late(stale)])) == [late(stale)]
    await store.release([stale])
    assert await store.ledger() == before


async def test_pending_counts_what_has_not_ended(store):
    await store.append([accepted(0, A, B), accepted(1, A)])
    [delivery, _] = await lease(store)
    assert await store.pending() == {A: 2, B: 1}
    await store.settle([Delivered(delivery)])
    [delivery] = await lease(store, B)
    await store.settle([Delivered(delivery)])
    assert await store.pending() == {A: 1}


async def test_the_ledger_counts_events_that_nobody_wanted(store):
    await store.append([Accepted(make_event(), NOON, ()), accepted(0, A, B)])
    ledger = await store.ledger()
    assert ledger.events == 2
    assert ledger.total == Counts(accepted=2, waiting=2)
    assert str(ledger) == "2 events, 2 deliveries: 0 delivered, 0 dead-lettered, 0 dropped, 2 unfinished; 0 retries"


async def test_of_several_outcomes_of_one_delivery_in_a_call_the_first_counts(store):
    await store.append([accepted(0, A), accepted(1, A), accepted(2, A)])
    first, second, third = await lease(store)
    again = RetryAt(first, SOON, "E", "m")
    outcomes = [again, Delivered(first), Delivered(second), RetryAt(second, SOON, "E", "m"), Delivered(third)]
    assert list(await store.settle([*outcomes, Delivered(third)])) == [outcomes[1], outcomes[3], Delivered(third)]
    [waiting] = await lease(store)
    assert (waiting.id, waiting.attempt) == (first.id, 2)


async def test_memory_follows_what_is_alive_behind_an_old_lease():
    """One delivery that takes long must not keep the places of all that came and went after it."""
    store = MemoryStore()
    await store.append([accepted(0)])
    await lease(store, now=NOON, until=NOON + seconds(10**5))
    for n in range(1_000):
        await store.append([accepted(n)])
        [delivery] = await lease(store, now=NOON + seconds(n), until=NOON + seconds(10**6))
        await store.settle([Delivered(delivery)])
    assert store._backlogs[A].placed <= 2 + 256 + 1
    assert await store.next_due(A) == NOON + seconds(10**5)


async def test_memory_follows_what_is_alive():
    """A busy subscription leaves no trail of stale places behind."""
    store = MemoryStore()
    for n in range(2_000):
        await store.append([accepted(n)])
        [delivery] = await lease(store, now=NOON + seconds(n), until=NOON + seconds(10**6))
        await store.settle([Delivered(delivery)])
    assert store._backlogs[A].placed <= 257
    assert not store._backlogs[A].leased


async def bury(store, n: int, subscription=A, queue="q") -> list[DeadLetter]:
    """Give dead letters of *n* events, oldest first."""
    await store.append([Accepted(make_event({"n": i}), NOON, (subscription,), 2, ("cause",)) for i in range(n)])
    leased = await lease(store, subscription, limit=n)
    letters = [replace(letter(delivery), queue=queue, hops=2, causes=("cause",)) for delivery in leased]
    await store.settle([DeadLettered(delivery, item) for delivery, item in zip(leased, letters, strict=True)])
    return list(await store.dead_letters(queue=queue))


async def test_dead_letters_are_read_page_by_page(store):
    letters = await bury(store, 5)
    await bury(store, 2, B, queue="other")
    assert [item.event.detail["n"] for item in letters] == [0, 1, 2, 3, 4]
    pages, after = [], 0
    while len(pages) < 5 and (page := list(await store.dead_letters(queue="q", after=after, limit=2))):
        pages.append(page)
        after = page[-1].id
    assert pages == [letters[:2], letters[2:4], letters[4:]]
    assert list(await store.dead_letters(after=letters[-1].id, limit=0)) == []
    assert len(await store.dead_letters()) == 7
    await store.purge([item.id for item in letters[:4]])
    assert list(await store.dead_letters(queue="q", limit=1)) == letters[4:]


async def test_the_ids_of_dead_letters_rise_and_none_is_given_twice(store):
    letters = await bury(store, 3)
    await store.purge([item.id for item in letters])
    [later] = await bury(store, 1)
    assert later.id > max(item.id for item in letters)


async def test_a_dead_letter_is_replaced_where_it_is(store):
    first, second = await bury(store, 2)
    edited = replace(first, event=make_event({"n": 7}))
    assert await store.replace_dead_letter(edited)
    assert list(await store.dead_letters()) == [edited, second]
    await store.purge([first.id])
    assert not await store.replace_dead_letter(edited)
    assert list(await store.dead_letters()) == [second]


async def test_a_redriven_letter_is_a_new_delivery_to_the_one_that_failed(store):
    first, second = await bury(store, 2)
    later = SOON + seconds(3600)
    assert list(await store.redrive([second.id, second.id, 10**9], now=later)) == [second]
    assert list(await store.redrive([second.id], now=later)) == []
    assert list(await store.dead_letters()) == [first]
    assert await counts(store) == Counts(accepted=2, dead_lettered=1, waiting=1)
    assert await store.pending() == {A: 1}
    assert await store.next_due(A) == later
    assert await lease(store, now=later - seconds(1)) == []
    [again] = await lease(store, now=later)
    assert (again.event, again.attempt, again.accepted_at) == (second.event, 1, later)
    assert (again.hops, again.causes) == (2, ("cause",))
    assert await lease(store, B, now=later) == []
    await store.settle([Delivered(again)])
    assert await counts(store) == Counts(accepted=2, dead_lettered=1, delivered=1)


async def test_redriven_letters_of_an_ordered_group_come_one_at_a_time_after_those_that_wait(store):
    first, second = await bury(store, 2)
    waiting = Accepted(make_event(), NOON, (A,), group="g", ordered=(A,))
    for item in (first, second):
        in_group = replace(item, group="g", trace_header="00-1", is_ordered=True)
        assert await store.replace_dead_letter(in_group)
    await store.append([waiting])
    await store.redrive([first.id, second.id], now=SOON)
    later = SOON + seconds(1)
    [before] = await lease(store, now=later)
    assert (before.event, before.accepted_at) == (waiting.event, NOON)
    for item in (first, second):
        await store.settle([Delivered(before)])
        [before] = await lease(store, now=later)
        assert (before.event, before.group, before.trace_header) == (item.event, "g", "00-1")
    await store.settle([Delivered(before)])
    assert await lease(store, now=later) == []


async def test_redriven_letters_of_a_group_without_order_come_at_once(store):
    letters = await bury(store, 2)
    for item in letters:
        await store.replace_dead_letter(replace(item, group="g"))
    await store.redrive([item.id for item in letters], now=SOON)
    assert [delivery.group for delivery in await lease(store)] == ["g", "g"]


async def test_a_redriven_letter_that_fails_again_is_a_new_letter(store):
    [item] = await bury(store, 1)
    await store.redrive([item.id], now=SOON)
    [again] = await lease(store, now=SOON)
    await store.settle([DeadLettered(again, letter(again))])
    [new] = await store.dead_letters()
    assert new.id > item.id
    assert new.event == item.event
    assert await counts(store) == Counts(accepted=1, dead_lettered=1)


async def test_purged_letters_are_gone_and_still_accounted_for(store):
    first, second = await bury(store, 2)
    assert await store.purge([first.id, first.id, 10**9]) == 1
    assert await store.purge([first.id]) == 0
    assert list(await store.redrive([first.id], now=SOON)) == []
    assert list(await store.dead_letters()) == [second]
    assert await counts(store) == Counts(accepted=2, dead_lettered=2)


async def test_a_letter_on_its_way_to_a_target_leaves_no_copy(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    await store.settle([DeadLettered(delivery, letter(delivery), (accepted(0, B),), is_kept=False)])
    assert list(await store.dead_letters()) == []
    assert await store.pending() == {B: 1}


async def test_memory_follows_the_dead_letters_that_are_there():
    """Neither redrives nor purges leave a trail behind."""
    store = MemoryStore()
    for _ in range(50):
        letters = await bury(store, 20)
        await store.purge([item.id for item in letters])
    assert len(store._letter_order) <= 100


async def test_a_lease_that_was_settled_after_its_end_does_not_come_again(store):
    """It had run out, and nobody had taken the delivery yet: the outcome counts."""
    await store.append([accepted(0), accepted(1)])
    first, second = await lease(store, until=SOON + seconds(5))
    later = SOON + seconds(6)
    assert await lease(store, now=later, limit=0) == []
    [again] = await lease(store, now=later, limit=1)
    assert again.id == first.id
    assert list(await store.settle([Delivered(second)])) == []
    assert await lease(store, now=later) == []
    assert list(await store.settle([Delivered(first)])) == [Delivered(first)]
    assert (await counts(store)).delivered == 1


async def test_a_lease_that_was_extended_does_not_end_at_its_old_end(store):
    await store.append([accepted(0), accepted(1)])
    first, second = await lease(store, until=SOON + seconds(5))
    assert list(await store.extend([first], until=SOON + seconds(50))) == []
    [again] = await lease(store, now=SOON + seconds(6))
    assert (again.id, again.attempt) == (second.id, 2)
    assert list(await store.extend([second], until=SOON + seconds(90))) == [second]
    assert await store.next_due(A) == SOON + seconds(50)
    assert list(await store.settle([Delivered(first), Delivered(again)])) == []
    assert await store.next_due(A) is None


async def test_a_lease_can_be_extended_after_its_end_if_nobody_took_it(store):
    await store.append([accepted(0), accepted(1)])
    first, second = await lease(store, until=SOON + seconds(5))
    [taken] = await lease(store, now=SOON + seconds(6), limit=1)
    assert taken.id == first.id
    assert list(await store.extend([second], until=SOON + seconds(60))) == []
    assert await lease(store, now=SOON + seconds(7)) == []


async def test_events_of_a_group_come_one_at_a_time_and_in_order(store):
    def member(n, group="g"):
        return Accepted(make_event({"n": n}), NOON, (A, B), group=group, ordered=(A,))

    await store.append([member(0), member(1), member(2, "h"), member(3)])
    assert [delivery.event.detail["n"] for delivery in await lease(store, B)] == [0, 1, 2, 3]
    first, other = await lease(store)
    assert [delivery.event.detail["n"] for delivery in (first, other)] == [0, 2]
    await store.settle([RetryAt(first, SOON + seconds(5), "E", "m"), Delivered(other)])
    assert await lease(store) == []
    [first] = await lease(store, now=SOON + seconds(5))
    await store.settle([Dropped(first, "E", "m")])
    [second] = await lease(store, now=SOON + seconds(5))
    assert second.event.detail["n"] == 1
    assert (await counts(store)).waiting == 1


async def test_a_clock_that_goes_back_loses_nothing(store):
    await store.append([accepted(9), accepted(3), accepted(9)])
    assert len(await lease(store, now=NOON + seconds(3))) == 1
    assert len(await lease(store, now=NOON + seconds(9))) == 2


async def test_what_was_skipped_is_counted_and_never_leased(store):
    await store.append([Accepted(make_event(), NOON, (B,), skipped=(A,))])
    assert await lease(store) == []
    assert await counts(store) == Counts(accepted=1, skipped=1)


async def test_an_event_is_published_once_under_a_key_until_that_ends(store):
    def item(id, at, key="k"):
        event = msgspec.structs.replace(make_event(), id=id)
        return Accepted(event, at, (A,), deduplication=Deduplication("default/", key, at + seconds(300)))

    one = item("1", NOON)
    assert list(await store.append([one, item("2", NOON), item("3", NOON, "other")])) == [None, "1", None]
    assert list(await store.append([item("4", NOON + seconds(299))])) == ["1"]
    assert list(await store.append([item("5", NOON + seconds(300))])) == [None]
    assert list(await store.append([item("6", NOON + seconds(301))])) == ["5"]
    assert (await counts(store)).accepted == 3


async def test_postponed_deliveries_have_not_been_attempted(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    await store.settle([Postponed(delivery, SOON + seconds(5), "THROTTLING", "m")])
    assert await counts(store) == Counts(accepted=1, waiting=1)
    [again] = await lease(store, now=SOON + seconds(5))
    assert again.attempt == 1


# -- archives --------------------------------------------------------------------------------------------------------


def archived(n, *archives, until=None) -> Accepted:
    return msgspec.structs.replace(accepted(n), archives=tuple(Archiving(name, until) for name in archives))


async def read(store, archive="a", **options):
    options = {"start": NOON - seconds(60), "end": NOON + seconds(60), "now": SOON, "limit": 10} | options
    return list(await store.archived(archive, **options))


async def test_archives_keep_events_in_the_order_of_acceptance_whatever_becomes_of_them(store):
    items = [archived(n, *names) for n, names in ((0, "a"), (1, "ab"), (2, ""))]
    items[1] = msgspec.structs.replace(items[1], subscriptions=(), group="g")
    await store.append(items)
    await store.settle([Delivered(delivery) for delivery in await lease(store)])
    first, second = await read(store)
    assert (first.event, first.at, first.group) == (items[0].event, NOON, None)
    assert (second.event, second.at, second.group) == (items[1].event, NOON + seconds(1), "g")
    assert first.position < second.position
    assert [kept.event.detail["n"] for kept in await read(store, "b")] == [1]
    assert await read(store, "c") == []
    sizes = [len(item.event.to_json()) for item in items]
    assert await store.archives() == {
        "a": ArchiveStatistics(2, sizes[0] + sizes[1]),
        "b": ArchiveStatistics(1, sizes[1]),
    }


async def test_an_archive_is_read_by_time_of_the_event_and_page_by_page(store):
    items = [archived(n, "a") for n in range(5)]
    for n, item in enumerate(items):
        event = msgspec.structs.replace(item.event, time=NOON + seconds(n))
        items[n] = msgspec.structs.replace(item, event=event)
    await store.append(items)
    span = {"start": NOON + seconds(1), "end": NOON + seconds(4)}
    page = await read(store, **span, limit=2)
    rest = await read(store, **span, limit=2, after=page[-1].position)
    assert [kept.event.detail["n"] for kept in page + rest] == [1, 2, 3]


async def test_what_was_kept_for_long_enough_is_not_given_any_more_and_removed(store):
    await store.append([archived(0, "a", until=SOON), archived(1, "a", until=SOON + seconds(1)), archived(2, "a")])
    assert [kept.event.detail["n"] for kept in await read(store)] == [1, 2]
    assert [kept.event.detail["n"] for kept in await read(store, now=SOON + seconds(1))] == [2]


async def test_an_archive_is_purged_from_its_beginning(store):
    await store.append([archived(n, "a", "b") for n in range(3)])
    assert await store.purge_archive("a", limit=2) == 2
    assert [kept.event.detail["n"] for kept in await read(store)] == [2]
    assert await store.purge_archive("a", limit=2) == 1
    assert await store.purge_archive("a", limit=2) == 0
    assert await store.purge_archive("c", limit=2) == 0
    assert list(await store.archives()) == ["b"]


async def test_a_duplicate_and_a_follow_up_are_archived_as_what_they_are(store):
    unique = Deduplication("s", "k", SOON + seconds(300))
    item = msgspec.structs.replace(archived(0, "a"), deduplication=unique)
    await store.append([item, item])
    [delivery] = await lease(store)
    await store.settle([Delivered(delivery, (archived(1, "a"),))])
    assert [kept.event.detail["n"] for kept in await read(store)] == [0, 1]


async def test_a_store_whose_clock_was_ahead_follows_it_back(store):
    ahead = NOON + seconds(3600)
    deduplication = Deduplication("default/", "k", ahead + seconds(300))
    entries = [Accepted(make_event({"n": n}), ahead, (A, B), group="g", ordered=(B,)) for n in range(4)]
    await store.append([Accepted(make_event({"n": -1}), NOON - seconds(5), (A,)), *entries])
    await store.append([Accepted(make_event(), ahead, (), deduplication=deduplication)])
    old, retried, released, _ = await lease(store, limit=4, now=ahead)
    [first] = await lease(store, B, now=ahead)
    await store.settle([Delivered(old), RetryAt(retried, ahead + seconds(7), "E", "m"), Delivered(first)])
    await store.release([released])
    assert await store.follow_clock(now=NOON, slack=seconds(60)) == seconds(3600)
    assert await store.follow_clock(now=NOON, slack=seconds(0)) == seconds(0)
    assert [delivery.event.detail["n"] for delivery in await lease(store, now=NOON)] == [1, 3]
    [second] = await lease(store, B, now=NOON)
    assert second.event.detail["n"] == 1
    await store.settle([Delivered(second)])
    [third] = await lease(store, B, now=NOON)
    assert third.event.detail["n"] == 2
    assert [delivery.event.detail["n"] for delivery in await lease(store, now=NOON + seconds(7))] == [0]
    assert await lease(store, now=NOON + seconds(59)) == []
    assert [len(await lease(store, now=NOON + seconds(60))) for _ in range(4)] == [1, 1, 1, 0]  # by whomever
    item = Accepted(make_event(), NOON + seconds(299), (), deduplication=deduplication)
    assert list(await store.append([item])) != [None]
    assert list(await store.append([msgspec.structs.replace(item, at=NOON + seconds(300))])) == [None]


async def test_a_store_follows_no_clock_that_is_a_little_behind(store):
    assert await store.follow_clock(now=NOON, slack=seconds(60)) == seconds(0)
    await store.append([accepted(60)])
    assert await store.follow_clock(now=NOON, slack=seconds(60)) == seconds(0)
    assert await store.next_due(A) == NOON + seconds(60)


def delayed(n, by, **options) -> Accepted:
    return Accepted(make_event({"n": n}), NOON + seconds(n), (A,), due=NOON + seconds(n + by), **options)


async def test_a_delayed_delivery_is_not_due_before_its_time_and_ages_from_its_acceptance(store):
    await store.append([delayed(0, 30), accepted(1), delayed(2, -5)])
    assert [delivery.event.detail["n"] for delivery in await lease(store)] == [1, 2]
    assert await store.pending() == {A: 3}
    assert await store.next_due(A) == NOON + seconds(30)
    assert await lease(store, now=NOON + seconds(29)) == []
    [late] = await lease(store, now=NOON + seconds(30))
    assert (late.event.detail["n"], late.attempt, late.accepted_at) == (0, 1, NOON)
    assert await counts(store) == Counts(accepted=3, in_flight=3)


async def test_deliveries_come_in_the_order_in_which_they_are_due(store):
    await store.append([delayed(0, 30), delayed(1, 10), accepted(5), delayed(5, 0)])
    leased = await lease(store, now=NOON + seconds(60))
    assert [delivery.event.detail["n"] for delivery in leased] == [5, 5, 1, 0]


async def test_a_delayed_delivery_holds_up_its_group_only(store):
    def member(n, by, group):
        return delayed(n, by, group=group, ordered=(A,))

    await store.append([member(0, 30, "g"), member(1, 0, "g"), member(2, 0, "h"), member(3, 0, "h")])
    [other] = await lease(store)
    assert other.event.detail["n"] == 2
    await store.settle([Delivered(other)])
    [other] = await lease(store)
    assert other.event.detail["n"] == 3
    [first] = await lease(store, now=NOON + seconds(30))
    await store.settle([Delivered(first)])
    [second] = await lease(store, now=NOON + seconds(30))
    assert [first.event.detail["n"], second.event.detail["n"]] == [0, 1]


async def test_what_follows_from_an_outcome_may_be_delayed(store):
    await store.append([accepted(0, B)])
    [delivery] = await lease(store, B)
    await store.settle([Delivered(delivery, (delayed(1, 60),))])
    assert await lease(store) == []
    assert len(await lease(store, now=NOON + seconds(61))) == 1


async def test_the_depth_tells_what_deliveries_wait_for(store):
    assert await store.depth(A, now=SOON) == Depth()
    await store.append([accepted(1), accepted(2), accepted(3), delayed(0, 60), accepted(9, B)])
    await lease(store, limit=2, until=SOON + seconds(5))
    assert await store.depth(A, now=SOON) == Depth(visible=1, delayed=1, in_flight=2, oldest=NOON)
    assert await store.depth(A, now=SOON + seconds(5)) == Depth(visible=3, delayed=1, in_flight=0, oldest=NOON)
    assert await lease(store, now=SOON + seconds(5), limit=0) == []
    assert await store.depth(A, now=SOON + seconds(5)) == Depth(visible=3, delayed=1, in_flight=0, oldest=NOON)
    assert await store.depth(A, now=NOON + seconds(60)) == Depth(visible=4, delayed=0, in_flight=0, oldest=NOON)


async def test_the_depth_counts_whole_groups(store):
    def member(n, by=0):
        return delayed(n, by, group="g", ordered=(A,))

    await store.append([member(0), member(1), member(2, 60)])
    await lease(store)
    assert await store.depth(A, now=SOON) == Depth(visible=1, delayed=1, in_flight=1, oldest=NOON)


async def test_what_is_discarded_is_dropped_whoever_has_it(store):
    await store.append([accepted(0), accepted(1), delayed(2, 60), accepted(3, B)])
    [held] = await lease(store, limit=1)
    assert await store.discard(A) == 3
    assert await store.discard(A) == 0
    assert await store.discard(Subscription("default", "r", "c")) == 0
    assert await lease(store, now=NOON + seconds(500)) == []
    assert await store.next_due(A) is None
    assert list(await store.settle([Delivered(held)])) == [Delivered(held)]
    assert await counts(store) == Counts(accepted=3, dropped=3)
    assert await store.pending() == {B: 1}


async def test_what_is_too_old_is_discarded_and_nothing_else(store):
    await store.append([accepted(n) for n in (0, 1, 4, 5, 6)] + [delayed(2, 60), delayed(7, 60)])
    leased = await lease(store, limit=3)
    assert await store.discard(A, accepted_before=NOON + seconds(5)) == 4
    assert list(await store.settle([Delivered(item) for item in leased])) == [Delivered(item) for item in leased]
    assert [item.event.detail["n"] for item in await lease(store, now=NOON + seconds(99))] == [5, 6, 7]
    assert await counts(store) == Counts(accepted=7, dropped=4, in_flight=3)


async def test_discarding_lets_the_next_of_a_group_come(store):
    def member(n, group="g"):
        return Accepted(make_event({"n": n}), NOON + seconds(n), (A,), group=group, ordered=(A,))

    await store.append([member(0), member(1), member(2), member(3, "h"), member(4)])
    await lease(store)
    assert await store.discard(A, accepted_before=NOON + seconds(2)) == 2
    [second] = await lease(store)
    assert second.event.detail["n"] == 2
    assert await store.discard(A) == 3
    await store.append([member(5)])
    assert [item.event.detail["n"] for item in await lease(store)] == [5]


def named(delivery) -> Delivery:
    """Give a delivery as it comes back from text: with what names its lease, and nothing else."""
    subscription, event = Subscription(*delivery.subscription), make_event({})
    return Delivery(delivery.id, subscription, event, delivery.attempt, NOON, 0, delivery.token)


async def test_a_lease_is_known_by_its_names(store):
    items = [Accepted(make_event({"n": n}), NOON, (A,), group=str(n % 2), ordered=(A,)) for n in range(4)]
    await store.append(items)
    first, second = map(named, await lease(store, until=SOON + seconds(5)))
    assert list(await store.extend([first], until=SOON + seconds(60))) == []
    await store.release([second])
    assert list(await store.settle([Delivered(first), Delivered(second)])) == [Delivered(second)]
    assert [item.event.detail["n"] for item in await lease(store)] == [1, 2]


async def test_a_lease_of_a_subscription_that_the_store_does_not_know_was_lost(store):
    await store.append([accepted()])
    [delivery] = await lease(store)
    foreign = msgspec.structs.replace(delivery, subscription=B)
    await store.release([foreign])
    assert list(await store.extend([foreign], until=SOON)) == [foreign]
    assert list(await store.settle([Delivered(foreign)])) == [Delivered(foreign)]


# -- schedules -------------------------------------------------------------------------------------------------------


async def test_a_schedule_fires_once_for_a_slot_and_never_for_an_earlier_one(store):
    assert await store.last_fired() == {}
    first = Occurrence("s", NOON, (accepted(0), accepted(1, B)))
    assert list(await store.fire([first, first, Occurrence("t", NOON, (accepted(2),))])) == [True, False, True]
    assert list(await store.fire([Occurrence("s", NOON - seconds(1), (accepted(3),))])) == [False]
    assert await store.pending() == {A: 2, B: 1}
    assert list(await store.fire([Occurrence("s", NOON + seconds(1), (accepted(4),))])) == [True]
    assert [item.event.detail["n"] for item in await lease(store)] == [0, 2, 4]
    assert await store.last_fired() == {"s": NOON + seconds(1), "t": NOON}
    assert (await store.ledger()).events == 4


async def test_slots_are_told_of_schedules_by_the_first_word_of_their_names(store):
    names = ["a", "a b", "a (c)", "ab", "a!", "b a", "A b", "ä x"]
    await store.fire([Occurrence(name, NOON) for name in names])
    assert set(await store.last_fired()) == set(names)
    assert set(await store.last_fired(["a"])) == {"a", "a b", "a (c)"}
    assert set(await store.last_fired(["b", "ä", "missing"])) == {"b a", "ä x"}
    assert await store.last_fired([]) == {}
    await store.forget_schedules(["a", "a b", "ab", "a c"])
    assert set(await store.last_fired(["a", "ab"])) == {"a (c)"}


async def test_a_slot_may_be_remembered_without_an_event(store):
    assert list(await store.fire([Occurrence("s", NOON)])) == [True]
    assert list(await store.fire([Occurrence("s", NOON, (accepted(),))])) == [False]
    assert await store.pending() == {}
    await store.forget_schedules(["s", "never was"])
    assert await store.last_fired() == {}
    assert list(await store.fire([Occurrence("s", NOON, (accepted(),))])) == [True]


async def test_what_nobody_else_has_changed_is_waited_for(store):
    with anyio.move_on_after(0.01) as scope:
        await store.changed(0)
    assert scope.cancelled_caught


async def test_a_store_that_was_closed_has_the_same_when_it_is_opened_again(store):
    await store.append([accepted(0, A, B), accepted(1)])
    [leased] = await lease(store, limit=1)
    letters = await bury(store, 1, B)
    before = await store.ledger()
    await store.close()
    await store.open()
    assert await store.ledger() == before
    assert list(await store.dead_letters()) == letters
    assert list(await store.settle([Delivered(leased)])) == []


async def test_a_limit_of_attempts_is_no_limit_for_who_is_alone(store):
    await store.append([accepted(0) for _ in range(5)])
    options = {"now": SOON, "until": SOON + seconds(60), "maximum_concurrency": 1}
    assert len(await store.lease(A, 3, **options)) == 3
    assert len(await store.lease(A, 3, **options)) == 2


async def test_messages_of_a_queue_whose_leases_have_run_out_come_together(store):
    queue = Subscription.of_queue("q")
    await store.append([accepted(n, queue) for n in range(3)])
    assert len(await lease(store, queue, until=SOON + seconds(1))) == 3
    assert len(await lease(store, queue, now=SOON + seconds(1))) == 3


async def test_firing_for_nothing_is_nothing(store):
    assert list(await store.fire([])) == []
