"""Memory does not grow with the backlog."""

from tests.durability.backlog import CountingStore, drain, fill


async def test_what_waits_is_in_the_file_and_not_in_memory(tmp_path):
    """Of 20,000, never more than two batches; `python -m tests.durability.backlog` does a million."""
    store = CountingStore(tmp_path / "s.db")
    await fill(store, 20_000)

    assert await drain(store) == 20_000
    assert 0 < store.most <= 2 * 256
    assert store.held == 0
