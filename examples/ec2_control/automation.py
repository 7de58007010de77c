"""The three functions of the automation, for whatever speaks EC2's API: boto3, or a stand-in."""

from dataclasses import dataclass
from typing import Any

from eventrouter import Event


@dataclass(frozen=True)
class Automation:
    """Stop, start and protect instances.

    Attributes:
        ec2: A client with boto3's `stop_instances` and `start_instances`. It blocks, so the functions are ordinary
            ones, which the router runs in threads. Both calls may be repeated without harm, as deliveries may be.
    """

    ec2: Any

    def stop_instance(self, event: Event) -> None:
        """Do what a stop request asks for."""
        self.ec2.stop_instances(InstanceIds=[event.detail["instance-id"]])

    def start_instance(self, event: Event) -> None:
        """Do what a start request asks for."""
        self.ec2.start_instances(InstanceIds=[event.detail["instance-id"]])

    def protect_instance(self, event: Event) -> None:
        """Start an instance again that must not be stopped."""
        self.ec2.start_instances(InstanceIds=[event.detail["instance-id"]])
