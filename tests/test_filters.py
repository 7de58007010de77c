"""Filters as functions, and patterns for typed events."""

import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest
from pydantic import AliasChoices, BaseModel, Field

from eventrouter import EventEntry, EventRouter, Pattern, PatternError
from eventrouter.filters import (
    any_of,
    anything_but,
    between,
    cidr,
    either,
    eq,
    equals_ignore_case,
    event_pattern,
    exactly,
    exists,
    ge,
    gt,
    le,
    lt,
    prefix,
    suffix,
    wildcard,
)
from tests.support import make_event


class Tier(enum.Enum):
    GOLD = "gold"
    SILVER = "silver"


@pytest.mark.parametrize(
    ("built", "data", "fits", "other"),
    [
        (exactly("::1"), {"exactly": "::1"}, "::1", "0::1"),
        (prefix("a"), {"prefix": "a"}, "ab", "Ab"),
        (prefix("a", ignore_case=True), {"prefix": {"equals-ignore-case": "a"}}, "Ab", "b"),
        (suffix("a"), {"suffix": "a"}, "ba", "bA"),
        (suffix("a", ignore_case=True), {"suffix": {"equals-ignore-case": "a"}}, "bA", "b"),
        (equals_ignore_case("a"), {"equals-ignore-case": "a"}, "A", "b"),
        (wildcard("a*b"), {"wildcard": "a*b"}, "ab", "a"),
        (eq(1), {"numeric": ["=", 1]}, 1.0, 2),
        (gt(1), {"numeric": [">", 1]}, 2, 1),
        (ge(1), {"numeric": [">=", 1]}, 1, 0),
        (lt(1), {"numeric": ["<", 1]}, 0, 1),
        (le(1), {"numeric": ["<=", 1]}, 1, 2),
        (between(1, 2), {"numeric": [">=", 1, "<=", 2]}, 2, 3),
        (between(1, 2, with_low=False, with_high=False), {"numeric": [">", 1, "<", 2]}, 1.5, 2),
        (cidr("10.0.0.0/8"), {"cidr": "10.0.0.0/8"}, "10.1.1.1", "11.0.0.0"),
        (exists(), {"exists": True}, None, {}),
        (exists(False), {"exists": False}, {}, None),
        (anything_but("a", "b"), {"anything-but": ["a", "b"]}, "c", "b"),
        (anything_but(["x", "y"]), {"anything-but": ["x", "y"]}, "c", "y"),
        (anything_but({5}), {"anything-but": [5]}, 6, 5),
        (gt(Decimal("1.5")), {"numeric": [">", 1.5]}, 2, 1.5),
        (between(Decimal(1), Decimal("1e1")), {"numeric": [">=", 1, "<=", 10]}, 10, 11),
        (anything_but(Tier.GOLD), {"anything-but": ["gold"]}, "x", "gold"),
        (anything_but(prefix("a")), {"anything-but": {"prefix": "a"}}, "c", "ab"),
        (anything_but(wildcard("a*"), wildcard("b*")), {"anything-but": {"wildcard": ["a*", "b*"]}}, "c", "bc"),
    ],
    ids=str,
)  # fmt: skip
def test_each_function_gives_plain_pattern_data(built, data, fits, other):
    assert built == data
    pattern = Pattern.parse({"a": [built]})
    assert pattern.matches({"a": fits})
    assert not pattern.matches({"a": other})


def test_alternatives_and_branches():
    pattern = Pattern.parse({**either({"a": any_of("x", gt(5))}, {"b": [1]}), "c": [2]})
    assert pattern == Pattern.parse({"$or": [{"a": ["x", {"numeric": [">", 5]}]}, {"b": [1]}], "c": [2]})


def test_what_cannot_be_excluded_together_is_refused_by_the_parser():
    for mixed in ([prefix("a"), suffix("b")], ["a", 1], []):
        with pytest.raises(PatternError, match="Inside anything but list"):
            Pattern.parse({"a": [anything_but(*mixed)]})


class Invoice(BaseModel):
    number: UUID
    due: datetime
    day: date = date(2026, 3, 1)
    tier: Tier = Tier.GOLD
    total: Decimal = Decimal("0.1")
    labels: dict[str, Any] = {}


def invoice_pattern(**fields):
    return Pattern.parse(event_pattern(Invoice, **fields))


@pytest.mark.parametrize(
    ("fields", "misses"),
    [
        ({"number": UUID(int=5)}, {"number": UUID(int=6)}),
        ({"due": datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=UTC)}, {"due": datetime(2026, 3, 2, tzinfo=UTC)}),
        ({"day": date(2026, 5, 1)}, {"day": date(2026, 5, 2)}),
        ({"tier": Tier.SILVER}, {"tier": Tier.GOLD}),
        ({"total": Decimal("500.10")}, {"total": Decimal("500.11")}),
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_values_of_python_match_what_a_model_becomes(fields, misses):
    base = {"number": UUID(int=1), "due": datetime(2026, 3, 1, tzinfo=UTC)}
    hit, miss = (make_event(Invoice(**{**base, **values})).to_dict() for values in (fields, misses))
    pattern = invoice_pattern(**fields)
    assert [pattern.matches({**event, "detail-type": "Invoice"}) for event in (hit, miss)] == [True, False]


async def test_a_decimal_field_can_be_compared_with_numbers():
    router = EventRouter()
    seen = []

    @router.on(Invoice, total=gt(Decimal(100)), labels={"vip": True, "tags": {"region": ["eu", prefix("us-")]}})
    async def flag(invoice: Invoice) -> None:
        seen.append(invoice.total)

    labels = {"vip": True, "tags": {"region": "us-east-1"}}
    async with router:
        for total in ("50", "250.50"):
            invoice = Invoice(number=UUID(int=5), due=datetime(2026, 3, 1, tzinfo=UTC), total=total, labels=labels)
            await router.put_events([EventEntry("shop", "Invoice", invoice)])
    assert seen == [Decimal("250.5")]


class Customer(BaseModel):
    tier: str
    address: dict[str, str] = {}


class OrderPlaced(BaseModel):
    total: float
    state: str | None = None
    customer: Customer | None = None
    items: list[Customer] = []
    placed_by: str = Field("nobody", alias="placedBy")
    source: ClassVar[str] = "shop"


class HTTPRequestSeen(BaseModel):
    detail_type: ClassVar[str] = "request"


class VPCFlow2Seen(BaseModel):
    pass


def test_the_pattern_of_a_model_names_its_events():
    assert event_pattern(OrderPlaced) == {"detail-type": ["OrderPlaced", "Order Placed"], "source": ["shop"]}
    assert event_pattern(HTTPRequestSeen) == {"detail-type": ["request"]}
    assert event_pattern(VPCFlow2Seen) == {"detail-type": ["VPCFlow2Seen", "VPC Flow2 Seen"]}
    assert event_pattern(Customer) == {"detail-type": ["Customer"]}


def test_tests_of_fields_become_alternatives():
    pattern = event_pattern(
        OrderPlaced,
        total=gt(100),
        state=["paid", exists(False)],
        customer={"tier": "gold", "address": {"city": "Rome", "zip": exists(False)}},
        items={"tier": any_of("gold", prefix("s"))},
        placed_by="me",
    )
    assert pattern["detail"] == {
        "total": [gt(100)],
        "state": ["paid", exists(False)],
        "customer": {"tier": ["gold"], "address": {"city": ["Rome"], "zip": [exists(False)]}},
        "items": {"tier": ["gold", prefix("s")]},
        "placedBy": ["me"],
    }
    Pattern.parse(pattern)
    assert event_pattern(OrderPlaced, placedBy="me")["detail"] == {"placedBy": ["me"]}


class Chosen(BaseModel):
    either: str = Field(validation_alias=AliasChoices("a", "b"))


@pytest.mark.parametrize(
    ("model", "fields", "text"),
    [
        (OrderPlaced, {"totl": 1}, 'OrderPlaced has no field totl at $.detail.totl (did you mean "total"?)'),
        (Customer, {"xyz": 1}, "Customer has no field xyz at $.detail.xyz (it has tier, address)"),
        (OrderPlaced, {"customer": {"teir": 1}}, 'Customer has no field teir at $.detail.customer.teir (did you mean "tier"?)'),
        (OrderPlaced, {"customer": exists(False)}, "Customer is an object, and filters test values at $.detail.customer (test one of its fields)"),
        (Chosen, {"either": "x"}, "either has several aliases in JSON at $.detail.either (write the pattern as data)"),
        (Invoice, {"total": gt(Decimal("0.12345678901234567890"))}, "0.12345678901234567890 is not a number that JSON keeps at $.detail.total (use at most 17 digits)"),
        (Invoice, {"total": Decimal("NaN")}, "NaN is not a number that JSON keeps at $.detail.total (use at most 17 digits)"),
        (Invoice, {"labels": {"age": timedelta(1)}}, "A timedelta has no JSON form at $.detail.labels.age (write it as it is in the event's JSON)"),
        (int, {}, "<class 'int'> is not a pydantic model at $"),
    ],
    ids=str,
)  # fmt: skip
def test_names_are_checked_against_the_model(model, fields, text):
    with pytest.raises(PatternError) as caught:
        event_pattern(model, **fields)
    assert str(caught.value) == text


async def test_a_function_may_ask_for_typed_events():
    router = EventRouter()
    seen = []

    @router.on(OrderPlaced, total=gt(100))
    async def flag_large_order(order: OrderPlaced) -> None:
        seen.append(order.total)

    with pytest.raises(PatternError, match="did you mean"):
        router.on(OrderPlaced, totl=gt(100))
    async with router:
        for total in (50, 250):
            await router.put_events([EventEntry("shop", "Order Placed", {"total": total})])
        await router.put_events([EventEntry("elsewhere", "Order Placed", {"total": 999})])
    assert seen == [250]


def test_a_router_explains_all_rules_the_nearest_first():
    router = EventRouter()
    router.put_rule("far", {"source": ["x"], "detail-type": ["y"]})
    router.put_rule("off", {"source": ["shop.orders"]}, state="DISABLED")
    router.put_rule("near", {"source": ["shop.orders"], "detail": {"n": [2]}})
    router.put_rule("hit", {"source": ["shop.orders"]})
    told = router.explain(make_event(detail={"n": 1}))
    assert [(item.rule.name, item.matched) for item in told] == [
        ("hit", True),
        ("off", False),
        ("near", False),
        ("far", False),
    ]
    assert str(told[1]).startswith("off (DISABLED): match\n")
    assert str(told[2]).startswith("near: no match\n  - detail.n: 1 does not fit 2; set $.detail.n = 2\n")
    assert not any(item.matched for item in router.explain({}))
