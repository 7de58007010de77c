"""Schedules: EventBridge's expressions, when they are due, and what becomes of what was missed."""

from eventrouter.schedules._expression import ScheduleExpression
from eventrouter.schedules._missed import Missed

__all__ = ["Missed", "ScheduleExpression"]
