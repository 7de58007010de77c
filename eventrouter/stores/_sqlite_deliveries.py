"""What a transaction of `SqliteStore` does with deliveries: leases, what follows from attempts, and dead letters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import msgspec

from eventrouter.records import (
    DeadLetter,
    DeadLettered,
    Delivered,
    Delivery,
    Dropped,
    Outcome,
    Postponed,
    RetryAt,
    Subscription,
)
from eventrouter.stores._sqlite_batch import (
    DEAD_LETTERED,
    DELIVERED,
    DROPPED,
    NOTHING,
    RETRIES,
    Batch,
    decode_event,
    decode_info,
    encoded,
    read_letter,
)
from eventrouter.stores._sqlite_schema import NEVER, from_micros, to_micros

logger = logging.getLogger("eventrouter.stores")

_End: TypeAlias = Delivered | DeadLettered | Dropped

#: Where the lease is that somebody comes back with: its id, its token, and whose it is.
_HELD: Final = "id = ? AND token = ? AND subscription = ?"


class DeliveryBatch(Batch):
    """A transaction of the store's own, which also works on the deliveries that are there."""

    # -- leases --------------------------------------------------------------------------------------------------

    def lease(
        self,
        subscription: Subscription,
        limit: int,
        *,
        now: datetime,
        until: datetime,
        token: int,
        maximum_concurrency: int | None,
    ) -> list[Delivery]:
        """See `Store.lease`."""
        number = self.find(subscription)
        if number is None or limit <= 0:
            return []
        self.flush()
        present = to_micros(now)
        if maximum_concurrency is not None:
            limit = min(limit, self._free(number, present, token >> 32, maximum_concurrency, limit))
        rows = self._execute(
            "SELECT d.id, d.attempt + 1, d.at, e.body, e.hops, e.grp, e.info, d.token FROM delivery d "
            "JOIN event e USING (seq) WHERE d.subscription = ? AND d.due <= ? ORDER BY d.due, d.id LIMIT ?",
            (number, present, limit),
        ).fetchall()
        if subscription.queue_name is None:
            lapsed = next((place for place, row in enumerate(rows) if row[-1]), None)
            if lapsed is not None:
                del rows[max(lapsed, 1) :]  # one whose lease has run out comes alone
        end = to_micros(until)
        self._for_ids(
            "UPDATE delivery SET token = ?, due = ?, attempt = attempt + 1, began = ? WHERE id IN ({})",
            [row[0] for row in rows],
            token,
            end,
            present,
        )
        leased: list[Delivery] = []
        for id, attempt, at, body, hops, group, info, earlier in rows:  # hot
            try:
                event = decode_event(body)
                known = NOTHING if info is None else decode_info(info)
            except msgspec.DecodeError:  # others must not wait for it
                logger.exception("Delivery %d for %s cannot be read, and stays; the file is damaged", id, subscription)
                continue
            leased.append(
                Delivery(
                    id,
                    subscription,
                    event,
                    attempt,
                    from_micros(at),
                    hops,
                    token,
                    known.causes,
                    known.trace_header,
                    group,
                    known.attributes,
                    is_lapsed=bool(earlier),
                )
            )
        return leased

    def _free(self, number: int, now: int, owner: int, maximum: int, limit: int) -> int:
        """Say how many may be leased so that the live leases of all owners are at most *maximum*.

        Who is alone may lease ahead of what it attempts.
        """
        counts = dict(
            self._execute(
                "SELECT token >> 32, count(*) FROM delivery WHERE subscription = ? AND token <> 0 AND due > ? "
                "GROUP BY 1",
                (number, now),
            ).fetchall()
        )
        own = counts.pop(owner, 0)
        return max(0, maximum - own - sum(counts.values())) if counts else limit

    def extend(self, deliveries: Sequence[Delivery], *, until: datetime) -> list[Delivery]:
        """See `Store.extend`."""
        end = to_micros(until)
        return [
            delivery
            for delivery in deliveries
            if not self._execute(f"UPDATE delivery SET due = ? WHERE {_HELD}", (end, *self._held(delivery))).rowcount
        ]

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """See `Store.release`."""
        self.connection.executemany(
            f"UPDATE delivery SET due = at, token = 0, attempt = attempt - 1 WHERE {_HELD}",
            [self._held(delivery) for delivery in deliveries],
        )

    def _held(self, delivery: Delivery) -> tuple[int, int, int | None]:
        return delivery.id, delivery.token, self.find(delivery.subscription)

    # -- what follows --------------------------------------------------------------------------------------------

    def settle(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """See `Store.settle`."""
        stale: list[Outcome] = []
        ended: list[_End] = []
        for outcome in outcomes:
            if not isinstance(outcome, RetryAt | Postponed):
                ended.append(outcome)
                continue
            stale += self._end_all(ended)  # before it, as they came
            ended.clear()
            if not self._wait(outcome):
                stale.append(outcome)
        return stale + self._end_all(ended)

    def _wait(self, outcome: RetryAt | Postponed) -> bool:
        held = self._held(outcome.delivery)
        is_retry = isinstance(outcome, RetryAt)
        if not self._execute(
            f"UPDATE delivery SET due = ?, token = 0, attempt = attempt - ?, error = ? WHERE {_HELD}",
            (to_micros(outcome.at), not is_retry, f"{outcome.error_code}: {outcome.error_message}", *held),
        ).rowcount:
            return False
        assert held[2] is not None  # noqa: S101 - there was a row of it
        self._count(held[2], RETRIES, is_retry)
        return True

    def _end_all(self, outcomes: Sequence[_End]) -> list[_End]:
        """Remove deliveries that have ended, and note what follows; give those whose lease was lost."""
        leases: dict[tuple[int, Subscription], list[int]] = {}
        for outcome in outcomes:  # nearly always all are of one lease
            delivery = outcome.delivery
            leases.setdefault((delivery.token, delivery.subscription), []).append(delivery.id)
        gone: dict[tuple[int, int], tuple[Any, ...]] = {}
        for (token, subscription), ids in leases.items():
            rows = self._for_ids(
                # With a plus, as no index on these could be as good as the ids.
                "DELETE FROM delivery WHERE +token = ? AND +subscription = ? AND id IN ({}) "
                "RETURNING id, seq, grp, attempt, began, error",
                ids,
                token,
                self.find(subscription),
            )
            gone |= {(row[0], token): row[1:] for row in rows}
        stale: list[_End] = []
        for outcome in outcomes:
            row = gone.pop((outcome.delivery.id, outcome.delivery.token), None)  # popped: it ends once
            if row is None:
                stale.append(outcome)
            else:
                self._end(outcome, row)
        return stale

    def _end(self, outcome: _End, row: tuple[Any, ...]) -> None:
        seq, group, attempt, began, error = row
        number = self.number_of(outcome.delivery.subscription)
        self._ended.append(seq)
        if group is not None:
            self._let_next_come(number, group)
        end = "delivered"
        if isinstance(outcome, Delivered):
            self._count(number, DELIVERED)
        elif isinstance(outcome, Dropped):
            self._count(number, DROPPED)
            end, error = "dropped", f"{outcome.error_code}: {outcome.error_message}"
        else:
            self._bury(number, outcome)
            letter = outcome.dead_letter
            end, error = "dead-lettered", f"{letter.error_code}: {letter.error_message}"
        self._ends.append((number, attempt, began, end, error, seq))
        if outcome.follow_ups:
            self.append(outcome.follow_ups, encoded(outcome.follow_ups))

    def _bury(self, number: int, outcome: DeadLettered) -> None:
        self._count(number, DEAD_LETTERED)
        if outcome.is_kept:
            letter = outcome.dead_letter
            self._execute(
                "INSERT INTO dead(queue, subscription, event_id, body) VALUES (?, ?, ?, ?)",
                (letter.queue, number, letter.event.id, msgspec.json.encode(letter)),
            )

    def discard(self, subscription: Subscription, *, accepted_before: datetime | None) -> int:
        """See `Store.discard`."""
        number = self.find(subscription)
        if number is None:
            return 0
        self.flush()
        before = NEVER if accepted_before is None else to_micros(accepted_before)
        rows = self._execute(
            "DELETE FROM delivery WHERE subscription = ? AND at < ? RETURNING seq, grp, attempt, began, error",
            (number, before),
        ).fetchall()
        self._ended += [row[0] for row in rows]
        self._ends += [(number, attempt, began, "dropped", error, seq) for seq, _, attempt, began, error in rows]
        for group in dict.fromkeys(row[1] for row in rows if row[1] is not None):
            self._let_next_come(number, group)
        self._count(number, DROPPED, len(rows))
        return len(rows)

    def follow_clock(self, *, now: datetime, slack: timedelta) -> timedelta:
        """See `Store.follow_clock`."""
        present = to_micros(now)
        self.flush()
        if self._latest is None or self._latest - present <= slack // timedelta(microseconds=1):
            return timedelta(0)
        step, self._latest = self._latest - present, present
        for table, column in (("delivery", "at"), ("delivery", "ready"), ("delivery", "due"), ("published", "until")):
            self._execute(
                f"UPDATE {table} SET {column} = max(?, {column} - ?) WHERE {column} > ? AND {column} < {NEVER}",
                (present, step, present),
            )
        return timedelta(microseconds=step)

    # -- dead letters --------------------------------------------------------------------------------------------

    def replace_dead_letter(self, letter: DeadLetter) -> bool:
        """See `Store.replace_dead_letter`."""
        row = (letter.queue, self.number_of(letter.subscription), letter.event.id, msgspec.json.encode(letter))
        changed = self._execute(
            "UPDATE dead SET queue = ?, subscription = ?, event_id = ?, body = ? WHERE id = ?", (*row, letter.id)
        )
        return bool(changed.rowcount)

    def redrive(self, ids: Sequence[int], *, now: datetime) -> list[DeadLetter]:
        """See `Store.redrive`."""
        letters: list[DeadLetter] = []
        for id in dict.fromkeys(ids):
            for _, body in self._execute("DELETE FROM dead WHERE id = ? RETURNING id, body", (id,)).fetchall():
                letter = read_letter(id, body)
                letters.append(letter)
                self._count(self.number_of(letter.subscription), DEAD_LETTERED, -1)
                self._write(letter.again(now), msgspec.json.encode(letter.event))
        return letters

    def purge(self, ids: Sequence[int]) -> int:
        """See `Store.purge`."""
        return sum(self._execute("DELETE FROM dead WHERE id = ?", (id,)).rowcount for id in dict.fromkeys(ids))
