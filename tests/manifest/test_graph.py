"""Order, cycles, selection, drawings."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.errors import UnknownService, UsageError
from devctl.manifest.draw import draw
from devctl.manifest.graph import closure, dependencies, order, select, with_auto_ports
from devctl.plan import reference

if TYPE_CHECKING:
    from devctl.plan import Plan
    from tests.manifest.conftest import Workspace

NAMES = st.sampled_from("abcdefgh")
EDGES = st.dictionaries(NAMES, st.lists(NAMES, max_size=4))


@given(EDGES)
def test_order_holds_every_name_once(edges: dict[str, list[str]]) -> None:
    """Whatever the graph, each name is in the order once."""
    assert sorted(order(edges)[0]) == sorted(edges)


@given(EDGES)
def test_order_or_cycle(edges: dict[str, list[str]]) -> None:
    """Either dependencies come first, or there is a cycle, and that is a closed path of real edges."""
    ordered, cycles = order(edges)
    position = {name: index for index, name in enumerate(ordered)}
    sorted_well = all(position[other] < position[name] for name in edges for other in edges[name] if other in position)
    assert sorted_well == (not cycles)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(after in edges[before] for before, after in pairwise(cycle))


@given(EDGES, st.lists(NAMES))
def test_closure_is_closed(edges: dict[str, list[str]], names: list[str]) -> None:
    """What the chosen need is chosen too."""
    found = closure(edges, names)
    assert all(other in found for name in found for other in edges[name] if other in edges)


@pytest.fixture
def plan(workspace: Workspace) -> Plan:
    return workspace.load("""
services:
  router: {command: sleep 1, port: 8888}
  auto: {command: sleep 1, port: auto}
  backend:
    command: sleep 1
    depends_on: {router: {restart: true}}
    environment: {ROUTER: "${services.router.url}/x", SELF: "${services.backend.port}"}
    port: 3002
  frontend: {command: "sleep ${services.auto.port}", depends_on: [backend, auto]}
  build: {command: sleep 1, oneshot: true}
""")


def test_select_with_dependencies(plan: Plan) -> None:
    """A name brings what it needs, and the rest becomes available."""
    part = select(plan, ["backend"])
    assert list(part.services) == ["router", "backend"]
    assert part.services["backend"] == plan.services["backend"]
    assert set(part.available) == {"auto", "frontend", "build"}


def test_select_alone(plan: Plan) -> None:
    """Without dependencies edges go, and references to the others become their fixed ports."""
    part = select(plan, ["backend"], with_dependencies=False)
    spec = part.services["backend"]
    assert spec.depends_on == ()
    assert spec.environment == {"ROUTER": "http://127.0.0.1:8888/x", "SELF": reference("services.backend.port")}


def test_select_alone_with_an_automatic_port(plan: Plan) -> None:
    """A port that nobody can know is an error with the mend."""
    with pytest.raises(UsageError) as caught:
        select(plan, ["frontend"], with_dependencies=False)
    assert "start auto too" in caught.value.mend


def test_select_nothing_is_all(plan: Plan) -> None:
    """No names mean the whole stack."""
    assert select(plan, []) is plan


def test_select_unknown(plan: Plan) -> None:
    """A name that is not there is an error with the nearest, or with the reason it is not."""
    with pytest.raises(UnknownService, match="rooter") as caught:
        select(plan, ["rooter"])
    assert "`router`" in caught.value.mend
    with pytest.raises(UnknownService, match="not part of this stack"):
        select(select(plan, ["router"]), ["build"])


def test_auto_ports(plan: Plan) -> None:
    """Every fixed port becomes automatic; references stay."""
    auto = with_auto_ports(plan)
    assert all(number is None for spec in auto.services.values() for number in spec.ports.values())
    assert auto.services["backend"].environment == plan.services["backend"].environment
    assert dependencies(auto) == dependencies(plan)


def test_text(plan: Plan) -> None:
    """The text drawing has a line a service, by wave."""
    assert draw(plan) == (
        "  1  router\n"
        "  1  auto\n"
        "  1  build\n"
        "  2  backend   after router ready, restart\n"
        "  3  frontend  after backend ready, auto ready\n"
    )


def test_mermaid(plan: Plan) -> None:
    """Mermaid gets ids that any name is safe in."""
    text = draw(plan, "mermaid")
    assert text.startswith('flowchart LR\n    s0["router"]\n')
    assert "    s0 -->|ready, restart| s2\n" in text
    assert '    s4(["build"])\n' in text


def test_dot(plan: Plan) -> None:
    """Graphviz gets quoted names and every edge."""
    text = draw(plan, "dot")
    assert text.startswith('digraph "stack" {\n')
    assert '    "router" -> "backend" [label="ready, restart"];\n' in text
    assert text.endswith("}\n")
