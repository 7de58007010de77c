"""An execution environment that is a process of its own, which can be killed.

Both sides speak JSON over the pipes of standard input and output; nothing is pickled. Each frame is its length, four
bytes, then JSON. The child has said which function it runs by its import path. What the function prints comes over
standard error, and goes to the log.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

import anyio
import msgspec
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from eventrouter.errors import EventRouterError, FunctionError, NotAuthorizedError
from eventrouter.event import EventEntry
from eventrouter.functions._configuration import FunctionConfiguration, import_path
from eventrouter.functions._environment import Environment, Work

_LENGTH: Final = struct.Struct(">I")
#: What a child runs first. It looks for modules where its parent does, and not in the current directory, in which
#: somebody may have left a `queue.py`.
_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from eventrouter.functions._child import main; main()"
)
#: What a child ends with that has run out of memory: as if the kernel had killed it.
KILLED: Final = 137
#: What a child prints before it answers, so that what it has printed is known to have come.
HEARD: Final = b"\0heard"
#: Seconds that this is waited for; something else may have taken hold of standard error.
_HEARD_PATIENCE: Final = 1.0
#: Bytes of a line that are kept before it has ended.
_LONGEST_LINE: Final = 64 * 1024
#: Bytes of a frame; a function that answers with more is stopped.
_LARGEST_FRAME: Final = 64 * 1024 * 1024
#: How long the end of a process is waited for; it has been killed by then.
_PATIENCE: Final = 5.0


class InChild(Environment):
    """In a child process."""

    def __init__(self, configuration: FunctionConfiguration, log_stream: str) -> None:
        super().__init__(configuration, log_stream)
        self._process: Process | None = None
        self._replies: BufferedByteReceiveStream | None = None
        self._work: Work | None = None
        self._drained = anyio.Event()
        self._heard = anyio.Event()
        self._peak: int | None = None

    async def start(self, tasks: TaskGroup) -> None:
        """Start the process, have it import the function, and enter the lifespan there."""
        configuration = self.configuration
        # A session of its own: killing it kills its children as well, and Ctrl-C is for the parent to handle.
        self._process = await anyio.open_process(
            [sys.executable, "-P", "-c", _START, json.dumps([str(entry) for entry in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self._replies = BufferedByteReceiveStream(self._process.stdout)
        tasks.start_soon(self._listen)
        tasks.start_soon(self._watch, self._process)
        lifespan = configuration.lifespan
        await self._send(
            {
                "handler": import_path(configuration.handler),
                "lifespan": None if lifespan is None else import_path(lifespan),
                "memory": configuration.memory,
            }
        )
        answer = await self._receive()
        if answer is None:
            raise FunctionError("Runtime.ExitError", f"Runtime exited with error: {await self._how_it_ended()}")
        if "error" in answer:
            error = answer["error"]
            raise FunctionError(error["errorType"], error["errorMessage"], tuple(error["stackTrace"]))

    async def run(self, work: Work) -> bytes:
        """Have the process make one invocation."""
        self._work, self._heard = work, anyio.Event()
        is_whole = False
        try:
            facts = {name: getattr(work.facts, name) for name in work.facts.__slots__}
            await self._send({"payload": msgspec.Raw(work.payload), "facts": facts, "seconds": work.seconds})
            while (answer := await self._receive()) is not None and "call" in answer:
                await self._send(await self._perform(work, answer))
            if answer is not None and "tooLarge" in answer:
                raise work.too_large(answer["tooLarge"])
            if answer is None:
                raise work.exited(await self._how_it_ended())
            with anyio.move_on_after(_HEARD_PATIENCE):
                await self._heard.wait()  # what it has printed before it answered
            is_whole = True
            self._peak = answer["peak"]
        finally:
            work.capabilities.is_over = True
            self._work = None
            if not is_whole:
                self.is_broken = True  # it may still be at work, and is killed
        return self._result(work, answer)

    def _result(self, work: Work, answer: dict[str, Any]) -> bytes:
        error = answer.get("error")
        if error is None:
            return work.checked(msgspec.json.encode(answer["result"]))
        retry_after = error["retryAfter"]
        raise work.described_failure(
            error["errorType"],
            error["errorMessage"],
            tuple(error["stackTrace"]),
            error["errorCode"],
            None if retry_after is None else timedelta(seconds=retry_after),
            is_permanent=error["isPermanent"],
        )

    async def _perform(self, work: Work, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what the function asks for through its context."""
        name, arguments = asked["call"], asked["arguments"]
        try:
            if name == "put_events":
                arguments = [[_entry(entry) for entry in arguments[0]]]
            return {"answer": await getattr(work.capabilities, name)(*arguments, **asked["options"])}
        except NotAuthorizedError as error:
            return {"refused": str(error)}
        except (EventRouterError, ValueError, TypeError) as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    async def _send(self, frame: object) -> None:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        encoded = msgspec.json.encode(frame)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # it has ended, which `_receive` tells
            await self._process.stdin.send(_LENGTH.pack(len(encoded)) + encoded)

    async def _receive(self) -> dict[str, Any] | None:
        """Give the next frame; None if the process has ended."""
        assert self._replies is not None  # noqa: S101 - it was started
        try:
            [length] = _LENGTH.unpack(await self._replies.receive_exactly(_LENGTH.size))
            if length > _LARGEST_FRAME:
                return {"tooLarge": length}
            text = await self._replies.receive_exactly(length)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None
        frame: dict[str, Any] = msgspec.json.decode(text)
        return frame

    async def _listen(self) -> None:
        """Hand on what the function prints, line by line."""
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        rest = b""
        try:
            async for chunk in self._process.stderr:
                *lines, rest = (rest + chunk).split(b"\n")
                self._log(lines)
                if len(rest) > _LONGEST_LINE:
                    self._log([rest])
                    rest = b""
            self._log([rest] if rest else [])
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # closed while it was read
        finally:
            self._drained.set()

    async def _watch(self, process: Process) -> None:
        """Close the pipe of a process that has ended, since another one that it has started may hold it open."""
        await process.wait()
        self.is_broken = True  # also when it was idle, so that no invocation gets to it
        with anyio.move_on_after(_HEARD_PATIENCE):
            await self._drained.wait()
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        await process.stdout.aclose()

    def _log(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.endswith(HEARD):
                self._heard.set()
                line = line.removesuffix(HEARD)  # noqa: PLW2901 - what was printed without a line break
            if line and self._work is not None:
                self._work.log.write(line.decode(errors="backslashreplace"))

    async def _how_it_ended(self) -> str:
        """Say how the process has ended, in the words of Lambda's runtime."""
        assert self._process is not None  # noqa: S101 - it was started
        code = await self._process.wait()
        with anyio.move_on_after(_HEARD_PATIENCE):
            await self._drained.wait()
        if code in (KILLED, -signal.SIGKILL):
            return "signal: killed"
        return f"exit status {code}" if code >= 0 else f"signal: {signal.strsignal(-code)}".lower()

    async def aclose(self) -> None:
        """Kill the process with all that it has started, and see it gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            if not self.is_broken and process.stdin is not None:
                with anyio.move_on_after(_PATIENCE):
                    await process.stdin.aclose()  # the end of its input is the end of its lifespan
                    await process.wait()
            with suppress(ProcessLookupError, PermissionError):  # gone already
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.move_on_after(_PATIENCE):
                await process.wait()
                await self._drained.wait()
            await process.aclose()

    def peak_memory(self) -> int | None:
        """Give what the child has told of itself."""
        return self._peak


def _entry(told: dict[str, Any]) -> EventEntry:
    time = told["time"]
    return EventEntry(**told | {"time": None if time is None else datetime.fromisoformat(time)})
