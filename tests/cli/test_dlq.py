"""`eventrouter dlq`, on files as `route --dead-letters` writes them."""

import json

import pytest
from typer.testing import CliRunner

from eventrouter.cli._app import app
from tests.support import make_event

LAMBDA = "arn:aws:lambda:eu-west-1:111122223333:function:crm"


def line(n, rule="rule/orders", target=None, code="TARGET_ERROR", message=None, **attributes) -> str:
    arn = f"arn:aws:events:local:000000000000:{rule}"
    return json.dumps(
        {
            "body": make_event({"n": n}).to_dict(),
            "attributes": {
                "RULE_ARN": arn,
                "TARGET_ARN": target or f"{arn}/target/crm",
                "ERROR_CODE": code,
                "ERROR_MESSAGE": message or f"OSError: no answer for {n}",
                "RETRY_ATTEMPTS": "5",
                **attributes,
            },
        }
    )


@pytest.fixture
def letters(tmp_path):
    path = tmp_path / "dead.jsonl"
    lines = [
        line(1, EXHAUSTED_RETRY_CONDITION="MaximumRetryAttempts"),
        line(2),
        "",
        line(3, rule="rule/other/orders", target=LAMBDA, code="TIMEOUT", message="No answer within 5 s."),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(*arguments):
    result = CliRunner().invoke(app, ["dlq", *map(str, arguments)], env={"COLUMNS": "150"})
    return result.exit_code, result.output


def test_letters_are_listed_a_line_each(letters):
    code, output = run("list", letters)
    assert code == 1
    event = "6f0b1c1e-0000-4000-8000-000000000001"
    assert output.splitlines() == [
        f"TARGET_ERROR  orders -> crm  shop.orders, Order Placed, event {event}  OSError: no answer for 1",
        f"TARGET_ERROR  orders -> crm  shop.orders, Order Placed, event {event}  OSError: no answer for 2",
        f"TIMEOUT  other/orders -> {LAMBDA}  shop.orders, Order Placed, event {event}  No answer within 5 s.",
        "3 dead letters",
    ]


def test_letters_are_grouped_by_their_error(letters):
    code, output = run("groups", letters)
    assert code == 1
    header, _, first, second, *_ = [text for text in output.splitlines() if text.strip()]
    assert header.split() == ["letters", "target", "code", "error", "fingerprint"]
    assert first.split()[:5] == ["2", "orders", "->", "crm", "TARGET_ERROR"]
    assert "no answer for *" in first
    assert second.split()[0] == "1"
    fingerprint = first.split()[-1]
    assert "2 dead letters" in run("list", letters, "--fingerprint", fingerprint)[1]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--rule", "orders"], 3),
        (["--target", "crm"], 2),
        (["--target", LAMBDA], 1),
        (["--code", "TIMEOUT"], 1),
        (["--pattern", '{"detail": {"n": [{"numeric": [">", 1]}]}}'], 2),
        (["--pattern", '{"detail": {"n": [7]}}'], 0),
    ],
)
def test_options_choose_letters(letters, options, count):
    code, output = run("list", letters, *options)
    assert output.splitlines()[-1] == (f"{count} dead letters" if count != 1 else "1 dead letter")
    assert code == (1 if count else 0)
    assert run("groups", letters, *options)[0] == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "line 1, is no dead letter"),
        ('{"body": {}}', "attributes"),
        (line(1).replace("arn:aws:events:local", "arn:aws:s3:local"), "is not the ARN of a rule"),
        (line(1, EXHAUSTED_RETRY_CONDITION="Fatigue"), "'Fatigue'"),
        (line(1, RETRY_ATTEMPTS="many"), "invalid literal"),
        (line(1).replace('"source"', '"sauce"'), "Not an event"),
    ],
)
def test_what_is_no_dead_letter_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "dead.jsonl"
    path.write_text(text, encoding="utf-8")
    code, output = run("list", path)
    assert code == 2
    assert message in output


def test_a_file_that_is_not_there_and_a_pattern_that_is_none_are_refused(tmp_path, letters):
    assert run("groups", tmp_path / "none")[0] == 2
    code, output = run("list", letters, "--pattern", '{"a": 1}')
    assert code == 2
    assert "$.a" in output


def test_what_an_event_says_does_not_command_the_terminal(tmp_path):
    path = tmp_path / "dead.jsonl"
    path.write_text(line(1, message="\x1b[2J[red]gone"), encoding="utf-8")
    output = run("list", path)[1] + run("groups", path)[1]
    assert "\x1b" not in output
    assert "[red]gone" in output
