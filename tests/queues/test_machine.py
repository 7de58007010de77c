"""Any sequence of calls leaves a queue as a simple model of SQS's rules says, standard and FIFO."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventrouter import EventRouter, QueueDepth, RedrivePolicy
from tests.queues.support import refused
from tests.support import seconds
from tests.virtual_time import EPOCH

RETENTION = seconds(90)
RECEIVES = 2
moments = st.sampled_from([0, 1, 5, 30, 60, 89, 300]).map(seconds)


@dataclass(eq=False)
class Modelled:
    """A message as the model sees it."""

    number: int
    group: str | None
    sent_at: datetime
    visible_at: datetime
    receives: int = 0
    receipt: str | None = None  # the last one


@dataclass
class Clock:
    present: datetime = EPOCH

    def now(self) -> datetime:
        return self.present


class StandardQueue(RuleBasedStateMachine):
    """The model is a list of messages in the order they were sent, and when each deduplication id was used."""

    suffix = ""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()

    @initialize(delay=st.sampled_from([0, 7]).map(seconds))
    def make(self, delay):
        self.clock = Clock()
        self.router = EventRouter()
        self.router._dispatcher.clock = self.clock  # not the event loop's, which passes by itself
        dead = "dead" + self.suffix
        self.router.create_queue(dead)
        self.queue = self.router.create_queue(
            "jobs" + self.suffix,
            delay=delay,
            message_retention_period=RETENTION,
            redrive_policy=RedrivePolicy(dead, RECEIVES),
        )
        self.messages: list[Modelled] = []
        self.used: dict[str, datetime] = {}
        self.receipts: list[tuple[Modelled, str]] = []
        self.ends: Counter[str] = Counter()
        self.sent = 0
        self.swept_at = None

    def run(self, function, *args, **options):
        return self.runner.run(function(*args, **options))

    def teardown(self):
        self.runner.close()

    @property
    def now(self) -> datetime:
        return self.clock.present

    def is_over(self, message: Modelled) -> bool:
        return self.now - message.sent_at >= RETENTION

    def end(self, message: Modelled, how: str) -> None:
        self.messages.remove(message)
        self.ends[how] += 1

    def sweep(self) -> None:
        self.swept_at = self.now
        for message in list(filter(self.is_over, self.messages)):
            self.end(message, "discarded")

    def receivable(self) -> list[Modelled]:
        """Give what may be received, in order: of each group, the first if it is visible."""
        first: dict[object, Modelled] = {}
        for message in self.messages:
            first.setdefault(message if message.group is None else message.group, message)
        visible = [message for message in first.values() if message.visible_at <= self.now]
        return sorted(visible, key=lambda message: (message.visible_at, message.number))

    @rule(by=moments)
    def pass_time(self, by):
        self.clock.present += by

    @rule(group=st.sampled_from("gh"), id=st.sampled_from("xyz"), delay=st.none() | moments)
    def send(self, group, id, delay):
        if self.swept_at is None or self.now - self.swept_at >= seconds(60):
            self.sweep()
        if self.suffix:
            delay = None
            result = self.run(self.queue.send, str(self.sent), message_group_id=group, deduplication_id=id)
            is_known = id in self.used and self.now - self.used[id] < timedelta(minutes=5)
            assert result.is_duplicate == is_known
            if is_known:
                return
            self.used[id] = self.now
        else:
            group = None
            self.run(self.queue.send, str(self.sent), delay=delay)
        delay = self.queue.attributes.delay if delay is None else delay
        self.messages.append(Modelled(self.sent, group, self.now, self.now + delay))
        self.sent += 1

    @rule(maximum=st.integers(1, 3), hidden=st.sampled_from([1, 5, 31]).map(seconds))
    def receive(self, maximum, hidden):
        expected: list[Modelled] = []
        is_through = False
        while not is_through:
            is_through = True
            for message in self.receivable()[: maximum - len(expected)]:
                if self.is_over(message):
                    self.end(message, "discarded")
                elif message.receives == RECEIVES:
                    self.end(message, "moved")
                else:
                    message.visible_at = self.now + hidden
                    message.receives += 1
                    expected.append(message)
                    continue
                is_through = False  # there is room for what came after it
        received = self.run(self.queue.receive, maximum, visibility_timeout=hidden)
        assert [(message.body, message.receive_count) for message in received] == [
            (str(message.number), message.receives) for message in expected
        ]
        for modelled, message in zip(expected, received, strict=True):
            modelled.receipt = message.receipt_handle
            self.receipts.append((modelled, message.receipt_handle))

    def choose(self, data) -> tuple[Modelled, str, bool]:
        message, receipt = data.draw(st.sampled_from(self.receipts))
        return message, receipt, message in self.messages and message.receipt == receipt

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def delete(self, data):
        message, receipt, counts = self.choose(data)
        with nullcontext() if counts else refused("InvalidParameterValue"):
            self.run(self.queue.delete, receipt)
        if counts:
            self.end(message, "deleted")

    @precondition(lambda self: self.receipts)
    @rule(data=st.data(), by=moments)
    def change_visibility(self, data, by):
        message, receipt, counts = self.choose(data)
        with nullcontext() if counts else refused("MessageNotInflight"):
            self.run(self.queue.change_visibility, receipt, by)
        if counts:
            message.visible_at = self.now + by

    @precondition(lambda self: len(self.messages) > 4)  # or little would be left to go wrong
    @rule()
    def purge(self):
        assert self.run(self.queue.purge) == len(self.messages)
        for message in list(self.messages):
            self.end(message, "discarded")

    @rule()
    def look_at_the_depth(self):
        self.sweep()
        hidden = [message for message in self.messages if message.visible_at > self.now]
        delayed = sum(message.receipt is None for message in hidden)
        oldest = min((message.sent_at for message in self.messages), default=None)
        assert self.run(self.queue.depth) == QueueDepth(
            visible=len(self.messages) - len(hidden),
            not_visible=len(hidden) - delayed,
            delayed=delayed,
            oldest_age=None if oldest is None else self.now - oldest,
        )

    @invariant()
    def everything_is_accounted_for(self):
        ledger = self.run(self.router.ledger)
        assert ledger.is_balanced
        assert ledger.events == 0
        counts = ledger.queues.get(self.queue.name)
        if counts is not None:
            assert counts.sent == self.sent
            assert {name: getattr(counts, name) for name in ("deleted", "moved", "discarded")} == {
                name: self.ends[name] for name in ("deleted", "moved", "discarded")
            }
            dead = ledger.queues.get("dead" + self.suffix)
            assert (dead.sent if dead is not None else 0) == counts.moved


class FifoQueue(StandardQueue):
    suffix = ".fifo"


StandardQueue.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
FifoQueue.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestStandardQueue = StandardQueue.TestCase
TestFifoQueue = FifoQueue.TestCase
