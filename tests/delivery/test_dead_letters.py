"""Dead letters: found, grouped, edited, purged."""

import inspect
from collections import Counter
from dataclasses import fields
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import (
    DeadLetter,
    DeadLetterFilter,
    DeadLetterQueue,
    InvalidEventError,
    InvalidRuleError,
    NotFoundError,
    Pattern,
    PatternError,
    PermanentDeliveryError,
    Subscription,
    error_fingerprint,
)
from eventrouter import dead_letters as module
from eventrouter.delivery.dead_letters import DeadLetterCriteria, DeadLetterGroups
from tests.support import NOON, Scripted, make_event, make_router, order, seconds
from tests.virtual_time import EPOCH


def make_letter(n=0, *, subscription=("default", "r", "t"), code="E", message="m", at=NOON, **changes) -> DeadLetter:
    return DeadLetter(
        "q", make_event({"n": n}), Subscription(*subscription), "", "", code, message, None, 0, at, id=n, **changes
    )


LETTER = make_letter(7, subscription=("bus", "rule", "target"), message="OSError: 5 down")


@pytest.mark.parametrize(
    ("name", "met", "missed"),
    [
        ("ids", [7], {6}),
        ("queue", "q", "bus/rule/target"),
        ("event_bus_name", "bus", "default"),
        ("rule_name", "rule", "r"),
        ("target_id", "target", "t"),
        ("error_code", "E", "TIMEOUT"),
        ("fingerprint", error_fingerprint(make_letter(message="OSError: 6 down")), "0" * 12),
        ("event_pattern", {"detail": {"n": [7]}}, Pattern.parse('{"detail": {"n": [8]}}')),
        ("since", NOON, NOON + seconds(1)),
        ("until", NOON + seconds(1), NOON),
    ],
)
def test_a_letter_is_meant_if_it_meets_all_criteria(name, met, missed):
    assert DeadLetterFilter(**{name: met}).accepts(LETTER)
    assert not DeadLetterFilter(**{name: missed}).accepts(LETTER)
    assert not DeadLetterFilter(**{"error_code": "E", "rule_name": "rule", name: missed}).accepts(LETTER)
    assert DeadLetterFilter(**{name: None}) == DeadLetterFilter()
    assert DeadLetterFilter().accepts(LETTER)


def test_every_criterion_of_a_filter_is_one_of_the_methods():
    assert {item.name for item in fields(DeadLetterFilter) if item.init} == set(DeadLetterCriteria.__annotations__)
    assert {
        name for name in DeadLetterCriteria.__annotations__ if f"{name}:" not in inspect.getdoc(DeadLetterFilter)
    } == set()


@pytest.mark.parametrize(
    ("criteria", "error", "message"),
    [
        ({"event_pattern": {"source": "x"}}, PatternError, "source"),
        ({"since": datetime(2026, 1, 1)}, InvalidRuleError, "since is .* \\(use an aware datetime"),
        ({"until": "today"}, InvalidRuleError, "until is 'today'"),
        ({"ids": 5}, InvalidRuleError, "ids is 5 \\(use a list"),
        ({"ids": "5"}, InvalidRuleError, "ids is '5'"),
        ({"rule_name": 5}, InvalidRuleError, "rule_name is 5 \\(use a string"),
    ],
)
def test_a_criterion_that_is_not_usable_is_refused(criteria, error, message):
    with pytest.raises(error, match=message):
        DeadLetterFilter(**criteria)


letters = st.builds(
    make_letter,
    st.integers(0, 9),
    subscription=st.sampled_from(
        [("default", "r", "t"), ("default", "r", "u"), ("default", "s", "t"), ("bus", "r", "t")]
    ),
    code=st.sampled_from("EF"),
    message=st.sampled_from(["OSError: 5", "OSError: 17", "ValueError: 5", "TimeoutError"]),
    at=st.integers(0, 9).map(lambda n: NOON + seconds(n)),
)


@given(st.lists(letters))
def test_grouping_is_a_partition(items):
    """Each letter is in one group, and in it are those that the group's fingerprint and target find."""
    groups = DeadLetterGroups()
    groups.add(items[:3])
    groups.add(items[3:])
    listed = groups.listed()
    keys = Counter((item.subscription, error_fingerprint(item)) for item in items)
    assert {(group.subscription, group.fingerprint): group.count for group in listed} == keys
    assert [group.count for group in listed] == sorted(keys.values(), reverse=True)
    for group in listed:
        bus, rule, target = group.subscription
        wanted = DeadLetterFilter(event_bus_name=bus, rule_name=rule, target_id=target, fingerprint=group.fingerprint)
        members = [item for item in items if wanted.accepts(item)]
        assert len(members) == group.count
        assert (group.first_at, group.last_at) == (min(m.at for m in members), max(m.at for m in members))
        assert group.example in members
        assert (group.example.at, group.example.error_code) == (group.last_at, group.error_code)


async def fail(router, *entries):
    async with router:
        await router.put_events(list(entries))
        await router.settle_down()


def failing(id="t", times=99, **options):
    return Scripted(id=id, script=[PermanentDeliveryError(f"order {n} is bad") for n in range(times)], **options)


async def test_letters_are_listed_oldest_first_by_page(monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 2)
    router = make_router(failing("a"), failing("b", dead_letter_queue=DeadLetterQueue("shared")))
    await fail(router, *(order(n=n) for n in range(5)))
    everything = await router.dead_letters()
    assert [letter.id for letter in everything] == sorted(letter.id for letter in everything)
    assert len(everything) == 10
    mine = await router.dead_letters(target_id="a")
    assert [letter.event.detail["n"] for letter in mine] == [0, 1, 2, 3, 4]
    assert await router.dead_letters(target_id="a", limit=3) == mine[:3]
    assert await router.dead_letters(target_id="a", after=mine[2].id, limit=3) == mine[3:]
    assert await router.dead_letters(limit=0) == []
    assert await router.dead_letters(ids=[]) == []
    assert await router.dead_letters(ids=[mine[1].id, mine[3].id]) == [mine[1], mine[3]]
    assert await router.dead_letters(queue="shared", event_pattern={"detail": {"n": [{"numeric": [">", 2]}]}}) == [
        letter for letter in everything if letter.queue == "shared" and letter.event.detail["n"] > 2
    ]
    with pytest.raises(InvalidRuleError, match="limit is -1"):
        await router.dead_letters(limit=-1)


async def test_letters_are_grouped_by_target_and_error():
    router = make_router(failing("a"), failing("b", times=1))
    await fail(router, *(order(n=n) for n in range(3)))
    first, second = await router.group_dead_letters()
    assert (str(first.subscription), first.count, first.error_code) == ("default/r/a", 3, "PERMANENT_ERROR")
    assert first.error_message == "PermanentDeliveryError: order * is bad"
    assert first.example == (await router.dead_letters(target_id="a"))[-1]
    assert (str(second.subscription), second.count, second.fingerprint) == ("default/r/b", 1, first.fingerprint)
    assert await router.group_dead_letters(target_id="b") == [second]


async def test_an_edited_letter_keeps_all_but_its_detail():
    router = make_router(failing())
    await fail(router, order(total="250"), order(total=2))
    before, other = await router.dead_letters()
    edited = await router.edit_dead_letter(before.id, detail={"total": 250})
    assert edited.event.detail == {"total": 250}
    assert edited.event.to_dict() | {"detail": None} == before.event.to_dict() | {"detail": None}
    assert (edited.id, edited.error_message, edited.at) == (before.id, before.error_message, before.at)
    assert await router.dead_letters() == [edited, other]


async def test_an_edit_that_cannot_be_is_refused():
    router = make_router(failing())
    await fail(router, order(total=1))
    [letter] = await router.dead_letters()
    for detail in ("[1]", None, {"total": 2**70}):
        with pytest.raises(InvalidEventError) as caught:
            await router.edit_dead_letter(letter.id, detail=detail)
        assert caught.value.error_code == "MalformedDetail"
    for id in (letter.id - 1, letter.id + 1):
        with pytest.raises(NotFoundError, match=f"no dead letter {id}"):
            await router.edit_dead_letter(id, detail={})
    assert await router.dead_letters() == [letter]


async def test_an_edit_that_comes_too_late_is_refused():
    router = make_router(failing())
    await fail(router, order(total=1))
    [letter] = await router.dead_letters()

    async def replace_dead_letter(letter):
        return False

    router._store.replace_dead_letter = replace_dead_letter
    with pytest.raises(NotFoundError):
        await router.edit_dead_letter(letter.id, detail={})


async def test_purged_letters_are_counted_and_gone(monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 2)
    router = make_router(failing("a"), failing("b"))
    await fail(router, *(order(n=n) for n in range(5)))
    assert await router.purge_dead_letters(target_id="a", until=EPOCH) == 0
    assert await router.purge_dead_letters(target_id="a") == 5
    assert {letter.subscription.target_id for letter in await router.dead_letters()} == {"b"}
    assert await router.purge_dead_letters() == 5
    assert (await router.ledger()).total.dead_lettered == 10
    with pytest.raises(TypeError):
        await router.purge_dead_letters(target="b")
