"""Functions: AWS Lambda's semantics in this process."""

from eventrouter.functions._configuration import FunctionConfiguration, Role
from eventrouter.functions._context import BlockingContext, Context, Identity
from eventrouter.functions._function import Function
from eventrouter.functions._invocation import InvokeResponse
from eventrouter.functions._metrics import FunctionMetrics
from eventrouter.functions._target import FunctionInvocationTarget
from eventrouter.functions._versions import Alias, EventInvokeConfig, FunctionVersion, ProvisionedConcurrency

__all__ = [
    "Alias",
    "BlockingContext",
    "Context",
    "EventInvokeConfig",
    "Function",
    "FunctionConfiguration",
    "FunctionInvocationTarget",
    "FunctionMetrics",
    "FunctionVersion",
    "Identity",
    "InvokeResponse",
    "ProvisionedConcurrency",
    "Role",
]
