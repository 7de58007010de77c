"""Schedule expressions, field by field as EventBridge's guides allow them."""

from __future__ import annotations

from typing import Final, TypeAlias

from hypothesis import strategies as st

_Texts: TypeAlias = st.SearchStrategy[str]

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LONGEST: Final = 256  # characters of an expression (EventBridge Scheduler's service model)


def _values(least: int, most: int, names: tuple[str, ...] = ()) -> _Texts:
    numbers = st.integers(least, most).map(str)
    return numbers | st.sampled_from(names) if names else numbers


def _ranges(values: _Texts) -> _Texts:
    """Draw ranges; one that goes past the end goes on at the beginning."""
    return st.builds("{}-{}".format, values, values)


def _lists(items: _Texts) -> _Texts:
    return st.lists(items, min_size=1, max_size=4).map(",".join)


def _field(least: int, most: int, longest_step: int, names: tuple[str, ...] = ()) -> _Texts:
    """Draw a field with values, ranges, steps and lists of them. A step goes with numbers only."""
    values, numbers, steps = _values(least, most, names), _values(least, most), st.integers(1, longest_step)
    stepped = st.builds("{}/{}".format, st.one_of(numbers, _ranges(numbers)), steps)
    return st.one_of(st.just("*"), _lists(st.one_of(values, _ranges(values), stepped)), st.builds("*/{}".format, steps))


_minutes: Final = _field(0, 59, 59)
_hours: Final = _field(0, 23, 23)
_months: Final = _field(1, 12, 12, _MONTHS)
_days: Final = st.one_of(_field(1, 31, 31), st.sampled_from(["L", "LW"]), st.integers(1, 31).map("{}W".format))
_weekday: Final = _values(1, 7, _DAYS)
_weekdays: Final = st.one_of(
    st.just("*"),
    _lists(st.one_of(_weekday, _ranges(_weekday))),
    st.just("L"),
    _weekday.map("{}L".format),
    st.builds("{}#{}".format, _weekday, st.integers(1, 5)),
)
_year: Final = st.integers(1970, 2199)
_some_years: Final = st.builds(lambda first, last: f"{min(first, last)}-{max(first, last)}", _year, _year)
_years: Final = st.one_of(
    st.just("*"),
    _lists(st.one_of(_year.map(str), _some_years, st.builds("{}/{}".format, _year, st.integers(1, 229)))),
    st.integers(1, 229).map("*/{}".format),
)
#: Of the day of the month and the day of the week, one is `?`.
_dates: Final = st.one_of(st.builds("{} {} ?".format, _days, _months), st.builds("? {} {}".format, _months, _weekdays))
_cron: Final = st.builds("cron({} {} {} {})".format, _minutes, _hours, _dates, _years)


def _rate(count: int, unit: str) -> str:
    return f"rate({count} {unit}{'s' * (count != 1)})"


_rates: Final = st.builds(_rate, st.integers(1, 10_000), st.sampled_from(["minute", "hour", "day"]))
_instants: Final = st.datetimes().map(lambda time: f"at({time.replace(microsecond=0).isoformat()})")


def schedule_expressions() -> _Texts:
    """Draw expressions."""
    return st.one_of(_rates, _cron, _instants).map(_short)


def _short(expression: str) -> str:
    """Replace what is too long, which only lists in all fields are."""
    return expression if len(expression) <= _LONGEST else "cron(0 0 ? * * *)"
