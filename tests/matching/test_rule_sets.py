"""Any interleaving of adding, removing and matching answers what the oracle answers, pattern by pattern."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventrouter.matching._projection import MAXIMUM_FIELDS
from eventrouter.matching._straight import MAXIMUM_RULES
from tests import oracle
from tests.matching.material import FORMS, VALUES, Rules, text_of

#: Few, so that rules share fields: plain ones, some that stand in one object or array, and a leaf that is a parent.
PATHS = ("a", "c", "c.d", "c.e", "c.f.g", "z.y")

KEYS = tuple(range(12))


@st.composite
def patterns(draw, filters, paths, *, is_plain):
    """Fields, and sometimes a choice of others, before or after them: the later one of a path counts (12.3)."""
    fields = st.dictionaries(st.sampled_from(paths), filters, min_size=1, max_size=draw(st.integers(1, 3)))
    plain = draw(fields)
    if is_plain or draw(st.integers(0, 4)):
        return plain
    either = {"$or": draw(st.lists(fields, min_size=2, max_size=3))}
    return either | plain if draw(st.booleans()) else plain | either


def objects(**members):
    return st.fixed_dictionaries({}, optional=members)


def perhaps_in_arrays(values, scalars):
    arrays = st.lists(values | scalars | st.lists(values, max_size=2), max_size=3)
    return (
        values | arrays | st.lists(values, min_size=1, max_size=3) | st.lists(st.lists(values, max_size=2), max_size=2)
    )


def events_of(scalars):
    """Plain events, events with a table in them, and events of any shape."""
    leaves = scalars | st.lists(scalars, max_size=3) | st.lists(scalars | st.lists(scalars, max_size=2), max_size=2)
    leaves |= st.sampled_from(({}, [], [{}], {"other": 1}))
    inner = perhaps_in_arrays(objects(g=leaves), scalars)
    middle = perhaps_in_arrays(objects(d=leaves, e=leaves, f=inner, **{"f.g": leaves}), scalars)
    table = st.lists(objects(y=leaves, x=scalars), max_size=3)
    dotted = {"c.d": leaves, "z.y": leaves}
    return (
        st.builds(lambda a, d, e, g, y: {"a": a, "c": {"d": d, "e": e, "f": {"g": g}}, "z": {"y": y}}, *(scalars,) * 5),
        objects(a=scalars, c=scalars, z=table | st.lists(table, max_size=2)),
        objects(a=leaves, c=middle | leaves, z=perhaps_in_arrays(objects(y=leaves), scalars), **dotted),
    )


def tables_of(scalars):
    """Events in which objects stand in arrays, and little else: what may be read element by element."""
    rows = st.lists(objects(d=scalars, e=scalars), max_size=4)
    rows |= st.lists(st.builds(lambda d, e: {"d": d, "e": e}, scalars, scalars), min_size=1, max_size=4)
    tables = rows | st.lists(rows, max_size=3)
    odd = st.sampled_from(([], {}, [{}], [[{}], []])) | scalars | objects(d=st.lists(scalars, max_size=2), e=scalars)
    return (
        objects(a=scalars, c=rows),
        objects(a=scalars, c=tables, o=objects(t=rows)),
        objects(a=scalars, o=objects(t=tables, d=scalars) | scalars, c=rows | odd),
    )


@st.composite
def one_of_these(draw, shapes):
    """One of them; a function, as the long form of a strategy would be written wherever it is named."""
    return draw(shapes[draw(st.integers(0, len(shapes) - 1))])


def accepted(form):
    rules = oracle.compile_pattern({"x": [form]})
    return [value for value in VALUES if oracle.decide(rules, oracle.flatten({"x": value}))]


#: What each form accepts, most values being what few forms accept.
ACCEPTED = [values if len(values) < len(VALUES) / 2 else values[::5] for values in map(accepted, FORMS)]


class RuleSetMachine(RuleBasedStateMachine):
    """A matcher, and the oracle with the patterns that it was given."""

    base = ()
    paths = PATHS
    forms = range(len(FORMS))
    events_of = staticmethod(events_of)
    is_plain = False

    def __init__(self):
        super().__init__()
        self.rules = Rules()
        self.bound = self.rules.matcher.match_json

    @initialize(is_plain=st.booleans(), data=st.data())
    def load(self, is_plain, data):
        """Take few forms, and few values that mostly fit one of them, so that rules meet.

        Where all rules are plain, they have one pattern a key, no `$or`, and no alternatives but literals: then no
        key comes up twice, if they are kept apart.
        """
        self.is_plain = is_plain
        chosen = data.draw(st.lists(st.sampled_from(self.forms), min_size=2, max_size=9))
        forms = [FORMS[number] for number in chosen]
        values = [value for number in chosen for value in ACCEPTED[number]]
        values += data.draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=3))
        literals = [form for form in forms if not isinstance(form, dict) or "exactly" in form]
        several = st.sampled_from(literals if is_plain and literals else forms)
        filters = st.lists(several, min_size=1, max_size=1 if is_plain and not literals else 3)
        filters |= st.sampled_from([[form] for form in forms])
        if not is_plain:
            filters |= st.lists(several, min_size=8, max_size=10)
        self.patterns = patterns(filters, self.paths, is_plain=is_plain)
        self.events = one_of_these(self.events_of(st.sampled_from(values)))
        for number, document in enumerate(self.base):
            first = {path: alternatives[:1] for path, alternatives in document.items()}
            self.rules.add(1_000 + number, first if is_plain else document)

    def put(self, key, document):
        if self.is_plain:
            self.rules.replace(key, document)
        else:
            self.rules.add(key, document)

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def add(self, key, data):
        self.put(key, data.draw(self.patterns))

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def replace(self, key, data):
        self.rules.replace(key, data.draw(self.patterns))

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=2, max_size=5, unique=True), data=st.data())
    def add_to_several(self, keys, data):
        document = data.draw(self.patterns)
        for key in keys:
            self.put(key, document)

    @rule(data=st.data())
    def add_several(self, data):
        for key, document in data.draw(st.dictionaries(st.sampled_from(KEYS), self.patterns, min_size=3)).items():
            self.put(key, document)

    @precondition(lambda self: self.rules.patterns)
    @rule(data=st.data())
    def remove(self, data):
        self.rules.remove(data.draw(st.sampled_from(sorted(self.rules.patterns))))

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def add_for_a_moment(self, key, data):
        if key not in self.rules.patterns:
            event = data.draw(self.events)
            self.rules.add(key, data.draw(self.patterns))
            self.rules.assert_right(event)
            self.rules.remove(key)
            self.rules.assert_right(event)

    @rule(data=st.data())
    def match(self, data):
        event = data.draw(self.events)
        found = self.rules.matcher.match(event)
        assert sorted(found) == self.rules.expected(event)

    @rule(data=st.data(), ensure_ascii=st.booleans(), as_bytes=st.booleans())
    def match_json(self, data, ensure_ascii, as_bytes):
        event = data.draw(self.events)
        text = text_of(event, ensure_ascii=ensure_ascii)
        found = self.rules.matcher.match_json(text.encode() if as_bytes else text)
        assert sorted(found) == self.rules.expected(event)

    @rule(data=st.data())
    def match_several(self, data):
        """Several shapes in a row, so that what one teaches about the shape of events meets the others."""
        for event in data.draw(st.lists(self.events, min_size=3, max_size=6)):
            self.rules.assert_right(event)

    @rule(data=st.data())
    def match_with_a_method_from_before_all_changes(self, data):
        event = data.draw(self.events)
        assert sorted(self.bound(text_of(event))) == self.rules.expected(event)

    @invariant()
    def it_counts_what_it_holds(self):
        held = [rule for rules in self.rules.patterns.values() for rule in rules]
        statistics = self.rules.matcher.statistics()
        assert statistics.keys == len(self.rules.matcher) == len(self.rules.patterns)
        assert statistics.sub_rules == len(held)
        assert statistics.fields == len({path for rule in held for path, _ in rule})
        assert statistics.accesses <= statistics.fields
        if held:
            few = {"indexed"} if len(held) > MAXIMUM_RULES else {"straight", "indexed"}  # few rules may have many tests
            assert statistics.strategy in ({"general"} if statistics.fields > MAXIMUM_FIELDS else few)

    def teardown(self):
        """Nothing is left of rules that were removed, whether or not they were the last; and all begins anew."""
        matcher = self.rules.matcher
        self.rules.add("sentinel", {"sentinel": ["x"]})
        for key in [key for key in self.rules.patterns if key != "sentinel"]:
            self.rules.remove(key)
        self.it_counts_what_it_holds()
        assert matcher.statistics().accesses == 1
        held = [getattr(matcher._names, name) for name in type(matcher._names).__slots__]
        assert all(set(counted) <= {"sentinel"} for counted in held if isinstance(counted, dict))
        self.rules.assert_right({"sentinel": "x", "a": "a"})
        self.rules.remove("sentinel")
        statistics = matcher.statistics()
        assert [statistics.keys, statistics.sub_rules, statistics.fields, statistics.accesses] == [0, 0, 0, 0]
        self.rules.assert_right({"sentinel": "x", "a": "a"})
        self.rules.add("again", {"a": ["a"], "c.d": [1, {"exists": False}]})
        self.rules.assert_right({"sentinel": "x", "a": "a"})


def load_of(count):
    """Rules on the few fields, of all forms, so that every table of the index is in use."""
    documents = []
    for number in range(count):
        document = {
            PATHS[number % 6]: [FORMS[number % len(FORMS)], FORMS[(number * 7 + 1) % len(FORMS)]][: 1 + number % 2]
        }
        if number % 3:
            document[PATHS[(number + number // 6 + 1) % 6]] = [FORMS[(number * 5 + 2) % len(FORMS)]]
        documents.append(document)
    return documents


class StraightMachine(RuleSetMachine):
    """Few rules."""


class BorderMachine(RuleSetMachine):
    """Now few rules, now many."""

    base = load_of(MAXIMUM_RULES - 1)


class IndexedMachine(RuleSetMachine):
    """Many rules that share a few fields."""

    base = load_of(80)


class GeneralMachine(RuleSetMachine):
    """Rules of many fields."""

    base = (
        *load_of(20),
        *({f"other {number}": [{"exists": number % 2 == 0}, "x"], **one} for number, one in enumerate(load_of(70))),
    )


class TableMachine(RuleSetMachine):
    """Few rules about objects in arrays, of which two fields have to come from one element; none may be absent."""

    paths = ("a", "c.d", "c.e", "o.t.d", "o.t.e")
    forms = tuple(number for number in range(len(FORMS)) if FORMS[number] != {"exists": False})
    events_of = staticmethod(tables_of)


class ManyTablesMachine(TableMachine):
    """Many such rules."""

    base = tuple(
        {("c.d", "o.t.d", "a")[number % 3]: [form], ("c.e", "o.t.e", "c.e")[number % 3]: [FORMS[number % 9]]}
        for number, form in enumerate(FORMS)
        if form != {"exists": False}
    )


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def case_of(machine, examples, steps):
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=CHECKS
    )
    return case


TestFewRules = case_of(StraightMachine, 25, 20)
TestNowFewNowMany = case_of(BorderMachine, 12, 20)
TestManyRules = case_of(IndexedMachine, 20, 20)
TestManyFields = case_of(GeneralMachine, 10, 15)
TestTables = case_of(TableMachine, 20, 20)
TestManyTables = case_of(ManyTablesMachine, 10, 20)
