"""The inputs of the benchmarks are what they are said to be. Their speed is no test."""

import hashlib
import itertools
import json
from collections import Counter

import anyio
import pytest

from benchmarks import aws_events, citylots, delivery, durable, latency, workloads
from benchmarks.__main__ import parser, write_delivery, write_durable
from benchmarks.cache import DIRECTORY
from benchmarks.compare import sign_test, verdict
from benchmarks.delivery_peers import Peer, Published
from benchmarks.families import FAMILIES
from benchmarks.measure import Figure
from benchmarks.naive import MiscountError, NaiveCounts, check
from benchmarks.report import Section
from eventrouter import Pattern

#: Measuring coverage would double its time, and what it runs is covered by the tests of each part.
pytestmark = pytest.mark.no_cover

#: Of the streams that the figures of other engines were taken with, so that ours compare with them.
LOTS = "49f299db092c0f0b"
STREAMS = {
    "exact": "6eb961ea07d19762",
    "mixed": "0c054e811fffabab",
    "mixed-own-bounds": "956cc7d225e6e1fe",
    "mixed-first-field": "ed4eaadccc179d6a",
    "shared": "cc031b968de41e07",
    "prefix": "9a49c13b17fa5995",
    "suffix": "e1ad3d63da37da9f",
    "wildcard": "7e1ba309ff199df5",
    "wildcard-front": "cd2955441925d880",
    "wildcard-multi": "f03faffb46e1b8c2",
    "anything-but": "aeca813eff41f60e",
    "fields": "be24ac0ff1c9bf85",
    "ignore-case": "15953af86cb2b948",
    "cidr": "3f222caf59056509",
}


def digest(lines):
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


@pytest.fixture(scope="module")
def lots():
    return list(itertools.islice(citylots.lines(), 200))


def test_lots_are_the_ones_that_others_are_measured_with(lots):
    assert digest(lots) == LOTS


@pytest.mark.parametrize("name", STREAMS)
def test_events_of_families_are_the_ones_that_others_are_measured_with(name):
    family = FAMILIES[name]
    rules = [json.dumps(family.rule(i)).encode() for i in range(100)]
    assert digest(rules + [family.event(draw) for draw in family.draws(1_000)[:200]]) == STREAMS[name]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [1, 10, 40])
def test_events_of_families_match_the_rules_that_arithmetic_says(name, size):
    family = FAMILIES[name]
    patterns = [Pattern.parse(family.rule(i)) for i in range(size)]
    for draw in family.draws(size)[:25]:
        event = json.loads(family.event(draw))
        assert [i for i, pattern in enumerate(patterns) if pattern.matches(event)] == family.found(draw, size)


def test_workloads_over_lots_match_as_often_as_each_rule_alone(lots):
    naive = NaiveCounts(lots)
    listed = workloads.over_lots()
    assert len(listed) == 18
    for workload in listed:
        check(workload.name, workload.matcher().match_json, lots, naive.of(workload.rules))


def test_every_rule_for_aws_events_matches_some():
    events = aws_events.events(300)
    found = NaiveCounts(events).of(aws_events.RULES.rules)
    assert found.keys() == aws_events.RULES.rules.keys()
    check("AWS", aws_events.RULES.matcher().match_json, events, found)


def test_a_miscount_is_told():
    with pytest.raises(MiscountError, match="EXACT: found r0 2 times instead of 1"):
        check("EXACT", lambda event: ["r0"], [b"{}", b"{}"], Counter(r0=1))


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ([1.1] * 10, "slower"),
        ([0.9] * 10, "faster"),
        ([1.01] * 10, "noise"),  # sure, but too small to care
        ([1.2] * 8 + [0.8] * 2, "noise"),
        ([0.8] * 11 + [1.2], "faster"),
    ],
)
def test_a_difference_counts_that_is_sure_and_large(ratios, word):
    assert verdict(sorted(ratios)[5], sign_test(ratios)) == word


@pytest.mark.parametrize("name", delivery.measures())
def test_every_event_of_a_delivery_benchmark_arrives(name, monkeypatch):
    monkeypatch.setattr(delivery, "EVENTS", 200)
    backend, one = delivery.measures()[name]
    assert anyio.run(one, backend=backend) > 0


def test_every_event_of_the_other_buses_that_are_installed_arrives(monkeypatch):
    monkeypatch.setattr(delivery, "EVENTS", 70)
    for backend, one in delivery.peer_measures().values():
        assert anyio.run(one, backend=backend) > 0


def test_a_bus_that_loses_an_event_has_no_rate():
    async def lose(events, detail):
        return Published(events - 1, seconds=1.0)

    peer = Peer(lose, "loser", "asyncio", events=10)
    with pytest.raises(MiscountError, match="loser: 9 events were handled instead of 10"):
        anyio.run(delivery.published("loser", peer))


def test_a_bus_that_is_not_installed_is_named():
    figures = {name: Figure((1e-5,) * 4) for name in delivery.measures()}
    section = delivery.peers(figures | {"pyee AsyncIOEventEmitter": Figure((2e-5, 4e-5, 4e-5, 5e-5))}, rounds=4)
    rows = {row[0]: row[1:] for row in section.rows}
    assert rows["bubus"] == ["not installed", "-", "-", "-"]
    assert rows["pyee AsyncIOEventEmitter"] == ["25,000", "56%", "4.00", "4.00"]


def test_rates_of_delivery_are_held_to_their_budgets():
    seconds = {
        "memory object stream": 4e-6,
        "five memory object streams": 40e-6,
        "one target": 5e-6,
        "five targets": 10e-6,
        "100 rules, one matches": 6e-6,
    }
    figures = {name: Figure((seconds.get(name, 10e-6),) * 4) for name in delivery.measures()}
    section = delivery.rates(figures, rounds=4)
    assert [(budget.what, round(budget.ratio, 6), budget.is_kept) for budget in section.budgets] == [
        ("one target / memory object stream", 0.8, False),
        ("five targets / five memory object streams", 4.0, True),
        ("100 rules, one matches / one target", 0.833333, True),
    ]
    assert ["one target, Metrics", "100,000", "0%", "one target", "0.50"] in section.rows


@pytest.mark.parametrize("name", latency.WAYS)
def test_latencies_are_measured_for_every_event(name):
    way, _, backend = latency.WAYS[name]
    found = anyio.run(latency.latencies, way, latency.Pace(3, 0.001, calls=2, entries=2), backend=backend)
    assert len(found) == 12
    assert 0 < found[0] <= found[-1] < 60


def test_a_lost_event_has_no_latency():
    async def lose(drive, arrived):
        async def send(first, count):
            if first:
                arrived(first)

        await drive(send)

    with pytest.raises(MiscountError, match="2 of 3 events were handled"):
        anyio.run(latency.latencies, lose, latency.Pace(3, 0.0))


@pytest.mark.parametrize(
    ("arguments", "directory"),
    [
        (["--write", "there"], "there"),
        (["--write", "there", "delivery"], "there"),
        (["delivery", "--write", "there"], "there"),
        (["full", "--write", "there"], "there"),
        (["delivery"], str(DIRECTORY)),
    ],
)
def test_pages_are_written_where_the_command_line_says(arguments, directory):
    assert str(parser().parse_args(arguments).write) == directory


def test_the_page_about_delivery_shows_all_sections(tmp_path, capsys):
    sections = [Section(title, "About.", ["what", "rate"], [["a", "1 >= 1"]]) for title in ("Rates", "Latency")]
    write_delivery(tmp_path / "new", sections)
    lines = (tmp_path / "new" / "delivery-figures.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# Delivery in figures", "## Rates", "## Latency"]
    assert lines.count("| a | 1 ≥ 1 |") == 2
    assert "no aiopubsub" in lines[4] or "aiopubsub 3" in lines[4]
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize("name", durable.measures())
def test_every_row_of_a_durable_benchmark_is_counted(name, monkeypatch, scratch):
    monkeypatch.setattr(durable, "EVENTS", 200)
    backend, one = durable.measures()[name]
    assert anyio.run(one, scratch.new() / "x.db", backend=backend) > 0


def test_the_page_about_a_file_shows_rates_and_latencies(tmp_path, monkeypatch, scratch):
    monkeypatch.setattr(durable, "PACED", 3)
    figures = {name: Figure((1e-5,) * 4) for name in durable.measures()}
    sections = [durable.rates(figures, rounds=4), durable.latencies(scratch.new())]
    assert [budget.ratio for budget in sections[0].budgets] == [1.0] * 4
    write_durable(tmp_path, sections)
    assert "put_events, trio" in (tmp_path / "durable-figures.md").read_text()
