"""Ids of events, messages and invocations: random UUIDs, made quickly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Final


def new_ids(count: int) -> list[str]:
    """Make random UUIDs, version 4 (RFC 9562), several times as fast as `uuid.uuid4` does."""
    if count > _AHEAD // 4:
        return _make_ids(count)
    ids: list[str] = []
    while len(ids) < count:
        try:
            ids.append(_made_ahead.pop())
        except IndexError:
            _made_ahead.extend(_make_ids(_AHEAD))
    return ids


def _make_ids(count: int) -> list[str]:
    bits = bytearray(_entropy(16 * count))
    bits[6::16] = bits[6::16].translate(_VERSION)
    bits[8::16] = bits[8::16].translate(_VARIANT)
    digits = bits.hex("-", 2)  # 40 characters for each: dashes where there is to be one, and three that are too many
    return [
        f"{digits[at : at + 4]}{digits[at + 5 : at + 29]}{digits[at + 30 : at + 34]}{digits[at + 35 : at + 39]}"
        for at in range(0, 40 * count, 40)
    ]


#: Ids for calls that need few. Asking the system for each would cost as much as the rest of the id, and give up the
#: interpreter: a store's thread takes it then, and the event loop waits for it, longer than all of `put_events` takes.
_made_ahead: list[str] = []
_AHEAD: Final = 256
with suppress(AttributeError):  # on Windows, which has no forks either
    os.register_at_fork(after_in_child=_made_ahead.clear)  # or two processes would give the same ids

#: What random bytes become that hold the version, 4, and the variant, binary 10; their other bits stay random.
_VERSION: Final = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANT: Final = bytes(byte & 0x3F | 0x80 for byte in range(256))

#: Where randomness comes from.
_entropy: Callable[[int], bytes] = os.urandom


@contextmanager
def seeded_ids(seed: int) -> Iterator[None]:
    """Have all ids of this process follow from *seed* while the block runs, for simulations, which can be repeated."""
    global _entropy  # noqa: PLW0603 - there is one for the process
    _made_ahead.clear()
    _entropy = Random(seed).randbytes  # noqa: S311 - nothing is secret in a simulation
    try:
        yield
    finally:
        _entropy = os.urandom
        _made_ahead.clear()
