"""Input templates: the table of the user guide and the recordings, row by row, and against the oracle."""

import json
from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventrouter import InputTransformer, InputTransformerError, TransformContext, TransformError
from tests import oracle_inputs
from tests.support import NOON, make_event

CONTEXT = TransformContext(rule_name="big", rule_arn="arn:aws:events:local:000000000000:rule/big", ingestion_time=NOON)
DETAIL = {
    "command": "update-account",
    "payload": {"acc_id": "0a78", "sf_id": "baz"},
    "states": ["ACTIVE", "INACTIVE"],
    "is_new": True,
    "nothing": None,
    "said": 'say "hi"',
    "looks": "<command>",
}
PATHS = {name: f"$.detail.{name}" for name in [*DETAIL, "missing"]}


def filled(template: str, paths=None, detail=None) -> str:
    transformer = InputTransformer(template, PATHS if paths is None else paths)
    return transformer.apply(make_event(DETAIL if detail is None else detail), CONTEXT).decode()


ROWS = [
    ("path missing, inside a string: replaced by nothing", '"detail <missing>"', '"detail "'),
    ("path missing, inside a string of a JSON template", '{"a": "x<missing>y"}', '{"a": "xy"}'),
    ('path missing, bare JSON value: ""', '{"command": <missing>}', '{"command": ""}'),
    ("string value, bare in JSON: quoted JSON string", '{"a": <command>}', '{"a": "update-account"}'),
    ("string value, inside quotes: raw text", '{"a": "<command>/<command>"}', '{"a": "update-account/update-account"}'),
    ("string value, in a string template: raw text", '"do <command>"', '"do update-account"'),
    ("object, bare in JSON: JSON", '{"a": <payload>}', '{"a": {"acc_id":"0a78","sf_id":"baz"}}'),
    ("list, bare in JSON: JSON", '{"a": [<states>, 1]}', '{"a": [["ACTIVE","INACTIVE"], 1]}'),
    ("object inside a string template: JSON without quotes", '"got <payload>"', '"got {acc_id:0a78,sf_id:baz}"'),
    ("list inside a string template: JSON without quotes", '"got <states>"', '"got [ACTIVE,INACTIVE]"'),
    ("boolean inside a string: true", '"new: <is_new>"', '"new: true"'),
    ("boolean, bare", '{"new": <is_new>}', '{"new": true}'),
    ("null, bare and inside quotes", '{"a": <nothing>, "b": "<nothing>"}', '{"a": null, "b": "null"}'),
    ("several quoted lines: one per line break", '"<command>"\n\n  "two <is_new>"\r\n"three"\n', r'"update-account\n\ntwo true\nthree"'),
    ("a value that looks like a placeholder is not filled in", '{"a": "<looks>", "b": <looks>}', '{"a": "<command>", "b": "<command>"}'),
    ("a template that is one placeholder", " <payload> ", ' {"acc_id":"0a78","sf_id":"baz"} '),
    ("a template without placeholders", "[1,\n2]", "[1, 2]"),
    ("line breaks between tokens become blanks", '{\n"a"\r\n:\n<is_new>\n}', '{ "a"  : true }'),
    ("rule ARN and name", '{"a": <aws.events.rule-arn>, "n": "<aws.events.rule-name>"}', f'{{"a": "{CONTEXT.rule_arn}", "n": "big"}}'),
    ("ingestion time", '"at <aws.events.event.ingestion-time>"', '"at 2026-03-01T12:00:00Z"'),
    ("ingestion time, bare", "[<aws.events.event.ingestion-time>]", '["2026-03-01T12:00:00Z"]'),
]  # fmt: skip


@pytest.mark.parametrize(("row", "template", "expected"), ROWS, ids=lambda value: value)  # fmt: skip
def test_a_row_of_the_table(row, template, expected):
    assert filled(template) == expected
    json.loads(filled(template))


def test_signs_without_a_partner_stand_for_themselves():
    """`<` and `>` cannot be escaped; what lies between them on one line is a placeholder."""
    assert filled('{"a": "1 < 2",\n "b": "3 > 2"}') == '{"a": "1 < 2",  "b": "3 > 2"}'
    with pytest.raises(InputTransformerError, match=r'contains invalid placeholder  2", "b": "3 \.'):
        filled('{"a": "1 < 2", "b": "3 > 2"}')
    with pytest.raises(InputTransformerError, match=r"contains invalid placeholder <command\."):
        filled('"<<command>>"')


def test_the_event_without_its_detail_is_written_with_another_key():
    """Recorded: `aws.events.event` has no `detail`, and spells `detail-type` so."""
    event = make_event(DETAIL)
    whole = event.to_dict()
    given = InputTransformer('{"e": <aws.events.event>, "j": <aws.events.event.json>}').apply(event, CONTEXT)
    read = json.loads(given)
    expected = {"detailType" if name == "detail-type" else name: whole[name] for name in whole if name != "detail"}
    assert read == {"e": expected, "j": whole}
    assert list(read["e"]) == list(expected)


def test_the_ingestion_time_is_in_utc():
    """As AWS writes it, wherever the clock of the bus is read."""
    context = replace(CONTEXT, ingestion_time=NOON.astimezone(timezone(timedelta(hours=-5))))
    template = InputTransformer("<aws.events.event.ingestion-time>")
    assert template.apply(make_event(), context) == b'"2026-03-01T12:00:00Z"'


def test_a_number_keeps_its_text():
    detail = '{"a": 1.0, "b": 1, "c": 9223372036854775807, "d": -0.0, "e": 1E+2, "f": 0.10}'
    paths = {name: f"$.detail.{name}" for name in "abcdef"}
    assert filled("[<a>,<b>,<c>,<d>,<e>,<f>]", paths, detail) == "[1.0,1,9223372036854775807,-0.0,1E+2,0.10]"
    assert filled('"<a> <b> <c> <d> <e> <f>"', paths, detail) == '"1.0 1 9223372036854775807 -0.0 1E+2 0.10"'


def test_text_that_was_escaped_comes_out_escaped_or_as_itself():
    """Bare, a string is the JSON that the event has; between quotes, its text."""
    detail = r'{"a": "\u00fc\u20ac\ud83d\ude00", "b": "ü€😀", "c": "tab\there"}'
    paths = {name: f"$.detail.{name}" for name in "abc"}
    assert (
        filled('[<a>,<b>,<c>,"<a><b>"]', paths, detail) == r'["\u00fc\u20ac\ud83d\ude00","ü€😀","tab\there","ü€😀ü€😀"]'
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{"a": "<said>"}', '{"a": "say "hi""}'),  # values are never escaped: a value with a quote breaks the JSON
        ('"x <said>"', '"x say "hi""'),
        ('{"a": "<payload>"}', '{"a": "{"acc_id":"0a78","sf_id":"baz"}"}'),  # an object inside quotes: no JSON
        ('{"a": "<states>"}', '{"a": "["ACTIVE","INACTIVE"]"}'),  # a list inside quotes: no JSON
    ],
)  # fmt: skip
def test_a_filled_template_that_is_not_json_is_an_error_with_its_text(template, text):
    with pytest.raises(TransformError) as caught:
        filled(template)
    assert str(caught.value).endswith(f"The text is {text}")
    assert "The filled-in InputTemplate is not JSON: the value of <" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ['x", "admin": true, "y": "z', "a\nb", "C:\\temp\\", "C:\\x", "\\", "\\ud800", "\\udc00\\ud800", "\x00", "\\u12"],
)
def test_no_value_gets_out_of_its_quotes(value):
    """Not even where the text would again be JSON, of another shape than the template's."""
    for template in ('{"a": "<v>"}', '{"a": "<v>\\\\"}', '"<v>"', '{"a": "<v>0041"}'):
        with pytest.raises(TransformError, match="does not fit between quotes"):
            filled(template, {"v": "$.detail.v"}, {"v": value})


@pytest.mark.parametrize("value", ['say \\"hi\\"', "a\\nb", "\\ud83d\\ude00", "\\u00fc", "\x7f\u2028"])
def test_a_value_that_was_escaped_by_its_sender_fits(value):
    """How publishers live with a bus that does not escape."""
    assert filled('{"a": "<v>"}', {"v": "$.detail.v"}, {"v": value}) == f'{{"a": "{value}"}}'


def test_a_long_text_is_abbreviated():
    with pytest.raises(TransformError) as caught:
        filled('{"a": "<v>"}', {"v": "$.detail.v"}, {"v": '"' * 5000})
    assert str(caught.value).endswith('""... (5,009 characters)')
    assert len(str(caught.value)) < 600


BAD = [
    ('{"a": <x>}', "InputTemplate contains invalid placeholder x. at $.InputTemplate (there are <command>, <payload>"),
    ('"<>"', "contains invalid placeholder ."),
    ('"<aws.events.rule>"', "contains invalid placeholder aws.events.rule."),
    ("{<command>: 1}", "has a placeholder in the key <command>: at $.InputTemplate (only values are filled in)"),
    ('{"a<command>" : 1}', 'has a placeholder in the key "a<command>" :'),
    ('{"a": "<aws.events.event>"}', "has <aws.events.event> inside quotes at $.InputTemplate (it is an object: write it without)"),
    ('"<aws.events.event.json>"', "has <aws.events.event.json> inside quotes"),
    ('{"a": <command>', 'is not JSON, whatever is filled in: {"a": "" at $.InputTemplate (Input data was truncated)'),
    ('{"a": <command><command>}', "is not JSON, whatever is filled in"),
    ('{"a": "\n"}', "is not JSON: \n cannot stand inside quotes"),
    ('{"a": "\\<command>"}', "is not JSON: \\ cannot stand inside quotes"),
    ('{"a": "\\u00<command>41"}', "is not JSON: \\u00 cannot stand inside quotes"),
    ("The order <command>", "is not JSON, whatever is filled in: The order"),
    ("[" * 5000 + "]", "is not JSON, whatever is filled in: [[["),
    ('{"a": "\ud800"}', "is not JSON"),
    ('"a"\n<command>', "is not JSON: line 2 is <command> at $.InputTemplate (in a template that begins with a quote, each line is one string in double quotes)"),
    ('"a", "b"', 'is not JSON: line 1 is "a", "b"'),
    ('"a', 'is not JSON: line 1 is "a'),
    ('"\t"', "is not JSON: \t cannot stand inside quotes"),
    ("", "InputTemplate has 0 characters at $.InputTemplate (it may have 1 to 8,192)"),
    (f'"{"x" * 8191}"', "InputTemplate has 8,193 characters"),
    (5, "InputTemplate must be a string, got int"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "message"), BAD, ids=[str(message)[:40] for _, message in BAD])
def test_a_template_that_no_event_makes_json_is_refused_when_it_is_declared(template, message):
    with pytest.raises(InputTransformerError) as caught:
        InputTransformer(template, PATHS)
    assert message in str(caught.value)


def test_the_longest_template_is_taken():
    assert filled(f'"{"x" * 8190}"') == f'"{"x" * 8190}"'


def test_hostile_templates_are_read_in_time_that_grows_with_their_length():
    """Each would take hours with a regular expression that goes back."""
    for template in ('"' + "\\" * 8000, "<" * 8000, '"<command>"' * 700, ('"' + " " * 20) * 390, "<a>" + " \n" * 4000):
        with pytest.raises(InputTransformerError):
            InputTransformer(template, PATHS)


names = st.sampled_from("abcd")
texts = st.text(st.sampled_from('ab <>"\\/\n\x00uü€😀{d8'), max_size=6) | st.sampled_from(["\\n", "\\u00fc", "<a>"])
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
data = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
literals = st.text(st.sampled_from("ab >:{}[],ü😀"), max_size=4) | st.sampled_from(['\\"', "\\\\", "\\n", "\\u0041"])
strings = st.lists(literals | names.map("<{}>".format), max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
blanks = st.sampled_from(["", " ", "\n", "\n  "])
templates = st.recursive(
    strings | names.map("<{}>".format) | st.sampled_from(["1", "null", "1.50", "[]"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda items: "[" + ",\n ".join(items) + "]")
        | st.dictionaries(st.sampled_from(['"k"', '"l\\""']), inner, min_size=1).map(
            lambda items: "{" + " , ".join(f"{name} : {item}" for name, item in items.items()) + "\n}"
        )
    ),
    max_leaves=5,
).filter(lambda text: not text.startswith('"'))
lines = st.lists(st.tuples(blanks.map(str.strip), strings).map("".join), min_size=1, max_size=3).map("\n".join)


@given(templates | lines, st.dictionaries(names, data), st.booleans())
@example('{"a": "<a>"}', {"a": ['"']}, True)
@example('"<a>"', {"a": {"\\": 1}}, False)
@example('"<a>"', {"a": {'"\u00fc': None}}, True)
def test_a_filled_template_is_what_the_oracle_says(template, detail, is_spaced):
    """And it is JSON, on one line, with the shape of the template."""
    text = json.dumps(detail, ensure_ascii=is_spaced, separators=(" , ", " : ") if is_spaced else None)
    transformer = InputTransformer(template, {name: f"$.detail.{name}" for name in "abcd"})
    values = dict.fromkeys("abcd", oracle_inputs.NOTHING) | oracle_inputs.read(text)
    expected = oracle_inputs.fill(template, values)
    try:
        actual = transformer.apply(make_event(text), CONTEXT).decode()
    except TransformError:
        assert expected is None
        return
    assert expected is not None
    # Bare strings keep the escapes of the event, which the oracle has read; so both are compared as data.
    assert oracle_inputs.read(actual) == oracle_inputs.read(expected)
    assert "\n" not in actual


@given(st.text(st.sampled_from('{}[]<>a":, \\\n1u'), max_size=12), st.dictionaries(st.just("a"), data))
def test_whatever_template_is_taken_gives_json(template, detail):
    try:
        transformer = InputTransformer(template, {"a": "$.detail.a"})
        given = transformer.apply(make_event(detail), CONTEXT)
    except (InputTransformerError, TransformError):
        return
    json.loads(given)
    assert b"\n" not in given
