"""Two stores that are told the same things say the same things, whatever they are told."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from eventrouter import DeadLetter, DeadLettered, Delivered, Dropped, Postponed, RetryAt, Subscription
from eventrouter.records import Accepted, Archiving, Deduplication, Occurrence
from tests.stores.engines import INLINE_STORES, Scratch, at_once
from tests.support import NOON, make_event

SUBSCRIPTIONS = [Subscription(*names) for names in (("default", "r", "a"), ("default", "r", "b"), ("bus", "r", "a"))]
moments = st.integers(0, 30).map(lambda s: timedelta(seconds=s))
places = st.sampled_from(SUBSCRIPTIONS)


@st.composite
def items(draw, at, number):
    receivers = tuple(draw(st.lists(places, unique=True)))
    skipped = tuple(draw(st.lists(places.filter(lambda place: place not in receivers), unique=True, max_size=1)))
    group = draw(st.sampled_from([None, "g", "h"]))
    key = draw(st.sampled_from([None, None, "k", "l"]))
    event = msgspec.structs.replace(make_event({"n": number}), id=f"id {number}")
    return Accepted(
        event,
        at,
        receivers,
        hops=draw(st.integers(0, 2)),
        causes=draw(st.sampled_from([(), ("cause", "other")])),
        trace_header=draw(st.sampled_from([None, "trace"])),
        group=group,
        ordered=tuple(place for place in receivers if draw(st.booleans())) if group else (),
        skipped=skipped,
        deduplication=None if key is None else Deduplication("default/", key, at + draw(moments)),
        attributes=draw(st.sampled_from([{}, {"ERROR_CODE": "E"}])),
        archives=draw(
            st.sampled_from([(), (Archiving("x"),), (Archiving("x", at + timedelta(seconds=9)), Archiving("y"))])
        ),
        due=draw(st.none() | moments.map(lambda by: at + by - timedelta(seconds=3))),
    )


def essence(delivery):
    """Give what stores have to agree about; how they name things is their own."""
    return msgspec.structs.replace(delivery, id=0, token=0)


class Pair(RuleBasedStateMachine):
    """Tells both the same."""

    makers = None

    def __init__(self):
        super().__init__()
        self.scratch = Scratch()
        self.stores = [make(self.scratch.new()) for make in type(self).makers]
        self.now = self.furthest = NOON  # what has been swept stays so when the clock goes back
        self.number = 0
        self.leased = []  # pairs, some of which have been lost
        self.last_pages = None

    @initialize()
    def open(self):
        self.both("open")

    def both(self, name, *args, **kwargs):
        return [at_once(getattr(store, name)(*args, **kwargs)) for store in self.stores]

    def agree(self, name, *args, **kwargs):
        first, second = self.both(name, *args, **kwargs)
        assert first == second
        return first

    def item(self, data):
        self.number += 1
        return data.draw(items(self.now, self.number))

    @rule(data=st.data(), count=st.integers(1, 3))
    def append(self, data, count):
        self.agree("append", [self.item(data) for _ in range(count)])

    @rule(by=moments)
    def pass_time(self, by):
        self.now += by
        self.furthest = max(self.furthest, self.now)

    @rule(place=places, limit=st.integers(0, 4), length=moments)
    def lease(self, place, limit, length):
        until = self.now + length + timedelta(seconds=1)
        pairs = list(zip(*self.both("lease", place, limit, now=self.now, until=until), strict=True))
        for first, second in pairs:
            assert essence(first) == essence(second)
        self.leased += pairs

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), by=moments, stays=st.booleans())
    def settle(self, data, by, stays):
        chosen = data.draw(
            st.lists(st.sampled_from(self.leased), min_size=1, max_size=3, unique_by=lambda pair: pair[0].id)
        )
        makers, follow_ups = [], tuple(self.item(data) for _ in range(data.draw(st.integers(0, 1))))
        for _ in chosen:
            makers.append(
                data.draw(
                    st.sampled_from(
                        [
                            lambda delivery: Delivered(delivery, follow_ups),
                            lambda delivery: Dropped(delivery, "E", "m", follow_ups),
                            lambda delivery: RetryAt(delivery, self.now + by, "E", "m"),
                            lambda delivery: Postponed(delivery, self.now + by, "E", "m"),
                            lambda delivery: DeadLettered(delivery, self.letter(delivery), follow_ups, is_kept=stays),
                        ]
                    )
                )
            )
        stale = [
            [
                outcomes.index(outcome)
                for outcomes in [[make(pair[side]) for make, pair in zip(makers, chosen, strict=True)]]
                for outcome in at_once(store.settle(outcomes))
            ]
            for side, store in enumerate(self.stores)
        ]
        assert stale[0] == stale[1]

    def letter(self, delivery):
        return DeadLetter(
            "q" + str(delivery.event.detail["n"] % 2),
            delivery.event,
            delivery.subscription,
            "rule",
            "target",
            "E",
            "m",
            "MaximumRetryAttempts",
            delivery.attempt - 1,
            self.now,
            hops=delivery.hops,
            causes=delivery.causes,
            trace_header=delivery.trace_header,
            group=delivery.group,
            is_ordered=delivery.group == "g",
        )

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def release(self, data):
        pair = data.draw(st.sampled_from(self.leased))
        for delivery, store in zip(pair, self.stores, strict=True):
            at_once(store.release([delivery]))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), length=moments)
    def extend(self, data, length):
        chosen = data.draw(st.lists(st.sampled_from(self.leased), min_size=1, unique_by=lambda pair: pair[0].id))
        lost = [
            [
                deliveries.index(delivery)
                for deliveries in [[pair[side] for pair in chosen]]
                for delivery in at_once(store.extend(deliveries, until=self.now + length))
            ]
            for side, store in enumerate(self.stores)
        ]
        assert lost[0] == lost[1]

    @rule(place=places, before=st.none() | moments)
    def discard(self, place, before):
        self.agree("discard", place, accepted_before=None if before is None else self.now - before)

    @rule(back=moments)
    def set_the_clock_back(self, back):
        now = self.now - back
        if self.agree("follow_clock", now=now, slack=timedelta(seconds=10)):
            self.now = now

    @rule(data=st.data(), again=st.booleans())
    def redrive(self, data, again):
        pairs = self.dead_letters()
        chosen = data.draw(st.lists(st.sampled_from(pairs), unique_by=lambda pair: pair[0].id)) if pairs else []
        redriven = [
            at_once(store.redrive([pair[side].id for pair in chosen] * (1 + again) + [10**9], now=self.now))
            for side, store in enumerate(self.stores)
        ]
        assert [[replace(letter, id=0) for letter in letters] for letters in redriven] == [
            [replace(pair[0], id=0) for pair in chosen]
        ] * 2

    @rule(data=st.data(), name=st.sampled_from(["purge", "replace"]))
    def change_letter(self, data, name):
        pairs = self.dead_letters()
        if pairs:
            pair = data.draw(st.sampled_from(pairs))
            for letter, store in zip(pair, self.stores, strict=True):
                if name == "purge":
                    assert at_once(store.purge([letter.id, letter.id])) == 1
                else:
                    assert at_once(store.replace_dead_letter(replace(letter, error_message="edited")))

    def dead_letters(self):
        return list(zip(*self.both("dead_letters"), strict=True))

    @rule(data=st.data(), name=st.sampled_from("ab"), slot=moments)
    def fire(self, data, name, slot):
        events = tuple(self.item(data) for _ in range(data.draw(st.integers(0, 2))))
        self.agree("fire", [Occurrence(name, NOON + slot, events), Occurrence("c", self.now)])

    @rule(names=st.lists(st.sampled_from("abc")))
    def forget(self, names):
        self.agree("forget_schedules", names)

    @rule(archive=st.sampled_from("xyz"), limit=st.integers(1, 3))
    def purge_archive(self, archive, limit):
        self.agree("purge_archive", "y" if archive == "x" else archive, limit=limit)  # when x is swept is a store's own

    @invariant()
    def they_say_the_same(self):
        self.agree("pending")
        assert self.agree("ledger").is_balanced
        self.agree("last_fired")
        for place in SUBSCRIPTIONS:
            self.agree("next_due", place)
            self.agree("depth", place, now=self.now)
        for queue in ("q0", None):
            first, second = self.both("dead_letters", queue=queue)
            assert [replace(letter, id=0) for letter in first] == [replace(letter, id=0) for letter in second]
        span = {
            "start": NOON - timedelta(days=1),
            "end": NOON + timedelta(days=1),
            "now": self.furthest,
            "limit": 10**6,
        }
        for archive in "xy":
            first, second = self.both("archived", archive, **span)
            assert [msgspec.structs.replace(item, position=0) for item in first] == [
                msgspec.structs.replace(item, position=0) for item in second
            ]

    def teardown(self):
        self.both("close")
        self.scratch.remove()


@pytest.mark.parametrize("name", [name for name in INLINE_STORES if name != "memory"])
def test_a_store_agrees_with_the_one_in_memory(name):
    makers = [INLINE_STORES["memory"], INLINE_STORES[name]]
    run_state_machine_as_test(
        type("Machine", (Pair,), {"makers": makers}),
        settings=settings(max_examples=60, stateful_step_count=30, deadline=None),
    )
