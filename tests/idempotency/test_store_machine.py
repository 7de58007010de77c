"""Any sequence of calls leaves a store with what a dictionary would have."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from eventrouter import StoredValue
from tests.idempotency.stores import IDEMPOTENCY_STORES, opened
from tests.support import NOON

keys = st.sampled_from("xyz")
values = st.sampled_from([b"a", b"b", b"c"])
durations = st.integers(0, 5).map(lambda s: timedelta(seconds=s))


class IdempotencyStoreMachine(RuleBasedStateMachine):
    """The model forgets nothing; the store may have swept what has expired."""

    name = None  # of the store

    def __init__(self):
        super().__init__()
        self.opened = ExitStack()
        self.store = self.opened.enter_context(opened(type(self).name)).blocking
        self.now = NOON
        self.model = {}

    @rule(by=durations)
    def pass_time(self, by):
        self.now += by

    @rule(key=keys, value=values, length=durations)
    def put(self, key, value, length):
        found = self.store.put_if_absent("s", key, value, now=self.now, expires=self.now + length)
        had = self.model.get(key)
        if had is not None and had.expires > self.now:
            assert found == (None if had.value == value else had)
        else:
            assert found is None
            self.model[key] = StoredValue(value, self.now + length)

    @rule(key=keys, expected=values, value=values, length=durations)
    def compare_and_set(self, key, expected, value, length):
        was_set = self.store.compare_and_set("s", key, expected, value, expires=self.now + length)
        self._check(key, expected, was_set)
        if was_set:
            self.model[key] = StoredValue(value, self.now + length)

    @rule(key=keys, expected=values)
    def delete(self, key, expected):
        was_deleted = self.store.delete_if("s", key, expected)
        self._check(key, expected, was_deleted)
        if was_deleted:
            del self.model[key]

    def _check(self, key, expected, succeeded):
        had = self.model.get(key)
        if had is None or had.value != expected:
            assert not succeeded
        elif had.expires > self.now:
            assert succeeded
        elif not succeeded:
            del self.model[key]  # it was swept

    def teardown(self):
        self.opened.close()


@pytest.mark.parametrize("name", IDEMPOTENCY_STORES)
def test_a_store_has_what_a_dictionary_would_have(name):
    run_state_machine_as_test(
        type("Machine", (IdempotencyStoreMachine,), {"name": name}),
        settings=settings(max_examples=60, stateful_step_count=25, deadline=None),
    )
