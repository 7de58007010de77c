"""What can be set."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the service runs.

    Attributes:
        data: The directory of everything that is kept.
        largest_upload: Bytes of a file.
        most_pixels: Width times height of an image. One of 40 million takes 160 MB of memory when it is decoded.
        token_lifetime: After that, people sign in again.
        render_timeout: How long making one rendition may take.
        retry_delay: What a job that has failed waits for, and twice as long after the second time.
        heartbeat: How often a worker says that it is alive. Three times as long after the service was killed, what it
            was making is made again; what it had only just received, `render_timeout` and 15 seconds after.
        most_workers: How many renditions are made at once.
    """

    data: Path
    largest_upload: int = 20_000_000
    most_pixels: int = 40_000_000
    token_lifetime: timedelta = timedelta(minutes=30)
    render_timeout: timedelta = timedelta(seconds=60)
    retry_delay: timedelta = timedelta(seconds=1)
    heartbeat: timedelta = timedelta(seconds=2)
    most_workers: int = 4

    @property
    def database(self) -> Path:
        """The file of the router, which has the tables of the library as well."""
        return self.data / "media.db"

    def signing_key(self) -> bytes:
        """Give the key of the tokens, and make it first if there is none. Who can read it can be anybody."""
        path = self.data / "signing.key"
        if not path.exists():
            # There as a whole or not at all: with half a key, or none, anybody could sign.
            incomplete = path.with_suffix(".incomplete")
            incomplete.touch(mode=0o600)
            incomplete.write_bytes(secrets.token_bytes(32))
            incomplete.replace(path)
        return path.read_bytes()
