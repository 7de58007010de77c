"""The automation's functions for the command line, on a fleet that exists in memory only.

    eventrouter route rules.json events.jsonl --functions functions.py

The fleet behaves like EC2 where it hurts: it refuses its first call, since requests come too fast, and it does not
know an instance that has been terminated.
"""

from automation import Automation


class ClientError(Exception):
    """What boto3 raises for an answer that is an error."""


class Fleet:
    """EC2's API for a handful of instances, by id."""

    def __init__(self, **states: str) -> None:
        self.states = {name.replace("_", "-"): state for name, state in states.items()}
        self.is_busy = True

    def stop_instances(self, InstanceIds: list[str]) -> None:  # noqa: N803 - boto3's name
        """Stop instances."""
        self._change(InstanceIds, "stopped")

    def start_instances(self, InstanceIds: list[str]) -> None:  # noqa: N803
        """Start instances."""
        self._change(InstanceIds, "running")

    def _change(self, ids: list[str], state: str) -> None:
        if self.is_busy:
            self.is_busy = False
            raise ClientError("RequestLimitExceeded: request limit exceeded, try again")
        for instance in ids:
            if instance not in self.states:
                raise ClientError(f"InvalidInstanceID.NotFound: The instance ID '{instance}' does not exist")
            self.states[instance] = state


automation = Automation(
    Fleet(i_0a1b2c3d4e5f60001="running", i_0a1b2c3d4e5f60002="stopped", i_0a1b2c3d4e5f60003="running")
)
stop_instance = automation.stop_instance
start_instance = automation.start_instance
protect_instance = automation.protect_instance
