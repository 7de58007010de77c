"""The matching engine, pure: which of many patterns an event satisfies."""

from eventrouter.matching._matcher import Matcher, MatcherStatistics

__all__ = ["Matcher", "MatcherStatistics"]
