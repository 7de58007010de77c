"""When a cron expression is due, found out minute by minute: slow, simple, and without a line of the code it checks."""

from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
BOUNDS = [(0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199)]


def number(text, names=()):
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)


def values(text, index):
    """Give the values that a field of values, ranges, steps and lists stands for."""
    low, high = BOUNDS[index]
    names = {3: MONTHS, 4: WEEKDAYS}.get(index, [])
    found = set()
    for item in text.split(","):
        body, _, step = item.partition("/")
        if body == "*":
            listed = list(range(low, high + 1))
        elif "-" in body:
            first, last = (number(end, names) for end in body.split("-"))
            listed = list(range(first, last + 1))
            if last < first:
                listed = [*range(first, high + 1), *range(low, last + 1)]
        else:
            first = number(body, names)
            listed = list(range(first, high + 1)) if step else [first]
        found |= set(listed[:: int(step or 1)])
    return found


def sunday_first(day):
    return day.isoweekday() % 7 + 1


def last_of_month(day):
    return (date(day.year + day.month // 12, day.month % 12 + 1, 1) - timedelta(days=1)).day


def is_day(day, of_month, of_week):
    """Say whether a date is one of the days."""
    length = last_of_month(day)
    if of_week == "?":
        if of_month == "L":
            return day.day == length
        if of_month.endswith("W"):
            wanted = length if of_month == "LW" else int(of_month[:-1])
            if wanted > length:
                return False
            weekdays = [n for n in range(1, length + 1) if day.replace(day=n).isoweekday() < 6]
            return day.day == min(weekdays, key=lambda n: abs(n - wanted))
        return day.day in values(of_month, 2)
    if of_week == "L":
        return sunday_first(day) == 7
    if "#" in of_week:
        wanted, nth = of_week.split("#")
        return sunday_first(day) == number(wanted, WEEKDAYS) and (day.day + 6) // 7 == int(nth)
    if of_week.endswith("L"):
        return sunday_first(day) == number(of_week[:-1], WEEKDAYS) and day.day > length - 7
    return sunday_first(day) in values(of_week, 4)


def occurrences(expression, timezone, after, until, step=timedelta(minutes=1)):
    """Give all instants after *after*, up to and including *until*, of those that are looked at."""
    fields = expression[len("cron(") : -1].split()
    minutes, hours, months, years = (values(fields[index], index) for index in (0, 1, 3, 5))
    zone = ZoneInfo(timezone)
    # What clocks have shown before counts as shown: the first pass through an hour may have been before `after`.
    seen = set()
    found = []
    instant = after.replace(second=0, microsecond=0) - timedelta(hours=26)
    while instant <= until:
        wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        if wall.second == 0 and wall not in seen:
            seen.add(wall)
            is_due = wall.minute in minutes and wall.hour in hours and wall.month in months and wall.year in years
            if is_due and is_day(wall.date(), fields[2], fields[4]) and instant > after:
                found.append(instant)
        instant += step
    return [one.astimezone(UTC) for one in found]
