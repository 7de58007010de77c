"""Who may put which events on a bus, and invoke which function: AWS's resource policies, pure."""

from eventrouter.policy._build import allow, deny
from eventrouter.policy._policy import Action, Denial, Policy

__all__ = ["Action", "Denial", "Policy", "allow", "deny"]
