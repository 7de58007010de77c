"""What the arguments of commands name: a store, or a router with its rules."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from eventrouter.cli._functions import load_module, target_maker
from eventrouter.declarations import load_rules
from eventrouter.errors import InvalidRuleError
from eventrouter.router import EventRouter
from eventrouter.stores._sqlite_file import StoreFile, open_file
from eventrouter.stores.sqlite import SqliteStore

_SQLITE: Final = b"SQLite format 3\0"
_ATTRIBUTE: Final = re.compile(r"(?P<module>[\w./-]+):(?P<name>[A-Za-z_]\w*)")


def store_path(store: str) -> Path:
    """Give the file of a store, named by a URL or a path. Raises `InvalidRuleError` if it is a URL of no such form."""
    return SqliteStore.from_url(store).path if store.startswith("sqlite:") else Path(store)


def is_store(place: str) -> bool:
    """Say whether an argument names a store, and not a file of JSON lines. One that is not there is taken for one."""
    path = store_path(place)
    if place.startswith("sqlite:") or not path.exists():
        return True
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def open_store(store: str) -> StoreFile:
    """Open a store for reading only. Raises `StoreError` when there is none of this release's version."""
    return open_file(store_path(store))


@asynccontextmanager
async def writing(store: str) -> AsyncGenerator[SqliteStore]:
    """Open a store that is there, to write by its own transactions, which a running service notices.

    Raises:
        StoreError: It is not there, not of this release's version, or cannot be written.
    """
    with open_store(store):
        pass  # so that no file is made by mistake, and none of another version is changed under a running service
    opened = SqliteStore.from_url(store) if store.startswith("sqlite:") else SqliteStore(store)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


def load_router(place: str) -> EventRouter:
    """Give a router with the rules of a file, or the one that a module has.

    Nothing is delivered by it: rules are held against events, and that is all.

    Args:
        place: A rules file, or `module:name` or `file.py:name` of a router that the code declares.

    Raises:
        InvalidRuleError: The file is not usable, or there is no such router.
        OSError: The file cannot be read.
    """
    attribute = _ATTRIBUTE.fullmatch(place)
    if attribute is None or Path(place).exists():
        router = EventRouter()
        load_rules(Path(place)).install(router, target_maker(None))
        return router
    module = load_module(attribute["module"])
    found = getattr(module, attribute["name"], None)
    if not isinstance(found, EventRouter):
        raise InvalidRuleError(f"{attribute['module']} has no EventRouter {attribute['name']}")
    return found
