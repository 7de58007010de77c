"""Schedules: EventBridge's expressions, and when they are due."""

from eventrouter.schedules._expression import ScheduleExpression

__all__ = ["ScheduleExpression"]
