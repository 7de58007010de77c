"""The envelope: its shape, its limits, its JSON both ways."""

import dataclasses
import json
import pickle
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Event, EventEntry, InvalidEventError
from eventrouter.event import encode_detail, entry_size
from tests.support import NOON, make_event


def accept(**changes) -> Event:
    fields = {"source": "shop", "detail_type": "T", "detail": {}} | changes
    return Event.from_entry(EventEntry(**fields), id="an-id", now=NOON, account="123456789012", region="eu")


def refusal(**changes) -> tuple[str, str]:
    with pytest.raises(InvalidEventError) as caught:
        accept(**changes)
    return caught.value.error_code, str(caught.value)


def test_json_has_the_keys_of_eventbridge_in_its_order():
    assert accept(resources=["arn:x"], detail={"a": [1, None]}).to_json() == (
        b'{"version":"0","id":"an-id","detail-type":"T","source":"shop","account":"123456789012",'
        b'"time":"2026-03-01T12:00:00Z","region":"eu","resources":["arn:x"],"detail":{"a":[1,null]}}'
    )


def test_data_and_json_say_the_same():
    for event in (accept(detail={"a": 1.5, "b": {"c": ["x"]}}), msgspec.structs.replace(accept(), replay_name="again")):
        assert json.loads(event.to_json()) == event.to_dict()
        assert list(json.loads(event.to_json())) == list(event.to_dict())


def test_replay_name_stands_between_region_and_resources():
    keys = list(msgspec.structs.replace(accept(), replay_name="again").to_dict())
    assert keys[keys.index("replay-name") - 1 : keys.index("replay-name") + 2] == ["region", "replay-name", "resources"]


def test_reading_what_was_written_gives_the_same_bytes_and_an_equal_event():
    event = accept(detail={"price": Decimal("10.10"), "when": NOON, "big": 2**63 - 1, "text": 'é😀" \\ \n'})
    again = Event.from_json(event.to_json())
    assert again == event
    assert again.to_json() == event.to_json()
    assert pickle.loads(pickle.dumps(event)) == event


def test_json_details_keep_their_numbers_to_the_letter():
    text = '{ "price" : 10.10,\n "exact" : 0.1234567890123456789, "text": "a  b\\n \\" c" }'
    assert encode_detail(text) == b'{"price":10.10,"exact":0.1234567890123456789,"text":"a  b\\n \\" c"}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_a_detail_survives_the_way_through_json(value):
    for indent in (None, 2):
        encoded = encode_detail(json.dumps({"v": value}, indent=indent))
        assert json.loads(encoded) == {"v": value}
        assert b"\n" not in encoded


def test_time_is_kept_to_the_second_in_utc():
    tokyo = timezone(timedelta(hours=9))
    event = accept(time=datetime(2026, 3, 1, 21, 0, 0, 999_999, tokyo))
    assert event.time == NOON
    assert event.time.tzinfo is UTC
    assert accept().time == NOON  # the time of acceptance


class Order(pydantic.BaseModel):
    order_id: str = pydantic.Field(alias="orderId")
    total: Decimal


class Prices(pydantic.BaseModel):
    net: Annotated[Decimal, pydantic.PlainSerializer(lambda value: f"{value:.2f}", when_used="json")]
    all: list[Decimal | None]
    by_tax: tuple[dict[str, Decimal], ...]


@dataclasses.dataclass
class Line:
    sku: str


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"a": 1}, b'{"a":1}'),
        (OrderedDict(a=1), b'{"a":1}'),
        (MappingProxyType({"a": MappingProxyType({"b": (1, 2)})}), b'{"a":{"b":[1,2]}}'),
        ('{"a": 1}', b'{"a":1}'),
        (b' {"a" : 1 } ', b'{"a":1}'),
        (Line("x"), b'{"sku":"x"}'),
        ({"lines": [Line("x")]}, b'{"lines":[{"sku":"x"}]}'),
        (Order(orderId="o", total=Decimal("1.50")), b'{"orderId":"o","total":1.50}'),
        # What a double does not show would not come back the same, and a model's own serializer has its way.
        (
            Order(orderId="o", total=Decimal("0.12345678901234567890")),
            b'{"orderId":"o","total":"0.12345678901234567890"}',
        ),
        (
            Prices(net=Decimal(5), all=[Decimal("0.5"), None], by_tax=({"7": Decimal("1e2")},)),
            b'{"net":"5.00","all":[0.5,null],"by_tax":[{"7":1E+2}]}',
        ),
        ({"total": Decimal("1.50")}, b'{"total":1.50}'),
        ({"n": None}, b'{"n":null}'),
        ({"n": -(2**63), "m": 2**63 - 1}, b'{"n":-9223372036854775808,"m":9223372036854775807}'),
    ],
)
def test_details_may_be_mappings_models_dataclasses_and_json_text(detail, expected):
    assert bytes(accept(detail=detail).detail_json) == expected


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("text", "JSON is malformed"),
        ('{"a":1', "truncated"),
        ('{"a":1} x', "trailing"),
        ('{"a":NaN}', "JSON is malformed"),
        ('{"a":1e400}', "out of range"),
        ('{"a":"\\ud800"}', ""),
        (b'{"a":"\xff"}', "invalid UTF-8 at byte 0"),
        ([], "must be a JSON object"),
        ('"x"', "must be a JSON object"),
        (b"[1]", "must be a JSON object"),
        (5, "must be a JSON object"),
        ({"a": float("nan")}, "nan at $.detail.a is not a JSON number"),
        ({"a": [{"b": float("-inf")}]}, "-inf at $.detail.a[0].b is not a JSON number"),
        ({"a": 2**63}, "at $.detail.a does not fit 64 bits"),
        ('{"a": 9223372036854775808}', "at $.detail.a does not fit 64 bits"),
        ('{"a": %s}' % ("9" * 5000), ""),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"a": object()}, "object"),
        ({(1, 2): 3}, ""),
    ],
)
def test_a_detail_that_is_no_json_object_is_malformed(detail, reason):
    code, message = refusal(detail=detail)
    assert code == "MalformedDetail"
    assert message.startswith("Detail is malformed. Reason: ")
    assert reason in message


def nested(levels: int) -> dict:
    detail = inner = {}
    for _ in range(levels - 1):
        inner["a"] = inner = {}
    return detail


@pytest.mark.parametrize("levels", [1_001, 100_000])
@pytest.mark.parametrize("form", ["data", "text", "lists"])
def test_deep_nesting_is_refused(levels, form):
    detail = {
        "data": lambda: nested(levels),
        "text": lambda: '{"a":' * levels + "1" + "}" * levels,
        "lists": lambda: '{"a":' + "[" * levels + "]" * levels + "}",
    }[form]()
    code, message = refusal(detail=detail)
    assert code == "MalformedDetail"
    assert "nested more than 1,000 levels deep" in message


@pytest.mark.parametrize(("levels", "is_accepted"), [(1_000, True), (1_001, False)])
@pytest.mark.parametrize("leaf", ["1", "null"])
def test_the_limit_of_nesting_is_exact_where_the_stack_allows(levels, is_accepted, leaf):
    """On a deep call stack the interpreter may stop sooner, with the same refusal."""
    text = '{"a":' * levels + leaf + "}" * levels
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        if is_accepted:
            assert accept(detail=text).detail_json
        else:
            assert refusal(detail=text)[0] == "MalformedDetail"
    finally:
        sys.setrecursionlimit(limit)


def test_many_small_objects_are_not_deep():
    assert len(accept(detail={"a": [{}] * 2_000}).detail["a"]) == 2_000


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"source": ""}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ({"source": None}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
        ({"source": 5}, "InvalidArgument", "Source must be a string, got int."),
        ({"source": "\ud800"}, "InvalidArgument", "lone surrogate"),
        ({"source": "aws.ec2"}, "NotAuthorizedForSourceException", "reserved"),
        ({"detail_type": ""}, "InvalidArgument", "Reason: DetailType is a required argument."),
        ({"detail_type": "x" * 129}, "InvalidArgument", "at most 128 characters, got 129"),
        ({"detail": None}, "InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument."),
        ({"time": datetime(2026, 1, 1)}, "InvalidArgument", "Time must be aware"),
        ({"time": "2026-01-01"}, "InvalidArgument", "Time must be a datetime, got str."),
        ({"resources": "arn:x"}, "InvalidArgument", "Resources must be a list of strings, got str."),
        ({"resources": ["x", "y" * 2_049]}, "InvalidArgument", "Resources[1] must be at most 2048"),
        ({"resources": [""]}, "InvalidArgument", "Resources[0]"),
    ],
)
def test_an_entry_that_breaks_the_envelope_says_which_parameter_and_why(changes, code, reason):
    assert (code, True) == (refusal(**changes)[0], reason in refusal(**changes)[1])


def test_an_entry_must_be_an_entry():
    with pytest.raises(InvalidEventError, match="must be an EventEntry, got dict"):
        Event.from_entry({"Source": "x"}, id="i", now=NOON, account="", region="")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "Expected `object`, got `array`"),
        ("{", "truncated"),
        ('{"id":"x"}', "missing required field"),
        ('{"id":5,"detail-type":"t","source":"s","time":"2026-01-01T00:00:00Z","detail":{}}', r"\$.id"),
        ('{"id":"x","detail-type":"t","source":"s","time":"2026-01-01T00:00:00","detail":{}}', "timezone"),
        ('{"id":"x","detail-type":"t","source":"s","time":"2026-01-01T00:00:00Z","detail":[]}', "JSON object"),
        ('{"id":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
        (b'{"id":"\xff"}', "UTF-8"),
    ],
)
def test_text_that_is_no_event_is_refused(text, reason):
    with pytest.raises(InvalidEventError, match=reason):
        Event.from_json(text)


def test_size_counts_as_eventbridge_does():
    event = make_event(detail={"a": "é"}, resources=["arn:é"])
    texts = len(b"shop.orders") + len(b"Order Placed") + len('{"a":"é"}'.encode()) + len("arn:é".encode())
    assert entry_size(event, has_time=False) == texts
    assert entry_size(event, has_time=True) == texts + 14


def test_a_copy_does_not_share_its_detail():
    event = make_event({"a": []})
    event.copy().detail["a"].append("changed")
    assert event.detail == {"a": []}
    assert event.copy() == event
