"""What policies decide: by table, and always as the oracle does."""

import copy
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventrouter import Policy
from eventrouter.policy import Denial, allow, deny
from eventrouter.policy._globs import Globs
from tests.policy import oracle

SOURCE, DETAIL_TYPE, ACCESS = (
    "NotAuthorizedForSourceException",
    "NotAuthorizedForDetailTypeException",
    "AccessDeniedException",
)
RULE = "arn:aws:events:local:000000000000:rule/orders"
ALICE = "arn:aws:iam::111122223333:user/alice"

#: EventBridge's own example of a policy for another account (user guide, "Managing event bus permissions").
AWS_EXAMPLE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "WebStoreCrossAccountPublish",
            "Effect": "Allow",
            "Action": ["events:PutEvents"],
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
            "Resource": "arn:aws:events:us-east-1:123456789012:event-bus/central-event-bus",
            "Condition": {
                "ForAllValues:StringEquals": {"events:source": "com.exampleCorp.webStore"},
                "StringEquals": {"events:detail-type": "newOrderCreated"},
            },
        }
    ],
}
#: What `aws lambda add-permission` writes for a rule.
LAMBDA_PERMISSION = {
    "Version": "2012-10-17",
    "Id": "default",
    "Statement": [
        {
            "Sid": "rule",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": "arn:aws:lambda:us-east-1:123456789012:function:charge",
            "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:events:*:*:rule/orders"}},
        }
    ],
}


def code(policy, principal=None, source="shop.orders", detail_type="Order Placed", bus="default"):
    policy = policy if isinstance(policy, Policy) else Policy.parse(policy)
    denial = policy.authorize(
        action="events:PutEvents", resource=bus, principal=principal, source=source, detail_type=detail_type
    )
    return denial.error_code if denial is not None else None


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (("111122223333", "com.exampleCorp.webStore", "newOrderCreated"), None),
        ((ALICE, "com.exampleCorp.webStore", "newOrderCreated"), None),
        (("arn:aws:iam::111122223333:root", "com.exampleCorp.webStore", "newOrderCreated"), None),
        (("444455556666", "com.exampleCorp.webStore", "newOrderCreated"), ACCESS),
        ((None, "com.exampleCorp.webStore", "newOrderCreated"), ACCESS),
        ((ALICE, "com.examplecorp.webstore", "newOrderCreated"), SOURCE),
        ((ALICE, "com.exampleCorp.webStore", "orderDeleted"), DETAIL_TYPE),
        ((ALICE, "com.exampleCorp", "orderDeleted"), SOURCE),
    ],
)
def test_awss_own_example(request_, expected):
    assert code(AWS_EXAMPLE, *request_, bus="central-event-bus") == expected
    assert code(AWS_EXAMPLE, *request_, bus="default") == ACCESS


def test_what_lambda_writes_for_a_rule():
    policy = Policy.parse(LAMBDA_PERMISSION)

    def ask(**request):
        denial = policy.authorize(**{"action": "lambda:InvokeFunction", "resource": "charge", **request})
        return denial.error_code if denial is not None else None

    assert ask(principal=RULE) is None
    assert ask(principal=RULE, resource="refund") == ACCESS
    assert ask(principal=RULE, action="events:PutEvents") == ACCESS
    assert ask(principal="arn:aws:events:local:000000000000:rule/others") == ACCESS
    assert ask(principal="arn:aws:events:local:000000000000:rule/orders/x") == ACCESS
    assert ask(principal=ALICE) == ACCESS
    assert ask() == ACCESS


BILLING = allow("billing", sources=["shop.billing", "shop.invoice?.*"], detail_types=["* Placed"])


@pytest.mark.parametrize(
    ("statements", "request_", "expected"),
    [
        ([allow("*")], {}, None),
        ([allow("*")], {"principal": "anybody"}, None),
        ([allow("billing")], {}, ACCESS),
        ([allow("billing")], {"principal": "billing"}, None),
        ([allow("billing")], {"principal": "Billing"}, ACCESS),
        ([allow(["audit", "billing"])], {"principal": "billing"}, None),
        ([allow("000000000000")], {"principal": RULE}, None),
        ([allow("000000000000")], {"principal": ALICE}, ACCESS),
        ([allow(RULE)], {"principal": RULE}, None),
        ([BILLING], {"principal": "billing", "source": "shop.billing"}, None),
        ([BILLING], {"principal": "billing", "source": "shop.invoice7.eu"}, None),
        ([BILLING], {"principal": "billing", "source": "shop.invoice.eu"}, SOURCE),
        ([BILLING], {"principal": "billing", "source": "shop.billing", "detail_type": "Order Paid"}, DETAIL_TYPE),
        ([BILLING], {"principal": "billing", "detail_type": "Order Paid"}, SOURCE),
        ([BILLING], {"principal": "audit"}, ACCESS),
        # Of several that miss, the one that only misses the detail type is the nearest.
        ([allow("*", sources=["a"]), allow("*", detail_types=["b"])], {}, DETAIL_TYPE),
        ([allow("billing", sources=["shop.orders"]), allow("*", sources=["a"])], {}, SOURCE),
        # An explicit deny wins, wherever it stands, and says by its conditions what it is about.
        ([allow("*"), deny("billing")], {"principal": "billing"}, ACCESS),
        ([deny("billing"), allow("*")], {"principal": "audit"}, None),
        ([deny("*", sources=["shop.*"]), allow("*")], {}, SOURCE),
        ([deny("*", detail_types=["Order*"]), allow("*")], {}, DETAIL_TYPE),
        ([deny("*", sources=["shop.*"], detail_types=["x"]), allow("*")], {}, None),
        ([deny("*", sources=["shop.*"])], {"source": "x"}, ACCESS),
        ([allow("*", resource="ord?rs")], {"bus": "orders"}, None),
        ([allow("*", resource=["a", "b"])], {"bus": "orders"}, ACCESS),
        ([allow("*", action="lambda:InvokeFunction")], {}, ACCESS),
        ([allow("*", action="EVENTS:put*")], {}, None),
        ([allow("*", action="*")], {}, None),
        ([allow("*", action="events:PutRule", resource="arn:aws:events:r:1:rule/default"), allow("*")], {}, None),
        ([allow("*", resource="arn:aws:lambda:r:1:function:default")], {}, ACCESS),
        ([allow("*", sources=["${*}"])], {"source": "*"}, None),
        ([allow("*", sources=["${*}"])], {"source": "x"}, SOURCE),
        ([allow("*", sources=["*"])], {"source": "x" * 2_048}, None),
        ([allow("*", sources=["*"])], {"source": "x" * 2_049}, ACCESS),
    ],
)
def test_statements(statements, request_, expected):
    assert code(Policy.of(*statements), **request_) == expected


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "${$}{a}", "${a}", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "Ab", "aB", True),
        ("StringNotEqualsIgnoreCase", "Ab", "aB", False),
        ("StringLike", "a*c", "abbc", True),
        ("StringLike", "a*c", "ABC", False),
        ("StringNotLike", "a*c", "abx", True),
        ("StringEquals", "a", None, False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("ForAllValues:StringLike", "a", None, True),
        ("ForAllValues:StringLike", "a", "b", False),
        ("ForAnyValue:StringLike", "a", "a", True),
        ("ForAnyValue:StringNotLike", "a", None, False),
        ("ForAnyValue:StringEqualsIfExists", "a", None, False),
        ("ArnLike", "arn:aws:events:*:*:rule/o*", RULE, True),
        ("ArnEquals", "arn:aws:events:*:rule/o*:x", RULE, False),  # a star does not reach across a colon
        ("ArnNotLike", "arn:aws:events:*:*:rule/o*", "text", True),
        ("ArnNotEquals", "arn:aws:events:*:*:rule/o*", RULE, False),
        ("Null", "true", None, True),
        ("Null", True, "a", False),
        ("Null", ["false"], "a", True),
        ("Null", False, None, False),
    ],
)
def test_operators(operator, wanted, value, expected):
    statement = allow("*") | {"Condition": {operator: {"Events:Source": wanted}}}
    assert code(Policy.of(statement), source=value) == (None if expected else SOURCE)
    assert oracle.passes(operator, wanted, value) == expected or "$" in str(wanted)


@pytest.mark.parametrize(
    ("key", "principal", "value"),
    [
        ("aws:PrincipalArn", "team/billing", "team/*"),
        ("aws:PrincipalArn", ALICE, "*:user/*"),
        ("aws:PrincipalAccount", ALICE, "111122223333"),
        ("aws:PrincipalAccount", "111122223333", "111122223333"),
        ("aws:SourceArn", RULE, "*:rule/orders"),
        ("aws:SourceAccount", RULE, "000000000000"),
    ],
)
def test_what_conditions_know_of_the_principal(key, principal, value):
    policy = Policy.of(allow("*") | {"Condition": {"StringLike": {key: value}}})
    assert code(policy, principal) is None
    assert code(policy, "someone") == ACCESS
    assert code(policy) == ACCESS


def test_a_denial_says_who_what_where_and_why():
    policy = Policy.of(allow("billing", sources=["a"]), deny("audit", sid="NoAudit"), deny("test"))

    def message(principal):
        return policy.authorize(action="events:PutEvents", resource="orders", principal=principal, source="b")

    assert message("billing") == Denial(
        SOURCE, "billing may not events:PutEvents on orders: no statement allows this source."
    )
    assert message("audit").error_message.endswith("orders: statement NoAudit denies it.")
    assert message("test").error_message.endswith("statement at $.Statement[2] denies it.")
    assert message(None).error_message == (
        "The process itself may not events:PutEvents on orders: no statement allows it."
    )


def test_a_policy_is_a_value_and_moves_back_unchanged():
    policy = Policy.parse(AWS_EXAMPLE)
    assert policy.to_data() == AWS_EXAMPLE
    assert policy == Policy.parse(policy.document) == Policy.parse(policy.document.encode())
    assert policy == pickle.loads(pickle.dumps(policy)) == copy.deepcopy(policy)
    assert hash(policy) == hash(Policy.parse(AWS_EXAMPLE))
    assert policy != Policy.parse(LAMBDA_PERMISSION)
    assert code(pickle.loads(pickle.dumps(policy)), ALICE, bus="central-event-bus") == SOURCE


def test_builders_write_awss_statements():
    assert allow(["billing"], sources=["a*"], detail_types="T", resource=["orders"], sid="S") == {
        "Sid": "S",
        "Effect": "Allow",
        "Principal": {"AWS": ["billing"]},
        "Action": "events:PutEvents",
        "Resource": ["orders"],
        "Condition": {"StringLike": {"events:source": ["a*"], "events:detail-type": "T"}},
    }
    assert deny("*", action="*") == {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}


texts = st.text("ab*?", max_size=6)


@given(st.lists(texts, max_size=4), st.text("ab", max_size=8))
@example(["a", ""], "")
@settings(max_examples=300)
def test_wildcards_are_as_the_oracle_says(patterns, value):
    assert Globs(patterns).match(value) == any(oracle.glob(pattern, value) for pattern in patterns)


def test_wildcards_never_go_back():
    """Each character of the value is looked at once, whatever the pattern."""

    class Counted(str):
        __slots__ = ()
        steps = 0

        def __iter__(self):
            for character in super().__iter__():
                Counted.steps += 1
                yield character

    value = Counted("a" * 2_000)
    assert not Globs(["*" + "a?*" * 1_000 + "b", "*a" * 900 + "?b"]).match(value)
    assert Counted.steps == 2_000


PRINCIPALS = ["billing", "000000000000", "111122223333", ALICE, RULE]
one_or_more = lambda of: st.sampled_from(of) | st.lists(st.sampled_from(of), min_size=1, max_size=2)  # noqa: E731
operators = st.builds(
    lambda qualifier, operator, suffix: qualifier + operator + suffix,
    st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase"]),
    st.sampled_from(["", "", "IfExists"]),
)
values = {
    "events:source": one_or_more(["shop", "shop.*", "SHOP", "*", "sh?p"]),
    "events:detail-type": one_or_more(["Paid", "P*", "?aid", "sold"]),
    "aws:PrincipalArn": one_or_more(["billing", "*user*", ALICE]),
    "aws:SourceAccount": one_or_more(["000000000000", "1*"]),
}
keyed = st.dictionaries(st.sampled_from(sorted(values)), st.none(), min_size=1, max_size=2).flatmap(
    lambda keys: st.fixed_dictionaries({key: values[key] for key in keys})
)
nulls = st.fixed_dictionaries({"Null": st.dictionaries(st.sampled_from(sorted(values)), st.booleans(), min_size=1)})
statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Principal": st.just("*")
        | st.fixed_dictionaries({"AWS": one_or_more([*PRINCIPALS, "arn:aws:iam::111122223333:root"])})
        | st.just({"Service": "events.amazonaws.com"}),
        "Action": one_or_more(["events:PutEvents", "events:*", "lambda:InvokeFunction", "*", "events:putrule"]),
        "Resource": one_or_more(["default", "*", "orders", "arn:aws:events:us-east-1:1:event-bus/d*"]),
    },
    optional={"Condition": st.dictionaries(operators, keyed, min_size=1, max_size=2) | nulls},
)
requests = st.tuples(
    st.just("events:PutEvents"),
    st.sampled_from(["default", "orders"]),
    st.sampled_from([None, *PRINCIPALS]),
    st.sampled_from(["shop", "shop.orders", "Shop", "x"]),
    st.sampled_from(["Paid", "paid", "Sold"]),
)


@given(st.lists(statements, min_size=1, max_size=4), st.lists(requests, min_size=1, max_size=5))
@settings(max_examples=300)
def test_decisions_are_as_the_oracle_says(drawn, asked):
    document = {"Version": "2012-10-17", "Statement": drawn}
    policy = Policy.parse(document)
    for request in asked:
        _, bus, principal, source, detail_type = request
        assert code(policy, principal, source, detail_type, bus) == oracle.decide(document, *request), request
