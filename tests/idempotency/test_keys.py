"""What identifies a call."""

import dataclasses
from collections import UserDict

import msgspec
import pydantic
import pytest

from eventrouter import IdempotencyKeyError, InvalidRuleError, idempotent
from tests.support import make_event


def counted(**options):
    """Give a function that says which of its calls this was."""
    calls = []

    def handle(first, second=None, *rest, option=None):
        calls.append(first)
        return len(calls)

    return idempotent(**options)(handle)


def other_event(**changes):
    return msgspec.structs.replace(make_event(), **changes)


def test_by_default_an_event_is_identified_by_its_id_alone():
    handle = counted()
    assert handle(make_event({"total": 1})) == handle(make_event({"total": 2})) == 1
    assert handle(other_event(id="another")) == 2
    assert handle("prefix", make_event()) == 1


def test_by_default_other_calls_are_identified_by_all_arguments():
    handle = counted()
    assert handle(1) == handle(first=1) == handle(1, None) == handle(1, second=None, option=None) == 1
    different = [handle("1"), handle(2), handle(1, 2), handle(1, None, 3), handle(1, option=1), handle([1]), handle({})]
    assert different == [2, 3, 4, 5, 6, 7, 8]
    assert handle({"a": 1, "b": {"c": 2, "d": 3}}) == handle({"b": {"d": 3, "c": 2}, "a": 1})


class Order(pydantic.BaseModel):
    id: int
    items: list[str] = ["x"]


@dataclasses.dataclass
class Parcel:
    id: int
    items: tuple[str, ...] = ("x",)


@pytest.mark.parametrize("path", ["$.id", "$['id']", "$.items[0]", ["$.id", "$.items[0]"], "$"])
@pytest.mark.parametrize(
    "make",
    [Order, Parcel, lambda **given: {"items": ["x"], **given}, lambda **given: UserDict(items=["x"], **given)],
    ids=["model", "dataclass", "dict", "mapping"],
)
def test_paths_lead_into_every_kind_of_data(make, path):
    handle = counted(key=path)
    assert handle(make(id=1)) == handle(make(id=1), "ignored") == handle(first=make(id=1))


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("$.detail.order.id", {"order": {"id": 7}, "n": 2}),
        ("$.detail['order'].id", {"order": {"id": 7}, "n": 2}),
        ("$.detail.items[1]['a.b']", {"items": [0, {"a.b": 1}]}),
        ("$['detail-type']", {}),
        ("$.detail-type", {}),
        ("$.source", {}),
    ],
)
def test_paths_lead_into_events(path, same):
    detail = {"order": {"id": 7}, "n": 1, "items": [1, {"a.b": 1}]}
    handle = counted(key=path)
    assert handle(make_event(detail)) == handle(other_event(id="other", detail_json=make_event(same).detail_json)) == 1


def test_values_of_different_types_are_different_keys():
    handle = counted(key="$.id")
    assert [handle({"id": value}) for value in (1, "1", [1], 0, "", False, [])] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("path", "argument"),
    [
        ("$.id", {}),
        ("$.id", {"id": None}),
        ("$.id", "text"),
        ("$.id", [1]),
        ("$[1]", [1]),
        ("$[0]", {"0": 1}),
        ("$.id.x", {"id": 1}),
        (["$.a", "$.id"], {"a": 1}),
        ("$", None),
    ],
)
def test_a_call_without_a_key_is_refused_with_the_place(path, argument):
    calls = counted(key=path)
    missing = path if isinstance(path, str) else path[-1]
    with pytest.raises(IdempotencyKeyError) as caught:
        calls(argument)
    assert str(caught.value) == f"There is no idempotency key at {missing} of the first argument."
    assert caught.value.error_code == "NO_IDEMPOTENCY_KEY"


def test_a_function_may_choose():
    handle = counted(key=lambda first, second=None, option=None: (first % 10, option))
    assert handle(1) == handle(11, "other") == handle(first=21, option=None) == 1
    assert handle(1, option=2) == 2


def test_a_function_that_chooses_gets_what_the_call_gives():
    assert counted(key=lambda first: first)(1) == 1


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_function_that_chooses_nothing_is_refused(nothing):
    with pytest.raises(IdempotencyKeyError, match=f"What key returned is {nothing!r}"):
        counted(key=lambda first: nothing)(1)


def test_arguments_without_json_form_are_refused():
    with pytest.raises(IdempotencyKeyError, match=r"a object has no JSON form\. Choose with key="):
        counted()(object())
    with pytest.raises(IdempotencyKeyError, match="Choose with key="):
        counted(key=lambda first: b"\xff".decode(errors="surrogateescape"))(1)
    assert counted(key=lambda first: 1)(object()) == 1


def test_a_path_into_what_has_no_json_form_is_refused():
    with pytest.raises(IdempotencyKeyError, match="Choose with key="):
        counted(key="$.id")(object())


def test_a_function_without_arguments_has_one_key_or_none():
    assert idempotent(lambda: 1)() == 1
    with pytest.raises(IdempotencyKeyError):
        idempotent(key="$.id")(lambda: 1)()


async def asynchronous(first):
    raise AssertionError


@pytest.mark.parametrize(
    ("selection", "problem"),
    [
        ("id", r"key: 'id' is no path \(write it like \$\.detail"),
        ("", "is no path"),
        ("$.", "is no path"),
        ("$.a..b", "is no path"),
        ("$.a[x]", "is no path"),
        ("$.a[-1]", "is no path"),
        ("$x", "is no path"),
        (["$.a", "b"], "'b' is no path"),
        ([5], "5 is no path"),
        ([], "has no path"),
        (asynchronous, "async function"),
    ],
)
def test_bad_selections_are_refused_at_once(selection, problem):
    with pytest.raises(InvalidRuleError, match=problem):
        counted(key=selection)
    with pytest.raises(InvalidRuleError, match=problem.replace("key:", "validate:")):
        counted(validate=selection)
