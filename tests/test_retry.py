"""When to try again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import InvalidRuleError, RetryBudget, RetryPolicy
from eventrouter.retry import RetryAccount, jitter
from tests.support import NOON, seconds

draws = st.floats(0, 1, exclude_max=True)


def test_defaults_are_those_of_eventbridges_newer_subscribers():
    assert RetryPolicy() == RetryPolicy(
        maximum_retry_attempts=5,
        maximum_event_age=seconds(300),
        base_delay=seconds(1),
        maximum_delay=seconds(300),
    )


def test_the_eventbridge_preset_is_what_a_rule_has_on_aws():
    policy = RetryPolicy.eventbridge()
    assert (policy.maximum_retry_attempts, policy.maximum_event_age) == (185, timedelta(hours=24))


@given(attempts=st.integers(1, 5), draw=draws)
def test_a_wait_lies_between_a_tenth_of_its_ceiling_and_its_ceiling(attempts, draw):
    due = RetryPolicy().next_attempt(attempts=attempts, accepted_at=NOON, now=NOON, draw=draw)
    ceiling = 2 ** (attempts - 1)
    assert ceiling * 0.1 <= (due - NOON).total_seconds() <= ceiling


@given(attempts=st.integers(1, 10**6), draw=draws)
def test_no_wait_is_longer_than_the_maximum_and_none_overflows(attempts, draw):
    policy = RetryPolicy(maximum_retry_attempts=10**6, maximum_event_age=timedelta(days=365))
    due = policy.next_attempt(attempts=attempts, accepted_at=NOON, now=NOON, draw=draw)
    assert NOON < due <= NOON + policy.maximum_delay


def test_attempts_after_the_first_are_counted():
    policy = RetryPolicy(maximum_retry_attempts=2)
    decisions = [policy.next_attempt(attempts=n, accepted_at=NOON, now=NOON, draw=0.5) for n in (1, 2, 3)]
    assert decisions[2] == "MaximumRetryAttempts"
    assert "MaximumRetryAttempts" not in decisions[:2]


def test_age_looks_ahead():
    """The last retry is the last that would start within the age limit, not the first that would not."""
    policy = RetryPolicy(maximum_event_age=seconds(60), base_delay=seconds(10), maximum_delay=seconds(10))
    late, too_late = NOON + seconds(54), NOON + seconds(55)
    at = {"attempts": 1, "accepted_at": NOON, "draw": 0.5}  # waits 5.5 s
    assert policy.next_attempt(now=late, **at) == late + seconds(5.5)
    assert policy.next_attempt(now=too_late, **at) == "MaximumEventAgeInSeconds"


def test_attempts_are_named_when_both_limits_are_reached():
    policy = RetryPolicy(maximum_retry_attempts=0, maximum_event_age=seconds(1))
    decision = policy.next_attempt(attempts=1, accepted_at=NOON, now=NOON + seconds(5), draw=0)
    assert decision == "MaximumRetryAttempts"


@pytest.mark.parametrize(
    "wrong",
    [
        {"maximum_retry_attempts": -1},
        {"maximum_retry_attempts": 1.5},
        {"maximum_retry_attempts": True},
        {"maximum_event_age": seconds(0)},
        {"base_delay": 5},
        {"maximum_delay": seconds(-1)},
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(wrong):
    [name] = wrong
    with pytest.raises(InvalidRuleError, match=name):
        RetryPolicy(**wrong)


@given(st.integers(), st.text(), st.text(), st.integers(1, 200))
def test_jitter_repeats_itself_and_stays_in_its_range(seed, event_id, subscription, attempt):
    draw = jitter(seed, event_id, subscription, attempt)
    assert 0 <= draw < 1
    assert jitter(seed, event_id, subscription, attempt) == draw


def test_jitter_spreads():
    """Each of the four things moves it, and a thousand deliveries fill the range evenly."""
    base = (1, "event", "bus/rule/target", 1)
    others = [(2, *base[1:]), (1, "tneve", *base[2:]), (*base[:2], "bus/rule/other", 1), (*base[:3], 2)]
    assert len({jitter(*key) for key in (base, *others)}) == 5
    tenths = [int(10 * jitter(0, str(n), "s", 1)) for n in range(1_000)]
    assert all(60 < tenths.count(tenth) < 140 for tenth in range(10))


def test_the_lambda_preset_is_that_of_asynchronous_invocation():
    policy = RetryPolicy.lambda_async()
    assert (policy.maximum_retry_attempts, policy.maximum_event_age) == (2, timedelta(hours=6))
    due = [policy.next_attempt(attempts=n, accepted_at=NOON, now=NOON, draw=0.999999) for n in (1, 2, 3)]
    assert [round((at - NOON).total_seconds()) for at in due[:2]] == [60, 120]
    assert due[2] == "MaximumRetryAttempts"


@pytest.mark.parametrize(
    "options",
    [
        {"share": -0.1},
        {"share": float("inf")},
        {"share": "much"},
        {"minimum_per_second": True},
        {"burst": seconds(0)},
        {"burst": 10},
    ],
)
def test_a_budget_that_is_none_is_refused(options):
    with pytest.raises(InvalidRuleError, match="use a"):
        RetryBudget(**options)


@given(
    share=st.floats(0, 2),
    rate=st.floats(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 50), st.floats(0, 20), st.integers(0, 50)), max_size=20),
)
def test_no_more_retries_than_the_budget_allows(share, rate, steps):
    """In all: what is saved up at first, a share of the first attempts, and the minimum for the time that passed."""
    account = RetryAccount(RetryBudget(share=share, minimum_per_second=rate, burst=seconds(10)), NOON)
    now, first, spent = NOON, 0, 0
    for more, passed, wanted in steps:
        now += seconds(passed)
        account.earn(more, now)
        first += more
        spent += sum(account.spend(now) for _ in range(wanted))
        assert spent <= max(1, rate * 10) + share * first + rate * (now - NOON).total_seconds() + 1e-3


def test_a_clock_that_goes_back_gives_and_takes_nothing():
    account = RetryAccount(RetryBudget(share=0, minimum_per_second=1, burst=seconds(1)), NOON)
    assert account.spend(NOON)
    assert not account.spend(NOON - seconds(3600))
    assert not account.spend(NOON - seconds(3600))


def account(now=NOON, **options) -> RetryAccount:
    return RetryAccount(RetryBudget(**{"share": 0, "minimum_per_second": 0, "burst": seconds(10)} | options), now)


def test_retries_that_first_attempts_allow_are_kept_for_a_burst():
    """As many as there were first attempts for; without a minimum they are not all lost but one."""
    saved = account(share=0.1)
    assert saved.spend(NOON)  # one is always there at first
    saved.earn(1_000, NOON + seconds(5))
    assert sum(saved.spend(NOON + seconds(14)) for _ in range(200)) == 100
    saved.earn(1_000, NOON + seconds(20))
    saved.earn(500, NOON + seconds(25))
    assert sum(saved.spend(NOON + seconds(30)) for _ in range(200)) == 50


def test_turns_come_as_fast_as_the_budget_grows():
    waiting = account(minimum_per_second=4)
    while waiting.spend(NOON):
        pass
    turns = [waiting.next_turn(NOON) for _ in range(100)]
    assert [(turn - NOON).total_seconds() for turn in turns] == [pytest.approx((n + 1) / 4) for n in range(100)]
    for turn in turns:
        assert waiting.spend(turn)
        assert not waiting.spend(turn)


def test_turns_follow_the_first_attempts_of_late():
    waiting = account(share=0.5)
    waiting.earn(20, NOON)  # one retry a second
    while waiting.spend(NOON):
        pass
    assert [waiting.next_turn(NOON) for _ in range(3)] == [NOON + seconds(n) for n in (1, 2, 3)]


def test_while_there_will_be_no_budget_it_is_asked_for_less_and_less_often():
    empty, now, asked = account(), NOON, 0
    assert empty.spend(now)
    while now < NOON + seconds(86_400):
        assert not empty.spend(now)
        now, asked = empty.next_turn(now), asked + 1
    assert asked <= 20


def test_a_turn_is_never_past_the_end_of_the_calendar():
    slow = account(minimum_per_second=1e-12)
    assert slow.spend(NOON)
    for _ in range(5_000):
        assert NOON < slow.next_turn(NOON) <= NOON + seconds(3_650 * 86_400)
