"""Files that are damaged, by whatever it was: what is left is whole, or an error says what is not."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from eventrouter import EventRouter, StoreError
from eventrouter.stores.sqlite import SqliteStore
from tests.durability.child import Plan
from tests.durability.family import read_account
from tests.durability.rounds import place
from tests.support import Scripted, order, seconds

_PAGE = 4096
_PAUSED = Scripted(id="t", maximum_concurrency=0)


@pytest.fixture(scope="module")
def killed(four, tmp_path_factory):
    """Give what a killed process has left: everything it wrote is in the log."""
    directory = tmp_path_factory.mktemp("killed")
    assert four[0].run(Plan(**place(directory), events=40, drains=True, kill_at=500)) == -9
    return directory


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 0.75, 0.99])
def test_a_log_that_is_cut_short_loses_its_end_and_nothing_else(nursery, killed, tmp_path, share):
    """Each time more of the history is there, up to a commit that is whole."""
    for file in killed.iterdir():
        shutil.copy(file, tmp_path)
    log = tmp_path / "s.db-wal"
    size = int(log.stat().st_size * share)
    with log.open("r+b") as file:
        file.truncate(size)
    (tmp_path / "s.db-shm").unlink()  # as after a crash of the machine

    shared = place(tmp_path) | {"account": str(tmp_path / "after")}
    assert nursery.run(Plan(**shared, drains=True, offset=3600)) == 0

    [left] = [line for line in read_account(shared["account"]) if line["kind"] == "left"]
    assert left["integrity"] == ["ok"]
    assert left["is_balanced"]
    assert not any(left["rows"].values())
    assert not any(counts["unfinished"] for counts in left["counts"].values())
    assert (left["events"] > 0) == (share > 0.1)


def overwrite(path, page, data):
    with path.open("r+b") as file:
        file.seek((page - 1) * _PAGE)
        file.write(data)


async def fill(path, number):
    """Make a store with events that wait for a target that takes none."""
    router = EventRouter(SqliteStore(path), drain_timeout=seconds(0.01))
    router.put_rule("r", {"source": ["shop.orders"]})
    router.put_targets("r", [_PAUSED])
    async with router:
        for start in range(0, number, 100):
            await router.put_events([order(number=n) for n in range(start, start + 100)])
    return router


async def test_a_file_without_its_head_is_no_database(tmp_path):
    path = tmp_path / "s.db"
    await fill(path, 100)
    overwrite(path, 1, bytes(100))

    with pytest.raises(StoreError, match="is not a database"):
        await SqliteStore(path).open()


def root_of(path, table):
    with closing(sqlite3.connect(path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        return root


def checked(path):
    """Say what SQLite's own check finds, which is an error of its own if it cannot even begin."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            return "\n".join(text for [text] in connection.execute("PRAGMA integrity_check"))
        except sqlite3.DatabaseError as error:
            return str(error)


async def test_entries_are_refused_with_what_is_wrong_when_a_page_is_damaged(tmp_path):
    path = tmp_path / "s.db"
    router = await fill(path, 300)
    overwrite(path, root_of(path, "delivery"), b"\xff" * _PAGE)

    with pytest.raises(StoreError, match="is damaged"):  # as it cannot account for what it holds
        async with router:
            [result] = await router.put_events([order(number=1)])

    assert result.error_code == "InternalFailure"
    assert "is damaged" in result.error_message
    assert "restore a backup" in result.error_message
    assert "malformed" in checked(path)


async def test_a_page_that_says_it_is_empty_is_noticed_by_the_account(tmp_path):
    """SQLite keeps no checksums; its own check names the page, and reads that go through it fail."""
    path = tmp_path / "s.db"
    await fill(path, 300)
    root = root_of(path, "delivery")
    assert checked(path) == "ok"
    overwrite(path, root, b"\x0d" + bytes(_PAGE - 1))

    store = SqliteStore(path)
    await store.open()
    with pytest.raises(StoreError, match="is damaged"):
        await store.ledger()
    await store.close()

    assert f"Page {root}" in checked(path)
