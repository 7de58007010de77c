"""What is no policy is refused when it is read, with its place and what to write."""

import json

import pytest

from eventrouter import InvalidRuleError, Policy
from eventrouter.policy import allow

GOOD = allow("*")


def condition(operator, keys):
    return GOOD | {"Condition": {operator: keys}}


@pytest.mark.parametrize(
    ("statement", "path", "problem", "hint"),
    [
        ("text", "", "'text' is no statement", "write an object"),
        ({}, "", "{} is no statement", "write an object"),
        ({"Effect": "Allow"}, "", "The statement has no Principal", 'add "Principal"'),
        (GOOD | {"Effect": "allow"}, ".Effect", "'allow' is no effect", '"Allow" or "Deny"'),
        (GOOD | {"Effects": 1}, ".Effects", '"Effects" is no element of a statement', 'did you mean "Effect"?'),
        (GOOD | {"Zzzzz": 1}, ".Zzzzz", '"Zzzzz" is no element', "they are Sid, Effect"),
        (GOOD | {"NotPrincipal": "a"}, ".NotPrincipal", "not evaluated here", "use Principal, with a Deny"),
        (GOOD | {"NotAction": "a"}, ".NotAction", "not evaluated here", "use Action"),
        (GOOD | {"Sid": 1}, ".Sid", "1 is no text", "leave it out"),
        (GOOD | {"Principal": 1}, ".Principal", "1 is no principal", "write an object"),
        (GOOD | {"Principal": {"Aws": "a"}}, ".Principal.Aws", '"Aws" is no kind of principal', '"AWS"?'),
        (GOOD | {"Principal": {"AWS": []}}, ".Principal.AWS", "The list is empty", 'write "*"'),
        (GOOD | {"Principal": {"AWS": ["a", "b*"]}}, ".Principal.AWS[1]", "has a wildcard", "aws:PrincipalArn"),
        (GOOD | {"Principal": {"Service": "*"}}, ".Principal.Service", "has a wildcard", 'write "*"'),
        (GOOD | {"Action": "events:PutEvent"}, ".Action", "is no action of a bus", '"events:PutEvents"?'),
        (GOOD | {"Action": ["s3:GetObject"]}, ".Action[0]", "is no action of a bus", "decided here is events:PutEv"),
        (GOOD | {"Resource": ["a", 1]}, ".Resource[1]", "1 is no text", "the bus or function"),
        (GOOD | {"Resource": "arn:aws:sqs:r:1:q"}, ".Resource", "is no bus or function", "event-bus/NAME"),
        (GOOD | {"Condition": "x"}, ".Condition", "'x' is no condition", "write an object"),
        (condition("StringEqual", {}), ".Condition.StringEqual", "no condition operator", '"StringEquals"?'),
        (condition("Bool", {}), ".Condition.Bool", "no condition operator here", "the operators are StringEquals"),
        (condition("IpAddress", {}), ".Condition.IpAddress", "no condition operator here", "the operators are"),
        (condition("NullIfExists", {}), ".Condition.NullIfExists", "no condition operator", "Null"),
        (condition("ForAllValues:Null", {}), ".Condition['ForAllValues:Null']", "no condition operator", "Null"),
        (condition("Any:StringLike", {}), ".Condition['Any:StringLike']", "no condition operator", "StringLike"),
        (condition("StringLike", {}), ".Condition.StringLike", "{} is no condition", "write an object"),
        (condition("StringLike", {"events:sorce": "a"}), ".Condition.StringLike['events:sorce']", "no condition key", '"events:source"?'),
        (condition("StringLike", {"kms:ViaService": "a"}), ".Condition.StringLike['kms:ViaService']", "no condition key", "the keys are events:source"),
        (condition("StringLike", {"events:source": []}), ".Condition.StringLike['events:source']", "The list is empty", "a list of strings"),
        (condition("StringLike", {"events:source": ["a", 1]}), ".Condition.StringLike['events:source'][1]", "1 is no text", "a list of strings"),
        (condition("StringLike", {"events:source": "${aws:username}"}), ".Condition.StringLike['events:source']", "${aws:username} is a policy variable", "the text itself"),
        (condition("StringEquals", {"events:source": "a${b"}), ".Condition.StringEquals['events:source']", "${b} is a policy variable", "the text itself"),
        (condition("ArnLike", {"aws:SourceArn": "rule"}), ".Condition.ArnLike['aws:SourceArn']", "'rule' is no ARN", "arn:partition"),
        (condition("Null", {"events:source": "yes"}), ".Condition.Null['events:source']", "one truth value", '"true"'),
        (condition("Null", {"events:source": [True, False]}), ".Condition.Null['events:source']", "one truth value", '"true"'),
        (condition("Null", {"events:source": [[1]]}), ".Condition.Null['events:source']", "one truth value", '"true"'),
        (GOOD | {"Effect": ["a" * 100]}, ".Effect", "is no effect", '"Allow" or "Deny"'),
        (GOOD | {"Sid": ["a" * 100]}, ".Sid", "aaa... is no text", "leave it out"),
    ],
)  # fmt: skip
def test_statements(statement, path, problem, hint):
    with pytest.raises(InvalidRuleError) as caught:
        Policy.parse({"Statement": [GOOD, statement]})
    assert caught.value.path == "$.Statement[1]" + path
    assert problem in caught.value.reason
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("document", "path", "problem"),
    [
        ([], "$", "[] is no policy"),
        ({"Version": "2012-10-17"}, "$", "The policy has no Statement"),
        ({"Statement": []}, "$.Statement", "The list is empty"),
        ({"Statement": GOOD, "Version": "2020-01-01"}, "$.Version", "It is no version"),
        ({"Statement": GOOD, "Id": 1}, "$.Id", "1 is no text"),
        ({"Statement": GOOD, "Statements": GOOD}, "$.Statements", '"Statements" is no element of a policy'),
        ({"Statement": [allow("a", sid="x"), allow("b", sid="x")]}, "$.Statement[1].Sid", "two statements x"),
        ({"Statement": [allow("*", sources=[])]}, "$.Statement[0].Condition.StringLike['events:source']", "empty"),
        ('{"Statement": [', "$", "The policy is not JSON"),
        (b"\xff", "$", "The policy is not JSON"),
        ({"Statement": {1, 2}}, "$", "The policy is not JSON"),
        ({"Id": "\ud800", "Statement": GOOD}, "$", "The policy is not JSON"),
        ({"Id": float("nan")}, "$", "The policy is not JSON"),
        ("[" * 100_000, "$", "The policy is not JSON"),
        ('{"Statement": {"Effect": "Deny", "Effect": "Allow"}}', "$", '"Effect" is written twice'),
    ],
    ids=lambda value: str(value)[:30],
)
def test_documents(document, path, problem):
    with pytest.raises(InvalidRuleError) as caught:
        Policy.parse(document)
    assert caught.value.path == path
    assert problem in caught.value.reason


def test_the_size_counts_without_spaces():
    def sized(size):
        document = {"Statement": [GOOD], "Id": ""}
        document["Id"] = "x" * (size - len(json.dumps(document, separators=(",", ":"))))
        return document

    policy = Policy.parse(json.dumps(sized(10_240), indent=40))
    assert len(policy.document) == 10_240
    with pytest.raises(InvalidRuleError, match=r"10,241 bytes without spaces, 10,240 are allowed \(use wildcards"):
        Policy.parse(sized(10_241))


@pytest.mark.parametrize("statement", [[GOOD], GOOD])
def test_one_statement_may_stand_alone_and_old_versions_are_read(statement):
    policy = Policy.parse({"Version": "2008-10-17", "Id": "x", "Statement": statement})
    assert policy.authorize(action="events:PutEvents", resource="default") is None
