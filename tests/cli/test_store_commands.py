"""The commands that work on a store: `dlq`, `archive`, `trace`, `stats` and `doctor`."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import anyio
import msgspec
import pytest
from typer.testing import CliRunner

from eventrouter import (
    DeadLetter,
    DeadLettered,
    Delivered,
    Dropped,
    RetryAt,
    SqliteStore,
    StoreError,
    Subscription,
)
from eventrouter.cli._app import app
from eventrouter.records import Accepted, Archiving
from eventrouter.stores import _sqlite_batch as batch
from eventrouter.stores import _sqlite_doctor as doctors
from eventrouter.stores._sqlite_file import StoreFile
from tests.support import make_event

CHARGE, TELL = Subscription("default", "charge", "t"), Subscription("other", "tell", "t")
NOW = datetime.now(UTC) - timedelta(seconds=1)
RULES = {
    "Rules": [
        {
            "Name": "charge",
            "EventPattern": {"source": ["shop.orders"], "detail": {"n": [{"numeric": [">", 1]}]}},
            "Targets": [{"Id": "t", "Arn": "arn:aws:sqs:eu-west-1:123456789012:charge"}],
        },
        {"Name": "off", "State": "DISABLED", "EventPattern": {"source": ["shop.orders"]}},
    ]
}


def run(*arguments):
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert not re.search(r"Traceback|this should not have happened", result.output), result.output
    return result.exit_code, result.output


def as_json(*arguments):
    code, output = run(*arguments, "--json")
    return code, [json.loads(line) for line in output.splitlines()]


def event(id, n=0):
    return msgspec.structs.replace(make_event({"n": n}), id=id)


def letter(delivery, message="OSError: no", code="TARGET_ERROR", **changes):
    key = delivery.subscription
    return DeadLetter(
        queue=str(key),
        event=delivery.event,
        subscription=key,
        rule_arn=f"arn:aws:events:local:000000000000:rule/{key.rule_name}",
        target_arn="arn:t",
        error_code=code,
        error_message=message,
        exhausted_retry_condition=None,
        retry_attempts=delivery.attempt - 1,
        at=NOW + timedelta(seconds=delivery.event.detail["n"]),
        causes=delivery.causes,
        group=delivery.group,
        **changes,
    )


def work(path, do, *arguments):
    """Do something with an open store."""

    async def work():
        store = SqliteStore(path, synchronous="NORMAL")
        await store.open()
        try:
            return await do(store, *arguments)
        finally:
            await store.close()

    return anyio.run(work)


async def lease(store, subscription=CHARGE, limit=1, now=NOW, until=None):
    return await store.lease(subscription, limit, now=now, until=until or now + timedelta(hours=1))


async def bury(store, *events, subscription=CHARGE, **changes):
    """Accept events, and give their deliveries up."""
    await store.append([Accepted(item, NOW, (subscription,)) for item in events])
    for delivery in await lease(store, subscription, len(events)):
        await store.settle([DeadLettered(delivery, letter(delivery, **changes))])


@pytest.fixture
def path(tmp_path):
    """An empty store."""
    path = tmp_path / "store.db"
    work(path, nothing)
    return path


async def nothing(store):
    """Only open it."""


# -- dlq -------------------------------------------------------------------------------------------------------------


def test_letters_of_a_store_are_listed_grouped_and_shown(path):
    work(path, partial(bury), event("a"), event("b", 1))
    work(path, partial(bury, subscription=TELL, message="\x1b[2J", code="TIMEOUT"), event("c", 2))
    code, output = run("dlq", "list", path)
    assert code == 1
    header, *lines, count = output.splitlines()
    assert header.split()[:2] == ["id", "given"]
    assert [re.split("  +", text.strip())[0] for text in lines] == ["1", "2", "3"]
    assert f"{NOW:%Y-%m-%d %H:%M:%S}" in lines[0]
    assert re.split("  +", lines[2])[-1] == r"\x1b[2J"
    assert count == "3 dead letters"
    assert run("dlq", "list", f"sqlite:///{path}")[1] == output
    code, output = run("dlq", "groups", path)
    assert (code, output.splitlines()[-1]) == (1, "3 dead letters in 2 groups")
    code, [first, _] = as_json("dlq", "groups", path)
    assert (code, first["count"], first["first_at"] < first["last_at"]) == (1, 2, True)
    code, output = run("dlq", "show", path, 3)
    assert code == 0
    assert re.search(r"^queue +other/tell/t$", output, re.MULTILINE)
    assert re.search(r"^given up +[-0-9]+ [:.0-9]+ UTC$", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--queue", "default/charge/t"], [1, 2]),
        (["--event-bus-name", "other"], [3]),
        (["--rule", "tell", "--target", "t"], [3]),
        (["--code", "TIMEOUT"], [3]),
        (["--pattern", '{"detail": {"n": [1, 2]}}'], [2, 3]),
        (["--since", (NOW + timedelta(seconds=1)).isoformat()], [2, 3]),
        (["--until", f"{NOW + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S.%f}"], [1]),
        (["--after", "1"], [2, 3]),
        (["--code", "NONE"], []),
    ],
)
def test_options_choose_letters_of_a_store(path, options, ids):
    work(path, partial(bury), event("a"), event("b", 1))
    work(path, partial(bury, subscription=TELL, code="TIMEOUT"), event("c", 2))
    code, found = as_json("dlq", "list", path, *options)
    assert (code, [item["id"] for item in found]) == (1 if ids else 0, ids)


@pytest.mark.parametrize("instant", ["yesterday", "0001-01-01T00:00:00+14:00"])
def test_an_instant_that_is_none_is_refused(path, instant):
    code, output = run("dlq", "list", path, "--since", instant)
    assert code == 2
    assert f"--since is '{instant}' (write it as 2026-03-01T12:00:00Z)" in output


@pytest.mark.parametrize(
    "command",
    [
        ("dlq", "list", "--after", 2**63),
        ("dlq", "list", "--limit", 2**63),
        ("dlq", "show", 2**63),
        ("dlq", "purge", "--id", 2**63),
        ("dlq", "redrive", "--id", 2**63),
        ("dlq", "redrive", "--id", 0),
        ("archive", "show", "a", "--after", 2**63),
        ("archive", "show", "a", "--limit", 2**63),
    ],
)
def test_a_number_that_no_row_can_have_is_refused(path, command):
    code, output = run(*command[:2], path, *command[2:])
    assert code == 2
    assert "Invalid value" in output


def test_pages_of_a_store_follow_one_another(path):
    work(path, partial(bury), *[event(str(n), n) for n in range(5)])
    _, output = run("dlq", "list", path, "--limit", 2)
    assert output.splitlines()[-2:] == ["2 dead letters", "There are more: --after 2"]
    assert "There are more" not in run("dlq", "list", path, "--after", 2, "--limit", 3)[1]


def test_redriven_letters_are_deliveries_again_and_purged_ones_are_gone(path):
    work(path, partial(bury), *[event(str(n), n) for n in range(4)])
    code, output = run("dlq", "redrive", path, "--id", 1, "--id", 3, "--id", 9)
    assert code == 0
    assert "2  charge -> t" in output
    assert "2 dead letters redriven. They wait for the service" in output
    assert run("dlq", "purge", path, "--pattern", '{"detail": {"n": [1]}}') == (0, "1 dead letter purged\n")
    assert [item["id"] for item in as_json("dlq", "list", path)[1]] == [4]

    async def look(store):
        return await store.pending(), (await store.ledger()).is_balanced

    assert work(path, look) == ({CHARGE: 2}, True)
    assert run("dlq", "redrive", path, "--id", 9) == (1, "0 dead letters redriven.\n")
    assert run("dlq", "purge", path, "--id", 9) == (1, "0 dead letters purged\n")
    assert as_json("dlq", "redrive", path, "--all") == (
        0,
        [{"redriven": 1, "targets": [{**CHARGE._asdict(), "deliveries": 1}]}],
    )
    assert as_json("dlq", "purge", path, "--all") == (1, [{"purged": 0}])


def test_a_letter_of_an_event_group_and_of_a_chain_shows_both(path):
    async def fail(store):
        await store.append([Accepted(event("b"), NOW, (CHARGE,), causes=("root", "a"), group="g")])
        [delivery] = await lease(store)
        await store.settle([DeadLettered(delivery, letter(delivery))])

    work(path, fail)
    _, output = run("dlq", "show", path, 1)
    assert re.search(r"^event group +g$", output, re.MULTILINE)
    assert re.search(r"^caused by +root > a$", output, re.MULTILINE)
    assert as_json("dlq", "show", path, 1)[1][0]["causes"] == ["root", "a"]


def test_redriving_keeps_to_its_rate(path):
    work(path, partial(bury), *[event(str(n), n) for n in range(3)])
    began = time.monotonic()
    assert run("dlq", "redrive", path, "--all", "--rate", 10)[0] == 0
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("command", ["redrive", "purge"])
@pytest.mark.parametrize("options", [[], ["--all", "--code", "TIMEOUT"]])
def test_all_letters_have_to_be_asked_for(path, command, options):
    work(path, partial(bury), event("a"))
    code, output = run("dlq", command, path, *options)
    assert code == 2
    assert "--all" in output
    assert len(as_json("dlq", "list", path)[1]) == 1


# -- archives --------------------------------------------------------------------------------------------------------


async def keep(store, count=4):
    kept = (Archiving("orders", NOW + timedelta(days=1)), Archiving("all"))
    items = [Accepted(event(f"e{n}", n), NOW, (), archives=kept, group="g") for n in range(count)]
    await store.append(items)


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES))
    return path


def test_archives_are_listed(path):
    assert run("archive", "list", path) == (1, "0 archives\n")
    work(path, keep)
    code, output = run("archive", "list", path)
    assert code == 0
    _, first, second, count = output.splitlines()
    assert re.split("  +", first)[:3] == ["all", "default", "4"]
    assert first.endswith("for ever")
    assert second.endswith(f"{NOW + timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}"[:-3])
    assert count == "2 archives"
    code, [first, _] = as_json("archive", "list", path)
    assert (code, first["name"], first["event_count"], first["until"]) == (0, "all", 4, None)


def test_events_of_an_archive_are_shown(path):
    work(path, keep, 3)
    code, output = run("archive", "show", path, "orders", "--limit", 2)
    assert code == 0
    header, first, _, count, more = output.splitlines()
    assert re.split("  +", header) == ["position", "accepted (UTC)", "event", "source", "detail-type", "detail"]
    assert re.split("  +", first.strip())[2:] == ["e0", "shop.orders", "Order Placed", '{"n":0}']
    assert (count, more) == ("2 events", "There are more: --after 2")
    code, found = as_json("archive", "show", path, "orders", "--after", "1", "--pattern", '{"detail": {"n": [2]}}')
    assert (code, [item["id"] for item in found]) == (0, ["e2"])
    assert run("archive", "show", path, "orders", "--end", "2020-01-01") == (1, "0 events\n")
    assert run("archive", "show", path, "orders", "--start", "2020-01-01", "--end", "2019-01-01")[0] == 2


def test_replayed_events_are_deliveries_for_the_rules_that_they_match(path, rules):
    work(path, keep, 4)
    arguments = ("archive", "replay", path, "orders", "--rules", rules, "--name", "again")
    code, output = run(*arguments, "--rule", "charge", "--rate", 1000)
    assert code == 0
    assert output.startswith("4 events replayed as again, 2 deliveries made. They wait for the service")
    leased = work(path, partial(lease, limit=10, now=datetime.now(UTC)))
    assert [item.event.id for item in leased] == ["e2", "e3"]
    assert {(item.event.replay_name, item.group) for item in leased} == {("again", "g")}
    assert as_json("archive", "list", path)[1][0]["event_count"] == 4  # not archived again
    code, output = run(*arguments, "--start", "2030-01-01")
    assert (code, output) == (1, "0 events replayed as again, 0 deliveries made.\n")
    assert run(*arguments, "--pattern", '{"detail": {"n": [2]}}')[1].startswith("1 event replayed as again, 1 delivery")
    assert as_json(*arguments) == (0, [{"events": 4, "deliveries": 2, "position": 4}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "again"], "A replay needs --rules"),
        (["--rules", "RULES"], "A replay needs --name"),
        (["--rules", "RULES", "--name", "a b"], "a b"),
        (["--rules", "RULES", "--name", "again", "--rule", "none"], "Rule none does not exist"),
        (["--rules", "json:loads", "--name", "again"], "json has no EventRouter loads"),
        (["--rules", "no_such_module:router", "--name", "again"], "no_such_module cannot be imported"),
    ],
)
def test_a_replay_that_cannot_be_done_is_refused(path, rules, options, message):
    work(path, keep)
    code, output = run("archive", "replay", path, "orders", *[rules if item == "RULES" else item for item in options])
    assert code == 2
    assert message in output


def test_an_archive_that_is_not_there_is_refused_with_those_that_are(path, rules):
    arguments = ("archive", "replay", path, "none", "--rules", rules, "--name", "again")
    assert "it has none." in run(*arguments)[1]
    work(path, keep)
    code, output = run(*arguments)
    assert code == 2
    assert "it has all, orders." in output


def test_a_replay_that_ends_early_says_where_to_go_on(path, rules, monkeypatch):
    work(path, keep, 250)
    append, calls = SqliteStore.append, []

    async def fail_later(self, accepted):
        calls.append(len(accepted))
        if len(calls) == 2:
            raise StoreError("The disk is full")
        return await append(self, accepted)

    monkeypatch.setattr(SqliteStore, "append", fail_later)
    arguments = ("archive", "replay", path, "orders", "--rules", rules, "--name", "again", "--rate", 1e6)
    code, output = run(*arguments)
    assert code == 2
    assert "go on with --after 100" in output
    assert "The disk is full" in output
    assert run(*arguments, "--after", "100")[1].startswith("150 events replayed")


def test_a_dry_run_says_what_changes(path, rules, tmp_path):
    work(path, keep, 4)
    changed = tmp_path / "changed.json"
    changed.write_text(json.dumps(RULES).replace('">", 1', '"<", 3'))
    arguments = ("archive", "replay", path, "orders", "--dry-run", changed)
    code, output = run(*arguments, "--rules", rules)
    assert code == 0
    assert output.startswith("Of 4 events:\ncharge: gains 2, loses 1, keeps 1\n  first that it gains: {")
    code, [told] = as_json(*arguments, "--rules", rules)
    [charge] = told["rules"]
    assert (charge["gained"], charge["first_gained"]["id"], charge["first_lost"]["id"]) == (2, "e0", "e3")
    code, output = run(*arguments)
    assert code == 0
    assert output.startswith("Of 4 events:\ncharge: would receive 3\n  first: {")
    assert as_json(*arguments, "--rule", "other")[1] == [{"events": 4, "rules": []}]
    assert run(*arguments, "--pattern", '{"detail": {"n": [3]}}')[1] == "Of 1 event:\ncharge: would receive 0\n"
    assert work(path, SqliteStore.pending) == {}


def test_rules_may_be_those_of_a_router_in_code(path, tmp_path):
    work(path, keep, 4)
    code = "from eventrouter import EventRouter\nrouter = EventRouter()\n@router.rule({'source': ['shop.orders']})\ndef ship(event): ...\n"
    (tmp_path / "declares_a_router.py").write_text(code)
    place = f"{tmp_path}/declares_a_router.py:router"
    assert "ship: would receive 4" in run("archive", "replay", path, "orders", "--dry-run", place)[1]


# -- trace -----------------------------------------------------------------------------------------------------------


async def live(store):
    """One event with every end there is, one child, and one that is still on its way."""
    dropped, skipped = Subscription("default", "drop", "t"), Subscription("default", "skip", "t")
    parent = Accepted(
        event("parent"),
        NOW,
        (CHARGE, TELL, dropped),
        causes=("root", "cause"),
        trace_header="00-ab",
        skipped=(skipped,),
        archives=(Archiving("all"),),
    )
    await store.append([parent])
    [delivery] = await lease(store)
    await store.settle([RetryAt(delivery, NOW, "TIMEOUT", "too slow")])
    [delivery] = await lease(store)
    child = Accepted(event("child"), NOW, (CHARGE,), causes=("root", "cause", "parent"))
    grandchild = Accepted(event("grandchild"), NOW, (CHARGE,), causes=("root", "cause", "parent", "child"))
    await store.settle([Delivered(delivery, (child, grandchild))])
    [delivery] = await lease(store, TELL)
    await store.settle([DeadLettered(delivery, letter(delivery))])
    [delivery] = await lease(store, dropped)
    await store.settle([Dropped(delivery, "TARGET_ERROR", "OSError: no")])


def states(told):
    return [(item["rule_name"], item["state"], item["attempts"], item["error"]) for item in told["deliveries"]]


def test_a_trace_tells_every_end_and_what_caused_it_and_was_caused(path):
    work(path, live)
    code, [told] = as_json("trace", path, "parent")
    assert code == 0
    assert sorted(states(told)) == [
        ("charge", "delivered", 2, "TIMEOUT: too slow"),
        ("drop", "dropped", 1, "TARGET_ERROR: OSError: no"),
        ("skip", "skipped", 0, ""),
        ("tell", "dead-lettered", 1, "TARGET_ERROR: OSError: no"),
    ]
    assert (told["causes"], told["children"], told["trace_header"]) == (["root", "cause"], ["child"], "00-ab")
    assert (told["archives"], told["dead_letters"][0]["id"], told["event"]["detail"]) == (["all"], 1, {"n": 0})
    code, output = run("trace", path, "parent")
    assert code == 0
    lines = [re.sub(" +", " ", line).strip() for line in output.splitlines()]
    assert {
        "event parent",
        "detail-type Order Placed",
        "archive all",
        "trace 00-ab",
        "caused by cause",
        "caused child shop.orders, Order Placed",
        "dead letter 1, in queue other/tell/t",
    } <= set(lines)


def test_what_has_ended_is_remembered_without_its_content(path):
    work(path, live)

    async def end(store):
        for delivery in await lease(store, limit=10):
            await store.settle([Delivered(delivery)])

    work(path, end)
    code, output = run("trace", path, "child")
    assert code == 0
    lines = [re.sub(" +", " ", line).strip() for line in output.splitlines()]
    assert "content is gone, since every delivery has ended and no archive keeps it" in lines
    assert {"caused by parent", "caused by cause", "caused by root", "caused grandchild"} <= set(lines)
    assert re.search(r"^caused +parent", run("trace", path, "cause")[1], re.MULTILINE)
    code, [told] = as_json("trace", path, "cause")  # of which nothing is left but what it caused
    assert (code, told["children"], told["deliveries"]) == (0, ["parent"], [])


def test_a_trace_tells_where_deliveries_are(path):
    late = {"now": datetime.now(UTC) - timedelta(hours=3)}
    group = {"group": "g", "ordered": (CHARGE,)}

    async def begin(store):
        await store.append([Accepted(event("x"), late["now"], (CHARGE,), **group) for _ in range(2)])
        await lease(store, **late)
        await store.append([Accepted(event("y"), NOW, (TELL,))])
        [delivery] = await lease(store, TELL)
        await store.settle([RetryAt(delivery, NOW + timedelta(hours=1), "TIMEOUT", "too slow")])
        await store.append([Accepted(event("z"), NOW, (TELL,))])
        await lease(store, TELL)
        await store.append([Accepted(event("w"), NOW, (TELL,), due=NOW + timedelta(hours=1))])

    work(path, begin)
    told = {id: states(as_json("trace", path, id)[1][0]) for id in "xyzw"}
    assert told["x"] == [("charge", "lease over", 1, ""), ("charge", "behind", 0, "")]
    assert told["y"] == [("tell", "retrying", 1, "TIMEOUT: too slow")]
    assert told["z"] == [("tell", "leased", 1, "")]
    assert told["w"] == [("tell", "waiting", 0, "")]
    assert re.search(r"^event group +g$", run("trace", path, "x")[1], re.MULTILINE)


def test_a_dead_letter_tells_of_its_event_and_its_causes(path):
    async def fail(store):
        await store.append([Accepted(event("b"), NOW, (CHARGE,), causes=("a",), trace_header="00-ab", group="g")])
        [delivery] = await lease(store)
        await store.settle([DeadLettered(delivery, letter(delivery, trace_header="00-ab"))])

    work(path, fail)
    _, [told] = as_json("trace", path, "b")
    assert (told["event"]["id"], told["causes"], told["group"], told["trace_header"]) == ("b", ["a"], "g", "00-ab")
    assert as_json("trace", path, "a")[1][0]["children"] == ["b"]


def test_an_event_that_names_the_id_otherwise_is_not_its_child(path):
    async def put(store):
        items = [
            Accepted(event("b"), NOW, (CHARGE,), trace_header="a-x"),
            Accepted(event("c"), NOW, (CHARGE,), causes=("a-x", "b")),
        ]
        await store.append(items)
        await bury(store, event("d"), subscription=TELL, message="a-x")

    work(path, put)
    code, output = run("trace", path, "a-x")
    assert code == 1
    assert "has nothing of an event a-x: it was never accepted" in output


def test_the_oldest_ends_are_forgotten(path, monkeypatch):
    monkeypatch.setattr(batch, "HISTORY", 2)

    async def deliver(store):
        await store.append([Accepted(event(id), NOW, (CHARGE,)) for id in "abc"])
        await store.settle([Delivered(delivery) for delivery in await lease(store, limit=3)])

    work(path, deliver)
    assert [run("trace", path, id)[0] for id in "abc"] == [1, 0, 0]


def test_deliveries_that_are_discarded_are_remembered(path):
    async def discard(store):
        await store.append([Accepted(event("a"), NOW, (CHARGE,))])
        await store.discard(CHARGE)

    work(path, discard)
    assert states(as_json("trace", path, "a")[1][0]) == [("charge", "dropped", 0, "")]


# -- stats -----------------------------------------------------------------------------------------------------------


def test_stats_are_the_account_and_what_is_kept(path):
    work(path, live)
    code, output = run("stats", path)
    assert code == 0
    rows = {re.split("  +", line)[0]: re.split("  +", line)[1:] for line in output.splitlines()}
    assert rows["charge -> t"][:8] == ["3", "1", "0", "0", "0", "2", "0", "1"]
    assert "1 dead letter in queue other/tell/t" in output
    assert "1 event in archive all" in output
    assert "store.db: " in output
    code, [told] = as_json("stats", path)
    assert (code, told["events"], told["is_balanced"], told["dead_letters"]) == (0, 3, True, {"other/tell/t": 1})
    assert {item["rule_name"] for item in told["subscriptions"]} == {"charge", "tell", "drop", "skip"}


# -- doctor ----------------------------------------------------------------------------------------------------------


def wrong(path, *options):
    """Give what the doctor finds to be wrong, by check."""
    code, [told] = as_json("doctor", path, *options)
    found = {item["check"]: item["text"] for item in told["findings"] if item["verdict"] == "wrong"}
    assert (code, told["is_well"]) == ((1, False) if found else (0, True))
    return found


def spoil(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_a_sound_store_has_nothing_wrong(path, rules):
    work(path, partial(bury), event("a"))
    assert wrong(path) == wrong(path, "--rules", rules) == {}
    code, output = run("doctor", path)
    assert (code, output.split()[:3]) == (0, ["check", "verdict", "found"])


def test_the_doctor_tells_what_nobody_takes(path, rules):
    past = datetime.now(UTC) - timedelta(hours=3)

    async def leave(store):
        await store.append([Accepted(event("a"), past, (CHARGE, TELL)) for _ in range(2)])
        await lease(store, CHARGE, now=past)

    work(path, leave)
    found = wrong(path, "--rules", rules)
    assert found.keys() == {"waiting", "leases", "parked"}
    since = f"since {past:%Y-%m-%d %H:%M:%S} UTC"
    assert found["waiting"].endswith(f"default/charge/t: 1 {since}")
    assert found["leases"].endswith("default/charge/t: 1")
    assert found["parked"].endswith("other/tell/t: 2")

    work(path, partial(lease, now=datetime.now(UTC)))  # now somebody does
    found = wrong(path)
    assert found.keys() == {"waiting"}
    assert found["waiting"].endswith(f"not paused?): other/tell/t: 2 {since}")


def test_an_account_that_does_not_balance_is_told_of(path):
    work(path, partial(bury), event("a"))
    spoil(path, "UPDATE subscription SET accepted = 7")
    assert "default/charge/t" in wrong(path)["ledger"]
    assert run("stats", path)[0] == 1


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM event", "1 deliveries without an event, 1 archived events that are not there"),
        ("DELETE FROM subscription WHERE bus = 'other'", "1 deliveries without a subscription"),
        ("DELETE FROM subscription WHERE bus = 'default'", "1 dead letters without a subscription"),
        ("UPDATE event SET archives = 0, deliveries = 0", "1 events that nothing keeps"),
    ],
)
def test_rows_that_contradict_one_another_are_told_of(path, statement, told):
    async def put(store):
        await bury(store, event("a"))
        await store.append([Accepted(event("b"), NOW, (TELL,), archives=(Archiving("all"),))])

    work(path, put)
    spoil(path, statement)
    assert wrong(path)["rows"] == told


def test_a_log_that_only_grows_is_told_of(path, monkeypatch):
    monkeypatch.setattr(doctors, "LARGEST_LOG", 100)

    async def look(store):
        await store.append([Accepted(event("a"), NOW, (CHARGE,))])
        return await anyio.to_thread.run_sync(wrong, path)

    found = work(path, look)
    assert "keeps a read open" in found["log"]
    assert "log" not in wrong(path)  # whoever closes it last has emptied it


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The bytes of a store with some hundred pages."""
    path = tmp_path_factory.mktemp("large") / "store.db"
    work(path, keep, 1_000)
    return path.read_bytes()


COMMANDS = [
    ["dlq", "list"],
    ["dlq", "purge", "--all"],
    ["archive", "list"],
    ["archive", "show", "orders"],
    ["trace", "e7"],
    ["stats"],
]


def with_store(command, path):
    words = [word for word in command if word in {"dlq", "list", "archive", "show", "purge", "trace", "stats"}]
    return [*words, path, *command[len(words) :]]


@pytest.mark.parametrize("cut", [50, 4096, 4096 * 5 + 17])
def test_a_file_that_was_cut_off_is_damaged(path, large, cut):
    path.write_bytes(large[:cut])
    assert wrong(path)
    for command in COMMANDS:
        assert run(*with_store(command, path))[0] in {0, 1, 2}  # and never a traceback
    assert run("archive", "show", path, "orders")[0] == 2


def test_pages_that_hold_nonsense_are_told_of(path, large):
    pages = [large[at : at + 4096] for at in range(0, len(large), 4096)]
    for n in range(5, len(pages)):
        pages[n] = b"\xff" * 4096
    path.write_bytes(b"".join(pages))
    found = wrong(path)
    assert "restore a backup" in "".join(found.values())
    code, output = run("archive", "show", path, "orders", "--limit", 1000)
    assert code == 2
    assert "is damaged" in output


def test_a_row_that_holds_nonsense_is_told_of(path):
    work(path, keep, 1)
    spoil(path, "UPDATE event SET body = '{'")
    code, output = run("archive", "show", path, "orders")
    assert code == 2
    assert "is damaged: a row of it holds" in output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"not a database at all, but long enough to be one" * 99, "is not a database"),
        (b"", "is no store of eventrouter"),
    ],
)
def test_what_is_no_store_is_told_so(path, content, told):
    path.write_bytes(content)
    assert told in wrong(path)["file"]
    code, output = run("stats", path)
    assert code == 2
    assert told in output


def test_what_is_not_there_is_not_made(tmp_path):
    for command in ("doctor", "stats"):
        assert run(command, tmp_path / "none.db") == (2, f"eventrouter: There is no file {tmp_path}/none.db\n")
    assert run("dlq", "purge", f"sqlite:///{tmp_path}/none.db", "--all")[0] == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "hint"), [(0, "or start it with this one"), (99, "use the release that the service uses)")]
)
def test_a_store_of_another_version_is_left_alone(path, version, hint):
    spoil(path, f"PRAGMA user_version = {version}")
    code, output = run("dlq", "redrive", path, "--all")
    assert code == 2
    assert hint in output
    assert f"has version {version}" in wrong(path)["file"]


def test_a_directory_is_no_store(tmp_path):
    for command in (("dlq", "list"), ("doctor",), ("stats",)):
        assert run(*command, tmp_path)[0] == 2


def test_a_store_that_cannot_be_written_can_be_read(path, monkeypatch):
    """As a backup on a file system that is read-only, where SQLite cannot make what readers share."""
    work(path, partial(bury), event("a"))
    connected, tried = StoreFile._connected, []

    def refuse(self, options):
        tried.append(options)
        if options == "mode=ro":
            error = sqlite3.OperationalError("unable to open database file")
            error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
            raise error
        return connected(self, options)

    monkeypatch.setattr(StoreFile, "_connected", refuse)
    assert run("dlq", "list", path)[0] == 1
    assert tried == ["mode=ro", "mode=ro&immutable=1"]
    path.with_name("store.db-wal").write_bytes(b"")  # now somebody may be writing
    assert run("dlq", "list", path)[0] == 2


# -- while a service runs --------------------------------------------------------------------------------------------

SERVICE = """
import sys
from datetime import timedelta
import anyio
from eventrouter import EventEntry, EventRouter, RetryPolicy

router = EventRouter(f"sqlite:///{sys.argv[1]}?synchronous=NORMAL")
router.put_archive("orders", {"source": ["shop.orders"]})
fails = True

@router.rule({"source": ["shop.orders"]}, retry_policy=RetryPolicy(maximum_retry_attempts=0))
async def charge(event):
    if fails and event.detail["n"] == 0:
        raise OSError("no answer")

async def main():
    global fails
    async with router:
        await router.put_events([EventEntry("shop.orders", "Order Placed", {"n": 0})])
        await router.settle_down()
        fails = False
        print("ready", flush=True)
        for n in range(1, 100_000):
            await router.put_events([EventEntry("shop.orders", "Order Placed", {"n": n})])
            if n % 20 == 0:
                await anyio.sleep(0.005)

anyio.run(main)
"""


def test_a_service_that_writes_all_the_time_notices_what_the_command_line_does(tmp_path):
    path = tmp_path / "orders.db"
    (tmp_path / "service.py").write_text(SERVICE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    service = subprocess.Popen(
        [sys.executable, tmp_path / "service.py", path], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert service.stdout.readline() == "ready\n"
        [failed] = as_json("dlq", "list", path)[1]
        code, output = run("dlq", "redrive", path, "--all")
        assert (code, "1 dead letter redriven" in output) == (0, True)
        ends = []
        for _ in range(100):
            _, [told] = as_json("trace", path, failed["body"]["id"])
            ends = [item["state"] for item in told["deliveries"]]
            if ends == ["dead-lettered", "delivered"]:
                break
            time.sleep(0.02)
        assert ends == ["dead-lettered", "delivered"]
        assert wrong(path) == {}
        assert as_json("archive", "list", path)[1][0]["event_count"] > 1
        assert service.poll() is None
    finally:
        service.kill()
        service.wait()
        service.stdout.close()
    code, [told] = as_json("stats", path)
    assert (code, told["is_balanced"]) == (0, True)
