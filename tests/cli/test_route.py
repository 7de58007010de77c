"""`eventrouter route`, as a person or a pipe uses it."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from rich.console import Console
from typer.testing import CliRunner

from eventrouter import Delivery, Dropped, InvalidEventError, Ledger, Postponed, Subscription
from eventrouter.__main__ import main
from eventrouter.cli import _lines, _route, app
from eventrouter.cli._report import Reporter, Tally, make_console, print_summary, printable
from tests.support import NOON, make_event, make_router
from tests.virtual_time import real_time_backends

RULES = {
    "Rules": [
        {
            "Name": "large",
            "EventPattern": {"source": ["shop"], "detail": {"n": [{"numeric": [">", 1]}]}},
            "Targets": [
                {"Id": "stand-in", "Arn": "arn:aws:sns:eu-west-1:1:topic"},
                {
                    "Id": "charge",
                    "Arn": "arn:aws:lambda:eu-west-1:1:function:charge-order",
                    "RetryPolicy": {"MaximumRetryAttempts": 0},
                    "DeadLetterConfig": {"Arn": "arn:aws:sqs:eu-west-1:1:failed"},
                },
            ],
        },
        {"Name": "logs", "EventPattern": {"source": ["log"]}, "Targets": [{"Id": "audit", "Arn": "arn:aws:events:eu-west-1:1:event-bus/audit"}]},
        {"Name": "all", "EventBusName": "audit", "EventPattern": {"source": [{"prefix": ""}]}},
    ]
}  # fmt: skip
FUNCTIONS = """
    import neighbour
    def charge_order(event):
        if event.detail["n"] == 13:
            raise ValueError("unlucky")
"""


def event(n, **changes) -> str:
    envelope = {
        "id": f"id-{n}",
        "time": "2026-03-01T00:00:00Z",
        "source": "shop",
        "detail-type": "T",
        "detail": {"n": n},
    }
    return json.dumps({key: value for key, value in (envelope | changes).items() if value is not None})


@pytest.fixture(params=real_time_backends(), ids=lambda backend: backend[0])
def anyio_backend(request):
    """Lines are read in threads, which need real time."""
    return request.param


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "rules.json").write_text(json.dumps(RULES))
    (tmp_path / "functions.py").write_text(textwrap.dedent(FUNCTIONS))
    (tmp_path / "neighbour.py").write_text("")
    for module in ("functions", "neighbour"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def route(*arguments, lines=('{"MESSAGE": "x"}',)):
    Path("events.jsonl").write_text("\n".join(lines))
    return CliRunner().invoke(app, ["route", "rules.json", "events.jsonl", *arguments])


def test_each_delivery_is_printed_then_the_sums(files):
    result = route(lines=[event(1), event(2), event(3)])
    assert result.exit_code == 0
    assert "delivered   large -> stand-in  shop, T, event id-2, attempt 1\n" in result.stdout
    assert result.stdout.endswith("3 events\n4 deliveries: 4 delivered, 0 dead-lettered, 0 unfinished; 0 retries\n")
    rows = {tuple(line.split()) for line in result.stdout.splitlines()}
    assert ("large", "stand-in", "2", "2", "0", "0", "0") in rows
    assert ("audit/all", "(none)", "-", "-", "-", "-", "-") in rows


def test_quiet_prints_the_sums_alone(files):
    result = route("--quiet", lines=[event(2)])
    assert "delivered   large" not in result.stdout
    assert "1 events" in result.stdout


def test_what_fails_is_kept_in_a_file_and_told_by_the_exit_code(files):
    result = route("--functions", "functions.py", "--dead-letters", "dead.jsonl", lines=[event(2), event(13)])
    assert result.exit_code == 1
    assert "dead letter large -> charge  shop, T, event id-13, attempt 1  ValueError: unlucky (Maximum" in result.stdout
    [letter] = map(json.loads, Path("dead.jsonl").read_text().splitlines())
    assert letter["body"]["id"] == "id-13"
    assert letter["attributes"]["TARGET_ARN"] == "arn:aws:lambda:eu-west-1:1:function:charge-order"
    assert letter["attributes"]["ERROR_MESSAGE"] == "ValueError: unlucky"


def test_what_is_in_queues_is_summed_up(files):
    rules = {
        "Rules": RULES["Rules"],
        "Queues": [{"QueueName": "failed"}],
    }
    (files / "rules.json").write_text(json.dumps(rules))
    result = route("--functions", "functions.py", lines=[event(2), event(13)])
    assert result.exit_code == 1
    assert result.stdout.endswith(
        "5 deliveries: 4 delivered, 1 dead-lettered, 0 unfinished; 0 retries\nqueue failed: 1 message\n"
    )


def test_retries_are_printed_with_their_wait(files):
    rules = json.loads(json.dumps(RULES))
    rules["Rules"][0]["Targets"][1]["RetryPolicy"] = {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60}
    Path("rules.json").write_text(json.dumps(rules))
    result = route("--functions", "functions.py", lines=[event(13)])
    assert "retry       large -> charge" in result.stdout
    assert "ValueError: unlucky; next attempt in 0." in result.stdout


def test_malformed_lines_are_told_with_their_numbers_and_disturb_nothing(files):
    lines = [
        "",
        "no json",
        event(2),
        "[1]",
        event(3, source=None),
        event(4, source=""),
        event(5, detail=[]),
        event(6, time="x"),
        "[" * 100_000,
    ]
    result = route(lines=lines)
    assert result.exit_code == 1
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        f"events.jsonl:{n}" for n in (2, 4, 5, 6, 7, 8, 9)
    ]
    assert "events.jsonl:5: Not an event: Object missing required field `source`." in result.stderr
    assert "7 malformed: line 2, 4, 5, 6, 7, 8, 9\n" in result.stdout
    assert "1 events\n" in result.stdout


def test_many_malformed_lines_are_summed_up(files):
    assert "12 malformed: line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more\n" in route(lines=["x"] * 12).stdout


def test_plain_objects_are_wrapped_as_log_pipes_need(files):
    journal = '{"MESSAGE": "started", "_PID": "1", "__REALTIME_TIMESTAMP": "1"}'
    result = route("--source", "log", lines=[journal])
    assert result.exit_code == 0
    assert "delivered   logs -> audit  log, Log Line, event " in result.stdout
    assert "1 events, 1 of them plain lines\n" in result.stdout
    other = route("--source", "journal", "--detail-type", "Entry", lines=[journal])
    assert "0 deliveries" in other.stdout


def test_an_event_without_id_and_time_is_given_them_and_keeps_its_numbers():
    made, was_wrapped = _lines.read_event(
        b' {"source":"aws.ec2","detail-type":"T","detail":{"price":10.10}} ', "log", "L"
    )
    assert (made.source, bytes(made.detail_json), was_wrapped) == ("aws.ec2", b'{"price":10.10}', False)
    assert len(made.id) == 36
    kept, _ = _lines.read_event(event(1).encode(), "log", "L")
    assert kept.id == "id-1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--functions", "nothing.py"], "There is no file nothing.py"),
        (["--functions", "no_such_module"], "no_such_module cannot be imported: ModuleNotFoundError"),
        (["--functions", "neighbour.py"], "has no function charge_order at $.Rules[0].Targets[1] (it has none)"),
        (["--dead-letters", "no/such/folder"], "No such file or directory"),
        (["--drain-timeout", "-1"], "drain-timeout"),
    ],
    ids=["no file", "no module", "no function", "no folder", "option"],
)
def test_unusable_arguments_are_exit_code_2(files, arguments, message):
    result = route(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", "")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            '{"Rules": [{"Name": "a"}]}',
            "A rule has an EventPattern, a ScheduleExpression, or both at $.Rules[0] (write one)",
        ),
        ("{", "rules.json cannot be read: Expecting property name enclosed in double quotes: line 1 column 2"),
    ],
)
def test_an_unusable_rules_file_is_exit_code_2(files, rules, message):
    Path("rules.json").write_text(rules)
    result = route()
    assert (result.exit_code, message in result.stderr) == (2, True)


def test_a_missing_events_file_is_exit_code_2(files):
    result = CliRunner().invoke(app, ["route", "rules.json", "nowhere.jsonl"])
    assert (result.exit_code, "nowhere.jsonl" in result.stderr) == (2, True)


def test_functions_may_be_a_module_and_a_file_target_gets_its_lines(files):
    rules = {"Rules": [{"Name": "r", "EventPattern": {"source": ["shop"]}, "Targets": [
        {"Id": "f", "Arn": "arn:aws:lambda:eu-west-1:1:function:charge_order:live"},
        {"Id": "copy", "Arn": "file:copy.jsonl"},
    ]}]}  # fmt: skip
    Path("rules.json").write_text(json.dumps(rules))
    result = route("--functions", "functions", lines=[event(2)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(Path("copy.jsonl").read_text())["id"] == "id-2"


def test_targets_receive_the_inputs_of_the_rules_file(files):
    template = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '"order <n>"'}
    targets = [
        {"Id": "f", "Arn": "file:out.jsonl", "InputTransformer": template},
        {"Id": "g", "Arn": "arn:aws:lambda:eu-west-1:1:function:shout", "InputPath": "$.detail.n"},
    ]
    Path("rules.json").write_text(
        json.dumps([{"Name": "all", "EventPattern": {"source": ["shop"]}, "Targets": targets}])
    )
    Path("shouting.py").write_text("def shout(value): print('value', value)")
    result = route("--functions", "shouting.py", lines=[event(7)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "value 7\n" in result.stdout
    assert Path("out.jsonl").read_text() == '"order 7"\n'


def test_a_target_that_asks_for_a_pause_is_shown():
    console = Console(file=io.StringIO(), width=200)
    delivery = Delivery(1, Subscription("bus", "r", "t"), make_event(), 1, NOON, 0, 1)
    Reporter(console, None)._report(Postponed(delivery, NOON, "THROTTLING", "closed"))
    assert console.file.getvalue().startswith("throttled   bus/r -> t  ")
    assert "closed; next attempt in" in console.file.getvalue()


def test_a_target_that_fails_without_a_dead_letter_queue_is_shown():
    console = Console(file=io.StringIO(), width=200)
    delivery = Delivery(1, Subscription("bus", "r", "t"), make_event(), 1, NOON, 0, 1)
    Reporter(console, None)._report(Dropped(delivery, "E", "gone"))
    assert console.file.getvalue().startswith("dropped     bus/r -> t  shop.orders, Order Placed, event ")
    assert console.file.getvalue().endswith("attempt 1  gone\n")


def test_control_characters_of_events_do_not_reach_the_terminal():
    assert printable("a\x1b[31m\nü") == "a\\x1b[31m\\nü"


def test_an_interruption_ends_the_reading_and_prints_the_sums(files):
    Path("functions.py").write_text(
        "import os, signal\ndef charge_order(event):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    read_end, write_end = os.pipe()
    os.write(write_end, event(2).encode() + b"\n")
    original = os.dup(0)
    os.dup2(read_end, 0)
    try:
        code = subprocess_like("-", "--functions", "functions.py")
    finally:
        os.dup2(original, 0)
        for descriptor in (original, read_end, write_end):
            os.close(descriptor)
    assert code == 0


def subprocess_like(*arguments) -> int:
    """Run the command in this process, so that coverage sees it, on this process's own standard input."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["eventrouter", "route", "rules.json", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
    return caught.value.code


def test_a_second_interruption_ends_everything(files):
    Path("functions.py").write_text(
        "import os, signal, time\n"
        "async def charge_order(event):\n"
        "    import anyio\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await anyio.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await anyio.sleep(3600)\n"
    )
    result = route("--functions", "functions.py", lines=[event(2)])
    assert result.exit_code == 1
    assert "1 unfinished" in result.stdout


async def test_a_long_run_shows_its_progress_on_a_terminal():
    router = make_router()
    run = _route._Run(None, router, 0, 1_000, Tally(events=1_234), 500)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with anyio.move_on_after(_route.PATIENCE + 0.35):
        await run._show_progress(console)
    assert "1,234 events" in console.file.getvalue()


async def test_the_terminal_gets_a_progress_task(files, monkeypatch):
    """Only a terminal does; that it appears after a moment is told above."""
    shown = []

    async def show(self, terminal):
        shown.append(terminal)

    monkeypatch.setattr(_route._Run, "_show_progress", show)
    (files / "events.jsonl").write_text(event(2))
    with open(files / "events.jsonl", "rb") as file:
        options = _route.Options(
            rules=Path("rules.json"), events="events.jsonl", functions=None, dead_letters=None, quiet=True,
            source="log", detail_type="L", drain_timeout=None,
        )  # fmt: skip
        run = _route._Run(options, make_router(), file.fileno(), 1)
        monkeypatch.setattr(_route, "_heed_signals", lambda *_: anyio.lowlevel.checkpoint())
        await run.until_the_end(Console(file=io.StringIO(), force_terminal=True))
    assert len(shown) == 1


def test_a_terminal_keeps_its_own_width(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "70")
    assert make_console().width == 70
    monkeypatch.delenv("FORCE_COLOR")
    assert make_console().width == 200


def test_the_summary_of_nothing():
    console = Console(file=io.StringIO(), width=200)
    print_summary(console, Tally(), [], Ledger())
    assert "0 events\n0 deliveries" in console.file.getvalue()


def start(files, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "eventrouter", "route", "rules.json", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=files, env=environment, **pipes, **options)


def test_a_live_pipe_is_routed_line_by_line(files):
    """Each line is delivered before the next is written, and an interruption prints the sums."""
    with start(files, "-") as process:
        for n in (2, 3):
            process.stdin.write(event(n) + "\n")
            process.stdin.flush()
            delivered = {process.stdout.readline() for _ in range(2)}
            assert all(f"event id-{n}, " in line for line in delivered)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "2 events\n4 deliveries: 4 delivered" in output


def test_a_pipe_that_ends_ends_the_run(files):
    with start(files, "-", "--quiet") as process:
        output, _ = process.communicate(event(2) + "\nbroken")
    assert process.returncode == 1
    assert "1 malformed: line 2\n" in output


async def collect(descriptor):
    return [line async for batch in _lines.read_lines(descriptor) for line in batch]


async def test_lines_are_numbered_whether_or_not_the_last_one_ends(tmp_path):
    path = tmp_path / "lines"
    for text in (b"a\n\nb\n", b"a\n\nb"):
        path.write_bytes(text)
        with path.open("rb") as file:
            assert await collect(file.fileno()) == [(1, b"a"), (2, b""), (3, b"b")]


async def test_lines_without_end_are_cut_and_refused(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"a" * 3 * _lines.MAXIMUM_LINE + b"\nshort\nlast")
    with path.open("rb") as file:
        lines = await collect(file.fileno())
    assert [(number, len(line)) for number, line in lines][1:] == [(2, 5), (3, 4)]
    assert len(lines[0][1]) <= _lines.MAXIMUM_LINE + _lines._CHUNK + 1
    with pytest.raises(InvalidEventError, match="longer than 1,048,576 bytes"):
        _lines.read_event(lines[0][1], "log", "L")


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_its_extra_the_command_says_how_to_get_it(module, tmp_path):
    code = f"import sys; sys.modules[{module!r}] = None; from eventrouter.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "The command line needs the 'cli' extra: pip install 'eventrouter[cli]'\n"


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_its_extra_the_command_ends_with_code_2(module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "the 'cli' extra" in capsys.readouterr().err
