"""`eventrouter graph`."""

import json

import pytest
from typer.testing import CliRunner

from eventrouter.cli import app

RULES = {
    "Rules": [
        {
            "Name": "orders",
            "EventPattern": {"source": ["shop"]},
            "Targets": [{"Id": "log", "Arn": "arn:aws:lambda:us-east-1:000000000000:function:charge"}],
        },
        {"Name": "tidy", "EventPattern": {"source": ["cron"]}, "Targets": [{"Id": "log", "Arn": "file:tidy.jsonl"}]},
    ]
}


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.json").write_text(json.dumps(RULES))

    def run(*arguments):
        return CliRunner().invoke(app, ["graph", "rules.json", *arguments])

    return run


def test_text_shows_the_parts_and_then_what_is_found(graph):
    result = graph("--publishes", '{"source": ["shop"]}', "--publishes", '{"source": ["other"]}')
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert 'event type {"source":["shop"]}  pattern: {"source":["shop"]}' in lines
    assert lines[-2:] == [
        'warning: no rule of bus default takes {"source":["other"]} [nobody-takes]',
        "warning: no event that is put can match rule tidy [nobody-feeds]",
    ]


def test_without_warnings_the_exit_code_is_0(graph):
    result = graph()
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("bus default  one event becomes 2 deliveries at most\n")


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("mermaid", "flowchart LR\n"), ("dot", "digraph topology {\n"), ("html", "<!doctype html>\n"), ("json", "{")],
)
def test_other_forms_are_printed_or_written_to_a_file(graph, tmp_path, form, beginning):
    printed = graph("--format", form)
    assert printed.exit_code == 0
    assert printed.stdout.startswith(beginning)
    written = graph("--format", form, "--output", "drawn", "--publishes", '{"source": ["x"]}')
    assert written.exit_code == 1
    assert (tmp_path / "drawn").read_text().startswith(beginning)
    assert written.stdout == ""
    assert "takes" in written.stderr


def test_a_drawing_is_not_mixed_with_findings(graph):
    result = graph("--format", "dot", "--publishes", '{"source": ["x"]}')
    assert result.stdout.endswith("}\n")
    assert "[nobody-takes]" in result.stderr


def test_traffic_is_read_from_json_lines(graph, tmp_path):
    (tmp_path / "events.jsonl").write_text('{"source": "shop", "detail-type": "x", "detail": {}}\n\n{"plain": 1}\n')
    result = graph("--traffic", "events.jsonl")
    assert "2 events became 0.50 on average, 1 at most" in result.stdout
    assert "takes 1 of the events, 'Log Line' from 'log'" in result.stdout


def test_a_line_that_is_no_event_is_named(graph, tmp_path):
    (tmp_path / "events.jsonl").write_text('{"a": 1}\nnonsense\n')
    result = graph("--traffic", "events.jsonl")
    assert result.exit_code == 2
    assert result.stderr.startswith("eventrouter: events.jsonl, line 2: Not a JSON object")


def test_a_router_is_named_by_its_module(graph, tmp_path):
    (tmp_path / "shop.py").write_text("import eventrouter\nrouter = eventrouter.EventRouter()\n")
    result = CliRunner().invoke(app, ["graph", "shop.py:router"])
    assert result.exit_code == 1
    assert "bus default has no rules" in result.stdout
