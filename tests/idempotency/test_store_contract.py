"""What every idempotency store promises. A new engine joins by joining the `store` fixture."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from eventrouter import InvalidRuleError, MemoryIdempotencyStore, StoredValue, ThrottledError
from tests.idempotency.stores import AsyncFace, opened
from tests.support import NOON, seconds

LATER = NOON + seconds(10)


@pytest.fixture(params=["memory", "memory, blocking", "sqlite", "sqlite, blocking"])
async def store(request):
    name, _, blocking = request.param.partition(", ")
    with opened(name) as store:
        yield AsyncFace(store) if blocking else store


async def put(store, value=b"a", key="k", scope="s", now=NOON, expires=LATER):
    return await store.put_if_absent(scope, key, value, now=now, expires=expires)


async def test_the_first_value_is_written_and_others_see_it(store):
    assert await put(store, b"a") is None
    assert await put(store, b"b", now=NOON + seconds(9.9)) == StoredValue(b"a", LATER)


async def test_putting_the_same_again_succeeds_and_changes_nothing(store):
    """So a put whose answer was lost can be repeated."""
    await put(store, b"a")
    assert await put(store, b"a", expires=LATER + seconds(5)) is None
    assert await put(store, b"b") == StoredValue(b"a", LATER)


async def test_keys_of_different_scopes_are_different(store):
    assert await put(store, scope="s", key="tk") is None
    assert await put(store, b"b", scope="st", key="k") is None
    assert await put(store, b"c", scope="s", key="other") is None


async def test_from_its_expiry_on_a_value_counts_as_absent(store):
    await put(store, b"a")
    assert await put(store, b"b", now=LATER, expires=LATER + seconds(1)) is None
    assert await put(store, b"a", now=LATER) == StoredValue(b"b", LATER + seconds(1))


async def test_a_value_is_replaced_only_by_who_knows_it(store):
    await put(store, b"a")
    assert not await store.compare_and_set("s", "k", b"b", b"c", expires=LATER)
    assert not await store.compare_and_set("s", "none", b"a", b"c", expires=LATER)
    assert await store.compare_and_set("s", "k", b"a", b"c", expires=LATER + seconds(1))
    assert await put(store, now=LATER) == StoredValue(b"c", LATER + seconds(1))
    assert not await store.compare_and_set("s", "k", b"a", b"d", expires=LATER)


async def test_the_same_value_may_get_another_expiry(store):
    await put(store, b"a")
    assert await store.compare_and_set("s", "k", b"a", b"a", expires=LATER + seconds(1))
    assert await put(store, b"b", now=LATER) == StoredValue(b"a", LATER + seconds(1))


async def test_a_value_is_deleted_only_by_who_knows_it(store):
    await put(store, b"a")
    assert not await store.delete_if("s", "k", b"b")
    assert not await store.delete_if("s", "none", b"a")
    assert await store.delete_if("s", "k", b"a")
    assert not await store.delete_if("s", "k", b"a")
    assert await put(store, b"b") is None


async def test_who_was_replaced_after_expiry_changes_nothing(store):
    await put(store, b"a")
    await put(store, b"b", now=LATER, expires=LATER + seconds(1))
    assert not await store.compare_and_set("s", "k", b"a", b"c", expires=LATER)
    assert not await store.delete_if("s", "k", b"a")


async def test_waiting_for_a_change_that_was_ends_at_once(store):
    await put(store, b"a")
    await store.changed("s", "k", StoredValue(b"b", LATER))
    await store.changed("s", "k", StoredValue(b"a", NOON))
    await store.changed("s", "none", StoredValue(b"a", LATER))


@pytest.mark.parametrize("change", ["set", "delete", "replace"])
async def test_who_waits_learns_of_every_change(store, change):
    await put(store, b"a")
    seen = StoredValue(b"a", LATER)

    async def wait():
        while await put(store, b"mine", expires=NOON) == seen:
            await store.changed("s", "k", seen)
            await checkpoint()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await checkpoint()
            if change == "set":
                await store.compare_and_set("s", "k", b"a", b"c", expires=LATER)
            elif change == "delete":
                await store.delete_if("s", "k", b"a")
            else:
                await put(store, b"b", now=LATER, expires=LATER + seconds(9))


# -- memory alone ----------------------------------------------------------------------------------------------------


async def test_who_waits_in_the_same_loop_wakes_without_polling():
    store = MemoryIdempotencyStore()
    await put(store, b"a")
    woken = []

    async def wait():
        await store.changed("s", "k", StoredValue(b"a", LATER))
        woken.append(anyio.current_time())

    start = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        tasks.start_soon(wait)
        await anyio.sleep(0.05)
        await store.delete_if("s", "k", b"a")
    assert [time - start for time in woken] == [pytest.approx(0.05)] * 2
    assert store._records._watchers == {}


async def test_expired_records_are_swept_in_passing():
    store = MemoryIdempotencyStore()
    await put(store, key="long", expires=NOON + seconds(10_000))
    for n in range(1_000):
        await put(store, key=str(n), now=NOON + seconds(n), expires=NOON + seconds(n + 10))
        assert len(store) <= 24
    assert await put(store, b"b", key="long") is not None


async def test_a_full_store_refuses_new_keys_but_serves_its_own():
    store = MemoryIdempotencyStore(maximum_records=2)
    await put(store, key="a")
    await put(store, key="b")
    with pytest.raises(ThrottledError, match="has 2 idempotency records"):
        await put(store, key="c")
    assert await put(store, b"z", key="a") is not None
    assert await store.compare_and_set("s", "a", b"a", b"b", expires=LATER)
    assert await put(store, b"z", key="a", now=LATER, expires=LATER + seconds(1)) is None
    assert await put(store, key="c", now=LATER) is None


@pytest.mark.parametrize("maximum", [0, -1, 1.5, True, None])
def test_a_store_for_nothing_is_refused(maximum):
    with pytest.raises(InvalidRuleError, match="maximum_records"):
        MemoryIdempotencyStore(maximum_records=maximum)
