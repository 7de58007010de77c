"""The fields that rules use: a number for each, the paths that lead there, and what their values have looked like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final, NamedTuple

from eventrouter.matching._checks import Fields
from eventrouter.patterns import Exists, Names, SubRule

_MISSING: Final = Exists(expected=False)


def prefixes_of(path: str) -> Iterator[str]:
    """Give the paths of the objects and arrays that a field stands in."""
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)


@lru_cache(maxsize=1_000)  # rules share paths; without it this is half the cost of adding one
def _places(paths: tuple[str, ...], absent: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Give the objects at which an array matters for which fields of a rule go together, and those of absent fields.

    It matters where two fields share it, as they have to come from one element, and where a field may be absent, as the
    elements may then differ in that (reference 5.3, 11.5).
    """
    seen: set[str] = set()
    shared: set[str] = set()
    for path in paths:
        prefixes = set(prefixes_of(path))
        shared |= seen & prefixes
        seen |= prefixes
    absences = {prefix for path in absent for prefix in prefixes_of(path)}
    # A field that is a parent of another one shares its own place with it.
    return tuple(shared | absences | (seen & set(paths))), tuple(absences)


class FieldNames:
    """The fields in use, counted.

    Readers look things up here during a change; so nothing that iterates.

    Attributes:
        slots: The number of each path. Numbers are given again, so they stay about as few as the fields.
        names: Their names, as a tree.
        sensitive: The objects at which an array matters for which fields go together.
        absences: Those of them in which a field may be absent.
        version: Rises whenever a field comes or goes, or what is known of one.
    """

    __slots__ = ("_free", "_uses", "absences", "names", "sensitive", "slots", "version")

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.names = Names()
        self.version = 0
        self.sensitive: Counter[str] = Counter()
        self.absences: Counter[str] = Counter()
        self._uses: Counter[str] = Counter()
        self._free: list[int] = []

    def use(self, rule: SubRule) -> Fields:
        """Count the fields of a rule, and give them by slot."""
        fields = []
        for path, filters in rule.items():
            self._uses[path] += 1
            slot = self.slots.get(path)
            if slot is None:
                slot = self.slots[path] = self._free.pop() if self._free else len(self.slots)
                self.names.add(path)
                self.version += 1
            fields.append((slot, filters))
        for counter, places in self._counted(rule):
            for place in places:
                counter[place] += 1
                self.version += counter[place] == 1
        return tuple(fields)

    def release(self, rule: SubRule) -> None:
        """Forget a use of the fields of a rule."""
        for path in rule:
            self._uses[path] -= 1
            if not self._uses[path]:
                del self._uses[path]
                self._free.append(self.slots.pop(path))
                self.names.discard(path)
                self.version += 1
        for counter, places in self._counted(rule):
            for place in places:
                counter[place] -= 1
                if not counter[place]:
                    del counter[place]
                    self.version += 1

    def _counted(self, rule: SubRule) -> Iterable[tuple[Counter[str], tuple[str, ...]]]:
        absent = tuple(path for path, filters in rule.items() if _MISSING in filters)
        return zip((self.sensitive, self.absences), _places(tuple(rule), absent), strict=True)


class Branch:
    """A name on the way to used fields.

    Attributes:
        path: The names down to here, joined by dots; None for the event itself.
        slot: Of the field that ends here, if one does.
        children: By name.
        depth: How many names lead here.
    """

    __slots__ = ("children", "depth", "path", "slot")

    def __init__(self, path: str | None = None, depth: int = 0) -> None:
        self.path = path
        self.depth = depth
        self.slot: int | None = None
        self.children: dict[str, Branch] = {}

    @classmethod
    def of(cls, slots: Mapping[str, int]) -> Branch:
        """Make the tree of all used fields."""
        root = cls()
        for path, slot in slots.items():
            branch = root
            for name in path.split("."):
                full = name if branch.path is None else f"{branch.path}.{name}"
                branch = branch.children.setdefault(name, cls(full, branch.depth + 1))
            branch.slot = slot
        return root

    def paths(self) -> Iterator[str]:
        """Give the whole paths of everything below this."""
        for child in self.children.values():
            yield str(child.path)
            yield from child.paths()

    def dotted(self) -> Iterator[str]:
        """Give the names with dots that mean something below this: `b.c`, where `b` holds `c`."""
        for name, child in self.children.items():
            for below in child.names():
                yield f"{name}.{below}"

    def names(self) -> Iterator[str]:
        """Give the paths, from here, of everything below."""
        for name, child in self.children.items():
            yield name
            for below in child.names():
                yield f"{name}.{below}"

    def slots(self) -> Iterator[int]:
        """Give the slots of all fields here and below."""
        if self.slot is not None:
            yield self.slot
        for child in self.children.values():
            yield from child.slots()


#: What a value may look like, besides an array of objects, whose kind is its depth: 1 for `[{}]`, 2 for `[[{}]]`.
OBJECT: Final = "object"
SCALAR: Final = "scalar"
LIST: Final = "list"  # of scalars
MIXED: Final = "mixed"
ABSENCE: Final = "absent"  # beside another kind

_DEEPEST: Final = 4
_SCALARS: Final = frozenset((str, int, float, bool, type(None)))
_NUMBERS: Final = frozenset((int, float))
_ELEMENTS: Final = 100  # of an array that are looked at
_ENOUGH: Final = 64  # events that fit worse than another kind, until it counts
_SAMPLE: Final = 16  # events of which it is seen what most have in common
_MOST_NAMES: Final = 16  # of an object, if they are to be told from all others


def kind_of(value: Any, *, is_leaf: bool) -> str | int:
    """Say what a value looks like."""
    if isinstance(value, dict):
        return MIXED if is_leaf else OBJECT
    if not isinstance(value, list):
        return SCALAR
    if all(type(item) in _SCALARS for item in value):
        return LIST
    depth = 1
    while depth < _DEEPEST and all(type(item) is list for item in value):
        value = list(chain.from_iterable(value))
        depth += 1
    return depth if not is_leaf and all(type(item) is dict for item in value) else MIXED


def flattened(value: list[Any], depth: int) -> list[Any]:
    """Give the elements of arrays in arrays."""
    for _ in range(depth - 1):
        value = list(chain.from_iterable(value))
    return value


class Seen(NamedTuple):
    """What one value of an event looks like.

    Attributes:
        text: The value of a field that is a string, not of an element of an array.
        names: All names of an object, if they are few; not of an element either.
    """

    branch: Branch
    kind: str | int
    is_no_number: bool = False
    text: str | None = None
    names: frozenset[str] | None = None


def look_at(root: Branch, event: dict[str, Any]) -> list[Seen]:
    """Say what the values of an event look like. May run code of the event's, so not with a lock held."""
    seen = [Seen(root, OBJECT, names=_names_of(event))]
    todo: list[tuple[Branch, dict[str, Any], bool]] = [(root, event, False)]
    while todo:
        branch, value, is_element = todo.pop()
        for name, child in branch.children.items():
            kind = kind_of(value[name], is_leaf=not child.children) if name in value else ABSENCE
            is_leaf = kind != OBJECT and not isinstance(kind, int)
            is_no_number = is_leaf and (is_element if kind == ABSENCE else type(value[name]) not in _NUMBERS)
            is_text = kind == SCALAR and not is_element and type(value[name]) is str
            text = value[name] if is_text and not child.children else None
            names = _names_of(value[name]) if kind == OBJECT and not is_element else None
            seen.append(Seen(child, kind, is_no_number, text, names))
            if kind == OBJECT:
                todo.append((child, value[name], is_element))
            elif isinstance(kind, int):
                todo.extend((child, item, True) for item in flattened(value[name], kind)[:_ELEMENTS])
    return seen


def _names_of(value: dict[str, Any]) -> frozenset[str] | None:
    is_plain = len(value) <= _MOST_NAMES and all(type(name) is str for name in value)
    return frozenset(value) if is_plain else None


class Looks:
    """What the values of fields, and of the objects they stand in, have looked like.

    At first a field is taken for a scalar and what it stands in for objects. What does not fit is read the slow way,
    and told to this class; which then adapts: at once the first time, afterwards when that has happened often.

    Where there are few rules, some events are looked at though they fit, a sample: which fields always are strings,
    which have the same one in most events, and which names objects have.

    Attributes:
        not_numbers: Fields that have had other values than numbers, or none in an element of an array.
        not_texts: Fields that have not always been strings, or have been absent.
        usual: The string that a field has had in most events of the sample.
        is_young: Whether the sample is not complete.
    """

    def __init__(self) -> None:
        self.not_numbers: frozenset[str] = frozenset()
        self.not_texts: frozenset[str] = frozenset()
        self._kinds: dict[str, frozenset[str | int]] = {}
        self._misfits: Counter[tuple[str, str | int]] = Counter()
        self._used: set[str] = set()
        self._begin_sample()

    def _begin_sample(self) -> None:
        self.usual: dict[str, str] = {}
        self.is_young = True
        self._sampled = 0
        self._texts: dict[str, Counter[str]] = {}
        self._names: dict[str | None, frozenset[str]] = {}

    def forget_all_but(self, root: Branch) -> None:
        """Forget what fields have looked like that are no longer used."""
        used = set(root.paths())
        if not used <= self._used:
            self._begin_sample()
        self._used = used
        self._kinds = {path: kinds for path, kinds in self._kinds.items() if path in used}
        self._misfits = Counter({(path, kind): n for (path, kind), n in self._misfits.items() if path in used})
        self.not_numbers &= used
        self.not_texts &= used

    def of(self, branch: Branch) -> frozenset[str | int]:
        """Give the kinds that a value is expected to be of."""
        return self._kinds.get(str(branch.path)) or frozenset((OBJECT if branch.children else SCALAR,))

    def may_be_absent(self, branch: Branch) -> bool:
        """Say whether a value, or what it stands in, has been absent."""
        path = str(branch.path)
        return any(ABSENCE in self._kinds.get(place, ()) for place in (path, *prefixes_of(path)))

    def learn(self, seen: Iterable[Seen]) -> bool:
        """Take note of an event that did not fit, and say whether that changes what is expected."""
        is_changed = False
        for branch, kind, is_no_number, text, _ in seen:
            path = branch.path
            if path is None:
                continue
            is_changed |= self._tell(branch, kind)
            if is_no_number and path not in self.not_numbers:
                self.not_numbers |= {path}
                is_changed = True
            if text is None and path not in self.not_texts:
                self.not_texts |= {path}
                is_changed |= path in self._texts
        return is_changed

    def sample(self, seen: Sequence[Seen]) -> bool:
        """Take note of an event, fit or not, and say whether that changes what is expected."""
        is_changed = self.learn(seen)
        if self.is_young:
            self._sampled += 1
            for branch, _, _, text, names in seen:
                if text is not None:
                    self._texts.setdefault(str(branch.path), Counter())[text] += 1
                if names is not None:
                    same = self._names.setdefault(branch.path, names) == names
                    self._names[branch.path] = names if same else frozenset()
            if self._sampled == _SAMPLE:
                self._end_sample()
                is_changed = True
        return is_changed

    def _end_sample(self) -> None:
        self.is_young = False
        for path, texts in self._texts.items():
            [(text, count)] = texts.most_common(1)
            if 2 * count >= _SAMPLE:
                self.usual[path] = text
            self._texts[path] = Counter()  # the others are of no more use

    def is_text(self, leaf: Branch) -> bool:
        """Say whether a field may be taken for a string that is never absent, if what it stands in is not."""
        return not self.is_young and leaf.path in self._texts and leaf.path not in self.not_texts

    def names_of(self, branch: Branch) -> frozenset[str]:
        """Give the names that an object is expected to have, these and no others; none if they are not known."""
        return self._names.get(branch.path, frozenset()) if not self.is_young else frozenset()

    def _tell(self, branch: Branch, kind: str | int) -> bool:
        path = str(branch.path)
        expected = self.of(branch)
        if kind in expected:
            return False
        self._misfits[path, kind] += 1
        if kind == ABSENCE:
            self._kinds[path] = expected | {kind}
        elif expected <= {OBJECT if branch.children else SCALAR, ABSENCE}:
            # The first that is not as assumed. A null may stand for an object, and one thing for a list of things: then
            # both are to be expected.
            also = expected & {ABSENCE} if isinstance(kind, int) else expected
            self._kinds[path] = also | {kind}
        elif self._misfits[path, kind] >= _ENOUGH:
            self._kinds[path] = expected | {kind}
        else:
            return False
        return True
