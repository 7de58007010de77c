"""The `Matcher`: many patterns, one event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NoReturn, Self, SupportsIndex, TypeVar

from eventrouter.errors import InvalidEventError, NotFoundError
from eventrouter.matching._changes import STALE, Change, Shape
from eventrouter.matching._checks import Fields
from eventrouter.matching._fields import Branch, FieldNames, Looks, Seen, look_at
from eventrouter.matching._general import many_of_leaves, many_of_lists, values_of
from eventrouter.matching._indexed import indexed_lines, may_repeat
from eventrouter.matching._projection import MAXIMUM_FIELDS, MISFITS, Extraction, NotProjectableError, decode_all
from eventrouter.matching._straight import MAXIMUM_RULES, MAXIMUM_TESTS, Straight, numeric_slots, weight
from eventrouter.matching._tree import Node
from eventrouter.patterns import (
    Evaluator,
    Field,
    Leaves,
    Pattern,
    SubRule,
    in_order,
    leaves_match,
    leaves_of,
    read_event,
)

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class MatcherStatistics:
    """What a matcher holds, and how it goes about a match.

    Attributes:
        keys: How many keys.
        sub_rules: How many ways to match they have, every `$or` multiplied out.
        fields: How many fields of events they look at.
        accesses: How many of these are looked up first; the others are checked for what was found there.
        strategy: `straight`: few rules, tested one by one; `indexed`: looked up; `general`: looked up without compiled
            code and a projection, as there are more than 64 fields, or names that cannot be projected.
    """

    keys: int
    sub_rules: int
    fields: int
    accesses: int
    strategy: str


class Matcher(Generic[K]):
    """Find the key of every pattern that an event satisfies.

    A key may stand for several patterns: it is found when any of them matches. The time of a match depends on how many
    patterns come near, not on how many there are.

    Any number of threads may match while others change the patterns; `add` and `remove` take a lock among themselves,
    a match never waits. It sees all of a change or nothing of it: a change is announced, then made in place, then
    declared complete. A match that finds, at its end, a change announced since its beginning goes a slower way, on
    which it puts right what the changed keys answered before.
    """

    def __init__(self) -> None:
        self._clear()
        self._lock = threading.Lock()  # held by changes, and to compile
        self._shape = Shape(Change(None, ()))
        self._strategy = ""
        self._run: dict[bool, Callable[..., list[K]]] = {}

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        raise TypeError("a Matcher cannot be copied or pickled; build another one from the patterns")

    @classmethod
    def build(cls, items: Iterable[tuple[K, Pattern]]) -> Self:
        """Make a matcher of keys and patterns; a key may come again."""
        matcher = cls()
        for key, pattern in items:
            matcher.add(key, pattern)
        return matcher

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._rules)

    def __contains__(self, key: object) -> bool:
        return key in self._rules

    def add(self, key: K, pattern: Pattern) -> None:
        """Let *key* stand for *pattern* too.

        Raises:
            ValueError: The key does not equal itself, as NaN, so that it could not be found again.
        """
        with self._lock:
            garbage = self._change(key, self._rules.get(key, ()), pattern.sub_rules)
        del garbage  # only here, as to free a key may run code that changes the matcher

    def replace(self, key: K, pattern: Pattern) -> None:
        """Let *key* stand for *pattern* alone. One change: no match finds the key with neither, or with both."""
        with self._lock:
            garbage = self._change(key, (), pattern.sub_rules)
        del garbage

    def remove(self, key: K) -> None:
        """Forget *key* and all its patterns.

        Raises:
            NotFoundError: There is no such key.
        """
        with self._lock:
            if key not in self._rules:
                raise NotFoundError(f"There is no pattern under the key {key!r}.")
            garbage = self._change(key, (), ())
        del garbage

    def match(self, event: Mapping[str, Any]) -> list[K]:
        """Give the keys of all patterns that *event* satisfies, each once, in no particular order.

        Raises:
            InvalidEventError: It is not a mapping, or its arrays are nested too deeply or combine in too many ways. Or
                a field that a pattern looks at is NaN, or of a type that JSON has not.
        """
        run = self._run.get(False)
        return run(event) if run is not None else self._match_anew(event)

    def match_json(self, event: str | bytes) -> list[K]:
        """Do what `match` does, for the JSON text of an event.

        The text is checked whole, also what no pattern looks at.

        Raises:
            InvalidEventError: The text is not a JSON object, or is nested too deeply, or as `match`.
            TypeError: It is not text.
        """
        run = self._run.get(True)
        return run(event) if run is not None else self._match_json_anew(event)

    def statistics(self) -> MatcherStatistics:
        """Say what the matcher holds."""
        with self._lock:
            if not self._strategy:
                self._compile(from_json=True)
            return MatcherStatistics(
                len(self._rules), self._sub_rules, len(self._names.slots), len(self._root.fields), self._strategy
            )

    # -- changes ---------------------------------------------------------------------------------------------------

    def _clear(self) -> None:
        """Begin with nothing; a dict that was large stays large."""
        self._rules: dict[K, tuple[SubRule, ...]] = {}
        self._ordered: dict[K, tuple[tuple[SubRule, ...], list[list[Field]]]] = {}
        self._looks = Looks()
        self._sub_rules = 0
        self._tests = 0  # of all rules, as code that makes them one by one counts them
        self._repeating = 0  # keys that may be found twice for one event
        self._index(FieldNames(), Node())

    def _index(self, names: FieldNames, root: Node[K]) -> None:
        self._names, self._root = names, root
        self._both = names, root  # for readers, who need those that belong together

    def _change(self, key: K, kept: tuple[SubRule, ...], added: tuple[SubRule, ...]) -> object:
        """Let a key stand for what it keeps, all of what it has or nothing, and for what is added.

        Gives what is of no more use. After an error all is as before.
        """
        if key != key:  # noqa: PLR0124 - that is the question
            raise ValueError(f"The key {key!r} does not equal itself")
        change = Change(key, self._rules.get(key, ()))
        last = self._shape.last
        last.next = change
        try:
            self._make(change, kept, added)
        except BaseException:
            self._unmake(change)
            raise
        return last

    def _make(self, change: Change, kept: tuple[SubRule, ...], added: tuple[SubRule, ...]) -> None:
        key, names = change.key, self._names
        version, was_few, was_repeating = names.version, self._is_few(), bool(self._repeating)
        is_new = False
        if not kept:
            for rule in change.before:
                is_new |= self._root.purge(self._fields(rule), key)
                names.release(rule)
        for rule in added:
            is_new |= self._root.add(names.use(rule), key)
        self._count(change.before, -1)
        self._count(kept + added, 1)
        self._ordered.pop(key, None)
        if kept or added:
            self._rules[key] = kept + added
        else:
            del self._rules[key]
            if not self._rules:
                self._clear()
        is_other = was_few or self._is_few() or was_repeating != bool(self._repeating)
        if is_new or is_other or version != names.version:
            self._renew(change)
        else:
            self._shape.last = change

    def _unmake(self, change: Change) -> None:
        """Make the index anew, of the rules as they were before a change that an error has ended."""
        rules = {key: sub_rules for key, sub_rules in self._rules.items() if key != change.key}
        if change.before:
            rules[change.key] = change.before
        self._clear()
        names, root = FieldNames(), Node[K]()
        for key, sub_rules in rules.items():
            self._count(sub_rules, 1)
            for rule in sub_rules:
                root.add(names.use(rule), key)
        self._rules = rules
        self._index(names, root)
        self._renew(change)

    def _count(self, rules: tuple[SubRule, ...], sign: int) -> None:
        self._sub_rules += sign * len(rules)
        self._tests += sign * sum(weight(filters) for rule in rules for filters in rule.values())
        self._repeating += sign * may_repeat(rules)

    def _is_few(self) -> bool:
        return self._sub_rules <= MAXIMUM_RULES and self._tests <= MAXIMUM_TESTS

    def _renew(self, last: Change) -> None:
        """Let code be made anew, when it is needed next."""
        self._run.clear()
        self.__dict__.pop("match", None)
        self.__dict__.pop("match_json", None)
        self._strategy = ""
        stale, self._shape = self._shape, Shape(last)
        stale.last = STALE

    def _fields(self, rule: SubRule) -> Fields:
        return tuple((self._names.slots[path], filters) for path, filters in rule.items())

    # -- the fast way ----------------------------------------------------------------------------------------------

    def _match_anew(self, event: Mapping[str, Any]) -> list[K]:
        run = self._compiled(from_json=False)
        return run(event) if run is not None else self._match_slowly(event)

    def _match_json_anew(self, event: str | bytes) -> list[K]:
        run = self._compiled(from_json=True)
        return run(event) if run is not None else self._match_json_slowly(event)

    def _compiled(self, *, from_json: bool) -> Callable[..., list[K]] | None:
        """Give the code for the rules as they are, or None if there is none or it cannot be made just now."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._run.get(from_json) or self._compile(from_json=from_json)
        finally:
            self._lock.release()

    def _compile(self, *, from_json: bool) -> Callable[..., list[K]]:
        slots = self._names.slots
        slowly: Callable[..., list[K]] = self._match_json_slowly if from_json else self._match_slowly
        self._run[from_json] = slowly
        if from_json:
            self._strategy = "general"
        if len(slots) > MAXIMUM_FIELDS:
            return slowly
        branch = Branch.of(slots)
        self._looks.forget_all_but(branch)
        name = "match_json" if from_json else "match"
        rules = {}
        if self._is_few():
            rules = {key: [self._fields(rule) for rule in sub_rules] for key, sub_rules in self._rules.items()}
        numeric = numeric_slots(field for ways in rules.values() for fields in ways for field in fields)
        try:
            extraction = Extraction(self._names, branch, self._looks, numeric, from_json=from_json)
        except NotProjectableError:
            return slowly
        names = extraction.names
        if self._is_few():
            lines = Straight(rules, extraction).lines
        else:
            lines = [f"{name} = {expression}" for name, expression in extraction.deferred.items()]
            lines += indexed_lines(
                self._root, slots.values(), extraction.lists, names, is_repeating=bool(self._repeating)
            )
        names |= {"shape": self._shape, "STALE": STALE, "MISFITS": MISFITS, "many": self._match_many}
        names["slowly"] = slowly
        names["anew"] = self._match_json_anew if from_json else self._match_anew
        source = [
            f"def {name}(event):",
            "    last = shape.last",
            "    try:",
            *(f"        {line}" for line in extraction.around(lines)),
            "        if last.next is None: return keys",
            "    except MISFITS: pass",
            "    return anew(event) if last is STALE else slowly(event)",
        ]
        exec("\n".join(source), names)  # noqa: S102 - nothing that rules or events hold is in the text
        run: Callable[..., list[K]] = names[name]
        if from_json:
            self._strategy = "straight" if self._is_few() else "indexed"
        self._shape.branch = branch
        if self._looks.is_young and self._is_few():
            self._run[from_json] = partial(self._sample, run, from_json)
            return self._run[from_json]
        self._run[from_json] = run
        if getattr(type(self), name) is getattr(Matcher, name):
            # The function in the method's place saves a call, which is a good part of a match of few rules.
            self.__dict__[name] = run
        return run

    def _sample(self, run: Callable[..., list[K]], from_json: bool, event: Any) -> list[K]:
        """Match one of the first events, by code that is made anew when it is known what they have in common."""
        data = event
        if from_json:
            with suppress(*MISFITS):
                data = decode_all(event)
        if type(data) is dict:
            self._learn(data, Looks.sample)
        return run(event)

    def _match_many(self, lists: Iterable[list[Any] | None], values: Iterable[Any]) -> list[K]:
        keys: list[K] = []
        self._root.match_many(many_of_lists(lists, values), keys)
        return [*dict.fromkeys(keys)]

    # -- the slow way ----------------------------------------------------------------------------------------------

    def _match_slowly(self, event: Mapping[str, Any]) -> list[K]:
        if not isinstance(event, Mapping):
            raise InvalidEventError("Event must be a JSON object", "MalformedEvent")
        if type(event) is dict:
            self._learn(event, Looks.learn)
        last = self._shape.last
        while last is STALE:  # the shape was replaced just now
            last = self._shape.last
        keys = self._find(event)
        return keys if last.next is None else self._corrected(keys, event, last)

    def _match_json_slowly(self, event: str | bytes) -> list[K]:
        try:
            data = decode_all(event)
        except MISFITS:
            data = None
        return self._match_slowly(data if type(data) is dict else read_event(event))

    def _find(self, event: Mapping[str, Any]) -> list[K]:
        names, root = self._both
        leaves = leaves_of(event, names.names)
        keys: list[K] = []
        values = values_of(leaves, names.slots)
        if values is not None:
            root.match(values, keys)
            return [*dict.fromkeys(keys)]
        many = many_of_leaves(leaves, names.slots)
        root.match_many(many, keys)
        found = dict.fromkeys(keys)
        # What was found may have its values from different elements of an array.
        return [key for key in found if self._is_consistent(key, leaves)] if many.uncertain else [*found]

    def _is_consistent(self, key: K, leaves: Leaves) -> bool:
        rules = self._rules.get(key, ())
        known = self._ordered.get(key)
        if known is None or known[0] is not rules:
            known = self._ordered[key] = rules, [in_order(rule) for rule in rules]
        return any(leaves_match(fields, leaves) for fields in known[1])

    def _corrected(self, keys: list[K], event: Mapping[str, Any], last: Change) -> list[K]:
        """Put right what the keys answered that have been changed since."""
        before: dict[Any, tuple[SubRule, ...]] = {}
        change = last.next
        while change is not None:
            before.setdefault(change.key, change.before)
            change = change.next
        kept = [key for key in keys if key not in before]
        return kept + [key for key, rules in before.items() if rules and Evaluator(rules).matches(event)]

    def _learn(self, event: dict[str, Any], learn: Callable[[Looks, list[Seen]], bool]) -> None:
        branch = self._shape.branch
        if branch is None:
            return
        seen = look_at(branch, event)
        if not self._lock.acquire(blocking=False):
            return  # another event will tell the same
        try:
            if learn(self._looks, seen):
                self._renew(self._shape.last)
        finally:
            self._lock.release()
