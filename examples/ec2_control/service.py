"""The automation as a service: three rules act on EC2 instances through boto3.

    python examples/ec2_control/service.py

EC2 is moto's, inside this process. Like the real one, it says what happens to its instances: every change of state is
an event on the bus. Two instances are asked to stop. The stop rule stops both; the protect rule sees the id of one it
protects, and starts that one again.
"""

import json
import logging
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import boto3
from automation import Automation
from moto import mock_aws

from eventrouter import Event, EventEntry, EventRouter, FunctionTarget, LogTarget

REGION = "eu-west-1"
ACCOUNT = "123456789012"
STATE_CHANGE = "EC2 Instance State-change Notification"


class Cloud:
    """A boto3 EC2 client whose changes of state become events on the default bus, as on AWS.

    Its methods block and are called from worker threads, where the router's functions run.
    """

    def __init__(self, ec2: Any, router: EventRouter) -> None:
        self._ec2 = ec2
        self._router = router

    def stop_instances(self, InstanceIds: list[str]) -> None:  # noqa: N803 - boto3's name
        """Stop instances, and say so."""
        self._ec2.stop_instances(InstanceIds=InstanceIds)
        self._tell(InstanceIds, "stopping", "stopped")

    def start_instances(self, InstanceIds: list[str]) -> None:  # noqa: N803
        """Start instances, and say so."""
        self._ec2.start_instances(InstanceIds=InstanceIds)
        self._tell(InstanceIds, "pending", "running")

    def _tell(self, ids: Iterable[str], *states: str) -> None:
        events = [state_change(instance, state) for instance in ids for state in states]
        anyio.from_thread.run(self._router.forward_events, events)


def state_change(instance: str, state: str) -> Event:
    """Give the event that EC2 sends."""
    return Event.from_json(
        json.dumps(
            {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": STATE_CHANGE,
                "source": "aws.ec2",
                "account": ACCOUNT,
                "time": datetime.now(UTC).isoformat(),
                "region": REGION,
                "resources": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance}"],
                "detail": {"instance-id": instance, "state": state},
            }
        )
    )


def build(ec2: Any, protected: list[str]) -> EventRouter:
    """Give a router with the three rules."""
    router = EventRouter(account=ACCOUNT, region=REGION)
    automation = Automation(Cloud(ec2, router))
    rules = {
        "stop": ({"detail-type": ["Instance Stop Requested"]}, automation.stop_instance),
        "start": ({"detail-type": ["Instance Start Requested"]}, automation.start_instance),
        "protect": (
            {
                "source": ["aws.ec2"],
                "detail-type": [STATE_CHANGE],
                "detail": {"state": ["stopped"], "instance-id": protected},
            },
            automation.protect_instance,
        ),
    }
    for name, (pattern, function) in rules.items():
        router.put_rule(name, pattern)
        router.put_targets(name, [FunctionTarget(id=name, function=function)])
    router.put_rule("log", {"source": [{"prefix": ""}]})
    router.put_targets("log", [LogTarget(id="log", logger="ec2_control")])
    return router


async def control() -> tuple[dict[str, str], EventRouter]:
    """Ask two instances to stop, one of them protected; give the states in the end, by name, and the router."""
    ec2 = boto3.client("ec2", region_name=REGION)
    launched = await anyio.to_thread.run_sync(launch, ec2, "web", "batch")
    router = build(ec2, protected=[launched["web"]])
    async with router:
        await router.put_events(
            [
                EventEntry("ops.requests", "Instance Stop Requested", {"instance-id": instance})
                for instance in launched.values()
            ]
        )
        await router.settle_down()
    return await anyio.to_thread.run_sync(states, ec2, launched), router


def launch(ec2: Any, *names: str) -> dict[str, str]:
    """Run an instance for each name; give their ids."""
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    answer = ec2.run_instances(ImageId=image, MinCount=len(names), MaxCount=len(names), InstanceType="t3.micro")
    return dict(zip(names, (instance["InstanceId"] for instance in answer["Instances"]), strict=True))


def states(ec2: Any, instances: dict[str, str]) -> dict[str, str]:
    """Ask EC2 for the state of each instance."""
    answer = ec2.describe_instances(InstanceIds=list(instances.values()))
    found = {i["InstanceId"]: i["State"]["Name"] for r in answer["Reservations"] for i in r["Instances"]}
    return {name: found[instance] for name, instance in instances.items()}


def main() -> None:
    """Run it, and print what happened."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    with mock_aws():
        found, router = anyio.run(control)
    print("in the end:", ", ".join(f"{name} is {state}" for name, state in found.items()))
    print("ledger:", router.closing_report)


if __name__ == "__main__":
    main()
