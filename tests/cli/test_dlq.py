"""`eventrouter dlq`, on files as `route --dead-letters` writes them."""

import json
import re

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
    header, *lines, count = output.splitlines()
    assert re.split("  +", header)[2:] == ["target", "code", "retries", "event", "source", "detail-type", "error"]
    assert [re.split("  +", text.strip()) for text in lines] == [
        [
            "1",
            "-",
            "orders -> crm",
            "TARGET_ERROR",
            "5",
            event,
            "shop.orders",
            "Order Placed",
            "OSError: no answer for 1",
        ],
        [
            "2",
            "-",
            "orders -> crm",
            "TARGET_ERROR",
            "5",
            event,
            "shop.orders",
            "Order Placed",
            "OSError: no answer for 2",
        ],
        [
            "4",
            "-",
            f"other/orders -> {LAMBDA}",
            "TIMEOUT",
            "5",
            event,
            "shop.orders",
            "Order Placed",
            "No answer within 5 s.",
        ],
    ]
    assert count == "3 dead letters"
    assert len({text.index("shop.orders") for text in lines}) == 1  # aligned


def test_letters_are_grouped_by_their_error(letters):
    code, output = run("groups", letters)
    assert code == 1
    header, first, second, total = output.splitlines()
    assert re.split("  +", header) == ["letters", "target", "code", "fingerprint", "last (UTC)", "error"]
    count, target, error_code, fingerprint, last, error = re.split("  +", first.strip())
    assert (count, target, error_code, last, error) == (
        "2",
        "orders -> crm",
        "TARGET_ERROR",
        "-",
        "OSError: no answer for *",
    )
    assert second.split()[0] == "1"
    assert total == "3 dead letters in 2 groups"
    assert "2 dead letters" in run("list", letters, "--fingerprint", fingerprint)[1]


def test_pages_of_a_file_follow_one_another(letters):
    code, output = run("list", letters, "--limit", 2)
    assert (code, output.splitlines()[-2:]) == (1, ["2 dead letters", "There are more: --after 2"])
    assert run("list", letters, "--after", 2)[1].splitlines()[-1] == "1 dead letter"


def test_a_letter_is_shown_with_all_that_the_file_has_of_it(letters):
    code, output = run("show", letters, 4)
    assert code == 0
    shown = dict(re.split("  +", text, maxsplit=1) for text in output.splitlines())
    assert shown["error_message"] == "No answer within 5 s."
    assert json.loads(shown["event"])["detail"] == {"n": 3}
    assert {"queue", "given up"} & shown.keys() == set()
    code, output = run("show", letters, 3)
    assert (code, output) == (1, f"{letters} has no dead letter 3; it may have been redriven or purged\n")


def test_what_is_printed_as_json_can_be_read_again(letters, tmp_path):
    lines = [json.loads(text) for text in run("list", letters, "--json")[1].splitlines()]
    assert [(item["id"], item["rule_name"], item["attributes"]["ERROR_CODE"]) for item in lines] == [
        (1, "orders", "TARGET_ERROR"),
        (2, "orders", "TARGET_ERROR"),
        (4, "orders", "TIMEOUT"),
    ]
    again = tmp_path / "again.jsonl"
    again.write_text("\n".join(map(json.dumps, lines)))
    assert [json.loads(text)["body"] for text in run("list", again, "--json")[1].splitlines()] == [
        item["body"] for item in lines
    ]
    first, _ = [json.loads(text) for text in run("groups", letters, "--json")[1].splitlines()]
    assert (first["count"], first["target_id"], first["example"]["id"]) == (2, "crm", 2)
    assert "first_at" not in first
    assert json.loads(run("show", letters, 1, "--json")[1]) == lines[0]


@pytest.mark.parametrize("options", [["--queue", "q"], ["--since", "2026-01-01"], ["--until", "2026-01-01"]])
def test_a_file_does_not_know_queues_and_times(letters, options):
    code, output = run("list", letters, *options)
    assert code == 2
    assert "does not say in which queue they were or when" in output


@pytest.mark.parametrize("command", ["redrive", "purge"])
def test_letters_of_a_file_are_only_looked_at(letters, command):
    code, output = run(command, letters, "--all")
    assert code == 2
    assert "is a file of dead letters; those of a store can be" in output


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
