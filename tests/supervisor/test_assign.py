"""Which service gets which port."""

from __future__ import annotations

from devctl.plan import LogSettings, Plan, ServiceSpec
from devctl.supervisor.assign import assign_ports
from tests.lifecycle.history import spec


def plan(*specs: ServiceSpec) -> Plan:
    return Plan("shop", "/shop", (), {item.name: item for item in specs}, LogSettings())


def test_fixed_ones_are_what_they_are() -> None:
    """The manifest's numbers, by name."""
    assert assign_ports(plan(spec("web", ports={"default": 80, "admin": 81})), {}) == {"web": {"default": 80, "admin": 81}}


def test_without_ports() -> None:
    """Every service has an entry."""
    assert assign_ports(plan(spec("web")), {}) == {"web": {}}


def test_auto_ports_differ() -> None:
    """From each other, and from every fixed one."""
    services = [spec(f"s{n}", ports={"default": None, "x": None}) for n in range(20)]
    found = assign_ports(plan(*services), {})
    numbers = [port for ports in found.values() for port in ports.values()]
    assert len(set(numbers)) == 40
    assert all(1024 <= number < 65536 for number in numbers)


def test_auto_ports_stay() -> None:
    """A reload gives the same numbers again."""
    stack = plan(spec("web", ports={"default": None}), spec("db", ports={"default": None}))
    before = assign_ports(stack, {})
    assert assign_ports(stack, before) == before


def test_a_fixed_port_wins_over_an_earlier_auto_one() -> None:
    """What the manifest says now counts."""
    assert assign_ports(plan(spec("web", ports={"default": 80})), {"web": {"default": 40000}}) == {"web": {"default": 80}}


def test_a_removed_service_s_port_is_not_given_away() -> None:
    """Its old instance may still listen there."""
    stack = plan(*(spec(f"s{n}", ports={"default": None}) for n in range(5)))
    found = assign_ports(stack, {"old": {"default": 40000}})
    assert 40000 not in {port for ports in found.values() for port in ports.values()}
