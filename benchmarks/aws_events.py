"""Events as AWS services put them on a default bus, and five rules as people write for them."""

import json
import random
from collections.abc import Iterator
from typing import Any

from benchmarks.workloads import Workload

SEED = 20_260_102
ACCOUNT = "123456789012"
STATES = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
KEYS = ("incoming/orders", "incoming/returns", "archive/2026", "logs/elb", "tmp")
SUFFIXES = ("json", "csv", "csv.gz", "parquet", "log")

RULES = Workload(
    "AWS",
    {
        "instance stopped": {
            "source": ["aws.ec2"],
            "detail-type": ["EC2 Instance State-change Notification"],
            "detail": {"state": ["stopped", "terminated"]},
        },
        "large upload": {
            "source": ["aws.s3"],
            "detail": {
                "bucket": {"name": ["shop-uploads"]},
                "object": {"key": [{"prefix": "incoming/"}], "size": [{"numeric": [">", 1_000_000]}]},
            },
        },
        "task failed": {
            "source": ["aws.ecs"],
            "detail": {
                "lastStatus": ["STOPPED"],
                "stoppedReason": [{"anything-but": {"prefix": "Scaling activity"}}],
                "containers": {"exitCode": [{"anything-but": 0}]},
            },
        },
        "console from outside": {
            "detail-type": ["AWS API Call via CloudTrail"],
            "detail": {"eventName": [{"wildcard": "Delete*"}], "sourceIPAddress": [{"cidr": "203.0.113.0/24"}]},
        },
        "production": {"resources": [{"suffix": ":production"}], "region": [{"equals-ignore-case": "EU-WEST-1"}]},
    },
    {},
)


def events(count: int) -> list[bytes]:
    """Draw so many events."""
    rand = random.Random(SEED)  # noqa: S311  # look-alikes, not secrets
    return [json.dumps(event, separators=(",", ":")).encode() for event in _events(rand, count)]


def _events(rand: random.Random, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        make = rand.choice((_instance, _object, _task, _call))
        source, detail_type, resource, detail = make(rand)
        region = rand.choice(("eu-west-1", "us-east-1"))
        stage = rand.choice(("production", "staging"))
        yield {
            "version": "0",
            "id": f"{rand.getrandbits(32):08x}-0000-4000-8000-{number:012x}",
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            "region": region,
            "resources": [f"arn:aws:{resource}:{region}:{ACCOUNT}:{stage}"],
            "detail": detail,
        }


def _instance(rand: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    detail = {"instance-id": f"i-{rand.getrandbits(68):017x}", "state": rand.choice(STATES)}
    return "aws.ec2", "EC2 Instance State-change Notification", "ec2", detail


def _object(rand: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    detail = {
        "version": "0",
        "bucket": {"name": rand.choice(("shop-uploads", "shop-logs", "shop-static"))},
        "object": {
            "key": f"{rand.choice(KEYS)}/{rand.getrandbits(32):08x}.{rand.choice(SUFFIXES)}",
            "size": rand.randint(100, 3_000_000),
            "etag": f"{rand.getrandbits(128):032x}",
            "sequencer": f"{rand.getrandbits(64):016X}",
        },
        "request-id": f"{rand.getrandbits(64):016X}",
        "requester": ACCOUNT,
        "source-ip-address": f"198.51.100.{rand.randint(1, 254)}",
        "reason": "PutObject",
    }
    return "aws.s3", "Object Created", "s3", detail


def _task(rand: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    status = rand.choice(("PENDING", "RUNNING", "STOPPED"))
    containers = [
        {
            "containerArn": f"arn:aws:ecs:eu-west-1:{ACCOUNT}:container/{rand.getrandbits(128):032x}",
            "lastStatus": status,
            "name": name,
            "image": f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/{name}:latest",
            "cpu": "256",
            "memory": "512",
            **({"exitCode": rand.choice((0, 0, 1, 137))} if status == "STOPPED" else {}),
        }
        for name in ("web", "sidecar")
    ]
    detail = {
        "clusterArn": f"arn:aws:ecs:eu-west-1:{ACCOUNT}:cluster/shop",
        "containers": containers,
        "cpu": "512",
        "memory": "1024",
        "desiredStatus": status,
        "lastStatus": status,
        "group": "service:shop",
        "launchType": "FARGATE",
    }
    if status == "STOPPED":
        detail["stoppedReason"] = rand.choice(
            ("Scaling activity initiated by deployment", "Essential container in task exited")
        )
    return "aws.ecs", "ECS Task State Change", "ecs", detail


def _call(rand: random.Random) -> tuple[str, str, str, dict[str, Any]]:
    detail = {
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/someone",
            "accountId": ACCOUNT,
            "sessionContext": {"attributes": {"mfaAuthenticated": rand.choice(("true", "false"))}},
        },
        "eventSource": "s3.amazonaws.com",
        "eventName": rand.choice(("DeleteBucket", "DeleteObject", "PutObject", "CreateBucket")),
        "awsRegion": "eu-west-1",
        "sourceIPAddress": rand.choice(("203.0.113.", "198.51.100.")) + str(rand.randint(1, 254)),
        "userAgent": "aws-cli/2.15",
        "requestParameters": {"bucketName": "shop-uploads"},
        "readOnly": False,
    }
    return "aws.s3", "AWS API Call via CloudTrail", "s3", detail
