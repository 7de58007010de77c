"""Where what was generated is kept: `.benchmarks` in the checkout, or where `EVENTROUTER_BENCHMARKS` says."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
DIRECTORY = Path(os.environ.get("EVENTROUTER_BENCHMARKS", CHECKOUT / ".benchmarks"))


def cached(name: str, *sources: str, write: Callable[[Path], None]) -> Path:
    """Give a file's path, written first if it is not there.

    The name carries a checksum of the *sources* it is made by (file names in this directory), so that a file which an
    older version of them wrote is not taken for theirs.
    """
    code = b"".join((CHECKOUT / "benchmarks" / source).read_bytes() for source in sources)
    path = DIRECTORY / f"{zlib.crc32(code):08x}-{name}"
    if not path.exists():
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        # Under another name first: half a file must never look like a whole one.
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        write(unfinished)
        unfinished.rename(path)
    return path
