"""Any interleaving of appends, leases and settlements leaves every store's account in balance."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from eventrouter import DeadLetter, DeadLettered, Delivered, Dropped, RetryAt, Subscription
from eventrouter.records import Accepted
from tests.stores.engines import INLINE_STORES, Scratch, at_once
from tests.support import NOON, make_event

SUBSCRIPTIONS = [Subscription("default", "r", name) for name in "ab"]
moments = st.integers(0, 30).map(lambda s: timedelta(seconds=s))


def run(function, *args, **kwargs):
    return at_once(function(*args, **kwargs))


def bury(delivery):
    letter = DeadLetter("q", delivery.event, delivery.subscription, "", "", "E", "m", None, delivery.attempt - 1, NOON)
    return DeadLettered(delivery, letter)


class StoreMachine(RuleBasedStateMachine):
    """The model is a dict: delivery id -> (due, token of its live lease, attempts), and a list of the dead letters."""

    make = None  # makes the store

    def __init__(self):
        super().__init__()
        self.scratch = Scratch()
        self.store = type(self).make(self.scratch.new())
        run(self.store.open)
        self.now = NOON
        self.model = {}
        self.leased = []
        self.letters = []
        self.ended = self.dead_lettered = 0
        self.accepted = 0

    @rule(subscriptions=st.lists(st.sampled_from(SUBSCRIPTIONS), unique=True))
    def append(self, subscriptions):
        run(self.store.append, [Accepted(make_event(), self.now, tuple(subscriptions))])
        self.accepted += len(subscriptions)

    @rule(by=moments)
    def pass_time(self, by):
        self.now += by

    @rule(subscription=st.sampled_from(SUBSCRIPTIONS), limit=st.integers(0, 3), length=moments)
    def lease(self, subscription, limit, length):
        until = self.now + length + timedelta(seconds=1)
        for delivery in run(self.store.lease, subscription, limit, now=self.now, until=until):
            due, _, attempts = self.model.get(delivery.id, (NOON, 0, 0))
            assert due <= self.now
            assert delivery.attempt == attempts + 1
            self.model[delivery.id] = (until, delivery.token, attempts + 1)
            self.leased.append(delivery)

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), by=moments)
    def come_back(self, data, by):
        delivery = self.leased.pop(data.draw(st.integers(0, len(self.leased) - 1)))
        is_live = self.model.get(delivery.id, (None, None))[1] == delivery.token
        outcome = data.draw(
            st.sampled_from(
                [
                    Delivered(delivery),
                    Dropped(delivery, "", ""),
                    RetryAt(delivery, self.now + by, "", ""),
                    bury(delivery),
                    None,
                ]
            )
        )
        if outcome is None:
            run(self.store.release, [delivery])
        else:
            stale = run(self.store.settle, [outcome])
            assert list(stale) == ([] if is_live else [outcome])
        if not is_live:
            return
        _, _, attempts = self.model.pop(delivery.id)
        if isinstance(outcome, RetryAt):
            self.model[delivery.id] = (outcome.at, 0, attempts)
        elif outcome is None:
            self.model[delivery.id] = (NOON, 0, attempts - 1)
        elif isinstance(outcome, DeadLettered):
            last = self.letters[-1].id if self.letters else 0
            [letter] = run(self.store.dead_letters, after=last)
            assert letter == replace(outcome.dead_letter, id=letter.id)
            self.letters.append(letter)
            self.dead_lettered += 1
        else:
            self.ended += 1

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), again=st.booleans())
    def redrive(self, data, again):
        chosen = self.choose_letters(data)
        ids = [letter.id for letter in chosen] * (1 + again)
        assert list(run(self.store.redrive, ids, now=self.now)) == chosen
        self.dead_lettered -= len(chosen)
        self.letters = [letter for letter in self.letters if letter not in chosen]

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def purge(self, data):
        chosen = self.choose_letters(data)
        assert run(self.store.purge, [letter.id for letter in chosen]) == len(chosen)
        self.letters = [letter for letter in self.letters if letter not in chosen]

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), message=st.text(max_size=3))
    def edit(self, data, message):
        index = data.draw(st.integers(0, len(self.letters) - 1))
        self.letters[index] = replace(self.letters[index], error_message=message)
        assert run(self.store.replace_dead_letter, self.letters[index])

    def choose_letters(self, data):
        return data.draw(st.lists(st.sampled_from(self.letters), unique_by=lambda letter: letter.id))

    @invariant()
    def dead_letters_are_listed_in_order(self):
        assert list(run(self.store.dead_letters)) == self.letters
        middle = self.letters[len(self.letters) // 2].id if self.letters else 0
        expected = [letter for letter in self.letters if letter.id > middle][:2]
        assert list(run(self.store.dead_letters, after=middle, limit=2)) == expected

    @invariant()
    def everything_is_accounted_for(self):
        ledger = run(self.store.ledger)
        assert ledger.is_balanced
        total = ledger.total
        assert total.accepted == self.accepted
        assert total.delivered + total.dropped == self.ended
        assert total.dead_lettered == self.dead_lettered
        assert total.in_flight == sum(token != 0 for _, token, _ in self.model.values())

    def teardown(self):
        run(self.store.close)
        self.scratch.remove()


@pytest.mark.parametrize("make", INLINE_STORES.values(), ids=INLINE_STORES)
def test_every_account_is_in_balance(make):
    machine = type("Machine", (StoreMachine,), {"make": staticmethod(make)})
    run_state_machine_as_test(machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
