"""A disk that can fail: counts, records, breaks or ends with the process what SQLite writes to its real files.

SQLite reaches its files through a table of functions (https://www.sqlite.org/vfs.html). Here the ones that write are
replaced in the library that Python has loaded, so nothing in the store knows of it, and every write, sync, truncation
and removal that SQLite makes on the database and its log is one operation with a number.
"""

from __future__ import annotations

import ctypes
import os
import signal
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FULL: Final = 13  # SQLITE_FULL
_SYNC_FAILED: Final = 10 | 4 << 8  # SQLITE_IOERR_FSYNC
_WATCHED: Final = 0x100 | 0x80000 | 0x800  # the database, its log, its rollback journal

# Names stay pointers: SQLite keeps them, and looks beyond their end.
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(Structure):
    _fields_ = (
        ("iVersion", c_int), ("szOsFile", c_int), ("mxPathname", c_int), ("pNext", c_void_p), ("zName", c_char_p),
        ("pAppData", c_void_p), ("xOpen", c_void_p), ("xDelete", c_void_p),
    )  # fmt: skip


class _Methods(Structure):
    _fields_ = (
        ("iVersion", c_int), ("xClose", c_void_p), ("xRead", c_void_p), ("xWrite", c_void_p), ("xTruncate", c_void_p),
        ("xSync", c_void_p), ("others", c_void_p * 13),
    )  # fmt: skip


class _File(Structure):
    _fields_ = (("pMethods", POINTER(_Methods)),)


@dataclass
class Disk:
    """Put under SQLite for the rest of the process by `install`.

    Operations are numbered from 1, in all files together.

    Attributes:
        kill_at: The operation at which the process is killed.
        how: `before` it, `torn`: after half of what it writes, or `after` it.
        full: The first operation for which there is no room, and how many of them; syncs and removals go on.
        sync_fails_from: The first operation whose sync fails, if it is one, as do all syncs after it.
        records: What was written, in order: `write` with a place and bytes, `sync`, `truncate` with a size, `delete`,
            each with the file; None to keep nothing.
        operations: How many there were.
    """

    kill_at: int = 0
    how: str = "before"
    full: tuple[int, int] = (0, 0)
    sync_fails_from: int = 0
    records: list[tuple] | None = None
    operations: int = 0
    _names: dict[int, str] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)  # what SQLite calls must not be collected

    def install(self) -> Disk:
        import _sqlite3  # noqa: PLC0415 - loads the library that Python uses

        library = ctypes.CDLL(_sqlite3.__file__)  # through which the symbols of what it is linked to are found
        find = library.sqlite3_vfs_find
        find.restype, find.argtypes = POINTER(_Vfs), [c_char_p]
        vfs = find(None).contents
        opened, deleted = _OPEN(vfs.xOpen), _DELETE(vfs.xDelete)
        replaced: dict[
            int, _Methods
        ] = {}  # by the address of what they replace: files with and without locks have others

        def xopen(self_, name, file, flags, out):
            code = opened(self_, name, file, flags, out)
            if code == 0 and flags & _WATCHED:
                place = _File.from_address(file)
                original = ctypes.addressof(place.pMethods.contents)
                if original not in replaced:
                    replaced[original] = self._replaced(place.pMethods.contents)
                place.pMethods = ctypes.pointer(replaced[original])
                self._names[file] = _name(name)
            return code

        def xdelete(self_, name, sync):
            self._begin("before")
            code = deleted(self_, name, sync)
            self._note("delete", _name(name))
            self._begin("after", counts=False)
            return code

        self._set(vfs, "xOpen", _OPEN(xopen))
        self._set(vfs, "xDelete", _DELETE(xdelete))
        return self

    def _replaced(self, original: _Methods) -> _Methods:
        methods = _Methods.from_buffer_copy(original)
        write, truncate, sync = _WRITE(original.xWrite), _TRUNCATE(original.xTruncate), _SYNC(original.xSync)

        def xwrite(file, data, size, at):
            self._begin("before")
            first, count = self.full
            if first <= self.operations < first + count:
                return _FULL
            if self.operations == self.kill_at and self.how == "torn":
                write(file, data, size // 2, at)
                _die()
            code = write(file, data, size, at)
            if self.records is not None:
                self._note("write", self._names[file], at, ctypes.string_at(data, size))
            self._begin("after", counts=False)
            return code

        def xtruncate(file, size):
            self._begin("before")
            code = truncate(file, size)
            self._note("truncate", self._names[file], size)
            self._begin("after", counts=False)
            return code

        def xsync(file, flags):
            self._begin("before")
            if self.sync_fails_from and self.operations >= self.sync_fails_from:
                return _SYNC_FAILED
            code = sync(file, flags)
            self._note("sync", self._names[file])
            self._begin("after", counts=False)
            return code

        self._set(methods, "xWrite", _WRITE(xwrite))
        self._set(methods, "xTruncate", _TRUNCATE(xtruncate))
        self._set(methods, "xSync", _SYNC(xsync))
        return methods

    def _set(self, table: Structure, name: str, function: object) -> None:
        self._kept.append(function)
        setattr(table, name, ctypes.cast(function, c_void_p).value)

    def _begin(self, how: str, *, counts: bool = True) -> None:
        self.operations += counts
        if self.operations == self.kill_at and self.how == how:
            _die()

    def _note(self, *record: object) -> None:
        if self.records is not None:
            self.records.append(record)


def _name(pointer: int) -> str:
    return Path(ctypes.string_at(pointer).decode()).name


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
