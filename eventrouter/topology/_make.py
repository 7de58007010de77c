"""`topology`: the graph of a router."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from eventrouter.buses import DEFAULT_BUS
from eventrouter.errors import NotFoundError
from eventrouter.event import Event
from eventrouter.router import EventRouter
from eventrouter.topology._findings import (
    Routes,
    event_findings,
    fan_out,
    loop_findings,
    part_findings,
    rule_findings,
)
from eventrouter.topology._flow import Flow
from eventrouter.topology._model import Topology
from eventrouter.topology._survey import Survey
from eventrouter.topology._types import Published, event_type


def topology(
    router: EventRouter,
    *,
    publishes: Iterable[Published] = (),
    traffic: Sequence[Event] = (),
    event_bus_name: str = DEFAULT_BUS,
) -> Topology:
    """Say how the parts of a router are connected, and what is worth a look about it.

    Nothing is run, and nothing but declarations is looked at. Which events there are is known from *publishes*, from
    *traffic*, from schedules, and from the annotations of handlers that return models, as in `-> OrderCharged`. Whether
    a rule can match events of a kind is answered by the algebra of patterns, for events without arrays; where that is
    not known, it is taken to be so: a loop may be told of that is none, and none is missed for that reason.

    Args:
        router: The router, which may be running.
        publishes: The kinds of events that are put from outside: pydantic models that name their source, event
            patterns, or `EventType` for those on other buses.
        traffic: Events as they have been, such as those of an archive.
        event_bus_name: The bus that the traffic is put on.

    Returns:
        The topology. Rules that no event feeds are told of only if there is something in *publishes* or *traffic*.

    Raises:
        NotFoundError: There is no such bus.
        InvalidRuleError, PatternError: Something in *publishes* is no kind of event.
    """
    buses = router.list_event_buses()
    if event_bus_name not in buses:
        raise NotFoundError(f"Event bus {event_bus_name} does not exist.")
    published = [event_type(kind) for kind in publishes]
    survey = Survey(router, published)
    rules = list(chain.from_iterable(router.list_rules(event_bus_name=bus) for bus in buses))
    flow = Flow(rules, survey.types, survey.edges)
    routes = Routes(router)
    sent = routes.send(traffic, event_bus_name)
    schedules = [f"schedule:{item.group}/{item.name}" for item in router.list_schedules() if item.state == "ENABLED"]
    fed = flow.reached(published, sent.matched, schedules) if published or traffic else None
    findings = [
        *loop_findings(flow, survey.nodes, router),
        *event_findings(flow, router, sent),
        *rule_findings(flow, rules, fed),
        *part_findings(router, survey.nodes),
    ]
    findings.sort(key=lambda finding: finding.severity == "note")
    return Topology(survey.nodes, tuple(sorted(survey.edges)), tuple(findings), fan_out(routes, buses, sent))
