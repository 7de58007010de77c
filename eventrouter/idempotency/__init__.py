"""Functions that do their work once for each key, however often they are called."""

from eventrouter.idempotency._decorator import idempotent
from eventrouter.idempotency._guard import OnConflict

__all__ = ["OnConflict", "idempotent"]
