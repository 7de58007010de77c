"""Every store there is. A new engine joins here, and runs all tests of what stores promise."""

from eventrouter import MemoryStore
from eventrouter.stores.sqlite import SqliteStore

#: By name: makes an empty store, of a directory that is its own. A test opens and closes it.
STORES = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda directory: SqliteStore(directory / "store.db"),
}
