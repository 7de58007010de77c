"""Any interleaving of appends, leases and settlements leaves every store's account in balance."""

from datetime import timedelta

import anyio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventrouter import Delivered, Dropped, MemoryStore, RetryAt, Subscription
from eventrouter.records import Accepted
from tests.support import NOON, make_event

SUBSCRIPTIONS = [Subscription("default", "r", name) for name in "ab"]
moments = st.integers(0, 30).map(lambda s: timedelta(seconds=s))


def run(function, *args, **kwargs):
    return anyio.run(lambda: function(*args, **kwargs))


class StoreMachine(RuleBasedStateMachine):
    """The model is a dict: delivery id -> (due, token of its live lease, attempts)."""

    def __init__(self):
        super().__init__()
        self.store = MemoryStore()
        self.now = NOON
        self.model = {}
        self.leased = []
        self.ended = 0
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
                [Delivered(delivery), Dropped(delivery, "", ""), RetryAt(delivery, self.now + by, "", ""), None]
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
        else:
            self.ended += 1

    @invariant()
    def everything_is_accounted_for(self):
        ledger = run(self.store.ledger)
        assert ledger.is_balanced
        total = ledger.total
        assert total.accepted == self.accepted
        assert total.delivered + total.dropped == self.ended
        assert total.in_flight == sum(token != 0 for _, token, _ in self.model.values())


StoreMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
