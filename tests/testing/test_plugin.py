"""The pytest plugin, as somebody else's tests meet it, and assertions that say why they fail."""

import subprocess
import sys

import pytest

from eventrouter import EventEntry, EventRouter, NotFoundError, Pattern
from eventrouter.testing import RecordedEvents, assert_matches, assert_not_routed, assert_routed, run_simulation
from tests.support import make_event

TESTS = """
import pytest
from eventrouter import Event, EventEntry, EventRouter
from eventrouter.testing import assert_matches, assert_routed, failing, run


def make(**options):
    router = EventRouter(**options)

    @router.rule({"source": ["shop"]}, name="crm")
    async def crm(event: Event): ...

    return router


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_simulation(eventrouter_sim, backend):
    async def scenario(sim):
        await sim.router.put_events([EventEntry("shop", "Order Placed", {"id": 7})])
        await sim.advance(hours=1)

    sim = eventrouter_sim(make(), scenario, replace={"crm": failing(times=2)}, backend=backend)
    assert len(sim.seen("crm")) == 3


def test_events_are_recorded(recorded_events):
    async def main(router):
        async with router:
            await router.put_events([EventEntry("shop", "Order Placed", {"id": 7})])
            await router.settle_down()

    run(main, make(observers=[recorded_events]))
    [event] = recorded_events
    assert event.detail == {"id": 7}


def test_that_fails():
    assert_routed(make(), EventEntry("shpo", "Order Placed", {}), to="crm")
"""


def test_fixtures_and_assertions_in_a_project_of_its_own(tmp_path):
    (tmp_path / "test_shop.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1].startswith("1 failed, 3 passed"), done.stdout
    assert 'source: "shpo" does not fit "shop"' in done.stdout


def test_the_plugin_imports_nothing_until_it_is_used():
    code = "import sys, eventrouter_pytest; print(sorted(n for n in sys.modules if n.startswith('eventrouter')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['eventrouter_pytest']\n"


@pytest.fixture
def router():
    router = EventRouter()
    router.add_event_bus("audit")
    router.put_rule("orders", {"source": ["shop.orders"], "detail": {"total": [{"numeric": [">", 100]}]}})
    router.put_rule("all", {"source": [{"prefix": "shop"}]})
    router.put_rule("audit", {"source": ["shop.orders"]}, event_bus_name="audit")
    return router


def test_an_event_goes_to_exactly_the_rules_that_are_named(router):
    assert_routed(router, make_event(), to=["all", "orders"])
    assert_routed(router, EventEntry("shop.orders", "Order", {"total": 7}), to="all")
    assert_routed(router, {"source": "other"}, to=[])
    assert_routed(router, make_event(), to="audit", event_bus_name="audit")
    with pytest.raises(AssertionError) as caught:
        assert_routed(router, make_event({"total": 7}), to=["orders"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "The event goes to all, and not to orders:"
    assert "all: match" in str(caught.value)
    assert "detail.total: 7 does not fit" in str(caught.value)
    assert "set $.detail.total" in str(caught.value)
    with pytest.raises(AssertionError, match="there is no rule missing with a pattern on bus default"):
        assert_routed(router, make_event(), to=["all", "orders", "missing"])
    with pytest.raises(AssertionError, match="goes to no rule, and not to all"):
        assert_routed(router, {"source": "other"}, to=["all"])
    with pytest.raises(NotFoundError):
        assert_routed(router, make_event(), to=[], event_bus_name="missing")


def test_an_event_goes_to_none_of_the_rules_that_are_named(router):
    assert_not_routed(router, {"source": "other"})
    assert_not_routed(router, make_event({"total": 7}), to="orders")
    with pytest.raises(AssertionError, match="there is no rule missing with a pattern on bus default"):
        assert_not_routed(router, make_event({"total": 7}), to=["orders", "missing"])
    with pytest.raises(AssertionError, match=r"(?s)goes to all:.*all: match"):
        assert_not_routed(router, make_event({"total": 7}))
    with pytest.raises(AssertionError, match="goes to all, orders:"):
        assert_not_routed(router, make_event(), to=["orders", "all"])


def test_a_pattern_that_does_not_match_is_explained():
    assert_matches({"source": ["shop.orders"]}, make_event())
    with pytest.raises(AssertionError, match=r'source: "shop.orders" does not fit "shop"'):
        assert_matches(Pattern.parse({"source": ["shop"]}), make_event())


def test_recorded_events_can_be_asked_for_and_forgotten(router):
    recorded = RecordedEvents()

    async def scenario(sim):
        with recorded.of(sim.router):
            await sim.router.put_events([EventEntry("shop.orders", "A", {}), EventEntry("other", "B", {})])
            await sim.router.put_events([EventEntry("", "refused", {})])
        await sim.router.put_events([EventEntry("other", "C", {})])

    run_simulation(router, scenario)
    assert [event.detail_type for event in recorded] == ["A", "B"]
    assert recorded[0].source == "shop.orders"
    assert [event.detail_type for event in recorded.matching({"source": ["other"]})] == ["B"]
    assert recorded.matching(Pattern.parse({"source": ["nobody"]})) == []
    recorded.clear()
    assert len(recorded) == 0
