"""How the parts of a router are connected, and what is found in it."""

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import msgspec
import pytest
from pydantic import BaseModel

from eventrouter import (
    BusTarget,
    DeadLetterQueue,
    Event,
    EventRouter,
    FunctionTarget,
    InvalidRuleError,
    JsonLinesTarget,
    NotFoundError,
    Pattern,
    PatternError,
    QueueTarget,
    Schedule,
    ScheduleExpression,
)
from eventrouter.queues import RedrivePolicy
from eventrouter.targets.http import HttpTarget
from eventrouter.topology import TOPOLOGY_CODES, Edge, EventType, FanOut, to_html, topology
from tests.support import make_event

if TYPE_CHECKING:
    from nowhere import Missing


class Placed(BaseModel):
    source: ClassVar[str] = "shop"
    total: int


class Charged(BaseModel):
    source: ClassVar[str] = "billing"


class Plain(BaseModel):
    total: int


async def take(event: Event) -> None: ...


def told(found, code):
    return [finding.message for finding in found.findings if finding.code == code]


def bus(router, rule, name, *, onto=None, pattern=None, on="default"):
    """Add a rule that hands events of the bus *on* to another one."""
    router.put_rule(rule, pattern or {"source": ["shop"]}, event_bus_name=on)
    router.put_targets(rule, [BusTarget(id=name, router=onto or router, event_bus_name=name)], event_bus_name=on)


def event_from(source):
    return msgspec.structs.replace(make_event(), source=source)


def connected(*edges):
    return {Edge(*edge) for edge in edges}


def test_rules_lead_from_their_bus_to_their_targets():
    router = EventRouter()
    router.put_rule("orders", {"source": ["shop"]}, description="What customers order")
    letters = DeadLetterQueue(name="lost")
    router.put_targets(
        "orders",
        [
            FunctionTarget(id="charge", function=take, dead_letter_queue=letters, maximum_concurrency=0),
            JsonLinesTarget(id="log", path="log.jsonl", dead_letter_queue=None),
        ],
    )
    found = topology(router)
    assert set(found.edges) == connected(
        ("bus:default", "rule:default/orders", "matched by"),
        ("rule:default/orders", "target:default/orders/charge", "sent to"),
        ("rule:default/orders", "target:default/orders/log", "sent to"),
        ("target:default/orders/charge", "dead-letter-queue:lost", "dead letters"),
    )
    assert found.nodes["rule:default/orders"].details == {
        "pattern": '{"source":["shop"]}',
        "description": "What customers order",
    }
    assert found.nodes["target:default/orders/charge"].details == {
        "type": "FunctionTarget",
        "function": f"{__name__}.take",
        "state": "paused",
    }
    assert told(found, "no-dead-letters") == ["what is given up for target log is dropped"]
    assert [edge.target for edge in found.edges_from("bus:default")] == ["rule:default/orders"]


def test_queues_functions_and_buses_are_one_node_whoever_sends_to_them():
    router = EventRouter()
    router.create_queue("dead")
    jobs = router.create_queue("jobs", redrive_policy=RedrivePolicy("dead", 3))
    router.create_queue("orders.fifo")
    router.add_event_bus("audit")
    sending = QueueTarget(id="jobs", queue=jobs)

    @router.function(
        "resize",
        on_success=FunctionTarget(id="tell", function=take),
        on_failure=[BusTarget(id="audit", router=router, event_bus_name="audit")],
        dead_letter_queue=sending,
        isolation=None,
    )
    async def resize(event, context): ...

    router.put_rule("one", {"source": ["a"]})
    router.put_targets("one", [resize.target(on_failure=sending), sending])
    router.put_rule("two", {"source": ["b"]}, event_bus_name="audit")
    router.put_targets("two", [resize], event_bus_name="audit")
    found = topology(router)
    assert set(found.edges) == connected(
        ("bus:default", "rule:default/one", "matched by"),
        ("bus:audit", "rule:audit/two", "matched by"),
        ("rule:default/one", "function:resize", "sent to"),
        ("rule:default/one", "queue:jobs", "sent to"),
        ("rule:default/one", "queue:jobs", "on failure"),
        ("rule:audit/two", "function:resize", "sent to"),
        ("function:resize", "target:resize/tell", "on success"),
        ("function:resize", "bus:audit", "on failure"),
        ("function:resize", "queue:jobs", "dead letters"),
        ("queue:jobs", "queue:dead", "dead letters"),
    )
    assert found.nodes["queue:orders.fifo"].details == {"type": "FIFO"}
    assert found.nodes["function:resize"].details["timeout"] == "60 s"


def test_mappings_and_pipes_lead_from_their_sources_to_who_receives():
    router = EventRouter()
    for name in ("jobs", "out"):
        router.create_queue(name, visibility_timeout=timedelta(seconds=60))
    router.put_archive("all", {"source": [{"exists": True}]})

    @router.function("work")
    async def work(event, context): ...

    async def readings():
        yield 1

    router.event_source_mapping("jobs", work)
    router.event_source_mapping("all", "work:$LATEST")
    router.pipe("readings", readings, QueueTarget(id="out", queue=router.queue("out")))
    assert {edge for edge in topology(router).edges if edge.kind != "kept by"} == connected(
        ("queue:jobs", "function:work", "polled by"),
        ("archive:all", "function:work", "polled by"),
        ("event-type:iterator readings", "target:pipe/readings", "polled by"),
        ("target:pipe/readings", "queue:out", "sent to"),
    )


def test_enrichments_failure_destinations_and_mappings_that_are_disabled_are_told():
    router = EventRouter()
    jobs = router.create_queue("jobs", visibility_timeout=timedelta(seconds=60))

    @router.function("work")
    async def work(event, context): ...

    @router.function("prices")
    async def prices(event, context): ...

    async def look_up(records): ...

    async def readings():
        yield 1

    router.pipe("priced", jobs, "work:$LATEST", enrichment=prices)
    router.pipe("told", readings, FunctionTarget(id="take", function=take), enrichment=look_up, enabled=False)
    lost = FunctionTarget(id="lost", function=take)
    mapping = router.event_source_mapping(readings, work, name="m", on_failure=lost)
    found = topology(router)
    assert set(found.edges) == connected(
        ("queue:jobs", "target:pipe/priced", "polled by"),
        ("target:pipe/priced", "function:prices", "enriched by"),
        ("target:pipe/priced", "function:work", "sent to"),
        ("event-type:iterator told", "target:pipe/told", "polled by"),
        ("target:pipe/told", "target:pipe/told/take", "sent to"),
        ("event-type:iterator m", "function:work", "polled by"),
        ("function:work", "target:work/lost", "on failure"),
    )
    told = found.nodes["target:pipe/told"].details
    assert told["state"] == "DISABLED"
    assert told["enrichment"].endswith("look_up")
    assert "mapping m" not in found.nodes["function:work"].details
    mapping.disable()
    assert topology(router).nodes["function:work"].details["mapping m"] == "DISABLED"
    assert "enriched by" in to_html(found)


def test_what_a_mapping_reads_or_invokes_may_have_been_removed():
    router = EventRouter()
    for name in ("jobs", "others"):
        router.create_queue(name, visibility_timeout=timedelta(seconds=60))
    router.put_archive("all", {"source": [{"exists": True}]})
    router.put_archive("some", {"source": ["shop"]})

    async def work(event, context): ...

    for name in ("work", "gone"):
        router.function(name)(work)
    for source, function, name in (
        ("jobs", "work", "m"),
        ("all", "work", "all"),  # called like what it reads
        ("some", "work", "s"),
        ("others", "gone", "g"),
    ):
        router.event_source_mapping(source, function, name=name)
    router.remove_queue("jobs")
    router.remove_archive("some")
    router.remove_function("gone")
    found = topology(router)
    assert {edge for edge in found.edges if edge.kind != "kept by"} == connected(
        ("queue:jobs", "function:work", "polled by"),
        ("archive:all", "function:work", "polled by"),
        ("archive:some", "function:work", "polled by"),
        ("queue:others", "function:gone", "polled by"),
    )
    removed = {id for id, node in found.nodes.items() if node.details.get("state") == "removed"}
    assert removed == {"queue:jobs", "archive:some", "function:gone"}
    assert "polled by" in to_html(found)


def test_schedules_and_archives_are_parts():
    router = EventRouter()
    router.put_rule("nightly", schedule_expression="cron(0 2 * * ? *)", state="DISABLED")
    router.put_targets("nightly", [FunctionTarget(id="tidy", function=partial(take))])
    router.put_archive("all", {"source": [{"exists": True}]}, retention=timedelta(days=7))
    router.put_archive("some", {"source": ["shop"]})
    expression = ScheduleExpression.parse("rate(1 hour)", "Europe/London")
    target = FunctionTarget(id="poll", function=take)
    router.put_schedule(Schedule(name="hourly", schedule_expression=expression, target=target, state="DISABLED"))
    found = topology(router)
    assert set(found.edges) == connected(
        ("bus:default", "archive:all", "kept by"),
        ("bus:default", "archive:some", "kept by"),
        ("rule:default/nightly", "target:default/nightly/tidy", "sent to"),
        ("schedule:default/hourly", "target:default/hourly/poll", "sent to"),
    )
    assert found.nodes["archive:all"].details["retention"] == "7 days"
    assert found.nodes["rule:default/nightly"].details == {"schedule": "cron(0 2 * * ? *)", "state": "DISABLED"}
    assert found.nodes["schedule:default/hourly"].details == {
        "expression": "rate(1 hour) Europe/London",
        "state": "DISABLED",
    }


def test_a_policy_is_told_of_and_a_url_never():
    router = EventRouter()
    router.put_policy(
        {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": "*"}]}
    )
    router.put_rule("hooks", {"source": ["shop"]})
    router.put_targets("hooks", [HttpTarget(id="hook", url="https://example.com/hooks/KEY?token=SECRET")])
    found = topology(router)
    assert found.nodes["bus:default"].details == {"policy": "only what its policy allows"}
    assert found.nodes["target:default/hooks/hook"].details == {"type": "HttpTarget"}


# -- kinds of events ---------------------------------------------------------------------------------------------


def test_kinds_of_events_are_models_patterns_or_said_in_full():
    router = EventRouter()
    router.add_event_bus("audit")
    elsewhere = EventType("Elsewhere", Pattern.parse({"source": ["x"]}), "audit")
    nowhere = EventType("Nowhere", Pattern.parse({"source": ["x"]}), "missing")
    found = topology(
        router,
        publishes=[Placed, {"source": ["a"]}, '{"source": ["b"]}', Pattern.parse({"id": ["c"]}), elsewhere, nowhere],
    )
    assert [edge.source for edge in found.edges] == [
        "event-type:audit/Elsewhere",
        "event-type:default/Placed",
        'event-type:default/{"id":["c"]}',
        'event-type:default/{"source":["a"]}',
        'event-type:default/{"source":["b"]}',
    ]
    assert found.nodes["event-type:default/Placed"].details == {
        "pattern": '{"detail-type":["Placed"],"source":["shop"]}'
    }
    assert "Nowhere is put on missing, which is no bus of this router" in told(found, "nobody-takes")


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        (Plain, InvalidRuleError, "Plain is no kind of event"),
        (int, InvalidRuleError, "int is no kind of event"),
        ("{", PatternError, "Malformed JSON|end of"),
    ],
)
def test_what_is_no_kind_of_event_is_refused(wrong, error, reason):
    with pytest.raises(error, match=reason):
        topology(EventRouter(), publishes=[wrong])


def test_handlers_are_known_by_what_they_are_annotated_to_return():
    router = EventRouter()

    @router.rule({"source": ["shop"]})
    async def charge(event: Event) -> list[Charged | Plain] | None: ...

    @router.rule({"source": ["shop"]})
    async def unknown(event: Event) -> "Missing": ...

    found = topology(router)
    assert [edge for edge in found.edges if edge.kind == "returns"] == [
        Edge("target:default/charge/charge", "event-type:default/Charged", "returns")
    ]


# -- loops -------------------------------------------------------------------------------------------------------


def test_buses_that_feed_each_other_are_a_loop_that_an_event_shows():
    router = EventRouter()
    router.add_event_bus("audit")
    bus(router, "there", "audit", pattern={"source": ["shop"], "detail": {"total": [{"numeric": [">", 5]}]}})
    bus(router, "back", "default", on="audit", pattern={"source": [{"prefix": "s"}]})
    [finding] = [finding for finding in topology(router).findings if finding.code == "loop"]
    assert str(finding).startswith("warning: an event goes round, 5 buses on at most, such as {")
    assert '"source":"shop"' in finding.message
    assert finding.message.endswith(": there -> audit -> back -> default -> there")
    assert finding.nodes == ("rule:default/there", "bus:audit", "rule:audit/back", "bus:default")


def test_a_loop_through_rules_that_no_one_event_is_known_to_match_may_be_one():
    router = EventRouter()
    router.add_event_bus("b")
    router.add_event_bus("c")
    bus(router, "ab", "b", pattern={"source": ["x", "y"]})
    bus(router, "bc", "c", pattern={"source": ["y", "z"]}, on="b")
    bus(router, "ca", "default", pattern={"source": ["z", "x"]}, on="c")
    [message] = told(topology(router), "loop")
    assert message == (
        "an event may go round, 5 buses on at most, if one matches all of these rules: "
        "ab -> b -> bc -> c -> ca -> default -> ab"
    )


def test_buses_whose_rules_exclude_each_other_are_no_loop():
    router = EventRouter()
    router.add_event_bus("audit")
    bus(router, "there", "audit", pattern={"source": ["shop"]})
    bus(router, "back", "default", on="audit", pattern={"source": ["audit"]})
    assert told(topology(router), "loop") == []


def test_two_ways_to_one_place_are_no_loop():
    router = EventRouter()
    for name in ("b", "c", "d", "e", "x"):
        router.add_event_bus(name)
    bus(router, "xa", "default", on="x")
    bus(router, "ab", "b")
    bus(router, "ac", "c")
    bus(router, "bd", "d", on="b")
    bus(router, "cd", "d", on="c")
    bus(router, "de", "e", on="d")
    bus(router, "da", "default", on="d", pattern={"source": ["nothing else"]})
    assert told(topology(router), "loop") == []


def test_a_disabled_rule_is_in_no_loop():
    router = EventRouter()
    router.add_event_bus("audit")
    bus(router, "there", "audit")
    bus(router, "back", "default", on="audit")
    router.disable_rule("back", event_bus_name="audit")
    assert told(topology(router), "loop") == []


def test_a_bus_of_another_router_is_a_target_like_any_other():
    router, other = EventRouter(), EventRouter()
    bus(router, "there", "default", onto=other)
    found = topology(router)
    assert told(found, "loop") == []
    assert found.nodes["target:default/there/default"].details == {"type": "BusTarget"}


def test_events_that_follow_from_one_another_are_a_loop():
    router = EventRouter()

    @router.on(Placed)
    async def charge(order: Placed) -> Charged: ...

    @router.on(Charged)
    async def again(order: Charged) -> Placed: ...

    [message] = told(topology(router), "loop")
    assert message == (
        "events may follow from one another, 16 of them at most: "
        "charge -> charge -> Charged -> default -> again -> again -> Placed -> default -> charge"
    )


def test_records_for_a_bus_whose_rule_has_that_bus_as_destination_are_a_loop():
    router = EventRouter()
    own = BusTarget(id="records", router=router, event_bus_name="default")
    router.put_rule("records", {"source": ["lambda"]})
    router.put_targets("records", [FunctionTarget(id="keep", function=take, on_failure=own)])
    assert told(topology(router), "loop") == [
        "events may follow from one another, 16 of them at most: records -> keep -> default -> records"
    ]


def test_a_schedule_is_part_of_a_loop_only_if_its_events_are_matched():
    router = EventRouter()
    own = BusTarget(id="own", router=router, event_bus_name="default")
    router.put_rule("tick", {"source": ["aws.events"]}, schedule_expression="rate(1 hour)")
    router.put_targets("tick", [own])
    assert len(told(topology(router), "loop")) == 1
    router.put_rule("tick", schedule_expression="rate(1 hour)")
    assert told(topology(router), "loop") == []


def test_where_it_is_not_known_whether_rules_overlap_they_are_taken_to():
    router = EventRouter()
    router.add_event_bus("audit")
    bus(router, "there", "audit", pattern={"detail": {"ip": [{"cidr": "10.0.0.0/8"}]}})
    bus(router, "back", "default", on="audit", pattern={"detail": {"ip": [{"suffix": ":a"}]}})
    [message] = told(topology(router), "loop")
    assert message.startswith("an event may go round")


# -- who takes and who feeds -------------------------------------------------------------------------------------


def test_what_is_put_and_taken_by_nobody_is_told_of():
    router = EventRouter()
    router.put_rule("other", {"source": ["other"]})
    assert told(topology(router, publishes=[Placed]), "nobody-takes") == ["no rule of bus default takes Placed"]
    router.put_archive("some", {"source": ["warehouse"]})
    assert told(topology(router, publishes=[Placed]), "nobody-takes") == ["no rule of bus default takes Placed"]
    router.put_archive("all", {"source": ["shop"]})
    assert told(topology(router, publishes=[Placed]), "nobody-takes") == []


def test_rules_that_nothing_feeds_are_told_of_when_it_is_known_what_is_put():
    router = EventRouter()
    router.add_event_bus("audit")
    bus(router, "there", "audit", pattern={"source": ["shop"]})
    router.put_rule("heard", {"source": ["shop"]}, event_bus_name="audit")
    router.put_rule("unheard", {"source": ["billing"]}, event_bus_name="audit")
    router.put_rule("tick", schedule_expression="rate(1 hour)")
    router.put_targets("tick", [BusTarget(id="a", router=router, event_bus_name="audit")])
    router.put_rule("ticked", {"detail-type": ["Scheduled Event"]}, event_bus_name="audit")
    router.put_rule("off", {"source": ["nobody"]}, state="DISABLED")
    assert told(topology(router), "nobody-feeds") == []
    unfed = ["no event that is put can match rule unheard"]
    assert told(topology(router, publishes=[Placed]), "nobody-feeds") == unfed
    assert told(topology(router, traffic=[event_from("shop")]), "nobody-feeds") == unfed


def test_a_schedule_feeds_the_bus_that_it_sends_to():
    router = EventRouter()
    router.put_rule("ticked", {"detail-type": ["Scheduled Event"]})
    target = BusTarget(id="own", router=router, event_bus_name="default")
    expression = ScheduleExpression.parse("rate(1 hour)")
    router.put_schedule(Schedule(name="tick", schedule_expression=expression, target=target))
    assert told(topology(router, publishes=[Placed]), "nobody-feeds") == []
    router.disable_schedule("tick")
    assert told(topology(router, publishes=[Placed]), "nobody-feeds") == ["no event that is put can match rule ticked"]


def test_traffic_is_followed_over_buses():
    router = EventRouter(maximum_hops=2)
    router.add_event_bus("audit")
    bus(router, "there", "audit")
    bus(router, "back", "default", on="audit")
    router.put_rule("take", {"source": [{"prefix": "s"}]})
    router.put_targets("take", [FunctionTarget(id="a", function=take), FunctionTarget(id="b", function=take)])
    router.put_archive("kept", {"source": ["kept"]})
    traffic = [event_from(source) for source in ("shop", "store", "nobody", "nobody", "kept")]
    found = topology(router, traffic=traffic)
    # there, a and b; back; and all of the default bus again, from where it goes no further
    assert found.fan_out == {
        "default": FanOut(at_most=7, events=5, mean=(7 + 2) / 5, most=7),
        "audit": FanOut(at_most=5),
    }
    assert told(found, "nobody-takes") == ["no rule of bus default takes 2 of the events, 'Order Placed' from 'nobody'"]
    assert topology(router, traffic=traffic, event_bus_name="audit").fan_out["audit"].most == 5
    with pytest.raises(NotFoundError, match="Event bus missing does not exist"):
        topology(router, traffic=traffic, event_bus_name="missing")


def test_parts_that_nothing_comes_of_are_told_of():
    router = EventRouter()
    router.add_event_bus("lonely")
    router.put_rule("idle", {"source": ["shop"]})
    router.put_rule("never", {"version": [7]})
    router.put_targets("never", [FunctionTarget(id="a", function=take)])
    found = topology(router)
    assert [str(finding) for finding in found.findings] == [
        "warning: rule idle has no targets [no-targets]",
        "warning: no event can match rule never [never-matches]",
        "warning: bus lonely has no rules [no-rules]",
    ]
    assert {finding.code for finding in found.findings} <= TOPOLOGY_CODES.keys()


def test_an_empty_router_has_a_bus_and_no_more():
    found = topology(EventRouter())
    assert list(found.nodes) == ["bus:default"]
    assert found.edges == ()


@pytest.mark.parametrize("known", ["types", "traffic", "both"])
@pytest.mark.parametrize("back", [False, True])
def test_what_a_rule_hands_on_to_a_bus_is_what_was_put_and_not_all_that_it_would_let_through(known, back):
    router = EventRouter()
    router.add_event_bus("audit")
    router.put_rule("all-to-audit", {"source": [{"exists": True}]})
    router.put_targets("all-to-audit", [BusTarget(id="audit", router=router, event_bus_name="audit")])
    for name, source in (("typo", "shpo"), ("right", "shop")):
        router.put_rule(name, {"source": [source]}, event_bus_name="audit")
        router.put_targets(name, [FunctionTarget(id="take", function=take)], event_bus_name="audit")
    if back:
        router.put_rule("back", {"source": ["shop", "shpo"]}, event_bus_name="audit")
        router.put_targets("back", [BusTarget(id="b", router=router, event_bus_name="default")], event_bus_name="audit")
    options = {
        "publishes": [] if known == "traffic" else [{"source": ["shop"]}],
        "traffic": [] if known == "types" else [event_from("shop")],
    }
    found = [finding for finding in topology(router, **options).findings if finding.code == "nobody-feeds"]
    assert [finding.nodes for finding in found] == [("rule:audit/typo",)]


def test_what_a_rule_does_not_let_through_feeds_nobody_behind_it():
    router = EventRouter()
    router.add_event_bus("audit")
    router.put_rule("placed", {"source": ["shop"], "detail-type": ["Placed"]})
    router.put_targets("placed", [BusTarget(id="audit", router=router, event_bus_name="audit")])
    for kind in ("Placed", "Paid"):
        router.put_rule(kind, {"detail-type": [kind]}, event_bus_name="audit")
        router.put_targets(kind, [FunctionTarget(id="take", function=take)], event_bus_name="audit")
    unfed = ["no event that is put can match rule Paid"]
    assert told(topology(router, publishes=[{"source": ["shop"]}]), "nobody-feeds") == unfed
