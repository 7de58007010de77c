"""The other side of a process, run in this one, so that what it does is seen."""

import io
import os
import resource
import struct
import threading
from pathlib import Path

import msgspec
import pytest

from eventrouter.functions import _child
from eventrouter.functions._process import HEARD, KILLED

FACTS = {
    "aws_request_id": "id",
    "function_name": "f",
    "function_version": "$LATEST",
    "invoked_function_arn": "arn",
    "memory_limit_in_mb": None,
    "log_group_name": "group",
    "log_stream_name": "stream",
    "identity": {"principal": None},
    "client_context": None,
}


class Parent:
    """Speaks with a child that is a thread."""

    def __init__(self, function="echo", **order):
        child_reads, self._write = os.pipe()
        self._read, child_writes = os.pipe()
        self._heard = os.fdopen(child_writes, "wb")
        parent = _child._Parent(os.fdopen(child_reads, "rb"), self._heard)
        self.thread = threading.Thread(target=_child.serve, args=(parent,))
        self.thread.start()
        handler = f"tests.functions.handlers:{function}"
        self.send({"handler": handler, "lifespan": None, "memory": None} | order)

    def send(self, frame):
        text = msgspec.json.encode(frame)
        os.write(self._write, struct.pack(">I", len(text)) + text)

    def receive(self):
        head = os.read(self._read, 4)
        return msgspec.json.decode(os.read(self._read, struct.unpack(">I", head)[0]))

    def invoke(self, payload):
        self.send({"payload": payload, "facts": FACTS, "seconds": 3})
        return self.receive()

    def close(self):
        os.close(self._write)
        self.thread.join(10)
        assert not self.thread.is_alive()
        self._heard.close()
        os.close(self._read)


def test_it_serves_until_its_input_ends(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("EVENTROUTER_TEST_LIFESPAN", str(tmp_path / "lifespan"))
    parent = Parent("use", lifespan="tests.functions.handlers:lifespan")
    assert set(parent.receive()) == {"result", "peak"}
    assert parent.invoke({})["result"] is None
    parent.send({"payload": {"put": "shop"}, "facts": FACTS, "seconds": 3})
    asked = parent.receive()
    assert (asked["call"], asked["options"]) == ("put_events", {})
    assert asked["arguments"][0][0]["detail"] == {"ok": True}
    parent.send({"answer": [{"event_id": "e", "success_code": "PUBLISHED"}]})
    assert parent.receive()["result"] == {"id": "e", "code": None}
    for answer, kind in (({"refused": "no"}, "NotAuthorizedError"), ({"failed": "X: y"}, "RuntimeError")):
        parent.send({"payload": {"call": "g"}, "facts": FACTS, "seconds": 3})
        assert parent.receive()["arguments"] == ["g", {"n": 1}]
        parent.send(answer)
        assert parent.receive()["error"]["errorType"] == kind
    parent.close()
    assert (tmp_path / "lifespan").read_text() == "enter leave "
    assert capfd.readouterr().err.count(HEARD.decode()) == 5


@pytest.mark.parametrize(
    ("function", "payload", "told"),
    [
        ("fail", None, ("ValueError", "TARGET_ERROR", False, None)),
        ("give_up", None, ("PermanentDeliveryError", "PERMANENT_ERROR", True, None)),
        ("later", 2.5, ("DeliveryError", "TARGET_ERROR", False, 2.5)),
        ("odd", None, ("Runtime.MarshalError", "TARGET_ERROR", False, None)),
    ],
)
def test_it_tells_of_errors(function, payload, told, capfd):
    parent = Parent(function)
    parent.receive()
    error = parent.invoke(payload)["error"]
    assert (error["errorType"], error["errorCode"], error["isPermanent"], error["retryAfter"]) == told
    parent.close()


def test_what_it_cannot_find_is_told():
    assert _child.find("tests.functions.declared:shout")("a", None) == "A"
    with pytest.raises(_child.ImportModuleError, match=r"Unable to import module 'no\.such'"):
        _child.find("no.such:thing")
    with pytest.raises(_child.HandlerNotFoundError, match="Handler 'thing' missing on module"):
        _child.find("tests.functions.declared:thing")


def test_out_of_memory_it_ends_at_once_as_if_it_were_killed(monkeypatch):
    class EndedError(BaseException):
        """Stands for the end of the process."""

    def end(code):
        raise EndedError(code)

    def grow():
        raise MemoryError

    monkeypatch.setattr(os, "_exit", end)
    parent = _child._Parent(io.BytesIO(), io.BytesIO())
    with pytest.raises(EndedError, match=str(KILLED)):
        parent.answer(grow)


def test_it_ends_with_its_parent_in_the_midst_of_an_invocation(monkeypatch):
    ended = threading.Event()
    codes = []

    def end(code):
        codes.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    read, write = os.pipe()
    parent = _child._Parent(os.fdopen(read, "rb"), io.BytesIO())

    def work():
        os.close(write)
        assert ended.wait(10)

    parent.answer(work)
    assert codes == [1]


def test_it_limits_its_memory_before_it_imports_anything(monkeypatch, capfd):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, values: limits.append((what, values)))
    parent = Parent(memory=128)
    parent.receive()
    parent.close()
    assert limits == [(resource.RLIMIT_DATA, (128 * 1024 * 1024,) * 2)]


def test_what_it_prints_goes_to_standard_error(monkeypatch):
    """Standard input and output are the parent's; a function must neither read nor write there."""
    read, write = os.pipe()
    unheard, answers = os.pipe()
    os.close(write)
    moved = []
    monkeypatch.setattr(os, "dup", {0: read, 1: answers}.get)
    monkeypatch.setattr(os, "dup2", lambda of, to: moved.append((of, to)))
    monkeypatch.setattr(_child, "serve", lambda parent: moved.append(parent.receive()))
    _child.main()
    assert [to for _, to in moved[:2]] == [0, 1]
    assert moved[1:] == [(2, 1), None]
    os.close(unheard)


def test_its_memory_is_known_without_proc_too(monkeypatch):
    assert _child._peak() > 10

    def fail(self):
        raise OSError

    monkeypatch.setattr(Path, "read_text", fail)
    assert _child._peak() > 10


def test_a_parent_that_says_nothing_is_served_nothing():
    _child.serve(_child._Parent(io.BytesIO(), io.BytesIO()))
