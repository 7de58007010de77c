"""`eventrouter test-pattern`, `explain` and `lint`, as a person or CI uses them."""

import json

import pytest
from typer.testing import CliRunner

from eventrouter.cli import _patterns, app
from eventrouter.patterns import json_path, steps_of

PATTERN = '{"source": ["shop"], "detail": {"n": [{"numeric": [">", 5]}]}}'


def run(*arguments, stdin=None):
    """Run the command; give exit code, output and errors."""
    result = CliRunner().invoke(app, list(map(str, arguments)), input=stdin)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def files(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_a_pattern_is_tried_on_an_event(files):
    pattern = files("pattern.json", PATTERN)
    assert run("test-pattern", pattern, files("hit.json", {"source": "shop", "detail": {"n": 6}})) == (
        0,
        'match\n  + detail.n: 6 fits {"numeric":[">",5]}\n  + source: "shop" fits "shop"\n',
        "",
    )
    code, output, _ = run("test-pattern", pattern, "-", stdin='{"source": "shop"}')
    assert (code, output.splitlines()[1]) == (
        1,
        '  - detail.n: missing, wanted {"numeric":[">",5]}; add $.detail.n = 6',
    )
    assert run("test-pattern", "-", '{"source": "x"}', "--quiet", stdin=PATTERN) == (1, "", "")


@pytest.mark.parametrize(
    ("pattern", "event", "error"),
    [
        ('{"a": "x"}', "{}", 'eventrouter: "a" must be an object or an array at $.a, line 1 column 7 (write ["x"])\n'),
        (PATTERN, "nowhere.json", "eventrouter: [Errno 2] No such file or directory: 'nowhere.json'\n"),
        (PATTERN, "{", "eventrouter: Not JSON: "),
        ('{"a":["\udcff"]}', "{}", "eventrouter: Malformed JSON: invalid UTF-8 at byte 7 at $\n"),
        (PATTERN, '{"a":"\udcff"}', "eventrouter: Not JSON: 'utf-8' codec can't decode"),
        ("[1]", "{}", "eventrouter: Filter is not an object at $, line 1 column 1 ("),
        (PATTERN, "[]", "eventrouter: Event must be a JSON object\n"),
        (PATTERN, ' "x"', "eventrouter: Event must be a JSON object\n"),
        ("-", "-", "eventrouter: Only one of the two can be read from standard input\n"),
        ('{"\\u001b[2J": 1}', "{}", 'eventrouter: "\\x1b[2J" must be'),
    ],
)
def test_what_cannot_be_used_is_told(pattern, event, error):
    code, output, errors = run("test-pattern", pattern, event)
    assert (code, output, errors[: len(error)]) == (2, "", error)


def test_what_should_not_happen_is_no_verdict(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(_patterns, "test_pattern", fail)
    code, _, errors = run("test-pattern", PATTERN, "{}")
    assert code == 2
    assert errors.startswith("eventrouter: this should not have happened, please report it:\nTraceback")
    assert "RuntimeError: broken" in errors


RULES = {
    "Rules": [
        {"Name": "far", "EventPattern": {"source": ["x"], "detail-type": ["y"]}},
        {"Name": "near", "EventPattern": {"source": ["shop"], "detail": {"n": [2]}}},
        {"Name": "audit", "EventPattern": {"source": ["shop"]}, "EventBusName": "other"},
    ]
}


def test_all_rules_are_explained_the_nearest_first(files):
    rules, event = files("rules.json", RULES), '{"source": "shop", "detail": {"n": 1}}'
    code, output, _ = run("explain", rules, event)
    assert code == 1
    assert [line for line in output.splitlines() if not line.startswith(" ")] == [
        "near: no match",
        "far: no match",
        "0 of 2 rules match",
    ]
    assert run("explain", rules, event, "--event-bus-name", "other") == (
        0,
        'audit: match\n  + source: "shop" fits "shop"\n1 of 1 rules match: audit\n',
        "",
    )
    assert run("explain", rules, event, "--event-bus-name", "nowhere")[0] == 2
    assert run("explain", rules, '{"source": "\\u001b[2J"}')[1].count("\x1b") == 0


BAD = """{"Rules": [
  {"Name": "lost", "EventPattern": {"source": ["shop"],
     "detial": {"x": [1], "x": [2]}}},
  {"Name": "refused", "EventPattern": {"source": ["shop"], "detail": {"x": [1, {"prefx": "p"}]}}},
  {"Name": "text", "EventPattern": "{\\"source\\": [\\"shop\\"], \\"detail\\": {\\"a\\": [1], \\"a\\": [2]}}"},
  {"Name": "text refused", "EventPattern": "[]"}
]}
"""


def test_findings_have_their_place_in_the_file(files):
    rules = files("bad.json", BAD)
    code, output, _ = run("lint", rules)
    assert code == 1
    assert [line.removeprefix(f"{rules}:") for line in output.splitlines()] == [
        '3:32: error: rule lost: no event can match: events have no field detial at $.Rules[0].EventPattern.detial.x (did you mean "detail"?) [never-matches]',
        "3:32: warning: rule lost: detial.x is written twice; this one replaces the earlier at $.Rules[0].EventPattern.detial.x (write it once) [duplicate-key]",
        '4:80: error: rule refused: Unrecognized match type prefx at $.Rules[1].EventPattern.detail.x[1] (did you mean "prefix"?) [invalid]',
        "5:36: warning: rule text: detail.a is written twice; this one replaces the earlier at $.detail.a of its text at $.Rules[2].EventPattern (write it once) [duplicate-key]",
        '6:44: error: rule text refused: Filter is not an object at $, line 1 column 1 of its text at $.Rules[3].EventPattern (write {"field": [value, ...]}) [invalid]',
        "4 rules, 3 errors, 2 warnings",
    ]


def test_findings_as_sarif(files):
    rules = files("bad.json", BAD)
    code, output, _ = run("lint", rules, "--format", "sarif")
    log = json.loads(output)
    [driver] = [part["tool"]["driver"] for part in log["runs"]]
    results = log["runs"][0]["results"]
    assert (code, log["version"], driver["name"]) == (1, "2.1.0", "eventrouter")
    assert {result["ruleId"] for result in results} <= {rule["id"] for rule in driver["rules"]}
    assert results[0]["level"] == "error"
    assert log["runs"][0]["columnKind"] == "unicodeCodePoints"
    assert results[0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": rules.as_posix()},
        "region": {"startLine": 3, "startColumn": 32},
    }
    assert results[2]["message"]["text"].endswith('(did you mean "prefix"?)')


def test_sarif_names_files_as_uris(files):
    rules = files("my rules #1.json", BAD)
    results = json.loads(run("lint", rules, "--format", "sarif")[1])["runs"][0]["results"]
    place = results[0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/my%20rules%20%231.json")


TWICE = """[{"Name": "r", "EventPattern": {
  "detail": {"a": [1], "c": [{"numeric": [">", 1e400]}]},
  "detail": {"b": [2]},
  "detail": {}
}}]"""


def test_a_pattern_of_a_rules_file_is_read_as_it_is_written(files):
    code, output, _ = run("lint", files("bad.json", TWICE))
    assert code == 1
    assert (
        ":2:48: error: rule r: Cannot compare number : 1e400 at $.Rules[0].EventPattern.detail.c[0].numeric[1]"
        in output
    )
    _, output, _ = run("lint", files("twice.json", TWICE.replace("1e400", "1").replace("{}", '{"c": [3]}')))
    merged, replaced, _ = [line.partition(".json:")[2] for line in output.splitlines()]
    assert merged.startswith('4:13: warning: rule r: "detail" is written twice in one object; both count, where most')
    assert replaced.startswith(
        "4:19: warning: rule r: detail.c is written twice; this one replaces the earlier at $.Rules"
    )


def test_notes_are_no_faults_and_other_formats_have_no_lines(files):
    toml = files("rules.toml", '[[Rules]]\nName = "r"\nEventPattern = {source = [{anything-but = "x"}]}\n')
    code, output, _ = run("lint", toml)
    assert (code, output.splitlines()[1]) == (0, "1 rule, 1 note")
    assert output.startswith(f"{toml}: note: rule r: numbers, true")
    assert "region" not in run("lint", toml, "--format", "sarif")[1]
    assert run("lint", files("good.json", [])) == (0, "0 rules, nothing to say\n", "")


def test_a_file_may_be_the_list_of_rules_itself(files):
    rules = files("list.json", '[{"Name": "r",\n"EventPattern": {"sorce": ["x"]}}]')
    assert ":2:27: error: rule r: no event can match" in run("lint", rules)[1]


def test_a_rule_with_a_schedule_has_no_pattern_to_find_fault_with(files):
    scheduled = {"Name": "nightly", "ScheduleExpression": "rate(1 day)"}
    assert run("lint", files("rules.json", [scheduled, {"Name": "r", "EventPattern": {"source": ["x"]}}])) == (
        0,
        "2 rules, nothing to say\n",
        "",
    )


def test_a_bus_has_at_most_30_rules_with_wildcards(files):
    pattern = {"source": [{"wildcard": "a*b"}]}
    rules = [{"Name": f"r{n}", "EventPattern": pattern} for n in range(31)]
    code, output, _ = run("lint", files("many.json", {"Rules": rules}))
    assert code == 1
    assert "bus default has 31 rules with wildcards, more than 30 at $.Rules [aws-wildcard-rules]" in output


def test_what_is_no_rules_file_is_told(files):
    assert run("lint", files("rules.json", "{"))[0] == 2
    assert run("lint", "nowhere.json")[0] == 2


@pytest.mark.parametrize("steps", [(), ("a", 0, "b-c"), ("it's", "a.b", "\\", "]"), ("", 12, "$or", "\n")])
def test_places_are_read_as_they_were_written(steps):
    assert steps_of(json_path(steps)) == steps


def test_lint_compares_the_rules_of_a_bus(files):
    def rule(name, pattern, *targets, **more):
        return {
            "Name": name,
            "EventPattern": pattern,
            "Targets": [{"Id": f"{n}", **target} for n, target in enumerate(targets)],
            **more,
        }

    one, other = {"Arn": "arn:one"}, {"Arn": "arn:other"}
    rules = [
        rule("wide", {"source": ["a", "b"]}, one, other),
        rule("narrow", {"source": ["a"], "detail": {"x": [1]}}, one),
        rule("elsewhere", {"source": ["a"], "detail": {"y": [1]}}, {**one, "Input": '"x"'}),
        rule("again", {"$or": [{"source": ["b"]}, {"source": ["a"]}]}, other),
        rule("same", {"source": ["b", "a"]}, {"Arn": "arn:third"}),
        rule("off", {"source": ["a"]}, one, State="DISABLED"),
        rule("another-bus", {"source": ["a"]}, one, EventBusName="second"),
        rule("apart", {"source": ["c"]}, one),
        rule("open", {"detail": {"z": [1]}, "source": [{"prefix": "c"}]}, one),
        rule("bad", {"source": "a"}, one),
    ]
    code, output, _ = run("lint", files("rules.json", {"Rules": rules}))
    assert code == 1
    told = [line.partition(": ")[2] for line in output.splitlines() if "-rule]" in line]
    assert told == [
        (
            "warning: rule narrow: whatever it matches, rule wide matches too, and arn:one receives them twice"
            " at $.Rules[1].EventPattern (remove the target from one of them) [shadowed-rule]"
        ),
        (
            "warning: rule again: it matches the same events as rule wide, and arn:other receives them twice"
            " at $.Rules[3].EventPattern (remove one of them) [duplicate-rule]"
        ),
        (
            "note: rule same: it matches the same events as rule wide"
            " at $.Rules[4].EventPattern (one rule can have the targets of both) [duplicate-rule]"
        ),
    ]


def test_lint_tells_of_rules_that_are_equivalent_and_written_otherwise(files):
    target = [{"Id": "1", "Arn": "arn:one"}]
    rules = [
        {"Name": "r", "EventPattern": {"source": ["a"], "detail": {"x": [1]}}, "Targets": target},
        {
            "Name": "s",
            "EventPattern": {"source": [{"wildcard": "a"}], "detail": {"x": [{"numeric": ["=", 1]}]}},
            "Targets": target,
        },
        {"Name": "t", "EventPattern": {"source": [{"exists": False}], "detail": {"x": [1]}}, "Targets": target},
        {"Name": "u", "EventPattern": {"source": ["a"]}, "Targets": target},
    ]
    _, output, _ = run("lint", files("rules.json", {"Rules": rules}))
    assert "rule s: it matches the same events as rule r" in output
    assert "error: rule t: no event of a bus can match" in output
    assert "rule r: whatever it matches, rule u matches too" in output
