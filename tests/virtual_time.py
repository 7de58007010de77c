"""Virtual time for both backends, from the kit, and real time."""

from eventrouter.testing.virtual_time import EPOCH, LoopClock, VirtualTimeLoop, virtual_time_backend

__all__ = [
    "EPOCH",
    "LoopClock",
    "VirtualTimeLoop",
    "real_time_backends",
    "virtual_time_backend",
    "virtual_time_backends",
]


def virtual_time_backends():
    """Give the backends for the `anyio_backend` fixture, in virtual time."""
    return [virtual_time_backend("asyncio"), virtual_time_backend("trio")]


def real_time_backends():
    """Give the backends for the `anyio_backend` fixture, in real time."""
    return [("asyncio", {}), ("trio", {})]
