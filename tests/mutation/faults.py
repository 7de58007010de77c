"""The faults. Each is one that a person has made somewhere, or nearly made here."""

from typing import Final

from tests.mutation.planting import Fault

_PATTERNS: Final = "eventrouter/patterns/*.py"
_MATCHING: Final = "eventrouter/matching/*.py"
_DELIVERY: Final = "eventrouter/delivery/*.py"
_MEMORY: Final = "eventrouter/stores/*memory*.py"
_SQLITE: Final = "eventrouter/stores/_sqlite_*.py"
_SCHEDULES: Final = "eventrouter/schedules/*.py"

ENGINE: Final = (
    Fault(
        "a numeric range does not hold its upper bound",
        _PATTERNS,
        '"<=": lambda value, bound: value <= bound,',
        '"<=": lambda value, bound: value < bound,',
        ("patterns/test_conformance.py",),
    ),
    Fault(
        "the index of ranges swaps > and >=",
        _MATCHING,
        "(low < value if is_above else low <= value)",
        "(low <= value if is_above else low < value)",
        ("matching/test_indexes.py",),
    ),
    Fault(
        "the index of single bounds swaps <= and <",
        _MATCHING,
        'int(name in (">", "<="))',
        'int(name in (">", "<"))',
        ("matching/test_indexes.py",),
    ),
    Fault(
        "a wildcard takes the last place of a part instead of the first",
        _PATTERNS,
        "position = value.find(part, position, end)",
        "position = value.rfind(part, position, end)",
        ("patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
    Fault(
        "the beginning and the end of a wildcard may overlap",
        _PATTERNS,
        "value.endswith(last)) or end < len(first):",
        "value.endswith(last)):",
        ("patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
    Fault(
        "the engine lets the beginning and the end of a wildcard overlap",
        _MATCHING,
        ">= {len(first) + len(last)}",
        ">= {max(len(first), len(last))}",
        ("matching/test_checks.py", "matching/test_operator_pairs.py", "matching/test_matcher.py"),
    ),
    Fault(
        "exists: false does not look at other elements of arrays",
        _PATTERNS,
        "elif not choice.fits and (choice.occurs or not self._may_be_absent[choice.field]):",
        "elif not choice.fits and not self._may_be_absent[choice.field]:",
        ("patterns/test_arrays.py", "patterns/test_conformance.py"),
    ),
    Fault(
        "arrays are told apart by their depth only",
        _PATTERNS,
        "(*trail, (arrays, index))",
        "(*trail, (level, index))",
        ("patterns/test_arrays.py", "patterns/test_conformance.py"),
    ),
    Fault(
        "fields are tried in the order of code points, not of UTF-16",
        _PATTERNS,
        'path.encode("utf-16-be", "surrogatepass")',
        'path.encode("utf-8", "surrogatepass")',
        ("patterns/test_arrays.py", "patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
    Fault(
        "a suffix without case goes back by code points, whatever a case is long",
        _PATTERNS,
        "starts = {start - len(case) for start",
        "starts = {start - 1 for start",
        ("patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
    Fault(
        "the last address of a CIDR range is not in it",
        _PATTERNS,
        "self.first <= address <= self.last",
        "self.first <= address < self.last",
        ("patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
    Fault(
        "anything-but 1 excludes true",
        _PATTERNS,
        "if not isinstance(value, bool) and value in self.values:",
        "if value in self.values:",
        ("patterns/test_conformance.py", "patterns/test_pattern.py"),
    ),
)

DELIVERY: Final = (
    Fault(
        "the age limit looks at now instead of at the next attempt",
        "eventrouter/retry.py",
        "if due - accepted_at > self.maximum_event_age:",
        "if now - accepted_at > self.maximum_event_age:",
        ("test_retry.py",),
    ),
    Fault(
        "one retry fewer than was asked for",
        "eventrouter/retry.py",
        "if attempts > self.maximum_retry_attempts:",
        "if attempts >= self.maximum_retry_attempts:",
        ("test_retry.py",),
    ),
    Fault(
        "jitter does not come from the seed",
        "eventrouter/retry.py",
        'f"{seed}\\0{event_id}',
        'f"{event_id}',
        ("test_retry.py",),
    ),
    Fault(
        "an attempt that a shutdown cancels counts",
        _MEMORY,
        "lease.attempts -= 1\n                backlog.wait(lease, lease.accepted.at)",
        "backlog.wait(lease, lease.accepted.at)",
        ("stores/test_contract.py",),
    ),
    Fault(
        "an attempt that a shutdown cancels counts, in a file",
        _SQLITE,
        "SET due = at, token = 0, attempt = attempt - 1 WHERE",
        "SET due = at, token = 0 WHERE",
        ("stores/test_contract.py",),
    ),
    Fault(
        "who has lost a lease may settle it: its token is not compared",
        _MEMORY,
        " or entry.token != delivery.token:",
        ":",
        ("stores/test_contract.py",),
    ),
    Fault(
        "who has lost a lease may settle it, in a file",
        _SQLITE,
        '"id = ? AND token = ? AND subscription = ?"',
        '"id = ? AND token >= min(?, 1) AND subscription = ?"',
        ("stores/test_contract.py",),
    ),
    Fault(
        "an outcome is acknowledged before it is committed",
        _SQLITE,
        '            batch.finish()\n            connection.execute("COMMIT")',
        "            batch.finish()\n            self.tell(jobs)\n            jobs.clear()\n"
        '            connection.execute("COMMIT")',
        ("stores/test_sqlite_worker.py",),
    ),
    Fault(
        "leases are renewed when they have ended",
        _DELIVERY,
        "RENEWAL: Final = timedelta(seconds=20)",
        "RENEWAL: Final = timedelta(seconds=61)",
        ("delivery/test_sharing.py",),
    ),
    Fault(
        "a dead letter is kept though the lease is lost",
        _MEMORY,
        "            if backlog is None or entry is None or",
        "            is_held = entry is not None and entry.token == delivery.token\n"
        "            if backlog is not None and not is_held and isinstance(outcome, DeadLettered):\n"
        "                self._bury(backlog, outcome)\n"
        "            if backlog is None or entry is None or",
        ("stores/test_contract.py",),
    ),
    Fault(
        "a redriven dead letter stays on the ledger as dead",
        _MEMORY,
        "            backlog.dead_lettered -= 1\n",
        "",
        ("stores/test_contract.py", "stores/test_agreement.py"),
    ),
    Fault(
        "a throttled attempt counts as a retry",
        _MEMORY,
        "        else:\n            lease.attempts -= 1\n",
        "",
        ("stores/test_contract.py",),
    ),
    Fault(
        "what has killed a process comes along with others again",
        _MEMORY,
        "                    limit = 1\n",
        "",
        ("stores/test_contract.py", "stores/test_agreement.py"),
    ),
    Fault(
        "the next of a FIFO group is the last one",
        _SQLITE,
        '"(SELECT min(id) FROM delivery WHERE subscription = ? AND grp = ?)"',
        '"(SELECT max(id) FROM delivery WHERE subscription = ? AND grp = ?)"',
        ("stores/test_contract.py", "stores/test_agreement.py"),
    ),
    Fault(
        "the first of a FIFO group holds nobody up",
        _MEMORY,
        "            if others is not None:\n                others.append",
        "            if others:\n                others.append",
        ("stores/test_contract.py", "delivery/test_ordering.py"),
    ),
    Fault(
        "the backlog counts anew what ended while the store was asked",
        _DELIVERY,
        "count - gone - pump.expected",
        "count - pump.expected",
        ("delivery/test_backlog.py", "delivery/test_sharing.py"),
    ),
    Fault(
        "the backlog forgets what came while the store was asked",
        _DELIVERY,
        "pump.expected), count + come)",
        "pump.expected), count)",
        ("delivery/test_backlog.py",),
    ),
    Fault(
        "an idempotency record can be replaced by who has lost it",
        _MEMORY,
        "return found is not None and found.value == expected",
        "return found is not None",
        ("idempotency/test_store_contract.py",),
    ),
    Fault(
        "the lease of an idempotent call is not renewed in time",
        "eventrouter/idempotency/*.py",
        "anyio.sleep(self._guard.lease.total_seconds() / RENEWALS)",
        "anyio.sleep(self._guard.lease.total_seconds() * RENEWALS)",
        ("idempotency/test_leases.py",),
    ),
)

SCHEDULER: Final = (
    Fault(
        "a wall time that comes twice counts the second time",
        _SCHEDULES,
        "wall.replace(tzinfo=zone, fold=0)",
        "wall.replace(tzinfo=zone, fold=1)",
        ("schedules/test_occurrences.py",),
    ),
    Fault(
        "a wall time that comes twice counts twice",
        _SCHEDULES,
        "        found = first_instant(wall, zone)\n",
        "        found = wall.replace(tzinfo=zone, fold=instant.astimezone(zone).fold).astimezone(UTC)\n",
        ("schedules/test_occurrences.py",),
    ),
    Fault(
        "a schedule may fire twice for one occurrence",
        _MEMORY,
        "slots[name] < slot",
        "slots[name] <= slot",
        ("stores/test_contract.py",),
    ),
    Fault(
        "what is missed happens late although another is on time",
        _SCHEDULES,
        'if missed == "once" and not punctual else ()',
        'if missed == "once" else ()',
        ("schedules/test_missed.py",),
    ),
    Fault(
        "an occurrence at the very start does not count",
        _SCHEDULES,
        "instant = self.start - _A_MOMENT",
        "instant = self.start",
        ("schedules/test_expression.py", "schedules/test_occurrences.py"),
    ),
)

FAULTS: Final = {"engine": ENGINE, "delivery": DELIVERY, "scheduler": SCHEDULER}
