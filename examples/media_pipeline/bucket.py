"""A directory as a bucket: objects by key, each there as a whole or not at all."""

import os
import re
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

#: Keys are made by the program, never by those who upload. They are checked all the same.
_KEY: Final = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+)*\.[a-z0-9]+", re.ASCII)


class Bucket:
    """Objects in a directory.

    Args:
        root: The directory, which is made.

    Attributes:
        scratch: A directory for what is not complete yet, emptied whenever the program starts.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.scratch = self.root / ".incoming"
        shutil.rmtree(self.scratch, ignore_errors=True)  # what a process left that was killed
        self.scratch.mkdir(parents=True)

    def path(self, key: str) -> Path:
        """Give the file of an object, whether it is there or not.

        Raises:
            ValueError: That is no key, or leads out of the bucket.
        """
        path = self.root / key
        if not _KEY.fullmatch(key) or not path.resolve().is_relative_to(self.root):
            raise ValueError(f"{key!r} is no key of this bucket")
        return path

    def put(self, key: str, content: BinaryIO) -> None:
        """Write an object. When this returns it is on the disk; before that, nobody sees any of it."""
        path = self.path(key)
        incoming = self.scratch / uuid.uuid4().hex
        with incoming.open("xb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def delete(self, key: str) -> None:
        """Remove an object. No change if there is none."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # if that was the last one
