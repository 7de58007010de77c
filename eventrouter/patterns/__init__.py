"""The pattern language, pure: what an event pattern means, one pattern at a time."""

from eventrouter.patterns._pattern import Pattern, read_event

__all__ = ["Pattern", "read_event"]
