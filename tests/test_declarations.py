"""Rules files."""

import json
import sys
from datetime import timedelta

import pytest

from eventrouter import (
    DeadLetterQueue,
    EventRouter,
    Input,
    InputPath,
    InputTransformer,
    InvalidRuleError,
    LogTarget,
    MissingExtraError,
    Pattern,
    RetryPolicy,
)
from eventrouter.declarations import load_rules

RULE = {"Name": "a", "EventPattern": {"source": ["x"]}}
TARGET = {"Id": "t", "Arn": "arn:x"}


@pytest.fixture
def load(tmp_path):
    def write_and_load(document, suffix=".json"):
        path = tmp_path / f"rules{suffix}"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return load_rules(path)

    return write_and_load


TOML = """
[[Rules]]
Name = "a"
EventPattern = '{"source": ["x"]}'
State = "DISABLED"
[[Rules.Targets]]
Id = "t"
Arn = "arn:x"
"""
YAML = """
Rules:
  - Name: a
    EventPattern: {source: [x]}
    State: DISABLED
    Targets:
      - {Id: t, Arn: "arn:x"}
"""
JSON = json.dumps({"Rules": [RULE | {"State": "DISABLED", "Targets": [TARGET]}]})


@pytest.mark.parametrize(
    ("text", "suffix"),
    [(JSON, ".json"), (TOML, ".toml"), (YAML, ".yaml"), (YAML, ".yml")],
    ids=["json", "toml", "yaml", "yml"],
)
def test_the_formats_say_the_same(load, text, suffix):
    [(rule, pattern)] = load(text, suffix).rules
    assert (rule.name, rule.state, str(pattern)) == ("a", "DISABLED", '{"source":["x"]}')
    assert [(target.id, target.arn) for target in rule.targets] == [("t", "arn:x")]


def test_everything_aws_writes_is_read(load):
    """What `describe-rule` and `list-targets-by-rule` answer, put together, is a rules file."""
    described = RULE | {"EventPattern": '{"source":["x"]}', "Arn": "arn:r", "State": "ENABLED", "EventBusName": "orders", "CreatedBy": "1", "RoleArn": "arn:role"}  # fmt: skip
    target = TARGET | {
        "RoleArn": "arn:role",
        "EcsParameters": {"TaskCount": 1},
        "SqsParameters": {"MessageGroupId": "g"},
    }
    policies = {
        "RetryPolicy": {"MaximumRetryAttempts": 7, "MaximumEventAgeInSeconds": 3600},
        "DeadLetterConfig": {"Arn": "arn:q"},
    }
    file = load([described | {"Targets": [target | policies, TARGET | {"Id": "u"}]}])
    [(rule, pattern)] = file.rules
    assert (rule.name, rule.event_bus_name, pattern) == ("a", "orders", Pattern.parse({"source": ["x"]}))
    assert rule.targets[0].options() == {
        "retry_policy": RetryPolicy(maximum_retry_attempts=7, maximum_event_age=timedelta(hours=1)),
        "dead_letter_queue": DeadLetterQueue("arn:q"),
        "input": None,
    }
    assert rule.targets[1].options() == {
        "retry_policy": RetryPolicy(),
        "dead_letter_queue": DeadLetterQueue(),
        "input": None,
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, '"Rules" is required at $.Rules'),
        (5, "Input should be"),
        ([{"EventPattern": {}}], '"Name" is required at $.Rules[0].Name'),
        ([RULE | {"EventPatern": {}}], 'Unknown key "EventPatern" at $.Rules[0].EventPatern (did you mean "EventPattern"?)'),
        ([RULE | {"Zzz": 1}], "(the keys here are Name, EventPattern, ScheduleExpression, ScheduleExpressionTimezone, State,"),
        ([RULE | {"Targets": [TARGET | {"Inputs": "{}"}]}], 'Unknown key "Inputs" at $.Rules[0].Targets[0].Inputs (did you mean "Input"?)'),
        ([RULE | {"Targets": [TARGET | {"RetryPolicy": {"MaximumRetries": 1}}]}], "(did you mean"),
        ([RULE | {"Targets": [TARGET | {"DeadLetterConfig": {"Queue": 1, "X": 1}}]}], "2 more problems in the file"),
        ({"Rulez": []}, 'Unknown key "Rulez" at $.Rulez (did you mean "Rules"?)'),
        ([RULE | {"Targets": [TARGET | {"RetryPolicy": {"MaximumRetryAttempts": 186}}]}], "less than or equal to 185 at $.Rules[0].Targets[0].RetryPolicy.MaximumRetryAttempts"),
        ([RULE | {"Targets": [TARGET | {"RetryPolicy": {"MaximumEventAgeInSeconds": 59}}]}], "greater than or equal to 60"),
        ([RULE | {"Targets": [{"Id": "t", "Arn": ""}]}], "at least 1 character"),
        ([RULE | {"State": "ON"}], "'ENABLED' or 'DISABLED' at $.Rules[0].State"),
        ([RULE | {"EventPattern": 5}], "An event pattern is an object, or the JSON text of one; 1 more problem"),
        ([RULE | {"EventPattern": {"a": "x"}}], '"a" must be an object or an array at $.Rules[0].EventPattern.a (write ["x"])'),
        ([RULE | {"EventPattern": "{"}], "at $.Rules[0].EventPattern"),
        ([RULE, RULE], "There are two rules a on bus default at $.Rules[1].Name (give one another name)"),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(load, document, message):
    with pytest.raises(InvalidRuleError) as caught:
        load(document)
    assert message in str(caught.value)


TEMPLATE = {"InputPathsMap": {"id": "$.detail.id"}, "InputTemplate": '{"id": <id>}'}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"Input": '{"a": 1}'}, Input('{"a": 1}')),
        ({"InputPath": "$.detail"}, InputPath("$.detail")),
        ({"InputTransformer": TEMPLATE}, InputTransformer('{"id": <id>}', {"id": "$.detail.id"})),
        ({"InputTransformer": {"InputTemplate": '"x"'}}, InputTransformer('"x"')),
        ({}, None),
    ],
)
def test_the_input_of_a_target_is_read(load, written, expected):
    [(rule, _)] = load([RULE | {"Targets": [TARGET | written]}]).rules
    assert rule.targets[0].options()["input"] == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"Input": "{}", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer must be provided for target t. at $.Rules[0].Targets[1]"),
        ({"InputTransformer": TEMPLATE, "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer must be provided for target t."),
        ({"Input": "{"}, "Input for target t is not a valid JSON text. at $.Rules[0].Targets[1].Input (Input data was truncated;"),
        ({"Input": ""}, "Input for target t is not a valid JSON text."),
        ({"InputPath": "$..a"}, "InputPath for target t is not a path: $..a ('.' at character 2) at $.Rules[0].Targets[1].InputPath (a path is"),
        ({"InputTransformer": TEMPLATE | {"InputTemplate": '"<x>"'}}, "InputTemplate for target t contains invalid placeholder x. at $.Rules[0].Targets[1].InputTransformer.InputTemplate (there are <id>, "),
        ({"InputTransformer": TEMPLATE | {"InputPathsMap": {"a-b": "x"}}}, "InputPathsMap for target t is not a path: x (it does not begin with $) at $.Rules[0].Targets[1].InputTransformer.InputPathsMap['a-b'] (a path"),
        ({"InputTransformer": {}}, '"InputTemplate" is required at $.Rules[0].Targets[1].InputTransformer.InputTemplate'),
        ({"InputTransformer": {"InputTemplates": "1"}}, 'Unknown key "InputTemplates"; 1 more problem in the file at $.Rules[0].Targets[1].InputTransformer.InputTemplates (did you mean "InputTemplate"?)'),
        ({"InputTransformer": {"InputTemplate": "1", "InputPathsMap": {"a": 1}}}, "Input should be a valid string at $.Rules[0].Targets[1].InputTransformer.InputPathsMap.a"),
        ({"Input": {"a": 1}}, "Input should be a valid string at $.Rules[0].Targets[1].Input"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_wrong_input_is_said_with_its_place(load, written, message):
    with pytest.raises(InvalidRuleError) as caught:
        load([RULE | {"Targets": [TARGET | {"Id": "s"}, TARGET | written]}])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ("{\n  x", ".json", "line 2 column 3"),
        ("a = ", ".toml", "cannot be read"),
        ("a: [", ".yaml", "line 1, column 5"),
        ("[" * 100_000, ".json", "cannot be read"),
        ("x", ".txt", "is no rules file (name it .json, .toml, .yaml or .yml)"),
    ],
    ids=["json", "toml", "yaml", "deep", "other"],
)
def test_a_file_that_cannot_be_read_says_where(load, text, suffix, message):
    with pytest.raises(InvalidRuleError) as caught:
        load(text, suffix)
    assert message in str(caught.value)
    assert str(caught.value).count("cannot be read") <= 1


def test_a_json_pattern_is_read_as_text(load):
    """Data could not hold names that come twice, which merge (1.9), nor numbers past all doubles."""
    text = '{"Rules": [{"EventPattern": {"detail": {"a": [1]}, "detail": {"b": [1e400]}}, "Name": "r"}, %s]}'
    file = load(text % json.dumps(RULE | {"Name": "s", "EventPattern": json.dumps({"source": ["x"]})}))
    [(_, first), (_, second)] = file.rules
    assert first.matches_json('{"detail": {"a": 1, "b": 1e400}}')
    assert not first.matches_json('{"detail": {"b": 1e400}}')
    assert second == Pattern.parse({"source": ["x"]})


def test_a_json_file_may_be_utf_16(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps([RULE | {"EventPattern": {"source": ["é"]}}], ensure_ascii=False), encoding="utf-16")
    [(_, pattern)] = load_rules(path).rules
    assert pattern.matches({"source": "é"})


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ('[{"Name": "r", "Name": "s", "EventPattern": {}}]', ".json", '"Name" is written twice at $.Rules[0].Name (write it once)'),
        ('{"Rules": [], "Rules": []}', ".json", '"Rules" is written twice at $.Rules (write it once)'),
        ("- Name: r\n  EventPattern: {a: [1], a: [2]}", ".yaml", '"a" is written twice'),
        ("- Name: r\n  Name: s", ".yaml", "line 1, column 3"),
    ],
)  # fmt: skip
def test_names_that_would_be_lost_are_refused(load, text, suffix, message):
    with pytest.raises(InvalidRuleError) as caught:
        load(text, suffix)
    assert message in str(caught.value)


def test_yaml_may_build_on_what_it_has(load):
    [(_, _), (rule, pattern)] = load(
        """
        - &first {Name: a, EventPattern: {source: [x]}, Description: d}
        - {<<: *first, Name: b}
        """,
        ".yaml",
    ).rules
    assert (rule.name, rule.description, str(pattern)) == ("b", "d", '{"source":["x"]}')


def test_yaml_needs_its_extra(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"eventrouter\[yaml\]"):
        load(YAML, ".yaml")


def test_the_same_name_may_be_on_two_buses(load):
    assert len(load([RULE, RULE | {"EventBusName": "orders"}]).rules) == 2


def test_installing_adds_the_buses_that_are_named(load):
    to_audit = {"Id": "t", "Arn": "arn:aws-cn:events:r:1:event-bus/audit"}
    router = EventRouter()
    router.add_event_bus("orders")
    file = load([RULE | {"EventBusName": "orders", "Description": "d", "Targets": [to_audit]}])
    file.install(router, lambda _, declared: LogTarget(id=declared.id))
    assert router.list_event_buses() == ["default", "orders", "audit"]
    [rule] = router.list_rules(event_bus_name="orders")
    assert (rule.name, rule.description, rule.targets) == ("a", "d", (LogTarget(id="t"),))


def test_nothing_is_installed_when_one_target_cannot_be_made(load):
    router = EventRouter()
    file = load([RULE | {"Targets": [TARGET]}, RULE | {"Name": "b", "Targets": [TARGET, TARGET | {"Id": "no good"}]}])
    with pytest.raises(InvalidRuleError, match=r"at \$.Rules\[1\].Targets\[1\]"):
        file.install(router, lambda _, declared: LogTarget(id=declared.id))
    assert router.list_rules() == []


def test_a_rule_that_has_a_schedule_only_has_no_pattern(tmp_path):
    path = tmp_path / "rules.json"
    rule = {"Name": "nightly", "ScheduleExpression": "cron(0 2 * * ? *)", "ScheduleExpressionTimezone": "Europe/London"}
    path.write_text(json.dumps({"Rules": [rule, {"Name": "large", "EventPattern": {"source": ["shop"]}}]}))
    (nightly, nothing), (_, pattern) = load_rules(path).rules
    assert nothing is None
    assert str(nightly.parsed_schedule) == "cron(0 2 * * ? *)"
    assert pattern == Pattern.parse({"source": ["shop"]})
