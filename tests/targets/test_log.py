"""Targets that write events down."""

import errno
import json
import logging
import resource
import signal

import pytest

from eventrouter import InputPath, InputTransformer, JsonLinesTarget, LogTarget, RetryPolicy
from tests.support import make_router, order, seconds
from tests.virtual_time import real_time_backends


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Files are written in threads, which need real time."""
    return request.param


async def deliver(*targets, entries=None):
    async with make_router(*targets, clock=None) as router:
        results = await router.put_events(entries or [order(n=1)])
        await router.settle_down()
    return [result.event_id for result in results], router


async def test_a_log_target_writes_the_events_json(caplog):
    with caplog.at_level(logging.INFO):
        [event_id], _ = await deliver(LogTarget(id="t"), LogTarget(id="u", logger="mine", level=logging.WARNING))
    records = {record.name: record for record in caplog.records if record.name in ("eventrouter.events", "mine")}
    assert {name: record.levelno for name, record in records.items()} == {
        "eventrouter.events": logging.INFO,
        "mine": logging.WARNING,
    }
    assert json.loads(records["mine"].message)["id"] == event_id
    assert records["mine"].event.id == event_id


@pytest.mark.parametrize("fsync", [False, True])
async def test_json_lines_are_appended_whole(tmp_path, fsync):
    path = tmp_path / "events.jsonl"
    path.write_text("before\n")
    targets = [JsonLinesTarget(id=name, path=path, fsync=fsync) for name in ("a", "b")]
    ids, _ = await deliver(*targets, entries=[order(n=n, text="a\nb" * 100) for n in range(50)])
    before, *lines = path.read_text().splitlines()
    assert before == "before"
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(ids * 2)


async def test_what_is_written_is_the_input_if_there_is_one(caplog, tmp_path):
    path = tmp_path / "events.jsonl"
    shaped = InputTransformer('{\n  "n": <n>\n}', {"n": "$.detail.n"})
    with caplog.at_level(logging.INFO):
        await deliver(LogTarget(id="t", input=InputPath("$.detail")), JsonLinesTarget(id="u", path=path, input=shaped))
    assert [record.message for record in caplog.records if record.name == "eventrouter.events"] == ['{"n":1}']
    assert path.read_text() == '{   "n": 1 }\n'


async def test_a_file_that_cannot_be_opened_is_a_failed_attempt(tmp_path):
    target = JsonLinesTarget(id="t", path=tmp_path / "no" / "x", retry_policy=RetryPolicy(maximum_retry_attempts=0))
    _, router = await deliver(target)
    [letter] = await router.dead_letters()
    assert "FileNotFoundError" in letter.error_message


async def test_a_line_that_does_not_fit_the_disk_leaves_nothing_of_itself(tmp_path):
    """A real full file system is played by the kernel's file size limit, which cuts the same write short."""
    path = tmp_path / "events.jsonl"
    path.write_text("x" * 100 + "\n")
    policy = RetryPolicy(maximum_retry_attempts=0, base_delay=seconds(0.01))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        _, router = await deliver(JsonLinesTarget(id="t", path=path, retry_policy=policy))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    [letter] = await router.dead_letters()
    assert f"[Errno {errno.EFBIG}]" in letter.error_message
    assert path.read_text() == "x" * 100 + "\n"
