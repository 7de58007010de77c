"""What is SQLite's own: the file, its URL, what can be wrong with it, and who shares it."""

import logging
import random
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from eventrouter import (
    ConflictError,
    Delivered,
    EventEntry,
    EventRouter,
    FunctionTarget,
    InvalidRuleError,
    MemoryStore,
    RetryPolicy,
    SqliteStore,
    StoreError,
    Subscription,
)
from eventrouter.delivery import _pump as pump
from eventrouter.records import Accepted, Archiving, Deduplication, Occurrence
from eventrouter.stores import _sqlite_batch as batch
from eventrouter.stores import _sqlite_schema as schema
from eventrouter.stores import _sqlite_worker as worker
from eventrouter.stores import _sqlite_writer as writer
from eventrouter.stores._sqlite_worker import Reader
from tests.support import EVERYTHING, NOON, make_event, order, seconds
from tests.virtual_time import real_time_backends

A, B = Subscription("default", "r", "a"), Subscription("default", "r", "b")
SOON = NOON + seconds(10)


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """There are threads, files and other processes."""
    return request.param


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="NORMAL")
    await store.open()
    yield store
    await store.close()


def accepted(n=0, *subscriptions, **changes) -> Accepted:
    return Accepted(make_event({"n": n}), NOON + seconds(n), subscriptions or (A,), **changes)


def query(path, sql, *parameters):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


# -- the URL ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path", "synchronous", "max_size"),
    [
        ("sqlite:///orders.db", "orders.db", "FULL", None),
        ("sqlite:///./data/orders.db", "data/orders.db", "FULL", None),
        ("sqlite:////var/lib/a%20b.db", "/var/lib/a b.db", "FULL", None),
        ("sqlite:///o.db?synchronous=NORMAL&max_size=1000", "o.db", "NORMAL", 1000),
    ],
)
def test_a_url_names_a_file_and_options(url, path, synchronous, max_size):
    store = SqliteStore.from_url(url)
    assert store.path == Path(path)
    assert (store._writer._synchronous, store._writer._max_size) == (synchronous, max_size)
    assert isinstance(EventRouter(url)._store, SqliteStore)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite://orders.db", "names no file .*three|use sqlite:///relative.db"),
        ("sqlite:orders.db", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///a.db#x", "names no file"),
        ("sqlite:///:memory:", "':memory:' is no file"),
        ("sqlite:///a.db?mode=ro", "'mode' is no option"),
        ("sqlite:///a.db?synchronous=FULL&synchronous=FULL", "or twice there"),
        ("sqlite:///a.db?synchronous=off", "synchronous is 'off'"),
        ("sqlite:///a.db?max_size=1MB", "use a number of bytes"),
        ("postgres://x", "is no store"),
    ],
)
def test_a_url_that_is_none_is_refused(url, problem):
    with pytest.raises(InvalidRuleError, match=problem):
        EventRouter(url)


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "1"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(InvalidRuleError, match="max_size"):
        SqliteStore("x.db", max_size=size)


# -- what can be wrong with the file ---------------------------------------------------------------------------------


async def refused(path, problem):
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=problem) as caught:
        await store.open()
    with pytest.raises(StoreError, match="closed"):
        await store.pending()
    return caught.value


async def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "x.db"
    await refused(tmp_path / "none" / "x.db", "There is no directory")
    await refused(tmp_path, "cannot be opened")
    path.write_text("a diary, of more than a hundred bytes. " * 40)
    await refused(path, "is not a database")
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    error = await refused(path, "of another application")
    assert "a file of its own" in str(error)


async def test_a_file_of_a_later_release_is_refused_and_left_as_it_is(store):
    await store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    await refused(store.path, r"has version 99 .*\(use the release that wrote it")
    assert query(store.path, "PRAGMA user_version") == [(99,)]
    connection = sqlite3.connect(store.path)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    connection.close()
    await store.open()


async def test_a_file_of_an_earlier_release_is_brought_forward(store, monkeypatch):
    await store.append([accepted()])
    await store.close()
    later = (*schema.MIGRATIONS, "ALTER TABLE event ADD COLUMN colour TEXT DEFAULT 'red'; CREATE TABLE extra(x);")
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    await store.open()
    assert query(store.path, "SELECT colour FROM event") == [("red",)]
    assert query(store.path, "PRAGMA user_version") == [(2,)]
    assert await store.pending() == {A: 1}


async def test_a_migration_that_fails_changes_nothing(store, monkeypatch):
    await store.close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE extra(x); CREATE TABLE event(x)"))
        await refused(store.path, "already exists")
    assert query(store.path, "SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    await store.open()


async def test_a_file_that_is_read_only_is_refused(store, monkeypatch):
    """As root may write everything, SQLite is told so instead of the file system."""
    await store.close()
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **options: connect(f"file:{path}?mode=ro", uri=True, **options)
    )
    error = await refused(store.path, "cannot be written")
    assert "writable for this process" in error.hint
    monkeypatch.undo()
    await store.open()


async def test_sqlite_that_is_too_old_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 9))
    await refused(tmp_path / "x.db", "too old")


@pytest.mark.parametrize("column", ["body", "info"])
async def test_an_event_that_cannot_be_read_holds_up_no_other(store, column, caplog):
    await store.append([accepted(n) for n in range(3)])
    connection = sqlite3.connect(store.path)
    connection.execute(f"UPDATE event SET {column} = x'00' WHERE seq = 2")  # noqa: S608 - a constant
    connection.commit()
    connection.close()

    leased = await store.lease(A, 10, now=SOON, until=SOON + seconds(60))

    assert [delivery.event.detail["n"] for delivery in leased] == [0, 2]
    assert "Delivery 2 for default/r/a cannot be read, and stays" in caplog.text
    assert (await store.ledger()).is_balanced


async def test_a_damaged_page_is_an_error_that_says_so(store):
    await store.append([accepted(n) for n in range(200)])
    [[root]] = query(store.path, "SELECT rootpage FROM sqlite_master WHERE name = 'delivery_due'")
    await store.close()
    with open(store.path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    await store.open()
    with pytest.raises(StoreError, match=r"is damaged: .*restore a backup"):
        await store.lease(A, 10, now=SOON, until=SOON)
    with pytest.raises(StoreError, match="is damaged"):
        await store.next_due(A)
    assert await store.pending() == {A: 200}


async def test_a_file_that_somebody_keeps_locked_is_an_error(store, monkeypatch):
    await store.append([accepted()])
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await store.close()
    monkeypatch.setattr("eventrouter.stores.sqlite._BUSY_TIMEOUT", 0.05)
    second = SqliteStore(store.path)
    with pytest.raises(StoreError, match="locked by another process"):
        await second.open()
    other.execute("ROLLBACK")
    await second.open()
    other.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as tasks:  # one wait for all of them, and not one after the other
        for _ in range(40):
            tasks.start_soon(_is_locked, second)
    other.execute("ROLLBACK")
    other.close()
    assert await second.append([accepted()]) == [None]
    await second.close()
    await store.open()


async def _is_locked(store):
    with pytest.raises(StoreError, match="locked by another process"):
        await store.append([accepted()])


# -- the thread ------------------------------------------------------------------------------------------------------


async def test_one_bad_operation_does_not_fail_those_that_are_committed_with_it(store):
    def fail(batch):
        batch.append([accepted(7)], [b"{}"])
        raise ValueError("bad")

    results = []

    async def append(n):
        results.append(await store.append([accepted(n)]))

    async def be_bad():
        with pytest.raises(ValueError, match="bad"):
            await store._writer.call(fail)

    async with anyio.create_task_group() as tasks:
        for n in range(5):
            tasks.start_soon(append, n)
        tasks.start_soon(be_bad)
    assert results == [[None]] * 5
    assert (await store.ledger()).total.waiting == 5
    assert [d.event.detail["n"] for d in await store.lease(A, 9, now=SOON, until=SOON)] == [0, 1, 2, 3, 4]


async def test_many_publishers_are_one_commit(store):
    before = store._writer._batches
    async with anyio.create_task_group() as tasks:
        for n in range(100):
            tasks.start_soon(store.append, [accepted(n)])
    assert store._writer._batches - before <= 3
    assert await store.pending() == {A: 100}


async def test_a_call_that_is_cancelled_has_happened_when_it_raises(store):
    for _ in range(20):
        count = (await store.ledger()).events
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.append, [accepted()])
                await anyio.lowlevel.checkpoint()
                scope.cancel()
        happened = query(store.path, "SELECT events FROM state")[0][0] - count
        await anyio.sleep(0.01)
        assert query(store.path, "SELECT events FROM state")[0][0] - count == happened


async def test_nothing_is_leased_by_who_was_cancelled_meanwhile(store):
    """Else it would wait for the lease's end, and an attempt would count that nobody made."""
    await store.append([accepted(), accepted(1)])
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(store.lease, A, 2, now=SOON, until=SOON + seconds(60)))
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert [delivery.attempt for delivery in await store.lease(A, 2, now=SOON, until=SOON + seconds(60))] == [1, 1]


async def test_what_a_cancelled_lease_cannot_give_back_comes_when_it_ends(store, monkeypatch, caplog):
    async def fail(deliveries):
        raise StoreError("The file is locked")

    monkeypatch.setattr(store, "release", fail)
    await store.append([accepted()])
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(store.lease, A, 1, now=SOON, until=SOON + seconds(60)))
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert scope.cancelled_caught
    assert "come again when their leases end" in caplog.text
    [again] = await store.lease(A, 1, now=SOON + seconds(60), until=SOON + seconds(120))
    assert again.attempt == 2


async def test_a_handler_that_holds_up_its_event_loop_costs_no_delivery_an_attempt(store, monkeypatch):
    """The patience of whoever leases ends while nobody can take what was leased."""
    monkeypatch.setattr(pump, "_STORE_PATIENCE", 0.05)
    router, seen = EventRouter(store), []
    router.put_rule("r", EVERYTHING)
    policy = RetryPolicy(maximum_retry_attempts=0)
    router.put_targets("r", [FunctionTarget(id="t", function=seen.append, retry_policy=policy)])
    lease = store.lease
    is_held_up = False

    async def hold_up():
        await anyio.lowlevel.checkpoint()
        time.sleep(0.1)  # noqa: ASYNC251 - just that

    async def lease_meanwhile(*args, **options):
        nonlocal is_held_up
        if is_held_up:
            return await lease(*args, **options)
        is_held_up = True  # once, whether the lease or the end of patience is noticed first
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold_up)
            return await lease(*args, **options)

    monkeypatch.setattr(store, "lease", lease_meanwhile)
    async with router:
        await router.put_events([order(n=n) for n in range(3)])
        with anyio.fail_after(10):
            await router.settle_down()
    assert len(seen) == 3
    assert router.closing_report.total.delivered == 3


async def test_no_more_than_so_many_operations_wait(store, monkeypatch):
    monkeypatch.setattr(worker, "MAXIMUM_WAITING", 5)
    most = 0
    gather = store._writer._gather

    def watch(loop, job):
        nonlocal most
        gather(loop, job)
        most = max(most, store._writer._waiting[loop])

    monkeypatch.setattr(store._writer, "_gather", watch)
    async with anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(store.append, [accepted(n)])
    assert most == 5
    assert await store.pending() == {A: 50}
    assert store._writer._waiting == {}


async def test_a_store_that_is_not_open_says_so(tmp_path):
    store = SqliteStore(tmp_path / "x.db")
    with pytest.raises(StoreError, match="not open"):
        await store.pending()
    with pytest.raises(StoreError, match="not open"):
        store.idempotency.blocking.delete_if("s", "k", b"")
    await store.open()
    await store.open()
    await store.close()
    assert await store.pending() == {}
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.append([])


@pytest.mark.parametrize("turns", range(4))
async def test_a_store_that_is_opened_while_it_closes_is_open_afterwards(store, monkeypatch, turns):
    """As when one router is left and another one entered: closing takes some time."""
    disconnect = store._writer.disconnect

    def slowly():
        time.sleep(0.02)
        disconnect()

    monkeypatch.setattr(store._writer, "disconnect", slowly)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.close)
            for _ in range(turns):
                await anyio.sleep(0.005)
            await store.open()
            await store.append([accepted()])
            assert await store.pending() == {A: 1}
    await store.append([accepted(1)])


async def test_to_close_what_is_not_open_does_nothing(tmp_path):
    store = SqliteStore(tmp_path / "x.db")
    await store.close()
    await store.open()
    await store.append([accepted()])
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.pending()


async def test_what_was_gathered_as_the_store_closed_is_refused(store):
    errors = []

    async def append():
        try:
            await store.append([accepted()])
        except StoreError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append)
        tasks.start_soon(append)
        await anyio.lowlevel.checkpoint()
        store._stop()
    assert len(errors) in (0, 2)  # handed over before, or not
    store._writer.start()
    store._reader.start()
    assert (await store.pending()).get(A, 0) == 2 - len(errors)


def test_an_event_loop_that_ended_is_not_woken(caplog):
    class Ended:
        def call_soon_threadsafe(self, function):
            raise RuntimeError("Event loop is closed")

    with caplog.at_level(logging.DEBUG):
        worker.call_soon_from_thread(Ended(), print)
    assert "ended while it waited" in caplog.text


async def test_several_event_loops_may_use_one_store(store):
    def run(n):
        anyio.run(store.append, [accepted(n)], backend=("asyncio", "trio")[n % 2])

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    await anyio.to_thread.run_sync(lambda: [thread.join() for thread in threads])
    assert await store.pending() == {A: 6}


# -- the file's size -------------------------------------------------------------------------------------------------


def big(n, **changes) -> Accepted:
    return Accepted(make_event({"n": n, "text": "x" * 3_000}), NOON, (A,), **changes)


async def test_a_store_as_large_as_it_may_be_refuses_events_and_delivers_what_it_has(tmp_path):
    router = EventRouter(f"sqlite:///{tmp_path / 'x.db'}?max_size=200000&synchronous=NORMAL")
    seen = []
    router.rule(EVERYTHING, name="r")(seen.append)
    router.pause_target("r", next(iter(router.list_targets("r"))).id)
    entry = EventEntry("s", "T", {"text": "x" * 3_000})
    async with router:
        results = []
        while not results or results[-1].error_code is None:
            results += await router.put_events([entry])
        assert results[-1].error_code == "ThrottlingException"
        assert "may have 200,000" in results[-1].error_message
        router.resume_target("r", next(iter(router.list_targets("r"))).id)
        await router.settle_down()
        assert len(seen) == len(results) - 1
        [again] = await router.put_events([entry])
        assert again.error_code is None
        with pytest.raises(StoreError, match="may have"):
            await _fill(router._store)
    assert router.closing_report.is_balanced


async def _fill(store):
    for n in range(1_000):
        await store.idempotency.put_if_absent("s", str(n), b"x" * 3_000, now=NOON, expires=SOON)


@pytest.fixture
async def small(tmp_path):
    store = SqliteStore(tmp_path / "small.db", synchronous="NORMAL", max_size=200_000)
    await store.open()
    yield store
    await store.close()


async def test_a_store_that_is_full_of_what_has_expired_takes_events_again(small):
    """Nothing is accepted, so nothing is removed in passing either."""
    numbers = iter(range(1_000))
    with pytest.raises(StoreError, match="may have 200,000"):
        while True:
            await small.append([big(n := next(numbers), archives=(Archiving("a", SOON),))])
    leased = await small.lease(A, 1_000, now=SOON, until=SOON + seconds(60))
    await small.settle([Delivered(delivery) for delivery in leased])
    with pytest.raises(StoreError, match="may have 200,000"):  # as the archive still has them
        await small.append([accepted()])
    assert (await small.archives())["a"].event_count == len(leased) == n

    assert await small.append([msgspec.structs.replace(accepted(), at=SOON)]) == [None]

    assert not await small.archives()
    assert (await small.ledger()).is_balanced


@pytest.mark.parametrize("how", ["deduplication", "idempotency", "schedule"])
async def test_keys_that_have_expired_make_room_too(small, how):
    later = SOON + seconds(3600)

    async def put(n, now, expires):
        key, item = f"{n:0500}", msgspec.structs.replace(accepted(), at=now, subscriptions=())
        if how == "idempotency":
            await small.idempotency.put_if_absent("s", key, b"", now=now, expires=expires)
        elif how == "deduplication":
            await small.append([msgspec.structs.replace(item, deduplication=Deduplication("s", key, expires))])
        else:
            item = msgspec.structs.replace(big(n), subscriptions=(), archives=(Archiving("a", expires),))
            await small.fire([Occurrence("s", now + seconds(n / 1000), (item,))])

    with pytest.raises(StoreError, match="may have 200,000"):
        for n in range(10_000):
            await put(n, NOON, SOON)
    await put(0, SOON + seconds(100), later)
    await put(1, SOON + seconds(200), later)


async def test_what_is_refused_does_not_undo_what_was_removed(small, monkeypatch):
    """Some at a time, until there is room."""
    monkeypatch.setattr(batch, "LARGEST_SWEEP", 1)
    for n in range(20):
        item = big(n, archives=(Archiving("a", SOON),))
        await small.append([msgspec.structs.replace(item, subscriptions=())])
    [[pages]] = query(small.path, "PRAGMA page_count")
    small._writer._max_size = (pages - 10) * 4096
    late = msgspec.structs.replace(accepted(), at=SOON)
    refused = 0
    with anyio.fail_after(10):
        while True:
            try:
                await small.append([late])
            except StoreError:
                refused += 1
            else:
                break
    assert 5 < refused < 20


async def test_a_refusal_of_events_leaves_what_else_is_written_in_one_transaction(small, monkeypatch):
    await small.append([accepted(n) for n in range(10)])
    small._writer._max_size = 1
    leased = await small.lease(A, 10, now=SOON, until=SOON + seconds(60))
    written = []
    perform = small._writer._try
    monkeypatch.setattr(small._writer, "_try", lambda jobs: written.append(len(jobs)) or perform(jobs))
    async with anyio.create_task_group() as tasks:
        for delivery in leased:
            tasks.start_soon(small.settle, [Delivered(delivery)])
            tasks.start_soon(_refused, small)
    assert sum(written) == 20  # none was tried again
    assert await small.pending() == {}


async def _refused(store):
    with pytest.raises(StoreError, match="may have"):
        await store.append([accepted()])


async def test_a_full_disk_is_survived(store):
    """SQLite's own limit of pages gives the same error as a disk that is full."""
    router = EventRouter(store)
    seen = []
    router.rule(EVERYTHING, name="r")(seen.append)
    async with router:
        router.pause_target("r", next(iter(router.list_targets("r"))).id)
        await router.put_events([order(n=1)])

        def limit(pages):
            return lambda batch: batch.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

        [[pages]] = await store._writer.call(lambda batch: batch.connection.execute("PRAGMA page_count").fetchall())
        await store._writer.call(limit(pages))
        results = []
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(_put, router, results)
        failed = [result for result in results if result.error_code is not None]
        assert {result.error_code for result in failed} == {"InternalFailure"}
        assert "disk is full" in failed[0].error_message
        router.resume_target("r", next(iter(router.list_targets("r"))).id)
        await router.settle_down()
        assert len(seen) == 1 + len(results) - len(failed)
        await store._writer.call(limit(10**6))
        [result] = await router.put_events([order(n=2)])
        assert result.error_code is None
    assert router.closing_report.is_balanced
    assert query(store.path, "PRAGMA integrity_check") == [("ok",)]


async def _put(router, results):
    results += await router.put_events([EventEntry("s", "T", {"text": "x" * 100_000})])


async def test_the_file_gives_back_what_it_does_not_need(store, monkeypatch):
    monkeypatch.setattr(writer, "_TIDIED", 1)
    monkeypatch.setattr(writer, "_FREE_PAGES", 20)
    await store.append([big(n) for n in range(200)])
    [[before]] = query(store.path, "PRAGMA page_count")
    leased = await store.lease(A, 200, now=SOON, until=SOON + seconds(60))
    await store.settle([Delivered(delivery) for delivery in leased])
    for _ in range(10):
        await store.append([])
    [[after]] = query(store.path, "PRAGMA page_count")
    assert after < before / 2
    assert query(store.path, "SELECT count(*) FROM event") == [(0,)]


class Failing:
    """A connection of which one method fails, as when another process has the file."""

    def __init__(self, connection, method, what=""):
        self._connection, self._method, self._what = connection, method, what
        self.has_failed = threading.Event()

    def __getattr__(self, name):
        return getattr(self._connection, name) if name != self._method else self._fail

    def _fail(self, sql, *parameters):
        if self._what not in sql:
            return getattr(self._connection, self._method)(sql, *parameters)
        self.has_failed.set()
        raise sqlite3.OperationalError("database is locked")


async def test_a_store_that_is_open_stays_where_it_is_when_the_process_goes_elsewhere(tmp_path, monkeypatch):
    connect = Reader.connect

    def late(reader):
        time.sleep(0.02)
        connect(reader)

    monkeypatch.setattr(Reader, "connect", late)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("x.db")
    await store.open()
    monkeypatch.chdir(elsewhere)
    await store.append([accepted()])
    assert await store.pending() == {A: 1}
    await store.close()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_nothing_is_accepted_by_a_file_that_is_not_there_any_more(tmp_path, monkeypatch, how):
    """SQLite would go on writing to what has no name, and all of it would be gone with the process."""
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("x.db")
    await store.open()
    await store.append([accepted()])
    path, aside = tmp_path / "x.db", tmp_path / "aside.db"
    path.rename(aside)
    if how == "replaced":
        path.write_bytes(b"")
    with pytest.raises(StoreError, match=r"x\.db was removed or replaced .*put it back"):
        await store.append([accepted(1)])
    aside.replace(path)
    await store.append([accepted(2)])
    assert await store.pending() == {A: 2}
    await store.close()


async def test_what_was_committed_stays_so_when_tidying_fails(store, monkeypatch):
    monkeypatch.setattr(writer, "_TIDIED", 1)
    failing = Failing(store._writer._connection, "execute", "freelist_count")
    monkeypatch.setattr(store._writer, "_connection", failing)
    assert await store.append([accepted()]) == [None]
    assert failing.has_failed.wait(5)


async def test_a_file_that_another_process_has_just_now_is_tidied_later(store, monkeypatch):
    monkeypatch.setattr(writer, "_TIDIED", 1)
    monkeypatch.setattr(writer, "_FREE_PAGES", 20)
    await store.append([big(n) for n in range(200)])
    store._writer._connection = busy = Failing(store._writer._connection, "executescript")
    leased = await store.lease(A, 200, now=SOON, until=SOON + seconds(60))
    await store.settle([Delivered(delivery) for delivery in leased])
    await store.append([])
    assert busy.has_failed.is_set()
    [[before]] = query(store.path, "PRAGMA page_count")
    store._writer._connection = busy._connection
    for _ in range(10):
        await store.append([])
    [[after]] = query(store.path, "PRAGMA page_count")
    assert after < before / 2


async def test_an_event_is_written_once_and_goes_when_nobody_needs_it(store):
    item = accepted(0, A, B, archives=(Archiving("x", SOON),))
    await store.append([item])
    assert query(store.path, "SELECT count(*) FROM event") == [(1,)]
    assert query(store.path, "SELECT cast(body AS TEXT) FROM event") == [(item.event.to_json().decode(),)]
    for subscription in (A, B):
        [delivery] = await store.lease(subscription, 1, now=SOON, until=SOON + seconds(60))
        await store.settle([Delivered(delivery)])
        assert query(store.path, "SELECT count(*) FROM event") == [(1,)]
    await store.append([Accepted(make_event(), SOON, (), archives=(Archiving("y"),))])  # x is swept in passing
    assert query(store.path, "SELECT archive FROM archived") == [("y",)]
    assert query(store.path, "SELECT count(*) FROM event") == [(1,)]
    await store.purge_archive("y", limit=9)
    assert query(store.path, "SELECT count(*) FROM event") == [(0,)]


async def test_deduplications_and_records_that_have_ended_are_swept(store):
    for n in range(50):
        key = Deduplication("s", str(n), NOON + seconds(n + 5))
        await store.append([accepted(n, deduplication=key)])
        await store.idempotency.put_if_absent("s", str(n), b"v", now=key.until - seconds(5), expires=key.until)
    assert query(store.path, "SELECT count(*) FROM published")[0][0] <= 6
    assert query(store.path, "SELECT count(*) FROM idempotency")[0][0] <= 6


async def test_ids_are_never_given_twice(store):
    """A late acknowledgement must not end another delivery, whatever was removed meanwhile."""
    await store.append([accepted()])
    [first] = await store.lease(A, 1, now=SOON, until=SOON + seconds(60))
    await store.settle([Delivered(first)])
    await store.close()
    await store.open()
    await store.append([accepted()])
    [second] = await store.lease(A, 1, now=SOON, until=SOON + seconds(60))
    assert second.id > first.id
    assert second.token >> 32 != first.token >> 32  # the owner is fresh


# -- several processes, here as several stores -----------------------------------------------------------------------


@pytest.fixture
async def other(store):
    other = SqliteStore(store.path, synchronous="NORMAL")
    await other.open()
    yield other
    await other.close()


async def lease(store, limit, now=SOON, maximum=2):
    return list(await store.lease(A, limit, now=now, until=now + seconds(60), maximum_concurrency=maximum))


async def test_all_processes_together_attempt_no_more_than_the_limit(store, other):
    await store.append([accepted(0) for n in range(20)])
    ahead = await lease(store, 5)  # alone, it may lease ahead of what it attempts
    assert len(ahead) == 5
    assert await lease(other, 5) == []
    await store.settle([Delivered(delivery) for delivery in ahead[:4]])
    [one] = await lease(other, 5)
    assert await lease(store, 5) == []
    assert await lease(other, 5) == []
    await other.settle([Delivered(one)])
    assert len(await lease(store, 5)) == 5
    assert await lease(other, 5) == []
    assert len(await lease(other, 5, now=SOON + seconds(60))) == 5  # what the other had has ended


async def test_a_change_by_another_process_is_noticed(store, other):
    woken = []

    async def watch(seen):
        woken.append(await store.changed(seen))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, 0)
            tasks.start_soon(watch, 0)
            await anyio.sleep(0.05)
            await store.append([accepted()])  # its own is no news
            await anyio.sleep(0.3)
            assert woken == []
            await other.append([accepted()])
    assert woken == [1, 1]
    assert await store.changed(0) == 1
    with anyio.move_on_after(0.05) as scope:
        await store.changed(1)
    assert scope.cancelled_caught
    assert store._writer._watchers == []


async def test_a_file_that_does_not_tell_of_changes_for_a_moment_tells_of_them_later(store, other):
    store._writer._connection = busy = Failing(store._writer._connection, "execute", "data_version")

    async def mend():
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(busy.has_failed.wait)
        store._writer._connection = busy._connection
        await other.append([accepted()])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            assert await store.changed(0) == 1


async def test_what_one_router_puts_another_one_delivers(store, other):
    seen = []
    publisher, consumer = EventRouter(store), EventRouter(other)
    for router in (publisher, consumer):
        router.put_rule("r", EVERYTHING)

    publisher.put_targets("r", [FunctionTarget(id="t", function=print)])
    consumer.put_targets("r", [FunctionTarget(id="t", function=seen.append)])
    publisher.drain_timeout = seconds(0)
    with anyio.fail_after(20):
        async with publisher, consumer:
            publisher.pause_target("r", "t")
            for n in range(3):
                await publisher.put_events([order(n=n)])
                while len(seen) <= n:  # noqa: ASYNC110 - another router's handler
                    await anyio.sleep(0.005)
            while await store.pending():  # noqa: ASYNC110 - it is settled elsewhere
                await anyio.sleep(0.005)
            await publisher.settle_down()  # it hears that another one has delivered them
    assert [event.detail["n"] for event in seen] == [0, 1, 2]


async def test_subscriptions_that_nobody_declares_are_parked_and_not_lost(store, caplog):
    router = EventRouter(store)
    router.rule(EVERYTHING, name="old")(print)
    [target] = router.list_targets("old")
    router.pause_target("old", target.id)
    router.drain_timeout = seconds(0)
    async with router:
        await router.put_events([order(n=1)])
    renamed = EventRouter(SqliteStore(store.path))
    seen = []
    async with renamed:
        ledger = await renamed.ledger()
        assert ledger.parked == {Subscription("default", "old", target.id)}
        assert "which is not declared" in caplog.text

        renamed.put_rule("old", EVERYTHING)
        renamed.put_targets("old", [FunctionTarget(id=target.id, function=seen.append)])
        await renamed.settle_down()
    assert len(seen) == 1
    assert renamed.closing_report.total.delivered == 1


# -- the outbox ------------------------------------------------------------------------------------------------------


async def test_events_in_the_transaction_of_the_application_share_its_fate(store):
    router, seen = EventRouter(store), []
    router.rule(EVERYTHING, name="r")(seen.append)
    connection = sqlite3.connect(store.path)
    async with router:
        connection.execute("CREATE TABLE orders(id)")
        for n, end in enumerate((connection.commit, connection.rollback, connection.commit)):
            connection.execute("INSERT INTO orders VALUES (?)", (n,))
            [published, refused] = router.put_in(connection, [order(n=n), EventEntry("aws.x", "T", {})])
            assert published.success_code == "PUBLISHED"
            assert refused.error_code == "NotAuthorizedForSourceException"
            end()
        with anyio.fail_after(10):
            while len(seen) < 2:  # noqa: ASYNC110 - it is noticed, some time
                await anyio.sleep(0.01)
    connection.close()
    assert sorted(event.detail["n"] for event in seen) == [0, 2]  # two threads may have them
    assert query(store.path, "SELECT id FROM orders") == [(0,), (2,)]
    assert router.closing_report.is_balanced


async def test_a_transaction_is_begun_for_those_who_have_none(store):
    router = EventRouter(store)
    connection = sqlite3.connect(store.path)
    entry = EventEntry("s", "T", {}, deduplication_id="k")
    [first] = router.put_in(connection, [entry])
    assert connection.in_transaction
    [second] = router.put_in(connection, [entry])
    assert (second.event_id, second.success_code) == (first.event_id, "DEDUPLICATED")
    connection.commit()
    connection.isolation_level = None
    with pytest.raises(ConflictError, match="BEGIN IMMEDIATE"):
        router.put_in(connection, [order(n=1)])
    connection.close()


@pytest.mark.parametrize(
    ("row_factory", "text_factory"),
    [
        (sqlite3.Row, str),
        (lambda cursor, row: {about[0]: value for about, value in zip(cursor.description, row, strict=True)}, str),
        (None, bytes),
    ],
)
async def test_the_application_reads_its_rows_as_it_likes(store, row_factory, text_factory):
    router = EventRouter(store)
    router.put_rule("r", EVERYTHING)
    router.put_targets("r", [FunctionTarget(id="a", function=print)])
    connection = sqlite3.connect(store.path)
    connection.row_factory, connection.text_factory = row_factory, text_factory
    entry = EventEntry("s", "T", {}, deduplication_id="k")
    results = [router.put_in(connection, [entry])[0] for _ in range(2)]
    connection.commit()
    assert (connection.row_factory, connection.text_factory) == (row_factory, text_factory)
    connection.close()
    assert [result.success_code for result in results] == ["PUBLISHED", "DEDUPLICATED"]
    assert results[0].event_id == results[1].event_id
    assert await store.pending() == {A: 1}


async def test_a_connection_whose_commit_does_nothing_needs_a_transaction(store):
    class Autocommit(sqlite3.Connection):
        autocommit = True  # as Python 3.12 has it

    router = EventRouter(store)
    connection = sqlite3.connect(store.path, factory=Autocommit)
    with pytest.raises(ConflictError, match="BEGIN IMMEDIATE"):
        router.put_in(connection, [order(n=1)])
    connection.execute("BEGIN IMMEDIATE")
    [result] = router.put_in(connection, [order(n=1)])
    connection.execute("COMMIT")
    connection.close()
    assert result.success_code == "PUBLISHED"
    assert (await store.ledger()).events == 1


async def test_the_transaction_has_to_be_on_the_file_of_the_store(store, tmp_path):
    for path in (":memory:", tmp_path / "other.db"):
        connection = sqlite3.connect(path)
        with pytest.raises(ConflictError, match="Only a router on a SQLite file"):
            EventRouter(MemoryStore()).put_in(connection, [order(n=1)])
        with pytest.raises(ConflictError, match=r"The connection is to .*, and the store is .*store\.db"):
            EventRouter(store).put_in(connection, [order(n=1)])
        connection.close()
    connection = sqlite3.connect(tmp_path / "new.db")
    connection.execute("CREATE TABLE x(y)")
    with pytest.raises(ConflictError, match=r"and the store is .*not_there\.db"):
        EventRouter(SqliteStore(tmp_path / "not_there.db")).put_in(connection, [order(n=1)])
    with pytest.raises(StoreError, match="no such table"):
        EventRouter(SqliteStore(tmp_path / "new.db")).put_in(connection, [order(n=1)])
    connection.close()


# -- real processes --------------------------------------------------------------------------------------------------

PROGRAM = """
import os, sys, anyio
from eventrouter import EventRouter
path, log, name, count = sys.argv[1:]
router = EventRouter(f"sqlite:///{path}?synchronous=NORMAL")

@router.rule({"source": ["s"]}, name="r", maximum_concurrency=1)
async def handle(event):
    with open(log, "a") as file:
        file.write(f"begin {event.detail['n']}\\n")
    await anyio.sleep(0.002)
    with open(log, "a") as file:
        file.write(f"end {event.detail['n']}\\n")

async def main():
    from eventrouter import EventEntry
    async with router:
        for n in range(int(count)):
            [result] = await router.put_events([EventEntry("s", "T", {"n": f"{name}-{n}"})])
            assert result.error_code is None, result
        while await router._store.pending():
            await anyio.sleep(0.02)

anyio.run(main, backend=("asyncio", "trio")[int(name) % 2])
"""


def test_four_processes_make_a_file_at_once_and_share_its_work_one_attempt_at_a_time(tmp_path):
    log, count = tmp_path / "log", 8
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, tmp_path / "x.db", log, str(name), str(count)])
        for name in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    lines = log.read_text().splitlines()
    assert sorted(lines) == sorted(
        f"{word} {name}-{n}" for word in ("begin", "end") for name in range(4) for n in range(count)
    )
    assert [line.split()[0] for line in lines] == ["begin", "end"] * 4 * count
    assert query(tmp_path / "x.db", "PRAGMA integrity_check") == [("ok",)]


KILLED = """
import sys, anyio
from eventrouter import EventRouter, EventEntry
router = EventRouter(f"sqlite:///{sys.argv[1]}")

@router.rule({"source": ["s"]}, name="r")
async def handle(event):
    print("handled", event.id, flush=True)

async def main():
    async with router:
        while True:
            [result] = await router.put_events([EventEntry("s", "T", {})])
            print("kept", result.event_id, flush=True)

anyio.run(main)
"""


async def test_a_process_that_is_killed_loses_nothing(tmp_path):
    path, kept, handled = tmp_path / "x.db", set(), []
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
        lines = [process.stdout.readline() for _ in range(random.randrange(20, 60))]  # noqa: S311
        process.kill()
        lines += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        for word, _, id in (line.strip().partition(" ") for line in lines):
            kept.add(id) if word == "kept" else handled.append(id)
    store = SqliteStore(path)
    await store.open()
    now = datetime.now(UTC) + seconds(120)
    [subscription] = (await store.ledger()).subscriptions
    left = []
    while leased := await store.lease(subscription, 10**6, now=now, until=now + seconds(9)):
        left += [delivery.event.id for delivery in leased]
    assert kept <= set(left) | set(handled)
    assert (await store.ledger()).is_balanced
    await store.close()
