"""The other side of `_process`: what a child process runs.

A thread reads what the parent says, so that the child ends with its parent, even in the midst of an invocation.
"""

from __future__ import annotations

import importlib
import os
import queue
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from eventrouter.admission import PutResult
from eventrouter.delivery._conclude import unwrapped
from eventrouter.delivery.describe import described
from eventrouter.errors import DeliveryError, NotAuthorizedError, PermanentDeliveryError
from eventrouter.event import EventEntry, encode_detail, encode_json
from eventrouter.functions._context import BlockingContext, Facts, Identity
from eventrouter.functions._environment import peak_memory
from eventrouter.functions._function import Function
from eventrouter.functions._invocation import InvokeResponse
from eventrouter.functions._process import HEARD, KILLED
from eventrouter.queues import QueueResult

_LENGTH: Final = struct.Struct(">I")
_ANSWERS: Final = {"put_events": list[PutResult], "invoke": InvokeResponse, "send_message": QueueResult}


class ImportModuleError(Exception):
    """The module of the function cannot be imported."""


class HandlerNotFoundError(Exception):
    """The module has no such function."""


class MarshalError(Exception):
    """The result has no form as JSON."""


# What Lambda's runtime calls them.
MarshalError.__name__ = "Runtime.MarshalError"
ImportModuleError.__name__ = "Runtime.ImportModuleError"
HandlerNotFoundError.__name__ = "Runtime.HandlerNotFound"


class _Parent:
    """The parent, as the child speaks with it."""

    def __init__(self, said: BinaryIO, heard: BinaryIO) -> None:
        self._said, self._heard = said, heard
        self._frames: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._is_running = False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._said as said:
            while len(head := said.read(_LENGTH.size)) == _LENGTH.size:
                self._frames.put(msgspec.json.decode(said.read(_LENGTH.unpack(head)[0])))
        if self._is_running:
            os._exit(1)  # the parent is gone, and so is whoever waits for the result
        self._frames.put(None)

    def send(self, frame: object) -> None:
        """Say something."""
        encoded = msgspec.json.encode(frame)
        self._heard.write(_LENGTH.pack(len(encoded)) + encoded)
        self._heard.flush()

    def receive(self) -> Any:
        """Hear something; None is the end."""
        return self._frames.get()

    def call(self, name: str, arguments: Sequence[object], options: Mapping[str, Any]) -> object:
        """Have the router do something, as a context asks for it."""
        if name == "put_events":
            arguments = [[_entry(entry) for entry in cast("list[EventEntry]", arguments[0])]]
        self.send({"call": name, "arguments": arguments, "options": options})
        answer = self.receive()
        if "refused" in answer:
            raise NotAuthorizedError(answer["refused"])
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return msgspec.convert(answer["answer"], _ANSWERS[name], strict=False)

    def answer(self, work: Callable[[], object]) -> None:
        """Do something, and say what came of it."""
        self._is_running = True
        try:
            frame: dict[str, object] = {"result": msgspec.Raw(_encoded(work()))}
        except MemoryError:
            os._exit(KILLED)  # at once: there is no memory to say so
        except Exception as error:  # noqa: BLE001 - whatever a function may raise is told
            frame = {"error": _told(unwrapped(error))}
        self._is_running = False
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(2, HEARD + b"\n")
        self.send({**frame, "peak": _peak()})


def _entry(entry: EventEntry) -> dict[str, Any]:
    """Give an entry as JSON has it, with a detail that may have been a model."""
    return msgspec.structs.asdict(entry) | {"detail": msgspec.Raw(encode_detail(entry.detail))}


def _encoded(result: object) -> bytes:
    try:
        return encode_json(result)
    except ValueError as error:
        raise MarshalError(f"Unable to marshal response: {error}") from None


def _told(error: Exception) -> dict[str, Any]:
    told = described(error, "")
    retry_after = error.retry_after if isinstance(error, DeliveryError) else None
    return told | {
        "errorCode": error.error_code if isinstance(error, DeliveryError) else "TARGET_ERROR",
        "isPermanent": isinstance(error, PermanentDeliveryError),
        "retryAfter": None if retry_after is None else retry_after.total_seconds(),
    }


def find(path: str) -> Callable[..., Any]:
    """Import what an import path names; of a declared function, its handler."""
    module_name, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ImportModuleError(f"Unable to import module '{module_name}': {error}") from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise HandlerNotFoundError(f"Handler '{name}' missing on module '{module_name}'") from error
    handler: Callable[..., Any] = found.handler if isinstance(found, Function) else found
    return handler


def _peak() -> int | None:
    """Give the most MB that this process has had.

    On Linux, what `getrusage` knows begins with what the parent had as it forked.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return peak_memory()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def limit_memory(megabytes: int) -> None:
    """Let no more memory be allocated than that."""
    import resource  # noqa: PLC0415 - on Linux only, where the limit means what it says

    resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1024 * 1024,) * 2)


def main() -> None:
    """Serve the parent until it has no more to say."""
    said = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - it is no path to anything
        os.dup2(nothing.fileno(), 0)
    with os.fdopen(os.dup(1), "wb") as heard:
        os.dup2(2, 1)  # what the function prints is for the log
        serve(_Parent(said, heard))


def serve(parent: _Parent) -> None:
    """Do what the parent says: first what to run, then each invocation."""
    order = parent.receive()
    if order is None:
        return  # the parent has ended before it said anything
    if order["memory"] is not None:
        limit_memory(order["memory"])
    with ExitStack() as stack:
        state: Any = None
        handler: Any = None

        def prepare() -> None:
            nonlocal handler, state
            handler = find(order["handler"])
            if order["lifespan"] is not None:
                state = stack.enter_context(find(order["lifespan"])())

        parent.answer(prepare)
        while (work := parent.receive()) is not None:
            facts = Facts(**work["facts"] | {"identity": Identity(**work["facts"]["identity"])})
            context = BlockingContext(facts, state, work["seconds"], parent.call)
            parent.answer(lambda: handler(work["payload"], context))  # noqa: B023 - called before the next one
