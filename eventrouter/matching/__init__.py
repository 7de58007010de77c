"""The matching engine, pure: which of many patterns an event satisfies."""

from eventrouter.matching._matcher import Matcher

__all__ = ["Matcher"]
