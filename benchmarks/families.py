"""Families of rules that grow from one to 100,000, each with events of which half match the rule they aim at.

All is integer arithmetic on one linear congruential generator, so that any language can make the same rules and events,
and so that the rules an event matches are known without matching. Rule *i* does not depend on how many there are.

Of an event's draws, `kind` 0 and 1 hit rule `rule`, 2 is a near miss of it, and 3 comes from a source nobody knows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

EVENTS = 2_000
SIZES = (1, 10, 100, 1_000, 10_000, 100_000)


class Draw(NamedTuple):
    """What an event is made from."""

    number: int
    kind: int
    rule: int
    salt: int

    @property
    def is_hit(self) -> bool:
        """Say whether the event matches its rule."""
        return self.kind < 2

    @property
    def is_near(self) -> bool:
        """Say whether the event comes near its rule."""
        return self.kind == 2

    @property
    def is_known(self) -> bool:
        """Say whether the event comes from a source that rules know."""
        return self.kind != 3


def _the_rule_itself(draw: Draw, rules: int) -> list[int]:
    return [draw.rule] if draw.is_hit else []


@dataclass(frozen=True)
class Family:
    """Rules of one kind.

    Attributes:
        name: A short word for it.
        rule: The pattern of rule *i*.
        values: What an event has that differs from any other event.
        found: The rules that an event matches, of so many.
        sizes: How many rules it is measured with.
        events: How many events; fewer where each matches many rules.
        has_app: Whether events carry their source as `app` too, a field that sorts before all others.
    """

    name: str
    rule: Callable[[int], dict[str, Any]]
    values: Callable[[Draw], dict[str, Any]]
    found: Callable[[Draw, int], list[int]] = _the_rule_itself
    sizes: tuple[int, ...] = SIZES
    events: int = EVENTS
    has_app: bool = False

    def draws(self, rules: int) -> list[Draw]:
        """Draw what the events for so many rules are made from."""
        numbers = _numbers()
        draws = []
        for number in range(self.events):
            kind, rule, salt = next(numbers) % 4, next(numbers) % rules, next(numbers) % 1000
            draws.append(Draw(number, kind, rule, salt))
        return draws

    def event(self, draw: Draw) -> bytes:
        """Give the JSON of one event."""
        number, _, rule, salt = draw
        values = {
            "source": f"app.{rule}", "type": f"t.{rule % 50}", "amount": salt, "user": f"u.{salt % 100}",
            "ip": f"192.168.0.{salt % 256}", "extra": {},
            "items": [{"sku": f"A{salt}", "qty": salt % 7}, {"sku": f"B{salt}", "qty": 1}],
        } | self.values(draw)  # fmt: skip
        source = values["source"] if draw.is_known else f"other.{salt}"
        event = {
            **({"app": source} if self.has_app else {}),
            "version": "0",
            "id": f"{number:08x}-0000-4000-8000-{salt:012x}",
            "detail-type": "order placed",
            "source": source,
            "account": "123456789012",
            "time": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
            "region": "eu-west-1",
            "resources": [],
            "detail": {
                "type": values["type"],
                "amount": values["amount"],
                "user": values["user"],
                "ip": values["ip"],
                "currency": "EUR",
                "items": values["items"],
                "note": f"synthetic event {number}",
                **values["extra"],
            },
        }
        return json.dumps(event, separators=(",", ":")).encode()


def _numbers() -> Iterator[int]:
    state = 12345
    while True:
        state = (state * 1103515245 + 12345) % 2**31
        yield state >> 8


def _spread_bound(rule: int) -> int:
    return rule * 7919 % 1000


def _own_bound(rule: int) -> int:
    return rule


def _mixed(name: str, bound: Callable[[int], int], *, field: str = "source") -> Family:
    return Family(
        name,
        rule=lambda i: {
            field: [f"app.{i}"],
            "detail": {"type": [f"t.{i % 50}"], "amount": [{"numeric": [">", bound(i)]}]},
        },
        values=lambda d: {"amount": bound(d.rule) + 1 + d.salt if d.is_hit else bound(d.rule) - d.salt % 10},
        has_app=field == "app",
    )


def _sources(
    name: str, test: Callable[[int], dict[str, Any]], hit: str, near: str, found: Any = _the_rule_itself
) -> Family:
    """Make a family that tests nothing but the source. In templates, i is the rule and r the salt."""
    return Family(
        name,
        rule=lambda i: {"source": [test(i)]},
        values=lambda d: {
            "source": (hit if d.is_hit else near).format(i=d.rule, r=d.salt, a=d.rule % 10, b=d.rule // 10 % 10)
        },
        found=found,
    )


def _with_same_last_digits(draw: Draw, rules: int) -> list[int]:
    """Give the rules that `*a?*b?*c<i>*` finds: i's leading digits that have the same last two digits as i."""
    if not draw.is_hit:
        return []
    text = str(draw.rule)
    leading = {int(text[:length]) for length in range(1, len(text) + 1)}
    return sorted(i for i in leading if (i % 10, i // 10 % 10) == (draw.rule % 10, draw.rule // 10 % 10))


def _cidr(i: int, first: int = 10, last: str = "0/24") -> str:
    return f"{first}.{i >> 8 & 255}.{i & 255}.{last}"


def _exact_type(draw: Draw) -> dict[str, Any]:
    return {"type": "t.x"} if draw.is_near else {}


def _items(draw: Draw) -> dict[str, Any]:
    """Put what the rule wants into one item, or, for a near miss, into two."""
    wanted, other = draw.rule % 7, 7
    if not draw.is_known:
        return {"items": [{"sku": f"C{draw.salt}", "qty": wanted}, {"sku": f"B{draw.salt}", "qty": other}]}
    first, second = (wanted, other) if draw.is_hit else (other, wanted)
    return {"items": [{"sku": f"A{draw.rule}", "qty": first}, {"sku": f"B{draw.salt}", "qty": second}]}


def _all_but(excepted: Callable[[Draw], range]) -> Callable[[Draw, int], list[int]]:
    return lambda draw, rules: [i for i in range(rules) if i not in excepted(draw)]


_LISTED = (
    Family(
        "exact",
        rule=lambda i: {"source": [f"app.{i}"], "detail": {"type": [f"t.{i % 50}"]}},
        values=_exact_type,
    ),
    _mixed("mixed", _spread_bound),
    _mixed("mixed-own-bounds", _own_bound),
    _mixed("mixed-first-field", _spread_bound, field="app"),
    Family(
        "shared",
        rule=lambda i: {
            "source": [f"app.{i % 10}"],
            "detail": {"type": [f"t.{i // 10 % 100}"], "user": [f"u.{i // 1000}"]},
        },
        values=lambda d: {
            "source": f"app.{d.rule % 10}",
            "type": f"t.{d.rule // 10 % 100}",
            "user": f"u.{d.rule // 1000 if d.is_hit else -1}",
        },
    ),
    _sources("prefix", lambda i: {"prefix": f"app.{i}."}, "app.{i}.{r}", "app.{i}"),
    _sources("suffix", lambda i: {"suffix": f".{i}.app"}, "{r}.{i}.app", "{i}.app.x"),
    _sources("wildcard", lambda i: {"wildcard": f"app.{i}.*.eu"}, "app.{i}.svc-{r}.eu", "app.{i}.svc-{r}.us"),
    _sources("wildcard-front", lambda i: {"wildcard": f"*.{i}.x*"}, "org-{r}.{i}.x{r}", "org-{r}.{i}.y{r}"),
    _sources(
        "wildcard-multi",
        lambda i: {"wildcard": f"*a{i % 10}*b{i // 10 % 10}*c{i}*"},
        "org-{r}.a{a}.b{b}.c{i}.x{r}",
        "org-{r}.a{a}.b{b}.c-1.x{r}",
        _with_same_last_digits,
    ),
    _sources("ignore-case", lambda i: {"equals-ignore-case": f"App.{i}.Src"}, "APP.{i}.src", "app.{i}.sr"),
    Family(
        "cidr",
        rule=lambda i: {"detail": {"ip": [{"cidr": _cidr(i)}]}},
        values=lambda d: {"ip": _cidr(d.rule, 10 if d.is_hit else 11, str(d.salt % 256))},
        sizes=(1, 10, 100, 1_000, 10_000, 65_536),  # as many as there are such networks
    ),
    Family(
        "fields",
        rule=lambda i: {"detail": {f"f{i}": ["v"]}},
        values=lambda d: {"extra": {f"f{d.rule}": "v" if d.is_hit else "w"}},
    ),
    Family(
        "ranges",
        rule=lambda i: {"detail": {"amount": [{"numeric": [">=", 10 * i, "<", 10 * i + 5]}]}},
        values=lambda d: {"amount": 10 * d.rule + d.salt % 5 + (0 if d.is_hit else 5)},
    ),
    Family(
        "overlap",  # any amount lies in ten ranges
        rule=lambda i: {"detail": {"amount": [{"numeric": [">=", i, "<", i + 10]}]}},
        values=lambda d: {"amount": d.rule if d.is_hit else -1 - d.salt},
        found=lambda d, rules: list(range(max(d.rule - 9, 0), d.rule + 1)) if d.is_hit else [],
    ),
    Family(
        "arrays",
        rule=lambda i: {"detail": {"items": {"sku": [f"A{i}"], "qty": [i % 7]}}},
        values=_items,
    ),
    Family(
        "anything-but",  # a tenth of all rules match
        rule=lambda i: {"source": [f"app.{i % 10}"], "detail": {"type": [{"anything-but": f"t.{i}"}]}},
        values=lambda d: {"source": f"app.{d.rule % 10}", "type": f"t.{d.rule}"},
        found=lambda d, rules: [i for i in range(d.rule % 10, rules, 10) if i != d.rule] if d.is_known else [],
        events=200,
    ),
    Family(
        "anything-but-alone",  # all rules match but one
        rule=lambda i: {"detail": {"type": [{"anything-but": f"t.{i}"}]}},
        values=lambda d: {"type": f"t.{d.rule}"},
        found=_all_but(lambda d: range(d.rule, d.rule + 1)),
        sizes=(1, 10, 100, 1_000),
        events=200,
    ),
    Family(
        "anything-but-lists",  # all rules match but three
        rule=lambda i: {"detail": {"type": [{"anything-but": [f"t.{i}", f"t.{i + 1}", f"t.{i + 2}"]}]}},
        values=lambda d: {"type": f"t.{d.rule}"},
        found=_all_but(lambda d: range(d.rule - 2, d.rule + 1)),
        sizes=(1, 10, 100, 1_000),
        events=200,
    ),
)  # fmt: skip

FAMILIES = {family.name: family for family in _LISTED}
